"""Computing one vector of a tile where it is needed, from scratch, memory and cheap producers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import numpy as np

from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Ceildivsi,
    Cmpi,
    Constant,
    Divsi,
    Divui,
    Floordivsi,
    IndexCast,
    Muli,
    Remsi,
    Remui,
    Select,
    constant_of,
)
from kdsl.dialects.kdsl import Broadcast, Gather, Iota, LoadTile, Reshape, Slice, Transpose
from kdsl.dialects.memref import Load as ScalarLoad
from kdsl.dialects.scf import If, Yield
from kdsl.dialects.vector import Gather as VectorGather
from kdsl.dialects.vector import InsertElement
from kdsl.errors import InternalError
from kdsl.ir.attributes import Dense
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.ir.define import Elementwise
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import INDEX, TensorType, element_type, vector
from kdsl.passes.tile_to_loops.access import Found, read_memory, read_scratch
from kdsl.passes.tile_to_loops.nest import ORIGIN, Coord, Coords, Nest

if TYPE_CHECKING:
    from kdsl.passes.tile_to_loops.plan import Plan

DIVISIONS = (Divsi, Divui, Remsi, Remui, Floordivsi, Ceildivsi)
"""They trap on a zero divisor, which a padded or masked lane may well hold."""


class Puller:
    """Computes vectors of tiles within one nest.

    ``assumed`` are selects whose mask holds everywhere; ``direct`` are tiles read from memory
    though they have a buffer.
    """

    def __init__(
        self,
        plan: Plan,
        nest: Nest,
        assumed: Collection[Op] = (),
        direct: Collection[Value] = (),
    ) -> None:
        self.plan = plan
        self.nest = nest
        self.assumed = assumed
        self.direct = direct

    def pull(self, value: Value, coords: Coords, lane: int | None) -> Found:
        """Return the lanes of ``value`` at ``coords`` along ``lane``; one element when None.

        A value that is equal in all lanes may come as a scalar.
        """
        if not isinstance(value.type, TensorType):
            return value, 0
        if self.nest.width == 1:
            lane = None
        key = (value, coords, lane, self.nest.count, self.nest.width)
        found = self.nest.find(key)
        if found is None:
            found = self._read(value, coords, lane)
            if found is None:
                found = self._compute(value, coords, lane)
            self.nest.remember(key, *found)
        return found

    def compute(self, value: Value, coords: Coords, lane: int | None) -> Found:
        """As ``pull``, for the place where a tile that has a buffer is made."""
        if self.nest.width == 1:
            lane = None
        found = self._compute(value, coords, lane)
        key = (value, coords, lane, self.nest.count, self.nest.width)
        return self.nest.remember(key, *found)

    def vector(self, value: Value, coords: Coords, lane: int | None) -> Found:
        """As ``pull``, always with all lanes."""
        return self.nest.spread(*self.pull(value, coords, lane))

    # ------------------------------------------------------------------------------- sources

    def _read(self, value: Value, coords: Coords, lane: int | None) -> Found | None:
        """Read a tile that has a buffer; None when it has none."""
        if value in self.direct:
            return None
        held = self.plan.buffers_of(value)
        if not held:
            return None
        for scratch in sorted(held, key=lambda s: s.lane != lane):
            found = read_scratch(self.nest, scratch, coords, lane)
            if found is not None:
                return found
        return self._lane_by_lane(self.pull, value, coords, lane)

    def _lane_by_lane(
        self,
        pull: Callable[[Value, Coords, int | None], Found],
        value: Value,
        coords: Coords,
        lane: int | None,
    ) -> Found:
        assert lane is not None
        nest = self.nest
        kind = vector(nest.width, element_type(value.type))
        found, level = nest.space.constant(0, kind), 0
        for i in range(nest.count):
            at = (*coords[:lane], coords[lane].plus(i), *coords[lane + 1 :])
            one, one_level = pull(value, at, None)
            level = max(level, one_level)
            found = nest.at(level).create(InsertElement, one, found, nest.space.index(i))
        return found, level

    def _compute(self, value: Value, coords: Coords, lane: int | None) -> Found:
        op = value.op
        if isinstance(op, Constant):
            return self._constant(op, coords, lane)
        if isinstance(op, DeclaredOp) and Elementwise in op.traits:
            return self._elementwise(op, coords, lane)
        if isinstance(op, Broadcast):
            return self._broadcast(op, coords, lane)
        if isinstance(op, LoadTile):
            return read_memory(self.nest, op, coords, lane)
        if isinstance(op, Transpose):
            at: list[Coord] = [ORIGIN] * len(coords)
            for i, p in enumerate(op.permutation):
                at[p] = coords[i]
            return self.pull(op.x, tuple(at), None if lane is None else op.permutation[lane])
        if isinstance(op, Slice):
            return self._slice(op, coords, lane)
        if isinstance(op, Iota):
            return self._iota(op, coords, lane)
        if isinstance(op, Reshape):
            return self._reshape(op, coords, lane)
        if isinstance(op, Gather):
            return self._gather(op, coords, lane)
        # A tile that is only carried or made elsewhere is read from its buffer, never computed.
        found = self._read(value, coords, lane)
        if found is None:
            what = f"tile-to-loops has no buffer for {value!r}"
            raise InternalError(None if op is None else op.loc, what=what)
        return found

    # ----------------------------------------------------------------------------------- ops

    def _constant(self, op: Constant, coords: Coords, lane: int | None) -> Found:
        space = self.nest.space
        held = op.value
        if isinstance(held, Dense) and held.is_splat:
            return space.constant(held.array, element_type(op.y.type)), 0
        found = read_scratch(self.nest, space.table(op), coords, lane)
        return self._lane_by_lane(self.compute, op.y, coords, lane) if found is None else found

    def _elementwise(self, op: DeclaredOp, coords: Coords, lane: int | None) -> Found:
        nest = self.nest
        if op in self.assumed:
            return self.pull(op.operands[1], coords, lane)
        pulled = [self.pull(v, coords, lane) for v in op.operands]
        wide = any(v.type.text.startswith("vector") for v, _ in pulled)
        if wide:
            chosen = isinstance(op, Select) and not isinstance(op.operands[0].type, TensorType)
            pulled = [
                pair if chosen and i == 0 else nest.spread(*pair) for i, pair in enumerate(pulled)
            ]
        level = max((at for _, at in pulled), default=0)
        operands = [v for v, _ in pulled]
        if isinstance(op, DIVISIONS):
            operands[1] = self._safe_divisor(operands[1], level, wide)
        element = element_type(op.results[0].type)
        kind = vector(nest.width, element) if wide else element
        copy = type(op)(operands, [kind], dict(op.attributes), [], op.loc)
        nest.at(level).insert(copy)
        return copy.results[0], level

    def _safe_divisor(self, divisor: Value, level: int, wide: bool) -> Value:
        known = constant_of(divisor)
        if known is not None and known != 0:
            return divisor
        b, space = self.nest.at(level), self.nest.space
        zero, one = space.constant(0, divisor.type), space.constant(1, divisor.type)
        is_zero = b.create(Cmpi, divisor, zero, predicate=CMPI["eq"])
        found = b.create(Select, is_zero, one, divisor)
        if wide and not self.nest.is_full:
            found = b.create(Select, self.nest.mask(), found, one)
        assert isinstance(found, Value)
        return found

    def _broadcast(self, op: Broadcast, coords: Coords, lane: int | None) -> Found:
        if not isinstance(op.x.type, TensorType):
            return op.x, 0
        shape = op.x.type.shape
        at = tuple(ORIGIN if shape[i] == 1 else coords[d] for i, d in enumerate(op.dims))
        inner = None
        if lane in op.dims and shape[op.dims.index(lane)] != 1:
            inner = op.dims.index(lane)
        return self.pull(op.x, at, inner)

    def _slice(self, op: Slice, coords: Coords, lane: int | None) -> Found:
        nest = self.nest
        if lane is not None and op.steps[lane] != 1:
            return self._lane_by_lane(self.compute, op.y, coords, lane)
        at = []
        for coord, offset, step in zip(coords, op.offsets, op.steps, strict=True):
            if step == 1:
                at.append(coord.plus(offset))
            elif coord.base is None:
                at.append(Coord(None, coord.offset * step + offset))
            else:
                base, level = nest.make(coord.level, Muli, coord.base, nest.space.index(step))
                at.append(Coord(base, coord.offset * step + offset, level))
        return self.pull(op.x, tuple(at), lane)

    def _iota(self, op: Iota, coords: Coords, lane: int | None) -> Found:
        nest = self.nest
        element = op.y.type.element
        start, level = nest.position(coords[0])
        if element is not INDEX:
            start, level = nest.make(level, IndexCast, start, types=[element])
        if lane is None:
            return start, level
        spread, level = nest.spread(start, level)
        lanes = nest.space.constant(np.arange(nest.width), vector(nest.width, element))
        return nest.make(level, Addi, spread, lanes)

    def _reshape(self, op: Reshape, coords: Coords, lane: int | None) -> Found:
        shape, source = op.y.type.shape, op.x.type.shape
        matched = _matched_axes(source, shape)
        if matched is not None:
            at = tuple(ORIGIN if m is None else coords[m] for m in matched)
            inner = matched.index(lane) if lane is not None and lane in matched else None
            return self.pull(op.x, at, inner)
        if lane is not None:
            last = len(shape) - 1
            runs = all(n % self.nest.width == 0 for n in (shape[-1], source[-1]))
            if lane != last or not runs:
                return self._lane_by_lane(self.compute, op.y, coords, lane)
        return self.pull(
            op.x, self._unravel(shape, source, coords), None if lane is None else len(source) - 1
        )

    def _unravel(self, shape: tuple[int, ...], source: tuple[int, ...], coords: Coords) -> Coords:
        """Return where in ``source`` the element at ``coords`` of ``shape`` is, row-major."""
        nest = self.nest
        if all(c.base is None for c in coords):
            flat = int(np.ravel_multi_index([c.offset for c in coords], shape))
            return tuple(Coord(None, int(i)) for i in np.unravel_index(flat, source))
        linear, level = nest.position(coords[0])
        for extent, coord in zip(shape[1:], coords[1:], strict=True):
            scaled, level = nest.make(level, Muli, linear, nest.space.index(extent))
            at, at_level = nest.position(coord)
            level = max(level, at_level)
            linear, level = nest.make(level, Addi, scaled, at)
        found: list[Coord] = []
        for extent in reversed(source[1:]):
            size = nest.space.index(extent)
            rest, _ = nest.make(level, Remui, linear, size)
            linear, _ = nest.make(level, Divui, linear, size)
            found.append(Coord(rest, 0, level))
        return (Coord(linear, 0, level), *reversed(found))

    def _gather(self, op: Gather, coords: Coords, lane: int | None) -> Found:
        nest = self.nest
        pulled = [self.pull(v, coords, lane) for v in (op.mask, *op.indices)]
        if lane is None:
            level = max(at for _, at in pulled)
            return self._gather_one(op, [v for v, _ in pulled], level), level
        outer = pulled[1:-1]
        if any(v.type is not INDEX for v, _ in outer):
            return self._lane_by_lane(self.compute, op.y, coords, lane)
        mask, last = nest.spread(*pulled[0]), nest.spread(*pulled[-1])
        level = max(at for _, at in (mask, last, *outer))
        kind = vector(nest.width, op.y.type.element)
        b = nest.at(level)
        keep = mask[0]
        if not nest.is_full:
            from kdsl.dialects.arith import Andi

            keep = b.create(Andi, keep, nest.mask())
        indices = [*(v for v, _ in outer), nest.space.index(0)]
        zero = nest.space.constant(0, kind)
        return b.create(VectorGather, op.source, indices, last[0], keep, zero), level

    def _gather_one(self, op: Gather, values: list[Value], level: int) -> Value:
        b = self.nest.at(level)
        element = op.y.type.element
        choice = b.add(
            If, values[0], types=[element], regions=[Region([Block()]), Region([Block()])]
        )
        assert choice.else_block is not None
        with b.at(choice.then_block):
            b.add(Yield, [b.create(ScalarLoad, op.source, values[1:])])
        with b.at(choice.else_block):
            b.add(Yield, [self.nest.space.constant(0, element)])
        found = choice.results[0]
        assert isinstance(found, Value)
        return found


def _matched_axes(source: tuple[int, ...], shape: tuple[int, ...]) -> list[int | None] | None:
    """Match the axes of ``source`` with those of ``shape`` when only axes of size 1 come or go."""
    if [n for n in source if n != 1] != [n for n in shape if n != 1]:
        return None
    kept = iter([i for i, n in enumerate(shape) if n != 1])
    return [None if n == 1 else next(kept) for n in source]


def is_movable(op: Op | None) -> bool:
    """Return whether an op's tile can be computed anywhere its operands are known."""
    return isinstance(op, Constant | Broadcast | Transpose | Slice | Iota | Reshape) or (
        isinstance(op, DeclaredOp) and Elementwise in op.traits
    )
