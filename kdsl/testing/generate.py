"""Well-typed modules made up from the op registry, driven by any source of choices.

``Generator(choose)`` asks ``choose(options)`` for every decision: a seeded
``random.Random().choice`` gives samples, hypothesis gives shrinking ones
(``kdsl.testing.strategies``). What it makes may also be run: indices are in bounds, divisors are
not zero, shifts are shorter than the width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from kdsl.dialects import arith, cf, func, gpu, kdsl, lanes, math, memref, scf, vector
from kdsl.ir.attributes import Opaque, Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Region, Value
from kdsl.ir.define import REGISTRY, Elementwise, Op
from kdsl.ir.types import (
    BF16,
    DYNAMIC,
    F16,
    F32,
    F64,
    I1,
    I8,
    I16,
    I32,
    I64,
    INDEX,
    MemRefType,
    ScalarType,
    ShapedType,
    Type,
    element_type,
    function,
    like,
    tensor,
)
from kdsl.ir.types import memref as memref_type
from kdsl.ir.types import vector as vector_type

T = TypeVar("T")
Choose = Callable[[Sequence[Any]], Any]

LANES = 8
TILE = (4, 8)
EXTENT = 16
"""Every dimension of the generated buffers has at least this size when it is run."""

ELEMENTS = (F32, I32, I1, F64, I64, BF16, F16, I8, I16)
LANE_TYPES: tuple[Type, ...] = (INDEX, *ELEMENTS, *(vector_type(LANES, e) for e in ELEMENTS[:6]))
TILE_TYPES: tuple[Type, ...] = (
    INDEX,
    *ELEMENTS[:5],
    *(tensor(TILE, e) for e in ELEMENTS[:6]),
    *(tensor((LANES,), e) for e in (F32, I32, INDEX)),
)
BUFFERS = {
    "x": memref_type((DYNAMIC,), F32),
    "y": memref_type((EXTENT, EXTENT), F32),
    "k": memref_type((DYNAMIC,), I32),
    "m": memref_type((DYNAMIC, EXTENT), F32, (DYNAMIC, 1)),
}
"""Arguments of every generated function, before the scalars ``n``, ``a`` and ``i``."""
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 3.25, -7.0, 100.0, 1e-3)
INTEGERS = (0, 1, 2, 3, 7, -1, -5, 100)
CONVERSIONS: dict[type[Op], tuple[tuple[ScalarType, ScalarType], ...]] = {
    arith.Extf: ((F16, F32), (BF16, F32), (F32, F64)),
    arith.Truncf: ((F32, F16), (F32, BF16), (F64, F32)),
    arith.Extsi: ((I1, I32), (I8, I32), (I32, I64)),
    arith.Extui: ((I1, I32), (I16, I32), (I32, I64)),
    arith.Trunci: ((I64, I32), (I32, I16), (I32, I1)),
    arith.Sitofp: ((I32, F32), (I64, F64), (I32, F64)),
    arith.Uitofp: ((I32, F32), (I1, F32), (I64, F64)),
    arith.Fptosi: ((F32, I32), (F64, I64)),
    arith.Fptoui: ((F32, I32), (F64, I64)),
    arith.IndexCast: ((INDEX, I64), (I32, INDEX), (INDEX, I32)),
    arith.IndexCastui: ((INDEX, I64), (I32, INDEX), (INDEX, I32)),
    arith.Bitcast: ((F32, I32), (I64, F64), (I16, BF16)),
}
DIVISIONS = (
    arith.Divsi,
    arith.Divui,
    arith.Floordivsi,
    arith.Ceildivsi,
    arith.Remsi,
    arith.Remui,
)
SHIFTS = (arith.Shli, arith.Shrsi, arith.Shrui)
FLOAT_TO_INTEGER = (arith.Fptosi, arith.Fptoui)


class Generator:
    """Makes one function ``@f`` over ``BUFFERS`` and three scalars, op by op."""

    def __init__(self, choose: Choose, tiles: bool = False) -> None:
        self.choose = choose
        self.tiles = tiles
        self.types = TILE_TYPES if tiles else LANE_TYPES
        self.module = Module.empty()
        scalars = {"n": INDEX, "a": F32, "i": I32}
        self.function = func.Func.empty(
            "f",
            (*BUFFERS.values(), *scalars.values()),
            names=(*BUFFERS, *scalars),
        )
        self.module.body.append(self.function)
        self.b = Builder(self.function.body)
        args = self.function.body.args
        self.buffers: dict[str, Value] = dict(zip(BUFFERS, args, strict=False))
        self.pool: list[Value] = list(args[len(BUFFERS) :])
        self.indices: list[Value] = []

    # ------------------------------------------------------------------------------------ values

    def value(self, kind: Type) -> Value:
        """Return a value of a type: an earlier one, or a new constant."""
        known = [v for v in self.pool if v.type is kind]
        if known and self.choose((True, True, False)):
            return self.pick(known)
        made = self.constant(kind)
        self.pool.append(made)
        return made

    def pick(self, options: Sequence[T]) -> T:
        """Choose one."""
        found: T = self.choose(options)
        return found

    def chance(self) -> bool:
        """Choose yes or no."""
        return self.pick((True, False))

    def constant(self, kind: Type, choices: Sequence[Any] | None = None) -> Value:
        element = element_type(kind)
        if choices is None:
            choices = FLOATS if element.kind == "f" else (0, 1) if element is I1 else INTEGERS
        number: Any = self.pick(choices)
        if isinstance(kind, ShapedType) and self.chance():
            lanes = np.array([choices[(i * 5 + 3) % len(choices)] for i in range(kind.size)])
            number = lanes.reshape(kind.shape)
        return arith.constant(self.b, number, kind)

    def index(self) -> Value:
        """Return an index from 0 to 7, in bounds of every buffer with room for ``LANES``."""
        if self.indices and self.chance():
            return self.pick(self.indices)
        return arith.index_constant(self.b, self.pick((0, 1, 5, 7)))

    def keep(self, made: Any) -> None:
        """Let later ops read what an op gave."""
        for value in made if isinstance(made, tuple) else (made,):
            if isinstance(value, Value):
                self.pool.append(value)

    # --------------------------------------------------------------------------------------- ops

    def finish(self) -> Module:
        """Return some values from the function and hand over the module."""
        returned = self.pool[-3:]
        self.b.add(func.Return, returned)
        self.function.attributes["function_type"] = function(
            self.function.type.inputs, tuple(v.type for v in returned)
        )
        return self.module

    def add(self, kind: type[Op]) -> None:
        """Add one op of a class, with what it needs."""
        recipe = RECIPES.get(kind)
        if recipe is not None:
            self.keep(recipe(self))
        elif kind in CONVERSIONS:
            self.keep(self.conversion(kind))
        else:
            self.keep(self.lanewise(kind))

    def any_op(self, depth: int = 2) -> None:
        """Add an op of a class that this level has; control flow up to ``depth`` deep."""
        kinds = TILE_KINDS if self.tiles else LANE_KINDS
        kind = self.pick(kinds)
        if kind in CONTROL:
            if depth > 0:
                self.keep(CONTROL[kind](self, depth - 1))
            return
        self.add(kind)

    def lanewise(self, kind: type[Op]) -> Any:
        """Add an op whose declaration says everything: elementwise, with inferred results."""
        fields = kind.operand_fields
        first = self.pick([t for t in self.types if fields[0].constraint.accepts(t)])
        operands = []
        for field in fields:
            wanted = first if field.same_as or field is fields[0] else like(first, I1)
            operands.append(self.value(wanted))
        if kind in DIVISIONS:
            operands[1] = self.constant(first, (1,) if element_type(first) is I1 else (1, 2, 3, 7))
        if kind in SHIFTS:
            operands[1] = self.constant(first, (0,) if element_type(first) is I1 else (0, 1, 3, 7))
        attributes: dict[str, Any] = {}
        if kind is arith.Cmpi:
            attributes["predicate"] = self.pick(range(10))
        if kind is arith.Cmpf:
            attributes["predicate"] = self.pick(range(16))
        if "fastmath" in kind.attribute_fields and self.pick((False, False, True)):
            attributes["fastmath"] = Opaque(arith.CONTRACT)
        return self.b.create(kind, *operands, **attributes)

    def conversion(self, kind: type[Op]) -> Any:
        source, target = self.pick(CONVERSIONS[kind])
        shaped = [t for t in self.types if element_type(t) is source]
        given = self.pick(shaped or [source])
        value = self.value(given)
        if kind in FLOAT_TO_INTEGER:
            # Only numbers that fit have a meaning.
            value = self.constant(given, (0.0, 1.0, 2.75, 100.0))
        return self.b.create(kind, value, types=[like(given, target)])

    def nested(self, block: Any, yields: Sequence[Type], depth: int) -> None:
        """Fill a region's block with a few ops and a yield of these types."""
        saved = len(self.pool), len(self.indices)
        with self.b.at(block):
            self.pool.extend(a for a in block.args if a.type is not INDEX)
            for _ in range(self.pick((0, 1, 2, 3))):
                self.any_op(depth)
            self.b.add(scf.Yield, [self.value(t) for t in yields])
        del self.pool[saved[0] :], self.indices[saved[1] :]

    def carried_types(self) -> list[Type]:
        return [self.pick(self.types) for _ in range(self.pick((0, 1, 2)))]


# ------------------------------------------------------------------------------------ control flow


def _for(g: Generator, depth: int) -> Any:
    lower, upper, step = (g.constant(INDEX, c) for c in ((0, 1), (0, 4, 7), (1, 3)))
    kinds = g.carried_types()
    loop = scf.for_loop(g.b, lower, upper, step, tuple(g.value(t) for t in kinds))
    g.indices.append(loop.induction)
    g.nested(loop.body, kinds, depth)
    g.indices.remove(loop.induction)
    return tuple(loop.results)


def _if(g: Generator, depth: int) -> Any:
    kinds = g.carried_types()
    otherwise = Region([Block()]) if kinds or g.chance() else Region()
    made = g.b.add(scf.If, g.value(I1), types=kinds, regions=[Region([Block()]), otherwise])
    for region in made.regions:
        for block in region.blocks:
            g.nested(block, kinds, depth)
    return tuple(made.results)


def _while(g: Generator, depth: int) -> Any:
    """Count down from a small number, with whatever happens in between."""
    before, after = Block([I32]), Block([I32])
    start = g.constant(I32, (0, 1, 3))
    made = g.b.add(scf.While, [start], types=[I32], regions=[Region([before]), Region([after])])
    with g.b.at(before):
        zero = arith.constant(g.b, 0, I32)
        more = g.b.create(arith.Cmpi, before.args[0], zero, predicate=arith.CMPI["sgt"])
        g.b.add(scf.Condition, more, [before.args[0]])
    saved = len(g.pool)
    with g.b.at(after):
        for _ in range(g.pick((0, 1, 2))):
            g.any_op(depth)
        one = arith.constant(g.b, 1, I32)
        g.b.add(scf.Yield, [g.b.create(arith.Subi, after.args[0], one)])
    del g.pool[saved:]
    return made.results[0]


CONTROL: dict[type[Op], Callable[[Generator, int], Any]] = {
    scf.For: _for,
    scf.If: _if,
    scf.While: _while,
}

# ----------------------------------------------------------------------------------------- recipes


def _buffer(g: Generator) -> tuple[Value, MemRefType, list[Value]]:
    source = g.buffers[g.pick(tuple(BUFFERS))]
    kind = memref.memref_type(source)
    return source, kind, [g.index() for _ in range(kind.rank)]


def _select(g: Generator) -> Any:
    kind = g.pick(g.types)
    condition = g.pick((I1, like(kind, I1)))
    return g.b.create(arith.Select, g.value(condition), g.value(kind), g.value(kind))


def _assert(g: Generator) -> Any:
    return g.b.create(cf.Assert, arith.constant(g.b, 1, I1), msg='all is "well"')


def _load(g: Generator) -> Any:
    source, _, at = _buffer(g)
    return g.b.create(memref.Load, source, at)


def _store(g: Generator) -> Any:
    target, kind, at = _buffer(g)
    return g.b.create(memref.Store, g.value(kind.element), target, at)


def _dim(g: Generator) -> Any:
    source, kind, _ = _buffer(g)
    axis = arith.index_constant(g.b, g.pick(range(kind.rank)))
    # The size itself is no safe index.
    g.b.create(memref.Dim, source, axis)


def _address(g: Generator) -> Any:
    source, _, at = _buffer(g)
    # Where memory lies differs from run to run.
    g.b.create(kdsl.Address, source, at)


def _alloc(g: Generator) -> Any:
    made = g.b.create(
        memref.Alloc, [arith.index_constant(g.b, 8)], [], types=[memref_type((DYNAMIC, 4), F32)]
    )
    zero = arith.index_constant(g.b, 0)
    g.b.add(memref.Store, g.value(F32), made, [zero, zero])
    found = g.b.create(memref.Load, made, [zero, zero])
    g.b.add(memref.Dealloc, made)
    return found


def _alloca(g: Generator) -> Any:
    made = g.b.create(memref.Alloca, [], [], types=[memref_type((4,), I32)], alignment=16)
    three = arith.index_constant(g.b, 3)
    g.b.add(memref.Store, g.value(I32), made, [three])
    return g.b.create(memref.Load, made, [three])


def _atomic(g: Generator) -> Any:
    kind = g.pick((("addf", "x"), ("maximumf", "y"), ("addi", "k"), ("assign", "k"), ("maxs", "k")))
    target = g.buffers[kind[1]]
    at = [g.index() for _ in range(memref.memref_type(target).rank)]
    value = g.value(element_type(target.type))
    return g.b.create(memref.AtomicRmw, value, target, at, kind=memref.ATOMIC_KINDS.index(kind[0]))


def _prefetch(g: Generator) -> Any:
    source, _, at = _buffer(g)
    return g.b.create(
        memref.Prefetch,
        source,
        at,
        isWrite=False,
        localityHint=Opaque("3 : i32"),
        isDataCache=True,
    )


def _memref_cast(g: Generator) -> Any:
    source = g.buffers["y"]
    wide = g.b.create(memref.Cast, source, types=[memref_type((DYNAMIC, DYNAMIC), F32)])
    return g.b.create(memref.Load, wide, [g.index(), g.index()])


def _vector_broadcast(g: Generator) -> Any:
    kind = vector_type(LANES, g.pick(ELEMENTS[:6]))
    return g.b.create(vector.Broadcast, g.value(kind.element), types=[kind])


def _vector_load(g: Generator) -> Any:
    source, kind, at = _buffer(g)
    return g.b.create(vector.Load, source, at, types=[vector_type(LANES, kind.element)])


def _vector_store(g: Generator) -> Any:
    target, kind, at = _buffer(g)
    return g.b.create(vector.Store, g.value(vector_type(LANES, kind.element)), target, at)


def _create_mask(g: Generator) -> Any:
    return g.b.create(vector.CreateMask, g.index(), types=[vector_type(LANES, I1)])


def _masked_load(g: Generator) -> Any:
    source, kind, at = _buffer(g)
    mask, rest = g.value(vector_type(LANES, I1)), g.value(vector_type(LANES, kind.element))
    return g.b.create(vector.MaskedLoad, source, at, mask, rest)


def _masked_store(g: Generator) -> Any:
    target, kind, at = _buffer(g)
    mask, value = g.value(vector_type(LANES, I1)), g.value(vector_type(LANES, kind.element))
    return g.b.create(vector.MaskedStore, target, at, mask, value)


def _vector_gather(g: Generator) -> Any:
    source, kind, at = _buffer(g)
    lanes = g.constant(vector_type(LANES, I32), (0, 1, 7, 3))
    mask, rest = g.value(vector_type(LANES, I1)), g.value(vector_type(LANES, kind.element))
    return g.b.create(vector.Gather, source, at, lanes, mask, rest)


def _vector_scatter(g: Generator) -> Any:
    target, kind, at = _buffer(g)
    lanes = g.constant(vector_type(LANES, I32), (0, 1, 7, 3))
    mask, value = g.value(vector_type(LANES, I1)), g.value(vector_type(LANES, kind.element))
    return g.b.create(vector.Scatter, target, at, lanes, mask, value)


def _reduction(g: Generator) -> Any:
    element = g.pick((F32, I32, F64))
    kinds = (
        ("add", "maximumf", "minnumf") if element.kind == "f" else ("add", "maxui", "minsi", "xor")
    )
    kind = Opaque(vector.reduction_kind(g.pick(kinds)))
    return g.b.create(vector.Reduction, g.value(vector_type(LANES, element)), kind=kind)


def _shuffle(g: Generator) -> Any:
    kind = vector_type(LANES, g.pick((F32, I32)))
    mask = g.pick(((0, 8, 1, 9, 2, 10, 3, 11), (7, 6, 5, 4, 3, 2, 1, 0)))
    return g.b.create(vector.Shuffle, g.value(kind), g.value(kind), mask=[*mask])


def _extract(g: Generator) -> Any:
    at = g.constant(I32, (0, 3, 7))
    return g.b.create(vector.ExtractElement, g.value(vector_type(LANES, g.pick((F32, I32)))), at)


def _insert(g: Generator) -> Any:
    kind = vector_type(LANES, g.pick((F32, I32)))
    at = g.constant(I32, (0, 3, 7))
    return g.b.create(vector.InsertElement, g.value(kind.element), g.value(kind), at)


def _interleave(g: Generator) -> Any:
    kind = vector_type(LANES, g.pick((F32, I32)))
    return g.b.create(vector.Interleave, g.value(kind), g.value(kind))


def _deinterleave(g: Generator) -> Any:
    return g.b.create(vector.Deinterleave, g.value(vector_type(LANES, g.pick((F32, I32)))))


def _vector_bitcast(g: Generator) -> Any:
    source, kind = g.pick(
        (
            (vector_type(LANES, F32), vector_type(LANES, I32)),
            (vector_type(LANES, I64), vector_type(2 * LANES, I32)),
        )
    )
    return g.b.create(vector.Bitcast, g.value(source), types=[kind])


def _position(g: Generator) -> tuple[int, ...]:
    return (g.pick((0, 3, LANES - 1)),)


def _extract_static(g: Generator) -> Any:
    kind = vector_type(LANES, g.pick((F32, I32)))
    return g.b.create(vector.Extract, g.value(kind), static_position=_position(g))


def _insert_static(g: Generator) -> Any:
    kind = vector_type(LANES, g.pick((F32, I32)))
    value = g.value(kind.element)
    return g.b.create(vector.Insert, value, g.value(kind), static_position=_position(g))


def _from_elements(g: Generator) -> Any:
    kind = g.pick((F32, I32))
    return g.b.create(vector.FromElements, [g.value(kind) for _ in range(3)])


def _lane_shuffle(g: Generator) -> Any:
    offset, width = g.constant(I32, (0, 1, 16)), g.constant(I32, (32,))
    mode = gpu.shuffle_mode(g.pick(gpu.SHUFFLE_MODES))
    return g.b.create(gpu.Shuffle, g.value(g.pick((F32, I32))), offset, width, mode=mode)


def _workgroup_alloc(g: Generator) -> Any:
    strides = g.pick((None, (16, 1)))
    kind = memref_type(TILE, g.pick((F32, I32)), strides, gpu.WORKGROUP)
    return g.b.create(kdsl.WorkgroupAlloc, types=[kind], align=g.pick((16, 128)))


def _workgroup_row(g: Generator, element: ScalarType) -> Value:
    kind = memref_type((EXTENT,), element, None, gpu.WORKGROUP)
    made: Value = g.b.create(kdsl.WorkgroupAlloc, types=[kind], align=16)
    return made


def _copy_async(g: Generator) -> Any:
    source, kind, at = _buffer(g)
    target = _workgroup_row(g, kind.element)
    valid, width = g.constant(I1, (True, False)), kind.element.bits // 8
    return g.b.create(lanes.CopyAsync, source, target, valid, [*at, g.index()], bytes=max(width, 4))


def _load_matrix(g: Generator) -> Any:
    source, count = _workgroup_row(g, BF16), g.pick((1, 2, 4))
    return g.b.create(
        lanes.LoadMatrix,
        source,
        [arith.index_constant(g.b, 0)],
        types=[vector_type(2 * count, BF16)],
        count=count,
        transpose=g.pick((True, False)),
    )


def _matrix_multiply(g: Generator) -> Any:
    a, b = (g.value(vector_type(n, BF16)) for n in (8, 4))
    sums = g.value(vector_type(4, F32))
    return g.b.create(lanes.MatrixMultiply, a, b, sums, atom="mma.m16n8k16")


def _call(g: Generator) -> Any:
    return g.b.create(func.Call, [g.value(F32)], types=[F32], callee=_helper(g, "helper", F32))


def _launch(g: Generator) -> Any:
    sizes = [arith.index_constant(g.b, n) for n in (2, 1, 3)]
    args = [g.buffers["x"], g.value(F32)]
    return g.b.create(kdsl.Launch, *sizes, args, kernel=_kernel(g, "kernel"))


def _helper(g: Generator, name: str, kind: Type) -> Any:
    if all(f.attributes["sym_name"] != name for f in g.module.functions):
        made = func.Func.empty(name, (kind,), (kind,), sym_visibility="private")
        Builder(made.body).add(func.Return, [made.body.args[0]])
        g.module.body.append(made)
    return Symbol(name)


def _kernel(g: Generator, name: str) -> Any:
    if all(f.attributes["sym_name"] != name for f in g.module.functions):
        made = func.Func.empty(name, (BUFFERS["x"], F32), names=("x", "a"))
        made.attributes[func.KERNEL] = None
        b = Builder(made.body)
        ids = [b.create(kdsl.ProgramId, axis=i) for i in range(3)]
        count = b.create(kdsl.NumPrograms, axis=0)
        row = b.create(arith.Addi, b.create(arith.Muli, ids[2], count), ids[0])
        b.add(memref.Store, made.body.args[1], made.body.args[0], [row])
        b.add(func.Return, [])
        g.module.body.append(made)
    return Symbol(name)


def _print(g: Generator) -> Any:
    return g.b.create(kdsl.Print, [g.value(F32), g.value(I32)], format="{} and {}")


def _stops(g: Generator, count: int) -> list[Value]:
    return [arith.index_constant(g.b, g.pick((3, 8, EXTENT))) for _ in range(count)]


def _tile_indices(g: Generator, kind: MemRefType, rank: int) -> list[Value]:
    return [*(g.index() for _ in range(kind.rank)), *_stops(g, rank)]


def _load_tile(g: Generator) -> Any:
    source = g.buffers[g.pick(("x", "y", "m"))]
    kind = memref.memref_type(source)
    dims = (0,) if kind.rank == 1 else g.pick(((0, 1), (1, 0)))
    shape = (LANES,) if kind.rank == 1 else TILE
    steps = tuple(g.pick((1, 2)) for _ in dims)
    at = _tile_indices(g, kind, len(shape))
    wanted = tensor(shape, kind.element)
    return g.b.create(kdsl.LoadTile, source, at, types=[wanted], dims=dims, steps=steps)


def _store_tile(g: Generator) -> Any:
    target = g.buffers[g.pick(("x", "y", "m"))]
    kind = memref.memref_type(target)
    dims = (0,) if kind.rank == 1 else g.pick(((0, 1), (1, 0)))
    shape = (LANES,) if kind.rank == 1 else TILE
    at = _tile_indices(g, kind, len(shape))
    value = g.value(tensor(shape, kind.element))
    return g.b.create(kdsl.StoreTile, value, target, at, dims=dims, steps=tuple(1 for _ in dims))


def _tile_gather(g: Generator) -> Any:
    lanes = g.constant(tensor(TILE, INDEX), (0, 1, 7, 3))
    return g.b.create(kdsl.Gather, g.buffers["x"], g.value(tensor(TILE, I1)), [lanes])


def _tile_scatter(g: Generator) -> Any:
    lanes = g.constant(tensor((LANES,), INDEX), (0, 1, 7, 3))
    mask = g.value(tensor((LANES,), I1))
    value = g.value(tensor((LANES,), F32))
    kind = g.pick(("assign", "addf", "maximumf"))
    return g.b.create(kdsl.Scatter, value, g.buffers["x"], mask, [lanes], kind=kind)


def _dot(g: Generator) -> Any:
    a, b, acc = (tensor(s, F32) for s in (TILE, (8, 2), (4, 2)))
    return g.b.create(kdsl.Dot, g.value(a), g.value(b), g.value(acc))


def _tile_reduce(g: Generator) -> Any:
    kind = g.pick((tensor(TILE, F32), tensor(TILE, I32), tensor((LANES,), F32)))
    kinds = ("addf", "maximumf") if kind.element is F32 else ("addi", "maxu", "xori")
    axis = g.pick(range(kind.rank))
    return g.b.create(kdsl.Reduce, g.value(kind), axis=axis, kind=g.pick(kinds))


def _scan(g: Generator) -> Any:
    return g.b.create(kdsl.Scan, g.value(tensor(TILE, I32)), axis=g.pick((0, 1)), kind="addi")


def _tile_broadcast(g: Generator) -> Any:
    wanted = tensor(TILE, F32)
    if g.pick((True, False)):
        return g.b.create(kdsl.Broadcast, g.value(F32), types=[wanted], dims=())
    return g.b.create(kdsl.Broadcast, g.value(tensor((8,), F32)), types=[wanted], dims=(1,))


def _transpose(g: Generator) -> Any:
    return g.b.create(kdsl.Transpose, g.value(tensor(TILE, F32)), permutation=(1, 0))


def _reshape(g: Generator) -> Any:
    return g.b.create(kdsl.Reshape, g.value(tensor(TILE, F32)), types=[tensor((8, 4), F32)])


def _slice(g: Generator) -> Any:
    return g.b.create(
        kdsl.Slice, g.value(tensor(TILE, F32)), offsets=(1, 0), sizes=(2, 4), steps=(1, 2)
    )


def _concat(g: Generator) -> Any:
    kind = tensor(TILE, F32)
    return g.b.create(kdsl.Concat, [g.value(kind), g.value(kind)], axis=g.pick((0, 1)))


def _iota(g: Generator) -> Any:
    return g.b.create(kdsl.Iota, types=[tensor((LANES,), g.pick((I32, INDEX)))])


RECIPES: dict[type[Op], Callable[[Generator], Any]] = {
    arith.Constant: lambda g: g.constant(g.pick(g.types)),
    arith.Select: _select,
    cf.Assert: _assert,
    func.Call: _call,
    memref.Load: _load,
    memref.Store: _store,
    memref.Dim: _dim,
    memref.Alloc: _alloc,
    memref.Alloca: _alloca,
    memref.AtomicRmw: _atomic,
    memref.Prefetch: _prefetch,
    memref.Cast: _memref_cast,
    vector.Broadcast: _vector_broadcast,
    vector.Load: _vector_load,
    vector.Store: _vector_store,
    vector.CreateMask: _create_mask,
    vector.MaskedLoad: _masked_load,
    vector.MaskedStore: _masked_store,
    vector.Gather: _vector_gather,
    vector.Scatter: _vector_scatter,
    vector.Reduction: _reduction,
    vector.Shuffle: _shuffle,
    vector.Extract: _extract_static,
    vector.Insert: _insert_static,
    vector.FromElements: _from_elements,
    vector.ExtractElement: _extract,
    vector.InsertElement: _insert,
    vector.Interleave: _interleave,
    vector.Deinterleave: _deinterleave,
    vector.Bitcast: _vector_bitcast,
    kdsl.Launch: _launch,
    kdsl.ProgramId: lambda g: g.b.create(kdsl.ProgramId, axis=g.pick((0, 1, 2))),
    kdsl.NumPrograms: lambda g: g.b.create(kdsl.NumPrograms, axis=g.pick((0, 1, 2))),
    kdsl.Print: _print,
    kdsl.WorkgroupAlloc: _workgroup_alloc,
    gpu.ThreadId: lambda g: g.b.create(gpu.ThreadId, dimension=gpu.X),
    gpu.Barrier: lambda g: g.b.create(gpu.Barrier),
    gpu.Shuffle: _lane_shuffle,
    lanes.CopyAsync: _copy_async,
    lanes.CopyCommit: lambda g: g.b.create(lanes.CopyCommit),
    lanes.CopyWait: lambda g: g.b.create(lanes.CopyWait, pending=g.pick((0, 1))),
    lanes.LoadMatrix: _load_matrix,
    lanes.MatrixMultiply: _matrix_multiply,
    kdsl.Address: _address,
    kdsl.LoadTile: _load_tile,
    kdsl.StoreTile: _store_tile,
    kdsl.Gather: _tile_gather,
    kdsl.Scatter: _tile_scatter,
    kdsl.Dot: _dot,
    kdsl.Reduce: _tile_reduce,
    kdsl.Scan: _scan,
    kdsl.Broadcast: _tile_broadcast,
    kdsl.Transpose: _transpose,
    kdsl.Reshape: _reshape,
    kdsl.Slice: _slice,
    kdsl.Concat: _concat,
    kdsl.Iota: _iota,
    scf.For: lambda g: _for(g, 1),
    scf.If: lambda g: _if(g, 1),
    scf.While: lambda g: _while(g, 1),
}
PARTS_OF_OTHERS: tuple[type[Op], ...] = (
    func.Func,
    func.Return,
    memref.Dealloc,
    scf.Yield,
    scf.Condition,
)
"""Ops that come with the recipe of another op."""

_FIXED_LANES = (vector.Extract, vector.Insert, vector.FromElements)
OF_SUBGROUPS: tuple[type[Op], ...] = (lanes.LoadMatrix, lanes.MatrixMultiply)
"""Ops that a lane alone cannot do, so that they mean nothing outside of a workgroup."""
_TOGETHER = (*OF_SUBGROUPS, lanes.CopyAsync, lanes.CopyCommit, lanes.CopyWait)
_NOT_RANDOM = (
    kdsl.Print, kdsl.Launch, kdsl.WorkgroupAlloc, math.Erf, *_FIXED_LANES, *_TOGETHER,
)  # fmt: skip


def _is_random(kind: type[Op]) -> bool:
    return kind not in _NOT_RANDOM and kind.__module__.startswith("kdsl.dialects.")


_COMMON: tuple[type[Op], ...] = (
    *(k for k in REGISTRY.values() if Elementwise in k.traits and _is_random(k)),
    *CONTROL,
    arith.Constant,
    cf.Assert,
    func.Call,
    memref.Load,
    memref.Store,
    memref.Alloc,
)
LANE_KINDS: tuple[type[Op], ...] = (
    *_COMMON,
    *(
        k
        for k in RECIPES
        if k.name.startswith(("memref.", "vector.")) and k not in (*_COMMON, *_NOT_RANDOM)
    ),
)
TILE_KINDS: tuple[type[Op], ...] = (
    *_COMMON,
    *(k for k in RECIPES if k.name.startswith("kdsl.") and _is_random(k)),
)


def sample(kind: type[Op], choose: Choose) -> Module:
    """Return a module with at least one op of a class."""
    generator = Generator(choose, tiles=kind.name.startswith("kdsl."))
    if kind not in PARTS_OF_OTHERS:
        generator.add(kind)
    else:
        for each in (memref.Alloc, scf.While):
            generator.add(each)
    return generator.finish()


def arguments(rng: np.random.Generator) -> list[Any]:
    """Return arguments for a generated function, buffers included."""
    return [
        rng.standard_normal(2 * EXTENT).astype(np.float32),
        rng.standard_normal((EXTENT, EXTENT)).astype(np.float32),
        rng.integers(-100, 100, 2 * EXTENT).astype(np.int32),
        rng.standard_normal((EXTENT, EXTENT)).astype(np.float32),
        np.int64(5),
        np.float32(1.5),
        np.int32(-3),
    ]
