"""Tiles that are cheaper to compute again than to move: constants, counters, and what they make.

Such a tile has no layout of its own; its registers are computed in the layout of whoever reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdsl.dialects.arith import Addi, Constant, IndexCast
from kdsl.dialects.kdsl import Broadcast, Iota, Reshape, Slice, Transpose
from kdsl.dialects.memref import Store
from kdsl.dialects.vector import Broadcast as Splat
from kdsl.ir.attributes import Dense
from kdsl.ir.core import Op, Value
from kdsl.ir.define import Elementwise, Pure
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import I32, I64, INDEX, ScalarType, TensorType, element_type, vector
from kdsl.passes.distribute.moves import move_tile
from kdsl.target.layout import Layout, row_major

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

MOVED = (Broadcast, Reshape, Transpose, Slice)


def is_lazy(op: Op, lazy: set[Value]) -> bool:
    """Return whether an op's tile is computed where it is read."""
    if isinstance(op, Constant | Iota):
        return isinstance(op.results[0].type, TensorType)
    if not isinstance(op, DeclaredOp) or len(op.results) != 1:
        return False
    if not isinstance(op.results[0].type, TensorType):
        return False
    cheap = isinstance(op, MOVED) or (Elementwise in op.traits and Pure in op.traits)
    return cheap and all(v in lazy for v in op.operands if isinstance(v.type, TensorType))


def compute_lazily(low: Lowering, value: Value, layout: Layout) -> Value:
    """Return the registers of such a tile in a layout."""
    op = value.op
    if isinstance(op, Constant):
        return _constant(low, op, layout)
    if isinstance(op, Iota):
        return _iota(low, op, layout)
    if isinstance(op, Broadcast) and not isinstance(op.x.type, TensorType):
        return low.lane.splat(low.scalar(op.x), layout.registers)
    if isinstance(op, MOVED):
        return move_tile(low, op, layout)
    from kdsl.passes.distribute.elementwise import apply_lanewise

    assert op is not None
    return apply_lanewise(low, op, layout)


def _constant(low: Lowering, op: Constant, layout: Layout) -> Value:
    lane, value = low.lane, op.value
    kind = vector(layout.registers, op.y.type.element)
    if not isinstance(value, Dense) or value.is_splat:
        splat = value.array.item() if isinstance(value, Dense) else value
        return lane.constant(splat, kind)
    flat = value.full().reshape(-1)
    each = flat[layout.linear()]
    if (each == each[:1, :1]).all():
        return lane.constant(np.ascontiguousarray(each[0, 0]), kind)
    return _from_table(low, flat, layout, op)


def _from_table(low: Lowering, flat: np.ndarray, layout: Layout, op: Constant) -> Value:
    """Write the constant to workgroup memory and let every lane read its own elements."""
    from kdsl.passes.distribute.scratch import from_scratch, to_storage

    lane, element = low.lane, op.y.type.element
    storage = to_storage(element)
    table = lane.scratch(storage, flat.size)
    b = low.builder

    def write() -> list[Value]:
        for i, number in enumerate(flat):
            stored = number if storage is element else int(number)
            b.add(Store, lane.constant(_plain(stored), storage), table, [lane.index(i)])
        return []

    low.choose(lane.is_first, [], write)
    low.barrier()
    found = from_scratch(low, table, element, layout, row_major(layout.shape), 0)
    low.barrier()
    return found


def _plain(number: object) -> object:
    return number.item() if isinstance(number, np.generic) else number


def _iota(low: Lowering, op: Iota, layout: Layout) -> Value:
    lane, b = low.lane, low.builder
    element = op.y.type.element
    kind = vector(layout.registers, element)
    counts = layout.coordinates("reg")[:, 0].astype(element.numpy)
    fixed = lane.constant(counts, kind)
    base = lane.offset_index(layout, [1]) if element is INDEX else lane.coordinate(layout, 0)
    if base is None:
        return fixed
    if element not in (INDEX, I32):
        base = narrowed(low, base, element_type(kind))
    spread = b.create(Splat, base, types=[kind])
    if not counts.any():
        return spread
    made: Value = b.create(Addi, spread, fixed)
    return made


def narrowed(low: Lowering, value: Value, element: ScalarType) -> Value:
    """Convert a small non-negative i32 to another integer type."""
    from kdsl.dialects.arith import Extsi, Trunci

    b = low.builder
    if element is INDEX:
        made: Value = b.create(IndexCast, value, types=[INDEX])
        return made
    kind = Extsi if element is I64 else Trunci
    return b.create(kind, value, types=[element])
