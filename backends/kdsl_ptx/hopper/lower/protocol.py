"""Tile slots, the ring, turns and output: how ops between roles become barriers and bulk copies.

Counts and parities are those of ``kdsl_ptx.dialect.tile``. A wait on *empty* starts with parity 1,
which a fresh barrier passes at once; a wait on *full* or *known* with parity 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kdsl.dialects import arith, kdsl, scf
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import I32, INDEX, TensorType
from kdsl.passes.distribute.lowering import Lowering
from kdsl_ptx.dialect import machine, tile
from kdsl_ptx.hopper.lower.lanes import Consumer, Cursor, RoleLane, get, put
from kdsl_ptx.hopper.lower.memory import (
    PANEL_BYTES,
    SWIZZLE_ALIGN,
    panels,
    round_up,
    tile_bytes,
)
from kdsl_ptx.hopper.lower.shared import SharedTile
from kdsl_ptx.hopper.lower.words import Words

VECTOR_WORDS = 4
"""Words that one access of shared memory moves."""
TURN_LANES = 256
"""Threads at a turn's barrier: those that pass it and those that wait."""


def role_lane(low: Lowering) -> RoleLane:
    """Return the lane of the role that is being written."""
    lane = low.lane
    assert isinstance(lane, RoleLane)
    return lane


def consumer_lane(low: Lowering) -> Consumer:
    """Return the lane of the consumer that is being written."""
    lane = low.lane
    assert isinstance(lane, Consumer)
    return lane


# ------------------------------------------------------------------------------------- barriers


def wait(words: Words, barrier: Value, parity: Value) -> None:
    """Wait until the phase of a barrier with this parity is over."""
    words.builder.add(machine.MbarrierWait, barrier, parity)


def arrive(words: Words, barrier: Value) -> None:
    """Count one arrival."""
    words.builder.add(machine.MbarrierArrive, barrier)


def wait_for(lane: RoleLane, cursor: Cursor, offset: int) -> None:
    """Wait for a cursor's slot at the barriers that start at ``offset``."""
    words = lane.words
    wait(words, cursor.barrier(words, lane.base, offset), cursor.parity(words))


# ------------------------------------------------------------------------------ scheduler's slots


def draw(op: tile.Draw, low: Lowering) -> None:
    """Draw a tile's number."""
    words, b = role_lane(low).words, low.builder
    first = words.differ(get(words, "scheduler.first"), 0)
    put(words, "scheduler.first", 0)
    own, later = Block(), Block()
    made = b.create(scf.If, first, types=[INDEX], regions=[Region([own]), Region([later])])
    with b.at(own):
        b.add(scf.Yield, [b.create(kdsl.ProgramId, axis=0)])
    with b.at(later):
        total = low.scalar(op.total)
        b.add(scf.Yield, [_next_tile(op, low, total) if op.persistent else total])
    low.scalars[op.tile] = made


def _next_tile(op: tile.Draw, low: Lowering, total: Value) -> Value:
    """Count the counter on; the last draw of a launch sets it back."""
    words, b = Words(low.builder), low.builder
    counter = low.scalar(op.counter)
    count = b.create(machine.AtomicAdd, counter, words.value(1))
    drawn = b.create(arith.IndexCastui, count, types=[INDEX])
    last = b.create(arith.Subi, total, words.value(1, INDEX))
    ends = b.create(arith.Cmpi, drawn, last, predicate=arith.CMPI["eq"])
    words.when(ends, lambda: _store_zero(low, counter))
    return _value(b.create(arith.Addi, drawn, b.create(kdsl.NumPrograms, axis=0)))


def _store_zero(low: Lowering, counter: Value) -> None:
    low.builder.add(machine.StoreGlobal, counter, Words(low.builder).value(0))


def publish(op: tile.Publish, low: Lowering) -> None:
    """Write the record once its slot is free, and say that it is known."""
    lane = role_lane(low)
    words, memory = lane.words, lane.memory
    wait_for(lane, lane.slots, memory.empty)
    at = lane.slots.at(words, lane.base, memory.record, memory.record_bytes)
    values = [low.scalar(v) for v in op.values]
    for i in range(0, len(values), VECTOR_WORDS):
        part = values[i : i + VECTOR_WORDS]
        for first, count in _powers(len(part)):
            chunk = part[first : first + count]
            low.builder.add(machine.StoreShared, words.add(at, 4 * (i + first)), chunk)
    arrive(words, lane.slots.barrier(words, lane.base, memory.known))


def _powers(count: int) -> list[tuple[int, int]]:
    """Cut a run of up to four words into accesses of 1, 2 or 4: (first, count)."""
    found, at = [], 0
    for size in (4, 2, 1):
        if count - at >= size:
            found.append((at, size))
            at += size
    return found


def tile_load(op: tile.TileLoad, low: Lowering) -> None:
    """Load the operands of a tile into its slot."""
    lane = role_lane(low)
    words, memory = lane.words, lane.memory
    full = lane.slots.barrier(words, lane.base, memory.full)
    if op.maps:
        into = lane.slots.at(words, lane.base, memory.operand, memory.slot_bytes)
        copy_tiles(op, low, full, into)
    else:
        arrive(words, full)
    lane.slots.advance(words)


# ------------------------------------------------------------------------------- reading records


def tile_record(op: tile.TileRecord, low: Lowering) -> None:
    """Wait for the next record and read it."""
    lane = role_lane(low)
    words, memory = lane.words, lane.memory
    known = op.ready == "known"
    wait_for(lane, lane.slots, memory.known if known else memory.full)
    at = lane.slots.at(words, lane.base, memory.record, memory.record_bytes)
    found = _read_words(low, at, len(op.results))
    for i, (result, word) in enumerate(zip(op.results, found, strict=True)):
        # A single thread needs no agreement, and must not ask its warp for one.
        same = not known and i in op.uniform
        low.scalars[result] = _value(low.builder.create(machine.ReduxOr, word)) if same else word
    if known:
        arrive(words, lane.slots.barrier(words, lane.base, memory.empty))
    else:
        put(words, Consumer.OPEN, lane.slots.slot(words))
    lane.slots.advance(words)


def tile_peek(op: tile.TilePeek, low: Lowering) -> None:
    """Wait until the next record is known, and read it."""
    lane = role_lane(low)
    words, memory = lane.words, lane.memory
    wait_for(lane, lane.slots, memory.known)
    at = lane.slots.at(words, lane.base, memory.record, memory.record_bytes)
    found = _read_words(low, at, len(op.results))
    low.scalars.update(zip(op.results, found, strict=True))


def _read_words(low: Lowering, at: Value, count: int) -> list[Value]:
    """Read words four at a time; a record is padded to that."""
    words = Words(low.builder)
    found: list[Value] = []
    for i in range(0, count, VECTOR_WORDS):
        place = words.add(at, 4 * i)
        op = low.builder.add(machine.LoadShared, place, types=[I32] * VECTOR_WORDS)
        found += op.results
    return found[:count]


def tile_operand(op: tile.TileOperand, low: Lowering) -> None:
    """Say where an operand of the open slot is."""
    lane = consumer_lane(low)
    words, memory = lane.words, lane.memory
    at = words.add(lane.base, memory.operand + memory.operand_at(op.index))
    if memory.slots > 1:
        at = words.add(at, words.mul(get(words, Consumer.OPEN), memory.slot_bytes))
    low.hold(op.y, SharedTile(at, memory.operands[op.index], _operand_slab(op), op.y.type.element))


def operand_store(op: tile.OperandStore, low: Lowering) -> None:
    """Write the warpgroup's rows over an operand, where its products read them."""
    lane = consumer_lane(low)
    words, memory = lane.words, lane.memory
    at = words.add(lane.base, memory.operand + memory.operand_at(op.index))
    if memory.slots > 1:
        at = words.add(at, words.mul(get(words, Consumer.OPEN), memory.slot_bytes))
    held = SharedTile(at, memory.operands[op.index], _operand_slab(op), op.y.type.element)
    held.write(low, low.fragment(op.x))
    low.builder.add(machine.FenceProxyAsync)
    lane.group_barrier()
    low.hold(op.y, held)


def _operand_slab(op: tile.TileOperand | tile.OperandStore) -> int:
    """Return the rows of one copy of the operand, as the scheduler's load says."""
    roles = _roles_of(op)
    for each in _ops_of(roles, 1):
        if isinstance(each, tile.TileLoad) and each.maps:
            return int(each.slabs[op.index])
    return int(op.y.type.shape[0])


def _ops_of(roles: tile.Roles, number: int) -> Iterator[Op]:
    """Yield the ops of a role."""
    for op in roles.regions[number].block:
        yield from op.walk()


def _roles_of(op: Any) -> tile.Roles:
    while not isinstance(op, tile.Roles):
        op = op.parent_op
    return op


def tile_release(op: tile.TileRelease, low: Lowering) -> None:
    """Give the open slot, or the one before it, back to the scheduler."""
    lane = consumer_lane(low)
    words, memory = lane.words, lane.memory
    slot = get(words, Consumer.OPEN)
    condition = lane.leads
    if op.lag:
        started = words.differ(get(words, Consumer.STARTED), 0)
        condition = words.both(condition, started)
        put(words, Consumer.STARTED, 1)
        if memory.slots == 2:
            slot = words.xor(slot, 1)
        else:
            slot = words.select(words.equal(slot, 0), memory.slots - 1, words.sub(slot, 1))
    barrier = words.add(words.add(lane.base, memory.empty), words.mul(slot, 8))
    if not op.lag and _comes_first(op):
        # Right behind the record: the other warps must have read it before the leader says so.
        lane.group_barrier()

    def give_back() -> None:
        if stores_from_slots(op):
            low.builder.add(machine.BulkWait, pending=0, read=True)
        arrive(words, barrier)

    words.when(condition, give_back)


def _comes_first(op: Op) -> bool:
    """Return whether nothing with an effect stands before an op in its block."""
    before = op.prev
    while before is not None and isinstance(before, DeclaredOp) and before.is_pure:
        before = before.prev
    return before is None


def stores_from_slots(op: Any) -> bool:
    """Return whether the consumers store tiles by bulk copies from tile slots."""
    return any(
        isinstance(each, tile.TileStore) and each.place >= 0 for each in _roles_of(op).walk()
    )


# ------------------------------------------------------------------------------------------ copies


def copy_tiles(op: Any, low: Lowering, full: Value, into: Value) -> None:
    """Expect the bytes of a load's tiles at the barrier ``full``, and start their copies."""
    shapes = tile.shapes_of(op)
    total = sum(tile_bytes(*shape) for shape in shapes)
    low.builder.add(machine.MbarrierExpect, full, bytes=total)
    at = 0
    rows = zip(op.maps, shapes, op.slabs, op.split, tile.coords_of(op), strict=True)
    for map_, shape, slab, split, coords in rows:
        _copy_tile(low, full, (into, at), low.scalar(map_), shape, slab, split, coords)
        at += round_up(tile_bytes(*shape), SWIZZLE_ALIGN)


def _copy_tile(
    low: Lowering, full: Value, into: tuple[Value, int], map_: Value, shape: tuple[int, int],
    slab: int, split: int, coords: Sequence[Value],
) -> None:  # fmt: skip
    words = Words(low.builder)
    at = [words.word(low.scalar(c)) for c in coords]
    for first in range(0, shape[0], slab):
        base = into[1] + first * panels(shape[1]) * PANEL_BYTES
        row = words.add(at[1], first)
        for panel in range(1 if split else panels(shape[1])):
            place = [words.add(at[0], tile.PANEL * panel), row, *at[2:]]
            target = words.add(into[0], base + panel * slab * PANEL_BYTES)
            low.builder.add(machine.TmaLoad, target, map_, full, place)


def ring_load(op: tile.RingLoad, low: Lowering) -> None:
    """Fill the next entry of the ring once it is empty."""
    lane = role_lane(low)
    words, memory = lane.words, lane.memory
    wait_for(lane, lane.ring, memory.ring_empty)
    full = lane.ring.barrier(words, lane.base, memory.ring_full)
    copy_tiles(op, low, full, lane.ring.at(words, lane.base, memory.ring, memory.ring_bytes))
    lane.ring.advance(words)


def ring_wait(op: tile.RingWait, low: Lowering) -> None:
    """Wait for the next entry of the ring; say where its tiles are."""
    lane = consumer_lane(low)
    words, memory = lane.words, lane.memory
    wait_for(lane, lane.ring, memory.ring_full)
    base = lane.ring.at(words, lane.base, memory.ring, memory.ring_bytes)
    slabs = _entry_slabs(op)
    at = 0
    for value, slab in zip(op.tiles, slabs, strict=True):
        kind = value.type
        assert isinstance(kind, TensorType)
        shape = (kind.shape[0], kind.shape[1])
        low.hold(value, SharedTile(words.add(base, at), shape, slab, kind.element))
        at += round_up(tile_bytes(*shape), SWIZZLE_ALIGN)
    low.scalars[op.handle] = lane.ring.barrier(words, lane.base, memory.ring_empty)
    lane.ring.advance(words)


def _entry_slabs(op: tile.RingWait) -> list[int]:
    """Return the rows of one copy of each tile of an entry, as the producer's loads say."""
    wanted = [t for v in op.tiles for t in v.type.shape]  # type: ignore[attr-defined]
    for each in _ops_of(_roles_of(op), 0):
        if isinstance(each, tile.RingLoad) and list(each.shapes) == wanted:
            return list(each.slabs)
    return wanted[::2]


def ring_release(op: tile.RingRelease, low: Lowering) -> None:
    """Give an entry of the ring back to the producer."""
    lane = consumer_lane(low)
    handle = low.scalar(op.handle)
    if op.read:
        lane.group_barrier()
    lane.words.when(lane.leads, lambda: arrive(lane.words, handle))


# ------------------------------------------------------------------------------------------- turns


def turn_wait(op: tile.TurnWait, low: Lowering) -> None:
    """Wait until the warpgroup before this one has passed the turn on."""
    del op
    lane = consumer_lane(low)
    if lane.groups > 1:
        low.builder.add(machine.BarSync, lane.turn, threads=TURN_LANES)


def turn_pass(op: tile.TurnPass, low: Lowering) -> None:
    """Pass the turn on."""
    del op
    lane = consumer_lane(low)
    if lane.groups > 1:
        low.builder.add(machine.BarArrive, lane.next_turn, threads=TURN_LANES)


def give_first_turn(lane: Consumer) -> None:
    """Let the last warpgroup pass the turn to the first."""
    words = lane.words
    last = words.equal(lane.group, lane.groups - 1)
    barrier = lane.next_turn
    words.when(last, lambda: words.builder.add(machine.BarArrive, barrier, threads=TURN_LANES))


# ------------------------------------------------------------------------------------------ output


def tile_store(op: tile.TileStore, low: Lowering) -> None:
    """Write the warpgroup's rows to shared memory, and let one thread copy them out."""
    lane = consumer_lane(low)
    words, memory = lane.words, lane.memory
    kind = op.value.type
    offset = memory.staging if op.place < 0 else memory.operand + memory.operand_at(op.place)
    at = words.add(lane.base, offset)
    if op.place >= 0 and memory.slots > 1:
        at = words.add(at, words.mul(get(words, Consumer.OPEN), memory.slot_bytes))
    own = SharedTile(at, kind.shape, lane_rows(kind.shape[0], lane))
    own.write(low, low.fragment(op.value))
    low.builder.add(machine.FenceProxyAsync)
    lane.group_barrier()
    words.when(lane.leads, lambda: _copy_out(op, low, lane, own.group_base(lane)))


def lane_rows(rows: int, lane: Consumer) -> int:
    """Return how many rows of a tile a warpgroup has."""
    return rows // lane.groups


def _copy_out(op: tile.TileStore, low: Lowering, lane: Consumer, source: Value) -> None:
    words = Words(low.builder)
    shape = op.value.type.shape
    rows = lane_rows(shape[0], lane)
    at = [words.word(low.scalar(c)) for c in op.coords]
    row = words.add(at[1], lane.group_row)
    map_ = low.scalar(op.map)
    for panel in range(1 if op.split else panels(shape[1])):
        place = [words.add(at[0], tile.PANEL * panel), row, *at[2:]]
        part = words.add(source, panel * rows * PANEL_BYTES)
        low.builder.add(machine.TmaStore, map_, part, place)
    low.builder.add(machine.BulkCommit)


def store_wait(op: tile.StoreWait, low: Lowering) -> None:
    """Wait until the warpgroup's copies have read shared memory."""
    del op
    lane = consumer_lane(low)
    lane.words.when(lane.leads, lambda: low.builder.add(machine.BulkWait, pending=0, read=True))
    lane.group_barrier()


# -------------------------------------------------------------------------------------- dependence


def grid_dependency_wait(op: tile.GridDependencyWait, low: Lowering) -> None:
    """Wait for the launch before this one."""
    del op
    low.builder.add(machine.GriddepWait)


def launch_dependents(op: tile.LaunchDependents, low: Lowering) -> None:
    """Let the launch after this one start."""
    del op
    low.builder.add(machine.GriddepLaunch)


def _value(x: object) -> Value:
    assert isinstance(x, Value)
    return x


RULES: dict[Any, Any] = {
    tile.Draw: draw,
    tile.Publish: publish,
    tile.TileLoad: tile_load,
    tile.TileRecord: tile_record,
    tile.TilePeek: tile_peek,
    tile.TileOperand: tile_operand,
    tile.OperandStore: operand_store,
    tile.TileRelease: tile_release,
    tile.RingLoad: ring_load,
    tile.RingWait: ring_wait,
    tile.RingRelease: ring_release,
    tile.TurnWait: turn_wait,
    tile.TurnPass: turn_pass,
    tile.TileStore: tile_store,
    tile.StoreWait: store_wait,
    tile.GridDependencyWait: grid_dependency_wait,
    tile.LaunchDependents: launch_dependents,
}
"""How the ops between roles are written."""
