"""Dots without a matrix unit: a rectangle of the result in each lane, by multiply-adds."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from kdsl.dialects.arith import Addi, Extf, Extsi, Muli, Truncf, constant_of
from kdsl.dialects.kdsl import Dot, Transpose
from kdsl.dialects.math import Fma
from kdsl.dialects.scf import Yield, for_loop
from kdsl.dialects.vector import Load
from kdsl.ir.core import Value, defining_op
from kdsl.ir.types import F32, ScalarType, ShapedType, TensorType, element_type, vector
from kdsl.passes.distribute.dot_plan import DotPlan
from kdsl.passes.distribute.scratch import in_order, into_scratch, place, runs, widest_access
from kdsl.target.layout import Layout, power_of_two

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

DEPTH = 4
"""Steps along the inner axis whose elements a lane reads at once."""
UNROLLED = 2
"""So many groups of steps are written out instead of looped over."""
ACCESS_BYTES = 16


def multiply_add(low: Lowering, op: Dot, plan: DotPlan, acc: Value) -> Value:
    """Return ``acc + a @ b`` in the layout of the accumulator.

    As much of the inner axis at a time as workgroup memory holds.
    """
    depth = op.a.type.shape[1]
    wide = _accumulator(element_type(acc.type))
    found = _converted(low, acc, wide)
    chunk = _chunk(low, op, plan.element)
    sides = [
        _Side(low, op.a, plan.c, 0, chunk, 0),
        _Side(low, op.b, plan.c, 1, chunk, 0),
    ]
    sides[1].base = -(-sides[0].size // ACCESS_BYTES) * ACCESS_BYTES
    buffer = low.lane.scratch(plan.element, sides[1].base + sides[1].size)
    for first in range(0, depth, chunk):
        for side in sides:
            side.stage(buffer, first, depth)
        low.barrier()
        found = _loop(low, sides, found, chunk, wide)
        low.barrier()
    return _converted(low, found, element_type(acc.type))


def _chunk(low: Lowering, op: Dot, element: ScalarType) -> int:
    """Return how many steps of the inner axis are done between two barriers."""
    (rows, depth), columns = op.a.type.shape, op.b.type.shape[1]
    item = max(8, element.bits) // 8
    room = low.features.shared_bytes // 2
    for parts in range(1, depth + 1):
        count = depth // parts
        both = (rows + columns) * (count + ACCESS_BYTES // item) * item
        if depth % parts == 0 and (both <= room or count <= DEPTH or not room):
            return count
    return depth


def _accumulator(element: ScalarType) -> ScalarType:
    return F32 if element.kind == "f" and element.bits < F32.bits else element


def _converted(low: Lowering, fragment: Value, element: ScalarType) -> Value:
    kind = fragment.type
    assert isinstance(kind, ShapedType)
    source = kind.element
    if source is element:
        return fragment
    op: type[Any] = Extsi
    if element.kind == "f":
        op = Extf if source.bits < element.bits else Truncf
    made: Value = low.builder.create(op, fragment, types=[kind.with_element(element)])
    return made


class _Side:
    """One operand: a lane reads its rows of the first, its columns of the second.

    In workgroup memory the axis that was contiguous where the tile comes from is so again.
    """

    def __init__(
        self, low: Lowering, value: Value, layout: Layout, axis: int, chunk: int, base: int
    ) -> None:
        self.low = low
        self.base = base
        turn = defining_op(value, Transpose)
        turned = turn is not None
        self.source: Value = value if turn is None else turn.x
        # The inner axis is the last of the first operand, the first of the second.
        self.inner = int(axis == 0) ^ int(turned)
        self.by_steps = (axis == 0) != turned
        kind = value.type
        assert isinstance(kind, TensorType)
        self.outer = kind.shape[axis]
        item = max(8, kind.element.bits) // 8
        pad = max(1, ACCESS_BYTES // item)
        row = (chunk if self.by_steps else self.outer) + pad
        self.size = row * (self.outer if self.by_steps else chunk)
        self.steps = (row, 1) if self.by_steps else (1, row)
        self.chunk = chunk
        at = layout.coordinates("reg")[:, axis]
        self.places = sorted({int(c) for c in at})
        self.place_of = [self.places.index(int(c)) for c in at]
        factors = [0, 0]
        factors[axis] = self.steps[0]
        self.lane_base = low.lane.offset_index(layout, factors)
        widest = widest_access(kind.element)
        self.group = gcd(DEPTH, chunk, widest, row) if self.by_steps else gcd(DEPTH, chunk)
        if not self.by_steps:
            widest = gcd(widest, row)
            for d in layout.digits:
                if d.place != "reg" and d.dim == axis:
                    widest = min(widest, power_of_two(d.step))
        self.width, self.pieces = runs(np.array(self.places, np.int64), widest)

    def stage(self, buffer: Value, first: int, depth: int) -> None:
        """Write the steps from ``first`` on to workgroup memory."""
        self.buffer = buffer
        low = self.low
        strides = [0, 0]
        strides[self.inner], strides[1 - self.inner] = self.steps[1], self.steps[0]
        layout = low.layout_of(self.source)
        fragment = low.fragment(self.source, layout)
        base = self.base - first * self.steps[1]
        window = None if self.chunk == depth else (self.inner, first, self.chunk)
        into_scratch(low, buffer, fragment, layout, strides, base, window=window)

    def read(self, k: Value, group: int) -> Value:
        """Return the elements of ``group`` steps from ``k`` on."""
        lane, b = self.low.lane, self.low.builder
        if self.by_steps:
            return lane.join([self._load(k, p * self.steps[0], group) for p in self.places])
        down = b.create(Muli, k, lane.index(self.steps[1]))
        found = []
        for i in range(group):
            parts = [
                self._load(down, i * self.steps[1] + offset, self.width)
                for offset, _ in self.pieces
            ]
            found.append(in_order(lane, parts, [registers for _, registers in self.pieces]))
        return lane.join(found)

    def registers(self, step: int, group: int) -> list[int]:
        """Return which of the elements read each register of the accumulator takes at a step."""
        if self.by_steps:
            return [p * group + step for p in self.place_of]
        return [step * len(self.places) + p for p in self.place_of]

    def _load(self, start: Value, offset: int, count: int) -> Value:
        lane, b = self.low.lane, self.low.builder
        element = element_type(self.buffer.type)
        index = place(lane, self.lane_base, self.base + offset)
        if constant_of(start) != 0:
            index = b.create(Addi, index, start)
        made: Value = b.create(
            Load,
            self.buffer,
            [index],
            types=[vector(count, element)],
            alignment=count * max(8, element.bits) // 8,
        )
        return made


def _step(
    low: Lowering, sides: list[_Side], acc: Value, k: Value, group: int, wide: ScalarType
) -> Value:
    """Add the products of ``group`` steps from ``k`` on."""
    b, lane = low.builder, low.lane
    read = [_converted(low, side.read(k, group), wide) for side in sides]
    for i in range(group):
        left, right = (
            lane.pick(whole, side.registers(i, group))
            for side, whole in zip(sides, read, strict=True)
        )
        if wide.kind == "f":
            acc = b.create(Fma, left, right, acc)
        else:
            acc = b.create(Addi, acc, b.create(Muli, left, right))
    return acc


def _loop(low: Lowering, sides: list[_Side], acc: Value, depth: int, wide: ScalarType) -> Value:
    lane = low.lane
    group = min(side.group for side in sides)
    turns = depth // group
    if turns <= UNROLLED:
        for turn in range(turns):
            acc = _step(low, sides, acc, lane.index(turn * group), group, wide)
        return acc
    loop = for_loop(low.builder, lane.index(0), lane.index(depth), lane.index(group), (acc,))
    with low.scope(loop.body):
        found = _step(low, sides, loop.carried[0], loop.induction, group, wide)
        low.builder.add(Yield, [found])
    return loop.results[0]
