"""What was checked: every library kernel and every op on every target, at its best rung.

The oracle is the traced module, interpreted. A result that differs is WRONG and fails the table;
what a target cannot do is refused with a coded error, which the table names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdsl.codegen.backend import Artifact, Backend, Trial
from kdsl.codegen.registry import backend_named, resolve_target
from kdsl.compiler import stages
from kdsl.ir.core import Module
from kdsl.ir.interpreter import interpret
from kdsl.target.target import Target
from kdsl.testing.conformance import Case as OpCase
from kdsl.testing.conformance_ops import OpRow, batches, check_ops, merged
from kdsl.testing.library_cases import Case, library_cases, matrix_cases
from kdsl.testing.trials import WRONG, attempt

ROUNDING = {"f32": 2e-5, "f16": 4e-3, "bf16": 3e-2}
"""Largest error relative to the largest value (above 1) by the narrowest dtype of a case."""


@dataclass(frozen=True)
class Row:
    """One case on one target: its rung, by what, and what was wrong or refused."""

    kernel: str
    options: str
    target: str
    rung: str
    how: str
    version: str = field(default="", compare=False)

    @property
    def is_right(self) -> bool:
        return self.rung != WRONG


@dataclass
class Table:
    """All rows of a run, and the versions of the tools by what they are called."""

    kernels: list[Row] = field(default_factory=list)
    ops: list[OpRow] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """The rows that differ."""
        rows = [f"{r.target} {r.kernel} {r.options}: {r.how}" for r in self.kernels]
        ops = [f"{r.target} {r.op} {r.dtype} x{r.width}: {r.how}" for r in self.ops]
        rungs = [*(r.rung for r in self.kernels), *(r.rung for r in self.ops)]
        return [text for text, rung in zip([*rows, *ops], rungs, strict=True) if rung == WRONG]


Mapped = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""``map``, perhaps in several processes."""


def make_table(
    names: Sequence[str], cases: Sequence[Case], op_cases: Sequence[OpCase], mapped: Mapped
) -> Table:
    """Try everything on the named targets.

    Jobs find their targets themselves: a driver that was opened before a fork does not survive it.
    """
    jobs: list[tuple[Any, ...]] = [(case, tuple(names)) for case in cases]
    jobs += [(batch, (name,)) for batch in batches(op_cases) for name in names]
    table = Table()
    for rows in mapped(_job, jobs):
        for row, version in rows:
            (table.ops if isinstance(row, OpRow) else table.kernels).append(row)
            if version:
                table.versions.setdefault(f"{row.target}: {row.how}", version)
    order = {str(resolve_target(name)): number for number, name in enumerate(names)}
    table.ops = sorted(merged(table.ops), key=lambda r: order[r.target])
    return table


def _job(job: tuple[Any, tuple[str, ...]]) -> list[tuple[Row | OpRow, str]]:
    what, names = job
    targets = [resolve_target(name) for name in names]
    if isinstance(what, Case):
        return [(row, row.version) for row in check([what], targets)]
    return [*check_ops(targets[0], what)]


def check(cases: Sequence[Case], targets: Sequence[Target]) -> Iterator[Row]:
    """Try every case on every target."""
    for case in cases:
        expected: tuple[Any, ...] | None = None
        for target in targets:
            trial, got = _tried(case, target)
            if trial.ran:
                if expected is None:
                    expected = _oracle(case)
                problem = _difference(case, expected, got)
                trial = Trial(WRONG, f"{trial.how}: {problem}") if problem else trial
            yield Row(*case_key(case), str(target), trial.rung, trial.how, trial.version)


def case_key(case: Case) -> tuple[str, str]:
    """Return the kernel's name with its module's, and what it is specialized for."""
    name = f"{case.kernel.__module__.rpartition('.')[2]}.{case.kernel.name}"
    options = [f"{k}={'none' if v is None else v}" for k, v in case.values.items()]
    return name, " ".join(options)


def _copies(case: Case) -> tuple[Any, ...]:
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in case.args)


def _oracle(case: Case) -> tuple[Any, ...]:
    args = _copies(case)
    interpret(case.module(), case.kernel.name, args)
    return args


def _tried(case: Case, target: Target) -> tuple[Trial, tuple[Any, ...]]:
    args = _copies(case)
    backend = backend_named(target.backend)
    trial = attempt(
        lambda: _compiled(case, backend, target),
        lambda made: backend.try_out(made[0], made[1], target, case.kernel.name, args),
    )
    return trial, args


def _compiled(case: Case, backend: Backend, target: Target) -> tuple[Module, Artifact]:
    module = _legalized(case, target)
    return module, backend.assemble(backend.emit(module, target), target)


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


def every_case() -> list[Case]:
    """Return the library's cases."""
    return [*library_cases(), *matrix_cases()]
