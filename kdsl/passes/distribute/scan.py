"""Running combinations: along a lane's registers, then lanes, then subgroups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsl.dialects.arith import CMPI, Cmpi, Select
from kdsl.dialects.kdsl import Scan
from kdsl.ir.core import Value
from kdsl.ir.types import F32, element_type
from kdsl.passes.distribute.reduce import recast
from kdsl.passes.distribute.scratch import from_scratch, into_scratch, to_storage
from kdsl.passes.tile_to_loops.combine import combine
from kdsl.target.layout import Digit, Layout, made, row_major

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering


def lower_scan(op: Scan, low: Lowering) -> None:
    """Combine each element with all before it along the axis."""
    layout = low.layout_of(op.y)
    fragment = low.fragment(op.x, layout)
    element = element_type(fragment.type)
    small = element.kind == "f" and element.bits < F32.bits
    if small:
        fragment = recast(low, fragment, F32)
    fragment = _scanned(low, fragment, layout, op.axis, op.kind)
    low.bind(op.y, recast(low, fragment, element) if small else fragment)


def _scanned(low: Lowering, fragment: Value, layout: Layout, axis: int, kind: str) -> Value:
    lane, b = low.lane, low.builder
    columns = _columns(layout, axis)
    parts = [lane.pick(fragment, registers) for registers in columns]
    for i in range(1, len(parts)):
        parts[i] = combine(b, kind, parts[i - 1], parts[i])
    before = _before_lane(low, parts[-1], layout, axis, kind)
    if before is not None:
        held, is_there = before
        parts = [b.create(Select, is_there, combine(b, kind, held, p), p) for p in parts]
    before = _before_warp(low, parts[-1], layout, axis, kind)
    if before is not None:
        held, is_there = before
        parts = [b.create(Select, is_there, combine(b, kind, held, p), p) for p in parts]
    back = [0] * layout.registers
    for i, r in enumerate(r for registers in columns for r in registers):
        back[r] = i
    return lane.pick(lane.join(parts), back)


def _columns(layout: Layout, axis: int) -> list[list[int]]:
    """Return the registers of each position of a lane's run along the axis."""
    found: dict[int, list[int]] = {}
    for register, at in enumerate(layout.coordinates("reg")):
        found.setdefault(int(at[axis]), []).append(register)
    return [found[k] for k in sorted(found)]


def _digit(low: Lowering, layout: Layout, axis: int, place: str) -> tuple[Value, int] | None:
    """Return the lane's (or subgroup's) place along the axis, i32, and how many there are."""
    divisor = 1
    for d in layout.of(place):
        if d.dim == axis:
            return low.lane.part(place, divisor, d.size), d.size
        divisor *= d.size
    return None


def _before_lane(
    low: Lowering, total: Value, layout: Layout, axis: int, kind: str
) -> tuple[Value, Value] | None:
    """Return what the lanes before this one hold together, and whether there are any."""
    found = _digit(low, layout, axis, "lane")
    if found is None:
        return None
    here, width = found
    lane, b = low.lane, low.builder
    distance = 1
    while distance < width:
        other = _shifted(low, total, distance, width)
        is_there = b.create(Cmpi, here, lane.i32(distance), predicate=CMPI["sge"])
        total = b.create(Select, is_there, combine(b, kind, other, total), total)
        distance *= 2
    is_there = b.create(Cmpi, here, lane.i32(1), predicate=CMPI["sge"])
    return _shifted(low, total, 1, width), is_there


def _shifted(low: Lowering, fragment: Value, distance: int, width: int) -> Value:
    lane = low.lane
    return lane.gathered([
        lane.shuffle(lane.element(fragment, r), "up", lane.i32(distance), width)
        for r in range(fragment.type.size)  # type: ignore[attr-defined]
    ])  # fmt: skip


def _before_warp(
    low: Lowering, total: Value, layout: Layout, axis: int, kind: str
) -> tuple[Value, Value] | None:
    """Return what the subgroups before this one hold together, and whether there are any."""
    found = _digit(low, layout, axis, "warp")
    if found is None:
        return None
    here, count = found
    lane, b = low.lane, low.builder
    of_lanes = _digit(low, layout, axis, "lane")
    if of_lanes is not None:
        total = lane.gathered([
            lane.shuffle(lane.element(total, r), "idx", lane.i32(of_lanes[1] - 1), of_lanes[1])
            for r in range(total.type.size)  # type: ignore[attr-defined]
        ])  # fmt: skip
    written, read = _tables(layout, axis, count)
    element = element_type(total.type)
    strides = row_major(written.shape)
    size = strides[0] * count
    buffer = lane.scratch(to_storage(element), size)
    into_scratch(low, buffer, total, written, strides, 0)
    low.barrier()
    totals = [
        from_scratch(low, buffer, element, read, strides, i * strides[0]) for i in range(count - 1)
    ]
    low.barrier()
    held = totals[0]
    for i in range(1, count - 1):
        more = b.create(Cmpi, here, lane.i32(i), predicate=CMPI["sgt"])
        held = b.create(Select, more, combine(b, kind, held, totals[i]), held)
    return held, b.create(Cmpi, here, lane.i32(1), predicate=CMPI["sge"])


def _tables(layout: Layout, axis: int, count: int) -> tuple[Layout, Layout]:
    """Return how the subgroups' totals are written (axis 0 counts them) and one of them read."""
    rest = tuple(n for i, n in enumerate(layout.shape) if i != axis)
    before: list[Digit] = []
    after: list[Digit] = []
    for d in layout.digits:
        if d.dim == axis:
            if d.place == "warp":
                before.append(Digit("warp", d.size, 0, 1))
            elif d.place == "lane":
                before.append(Digit("lane", d.size, None))
            if d.place != "reg":
                after.append(Digit(d.place, d.size, None))
        elif d.dim is None:
            before.append(d)
            after.append(d)
        else:
            moved = Digit(d.place, d.size, d.dim + (d.dim < axis), d.step)
            before.append(moved)
            after.append(moved)
    return made((count, *rest), before), made((1, *rest), after)
