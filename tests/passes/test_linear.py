"""The work of the whole pipeline grows with the module, not with its square: calls are counted, not time."""

from __future__ import annotations

import sys

import pytest

from kdsl.bench.compiling import straight_line
from kdsl.ir.parser import parse
from kdsl.passes.manager import run_pipeline
from kdsl.passes.pipelines import OPTIMIZE

GROWTH = 4
SLACK = 1.2

LOOP = """  "scf.for"(%zero, %n, %one) ({
  ^bb1(%i: index):
    %v = "memref.load"(%x, %i) : (memref<?xf32>, index) -> f32
    %w = "arith.mulf"(%v, %a) : (f32, f32) -> f32
    %u = "math.exp2"(%w) : (f32) -> f32
    "memref.store"(%u, %y, %i) : (f32, memref<?xf32>, index) -> ()
    "scf.yield"() : () -> ()
  }) {SCHEDULE} : (index, index, index) -> ()
"""
BOUNDS = """  %zero = "arith.constant"() {value = 0 : index} : () -> index
  %one = "arith.constant"() {value = 1 : index} : () -> index
"""
TYPES = "memref<?xf32>, memref<?xf32>, index, f32"
OPEN = '"func.func"() ({\n^bb0(%x: memref<?xf32>, %y: memref<?xf32>, %n: index, %a: f32):\n'
CLOSE = '  "func.return"() : () -> ()\n}) {function_type = (TYPES) -> (), sym_name = "NAME"ATTRIBUTES} : () -> ()\n'
NEIGHBOUR = '    %p = "arith.addi"(%i, %one) : (index, index) -> index\n'


def function(name, body, attributes=""):
    close = CLOSE.replace("TYPES", TYPES).replace("NAME", name).replace("ATTRIBUTES", attributes)
    return OPEN + BOUNDS + body + close


def module(text):
    return f'"builtin.module"() ({{\n{text}}}) : () -> ()\n'


def loops_that_fuse(ops):
    return module(function("f", LOOP.replace("SCHEDULE", "kdsl.vectorize = 8 : i64") * (ops // 7)))


def loops_that_do_not_fuse(ops):
    apart = LOOP.replace('"memref.load"(%x, %i)', '"memref.load"(%y, %p)')
    apart = apart.replace("    %v =", NEIGHBOUR + "    %v =")
    return module(function("f", apart.replace("SCHEDULE", "kdsl.vectorize = 8 : i64") * (ops // 8)))


def branches(ops):
    one = """  %c = "arith.cmpf"(%v, %a) {predicate = 2 : i64} : (f32, f32) -> i1
  %r = "scf.if"(%c) ({
    %s = "arith.addf"(%v, %v) : (f32, f32) -> f32
    "scf.yield"(%s) : (f32) -> ()
  }, {
    "scf.yield"(%v) : (f32) -> ()
  }) : (i1) -> f32
"""
    text = ""
    for k in range(ops // 5):
        before = f"%r{k - 1}" if k else "%a"
        text += one.replace("%v", before).replace("%c", f"%c{k}").replace("%r =", f"%r{k} =")
    last = f'  "memref.store"(%r{ops // 5 - 1}, %y, %zero) : (f32, memref<?xf32>, index) -> ()\n'
    return module(function("f", text + last))


def launches(ops):
    count = ops // 10
    body = LOOP.replace("SCHEDULE", "kdsl.parallel")
    kernels = "".join(function(f"k{i}", body, ", kdsl.kernel") for i in range(count))
    launch = '  "kdsl.launch"(%one, %one, %one, %x, %y, %n, %a) {kernel = @NAME} : (index, index, index, TYPES) -> ()\n'
    calls = "".join(launch.replace("NAME", f"k{i}").replace("TYPES", TYPES) for i in range(count))
    return module(kernels + function("main", calls, ", kdsl.entry"))


def calls(text):
    """Count the Python and C calls that the pipeline makes on a module."""
    parsed = parse(text)
    size = sum(1 for _ in parsed.walk())
    count = 0

    def see(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        run_pipeline(OPTIMIZE, parsed)
    finally:
        sys.setprofile(None)
    return count, size


@pytest.mark.parametrize(
    "shape", [straight_line, loops_that_fuse, loops_that_do_not_fuse, branches, launches]
)
def test_four_times_the_ops_are_four_times_the_work(shape):
    small, small_ops = calls(shape(600))
    large, large_ops = calls(shape(600 * GROWTH))
    assert large / small < SLACK * large_ops / small_ops
