"""Matrix products in flight: one group of wgmma instructions for each, and waits that tie results.

A warpgroup multiplies its 64 rows. A comes from registers (the accumulator's layout, 16-bit) or
from shared memory, B from shared memory; both may lie there by rows or by columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kdsl.dialects import arith
from kdsl.errors import InternalError
from kdsl.ir.core import Value
from kdsl.ir.types import F32, TensorType, vector
from kdsl.passes.distribute.lowering import Lowering
from kdsl.target.layout import Layout
from kdsl_ptx.dialect import machine, tile
from kdsl_ptx.hopper.lower.lanes import GROUP_WARPS, Consumer
from kdsl_ptx.hopper.lower.shared import (
    STEP,
    Operand,
    SharedTile,
    accumulator_layout,
    operand_by_columns,
    operand_by_rows,
)
from kdsl_ptx.hopper.lower.words import Words

MOST_COLUMNS = 256
"""The widest product of one instruction."""


def layout_of(value: Value, warps: int) -> Layout:
    """Return the layout of a product's accumulator or register operand."""
    assert isinstance(value.type, TensorType)
    return accumulator_layout(value.type.shape, warps // GROUP_WARPS)


def dot_async(op: tile.DotAsync, low: Lowering) -> None:
    """Issue a product as a group of instructions."""
    lane = low.lane
    assert isinstance(lane, Consumer)
    kind = op.acc.type
    if kind.shape[1] > MOST_COLUMNS:
        raise InternalError(what=f"a product of {kind.shape[1]} columns is not cut")
    words = Words(low.builder)
    a, b = _left(op, low, lane), _right(op, low, words)
    acc = None if is_zero(op.acc) else low.fragment(op.acc)
    low.builder.add(machine.WgmmaFence)
    for step in range(len(b.steps)):
        acc = _multiply(op, low, a, b, acc, step)
    low.builder.add(machine.WgmmaCommit)
    assert acc is not None
    low.bind(op.y, acc)


def _left(op: tile.DotAsync, low: Lowering, lane: Consumer) -> Operand | Value:
    """Return A: registers, or where the warpgroup's rows are in shared memory."""
    held = low.held(op.a)
    if not isinstance(held, SharedTile):
        return low.fragment(op.a, layout_of(op.a, lane.warps))
    words = Words(low.builder)
    if op.transpose_a:
        base = held.address
        if lane.groups > 1:
            base = words.add(base, words.mul(lane.group, held.panel_stride))
        return operand_by_columns(words, held, base, held.shape[0])
    return operand_by_rows(words, held, held.group_base(lane), held.shape[1])


def _right(op: tile.DotAsync, low: Lowering, words: Words) -> Operand:
    """Return B, which all warpgroups share."""
    held = low.held(op.b)
    if not isinstance(held, SharedTile):
        raise InternalError(what="the right operand of a product is not in shared memory")
    if op.transpose_b:
        return operand_by_rows(words, held, held.address, held.shape[1])
    return operand_by_columns(words, held, held.address, held.shape[0])


def _multiply(
    op: tile.DotAsync, low: Lowering, a: Operand | Value, b: Operand, acc: Value | None, step: int
) -> Value:
    """Multiply 16 columns of A by 16 rows of B."""
    columns = op.acc.type.shape[1]
    if isinstance(a, Operand):
        left, step_a = a.descriptor, a.steps[step]
        transposed = a.transposed
    else:
        size = STEP // 2
        left, step_a = low.lane.pick(a, range(step * size, (step + 1) * size)), 0
        transposed = False
    made = low.builder.create(
        machine.Wgmma, left, b.descriptor, [] if acc is None else [acc],
        types=[vector(columns // 2, F32)], n=columns, type=op.a.type.element.text,
        transpose_a=transposed, transpose_b=b.transposed, step_a=step_a, step_b=b.steps[step],
    )  # fmt: skip
    assert isinstance(made, Value)
    return made


def is_zero(value: Value) -> bool:
    """Return whether a tile is the constant zero."""
    return arith.is_constant(value, 0.0)


def dot_wait(op: tile.DotWait, low: Lowering) -> None:
    """Wait for groups; results can be read afterwards."""
    held = [low.fragment(t) for t in op.tiles]
    made = low.builder.add(
        machine.WgmmaWait, held, types=[v.type for v in held], pending=op.pending
    )
    for result, fragment in zip(op.results, made.results, strict=True):
        low.bind(result, fragment)


def load_fragment(op: tile.LoadFragment, low: Lowering) -> None:
    """Read a shared tile as a product's operand."""
    held = low.held(op.x)
    if not isinstance(held, SharedTile):
        raise InternalError(what="only a tile in shared memory is loaded")
    layout = layout_of(op.y, low.lane.warps)
    low.bind(op.y, held.read(low, layout), layout)


def accumulators(op: Any, warps: int) -> Iterable[tuple[Value, Layout]]:
    """Yield a product's results with their layouts."""
    for value in op.results:
        yield value, layout_of(value, warps)


def register_operand(op: tile.DotAsync, warps: int) -> Iterable[tuple[Value, Layout]]:
    """Yield the operands of a product that must be in registers, with their layouts."""
    if not tile.is_shared(op.a):
        yield op.a, layout_of(op.a, warps)
    yield op.acc, layout_of(op.acc, warps)


def stored_value(op: tile.TileStore, warps: int) -> Iterable[tuple[Value, Layout]]:
    """Yield the tile that is written through shared memory with its layout."""
    yield op.value, layout_of(op.value, warps)


RULES: dict[Any, Any] = {
    tile.DotAsync: dot_async,
    tile.DotWait: dot_wait,
    tile.LoadFragment: load_fragment,
}
ANCHORS: dict[Any, Any] = {
    tile.DotAsync: accumulators,
    tile.DotWait: accumulators,
    tile.LoadFragment: accumulators,
}
DEMANDS: dict[Any, Any] = {
    tile.DotAsync: register_operand,
    tile.DotWait: lambda op, warps: [(t, layout_of(t, warps)) for t in op.tiles],
    tile.TileStore: stored_value,
    tile.OperandStore: lambda op, warps: [(op.x, layout_of(op.x, warps))],
}
