"""Tiles: values of static shape, with NumPy's indexing and broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import kdsl as ops
from kdsl.errors import DtypeMismatchError, NotConstError, ShapeMismatchError, TypeMismatchError
from kdsl.ir.types import DType, tensor
from kdsl.language.constants import constant
from kdsl.language.state import emit, where
from kdsl.language.types import (
    AnyDType,
    TileType,
    describe,
    resolve_dtype,
    static_int,
    static_shape,
)
from kdsl.language.values import (
    F32,
    I32,
    Lanes,
    as_value,
    assign,
    binary,
    broadcast_to,
    compare,
    wrap,
)

# name -> kind of kdsl.reduce for floats, signed and unsigned integers.
REDUCE: dict[str, tuple[str | None, str, str]] = {
    "sum": ("addf", "addi", "addi"),
    "prod": ("mulf", "muli", "muli"),
    "max": ("maximumf", "maxs", "maxu"),
    "min": ("minimumf", "mins", "minu"),
    "and": (None, "andi", "andi"),
    "or": (None, "ori", "ori"),
    "xor": (None, "xori", "xori"),
}


class Tile(Lanes):
    """A traced array of static shape."""

    __slots__ = ()

    def __class_getitem__(cls, item: Any) -> TileType:
        dtype, *shape = item if isinstance(item, tuple) else (item,)
        return TileType(dtype, tuple(shape))

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def type_text(self) -> str:
        return f"Tile[{self.dtype}, {', '.join(map(str, self.shape))}]"

    @property
    def T(self) -> Tile:  # noqa: N802 - the name of the field
        """The tile with its last two axes exchanged."""
        if self.rank < 2:
            raise TypeMismatchError(where(), op=".T", wanted="two axes", got=self.type_text)
        order = list(range(self.rank))
        order[-2:] = order[:-3:-1]
        return self.transpose(*order)

    def transpose(self, *axes: int) -> Tile:
        """Reorder the axes: axis ``i`` of the result is axis ``axes[i]``.

        All reversed by default.
        """
        if len(axes) == 1 and isinstance(axes[0], tuple | list):
            axes = tuple(axes[0])
        order = tuple(static_int(a, "an axis") for a in axes) or tuple(range(self.rank))[::-1]
        order = tuple(a + self.rank if a < 0 else a for a in order)
        if sorted(order) != list(range(self.rank)):
            raise ShapeMismatchError(where(), op="transpose", left=self.type_text, right=order)
        return wrap(emit(ops.Transpose, self.ir, permutation=order), self.dtype)

    def reshape(self, *shape: Any) -> Tile:
        """Keep the elements in row-major order under another shape; one size may be -1."""
        parts = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        sizes = [static_int(n, "a tile's shape") for n in parts]
        count = int(np.prod(self.shape))
        if sizes.count(-1) == 1:
            rest = -int(np.prod(sizes))
            sizes[sizes.index(-1)] = count // rest if rest else 0
        if int(np.prod(sizes)) != count or min(sizes, default=1) < 1:
            raise ShapeMismatchError(where(), op="reshape", left=self.shape, right=tuple(sizes))
        return self._reshaped(tuple(sizes))

    def _reshaped(self, shape: tuple[int, ...]) -> Any:
        if shape == self.shape:
            return self
        if not shape:
            return _only(self)
        wanted = tensor(shape, self.dtype.type)
        return wrap(emit(ops.Reshape, self.ir, types=[wanted]), self.dtype)

    def __getitem__(self, items: Any) -> Any:
        """Return a static part: slices, ints, ``...`` and ``None`` for a new axis."""
        offsets, sizes, steps, shape = self._parts(items if isinstance(items, tuple) else (items,))
        part: Tile = self
        if (tuple(sizes), tuple(steps)) != (self.shape, (1,) * self.rank):
            made = emit(
                ops.Slice, self.ir, offsets=tuple(offsets), sizes=tuple(sizes), steps=tuple(steps)
            )
            part = wrap(made, self.dtype)
        return part._reshaped(tuple(shape))

    def _parts(self, items: tuple[Any, ...]) -> tuple[list[int], list[int], list[int], list[int]]:
        used = sum(1 for i in items if i is not None and i is not Ellipsis)
        if used > self.rank:
            raise ShapeMismatchError(
                where(), op="indexing", left=self.type_text, right=f"{used} indices"
            )
        fill = [slice(None)] * (self.rank - used)
        at = next((k for k, i in enumerate(items) if i is Ellipsis), len(items))
        full = [*items[:at], *fill, *items[at + 1 :]]
        offsets: list[int] = []
        sizes: list[int] = []
        steps: list[int] = []
        shape: list[int] = []
        for item in full:
            if item is None:
                shape.append(1)
                continue
            extent = self.shape[len(sizes)]
            if isinstance(item, slice):
                bounds = [_bound(b) for b in (item.start, item.stop, item.step)]
                start, stop, step = slice(*bounds).indices(extent)
                count = len(range(start, stop, step))
                if step < 1 or count < 1:
                    raise ShapeMismatchError(where(), op="slicing", left=self.type_text, right=item)
                shape.append(count)
            else:
                start, step, count = _position(item, extent, self.type_text), 1, 1
            offsets.append(start)
            sizes.append(count)
            steps.append(step)
        return offsets, sizes, steps, shape

    # -------------------------------------------------------------------------- reductions

    def _reduce(self, name: str, axis: Any, keepdims: bool) -> Any:
        kind = _kind(REDUCE, name, self)
        axes = _axes(axis, self)
        found: Any = self
        for a in sorted(axes, reverse=True):
            found = wrap(emit(ops.Reduce, found.ir, axis=a, kind=kind), self.dtype)
        if keepdims and isinstance(found, Tile):
            return found._reshaped(tuple(1 if i in axes else n for i, n in enumerate(self.shape)))
        return found

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Add the lanes along an axis, or all of them."""
        return self._reduce("sum", axis, keepdims)

    def prod(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Multiply the lanes along an axis, or all of them."""
        return self._reduce("prod", axis, keepdims)

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Return the largest lane along an axis, or of all; NaN when there is one."""
        return self._reduce("max", axis, keepdims)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Return the smallest lane along an axis, or of all; NaN when there is one."""
        return self._reduce("min", axis, keepdims)

    def any(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Say whether a lane along an axis holds."""
        return _mask(self, "any")._reduce("or", axis, keepdims)

    def all(self, axis: Any = None, *, keepdims: bool = False) -> Any:
        """Say whether every lane along an axis holds."""
        return _mask(self, "all")._reduce("and", axis, keepdims)

    def argmax(self, axis: int = -1) -> Any:
        """Return the first position (i32) of the largest lane along an axis."""
        (at,) = _axes(axis, self)
        best = self.max(axis=at, keepdims=True)
        shape = [1] * self.rank
        shape[at] = self.shape[at]
        places = iota(self.shape[at])._reshaped(tuple(shape))
        from kdsl.language.values import where_

        return where_(compare("==", self, best), places, self.shape[at] - 1).min(axis=at)


def _only(tile: Tile) -> Any:
    """Return the element of a tile of one."""
    found: Any = tile
    while isinstance(found, Tile):
        kind = "addf" if tile.dtype.is_float else "ori"
        found = wrap(emit(ops.Reduce, found.ir, axis=0, kind=kind), tile.dtype)
    return found


def _bound(x: Any) -> int | None:
    return None if x is None else static_int(x, "a bound of a slice")


def _position(item: Any, extent: int, what: str) -> int:
    from kdsl.language.dims import extent as value_of

    item = value_of(item)
    if isinstance(item, Lanes):
        raise NotConstError(
            where(), what="a tile's index", got=describe(item), example="use a mask and a sum"
        )
    at = static_int(item, "a tile's index")
    at = at + extent if at < 0 else at
    if not 0 <= at < extent:
        raise ShapeMismatchError(where(), op="indexing", left=what, right=f"index {item}")
    return at


def _axes(axis: Any, tile: Tile) -> list[int]:
    if axis is None:
        return list(range(tile.rank))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    found = [static_int(a, "an axis") for a in given]
    found = [a + tile.rank if a < 0 else a for a in found]
    if not all(0 <= a < tile.rank for a in found) or len(set(found)) < len(found):
        raise ShapeMismatchError(
            where(), op="a reduction", left=tile.type_text, right=f"axis {axis}"
        )
    return found


def _kind(table: Any, name: str, tile: Tile) -> str:
    dtype = tile.dtype
    kind = table[name][0 if dtype.is_float else 2 if dtype.is_unsigned else 1]
    if kind is None or (dtype.kind == "b" and name not in ("and", "or", "xor")):
        wanted = "integers" if kind is None else "numbers"
        raise TypeMismatchError(where(), op=name, wanted=wanted, got=tile.type_text)
    return str(kind)


def _mask(tile: Tile, op: str) -> Tile:
    if tile.dtype.kind != "b":
        raise TypeMismatchError(where(), op=f".{op}()", wanted="a bool tile", got=tile.type_text)
    return tile


# ------------------------------------------------------------------------------------- making


def full(shape: Any, value: Any, dtype: AnyDType | None = None) -> Tile:
    """Return a tile with one number, known or traced, in every lane."""
    sizes = static_shape(shape)
    value = as_value(value)
    if dtype is None:
        from kdsl.language.values import default_dtype

        chosen = value.dtype if isinstance(value, Lanes) else default_dtype(value)
    else:
        chosen = resolve_dtype(dtype)
    if isinstance(value, Lanes):
        return broadcast_to(assign("kd.full", value, chosen), sizes, "kd.full")
    if isinstance(value, int) and chosen.is_float:
        value = float(value)
    return wrap(constant(value, chosen, tensor(sizes, chosen.type)), chosen)


def zeros(shape: Any, dtype: AnyDType = F32) -> Tile:
    """Return a tile of zeros (False for bool)."""
    return full(shape, False if resolve_dtype(dtype).kind == "b" else 0, dtype)


def ones(shape: Any, dtype: AnyDType = F32) -> Tile:
    """Return a tile of ones (True for bool)."""
    return full(shape, True if resolve_dtype(dtype).kind == "b" else 1, dtype)


def full_like(tile: Tile, value: Any) -> Tile:
    """Return a tile of another's shape and dtype with one number in every lane."""
    return full(tile.shape, value, tile.dtype)


def zeros_like(tile: Tile) -> Tile:
    """Return a tile of zeros of another's shape and dtype."""
    return zeros(tile.shape, tile.dtype)


def iota(size: Any, dtype: AnyDType = I32) -> Tile:
    """Return 0, 1, 2, ... as a 1-D tile of integers or index."""
    wanted = resolve_dtype(dtype)
    if not wanted.is_integer:
        raise TypeMismatchError(where(), op="kd.iota", wanted="an integer dtype", got=wanted)
    made = emit(ops.Iota, types=[tensor(static_shape(size), wanted.type)])
    return wrap(made, wanted)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: AnyDType = I32) -> Tile:
    """Return ``start, start + step, ...`` below ``stop`` as a 1-D tile.

    Bounds are known while tracing.
    """
    first, last = (0, start) if stop is None else (start, stop)
    low, high, by = (static_int(n, "a bound of kd.arange") for n in (first, last, step))
    if not by or not range(low, high, by):
        raise TypeMismatchError(
            where(), op="kd.arange", wanted="at least one element", got=(low, high, by)
        )
    found = iota(len(range(low, high, by)), dtype)
    found = binary("*", found, by) if by != 1 else found
    return binary("+", found, low) if low else found


# ------------------------------------------------------------------------------------ algebra


def as_tile(x: Any, op: str) -> Tile:
    """Return a tile; references to memory are loaded."""
    x = as_value(x)
    if not isinstance(x, Tile):
        raise TypeMismatchError(where(), op=op, wanted="a tile", got=describe(x))
    return x


def dot(a: Any, b: Any, acc: Any = None) -> Tile:
    """Return ``a @ b`` of an MxK and a KxN tile, plus ``acc`` when that is a tile.

    ``acc`` may also be the dtype to accumulate in; by default f32 (f64 for f64, i32 for integers).
    """
    x, y = as_tile(a, "kd.dot"), as_tile(b, "kd.dot")
    if x.dtype is not y.dtype:
        raise DtypeMismatchError(where(), op="kd.dot", left=x.dtype, right=y.dtype)
    if x.rank != 2 or y.rank != 2 or x.shape[1] != y.shape[0]:
        raise ShapeMismatchError(where(), op="kd.dot", left=_by(x.shape), right=_by(y.shape))
    shape = (x.shape[0], y.shape[1])
    into = as_value(acc) if isinstance(acc, Lanes) or hasattr(acc, "as_operand") else None
    if into is None:
        wanted = _accumulator(x.dtype) if acc is None else resolve_dtype(acc, "acc of kd.dot")
        into = zeros(shape, wanted)
    if not isinstance(into, Tile) or into.shape != shape:
        raise ShapeMismatchError(where(), op="kd.dot's acc", left=_by(shape), right=describe(into))
    if into.dtype.is_float is not x.dtype.is_float or into.dtype.kind == "b":
        raise DtypeMismatchError(where(), op="kd.dot", left=x.dtype, right=into.dtype)
    return wrap(emit(ops.Dot, x.ir, y.ir, into.ir), into.dtype)


def _accumulator(dtype: DType) -> DType:
    if dtype.is_float:
        return dtype if dtype.bits == 64 else F32
    return I32


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def concat(parts: Any, axis: int = 0) -> Tile:
    """Return tiles of one dtype one after the other along an axis."""
    tiles = [as_tile(p, "kd.concat") for p in parts]
    if not tiles:
        raise TypeMismatchError(where(), op="kd.concat", wanted="tiles", got="none")
    first = tiles[0]
    (at,) = _axes(axis, first)
    for other in tiles[1:]:
        if other.dtype is not first.dtype:
            raise DtypeMismatchError(where(), op="kd.concat", left=first.dtype, right=other.dtype)
        rest = [(n for i, n in enumerate(t.shape) if i != at) for t in (first, other)]
        if other.rank != first.rank or tuple(rest[0]) != tuple(rest[1]):
            raise ShapeMismatchError(
                where(), op="kd.concat", left=_by(first.shape), right=_by(other.shape)
            )
    if len(tiles) == 1:
        return first
    return wrap(emit(ops.Concat, [t.ir for t in tiles], axis=at), first.dtype)


def stack(parts: Any, axis: int = 0) -> Tile:
    """Return tiles of one shape side by side along a new axis."""
    tiles = [as_tile(p, "kd.stack") for p in parts]
    rank = tiles[0].rank + 1 if tiles else 1
    at = axis + rank if axis < 0 else axis
    return concat([t._reshaped((*t.shape[:at], 1, *t.shape[at:])) for t in tiles], at)


def broadcast_tile(x: Any, shape: Any) -> Tile:
    """Repeat a number or tile to a shape."""
    value = as_value(x)
    if not isinstance(value, Lanes):
        return full(shape, value)
    return broadcast_to(value, static_shape(shape), "kd.broadcast_to")


def scan(x: Any, axis: int = 0, op: str = "sum") -> Tile:
    """Return running sums (``prod``, ``max``, ``min``) along an axis, each lane included."""
    tile = as_tile(x, "kd.scan")
    if op not in REDUCE:
        raise TypeMismatchError(where(), op="kd.scan", wanted=" or ".join(REDUCE), got=repr(op))
    (at,) = _axes(axis, tile)
    return wrap(emit(ops.Scan, tile.ir, axis=at, kind=_kind(REDUCE, op, tile)), tile.dtype)


def cumsum(x: Any, axis: int = 0) -> Tile:
    """Return running sums along an axis, each lane included."""
    return scan(x, axis, "sum")


def _free_reduction(name: str, words: str) -> Any:
    def reduce(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        return getattr(as_tile(x, f"kd.{name}"), name)(axis, keepdims=keepdims)

    reduce.__name__ = name
    reduce.__doc__ = f"Return the {words} along an axis, or of all lanes."
    return reduce


sum_ = _free_reduction("sum", "sum")
prod_ = _free_reduction("prod", "product")
max_ = _free_reduction("max", "largest lane")
min_ = _free_reduction("min", "smallest lane")


def softmax(x: Any, axis: int = -1) -> Any:
    """Return ``exp(x)`` scaled to sum 1 along an axis."""
    from kdsl.language.math import exp

    tile = as_tile(x, "kd.softmax")
    if not tile.dtype.is_float:
        raise TypeMismatchError(where(), op="kd.softmax", wanted="floats", got=tile.type_text)
    powers = exp(binary("-", tile, tile.max(axis, keepdims=True)))
    return binary("/", powers, powers.sum(axis, keepdims=True))
