"""The pass: choose a width, build the wide loop and its tail, give reductions their accumulators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kdsl.dialects import arith
from kdsl.dialects.arith import Addi, Cmpi, Divsi, Muli, Select, Subi, constant, constant_of
from kdsl.dialects.scf import TAIL, UNROLL, VECTORIZE, For, If, Yield, for_loop
from kdsl.dialects.vector import CreateMask, Reduction, reduction_kind
from kdsl.errors import CannotVectorizeError
from kdsl.ir.attributes import Opaque
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Op, Region, Value
from kdsl.ir.define import ConstantLike
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import I1, INDEX, MemRefType, ScalarType, element_type, vector
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.passes.vectorize.widen import NotWidenable, Widener
from kdsl.target.target import Target

REDUCING: dict[type[Op], tuple[str, float]] = {
    arith.Addf: ("add", -0.0),
    arith.Mulf: ("mul", 1.0),
    arith.Maximumf: ("maximumf", float("-inf")),
    arith.Minimumf: ("minimumf", float("inf")),
    arith.Maxnumf: ("maxnumf", float("-inf")),
    arith.Minnumf: ("minnumf", float("inf")),
    arith.Addi: ("add", 0),
    arith.Muli: ("mul", 1),
    arith.Maxsi: ("maxsi", 0),
    arith.Minsi: ("minsi", 0),
    arith.Andi: ("and", -1),
    arith.Ori: ("or", 0),
    arith.Xori: ("xor", 0),
}
"""Ops that may combine a loop's carried value in any order: reduction kind and neutral element.

The neutral element of an integer's maximum and minimum depends on its width.
"""


@dataclass(frozen=True)
class Vectorize(Pass):
    """Widen the loops that carry ``kdsl.vectorize``.

    A width of 0 lets the target choose: as many lanes as a register holds of the widest element that the
    loop computes with. What cannot be widened stays scalar, with the reason on record; where the author
    gave a width it is an error.
    """

    name = "vectorize"

    def run(self, module: Module, target: Target) -> bool:
        changed = False
        for function in module.functions:
            for op in list(function.walk()):
                if isinstance(op, For) and VECTORIZE in op.attributes and op.parent is not None:
                    _vectorize(op, target, function)
                    changed = True
        return changed


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
    try:
        if constant_of(loop.step) != 1:
            raise NotWidenable(loop, "its step is not 1")
        accumulators = _accumulators(loop)
        if width > 1:
            records = _replace(loop, width, tail, accumulators)
            explain(function, f"{loop.loc or 'loop'}: vectorized by {width}, {tail} tail")
            for record in records:
                explain(function, f"{loop.loc or 'loop'}:   {record}")
    except NotWidenable as problem:
        if asked:
            raise CannotVectorizeError(
                problem.op.loc or loop.loc, width=width, why=problem.why
            ) from None
        explain(function, f"{loop.loc or 'loop'}: not vectorized: {problem.why}")


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


def _accumulators(loop: For) -> list[Accumulator]:
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
        found.append(Accumulator(op, kind, neutral))
    return found


def _replace(loop: For, width: int, tail: str, accumulators: list[Accumulator]) -> list[str]:
    """Put a wide loop and its tail in the place of ``loop``; return a record of each access."""
    b = Builder.before(loop)
    wide = constant(b, width, loop.lower.type)
    one = constant(b, 1, loop.lower.type)
    span = b.create(Subi, loop.upper, loop.lower)
    whole_span = b.create(Muli, b.create(Divsi, span, wide), wide)
    whole = b.create(Addi, loop.lower, whole_span)
    starts = [
        _neutral(b, a, r.type, width) for a, r in zip(accumulators, loop.results, strict=True)
    ]
    main = for_loop(b, loop.lower, whole, wide, tuple(starts))
    main.loc = loop.loc
    main.attributes.update(loop.attributes)
    records = _fill(main.body, loop, width, None, accumulators)
    b = Builder.before(loop)
    partial: list[Value] = list(main.results)
    if tail == "mask":
        partial = _masked_tail(b, loop, whole, partial, width, accumulators)
    outs = [
        _combined(b, a, p, init)
        for a, p, init in zip(accumulators, partial, loop.inits, strict=True)
    ]
    if tail == "scalar":
        rest = loop.clone()
        assert isinstance(rest, For)
        rest.attributes.pop(UNROLL, None)
        b.insert(rest)
        rest.set_operands([whole, loop.upper, one, *outs])
        outs = list(rest.results)
    loop.replace_by(*outs)
    return records


def _fill(
    block: Block, loop: For, width: int, mask: Value | None, accumulators: list[Accumulator]
) -> list[str]:
    """Write the wide body into ``block``, whose arguments are the counter and the accumulators."""
    b = Builder(block, None, loop.loc)
    widener = Widener(b, loop, width, mask)
    widener.index(loop.induction, block.args[0])
    for inside, argument in zip(loop.carried, block.args[1:], strict=True):
        widener.known[inside] = argument
    widener.ops(loop.body)
    yielded: list[Value] = []
    for value, argument in zip(loop.yields.operands, block.args[1:], strict=True):
        new = widener.wide(value)
        yielded.append(new if mask is None else b.create(Select, mask, new, argument))
    b.create(Yield, yielded)
    return widener.records


def _masked_tail(
    b: Builder,
    loop: For,
    whole: Value,
    partial: list[Value],
    width: int,
    accumulators: list[Accumulator],
) -> list[Value]:
    """Run the rest, fewer than ``width`` turns, once under a mask; skip it when there is none."""
    left = b.create(Subi, loop.upper, whole)
    zero = constant(b, 0, left.type)
    some = b.create(Cmpi, left, zero, predicate=arith.CMPI["sgt"])
    then, otherwise = Block(), Block()
    branch = b.add(
        If,
        some,
        types=[p.type for p in partial],
        regions=[Region([then]), Region([otherwise] if partial else [])],
    )
    inner = Builder(then, None, loop.loc)
    count = left if left.type is INDEX else inner.create(arith.IndexCast, left, types=[INDEX])
    mask = inner.create(CreateMask, count, types=[vector(width, I1)])
    body = Block([whole.type, *(p.type for p in partial)])
    _fill(body, loop, width, mask, accumulators)
    for argument, value in zip(body.args, [whole, *partial], strict=True):
        argument.replace_by(value)
    for op in list(body):
        body.remove(op)
        then.append(op)
    if partial:
        Builder(otherwise, None, loop.loc).create(Yield, partial)
    return list(branch.results)


def _neutral(b: Builder, accumulator: Accumulator, scalar: object, width: int) -> Value:
    assert isinstance(scalar, ScalarType)
    value: float | int | bool = accumulator.neutral
    if scalar is I1:
        value = bool(accumulator.neutral)
    elif accumulator.kind in ("minsi", "maxsi"):
        bounds = np.iinfo(scalar.numpy)
        value = int(bounds.max if accumulator.kind == "minsi" else bounds.min)
    return constant(b, value, vector(width, scalar))


def _combined(b: Builder, accumulator: Accumulator, partial: Value, init: Value) -> Value:
    """Reduce the lanes and combine with the value that the loop started from."""
    attributes = {}
    if element_type(partial.type).kind == "f" and accumulator.kind in ("add", "mul"):
        attributes["fastmath"] = Opaque("#arith.fastmath<reassoc,contract>")
    lanes = b.create(
        Reduction, partial, kind=Opaque(reduction_kind(accumulator.kind)), **attributes
    )
    kept = {k: v for k, v in accumulator.op.attributes.items() if k == "fastmath"}
    combined: Value = b.create(type(accumulator.op), init, lanes, **kept)  # type: ignore[type-var]
    return combined
