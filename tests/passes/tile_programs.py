"""Tile programs built by hand: attention, matmul, softmax and what tests need of a front end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdsl.dialects import arith, math
from kdsl.dialects import kdsl as k
from kdsl.dialects.func import Func, Return
from kdsl.dialects.memref import Dim
from kdsl.dialects.scf import Yield, for_loop
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Value
from kdsl.ir.interpreter import interpret
from kdsl.ir.types import (
    DYNAMIC,
    F32,
    I1,
    INDEX,
    MemRefType,
    ScalarType,
    TensorType,
    Type,
    element_type,
    memref,
    tensor,
)
from kdsl.ir.verify import verify
from kdsl.passes.tile_to_loops import TileToLoops
from kdsl.target.features import Features
from kdsl.target.target import Target

AVX512 = Target(
    "generic",
    "avx512",
    Features(vector_bits=512, vector_registers=32, fma=True, masked_memory=True),
)
AVX2 = Target("generic", "avx2", Features(vector_bits=256, vector_registers=16, fma=True))
SSE = Target("generic", "sse", Features(vector_bits=128, vector_registers=16))


class Tiles(Builder):
    """A builder with one method for each thing a tile program does."""

    def number(self, value: float, type: Type) -> Value:
        return arith.constant(self, value, type)

    def index(self, value: int) -> Value:
        return self.number(value, INDEX)

    def size(self, buffer: Value, dim: int) -> Value:
        return self.create(Dim, buffer, self.index(dim))

    def load(
        self,
        buffer: Value,
        offsets: Sequence[Value | int],
        shape: Sequence[int],
        dims: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
        stops: Sequence[Value] | None = None,
    ) -> Value:
        """Load a tile along the last dimensions (or ``dims``) of a buffer."""
        kind = tensor(tuple(shape), element_type(buffer.type))
        dims, steps, indices = self._window(buffer, offsets, shape, dims, steps, stops)
        return self.create(k.LoadTile, buffer, indices, types=[kind], dims=dims, steps=steps)

    def store(
        self,
        value: Value,
        buffer: Value,
        offsets: Sequence[Value | int],
        dims: Sequence[int] | None = None,
        steps: Sequence[int] | None = None,
        stops: Sequence[Value] | None = None,
    ) -> None:
        """Store a tile along the last dimensions (or ``dims``) of a buffer."""
        shape = value.type.shape  # type: ignore[attr-defined]
        dims, steps, indices = self._window(buffer, offsets, shape, dims, steps, stops)
        self.add(k.StoreTile, value, buffer, indices, dims=dims, steps=steps)

    def _window(
        self, buffer: Value, offsets: Any, shape: Any, dims: Any, steps: Any, stops: Any
    ) -> Any:
        rank = buffer.type.rank  # type: ignore[attr-defined]
        dims = tuple(range(rank - len(shape), rank)) if dims is None else tuple(dims)
        steps = (1,) * len(shape) if steps is None else tuple(steps)
        stops = [self.size(buffer, d) for d in dims] if stops is None else list(stops)
        starts = [self.index(o) if isinstance(o, int) else o for o in offsets]
        return dims, steps, [*starts, *stops]

    def full(self, shape: Sequence[int], value: float, element: ScalarType = F32) -> Value:
        return self.number(value, tensor(tuple(shape), element))

    def spread(self, x: Value, shape: Sequence[int], dims: Sequence[int] = ()) -> Value:
        kind = tensor(tuple(shape), element_type(x.type))
        return self.create(k.Broadcast, x, types=[kind], dims=tuple(dims))

    def reduce(self, x: Value, axis: int, kind: str) -> Value:
        return self.create(k.Reduce, x, axis=axis, kind=kind)

    def transpose(self, x: Value, permutation: Sequence[int] = (1, 0)) -> Value:
        return self.create(k.Transpose, x, permutation=tuple(permutation))

    def dot(self, a: Value, b: Value, acc: Value | None = None, element: ScalarType = F32) -> Value:
        m, n = a.type.shape[0], b.type.shape[1]  # type: ignore[attr-defined]
        return self.create(k.Dot, a, b, self.full((m, n), 0, element) if acc is None else acc)

    def to(self, x: Value, element: ScalarType) -> Value:
        source = element_type(x.type)
        if source is element:
            return x
        assert isinstance(x.type, TensorType)
        kind = arith.Extf if source.bits < element.bits else arith.Truncf
        return self.create(kind, x, types=[x.type.with_element(element)])

    def iota(self, extent: int, element: ScalarType = INDEX) -> Value:
        return self.create(k.Iota, types=[tensor((extent,), element)])

    def less(self, x: Value, y: Value) -> Value:
        return self.create(arith.Cmpi, x, y, predicate=arith.CMPI["slt"])

    def loop(
        self,
        count: Value,
        inits: Sequence[Value],
        body: Callable[[Tiles, Value, list[Value]], list[Value]],
    ) -> list[Value]:
        op = for_loop(self, self.index(0), count, self.index(1), tuple(inits))
        inner = Tiles(op.body)
        inner.add(Yield, body(inner, op.induction, op.carried))
        return list(op.results)


def program(inputs: Sequence[Type], body: Callable[..., None]) -> Module:
    """Return a module with one kernel ``f``; ``body`` gets the builder and the arguments."""
    module = Module.empty()
    function = Func.empty("f", tuple(inputs), **{"kdsl.kernel": None})
    module.body.append(function)
    b = Tiles(function.body)
    body(b, *function.body.args)
    b.add(Return, [])
    verify(module)
    return module


def lowered(module: Module, target: Target = AVX512) -> Module:
    """Return the lowered copy, verified and free of tiles."""
    copy = module.clone()
    assert TileToLoops().run(copy, target)
    verify(copy)
    for op in copy.walk():
        kinds = [v.type for v in (*op.operands, *op.results)]
        kinds += [a.type for r in op.regions for blk in r.blocks for a in blk.args]
        assert not any(isinstance(t, TensorType) for t in kinds), op
    return copy


def run(module: Module, args: Sequence[Any], **where: Any) -> list[Any]:
    """Interpret ``f`` on copies of the arrays; return them."""
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    interpret(module, "f", copies, **where)
    return copies


def check(
    module: Module, args: Sequence[Any], target: Target = AVX512, tolerance: float = 2e-5
) -> Module:
    """Assert that lowering keeps what a program computes; return the lowered module."""
    after = lowered(module, target)
    for want, got in zip(run(module, args), run(after, args), strict=True):
        if not isinstance(want, np.ndarray):
            continue
        if want.dtype.kind in "iub":
            np.testing.assert_array_equal(got, want)
        else:
            scale = tolerance if want.dtype.itemsize >= 4 else 2e-2
            np.testing.assert_allclose(
                got.astype(np.float64), want.astype(np.float64), rtol=scale, atol=scale
            )
    return after


def buffer(rank: int, element: ScalarType = F32, last: int = DYNAMIC) -> MemRefType:
    """Return the type of a tensor argument with unit innermost stride."""
    shape = (*([DYNAMIC] * (rank - 1)), last)
    return memref(shape, element, (*([DYNAMIC] * (rank - 1)), 1))


def random(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ----------------------------------------------------------------------------------------- kernels


def matmul(m: int, n: int, depth: int, element: ScalarType = F32) -> Module:
    """C = A @ B by blocks of m x n, stepping through ``depth`` columns of A."""

    def body(b: Tiles, x: Value, y: Value, z: Value) -> None:
        row = b.create(arith.Muli, b.create(k.ProgramId, axis=0), b.index(m))
        col = b.create(arith.Muli, b.create(k.ProgramId, axis=1), b.index(n))
        count = b.create(arith.Ceildivsi, b.size(x, 1), b.index(depth))

        def step(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            at = c.create(arith.Muli, i, c.index(depth))
            a = c.load(x, [row, at], (m, depth))
            return [c.dot(a, c.load(y, [at, col], (depth, n)), carried[0])]

        (acc,) = b.loop(count, [b.full((m, n), 0.0)], step)
        b.store(b.to(acc, element), z, [row, col])

    return program([buffer(2, element)] * 3, body)


def softmax(rows: int, columns: int, element: ScalarType = F32) -> Module:
    """Softmax of ``rows`` rows of a matrix."""

    def body(b: Tiles, x: Value, y: Value) -> None:
        at = [b.create(arith.Muli, b.create(k.ProgramId, axis=0), b.index(rows)), 0]
        shape = (rows, columns)
        values = b.to(b.load(x, at, shape), F32)
        position = b.spread(b.iota(columns), shape, (1,))
        keep = b.less(position, b.spread(b.size(x, 1), shape))
        values = b.create(arith.Select, keep, values, b.full(shape, -np.inf))
        top = b.spread(b.reduce(values, 1, "maximumf"), shape, (0,))
        powers = b.create(math.Exp, b.create(arith.Subf, values, top))
        total = b.spread(b.reduce(powers, 1, "addf"), shape, (0,))
        b.store(b.to(b.create(arith.Divf, powers, total), element), y, at)

    return program([buffer(2, element)] * 2, body)


def attention(
    rows: int,
    keys: int,
    size: int,
    element: ScalarType = F32,
    *,
    group: int = 1,
    rope: bool = False,
) -> Module:
    """Causal attention over [H, S, D] with ``group`` query heads for each key head.

    Program ids: block of rows, head. With ``rope``, queries are rotated by cos and sin of [S, D / 2].
    """
    scale = 1.4426950408889634 / size**0.5

    def body(b: Tiles, q: Value, kk: Value, v: Value, o: Value, *tables: Value) -> None:
        start = b.create(arith.Muli, b.create(k.ProgramId, axis=0), b.index(rows))
        head = b.create(k.ProgramId, axis=1)
        key_head = b.create(arith.Divui, head, b.index(group))
        length = b.size(kk, 1)
        x = b.to(b.load(q, [head, start, 0], (rows, size)), F32)
        if rope:
            x = rotated(b, x, start, *tables)
        x = b.to(b.create(arith.Mulf, x, b.full((rows, size), scale)), element)
        end = b.create(arith.Minsi, length, b.create(arith.Addi, start, b.index(rows)))
        count = b.create(arith.Ceildivsi, end, b.index(keys))
        row = b.create(arith.Addi, b.spread(start, (rows,)), b.iota(rows))
        shape = (rows, keys)

        def step(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            top, total, acc = carried
            at = c.create(arith.Muli, i, c.index(keys))
            kt = c.transpose(c.load(kk, [key_head, at, 0], (keys, size)))
            s = c.dot(x, kt)
            col = c.create(arith.Addi, c.spread(at, (keys,)), c.iota(keys))
            keep = c.create(
                arith.Cmpi,
                c.spread(row, shape, (0,)),
                c.spread(col, shape, (1,)),
                predicate=arith.CMPI["sge"],
            )
            keep = c.create(
                arith.Andi, keep, c.less(c.spread(col, shape, (1,)), c.spread(length, shape))
            )
            s = c.create(arith.Select, keep, s, c.full(shape, -np.inf))
            higher = c.create(arith.Maximumf, top, c.reduce(s, 1, "maximumf"))
            is_low = c.create(
                arith.Cmpf, higher, c.full((rows,), -np.inf), predicate=arith.CMPF["oeq"]
            )
            base = c.create(arith.Select, is_low, c.full((rows,), 0.0), higher)
            p = c.create(math.Exp2, c.create(arith.Subf, s, c.spread(base, shape, (0,))))
            shrink = c.create(math.Exp2, c.create(arith.Subf, top, base))
            total = c.create(
                arith.Addf, c.create(arith.Mulf, total, shrink), c.reduce(p, 1, "addf")
            )
            acc = c.create(arith.Mulf, acc, c.spread(shrink, (rows, size), (0,)))
            vt = c.load(v, [key_head, at, 0], (keys, size))
            return [higher, total, c.dot(c.to(p, element), vt, acc)]

        inits = [b.full((rows,), -np.inf), b.full((rows,), 0.0), b.full((rows, size), 0.0)]
        _, total, acc = b.loop(count, inits, step)
        inverse = b.create(arith.Divf, b.full((rows,), 1.0), total)
        good = b.create(arith.Cmpf, total, b.full((rows,), 0.0), predicate=arith.CMPF["ogt"])
        inverse = b.create(arith.Select, good, inverse, b.full((rows,), 0.0))
        out = b.create(arith.Mulf, acc, b.spread(inverse, (rows, size), (0,)))
        b.store(b.to(out, element), o, [head, start, 0])

    tensors = [buffer(3, element, size)] * 4
    return program(tensors + [buffer(2, F32, size // 2)] * (2 * rope), body)


def rotated(b: Tiles, x: Value, start: Value, cos: Value, sin: Value) -> Value:
    """Rotate the halves of the rows of ``x``."""
    rows, size = x.type.shape  # type: ignore[attr-defined]
    half = size // 2
    c, s = (b.load(t, [start, 0], (rows, half)) for t in (cos, sin))
    low, high = (
        b.create(k.Slice, x, offsets=(0, o), sizes=(rows, half), steps=(1, 1)) for o in (0, half)
    )
    mul = lambda p, q: b.create(arith.Mulf, p, q)  # noqa: E731
    first = b.create(arith.Subf, mul(low, c), mul(high, s))
    second = b.create(arith.Addf, mul(high, c), mul(low, s))
    return b.create(k.Concat, [first, second], axis=1)


__all__ = [
    "AVX2",
    "AVX512",
    "I1",
    "SSE",
    "Tiles",
    "attention",
    "buffer",
    "check",
    "lowered",
    "matmul",
    "program",
    "random",
    "run",
    "softmax",
]
