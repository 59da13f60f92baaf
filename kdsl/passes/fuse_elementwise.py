"""Make one loop of adjacent loops over the same elements."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from kdsl.dialects.arith import constant_of
from kdsl.dialects.memref import Load, Store
from kdsl.dialects.scf import PARALLEL, STAGES, TAIL, UNROLL, VECTORIZE, For
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import INDEX, ScalarType, element_type
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
        loop = _next_loop(block.first)
        while loop is not None:
            group = Group(loop)
            following = group.next_loop()
            while following is not None:
                why = group.why_apart(following, self.max_ops)
                if why is not None:
                    explain(function, f"{place(following)}: not fused: {why}")
                    break
                before = group.loops[-1]
                explain(
                    function, f"{place(following)}: fused with the loop before, {place(before)}"
                )
                group.add(following)
                following = group.next_loop()
            changed |= len(group.loops) > 1
            loop = _next_loop(group.fuse().next)
        return changed


def _next_loop(op: Op | None) -> For | None:
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
COUNTER = Value(INDEX, "counter")
"""Stands for any loop's counter among indices."""


@dataclass(frozen=True, slots=True)
class Access:
    """Elements that the turns of a loop load or store."""

    buffer: Value
    indices: tuple[Value, ...]
    writes: bool


class Group:
    """Neighbouring loops that become one; buffers in ``own`` overlap no others."""

    def __init__(self, first: For, own: Collection[Value] = ()) -> None:
        self.loops = [first]
        self.own = own
        self.size = len(first.body)
        self.results: set[Value] = set(first.results)
        self.accesses: dict[ScalarType, dict[Access, None]] = {}
        found = accesses(first)
        self.is_plain = found is not None
        self._touch(found or [])

    def next_loop(self) -> For | None:
        """Return the next loop when only pure ops that do not read the results stand between."""
        op = self.loops[-1].next
        while op is not None and not (isinstance(op, For) and is_independent(op)):
            if not (isinstance(op, DeclaredOp) and op.is_pure) or self._is_read_by(op):
                return None
            op = op.next
        return op if isinstance(op, For) else None

    def why_apart(self, loop: For, max_ops: int) -> str | None:
        """Return why a loop cannot join, or None."""
        first = self.loops[0]
        bounds = zip(first.operands[:3], loop.operands[:3], strict=True)
        if not all(_is_same(mine, theirs) for mine, theirs in bounds):
            return "the loops do not run over the same range"
        for key in SCHEDULE:
            if first.attributes.get(key, ...) != loop.attributes.get(key, ...):
                return "the loops ask for different schedules"
        if self._is_read_by(loop):
            return "the second needs the finished result of the first"
        if self.size + len(loop.body) > max_ops:
            return f"the body would hold more than {max_ops} ops"
        found = accesses(loop)
        if found is None or not self.is_plain:
            return "a loop holds more than plain loads and stores"
        for theirs in found:
            for mine in self.accesses.get(element_type(theirs.buffer.type), ()):
                if self._collide(mine, theirs):
                    return "a turn touches an element that another turn writes"
        return None

    def _collide(self, mine: Access, theirs: Access) -> bool:
        """Return whether different turns may touch one element, and one of them writes it."""
        return (
            (mine.writes or theirs.writes)
            and may_alias(mine.buffer, theirs.buffer, self.own)
            and not _only_in_one_turn(mine, theirs)
        )

    def add(self, loop: For) -> None:
        """Take a loop into the group; ``why_apart`` must have found nothing."""
        self.loops.append(loop)
        self.size += len(loop.body) - 1
        self.results.update(loop.results)
        self._touch(accesses(loop) or [])

    def _touch(self, found: list[Access]) -> None:
        for each in found:
            self.accesses.setdefault(element_type(each.buffer.type), {})[each] = None

    def _is_read_by(self, op: Op) -> bool:
        return bool(self.results) and any(
            not self.results.isdisjoint(inner.operands) for inner in op.walk()
        )

    def fuse(self) -> For:
        """Make one loop of the group, at the place of the last one; return it."""
        if len(self.loops) == 1:
            return self.loops[0]
        first, last = self.loops[0], self.loops[-1]
        body = _joined_body(self.loops)
        _pass_on_values(body, self.own)
        region = first.regions.pop()
        region.parent = None
        inits = [v for loop in self.loops for v in loop.inits]
        made = For.make(
            *first.operands[:3],
            inits,
            types=[v.type for v in inits],
            regions=[region],
            loc=last.loc,
        )
        made.attributes.update(first.attributes)
        assert last.parent is not None
        last.parent.insert_before(last, made)
        old = [r for loop in self.loops for r in loop.results]
        for result, new in zip(old, made.results, strict=True):
            result.replace_by(new)
        for loop in self.loops:
            loop.regions.clear()
            loop.erase()
        assert isinstance(made, For)
        return made


def accesses(loop: For) -> list[Access] | None:
    """Return the loads and stores of a loop, each kind once.

    None when it has other effects or inner regions.
    """
    found: dict[Access, None] = {}
    counter = loop.induction
    for op in loop.body:
        if isinstance(op, Load | Store):
            indices = tuple([COUNTER if v is counter else v for v in op.indices])
            buffer = op.source if isinstance(op, Load) else op.target
            found[Access(buffer, indices, isinstance(op, Store))] = None
        elif op.regions or not (isinstance(op, DeclaredOp) and op.is_pure):
            return None
    return list(found)


def _only_in_one_turn(mine: Access, theirs: Access) -> bool:
    """Return whether turn i of both loops touches one element, which no other turn touches."""
    if len(mine.indices) != len(theirs.indices) or COUNTER not in mine.indices:
        return False
    return all(_is_same(x, y) for x, y in zip(mine.indices, theirs.indices, strict=True))


def _is_same(x: Value, y: Value) -> bool:
    """Return whether two values are one, or equal constants."""
    if x is y:
        return True
    known = constant_of(x)
    return known is not None and x.type is y.type and known == constant_of(y)


# ---------------------------------------------------------------------------------------- fusion


def _joined_body(loops: Sequence[For]) -> Block:
    """Move all bodies into the first one; it yields what all of them yield."""
    body = loops[0].body
    counter = loops[0].induction
    yields = [loop.yields for loop in loops]
    for loop in loops[1:]:
        loop.induction.replace_by(counter)
        for inside in loop.carried:
            inside.replace_by(body.add_argument(inside.type, inside.name))
    yielded = [v for each in yields for v in each.operands]
    last = yields[-1]
    for each in yields:
        each.detach()
    for loop in loops[1:]:
        for op in list(loop.body):
            loop.body.remove(op)
            body.append(op)
    for each in yields[:-1]:
        each.drop_uses()
    body.append(last)
    last.set_operands(yielded)
    return body


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
