"""How layouts of a tile follow from layouts of what it is made of, and the other way round."""

from __future__ import annotations

from kdsl.dialects.kdsl import Broadcast, Slice
from kdsl.ir.types import TensorType
from kdsl.target.layout import Digit, Layout, made


def shape_of(kind: object) -> tuple[int, ...]:
    """Return a tile's shape; a scalar has none."""
    return kind.shape if isinstance(kind, TensorType) else ()


def broadcast_layout(op: Broadcast, layout: Layout) -> Layout:
    """Return the layout of what is repeated, when the result has ``layout``."""
    shape = shape_of(op.x.type)
    found = layout
    for axis in reversed(range(len(layout.shape))):
        if axis not in op.dims:
            found = found.drop(axis)
        elif shape[op.dims.index(axis)] == 1 != layout.shape[axis]:
            found = _single(found, axis)
    return found


def _single(layout: Layout, axis: int) -> Layout:
    """Return the layout whose ``axis`` has one element; what was along it becomes copies."""
    digits = [
        Digit(d.place, d.size, None) if d.dim == axis else d
        for d in layout.digits
        if not (d.dim == axis and d.place == "reg")
    ]
    return made((*layout.shape[:axis], 1, *layout.shape[axis + 1 :]), digits)


def slice_layout(op: Slice, layout: Layout) -> Layout | None:
    """Return the layout of a part of a tile that has ``layout``; None when lanes would idle."""
    found: Layout | None = layout
    for axis, (offset, size, step) in enumerate(zip(op.offsets, op.sizes, op.steps, strict=True)):
        if found is not None:
            found = found.slice(axis, offset, size, step)
    return found


def unslice_layout(op: Slice, layout: Layout) -> Layout:
    """Return a layout of the whole tile of which a part has ``layout``."""
    found = layout
    for axis, (extent, step) in enumerate(zip(shape_of(op.x.type), op.steps, strict=True)):
        if found.shape[axis] == extent:
            continue
        if step > 1 and extent % step == 0:
            digits = [
                Digit(d.place, d.size, axis, d.step * step) if d.dim == axis else d
                for d in found.digits
            ]
            shape = (*found.shape[:axis], found.shape[axis] * step, *found.shape[axis + 1 :])
            found = made(shape, [Digit("reg", step, axis, 1), *digits])
        found = found.resize(axis, extent)
    return found
