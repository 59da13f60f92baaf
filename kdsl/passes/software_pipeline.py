"""Run a loop's late ops one turn behind its early ones.

``kdsl.stage = 1`` on ops of a loop says that they belong to the second stage: in turn i the loop
then runs the first stage of turn i and the second stage of turn i - 1, which does not wait for it.
The first stage of the first turn moves before the loop, the second of the last behind it.

In attention the second product of a turn (probabilities times values) runs beside the first product
of the next (queries times keys), while the softmax between them works on registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Cmpi,
    Maximumf,
    Mulf,
    Subf,
    Subi,
    constant,
    constant_of,
    is_constant,
)
from kdsl.dialects.kdsl import Broadcast, Dot, LoadTile, Reshape, Transpose
from kdsl.dialects.math import Exp2
from kdsl.dialects.scf import For, If, Yield, for_loop
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, BlockArgument, Module, Op, Region, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.rewrite import Replacement, Rewriter, apply_greedily, pattern
from kdsl.ir.types import ScalarType
from kdsl.passes.affine import Form, facts_of, is_never_negative, scalar_form
from kdsl.passes.explain import explain, place
from kdsl.passes.manager import Pass
from kdsl.target.target import Target

STAGE = "kdsl.stage"
"""On an op of a loop: 0 (as without it) or 1: runs one turn late."""


@dataclass(frozen=True)
class SoftwarePipeline(Pass):
    """Skew loops whose ops carry ``kdsl.stage = 1``."""

    name = "software-pipeline"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            before = changed
            for op in list(function.walk()):
                if isinstance(op, For) and any(each.attributes.get(STAGE) == 1 for each in op.body):
                    changed |= _skew(op, function)
            if changed and not before:
                apply_greedily(function, FIRST_TURN)
        return changed


# ------------------------------------------------------------------------------------------ stages


class _Stages:
    """The two stages of a loop's body, and what goes from the first to the second."""

    def __init__(self, loop: For) -> None:
        self.loop = loop
        self.ops = list(loop.body)[:-1]
        self.late = self._late_ops()
        self.late_results = {r for op in self.late for r in op.results}
        self.yields = list(loop.yields.operands)
        self.early_carried = [i for i, v in enumerate(self.yields) if v not in self.late_results]
        self.crossing = list(dict.fromkeys(self._crossing()))

    def _late_ops(self) -> list[Op]:
        late = {op for op in self.ops if op.attributes.get(STAGE) == 1}
        for op in self.ops:
            if any(v.op in late for v in _reads(op)):
                late.add(op)
        for op in reversed(self.ops):
            if isinstance(op, Broadcast | Reshape | Transpose) and op not in late:
                users = [user for r in op.results for user in r.users]
                if users and all(user in late for user in users):
                    late.add(op)
        return [op for op in self.ops if op in late]

    @property
    def early(self) -> list[Op]:
        late = set(self.late)
        return [op for op in self.ops if op not in late]

    def _crossing(self) -> Iterable[Value]:
        for op in self.late:
            for v in _reads(op):
                if v not in self.late_results and self._is_inside(v) and not self.is_cheap(v):
                    yield v

    def _is_inside(self, value: Value) -> bool:
        if isinstance(value, BlockArgument):
            return value.block is self.loop.body
        return value.op is not None and value.op.parent is self.loop.body

    def is_cheap(self, value: Value) -> bool:
        """Return whether a value is a scalar that follows from the counter alone."""
        if value is self.loop.induction or not self._is_inside(value):
            return True
        op = value.op
        return (
            isinstance(op, DeclaredOp)
            and op.is_pure
            and not op.regions
            and isinstance(value.type, ScalarType)
            and all(self.is_cheap(v) for v in op.operands)
        )


def _reads(op: Op) -> list[Value]:
    return [v for o in op.walk() for v in o.operands]


# -------------------------------------------------------------------------------------------- skew


def _skew(loop: For, function: Op) -> bool:
    """Rewrite one loop; return whether it could be."""
    if constant_of(loop.step) != 1:
        explain(function, f"{place(loop)}: not pipelined: its step is not 1")
        return False
    stages = _Stages(loop)
    b = Builder.before(loop)
    if is_never_negative(_trips(loop).plus(-1), facts_of(function)):
        loop.replace_by(*_pipelined(b, stages))
    else:
        some = b.create(Cmpi, loop.lower, loop.upper, predicate=CMPI["slt"])
        branch = b.add(
            If, some, types=[r.type for r in loop.results],
            regions=[Region([Block()]), Region([Block()])],
        )  # fmt: skip
        Builder(branch.regions[1].block).add(Yield, list(loop.inits))
        inner = Builder(branch.regions[0].block, loc=loop.loc)
        inner.add(Yield, _pipelined(inner, stages))
        loop.replace_by(*branch.results)
    explain(function, f"{place(loop)}: pipelined, {len(stages.late)} ops one turn behind")
    return True


def _trips(loop: For) -> Form:
    return scalar_form(loop.upper) - scalar_form(loop.lower)


def _pipelined(b: Builder, stages: _Stages) -> list[Value]:
    """Emit first early stage, loop and last late stage; return the results of the old loop."""
    loop = stages.loop
    one = constant(b, 1, loop.lower.type)
    first: dict[Value, Value] = {loop.induction: loop.lower}
    first.update(zip(loop.carried, loop.inits, strict=True))
    _copy_all(b, stages.early, first)
    inits = [first.get(stages.yields[i], stages.yields[i]) for i in stages.early_carried]
    inits += [first[v] for v in stages.crossing]
    start = b.create(Addi, loop.lower, one)
    body = for_loop(b, start, loop.upper, one, tuple(inits))
    body.attributes.update(loop.attributes)
    body.loc = loop.loc
    _fill(body, stages)
    last: dict[Value, Value] = {loop.induction: b.create(Subi, loop.upper, one)}
    count = len(stages.early_carried)
    last.update(zip(stages.crossing, body.results[count:], strict=True))
    _copy_late(b, stages, last)
    early = iter(body.results[:count])
    return [
        next(early) if i in stages.early_carried else last[v] for i, v in enumerate(stages.yields)
    ]


def _fill(body: For, stages: _Stages) -> None:
    """Write the new loop's body: a turn's early ops around the late ops of the turn before."""
    old = stages.loop
    inside = Builder(body.body, loc=old.loc)
    count = len(stages.early_carried)
    before: dict[Value, Value] = dict(zip(stages.crossing, body.carried[count:], strict=True))
    here: dict[Value, Value] = {old.induction: body.induction}
    here.update(
        (old.carried[i], v) for i, v in zip(stages.early_carried, body.carried, strict=False)
    )
    lead, rest, end = _order(stages)
    _copy_all(inside, lead, here)
    one = constant(inside, 1, old.lower.type)
    before[old.induction] = inside.create(Subi, body.induction, one)
    _copy_late(inside, stages, before)
    for carried, given in zip(old.carried, stages.yields, strict=True):
        if given in stages.late_results:
            here[carried] = before[given]
    _copy_all(inside, rest, here)
    _copy_all(inside, end, here)
    yielded = [here.get(stages.yields[i], stages.yields[i]) for i in stages.early_carried]
    inside.add(Yield, yielded + [here[v] for v in stages.crossing])


def _order(stages: _Stages) -> tuple[list[Op], list[Op], list[Op]]:
    """Return early ops before the late ones, after them, and at the very end.

    Early ops up to the last product that needs nothing of the late stage come first. What only the
    late stage reads comes at the end: it takes the place of what the late ops were reading.
    """
    waiting = _after_late(stages)
    early = stages.early
    dots = [i for i, op in enumerate(early) if isinstance(op, Dot) and op not in waiting]
    cut = dots[-1] + 1 if dots else 0
    needed = _needed_by([op for op in early[:cut] if isinstance(op, Dot)], early[:cut])
    lead = [op for op in early[:cut] if op in needed]
    late = set(stages.late)
    end: list[Op] = [
        op
        for op in early
        if op not in needed
        and isinstance(op, DeclaredOp)
        and op.is_pure
        and not any(isinstance(r.type, ScalarType) for r in op.results)
        and all(user in late for r in op.results for user in r.users)
    ]
    end.sort(key=lambda op: op not in waiting)
    rest = [op for op in early if op not in needed and op not in end]
    return lead, rest, end


def _after_late(stages: _Stages) -> set[Op]:
    """Return early ops that read what the late stage of the turn before gives."""
    given = {
        c for c, y in zip(stages.loop.carried, stages.yields, strict=True)
        if y in stages.late_results
    }  # fmt: skip
    found: set[Op] = set()
    for op in stages.early:
        if any(v in given or v.op in found for v in _reads(op)):
            found.add(op)
    return found


def _needed_by(roots: list[Op], ops: list[Op]) -> set[Op]:
    """Return the ops that some ops need, themselves included."""
    found = set(roots)
    for op in reversed(ops):
        if any(user in found for r in op.results for user in r.users):
            found.add(op)
    return found


def _copy_all(b: Builder, ops: list[Op], mapping: dict[Value, Value]) -> None:
    for op in ops:
        copy = b.insert(op.clone(mapping))
        copy.attributes.pop(STAGE, None)


def _copy_late(b: Builder, stages: _Stages, mapping: dict[Value, Value]) -> None:
    """Copy the late ops, loads right before their first reader, and the scalars they need."""
    for op in sorted(stages.late, key=_late_key(stages.late)):
        for v in _reads(op):
            _recompute(b, stages, v, mapping)
        copy = b.insert(op.clone(mapping))
        copy.attributes.pop(STAGE, None)


def _late_key(late: list[Op]) -> Callable[[Op], tuple[int, int, int]]:
    """Return a sort key that puts a load (and its transpose) behind all but the first reader."""
    number = {op: i for i, op in enumerate(late)}

    def key(op: Op) -> tuple[int, int, int]:
        at = number[op]
        if isinstance(op, LoadTile | Transpose):
            readers = [number[u] for u in _readers(op) if u in number]
            if readers:
                return min(readers), 0, at
        return at, 1, at

    return key


def _readers(op: Op) -> list[Op]:
    """Return who reads a load, through transposes."""
    found = []
    for user in op.results[0].users:
        found += _readers(user) if isinstance(user, Transpose) else [user]
    return found


def _recompute(b: Builder, stages: _Stages, value: Value, mapping: dict[Value, Value]) -> None:
    """Compute a scalar that follows from the counter anew."""
    if value in mapping or value in stages.late_results or not stages.is_cheap(value):
        return
    op = value.op
    if op is None or op.parent is not stages.loop.body:
        return
    for v in op.operands:
        _recompute(b, stages, v, mapping)
    b.insert(op.clone(mapping))


# -------------------------------------------------------------------------------------- first turn


@pattern(Maximumf)
def maximum_of_nothing(op: Maximumf, rw: Rewriter) -> Replacement:
    """max(-inf, x) -> x."""
    del rw
    for one, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        if is_constant(one, float("-inf")):
            found: Value = other
            return found
    return None


@pattern(Mulf)
def scale_nothing(op: Mulf, rw: Rewriter) -> Replacement:
    """0 * exp2(-inf - x) -> 0, the start of an online softmax.

    A NaN in x is a NaN in the row's powers too, so that the row's sum has it anyway.
    """
    for one, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        if is_constant(one, 0) and _vanishes(other):
            return constant(rw, 0.0, op.y.type)
    return None


def _vanishes(value: Value) -> bool:
    op = value.op
    if isinstance(op, Broadcast | Reshape):
        return _vanishes(op.x)
    if not isinstance(op, Exp2):
        return False
    return _is_minus_infinity(op.operands[0])


def _is_minus_infinity(value: Value) -> bool:
    """Return whether a value is -inf: less something, or times a (positive) scale."""
    if is_constant(value, float("-inf")):
        return True
    op = value.op
    if isinstance(op, Subf):
        return _is_minus_infinity(op.lhs)
    return isinstance(op, Mulf) and any(_is_minus_infinity(v) for v in op.operands)


FIRST_TURN = [maximum_of_nothing, scale_nothing]
