from __future__ import annotations

import numpy as np
import pytest

from kdsl.dialects.scf import For
from kdsl.ir.interpreter import interpret
from kdsl.passes.explain import explanations
from kdsl.passes.manager import parse_pipeline, run_pipeline
from kdsl.testing.filecheck import filecheck

ARGS = "%x: memref<?xf32>, %t: memref<?xf32>, %y: memref<?xf32>, %k: memref<?xi32>, %n: index, %h: index"
HEAD = """
      %zero = "arith.constant"() {value = 0 : index} : () -> index
      %one = "arith.constant"() {value = 1 : index} : () -> index
"""


def loop(i, inside, upper="%n", schedule="kdsl.vectorize = 0 : i64"):
    return f"""
      "scf.for"(%zero, {upper}, %one) ({{
      ^bb0({i}: index):
        {inside}
        "scf.yield"() : () -> ()
      }}) {{{schedule}}} : (index, index, index) -> ()"""


def load(name, source, at):
    return f'{name} = "memref.load"({source}, {at}) : (memref<?xf32>, index) -> f32\n'


def store(value, target, at):
    return f'"memref.store"({value}, {target}, {at}) : (f32, memref<?xf32>, index) -> ()\n'


def double(name, value):
    return f'{name} = "arith.addf"({value}, {value}) : (f32, f32) -> f32\n'


PRODUCER = load("%a", "%x", "%i") + double("%b", "%a") + store("%b", "%t", "%i")
CONSUMER = load("%c", "%t", "%j") + double("%d", "%c") + store("%d", "%y", "%j")


@pytest.fixture
def fused(function, module_of):
    """Fuse the loops of a body; return the loops that are left and the reasons, meaning checked."""

    def run(body, max_ops=256):
        module = module_of(function(ARGS, HEAD + body))
        before = _answers(module)
        run_pipeline(parse_pipeline(f"fuse-elementwise{{max-ops={max_ops}}}"), module, verify=True)
        for a, b in zip(before, _answers(module), strict=True):
            np.testing.assert_array_equal(a, b)
        return [op for op in module.walk() if isinstance(op, For)], explanations(module), module

    return run


def _answers(module):
    args = [np.arange(24, dtype=np.float32), *np.ones((2, 24), np.float32)]
    interpret(module, "f", [*args, np.arange(24, dtype=np.int32), 10, 9])
    return args


def test_producer_and_consumer_become_one_loop_and_the_value_stays_in_a_register(fused):
    loops, lines, module = fused(loop("%i", PRODUCER) + loop("%j", CONSUMER))
    assert len(loops) == 1
    assert "fused with the loop before" in lines[0]
    filecheck(
        str(module),
        """
        CHECK: "scf.for"
        CHECK: %[[A:.*]] = "memref.load"(%x
        CHECK-NEXT: %[[B:.*]] = "arith.addf"(%[[A]], %[[A]])
        CHECK-NEXT: "memref.store"(%[[B]], %t
        CHECK-NEXT: %[[D:.*]] = "arith.addf"(%[[B]], %[[B]])
        CHECK-NEXT: "memref.store"(%[[D]], %y
        CHECK: {kdsl.vectorize = 0 : i64}
        """,
    )


def test_three_loops_become_one(fused):
    last = load("%e", "%y", "%l") + double("%g", "%e") + store("%g", "%x", "%l")
    loops, _, _ = fused(loop("%i", PRODUCER) + loop("%j", CONSUMER) + loop("%l", last))
    assert len(loops) == 1


def test_pure_ops_between_do_not_disturb(fused):
    between = '%m = "arith.addi"(%h, %h) : (index, index) -> index\n'
    loops, _, _ = fused(loop("%i", PRODUCER) + between + loop("%j", CONSUMER))
    assert len(loops) == 1


def test_bounds_that_are_equal_constants_are_the_same_range(fused):
    one = '%e1 = "arith.constant"() {value = 8 : index} : () -> index\n'
    other = '%e2 = "arith.constant"() {value = 8 : index} : () -> index\n'
    loops, _, _ = fused(one + loop("%i", PRODUCER, "%e1") + other + loop("%j", CONSUMER, "%e2"))
    assert len(loops) == 1


def test_carried_sums_of_both_loops_live_on(function, module_of):
    def summing(result, i, value, source):
        return f"""
      {result} = "scf.for"(%zero, %n, %one, %s) ({{
      ^bb0({i}: index, {value}: f32):
        {load(value + "e", source, i)}
        {value}s = "arith.addf"({value}, {value}e) : (f32, f32) -> f32
        "scf.yield"({value}s) : (f32) -> ()
      }}) {{kdsl.vectorize = 0 : i64}} : (index, index, index, f32) -> f32"""

    body = HEAD + '%s = "arith.constant"() {value = 0.0 : f32} : () -> f32\n'
    body += summing("%p", "%i", "%v", "%x") + summing("%q", "%j", "%w", "%y")
    module = module_of(function(ARGS, body, "%p: f32, %q: f32"))
    args = [np.arange(8, dtype=np.float32), None, np.ones(8, np.float32), None, 6, 0]
    before = interpret(module, "f", args)
    run_pipeline(parse_pipeline("fuse-elementwise"), module, verify=True)
    assert sum(isinstance(op, For) for op in module.walk()) == 1
    assert interpret(module, "f", args) == before == (15.0, 6.0)


NEIGHBOUR = '%u = "arith.addi"(%j, %one) : (index, index) -> index\n' + CONSUMER.replace(
    '"memref.load"(%t, %j)', '"memref.load"(%t, %u)'
)
SCHEDULE = "kdsl.vectorize = 0 : i64"


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (loop("%j", CONSUMER, "%h"), "the loops do not run over the same range"),
        (loop("%j", NEIGHBOUR), "a turn touches an element that another turn writes"),
        (
            loop("%j", CONSUMER, schedule="kdsl.vectorize = 8 : i64"),
            "the loops ask for different schedules",
        ),
        (
            loop("%j", load("%c", "%t", "%zero") + store("%c", "%y", "%j")),
            "a turn touches an element that another turn writes",
        ),
        (
            loop("%j", loop("%l", "", schedule="") + CONSUMER),
            "a loop holds more than plain loads and stores",
        ),
    ],
)
def test_loops_that_may_not_be_fused_say_why(fused, second, reason):
    loops, lines, _ = fused(loop("%i", PRODUCER) + second)
    assert len(loops) >= 2
    assert lines[0].endswith(f"not fused: {reason}")


def test_a_loop_that_needs_the_finished_result_is_not_fused(function, module_of):
    body = (
        HEAD
        + f"""
      %s = "arith.constant"() {{value = 0.0 : f32}} : () -> f32
      %p = "scf.for"(%zero, %n, %one, %s) ({{
      ^bb0(%i: index, %v: f32):
        {load("%e", "%x", "%i")}
        %w = "arith.addf"(%v, %e) : (f32, f32) -> f32
        "scf.yield"(%w) : (f32) -> ()
      }}) {{kdsl.vectorize = 0 : i64}} : (index, index, index, f32) -> f32"""
        + loop("%j", store("%p", "%y", "%j"))
    )
    module = module_of(function(ARGS, body))
    run_pipeline(parse_pipeline("fuse-elementwise"), module, verify=True)
    assert explanations(module)[0].endswith("the second needs the finished result of the first")


def test_a_branch_between_that_reads_the_result_keeps_the_loops_apart(function, module_of):
    body = (
        HEAD
        + f"""
      %less = "arith.cmpi"(%n, %h) {{predicate = 2 : i64}} : (index, index) -> i1
      %s = "arith.constant"() {{value = 0.0 : f32}} : () -> f32
      %p = "scf.for"(%zero, %n, %one, %s) ({{
      ^bb0(%i: index, %v: f32):
        {load("%e", "%x", "%i")}
        %w = "arith.addf"(%v, %e) : (f32, f32) -> f32
        "scf.yield"(%w) : (f32) -> ()
      }}) {{kdsl.vectorize = 0 : i64}} : (index, index, index, f32) -> f32
      %q = "scf.if"(%less) ({{
        %r = "arith.addf"(%p, %p) : (f32, f32) -> f32
        "scf.yield"(%r) : (f32) -> ()
      }}, {{
        "scf.yield"(%s) : (f32) -> ()
      }}) : (i1) -> f32"""
        + loop("%j", CONSUMER)
    )
    module = module_of(function(ARGS, body, "%q: f32"))
    run_pipeline(parse_pipeline("fuse-elementwise"), module, verify=True)
    assert sum(isinstance(op, For) for op in module.walk()) == 2


def test_the_size_of_a_fused_body_is_bounded(fused):
    loops, lines, _ = fused(loop("%i", PRODUCER) + loop("%j", CONSUMER), max_ops=7)
    assert len(loops) == 2
    assert lines[0].endswith("the body would hold more than 7 ops")
    assert len(fused(loop("%i", PRODUCER) + loop("%j", CONSUMER), max_ops=8)[0]) == 1


def test_a_store_that_may_hit_the_same_buffer_ends_what_is_known(fused):
    first = PRODUCER + store("%a", "%y", "%i")
    loops, _, module = fused(loop("%i", first) + loop("%j", CONSUMER))
    assert len(loops) == 1
    # %y may be %t: what was stored to %t before is not known any more.
    filecheck(str(module), 'CHECK: "memref.load"(%t')


def test_a_store_between_keeps_the_loops_apart(fused):
    between = load("%e", "%x", "%zero") + store("%e", "%t", "%one")
    loops, _, _ = fused(loop("%i", PRODUCER) + between + loop("%j", CONSUMER))
    assert len(loops) == 2


def test_plain_loops_are_left_alone(fused):
    body = loop("%i", PRODUCER, schedule="") + loop("%j", CONSUMER, schedule="")
    assert len(fused(body)[0]) == 2
