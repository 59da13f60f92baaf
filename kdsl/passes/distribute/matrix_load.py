"""Reading fragments of 16-bit tiles from workgroup memory as 8x8 matrices, four at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kdsl.dialects.arith import Addi, Andi, IndexCast, Muli, Shrui, constant
from kdsl.dialects.lanes import LoadMatrix
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value
from kdsl.ir.types import I32, INDEX, element_type, vector
from kdsl.passes.distribute.scratch import place
from kdsl.target.layout import Digit, Layout

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

BITS = 16
SIDE = 8
ROW_BITS = 3
GROUPED = 4


def load_matrices(
    low: Lowering,
    buffer: Value,
    layout: Layout,
    strides: Sequence[int],
    start: Value | None,
    offset: int,
) -> Value | None:
    """Return a fragment read that way; None where layout or target do not have it."""
    kind = element_type(buffer.type)
    if not low.features.matrix_load or kind.bits != BITS or layout.rank != 2:
        return None
    pairs = _axes(layout)
    if pairs is None:
        return None
    along, rows = pairs
    transpose = strides[rows] == 1
    fast, slow = (rows, along) if transpose else (along, rows)
    if strides[fast] != 1 or strides[slow] % SIDE:
        return None
    origins = layout.coordinates("reg")[::2] @ np.array(strides, np.int64) + offset
    groups = _groups(origins)
    if groups is None or (origins % SIDE).any():
        return None
    count, first, steps = groups
    base = _lane_address(low, layout, strides, slow, steps, start)
    lane = low.lane
    found = [
        low.builder.create(
            LoadMatrix, buffer, [place(lane, base, int(at))], types=[vector(2 * count, kind)],
            count=count, transpose=transpose,
        )
        for at in first
    ]  # fmt: skip
    return lane.join(found)


def _axes(layout: Layout) -> tuple[int, int] | None:
    """Return the axis along which a lane holds pairs, and the other; None for other layouts."""
    registers, lanes = layout.of("reg"), layout.of("lane")
    if not registers or len(lanes) != 2 or registers[0].dim is None:
        return None
    along = registers[0].dim
    if registers[0] != Digit("reg", 2, along, 1):
        return None
    wanted = (Digit("lane", 4, along, 2), Digit("lane", SIDE, 1 - along, 1))
    return (along, 1 - along) if lanes == wanted else None


def _groups(origins: np.ndarray) -> tuple[int, list[int], tuple[int, ...]] | None:
    """Return how many matrices go together, where each group begins, and the steps inside.

    Within every group matrix i is ``steps[0] * (i & 1) + steps[1] * (i >> 1)`` from the first.
    """
    for count in (GROUPED, 2, 1):
        if len(origins) % count:
            continue
        table = origins.reshape(-1, count) - origins[::count, None]
        steps = tuple(int(table[0, 1 << bit]) for bit in range(count.bit_length() - 1))
        wanted = [sum(s for bit, s in enumerate(steps) if i >> bit & 1) for i in range(count)]
        if (table == np.array(wanted)).all():
            return count, [int(o) for o in origins[::count]], steps
    return None


def _lane_address(
    low: Lowering,
    layout: Layout,
    strides: Sequence[int],
    slow: int,
    steps: tuple[int, ...],
    start: Value | None,
) -> Value:
    """Return where the row begins whose place this lane gives."""
    lane = low.lane
    warps = Layout(layout.shape, tuple(d for d in layout.digits if d.place != "lane"))
    subgroup = lane.offset(warps, list(strides))
    number = lane.lane

    def make(b: Builder) -> Value:
        row = b.create(Andi, number, constant(b, SIDE - 1, I32))
        total = b.create(Muli, row, constant(b, strides[slow], I32))
        for bit, step in enumerate(steps):
            part = b.create(Shrui, number, constant(b, ROW_BITS + bit, I32))
            part = b.create(Andi, part, constant(b, 1, I32))
            part = b.create(Muli, part, constant(b, step, I32))
            total = b.create(Addi, total, part)
        if subgroup is not None:
            total = b.create(Addi, total, subgroup)
        made: Value = b.create(IndexCast, total, types=[INDEX])
        return made

    found = lane.once(("matrix row", strides[slow], steps, subgroup), make)
    if start is None:
        return found
    moved: Value = low.builder.create(Addi, found, start)
    return moved
