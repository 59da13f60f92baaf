"""Drawing tiles: the grid becomes one workgroup a multiprocessor, program ids become numbers."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import (
    Addi,
    Bitcast,
    Extui,
    Floordivsi,
    IndexCast,
    Maxsi,
    Minsi,
    Muli,
    Subi,
    Trunci,
    index_constant,
)
from kdsl.dialects.func import Func
from kdsl.dialects.kdsl import Launch, LoadTile, NumPrograms
from kdsl.dialects.memref import Dim
from kdsl.ir.builder import Builder
from kdsl.ir.core import BlockArgument, Value
from kdsl.ir.types import I32, I64, INDEX, ScalarType, TensorType, Type
from kdsl.ir.types import function as function_type
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.copies import Maps
from kdsl_ptx.hopper.plan import ALL, GROUP_BYTES, ONCE, STREAM, Plan, stream_of

AXES = 3


@dataclass
class GridArguments:
    """Arguments that a kernel gets instead of its grid: counter, extents, tiles in a group."""

    counter: BlockArgument
    extents: list[BlockArgument]
    group: BlockArgument


def add_arguments(kernel: Func) -> GridArguments:
    """Add the arguments; numbers of programs become extents."""
    body = kernel.body
    counter = body.add_argument(I64, "counter")
    extents = [body.add_argument(INDEX, f"grid_{'xyz'[a]}") for a in range(AXES)]
    group = body.add_argument(INDEX, "group")
    for op in list(kernel.walk()):
        if isinstance(op, NumPrograms):
            op.replace_by(extents[op.axis])
    return GridArguments(counter, extents, group)


def finish_signature(kernel: Func, maps: Maps) -> None:
    """Give the kernel the type of its arguments, and note which are maps."""
    inputs = tuple(a.type for a in kernel.body.args)
    kernel.attributes["function_type"] = function_type(inputs, ())
    kernel.attributes[tile.MAPS] = tuple(a.index for a in maps.known.values())


def order_axes(slow: int) -> tuple[int, int, int]:
    """Return the axes from the one that changes fastest to the one that tiles of a group share."""
    first, second = (a for a in range(AXES) if a != slow)
    return first, second, slow


def total_tiles(b: Builder, grid: GridArguments) -> Value:
    """Compute the number of tiles."""
    x, y, z = grid.extents
    made: Value = b.create(Muli, b.create(Muli, x, y), z)
    return made


def program_ids(b: Builder, number: Value, grid: GridArguments, plan: Plan) -> list[Value]:
    """Compute the program ids of a tile from its number.

    Groups of ``group`` programs along the two fast axes together; inside of a group all of them,
    then the next along the slow axis. Numbers beyond the last tile give ids that are never used.
    """
    fast, next_fast, slow = order_axes(plan.slow)
    one = index_constant(b, 1)
    heads = b.create(Muli, grid.extents[fast], grid.extents[next_fast])
    if plan.group == ALL:
        level = b.create(Floordivsi, number, heads)
        head = b.create(Subi, number, b.create(Muli, level, heads))
        return _in_order(b, (fast, next_fast, slow), head, level, grid)
    in_group = b.create(Muli, grid.group, grid.extents[slow])
    group = b.create(Floordivsi, number, in_group)
    start = b.create(Muli, group, grid.group)
    left = b.create(Subi, heads, start)
    width = b.create(Maxsi, b.create(Minsi, left, grid.group), one)
    rest = b.create(Subi, number, b.create(Muli, group, in_group))
    level = b.create(Floordivsi, rest, width)
    head = b.create(Addi, start, b.create(Subi, rest, b.create(Muli, level, width)))
    return _in_order(b, (fast, next_fast, slow), head, level, grid)


def _in_order(
    b: Builder, axes: tuple[int, int, int], head: Value, level: Value, grid: GridArguments
) -> list[Value]:
    """Return the program ids of a number along the two fast axes and one along the slow axis."""
    fast, next_fast, slow = axes
    outer = b.create(Floordivsi, head, grid.extents[fast])
    inner = b.create(Subi, head, b.create(Muli, outer, grid.extents[fast]))
    found: dict[int, Value] = {fast: inner, next_fast: outer, slow: level}
    return [found[a] for a in range(AXES)]


def fits_word(kind: Type) -> bool:
    """Return whether scalars of a type go through a record: indices lose their upper half."""
    if not isinstance(kind, ScalarType):
        return False
    return kind is INDEX or kind.bits == I32.bits or (kind.kind == "i" and kind.bits < I32.bits)


def as_word(b: Builder, value: Value) -> Value:
    """Return a scalar as an i32 word of a record."""
    kind = value.type
    assert isinstance(kind, ScalarType)
    if kind is I32:
        return value
    cast = IndexCast if kind is INDEX else (Extui if kind.bits < I32.bits else Bitcast)
    word: Value = b.create(cast, value, types=[I32])
    return word


def from_word(b: Builder, word: Value, like: Value) -> Value:
    """Return the scalar that a word stands for."""
    kind = like.type
    assert isinstance(kind, ScalarType)
    if kind is I32:
        return word
    cast = IndexCast if kind is INDEX else (Trunci if kind.bits < I32.bits else Bitcast)
    value: Value = b.create(cast, word, types=[kind])
    return value


# -------------------------------------------------------------------------------------------- host


def relaunch(
    launch: Launch, kernel: Func, maps: Maps, grid: GridArguments, plan: Plan, loads: list[LoadTile]
) -> None:
    """Launch a kernel with its new arguments, on as many workgroups as there are processors."""
    b = Builder.before(launch)
    known: dict[Value, Value] = dict(zip(kernel.body.args, launch.args, strict=False))
    extents = [launch.x, launch.y, launch.z]
    one = index_constant(b, 1)
    count: Value = b.create(Muli, b.create(Muli, extents[0], extents[1]), extents[2])
    if plan.persistent:
        count = b.create(Minsi, b.create(tile.SmCount), count)
    known.update(zip(maps.known.values(), maps.create(b, launch, known), strict=True))
    known[grid.counter] = b.create(tile.Counter)
    known.update(zip(grid.extents, extents, strict=True))
    known[grid.group] = _group(b, plan, loads, launch)
    launch.set_operands([count, one, one, *(known[a] for a in kernel.body.args)])


def _group(b: Builder, plan: Plan, loads: list[LoadTile], launch: Launch) -> Value:
    """Return how many programs of the fast axes have their streams in the cache together."""
    if plan.group == ALL:
        return index_constant(b, 0)  # not read
    if plan.group:
        return index_constant(b, plan.group)
    total: Value | None = None
    for load in loads:
        kind = load.y.type
        assert isinstance(kind, TensorType)
        rows = b.create(Dim, launch.args[load.source.index], index_constant(b, load.dims[0]))
        row_bytes = index_constant(b, kind.shape[1] * 2)
        size = b.create(Muli, rows, row_bytes)
        total = size if total is None else b.create(Addi, total, size)
    assert total is not None
    one = index_constant(b, 1)
    room = index_constant(b, GROUP_BYTES)
    made: Value = b.create(Maxsi, b.create(Floordivsi, room, b.create(Maxsi, total, one)), one)
    return made


def streamed_loads(kernel: Func) -> list[LoadTile]:
    """Return one load for each stream of a kernel."""
    found: dict[tuple[int, ...], LoadTile] = {}
    for op in kernel.walk():
        if isinstance(op, LoadTile) and STREAM in op.attributes:
            stage, number, _ = stream_of(op)
            if stage < ONCE:
                found.setdefault((stage, number), op)
    return list(found.values())
