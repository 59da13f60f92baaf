"""The pass: choose a width, build the wide loop and its tail, give reductions accumulators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdsl.dialects import arith
from kdsl.dialects.arith import (
    Addi,
    Cmpi,
    Divsi,
    Muli,
    Select,
    Subi,
    constant,
    constant_of,
    index_constant,
)
from kdsl.dialects.scf import TAIL, UNROLL, VECTORIZE, For, If, Yield, for_loop
from kdsl.dialects.vector import CreateMask, Reduction, reduction_kind
from kdsl.errors import CannotVectorizeError
from kdsl.ir.attributes import AttributeValue, Opaque
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Op, Region, Value
from kdsl.ir.define import ConstantLike
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.location import Location
from kdsl.ir.types import F8E4M3, I1, INDEX, MemRefType, ScalarType, Type, element_type, vector
from kdsl.passes.counters import as_counter, as_index
from kdsl.passes.explain import explain, place
from kdsl.passes.manager import Pass
from kdsl.passes.vectorize.divergence import varying_values
from kdsl.passes.vectorize.widen import NotWidenable, Widener
from kdsl.target.target import Target

REDUCING: dict[type[Op], tuple[str, float]] = {
    arith.Addf: ("add", -0.0),
    arith.Mulf: ("mul", 1.0),
    arith.Maximumf: ("maximumf", float("-inf")),
    arith.Minimumf: ("minimumf", float("inf")),
    arith.Maxnumf: ("maxnumf", float("nan")),
    arith.Minnumf: ("minnumf", float("nan")),
    arith.Addi: ("add", 0),
    arith.Muli: ("mul", 1),
    arith.Maxsi: ("maxsi", 0),
    arith.Minsi: ("minsi", 0),
    arith.Maxui: ("maxui", 0),
    arith.Minui: ("minui", -1),
    arith.Andi: ("and", -1),
    arith.Ori: ("or", 0),
    arith.Xori: ("xor", 0),
}
"""Ops that may combine a loop's carried value in any order: reduction kind and neutral element.

That of a signed integer's maximum and minimum depends on its width.
"""
BITWISE = ("and", "or", "xor")
LARGEST_F8E4M3 = 448.0
"""This type has no infinity."""


@dataclass(frozen=True)
class Vectorize(Pass):
    """Widen the loops that carry ``kdsl.vectorize``.

    A width of 0 lets the target choose: as many lanes as a register holds of the widest element
    that the loop computes with. What cannot be widened stays scalar, with the reason on record;
    where the author gave a width it is an error. Of nested loops the inner one is widened. Where
    workgroups have lanes, these share the loops' turns instead.
    """

    name = "vectorize"

    def run(self, module: Module, target: Target) -> bool:
        if target.features.has_lanes:
            return False
        changed = False
        for function in module.functions:
            for loop in list(_marked_loops(function)):
                _vectorize(loop, target, function)
                changed = True
        return changed


def _marked_loops(op: Op) -> Iterator[For]:
    """Yield the loops to widen, inner before outer."""
    for region in op.regions:
        for block in region.blocks:
            for inner in block:
                if inner.regions:
                    yield from _marked_loops(inner)
    if isinstance(op, For) and VECTORIZE in op.attributes:
        yield op


@dataclass(frozen=True, slots=True)
class Accumulator:
    """A carried value that the loop only combines: the op, its kind and the neutral element."""

    op: Op
    kind: str
    neutral: float


def _vectorize(loop: For, target: Target, function: Op) -> None:
    asked = loop.attributes.pop(VECTORIZE)
    tail = loop.attributes.pop(TAIL, "mask")
    assert isinstance(asked, int)
    assert isinstance(tail, str)
    width = asked or natural_width(loop, target)
    where = place(loop)
    if width == 1:
        explain(function, f"{where}: not vectorized: one lane was asked for or fits a register")
        return
    assert loop.parent is not None
    attempt = _Attempt(loop.parent, loop, loop.loc)
    try:
        accumulators = accumulators_of(loop)
        if constant_of(loop.step) != 1:
            raise NotWidenable(loop, "its step is not 1")
        outs, records = _replacement(attempt, loop, width, tail, accumulators)
    except NotWidenable as problem:
        attempt.undo()
        if asked:
            raise CannotVectorizeError(
                problem.op.loc or loop.loc, width=width, why=problem.why
            ) from None
        explain(function, f"{where}: not vectorized: {problem.why}")
        return
    loop.replace_by(*outs)
    explain(function, f"{where}: vectorized by {width}, {tail} tail")
    for record in records:
        explain(function, f"{where}:   {record}")


class _Attempt(Builder):
    """A builder that can take back everything it inserted."""

    __slots__ = ("made",)

    def __init__(self, block: Block, anchor: Op | None = None, loc: Location | None = None) -> None:
        super().__init__(block, anchor, loc)
        self.made: list[Op] = []

    def insert(self, op: Op) -> Op:
        """Insert an existing op."""
        self.made.append(op)
        return super().insert(op)

    def add(
        self,
        kind: type[Any],
        /,
        *operands: Value | Sequence[Value],
        types: Sequence[Type] | None = None,
        regions: Sequence[Region] = (),
        **attributes: AttributeValue,
    ) -> Any:
        """Create an op, insert it and return it."""
        op = super().add(kind, *operands, types=types, regions=regions, **attributes)
        self.made.append(op)
        return op

    def undo(self) -> None:
        """Leave the block as it was."""
        for op in reversed(self.made):
            op.drop_uses()
            op.detach()


def natural_width(loop: For, target: Target) -> int:
    """Return how many lanes of the widest element in the loop fit one register."""
    widest = 8
    for op in loop.walk():
        if op is loop or (isinstance(op, DeclaredOp) and ConstantLike in op.traits):
            continue
        for value in [*op.results, *op.operands]:
            t = value.type
            if isinstance(t, ScalarType) and t is not INDEX:
                widest = max(widest, t.bits)
            elif isinstance(t, MemRefType):
                widest = max(widest, t.element.bits)
    return target.features.lanes(widest)


def accumulators_of(loop: For) -> list[Accumulator]:
    """Return how each carried value is combined; refuse loops that carry anything else."""
    found: list[Accumulator] = []
    for inside, yielded in zip(loop.carried, loop.yields.operands, strict=True):
        op = yielded.op
        if (
            op is None
            or type(op) not in REDUCING
            or not inside.has_one_use
            or op not in inside.users
            or not yielded.has_one_use
            or op.parent is not loop.body
        ):
            raise NotWidenable(loop, "a value carried from turn to turn is more than a reduction")
        kind, neutral = REDUCING[type(op)]
        if inside.type is I1 and kind not in BITWISE:
            raise NotWidenable(op, f"lanes of i1 cannot be combined by {kind}")
        found.append(Accumulator(op, kind, neutral))
    return found


def _replacement(
    b: Builder, loop: For, width: int, tail: str, accumulators: list[Accumulator]
) -> tuple[list[Value], list[str]]:
    """Write a wide loop and its tail; return the loop's results and a record of each access."""
    kind = loop.lower.type
    varying = varying_values(loop.body, loop.induction)
    wide = index_constant(b, width)
    span = b.create(Subi, as_index(b, loop.upper), as_index(b, loop.lower))
    whole_span = b.create(Muli, b.create(Divsi, span, wide), wide)
    whole = b.create(Addi, loop.lower, as_counter(b, whole_span, kind))
    starts = [
        _neutral(b, a, r.type, width) for a, r in zip(accumulators, loop.results, strict=True)
    ]
    main = for_loop(b, loop.lower, whole, constant(b, width, kind), tuple(starts))
    main.attributes.update(loop.attributes)
    with b.at(main.body):
        records = _fill(b, loop, varying, width, None, main.body.args)
    b.loc = loop.loc
    partial: list[Value] = list(main.results)
    if tail == "mask":
        left = b.create(Subi, span, whole_span)
        partial = _masked_tail(b, loop, varying, width, left, [whole, *partial])
    outs = [
        _combined(b, a, p, init)
        for a, p, init in zip(accumulators, partial, loop.inits, strict=True)
    ]
    if tail == "scalar":
        rest = loop.clone()
        rest.attributes.pop(UNROLL, None)
        b.insert(rest)
        rest.set_operands([whole, loop.upper, loop.step, *outs])
        outs = list(rest.results)
    return outs, records


def _fill(
    b: Builder,
    loop: For,
    varying: set[Value],
    width: int,
    mask: Value | None,
    arguments: Sequence[Value],
) -> list[str]:
    """Write the wide body; ``arguments`` are its first counter and the accumulators."""
    b.loc = loop.loc
    widener = Widener(b, loop, varying, width, mask)
    widener.index(loop.induction, arguments[0])
    for inside, argument in zip(loop.carried, arguments[1:], strict=True):
        widener.known[inside] = argument
    widener.ops(loop.body)
    yielded: list[Value] = []
    for value, argument in zip(loop.yields.operands, arguments[1:], strict=True):
        new = widener.wide(value)
        yielded.append(new if mask is None else b.create(Select, mask, new, argument))
    b.create(Yield, yielded)
    return widener.records


def _masked_tail(
    b: Builder,
    loop: For,
    varying: set[Value],
    width: int,
    left: Value,
    arguments: list[Value],
) -> list[Value]:
    """Run the ``left`` turns, fewer than ``width``, once under a mask; skip it when there is none.

    ``arguments`` are where the rest starts and the accumulators so far; return these.
    """
    partial = arguments[1:]
    some = b.create(Cmpi, left, index_constant(b, 0), predicate=arith.CMPI["sgt"])
    then, otherwise = Block(), Block()
    branch = b.add(
        If,
        some,
        types=[p.type for p in partial],
        regions=[Region([then]), Region([otherwise] if partial else [])],
    )
    with b.at(then):
        mask = b.create(CreateMask, left, types=[vector(width, I1)])
        _fill(b, loop, varying, width, mask, arguments)
    if partial:
        with b.at(otherwise):
            b.create(Yield, partial)
    return list(branch.results)


def _neutral(b: Builder, accumulator: Accumulator, scalar: object, width: int) -> Value:
    assert isinstance(scalar, ScalarType)
    return constant(b, neutral_number(accumulator, scalar), vector(width, scalar))


def neutral_number(accumulator: Accumulator, scalar: ScalarType) -> float | int | bool:
    """Return what changes nothing when it is combined with a number of this type."""
    if scalar is I1:
        return bool(accumulator.neutral)
    if accumulator.kind in ("minsi", "maxsi"):
        bounds = np.iinfo(scalar.numpy)
        return int(bounds.max if accumulator.kind == "minsi" else bounds.min)
    if scalar is F8E4M3 and math.isinf(accumulator.neutral):
        return math.copysign(LARGEST_F8E4M3, accumulator.neutral)
    return accumulator.neutral


def _combined(b: Builder, accumulator: Accumulator, partial: Value, init: Value) -> Value:
    """Reduce the lanes and combine with the value that the loop started from."""
    kind = Opaque(reduction_kind(accumulator.kind))
    reduction = b.add(Reduction, partial, kind=kind)
    if element_type(partial.type).kind == "f" and accumulator.kind in ("add", "mul"):
        reduction.attributes["fastmath"] = Opaque("#arith.fastmath<reassoc,contract>")
    last = type(accumulator.op)([init, reduction.y], [init.type], {}, [], b.loc)
    if "fastmath" in accumulator.op.attributes:
        last.attributes["fastmath"] = accumulator.op.attributes["fastmath"]
    return b.insert(last).results[0]
