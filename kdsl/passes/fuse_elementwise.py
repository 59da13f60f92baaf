"""Make one loop of adjacent loops over the same elements."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from kdsl.dialects.arith import constant_of
from kdsl.dialects.memref import Load, Store
from kdsl.dialects.scf import PARALLEL, STAGES, TAIL, UNROLL, VECTORIZE, For
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import ScalarType, element_type
from kdsl.passes.aliasing import may_alias
from kdsl.passes.explain import explain, place
from kdsl.passes.manager import Pass
from kdsl.target.target import Target


@dataclass(frozen=True)
class FuseElementwise(Pass):
    """Fuse neighbouring vectorize or parallel loops whose turns only meet at equal indices.

    Every element that one loop writes and the other touches must be indexed by the counter alone
    in both, so that turn ``i`` of the second reads what turn ``i`` of the first wrote; the value is
    then passed on in a register. ``max_ops`` bounds the fused body.
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
            if following is None:
                loop = next_loop(loop.next)
                continue
            why = why_apart(loop, following, self.max_ops)
            if why is not None:
                explain(function, f"{place(following)}: not fused: {why}")
                loop = following
                continue
            explain(function, f"{place(following)}: fused with the loop before, {place(loop)}")
            loop = fuse(loop, following)
            changed = True
        return changed

    @staticmethod
    def _partner(loop: For) -> For | None:
        """Return the next loop when only pure ops that do not read ``loop`` stand between."""
        op = loop.next
        while op is not None and not (isinstance(op, For) and is_independent(op)):
            if not (isinstance(op, DeclaredOp) and op.is_pure):
                return None
            if loop.results and any(v in loop.results for o in op.walk() for v in o.operands):
                return None
            op = op.next
        return op if isinstance(op, For) else None


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

SCHEDULE = (VECTORIZE, TAIL, PARALLEL, UNROLL, STAGES)
"""What the loops must agree on."""
Access = tuple[Value, tuple[Value, ...], bool]
"""A buffer, its indices, and whether it is written."""


def why_apart(
    first: For, second: For, max_ops: int, own: Collection[Value] = ()
) -> str | None:
    """Return why two loops cannot become one, or None; buffers in ``own`` overlap no others."""
    bounds = zip(first.operands[:3], second.operands[:3], strict=True)
    if not all(_is_same(mine, theirs) for mine, theirs in bounds):
        return "the loops do not run over the same range"
    for key in SCHEDULE:
        if first.attributes.get(key, ...) != second.attributes.get(key, ...):
            return "the loops ask for different schedules"
    if first.results and any(v in first.results for op in second.walk() for v in op.operands):
        return "the second needs the finished result of the first"
    if len(first.body) + len(second.body) > max_ops:
        return f"the body would hold more than {max_ops} ops"
    mine_all, theirs_all = accesses(first), accesses(second)
    if mine_all is None or theirs_all is None:
        return "a loop holds more than plain loads and stores"
    by_type: dict[ScalarType, list[Access]] = {}
    for mine in mine_all:
        by_type.setdefault(element_type(mine[0].type), []).append(mine)
    for theirs in theirs_all:
        for mine in by_type.get(element_type(theirs[0].type), ()):
            meet = (mine[2] or theirs[2]) and may_alias(mine[0], theirs[0], own)
            if meet and not _same_element(first, mine, second, theirs):
                return "a turn touches an element that another turn writes"
    return None


def accesses(loop: For) -> list[Access] | None:
    """Return the loads and stores of a loop, each kind once.

    None when it has other effects or inner regions.
    """
    found: dict[Access, None] = {}
    for op in loop.body:
        if isinstance(op, Load):
            found[op.source, tuple(op.indices), False] = None
        elif isinstance(op, Store):
            found[op.target, tuple(op.indices), True] = None
        elif op.regions or not (isinstance(op, DeclaredOp) and op.is_pure):
            return None
    return list(found)


def _same_element(first: For, mine: Access, second: For, theirs: Access) -> bool:
    """Return whether turn i of both loops touches one element, which no other turn touches."""
    if len(mine[1]) != len(theirs[1]):
        return False
    meets = False
    for x, y in zip(mine[1], theirs[1], strict=True):
        if x is first.induction and y is second.induction:
            meets = True
        elif not _is_same(x, y):
            return False
    return meets


def _is_same(x: Value, y: Value) -> bool:
    """Return whether two values are one, or equal constants."""
    if x is y:
        return True
    known = constant_of(x)
    return known is not None and x.type is y.type and known == constant_of(y)


# ---------------------------------------------------------------------------------------- fusion


def fuse(first: For, second: For, own: Collection[Value] = ()) -> For:
    """Put the body of ``first`` before that of ``second``.

    Return the one loop, at the place of the second.
    """
    yields_first, yields_second = first.yields, second.yields
    inits = [*first.inits, *second.inits]
    body = first.body
    second.induction.replace_by(first.induction)
    for inside in second.carried:
        inside.replace_by(body.add_argument(inside.type, inside.name))
    yielded = [*yields_first.operands, *yields_second.operands]
    yields_first.erase()
    for op in list(second.body):
        second.body.remove(op)
        body.append(op)
    yields_second.set_operands(yielded)
    _pass_on_values(body, own)
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


def _pass_on_values(body: Block, own: Collection[Value]) -> None:
    """Let a load that reads what a store of the same turn wrote use the stored value."""
    stored: dict[Value, tuple[list[Value], Value]] = {}
    for op in body:
        if isinstance(op, Store):
            target = op.target
            stale = [buffer for buffer in stored if may_alias(buffer, target, own)]
            for buffer in stale:
                del stored[buffer]
            stored[target] = (op.indices, op.value)
        elif isinstance(op, Load) and op.source in stored:
            indices, value = stored[op.source]
            if all(_is_same(x, y) for x, y in zip(indices, op.indices, strict=True)):
                op.replace_by(value)
