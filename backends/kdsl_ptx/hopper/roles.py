"""Copying a planned tile program into its roles: what the producer keeps, what consumers keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kdsl.dialects.arith import Addi, index_constant
from kdsl.dialects.kdsl import Dot, LoadTile, Slice, StoreTile
from kdsl.dialects.scf import For, If, While, Yield
from kdsl.errors import InternalError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, BlockArgument, Op, Region, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import I32, ScalarType, TensorType
from kdsl.passes.software_pipeline import STAGE
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.copies import Maps, coordinates
from kdsl_ptx.hopper.plan import CHUNK, ONCE, OPERAND, PLACE, STREAM, Plan, stream_of
from kdsl_ptx.hopper.streams import ROWS


@dataclass
class Role:
    """A region being written.

    ``outside`` inserts before the loop over tiles, ``inside`` into its body. ``stand_ins`` are
    arguments of a block that exists nowhere: scalars of a tile that are still to be resolved.
    """

    name: str
    block: Block
    outside: Builder
    inside: Builder
    loop: While
    mapping: dict[Value, Value] = field(default_factory=dict)
    stand_ins: dict[Value, Value] = field(default_factory=dict)
    words: dict[Value, None] = field(default_factory=dict)

    def get(self, value: Value) -> Value:
        """Return what stands for a value of the kernel."""
        return self.mapping.get(value, value)


@dataclass(frozen=True)
class Program:
    """A planned kernel: its ops, its tensor maps, and what of it differs from tile to tile.

    ``in_tile`` are all values that do, ``scalars`` those that the scheduler can work out.
    """

    plan: Plan
    maps: Maps
    in_tile: set[Value]
    scalars: set[Value]


class Copier:
    """Copies a kernel's body into a role."""

    def __init__(self, program: Program, role: Role) -> None:
        self.program = program
        self.role = role
        self.done: set[Op] = set()

    def body(self, ops: Sequence[Op]) -> None:
        """Copy the body: what no tile changes goes before the loop over tiles."""
        for op in ops:
            results = set(op.results)
            if is_pure(op) and not op.regions and not (results & self.program.in_tile):
                self.role.outside.insert(op.clone(self.role.mapping))
            elif not results & self.program.scalars:
                self.op(self.role.inside, op)

    def block(self, b: Builder, ops: Sequence[Op]) -> None:
        """Copy the ops of a region, its terminator left out."""
        for op in ops:
            self.op(b, op)

    def op(self, b: Builder, op: Op) -> None:
        """Copy one op."""
        raise NotImplementedError

    def load(self, op: LoadTile, split_box: tuple[int, int]) -> tuple[BlockArgument, bool]:
        """Return the map of a load, for boxes of a size."""
        return self.program.maps.of(op, split_box)

    def loop(self, b: Builder, op: For, kept: list[int]) -> None:
        """Copy a loop with some of its carried values."""
        get = self.role.get
        block = Block(
            [op.lower.type, *(op.inits[i].type for i in kept)],
            [a.name for a in (op.body.args[0], *(op.carried[i] for i in kept))],
        )
        made = b.add(
            For,
            get(op.lower),
            get(op.upper),
            get(op.step),
            [get(op.inits[i]) for i in kept],
            types=[op.results[i].type for i in kept],
            regions=[Region([block])],
        )
        made.loc = op.loc
        self.role.mapping[op.induction] = block.args[0]
        for place, i in enumerate(kept):
            self.role.mapping[op.carried[i]] = block.args[place + 1]
        inner = Builder(block, loc=op.loc)
        self.block(inner, list(op.body)[:-1])
        inner.add(Yield, [get(op.yields.operands[i]) for i in kept])
        for place, i in enumerate(kept):
            self.role.mapping[op.results[i]] = made.results[place]

    def branch(self, b: Builder, op: If, kept: list[int]) -> None:
        """Copy a branch with some of its results."""
        regions = [Region([Block()]) if region.blocks else Region() for region in op.regions]
        made = b.add(
            If,
            self.role.get(op.condition),
            types=[op.results[i].type for i in kept],
            regions=regions,
        )
        made.loc = op.loc
        for source, region in zip(op.regions, regions, strict=True):
            if not source.blocks:
                continue
            inner = Builder(region.block, loc=op.loc)
            self.block(inner, list(source.block)[:-1])
            last = source.block.last
            assert last is not None
            inner.add(Yield, [self.role.get(last.operands[i]) for i in kept])
        for place, i in enumerate(kept):
            self.role.mapping[op.results[i]] = made.results[place]


def _scalars(values: Sequence[Value]) -> list[int]:
    return [i for i, v in enumerate(values) if isinstance(v.type, ScalarType)]


class Producer(Copier):
    """Loops and scalars, and copies into the ring."""

    def op(self, b: Builder, op: Op) -> None:
        if isinstance(op, LoadTile) and STREAM in op.attributes:
            self.stream(b, op)
        elif isinstance(op, For):
            self.loop(b, op, _scalars(op.results))
        elif isinstance(op, If):
            self.branch(b, op, _scalars(op.results))
        elif is_pure(op) and not any(
            isinstance(v.type, TensorType) for v in (*op.operands, *op.results)
        ):
            b.insert(op.clone(self.role.mapping))

    def stream(self, b: Builder, op: LoadTile) -> None:
        """Copy an entry's tiles when the last of its loads is there."""
        self.done.add(op)
        first = _first_of_entry(op)
        entry = entry_of(first)
        if not all(load in self.done for load in entry):
            return
        found = [self.load(load, load.y.type.shape) for load in entry]
        coords = [
            coordinates(b, load, split, self.role.get)
            for load, (_, split) in zip(entry, found, strict=True)
        ]
        b.add(
            tile.RingLoad,
            [m for m, _ in found],
            [c for each in coords for c in each],
            ranks=tuple(len(each) for each in coords),
            shapes=tuple(n for load in entry for n in load.y.type.shape),
            slabs=tuple(load.y.type.shape[0] for load in entry),
            split=tuple(int(split) for _, split in found),
        )


def _first_of_entry(op: LoadTile) -> LoadTile:
    """Return the first load, in program order, of the ring entry that a load belongs to."""
    stage, _, count = stream_of(op)
    assert op.parent is not None
    same = [o for o in op.parent if STREAM in o.attributes and stream_of(o)[0] == stage]
    at = same.index(op) // count * count
    first = same[at]
    assert isinstance(first, LoadTile)
    return first


class Consumer(Copier):
    """All work on tiles; loads that others do are waited for."""

    def op(self, b: Builder, op: Op) -> None:
        if isinstance(op, LoadTile) and STREAM in op.attributes:
            self.stream(b, op)
        elif isinstance(op, LoadTile) and OPERAND in op.attributes:
            self.operand(b, op)
        elif isinstance(op, StoreTile) and PLACE in op.attributes:
            self.store(b, op)
        elif isinstance(op, For):
            self.loop(b, op, list(range(len(op.results))))
        elif isinstance(op, If):
            self.branch(b, op, list(range(len(op.results))))
        else:
            copy = b.insert(op.clone(self.role.mapping))
            copy.attributes.pop(STAGE, None)

    def body(self, ops: Sequence[Op]) -> None:
        """Copy the body, and give tile slots back where their time has come."""
        if not self.program.plan.operands:
            self.role.inside.add(tile.TileRelease, lag=0)
        super().body(ops)
        if self.program.plan.operands:
            if self.program.plan.a_operand == "shared":
                self.write_back()
            self.release()

    def stream(self, b: Builder, op: LoadTile) -> None:
        """Wait for an entry at the first of its loads."""
        if op in self.done:
            return
        entry = entry_of(op)
        self.done.update(entry)
        wait = b.add(tile.RingWait, types=[*(load.y.type for load in entry), I32])
        for load, result in zip(entry, wait.tiles, strict=True):
            self.role.mapping[load.y] = result
        if stream_of(op)[0] >= ONCE:
            self.role.mapping[op.y] = b.create(tile.LoadFragment, wait.tiles[0])
            b.add(tile.RingRelease, wait.handle, read=True)

    def operand(self, b: Builder, op: LoadTile) -> None:
        """Take an operand from the tile slot, into registers when it is worked on there."""
        number = op.attributes[OPERAND]
        found: Value = b.create(tile.TileOperand, types=[op.y.type], index=number)
        if self.program.plan.a_operand == "registers" or _is_worked_on(op):
            found = b.create(tile.LoadFragment, found)
        self.role.mapping[op.y] = found

    def store(self, b: Builder, op: StoreTile) -> None:
        """Store a tile through shared memory, a chunk of columns after the other."""
        get = self.role.get
        chunk, place = op.attributes[CHUNK], op.attributes[PLACE]
        assert isinstance(chunk, int)
        value = get(op.value)
        rows, columns = value.type.shape  # type: ignore[attr-defined]
        where, split = self.program.maps.of(op, (ROWS, chunk))
        coords = coordinates(b, op, split, get)
        axis = 2 if split else 0
        for start in range(0, columns, chunk):
            part = value
            if chunk < columns:
                size = min(chunk, columns - start)
                part = b.create(Slice, value, offsets=(0, start), sizes=(rows, size), steps=(1, 1))
            at = list(coords)
            if start:
                step = start // tile.PANEL if split else start
                at[axis] = b.create(Addi, coords[axis], index_constant(b, step))
            if place == -1:
                b.add(tile.StoreWait)
            b.add(tile.TileStore, part, where, at, place=place, split=split)

    def write_back(self) -> None:
        """Write operands that were worked on back to their room, for products to read."""
        inside = self.role.inside.block
        for op in list(inside):
            for value in op.results:
                if _is_left_side(value) and not tile.is_shared(value):
                    index = _same_operand(self.program.plan.operands, value)
                    if index is None:
                        continue
                    b = Builder.after(op)
                    made = b.add(tile.OperandStore, value, index=index)
                    for user in list(value.users):
                        if isinstance(user, Dot) and user.a is value:
                            user.set_operand(0, made.y)

    def release(self) -> None:
        """Give the tile slot back: one tile later when the output leaves from it and there are two.

        The wait for the last tile's output then stands behind the first product, not before it.
        """
        plan, inside = self.program.plan, self.role.inside
        stores = any(isinstance(op, tile.TileStore) and op.place >= 0 for op in inside.block)
        if plan.slots == 1 or not stores:
            inside.add(tile.TileRelease, lag=0)
            return
        block: Block = inside.block
        while True:
            branch = next((op for op in block if isinstance(op, For | If)), None)
            anchor: Op | None = branch
            if isinstance(branch, If) and _waits(branch):
                other = branch.regions[1].block
                Builder(other, other.first, branch.loc).add(tile.TileRelease, lag=1)
                block = branch.regions[0].block
                continue
            if anchor is None:
                anchor = block.last if block is not inside.block else block.first
            Builder(block, anchor, inside.loc).add(tile.TileRelease, lag=1)
            return


def _waits(branch: If) -> bool:
    has_both = all(region.blocks for region in branch.regions)
    return has_both and any(isinstance(op, tile.RingWait) for op in branch.regions[0].block)


def _is_left_side(value: Value) -> bool:
    """Return whether products take a value as their left side."""
    return any(isinstance(user, Dot) and user.a is value for user in value.users)


def _same_operand(operands: Sequence[int], value: Value) -> int | None:
    """Return the operand of a tile slot that has a value's shape."""
    for i in range(0, len(operands), 2):
        if tuple(operands[i : i + 2]) == value.type.shape:  # type: ignore[attr-defined]
            return i // 2
    return None


def _is_worked_on(op: LoadTile) -> bool:
    """Return whether an operand goes through other ops before a product takes it."""
    return any(not isinstance(user, Dot) for user in op.y.users)


def is_pure(op: Op) -> bool:
    """Return whether an op has no effect."""
    return isinstance(op, DeclaredOp) and op.is_pure


def entry_of(first: LoadTile) -> list[LoadTile]:
    """Return the loads of a ring entry, given the first of them, in their order in the entry."""
    stage, _, count = stream_of(first)
    found: dict[int, LoadTile] = {}
    op: Op | None = first
    while op is not None and len(found) < count:
        if STREAM in op.attributes:
            other, number, _ = stream_of(op)
            if other == stage:
                assert isinstance(op, LoadTile)
                found.setdefault(number, op)
        op = op.next
    if len(found) < count:
        raise InternalError(first.loc, what="the loads of a ring entry are apart")
    return [found[i] for i in range(count)]
