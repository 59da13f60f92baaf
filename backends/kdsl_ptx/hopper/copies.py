"""Bulk copies of a scheduled kernel: which tensor maps they need, and their coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kdsl.dialects.arith import Floordivsi, index_constant
from kdsl.dialects.func import Func
from kdsl.dialects.kdsl import Launch, LoadTile, StoreTile
from kdsl.ir.builder import Builder
from kdsl.ir.core import BlockArgument, Value
from kdsl.ir.types import I64, TensorType
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.streams import is_size, is_split

Lookup = Callable[[Value], Value]
"""Gives what stands for a kernel's value where code is written."""


@dataclass(frozen=True)
class MapKey:
    """What makes two tensor maps one: the argument's number and how boxes are cut."""

    argument: int
    dims: tuple[int, ...]
    box: tuple[int, int]
    split: bool
    stops: tuple[Value, ...]


@dataclass
class Maps:
    """The tensor maps of a kernel; each is an argument of it."""

    kernel: Func
    known: dict[MapKey, BlockArgument] = field(default_factory=dict)

    def of(self, op: LoadTile | StoreTile, box: tuple[int, int]) -> tuple[BlockArgument, bool]:
        """Return the map for boxes of an op's tile, and whether it is split into panels."""
        buffer, kind = (
            (op.source, op.y.type) if isinstance(op, LoadTile) else (op.target, op.value.type)
        )
        assert isinstance(buffer, BlockArgument)
        assert isinstance(kind, TensorType)
        split = is_split(op, buffer, kind) and box[1] % tile.PANEL == 0
        key = MapKey(buffer.index, tuple(op.dims), box, split, _stops(op, buffer))
        if key not in self.known:
            name = f"{buffer.name or 'buffer'}_map"
            self.known[key] = self.kernel.body.add_argument(I64, name)
        return self.known[key], split

    def create(self, b: Builder, launch: Launch, known: dict[Value, Value]) -> list[Value]:
        """Create the maps for a launch; ``known`` maps the kernel's arguments to what it passes."""
        made = []
        for key in self.known:
            rows = [copy_slice(b, stop, known) for stop in key.stops]
            made.append(
                b.create(
                    tile.TensorMap,
                    launch.args[key.argument],
                    rows,
                    dims=key.dims,
                    box=key.box,
                    split=key.split,
                )
            )
        return made


def _stops(op: LoadTile | StoreTile, buffer: Value) -> tuple[Value, ...]:
    """Return the stops that a map must have: none when the buffer's own sizes say the same."""
    if not is_size(op.stops[1], buffer, op.dims[1]):
        return tuple(op.stops)
    return () if is_size(op.stops[0], buffer, op.dims[0]) else (op.stops[0],)


def coordinates(b: Builder, op: LoadTile | StoreTile, split: bool, get: Lookup) -> list[Value]:
    """Return the coordinates of a tile in the order of its map's dimensions."""
    r, c = op.dims
    offsets = op.offsets
    column = get(offsets[c])
    others = [get(offsets[d]) for d in reversed(range(len(offsets))) if d not in (r, c)]
    if not split:
        return [column, get(offsets[r]), *others]
    panel = b.create(Floordivsi, column, index_constant(b, tile.PANEL))
    return [index_constant(b, 0), get(offsets[r]), panel, *others]


def copy_slice(b: Builder, value: Value, known: dict[Value, Value]) -> Value:
    """Copy what computes a value to where ``b`` inserts."""
    if value in known:
        return known[value]
    op = value.op
    assert op is not None
    for operand in op.operands:
        copy_slice(b, operand, known)
    b.insert(op.clone(known))
    return known[value]
