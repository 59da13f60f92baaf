"""Masked loops become masked and clean ones; the answer stays."""

import numpy as np
import pytest

import kdsl as kd
from kdsl import Const, Tensor, f32
from kdsl.dialects.arith import Select
from kdsl.dialects.scf import UNORDERED, For
from kdsl.errors import TypeMismatchError
from kdsl.ir.interpreter import interpret
from kdsl.ir.parser import parse
from kdsl.language import loops
from kdsl.library.attention import attention
from kdsl.passes.manager import parse_pipeline, run_pipeline

PASSES = "order-blocks,canonicalize,cse,peel-masks,canonicalize,cse,dce"
N = kd.dims("N")
SMALL = {"T": "f32", "D": 16, "BM": 8, "BN": 8}


@kd.kernel(grid=(1,))
def ordered(
    x: Tensor[f32, N], y: Tensor[f32, N], *, ORDER: Const[bool], WRONG: Const[bool]
) -> None:
    for i in kd.range(x.shape[0], order="some" if WRONG else ("any" if ORDER else "counted")):
        y[i] = x[i]


def traced(**values):
    return parse(attention.ir("optimize", **{**SMALL, **values}))


def peeled(passes=PASSES, **values):
    module = traced(**values)
    run_pipeline(parse_pipeline(passes), module, verify=True)
    return module


def answer(module, rows, keys, size=16):
    rng = np.random.default_rng(3)
    q = rng.standard_normal((1, 2, rows, size)).astype(np.float32)
    k, v = (rng.standard_normal((1, 1, keys, size)).astype(np.float32) for _ in range(2))
    out, lse = np.zeros_like(q), np.zeros((1, 2, rows), np.float32)
    given = {"q": q, "k": k, "v": v, "out": out, "lse": lse, "scale": np.float32(0.25)}
    entry = module.function("attention")
    interpret(module, "attention", [given[a.name] for a in entry.body.args])
    return out, lse


def loops_of(module):
    return [op for op in module.walk() if isinstance(op, For)]


def masks_in(loop):
    return [op for op in loop.body if isinstance(op, Select) and op.y.type.rank == 2]


def lines(module):
    return [line for f in module.functions for line in f.attributes.get("kdsl.explain", [])]


@pytest.mark.parametrize(
    "values",
    [
        {"CAUSAL": True},
        {"CAUSAL": False},
        {"CAUSAL": True, "WINDOW": 20},
        {"CAUSAL": False, "WINDOW": 11},
        {"CAUSAL": True, "BM": 16},
        {"CAUSAL": True, "BN": 16},
    ],
)
def test_answers_stay(values):
    before, after = traced(**values), peeled(**values)
    for rows, keys in ((1, 1), (13, 13), (40, 40), (17, 50), (32, 32), (9, 0)):
        for wanted, got in zip(answer(before, rows, keys), answer(after, rows, keys), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_causal_loop_begins_at_the_diagonal_and_ends_clean():
    module = peeled(CAUSAL=True)
    masked, clean = loops_of(module)
    assert masks_in(masked)
    assert not masks_in(clean)
    assert any("runs backwards, masked blocks first" in line for line in lines(module))
    assert any("cut into masked, clean turns" in line for line in lines(module))


def test_a_window_masks_both_ends():
    found = [bool(masks_in(loop)) for loop in loops_of(peeled(CAUSAL=True, WINDOW=20))]
    assert found == [True, False, True]


def test_the_clean_part_does_not_ask_for_rows_without_keys():
    _, clean = loops_of(peeled(CAUSAL=True))
    assert not [op for op in clean.body if op.name in ("arith.select", "arith.cmpf")]


def test_masks_that_stay_compare_32_bit_lane_numbers_with_one_limit_for_each_row():
    masked, _ = loops_of(peeled(CAUSAL=True))
    (compare,) = [op for op in masked.body if op.name == "arith.cmpi"]
    assert str(compare.lhs.type) == "tensor<8x8xi32>"
    assert not [op for op in masked.body if op.name == "arith.andi"]


def test_a_loop_whose_order_matters_is_cut_but_not_turned():
    text = str(traced(CAUSAL=True)).replace(", kdsl.unordered", "")
    module = parse(text)
    run_pipeline(parse_pipeline(PASSES), module, verify=True)
    found = [bool(masks_in(loop)) for loop in loops_of(module)]
    assert found == [False, True]
    for wanted, got in zip(answer(traced(), 30, 30), answer(module, 30, 30), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_mask_that_is_the_same_in_every_turn_is_left_alone(after):
    body = """
      %z = "arith.constant"() {value = 0 : index} : () -> index
      %o = "arith.constant"() {value = 1 : index} : () -> index
      %zero = "arith.constant"() {value = dense<0.0> : tensor<4x4xf32>} : () -> tensor<4x4xf32>
      %i = "kdsl.iota"() : () -> tensor<4xindex>
      %s = "kdsl.broadcast"(%n) {dims = array<i64>} : (index) -> tensor<4x4xindex>
      %c = "kdsl.broadcast"(%i) {dims = array<i64: 1>} : (tensor<4xindex>) -> tensor<4x4xindex>
      %r = "scf.for"(%z, %n, %o, %x) ({
      ^bb0(%j: index, %acc: tensor<4x4xf32>):
        %k = "arith.cmpi"(%c, %s) {predicate = 2 : i64} : (tensor<4x4xindex>, tensor<4x4xindex>) -> tensor<4x4xi1>
        %m = "arith.select"(%k, %acc, %zero) : (tensor<4x4xi1>, tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
        "scf.yield"(%m) : (tensor<4x4xf32>) -> ()
      }) : (index, index, index, tensor<4x4xf32>) -> tensor<4x4xf32>"""
    args = "%n: index, %x: tensor<4x4xf32>"
    text = after("peel-masks", args, body, "%r: tensor<4x4xf32>")
    assert text.count("scf.for") == 1
    assert "masks are not peeled: one is the same in every turn" in text


def test_the_order_of_a_range_is_one_of_two():
    with pytest.raises(TypeMismatchError):
        attention_with_order("some")


def attention_with_order(order):
    return ordered.ir("trace", ORDER=order == "any", WRONG=order == "some")


def test_any_order_is_noted_on_the_loop():
    assert UNORDERED in attention_with_order("any")
    assert UNORDERED not in attention_with_order("counted")
    assert loops.ORDERS == ("counted", "any")
