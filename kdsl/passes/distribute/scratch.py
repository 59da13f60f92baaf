"""Fragments to and from workgroup memory, in vectors as wide as their layout allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdsl.dialects.arith import CMPI, Addi, Cmpi, Extui, IndexCast
from kdsl.dialects.vector import Load, Store
from kdsl.ir.core import Value
from kdsl.ir.types import I1, I8, I64, INDEX, ScalarType, ShapedType, element_type, vector
from kdsl.target.layout import Layout, power_of_two, row_major

if TYPE_CHECKING:
    from kdsl.passes.distribute.lane import Lane
    from kdsl.passes.distribute.lowering import Lowering

ACCESS_BITS = 128
Piece = tuple[int, list[int]]
"""A static offset, and the registers that lie there and right after it."""


def to_storage(element: ScalarType) -> ScalarType:
    """Return how elements are kept in memory."""
    return {I1: I8, INDEX: I64}.get(element, element)


def padded(shape: Sequence[int], element: ScalarType) -> tuple[list[int], int]:
    """Return row-major strides with rows a little longer (16 bytes), and the size of it all."""
    if len(shape) < 2 or shape[-1] == 1:
        strides = row_major(shape)
    else:
        extra = max(1, ACCESS_BITS // max(8, to_storage(element).bits))
        row = shape[-1] + extra
        outer = row_major([*shape[:-1]])
        strides = [*(s * row for s in outer), 1]
    return strides, 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))


def pieces(
    layout: Layout, strides: Sequence[int], base: int, widest: int
) -> tuple[int, list[Piece]]:
    """Cut a lane's registers into runs of consecutive, aligned places; return their width."""
    at = layout.coordinates("reg") @ np.array(strides, np.int64).reshape(len(strides)) + base
    lanes = [
        d.step * strides[d.dim] for d in layout.digits if d.place != "reg" and d.dim is not None
    ]
    width = widest
    for step in lanes:
        if step:
            width = min(width, power_of_two(step))
    return runs(at, width)


def runs(at: NDArray[np.int64], widest: int) -> tuple[int, list[Piece]]:
    """Cut addresses into aligned runs of the largest width up to ``widest`` that fits them all."""
    order = np.argsort(at, kind="stable")
    ranked = at[order]
    width = 1 << (max(1, widest).bit_length() - 1)
    while width > 1:
        if len(at) % width == 0:
            grid = ranked.reshape(-1, width)
            follow = (grid == grid[:, :1] + np.arange(width)).all()
            if follow and (grid[:, 0] % width == 0).all():
                break
        width //= 2
    # In the order of the registers, so that few fragments have to be put back in order.
    found = [
        (int(ranked[i]), [int(r) for r in order[i : i + width]]) for i in range(0, len(at), width)
    ]
    return width, sorted(found, key=lambda piece: piece[1][0])


def widest_access(element: ScalarType) -> int:
    """Return how many elements one access holds at most."""
    return max(1, ACCESS_BITS // max(8, element.bits))


def place(lane: Lane, base: Value | None, offset: int) -> Value:
    """Return the index of a place: what the lane adds, and a constant."""
    if base is None:
        return lane.index(offset)
    if offset == 0:
        return base
    made: Value = lane.builder.create(Addi, base, lane.index(offset))
    return made


def into_scratch(
    low: Lowering,
    buffer: Value,
    fragment: Value,
    layout: Layout,
    strides: Sequence[int],
    base: int,
    start: Value | None = None,
    *,
    window: tuple[int, int, int] | None = None,
) -> None:
    """Write a fragment; of lanes with the same elements one does. ``start`` is added to places.

    ``window``: an axis, the first index along it that is written, and how many.
    """
    lane = low.lane
    stored = as_stored(low, fragment)
    element = element_type(stored.type)
    widest = widest_access(element)
    if window is not None and strides[window[0]] == 1:
        widest = gcd(widest, *window[1:])
    width, parts = pieces(layout, strides, base, widest)
    at = _start(lane, layout, strides, start)
    along = layout.coordinates("reg")

    def write_piece(offset: int, registers: list[int]) -> None:
        low.builder.add(
            Store,
            lane.pick(stored, registers),
            buffer,
            [place(lane, at, offset)],
            alignment=width * max(8, element.bits) // 8,
        )

    def write() -> list[Value]:
        for offset, registers in parts:
            if window is None:
                write_piece(offset, registers)
            else:
                here = int(along[registers[0], window[0]])
                _in_window(low, layout, window, here, lambda: write_piece(offset, registers))  # noqa: B023
        return []

    owner = lane.owner(layout)
    if owner is None:
        write()
    else:
        low.choose(owner, [], write)


def _in_window(
    low: Lowering,
    layout: Layout,
    window: tuple[int, int, int],
    here: int,
    write: Callable[[], None],
) -> None:
    """Write where the lane's index along an axis, ``here`` beyond its own part, is wanted."""
    axis, first, count = window
    lane, b = low.lane, low.builder
    own = lane.coordinate(layout, axis)
    if own is None:
        if first <= here < first + count:
            write()
        return
    # One comparison does for both ends when negative numbers count as large ones.
    moved = b.create(Addi, own, lane.i32(here - first))
    inside = b.create(Cmpi, moved, lane.i32(count), predicate=CMPI["ult"])

    def written() -> list[Value]:
        write()
        return []

    low.choose(inside, [], written)


def from_scratch(
    low: Lowering,
    buffer: Value,
    element: ScalarType,
    layout: Layout,
    strides: Sequence[int],
    base: int,
    start: Value | None = None,
) -> Value:
    """Read a fragment."""
    lane = low.lane
    storage = element_type(buffer.type)
    width, parts = pieces(layout, strides, base, widest_access(storage))
    at = _start(lane, layout, strides, start)
    kind = vector(width, storage)
    alignment = width * max(8, storage.bits) // 8
    read = [
        low.builder.create(
            Load, buffer, [place(lane, at, offset)], types=[kind], alignment=alignment
        )
        for offset, _ in parts
    ]
    whole = in_order(lane, read, [registers for _, registers in parts])
    return as_element(low, whole, element)


def in_order(lane: Lane, parts: list[Value], registers: list[list[int]]) -> Value:
    """Join parts that hold these registers into the fragment of all."""
    joined = lane.join(parts)
    flat = [r for part in registers for r in part]
    back = [0] * len(flat)
    for i, r in enumerate(flat):
        back[r] = i
    return lane.pick(joined, back)


def _start(lane: Lane, layout: Layout, strides: Sequence[int], start: Value | None) -> Value | None:
    found = lane.offset_index(layout, list(strides))
    if start is None:
        return found
    if found is None:
        return start
    made: Value = lane.builder.create(Addi, found, start)
    return made


def as_stored(low: Lowering, fragment: Value) -> Value:
    """Return a fragment as workgroup memory holds it."""
    element = element_type(fragment.type)
    storage = to_storage(element)
    if storage is element:
        return fragment
    kind = fragment.type
    assert isinstance(kind, ShapedType)
    made: Value = low.builder.create(
        Extui if element is I1 else IndexCast, fragment, types=[kind.with_element(storage)]
    )
    return made


def as_element(low: Lowering, fragment: Value, element: ScalarType) -> Value:
    """Return what was read from workgroup memory as the element type it stands for."""
    kind = fragment.type
    assert isinstance(kind, ShapedType)
    if kind.element is element:
        return fragment
    if element is I1:
        made: Value = low.builder.create(
            Cmpi, fragment, low.lane.constant(0, kind), predicate=CMPI["ne"]
        )
        return made
    return low.builder.create(IndexCast, fragment, types=[kind.with_element(element)])
