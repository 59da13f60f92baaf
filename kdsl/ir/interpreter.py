"""Running modules in NumPy, op by op through ``Op.evaluate``: slow, checked, the oracle.

Buffers are arrays that callers share, integers and index are NumPy scalars, vectors and tiles are
arrays. Every index into a buffer is checked. An op that needs more than its operands (regions,
calls, the program id) defines ``execute(frame, operands)`` and returns a tuple of results.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdsl.errors import InterpreterError, KdslError, OutOfBoundsError, UnknownSymbolError
from kdsl.ir.core import Block, Module, Op, OpResult, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Terminator
from kdsl.ir.types import DYNAMIC, MemRefType, ScalarType, ShapedType, Type

Grid = tuple[int, int, int]
UNLIMITED = sys.maxsize


class OutOfWorkError(Exception):
    """A run took more ops than it was given."""


@dataclass(slots=True)
class Work:
    """How many ops may still be run; negative once they were used up."""

    left: int = UNLIMITED


def interpret(
    module: Module,
    symbol: str,
    args: Sequence[Any] = (),
    program_ids: Grid = (0, 0, 0),
    grid: Grid = (1, 1, 1),
    work: Work | None = None,
) -> tuple[Any, ...]:
    """Run a function and return its results; arrays given for buffers are written in place.

    Raise OutOfBoundsError for an access outside a buffer, InterpreterError for a value or op that
    does not fit and for an assertion of the kernel that does not hold, OutOfWorkError when
    ``work`` is used up.
    """
    frame = Frame(module, work)
    given = arguments_of(frame.function(symbol), symbol, args)
    with np.errstate(all="ignore"), frame.with_program(program_ids, grid):
        return frame.call(symbol, given)


# ------------------------------------------------------------------------------------------ memory


class _OutsideError(Exception):
    """An index is outside ``buffer``."""

    def __init__(self, buffer: Buffer, index: Any) -> None:
        super().__init__()
        self.buffer = buffer
        self.index = index


class Buffer(np.ndarray[Any, Any]):
    """Memory as ops see it: an array whose indices must lie inside; parts are plain arrays."""

    def __getitem__(self, index: Any) -> Any:
        _check(self, index)
        return self.view(np.ndarray)[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        _check(self, index)
        self.view(np.ndarray)[index] = value

    def __array_ufunc__(self, ufunc: np.ufunc, method: Any, *inputs: Any, **kwargs: Any) -> Any:
        if method == "at":
            _check(self, inputs[1])
        plain = [x.view(np.ndarray) if isinstance(x, Buffer) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)


def _check(buffer: Buffer, index: Any) -> None:
    """Raise when one of the elements that ``index`` names is outside; negative is outside."""
    if index is Ellipsis:
        return
    parts = index if isinstance(index, tuple) else (index,)
    for part, extent in zip(parts, buffer.shape, strict=len(parts) == buffer.ndim):
        if isinstance(part, int):
            if not 0 <= part < extent:
                raise _OutsideError(buffer, index)
        elif not _inside(part, extent):
            raise _OutsideError(buffer, index)


def _inside(part: Any, extent: int) -> bool:
    if isinstance(part, slice):
        start, stop, step = part.start or 0, part.stop, part.step or 1
        stop = extent if stop is None else stop
        count = -((start - stop) // step)
        return count <= 0 or (start >= 0 and start + (count - 1) * step < extent)
    lanes = np.asarray(part)
    return lanes.size == 0 or bool(lanes.min() >= 0 and lanes.max() < extent)


def _as_buffer(array: Any) -> Any:
    return array if isinstance(array, Buffer) else np.asarray(array).view(Buffer)


# ----------------------------------------------------------------------------------------- frames

Step = tuple[Callable[..., Any] | None, list[Value], list[OpResult], bool, Op]


class Frame:
    """The state of a run: values of the function being run, and which program of the grid it is."""

    __slots__ = ("_plans", "_symbols", "_values", "grid", "module", "program_ids", "work")

    def __init__(self, module: Module, work: Work | None = None) -> None:
        self.module = module
        self.work = work or Work()
        self.program_ids: Grid = (0, 0, 0)
        self.grid: Grid = (1, 1, 1)
        self._values: dict[Value, Any] = {}
        self._symbols: dict[str, Op] = {}
        self._plans: dict[Block, tuple[list[Step], list[Value]]] = {}

    def function(self, symbol: str) -> Op:
        """Return the function called ``symbol``."""
        found = self._symbols.get(symbol)
        if found is None:
            try:
                found = self.module.function(symbol)
            except KeyError:
                raise UnknownSymbolError(self.module.loc, op="a call", name=symbol) from None
            self._symbols[symbol] = found
        return found

    @contextmanager
    def with_program(self, ids: Grid, grid: Grid) -> Iterator[None]:
        """Be another program of a grid for the length of a ``with`` block."""
        saved = self.program_ids, self.grid
        self.program_ids, self.grid = ids, grid
        try:
            yield
        finally:
            self.program_ids, self.grid = saved

    def call(self, symbol: str, args: Sequence[Any]) -> tuple[Any, ...]:
        """Run a function of the module and return its results."""
        function = self.function(symbol)
        saved = self._values
        self._values = {}
        try:
            return self.run(function.body, args)
        finally:
            self._values = saved

    def run(self, block: Block, args: Sequence[Any]) -> tuple[Any, ...]:
        """Run a block with these arguments; return the values that its terminator reads."""
        plan = self._plans.get(block)
        if plan is None:
            plan = self._plans[block] = self._prepare(block)
        steps, returned = plan
        self.work.left -= len(steps) + 1  # a turn of an empty loop is work too
        if self.work.left < 0:
            raise OutOfWorkError
        values = self._values
        for parameter, given in zip(block.args, args, strict=True):
            values[parameter] = given
        op: Op | None = None
        try:
            for evaluate, operands, results, is_memory, op in steps:
                if evaluate is None:
                    found = op.execute(self, tuple([values[v] for v in operands]))  # type: ignore[attr-defined]
                else:
                    found = evaluate(*[values[v] for v in operands])
                    if len(results) == 1:
                        values[results[0]] = _as_buffer(found) if is_memory else found
                        continue
                for r, value in zip(results, found, strict=True):
                    values[r] = value
        except (KdslError, OutOfWorkError):
            raise
        except _OutsideError as outside:
            raise _out_of_bounds(op, values, outside) from None
        except Exception as problem:
            what = f"{type(problem).__name__}: {problem}"
            loc, name = (None, "a block") if op is None else (op.loc, op.name)
            raise InterpreterError(loc, op=name, what=what) from problem
        return tuple([values[v] for v in returned])

    def meaning(self, op: Op) -> Any:
        """Return how an op is run on its operands' values; None when it has to be executed."""
        return getattr(op, "evaluate", None)

    def _prepare(self, block: Block) -> tuple[list[Step], list[Value]]:
        steps: list[Step] = []
        for op in block:
            if isinstance(op, DeclaredOp) and Terminator in op.traits:
                return steps, op.operands
            evaluate = self.meaning(op)
            if evaluate is None and not hasattr(op, "execute"):
                what = "it has neither a NumPy meaning nor a way to be executed"
                raise InterpreterError(op.loc, op=op.name, what=what)
            is_memory = bool(op.results) and isinstance(op.results[0].type, MemRefType)
            steps.append((evaluate, op.operands, op.results, is_memory, op))
        return steps, []


def _out_of_bounds(
    op: Op | None, values: dict[Value, Any], outside: _OutsideError
) -> OutOfBoundsError:
    assert op is not None
    read = next((v for v in op.operands if values[v] is outside.buffer), None)
    name = "a buffer" if read is None or read.name is None else read.name
    index = _index_text(outside.index)
    return OutOfBoundsError(op.loc, op=op.name, index=index, name=name, shape=outside.buffer.shape)


def _index_text(index: Any) -> str:
    parts = index if isinstance(index, tuple) else (index,)
    return f"[{', '.join([_part_text(part) for part in parts])}]"


def _part_text(part: Any) -> str:
    if isinstance(part, slice):
        step = "" if part.step in (None, 1) else f":{part.step}"
        return f"{part.start}:{part.stop}{step}"
    lanes = np.asarray(part)
    return str(lanes) if lanes.size <= 1 else f"{lanes.min()}..{lanes.max()}"


# -------------------------------------------------------------------------------------- arguments


def arguments_of(function: Op, symbol: str, args: Sequence[Any]) -> list[Any]:
    """Return a caller's arguments as the interpreter holds them."""
    parameters = function.body.args
    if len(args) != len(parameters):
        what = f"it takes {len(parameters)} arguments, got {len(args)}"
        raise InterpreterError(function.loc, op=f"@{symbol}", what=what)
    return [_argument(function, p, a) for p, a in zip(parameters, args, strict=True)]


def _argument(function: Op, parameter: Value, given: Any) -> Any:
    """Return what a caller gave as the interpreter holds it."""
    kind = parameter.type
    if isinstance(kind, ScalarType):
        return _scalar(given, kind)
    if isinstance(kind, MemRefType) and given is None:
        return np.empty([0] * kind.rank, kind.element.numpy).view(Buffer)
    problem = _misfit(given, kind)
    if problem:
        what = f"the argument {parameter.name or 'without a name'} must be {kind}, got {problem}"
        raise InterpreterError(function.loc, op="a call", what=what)
    assert isinstance(kind, ShapedType)
    array = given if given.dtype == kind.element.numpy else given.view(kind.element.numpy)
    return array.view(Buffer) if isinstance(kind, MemRefType) else array


def _scalar(given: Any, kind: ScalarType) -> Any:
    """Return a number as its type holds it; unsigned ones keep their bits."""
    if kind.kind == "f":
        return kind.numpy.type(given)
    if kind.bits == 1:
        return np.bool_(given)
    bits = int(given) & ((1 << kind.bits) - 1)
    return kind.numpy.type(bits - (1 << kind.bits) if bits >> (kind.bits - 1) else bits)


def _misfit(given: Any, kind: Type) -> str:
    """Return what is wrong with an array; empty when it fits."""
    if not isinstance(given, np.ndarray):
        return f"a {type(given).__name__}"
    assert isinstance(kind, ShapedType)
    wanted = kind.element.numpy
    same_bits = given.dtype.kind in "iub" and wanted.kind == "i"
    if given.dtype != wanted and not (same_bits and given.dtype.itemsize == wanted.itemsize):
        return f"elements of {given.dtype}"
    if given.ndim != kind.rank:
        return f"rank {given.ndim}"
    if any(w not in (DYNAMIC, n) for n, w in zip(given.shape, kind.shape, strict=True)):
        return f"shape {given.shape}"
    return ""
