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
from kdsl.ir.core import Value
from kdsl.ir.types import F32, ScalarType, ShapedType, element_type, vector
from kdsl.passes.distribute.dot_plan import DotPlan
from kdsl.passes.distribute.scratch import in_order, into_scratch, place, runs, widest_access
from kdsl.target.layout import Layout, power_of_two

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

DEPTH = 4
"""Steps along the inner axis for which a lane reads its rows at once."""
UNROLLED = 2
"""So many groups of steps are written out instead of looped over."""


def multiply_add(low: Lowering, op: Dot, plan: DotPlan, acc: Value) -> Value:
    """Return ``acc + a @ b`` in the layout of the accumulator."""
    (m, depth), columns = op.a.type.shape, op.b.type.shape[1]
    element = plan.element
    pad = max(1, 16 * 8 // max(8, element.bits))
    rows = depth + pad, columns + pad
    buffer = low.lane.scratch(element, m * rows[0] + depth * rows[1])
    _stage(low, op.a, buffer, (rows[0], 1), 0)
    _stage(low, op.b, buffer, (rows[1], 1), m * rows[0])
    low.barrier()
    wide = _accumulator(element_type(acc.type))
    found = _converted(low, acc, wide)
    group = gcd(DEPTH, depth, widest_access(element), power_of_two(rows[0]))
    reader = _Reader(low, buffer, plan.c, rows, m * rows[0], wide, group)
    found = _loop(low, reader, found, depth)
    low.barrier()
    return _converted(low, found, element_type(acc.type))


def _stage(low: Lowering, value: Value, buffer: Value, strides: tuple[int, int], base: int) -> None:
    """Write an operand to workgroup memory."""
    if isinstance(value.op, Transpose) and low.held(value) is None:
        # The tile as it was loaded has the wider accesses.
        _stage(low, value.op.x, buffer, (strides[1], strides[0]), base)
        return
    layout = low.layout_of(value)
    into_scratch(low, buffer, low.fragment(value, layout), layout, strides, base)


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


class _Reader:
    """Reads a lane's rows and columns of the operands for a few steps of the inner axis."""

    def __init__(
        self,
        low: Lowering,
        buffer: Value,
        layout: Layout,
        strides: tuple[int, int],
        second: int,
        wide: ScalarType,
        group: int,
    ) -> None:
        self.low = low
        self.buffer = buffer
        self.strides = strides
        self.second = second
        self.wide = wide
        self.group = group
        at = layout.coordinates("reg")
        self.rows = sorted({int(r) for r, _ in at})
        self.columns = sorted({int(c) for _, c in at})
        self.row_of = [self.rows.index(int(r)) for r, _ in at]
        self.column_of = [self.columns.index(int(c)) for _, c in at]
        lane = low.lane
        self.row_base = lane.offset_index(layout, [strides[0], 0])
        self.column_base = lane.offset_index(layout, [0, 1])
        widest = gcd(widest_access(element_type(buffer.type)), strides[1], second)
        for d in layout.digits:
            if d.place != "reg" and d.dim == 1:
                widest = min(widest, power_of_two(d.step))
        self.width, self.pieces = runs(np.array(self.columns, np.int64), widest)

    def _load(self, base: Value | None, start: Value, offset: int, count: int) -> Value:
        lane, b = self.low.lane, self.low.builder
        element = element_type(self.buffer.type)
        index = place(lane, base, offset)
        if constant_of(start) != 0:
            index = b.create(Addi, index, start)
        made: Value = b.create(
            Load, self.buffer, [index], types=[vector(count, element)],
            alignment=count * max(8, element.bits) // 8,
        )  # fmt: skip
        return made

    def step(self, acc: Value, k: Value) -> Value:
        """Add the products of ``group`` steps from ``k`` on."""
        low, lane, b = self.low, self.low.lane, self.low.builder
        rows = lane.join([
            self._load(self.row_base, k, row * self.strides[0], self.group) for row in self.rows
        ])  # fmt: skip
        rows = _converted(low, rows, self.wide)
        down = b.create(Muli, k, lane.index(self.strides[1]))
        for i in range(self.group):
            start = self.second + i * self.strides[1]
            parts = [
                self._load(self.column_base, down, start + offset, self.width)
                for offset, _ in self.pieces
            ]
            columns = in_order(lane, parts, [registers for _, registers in self.pieces])
            columns = _converted(low, columns, self.wide)
            left = lane.pick(rows, [r * self.group + i for r in self.row_of])
            right = lane.pick(columns, self.column_of)
            if self.wide.kind == "f":
                acc = b.create(Fma, left, right, acc)
            else:
                acc = b.create(Addi, acc, b.create(Muli, left, right))
        return acc


def _loop(low: Lowering, reader: _Reader, acc: Value, depth: int) -> Value:
    lane = low.lane
    turns = depth // reader.group
    if turns <= UNROLLED:
        for turn in range(turns):
            acc = reader.step(acc, lane.index(turn * reader.group))
        return acc
    loop = for_loop(low.builder, lane.index(0), lane.index(depth), lane.index(reader.group), (acc,))
    with low.scope(loop.body):
        low.builder.add(Yield, [reader.step(loop.carried[0], loop.induction)])
    return loop.results[0]
