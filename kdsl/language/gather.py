"""Elements picked by tiles of indices: gathers, scatters and atomics on many elements at once."""

from __future__ import annotations

from typing import Any

from kdsl.dialects import kdsl as tile_ops
from kdsl.errors import TypeMismatchError
from kdsl.ir.core import Value
from kdsl.ir.types import DType
from kdsl.language.simd import SIMD
from kdsl.language.span import Span, span_at
from kdsl.language.state import emit, where
from kdsl.language.tile import Tile, full
from kdsl.language.types import describe
from kdsl.language.values import (
    INDEX_DTYPE,
    Lanes,
    Operators,
    as_index,
    as_value,
    assign,
    binary,
    broadcast_to,
    compare,
    joint_shape,
    unify,
    where_,
    wrap,
)

# name -> kinds for floats, signed and unsigned integers.
ATOMICS: dict[str, tuple[str | None, str, str]] = {
    "add": ("addf", "addi", "addi"),
    "mul": ("mulf", "muli", "muli"),
    "max": ("maximumf", "maxs", "maxu"),
    "min": ("minimumf", "mins", "minu"),
    "and": (None, "andi", "andi"),
    "or": (None, "ori", "ori"),
    "xchg": ("assign", "assign", "assign"),
}


def atomic_kind(name: str, dtype: DType) -> str:
    """Return the upstream name of an atomic on a dtype."""
    kind = ATOMICS[name][0 if dtype.is_float else 2 if dtype.is_unsigned else 1]
    if kind is None or dtype.kind == "b":
        raise TypeMismatchError(where(), op=f"atomic_{name}", wanted="integers", got=dtype)
    return kind


class Gathered(Operators):
    """Elements picked by tiles of indices, as NumPy's advanced indexing does.

    Index tiles broadcast together and come first; spans and ``:`` add their axes after them.
    """

    __slots__ = ("advanced", "entries", "memory")

    def __init__(self, memory: Any, entries: list[Any], advanced: list[int]) -> None:
        self.memory = memory
        self.entries = entries
        self.advanced = advanced

    @property
    def dtype(self) -> DType:
        return self.memory.dtype

    @property
    def type_text(self) -> str:
        return f"gathered {self.dtype}"

    @property
    def shape(self) -> tuple[int, ...]:
        """The joint shape of the index tiles, then the axes of spans and slices."""
        front, back = self._shapes()
        return front + back

    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        tiles = [e.shape for e in self.entries if isinstance(e, Tile | SIMD)]
        if any(isinstance(e, SIMD) for e in self.entries):
            raise TypeMismatchError(
                where(),
                op="indexing",
                wanted="tiles of indices",
                got="a SIMD value; use .load(i, lanes)",
            )
        front = joint_shape("indexing", tiles) if tiles else ()
        back = tuple(
            self._extent(d, e)
            for d, e in enumerate(self.entries)
            if e is None or isinstance(e, Span)
        )
        return front, back

    def _extent(self, dim: int, entry: Any) -> int:
        if isinstance(entry, Span):
            return entry.size
        return self.memory._static(dim)

    def _prepare(self, mask: Any) -> tuple[list[Value], Tile]:
        """Return one index tile for each dim, and the mask with the spans' edges."""
        front, back = self._shapes()
        shape = front + back
        if not shape:
            raise TypeMismatchError(
                where(), op="indexing", wanted="tiles of indices", got="a scalar"
            )
        keep: Any = None
        indices, axis = [], len(front)
        for dim, entry in enumerate(self.entries):
            if entry is None or isinstance(entry, Span):
                size = self._extent(dim, entry)
                line = entry if entry is not None else span_at(0, size, stop=size)
                spread = (*[None] * axis, slice(None), *[None] * (len(shape) - axis - 1))
                places = line.index[spread]
                if entry is not None:
                    end = binary("minimum", line.limit, self.memory.extents[dim])
                    below = compare("<", line.index, end)[spread]
                    keep = below if keep is None else binary("&", keep, below)
                axis += 1
            elif isinstance(entry, Tile):
                places = entry.to(INDEX_DTYPE)
                lead = front[: len(front) - places.rank]
                places = places._reshaped((*(1 for _ in lead), *places.shape, *(1 for _ in back)))
            else:
                places = as_index(entry)
            indices.append(broadcast_to(places, shape, "indexing").ir)
        return indices, self._mask(keep, mask, shape)

    def _mask(self, keep: Any, mask: Any, shape: tuple[int, ...]) -> Tile:
        given = as_value(mask)
        if given is not None:
            bools = isinstance(given, bool) or (
                isinstance(given, Lanes) and given.dtype.kind == "b"
            )
            if not bools:
                raise TypeMismatchError(
                    where(), op="mask=", wanted="a bool tile", got=describe(given)
                )
            keep = given if keep is None else binary("&", keep, given)
        if keep is None or isinstance(keep, bool):
            return full(shape, True if keep is None else keep)
        return broadcast_to(keep, shape, "mask=")

    def load(self, *, mask: Any = None, other: Any = None) -> Tile:
        """Read one element for each lane; masked-off lanes give ``other`` (0)."""
        self.memory.check("read")
        indices, keep = self._prepare(mask)
        indices = self._with_offset(indices, keep.shape)
        found = wrap(emit(tile_ops.Gather, self.memory.ir, keep.ir, indices), self.dtype)
        return found if other is None else where_(keep, found, other)

    def store(self, value: Any, *, mask: Any = None) -> None:
        """Write one element for each lane where the mask holds."""
        self._scatter(value, mask, "assign")

    def _scatter(self, value: Any, mask: Any, kind: str) -> None:
        self.memory.check("written")
        indices, keep = self._prepare(mask)
        indices = self._with_offset(indices, keep.shape)
        tile = broadcast_to(assign("store", value, self.dtype), keep.shape, "store")
        emit(tile_ops.Scatter, tile.ir, self.memory.ir, keep.ir, indices, kind=kind)

    def _with_offset(self, indices: list[Value], shape: tuple[int, ...]) -> list[Value]:
        """Add a moved pointer's offset to its only index."""
        offset = getattr(self.memory, "offset", None)
        if offset is None:
            return indices
        _, (places, moved) = unify("+", wrap(indices[0], INDEX_DTYPE), offset)
        return [binary("+", places, moved).ir]

    def _atomic(self, name: str, value: Any, mask: Any) -> None:
        self.memory.check("read")
        self._scatter(value, mask, atomic_kind(name, self.dtype))

    def atomic_add(self, value: Any, *, mask: Any = None) -> None:
        """Add a tile; lanes with equal indices all count."""
        self._atomic("add", value, mask)

    def atomic_max(self, value: Any, *, mask: Any = None) -> None:
        """Raise to a tile's lanes."""
        self._atomic("max", value, mask)

    def atomic_min(self, value: Any, *, mask: Any = None) -> None:
        """Lower to a tile's lanes."""
        self._atomic("min", value, mask)

    def atomic_and(self, value: Any, *, mask: Any = None) -> None:
        """And a tile's lanes in."""
        self._atomic("and", value, mask)

    def atomic_or(self, value: Any, *, mask: Any = None) -> None:
        """Or a tile's lanes in."""
        self._atomic("or", value, mask)

    def as_operand(self) -> Tile:
        """In arithmetic this stands for what it reads."""
        return self.load()

    def __getattr__(self, name: str) -> Any:
        """Give what the tile has: ``t[ids].to(f32)`` loads it."""
        if name.startswith("_") or not hasattr(Tile, name):
            raise AttributeError(f"a gathered reference has no {name!r}")
        return getattr(self.load(), name)

    def __getitem__(self, items: Any) -> Any:
        return self.load()[items]
