"""Ops that only say where elements are: broadcast, transpose, reshape, slice, concat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsl.dialects.kdsl import Broadcast, Concat, Reshape, Slice, Transpose
from kdsl.ir.core import Value
from kdsl.ir.types import TensorType, element_type
from kdsl.passes.distribute.project import broadcast_layout, shape_of, unslice_layout
from kdsl.passes.distribute.rearrange import Part, View, move
from kdsl.passes.distribute.scratch import padded
from kdsl.target.layout import Layout, row_major

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering


def move_tile(low: Lowering, op: Any, layout: Layout) -> Value:
    """Return the registers of such an op's result in a layout."""
    if isinstance(op, Broadcast) and not isinstance(op.x.type, TensorType):
        return low.lane.splat(low.scalar(op.x), layout.registers)
    if isinstance(op, Concat):
        return _concat(low, op, layout)
    x = op.x
    shape = shape_of(x.type)
    strides, size = padded(shape, element_type(x.type))
    base = 0
    if isinstance(op, Broadcast):
        source = _preferred(low, x, broadcast_layout(op, layout))
        wanted = [0] * layout.rank
        for axis, dim in enumerate(op.dims):
            wanted[dim] = strides[axis] if shape[axis] != 1 else 0
    elif isinstance(op, Transpose):
        back = [op.permutation.index(i) for i in range(len(op.permutation))]
        source = _preferred(low, x, layout.permute(back))
        wanted = [strides[p] for p in op.permutation]
    elif isinstance(op, Slice):
        source = _preferred(low, x, unslice_layout(op, layout))
        wanted = [s * step for s, step in zip(strides, op.steps, strict=True)]
        base = sum(o * s for o, s in zip(op.offsets, strides, strict=True))
    else:
        assert isinstance(op, Reshape)
        guess = layout.reshape(shape)
        source = low.layout_of(x) if guess is None else _preferred(low, x, guess)
        strides, wanted, size = row_major(shape), row_major(layout.shape), op.x.type.size
    part = (low.fragment(x, source), View(source, tuple(strides)))
    return move(low, [part], View(layout, tuple(wanted), base), size)


def _preferred(low: Lowering, x: Value, wanted: Layout) -> Layout:
    """Return the layout to read a source in: a lazy one as wanted, another as it is."""
    if x in low.plan.lazy or low.held(x) is not None:
        return wanted
    return low.layout_of(x)


def _concat(low: Lowering, op: Concat, layout: Layout) -> Value:
    kind = op.y.type
    strides, size = padded(kind.shape, kind.element)
    parts: list[Part] = []
    at = 0
    for part in op.parts:
        extent = part.type.shape[op.axis]
        guess = layout.slice(op.axis, at, extent)
        fallback = layout.resize(op.axis, extent)
        source = _preferred(low, part, fallback if guess is None else guess)
        view = View(source, tuple(strides), at * strides[op.axis])
        parts.append((low.fragment(part, source), view))
        at += extent
    return move(low, parts, View(layout, tuple(strides)), size)


def lower_move(op: Any, low: Lowering) -> None:
    """Lower such an op, unless its tile is computed where it is read."""
    if op.y in low.plan.lazy:
        return
    held = low.held(op.x) if isinstance(op, Transpose) else None
    turned = getattr(held, "transposed", None)
    if turned is not None:
        low.hold(op.y, turned(op.permutation))
        return
    layout = low.layout_of(op.y)
    low.bind(op.y, move_tile(low, op, layout))
