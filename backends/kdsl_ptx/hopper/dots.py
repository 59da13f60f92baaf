"""Products become groups in flight: issued where they stand, waited for at the first use.

Entries of the ring go back when the last product that reads them has ended. Nothing is in flight
where control flow begins, but for accumulators that a loop only adds to: there the wait for a
turn's products stands behind the issue of the next turn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kdsl.dialects.arith import CMPI, Addi, Cmpi, constant
from kdsl.dialects.kdsl import Dot, Transpose
from kdsl.dialects.scf import For, If, Yield
from kdsl.errors import InternalError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Op, Region, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Terminator
from kdsl.ir.types import I32
from kdsl.passes.affine import is_never_negative, scalar_form
from kdsl.passes.dce import sweep
from kdsl.passes.manager import Pass
from kdsl.target.target import Target
from kdsl_ptx.dialect import tile


@dataclass(frozen=True)
class AsyncDots(Pass):
    """Put the products of consumers in flight."""

    name: ClassVar[str] = "async-dots"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            ping_pong = function.attributes.pop(tile.PING_PONG, None)
            for op in list(function.walk()):
                if isinstance(op, tile.Roles):
                    for loop in list(op.walk()):
                        if isinstance(loop, For) and is_rolling(loop):
                            _roll(loop)
                    _Flights(str(ping_pong)).block(op.consumer)
                    for each in op.walk():
                        each.attributes.pop(ROLLED, None)
                    sweep(op)
                    changed = True
        return changed


# ----------------------------------------------------------------------------------- one block


@dataclass
class _Group:
    """A product in flight, and the ring entries that it reads."""

    dot: tile.DotAsync
    handles: list[Value]


class _Flights:
    """Walks blocks in order, knowing which products are in flight."""

    def __init__(self, ping_pong: str) -> None:
        self.ping_pong = ping_pong

    def block(self, block: Block) -> None:
        """Rewrite a block; entries waited for in it go back in it."""
        groups: list[_Group] = []
        takes_turns = (
            self.ping_pong in ("issue", "late")
            and isinstance(block.parent_op, For)
            and sum(isinstance(op, Dot) for op in block) > 1
        )
        left = sum(isinstance(op, Dot) for op in block)
        started = passed = False
        for op in list(block):
            if isinstance(op, tile.DotAsync | tile.DotWait | tile.RingRelease):
                continue
            if isinstance(op, Dot):
                self._wait_for([op.a, op.b], op, groups)
                if takes_turns and not started:
                    Builder.before(op).add(tile.TurnWait)
                    started = True
                groups.append(self._issue(op))
                left -= 1
                if takes_turns and left == 0 and self.ping_pong == "issue":
                    Builder.after(groups[-1].dot).add(tile.TurnPass)
                    passed = True
                continue
            in_rolled = is_rolled(op)
            if op.regions and not in_rolled:
                self._wait_all(op, groups)
                for region in op.regions:
                    for inner in region.blocks:
                        self.block(inner)
            elif isinstance(op, DeclaredOp) and Terminator in op.traits:
                self._wait_all(op, groups)
            elif not in_rolled:
                waited = self._wait_for(op.operands, op, groups)
                if takes_turns and waited and not passed and left == 0:
                    Builder.before(op).add(tile.TurnPass)
                    passed = True

    def _issue(self, op: Dot) -> _Group:
        """Replace a product by one in flight."""
        b = Builder.before(op)
        a, turned_a = _as_loaded(op.a)
        right, turned_b = _as_loaded(op.b)
        made = b.add(tile.DotAsync, a, right, op.acc, transpose_a=turned_a, transpose_b=turned_b)
        handles = [h for v in (a, right) for h in _handles(v)]
        op.replace_by(made.y)
        return _Group(made, handles)

    def _wait_for(self, values: Sequence[Value], op: Op, groups: list[_Group]) -> bool:
        """Wait before ``op`` for products among ``values``; return whether that was needed."""
        needed = [i for i, g in enumerate(groups) if g.dot.y in values]
        if not needed:
            return False
        self._wait(op, groups, needed[-1] + 1)
        return True

    def _wait_all(self, op: Op, groups: list[_Group]) -> None:
        if groups:
            self._wait(op, groups, len(groups))

    def _wait(self, op: Op, groups: list[_Group], count: int) -> None:
        """Wait before ``op`` for the oldest ``count`` products, and give their entries back."""
        b = Builder.before(op)
        done = groups[:count]
        del groups[:count]
        # An accumulator that a later product in flight goes on with is not ready yet.
        tiles = [g.dot.y for g in done if not _goes_on(g, (*done, *groups))]
        wait = b.add(tile.DotWait, tiles, types=[t.type for t in tiles], pending=len(groups))
        for old, new in zip(tiles, wait.results, strict=True):
            new.name = old.name
            for user in list(old.users):
                if user is not wait:
                    for i, operand in enumerate(user.operands):
                        if operand is old:
                            user.set_operand(i, new)
        still = {h for g in groups for h in g.handles}
        for handle in dict.fromkeys(h for g in done for h in g.handles):
            if handle not in still and not _is_read_later(handle):
                b.add(tile.RingRelease, handle)


def _goes_on(group: _Group, others: Sequence[_Group]) -> bool:
    return any(other.dot.acc is group.dot.y for other in others)


def _is_read_later(handle: Value) -> bool:
    """Return whether a product that is not issued yet reads an entry."""
    wait = handle.op
    assert isinstance(wait, tile.RingWait)
    for each in wait.tiles:
        pending = list(each.users)
        while pending:
            user = pending.pop()
            if isinstance(user, Dot):
                return True
            if isinstance(user, Transpose):
                pending += user.y.users
    return False


def _as_loaded(value: Value) -> tuple[Value, bool]:
    """Return a shared tile as it lies in memory, and whether the product takes its transpose."""
    turned = False
    found = value
    while isinstance(found.op, Transpose):
        found, turned = found.op.x, not turned
    return (found, turned) if tile.is_shared(found) else (value, False)


def _handles(value: Value) -> list[Value]:
    """Return the handle of the ring entry that a tile is in."""
    return [value.op.handle] if isinstance(value.op, tile.RingWait) else []


# ------------------------------------------------------------------------------------ rolling sums


ROLLED = "ptx.rolled"
"""On a loop: its products stay in flight from turn to turn."""


def is_rolled(op: Op) -> bool:
    """Return whether a loop, or the branch around it, has its waits already."""
    return ROLLED in op.attributes


def is_rolling(loop: For) -> bool:
    """Return whether all that a loop does is to add products to what it carries."""
    dots = [op for op in loop.body if isinstance(op, Dot)]
    if not dots or any(op.regions for op in loop.body) or len(dots) != len(loop.carried):
        return False
    yielded = loop.yields.operands
    for dot in dots:
        if dot.acc not in loop.carried or not dot.acc.has_one_use or not dot.y.has_one_use:
            return False
        if yielded[loop.carried.index(dot.acc)] is not dot.y:
            return False
        if not all(tile.is_shared(_as_loaded(v)[0]) for v in (dot.a, dot.b)):
            return False
    return True


def _roll(loop: For) -> None:
    """Issue the first turn before the loop, and wait one turn late inside of it."""
    b = Builder.before(loop)
    if is_never_negative(scalar_form(loop.upper) - scalar_form(loop.lower).plus(1)):
        loop.replace_by(*_rolled(b, loop))
        return
    some = b.create(Cmpi, loop.lower, loop.upper, predicate=CMPI["slt"])
    branch = b.add(
        If,
        some,
        types=[r.type for r in loop.results],
        regions=[Region([Block()]), Region([Block()])],
    )
    branch.attributes[ROLLED] = None
    Builder(branch.regions[1].block).add(Yield, list(loop.inits))
    inner = Builder(branch.regions[0].block, loc=loop.loc)
    inner.add(Yield, _rolled(inner, loop))
    loop.replace_by(*branch.results)


def _rolled(b: Builder, loop: For) -> list[Value]:
    """Write the first turn, the loop and the last wait; return the sums."""
    one = constant(b, 1, loop.lower.type)
    first: dict[Value, Value] = {loop.induction: loop.lower}
    first.update(zip(loop.carried, loop.inits, strict=True))
    sums, handles = _turn(b, loop, first)
    kinds = [*(v.type for v in sums), *(I32 for _ in handles)]
    block = Block([loop.lower.type, *kinds])
    start = b.create(Addi, loop.lower, one)
    made = b.add(
        For, start, loop.upper, one, [*sums, *handles], types=kinds, regions=[Region([block])]
    )
    made.loc = loop.loc
    made.attributes[ROLLED] = None
    inside = Builder(block, loc=loop.loc)
    here: dict[Value, Value] = {loop.induction: block.args[0]}
    here.update(zip(loop.carried, block.args[1 : len(sums) + 1], strict=True))
    next_sums, next_handles = _turn(inside, loop, here)
    inside.add(tile.DotWait, [], types=[], pending=len(sums))
    for handle in block.args[len(sums) + 1 :]:
        inside.add(tile.RingRelease, handle)
    inside.add(Yield, [*next_sums, *next_handles])
    tiles = list(made.results[: len(sums)])
    wait = b.add(tile.DotWait, tiles, types=[t.type for t in tiles], pending=0)
    for held in made.results[len(sums) :]:
        b.add(tile.RingRelease, held)
    return list(wait.results)


def _turn(b: Builder, loop: For, mapping: dict[Value, Value]) -> tuple[list[Value], list[Value]]:
    """Copy a turn with its products in flight; return the sums and the entries' handles."""
    handles: list[Value] = []
    for op in list(loop.body)[:-1]:
        if not isinstance(op, Dot):
            copy = b.insert(op.clone(mapping))
            if isinstance(copy, tile.RingWait):
                handles.append(copy.handle)
            continue
        a, turned_a = _as_loaded(op.a)
        right, turned_b = _as_loaded(op.b)
        acc = mapping[op.acc]
        mapping[op.y] = b.create(
            tile.DotAsync,
            mapping[a],
            mapping[right],
            acc,
            transpose_a=turned_a,
            transpose_b=turned_b,
        )
    if not handles:
        raise InternalError(loop.loc, what="a loop of products streams nothing")
    return [mapping[v] for v in loop.yields.operands], handles
