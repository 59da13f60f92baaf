"""Splitting a planned tile program into the roles of a warp-specialised kernel.

Each role is the whole program without what the others do: the producer keeps the loops and copies
what they stream into the ring, the scheduler keeps the scalars of a tile and copies its operands,
the consumers keep all work on tiles. Scalars that differ from tile to tile are worked out by the
scheduler and published as a record when they take divisions or decide how far a loop runs; the
other roles work out sums and extremes of them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Cmpi,
    Constant,
    Extui,
    IndexCast,
    Maxsi,
    Minsi,
    Muli,
    Select,
    Subi,
    constant,
    index_constant,
)
from kdsl.dialects.func import Func, Return
from kdsl.dialects.kdsl import Dot, Launch, LoadTile, ProgramId, Slice, StoreTile
from kdsl.dialects.scf import Condition, For, If, While, Yield
from kdsl.errors import InternalError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, BlockArgument, Module, Op, Region, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import I32, ScalarType, TensorType
from kdsl.passes.dce import sweep
from kdsl.passes.manager import Pass
from kdsl.passes.parallel import launches_by_kernel
from kdsl.passes.software_pipeline import STAGE
from kdsl.passes.speculation import is_speculatable
from kdsl.target.target import Target
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.copies import Maps, coordinates
from kdsl_ptx.hopper.persistent import (
    GridArguments,
    add_arguments,
    as_word,
    finish_signature,
    fits_word,
    from_word,
    program_ids,
    relaunch,
    streamed_loads,
    total_tiles,
)
from kdsl_ptx.hopper.plan import CHUNK, OPERAND, PLACE, STREAM, Plan, forget, planned
from kdsl_ptx.hopper.streams import ROWS

CHEAP = (Addi, Subi, Muli, Minsi, Maxsi, Cmpi, Select, IndexCast, Constant)
"""Scalar ops that a role repeats rather than reads from the record."""


@dataclass(frozen=True)
class WarpSpecialize(Pass):
    """Make roles of the kernels that have a plan, and launch them so."""

    name: ClassVar[str] = "warp-specialize"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for name, launches in launches_by_kernel(module).items():
            kernel = module.function(name)
            plan = planned(kernel)
            if plan is not None:
                assert isinstance(kernel, Func)
                _Specializer(kernel, plan).run(launches)
                changed = True
        return changed


@dataclass
class _Role:
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


class _Specializer:
    """Rewrites one kernel."""

    def __init__(self, kernel: Func, plan: Plan) -> None:
        self.kernel = kernel
        self.plan = plan
        self.maps = Maps(kernel)
        self.grid = add_arguments(kernel)
        for op in list(kernel.body):
            _hoist_scalars(op)
        self.old = list(kernel.body)[:-1]
        self.in_tile = _tile_dependent(self.old)
        self.scalars = _scheduled_scalars(self.old, self.in_tile)
        self.uniform = _control_values(self.old)
        self.loads = streamed_loads(kernel)

    def run(self, launches: Sequence[Launch]) -> None:
        """Write the roles, and the launches."""
        producer, consumer = self._role("producer"), self._role("consumer")
        _Producer(self, producer).body(self.old)
        _Consumer(self, consumer).body(self.old)
        words: dict[Value, None] = {}
        for role in (producer, consumer):
            role.inside.add(Yield, [])
            self._resolve(role)
            words.update(role.words)
        scheduler = _scheduler(self, self.grid, list(words))
        for role, ready in ((producer, "known"), (consumer, "full")):
            self._read_record(role, ready, list(words))
        finish_signature(self.kernel, self.maps)
        for launch in launches:
            relaunch(launch, self.kernel, self.maps, self.grid, self.plan, self.loads)
        self._replace_body([producer.block, scheduler, consumer.block], len(words) + 1)

    # -------------------------------------------------------------------------------- roles

    def _role(self, name: str) -> _Role:
        block = Block()
        outside = Builder(block, loc=self.kernel.loc)
        loop = outside.add(
            While, [], types=[], regions=[Region([Block()]), Region([Block()])]
        )
        outside.add(tile.End)
        role = _Role(
            name,
            block,
            Builder(block, loop, self.kernel.loc),
            Builder(loop.regions[1].block, loc=self.kernel.loc),
            loop,
        )
        nowhere = Block()
        for op in self.old:
            for r in op.results:
                if r in self.scalars:
                    stand_in = nowhere.add_argument(r.type, r.name)
                    role.stand_ins[stand_in] = r
                    role.mapping[r] = stand_in
        return role

    def _resolve(self, role: _Role) -> None:
        """Replace stand-ins that are used: by a word of the record, or by doing the sum again."""
        sweep_block(role.loop.regions[1].block)
        first = role.loop.regions[1].block.first
        ready: dict[Value, Value] = {}
        b = Builder(role.loop.regions[1].block, first, self.kernel.loc)
        by_value = {old: stand_in for stand_in, old in role.stand_ins.items()}

        def resolved(old: Value) -> Value:
            if old in ready:
                return ready[old]
            op = old.op
            assert op is not None
            if isinstance(op, CHEAP) and old not in self.uniform:
                known = {v: resolved(v) for v in op.operands if v in by_value}
                outer = {v: role.mapping[v] for v in op.operands if v in role.mapping}
                copy = b.insert(op.clone({**outer, **known}))
                ready[old] = copy.results[0]
            else:
                role.words[old] = None
                ready[old] = by_value[old]
            return ready[old]

        for stand_in, old in role.stand_ins.items():
            if stand_in.users:
                found = resolved(old)
                if found is not stand_in:
                    stand_in.replace_by(found)

    def _read_record(self, role: _Role, ready: str, words: list[Value]) -> None:
        """Read the record at the head of the role's loop, and hand its words to the body."""
        before, after = (region.block for region in role.loop.regions)
        b = Builder(before, loc=self.kernel.loc)
        uniform = [i for i, w in enumerate(words) if w in self.uniform and w in role.words]
        record = b.add(
            tile.TileRecord,
            types=[I32] * (len(words) + 1),
            ready=ready,
            uniform=(*uniform, len(words)),
        )
        zero = constant(b, 0, I32)
        live = b.create(Cmpi, record.results[-1], zero, predicate=CMPI["ne"])
        used = [(i, w) for i, w in enumerate(words) if w in role.words]
        b.add(Condition, live, [record.results[i] for i, _ in used])
        inside = Builder(after, after.first, self.kernel.loc)
        old_loop = role.loop
        by_value = {old: stand_in for stand_in, old in role.stand_ins.items()}
        for _, word in used:
            given = after.add_argument(I32, word.name)
            by_value[word].replace_by(from_word(inside, given, word))
        _retype(old_loop, [I32] * len(used))

    def _replace_body(self, blocks: list[Block], words: int) -> None:
        kernel, plan = self.kernel, self.plan
        end = kernel.body.last
        assert isinstance(end, Return)
        b = Builder.before(end)
        roles = b.add(
            tile.Roles,
            regions=[Region([block]) for block in blocks],
            consumers=plan.consumers,
            registers=plan.registers,
        )
        del roles
        for op in reversed(self.old):
            for r in op.results:
                if r.users:
                    raise InternalError(op.loc, what=f"a role still reads {op.name}")
            op.erase()
        forget(kernel)
        kernel.attributes[tile.SLOTS] = plan.slots
        kernel.attributes[tile.RECORD] = words
        kernel.attributes[tile.OPERANDS] = plan.operands
        kernel.attributes[tile.RING] = plan.ring
        kernel.attributes[tile.STAGING] = plan.staging
        kernel.attributes[tile.PING_PONG] = plan.ping_pong
        if plan.persistent:
            kernel.attributes[tile.PERSISTENT] = None


def _retype(loop: While, types: list[ScalarType]) -> None:
    """Give a loop that has no results yet results of these types."""
    from kdsl.ir.core import OpResult

    loop.results = [OpResult(loop, i, t) for i, t in enumerate(types)]


def _hoist_scalars(branch: Op) -> None:
    """Move scalars that need nothing of a branch or loop before it, for the scheduler to do."""
    for region in branch.regions:
        for block in region.blocks:
            for op in list(block):
                _hoist_scalars(op)
                if (
                    _is_pure(op)
                    and not op.regions
                    and bool(op.results)
                    and is_speculatable(op)
                    and all(isinstance(v.type, ScalarType) for v in (*op.operands, *op.results))
                    and not any(_is_within(v, branch) for v in op.operands)
                ):
                    assert branch.parent is not None
                    block.remove(op)
                    branch.parent.insert_before(branch, op)


def _is_within(value: Value, op: Op) -> bool:
    owner = value.block.parent_op if isinstance(value, BlockArgument) else value.op
    return owner is not None and owner.is_inside(op)


def sweep_block(block: Block) -> None:
    """Remove what is dead in a block."""
    holder = block.parent_op
    assert holder is not None
    sweep(holder)


def _tile_dependent(ops: Sequence[Op]) -> set[Value]:
    """Return the values of a kernel's body that depend on the program id."""
    found: set[Value] = set()
    for op in ops:
        reads = (v for o in op.walk() for v in o.operands)
        if isinstance(op, ProgramId) or any(v in found for v in reads) or not _is_pure(op):
            found.update(op.results)
    return found


def _scheduled_scalars(ops: Sequence[Op], in_tile: set[Value]) -> set[Value]:
    """Return the scalars of a tile that follow from its number without looking at tiles."""
    found: set[Value] = set()
    for op in ops:
        known = all(v in found or v not in in_tile for v in op.operands)
        if known and _is_scalar_work(op) and set(op.results) <= in_tile:
            found.update(op.results)
    return found


def _is_pure(op: Op) -> bool:
    return isinstance(op, DeclaredOp) and op.is_pure


def _control_values(ops: Sequence[Op]) -> set[Value]:
    """Return the values that loops and branches run by."""
    found: set[Value] = set()
    for op in ops:
        for each in op.walk():
            if isinstance(each, For):
                found |= {each.lower, each.upper}
            elif isinstance(each, If):
                found.add(each.condition)
    return found


def entry_of(first: LoadTile) -> list[LoadTile]:
    """Return the loads of a ring entry, given the first of them, in their order in the entry."""
    stage, _, count = first.attributes[STREAM]  # type: ignore[misc]
    found: dict[int, LoadTile] = {}
    op: Op | None = first
    while op is not None and len(found) < count:
        if STREAM in op.attributes:
            other, number, _ = op.attributes[STREAM]  # type: ignore[misc]
            if other == stage:
                assert isinstance(op, LoadTile)
                found.setdefault(number, op)
        op = op.next
    if len(found) < count:
        raise InternalError(first.loc, what="the loads of a ring entry are apart")
    return [found[i] for i in range(count)]


# ------------------------------------------------------------------------------------------ copying


class _Copier:
    """Copies a kernel's body into a role."""

    def __init__(self, owner: _Specializer, role: _Role) -> None:
        self.owner = owner
        self.role = role
        self.done: set[Op] = set()

    def body(self, ops: Sequence[Op]) -> None:
        """Copy the body: what no tile changes goes before the loop over tiles."""
        for op in ops:
            results = set(op.results)
            if _is_pure(op) and not op.regions and not (results & self.owner.in_tile):
                self.role.outside.insert(op.clone(self.role.mapping))
            elif not results & self.owner.scalars:
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
        return self.owner.maps.of(op, split_box)

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


class _Producer(_Copier):
    """Loops and scalars, and copies into the ring."""

    def op(self, b: Builder, op: Op) -> None:
        if isinstance(op, LoadTile) and STREAM in op.attributes:
            self.stream(b, op)
        elif isinstance(op, For):
            self.loop(b, op, _scalars(op.results))
        elif isinstance(op, If):
            self.branch(b, op, _scalars(op.results))
        elif _is_pure(op) and not any(
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
    stage, _, count = op.attributes[STREAM]  # type: ignore[misc]
    assert op.parent is not None
    same = [
        each
        for each in op.parent
        if STREAM in each.attributes and each.attributes[STREAM][0] == stage  # type: ignore[index]
    ]
    at = same.index(op) // count * count
    first = same[at]
    assert isinstance(first, LoadTile)
    return first


class _Consumer(_Copier):
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
        if not self.owner.plan.operands:
            self.role.inside.add(tile.TileRelease, lag=0)
        super().body(ops)
        if self.owner.plan.operands:
            if self.owner.plan.a_operand == "shared":
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

    def operand(self, b: Builder, op: LoadTile) -> None:
        """Take an operand from the tile slot, into registers when it is worked on there."""
        number = op.attributes[OPERAND]
        found: Value = b.create(tile.TileOperand, types=[op.y.type], index=number)
        if self.owner.plan.a_operand == "registers" or _is_worked_on(op):
            found = b.create(tile.LoadFragment, found)
        self.role.mapping[op.y] = found

    def store(self, b: Builder, op: StoreTile) -> None:
        """Store a tile through shared memory, a chunk of columns after the other."""
        get = self.role.get
        chunk, place = op.attributes[CHUNK], op.attributes[PLACE]
        assert isinstance(chunk, int)
        value = get(op.value)
        rows, columns = value.type.shape  # type: ignore[attr-defined]
        where, split = self.owner.maps.of(op, (ROWS, chunk))
        coords = coordinates(b, op, split, get)
        axis = 2 if split else 0
        for start in range(0, columns, chunk):
            part = value
            if chunk < columns:
                size = min(chunk, columns - start)
                part = b.create(
                    Slice, value, offsets=(0, start), sizes=(rows, size), steps=(1, 1)
                )
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
                    index = _same_operand(self.owner.plan.operands, value)
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
        plan, inside = self.owner.plan, self.role.inside
        stores = any(isinstance(op, tile.TileStore) and op.place >= 0 for op in inside.block)
        if plan.slots == 1 or not stores:
            inside.add(tile.TileRelease, lag=0)
            return
        block: Block = inside.block
        while True:
            branch = next((op for op in block if isinstance(op, For | If)), None)
            anchor = branch
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


# ---------------------------------------------------------------------------------------- scheduler


def _scheduler(owner: _Specializer, grid: GridArguments, words: list[Value]) -> Block:
    """Write the role that draws tiles, publishes their records and loads their operands."""
    plan = owner.plan
    block = Block()
    outside = Builder(block, loc=owner.kernel.loc)
    total = total_tiles(outside, grid)
    mapping: dict[Value, Value] = {}
    for op in owner.old:
        if _is_pure(op) and not op.regions and not set(op.results) & owner.in_tile:
            outside.insert(op.clone(mapping))
    loop = outside.add(While, [], types=[], regions=[Region([Block()]), Region([Block()])])
    before = Builder(loop.regions[0].block, loc=owner.kernel.loc)
    number = before.create(tile.Draw, grid.counter, total, persistent=plan.persistent)
    ids = program_ids(before, number, grid, plan)
    for op in owner.old:
        if isinstance(op, ProgramId):
            mapping[op.y] = ids[op.axis]
        elif set(op.results) & owner.scalars:
            before.insert(op.clone(mapping))
    live = before.create(Cmpi, number, total, predicate=CMPI["slt"])
    record = [as_word(before, mapping[word]) for word in words]
    before.add(tile.Publish, [*record, before.create(Extui, live, types=[I32])])
    loads = [op for op in owner.old if OPERAND in op.attributes]
    carried = _operand_offsets(loads, mapping, owner.in_tile)
    before.add(Condition, live, [mapping[v] for v in carried])
    after = loop.regions[1].block
    for v in carried:
        mapping[v] = after.add_argument(v.type, v.name)
    _retype(loop, [v.type for v in carried])  # type: ignore[misc]
    inside = Builder(after, loc=owner.kernel.loc)
    _load_operands(inside, loads, owner.maps, mapping)
    inside.add(Yield, [])
    _load_operands(outside, [], owner.maps, mapping)
    outside.add(tile.End)
    return block


def _is_scalar_work(op: Op) -> bool:
    """Return whether the scheduler can do an op: scalars from scalars (a load of one included)."""
    values = (*op.operands, *op.results)
    return not op.regions and bool(op.results) and not any(
        isinstance(v.type, TensorType) for v in values
    )


def _operand_offsets(
    loads: list[Op], mapping: dict[Value, Value], in_tile: set[Value]
) -> list[Value]:
    """Return the scalars of a tile that the coordinates of its operands take."""
    found: dict[Value, None] = {}
    for load in loads:
        assert isinstance(load, LoadTile)
        found.update((v, None) for v in load.offsets if v in in_tile and v in mapping)
    return list(found)


def _load_operands(
    b: Builder, loads: list[Op], maps: Maps, mapping: dict[Value, Value]
) -> None:
    """Copy a tile's operands, in slabs of 64 rows: each warpgroup reads its own."""
    found = []
    for load in loads:
        assert isinstance(load, LoadTile)
        shape = load.y.type.shape
        where, split = maps.of(load, (ROWS, shape[1]))
        coords = coordinates(b, load, split, lambda v: mapping.get(v, v))
        found.append((where, split, coords, shape))
    b.add(
        tile.TileLoad,
        [where for where, *_ in found],
        [c for _, _, coords, _ in found for c in coords],
        ranks=tuple(len(coords) for _, _, coords, _ in found),
        shapes=tuple(n for *_, shape in found for n in shape),
        slabs=tuple(ROWS for _ in found),
        split=tuple(int(split) for _, split, *_ in found),
    )


def words_fit(values: Sequence[Value]) -> bool:
    """Return whether scalars fit a record."""
    return all(fits_word(v) for v in values)
