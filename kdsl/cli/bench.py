"""kdsl bench: run benchmarks and print their tables."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import click

from kdsl.cli.console import progress, table
from kdsl.cli.userfile import write_text


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "list_suites", is_flag=True, help="List the benchmarks.")
@click.option("--json", "record", type=click.Path(path_type=Path), help="Also write JSON here.")
@click.option("--target", help="The target to compile for, e.g. the GPU of this machine.")
@click.option(
    "--out", "folder", type=click.Path(path_type=Path), default=Path(),
    help="Where benchmarks of an accelerator write their CSV and plot.",
)  # fmt: skip
def bench(
    names: tuple[str, ...],
    list_suites: bool,
    record: Path | None,
    target: str | None,
    folder: Path,
) -> None:
    """Run the benchmarks NAMES; peers run in the same process.

    Without names, all that need no accelerator.
    """
    from kdsl.bench.suites import DEVICE_SUITES, SUITES, suite_named
    from kdsl.settings import settings

    if list_suites:
        listed = [(name, text) for name, (_, text) in (SUITES | DEVICE_SUITES).items()]
        table("", ("benchmark", "measures"), listed)
        return
    suites = {name: suite_named(name, folder) for name in names or SUITES}
    results = {}
    chosen = settings.override(target=target) if target else nullcontext()
    with chosen, progress("measuring", total=len(suites)) as step:
        for name, suite in suites.items():
            step(name, 0)
            results[name] = suite()
            step(name)
    for result in results.values():
        table(result.title, result.columns, result.rows)
    if record is not None:
        rows = {
            name: [dict(zip(result.columns, row, strict=True)) for row in result.rows]
            for name, result in results.items()
        }
        write_text(record, json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
