from __future__ import annotations

import numpy as np

from kdsl.dialects import arith, func
from kdsl.ir.attributes import Dense
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module
from kdsl.ir.types import F64, vector
from kdsl.passes.cse import CommonSubexpressionElimination
from kdsl.target.target import GENERIC
from kdsl.testing.filecheck import filecheck


def test_an_equal_op_is_computed_once(after):
    body = """
      %a = "arith.mulf"(%x, %y) : (f32, f32) -> f32
      %b = "arith.mulf"(%x, %y) : (f32, f32) -> f32
      %r = "arith.addf"(%a, %b) : (f32, f32) -> f32"""
    filecheck(
        after("cse", "%x: f32, %y: f32", body, "%r: f32"),
        """
        CHECK: %[[A:.*]] = "arith.mulf"(%x, %y)
        CHECK-NEXT: "arith.addf"(%[[A]], %[[A]])
        """,
    )


def test_the_order_of_commuting_operands_does_not_matter(after):
    body = """
      %a = "arith.mulf"(%x, %y) : (f32, f32) -> f32
      %b = "arith.mulf"(%y, %x) : (f32, f32) -> f32
      %r = "arith.addf"(%a, %b) : (f32, f32) -> f32"""
    assert after("cse", "%x: f32, %y: f32", body, "%r: f32").count("arith.mulf") == 1


def test_the_order_of_other_operands_does(after):
    body = """
      %a = "arith.subf"(%x, %y) : (f32, f32) -> f32
      %b = "arith.subf"(%y, %x) : (f32, f32) -> f32
      %r = "arith.addf"(%a, %b) : (f32, f32) -> f32"""
    assert after("cse", "%x: f32, %y: f32", body, "%r: f32").count("arith.subf") == 2


def test_attributes_are_part_of_an_expression(after):
    body = """
      %a = "arith.cmpi"(%x, %y) {predicate = 2 : i64} : (i32, i32) -> i1
      %b = "arith.cmpi"(%x, %y) {predicate = 3 : i64} : (i32, i32) -> i1
      %r = "arith.andi"(%a, %b) : (i1, i1) -> i1"""
    assert after("cse", "%x: i32, %y: i32", body, "%r: i1").count("arith.cmpi") == 2


def test_result_types_are_part_of_an_expression(after):
    body = """
      %a = "arith.sitofp"(%x) : (i32) -> f32
      %b = "arith.sitofp"(%x) : (i32) -> f64"""
    assert after("cse", "%x: i32", body, "%a: f32, %b: f64").count("arith.sitofp") == 2


def test_zero_and_minus_zero_are_two_constants(after):
    body = """
      %a = "arith.constant"() {value = 0.0 : f32} : () -> f32
      %b = "arith.constant"() {value = -0.0 : f32} : () -> f32"""
    assert after("cse", "", body, "%a: f32, %b: f32").count("arith.constant") == 2


def test_constants_that_print_alike_are_told_apart():
    kind = vector(2000, F64)
    lanes = np.linspace(0, 1, 2000)
    other = lanes.copy()
    other[1000] += 1e-12
    function = func.Func.empty("f", (), (kind, kind))
    b = Builder(function.body)
    made = [b.create(arith.Constant, types=[kind], value=Dense(v, kind)) for v in (lanes, other)]
    b.add(func.Return, made)
    module = Module.empty()
    module.body.append(function)
    assert not CommonSubexpressionElimination().run(module, GENERIC)


NESTED = """
  {before}
  "scf.if"(%c) ({{
    %a = "arith.mulf"(%x, %x) : (f32, f32) -> f32
    "memref.store"(%a, %m) : (f32, memref<f32>) -> ()
    "scf.yield"() : () -> ()
  }}, {{
    %b = "arith.mulf"(%x, %x) : (f32, f32) -> f32
    "memref.store"(%b, %m) : (f32, memref<f32>) -> ()
    "scf.yield"() : () -> ()
  }}) : (i1) -> ()"""


def test_a_block_reuses_what_its_parents_have(after):
    before = '%z = "arith.mulf"(%x, %x) : (f32, f32) -> f32'
    text = after("cse", "%x: f32, %c: i1, %m: memref<f32>", NESTED.format(before=before))
    assert text.count("arith.mulf") == 1


def test_a_block_does_not_reuse_what_its_sibling_has(after):
    text = after("cse", "%x: f32, %c: i1, %m: memref<f32>", NESTED.format(before=""))
    assert text.count("arith.mulf") == 2


def test_loads_are_not_merged(after):
    body = """
      %a = "memref.load"(%m) : (memref<f32>) -> f32
      "memref.store"(%x, %m) : (f32, memref<f32>) -> ()
      %b = "memref.load"(%m) : (memref<f32>) -> f32"""
    text = after("cse", "%x: f32, %m: memref<f32>", body, "%a: f32, %b: f32")
    assert text.count("memref.load") == 2
