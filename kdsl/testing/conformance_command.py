"""kdsl conformance: try every library kernel on every target, and write what was checked."""

from __future__ import annotations

from pathlib import Path

import click

from kdsl.cli.console import progress
from kdsl.cli.userfile import write_text
from kdsl.errors import ConformanceError

PREFACE = """# Conformance

Written by `kdsl conformance`; every line was seen by the run that wrote it, on the machine that it
names. *Executed on hardware* and *executed in an emulator* mean that the results were compared with
the interpreted kernel, element by element; *assembled* that the target's own assembler took the
code; *text checked* that code was written and nothing took it. Refusals carry their error code."""


@click.command()
@click.option("--target", "names", multiple=True, help="A target; several may be given.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the page here.")
@click.option("--json", "record", type=click.Path(path_type=Path), help="Write all rows here.")
@click.option("--check", "page", type=click.Path(path_type=Path), help="Fail if this page differs.")
def conformance(
    names: tuple[str, ...], out: Path | None, record: Path | None, page: Path | None
) -> None:
    """Check every library kernel on every target that this machine can build for."""
    from kdsl.codegen.registry import resolve_target
    from kdsl.testing.conformance_table import as_json, check, every_case, markdown

    targets = [resolve_target(name) for name in names or default_names()]
    cases = every_case()
    rows = []
    with progress("checking", total=len(cases) * len(targets)) as step:
        for row in check(cases, targets):
            rows.append(row)
            step(f"{row.target} {row.kernel}")
    text = markdown(rows, PREFACE)
    if out is not None:
        write_text(out, text)
    if record is not None:
        write_text(record, as_json(rows))
    if out is None and page is None:
        click.echo(text)
    wrong = [row for row in rows if not row.is_right]
    if wrong:
        raise ConformanceError(count=len(wrong), first=f"{wrong[0].target} {wrong[0].kernel}")
    if page is not None and page.read_text() != text:
        raise ConformanceError(count=0, first=f"{page} is stale")


def default_names() -> list[str]:
    """Return this machine's target, and every chip of the other back ends."""
    from kdsl.codegen.registry import backend_named, backend_names, default_target

    here = default_target()
    found = [str(here)]
    for name in backend_names():
        if name != here.backend:
            found += [f"{name}:{chip}" for chip in backend_named(name).chips]
    return found
