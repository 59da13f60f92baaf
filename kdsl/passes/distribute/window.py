"""Which part of a buffer a tile covers, as a lane sees it: places, limits, alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Andi,
    Cmpi,
    Divsi,
    IndexCast,
    Minsi,
    Muli,
    Ori,
    Remsi,
    Shli,
    Subi,
    constant,
    constant_of,
)
from kdsl.dialects.kdsl import Address, LoadTile, NumPrograms, ProgramId, StoreTile
from kdsl.dialects.memref import Dim
from kdsl.ir.builder import Builder
from kdsl.ir.core import BlockArgument, Value, defining_op
from kdsl.ir.types import DYNAMIC, INDEX, MemRefType
from kdsl.passes.distribute.affine import clamped
from kdsl.passes.distribute.scratch import ACCESS_BITS, runs
from kdsl.passes.tile_layout import unit_axis
from kdsl.passes.tile_to_loops.access import is_always_inside
from kdsl.target.layout import Layout, power_of_two

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

ALIGNED = 16
"""Bytes: what the widest access needs."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of registers: where its first element is in the tile, and which they are."""

    at: tuple[int, ...]
    registers: tuple[int, ...]


class Window:
    """A load's or store's tile in a layout."""

    def __init__(self, low: Lowering, op: LoadTile | StoreTile, layout: Layout) -> None:
        self.low = low
        self.op = op
        self.layout = layout
        self.buffer = low.scalar(op.source if isinstance(op, LoadTile) else op.target)
        kind = self.buffer.type
        assert isinstance(kind, MemRefType)
        self.kind = kind
        self.bytes = max(8, kind.element.bits) // 8
        self.unit = unit_axis(op)
        self.offsets = [low.scalar(v) for v in op.offsets]
        self.stops = [low.scalar(v) for v in op.stops]
        self._limits: dict[int, tuple[Value | None, Value | None]] = {}
        self._inside: dict[tuple[int, int], Value | None] = {}
        self.width, self.pieces = self._pieces()
        # Here, before anything is written into a branch that other branches cannot see.
        for axis in range(layout.rank):
            self.limit(axis)

    # -------------------------------------------------------------------------------- pieces

    def _pieces(self) -> tuple[int, list[Piece]]:
        """Cut the registers into runs along the contiguous axis."""
        at = self.layout.coordinates("reg")
        widest = 1
        if self.unit is not None:
            widest = max(1, ACCESS_BITS // (8 * self.bytes))
            for d in self.layout.digits:
                if d.place != "reg" and d.dim == self.unit:
                    widest = min(widest, power_of_two(d.step))
        # Only the contiguous axis may form runs: rows are numbered far apart.
        order = [a for a in range(self.layout.rank) if a != self.unit]
        weights = np.zeros(self.layout.rank, np.int64)
        scale = 1
        for axis in ([] if self.unit is None else [self.unit]) + order:
            weights[axis] = scale
            scale *= 1 << max(4, (2 * self.layout.shape[axis]).bit_length())
        width, found = runs(at @ weights, widest)
        return width, [
            Piece(tuple(int(c) for c in at[registers[0]]), tuple(registers))
            for _, registers in found
        ]

    def indices(self, piece: Piece) -> list[Value]:
        """Return the indices of a piece's first element."""
        low, lane = self.low, self.low.lane
        found = list(self.offsets)
        for axis, (dim, step) in enumerate(zip(self.op.dims, self.op.steps, strict=True)):
            factors = [step * int(a == axis) for a in range(self.layout.rank)]
            base = lane.offset_index(self.layout, factors)
            moved = found[dim]
            if base is not None:
                moved = _sum(low.builder, moved, base)
            if piece.at[axis]:
                moved = _sum(low.builder, moved, lane.index(piece.at[axis] * step))
            found[dim] = moved
        return found

    # -------------------------------------------------------------------------------- limits

    def limit(self, axis: int) -> tuple[Value | None, Value | None]:
        """Return the first position of an axis that is inside, and the end, both i32.

        None stands for what needs no check.
        """
        found = self._limits.get(axis)
        if found is None:
            found = self._limits[axis] = self._limit(axis)
        return found

    def _limit(self, axis: int) -> tuple[Value | None, Value | None]:
        if is_always_inside(self.op, axis):
            return None, None
        b, lane = self.low.builder, self.low.lane
        dim, step = self.op.dims[axis], self.op.steps[axis]
        offset = self.offsets[dim]
        end = self.stops[axis]
        if not self._is_extent(self.op.stops[axis], dim):
            end = b.create(Minsi, end, self._extent(dim))
        room = b.create(Subi, end, offset)
        if step > 1:
            # ceil(room / step): the quotient of negative room is not above zero either way.
            room = b.create(Divsi, _sum(b, room, lane.index(step - 1)), lane.index(step))
        stop = clamped(self.low, room)
        if is_not_negative(self.op.offsets[dim]):
            return None, stop
        before = b.create(Subi, lane.index(step - 1), offset)
        first = clamped(self.low, before)
        if step > 1:
            first = b.create(Divsi, first, lane.i32(step))
        return first, stop

    def _is_extent(self, stop: Value, dim: int) -> bool:
        """Return whether a bound is the size of the dimension itself."""
        op = defining_op(stop, Dim)
        buffer = self.op.source if isinstance(self.op, LoadTile) else self.op.target
        return op is not None and op.source is buffer and constant_of(op.index) == dim

    def _extent(self, dim: int) -> Value:
        lane = self.low.lane
        if self.kind.shape[dim] != DYNAMIC:
            return lane.index(self.kind.shape[dim])
        made: Value = self.low.builder.create(Dim, self.buffer, lane.index(dim))
        return made

    def forget(self) -> None:
        """Compute comparisons anew: the code goes on in another block."""
        self._inside.clear()

    def is_inside(self, axis: int, at: int) -> Value | None:
        """Return whether position ``at`` of the lane's is inside along an axis; None: always."""
        key = (axis, at)
        if key not in self._inside:
            self._inside[key] = self._compare(axis, at)
        return self._inside[key]

    def _compare(self, axis: int, at: int) -> Value | None:
        first, stop = self.limit(axis)
        b, lane = self.low.builder, self.low.lane
        here = lane.coordinate(self.layout, axis)
        if here is None:
            here = lane.i32(at)
        elif at:
            here = b.create(Addi, here, lane.i32(at))
        found: Value | None = None
        if stop is not None:
            found = b.create(Cmpi, here, stop, predicate=CMPI["slt"])
        if first is not None:
            above = b.create(Cmpi, here, first, predicate=CMPI["sge"])
            found = above if found is None else b.create(Andi, found, above)
        return found

    def predicate(self, piece: Piece, skipped: int | None = None) -> Value | None:
        """Return whether a piece's first element is inside; None for always."""
        found: Value | None = None
        for axis in range(self.layout.rank):
            good = None if axis == skipped else self.is_inside(axis, piece.at[axis])
            if good is not None:
                found = good if found is None else self.low.builder.create(Andi, found, good)
        return found

    # ----------------------------------------------------------------------------- alignment

    def whole(self) -> tuple[bool, Value | None]:
        """Return whether pieces may be accessed as vectors, or the condition for that.

        They must be aligned, and wholly inside or wholly outside along the contiguous axis.
        """
        if self.width == 1:
            return True, None
        assert self.unit is not None
        b, lane = self.low.builder, self.low.lane
        checks = list(self._alignment())
        first, stop = self.limit(self.unit)
        if first is not None:
            checks.append(b.create(Cmpi, first, lane.i32(0), predicate=CMPI["sle"]))
        if stop is not None and not self._divides_limit():
            part = b.create(Andi, stop, lane.i32(self.width - 1))
            checks.append(b.create(Cmpi, part, lane.i32(0), predicate=CMPI["eq"]))
        found: Value | None = None
        for check in checks:
            found = check if found is None else b.create(Andi, found, check)
        return found is None, found

    def _divides_limit(self) -> bool:
        assert self.unit is not None
        dim = self.op.dims[self.unit]
        return (
            divides(self.width, self.op.offsets[dim])
            and divides(self.width, self.op.stops[self.unit])
            and self.kind.shape[dim] != DYNAMIC
            and self.kind.shape[dim] % self.width == 0
        )

    def _alignment(self) -> list[Value]:
        """Return the conditions under which every piece's address is aligned."""
        need = self.width * self.bytes
        found = []
        condition = aligned(self.low, self.buffer, need)
        if condition is not None:
            found.append(condition)
        last = self.kind.rank - 1
        if not divides(self.width, self.op.offsets[last]):
            b, lane = self.low.builder, self.low.lane
            part = b.create(Andi, self.offsets[last], lane.index(self.width - 1))
            found.append(b.create(Cmpi, part, lane.index(0), predicate=CMPI["eq"]))
        return found


def aligned(low: Lowering, buffer: Value, need: int) -> Value | None:
    """Return whether every row of a buffer begins at a multiple of ``need`` bytes; None: known."""
    kind = buffer.type
    assert isinstance(kind, MemRefType)
    if need <= max(8, kind.element.bits) // 8:
        return None
    if kind.space is not None:
        return None

    def make(b: Builder) -> Value:
        zero = constant(b, 0, INDEX)
        origin = b.create(Address, buffer, [zero] * kind.rank)
        bits = origin
        for dim in range(kind.rank - 1):
            stride = kind.element_strides[dim]
            if stride != DYNAMIC and stride * kind.element.bits // 8 % need == 0:
                continue
            at = [constant(b, int(d == dim), INDEX) for d in range(kind.rank)]
            # With an aligned origin, a row is aligned just when its address is.
            bits = b.create(Ori, bits, b.create(Address, buffer, at))
        low_bits = b.create(Andi, bits, constant(b, need - 1, INDEX))
        made: Value = b.create(Cmpi, low_bits, zero, predicate=CMPI["eq"])
        return made

    if isinstance(buffer, BlockArgument):
        return low.lane.once(("aligned", buffer, need), make)
    return make(low.builder)


def _sum(b: Builder, x: Value, y: Value) -> Value:
    known = constant_of(x), constant_of(y)
    if known[0] == 0:
        return y
    if known[1] == 0:
        return x
    made: Value = b.create(Addi, x, y)
    return made


def divides(number: int, value: Value) -> bool:
    """Return whether an index is known to be a multiple of a power of two."""
    if number == 1:
        return True
    known = constant_of(value)
    if known is not None:
        return int(known) % number == 0
    op = value.op
    if isinstance(op, Muli):
        return any(_divided(number, op.lhs, op.rhs))
    if isinstance(op, Addi | Subi | Minsi):
        return divides(number, op.lhs) and divides(number, op.rhs)
    if isinstance(op, Shli):
        by = constant_of(op.rhs)
        return by is not None and (1 << int(by)) % number == 0
    if isinstance(op, IndexCast):
        return divides(number, op.x)
    if isinstance(op, Dim):
        axis = constant_of(op.index)
        extent = DYNAMIC if axis is None else op.source.type.shape[int(axis)]
        return extent != DYNAMIC and extent % number == 0
    return _steps_by(number, value)


def _divided(number: int, *factors: Value) -> list[bool]:
    return [divides(number, f) for f in factors]


def _steps_by(number: int, value: Value) -> bool:
    """Return whether a loop's counter begins at and goes by multiples."""
    from kdsl.dialects.scf import For

    if not isinstance(value, BlockArgument) or value.index != 0:
        return False
    loop = value.block.parent_op
    return isinstance(loop, For) and divides(number, loop.lower) and divides(number, loop.step)


def is_not_negative(value: Value, depth: int = 8) -> bool:
    """Return whether an index is known not to be negative."""
    from kdsl.dialects.arith import Ceildivsi, Divui, Floordivsi, IndexCastui, Maxsi
    from kdsl.dialects.scf import For

    known = constant_of(value)
    if known is not None:
        return int(known) >= 0
    if depth == 0:
        return False
    op = value.op
    if isinstance(op, ProgramId | NumPrograms | Dim | IndexCastui):
        return True
    if isinstance(op, Maxsi):
        return any(is_not_negative(v, depth - 1) for v in op.operands)
    if isinstance(op, Addi | Muli | Minsi | Divsi | Divui | Floordivsi | Ceildivsi | Remsi):
        return all(is_not_negative(v, depth - 1) for v in op.operands)
    if isinstance(op, Subi):
        return _counts_down(op)
    if op is None and isinstance(value, BlockArgument) and value.index == 0:
        loop = value.block.parent_op
        return isinstance(loop, For) and is_not_negative(loop.lower, depth - 1)
    return False


def _counts_down(op: Subi) -> bool:
    """num_programs - 1 - program_id is not negative."""
    left, right = op.lhs, op.rhs
    if not isinstance(right.op, ProgramId):
        return False
    one_less: Any = left.op
    if isinstance(one_less, Addi):
        sizes = (one_less.lhs, -(constant_of(one_less.rhs) or 0))
    elif isinstance(one_less, Subi):
        sizes = (one_less.lhs, constant_of(one_less.rhs) or 0)
    else:
        return False
    count = sizes[0].op
    return isinstance(count, NumPrograms) and count.axis == right.op.axis and sizes[1] == 1
