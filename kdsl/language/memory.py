"""Pointers and tensors: scalar, SIMD, tile and gathered access, and atomics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdsl.dialects import kdsl as tile_ops
from kdsl.dialects import memref, vector
from kdsl.errors import AccessError, NotConstError, RankError, ShapeMismatchError, TypeMismatchError
from kdsl.ir.attributes import Opaque
from kdsl.ir.core import Value
from kdsl.ir.types import DType, tensor
from kdsl.ir.types import vector as vector_type
from kdsl.language.gather import Gathered, atomic_kind
from kdsl.language.simd import SIMD, check_width, simd_constant, splat
from kdsl.language.span import Span, span_at
from kdsl.language.state import emit, emit_op, where
from kdsl.language.tile import Tile, full
from kdsl.language.types import (
    RW,
    Access,
    PtrType,
    TensorType,
    Width,
    describe,
    split_annotation,
    static_int,
)
from kdsl.language.values import (
    BOOL,
    Lanes,
    LoopLanes,
    Operators,
    Scalar,
    as_index,
    as_value,
    assign,
    binary,
    broadcast_to,
    compare,
    where_,
    wrap,
)

CACHE = "kdsl.cache"
EVICT = "kdsl.evict"
ALIGN = "kdsl.align"
CACHE_HINTS = ("l1", "l2", "stream", "last_use")
EVICT_HINTS = ("first", "last", "normal")


def hints(cache: str | None, evict: str | None, align: Any = None) -> dict[str, Any]:
    """Return the attributes of an access."""
    found: dict[str, Any] = {}
    for key, given, known in ((CACHE, cache, CACHE_HINTS), (EVICT, evict, EVICT_HINTS)):
        if given is not None:
            if given not in known:
                wanted = " or ".join(map(repr, known))
                raise TypeMismatchError(where(), op=key[5:] + "=", wanted=wanted, got=repr(given))
            found[key] = given
    if align is not None:
        found[ALIGN] = static_int(align, "an alignment")
    return found


class Memory:
    """What pointers and tensors share: a buffer, what may be done with it, and element access."""

    ir: Value
    dtype: DType
    name: str
    access: Access

    def check(self, action: str) -> None:
        """Raise when the declared access forbids reading or writing."""
        forbidden = "ro" if action == "written" else "wo"
        if self.access.name == forbidden:
            raise AccessError(
                where(), name=self.name, access=self.access.name.upper(), action=action
            )

    # ---------------------------------------------------------------------------- elements

    def load_element(
        self, at: list[Value], width: Any, mask: Any, other: Any, attributes: dict[str, Any]
    ) -> Any:
        """Read one element, or ``width`` of them along the last dim."""
        self.check("read")
        if isinstance(width, Width) or width is None:
            found = self._load_scalar(at, mask, other, attributes)
            return LoopLanes(found.ir, self.dtype) if isinstance(width, Width) else found
        lanes = check_width(width, "load", self.dtype)
        wanted = vector_type(lanes, self.dtype.type)
        if mask is None:
            op = emit_op(vector.Load, self.ir, at, types=[wanted], **attributes)
            return wrap(op.result, self.dtype)
        rest = self._lanes(0 if other is None else other, lanes)
        op = emit_op(vector.MaskedLoad, self.ir, at, _mask(mask, lanes).ir, rest.ir, **attributes)
        return wrap(op.result, self.dtype)

    def _load_scalar(
        self, at: list[Value], mask: Any, other: Any, attributes: dict[str, Any]
    ) -> Any:
        from kdsl.language.control import choose

        def load() -> Any:
            op = emit_op(memref.Load, self.ir, at, **attributes)
            return Scalar(op.result, self.dtype)

        if mask is None:
            return load()
        rest = 0 if other is None else other
        if isinstance(rest, int) and self.dtype.kind == "b":
            rest = bool(rest)
        return choose(_condition(mask), load, lambda: assign("other", rest, self.dtype))

    def _lanes(self, value: Any, lanes: int) -> SIMD:
        value = as_value(value)
        if isinstance(value, SIMD):
            if value.width != lanes or value.dtype is not self.dtype:
                raise ShapeMismatchError(
                    where(),
                    op=self.name,
                    left=value.type_text,
                    right=f"SIMD[{self.dtype}, {lanes}]",
                )
            return value
        if isinstance(value, Lanes):
            return splat(assign(self.name, value, self.dtype), lanes)
        if isinstance(value, int) and self.dtype.kind in "fb":
            value = float(value) if self.dtype.is_float else bool(value)
        return wrap(simd_constant(value, self.dtype, lanes), self.dtype)

    def store_element(
        self, at: list[Value], value: Any, mask: Any, attributes: dict[str, Any], width: Any = None
    ) -> None:
        """Write one element, or the lanes of a SIMD value along the last dim."""
        self.check("written")
        value = as_value(value)
        if isinstance(value, SIMD) or (width is not None and not isinstance(width, Width)):
            lanes = (
                value.width if isinstance(value, SIMD) else check_width(width, "store", self.dtype)
            )
            given = self._lanes(value, lanes)
            if mask is None:
                emit_op(vector.Store, given.ir, self.ir, at, **attributes)
            else:
                emit_op(
                    vector.MaskedStore, self.ir, at, _mask(mask, lanes).ir, given.ir, **attributes
                )
            return
        if isinstance(value, Tile):
            raise ShapeMismatchError(where(), op="store", left=value.type_text, right="one element")
        scalar = assign("store", value, self.dtype)
        self._guarded(mask, lambda: emit_op(memref.Store, scalar.ir, self.ir, at, **attributes))

    def _guarded(self, mask: Any, write: Callable[[], Any]) -> None:
        from kdsl.language.control import choose

        if mask is None:
            write()
        else:
            choose(_condition(mask), lambda: write() and None, lambda: None)

    def atomic(self, name: str, at: list[Value], value: Any, mask: Any) -> Any:
        """Combine a number into one element; return what was there (nothing under a mask)."""
        self.check("read")
        self.check("written")
        kind = memref.ATOMIC_KINDS.index(atomic_kind(name, self.dtype))
        scalar = assign(f"atomic_{name}", value, self.dtype)
        if mask is None:
            return wrap(emit(memref.AtomicRmw, scalar.ir, self.ir, at, kind=kind), self.dtype)
        self._guarded(mask, lambda: emit(memref.AtomicRmw, scalar.ir, self.ir, at, kind=kind))
        return None

    def gather_lanes(self, at: list[Value], lanes: SIMD, mask: Any, other: Any) -> SIMD:
        """Read one element for each lane of an index vector along the last dim."""
        self.check("read")
        keep = _mask(True if mask is None else mask, lanes.width)
        rest = self._lanes(0 if other is None else other, lanes.width)
        return wrap(emit(vector.Gather, self.ir, at, lanes.ir, keep.ir, rest.ir), self.dtype)

    def scatter_lanes(self, at: list[Value], lanes: SIMD, value: Any, mask: Any) -> None:
        """Write one element for each lane of an index vector along the last dim."""
        self.check("written")
        keep = _mask(True if mask is None else mask, lanes.width)
        emit(vector.Scatter, self.ir, at, lanes.ir, keep.ir, self._lanes(value, lanes.width).ir)

    def prefetch_element(self, at: list[Value], write: bool, locality: int) -> None:
        """Hint that an element will be used soon."""
        hint = Opaque(f"{static_int(locality, 'locality')} : i32")
        emit(memref.Prefetch, self.ir, at, isWrite=write, localityHint=hint, isDataCache=True)


def _mask(mask: Any, lanes: int) -> SIMD:
    mask = as_value(mask)
    if isinstance(mask, bool):
        return wrap(simd_constant(mask, BOOL, lanes), BOOL)
    if isinstance(mask, Scalar) and mask.dtype.kind == "b":
        return splat(mask, lanes)
    if not isinstance(mask, SIMD) or mask.dtype.kind != "b" or mask.width != lanes:
        wanted = f"SIMD[bool, {lanes}]"
        raise TypeMismatchError(where(), op="mask=", wanted=wanted, got=describe(mask))
    return mask


def _condition(mask: Any) -> Any:
    mask = as_value(mask)
    if isinstance(mask, bool) or (isinstance(mask, Scalar) and mask.dtype.kind == "b"):
        return mask
    raise TypeMismatchError(where(), op="mask=", wanted="a bool", got=describe(mask))


# ----------------------------------------------------------------------------------- pointers


class Ptr(Memory):
    """Memory without a shape: elements from an address on."""

    __slots__ = ("access", "dtype", "ir", "name", "offset")

    def __class_getitem__(cls, item: Any) -> PtrType:
        from kdsl.errors import BadAnnotationError

        dtype, dims, access, alignment = split_annotation(item, "Ptr")
        if dims:
            raise BadAnnotationError(where(), kernel="Ptr", name="dim", got=describe(dims[0]))
        return PtrType(dtype, access, alignment)

    def __init__(
        self, ir: Value, dtype: DType, name: str, access: Access = RW, offset: Any = None
    ) -> None:
        self.ir = ir
        self.dtype = dtype
        self.name = name
        self.access = access
        self.offset = offset

    @property
    def type_text(self) -> str:
        return f"Ptr[{self.dtype}]"

    def __add__(self, count: Any) -> Ptr:
        """Return the pointer ``count`` elements further on."""
        moved = (
            as_index(count) if self.offset is None else binary("+", self.offset, as_index(count))
        )
        return Ptr(self.ir, self.dtype, self.name, self.access, moved)

    def _at(self, i: Any) -> list[Value]:
        if self.offset is not None:
            i = binary("+", self.offset, as_index(i, "a pointer's index"))
        return [as_index(i, "a pointer's index").ir]

    def load(
        self,
        i: Any = 0,
        *,
        width: Any = None,
        align: int | None = None,
        mask: Any = None,
        other: Any = None,
        cache: str | None = None,
        evict: str | None = None,
    ) -> Any:
        """Read element ``i``, ``width`` elements from there, or one for each lane of ``i``.

        Masked-off lanes give ``other`` (0); ``align`` is in bytes.
        """
        i = as_value(i)
        if isinstance(i, Tile):
            return Gathered(self, [i], []).load(mask=mask, other=other)
        if isinstance(i, SIMD):
            return self.gather_lanes(self._at(0), i, mask, other)
        return self.load_element(self._at(i), width, mask, other, hints(cache, evict, align))

    def store(
        self,
        i: Any,
        value: Any,
        *,
        width: Any = None,
        align: int | None = None,
        mask: Any = None,
        cache: str | None = None,
        evict: str | None = None,
    ) -> None:
        """Write element ``i``, SIMD lanes from there, or one for each lane of ``i``."""
        i = as_value(i)
        if isinstance(i, Tile):
            Gathered(self, [i], []).store(value, mask=mask)
        elif isinstance(i, SIMD):
            self.scatter_lanes(self._at(0), i, value, mask)
        else:
            self.store_element(self._at(i), value, mask, hints(cache, evict, align), width)

    def prefetch(self, i: Any, *, write: bool = False, locality: int = 3) -> None:
        """Hint that element ``i`` will be used soon; ``locality`` 3 keeps it close, 0 does not."""
        self.prefetch_element(self._at(i), write, locality)

    def __getitem__(self, i: Any) -> Any:
        return self.load(i)

    def __setitem__(self, i: Any, value: Any) -> None:
        self.store(i, value)

    def _atomic(self, name: str, i: Any, value: Any, mask: Any) -> Any:
        i = as_value(i)
        if isinstance(i, Tile):
            return Gathered(self, [i], [])._atomic(name, value, mask)
        return self.atomic(name, self._at(i), value, mask)

    def atomic_add(self, i: Any, value: Any, *, mask: Any = None) -> Any:
        """Add to element ``i``; return what was there."""
        return self._atomic("add", i, value, mask)

    def atomic_mul(self, i: Any, value: Any, *, mask: Any = None) -> Any:
        """Multiply element ``i``; return what was there."""
        return self._atomic("mul", i, value, mask)

    def atomic_max(self, i: Any, value: Any, *, mask: Any = None) -> Any:
        """Raise element ``i`` to ``value``; return what was there."""
        return self._atomic("max", i, value, mask)

    def atomic_min(self, i: Any, value: Any, *, mask: Any = None) -> Any:
        """Lower element ``i`` to ``value``; return what was there."""
        return self._atomic("min", i, value, mask)

    def atomic_and(self, i: Any, value: Any, *, mask: Any = None) -> Any:
        """And ``value`` into element ``i``; return what was there."""
        return self._atomic("and", i, value, mask)

    def atomic_or(self, i: Any, value: Any, *, mask: Any = None) -> Any:
        """Or ``value`` into element ``i``; return what was there."""
        return self._atomic("or", i, value, mask)

    def atomic_xchg(self, i: Any, value: Any, *, mask: Any = None) -> Any:
        """Replace element ``i``; return what was there."""
        return self._atomic("xchg", i, value, mask)

    # what the gathered form asks of its memory
    def fixed(self) -> list[Any]:
        return [self.offset] if self.offset is not None else []

    def leaves(self) -> list[Any]:
        """Return what a loop carries."""
        return [] if self.offset is None else [self.offset]

    def rebuilt(self, leaves: list[Any]) -> Ptr:
        """Return the pointer with another offset."""
        return Ptr(self.ir, self.dtype, self.name, self.access, leaves[0] if leaves else None)

    def same_structure(self, other: Any) -> bool:
        """Return whether another value differs in its offset only."""
        return (
            isinstance(other, Ptr)
            and other.ir is self.ir
            and (other.offset is None) == (self.offset is None)
        )


# ------------------------------------------------------------------------------------ tensors


class Tensor(Memory, Operators):
    """A shaped buffer or a view of one; spans and ``:`` make it a reference to a tile.

    ``entries`` has one item for each dim of the buffer: None while it is not indexed, a traced
    index, or a ``Span``.
    """

    __slots__ = ("access", "dtype", "entries", "extents", "ir", "name", "names")

    def __class_getitem__(cls, item: Any) -> TensorType:
        dtype, dims, access, alignment = split_annotation(item, "Tensor")
        return TensorType(dtype, dims, access, alignment)

    def __init__(
        self,
        ir: Value,
        dtype: DType,
        name: str,
        extents: list[Any],
        names: tuple[str, ...] = (),
        access: Access = RW,
        entries: list[Any] | None = None,
    ) -> None:
        self.ir = ir
        self.dtype = dtype
        self.name = name
        self.extents = extents
        self.names = names or tuple(str(n) for n in extents)
        self.access = access
        self.entries = [None] * len(extents) if entries is None else entries

    @property
    def open_dims(self) -> list[int]:
        """The dims of the buffer that are still dims of the view."""
        return [d for d, e in enumerate(self.entries) if e is None or isinstance(e, Span)]

    @property
    def shape(self) -> tuple[Any, ...]:
        """The extents: ints where they are known, traced otherwise; a span's is its size."""
        entries = [(self.entries[d], self.extents[d]) for d in self.open_dims]
        return tuple(e.size if isinstance(e, Span) else extent for e, extent in entries)

    @property
    def rank(self) -> int:
        return len(self.open_dims)

    @property
    def strides(self) -> tuple[Any, ...]:
        """The strides in elements of a contiguous buffer's dims (1 for the last)."""
        static = self.ir.type.element_strides  # type: ignore[attr-defined]
        found: list[Any] = [1] * len(self.extents)
        for d in range(len(self.extents) - 2, -1, -1):
            found[d] = (
                static[d] if static[d] >= 0 else binary("*", found[d + 1], self.extents[d + 1])
            )
        return tuple(found[d] for d in self.open_dims)

    @property
    def type_text(self) -> str:
        return f"Tensor[{self.dtype}, {', '.join(self.names[d] for d in self.open_dims)}]"

    @property
    def is_whole(self) -> bool:
        """Whether this is the buffer itself and no view."""
        return all(e is None for e in self.entries)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.type_text}>"

    # ---------------------------------------------------------------------------- indexing

    def __getitem__(self, items: Any) -> Any:
        """Index dims from the left: to an element, a view, or with spans a tile."""
        entries, advanced = self._indexed(items)
        if advanced:
            return Gathered(self, entries, advanced)
        view = self._view(entries)
        if not view.open_dims:
            return view.load_element(view._element(()), None, None, None, {})
        return view

    def __setitem__(self, items: Any, value: Any) -> None:
        entries, advanced = self._indexed(items)
        if advanced:
            Gathered(self, entries, advanced).store(value)
            return
        view = self._view(entries)
        if view.open_dims:
            view.store(value)
        else:
            view.store_element(view._element(()), value, None, {})

    def _view(self, entries: list[Any]) -> Tensor:
        return Tensor(
            self.ir, self.dtype, self.name, self.extents, self.names, self.access, entries
        )

    def _indexed(self, items: Any) -> tuple[list[Any], list[int]]:
        """Return the entries after indexing, and the dims that have a tile or SIMD index."""
        given = list(items) if isinstance(items, tuple) else [items]
        free = self.open_dims
        used = sum(1 for g in given if g is not Ellipsis)
        if used > len(free) or len(given) - used > 1:
            raise self._rank_error(used)
        at = next((k for k, g in enumerate(given) if g is Ellipsis), len(given))
        given = given[:at] + [slice(None)] * (len(free) - used) + given[at + 1 :]
        entries, advanced = list(self.entries), []
        for dim, item in zip(free, given, strict=True):
            entry = self._entry(dim, item)
            if entry is not None and entries[dim] is not None:
                raise self._rank_error(used)
            entries[dim] = entries[dim] if entry is None else entry
            if isinstance(entry, Tile | SIMD):
                advanced.append(dim)
        return entries, advanced

    def _rank_error(self, got: int) -> RankError:
        free = [self.names[d] for d, e in enumerate(self.entries) if e is None]
        return RankError(
            where(), name=self.name, wanted=len(free), dims=", ".join(free) or "none", got=got
        )

    def _entry(self, dim: int, item: Any) -> Any:
        if isinstance(item, Span):
            item.bind(self.extents[dim])
            return item
        if isinstance(item, slice):
            return self._slice(dim, item)
        item = as_value(item)
        if isinstance(item, Tile | SIMD) and item.dtype.is_integer:
            return item
        if item is None or isinstance(item, Tile | SIMD):
            raise TypeMismatchError(
                where(), op="indexing", wanted="integers or spans", got=describe(item)
            )
        if isinstance(item, int) and item < 0:
            item = binary("+", as_index(self.extents[dim]), item)
        return as_index(item, "a tensor's index")

    def _slice(self, dim: int, item: slice) -> Span | None:
        if item.start is None and item.stop is None and item.step is None:
            return None
        extent = self.extents[dim]
        example = "use kd.span(i, BLOCK)"
        bounds = [0 if item.start is None else item.start, item.stop, item.step or 1]
        if bounds[1] is None or (isinstance(bounds[1], int) and bounds[1] < 0):
            if not isinstance(extent, int):
                what = f"the end of a slice of {self.names[dim]}"
                raise NotConstError(where(), what=what, got="index", example=example)
            bounds[1] = extent if bounds[1] is None else extent + bounds[1]
        start, stop, step = (static_int(b, "a bound of a slice", example) for b in bounds)
        size = len(range(start, stop, step))
        if start < 0 or size < 1:
            raise ShapeMismatchError(where(), op="slicing", left=self.names[dim], right=item)
        return span_at(start, size, stop=stop, step=step)

    def _element(self, indices: tuple[Any, ...]) -> list[Value]:
        """Return the index of one element; ``indices`` are those of the open dims."""
        free = self.open_dims
        if len(indices) != len(free):
            raise self._rank_error(len(indices))
        given = dict(zip(free, indices, strict=True))
        return [
            as_index(given.get(d, e), "a tensor's index").ir for d, e in enumerate(self.entries)
        ]

    # ------------------------------------------------------------------------------- tiles

    def as_operand(self) -> Any:
        """Return what a reference stands for in arithmetic."""
        return self.load()

    def __getattr__(self, name: str) -> Any:
        """Give what the tile has: ``x[rows].sum(0)`` loads it."""
        if name.startswith("_") or not hasattr(Tile, name):
            raise AttributeError(f"a tensor has no {name!r}")
        return getattr(self.load(), name)

    def load(
        self,
        *indices: Any,
        width: Any = None,
        align: int | None = None,
        mask: Any = None,
        other: Any = None,
        cache: str | None = None,
        evict: str | None = None,
    ) -> Any:
        """Read the tile that spans make; with indices, one element or ``width`` of the last dim.

        Elements past an edge, or masked off, give ``other`` (0).
        """
        attributes = hints(cache, evict, align)
        if indices:
            *outer, last = (as_value(i) for i in indices)
            if isinstance(last, SIMD):
                return self.gather_lanes(self._element((*outer, 0)), last, mask, other)
            return self.load_element(self._element((*outer, last)), width, mask, other, attributes)
        self.check("read")
        offsets, stops, dims, steps, shape = self._window()
        op = emit_op(
            tile_ops.LoadTile, self.ir, [*offsets, *stops], types=[tensor(shape, self.dtype.type)],
            dims=dims, steps=steps, **attributes,
        )  # fmt: skip
        found = wrap(op.result, self.dtype)
        if other is not None:
            keep = self.mask if mask is None else binary("&", self.mask, mask)
            return where_(keep, found, other)
        return (
            found if mask is None else where_(mask, found, False if self.dtype.kind == "b" else 0)
        )

    @property
    def mask(self) -> Any:
        """Which elements of the referenced tile exist."""
        found: Any = None
        for axis, dim in enumerate(self.open_dims):
            entry = self.entries[dim]
            if isinstance(entry, Span):
                below = compare("<", entry.index, binary("minimum", entry.limit, self.extents[dim]))
                here = below[(slice(None), *[None] * (self.rank - axis - 1))]
                found = here if found is None else binary("&", found, here)
        shape = self._window()[4]
        return full(shape, True) if found is None else broadcast_to(found, shape, "mask")

    def store(
        self,
        *args: Any,
        width: Any = None,
        align: int | None = None,
        mask: Any = None,
        cache: str | None = None,
        evict: str | None = None,
    ) -> None:
        """Write a tile where spans say; with indices before it, one element or SIMD lanes.

        Elements past an edge, or masked off, are not written.
        """
        if not args:
            raise TypeMismatchError(where(), op="store", wanted="a value", got="nothing")
        *indices, value = args
        attributes = hints(cache, evict, align)
        if indices:
            *outer, last = (as_value(i) for i in indices)
            if isinstance(last, SIMD):
                self.scatter_lanes(self._element((*outer, 0)), last, value, mask)
            else:
                at = self._element((*outer, last))
                self.store_element(at, value, mask, attributes, width)
            return
        self.check("written")
        offsets, stops, dims, steps, shape = self._window()
        given = assign("store", value, self.dtype)
        if isinstance(given, SIMD):
            raise ShapeMismatchError(
                where(), op="store", left=given.type_text, right=self.type_text
            )
        tile = broadcast_to(given, shape, "store")
        if mask is not None:
            self._gathered().store(tile, mask=mask)
            return
        emit_op(
            tile_ops.StoreTile,
            tile.ir,
            self.ir,
            [*offsets, *stops],
            dims=dims,
            steps=steps,
            **attributes,
        )

    def _gathered(self) -> Gathered:
        return Gathered(self, list(self.entries), [])

    def _window(
        self,
    ) -> tuple[list[Value], list[Value], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Return offsets, stops, dims, steps and shape of the referenced tile."""
        offsets, stops, steps, shape = [], [], [], []
        for dim, entry in enumerate(self.entries):
            if isinstance(entry, Span):
                offsets.append(as_index(entry.first).ir)
                stops.append(as_index(entry.limit).ir)
                steps.append(entry.step)
                shape.append(entry.size)
            elif entry is None:
                extent = self._static(dim)
                offsets.append(as_index(0).ir)
                stops.append(as_index(extent).ir)
                steps.append(1)
                shape.append(extent)
            else:
                offsets.append(as_index(entry).ir)
        return offsets, stops, tuple(self.open_dims), tuple(steps), tuple(shape)

    def _static(self, dim: int) -> int:
        extent = self.extents[dim]
        if isinstance(extent, int):
            return extent
        raise NotConstError(
            where(),
            what=f"the extent of dim {self.names[dim]} of {self.name!r}",
            got="index",
            example=f"or declare {self.names[dim]} with kd.const_dims, or index it with kd.span",
        )

    def prefetch(self, *indices: Any, write: bool = False, locality: int = 3) -> None:
        """Hint that an element will be used soon; ``locality`` 3 keeps it close, 0 does not."""
        self.prefetch_element(self._element(indices), write, locality)

    # ----------------------------------------------------------------------------- atomics

    def _atomic(self, name: str, args: tuple[Any, ...], mask: Any) -> Any:
        *indices, value = args
        if len(indices) == self.rank and self.rank:
            if any(isinstance(as_value(i), Tile) for i in indices):
                return self[tuple(indices)]._atomic(name, value, mask)
            return self.atomic(name, self._element(tuple(indices)), value, mask)
        if indices:
            raise self._rank_error(len(indices))
        return self._gathered()._atomic(name, value, mask)

    def atomic_add(self, *args: Any, mask: Any = None) -> Any:
        """Add a value: to one element, ``t.atomic_add(i, j, v)``, or a tile, ``t[rows]``."""
        return self._atomic("add", args, mask)

    def atomic_mul(self, *args: Any, mask: Any = None) -> Any:
        """Multiply by a value."""
        return self._atomic("mul", args, mask)

    def atomic_max(self, *args: Any, mask: Any = None) -> Any:
        """Raise to a value."""
        return self._atomic("max", args, mask)

    def atomic_min(self, *args: Any, mask: Any = None) -> Any:
        """Lower to a value."""
        return self._atomic("min", args, mask)

    def atomic_and(self, *args: Any, mask: Any = None) -> Any:
        """And a value in."""
        return self._atomic("and", args, mask)

    def atomic_or(self, *args: Any, mask: Any = None) -> Any:
        """Or a value in."""
        return self._atomic("or", args, mask)

    def atomic_xchg(self, *args: Any, mask: Any = None) -> Any:
        """Replace; for one element, return what was there."""
        return self._atomic("xchg", args, mask)

    # ------------------------------------------------------------------------------ carried

    def leaves(self) -> list[Any]:
        """Return what a loop carries."""
        return [e.first if isinstance(e, Span) else e for e in self.entries if e is not None]

    def rebuilt(self, leaves: list[Any]) -> Tensor:
        """Return the view with other indices."""
        rest = iter(leaves)
        entries = [
            None if e is None else e.rebuilt([next(rest)]) if isinstance(e, Span) else next(rest)
            for e in self.entries
        ]
        return self._view(entries)

    def same_structure(self, other: Any) -> bool:
        """Return whether another value is a view of the same buffer along the same dims."""
        return (
            isinstance(other, Tensor)
            and other.ir is self.ir
            and all(
                a.same_structure(b)
                if isinstance(a, Span)
                else (a is None) == (b is None) and not isinstance(b, Span)
                for a, b in zip(self.entries, other.entries, strict=True)
            )
        )
