"""Scratch buffers, constants and index arithmetic of the function that is being lowered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kdsl.dialects.arith import Addi, Constant, Muli, constant, constant_of
from kdsl.dialects.memref import Alloca
from kdsl.dialects.vector import Store as VectorStore
from kdsl.errors import OutOfRegistersError
from kdsl.ir.attributes import AttributeValue
from kdsl.ir.builder import Builder
from kdsl.ir.core import Op, Value
from kdsl.ir.types import I1, I8, INDEX, ScalarType, TensorType, Type, memref, vector
from kdsl.passes.tile_layout import TileLayout

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""
SCRATCH_BYTES = 2 << 20
"""Scratch lives on the stack of a worker thread; more than this is a tile that is too large."""


@dataclass(slots=True, eq=False)
class Scratch:
    """A buffer for a tile: axis ``lane`` is innermost and padded to whole vectors of ``width``."""

    shape: tuple[int, ...]
    lane: int
    width: int
    element: ScalarType
    order: tuple[int, ...]
    extents: tuple[int, ...]
    memory: Value | None = None

    @property
    def storage(self) -> ScalarType:
        """The element type in memory; truth values take a byte each."""
        return I8 if self.element is I1 else self.element

    @property
    def size_bytes(self) -> int:
        return int(np.prod(self.extents)) * self.storage.numpy.itemsize


def scratch_for(kind: TensorType, lane: int, width: int) -> Scratch:
    """Describe a buffer for tiles of a type; it is allocated at its first use."""
    order = (*(a for a in range(kind.rank) if a != lane), lane)
    padded = -(-kind.shape[lane] // width) * width
    extents = (*(kind.shape[a] for a in order[:-1]), padded)
    return Scratch(kind.shape, lane, width, kind.element, order, extents)


class Workspace:
    """What a function's lowering shares: constants and buffers at the entry, the layout."""

    def __init__(self, function: Op, layout: TileLayout) -> None:
        self.function = function
        self.layout = layout
        first = function.body.first
        assert first is not None
        self._constants = Builder(function.body, first)
        self._marker = self._constants.add(Constant, types=[INDEX], value=_index_attribute(0))
        self._constants.anchor = self._marker
        self._allocations = Builder(function.body, first)
        self._known: dict[tuple[Type, Any], Value] = {}
        self._tables: dict[Op, Scratch] = {}
        self._stages: dict[tuple[int, ScalarType], Value] = {}
        self.bytes = 0

    # ----------------------------------------------------------------------------- constants

    def constant(self, value: Any, type: Type) -> Value:
        """Return a constant; a number fills all lanes."""
        array = np.asarray(value)
        key = (type, (array.tobytes(), array.dtype.str, array.shape))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = constant(self._constants, value, type)
        return found

    def index(self, value: int) -> Value:
        """Return an index constant."""
        return self.constant(value, INDEX)

    def finish(self) -> None:
        """Remove what was needed only while lowering."""
        if not self._marker.is_used:
            self._marker.erase()

    # ------------------------------------------------------------------------------- buffers

    def memory(self, scratch: Scratch) -> Value:
        """Return the buffer itself, allocated at the function's entry."""
        if scratch.memory is None:
            scratch.memory = self.allocate(scratch.extents, scratch.storage)
        return scratch.memory

    def allocate(self, extents: tuple[int, ...], element: ScalarType) -> Value:
        """Allocate static scratch at the function's entry."""
        kind = memref(extents, element)
        self.bytes += int(np.prod(extents)) * element.numpy.itemsize
        if self.bytes > SCRATCH_BYTES:
            raise OutOfRegistersError(
                self.function.loc,
                what=f"a tile of {'x'.join(map(str, extents))} {element}",
                needed=f"{self.bytes} bytes, with the tiles beside it,",
                kind="scratch memory",
                target="a program",
                available=f"{SCRATCH_BYTES} bytes",
                advice="use smaller tiles and let the grid cover the rest",
            )
        made = self._allocations.create(Alloca, [], [], types=[kind], alignment=ALIGNMENT)
        assert isinstance(made, Value)
        return made

    def stage(self, width: int, element: ScalarType) -> Value:
        """Return a square of vectors through which transposes go."""
        found = self._stages.get((width, element))
        if found is None:
            found = self._stages[(width, element)] = self.allocate((width, width), element)
        return found

    def table(self, op: Constant) -> Scratch:
        """Return a buffer that holds a constant tile whose lanes differ."""
        found = self._tables.get(op)
        if found is None:
            found = self._tables[op] = self._fill_table(op)
        return found

    def _fill_table(self, op: Constant) -> Scratch:
        kind = op.y.type
        assert isinstance(kind, TensorType)
        lane = self.layout.lanes.get(op.y, kind.rank - 1)
        width = self.layout.width(kind.shape[lane])
        scratch = scratch_for(kind, lane, width)
        memory = self.memory(scratch)
        full = np.zeros(scratch.extents, scratch.storage.numpy)
        array = op.value.full().transpose(scratch.order)
        full[tuple(slice(0, n) for n in array.shape)] = array
        b = self._allocations
        for at in np.ndindex(*scratch.extents[:-1], scratch.extents[-1] // width):
            start = at[-1] * width
            lanes = full[at[:-1]][start : start + width]
            value = self.constant(lanes, vector(width, scratch.storage))
            indices = [self.index(i) for i in (*at[:-1], start)]
            b.create(VectorStore, value, memory, indices)
        return scratch


def _index_attribute(value: int) -> AttributeValue:
    from kdsl.dialects.arith import constant_attribute

    return constant_attribute(value, INDEX)


# --------------------------------------------------------------------------------- index arithmetic


def add(b: Builder, x: Value, y: Value) -> Value:
    """Return ``x + y`` of indices, without adding a known zero."""
    if constant_of(y) == 0:
        return x
    if constant_of(x) == 0:
        return y
    made = b.create(Addi, x, y)
    assert isinstance(made, Value)
    return made


def multiply(b: Builder, x: Value, y: Value) -> Value:
    """Return ``x * y`` of indices, without multiplying by a known one."""
    if constant_of(y) == 1:
        return x
    if constant_of(x) == 1:
        return y
    made = b.create(Muli, x, y)
    assert isinstance(made, Value)
    return made
