"""Every elementwise op, dtype and width on a target, as far as this machine can check it.

A batch of cases is one module: a kernel for each case, and one entry that launches them all, so
that a target's own trial runs it. What a target refuses is found by halving the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np

from kdsl.codegen.backend import RUNGS, Artifact, Backend, Trial
from kdsl.codegen.registry import backend_named
from kdsl.dialects import arith, func, gpu, math
from kdsl.dialects import kdsl as tiles
from kdsl.ir.attributes import Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module
from kdsl.ir.define import Op
from kdsl.ir.types import F64
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.target.target import Target
from kdsl.testing import conformance
from kdsl.testing.conformance import Case
from kdsl.testing.trials import REFUSED, WRONG, attempt

WIDTHS = (0, 4)
"""Lanes of a vector; 0 is a scalar. The back ends' own suites try more of them."""
BATCH = 128
ENTRY = "suite"
INSTRUCTION_ULPS: dict[type[Op], float] = {math.Exp2: 2.1, math.Rsqrt: 2.1}
"""What instructions of devices are allowed, in units of the last place; formulae are closer."""
WORST = (WRONG, REFUSED, *reversed(RUNGS))


@dataclass(frozen=True)
class OpRow:
    """What became of one op on one dtype at one width; ``cases`` counts its predicates."""

    op: str
    dtype: str
    width: int
    target: str
    cases: int
    rung: str
    how: str


def op_cases(widths: Sequence[int] = WIDTHS) -> list[Case]:
    """Return all cases."""
    return list(conformance.elementwise_cases(widths))


def batches(cases: Sequence[Case]) -> list[list[Case]]:
    """Return modules' worth of cases of one width; f64 apart, for some targets have none."""
    found = []
    ordered = sorted(cases, key=_kind_of_module)
    for _, group in groupby(ordered, key=_kind_of_module):
        alike = list(group)
        found += [alike[at : at + BATCH] for at in range(0, len(alike), BATCH)]
    return found


def _kind_of_module(case: Case) -> tuple[int, bool]:
    return case.width, F64 in (case.element, case.to)


def check_ops(target: Target, batch: Sequence[Case]) -> list[tuple[OpRow, str]]:
    """Try a batch of cases on a target; return rows, each with the version of its tool."""
    found: dict[tuple[str, str, int], list[Trial]] = {}
    for case, trial in _tried(backend_named(target.backend), target, list(batch)):
        found.setdefault((case.kind.name, dtype_text(case), case.width), []).append(trial)
    rows = []
    for (op, dtype, width), trials in found.items():
        worst = min(trials, key=lambda t: WORST.index(t.rung))
        row = OpRow(op, dtype, width, str(target), len(trials), worst.rung, worst.how)
        rows.append((row, worst.version))
    return rows


def merged(rows: Iterable[OpRow]) -> list[OpRow]:
    """Join the rows of one op on one dtype whose predicates were in several batches."""
    found: dict[tuple[str, str, int, str], OpRow] = {}
    for row in rows:
        key = (row.op, row.dtype, row.width, row.target)
        other = found.setdefault(key, row)
        if other is not row:
            worst = min(row, other, key=lambda r: WORST.index(r.rung))
            found[key] = replace(worst, cases=row.cases + other.cases)
    return sorted(found.values(), key=lambda r: (r.op, r.dtype, r.width))


def dtype_text(case: Case) -> str:
    """Return the element type, and what it is converted to."""
    return f"{case.element} to {case.to}" if case.to is not None else str(case.element)


def _tried(backend: Backend, target: Target, cases: list[Case]) -> Iterator[tuple[Case, Trial]]:
    """Try a batch as a whole; halve it when it is refused or does not run to its end."""
    args = [_arguments(case) for case in cases]
    flat = [a for given in args for a in given]
    trial = attempt(
        lambda: _compiled(backend, target, cases),
        lambda made: backend.try_out(made[0], made[1], target, ENTRY, flat),
    )
    if trial.rung in (REFUSED, WRONG) and len(cases) > 1:
        half = len(cases) // 2
        yield from _tried(backend, target, cases[:half])
        yield from _tried(backend, target, cases[half:])
        return
    for case, given in zip(cases, args, strict=True):
        yield case, _judged(case, given, target, trial) if trial.ran else trial


def _compiled(backend: Backend, target: Target, cases: Sequence[Case]) -> tuple[Module, Artifact]:
    module = suite_module(cases, target)
    steps = (backend.pipeline, Pipeline("legalize", (Legalize(backend.legal),)))
    run_pipeline(Pipeline("conformance", steps), module, target)
    return module, backend.assemble(backend.emit(module, target), target)


def suite_module(cases: Sequence[Case], target: Target) -> Module:
    """Return a kernel of one workgroup for each case, and an entry that launches all of them."""
    lanes = 0 if target.features.flat_memory else target.features.subgroup
    kernels = []
    for case in cases:
        kernel = conformance.loop_over(case, lanes)
        kernel.attributes[func.KERNEL] = None
        if lanes:
            kernel.attributes[gpu.LANES] = lanes
        kernels.append(kernel)
    entry = func.Func.empty(ENTRY, tuple(t for k in kernels for t in k.type.inputs))
    entry.attributes[func.ENTRY] = None
    b, left = Builder(entry.body), list(entry.body.args)
    one = arith.index_constant(b, 1)
    for kernel in kernels:
        count = len(kernel.type.inputs)
        given, left = left[:count], left[count:]
        b.create(tiles.Launch, one, one, one, given, kernel=Symbol(kernel.sym_name))
    b.create(func.Return, [])
    module = Module.empty()
    for function in (*kernels, entry):
        module.body.append(function)
    return module


def _arguments(case: Case) -> list[Any]:
    """Return inputs padded to whole vectors, room for the result, and the number of elements."""
    inputs, _ = _meaning(replace(case, width=0))
    width = max(case.width, 1)
    padded = -(-len(inputs[0]) // width) * width
    given = [np.concatenate([a, np.repeat(a[:1], padded - len(a))]) for a in inputs]
    return [*given, np.zeros(padded, conformance.result_element(case).numpy), np.int64(padded)]


@cache
def _meaning(scalar: Case) -> tuple[list[np.ndarray], np.ndarray]:
    """Return inputs and what the op makes of them, which no width changes."""
    op = next(o for o in conformance.loop_over(scalar).walk() if type(o) is scalar.kind)
    return conformance.meaning(scalar, op)


def _judged(case: Case, given: list[Any], target: Target, trial: Trial) -> Trial:
    inputs, expected = _meaning(replace(case, width=0))
    allowed: dict[type[Op], float] = INSTRUCTION_ULPS if target.features.has_lanes else {}
    ulps = allowed.get(case.kind, 0.0)
    problem = conformance.compare(case, inputs, expected, given[-2][: len(expected)], ulps)
    return trial if problem is None else Trial(WRONG, f"{trial.how}: {problem}")
