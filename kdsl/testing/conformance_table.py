"""The table that says what was checked: every library kernel on every target, at its best rung.

The oracle is the traced module, interpreted. A result that differs is WRONG and fails the table;
what a target cannot do is refused with a coded error, which the table names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kdsl.codegen.backend import RUNGS, Trial
from kdsl.codegen.registry import backend_named
from kdsl.compiler import stages
from kdsl.errors import KdslError
from kdsl.ir.core import Module
from kdsl.ir.interpreter import interpret
from kdsl.target.target import Target
from kdsl.testing.library_cases import Case, library_cases, matrix_cases

REFUSED, WRONG = "refused", "WRONG"
ROUNDING = {"f32": 2e-5, "f16": 4e-3, "bf16": 3e-2}
"""Largest error relative to the largest value (above 1) by the narrowest dtype of a case."""
WORDS = {
    "hardware": "executed on hardware",
    "emulator": "executed in an emulator",
    "assembled": "assembled",
    "text": "text checked",
    REFUSED: "refused",
    WRONG: "WRONG",
}


@dataclass(frozen=True)
class Row:
    """One case on one target: its rung, by what, and what was wrong or refused."""

    kernel: str
    options: str
    target: str
    rung: str
    how: str

    @property
    def is_right(self) -> bool:
        return self.rung != WRONG


def check(cases: Sequence[Case], targets: Sequence[Target]) -> Iterator[Row]:
    """Try every case on every target."""
    for case in cases:
        expected: tuple[Any, ...] | None = None
        for target in targets:
            trial, got = _tried(case, target)
            problem = ""
            if trial.ran:
                if expected is None:
                    expected = _oracle(case)
                problem = _difference(case, expected, got)
            rung, how = (WRONG, f"{trial.how}: {problem}") if problem else (trial.rung, trial.how)
            name = f"{case.kernel.__module__.rpartition('.')[2]}.{case.kernel.name}"
            options = [f"{k}={'none' if v is None else v}" for k, v in case.values.items()]
            yield Row(name, " ".join(options), str(target), rung, how)


def _copies(case: Case) -> tuple[Any, ...]:
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in case.args)


def _oracle(case: Case) -> tuple[Any, ...]:
    args = _copies(case)
    interpret(case.module(), case.kernel.name, args)
    return args


def _tried(case: Case, target: Target) -> tuple[Trial, tuple[Any, ...]]:
    args = _copies(case)
    backend = backend_named(target.backend)
    try:
        module = _legalized(case, target)
        artifact = backend.assemble(backend.emit(module, target), target)
        return backend.try_out(module, artifact, target, case.kernel.name, args), args
    except KdslError as problem:
        return Trial(REFUSED, f"{problem.code}: {problem.summary}"), args


def _legalized(case: Case, target: Target) -> Module:
    found = None
    for _, module in stages(case.module(target), target):
        found = module
    assert found is not None
    return found


def _difference(case: Case, expected: tuple[Any, ...], got: tuple[Any, ...]) -> str:
    """Return the first buffer whose contents differ by more than rounding; empty when none does."""
    dtypes = {str(v) for v in case.values.values()}
    limit = max(ROUNDING[name] for name in ROUNDING if name == "f32" or name in dtypes)
    for number, (want, have) in enumerate(zip(expected, got, strict=True)):
        if not isinstance(want, np.ndarray):
            continue
        if want.dtype.kind in "biu":
            if not np.array_equal(want, have):
                return f"argument {number} differs"
            continue
        a, b = want.astype(np.float64), have.astype(np.float64)
        special = ~np.isfinite(a)
        if not np.array_equal(a[special], b[special], equal_nan=True):
            return f"argument {number} differs in its infinities or NaNs"
        scale = max(1.0, float(np.abs(a[~special]).max(initial=0.0)))
        error = float(np.abs(a[~special] - b[~special]).max(initial=0.0)) / scale
        if not error <= limit:
            return f"argument {number} is off by {error:.1e}, at most {limit:.0e} is rounding"
    return ""


# ------------------------------------------------------------------------------------------ pages


def markdown(rows: Sequence[Row], preface: str) -> str:
    """Return the page: a summary of kernels by targets, then every refusal and mistake."""
    targets = list(dict.fromkeys(row.target for row in rows))
    kernels = list(dict.fromkeys(row.kernel for row in rows))
    lines = [
        preface,
        "",
        "| kernel | " + " | ".join(targets) + " |",
        "| --- " * (len(targets) + 1) + "|",
    ]
    for kernel in kernels:
        cells = [_cell([r for r in rows if r.kernel == kernel and r.target == t]) for t in targets]
        lines.append(f"| {kernel} | " + " | ".join(cells) + " |")
    lines += ["", "By what, and how many specializations:", ""]
    lines += [f"- {line}" for line in _tools(rows)]
    notes = _notes(rows)
    if notes:
        lines += ["", "Refused or wrong:", "", *(f"- {line}" for line in notes)]
    return "\n".join(lines) + "\n"


def _cell(rows: Sequence[Row]) -> str:
    counts = {rung: sum(r.rung == rung for r in rows) for rung in (*RUNGS, REFUSED, WRONG)}
    found = [f"{WORDS[rung]}: {n}" for rung, n in counts.items() if n]
    return "; ".join(found)


def _tools(rows: Iterable[Row]) -> list[str]:
    counts: dict[tuple[str, str, str], int] = {}
    for row in rows:
        if row.rung in RUNGS:
            key = (row.target, row.rung, row.how)
            counts[key] = counts.get(key, 0) + 1
    return [f"{t}: {WORDS[rung]} ({how}): {n}" for (t, rung, how), n in counts.items()]


def _notes(rows: Iterable[Row]) -> list[str]:
    found: dict[str, int] = {}
    for row in rows:
        if row.rung in (REFUSED, WRONG):
            line = f"{row.target} {row.kernel} ({row.options}): {WORDS[row.rung]}, {row.how}"
            found[line] = found.get(line, 0) + 1
    return list(found)


def as_json(rows: Sequence[Row]) -> str:
    """Return all rows as JSON, one a line."""
    return "[\n" + ",\n".join(json.dumps(asdict(row), ensure_ascii=False) for row in rows) + "\n]\n"


def every_case() -> list[Case]:
    """Return the cases of the table."""
    return [*library_cases(), *matrix_cases()]
