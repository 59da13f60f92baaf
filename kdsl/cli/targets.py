"""kdsl targets: which back ends are installed, and which chips they know."""

from __future__ import annotations

import click

from kdsl.cli.console import table
from kdsl.errors import KdslError

COLUMNS = ("back end", "this machine", "vectors", "threads", "other chips")


@click.command()
def targets() -> None:
    """List the targets of the installed back ends; a broken one does not hide the others."""
    from kdsl.codegen.registry import backend_names

    rows: list[tuple[str, ...]] = []
    broken: list[str] = []
    for name in backend_names():
        try:
            rows.append(_row(name))
        except KdslError as error:
            broken.append(f"{name}: {error.summary}")
    if rows:
        table("", COLUMNS, rows)
    for line in broken:
        click.echo(line)
    if not rows and not broken:
        click.echo("no back end is installed")


def _row(name: str) -> tuple[str, ...]:
    from kdsl.codegen.registry import backend_named

    backend = backend_named(name)
    here = backend.resolve("")
    features = here.features
    chips = ", ".join(chip for chip in backend.chips if chip != here.chip)
    width = f"{features.vector_registers} x {features.vector_bits} bits"
    return name, str(here), width, str(features.threads), chips
