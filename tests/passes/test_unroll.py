from __future__ import annotations

import numpy as np
import pytest

from kdsl.dialects.scf import For
from kdsl.ir.interpreter import interpret
from kdsl.passes.explain import explanations
from kdsl.passes.manager import parse_pipeline, run_pipeline
from kdsl.testing.filecheck import filecheck

ARGS = "%m: memref<?xf32>, %n: index, %x: f32"


def loop(lower, upper, step, attributes, kind="index"):
    def bound(name, value):
        if isinstance(value, str):
            return f'%{name} = "arith.addi"({value}, %zero) : ({kind}, {kind}) -> {kind}'
        return f'%{name} = "arith.constant"() {{value = {value} : {kind}}} : () -> {kind}'

    cast = '%p = "arith.addi"(%i, %zero) : (index, index) -> index'
    if kind != "index":
        cast = f'%p = "arith.index_cast"(%i) : ({kind}) -> index'
    return f"""
      %zero = "arith.constant"() {{value = 0 : {kind}}} : () -> {kind}
      {bound("l", lower)}
      {bound("u", upper)}
      {bound("s", step)}
      %y = "scf.for"(%l, %u, %s, %x) ({{
      ^bb0(%i: {kind}, %v: f32):
        {cast}
        %e = "memref.load"(%m, %p) : (memref<?xf32>, index) -> f32
        %h = "arith.addf"(%v, %v) : (f32, f32) -> f32
        %w = "arith.addf"(%h, %e) : (f32, f32) -> f32
        "scf.yield"(%w) : (f32) -> ()
      }}) {{{attributes}}} : ({kind}, {kind}, {kind}, f32) -> f32"""


def test_a_loop_is_unrolled_fully(after):
    text = after("unroll,canonicalize", ARGS, loop(2, 5, 1, "kdsl.unroll = 0 : i64"), "%y: f32")
    assert "scf.for" not in text
    assert text.count("memref.load") == 3
    for value in (2, 3, 4):
        assert f"value = {value} : index" in text


def test_a_factor_that_divides_the_turns_leaves_no_rest(after):
    text = after("unroll,canonicalize", ARGS, loop(0, 8, 1, "kdsl.unroll = 4 : i64"), "%y: f32")
    assert text.count("scf.for") == 1
    assert text.count("memref.load") == 4


def test_turns_that_are_unknown_leave_a_rest(after):
    text = after("unroll", ARGS, loop(0, "%n", 1, "kdsl.unroll = 4 : i64"), "%y: f32")
    filecheck(
        text,
        """
        CHECK: %[[WIDE:.*]] = "arith.muli"(%s
        CHECK: %[[WHOLE:.*]] = "arith.addi"(%l
        CHECK: %[[SUM:.*]] = "scf.for"(%l, %[[WHOLE]], %[[WIDE]], %x)
        CHECK-COUNT-4: "memref.load"
        CHECK: "scf.for"(%[[WHOLE]], %u, %s, %[[SUM]])
        CHECK: "memref.load"
        CHECK-NOT: "memref.load"
        """,
    )


@pytest.mark.parametrize("factor", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("kind", ["index", "i32", "i8"])
@pytest.mark.parametrize(
    "bounds", [(0, 0, 1), (0, 1, 1), (3, 10, 2), (0, 14, 2), (5, 2, 1), (0, 7, 3), (0, 120, 50)]
)
def test_unrolled_loops_give_the_same(function, module_of, bounds, kind, factor):
    module = module_of(
        function(ARGS, loop(*bounds, f"kdsl.unroll = {factor} : i64", kind), "%y: f32")
    )
    data = np.arange(128, dtype=np.float32) % 5
    args = (data, 7, np.float32(1))
    before = interpret(module, "f", args)
    run_pipeline(parse_pipeline("unroll"), module, verify=True)
    assert interpret(module, "f", args) == before


@pytest.mark.parametrize("n", range(12))
@pytest.mark.parametrize("step", [1, 2, 3])
def test_unrolled_loops_of_unknown_length_give_the_same(function, module_of, n, step):
    body = loop(1, "%n", step, "kdsl.unroll = 3 : i64")
    module = module_of(function(ARGS, body, "%y: f32"))
    data = np.arange(16, dtype=np.float32) % 5
    before = interpret(module, "f", (data, n, np.float32(1)))
    run_pipeline(parse_pipeline("unroll"), module, verify=True)
    assert interpret(module, "f", (data, n, np.float32(1))) == before


def test_short_loops_are_unrolled_unasked_up_to_a_size(after):
    assert "scf.for" not in after("unroll{max-ops=20}", ARGS, loop(0, 4, 1, ""), "%y: f32")
    assert "scf.for" in after("unroll{max-ops=12}", ARGS, loop(0, 4, 1, ""), "%y: f32")
    assert "scf.for" in after("unroll", ARGS, loop(0, 4, 1, ""), "%y: f32")


def test_a_loop_of_unknown_length_cannot_be_unrolled_fully_and_says_so(function, module_of):
    body = loop(0, "%n", 1, "kdsl.unroll = 0 : i64")
    module = module_of(function(ARGS, body, "%y: f32"))
    run_pipeline(parse_pipeline("unroll"), module, verify=True)
    assert sum(isinstance(op, For) for op in module.walk()) == 1
    assert explanations(module)[0].endswith("not unrolled: its trip count is not known")


def test_a_wide_step_that_would_not_fit_the_counter_is_not_made(function, module_of):
    body = loop(-100, 100, 1, "kdsl.unroll = 128 : i64", "i8").replace(
        '"arith.index_cast"(%i) : (i8) -> index', '"arith.index_castui"(%i) : (i8) -> index'
    )
    module = module_of(function(ARGS, body, "%y: f32"))
    run_pipeline(parse_pipeline("unroll"), module, verify=True)
    assert "may not fit i8" in explanations(module)[0]
