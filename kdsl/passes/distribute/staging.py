"""Operands of matrix units on their way through workgroup memory.

A tile that dots alone read is written there as it comes from memory, rows padded so that no two
lanes that read together meet in a bank, and read as the fragments that the instruction wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from kdsl.dialects.arith import Addi
from kdsl.dialects.kdsl import Dot, LoadTile, Transpose
from kdsl.dialects.lanes import CopyAsync
from kdsl.ir.core import Op, Value
from kdsl.ir.types import I1, ScalarType, TensorType
from kdsl.passes.distribute.dot_plan import DotPlan
from kdsl.passes.distribute.matrix_load import load_matrices
from kdsl.passes.distribute.memory import load_window, read_pieces
from kdsl.passes.distribute.scratch import from_scratch, into_scratch, padded, place
from kdsl.passes.distribute.window import Window
from kdsl.passes.tile_layout import unit_axis
from kdsl.target.features import Features
from kdsl.target.layout import Layout, blocked

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


@dataclass(frozen=True, slots=True)
class Stage:
    """How a load is staged: the layout it arrives in, and its place in workgroup memory.

    ``slots`` places, so that later turns of a loop may arrive while one is read.
    """

    layout: Layout
    strides: tuple[int, ...]
    size: int
    element: ScalarType
    slots: int = 1

    @property
    def bytes(self) -> int:
        """The workgroup memory that it takes."""
        return self.slots * self.size * max(8, self.element.bits) // 8


def stages_of(
    ops: Iterable[Op], dots: dict[Op, DotPlan], features: Features, warps: int
) -> dict[Op, Stage]:
    """Return the loads that go through workgroup memory, as long as there is room."""
    from kdsl.passes.distribute.pipeline import turns_ahead

    loads = [op for op in ops if isinstance(op, LoadTile) and _is_for_dots(op, dots)]
    room = features.shared_bytes * 3 // 4
    wanted = {op: _stage(op, features, warps) for op in loads}
    if features.async_copy:
        ahead: dict[Op, Stage] = {op: replace(s, slots=turns_ahead(op)) for op, s in wanted.items()}
        if sum(stage.bytes for stage in ahead.values()) <= room:
            return ahead
    found: dict[Op, Stage] = {}
    for op, stage in wanted.items():
        if stage.bytes <= room:
            found[op] = stage
            room -= stage.bytes
    return found


def _is_for_dots(op: LoadTile, dots: dict[Op, DotPlan]) -> bool:
    """Return whether only matrix units read a tile, as a second operand or once in its loop."""
    kind = op.y.type
    if kind.rank != 2 or unit_axis(op) is None or kind.element.bits not in WORDS:
        return False
    readers = list(_readers(op.y))
    if not readers or any(r is None for r in readers):
        return False
    return all(
        dot in dots and dots[dot].atom is not None and (which == 1 or dot.parent is op.parent)
        for dot, which in filter(None, readers)
    )


def _readers(value: Value) -> Iterable[tuple[Op, int] | None]:
    """Yield the dots that read a tile, turned or not, and as which operand; None for others."""
    for user in value.users:
        if isinstance(user, Transpose):
            yield from _readers(user.y)
        elif isinstance(user, Dot) and user.acc is not value and user.a is not user.b:
            yield user, int(user.b is value)
        else:
            yield None


def _stage(op: LoadTile, features: Features, warps: int) -> Stage:
    kind = op.y.type
    assert isinstance(kind, TensorType)
    unit = unit_axis(op)
    order = sorted(range(kind.rank), key=lambda axis: axis == unit)
    ordered, _ = padded([kind.shape[axis] for axis in order], kind.element)
    strides = [0] * kind.rank
    for axis, step in zip(order, ordered, strict=True):
        strides[axis] = step
    rows = prod(kind.shape) // kind.shape[order[-1]]
    layout = blocked(kind.shape, kind.element.bits, max(1, features.subgroup), warps, unit)
    return Stage(layout, tuple(strides), rows * ordered[0], kind.element)


def lower_staged(op: LoadTile, low: Lowering, stage: Stage) -> None:
    """Load a tile into workgroup memory and wait for it."""
    buffer = low.lane.allocate((stage.size,), stage.element)
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
