"""Repeat a loop's body."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import Addi, Muli, Subi, constant, constant_of
from kdsl.dialects.arith import Divsi
from kdsl.dialects.scf import UNROLL, For
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Value
from kdsl.passes.canonicalize import trip_count
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
                    changed |= self._visit(op)
        return changed

    def _visit(self, loop: For) -> bool:
        trips = trip_count(loop)
        if UNROLL in loop.attributes:
            factor = loop.attributes.pop(UNROLL)
            assert isinstance(factor, int)
            if factor == 0 and trips is None:
                return True
            unroll_by(loop, trips if factor == 0 and trips is not None else factor)
            return True
        size = sum(1 for _ in loop.walk()) - 2
        if self.max_ops and trips is not None and trips * size <= self.max_ops:
            unroll_by(loop, trips)
            return True
        return False


def unroll_by(loop: For, factor: int) -> None:
    """Repeat the body ``factor`` times a turn; a loop over the rest follows when one is needed."""
    trips = trip_count(loop)
    if factor <= 1:
        return
    if trips is not None and trips <= factor:
        _unroll_fully(loop, trips)
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
    """Return where the last whole wide turn ends: lower + (upper - lower) / wide * wide, at least lower.

    The wide turn may count the last partial step as whole only when the step is one; the division is by
    steps, so partial steps go to the rest.
    """
    span = b.create(Subi, loop.upper, loop.lower)
    turns = b.create(Divsi, span, wide_step)
    whole: Value = b.create(Addi, loop.lower, b.create(Muli, turns, wide_step))
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
