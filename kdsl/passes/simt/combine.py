"""Combining what the lanes of a workgroup hold; every lane gets the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kdsl.dialects.arith import CMPI, Addi, Andi, Cmpi, IndexCast, index_constant
from kdsl.dialects.gpu import WORKGROUP
from kdsl.dialects.kdsl import WorkgroupAlloc
from kdsl.dialects.memref import Load, Store
from kdsl.dialects.scf import If, Yield
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Region, Value
from kdsl.ir.types import INDEX, ScalarType, memref
from kdsl.passes.distribute.hazards import Hazards
from kdsl.passes.distribute.lane import Lane

FEW_PARTS = 4
"""So many values every lane combines by itself."""
MOST_PARTS = 32
"""More values than these are combined in steps, by several lanes."""
Combine = Callable[[Builder, Value, Value], Value]


@dataclass
class Team:
    """The lanes of a workgroup, memory that they share, and what they did there since a barrier."""

    lane: Lane
    hazards: Hazards = field(default_factory=Hazards)
    _room: dict[tuple[ScalarType, int], Value] = field(default_factory=dict)

    @property
    def builder(self) -> Builder:
        return self.lane.builder

    def barrier(self) -> None:
        """Wait for all lanes."""
        self.lane.barrier()
        self.hazards.clear()

    def before(self, touched: Hazards) -> None:
        """Wait if what comes would meet what other lanes did before; note what comes."""
        for earlier, writes in ((touched.reads, False), (touched.writes, True)):
            if any(self.hazards.must_wait(b, key, writes=writes) for b, key in earlier):
                self.barrier()
                break
        self.hazards.merge(touched)

    def combined(self, value: Value, number: int, combine: Combine) -> Value:
        """Return all lanes' values combined, on every lane.

        ``number`` tells apart what is combined side by side: it has its own room in memory.
        """
        lane, b = self.lane, self.builder
        value = self._across(value, lane.subgroup, combine)
        if lane.warps == 1:
            return value
        room = self.room(value.type, lane.warps, number)
        self._put(value, room)
        if lane.warps > MOST_PARTS:
            return self._halved(room, combine)
        self.before(_touches(room, writes=False))
        if FEW_PARTS < lane.warps <= lane.subgroup and lane.warps & (lane.warps - 1) == 0:
            mine = b.create(Load, room, [self._part_of_lane()])
            return self._across(mine, lane.warps, combine)
        parts = [b.create(Load, room, [lane.index(i)]) for i in range(lane.warps)]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=False)
            rest = parts[-1:] if len(parts) % 2 else []
            parts = [*(combine(b, x, y) for x, y in pairs), *rest]
        return parts[0]

    def _across(self, value: Value, width: int, combine: Combine) -> Value:
        """Combine the values of each run of ``width`` lanes; all of its lanes get the result."""
        lane = self.lane
        while width > 1:
            width //= 2
            other = lane.shuffle(value, "xor", lane.i32(width), lane.subgroup)
            value = combine(self.builder, value, other)
        return value

    def _part_of_lane(self) -> Value:
        """Return which subgroup's value a lane reads when all of them are spread over lanes."""
        lane = self.lane
        thread = lane.thread
        return lane.once(
            "subgroup's part",
            lambda b: b.create(Andi, thread, index_constant(b, lane.warps - 1)),
        )

    def _halved(self, room: Value, combine: Combine) -> Value:
        """Combine many values in memory, half of them with the other half until one is left."""
        lane, b = self.lane, self.builder
        count = lane.warps
        thread = lane.thread
        while count > 1:
            rest, count = count // 2, count - count // 2
            self.before(_touches(room, writes=True))
            takes = b.create(Cmpi, thread, lane.index(rest), predicate=CMPI["ult"])
            branch = b.add(If, takes, types=[], regions=[Region([Block()]), Region()])
            with b.at(branch.then_block):
                far = b.create(Addi, thread, lane.index(count))
                both = (b.create(Load, room, [thread]), b.create(Load, room, [far]))
                b.add(Store, combine(b, *both), room, [thread])
                b.create(Yield, [])
        self.before(_touches(room, writes=False))
        found: Value = b.create(Load, room, [lane.index(0)])
        return found

    def _put(self, value: Value, room: Value) -> None:
        """Let the first lane of each subgroup write its value."""
        lane = self.lane
        self.before(_touches(room, writes=True))
        first = lane.once(
            "subgroup's first",
            lambda b: b.create(Cmpi, lane.lane, lane.i32(0), predicate=CMPI["eq"]),
        )
        warp = lane.warp
        at = lane.once("warp as index", lambda b: b.create(IndexCast, warp, types=[INDEX]))
        branch = self.builder.add(If, first, types=[], regions=[Region([Block()]), Region()])
        with self.builder.at(branch.then_block):
            self.builder.add(Store, value, room, [at])
            self.builder.create(Yield, [])

    def room(self, kind: object, count: int, number: int) -> Value:
        """Return workgroup memory for ``count`` values; what is asked for twice is the same."""
        assert isinstance(kind, ScalarType)
        key = (kind, number)
        found = self._room.get(key)
        if found is None:
            size = max(count, self.lane.warps)
            wanted = memref((size,), kind, None, WORKGROUP)
            found = self._room[key] = self.lane.once(
                ("room", *key), lambda b: b.create(WorkgroupAlloc, types=[wanted])
            )
        return found


def _touches(buffer: Value, *, writes: bool) -> Hazards:
    found = Hazards()
    found.note(buffer, None, writes=writes)
    return found
