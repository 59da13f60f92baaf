"""Moving elements between lanes and registers: by renaming registers, else by workgroup memory.

Each element has an address, which both sides compute from their own coordinates: that is all that
a change of layout, a transpose, a slice, a reshape or a concatenation says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdsl.ir.core import Value
from kdsl.ir.types import ScalarType, element_type
from kdsl.passes.distribute.scratch import (
    from_scratch,
    into_scratch,
    padded,
    pieces,
    to_storage,
    widest_access,
)
from kdsl.target.layout import Layout

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering


@dataclass(frozen=True, slots=True)
class View:
    """A tile in a layout; the element at c has the address ``base + c . strides``."""

    layout: Layout
    strides: tuple[int, ...]
    base: int = 0

    def addresses(self) -> NDArray[np.int64]:
        """Return the address of each register: ``[warps, lanes, registers]``."""
        strides = np.array(self.strides, np.int64).reshape(len(self.strides))
        w, n, r = (self.layout.coordinates(p) @ strides for p in ("warp", "lane", "reg"))
        return np.asarray(w[:, None, None] + n[None, :, None] + r[None, None] + self.base)


Part = tuple[Value, View]


def convert(low: Lowering, fragment: Value, source: Layout, target: Layout) -> Value:
    """Return a fragment in another layout."""
    if source == target:
        return fragment
    strides, size = fewest_accesses(source, target, element_type(fragment.type))
    views = [View(layout, strides) for layout in (source, target)]
    return move(low, [(fragment, views[0])], views[1], size)


def fewest_accesses(
    source: Layout, target: Layout, element: ScalarType
) -> tuple[tuple[int, ...], int]:
    """Return strides, and the size: the order of axes that both sides touch in widest pieces."""
    stored = to_storage(element)
    best: tuple[int, tuple[int, ...], int] | None = None
    for order in (list(range(len(source.shape))), list(reversed(range(len(source.shape))))):
        ordered, size = padded([source.shape[axis] for axis in order], element)
        strides = [0] * len(order)
        for axis, step in zip(order, ordered, strict=True):
            strides[axis] = step
        widest = widest_access(stored)
        count = sum(len(pieces(side, strides, 0, widest)[1]) for side in (source, target))
        if best is None or count < best[0]:
            best = (count, tuple(strides), size)
    assert best is not None
    return best[1], best[2]


def move(low: Lowering, parts: Sequence[Part], target: View, size: int) -> Value:
    """Return the fragment that ``target`` asks for; addresses are below ``size``."""
    mask = in_registers([view for _, view in parts], target)
    if mask is None:
        return _through_memory(low, parts, target, size)
    lane = low.lane
    if len(parts) == 2:
        return lane.pick(parts[0][0], mask, parts[1][0])
    return lane.pick(lane.join([fragment for fragment, _ in parts]), mask)


def in_registers(parts: Sequence[View], target: View) -> list[int] | None:
    """Return which registers of the parts, after one another, a lane picks; None when others'."""
    held = np.concatenate([view.addresses() for view in parts], axis=2)
    wanted = target.addresses()
    place = {int(a): r for r, a in reversed(list(enumerate(held[0, 0])))}
    mask = [place.get(int(a), -1) for a in wanted[0, 0]]
    if -1 in mask or not (held[:, :, mask] == wanted).all():
        return None
    return mask


def _through_memory(low: Lowering, parts: Sequence[Part], target: View, size: int) -> Value:
    lane = low.lane
    element = element_type(parts[0][0].type)
    buffer = lane.scratch(to_storage(element), size)
    for fragment, view in parts:
        into_scratch(low, buffer, fragment, view.layout, view.strides, view.base)
    low.barrier()
    found = from_scratch(low, buffer, element, target.layout, target.strides, target.base)
    low.barrier()
    return found
