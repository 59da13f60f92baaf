"""What a tile program streams, loads once for a tile, multiplies and stores: seen, not changed.

A kernel that fits has one loop whose body multiplies tiles with tiles that it loads, turn by turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kdsl.dialects.arith import Mulf, constant_of
from kdsl.dialects.func import Func
from kdsl.dialects.kdsl import Dot, LoadTile, StoreTile, Transpose
from kdsl.dialects.memref import Dim
from kdsl.dialects.scf import For, If, While
from kdsl.ir.core import BlockArgument, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import BF16, F16, F32, MemRefType, TensorType
from kdsl.passes.affine import form_of

ELEMENTS = (BF16, F16)
ROWS = 64
"""Rows of a product that one warpgroup does."""
MOST_COLUMNS = 256
DEPTH = 16
MOST_RANK = 5


class UnfitError(Exception):
    """Why a kernel does not fit; never seen by users."""


@dataclass
class Streams:
    """The parts of a kernel that fits.

    ``early`` and ``late`` are the loads of the first and second stage, in program order; ``dots``
    and ``late_dots`` likewise. ``operands`` are loads that a tile of the grid does once, for the
    left side of a product, ``once`` those of them that go through the ring; ``kept`` are left sides
    that come from no such load.
    """

    loop: For
    rows: int
    dots: list[Dot] = field(default_factory=list)
    late_dots: list[Dot] = field(default_factory=list)
    early: list[LoadTile] = field(default_factory=list)
    late: list[LoadTile] = field(default_factory=list)
    operands: list[LoadTile] = field(default_factory=list)
    once: list[LoadTile] = field(default_factory=list)
    kept: list[Value] = field(default_factory=list)
    stores: list[StoreTile] = field(default_factory=list)


def streams_of(kernel: Func) -> Streams:
    """Return the parts of a kernel; raise UnfitError when it does not fit."""
    loops = [op for op in kernel.walk() if isinstance(op, For | While | If)]
    outer = [op for op in loops if _dots(op)]
    if not outer:
        raise UnfitError("it multiplies no tiles in a loop")
    loop = outer[0]
    if len(loops) > 1 or not isinstance(loop, For) or loop.parent_op is not kernel:
        raise UnfitError("it has more than one loop or branch")
    if any(isinstance(op, Dot) and op.parent_op is not loop for op in kernel.walk()):
        raise UnfitError("it multiplies tiles outside of the loop")
    if constant_of(loop.step) != 1:
        raise UnfitError("its loop does not count by one")
    dots = _dots(loop)
    found = Streams(loop, dots[0].acc.type.shape[0])
    for dot in dots:
        _check_dot(dot, found.rows)
    late = _after_dots(loop)
    found.dots = [dot for dot in dots if dot not in late]
    found.late_dots = [dot for dot in dots if dot in late]
    if any(_depth(dot, late) > 1 for dot in found.late_dots):
        raise UnfitError("products follow one another more than twice in a turn")
    for dot in dots:
        loads = found.late if dot in late else found.early
        _take(streamed(dot.b, loop), loads)
        _take_left(dot, loop, loads, found)
    known = {*found.early, *found.late}
    for op in loop.body:
        if isinstance(op, DeclaredOp) and not op.is_pure and op not in known and op.next:
            raise UnfitError(f"its loop holds {op.name} that feeds no product")
    found.stores = [
        s for s in kernel.body if isinstance(s, StoreTile) and _is_bulk_store(s, kernel)
    ]
    return found


def _dots(op: Op) -> list[Dot]:
    return [each for each in op.walk() if isinstance(each, Dot)]


def _check_dot(dot: Dot, rows: int) -> None:
    (m, n), depth = dot.acc.type.shape, dot.a.type.shape[1]
    if dot.a.type.element not in ELEMENTS or dot.acc.type.element is not F32:
        raise UnfitError(f"products of {dot.a.type.element} into {dot.acc.type.element}")
    if m != rows or m % ROWS or m > 3 * ROWS:
        raise UnfitError(f"products of {m} rows; 64, 128 or 192 fit")
    if n % 8 or n > MOST_COLUMNS or depth % DEPTH:
        raise UnfitError(f"products of {m}x{depth} and {depth}x{n}")


def _after_dots(loop: For) -> set[Op]:
    """Return the products that need another product of the same turn."""
    reached: set[Value] = set()
    late: set[Op] = set()
    for op in loop.body:
        if any(v in reached for v in op.operands):
            reached.update(op.results)
            if isinstance(op, Dot):
                late.add(op)
        elif isinstance(op, Dot):
            reached.update(op.results)
    return late


def _depth(dot: Dot, late: set[Op]) -> int:
    """Return how many late products a product needs, itself included."""
    seen: set[Op] = set()
    pending = [v.op for v in dot.operands]
    while pending:
        op = pending.pop()
        if op is None or op in seen or op.parent is not dot.parent:
            continue
        seen.add(op)
        pending += [v.op for v in op.operands]
    return 1 + sum(op in late for op in seen)


def _take(load: LoadTile, loads: list[LoadTile]) -> None:
    if load not in loads:
        loads.append(load)


def streamed(value: Value, loop: For) -> LoadTile:
    """Return the load in a loop's body that gives a product's operand; raise UnfitError."""
    op = value.op
    while isinstance(op, Transpose):
        op = op.x.op
    if not isinstance(op, LoadTile) or op.parent is not loop.body:
        raise UnfitError("a right side of a product is not loaded in the loop")
    if any(not isinstance(u, Dot | Transpose) for u in op.y.users):
        raise UnfitError("a streamed tile is read by more than products")
    check_bulk(op, op.source, op.y.type)
    return op


def _take_left(dot: Dot, loop: For, streams: list[LoadTile], found: Streams) -> None:
    """Note where the left side of a product comes from."""
    op = dot.a.op
    if isinstance(op, LoadTile | Transpose) and op.parent is loop.body:
        _take(streamed(dot.a, loop), streams)
        return
    if op is not None and op.parent is loop.body:
        return  # made in the turn
    if isinstance(dot.a, BlockArgument) and dot.a.block is loop.body:
        return
    loads = [load for load in _sources(dot.a) if _is_bulk_load(load)]
    loads.sort(key=lambda load: load.y.type.element is not dot.a.type.element)
    for load in loads:
        _take(load, found.operands)
    if not loads and dot.a not in found.kept:
        found.kept.append(dot.a)


def _sources(value: Value) -> list[LoadTile]:
    """Return the 16-bit loads, of the shape of ``value``, that it is worked out from."""
    assert isinstance(value.type, TensorType)
    found: list[LoadTile] = []
    seen: set[Op] = set()
    pending = [value.op]
    while pending:
        op = pending.pop()
        if op is None or op in seen:
            continue
        seen.add(op)
        if isinstance(op, LoadTile):
            if op.y.type.rank == 2 and op.y.type.shape == value.type.shape:
                found.append(op)
            continue
        pending += [v.op for v in op.operands]
    return [load for load in found if load.y.type.element in ELEMENTS]


# -------------------------------------------------------------------------------------- bulk copies


def check_bulk(op: LoadTile | StoreTile, buffer: Value, tile: TensorType) -> None:
    """Raise UnfitError unless a tile can be copied in bulk, rows to rows."""
    kind = buffer.type
    assert isinstance(kind, MemRefType)
    if not isinstance(buffer, BlockArgument):
        raise UnfitError("a buffer is no argument of the kernel")
    if tile.rank != 2 or tile.element not in ELEMENTS:
        raise UnfitError(f"{tile} is no tile of 16-bit elements with two axes")
    r, c = op.dims
    contiguous = c == kind.rank - 1 and r < c and kind.element_strides[-1] == 1
    if not contiguous or tuple(op.steps) != (1, 1):
        raise UnfitError("a tile's columns are not contiguous")
    if kind.rank > MOST_RANK - is_split(op, buffer, tile):
        raise UnfitError(f"a buffer has {kind.rank} dimensions")
    if tile.shape[0] > MOST_COLUMNS and tile.shape[0] % ROWS:
        raise UnfitError(f"a tile has {tile.shape[0]} rows")
    if not all(is_launch_value(stop) for stop in op.stops):
        raise UnfitError("where a tile's rows or columns stop differs from program to program")


def is_split(op: LoadTile | StoreTile, buffer: Value, tile: TensorType) -> bool:
    """Return whether a copy takes all panels of a tile at once: whole panels on both sides."""
    kind = buffer.type
    assert isinstance(kind, MemRefType)
    size, form = kind.shape[-1], form_of(op.offsets[-1])
    whole = is_size(op.stops[1], buffer, op.dims[1]) and tile.shape[1] > ROWS
    whole = whole and tile.shape[1] % ROWS == 0 and size > 0 and size % ROWS == 0
    return (
        whole
        and form is not None
        and all(c % ROWS == 0 for c in (form.const, *form.scalars.values()))
    )


def is_size(value: Value, buffer: Value, axis: int) -> bool:
    """Return whether a value is a buffer's size (or more than a known one)."""
    assert isinstance(buffer.type, MemRefType)
    size, known = buffer.type.shape[axis], constant_of(value)
    if size >= 0:
        return known is not None and known >= size
    op = value.op
    return isinstance(op, Dim) and op.source is buffer and constant_of(op.index) == axis


def is_launch_value(value: Value) -> bool:
    """Return whether a scalar follows from a kernel's arguments by pure ops without the grid."""
    if isinstance(value, BlockArgument):
        return isinstance(value.block.parent_op, Func)
    op = value.op
    return (
        isinstance(op, DeclaredOp)
        and op.is_pure
        and not op.regions
        and op.name not in ("kdsl.program_id", "kdsl.num_programs")
        and all(is_launch_value(v) for v in op.operands)
    )


def _is_bulk_load(op: LoadTile) -> bool:
    try:
        check_bulk(op, op.source, op.y.type)
    except UnfitError:
        return False
    return True


def _is_bulk_store(op: StoreTile, kernel: Func) -> bool:
    try:
        check_bulk(op, op.target, op.value.type)
    except UnfitError:
        return False
    # A copy writes whole panels: beyond a tile's last column it must find the buffer's end.
    columns, size = op.value.type.shape[1], op.target.type.shape[-1]
    return op.parent is kernel.body and (columns % ROWS == 0 or columns == size)


def rescales(streams: Streams) -> list[Op]:
    """Return the products with a factor that late products' accumulators go through first."""
    found: list[Op] = []
    for dot in streams.late_dots:
        op = dot.acc.op
        if isinstance(op, Mulf) and op.parent is streams.loop.body and op.y.has_one_use:
            found.append(op)
    return found
