"""Finding the pass that changes an answer: a module is interpreted before and after each pass.

    watch = Differential(module)                       # before the pipeline runs
    run_pipeline(OPTIMIZE, module, observers=(watch,))

What KDSL_VERIFY=passes does. Entries, plain functions and kernels that nobody launches are run,
kernels through the entries that launch them. Inputs are generated from the functions' types: every
size and every integer is the same small number. An input on which the module fails already before
the first pass (an index out of bounds, say) says nothing; ``skipped`` lists the functions for which
none was found.

Interpreting costs ``work``, counted in ops. One run may take a tenth of what is left: an input
that needs more is not compared from that pass on (``stopped``), the smaller ones still are.
``report()`` says what was left out.
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
from kdsl.ir.interpreter import OutOfWorkError, Work, interpret
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

SIZES = ((1, 1), (2, 2), (7, 7), (18, 18), (7, 350))
"""What integers and dimensions are, and the length of buffers of one dimension."""
WORK = 10_000_000
"""Ops that are interpreted for one module, altogether."""
SHARE = 10
"""One run may take this part of the work that is left: large inputs starve no small ones."""
BEFORE = "the first pass"
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
    generated ones of ``sizes``; ``seed`` fixes what is generated; ``work`` bounds the ops that are
    interpreted. ``compared`` has each pass that changed the module and on how many inputs it was
    compared.
    """

    def __init__(
        self,
        module: Module,
        examples: Mapping[str, Sequence[Sequence[Any]]] | None = None,
        seed: int = 0,
        *,
        sizes: Sequence[tuple[int, int]] = SIZES,
        work: int | None = None,
    ) -> None:
        self.cases: list[Case] = []
        self.skipped: list[str] = []
        self.stopped: list[tuple[str, Case]] = []
        self.compared: list[tuple[str, int]] = []
        self.left = WORK if work is None else work
        self.text = print_module(module)
        for function in _runnable(module):
            given = [("an example", tuple(a)) for a in (examples or {}).get(function.sym_name, ())]
            given += _generated_each(function, sizes, seed)
            found = [self._learn(module, function, label, args) for label, args in given]
            if not any(found):
                self.skipped.append(function.sym_name)

    def __call__(self, each: Pass, module: Module, changed: bool) -> None:
        """Compare; a pass that says that it changed nothing is not believed."""
        del changed
        text = print_module(module)
        if text == self.text:
            return
        self.text = text
        self.cases = [case for case in self.cases if self._compare(each, module, case)]
        self.compared.append((each.name, len(self.cases)))

    def report(self) -> str:
        """Return one line that says what was not compared; empty when everything was."""
        parts = [f"no input was found for @{name}" for name in self.skipped]
        for each in dict.fromkeys(name for name, _ in self.stopped):
            cases = [case for name, case in self.stopped if name == each]
            labels = ", ".join(f"@{case.function} on {case.label}" for case in cases)
            parts.append(f"from {each} on, {labels} took too many ops")
        if not parts:
            return ""
        counts = [count for _, count in self.compared]
        blind = list(dict.fromkeys(name for name, count in self.compared if not count))
        done = f"{len(counts)} changes by passes were compared on {_range(counts)} inputs"
        if blind:
            done += f" (not at all: {', '.join(blind)})"
        return f"KDSL_VERIFY=passes did not compare everything: {'; '.join(parts)}; {done}"

    def _learn(self, module: Module, function: Func, label: str, args: tuple[Any, ...]) -> bool:
        """Keep what the function answers; return False when it fails on these arguments."""
        name, inputs = function.sym_name, [p.name for p in function.body.args]
        try:
            expected = self._run(module, name, args)
        except OutOfWorkError:
            self.stopped.append((BEFORE, Case(name, label, args, (), ())))
            return True
        except KdslError:
            return False
        names = [f"result {i}" for i in range(len(expected) - len(args))]
        names += [p or f"argument {i}" for i, p in enumerate(inputs)]
        self.cases.append(Case(name, label, args, tuple(names), expected))
        return True

    def _compare(self, each: Pass, module: Module, case: Case) -> bool:
        """Return False when this takes more work than there is."""
        function = module.function(case.function)
        try:
            found = self._run(module, case.function, case.args)
        except OutOfWorkError:
            self.stopped.append((each.name, case))
            return False
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
        return True

    def _run(self, module: Module, symbol: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        share = self.left // SHARE
        work = Work(share)
        try:
            return _run(module, symbol, args, work)
        finally:
            self.left -= share - max(work.left, 0)


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts, default=0), max(counts, default=0)
    return str(low) if low == high else f"{low} to {high}"


def _runnable(module: Module) -> list[Func]:
    launched = {op.kernel for op in module.walk() if isinstance(op, Launch)}
    return [
        f
        for f in module.functions
        if isinstance(f, Func)
        and f.sym_visibility != "private"
        and not (f.is_kernel and Symbol(f.sym_name) in launched)
    ]


def _run(module: Module, symbol: str, args: tuple[Any, ...], work: Work) -> tuple[Any, ...]:
    """Run on copies; return the results and the arguments afterwards."""
    copies = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args)
    with redirect_stdout(StringIO()):
        if KERNEL not in module.function(symbol).attributes:
            return (*interpret(module, symbol, copies, work=work), *copies)
        for z, y, x in product(*(range(n) for n in reversed(GRID))):
            interpret(module, symbol, copies, (x, y, z), GRID, work)
    return copies


# ------------------------------------------------------------------------------------------ inputs


def _generated_each(
    function: Func, sizes: Sequence[tuple[int, int]], seed: int
) -> list[tuple[str, tuple[Any, ...]]]:
    """Return labels and arguments; a length matters only where there is a buffer for it."""
    has_length = any(_has_length(p.type) for p in function.body.args)
    tried = sizes if has_length else dict.fromkeys((size, size) for size, _ in sizes)
    return [(f"sizes {each}", generated(function, each, seed)) for each in tried]


def _has_length(kind: Type) -> bool:
    return isinstance(kind, MemRefType) and kind.shape == (DYNAMIC,)


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
