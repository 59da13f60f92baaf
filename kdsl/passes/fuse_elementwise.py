"""Make one loop of adjacent loops over the same elements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kdsl.dialects.arith import constant_of
from kdsl.dialects.memref import Alloc, Alloca, Load, Store
from kdsl.dialects.scf import PARALLEL, STAGES, TAIL, UNROLL, VECTORIZE, For
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import element_type
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.target.target import Target


@dataclass(frozen=True)
class FuseElementwise(Pass):
    """Fuse neighbouring vectorize or parallel loops whose turns only meet at equal indices.

    Every element that one loop writes and the other touches must be indexed by the counter alone in both, so
    that turn ``i`` of the second reads what turn ``i`` of the first wrote; the value is then passed on in a
    register. ``max_ops`` bounds the fused body.
    """

    max_ops: int = 256
    name = "fuse-elementwise"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            for block in _blocks(function):
                changed |= self._fuse_block(block, function)
        return changed

    def _fuse_block(self, block: Block, function: Op) -> bool:
        changed = False
        loop = next_loop(block.first)
        while loop is not None:
            following = self._partner(loop)
            why = None if following is None else why_apart(loop, following)
            if following is None or why is not None:
                if following is not None:
                    explain(function, f"{following.loc or 'loop'}: not fused: {why}")
                loop = next_loop(loop.next)
                continue
            explain(
                function, f"{following.loc or 'loop'}: fused with {loop.loc or 'the loop before'}"
            )
            loop = fuse(loop, following)
            changed = True
        return changed

    def _partner(self, loop: For) -> For | None:
        """Return the next loop when only pure ops that do not read ``loop`` stand between."""
        between: list[Op] = []
        op = loop.next
        while op is not None and not isinstance(op, For):
            if not (isinstance(op, DeclaredOp) and op.is_pure):
                return None
            between.append(op)
            op = op.next
        if not isinstance(op, For) or not (is_independent(loop) and is_independent(op)):
            return None
        moved = set(loop.results)
        if any(v in moved for each in between for v in each.operands):
            return None
        size = len(loop.body) + len(op.body)
        return op if size <= self.max_ops else None


def next_loop(op: Op | None) -> For | None:
    """Return the first loop with independent turns from ``op`` on."""
    while op is not None and not (isinstance(op, For) and is_independent(op)):
        op = op.next
    return op if isinstance(op, For) else None


def is_independent(loop: For) -> bool:
    """Return whether the author promised that turns do not depend on each other."""
    return VECTORIZE in loop.attributes or PARALLEL in loop.attributes


def _blocks(op: Op) -> Iterator[Block]:
    for inner in op.walk():
        for region in inner.regions:
            yield from region.blocks


# ------------------------------------------------------------------------------------- legality

Access = tuple[Value, tuple[Value, ...], bool]
"""A buffer, its indices, and whether it is written."""


def why_apart(first: For, second: For) -> str | None:
    """Return why two loops cannot become one, or None."""
    for mine, theirs in (
        (first.lower, second.lower),
        (first.upper, second.upper),
        (first.step, second.step),
    ):
        if mine is not theirs and (
            constant_of(mine) is None or constant_of(mine) != constant_of(theirs)
        ):
            return "the loops do not run over the same range"
    for key in (VECTORIZE, TAIL, PARALLEL, UNROLL, STAGES):
        if first.attributes.get(key, ...) != second.attributes.get(key, ...):
            return "the loops ask for different schedules"
    if any(v in first.results for op in second.walk() for v in op.operands):
        return "the second needs the finished result of the first"
    mine_all, theirs_all = accesses(first), accesses(second)
    if mine_all is None or theirs_all is None:
        return "a loop holds more than plain loads and stores"
    for mine in mine_all:
        for theirs in theirs_all:
            if (mine[2] or theirs[2]) and may_alias(mine[0], theirs[0]):
                if not _same_element(first, mine, second, theirs):
                    return "a turn touches an element that another turn writes"
    return None


def accesses(loop: For) -> list[Access] | None:
    """Return the loads and stores of a loop; None when it has other effects or inner regions."""
    found: list[Access] = []
    for op in loop.body:
        if isinstance(op, Load):
            found.append((op.source, tuple(op.indices), False))
        elif isinstance(op, Store):
            found.append((op.target, tuple(op.indices), True))
        elif op.regions or not (isinstance(op, DeclaredOp) and op.is_pure):
            return None
    return found


def may_alias(a: Value, b: Value) -> bool:
    """Return whether two buffers may share memory: own buffers never do, nor do other element types."""
    if a is b:
        return True
    if element_type(a.type) is not element_type(b.type):
        return False
    return not any(isinstance(v.op, Alloc | Alloca) for v in (a, b))


def _same_element(first: For, mine: Access, second: For, theirs: Access) -> bool:
    """Return whether turn i of both loops touches one element, which no other turn touches."""
    if len(mine[1]) != len(theirs[1]):
        return False
    meets = False
    for x, y in zip(mine[1], theirs[1], strict=True):
        if x is first.induction and y is second.induction:
            meets = True
        elif x is not y:
            return False
    return meets


# ---------------------------------------------------------------------------------------- fusion


def fuse(first: For, second: For) -> For:
    """Put the body of ``first`` before that of ``second``; return the one loop, at the second's place."""
    yields_first, yields_second = first.yields, second.yields
    inits = [*first.inits, *second.inits]
    body = first.body
    mapping: list[tuple[Value, Value]] = [(second.induction, first.induction)]
    for inside in second.carried:
        mapping.append((inside, body.add_argument(inside.type, inside.name)))
    for old, new in mapping:
        old.replace_by(new)
    yielded = [*yields_first.operands, *yields_second.operands]
    yields_first.erase()
    for op in list(second.body):
        second.body.remove(op)
        body.append(op)
    yields_second.set_operands(yielded)
    _pass_on_values(body)
    region = first.regions.pop()
    region.parent = None
    attributes = dict(first.attributes)
    bounds = (first.lower, first.upper, first.step)
    made = For.make(*bounds, inits, types=[v.type for v in inits], regions=[region], loc=second.loc)
    made.attributes.update(attributes)
    assert second.parent is not None
    second.parent.insert_before(second, made)
    outs = [*first.results, *second.results]
    for old, new in zip(outs, made.results, strict=True):
        old.replace_by(new)
    first.erase()
    second.regions.clear()
    second.erase()
    assert isinstance(made, For)
    return made


def _pass_on_values(body: Block) -> None:
    """Let a load that reads what a store of the same turn wrote use the stored value."""
    stored: dict[tuple[Value, ...], Value] = {}
    for op in body:
        if isinstance(op, Store):
            target = op.target
            for key in [k for k in stored if k[0] is not target and may_alias(k[0], target)]:
                del stored[key]
            for key in [k for k in stored if k[0] is target]:
                del stored[key]
            stored[(target, *op.indices)] = op.value
        elif isinstance(op, Load):
            known = stored.get((op.source, *op.indices))
            if known is not None:
                op.replace_by(known)
