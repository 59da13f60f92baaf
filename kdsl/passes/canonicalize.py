"""Bring equal meanings to one form: fold, drop what does nothing, simplify control flow.

Other passes may rely on none of this for correctness; it makes their patterns few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kdsl.dialects import kdsl as tiles
from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Cmpi,
    Extf,
    Muli,
    Select,
    Subi,
    Truncf,
    Xori,
    constant,
    constant_of,
    is_constant,
)
from kdsl.dialects.scf import For, If
from kdsl.ir.core import Block, Module, Op, Value, defining_op
from kdsl.ir.define import element_of
from kdsl.ir.rewrite import Pattern, Replacement, Rewriter, apply_greedily, pattern
from kdsl.ir.types import I1
from kdsl.passes.manager import Pass
from kdsl.target.target import Target


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Apply folds and the patterns of this file until nothing changes."""

    name = "canonicalize"

    def run(self, module: Module, target: Target) -> bool:
        del target
        return apply_greedily(module, PATTERNS)


@pattern(Addi)
def add_constants_once(op: Addi, rw: Rewriter) -> Replacement:
    """(x + c) + d -> x + (c + d)."""
    inner, outer = defining_op(op.lhs, Addi), constant_of(op.rhs)
    known = None if inner is None else constant_of(inner.rhs)
    if outer is None or known is None or element_of(op.lhs) is I1:
        return None
    return rw.create(Addi, inner.lhs, constant(rw, known + outer, op.y.type))


@pattern(Muli)
def multiply_constants_once(op: Muli, rw: Rewriter) -> Replacement:
    """(x * c) * d -> x * (c * d)."""
    inner, outer = defining_op(op.lhs, Muli), constant_of(op.rhs)
    known = None if inner is None else constant_of(inner.rhs)
    if outer is None or known is None or element_of(op.lhs) is I1:
        return None
    return rw.create(Muli, inner.lhs, constant(rw, known * outer, op.y.type))


@pattern(Subi)
def subtract_itself(op: Subi, rw: Rewriter) -> Replacement:
    """x - x -> 0; (x + y) - x -> y."""
    if op.lhs is op.rhs:
        return constant(rw, 0, op.y.type)
    inner = defining_op(op.lhs, Addi)
    if inner is None:
        return None
    if inner.lhs is op.rhs:
        return as_value(inner.rhs)
    return as_value(inner.lhs) if inner.rhs is op.rhs else None


@pattern(Cmpi)
def compare_with_itself(op: Cmpi, rw: Rewriter) -> Replacement:
    """x < x -> false, x <= x -> true."""
    if op.lhs is not op.rhs:
        return None
    holds = list(CMPI)[op.predicate] in ("eq", "sle", "sge", "ule", "uge")
    return constant(rw, holds, op.y.type)


@pattern(Select)
def select_truth(op: Select, rw: Rewriter) -> Replacement:
    """select(c, true, false) -> c, and its negation."""
    if element_of(op.a) is not I1 or op.condition.type is not op.a.type:
        return None
    if is_constant(op.a, 1) and is_constant(op.b, 0):
        return as_value(op.condition)
    if is_constant(op.a, 0) and is_constant(op.b, 1):
        return rw.create(Xori, op.condition, op.b)
    return None


@pattern(Select)
def select_by_negation(op: Select, rw: Rewriter) -> Replacement:
    """select(not c, a, b) -> select(c, b, a)."""
    flipped = defining_op(op.condition, Xori)
    if flipped is None or not is_constant(flipped.rhs, 1):
        return None
    return rw.create(Select, flipped.lhs, op.b, op.a)


@pattern(Truncf)
def narrow_what_was_widened(op: Truncf, rw: Rewriter) -> Replacement:
    """truncf(extf(x)) -> x, when the types agree."""
    del rw
    inner = defining_op(op.x, Extf)
    return as_value(inner.x) if inner is not None and inner.x.type is op.y.type else None


@pattern(tiles.Broadcast)
def broadcast_once(op: tiles.Broadcast, rw: Rewriter) -> Replacement:
    """broadcast(broadcast(x)) -> broadcast(x)."""
    inner = defining_op(op.x, tiles.Broadcast)
    if inner is None:
        return None
    dims = tuple(op.dims[d] for d in inner.dims)
    return rw.create(tiles.Broadcast, inner.x, types=[op.y.type], dims=dims)


@pattern(tiles.Transpose)
def transpose_nothing(op: tiles.Transpose, rw: Rewriter) -> Replacement:
    """A transpose that keeps every axis where it is."""
    del rw
    keeps = list(op.permutation) == list(range(len(op.permutation)))
    return as_value(op.x) if keeps else None


# ---------------------------------------------------------------------------------- control flow


@pattern(If)
def choose_known_branch(op: If, rw: Rewriter) -> Replacement:
    """A branch on a constant is the chosen block."""
    known = constant_of(op.condition)
    if known is None:
        return None
    block = op.then_block if known else op.else_block
    if block is None:
        rw.erase(op)
        return None
    return inline_before(op, block, [])


@pattern(If)
def drop_empty_branch(op: If, rw: Rewriter) -> Replacement:
    """A branch without results whose blocks do nothing."""
    if op.results:
        return None
    if all(len(block) <= 1 for region in op.regions for block in region.blocks):
        rw.erase(op)
    return None


@pattern(For)
def simplify_known_trip(op: For, rw: Rewriter) -> Replacement:
    """A loop that never runs gives its inits; one that runs once is its body."""
    trips = trip_count(op)
    if trips == 0:
        return tuple(op.inits)
    if trips == 1:
        inner = list(op.body)[:-1]
        yielded = inline_before(op, op.body, [op.lower, *op.inits])
        for each in inner:
            rw.updated(each)
        return yielded
    if not op.results and len(op.body) == 1:
        rw.erase(op)
    return None


@pattern(For)
def drop_unchanged_carried(op: For, rw: Rewriter) -> Replacement:
    """A carried value that every turn passes on is its init."""
    yielded = op.yields.operands
    same = [
        i
        for i, (inside, out) in enumerate(zip(op.carried, yielded, strict=True))
        if out is inside or out is op.inits[i]
    ]
    if not same:
        return None
    return _without_carried(op, same, rw)


@pattern(For)
def drop_unread_carried(op: For, rw: Rewriter) -> Replacement:
    """A carried value that nobody reads but itself."""
    unread = [
        i
        for i, inside in enumerate(op.carried)
        if not op.results[i].users
        and set(inside.users) <= {op.yields}
        and all(v is not inside or k == i for k, v in enumerate(op.yields.operands))
    ]
    if not unread:
        return None
    return _without_carried(op, unread, rw)


def _without_carried(op: For, dropped: list[int], rw: Rewriter) -> tuple[Value, ...]:
    """Build the loop again without some carried values; theirs become the inits."""
    kept = [i for i in range(len(op.inits)) if i not in dropped]
    inits = op.inits
    for i in dropped:
        op.carried[i].replace_by(inits[i])
    yields = op.yields
    yields.set_operands([yields.operands[i] for i in kept])
    for i in reversed(dropped):
        op.body.remove_argument(i + 1)
    region = op.regions.pop()
    region.parent = None
    new = rw.add(
        For,
        op.lower,
        op.upper,
        op.step,
        [inits[i] for i in kept],
        types=[op.results[i].type for i in kept],
        regions=[region],
    )
    new.attributes.update(op.attributes)
    outs = iter(new.results)
    return tuple(next(outs) if i in kept else inits[i] for i in range(len(inits)))


def trip_count(op: For) -> int | None:
    """Return how often a loop with constant bounds runs, else None."""
    lower, upper, step = (constant_of(v) for v in (op.lower, op.upper, op.step))
    if upper is not None and lower is not None and step is not None and step > 0:
        return max(0, -((lower - upper) // step))
    return 0 if op.lower is op.upper else None


def inline_before(op: Op, block: Block, arguments: list[Value]) -> tuple[Value, ...]:
    """Move a block's ops before ``op``; return what its terminator yields."""
    assert op.parent is not None
    for inside, value in zip(block.args, arguments, strict=True):
        inside.replace_by(value)
    last = block.last
    assert last is not None
    yielded = tuple(last.operands)
    last.erase()
    for inner in list(block):
        block.remove(inner)
        op.parent.insert_before(op, inner)
    return yielded


def as_value(found: Any) -> Value:
    """Narrow an accessor's result."""
    assert isinstance(found, Value)
    return found


PATTERNS: list[Pattern] = [
    add_constants_once,
    multiply_constants_once,
    subtract_itself,
    compare_with_itself,
    select_truth,
    select_by_negation,
    narrow_what_was_widened,
    broadcast_once,
    transpose_nothing,
    choose_known_branch,
    drop_empty_branch,
    simplify_known_trip,
    drop_unchanged_carried,
    drop_unread_carried,
]
