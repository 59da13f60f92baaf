"""Tiles and global memory: loads, stores, gathers and scatters of one lane.

Pieces are whole vectors where rows are aligned; a second form, chosen when the kernel runs, does
the same element by element. A ``vector.maskedload`` or ``maskedstore`` whose mask is a
``vector.broadcast`` is a vector access under one condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kdsl.dialects.arith import CMPI, Addi, Andi, Cmpi
from kdsl.dialects.kdsl import Gather, LoadTile, Scatter, StoreTile
from kdsl.dialects.memref import ATOMIC_KINDS, AtomicRmw
from kdsl.dialects.memref import Load as ScalarLoad
from kdsl.dialects.memref import Store as ScalarStore
from kdsl.dialects.vector import Broadcast, Load, MaskedLoad, MaskedStore, Store
from kdsl.ir.core import Value
from kdsl.ir.types import I32, MemRefType, VectorType, vector
from kdsl.passes.distribute.rearrange import convert
from kdsl.passes.distribute.scratch import in_order, padded
from kdsl.passes.distribute.window import Piece, Window
from kdsl.passes.tile_layout import unit_axis
from kdsl.target.layout import Layout, blocked

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

HINTS = ("kdsl.cache", "kdsl.evict")
WORD_BITS = 32
SCRATCH_BYTES = 8192
"""Left for tiles that move through workgroup memory besides."""


def lower_load(op: LoadTile, low: Lowering) -> None:
    """Load a lane's elements of a tile; zero outside."""
    if not op.y.users or low.held(op.y) is not None:
        return
    stage = low.plan.stages.get(op)
    if stage is not None:
        from kdsl.passes.distribute.staging import lower_staged

        lower_staged(op, low, stage)
        return
    low.bind(op.y, load_window(low, op, low.layout_of(op.y)))


def load_window(low: Lowering, op: LoadTile, layout: Layout) -> Value:
    """Return the registers of a load in a layout."""
    window = Window(low, op, layout)
    _await(low, op, window, layout, writes=False)
    kind = vector(layout.registers, op.y.type.element)
    known, condition = window.whole()
    if known:
        return read_pieces(low, window, whole=True)
    assert condition is not None
    return low.choose(
        condition,
        [kind],
        lambda: [read_pieces(low, window, whole=True)],
        lambda: [read_pieces(low, window, whole=False)],
    )[0]


def _await(
    low: Lowering, op: LoadTile | StoreTile, window: Window, layout: Layout, *, writes: bool
) -> None:
    """Put a barrier before an access that needs one, and record it."""
    copied = low.lane.owner(layout) is not None
    key = None if copied else (
        layout, tuple(window.offsets), tuple(op.dims), tuple(op.steps), tuple(window.stops),
    )  # fmt: skip
    buffer = op.source if isinstance(op, LoadTile) else op.target
    if low.hazards.must_wait(buffer, key, writes=writes):
        low.barrier()
    low.hazards.note(buffer, key, writes=writes)


def _hints(op: Any, made: Any) -> None:
    for name in HINTS:
        if name in op.attributes:
            made.attributes[name] = op.attributes[name]


def read_pieces(low: Lowering, window: Window, *, whole: bool) -> Value:
    """Load all pieces of a window; ``whole`` ones are aligned and inside or outside as one."""
    window.forget()
    parts = [_read_piece(low, window, piece, whole=whole) for piece in window.pieces]
    return in_order(low.lane, parts, [list(p.registers) for p in window.pieces])


def _read_piece(low: Lowering, window: Window, piece: Piece, *, whole: bool) -> Value:
    b, lane = low.builder, low.lane
    kind = vector(len(piece.registers), window.kind.element)
    indices = window.indices(piece)
    predicate = window.predicate(piece, None if whole else window.unit)
    if window.kind.element_strides[-1] != 1:
        return lane.gathered([_read_one(low, window, indices, predicate)])
    mask = _mask(low, window, piece, predicate, whole=whole)
    made: Any
    if mask is None:
        made = b.add(Load, window.buffer, indices, types=[kind])
    else:
        made = b.add(MaskedLoad, window.buffer, indices, mask, lane.constant(_zero(kind), kind))
    if whole:
        made.attributes["alignment"] = kind.size * window.bytes
    _hints(window.op, made)
    found: Value = made.results[0]
    return found


def _zero(kind: VectorType) -> Any:
    return 0.0 if kind.element.kind == "f" else 0


def _mask(
    low: Lowering, window: Window, piece: Piece, predicate: Value | None, *, whole: bool
) -> Value | None:
    """Return which elements of a piece may be touched; None for all."""
    b, lane = low.builder, low.lane
    count = len(piece.registers)
    mask = None if predicate is None else lane.splat(predicate, count)
    if whole or window.unit is None:
        return mask
    first, stop = window.limit(window.unit)
    if first is None and stop is None:
        return mask
    kind = vector(count, I32)
    each = lane.constant(np.arange(count, dtype=np.int32) + piece.at[window.unit], kind)
    here = lane.coordinate(window.layout, window.unit)
    if here is not None:
        each = b.create(Addi, b.create(Broadcast, here, types=[kind]), each)
    for bound, predicate_name in ((stop, "slt"), (first, "sge")):
        if bound is not None:
            limit = b.create(Broadcast, bound, types=[kind])
            good = b.create(Cmpi, each, limit, predicate=CMPI[predicate_name])
            mask = good if mask is None else b.create(Andi, mask, good)
    return mask


def _read_one(
    low: Lowering, window: Window, indices: list[Value], predicate: Value | None
) -> Value:
    """Read one element of a buffer whose elements are not side by side."""
    element = window.kind.element

    def read() -> list[Value]:
        return [low.builder.create(ScalarLoad, window.buffer, indices)]

    if predicate is None:
        return read()[0]
    zero = 0.0 if element.kind == "f" else 0
    return low.choose(predicate, [element], read, lambda: [low.lane.constant(zero, element)])[0]


def lower_store(op: StoreTile, low: Lowering) -> None:
    """Store a lane's elements of a tile; of lanes with the same elements one does."""
    value = op.value
    layout = low.layout_of(value)
    fragment = low.fragment(value, layout)
    wider = _wider(low, op, layout)
    if wider is not None:
        fragment, layout = convert(low, fragment, layout, wider), wider
    store_window(low, op, fragment, layout)


def _wider(low: Lowering, op: StoreTile, layout: Layout) -> Layout | None:
    """Return a layout to store in when a lane has less than a word side by side; None to keep it.

    Accumulators of some matrix units are so; the detour through workgroup memory must fit there.
    """
    kind, unit, lane = op.value.type, unit_axis(op), low.lane
    bits = max(8, kind.element.bits)
    if unit is None or len(kind.shape) < 2 or bits >= WORD_BITS:
        return None
    size = padded(kind.shape, kind.element)[1] * bits // 8
    room = low.spare_bytes() - SCRATCH_BYTES
    if size > room or Window(low, op, layout).width * bits >= WORD_BITS:
        return None
    wide = blocked(kind.shape, bits, lane.subgroup, lane.warps, unit)
    return wide if Window(low, op, wide).width * bits > WORD_BITS else None


def store_window(low: Lowering, op: StoreTile, fragment: Value, layout: Layout) -> None:
    """Store registers in a layout."""
    window = Window(low, op, layout)
    _await(low, op, window, layout, writes=True)
    owner = low.lane.owner(layout)
    known, condition = window.whole()
    if known:
        _write(low, window, fragment, owner, whole=True)
        return
    assert condition is not None

    def write(whole: bool) -> list[Value]:
        _write(low, window, fragment, owner, whole=whole)
        return []

    low.choose(condition, [], lambda: write(whole=True), lambda: write(whole=False))


def _write(
    low: Lowering, window: Window, fragment: Value, owner: Value | None, *, whole: bool
) -> None:
    window.forget()
    for piece in window.pieces:
        predicate = window.predicate(piece, None if whole else window.unit)
        if owner is not None:
            predicate = owner if predicate is None else low.builder.create(Andi, owner, predicate)
        _write_piece(low, window, piece, fragment, predicate, whole=whole)


def _write_piece(
    low: Lowering,
    window: Window,
    piece: Piece,
    fragment: Value,
    predicate: Value | None,
    *,
    whole: bool,
) -> None:
    b, lane = low.builder, low.lane
    indices = window.indices(piece)
    part = lane.pick(fragment, piece.registers)
    if window.kind.element_strides[-1] != 1:
        one = lane.element(part, 0)

        def write() -> list[Value]:
            b.add(ScalarStore, one, window.buffer, indices)
            return []

        if predicate is None:
            write()
        else:
            low.choose(predicate, [], write)
        return
    mask = _mask(low, window, piece, predicate, whole=whole)
    made: Any
    if mask is None:
        made = b.add(Store, part, window.buffer, indices)
    else:
        made = b.add(MaskedStore, window.buffer, indices, mask, part)
    if whole:
        made.attributes["alignment"] = len(piece.registers) * window.bytes
    _hints(window.op, made)


# ------------------------------------------------------------------------------ lane by lane


def lower_gather(op: Gather, low: Lowering) -> None:
    """Read one element for each register where its mask holds."""
    lane, b = low.lane, low.builder
    layout = low.layout_of(op.y)
    if low.hazards.must_wait(op.source, None, writes=False):
        low.barrier()
    low.hazards.note(op.source, None, writes=False)
    buffer = low.scalar(op.source)
    mask = low.fragment(op.mask, layout)
    indices = [low.fragment(i, layout) for i in op.indices]
    element = op.y.type.element
    one, zero = vector(1, element), 0.0 if element.kind == "f" else 0
    found = []
    for r in range(layout.registers):
        at = [lane.element(i, r) for i in indices]
        good = lane.element(mask, r)
        if _is_contiguous(buffer):
            held = lane.splat(good, 1)
            part = b.create(MaskedLoad, buffer, at, held, lane.constant(zero, one))
            found.append(lane.element(part, 0))
        else:
            found += low.choose(
                good, [element],
                lambda at=at: [b.create(ScalarLoad, buffer, at)],  # type: ignore[misc]
                lambda: [lane.constant(zero, element)],
            )  # fmt: skip
    low.bind(op.y, lane.gathered(found))


def _is_contiguous(buffer: Value) -> bool:
    kind = buffer.type
    assert isinstance(kind, MemRefType)
    return kind.element_strides[-1] == 1


def lower_scatter(op: Scatter, low: Lowering) -> None:
    """Write or combine one element for each register where its mask holds."""
    lane, b = low.lane, low.builder
    layout = low.layout_of(op.value)
    if low.hazards.must_wait(op.target, None, writes=True):
        low.barrier()
    low.hazards.note(op.target, None, writes=True)
    buffer = low.scalar(op.target)
    value, mask = low.fragment(op.value, layout), low.fragment(op.mask, layout)
    indices = [low.fragment(i, layout) for i in op.indices]
    owner = lane.owner(layout)
    for r in range(layout.registers):
        at = [lane.element(i, r) for i in indices]
        one, good = lane.element(value, r), lane.element(mask, r)
        if owner is not None:
            good = b.create(Andi, owner, good)

        def write(at: list[Value] = at, one: Value = one) -> list[Value]:
            if op.kind == "assign":
                b.add(ScalarStore, one, buffer, at)
            else:
                b.add(AtomicRmw, one, buffer, at, kind=ATOMIC_KINDS.index(op.kind))
            return []

        low.choose(good, [], write)
