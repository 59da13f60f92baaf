"""What nests are made of: tasks, groups that share a nest, and when tasks are apart in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from kdsl.dialects.arith import constant_of
from kdsl.dialects.kdsl import Gather, LoadTile, Scatter, StoreTile
from kdsl.ir.core import Op, Value
from kdsl.ir.types import TensorType
from kdsl.passes.tile_to_loops.plan import Plan
from kdsl.passes.tile_to_loops.scratch import Scratch


@dataclass(slots=True, eq=False)
class Task:
    """One thing to do at every point of an iteration space.

    ``kind``: "store" a tile in the buffer of ``owner`` whose lane axis is ``dest_lane`` (or in
    ``dest``), "write" it to memory, "reduce" it along ``axis``, or a "dot", "scan" or "scatter",
    each with a nest of its own. ``lane`` is the nest's lane axis; ``turned`` is the lane axis of
    what is written when that differs. A silent task computes for the others of its nest only.
    ``same`` are tiles read at the coordinates of the task, ``other`` those read elsewhere;
    ``loads`` the memory reads inside.
    """

    kind: str
    value: Value
    shape: tuple[int, ...]
    lane: int
    position: int
    op: Op | None = None
    axis: int | None = None
    turned: int | None = None
    dest: Scratch | None = None
    dest_lane: int = 0
    offset: tuple[int, int] | None = None
    makes: Value | None = None
    owner: Value | None = None
    is_copy: bool = False
    is_silent: bool = False
    same: set[Value] = field(default_factory=set)
    other: set[Value] = field(default_factory=set)
    loads: dict[LoadTile | Gather, bool] = field(default_factory=dict)

    @property
    def reads(self) -> set[Value]:
        return self.same | self.other

    @property
    def writes(self) -> Value | None:
        """The memory that is written."""
        if isinstance(self.op, StoreTile | Scatter) and self.kind in ("write", "scatter"):
            found = self.op.target
            assert isinstance(found, Value)
            return found
        return None

    @property
    def is_nested(self) -> bool:
        return self.kind in ("store", "write", "reduce") and self.turned is None


@dataclass(slots=True, eq=False)
class Group:
    """Tasks that share a nest."""

    tasks: list[Task]

    @property
    def first(self) -> Task:
        return self.tasks[0]

    @property
    def axis(self) -> int | None:
        return next((t.axis for t in self.tasks if t.axis is not None), None)

    def takes(self, task: Task) -> bool:
        """Return whether a task has the same iteration space."""
        first = self.first
        return (
            task.is_nested
            and first.is_nested
            and (task.shape, task.lane) == (first.shape, first.lane)
            and (task.axis is None or self.axis in (None, task.axis))
        )


@dataclass(slots=True, eq=False)
class Program:
    """A block's program: nests, and ops that stay (each may hold blocks of its own)."""

    items: list[Group | Op] = field(default_factory=list)


def pack_task(plan: Plan, value: Value, load: LoadTile) -> Task:
    """Return the task of copying a memory tile, converted or not, into its buffer."""
    lane, wanted = plan.nest_lane(value), plan.wanted_lanes(value)[0]
    assert isinstance(value.type, TensorType)
    task = Task("store", value, value.type.shape, lane, 0, value.op)
    task.makes = task.owner = value
    task.dest_lane = wanted
    task.turned = None if wanted == lane else wanted
    task.loads[load] = True
    return task


def same_places(reader: Task, writer: Task) -> bool:
    """Return whether a task reads, of the buffer that another writes, just what is written."""
    return all(
        load.source is not writer.writes
        or (same and isinstance(load, LoadTile) and _same_window(load, writer.op))
        for load, same in reader.loads.items()
    )


def are_apart(a: Op | None, b: Op | None) -> bool:
    """Return whether two stores to one buffer provably touch different elements."""
    if not (isinstance(a, StoreTile) and isinstance(b, StoreTile)) or a.dims != b.dims:
        return False
    for axis, dim in enumerate(a.dims):
        x, y = constant_of(a.offsets[dim]), constant_of(b.offsets[dim])
        if x is None or y is None:
            continue
        span = a.value.type.shape[axis] * a.steps[axis]
        if abs(x - y) >= max(span, b.value.type.shape[axis] * b.steps[axis]):
            return True
    return False


def _same_window(load: LoadTile, store: Op | None) -> bool:
    """Return whether a load reads exactly what a store writes."""
    return (
        isinstance(store, StoreTile)
        and (load.dims, load.steps) == (store.dims, store.steps)
        and all(x is y for x, y in zip(load.offsets, store.offsets, strict=True))
    )
