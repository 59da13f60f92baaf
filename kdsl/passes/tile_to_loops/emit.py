"""Writing the nest of a group of tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kdsl.dialects.arith import Andi, Select
from kdsl.dialects.kdsl import LoadTile, Reduce, StoreTile
from kdsl.dialects.scf import If, Yield
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.ir.types import TensorType, element_type
from kdsl.passes.tile_to_loops.access import (
    Access,
    interior_condition,
    write_memory,
    write_scratch,
)
from kdsl.passes.tile_to_loops.bounds import Masks
from kdsl.passes.tile_to_loops.combine import combine, horizontal, neutral
from kdsl.passes.tile_to_loops.nest import ORIGIN, Coord, Coords, Nest
from kdsl.passes.tile_to_loops.plan import Plan, is_tile
from kdsl.passes.tile_to_loops.pull import Puller
from kdsl.passes.tile_to_loops.scratch import Scratch, Workspace
from kdsl.passes.tile_to_loops.tasks import Group, Task
from kdsl.passes.tile_to_loops.turn import turn_block

TURNED = 4
"""Rows and lanes of the squares that are transposed in registers: two rounds of shuffles."""
VECTORS_ABREAST = 4
"""Vectors that a nest with a reduction handles side by side, to hide the latency of combining."""


def accesses_of(group: Group) -> list[Access]:
    """Return the memory tiles that a group reads or writes."""
    found: list[Access] = []
    for task in group.tasks:
        found += [x for x in task.loads if isinstance(x, LoadTile) and x not in found]
        if isinstance(task.op, StoreTile) and task.kind == "write":
            found.append(task.op)
    return found


def emit_group(plan: Plan, space: Workspace, b: Builder, group: Group) -> None:
    """Write a group's nest; twice when it touches memory or masks: the plain case and the edges."""
    conditions = [interior_condition(b, space.index, a) for a in accesses_of(group)]
    masks = Masks(plan, space, b)
    assumed: set[Op] = set()
    for task in group.tasks:
        for select in masks.selects_in(task.value):
            holds = None if select in assumed else masks.holds(select.condition)
            if holds is not None:
                assumed.add(select)
                conditions.append(holds)
    condition: Value | None = None
    for each in conditions:
        if each is not None and condition is not each:
            condition = each if condition is None else b.create(Andi, condition, each)
    scalars = [t.op for t in group.tasks if isinstance(t.op, Reduce) and not is_tile(t.op.y)]
    if condition is None:
        found = _Emitter(plan, space, b, group, interior=True, assumed=assumed).run()
    else:
        choice = b.add(
            If,
            condition,
            types=[op.y.type for op in scalars],
            regions=[Region([Block()]), Region([Block()])],
        )
        for region, interior in zip(choice.regions, (True, False), strict=True):
            with b.at(region.block):
                known = assumed if interior else set()
                made = _Emitter(plan, space, b, group, interior=interior, assumed=known).run()
                b.add(Yield, [made[op.y] for op in scalars])
        found = dict(zip([op.y for op in scalars], choice.results, strict=True))
    for op in scalars:
        op.y.replace_by(found[op.y])


class _Emitter:
    """Writes one version of a group's nest."""

    def __init__(
        self,
        plan: Plan,
        space: Workspace,
        b: Builder,
        group: Group,
        *,
        interior: bool,
        assumed: set[Op],
    ) -> None:
        self.plan = plan
        self.group = group
        self.tasks = group.tasks
        first = group.first
        self.shape = first.shape
        self.lane = first.lane
        self.axis = group.axis
        width = plan.layout.width(self.shape[self.lane])
        if first.turned is not None and self._is_square():
            width = min(width, TURNED)
        self.nest = Nest(space, b, width, interior=interior)
        self.puller = Puller(plan, self.nest, assumed)
        self.scalars: dict[Value, Value] = {}
        self.reduces = [t for t in self.tasks if t.kind == "reduce"]

    def _is_square(self) -> bool:
        """Return whether both axes of a transposing task have vectors to exchange."""
        rows = self.group.first.turned
        assert rows is not None
        widths = [min(TURNED, self.plan.layout.width(self.shape[a])) for a in (rows, self.lane)]
        return widths[0] == widths[1] > 1

    def run(self) -> dict[Value, Value]:
        """Write the nest; return the scalars that it makes."""
        coords = [ORIGIN] * len(self.shape)
        if self.group.first.turned is not None:
            self.turned(self.group.first, coords)
            return {}
        outer = [a for a in range(len(self.shape)) if a not in (self.lane, self.axis)]
        if self.axis is None:
            self.loops(outer, coords, self.each_lane)
        elif self.axis == self.lane:
            self.loops(outer, coords, self.along_lanes)
        else:
            self.loops(outer, coords, self.down)
        return self.scalars

    # --------------------------------------------------------------------------------- loops

    def loops(
        self, axes: Sequence[int], coords: list[Coord], body: Callable[[list[Coord]], None]
    ) -> None:
        """Run ``body`` within a loop over each of the axes."""
        if not axes:
            body(coords)
            return
        loop = self.nest.open(0, self.shape[axes[0]])
        inner = list(coords)
        inner[axes[0]] = loop.at
        self.loops(axes[1:], inner, body)
        self.nest.close(loop)

    def segments(self, extent: int, abreast: int) -> Iterator[tuple[int, int, int, int]]:
        """Split an axis into runs: start, stop, vectors side by side, lanes of the last."""
        width = self.nest.width
        full = extent // width
        whole = full - full % abreast
        if whole:
            yield 0, whole * width, abreast, width
        if full > whole:
            yield whole * width, full * width, full - whole, width
        if extent > full * width:
            yield full * width, extent, 1, extent - full * width

    @contextmanager
    def lanes(self, count: int) -> Iterator[None]:
        """Let only the first lanes of a vector be real."""
        self.nest.count = count
        yield
        self.nest.count = self.nest.width

    def each_lane(self, coords: list[Coord]) -> None:
        """Run over the lane axis without a reduction."""
        for start, stop, abreast, count in self.segments(self.shape[self.lane], 1):
            with self.lanes(count):
                loop = self.nest.open(start, stop, abreast * self.nest.width)
                at = list(coords)
                at[self.lane] = loop.at
                self.point(tuple(at))
                self.nest.close(loop)

    def point(self, coords: Coords) -> list[Value]:
        """Do the tasks for one vector; return what reductions combine."""
        writes: list[tuple[Task, Value]] = []
        combined: list[Value] = []
        for task in self.tasks:
            makes_it = task.kind == "store" and task.makes is task.value and not task.is_copy
            pull = self.puller.compute if makes_it else self.puller.pull
            found = self.nest.spread(*pull(task.value, coords, self.lane))[0]
            if task.kind == "reduce":
                combined.append(found)
            elif not task.is_silent:
                writes.append((task, found))
        for task, value in writes:
            self.write(task, coords, self.lane, value)
        return combined

    def write(self, task: Task, coords: Coords, lane: int, value: Value) -> None:
        """Write one vector of a store's or write's tile."""
        if task.kind == "write":
            assert isinstance(task.op, StoreTile)
            write_memory(self.nest, task.op, coords, lane, value)
            return
        exact = False
        if task.offset is not None:
            axis, offset = task.offset
            at = list(coords)
            at[axis] = at[axis].plus(offset)
            coords, exact = tuple(at), axis == lane
        write_scratch(self.nest, self.dest(task), coords, lane, value, exact=exact)

    def dest(self, task: Task) -> Scratch:
        if task.dest is not None:
            return task.dest
        assert task.owner is not None
        return self.plan.buffer(task.owner, task.dest_lane)

    # ----------------------------------------------------------------------------- reductions

    def starts(self, count: int) -> list[Value]:
        """Return the neutral vectors that ``count`` runs of each reduction begin with."""
        return [
            self.nest.space.constant(
                neutral(t.op.kind, element_type(t.value.type)),  # type: ignore[union-attr]
                self.nest.lanes(element_type(t.value.type)),
            )
            for t in self.reduces
            for _ in range(count)
        ]

    def down(self, coords: list[Coord]) -> None:
        """Reduce along an axis that is no lane axis: vectors stay apart."""
        assert self.axis is not None
        nest = self.nest
        for start, stop, abreast, count in self.segments(self.shape[self.lane], VECTORS_ABREAST):
            with self.lanes(count):
                outer = nest.open(start, stop, abreast * nest.width)
                inner = nest.open(0, self.shape[self.axis], 1, self.starts(abreast))
                sums = list(inner.carried)
                for v in range(abreast):
                    at = self.placed(coords, outer.at.plus(v * nest.width), inner.at)
                    for r, value in enumerate(self.point(at)):
                        slot = r * abreast + v
                        sums[slot] = self.combine(r, sums[slot], value)
                sums = nest.close(inner, sums)
                for r, task in enumerate(self.reduces):
                    for v in range(abreast):
                        at = self.placed(coords, outer.at.plus(v * nest.width), ORIGIN)
                        self.write_reduced(task, at, sums[r * abreast + v])
                nest.close(outer)

    def placed(self, coords: list[Coord], lane: Coord, axis: Coord) -> Coords:
        at = list(coords)
        assert self.axis is not None
        at[self.axis] = axis
        at[self.lane] = lane
        return tuple(at)

    def combine(self, which: int, x: Value, y: Value) -> Value:
        op = self.reduces[which].op
        assert isinstance(op, Reduce)
        return combine(self.nest.inner, op.kind, x, y)

    def write_reduced(self, task: Task, coords: Coords, value: Value) -> None:
        """Put a finished vector of a vertical reduction into the result's buffer."""
        assert isinstance(task.op, Reduce)
        assert task.axis is not None
        at = coords[: task.axis] + coords[task.axis + 1 :]
        lane = self.lane - (self.lane > task.axis)
        write_scratch(self.nest, self.plan.home(task.op.y), at, lane, value)

    def along_lanes(self, coords: list[Coord]) -> None:
        """Reduce along the lane axis: vectors are combined, then the lanes of the last one."""
        nest = self.nest
        extent = self.shape[self.lane]
        runs = min(VECTORS_ABREAST, max(1, extent // nest.width))
        sums = self.starts(runs)
        for start, stop, abreast, count in self.segments(extent, runs):
            with self.lanes(count):
                loop = nest.open(start, stop, abreast * nest.width, sums)
                found = list(loop.carried)
                for v in range(abreast):
                    at = list(coords)
                    at[self.lane] = loop.at.plus(v * nest.width)
                    for r, value in enumerate(self.point(tuple(at))):
                        slot = r * runs + v
                        found[slot] = self.combine(r, found[slot], self.real(r, value))
                sums = nest.close(loop, found)
        for r, task in enumerate(self.reduces):
            self.finish(task, coords, sums[r * runs : (r + 1) * runs], r)

    def real(self, which: int, value: Value) -> Value:
        """Make the lanes beyond the tile neutral."""
        if self.nest.is_full:
            return value
        start = self.starts(1)[which]
        found = self.nest.inner.create(Select, self.nest.mask(), value, start)
        assert isinstance(found, Value)
        return found

    def finish(self, task: Task, coords: list[Coord], sums: list[Value], which: int) -> None:
        """Combine the runs and the lanes of a horizontal reduction; keep the result."""
        op = task.op
        assert isinstance(op, Reduce)
        while len(sums) > 1:
            half = len(sums) // 2
            pairs = [self.combine(which, sums[i], sums[i + half]) for i in range(half)]
            sums = pairs + sums[2 * half :]
        total = horizontal(self.nest.inner, op.kind, sums[0])
        if not isinstance(op.y.type, TensorType):
            self.scalars[op.y] = total
            return
        at = tuple(c for a, c in enumerate(coords) if a != task.axis)
        write_scratch(self.nest, self.plan.home(op.y), at, 0, total)

    # ------------------------------------------------------------------------------ transposing

    def turned(self, task: Task, coords: list[Coord]) -> None:
        """Compute a tile along one lane axis and write it along another, through small squares."""
        assert task.turned is not None
        rows, lane = task.turned, self.lane
        width = self.nest.width
        if not self._is_square():
            self.loops([a for a in range(len(self.shape)) if a != lane], coords, self.each_lane)
            return
        outer = [a for a in range(len(self.shape)) if a not in (rows, lane)]

        def squares(at: list[Coord]) -> None:
            for low, high, _, row_count in self.segments(self.shape[rows], 1):
                outer_loop = self.nest.open(low, high, width)
                for start, stop, _, count in self.segments(self.shape[lane], 1):
                    loop = self.nest.open(start, stop, width)
                    place = list(at)
                    place[rows], place[lane] = outer_loop.at, loop.at
                    self.square(task, place, row_count, count)
                    self.nest.close(loop)
                self.nest.close(outer_loop)

        self.loops(outer, coords, squares)

    def square(self, task: Task, coords: list[Coord], row_count: int, count: int) -> None:
        """Compute up to width x width elements, transpose them in registers and write them."""
        nest, rows, lane = self.nest, task.turned, self.lane
        assert rows is not None
        element = element_type(task.value.type)
        makes_it = task.kind == "store" and task.makes is task.value and not task.is_copy

        def row(at_row: Coord) -> Value:
            at = list(coords)
            at[rows] = at_row
            pull = self.puller.compute if makes_it else self.puller.pull
            return nest.spread(*pull(task.value, tuple(at), lane))[0]

        with self.lanes(count):
            columns = turn_block(nest, element, coords[rows], row_count, row)
        with self.lanes(row_count):
            for i, column in enumerate(columns[:count]):
                at = list(coords)
                at[lane] = at[lane].plus(i)
                self.write(task, tuple(at), rows, column)
