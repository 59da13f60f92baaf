"""Programs of loops to widen, fuse and unroll, made up by any source of choices.

``LoopProgram(choose)`` asks ``choose(options)`` for every decision, as ``kdsl.testing.generate``
does. The turns of the loops are independent, every access is in bounds and no division is by zero,
whatever ``n`` is; sums are exact, so that their order does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsl.dialects import arith, func, memref, scf
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Region, Value
from kdsl.ir.types import DYNAMIC, F32, I32, I64, INDEX, ScalarType, Type
from kdsl.ir.types import function as function_type
from kdsl.ir.types import memref as memref_type
from kdsl.testing.generate import Choose

ROOM = 8
"""Every buffer has this many elements more than the loops run over."""
INPUTS = {
    "x": memref_type((DYNAMIC,), F32),
    "w": memref_type((DYNAMIC,), F32),
    "k": memref_type((DYNAMIC,), I32),
}
"""Never written; ``w`` holds powers of two."""
OUTPUTS = {
    "o": memref_type((DYNAMIC,), F32),
    "p": memref_type((DYNAMIC,), I32),
    "s": memref_type((DYNAMIC,), F32),
    "q": memref_type((DYNAMIC, ROOM), F32),
}
"""Turn i writes ``o[i]``, ``p[i]``, ``s[2 * i]`` and the row ``q[i]``, and may read them back."""
FLOAT_OPS = (arith.Addf, arith.Mulf, arith.Subf, arith.Maximumf, arith.Minnumf)
INTEGER_OPS = (
    arith.Addi,
    arith.Muli,
    arith.Subi,
    arith.Andi,
    arith.Xori,
    arith.Maxsi,
    arith.Minui,
)
DIVISIONS = (arith.Divsi, arith.Remsi, arith.Divui, arith.Remui, arith.Floordivsi)
FLOAT_REDUCTIONS = (arith.Addf, arith.Mulf, arith.Maximumf, arith.Minimumf, arith.Maxnumf)
INTEGER_REDUCTIONS = (
    arith.Addi,
    arith.Muli,
    arith.Maxsi,
    arith.Minsi,
    arith.Maxui,
    arith.Minui,
    arith.Andi,
    arith.Ori,
    arith.Xori,
)


class LoopProgram:
    """Makes one function ``@f`` over the buffers and ``n``, ``a`` and ``j``; it returns sums."""

    def __init__(self, choose: Choose, width: int = 0) -> None:
        self.choose = choose
        self.width = width
        inputs = (*INPUTS.values(), *OUTPUTS.values(), INDEX, F32, I32)
        names = (*INPUTS, *OUTPUTS, "n", "a", "j")
        self.function = func.Func.empty("f", inputs, names=names)
        self.module = Module.empty()
        self.module.body.append(self.function)
        self.b = Builder(self.function.body)
        args = dict(zip(names, self.function.body.args, strict=True))
        self.buffers = {name: args[name] for name in (*INPUTS, *OUTPUTS)}
        self.n = args["n"]
        self.pool: list[Value] = [args["a"], args["j"]]
        self.counter: Value = self.n
        self.counters: list[Value] = []

    def build(self, loops: int = 1) -> Module:
        """Write the loops, return what they carried, and hand over the module."""
        returned: list[Value] = []
        schedules = [self.schedule() for _ in range(loops)]
        if self.choose((True, False)):
            schedules = schedules[:1] * loops
        for kind, attributes in schedules:
            returned += self.outer_loop(kind, attributes)
        self.b.add(func.Return, returned)
        self.function.attributes["function_type"] = function_type(
            self.function.type.inputs, tuple(v.type for v in returned)
        )
        return self.module

    # ------------------------------------------------------------------------------------- loops

    def schedule(self) -> tuple[ScalarType, dict[str, Any]]:
        """Choose a counter's type and what the loop asks for."""
        attributes: dict[str, Any] = {scf.VECTORIZE: self.width}
        attributes[scf.TAIL] = self.choose(("mask", "scalar"))
        if self.choose((False, False, True)):
            attributes[scf.UNROLL] = 2
        return self.choose((INDEX, INDEX, I32, I64)), attributes

    def outer_loop(self, kind: ScalarType, attributes: dict[str, Any]) -> list[Value]:
        """Write a loop to widen over 0 .. n."""
        stop = self.n if kind is INDEX else self.b.create(arith.IndexCast, self.n, types=[kind])
        zero, one = (arith.constant(self.b, v, kind) for v in (0, 1))
        reductions = [
            self.choose(FLOAT_REDUCTIONS + INTEGER_REDUCTIONS) for _ in range(self.some())
        ]
        inits = [self.start_of(each) for each in reductions]
        loop = scf.for_loop(self.b, zero, stop, one, tuple(inits))
        loop.attributes.update(attributes)
        saved = list(self.pool)
        with self.b.at(loop.body):
            self.counter = loop.induction
            if kind is not INDEX:
                self.counter = self.b.create(arith.IndexCast, loop.induction, types=[INDEX])
            if kind is I32:
                self.pool.append(loop.induction)
            for _ in range(self.choose((1, 2, 3, 5))):
                self.statement(2)
            self.write()
            again = [
                self.b.create(each, inside, self.summand(each))
                for each, inside in zip(reductions, loop.carried, strict=True)
            ]
            self.b.add(scf.Yield, again)
        self.pool = saved
        return list(loop.results)

    def start_of(self, reduction: Any) -> Value:
        kind = F32 if reduction in FLOAT_REDUCTIONS else I32
        return arith.constant(self.b, self.choose((0, 1, 2, -1)), kind)

    def summand(self, reduction: Any) -> Value:
        if reduction not in FLOAT_REDUCTIONS:
            return self.value(I32)
        name = "w" if reduction is arith.Mulf else "x"
        return self.load(name, [self.counter])

    def some(self) -> int:
        found: int = self.choose((0, 1, 2))
        return found

    # -------------------------------------------------------------------------------- statements

    def statement(self, depth: int) -> None:
        """Write one statement; those with blocks only while ``depth`` lasts."""
        kinds = [self.write, self.write, self.compute, self.compute, self.compute]
        if depth > 0:
            kinds += [lambda: self.branch(depth), lambda: self.inner_loop(depth)]
            kinds += [lambda: self.inner_while(depth)]
        self.choose(kinds)()

    def write(self) -> None:
        name = self.choose(tuple(OUTPUTS))
        kind = OUTPUTS[name].element
        self.b.add(memref.Store, self.value(kind), self.buffers[name], self.own_place(name))

    def own_place(self, name: str) -> list[Value]:
        """Return where only this turn writes."""
        if name == "s":
            return [self.b.create(arith.Muli, self.counter, self.constant(2, INDEX))]
        if name == "q":
            column = self.choose((*self.counters, None))
            return [
                self.counter,
                self.constant(self.choose((0, 3)), INDEX) if column is None else column,
            ]
        return [self.counter]

    def compute(self) -> None:
        kinds = (self.arithmetic, self.arithmetic, self.read, self.read, self.divide)
        self.pool.append(self.choose((*kinds, self.select, self.convert))())

    def branch(self, depth: int) -> None:
        """Write a branch with or without results, on something of this turn or of all."""
        types = [self.choose((F32, I32)) for _ in range(self.choose((0, 0, 1, 2)))]
        otherwise = Region([Block()]) if types or self.choose((True, False)) else Region()
        regions = [Region([Block()]), otherwise]
        made = self.b.add(scf.If, self.condition(), types=types, regions=regions)
        for region in regions:
            for block in region.blocks:
                self.fill(block, types, depth - 1)
        self.pool += made.results

    def inner_loop(self, depth: int) -> None:
        """Write a loop of as many turns for every lane."""
        lower, upper, step = (
            self.constant(self.choose(c), INDEX) for c in ((0, 1), (0, 1, 3, 5), (1, 2))
        )
        types = [self.choose((F32, I32)) for _ in range(self.some())]
        loop = scf.for_loop(self.b, lower, upper, step, tuple(self.value(t) for t in types))
        if self.choose((False, False, True)):
            loop.attributes[scf.UNROLL] = self.choose((0, 2, 3))
        self.counters.append(loop.induction)
        self.fill(loop.body, types, depth - 1, loop.carried)
        self.counters.pop()
        self.pool += loop.results

    def inner_while(self, depth: int) -> None:
        """Count down from 0 .. 3, a number of each lane's own or of all."""
        three = self.constant(3, I32)
        start = self.b.create(arith.Andi, self.value(I32), three)
        kinds: list[Type] = [I32, F32]
        before, after = Block(kinds), Block(kinds)
        made = self.b.add(
            scf.While,
            [start, self.value(F32)],
            types=kinds,
            regions=[Region([before]), Region([after])],
        )
        with self.b.at(before):
            zero = self.constant(0, I32)
            more = self.b.create(arith.Cmpi, before.args[0], zero, predicate=arith.CMPI["sgt"])
            self.b.add(scf.Condition, more, list(before.args))
        saved = list(self.pool)
        with self.b.at(after):
            self.pool += after.args
            for _ in range(self.choose((0, 1, 2))):
                self.statement(depth - 1)
            less = self.b.create(arith.Subi, after.args[0], self.constant(1, I32))
            self.b.add(scf.Yield, [less, self.value(F32)])
        self.pool = [*saved, *made.results]

    def fill(
        self, block: Block, types: Sequence[Type], depth: int, more: Sequence[Value] = ()
    ) -> None:
        saved = list(self.pool)
        self.pool += more
        with self.b.at(block):
            for _ in range(self.choose((0, 1, 2))):
                self.statement(depth)
            self.b.add(scf.Yield, [self.value(t) for t in types])
        self.pool = saved

    # ------------------------------------------------------------------------------- expressions

    def constant(self, value: Any, kind: ScalarType) -> Value:
        return arith.constant(self.b, value, kind)

    def value(self, kind: Type) -> Value:
        """Return a value of a type: an earlier one, a constant, or something read now."""
        known = [v for v in self.pool if v.type is kind]
        if known and self.choose((True, True, False)):
            found: Value = self.choose((known[-1], self.choose(known)))
            return found
        if self.choose((True, False)):
            return self.load("x" if kind is F32 else "k", [self.counter])
        assert isinstance(kind, ScalarType)
        return self.constant(self.choose((0, 1, 2, -3, 7)), kind)

    def condition(self) -> Value:
        if self.choose((True, False)):
            names = arith.CMPI if (kind := self.choose((F32, I32))) is I32 else arith.CMPF
            compare = arith.Cmpi if kind is I32 else arith.Cmpf
            predicate = self.choose(tuple(names.values()))
            return self.b.create(compare, self.value(kind), self.value(kind), predicate=predicate)
        # The same for all turns.
        j = self.function.body.args[-1]
        return self.b.create(arith.Cmpi, j, self.constant(0, I32), predicate=arith.CMPI["slt"])

    def arithmetic(self) -> Value:
        kind = self.choose((F32, I32))
        op = self.choose(FLOAT_OPS if kind is F32 else INTEGER_OPS)
        return self.b.create(op, self.value(kind), self.value(kind))

    def divide(self) -> Value:
        """Divide by what is not zero: made so, or checked by a branch around it."""
        op = self.choose(DIVISIONS)
        divisor = self.value(I32)
        if self.choose((True, False)):
            safe = self.b.create(arith.Ori, divisor, self.constant(1, I32))
            lhs = self.b.create(arith.Andi, self.value(I32), self.constant(0xFFFF, I32))
            return self.b.create(op, lhs, safe)
        zero = self.constant(0, I32)
        positive = self.b.create(arith.Cmpi, divisor, zero, predicate=arith.CMPI["sgt"])
        then, otherwise = Block(), Block()
        regions = [Region([then]), Region([otherwise])]
        made = self.b.add(scf.If, positive, types=[I32], regions=regions)
        with self.b.at(then):
            self.b.add(scf.Yield, [self.b.create(op, self.value(I32), divisor)])
        with self.b.at(otherwise):
            self.b.add(scf.Yield, [zero])
        return made.results[0]

    def select(self) -> Value:
        kind = self.choose((F32, I32))
        return self.b.create(arith.Select, self.condition(), self.value(kind), self.value(kind))

    def convert(self) -> Value:
        kind = self.choose(("sitofp", "uitofp", "index", "wide"))
        if kind == "sitofp":
            return self.b.create(arith.Sitofp, self.value(I32), types=[F32])
        if kind == "uitofp":
            return self.b.create(arith.Uitofp, self.value(I32), types=[F32])
        if kind == "index":
            return self.b.create(arith.IndexCast, self.counter, types=[I32])
        # Sums of 32 bits wrap around before they are widened.
        wide = self.b.create(arith.Extsi, self.value(I32), types=[I64])
        low = self.b.create(arith.Shrsi, wide, self.constant(4, I64))
        return self.b.create(arith.Trunci, low, types=[I32])

    def read(self) -> Value:
        """Read consecutive, shifted, strided, reversed, indirect or common elements."""
        name = self.choose(("x", "k", "w", "o", "p", "s", "q"))
        if name in OUTPUTS:
            return self.load(name, self.own_place(name))
        return self.load(
            name, [self.choose((self.shifted, self.far, self.indirect, self.common))()]
        )

    def shifted(self) -> Value:
        by = self.constant(self.choose((0, 1, 5)), INDEX)
        return self.b.create(arith.Addi, self.counter, by)

    def far(self) -> Value:
        """2 * i, or n - i."""
        if self.choose((True, False)):
            return self.b.create(arith.Muli, self.counter, self.constant(2, INDEX))
        return self.b.create(arith.Subi, self.n, self.counter)

    def indirect(self) -> Value:
        low = self.b.create(arith.Andi, self.value(I32), self.constant(7, I32))
        return self.b.create(arith.IndexCast, low, types=[INDEX])

    def common(self) -> Value:
        options = [self.n, *self.counters]
        return self.choose([*options, self.constant(self.choose((0, 2)), INDEX)])

    def load(self, name: str, indices: list[Value]) -> Value:
        return self.b.create(memref.Load, self.buffers[name], indices)


def arguments(rng: np.random.Generator, n: int) -> list[Any]:
    """Return arguments for ``@f`` that runs over ``n`` elements."""
    size = 2 * n + ROOM
    return [
        rng.integers(-9, 10, size).astype(np.float32),
        rng.choice(np.array([1.0, 2.0, -1.0, 0.5], np.float32), size),
        rng.integers(-20, 20, size).astype(np.int32),
        rng.integers(-9, 10, size).astype(np.float32),
        rng.integers(-20, 20, size).astype(np.int32),
        rng.integers(-9, 10, size).astype(np.float32),
        rng.integers(-9, 10, (size, ROOM)).astype(np.float32),
        np.int64(n),
        np.float32(1.5),
        np.int32(rng.integers(-2, 2)),
    ]
