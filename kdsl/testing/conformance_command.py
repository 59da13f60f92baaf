"""kdsl conformance: try every library kernel and every op on every target; write what came out."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdsl.cli.console import progress
from kdsl.cli.userfile import read_text, write_text
from kdsl.errors import ConformanceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kdsl.testing.conformance_record import Recorded
    from kdsl.testing.conformance_table import Table

PAGE, ROWS, HARDWARE = "conformance.md", "conformance.json", "conformance-hardware.json"
TARGETS = (
    "x86-64-v3", "sm_80", "sm_90a", "gfx90a", "gfx942", "gfx1100", "gfx1201", "pocl", "apple7",
)  # fmt: skip
"""Of the page: chips that one back end alone knows."""
QUICK_KERNELS, QUICK_OPS, QUICK_WIDTH = 31, 41, 4
"""Of a quick check: every 31st case of the library, every 41st op on one width."""
SHOWN = 5
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--target", "names", multiple=True, help="A target; several may be given.")
@click.option("--folder", type=FOLDER, default=Path("docs"), show_default=True, help="Of the page.")
@click.option("--write", is_flag=True, help=f"Write {PAGE} and {ROWS}; of named targets, the rows.")
@click.option("--check", is_flag=True, help="Fail if the page in the folder says something else.")
@click.option("--quick", is_flag=True, help="Try a few rows only.")
@click.option("--page-only", is_flag=True, help="Run nothing: make the page of the rows.")
@click.option("--record", type=FILE, help="Add what ran on this machine's devices to a file.")
@click.option("--processes", type=int, default=0, help="Default: as many as there are cores.")
def conformance(
    names: tuple[str, ...],
    folder: Path,
    write: bool,
    check: bool,
    quick: bool,
    page_only: bool,
    record: Path | None,
    processes: int,
) -> None:
    """Check every library kernel and every op on the targets of the page, or on those named."""
    from kdsl.testing.conformance_page import page
    from kdsl.testing.conformance_record import from_json, read_executed, recorded, to_json

    devices = read_executed(folder / HARDWARE)
    if page_only:
        found = from_json(read_text(folder / ROWS))
    else:
        table = _tried(names or TARGETS, quick, processes)
        found = recorded(table)
        if record is not None:
            _record(record, table)
    if write:
        found = _with_others(folder, found, names)
        write_text(folder / ROWS, to_json(found))
        write_text(folder / PAGE, page(found, devices))
    elif check:
        problems = differences(folder, found, complete=not (quick or names or page_only))
        if problems:
            click.echo("\n".join(problems), err=True)
            raise ConformanceError(count=0, first=f"{len(problems)} rows differ: {problems[0]}")
    elif record is None:
        click.echo(page(found, devices))
    _fail_if_wrong(found)


def _with_others(folder: Path, found: Recorded, names: Sequence[str]) -> Recorded:
    """Return what was found for some targets with the rows of the others in the folder."""
    from kdsl.codegen.registry import resolve_target
    from kdsl.testing.conformance_record import combined, from_json

    if not names or not (folder / ROWS).exists():
        return found
    old = from_json(read_text(folder / ROWS))
    return combined(old, found, [str(resolve_target(name)) for name in TARGETS])


def _fail_if_wrong(found: Recorded) -> None:
    from kdsl.testing.conformance_page import wrong_rows

    wrong = wrong_rows(found)
    if wrong:
        click.echo("\n".join(wrong), err=True)
        raise ConformanceError(count=len(wrong), first="; ".join(wrong[:SHOWN]))


def sample() -> tuple[list[Any], list[Any]]:
    """Return the cases of a quick check: of the library, and of ops."""
    from kdsl.testing.conformance_ops import op_cases
    from kdsl.testing.conformance_table import every_case

    ops = [case for case in op_cases() if case.width == QUICK_WIDTH]
    return every_case()[::QUICK_KERNELS], ops[::QUICK_OPS]


def _tried(names: Sequence[str], quick: bool, processes: int) -> Table:
    from kdsl.cli.forks import cores, mapped
    from kdsl.testing import conformance_ops, conformance_table
    from kdsl.testing.conformance_table import make_table

    if quick:
        cases, ops = sample()
    else:
        cases, ops = conformance_table.every_case(), conformance_ops.op_cases()
    with progress("checking") as step:

        def each(job: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[Any]:
            for number, done in enumerate(mapped(job, jobs, processes or cores()), 1):
                step(f"{number} of {len(jobs)}")
                yield done

        return make_table(names, cases, ops, each)


def _record(path: Path, table: Table) -> None:
    from kdsl.testing.conformance_record import executed, executed_json, joined, read_executed

    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    records = joined(read_executed(path), executed(table, today))
    write_text(path, executed_json(records))
    for row in records:
        click.echo(f"{row.target} on {row.device}: {len(row.kernels)} kernels, {len(row.ops)} ops")


def differences(folder: Path, found: Recorded, *, complete: bool) -> list[str]:
    """Return where the rows of a folder differ from what was found, or its page from its rows."""
    from kdsl.testing.conformance_page import page
    from kdsl.testing.conformance_record import from_json, missing, read_executed, stale

    old = from_json(read_text(folder / ROWS))
    problems = stale(old, found) + (missing(old, found) if complete else [])
    if read_text(folder / PAGE) != page(old, read_executed(folder / HARDWARE)):
        advice = "kdsl conformance --page-only --write"
        problems.append(f"{folder / PAGE} is not the page of {ROWS}: {advice}")
    return problems
