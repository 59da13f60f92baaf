"""Running a file's declared cases: kdsl build --check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from kdsl.bench.case import Case
from kdsl.bench.report import Outcome, columns, rows, run_case
from kdsl.cli.console import progress, table
from kdsl.errors import BadChecksError, CheckFailedError, NoCheckError

CHECKS = "CHECKS"


def cases_of(module: ModuleType, path: Path, entries: Sequence[str]) -> list[Case]:
    """Return the cases that a file declares for ``entries``; each entry must have one."""
    declared = getattr(module, CHECKS, ())
    cases = list(declared() if callable(declared) else declared)
    for case in cases:
        if not isinstance(case, Case):
            raise BadChecksError(path=path, got=type(case).__name__)
    for entry in entries:
        if not any(case.entry == entry for case in cases):
            raise NoCheckError(path=path, entry=entry)
    return [case for case in cases if case.entry in entries]


def run_cases(cases: Sequence[Case], entries: Mapping[str, Callable[..., object]]) -> list[Outcome]:
    """Run every case with a progress bar."""
    outcomes = []
    with progress("checking", total=len(cases)) as step:
        for case in cases:
            step(case.title, 0)
            outcomes.append(run_case(case, entries[case.entry]))
            step(case.title)
    return outcomes


def show(outcomes: Sequence[Outcome]) -> None:
    """Print the table; raise CheckFailedError for the first wrong answer."""
    table("", columns(outcomes), rows(outcomes))
    for outcome in outcomes:
        if not outcome.is_right:
            case = outcome.case
            raise CheckFailedError(
                entry=case.title,
                got=f"{outcome.error:.2e}",
                allowed=f"{case.tolerance:.2e}",
                advice="KDSL_VERIFY=passes finds the first pass that changes an answer",
            )
