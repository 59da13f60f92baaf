"""Dots: a tile of accumulators in registers, one multiply-add for each vector and step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from kdsl.dialects.arith import CONTRACT, Addi, Andi, Muli, Select
from kdsl.dialects.kdsl import Dot, LoadTile
from kdsl.dialects.math import Fma
from kdsl.dialects.scf import If, Yield
from kdsl.ir.attributes import Opaque
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Region, Value
from kdsl.ir.types import element_type
from kdsl.passes.tile_layout import dot_demands
from kdsl.passes.tile_to_loops.access import interior_condition, write_scratch
from kdsl.passes.tile_to_loops.combine import combine, horizontal
from kdsl.passes.tile_to_loops.nest import ORIGIN, Coord, Coords, Nest
from kdsl.passes.tile_to_loops.plan import Plan
from kdsl.passes.tile_to_loops.pull import Puller
from kdsl.passes.tile_to_loops.scratch import Workspace

VECTOR_LOAD = 0.2
SCALAR_LOAD = 0.1
"""What loads cost beside multiply-adds."""
LATENCY = 8
"""Multiply-adds in flight that keep the units busy."""
MOST_ROWS = 16
MOST_VECTORS = 4
STEPS = 1
"""Steps along the inner axis for each turn of its loop: the units are busy already."""


def accumulators(registers: int) -> int:
    """Return how many registers may hold sums; the rest are for operands and latency."""
    return registers // 2 if registers >= 32 else registers * 3 // 4


Direct = dict[Value, LoadTile]
"""Operands that are read in place, and the loads that they come from."""
Pack = Callable[[Value, LoadTile], None]
"""Writes the copying of an operand into its buffer."""


@cache
def register_tile(others: int, vectors: int, registers: int) -> tuple[int, int]:
    """Choose how many rows and vectors of accumulators to hold: least cost for the whole tile."""
    best, found = float("inf"), (1, 1)
    for v in range(1, min(vectors, MOST_VECTORS) + 1):
        for r in range(1, min(others, MOST_ROWS) + 1):
            if r * v > accumulators(registers) or r * v + v + 1 > registers:
                break
            cost = sum(
                _step_cost(rows, lanes)
                for rows in _parts(others, r)
                for lanes in _parts(vectors, v)
            )
            if cost < best - 1e-9:
                best, found = cost, (r, v)
    return found


def _parts(extent: int, size: int) -> Iterator[int]:
    for _ in range(extent // size):
        yield size
    if extent % size:
        yield extent % size


def _step_cost(rows: int, vectors: int) -> float:
    return max(rows * vectors, LATENCY) + VECTOR_LOAD * vectors + SCALAR_LOAD * rows


def emit_dot(plan: Plan, space: Workspace, b: Builder, op: Dot, registers: int, pack: Pack) -> str:
    """Write a dot's nest; return how, for ``kernel.explain()``.

    Operands that may be read in place are, when they lie inside; else ``pack`` copies them first.
    """
    direct = plan.direct.get(op, {})
    condition: Value | None = None
    for load in direct.values():
        inside = interior_condition(b, space.index, load)
        if inside is not None:
            condition = inside if condition is None else b.create(Andi, condition, inside)
    if condition is None:
        return _emit(plan, space, b, op, registers, direct)
    choice = b.add(If, condition, types=[], regions=[Region([Block()]), Region([Block()])])
    assert choice.else_block is not None
    with b.at(choice.then_block):
        text = _emit(plan, space, b, op, registers, direct)
        b.add(Yield, [])
    with b.at(choice.else_block):
        for value, load in direct.items():
            pack(value, load)
        _emit(plan, space, b, op, registers, {})
        b.add(Yield, [])
    return f"{text}, {len(direct)} operands read in place"


def _emit(plan: Plan, space: Workspace, b: Builder, op: Dot, registers: int, direct: Direct) -> str:
    mode = plan.modes[op]
    m, k = op.a.type.shape
    n = op.b.type.shape[1]
    if mode == "k":
        return _Inner(plan, space, b, op, registers, direct).run(m, n, k)
    return _Outer(plan, space, b, op, registers, direct, mode).run(m, n, k)


class _Micro:
    """What both forms share."""

    def __init__(
        self,
        plan: Plan,
        space: Workspace,
        b: Builder,
        op: Dot,
        registers: int,
        direct: Direct,
        width: int,
    ) -> None:
        self.plan = plan
        self.op = op
        self.registers = registers
        self.nest = Nest(space, b, width)
        self.nest.inside = list(direct.values())
        self.puller = Puller(plan, self.nest, direct=direct)
        self.element = element_type(op.y.type)

    def multiply_add(self, x: Value, y: Value, acc: Value) -> Value:
        b = self.nest.inner
        if self.element.kind == "f":
            made = b.create(Fma, x, y, acc, fastmath=Opaque(CONTRACT))
        else:
            made = b.create(Addi, b.create(Muli, x, y), acc)
        assert isinstance(made, Value)
        return made

    def segments(self, extent: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Split an axis into whole tiles and a rest: start, stop, size."""
        whole = extent - extent % size
        if whole:
            yield 0, whole, size
        if extent > whole:
            yield whole, extent, extent - whole


class _Outer(_Micro):
    """Lanes along the rows ("m") or columns ("n") of the result."""

    def __init__(
        self,
        plan: Plan,
        space: Workspace,
        b: Builder,
        op: Dot,
        registers: int,
        direct: Direct,
        mode: str,
    ) -> None:
        lane = 0 if mode == "m" else 1
        width = plan.layout.width(op.y.type.shape[lane])
        super().__init__(plan, space, b, op, registers, direct, width)
        self.mode = mode
        self.lane = lane

    def run(self, m: int, n: int, k: int) -> str:
        width = self.nest.width
        extent, others = (m, n) if self.mode == "m" else (n, m)
        vectors, rest = divmod(extent, width)
        rows, abreast = register_tile(others, max(vectors, 1), self.registers)
        for start, stop, size in self.segments(vectors, abreast):
            self.panel(start * width, stop * width, size, others, rows, k)
        if rest:
            self.nest.count = rest
            rows, _ = register_tile(others, 1, self.registers)
            self.panel(vectors * width, extent, 1, others, rows, k)
            self.nest.count = width
        return f"dot {m}x{n}x{k}: {rows} x {abreast} registers of {width} lanes"

    def panel(self, start: int, stop: int, size: int, others: int, rows: int, k: int) -> None:
        """Write the tiles of all rows for panels of ``size`` vectors."""
        lanes = self.nest.open(start, stop, size * self.nest.width)
        for low, high, count in self.segments(others, rows):
            other = self.nest.open(low, high, count)
            self.tile(lanes.at, size, other.at, count, k)
            self.nest.close(other)
        self.nest.close(lanes)

    def coords(self, lane: Coord, other: Coord) -> Coords:
        return (lane, other) if self.mode == "m" else (other, lane)

    def tile(self, lane: Coord, vectors: int, other: Coord, rows: int, k: int) -> None:
        """Write the loop of one tile of accumulators."""
        nest = self.nest
        points = [
            self.coords(lane.plus(v * nest.width), other.plus(r))
            for r in range(rows)
            for v in range(vectors)
        ]
        start = [self.puller.vector(self.op.acc, at, self.lane)[0] for at in points]
        for low, high, steps in self.segments(k, STEPS):
            loop = nest.open(low, high, steps, start)
            sums = list(loop.carried)
            for s in range(steps):
                sums = self.step(sums, lane, vectors, other, rows, loop.at.plus(s))
            start = nest.close(loop, sums)
        home = self.plan.home(self.op.y)
        for at, value in zip(points, start, strict=True):
            write_scratch(nest, home, at, self.lane, value)

    def step(
        self, sums: list[Value], lane: Coord, vectors: int, other: Coord, rows: int, k: Coord
    ) -> list[Value]:
        nest, op = self.nest, self.op
        wide, narrow = (op.a, op.b) if self.mode == "m" else (op.b, op.a)
        loaded = []
        for v in range(vectors):
            at = lane.plus(v * nest.width)
            where = (at, k) if self.mode == "m" else (k, at)
            loaded.append(self.puller.vector(wide, where, 0 if self.mode == "m" else 1)[0])
        found = list(sums)
        for r in range(rows):
            at = other.plus(r)
            where = (k, at) if self.mode == "m" else (at, k)
            scalar = self.puller.vector(narrow, where, None)[0]
            for v in range(vectors):
                slot = r * vectors + v
                found[slot] = self.multiply_add(loaded[v], scalar, found[slot])
        return found


class _Inner(_Micro):
    """Lanes along the inner axis: sums of lanes at the end."""

    def __init__(
        self,
        plan: Plan,
        space: Workspace,
        b: Builder,
        op: Dot,
        registers: int,
        direct: Direct,
    ) -> None:
        width = plan.layout.width(op.a.type.shape[1])
        super().__init__(plan, space, b, op, registers, direct, width)

    def run(self, m: int, n: int, k: int) -> str:
        rows, columns = register_tile(m, n, self.registers)
        for start, stop, size in self.segments(n, columns):
            column = self.nest.open(start, stop, size)
            for low, high, count in self.segments(m, rows):
                row = self.nest.open(low, high, count)
                self.tile(row.at, count, column.at, size, k)
                self.nest.close(row)
            self.nest.close(column)
        held = f"{rows} x {columns} registers of {self.nest.width} lanes"
        return f"dot {m}x{n}x{k}: {held}, summed at the end"

    def tile(self, row: Coord, rows: int, column: Coord, columns: int, k: int) -> None:
        nest, op = self.nest, self.op
        zero = nest.space.constant(0, nest.lanes(self.element))
        sums = [zero] * (rows * columns)
        whole = k - k % nest.width
        if whole:
            loop = nest.open(0, whole, nest.width, sums)
            sums = nest.close(loop, self.step(loop.carried, row, rows, column, columns, loop.at))
        if k > whole:
            nest.count = k - whole
            sums = self.step(sums, row, rows, column, columns, Coord(None, whole))
            nest.count = nest.width
        home = self.plan.home(op.y)
        kind = "addf" if self.element.kind == "f" else "addi"
        for r in range(rows):
            for c in range(columns):
                at = (row.plus(r), column.plus(c))
                start = self.puller.pull(op.acc, at, None)[0]
                total = horizontal(nest.inner, kind, sums[r * columns + c])
                total = combine(nest.inner, kind, total, start)
                write_scratch(nest, home, at, home.lane, total)

    def step(
        self, sums: list[Value], row: Coord, rows: int, column: Coord, columns: int, k: Coord
    ) -> list[Value]:
        a_lane, b_lane = dot_demands("k")
        a = [
            self.real(self.puller.vector(self.op.a, (row.plus(r), k), a_lane)[0])
            for r in range(rows)
        ]
        found = list(sums)
        for c in range(columns):
            y = self.real(self.puller.vector(self.op.b, (k, column.plus(c)), b_lane)[0])
            for r in range(rows):
                slot = r * columns + c
                found[slot] = self.multiply_add(a[r], y, found[slot])
        return found

    def real(self, value: Value) -> Value:
        """Make the lanes beyond the inner axis zero."""
        nest = self.nest
        if nest.is_full:
            return value
        zero: Any = nest.space.constant(0, value.type)
        found = nest.inner.create(Select, nest.mask(), value, zero)
        assert isinstance(found, Value)
        return found


__all__ = ["ORIGIN", "emit_dot", "register_tile"]
