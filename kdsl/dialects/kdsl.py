"""The ``kdsl`` dialect: what upstream has no op for, above all the tile level.

Tiles are ``tensor`` values of static shape; ``arith`` and ``math`` act on them lane by lane. A
tile's axis has no layout here: where its lanes live is the business of the pass that lowers it for
a target.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import memref, rules
from kdsl.dialects.func import Func
from kdsl.dialects.gpu import WORKGROUP
from kdsl.dialects.numeric import signless, unsigned
from kdsl.errors import OpRuleError
from kdsl.ir.attributes import AttributeValue
from kdsl.ir.core import Op as CoreOp
from kdsl.ir.core import Value, defining_op
from kdsl.ir.define import (
    ANY,
    BOOL,
    DATA,
    INDEX_ONLY,
    MEMREF,
    SCALAR_OR_TENSOR,
    TENSOR,
    Allocates,
    Op,
    Pure,
    ReadsMemory,
    WritesMemory,
    attribute,
    operand,
    result,
)
from kdsl.ir.types import INDEX, TensorType, Type, element_type, tensor

# ------------------------------------------------------------------------------- execution


class ProgramId(Op, name="kdsl.program_id", traits=(Pure,)):
    """Which program of the grid this is, along ``axis``."""

    axis = attribute("int")
    y = result(element=INDEX)

    def execute(self, frame: Any, operands: tuple[Any, ...]) -> Any:
        del operands
        return (np.int64(frame.program_ids[self.axis]),)

    def verify(self) -> None:
        rules.require(self, 0 <= self.axis < 3, f"a grid has axes 0, 1 and 2, not {self.axis}")


class NumPrograms(Op, name="kdsl.num_programs", traits=(Pure,)):
    """How many programs the grid has, along ``axis``."""

    axis = attribute("int")
    y = result(element=INDEX)

    def execute(self, frame: Any, operands: tuple[Any, ...]) -> Any:
        del operands
        return (np.int64(frame.grid[self.axis]),)

    def verify(self) -> None:
        rules.require(self, 0 <= self.axis < 3, f"a grid has axes 0, 1 and 2, not {self.axis}")


class Launch(Op, name="kdsl.launch", traits=(ReadsMemory, WritesMemory)):
    """Run a kernel once for each program id of a grid, in any order; all are done afterwards."""

    x = operand(INDEX_ONLY)
    y = operand(INDEX_ONLY)
    z = operand(INDEX_ONLY)
    args = operand(ANY, variadic=True)
    kernel = attribute("symbol")

    def execute(self, frame: Any, operands: tuple[Any, ...]) -> Any:
        grid = tuple(int(n) for n in operands[:3])
        for z in range(grid[2]):
            for y in range(grid[1]):
                for x in range(grid[0]):
                    with frame.with_program((x, y, z), grid):
                        frame.call(self.kernel.name, operands[3:])
        return ()

    def verify_symbols(self, symbols: dict[str, CoreOp]) -> None:
        kernel = symbols[self.kernel.name]
        rules.require(self, isinstance(kernel, Func), f"@{self.kernel.name} is no function")
        assert isinstance(kernel, Func)
        rules.same_types(self, "it passes", rules.types_of(self.args), kernel.type.inputs)
        rules.require(self, not kernel.type.results, f"@{self.kernel.name} returns values")


class WorkgroupAlloc(Op, name="kdsl.workgroup_alloc", traits=(Allocates,)):
    """Memory that the lanes of a workgroup share, there from the kernel's start to its end.

    ``align``: of the address, in bytes.
    """

    align = attribute("int", default=16)
    y = result(MEMREF)

    def evaluate(self) -> Any:
        return memref.poisoned(self.y.type.shape, self.y.type.element)

    def verify(self) -> None:
        kind, align = self.y.type, self.align
        rules.require(self, kind.is_static, f"{kind} has no static shape")
        rules.require(self, kind.space == WORKGROUP, f"{kind} is not in space {WORKGROUP}")
        strides = kind.element_strides
        rules.require(self, all(s > 0 for s in strides), f"{kind} has no static strides")
        rules.require(self, align > 0 and align & (align - 1) == 0, f"align = {align}")


class Print(Op, name="kdsl.print", traits=(ReadsMemory, WritesMemory)):
    """Print values; ``format`` has one ``{}`` for each."""

    values = operand(DATA, variadic=True)
    format = attribute("string")

    def evaluate(self, *values: Any) -> tuple[()]:
        print(self.format.format(*values))  # noqa: T201  (the op's meaning)
        return ()


# --------------------------------------------------------------------------- tiles and memory


class LoadTile(Op, name="kdsl.load_tile", traits=(ReadsMemory,)):
    """Read a tile of a buffer; elements outside are zero.

    ``indices`` holds an offset for each dimension of ``source``, then a ``stop`` for each axis of
    the tile. Axis ``a`` of the tile runs along dimension ``dims[a]`` with step ``steps[a]``: its
    element ``i`` is at ``offset + i * step``, and is read only when 0 <= that < min(stop, size of
    the dimension).
    """

    source = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    dims = attribute("ints")
    steps = attribute("ints")
    y = result(TENSOR)

    @property
    def offsets(self) -> list[Value]:
        return list(self.indices[: self.source.type.rank])

    @property
    def stops(self) -> list[Value]:
        return list(self.indices[self.source.type.rank :])

    def evaluate(self, source: Any, *indices: Any) -> Any:
        kind = self.y.type
        found = np.zeros(kind.shape, kind.element.numpy)
        inside, at = tile_window(self, source.shape, indices, kind.shape)
        if all(s.start < s.stop for s in inside):
            found[inside] = _in_tile_order(source[at], self.dims)
        return found

    def verify(self) -> None:
        verify_window(self, self.source.type.rank, self.y.type)


class StoreTile(Op, name="kdsl.store_tile", traits=(WritesMemory,)):
    """Write a tile to a buffer; elements outside are not written. ``indices`` as for a load."""

    value = operand(TENSOR)
    target = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    dims = attribute("ints")
    steps = attribute("ints")

    @property
    def offsets(self) -> list[Value]:
        return list(self.indices[: self.target.type.rank])

    @property
    def stops(self) -> list[Value]:
        return list(self.indices[self.target.type.rank :])

    def evaluate(self, value: Any, target: Any, *indices: Any) -> tuple[()]:
        inside, at = tile_window(self, target.shape, indices, value.shape)
        if all(s.start < s.stop for s in inside):
            _in_tile_order(target[at], self.dims)[...] = value[inside]
        return ()

    def verify(self) -> None:
        verify_window(self, self.target.type.rank, self.value.type)


def tile_window(
    op: Any, extents: tuple[int, ...], indices: tuple[Any, ...], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[Any, ...]]:
    """Return which part of a tile lies inside a buffer, and where that part is in the buffer."""
    rank = len(extents)
    offsets = [int(i) for i in indices[:rank]]
    stops = [int(i) for i in indices[rank:]]
    at: list[Any] = list(offsets)
    inside: list[slice] = []
    for axis, (dim, step) in enumerate(zip(op.dims, op.steps, strict=True)):
        offset, stop = offsets[dim], min(stops[axis], extents[dim])
        first = max(0, -(offset // step)) if offset < 0 else 0
        last = min(shape[axis], max(0, -((offset - stop) // step)))
        inside.append(slice(first, max(first, last)))
        start = offset + first * step
        at[dim] = slice(start, start + (max(first, last) - first) * step, step)
    return tuple(inside), tuple(at)


def _in_tile_order(part: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    """Order the kept dimensions (ascending after indexing) as the tile's axes are."""
    ranked = sorted(dims)
    return part.transpose([ranked.index(d) for d in dims])


def verify_window(op: Any, rank: int, tile: TensorType) -> None:
    """Check the counts of a load's or store's indices, dims and steps."""
    if not (
        len(op.dims) == len(op.steps) == tile.rank
        and len(set(op.dims)) == tile.rank
        and all(0 <= d < rank for d in op.dims)
        and all(s > 0 for s in op.steps)
        and len(op.indices) == rank + tile.rank
    ):
        raise OpRuleError(
            op.loc, op=op.name, what=f"dims {op.dims} do not fit rank {rank} and {tile}"
        )


class Address(Op, name="kdsl.address", traits=(Pure,)):
    """The address of an element, in bytes, for questions of alignment."""

    source = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    y = result(element=INDEX)

    @staticmethod
    def evaluate(source: Any, *indices: Any) -> Any:
        offset = sum(int(i) * step for i, step in zip(indices, source.strides, strict=True))
        return np.int64(source.__array_interface__["data"][0] + offset)

    def verify(self) -> None:
        rules.indexed(self, self.source, self.indices)


class Gather(Op, name="kdsl.gather", traits=(ReadsMemory,)):
    """Read one element for each lane: ``source[i0, i1, ...]`` where ``mask`` holds, else zero.

    ``indices`` holds one tile of index for each dimension of ``source``. A lane whose index is
    outside the buffer must be masked off.
    """

    source = operand(MEMREF)
    mask = operand(BOOL)
    indices = operand(TENSOR, variadic=True)
    y = result(TENSOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Type]:
        return [tensor(operands[1].type.shape, operands[0].type.element)]

    def evaluate(self, source: Any, mask: Any, *indices: Any) -> Any:
        found = np.zeros(mask.shape, source.dtype)
        found[mask] = source[tuple(i[mask] for i in indices)]
        return found

    def verify(self) -> None:
        rules.indexed(self, self.source, self.indices)
        rules.holds_elements(self, self.source, self.y)
        verify_lanes(self, self.y, self.mask, self.indices)


class Scatter(Op, name="kdsl.scatter", traits=(ReadsMemory, WritesMemory)):
    """Write (or combine atomically) one element for each lane where ``mask`` holds.

    ``kind`` is "assign" or one of the atomic kinds: "addf", "addi", "maxs", "maximumf", ...
    """

    value = operand(TENSOR)
    target = operand(MEMREF)
    mask = operand(BOOL)
    indices = operand(TENSOR, variadic=True)
    kind = attribute("string", default="assign")

    def evaluate(self, value: Any, target: Any, mask: Any, *indices: Any) -> tuple[()]:
        at = tuple(i[mask] for i in indices)
        if self.kind == "assign":
            target[at] = value[mask]
        else:
            _UFUNCS[self.kind].at(target, at, value[mask])
        return ()

    def verify(self) -> None:
        rules.indexed(self, self.target, self.indices)
        rules.holds_elements(self, self.target, self.value)
        verify_lanes(self, self.value, self.mask, self.indices)
        known = self.kind == "assign" or self.kind in _UFUNCS
        rules.require(self, known, f"lanes cannot be combined by {self.kind}")


def verify_lanes(op: Op, lanes: Value, mask: Value, indices: list[Value]) -> None:
    """Check that the mask and each tile of indices have a tile's shape."""
    rules.masked_lanes(op, lanes, mask, *indices)
    for each in indices:
        rules.require(op, element_type(each.type) is INDEX, f"{each.type} holds no indices")


# ------------------------------------------------------------------------------ tile algebra


class Dot(Op, name="kdsl.dot", traits=(Pure,)):
    """``a @ b + acc`` of an MxK and a KxN tile, accumulated in the type of ``acc``."""

    a = operand(TENSOR)
    b = operand(TENSOR)
    acc = operand(TENSOR)
    y = result(same_as="acc")

    def evaluate(self, a: Any, b: Any, acc: Any) -> Any:
        wide = np.result_type(acc.dtype, np.float32) if acc.dtype.kind not in "iu" else acc.dtype
        with np.errstate(all="ignore"):
            return (a.astype(wide) @ b.astype(wide) + acc.astype(wide)).astype(acc.dtype)

    def verify(self) -> None:
        a, b, acc = self.a.type, self.b.type, self.acc.type
        fits = (
            (a.rank, b.rank, acc.rank) == (2, 2, 2)
            and a.shape[1] == b.shape[0]
            and acc.shape == (a.shape[0], b.shape[1])
            and a.element is b.element
        )
        if not fits:
            raise OpRuleError(self.loc, op=self.name, what=f"{a} x {b} + {acc}")


COMBINE: dict[str, Any] = {
    "addf": np.add, "addi": np.add, "mulf": np.multiply, "muli": np.multiply,
    "maximumf": np.maximum, "minimumf": np.minimum, "maxnumf": np.fmax, "minnumf": np.fmin,
    "maxs": np.maximum, "mins": np.minimum, "andi": np.bitwise_and, "ori": np.bitwise_or,
}  # fmt: skip
"""How two lanes are combined, by upstream's names of atomic kinds; unsigned ones are below."""


def _as_unsigned(combine: Any) -> Any:
    def evaluate(a: Any, b: Any) -> Any:
        return signless(combine(unsigned(a), unsigned(b)), a)

    return evaluate


COMBINE["maxu"] = _as_unsigned(np.maximum)
COMBINE["minu"] = _as_unsigned(np.minimum)
_UFUNCS: dict[str, Any] = {k: v for k, v in COMBINE.items() if isinstance(v, np.ufunc)}

REDUCE_KINDS = (
    "addf", "addi", "mulf", "muli", "maximumf", "minimumf", "maxnumf", "minnumf",
    "maxs", "mins", "maxu", "minu", "andi", "ori", "xori",
)  # fmt: skip
COMBINE["xori"] = np.bitwise_xor


def _reduce(kind: str, x: Any, axis: int) -> Any:
    if kind in ("maxu", "minu"):
        combine = np.maximum if kind == "maxu" else np.minimum
        return signless(combine.reduce(unsigned(x), axis=axis), x)
    with np.errstate(all="ignore"):
        if kind == "addf" and x.dtype.itemsize < 4:
            return np.add.reduce(x.astype(np.float32), axis=axis).astype(x.dtype)
        return np.asarray(COMBINE[kind].reduce(x, axis=axis)).astype(x.dtype)


class Reduce(Op, name="kdsl.reduce", traits=(Pure,)):
    """Combine the lanes along ``axis``, in any order; a 1-D tile gives a scalar."""

    x = operand(TENSOR)
    axis = attribute("int")
    kind = attribute("string", choices=REDUCE_KINDS)
    y = result(SCALAR_OR_TENSOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Type]:
        t, axis = operands[0].type, attributes["axis"]
        rest = t.shape[:axis] + t.shape[axis + 1 :]
        return [tensor(rest, t.element) if rest else t.element]

    def evaluate(self, x: Any) -> Any:
        return np.asarray(_reduce(self.kind, x, self.axis))[()]

    def verify(self) -> None:
        verify_axis(self, self.x.type)
        shape, axis = self.x.type.shape, self.axis
        rest = (*shape[:axis], *shape[axis + 1 :])
        element = self.x.type.element
        wanted = tensor(rest, element) if rest else element
        rules.require(self, self.y.type is wanted, f"it gives {wanted}, not {self.y.type}")


class Scan(Op, name="kdsl.scan", traits=(Pure,)):
    """Running combination of the lanes along ``axis``, each lane included ("addf": prefix sum)."""

    x = operand(TENSOR)
    axis = attribute("int")
    kind = attribute("string", choices=REDUCE_KINDS)
    y = result(same_as="x")

    def evaluate(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            return COMBINE[self.kind].accumulate(x, axis=self.axis).astype(x.dtype)

    def verify(self) -> None:
        verify_axis(self, self.x.type)


def verify_axis(op: Any, tile: TensorType) -> None:
    """Check that a tile has the axis and that its elements can be combined so."""
    rules.require(op, 0 <= op.axis < tile.rank, f"{tile} has no axis {op.axis}")
    fits = (op.kind.endswith("f")) == (tile.element.kind == "f")
    rules.require(op, fits, f"{op.kind} of {tile}")


class Broadcast(Op, name="kdsl.broadcast", traits=(Pure,)):
    """Repeat a scalar or tile: axis ``i`` of ``x`` becomes ``dims[i]``; size 1 is stretched."""

    x = operand(SCALAR_OR_TENSOR)
    dims = attribute("ints")
    y = result(TENSOR)

    def evaluate(self, x: Any) -> Any:
        wanted = self.y.type
        shape = [1] * wanted.rank
        for axis, dim in enumerate(self.dims):
            shape[dim] = np.shape(x)[axis]
        return np.array(np.broadcast_to(np.reshape(x, shape), wanted.shape))

    def fold(self) -> AttributeValue | Value | None:
        """Nothing to repeat."""
        if self.x.type is self.y.type and self.dims == tuple(range(self.y.type.rank)):
            found = self.x
            assert isinstance(found, Value)
            return found
        return None

    def verify(self) -> None:
        shape = self.x.type.shape if isinstance(self.x.type, TensorType) else ()
        wanted = self.y.type.shape
        fits = (
            len(self.dims) == len(shape)
            and list(self.dims) == sorted(set(self.dims))
            and all(
                0 <= d < len(wanted) and n in (1, wanted[d])
                for n, d in zip(shape, self.dims, strict=True)
            )
            and element_type(self.x.type) is self.y.type.element
        )
        if not fits:
            raise OpRuleError(
                self.loc, op=self.name, what=f"{self.x.type} to {self.y.type} along {self.dims}"
            )


class Transpose(Op, name="kdsl.transpose", traits=(Pure,)):
    """Reorder axes: axis ``i`` of the result is axis ``permutation[i]`` of ``x``."""

    x = operand(TENSOR)
    permutation = attribute("ints")
    y = result(TENSOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Type]:
        t = operands[0].type
        return [tensor(tuple(t.shape[p] for p in attributes["permutation"]), t.element)]

    def evaluate(self, x: Any) -> Any:
        return np.ascontiguousarray(np.transpose(x, self.permutation))

    def fold(self) -> Value | None:
        """Two transposes that undo each other."""
        inner = defining_op(self.x, Transpose)
        if inner is None:
            return None
        both = [inner.permutation[p] for p in self.permutation]
        return inner.x if both == list(range(len(both))) else None

    def verify(self) -> None:
        x, y, permutation = self.x.type, self.y.type, self.permutation
        fits = sorted(permutation) == list(range(x.rank))
        rules.require(self, fits, f"{permutation} does not name each axis of {x} once")
        wanted = tensor(tuple(x.shape[p] for p in permutation), x.element)
        rules.require(self, y is wanted, f"it gives {wanted}, not {y}")


class Reshape(Op, name="kdsl.reshape", traits=(Pure,)):
    """The same elements in row-major order under another shape."""

    x = operand(TENSOR)
    y = result(TENSOR)

    def evaluate(self, x: Any) -> Any:
        return np.reshape(x, self.y.type.shape).copy()

    def fold(self) -> Value | None:
        """The same shape again."""
        if self.x.type is self.y.type:
            found = self.x
            assert isinstance(found, Value)
            return found
        return None

    def verify(self) -> None:
        if self.x.type.size != self.y.type.size or self.x.type.element is not self.y.type.element:
            raise OpRuleError(self.loc, op=self.name, what=f"{self.x.type} to {self.y.type}")


class Slice(Op, name="kdsl.slice", traits=(Pure,)):
    """A static part of a tile: ``x[o : o + n * s : s]`` along each axis."""

    x = operand(TENSOR)
    offsets = attribute("ints")
    sizes = attribute("ints")
    steps = attribute("ints")
    y = result(TENSOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Type]:
        return [tensor(attributes["sizes"], operands[0].type.element)]

    def evaluate(self, x: Any) -> Any:
        parts = zip(self.offsets, self.sizes, self.steps, strict=True)
        return x[tuple(slice(o, o + n * s, s) for o, n, s in parts)].copy()

    def verify(self) -> None:
        x, y = self.x.type, self.y.type
        fits = len(self.offsets) == len(self.sizes) == len(self.steps) == x.rank
        fits = fits and all(
            o >= 0 and n > 0 and s > 0 and o + (n - 1) * s < extent
            for o, n, s, extent in zip(self.offsets, self.sizes, self.steps, x.shape, strict=True)
        )
        rules.require(
            self, fits, f"offsets {self.offsets}, sizes {self.sizes}, steps {self.steps} of {x}"
        )
        wanted = tensor(self.sizes, x.element)
        rules.require(self, y is wanted, f"it gives {wanted}, not {y}")


class Concat(Op, name="kdsl.concat", traits=(Pure,)):
    """Tiles one after the other along ``axis``."""

    parts = operand(TENSOR, variadic=True)
    axis = attribute("int")
    y = result(TENSOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Type]:
        axis, first = attributes["axis"], operands[0].type
        shape = list(first.shape)
        shape[axis] = sum(o.type.shape[axis] for o in operands)
        return [tensor(tuple(shape), first.element)]

    def evaluate(self, *parts: Any) -> Any:
        return np.concatenate(parts, axis=self.axis)

    def verify(self) -> None:
        rules.require(self, bool(self.parts), "it takes at least one tile")
        kinds = [part.type for part in self.parts]
        first, axis = kinds[0], self.axis
        rules.require(self, 0 <= axis < first.rank, f"{first} has no axis {axis}")
        fits = all(
            k.element is first.element
            and k.rank == first.rank
            and k.shape[:axis] == first.shape[:axis]
            and k.shape[axis + 1 :] == first.shape[axis + 1 :]
            for k in kinds
        )
        rules.require(self, fits, f"{rules.listed(kinds)} differ in more than axis {axis}")
        along = sum(k.shape[axis] for k in kinds)
        wanted = tensor((*first.shape[:axis], along, *first.shape[axis + 1 :]), first.element)
        rules.require(self, self.y.type is wanted, f"it gives {wanted}, not {self.y.type}")


class Iota(Op, name="kdsl.iota", traits=(Pure,)):
    """0, 1, 2, ... in a 1-D tile of integers or index."""

    y = result(TENSOR)

    def evaluate(self) -> Any:
        return np.arange(self.y.type.shape[0], dtype=self.y.type.element.numpy)

    def verify(self) -> None:
        y = self.y.type
        rules.require(self, y.rank == 1 and y.element.kind in "ix", f"{y} is no row of integers")
