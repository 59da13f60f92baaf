"""Late ops run one turn behind; the answer stays."""

from __future__ import annotations

import numpy as np
import pytest

from kdsl.dialects.arith import Mulf
from kdsl.dialects.kdsl import Dot, LoadTile
from kdsl.dialects.scf import For, If
from kdsl.ir.interpreter import interpret
from kdsl.ir.parser import parse
from kdsl.library.attention import attention
from kdsl.passes.manager import parse_pipeline, run_pipeline
from kdsl.passes.software_pipeline import STAGE

BEFORE = "propagate-launch-constants,order-blocks,canonicalize,cse"
AFTER = "software-pipeline,canonicalize,cse,peel-masks,canonicalize,cse,dce"
SMALL = {"T": "f32", "D": 16, "BM": 8, "BN": 8}


def staged(early_scaling, **values):
    """Return attention with its second product, and what that alone reads, in stage 1."""
    module = parse(attention.ir("optimize", **{**SMALL, **values}))
    run_pipeline(parse_pipeline(BEFORE), module, verify=True)
    for op in list(module.walk()):
        loop = op.parent_op
        if isinstance(op, Dot) and isinstance(loop, For) and op.y in loop.yields.operands:
            late = [op, *(v.op for v in op.operands if isinstance(v.op, LoadTile))]
            late += [v.op for v in op.operands if early_scaling and isinstance(v.op, Mulf)]
            for each in late:
                each.attributes[STAGE] = 1
    return module


def answer(module, rows, keys):
    rng = np.random.default_rng(3)
    q = rng.standard_normal((1, 2, rows, 16)).astype(np.float32)
    k, v = (rng.standard_normal((1, 1, keys, 16)).astype(np.float32) for _ in range(2))
    out, lse = np.zeros_like(q), np.zeros((1, 2, rows), np.float32)
    given = {"q": q, "k": k, "v": v, "out": out, "lse": lse, "scale": np.float32(0.25)}
    entry = module.function("attention")
    interpret(module, "attention", [given[a.name] for a in entry.body.args])
    return out, lse


@pytest.mark.parametrize("early_scaling", [False, True])
@pytest.mark.parametrize("values", [{"CAUSAL": True}, {"CAUSAL": False}, {"WINDOW": 20}])
def test_answers_stay(early_scaling, values):
    before = parse(attention.ir("optimize", **{**SMALL, **values}))
    after = staged(early_scaling, **values)
    run_pipeline(parse_pipeline(AFTER), after, verify=True)
    for rows, keys in ((1, 1), (13, 13), (40, 40), (17, 50), (9, 0)):
        for wanted, got in zip(answer(before, rows, keys), answer(after, rows, keys), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def pipelined(early_scaling=False, **values):
    module = staged(early_scaling, **values)
    run_pipeline(parse_pipeline("software-pipeline,canonicalize,cse,dce"), module, verify=True)
    return module


def body_of(module):
    loop = next(op for op in module.walk() if isinstance(op, For))
    return [op.name.partition(".")[2] for op in loop.body]


def test_both_products_stand_at_the_head_of_a_turn():
    names = body_of(pipelined())
    first, second = (i for i, name in enumerate(names) if name == "dot")
    between = set(names[first + 1 : second])
    assert between <= {"subi", "muli", "load_tile"}
    assert "exp2" not in names[:second]


def test_what_only_the_late_stage_reads_comes_last():
    assert body_of(pipelined(T="bf16"))[-3:] == ["mulf", "truncf", "yield"]


def test_late_scaling_moves_with_the_second_product():
    names = body_of(pipelined(early_scaling=True, T="bf16"))
    first, second = (i for i, name in enumerate(names) if name == "dot")
    assert "mulf" in names[first:second]


def test_a_loop_that_may_not_run_is_guarded():
    assert any(isinstance(op, If) for op in pipelined().walk())


def test_the_first_turn_scales_nothing_and_takes_no_maximum_with_nothing():
    module = pipelined(CAUSAL=False)
    branch = next(op for op in module.walk() if isinstance(op, If))
    first = []
    for op in branch.regions[0].block:
        if isinstance(op, For):
            break
        first.append(op.name)
    assert "arith.maximumf" not in first
    assert first.count("arith.mulf") == 2, "scores and their maximum by the scale, no accumulator"


def test_loads_read_the_turn_that_they_belong_to(after):
    body = """
      %z = "arith.constant"() {value = 0 : index} : () -> index
      %o = "arith.constant"() {value = 1 : index} : () -> index
      %t = "scf.for"(%z, %n, %o, %x) ({
      ^bb0(%j: index, %acc: f32):
        %a = "memref.load"(%m, %j) : (memref<?xf32>, index) -> f32
        %b = "memref.load"(%k, %j) {kdsl.stage = 1 : i64} : (memref<?xf32>, index) -> f32
        %c = "arith.mulf"(%a, %b) : (f32, f32) -> f32
        %d = "arith.addf"(%acc, %c) : (f32, f32) -> f32
        "scf.yield"(%d) : (f32) -> ()
      }) : (index, index, index, f32) -> f32"""
    text = after(
        "software-pipeline", "%n: index, %x: f32, %m: memref<?xf32>, %k: memref<?xf32>", body,
        "%t: f32",
    )  # fmt: skip
    module = parse(text)
    rng = np.random.default_rng(0)
    for count in (0, 1, 2, 7):
        m, k = (rng.standard_normal(8).astype(np.float32) for _ in range(2))
        wanted = 1.5 + np.dot(m[:count].astype(np.float64), k[:count])
        (got,) = interpret(module, "f", (np.int64(count), np.float32(1.5), m, k))
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_loops_with_other_steps_say_so(after):
    body = """
      %z = "arith.constant"() {value = 0 : index} : () -> index
      %o = "arith.constant"() {value = 2 : index} : () -> index
      "scf.for"(%z, %n, %o) ({
      ^bb0(%j: index):
        %a = "memref.load"(%m, %j) {kdsl.stage = 1 : i64} : (memref<?xf32>, index) -> f32
        "scf.yield"() : () -> ()
      }) : (index, index, index) -> ()"""
    text = after("software-pipeline", "%n: index, %m: memref<?xf32>", body)
    assert "not pipelined: its step is not 1" in text
