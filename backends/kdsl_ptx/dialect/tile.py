"""The tile level of a scheduled Hopper kernel: roles, rings, tile slots, matrix products in flight.

A scheduled kernel's body is one ``ptx.roles``: a producer thread, a scheduler thread, and a region
that all consumer warpgroups run. What they share is in shared memory:

- **Tile slots** (``ptx.slots`` of them, used in turn): a record of i32 words, written by the
  scheduler, and the operands that a tile of the grid has once (``ptx.operands``). A slot's barriers
  are *known* (count 1: the record is written), *full* (count 1 and bytes: the operands are there)
  and *empty* (count consumers + 1, the producer's read of the record being the one).
- **The ring** (``ptx.ring`` = slots, bytes of a slot): entries that the loop streams, in the order
  in which consumers wait for them. *full* has count 1 and bytes, *empty* has count consumers.
- **Staging** (``ptx.staging`` bytes): room for output on its way out, when no operand is free.

Every role steps through the slots by itself: its place and phase are machine state that the ops
move on. Ops with such effects stay in order. First waits for *empty* succeed at once.

Tiles from ``ptx.ring_wait`` and ``ptx.tile_operand`` are values that live in shared memory: matrix
products take them from there, anything else reads them into registers first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kdsl.dialects import rules
from kdsl.ir.core import Value
from kdsl.ir.define import (
    ANY,
    FIXED_INTEGER,
    INDEX_ONLY,
    MEMREF,
    TENSOR,
    Op,
    Pure,
    ReadsMemory,
    RegionEffects,
    Terminator,
    WritesMemory,
    attribute,
    operand,
    result,
)
from kdsl.ir.types import I32, I64, INDEX, TensorType, element_type

EFFECTS = (ReadsMemory, WritesMemory)

ROLES = ("producer", "scheduler", "consumer")
"""Regions of ``ptx.roles``, in order."""

SLOTS = "ptx.slots"
"""On a kernel: how many tile slots there are."""
RECORD = "ptx.record"
"""On a kernel: i32 words in a slot's record."""
OPERANDS = "ptx.operands"
"""On a kernel: array<i64>, rows and columns of each operand in a tile slot, flat."""
RING = "ptx.ring"
"""On a kernel: array<i64: slots, bytes of a slot>."""
STAGING = "ptx.staging"
"""On a kernel: bytes of the staging area; 0 or absent without one."""
MAPS = "ptx.tensor_maps"
"""On a kernel: array<i64>, numbers of the arguments that are tensor maps (128 bytes by value)."""
SCHEDULE = "ptx.schedule"
"""On a kernel: the schedule in words, for reports and errors."""
PDL = "ptx.pdl"
"""On a launch: may start before the launch before it has ended (programmatic dependent launch)."""
PERSISTENT = "ptx.persistent"
"""On a kernel: its grid is one workgroup for each multiprocessor, which draw tiles."""

PING_PONG = "ptx.ping_pong"
"""On a kernel, until products are in flight: "none", "issue" or "late"."""

PANEL = 64
"""16-bit elements in a row of a 128-byte swizzled panel."""


def is_shared(value: Value) -> bool:
    """Return whether a tile lives in shared memory."""
    made = isinstance(value.op, RingWait | TileOperand | OperandStore)
    return made and isinstance(value.type, TensorType)


# ------------------------------------------------------------------------------------------- host


class TensorMap(Op, name="ptx.tensor_map", traits=(Pure,)):
    """The address of the descriptor for bulk copies of boxes of ``source``.

    ``dims`` = [r, c]: the dimensions that a tile's rows and columns run along; c is the last and
    contiguous one. ``box`` = [rows, cols] of one copy. ``rows`` holds a stop along r, and one along
    c (a map that is not split), or is empty: from min(stop, size) on, elements read as zero and
    are not written.

    The map's dimensions, innermost first, all other dimensions of ``source`` from last to first.
    With ``split``: (64, size r, size c / 64, others...), a copy's box is (64, rows, cols / 64,
    1...). Without it: (size c, size r, others...), a copy is cols / 64 (rounded up) boxes (64,
    rows, 1...), 64 columns apart, that land one behind the other. In shared memory a box is panels
    of [rows] x [64 elements], 128-byte swizzled. Elements outside are zero, or not written.
    """

    source = operand(MEMREF)
    rows = operand(INDEX_ONLY, variadic=True)
    dims = attribute("ints")
    box = attribute("ints")
    split = attribute("bool")
    promotion = attribute("int", default=128)
    address = result(element=I64)

    @property
    def rank(self) -> int:
        """Dimensions of the map: as many coordinates does a copy take."""
        return int(self.source.type.rank) + (1 if self.split else 0)

    def verify(self) -> None:
        rank, (r, c) = self.source.type.rank, self.dims
        rules.require(self, c == rank - 1 and 0 <= r < c, f"dims {self.dims} of {self.source.type}")
        fits = len(self.rows) <= (1 if self.split else 2)
        rules.require(self, fits, f"{len(self.rows)} stops")
        rules.require(self, 0 < self.box[0] <= 256, f"a box has 1 to 256 rows, not {self.box[0]}")
        size = self.source.type.shape[c]
        fits = not self.split or (size > 0 and size % PANEL == 0 and self.box[1] % PANEL == 0)
        rules.require(self, fits, f"{size} columns are not cut into panels of {PANEL}")
        rules.require(self, self.rank <= 5, f"a map has at most 5 dimensions, not {self.rank}")
        bits = element_type(self.source.type).bits
        rules.require(self, bits == 16, f"elements have 16 bits, not {bits}")


class Counter(Op, name="ptx.counter", traits=EFFECTS):
    """The address of a zeroed 32-bit word that no other launch in flight uses."""

    address = result(element=I64)


class SmCount(Op, name="ptx.sm_count", traits=(Pure,)):
    """How many multiprocessors the device has."""

    y = result(element=INDEX)


# ------------------------------------------------------------------------------------------ roles


class End(Op, name="ptx.end", traits=(Terminator,)):
    """End of a role."""


class Roles(Op, name="ptx.roles", traits=(RegionEffects,), regions=3):
    """Run three regions side by side: producer, scheduler (one thread each), consumer.

    Warps 0 and 1 of warpgroup 0 give the threads; ``consumers`` warpgroups run region 2 together,
    tiles' rows cut into equal parts. ``registers`` = [of producer and scheduler, of consumers].
    Values from outside of the op are constants, arguments and pure scalars.
    """

    consumers = attribute("int")
    registers = attribute("ints")

    @property
    def producer(self) -> Any:
        return self.regions[0].block

    @property
    def scheduler(self) -> Any:
        return self.regions[1].block

    @property
    def consumer(self) -> Any:
        return self.regions[2].block

    def verify(self) -> None:
        for i in range(len(ROLES)):
            rules.ends_with(self, rules.takes(self, i, ()), End, ())
        rules.require(self, 1 <= self.consumers <= 3, "1 to 3 warpgroups consume")
        low, high = self.registers
        fits = low % 8 == 0 and high % 8 == 0 and 24 <= low <= high <= 240
        rules.require(self, fits, f"registers {low} and {high} are no multiples of 8 in 24 to 240")


# ------------------------------------------------------------------------------------- tile slots


class Draw(Op, name="ptx.draw", traits=EFFECTS):
    """Scheduler: draw the number of a tile; there need not be an empty slot for it yet.

    So the way to the counter, and what is worked out from the number, hide behind a running tile.
    The first draw gives the workgroup's number; later ones ``counter`` + number of workgroups, and
    count on. The draw that finds ``counter`` at ``total`` - 1 sets it back to zero. Numbers from
    ``total`` on are no tiles: the role publishes a dead record and ends. Without ``persistent`` the
    second draw gives ``total`` and touches no memory.
    """

    counter = operand(FIXED_INTEGER)
    total = operand(INDEX_ONLY)
    persistent = attribute("bool")
    tile = result(element=INDEX)


class Publish(Op, name="ptx.publish", traits=EFFECTS):
    """Scheduler: wait until the next slot is empty, write the record, and arrive at *known*.

    The last word is 0 in the dead record that ends all roles, else not 0.
    """

    values = operand(FIXED_INTEGER, variadic=True)

    def verify(self) -> None:
        rules.require(self, all(v.type is I32 for v in self.values), "a record holds i32 words")


class TileLoad(Op, name="ptx.tile_load", segments=True, traits=EFFECTS):
    """Scheduler: expect the bytes and load all operands into the slot, then go to the next slot.

    Operands and attributes are as for ``ptx.ring_load``. Without maps: arrive at *full* and
    go on (nothing to load, or the dead record).
    """

    maps = operand(FIXED_INTEGER, variadic=True)
    coords = operand(INDEX_ONLY, variadic=True)
    ranks = attribute("ints")
    shapes = attribute("ints")
    slabs = attribute("ints")
    split = attribute("ints")

    def verify(self) -> None:
        verify_copies(self)


class TileRecord(Op, name="ptx.tile_record", traits=EFFECTS):
    """Producer and consumer: wait until the next slot is ready, and read its record.

    ``ready`` = "known" (producer: at once arrives at *empty* after reading, and goes on) or "full"
    (consumer: the slot stays open until ``ptx.tile_release``). ``uniform`` lists the words that
    must be in uniform registers: bounds of loops and conditions of branches.
    """

    ready = attribute("string", choices=("known", "full"))
    uniform = attribute("ints")
    words = result(ANY, variadic=True)

    def verify(self) -> None:
        rules.require(self, all(r.type is I32 for r in self.results), "a record holds i32 words")


class TilePeek(Op, name="ptx.tile_peek", traits=EFFECTS):
    """Consumer: wait until the record of the next tile is known, and read it.

    The slot stays closed. A dead record has the words of some tile, so that loads by them stay
    inside of buffers.
    """

    words = result(ANY, variadic=True)

    def verify(self) -> None:
        rules.require(self, all(r.type is I32 for r in self.results), "a record holds i32 words")


class TileOperand(Op, name="ptx.tile_operand", traits=(ReadsMemory,)):
    """Consumer: operand ``index`` of the open slot."""

    index = attribute("int")
    y = result(TENSOR)


class OperandStore(Op, name="ptx.operand_store", traits=EFFECTS):
    """Consumer: write a tile over operand ``index`` of the open slot; give it, in shared memory.

    Each warpgroup writes its own 64 rows, which products of other warpgroups do not read.
    """

    x = operand(TENSOR)
    index = attribute("int")
    y = result(same_as="x")

    def verify(self) -> None:
        bits = self.x.type.element.bits
        rules.require(self, bits == 16, f"elements have 16 bits, not {bits}")


class TileRelease(Op, name="ptx.tile_release", traits=EFFECTS):
    """Consumer: give a tile slot back, once the warpgroup's stores from it have been read.

    ``lag`` 0: the open slot, which is closed. 1: the one before it (nothing at the first tile);
    the open slot stays open until the next record is read.
    """

    lag = attribute("int")

    def verify(self) -> None:
        rules.require(self, self.lag in (0, 1), f"lag is 0 or 1, not {self.lag}")


# ------------------------------------------------------------------------------------------- ring


class RingLoad(Op, name="ptx.ring_load", segments=True, traits=EFFECTS):
    """Producer: wait until the next entry is empty, expect its bytes, copy tiles into it, go on.

    ``maps`` has a tensor map for each tile, ``coords`` the coordinates for all of them in a row,
    ``ranks`` of each, in the order of the map's dimensions. ``shapes`` = rows, cols of each tile,
    flat; ``slabs`` = rows of one copy: a tile of more rows is copied in slabs, one behind the other
    in memory. ``split`` = for each tile whether its map is (1) or not (0): with 0 a copy is cols /
    64 boxes. Tiles lie in the entry one behind the other, each aligned to 1024 bytes.
    """

    maps = operand(FIXED_INTEGER, variadic=True)
    coords = operand(INDEX_ONLY, variadic=True)
    ranks = attribute("ints")
    shapes = attribute("ints")
    slabs = attribute("ints")
    split = attribute("ints")

    def verify(self) -> None:
        rules.require(self, bool(self.maps), "an entry holds a tile at least")
        verify_copies(self)


class RingWait(Op, name="ptx.ring_wait", traits=EFFECTS):
    """Consumer: wait until the next entry is full; give its tiles, then its handle (i32), go on."""

    entry = result(ANY, variadic=True)

    @property
    def tiles(self) -> Sequence[Value]:
        return self.results[:-1]

    @property
    def handle(self) -> Value:
        return self.results[-1]

    def verify(self) -> None:
        kinds = [r.type for r in self.results]
        fits = len(kinds) >= 2 and kinds[-1] is I32
        fits = fits and all(isinstance(k, TensorType) for k in kinds[:-1])
        rules.require(self, fits, "it gives tiles and a handle")


class RingRelease(Op, name="ptx.ring_release", traits=EFFECTS):
    """Consumer: give an entry back; its tiles may be overwritten from now on.

    ``read``: its tiles were read into registers, so the warps of the group meet first. Products
    need no meeting: what waits for them has waited for all warps.
    """

    handle = operand(FIXED_INTEGER)
    read = attribute("bool", default=False)


class TurnWait(Op, name="ptx.turn_wait", traits=EFFECTS):
    """Consumer: wait until it is this warpgroup's turn to issue products. The first one has it."""


class TurnPass(Op, name="ptx.turn_pass", traits=EFFECTS):
    """Consumer: give the turn to the next warpgroup (the last gives it to the first)."""


# ----------------------------------------------------------------------------------------- products


class LoadFragment(Op, name="ptx.load_fragment", traits=(ReadsMemory,)):
    """Read a tile in shared memory into registers, in the layout of a product's ``a`` operand."""

    x = operand(TENSOR)
    y = result(same_as="x")

    @staticmethod
    def evaluate(x: Any) -> Any:
        return x


class DotAsync(Op, name="ptx.dot_async", traits=EFFECTS):
    """Issue ``a @ b + acc`` as one group; the result may only go to ``acc`` or ``ptx.dot_wait``.

    With ``transpose_a`` (``transpose_b``) the operand is the transpose of the tile given: a tile
    lies in memory as it was loaded. ``a`` is in registers or in shared memory, ``b`` in shared
    memory. A constant zero as ``acc`` costs nothing.
    """

    a = operand(TENSOR)
    b = operand(TENSOR)
    acc = operand(TENSOR)
    transpose_a = attribute("bool", default=False)
    transpose_b = attribute("bool", default=False)
    y = result(same_as="acc")

    def evaluate(self, a: Any, b: Any, acc: Any) -> Any:
        a = a.T if self.transpose_a else a
        b = b.T if self.transpose_b else b
        return (a.astype(acc.dtype) @ b.astype(acc.dtype)) + acc

    def verify(self) -> None:
        a, b, acc = self.a.type, self.b.type, self.acc.type
        m, k = a.shape[::-1] if self.transpose_a else a.shape
        deep, n = b.shape[::-1] if self.transpose_b else b.shape
        fits = k == deep and acc.shape == (m, n) and a.element is b.element
        rules.require(self, fits, f"{a} x {b} + {acc}")


class DotWait(Op, name="ptx.dot_wait", traits=EFFECTS):
    """Wait until at most ``pending`` groups are in flight; the tiles are ready afterwards.

    Without tiles it only waits: operands of older groups may be given back.
    """

    tiles = operand(TENSOR, variadic=True)
    pending = attribute("int")
    ready = result(TENSOR, variadic=True)

    @staticmethod
    def evaluate(*tiles: Any) -> tuple[Any, ...]:
        return tiles

    def verify(self) -> None:
        rules.require(self, self.pending >= 0, "pending is a count")
        rules.same_types(self, "it gives", rules.types_of(self.results), rules.types_of(self.tiles))


# ------------------------------------------------------------------------------------------ output


class TileStore(Op, name="ptx.tile_store", traits=EFFECTS):
    """Consumer: bring a 16-bit tile into memory through shared memory, as one bulk copy a slab.

    Each warpgroup writes its 64 rows to its slab of operand ``place`` of the open slot (-1: of the
    staging area), and one of its threads stores the slab. ``coords`` are those of the whole tile,
    in the order of the map's dimensions; dimension 1 is the rows. ``split`` as for a load. The area
    is the warpgroup's own; ``ptx.store_wait`` and ``ptx.tile_release`` say when it is free again.
    """

    value = operand(TENSOR)
    map = operand(FIXED_INTEGER)
    coords = operand(INDEX_ONLY, variadic=True)
    place = attribute("int")
    split = attribute("bool")

    def verify(self) -> None:
        bits = self.value.type.element.bits
        rules.require(self, bits == 16, f"elements have 16 bits, not {bits}")


class StoreWait(Op, name="ptx.store_wait", traits=EFFECTS):
    """Consumer: wait until this warpgroup's bulk stores have read their source."""


# -------------------------------------------------------------------------------------- dependence


class GridDependencyWait(Op, name="ptx.grid_dependency_wait", traits=EFFECTS):
    """Wait until the launch before this one has ended and its writes can be seen."""


class LaunchDependents(Op, name="ptx.launch_dependents", traits=EFFECTS):
    """Let the launch after this one start when all workgroups have come here or ended."""


# ------------------------------------------------------------------------------------------ helpers


def shapes_of(op: Any) -> list[tuple[int, int]]:
    """Return rows and columns of each tile that a load copies."""
    flat = op.shapes
    return [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]


def coords_of(op: Any) -> list[list[Value]]:
    """Return the coordinates of each tile that a load copies."""
    left = iter(op.coords)
    return [[next(left) for _ in range(rank)] for rank in op.ranks]


def tiles_bytes(shapes: Sequence[tuple[int, int]]) -> int:
    """Return the bytes of 16-bit tiles in shared memory: rows of whole 128-byte panels."""
    return sum(-(-rows * 128 // 1024) * 1024 * -(-cols // PANEL) for rows, cols in shapes)


def verify_copies(op: Any) -> None:
    """Check the counts of a load's maps, coordinates, shapes and slabs."""
    count = len(op.maps)
    fits = len(op.shapes) == 2 * count and len(op.slabs) == len(op.split) == count
    fits = fits and len(op.ranks) == count and sum(op.ranks) == len(op.coords)
    rules.require(op, fits, f"{count} maps, shapes {op.shapes}, {len(op.coords)} coordinates")
    fits = all(r % s == 0 for (r, _), s in zip(shapes_of(op), op.slabs, strict=True))
    rules.require(op, fits, f"shapes {op.shapes} are no multiples of slabs {op.slabs}")
