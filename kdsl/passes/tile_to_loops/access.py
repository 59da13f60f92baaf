"""Reading and writing memory and scratch, a vector or a lane at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects.arith import CMPI, Addi, Andi, Cmpi, Extui, Minsi, constant_of
from kdsl.dialects.kdsl import LoadTile, StoreTile
from kdsl.dialects.memref import Dim
from kdsl.dialects.memref import Load as ScalarLoad
from kdsl.dialects.memref import Store as ScalarStore
from kdsl.dialects.scf import If, Yield
from kdsl.dialects.vector import (
    Broadcast as Splat,
)
from kdsl.dialects.vector import (
    ExtractElement,
    InsertElement,
    MaskedLoad,
    MaskedStore,
)
from kdsl.dialects.vector import Load as VectorLoad
from kdsl.dialects.vector import Store as VectorStore
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Region, Value
from kdsl.ir.types import DYNAMIC, I1, I8, INDEX, VectorType, vector
from kdsl.passes.tile_layout import unit_axis
from kdsl.passes.tile_to_loops.nest import Coords, Nest
from kdsl.passes.tile_to_loops.scratch import Scratch, add, multiply

Access = LoadTile | StoreTile
Found = tuple[Value, int]


# ---------------------------------------------------------------------------------------- scratch


def scratch_indices(nest: Nest, scratch: Scratch, coords: Coords) -> tuple[list[Value], int]:
    """Return the indices of an element, and the level at which they are known."""
    level = 0
    indices = []
    for axis in scratch.order:
        value, at = nest.position(coords[axis])
        indices.append(value)
        level = max(level, at)
    return indices, level


def read_scratch(nest: Nest, scratch: Scratch, coords: Coords, lane: int | None) -> Found | None:
    """Read a vector along ``lane``, or one element; None when the lanes are not contiguous."""
    memory = nest.space.memory(scratch)
    indices, level = scratch_indices(nest, scratch, coords)
    if lane is None:
        read = nest.at(level).create(ScalarLoad, memory, indices)
    elif lane != scratch.lane:
        return None
    elif _stays_inside(nest, scratch, coords):
        read = nest.at(level).create(
            VectorLoad, memory, indices, types=[vector(nest.width, scratch.storage)]
        )
    else:
        zero = nest.space.constant(0, vector(nest.width, scratch.storage))
        read = nest.at(level).create(MaskedLoad, memory, indices, nest.mask(), zero)
    return _as_element(nest, scratch, read, level)


def _stays_inside(nest: Nest, scratch: Scratch, coords: Coords) -> bool:
    """Return whether a whole vector lies inside the padded row."""
    at = coords[scratch.lane]
    if nest.is_full:
        return True
    return at.base is None and at.offset + nest.width <= scratch.extents[-1]


def _as_element(nest: Nest, scratch: Scratch, read: Value, level: int) -> Found:
    if scratch.element is not I1:
        return read, level
    zero = nest.space.constant(0, read.type)
    return nest.at(level).create(Cmpi, read, zero, predicate=CMPI["ne"]), level


def write_scratch(
    nest: Nest, scratch: Scratch, coords: Coords, lane: int, value: Value, *, exact: bool = False
) -> None:
    """Write a vector along ``lane``, lane by lane when that is not contiguous.

    ``exact`` keeps the lanes beyond the tile as they are: another part of the buffer begins there.
    """
    b = nest.inner
    memory = nest.space.memory(scratch)
    if scratch.element is I1:
        kind = vector(nest.width, I8) if isinstance(value.type, VectorType) else I8
        value = b.create(Extui, value, types=[kind])
    if not isinstance(value.type, VectorType):
        indices, _ = scratch_indices(nest, scratch, coords)
        b.create(ScalarStore, value, memory, indices)
    elif lane != scratch.lane:
        for i in range(nest.count):
            at = (*coords[:lane], coords[lane].plus(i), *coords[lane + 1 :])
            indices, _ = scratch_indices(nest, scratch, at)
            one = b.create(ExtractElement, value, nest.space.index(i))
            b.create(ScalarStore, one, memory, indices)
    else:
        indices, _ = scratch_indices(nest, scratch, coords)
        if nest.is_full or (not exact and _stays_inside(nest, scratch, coords)):
            b.create(VectorStore, value, memory, indices)
        else:
            b.create(MaskedStore, memory, indices, nest.mask(), value)


# ----------------------------------------------------------------------------------------- memory


def memory_of(op: Access) -> Value:
    """Return the buffer that a load reads or a store writes."""
    found = op.source if isinstance(op, LoadTile) else op.target
    assert isinstance(found, Value)
    return found


def tile_shape(op: Access) -> tuple[int, ...]:
    """Return the shape of the tile that is loaded or stored."""
    shape: tuple[int, ...] = op.y.type.shape if isinstance(op, LoadTile) else op.value.type.shape
    return shape


def _extent(nest_or_builder: Builder, index: Any, op: Access, dim: int) -> Value:
    memory = memory_of(op)
    extent = memory.type.shape[dim]  # type: ignore[attr-defined]
    if extent != DYNAMIC:
        found: Value = index(extent)
        return found
    made = nest_or_builder.create(Dim, memory, index(dim))
    assert isinstance(made, Value)
    return made


def is_always_inside(op: Access, axis: int) -> bool:
    """Return whether an axis of a tile lies inside its buffer whatever the sizes are."""
    dim = op.dims[axis]
    extent = memory_of(op).type.shape[dim]  # type: ignore[attr-defined]
    first, stop = constant_of(op.offsets[dim]), _known_stop(op, axis, extent)
    if first is None or stop is None:
        return False
    last = first + (tile_shape(op)[axis] - 1) * op.steps[axis]
    return bool(first >= 0 and last < stop)


def _known_stop(op: Access, axis: int, extent: int) -> int | None:
    """Return the bound of an axis when it is known while compiling."""
    if extent == DYNAMIC:
        return None
    stop = op.stops[axis]
    known = constant_of(stop)
    if known is None and isinstance(stop.op, Dim) and stop.op.source is memory_of(op):
        known = extent if constant_of(stop.op.index) == op.dims[axis] else None
    return None if known is None else min(int(known), extent)


def interior_condition(b: Builder, index: Any, op: Access) -> Value | None:
    """Compute whether a whole tile lies inside its buffer; None when that is always so."""
    found: Value | None = None
    for axis, (dim, step) in enumerate(zip(op.dims, op.steps, strict=True)):
        if is_always_inside(op, axis):
            continue
        offset = op.offsets[dim]
        bound = b.create(Minsi, op.stops[axis], _extent(b, index, op, dim))
        last = add(b, offset, index((tile_shape(op)[axis] - 1) * step))
        below = b.create(Cmpi, last, bound, predicate=CMPI["slt"])
        above = b.create(Cmpi, offset, index(0), predicate=CMPI["sge"])
        both = b.create(Andi, below, above)
        found = both if found is None else b.create(Andi, found, both)
    return found


class Place:
    """Where one vector (or element) of a memory tile is, and which of its lanes may be touched."""

    def __init__(self, nest: Nest, op: Access, coords: Coords, lane: int | None) -> None:
        self.nest = nest
        self.op = op
        self.lane = lane
        self.level = 0
        self.indices = list(op.offsets)
        for axis, (dim, step) in enumerate(zip(op.dims, op.steps, strict=True)):
            at, level = nest.position(coords[axis])
            if constant_of(at) != 0:
                scaled, level = (at, level) if step == 1 else self._scaled(at, level, step)
                self.indices[dim], _ = nest.make(level, Addi, op.offsets[dim], scaled)
            self.level = max(self.level, level)

    def _scaled(self, at: Value, level: int, step: int) -> Found:
        return multiply(self.nest.at(level), at, self.nest.space.index(step)), level

    @property
    def memory(self) -> Value:
        return memory_of(self.op)

    @property
    def is_interior(self) -> bool:
        """Return whether the whole tile is known to lie inside its buffer."""
        return self.nest.interior or self.op in self.nest.inside

    @property
    def is_contiguous(self) -> bool:
        return self.lane is not None and unit_axis(self.op) == self.lane

    @property
    def builder(self) -> Builder:
        return self.nest.at(self.level)

    def rows_inside(self, skipped: int | None) -> Value | None:
        """Return whether it is inside along every axis but ``skipped``; None for always."""
        found: Value | None = None
        for axis in range(len(self.op.dims)):
            if axis == skipped or is_always_inside(self.op, axis):
                continue
            good = self.is_inside(self.indices[self.op.dims[axis]], axis)
            found = good if found is None else self.builder.create(Andi, found, good)
        return found

    def is_inside(self, at: Value, axis: int) -> Value:
        """Compare positions, one or a vector of them, with the bounds of an axis."""
        b, index = self.builder, self.nest.space.index
        bound = b.create(Minsi, self.op.stops[axis], _extent(b, index, self.op, self.op.dims[axis]))
        zero = index(0)
        if isinstance(at.type, VectorType):
            bound, zero = (
                b.create(Splat, bound, types=[at.type]),
                self.nest.space.constant(0, at.type),
            )
        below = b.create(Cmpi, at, bound, predicate=CMPI["slt"])
        above = b.create(Cmpi, at, zero, predicate=CMPI["sge"])
        found = b.create(Andi, below, above)
        assert isinstance(found, Value)
        return found

    def mask(self) -> Value | None:
        """Return which lanes of a contiguous vector may be touched; None for all."""
        nest, lane = self.nest, self.lane
        assert lane is not None
        static = None if nest.is_full else nest.mask()
        if self.is_interior:
            return static
        b = self.builder
        kind = vector(nest.width, I1)
        found = static
        if not is_always_inside(self.op, lane):
            lanes = vector(nest.width, INDEX)
            start = b.create(Splat, self.indices[self.op.dims[lane]], types=[lanes])
            each = b.create(Addi, start, nest.space.constant(np.arange(nest.width), lanes))
            good = self.is_inside(each, lane)
            found = good if found is None else b.create(Andi, found, good)
        row = self.rows_inside(lane)
        if row is not None:
            rows = b.create(Splat, row, types=[kind])
            found = rows if found is None else b.create(Andi, found, rows)
        return found


def read_memory(nest: Nest, op: LoadTile, coords: Coords, lane: int | None) -> Found:
    """Read a vector along ``lane`` of a memory tile, or one element; zero outside."""
    place = Place(nest, op, coords, lane)
    element = op.y.type.element
    if lane is None:
        return _read_element(nest, place), place.level
    if not place.is_contiguous:
        return _read_lanes(nest, op, coords, lane)
    kind = vector(nest.width, element)
    mask = place.mask()
    if mask is None:
        return place.builder.create(
            VectorLoad, place.memory, place.indices, types=[kind]
        ), place.level
    zero = nest.space.constant(0, kind)
    return place.builder.create(MaskedLoad, place.memory, place.indices, mask, zero), place.level


def _read_element(nest: Nest, place: Place) -> Value:
    inside = None if place.is_interior else place.rows_inside(None)
    b = place.builder
    if inside is None:
        found = b.create(ScalarLoad, place.memory, place.indices)
    else:
        kind = place.memory.type.element  # type: ignore[attr-defined]
        choice = b.add(If, inside, types=[kind], regions=[Region([Block()]), Region([Block()])])
        assert choice.else_block is not None
        with b.at(choice.then_block):
            b.add(Yield, [b.create(ScalarLoad, place.memory, place.indices)])
        with b.at(choice.else_block):
            b.add(Yield, [nest.space.constant(0, kind)])
        found = choice.results[0]
    assert isinstance(found, Value)
    return found


def _read_lanes(nest: Nest, op: LoadTile, coords: Coords, lane: int) -> Found:
    kind = vector(nest.width, op.y.type.element)
    found, level = nest.space.constant(0, kind), 0
    for i in range(nest.count):
        at = (*coords[:lane], coords[lane].plus(i), *coords[lane + 1 :])
        one, one_level = read_memory(nest, op, at, None)
        level = max(level, one_level)
        found = nest.at(level).create(InsertElement, one, found, nest.space.index(i))
    return found, level


def write_memory(nest: Nest, op: StoreTile, coords: Coords, lane: int, value: Value) -> None:
    """Write a vector along ``lane`` of a memory tile (or one element); nothing outside."""
    if not isinstance(value.type, VectorType):
        _write_element(nest, Place(nest, op, coords, None), value)
        return
    place = Place(nest, op, coords, lane)
    place.level = nest.depth
    b = nest.inner
    if not place.is_contiguous:
        for i in range(nest.count):
            at = (*coords[:lane], coords[lane].plus(i), *coords[lane + 1 :])
            one = b.create(ExtractElement, value, nest.space.index(i))
            _write_element(nest, Place(nest, op, at, None), one)
        return
    mask = place.mask()
    if mask is None:
        b.create(VectorStore, value, place.memory, place.indices)
    else:
        b.create(MaskedStore, place.memory, place.indices, mask, value)


def _write_element(nest: Nest, place: Place, value: Value) -> None:
    place.level = nest.depth
    inside = None if place.is_interior else place.rows_inside(None)
    b = nest.inner
    if inside is None:
        b.create(ScalarStore, value, place.memory, place.indices)
        return
    choice = b.add(If, inside, types=[], regions=[Region([Block()]), Region([])])
    with b.at(choice.then_block):
        b.create(ScalarStore, value, place.memory, place.indices)
        b.add(Yield, [])
