"""The op x dtype x width suite: what a back end computes against what ``evaluate`` says.

    for problem in check_backend(backend, target): ...

One module holds an entry for each case: a loop over arrays of special values (infinities, NaN,
both zeros,
subnormals, bounds) that applies one op at one width. Where an op is undefined (a zero divisor, a
shift by the width, a float too large for an integer) the values are left out.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

import kdsl.dialects.all  # noqa: F401 - ops are found in the registry
from kdsl.codegen.backend import Backend
from kdsl.dialects import arith, func, gpu, math, memref, scf, vector
from kdsl.dialects import kdsl as tiles
from kdsl.ir.attributes import Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Value
from kdsl.ir.define import REGISTRY, Elementwise, Op
from kdsl.ir.types import (
    BF16,
    DYNAMIC,
    F8E4M3,
    F8E5M2,
    F16,
    F32,
    F64,
    I1,
    I8,
    I16,
    I32,
    I64,
    INDEX,
    ScalarType,
    element_type,
)
from kdsl.ir.types import memref as memref_type
from kdsl.ir.types import vector as vector_type
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.target.target import Target

WIDTHS = (0, 1, 3, 4, 8, 16, 17)
"""Lanes; 0 is a scalar."""
FLOATS = (F16, BF16, F32, F64)
SMALL_FLOATS = (F8E4M3, F8E5M2)
INTEGERS = (I8, I16, I32, I64, INDEX)

ULPS: dict[type[Op], float] = {
    math.Exp2: 1.6, math.Exp: 1.6, math.Log: 1.6, math.Log2: 2.1, math.Sin: 2.1, math.Cos: 2.1,
    math.Tanh: 3.1, math.Erf: 3.6, math.Rsqrt: 1.6, math.Powf: 2.1, math.Fma: 3.1,
}  # fmt: skip
"""How far a result may be from the meaning, in units of its last place; 0 for all others."""
POW_DOUBLE_ULPS = 3000.0


@dataclass(frozen=True)
class Case:
    """One op on one element type at one width; ``to`` is the result's element of a conversion."""

    kind: type[Op]
    element: ScalarType
    width: int
    to: ScalarType | None = None
    attributes: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        extra = "".join(f"_{value}" for _, value in self.attributes)
        to = f"_{self.to}" if self.to else ""
        return f"{self.kind.name.replace('.', '_')}_{self.element}{to}_x{self.width}{extra}"


@dataclass(frozen=True)
class Problem:
    """A case whose results differ, with the first wrong lane."""

    case: Case
    inputs: tuple[Any, ...]
    wanted: Any
    got: Any

    def __str__(self) -> str:
        given = ", ".join(map(repr, self.inputs))
        return f"{self.case.name}({given}) is {self.got!r}, must be {self.wanted!r}"


# ------------------------------------------------------------------------------------------ values


def special_values(t: ScalarType) -> np.ndarray:
    """Return what breaks implementations, and some ordinary numbers."""
    if t is I1:
        return np.array([False, True])
    if t.kind != "f":
        low, high = -(1 << t.bits - 1), (1 << t.bits - 1) - 1
        return np.array([0, 1, -1, 2, -2, 3, 7, -7, 8, 63, 100, low, high, low + 1], t.numpy)
    numbers = [
        0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 3.25, 0.1, -0.3, 100.0, -57.7,
        1e-3, 7.75, np.inf, -np.inf, np.nan,
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        found = np.array(numbers).astype(t.numpy)
        edges = _edges(t)
    return np.concatenate([found, edges, -edges])


def _edges(t: ScalarType) -> np.ndarray:
    """Return the smallest subnormals, the border to the normal ones, and the largest number."""
    unsigned = np.dtype(f"u{t.bits // 8}")
    mantissa = {"f16": 10, "bf16": 7, "f32": 23, "f64": 52, "f8E4M3FN": 3, "f8E5M2": 2}[t.text]
    top = np.array(np.inf if t is not F8E4M3 else 448.0).astype(t.numpy).view(unsigned)
    largest = int(top) - (0 if t is F8E4M3 else 1)
    bits = [1, 2, (1 << mantissa) - 1, 1 << mantissa, (1 << mantissa) + 1, largest, largest - 1]
    return np.array(bits, unsigned).view(t.numpy)


def inputs_of(case: Case) -> list[np.ndarray]:
    """Return arrays of all combinations of special values that the op is defined for."""
    elements = operand_elements(case)
    pools = [special_values(t) for t in elements]
    if len(pools) == 3 and len(pools[0]) > 2:
        pools = [pool[::2] for pool in pools]
    columns = [np.array(c) for c in zip(*product(*(range(len(p)) for p in pools)), strict=True)]
    arrays = [pool[column] for pool, column in zip(pools, columns, strict=True)]
    keep = _defined(case, arrays)
    return [a[keep] for a in arrays]


def operand_elements(case: Case) -> list[ScalarType]:
    """Return the element type of each operand."""
    count = len(case.kind.operand_fields)
    if case.kind is arith.Select:
        return [I1, case.element, case.element]
    return [case.element] * count


def _defined(case: Case, arrays: list[np.ndarray]) -> np.ndarray:
    everything = np.ones(len(arrays[0]), np.bool_)
    kind = case.kind
    if kind in (arith.Shli, arith.Shrsi, arith.Shrui):
        return (arrays[1] >= 0) & (arrays[1] < case.element.bits)
    if kind in (
        arith.Divsi,
        arith.Divui,
        arith.Remsi,
        arith.Remui,
        arith.Floordivsi,
        arith.Ceildivsi,
    ):
        lowest = arrays[0] == -(1 << case.element.bits - 1)
        return (
            (arrays[1] != 0) & ~(lowest & (arrays[1] == -1)) & ~((kind is arith.Ceildivsi) & lowest)
        )
    if kind in (arith.Fptosi, arith.Fptoui):
        assert case.to is not None
        wide = arrays[0].astype(np.float64)
        low = -(2.0 ** (case.to.bits - 1)) if kind is arith.Fptosi else 0.0
        high = 2.0 ** (case.to.bits - (kind is arith.Fptosi))
        with np.errstate(all="ignore"):
            return (np.trunc(wide) >= low) & (wide < high) & (wide > low - 1)
    if kind in (math.Sin, math.Cos):
        with np.errstate(all="ignore"):
            return ~(np.abs(arrays[0].astype(np.float64)) > 1e5) | np.isinf(
                arrays[0].astype(np.float64)
            )
    if kind is math.Fma and case.element is F64:
        with np.errstate(
            all="ignore"
        ):  # without the instruction an overflowing product is not rescued
            finite = np.isfinite(arrays[0]) & np.isfinite(arrays[1])
            return ~(finite & np.isinf(arrays[0] * arrays[1]))
    if kind is arith.Remf:
        with np.errstate(all="ignore"):
            a, b = (x.astype(np.float64) for x in arrays)
            return ~(np.abs(a / b) > 2.0**24)
    return everything


# ------------------------------------------------------------------------------------------- cases


def elementwise_cases(widths: Sequence[int] = WIDTHS) -> Iterator[Case]:
    """Yield every elementwise op on every element type that it takes."""
    for kind in REGISTRY.values():
        if Elementwise not in kind.traits or not hasattr(kind, "evaluate"):
            continue
        for element, to, attributes in _forms(kind):
            for width in widths:
                yield Case(kind, element, width, to, attributes)


def _forms(kind: type[Op]) -> Iterator[tuple[ScalarType, ScalarType | None, Any]]:
    if issubclass(kind, arith.Conversion):
        for source, target in _conversions(kind):
            yield source, target, ()
        return
    constraint = kind.operand_fields[-1 if kind is arith.Select else 0].constraint.name
    elements = {
        "float": FLOATS, "integer": INTEGERS, "fixed_integer": INTEGERS[:-1], "bool": (I1,),
    }.get(constraint, (*FLOATS, *INTEGERS))  # fmt: skip
    predicates = {arith.Cmpi: range(10), arith.Cmpf: range(16)}.get(kind)
    for element in elements:
        if predicates is None:
            yield element, None, ()
        else:
            for p in predicates:
                yield element, None, (("predicate", p),)


def _conversions(kind: type[Op]) -> Iterator[tuple[ScalarType, ScalarType]]:
    integers = (I1, I8, I16, I32, I64)
    floats = (*SMALL_FLOATS, *FLOATS)
    table: dict[type[Op], Any] = {
        arith.Extf: (floats, floats), arith.Truncf: (floats, floats),
        arith.Extsi: (integers, integers), arith.Extui: (integers, integers),
        arith.Trunci: (integers, integers),
        arith.Sitofp: (integers[1:], FLOATS), arith.Uitofp: (integers, FLOATS),
        arith.Fptosi: (FLOATS, integers[1:]), arith.Fptoui: (FLOATS, integers[1:]),
        arith.IndexCast: ((INDEX, *integers), (INDEX, *integers)),
        arith.IndexCastui: ((INDEX, *integers), (INDEX, *integers)),
        arith.Bitcast: ((F16, BF16, F32, F64, I16, I32, I64), (F16, BF16, F32, F64, I16, I32, I64)),
    }  # fmt: skip
    for source, target in product(*table[kind]):
        if _converts(kind, source, target):
            yield source, target


def _converts(kind: type[Op], source: ScalarType, target: ScalarType) -> bool:
    if source is target:
        return False
    if kind in (arith.Extf, arith.Extsi, arith.Extui):
        return source.bits < target.bits
    if kind in (arith.Truncf, arith.Trunci):
        return source.bits > target.bits
    if kind is arith.Bitcast:
        return source.bits == target.bits
    if kind in (arith.IndexCast, arith.IndexCastui):
        return (source is INDEX) != (target is INDEX)
    return True


# ------------------------------------------------------------------------------------------ modules


def build_module(cases: Sequence[Case], lanes: int = 0) -> Module:
    """Return a module with an entry for each case: pointers to inputs and output, and a count.

    With ``lanes`` the entry launches a kernel of one workgroup, whose lanes share the elements.
    """
    module = Module.empty()
    for case in cases:
        function = loop_over(case, lanes)
        module.body.append(function)
        if lanes:
            module.body.append(_launching(function, lanes))
        else:
            function.attributes[func.ENTRY] = None
    return module


def _launching(kernel: func.Func, lanes: int) -> func.Func:
    """Make a function a kernel; return the entry that takes its name and its arguments."""
    name = kernel.sym_name
    kernel.attributes.update({"sym_name": f"{name}.kernel", func.KERNEL: None})
    kernel.attributes[gpu.LANES] = lanes
    f = func.Func.empty(name, kernel.type.inputs)
    f.attributes[func.ENTRY] = None
    b = Builder(f.body)
    one = arith.index_constant(b, 1)
    b.create(tiles.Launch, one, one, one, list(f.body.args), kernel=Symbol(f"{name}.kernel"))
    b.create(func.Return, [])
    return f


def loop_over(case: Case, lanes: int = 0) -> func.Func:
    """Return a function that applies a case to all elements of arrays, or a lane's share of it."""
    elements = operand_elements(case)
    result = result_element(case)
    types = [memref_type((DYNAMIC,), t) for t in (*elements, result)]
    f = func.Func.empty(case.name, (*types, INDEX))
    b = Builder(f.body)
    *arrays, out, count = f.body.args
    width = max(case.width, 1)
    first = arith.index_constant(b, 0)
    if lanes > 1:
        lane = b.create(gpu.ThreadId, dimension=gpu.X)
        first = b.create(arith.Muli, lane, arith.index_constant(b, width))
    step = arith.index_constant(b, width * max(lanes, 1))
    loop = scf.for_loop(b, first, count, step)
    with b.at(loop.body):
        i = loop.body.args[0]
        given = [_load(b, a, i, t, case.width) for a, t in zip(arrays, elements, strict=True)]
        types_given = None
        if case.to is not None:
            types_given = [_of_width(case.to, case.width)]
        made = b.create(case.kind, *given, types=types_given, **dict(case.attributes))
        store = vector.Store if case.width else memref.Store
        b.create(store, made, out, [i])
        b.create(scf.Yield, [])
    b.create(func.Return, [])
    return f


def result_element(case: Case) -> ScalarType:
    """Return the element type of the result."""
    if case.to is not None:
        return case.to
    return I1 if case.kind in (arith.Cmpi, arith.Cmpf) else case.element


def _of_width(t: ScalarType, width: int) -> Any:
    return vector_type(width, t) if width else t


def _load(b: Builder, array: Value, i: Value, t: ScalarType, width: int) -> Value:
    if width:
        return b.create(vector.Load, array, [i], types=[vector_type(width, t)])
    return b.create(memref.Load, array, [i])


@dataclass
class Run:
    """Compiled cases, and how often their outputs agreed."""

    problems: list[Problem] = field(default_factory=list)
    compared: int = 0


def check_backend(backend: Backend, target: Target, cases: Sequence[Case], lanes: int = 0) -> Run:
    """Compile all cases in one module, run them here, and compare each with the op's meaning.

    ``lanes``: of a device's workgroup; 0 where entries do the work themselves.
    """
    module = build_module(cases, lanes)
    functions = module.functions[:: 2 if lanes else 1]
    ops = {
        case.name: next(op for op in f.walk() if type(op) is case.kind)
        for f, case in zip(functions, cases, strict=True)
    }
    run = Run()
    wanted = {case.name: meaning(case, ops[case.name]) for case in cases}
    steps = (backend.pipeline, Pipeline("legalize", (Legalize(backend.legal),)))
    run_pipeline(Pipeline("conformance", steps), module, target)
    artifact = backend.assemble(backend.emit(module, target), target)
    entries = backend.loader()(artifact, target)
    for case in cases:
        inputs, expected = wanted[case.name]
        got = _execute(entries[case.name].call, case, inputs)
        run.compared += len(got)
        problem = compare(case, inputs, expected, got)
        if problem is not None:
            run.problems.append(problem)
    return run


def meaning(case: Case, op: Any) -> tuple[list[np.ndarray], np.ndarray]:
    """Return inputs, and what the op makes of them."""
    inputs = inputs_of(case)
    with np.errstate(all="ignore"):
        expected = np.asarray(op.evaluate(*inputs))
    return inputs, expected


def _execute(call: Callable[[int], int], case: Case, inputs: list[np.ndarray]) -> np.ndarray:
    count = len(inputs[0])
    width = max(case.width, 1)
    padded = -(-count // width) * width
    arrays = [np.concatenate([a, np.repeat(a[:1], padded - count)]) for a in inputs]
    out = np.zeros(padded, result_element(case).numpy)
    slots = [a.ctypes.data for a in (*arrays, out)]
    words = (ctypes.c_int64 * (len(slots) + 1))(*slots, padded)
    assert call(ctypes.addressof(words)) == 0
    return out[:count]


def compare(
    case: Case,
    inputs: list[np.ndarray],
    expected: np.ndarray,
    got: np.ndarray,
    ulps: float = 0.0,
) -> Problem | None:
    """Return the first element that differs by more than the op may be off, or by ``ulps``."""
    expected = expected.astype(got.dtype)
    wrong = ~_close(case, expected, got, ulps)
    if not wrong.any():
        return None
    at = int(np.flatnonzero(wrong)[0])
    return Problem(case, tuple(a[at] for a in inputs), expected[at], got[at])


def _close(case: Case, expected: np.ndarray, got: np.ndarray, ulps: float) -> np.ndarray:
    if element_type(result_element(case)).kind != "f":
        return expected == got
    raw = np.dtype(f"u{got.dtype.itemsize}")
    with np.errstate(all="ignore"):
        same = expected.view(raw) == got.view(raw)
        both_nan = np.isnan(expected) & np.isnan(got)
        zeros = (expected == 0) & (got == 0) & np.bool_(case.kind in SIGNLESS_ZEROS)
        ulps = max(ulps, ULPS.get(case.kind, 0.0))
        if case.kind is math.Powf and case.element is F64:
            ulps = POW_DOUBLE_ULPS
        return same | both_nan | zeros | (ulp_distance(expected, got) <= ulps)


SIGNLESS_ZEROS = {arith.Maximumf, arith.Minimumf, arith.Maxnumf, arith.Minnumf}
"""Ops for which upstream leaves the sign of a zero open."""


def ulp_distance(expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Return |got - expected| in units of the last place; inf where a NaN is involved."""
    signed = np.dtype(f"i{got.dtype.itemsize}")
    a, b = (_ordered(x.view(signed)).astype(np.float64) for x in (expected, got))
    return np.where(np.isnan(expected) | np.isnan(got), np.inf, np.abs(a - b))


def _ordered(bits: np.ndarray) -> np.ndarray:
    """Map float bits to integers in the order of the numbers."""
    lowest = np.iinfo(bits.dtype).min
    return np.where(bits < 0, lowest - bits, bits)
