"""kdsl targets: which back ends are installed, and which chips they know."""

from __future__ import annotations

import click

from kdsl.cli.console import table
from kdsl.codegen.backend import Backend
from kdsl.errors import KdslError
from kdsl.target.target import Target

COLUMNS = ("back end", "here", "this machine", "vectors", "threads", "other chips")
RUNS, BUILDS = "builds, runs", "builds"


@click.command()
def targets() -> None:
    """List the targets of the installed back ends, and what this machine does with them.

    Building for a chip needs no device. A broken back end does not hide the others.
    """
    from kdsl.codegen.registry import backend_named, backend_names

    rows: list[tuple[str, ...]] = []
    said: list[str] = []
    for name in backend_names():
        try:
            backend = backend_named(name)
        except KdslError as error:
            said.append(f"{name}: {error.summary}")
            continue
        try:
            rows.append(_row(name, backend, backend.resolve("")))
        except KdslError as error:
            rows.append((name, BUILDS, "", "", "", ", ".join(backend.chips)))
            said.append(f"{name} runs nothing here: {error.summary}")
    if rows:
        table("", COLUMNS, rows)
    for line in said:
        click.echo(line)
    if not rows and not said:
        click.echo("no back end is installed")


def _row(name: str, backend: Backend, here: Target) -> tuple[str, ...]:
    features = here.features
    chips = ", ".join(chip for chip in backend.chips if chip != here.chip)
    width = f"{features.vector_registers} x {features.vector_bits} bits"
    return name, RUNS, str(here), width, str(features.threads), chips
