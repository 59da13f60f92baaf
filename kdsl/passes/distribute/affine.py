"""Comparing positions: index tiles that are a lane's place plus a scalar, in 32 bits.

Rows and columns of a mask are ``iota + start``. What differs between a lane's registers is a
constant, so ``row + a < column + b`` becomes a constant compared with one number of the lane. The
scalars are subtracted in 64 bits and clamped to where the answer cannot change any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Cmpi,
    Constant,
    IndexCast,
    Maxsi,
    Minsi,
    Muli,
    Subi,
)
from kdsl.dialects.kdsl import Broadcast, Iota, Reshape, Transpose
from kdsl.dialects.vector import Broadcast as Splat
from kdsl.ir.attributes import Dense
from kdsl.ir.core import Value
from kdsl.ir.types import I32, TensorType, vector
from kdsl.passes.distribute.project import shape_of
from kdsl.target.layout import Layout

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

FAR = 1 << 29
"""Positions in tiles are smaller; limits are clamped to twice this."""
SIGNED = {CMPI[name] for name in ("eq", "ne", "slt", "sle", "sgt", "sge")}


@dataclass(frozen=True, slots=True)
class Affine:
    """``steps`` times the position along each axis, plus signed scalars, plus a number."""

    steps: tuple[int, ...]
    terms: tuple[tuple[int, Value], ...] = ()
    number: int = 0

    def plus(self, other: Affine, sign: int) -> Affine:
        return Affine(
            tuple(a + sign * b for a, b in zip(self.steps, other.steps, strict=True)),
            (*self.terms, *((sign * s, v) for s, v in other.terms)),
            self.number + sign * other.number,
        )


def affine_of(value: Value) -> Affine | None:
    """Return an index tile as such a sum; None when it is none."""
    shape = shape_of(value.type)
    none = (0,) * len(shape)
    op = value.op
    if isinstance(op, Constant):
        known = op.value
        if isinstance(known, Dense) and known.is_splat:
            return Affine(none, (), int(known.array.item()))
        return None
    if isinstance(op, Iota):
        return Affine((1,))
    if isinstance(op, Addi | Subi):
        sides = affine_of(op.lhs), affine_of(op.rhs)
        if sides[0] is None or sides[1] is None:
            return None
        return sides[0].plus(sides[1], 1 if isinstance(op, Addi) else -1)
    if isinstance(op, Broadcast):
        if not isinstance(op.x.type, TensorType):
            return Affine(none, ((1, op.x),))
        inner = affine_of(op.x)
        if inner is None:
            return None
        source = shape_of(op.x.type)
        steps = [0] * len(shape)
        for axis, dim in enumerate(op.dims):
            steps[dim] = inner.steps[axis] if source[axis] != 1 else 0
        return Affine(tuple(steps), inner.terms, inner.number)
    if isinstance(op, Transpose):
        inner = affine_of(op.x)
        if inner is None:
            return None
        order = op.permutation
        return Affine(tuple(inner.steps[p] for p in order), inner.terms, inner.number)
    if isinstance(op, Reshape):
        return _reshaped(op, shape)
    return None


def _reshaped(op: Reshape, shape: tuple[int, ...]) -> Affine | None:
    """Follow a reshape that only adds or drops axes of size 1."""
    inner = affine_of(op.x)
    source = shape_of(op.x.type)
    if inner is None or [n for n in source if n != 1] != [n for n in shape if n != 1]:
        return None
    kept = iter([s for s, n in zip(inner.steps, source, strict=True) if n != 1])
    return Affine(tuple(0 if n == 1 else next(kept) for n in shape), inner.terms, inner.number)


def compare_positions(low: Lowering, op: Cmpi, layout: Layout) -> Value | None:
    """Return the mask of a comparison of positions; None when the operands are no positions."""
    left, right = affine_of(op.lhs), affine_of(op.rhs)
    if left is None or right is None or op.predicate not in SIGNED:
        return None
    both = left.plus(right, -1)
    reach = sum(abs(s) * n for s, n in zip(both.steps, layout.shape, strict=True))
    if reach >= FAR:
        return None
    # steps . position  <predicate>  limit
    lane, b = low.lane, low.builder
    at = layout.coordinates("reg") @ np.array(both.steps, np.int64)
    limit = limit_of(low, both)
    base = _signed_offset(low, layout, both.steps)
    if base is not None:
        limit = b.create(Subi, limit, base)
    kind = vector(layout.registers, I32)
    fixed = lane.constant(at.astype(np.int32), kind)
    spread = b.create(Splat, limit, types=[kind])
    found: Value = b.create(Cmpi, fixed, spread, predicate=op.predicate)
    return found


def _signed_offset(low: Lowering, layout: Layout, steps: tuple[int, ...]) -> Value | None:
    """Return what the lane adds when some steps are negative."""
    lane, b = low.lane, low.builder
    plus = lane.offset(layout, [max(0, s) for s in steps])
    minus = lane.offset(layout, [max(0, -s) for s in steps])
    if minus is None:
        return plus
    made: Value = b.create(Subi, lane.i32(0) if plus is None else plus, minus)
    return made


def limit_of(low: Lowering, both: Affine) -> Value:
    """Return minus the scalars of a difference, clamped, as i32."""
    b, lane = low.builder, low.lane
    total = lane.index(-both.number)
    for sign, term in both.terms:
        value = low.scalar(term)
        if abs(sign) != 1:
            value = b.create(Muli, value, lane.index(abs(sign)))
        total = b.create(Subi if sign > 0 else Addi, total, value)
    return clamped(low, total)


def clamped(low: Lowering, value: Value) -> Value:
    """Return an index as i32, clamped to where positions in tiles cannot reach."""
    b, lane = low.builder, low.lane
    value = b.create(Minsi, value, lane.index(2 * FAR))
    value = b.create(Maxsi, value, lane.index(-2 * FAR))
    made: Value = b.create(IndexCast, value, types=[I32])
    return made
