"""Finding the pass that changes an answer: a module is interpreted before and after each pass.

    watch = Differential(module)                       # before the pipeline runs
    run_pipeline(OPTIMIZE, module, observers=(watch,))

What KDSL_VERIFY=passes does. Entries, plain functions and kernels that nobody launches are run,
kernels through the entries that launch them. Inputs are generated from the functions' types: every
size and every integer is the same small number. An input on which the module fails already before
the first pass (an index out of bounds, say) says nothing; ``skipped`` lists the functions for which
none was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import product
from typing import Any

import numpy as np

from kdsl.dialects.func import KERNEL, Func
from kdsl.dialects.kdsl import Launch
from kdsl.errors import ChangedMeaningError, KdslError
from kdsl.ir.attributes import Symbol
from kdsl.ir.core import Module
from kdsl.ir.interpreter import interpret
from kdsl.ir.printer import print_module
from kdsl.ir.types import (
    BF16,
    DYNAMIC,
    F8E4M3,
    F8E5M2,
    F16,
    F32,
    F64,
    I1,
    MemRefType,
    ScalarType,
    ShapedType,
    Type,
)
from kdsl.passes.manager import Pass

SIZES = ((7, 7), (18, 18), (7, 350), (1, 1))
"""What integers and dimensions are, and the length of buffers of one dimension."""
GRID = (2, 2, 1)
"""The programs of a kernel that nobody launches."""
TOLERANCE: dict[np.dtype, float] = {
    F64.numpy: 1e-9,
    F32.numpy: 1e-4,
    F16.numpy: 2e-2,
    BF16.numpy: 6e-2,
    F8E4M3.numpy: 0.5,
    F8E5M2.numpy: 0.5,
}
"""Largest difference, relative to the largest number of a buffer; other types agree exactly."""


@dataclass(frozen=True)
class Case:
    """A function, what it is given, and what came out: its results, then its arguments."""

    function: str
    label: str
    args: tuple[Any, ...]
    names: tuple[str, ...]
    expected: tuple[Any, ...]


class Differential:
    """An observer of ``run_pipeline`` that raises ChangedMeaningError after a pass that is wrong.

    ``examples`` gives arguments (arrays and numbers, in order) for functions by name, tried before
    generated ones; ``seed`` fixes what is generated.
    """

    def __init__(
        self,
        module: Module,
        examples: Mapping[str, Sequence[Sequence[Any]]] | None = None,
        seed: int = 0,
    ) -> None:
        self.cases: list[Case] = []
        self.skipped: list[str] = []
        self.text = print_module(module)
        for function in _runnable(module):
            given = [("an example", tuple(a)) for a in (examples or {}).get(function.sym_name, ())]
            given += [(f"sizes {s}", generated(function, s, seed)) for s in SIZES]
            found = [case for label, args in given for case in _case(module, function, label, args)]
            self.cases += found
            if not found:
                self.skipped.append(function.sym_name)

    def __call__(self, each: Pass, module: Module, changed: bool) -> None:
        """Compare; a pass that says that it changed nothing is not believed."""
        del changed
        text = print_module(module)
        if text == self.text:
            return
        self.text = text
        for case in self.cases:
            self._compare(each, module, case)

    def _compare(self, each: Pass, module: Module, case: Case) -> None:
        function = module.function(case.function)
        try:
            found = _run(module, case.function, case.args)
        except KdslError as problem:
            what = f"it fails now: {problem.summary}"
        else:
            pairs = zip(case.names, case.expected, found, strict=True)
            what = next((d for name, a, b in pairs if (d := difference(name, a, b))), "")
        if what:
            what = f"{what} ({case.label})"
            raise ChangedMeaningError(
                function.loc, pass_name=each.name, kernel=f"@{case.function}", what=what
            )


def _runnable(module: Module) -> list[Func]:
    launched = {op.kernel for op in module.walk() if isinstance(op, Launch)}
    return [
        f
        for f in module.functions
        if isinstance(f, Func)
        and f.sym_visibility != "private"
        and not (f.is_kernel and Symbol(f.sym_name) in launched)
    ]


def _case(module: Module, function: Func, label: str, args: tuple[Any, ...]) -> list[Case]:
    """Return a case with the answer, none when the function fails on these arguments."""
    try:
        expected = _run(module, function.sym_name, args)
    except KdslError:
        return []
    names = [f"result {i}" for i in range(len(expected) - len(args))]
    names += [p.name or f"argument {i}" for i, p in enumerate(function.body.args)]
    return [Case(function.sym_name, label, args, tuple(names), expected)]


def _run(module: Module, symbol: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Run on copies; return the results and the arguments afterwards."""
    copies = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
    with redirect_stdout(StringIO()):
        if KERNEL not in module.function(symbol).attributes:
            return (*interpret(module, symbol, copies), *copies)
        for z, y, x in product(*(range(n) for n in reversed(GRID))):
            interpret(module, symbol, copies, (x, y, z), GRID)
    return copies


# ------------------------------------------------------------------------------------------ inputs


def generated(function: Func, sizes: tuple[int, int], seed: int) -> tuple[Any, ...]:
    """Return arguments for a function: dimensions and integers are ``sizes[0]``."""
    rng = np.random.default_rng(seed)
    return tuple(_argument(p.type, sizes, rng) for p in function.body.args)


def _argument(kind: Type, sizes: tuple[int, int], rng: np.random.Generator) -> Any:
    size, length = sizes
    if isinstance(kind, ShapedType):
        extent = length if kind.rank == 1 and isinstance(kind, MemRefType) else size
        shape = tuple(extent if n == DYNAMIC else n for n in kind.shape)
        return _array(kind.element, shape, size, rng)
    assert isinstance(kind, ScalarType)
    if kind.kind == "f":
        return kind.numpy.type(rng.uniform(0.5, 2))
    return kind.numpy.type(size > 0 if kind is I1 else size)


def _array(
    element: ScalarType, shape: tuple[int, ...], size: int, rng: np.random.Generator
) -> np.ndarray:
    """Return floats around zero, or integers that are indices of something of ``size`` elements."""
    if element.kind == "f":
        return rng.standard_normal(shape).astype(element.numpy)
    return rng.integers(0, 2 if element is I1 else max(size, 1), shape).astype(element.numpy)


# -------------------------------------------------------------------------------------- comparison


def difference(name: str, before: Any, after: Any) -> str:
    """Return where two values differ by more than their type allows; empty when they do not."""
    a, b = np.asarray(before), np.asarray(after)
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{name} was {a.dtype}{list(a.shape)} and is {b.dtype}{list(b.shape)}"
    wrong = _unequal(a, b)
    if not wrong.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(np.atleast_1d(wrong))[0])[: a.ndim]
    where = f"{name}{list(at)}" if at else name
    return f"{where} was {a[at]} and is {b[at]}; {int(wrong.sum())} of {a.size} differ"


def _unequal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    tolerance = TOLERANCE.get(a.dtype)
    if tolerance is None:
        return np.asarray(a != b)
    x, y = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(x)
    scale = np.abs(x[finite]).max(initial=np.finfo(np.float32).tiny)
    with np.errstate(all="ignore"):
        close = np.abs(x - y) <= tolerance * scale
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    return ~(same | (finite & close))
