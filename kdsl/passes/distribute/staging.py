"""Operands of matrix units on their way through workgroup memory.

A tile that dots alone read is written there as it comes from memory, rows padded so that no two
lanes that read together meet in a bank, and read as the fragments that the instruction wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kdsl.dialects.arith import Addi
from kdsl.dialects.kdsl import LoadTile
from kdsl.dialects.lanes import CopyAsync
from kdsl.ir.core import Value
from kdsl.ir.types import I1, ScalarType
from kdsl.passes.distribute.matrix_load import load_matrices
from kdsl.passes.distribute.memory import load_window, read_pieces
from kdsl.passes.distribute.scratch import from_scratch, into_scratch, place
from kdsl.passes.distribute.stage import Stage
from kdsl.passes.distribute.window import Window
from kdsl.target.layout import Layout

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

COPIED = (4, 8, 16)
"""Bytes that are copied at once on the side."""
WORDS = (8, 16, 32)
"""Bits of the elements that are staged."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A tile in workgroup memory: the element at c is at ``start + base + c . strides``."""

    buffer: Value
    element: ScalarType
    strides: tuple[int, ...]
    start: Value | None = None
    base: int = 0

    def moved(self, axis: int, steps: int) -> Staged:
        """Return the part of the tile from ``steps`` on along an axis."""
        return replace(self, base=self.base + steps * self.strides[axis])

    def transposed(self, permutation: Sequence[int]) -> Staged:
        """Return the same tile turned."""
        return replace(self, strides=tuple(self.strides[p] for p in permutation))

    def read(self, low: Lowering, layout: Layout) -> Value:
        """Return the registers of the tile in a layout."""
        low.order.read(self.buffer)
        found = load_matrices(low, self.buffer, layout, self.strides, self.start, self.base)
        if found is not None:
            return found
        return from_scratch(
            low, self.buffer, self.element, layout, self.strides, self.base, self.start
        )


def lower_staged(op: LoadTile, low: Lowering, stage: Stage) -> None:
    """Load a tile into workgroup memory and wait for it."""
    buffer = low.buffer(stage)
    block = low.builder.block
    low.order.write(buffer, block, block.last)
    fragment = load_window(low, op, stage.layout)
    into_scratch(low, buffer, fragment, stage.layout, stage.strides, 0)
    low.barrier()
    low.hold(op.y, Staged(buffer, stage.element, stage.strides))


def copy_ahead(low: Lowering, op: LoadTile, stage: Stage, buffer: Value, start: Value) -> None:
    """Begin to copy a tile to a slot of a buffer that begins at ``start``."""
    window = Window(low, op, stage.layout)
    count = window.width * window.bytes
    if count not in COPIED or low.lane.owner(stage.layout) is not None:
        fragment = load_window(low, op, stage.layout)
        into_scratch(low, buffer, fragment, stage.layout, stage.strides, 0, start)
        return
    known, condition = window.whole()
    if known:
        _copy(low, window, stage, buffer, start)
        return
    assert condition is not None

    def copy() -> list[Value]:
        _copy(low, window, stage, buffer, start)
        return []

    def store() -> list[Value]:
        fragment = read_pieces(low, window, whole=False)
        into_scratch(low, buffer, fragment, stage.layout, stage.strides, 0, start)
        return []

    low.choose(condition, [], copy, store)


def _copy(low: Lowering, window: Window, stage: Stage, buffer: Value, start: Value) -> None:
    lane, b = low.lane, low.builder
    base = lane.offset_index(stage.layout, list(stage.strides))
    base = start if base is None else b.create(Addi, start, base)
    window.forget()
    for piece in window.pieces:
        valid = window.predicate(piece)
        offset = sum(c * s for c, s in zip(piece.at, stage.strides, strict=True))
        b.add(
            CopyAsync,
            window.buffer,
            buffer,
            lane.constant(True, I1) if valid is None else valid,
            [*window.indices(piece), place(lane, base, offset)],
            bytes=window.width * window.bytes,
        )
