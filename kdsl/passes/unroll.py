"""Repeat a loop's body."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import Addi, Divsi, Muli, Subi, constant, constant_of
from kdsl.dialects.scf import UNROLL, VECTORIZE, For
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.types import INDEX, ScalarType
from kdsl.passes.canonicalize import trip_count
from kdsl.passes.counters import as_counter, as_index
from kdsl.passes.explain import explain, place
from kdsl.passes.manager import Pass
from kdsl.target.target import Target


@dataclass(frozen=True)
class Unroll(Pass):
    """Unroll loops that carry ``kdsl.unroll`` (0: fully), and short loops with few ops.

    ``max_ops`` bounds what an unasked full unroll may create; 0 unrolls only what asks for it.
    """

    max_ops: int = 0
    name = "unroll"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            for op in reversed(list(function.walk())):
                if isinstance(op, For) and op.parent is not None:
                    changed |= self._visit(op, function)
        return changed

    def _visit(self, loop: For, function: Op) -> bool:
        trips = trip_count(loop)
        if VECTORIZE in loop.attributes:
            return False  # its turns go to lanes first
        if UNROLL in loop.attributes:
            factor = loop.attributes.pop(UNROLL)
            assert isinstance(factor, int)
            why = _why_not(loop, factor)
            if why is not None:
                explain(function, f"{place(loop)}: not unrolled: {why}")
            else:
                unroll_by(loop, factor or trips or 0)
            return True
        if not self.max_ops or trips is None:
            return False
        size = sum(1 for _ in loop.walk()) - 2
        if trips * size > self.max_ops:
            return False
        unroll_by(loop, trips)
        return True


def _why_not(loop: For, factor: int) -> str | None:
    """Return why a loop cannot be unrolled by ``factor`` (0: fully), or None."""
    trips = trip_count(loop)
    if factor == 0:
        return "its trip count is not known" if trips is None else None
    if trips is not None and trips <= factor:
        return None
    step, kind = constant_of(loop.step), loop.step.type
    assert isinstance(kind, ScalarType)
    if kind is not INDEX and (step is None or step * factor >> (kind.bits - 1)):
        return f"a step of {factor} turns may not fit {kind}"
    return None


def unroll_by(loop: For, factor: int) -> None:
    """Repeat the body ``factor`` times a turn; a loop over the rest follows when one is needed."""
    trips = trip_count(loop)
    if trips is not None and trips <= max(factor, 1):
        _unroll_fully(loop, trips)
        return
    if factor <= 1:
        return
    b = Builder.before(loop)
    wide_step = b.create(Muli, loop.step, constant(b, factor, loop.step.type))
    if trips is not None and trips % factor == 0:
        _repeat_body(loop, factor)
        loop.set_operand(2, wide_step)
        return
    whole = _whole_turns(b, loop, wide_step)
    rest = loop.clone()
    assert isinstance(rest, For)
    assert loop.parent is not None
    loop.parent.insert_after(loop, rest)
    for old, new in zip(loop.results, rest.results, strict=True):
        old.replace_by(new)
    rest.set_operand(0, whole)
    for i, out in enumerate(loop.results):
        rest.set_operand(3 + i, out)
    _repeat_body(loop, factor)
    loop.set_operand(1, whole)
    loop.set_operand(2, wide_step)


def _whole_turns(b: Builder, loop: For, wide_step: Value) -> Value:
    """Return where the last whole wide turn ends, at most ``upper`` when any turn runs.

    lower + (upper - lower) / wide_step * wide_step
    """
    span = b.create(Subi, as_index(b, loop.upper), as_index(b, loop.lower))
    wide = as_index(b, wide_step)
    length = b.create(Muli, b.create(Divsi, span, wide), wide)
    whole: Value = b.create(Addi, loop.lower, as_counter(b, length, loop.lower.type))
    return whole


def _unroll_fully(loop: For, trips: int) -> None:
    b = Builder.before(loop)
    carried: list[Value] = list(loop.inits)
    lower, step = constant_of(loop.lower), constant_of(loop.step)
    for turn in range(trips):
        at = constant(b, lower + turn * step, loop.lower.type)
        carried = _clone_body(b, loop, at, carried)
    loop.replace_by(*carried)


def _repeat_body(loop: For, factor: int) -> None:
    yields = loop.yields
    originals = [op for op in loop.body if op is not yields]
    b = Builder(loop.body, yields, loop.loc)
    carried = list(yields.operands)
    for turn in range(1, factor):
        offset = b.create(Muli, loop.step, constant(b, turn, loop.step.type))
        mapping: dict[Value, Value] = {loop.induction: b.create(Addi, loop.induction, offset)}
        mapping.update(zip(loop.carried, carried, strict=True))
        for op in originals:
            b.insert(op.clone(mapping))
        carried = [mapping.get(v, v) for v in yields.operands]
    yields.set_operands(carried)


def _clone_body(b: Builder, loop: For, at: Value, carried: list[Value]) -> list[Value]:
    mapping: dict[Value, Value] = {loop.induction: at}
    mapping.update(zip(loop.carried, carried, strict=True))
    yields = loop.yields
    for op in loop.body:
        if op is not yields:
            b.insert(op.clone(mapping))
    return [mapping.get(v, v) for v in yields.operands]
