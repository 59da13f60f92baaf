"""Ops without tiles: every lane computes scalars, lane 0 alone changes memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsl.dialects.kdsl import Print
from kdsl.dialects.memref import AtomicRmw
from kdsl.dialects.vector import Load, Store
from kdsl.ir.core import Op, Value
from kdsl.ir.types import TensorType, element_type, vector
from kdsl.passes.distribute.hazards import READS, WRITES
from kdsl.passes.distribute.scratch import as_element, as_stored, into_scratch, padded, to_storage

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

SHOWN = 64
"""A printed tile shows so many elements."""


def lower_plain(op: Op, low: Lowering) -> None:
    """Copy an op that has no tiles; the first lane does what changes memory."""
    if isinstance(op, AtomicRmw):
        _atomic(op, low)
    elif isinstance(op, WRITES):
        _await(low, op.target, writes=True)
        _first_lane(low, op)
    else:
        if isinstance(op, READS):
            _await(low, op.source, writes=False)
        low.clone(op)


def _await(low: Lowering, buffer: Value, *, writes: bool) -> None:
    if low.hazards.must_wait(buffer, "first lane" if writes else None, writes=writes):
        low.barrier()
    low.hazards.note(buffer, "first lane" if writes else None, writes=writes)


def _first_lane(low: Lowering, op: Op) -> None:
    def write() -> list[Value]:
        low.clone(op)
        return []

    low.choose(low.lane.is_first, [], write)


def _atomic(op: AtomicRmw, low: Lowering) -> None:
    """Let the first lane do it, and tell the others what was there."""
    _await(low, op.target, writes=True)
    if not op.y.users:
        _first_lane(low, op)
        return
    lane, b = low.lane, low.builder
    element = element_type(op.y.type)
    storage = to_storage(element)
    cell = lane.scratch(storage, 1)

    def write() -> list[Value]:
        found = low.clone(op).results[0]
        stored = as_stored(low, lane.gathered([found]))
        b.add(Store, stored, cell, [lane.index(0)])
        return []

    low.choose(lane.is_first, [], write)
    low.barrier()
    held = b.create(Load, cell, [lane.index(0)], types=[vector(1, storage)])
    low.scalars[op.y] = lane.element(as_element(low, held, element), 0)
    low.barrier()


def lower_print(op: Print, low: Lowering) -> None:
    """Print from the first lane; tiles reach it through workgroup memory."""
    pieces = op.format.split("{}")
    text = pieces[0]
    shown: list[Value] = []
    for value, after in zip(op.values, pieces[1:], strict=True):
        if isinstance(value.type, TensorType):
            elements = _elements(low, value)
            dots = " ..." if value.type.size > len(elements) else ""
            text += "[" + " ".join(["{}"] * len(elements)) + dots + "]"
            shown += elements
        else:
            text += "{}"
            shown.append(low.scalar(value))
        text += after

    def write() -> list[Value]:
        low.builder.add(Print, shown, format=text)
        return []

    low.choose(low.lane.is_first, [], write)


def _elements(low: Lowering, value: Value) -> list[Value]:
    """Return the first elements of a tile, on every lane."""
    kind: Any = value.type
    lane, b = low.lane, low.builder
    layout = low.layout_of(value)
    strides, size = padded(kind.shape, kind.element)
    storage = to_storage(kind.element)
    buffer = lane.scratch(storage, size)
    into_scratch(low, buffer, low.fragment(value, layout), layout, strides, 0)
    low.barrier()
    found = []
    for number in range(min(SHOWN, kind.size)):
        place, rest = 0, number
        for extent, stride in zip(reversed(kind.shape), reversed(strides), strict=True):
            place, rest = place + rest % extent * stride, rest // extent
        one = b.create(Load, buffer, [lane.index(place)], types=[vector(1, storage)])
        found.append(lane.element(as_element(low, one, kind.element), 0))
    low.barrier()
    return found
