"""Reductions: a tree over a lane's registers, lane exchange, then workgroup memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kdsl.dialects.arith import Extf, Truncf
from kdsl.dialects.kdsl import Reduce
from kdsl.ir.core import Value
from kdsl.ir.types import F32, ScalarType, ShapedType, TensorType, element_type
from kdsl.passes.distribute.scratch import from_scratch, into_scratch, to_storage
from kdsl.passes.tile_to_loops.combine import combine
from kdsl.target.layout import Digit, Layout, made, row_major

if TYPE_CHECKING:
    from kdsl.passes.distribute.lane import Lane
    from kdsl.passes.distribute.lowering import Lowering


def lower_reduce(op: Reduce, low: Lowering) -> None:
    """Reduce along an axis; all lanes that held a row hold its result."""
    layout = low.layout_of(op.x)
    fragment, dropped = reduce_axis(low, low.fragment(op.x, layout), layout, op.axis, op.kind)
    if isinstance(op.y.type, TensorType):
        own = low.plan.layouts.get(op.y, dropped)
        low.bind(op.y, fragment, dropped)
        if own != dropped:
            low.bind(op.y, low.fragment(op.y, own), own)
        return
    low.scalars[op.y] = low.lane.element(fragment, 0)


def reduce_axis(
    low: Lowering, fragment: Value, layout: Layout, axis: int, kind: str
) -> tuple[Value, Layout]:
    """Return the fragment combined along an axis, and its layout."""
    element = element_type(fragment.type)
    small = element.kind == "f" and element.bits < F32.bits
    if small:
        fragment = recast(low, fragment, F32)
    fragment, layout = in_lane(low, fragment, layout, axis, kind)
    fragment = across_lanes(low.lane, fragment, layout, axis, kind)
    fragment, layout = across_warps(low, fragment, layout, axis, kind)
    if small:
        fragment = recast(low, fragment, element)
    return fragment, layout.drop(axis)


def recast(low: Lowering, fragment: Value, element: ScalarType) -> Value:
    """Convert a float fragment."""
    kind = fragment.type
    assert isinstance(kind, ShapedType)
    op: type[Any] = Extf if kind.element.bits < element.bits else Truncf
    made: Value = low.builder.create(op, fragment, types=[kind.with_element(element)])
    return made


def in_lane(
    low: Lowering, fragment: Value, layout: Layout, axis: int, kind: str
) -> tuple[Value, Layout]:
    """Combine the registers along an axis: halves of the fragment, again and again."""
    at = layout.coordinates("reg")
    groups: dict[tuple[int, ...], list[int]] = {}
    for register, place in enumerate(at):
        key = tuple(int(c) for i, c in enumerate(place) if i != axis)
        groups.setdefault(key, []).append(register)
    rows = np.array(list(groups.values()))
    lane = low.lane
    columns = rows.shape[1]
    parts: list[Value] | None = None
    if columns > 1:
        # One fragment for half of the columns, one for the rest: few ops on long vectors.
        parts = _halved(lane, fragment, rows, kind)
        fragment = parts[0]
    elif list(rows[:, 0]) != list(range(len(rows))):
        fragment = lane.pick(fragment, [int(r) for r in rows[:, 0]])
    digits = [d for d in layout.digits if not (d.place == "reg" and d.dim == axis)]
    return fragment, made(layout.shape, digits)


def _halved(lane: Lane, fragment: Value, rows: np.ndarray, kind: str) -> list[Value]:
    """Combine the columns of a table of registers until one is left."""
    count, columns = rows.shape
    while columns > 1:
        half = columns // 2
        low_half = lane.pick(fragment, [int(r) for r in rows[:, :half].T.reshape(-1)])
        high_half = lane.pick(fragment, [int(r) for r in rows[:, half : 2 * half].T.reshape(-1)])
        merged = combine(lane.builder, kind, low_half, high_half)
        if columns % 2:
            rest = lane.pick(fragment, [int(r) for r in rows[:, -1]])
            merged = lane.join([merged, rest])
            half += 1
        fragment, columns = merged, half
        rows = np.arange(columns * count).reshape(columns, count).T
    return [fragment]


def across_lanes(lane: Lane, fragment: Value, layout: Layout, axis: int, kind: str) -> Value:
    """Combine with the lanes of the subgroup that hold other parts of the axis."""
    distances, stride = [], 1
    for d in layout.of("lane"):
        if d.dim == axis:
            step = stride
            while step < stride * d.size:
                distances.append(step)
                step *= 2
        stride *= d.size
    for distance in distances:
        fragment = combine(lane.builder, kind, fragment, exchanged(lane, fragment, distance))
    return fragment


def exchanged(lane: Lane, fragment: Value, distance: int) -> Value:
    """Return the registers of the lane whose number differs in one bit."""
    kind = fragment.type
    assert isinstance(kind, ShapedType)
    found = [
        lane.shuffle(lane.element(fragment, r), "xor", lane.i32(distance), lane.subgroup)
        for r in range(kind.size)
    ]
    return lane.gathered(found)


def across_warps(
    low: Lowering, fragment: Value, layout: Layout, axis: int, kind: str
) -> tuple[Value, Layout]:
    """Combine with other subgroups through workgroup memory."""
    parts = 1
    for d in layout.of("warp"):
        parts *= d.size if d.dim == axis else 1
    if parts == 1:
        return fragment, layout
    written, read = _tables(layout, axis, parts)
    element = element_type(fragment.type)
    strides = row_major(written.shape)
    size = parts * int(np.prod(written.shape[1:]))
    buffer = low.lane.scratch(to_storage(element), size)
    into_scratch(low, buffer, fragment, written, strides, 0)
    low.barrier()
    found = from_scratch(low, buffer, element, read, strides, 0)
    low.barrier()
    merged, _ = in_lane(low, found, read, 0, kind)
    digits = [Digit(d.place, d.size, None) if d.dim == axis else d for d in layout.digits]
    return merged, made(layout.shape, digits)


def _tables(layout: Layout, axis: int, parts: int) -> tuple[Layout, Layout]:
    """Return how partial results lie before and after: axis 0 counts the subgroups' parts."""
    shape = (parts, *(n for i, n in enumerate(layout.shape) if i != axis))
    before: list[Digit] = []
    after: list[Digit] = [Digit("reg", parts, 0, 1)]
    step = 1
    for d in layout.digits:
        if d.dim == axis:
            if d.place == "warp":
                before.append(Digit("warp", d.size, 0, step))
                step *= d.size
            else:
                before.append(Digit(d.place, d.size, None))
            after.append(Digit(d.place, d.size, None))
        elif d.dim is None:
            before.append(d)
            after.append(d)
        else:
            moved = Digit(d.place, d.size, d.dim + (d.dim < axis), d.step)
            before.append(moved)
            after.append(moved)
    return made(shape, before), made(shape, after)
