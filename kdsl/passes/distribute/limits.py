"""Masks in limit form: a position in the tile compared with one limit for each row.

Positions differ between a lane's registers by constants only. So what the lane itself adds is
subtracted from the limits, which are one for each row, and each register costs one comparison with
a constant: no register holds a position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kdsl.dialects import arith, vector
from kdsl.ir.core import Value
from kdsl.ir.types import I32
from kdsl.ir.types import vector as vector_type
from kdsl.passes.distribute.affine import FAR, Affine, affine_of
from kdsl.target.layout import Layout

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

MIRRORED = {
    arith.CMPI[a]: arith.CMPI[b]
    for a, b in (
        ("eq", "eq"), ("ne", "ne"),
        ("slt", "sgt"), ("sgt", "slt"), ("sle", "sge"), ("sge", "sle"),
    )
}  # fmt: skip
"""The predicate that says the same of the operands the other way round."""


def compare_limits(low: Lowering, op: arith.Cmpi, layout: Layout) -> Value | None:
    """Return the mask when just one side is a position in the tile; None otherwise."""
    if op.lhs.type.element is not I32 or op.predicate not in MIRRORED:
        return None
    for side, other, predicate in (
        (op.lhs, op.rhs, op.predicate),
        (op.rhs, op.lhs, MIRRORED[op.predicate]),
    ):
        position = _position(side, layout)
        if position is not None and _position(other, layout) is None:
            return _compared(low, position, other, predicate, layout)
    return None


def _position(value: Value, layout: Layout) -> Affine | None:
    """Return a tile as a position in it plus a number; None when it is something else."""
    found = affine_of(value)
    if found is None or found.terms or not any(found.steps):
        return None
    reach = sum(abs(s) * n for s, n in zip(found.steps, layout.shape, strict=True))
    small = reach + abs(found.number) < FAR and all(s >= 0 for s in found.steps)
    return found if small else None


def _compared(
    low: Lowering, position: Affine, other: Value, predicate: int, layout: Layout
) -> Value:
    lane, b = low.lane, low.builder
    at = layout.coordinates("reg") @ np.array(position.steps, np.int64) + position.number
    limit, registers = _source(low.fragment(other, layout))
    kind = limit.type
    # Beyond any position a limit may be anything: there it cannot run over.
    limit = _value(b.create(arith.Maxsi, limit, lane.constant(-FAR, kind)))
    limit = _value(b.create(arith.Minsi, limit, lane.constant(FAR, kind)))
    base = lane.offset(layout, position.steps)
    if base is not None:
        limit = _value(b.create(arith.Subi, limit, lane.splat(base, _size(kind))))
    if registers is not None:
        limit = lane.pick(limit, registers)
    fixed = lane.constant(at.astype(np.int32), vector_type(layout.registers, I32))
    return _value(b.create(arith.Cmpi, fixed, limit, predicate=predicate))


def _source(value: Value) -> tuple[Value, tuple[int, ...] | None]:
    """Return the vector that a fragment repeats registers of, and which; None: as it is."""
    op = value.op
    if isinstance(op, vector.Shuffle) and op.operands[0] is op.operands[1]:
        return op.operands[0], tuple(op.mask)
    return value, None


def _size(kind: Any) -> int:
    return int(kind.size)


def _value(x: object) -> Value:
    assert isinstance(x, Value)
    return x
