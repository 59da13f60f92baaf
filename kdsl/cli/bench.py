"""kdsl bench: run benchmarks and print their tables."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kdsl.cli.console import progress, table
from kdsl.cli.userfile import write_text


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "list_suites", is_flag=True, help="List the benchmarks.")
@click.option("--json", "record", type=click.Path(path_type=Path), help="Also write JSON here.")
def bench(names: tuple[str, ...], list_suites: bool, record: Path | None) -> None:
    """Run the benchmarks NAMES (all of them when left out); peers run in the same process."""
    from kdsl.bench.suites import SUITES, suite_named

    if list_suites:
        table("", ("benchmark", "measures"), [(name, text) for name, (_, text) in SUITES.items()])
        return
    suites = {name: suite_named(name) for name in names or SUITES}
    results = {}
    with progress("measuring", total=len(suites)) as step:
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
