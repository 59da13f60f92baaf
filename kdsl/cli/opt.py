"""kdsl opt: run passes on a module's text, as mlir-opt does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdsl.cli.console import table
from kdsl.cli.userfile import read_text, write_text

if TYPE_CHECKING:
    from kdsl.target.target import Target

STANDARD_INPUT = "-"
EVERY = "all"


@click.command()
@click.argument("file", default=STANDARD_INPUT)
@click.option("-p", "--pipeline", default="", help="Passes with commas: canonicalize,cse.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write here, not to stdout.")
@click.option("--verify/--no-verify", default=True, help="Verify the input and after every pass.")
@click.option("--print-after", default="", help="Print the module after these passes; all: each.")
@click.option("--target", help="Back end, or back end:chip; no chip in particular when left out.")
@click.option("--time", "show_times", is_flag=True, help="Print how long each pass took.")
@click.option("--locations", is_flag=True, help="Print source positions.")
@click.option("--list", "list_passes", is_flag=True, help="List passes and pipelines.")
def opt(
    file: str,
    pipeline: str,
    output: Path | None,
    verify: bool,
    print_after: str,
    target: str | None,
    show_times: bool,
    locations: bool,
    list_passes: bool,
) -> None:
    """Read a module in MLIR's generic syntax from FILE, run passes, print it."""
    if list_passes:
        show_passes()
        return
    text, name = (sys.stdin.read(), "<stdin>") if file == STANDARD_INPUT else _read(file)
    result = run_passes(
        text,
        name,
        pipeline,
        target=target,
        verify=verify,
        print_after=_pass_names(print_after),
        show_times=show_times,
        locations=locations,
    )
    if output is None:
        click.echo(result, nl=False)
    else:
        write_text(output, result)


def run_passes(
    text: str,
    name: str,
    pipeline: str,
    *,
    target: str | None = None,
    verify: bool = True,
    print_after: Sequence[str] = (),
    show_times: bool = False,
    locations: bool = False,
) -> str:
    """Return the module's text after the pipeline; what was asked for on the way goes to stderr."""
    import kdsl.dialects.all as _declared  # noqa: F401 - importing declares the ops
    from kdsl.ir.core import Module
    from kdsl.ir.parser import parse
    from kdsl.ir.printer import print_module
    from kdsl.ir.verify import verify as verify_module
    from kdsl.passes.manager import Pass, Pipeline, parse_pipeline, run_pipeline
    from kdsl.target.target import GENERIC

    def show(each: Pass, module: Module, _changed: bool) -> None:
        if each.name in print_after or EVERY in print_after:
            click.echo(f"// after {each}\n{print_module(module, locations)}", err=True)

    module = parse(text, name)
    if verify:
        verify_module(module)
    passes = parse_pipeline(pipeline) if pipeline.strip() else Pipeline("none")
    chip = GENERIC if target is None else _target(target)
    steps = run_pipeline(passes, module, chip, verify=verify, observers=(show,))
    if show_times:
        for step in steps:
            mark = "changed" if step.changed else ""
            click.echo(f"{step.seconds * 1e3:9.3f} ms  {step.name:30} {mark}".rstrip(), err=True)
    return print_module(module, locations).rstrip("\n") + "\n"


def _pass_names(text: str) -> list[str]:
    """Read names of passes with commas between; raise UnknownPassError."""
    import kdsl.passes.pipelines as _known  # noqa: F401 - importing declares the passes
    from kdsl.errors import UnknownPassError
    from kdsl.passes.manager import PASSES

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PASSES and name != EVERY:
            raise UnknownPassError(name=name, known=", ".join([*sorted(PASSES), EVERY]))
    return names


def _target(text: str) -> Target:
    from kdsl.codegen.registry import resolve_target

    return resolve_target(text)


def show_passes() -> None:
    """Print every pass and pipeline with its options."""
    from kdsl.cli.explain import summary_of
    from kdsl.passes.manager import PASSES
    from kdsl.passes.pipelines import PIPELINES

    table("", ("pass", "does"), [(name, summary_of(PASSES[name])) for name in sorted(PASSES)])
    table("", ("pipeline", "is"), [(name, str(PIPELINES[name])) for name in sorted(PIPELINES)])


def _read(file: str) -> tuple[str, str]:
    return read_text(Path(file)), file
