"""kdsl targets: what this machine can build, check and run, and what to install for the rest."""

from __future__ import annotations

import click

from kdsl.cli.console import table
from kdsl.codegen.backend import Backend, Trial
from kdsl.errors import KdslError
from kdsl.target.target import Target

COLUMNS = ("back end", "here", "this machine", "vectors", "threads", "checked here by", "chips")
RUNS, BUILDS = "builds, runs", "builds"
DONE = {"hardware": "running", "emulator": "emulation", "assembled": "assembling", "text": "nobody"}
"""What a rung is called in the table; the trial's tool follows."""
ELEMENTS = 64


@click.command()
@click.option("--quick", is_flag=True, help="Compile nothing: leave out how code is checked.")
def targets(quick: bool) -> None:
    """List the targets of the installed back ends, and what this machine does with them.

    A small kernel is compiled for each and tried as far as this machine can: run, emulated or
    assembled. Building for a chip needs no device. A broken back end does not hide the others.
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
        rows.append(_row(name, backend, said, quick=quick))
    if rows:
        table("", COLUMNS, rows)
    for line in said:
        click.echo(line)
    if not rows and not said:
        click.echo("no back end is installed")


def _row(name: str, backend: Backend, said: list[str], *, quick: bool) -> tuple[str, ...]:
    chips = ", ".join(backend.chips)
    try:
        here = backend.resolve("")
    except KdslError as error:
        why = error.__cause__ if isinstance(error.__cause__, KdslError) else error
        said.append(f"{name} runs nothing here: {why.summary}; {why.advice}")
        chip = backend.usual or backend.chips[0]
        checked = "" if quick else _checked(name, backend.resolve(chip), said)
        return name, BUILDS, "", "", "", checked, chips
    features = here.features
    width = f"{features.vector_registers} x {features.vector_bits} bits"
    checked = "" if quick else _checked(name, here, said)
    does = RUNS if quick or checked.startswith(DONE["hardware"]) else BUILDS
    return name, does, str(here), width, str(features.threads), checked, chips


def _checked(name: str, target: Target, said: list[str]) -> str:
    """Return how far a kernel for a target is checked here, and say what is missing."""
    try:
        trial = tried(target)
    except KdslError as error:
        said.append(f"{name} checks nothing here: {error.summary}; {error.advice}")
        return DONE["text"]
    return f"{DONE[trial.rung]}: {' '.join(filter(None, (trial.how, trial.version)))}"


def tried(target: Target) -> Trial:
    """Compile a kernel of the library and try it. Raises what the target or its trial raises."""
    import numpy as np

    from kdsl.codegen.registry import backend_named
    from kdsl.compiler import stages
    from kdsl.library.elementwise import add

    backend = backend_named(target.backend)
    *_, (_, module) = stages(add.trace(add.specialize(T="f32"), target).module, target)
    artifact = backend.assemble(backend.emit(module, target), target)
    arrays = [np.ones(ELEMENTS, np.float32) for _ in range(3)]
    return backend.try_out(module, artifact, target, add.name, arrays)
