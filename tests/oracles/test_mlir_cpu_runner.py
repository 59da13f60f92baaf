"""Kernels lowered by upstream passes only and run by upstream's JIT, against our interpreter.

mlir-cpu-runner prints what an entry without arguments returns, so each kernel is called by an entry that makes
its buffers, fills them by a formula, and returns a weighted sum of what the kernel wrote.
"""

from __future__ import annotations

import math as python_math

import numpy as np
import pytest

from kdsl.dialects import arith, func, math, memref, scf, vector
from kdsl.ir.attributes import Opaque, Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Region, Value
from kdsl.ir.interpreter import interpret
from kdsl.ir.printer import print_module
from kdsl.ir.types import DYNAMIC, F32, F64, I1, I32, INDEX, function
from kdsl.ir.types import memref as memref_type
from kdsl.ir.types import vector as lanes
from kdsl.ir.verify import verify
from kdsl.testing.oracles import mlir_cpu_run

pytestmark = pytest.mark.judge

N = 37
W = 8
ROW = memref_type((DYNAMIC,), F32)


def index(b, n):
    return arith.index_constant(b, n)


def loop(b, upper, body, inits=(), lower=0, step=1):
    """Create a loop whose body is made by ``body(builder, i, *carried)``; return its results."""
    made = scf.for_loop(b, index(b, lower), upper, index(b, step), tuple(inits))
    c = Builder(made.body)
    c.add(scf.Yield, list(body(c, *made.body.args) or ()))
    return tuple(made.results)


def kernel(module, name, build, *inputs):
    made = func.Func.empty(name, inputs)
    module.body.append(made)
    b = Builder(made.body)
    build(b, *made.body.args)
    b.add(func.Return, [])


def entry(module, name):
    """Return from ``main`` the sum of out[i] * (i + 1), after ``name(x, out, N)``."""
    main = func.Func.empty("main", (), (F32,))
    module.body.append(main)
    b = Builder(main.body)
    n = index(b, N)
    x, out = (b.create(memref.Alloc, [n], [], types=[ROW]) for _ in range(2))

    def fill(c, i):
        number = c.create(arith.Sitofp, c.create(arith.IndexCast, i, types=[I32]), types=[F32])
        centred = c.create(arith.Subf, number, arith.constant(c, 18.0, F32))
        scaled = c.create(arith.Mulf, centred, arith.constant(c, 0.125, F32))
        c.add(memref.Store, scaled, x, [i])
        c.add(memref.Store, arith.constant(c, 0.0, F32), out, [i])

    loop(b, n, fill)
    b.add(func.Call, [x, out, n], types=[], callee=Symbol(name))

    def add_up(c, i, total):
        wide = c.create(arith.Extf, c.create(memref.Load, out, [i]), types=[F64])
        weight = c.create(arith.IndexCast, c.create(arith.Addi, i, index(c, 1)), types=[I32])
        term = c.create(arith.Mulf, wide, c.create(arith.Sitofp, weight, types=[F64]))
        return (c.create(arith.Addf, total, term),)

    (total,) = loop(b, n, add_up, [arith.constant(b, 0.0, F64)])
    for buffer in (x, out):
        b.add(memref.Dealloc, buffer)
    b.add(func.Return, [b.create(arith.Truncf, total, types=[F32])])


# ----------------------------------------------------------------------------------------- kernels


def masked_exp2(b, x, out, n):
    """out = exp2(x), by 8 lanes with a masked tail."""

    def body(c, i):
        left = c.create(arith.Subi, n, i)
        mask = c.create(vector.CreateMask, left, types=[lanes(W, I1)])
        zero = arith.constant(c, 0.0, lanes(W, F32))
        found = c.create(vector.MaskedLoad, x, [i], mask, zero)
        c.add(vector.MaskedStore, out, [i], mask, c.create(math.Exp2, found))

    loop(b, n, body, step=W)


def softmax(b, x, out, n):
    """out = exp(x - max x) / sum exp(x - max x): three loops with carried values."""

    def largest(c, i, m):
        return (c.create(arith.Maximumf, m, c.create(memref.Load, x, [i])),)

    (top,) = loop(b, n, largest, [arith.constant(b, -python_math.inf, F32)])

    def exponentials(c, i, total):
        y = c.create(math.Exp, c.create(arith.Subf, c.create(memref.Load, x, [i]), top))
        c.add(memref.Store, y, out, [i])
        return (c.create(arith.Addf, total, y),)

    (total,) = loop(b, n, exponentials, [arith.constant(b, 0.0, F32)])

    def divide(c, i):
        c.add(memref.Store, c.create(arith.Divf, c.create(memref.Load, out, [i]), total), out, [i])

    loop(b, n, divide)


def collatz(b, x, out, n):
    """out[i] = how many steps i + 1 takes to reach 1: a while and a branch in a loop."""

    def body(c, i):
        start = c.create(arith.IndexCast, c.create(arith.Addi, i, index(c, 1)), types=[I32])
        before, after = Block([I32, I32]), Block([I32, I32])
        steps = c.create(
            scf.While,
            [start, arith.constant(c, 0, I32)],
            types=[I32, I32],
            regions=[Region([before]), Region([after])],
        )[1]
        d = Builder(before)
        more = d.create(
            arith.Cmpi, before.args[0], arith.constant(d, 1, I32), predicate=arith.CMPI["ne"]
        )
        d.add(scf.Condition, more, before.args)
        e = Builder(after)
        following = halve_or_triple(e, after.args[0])
        e.add(
            scf.Yield, [following, e.create(arith.Addi, after.args[1], arith.constant(e, 1, I32))]
        )
        c.add(memref.Store, c.create(arith.Sitofp, steps, types=[F32]), out, [i])

    loop(b, n, body)


def halve_or_triple(b: Builder, value: Value) -> Value:
    one, two, three = (arith.constant(b, k, I32) for k in (1, 2, 3))
    odd = b.create(arith.Cmpi, b.create(arith.Remsi, value, two), one, predicate=arith.CMPI["eq"])
    then, otherwise = Block(), Block()
    found = b.create(scf.If, odd, types=[I32], regions=[Region([then]), Region([otherwise])])
    c = Builder(then)
    c.add(scf.Yield, [c.create(arith.Addi, c.create(arith.Muli, value, three), one)])
    d = Builder(otherwise)
    d.add(scf.Yield, [d.create(arith.Shrsi, value, one)])
    assert isinstance(found, Value)
    return found


def blocks_of_lanes(b, x, out, n):
    """Each whole block of 8: reversed, plus its sum, where positive."""
    whole = b.create(arith.Muli, b.create(arith.Divui, n, index(b, W)), index(b, W))

    def body(c, i):
        found = c.create(vector.Load, x, [i], types=[lanes(W, F32)])
        back = c.create(vector.Shuffle, found, found, mask=list(range(W))[::-1])
        total = c.create(vector.Reduction, found, kind=Opaque("#vector.kind<add>"))
        spread = c.create(vector.Broadcast, total, types=[lanes(W, F32)])
        sums = c.create(arith.Addf, back, spread)
        zero = arith.constant(c, 0.0, lanes(W, F32))
        positive = c.create(arith.Cmpf, sums, zero, predicate=arith.CMPF["ogt"])
        c.add(vector.Store, c.create(arith.Select, positive, sums, zero), out, [i])

    loop(b, whole, body, step=W)


def prefix_sum(b, x, out, n):
    """out[i] = x[0] + ... + x[i], and an atomic add of the count to out[0]."""

    def body(c, i, total):
        following = c.create(arith.Addf, total, c.create(memref.Load, x, [i]))
        c.add(memref.Store, following, out, [i])
        return (following,)

    loop(b, n, body, [arith.constant(b, 0.0, F32)])

    def count(c, i):
        c.create(memref.AtomicRmw, arith.constant(c, 1.0, F32), out, [index(c, 0)], kind=0)

    loop(b, n, count)


KERNELS = [masked_exp2, softmax, collatz, blocks_of_lanes, prefix_sum]


@pytest.mark.parametrize("build", KERNELS, ids=lambda k: k.__name__)
def test_a_kernel_gives_the_same_under_upstream(build):
    module = Module.empty()
    kernel(module, build.__name__, build, ROW, ROW, INDEX)
    entry(module, build.__name__)
    verify(module)

    (ours,) = interpret(module, "main")
    theirs = float(mlir_cpu_run(print_module(module), "main", "f32"))

    assert ours == pytest.approx(theirs, rel=1e-5)
    assert abs(ours) > 1


def test_the_interpreter_agrees_with_plain_numpy():
    module = Module.empty()
    kernel(module, "softmax", softmax, ROW, ROW, INDEX)
    x = np.linspace(-2, 2, N, dtype=np.float32)
    out = np.zeros(N, np.float32)

    interpret(module, "softmax", (x, out, N))

    wanted = np.exp(x - x.max())
    np.testing.assert_allclose(out, wanted / wanted.sum(), rtol=1e-5)


def test_a_function_type_is_what_main_says():
    module = Module.empty()
    kernel(module, "softmax", softmax, ROW, ROW, INDEX)
    entry(module, "softmax")

    assert module.function("main").type is function((), (F32,))
