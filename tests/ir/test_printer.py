from __future__ import annotations

import math

import numpy as np
import pytest
from sample_modules import SQUARES, finish, function_module, squares

from kdsl.dialects import arith, scf
from kdsl.ir.attributes import Dense, FloatAttr, I32Array, IntAttr, Opaque, Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Region
from kdsl.ir.location import Location
from kdsl.ir.printer import attribute_text, print_module, print_op
from kdsl.ir.types import BF16, F8E4M3, F16, F32, F64, I1, I8, I32, INDEX, function, tensor, vector

ATTRIBUTES = [
    (True, "true"),
    (3, "3 : i64"),
    (-3, "-3 : i64"),
    (1.5, "1.5 : f64"),
    (1e-05, "1.0e-05 : f64"),
    (1e300, "1.0e+300 : f64"),
    ("plain", '"plain"'),
    ('say "é"\n', r'"say \"\C3\A9\"\0A"'),
    ((1, 2), "array<i64: 1, 2>"),
    ((), "array<i64>"),
    (I32Array((1, 0)), "array<i32: 1, 0>"),
    ([1, 2], "[1 : i64, 2 : i64]"),
    (None, "unit"),
    (F32, "f32"),
    (function((F32,), (F32, I32)), "(f32) -> (f32, i32)"),
    (IntAttr(7, INDEX), "7 : index"),
    (FloatAttr(float(np.float32(0.1)), F32), "0.1 : f32"),
    (FloatAttr(-0.0, F32), "-0.0 : f32"),
    (FloatAttr(math.inf, F32), "0x7F800000 : f32"),
    (FloatAttr(math.nan, BF16), "0x7FC0 : bf16"),
    (FloatAttr(-math.inf, F16), "0xFC00 : f16"),
    (FloatAttr(math.nan, F8E4M3), "0x7F : f8E4M3FN"),
    (Symbol("f"), "@f"),
    (Symbol("a b"), '@"a b"'),
    (Opaque("#arith.fastmath<contract>"), "#arith.fastmath<contract>"),
    (Dense(np.float32(1.5), vector(8, F32)), "dense<1.5> : vector<8xf32>"),
    (Dense(np.array([2, 2, 2]), vector(3, I32)), "dense<2> : vector<3xi32>"),
    (Dense(np.array([0.0, -0.0]), vector(2, F32)), "dense<[0.0, -0.0]> : vector<2xf32>"),
    (Dense(np.array([True, False]), vector(2, I1)), "dense<[true, false]> : vector<2xi1>"),
    (
        Dense(np.array([[1, 2], [3, -4]]), tensor((2, 2), I8)),
        "dense<[[1, 2], [3, -4]]> : tensor<2x2xi8>",
    ),
    (
        Dense(np.array([math.nan, 1]), vector(2, F64)),
        "dense<[0x7FF8000000000000, 1.0]> : vector<2xf64>",
    ),
]


@pytest.mark.parametrize(("value", "text"), ATTRIBUTES, ids=[text for _, text in ATTRIBUTES])
def test_an_attribute_is_spelled_as_mlir_spells_it(value, text):
    assert attribute_text(value) == text


def test_what_is_no_attribute_is_refused():
    with pytest.raises(TypeError, match="no attribute"):
        attribute_text(object())


def test_a_module_prints_in_generic_syntax():
    assert print_module(squares()) == SQUARES


def test_printing_twice_gives_the_same_text():
    module = squares()

    assert print_module(module) == print_module(module) == print_module(module.clone())


def test_hints_are_made_unique_and_cleaned():
    module, b = function_module("f", F32, F32, F32, names=("x", "x", "x_1"))
    y = b.create(arith.Addf, *b.block.args[:2])
    y.name = "2 bad-ç"
    finish(module, b, y)

    text = print_module(module)

    assert "^bb0(%x: f32, %x_1: f32, %x_1_1: f32):" in text
    assert '%_2_bad__ = "arith.addf"(%x, %x_1)' in text


def test_names_start_anew_in_each_function():
    module, b = function_module("f", F32)
    finish(module, b, b.create(arith.Negf, b.block.args[0]))
    other, c = function_module("g", F32)
    finish(other, c, c.create(arith.Negf, c.block.args[0]))
    module.body.append(other.body.first.detach())

    assert print_module(module).count('%1 = "arith.negf"(%0)') == 2


def test_a_block_without_ops_keeps_its_label():
    module, b = function_module("f", I1)
    b.add(scf.If, b.block.args[0], types=[], regions=[Region([Block()]), Region()])
    finish(module, b)

    assert '"scf.if"(%0) ({\n    ^bb1:\n    }, {\n    })' in print_module(module)


def test_locations_are_printed_with_their_callers():
    module, b = function_module("f", F32)
    outer = Location('a "b".py', (7, 3, 7, 9))
    b.loc = Location("k.py", (12, 8, 12, 12), caller=outer)
    negated = b.create(arith.Negf, b.block.args[0])

    text = print_op(negated.op, locations=True)

    assert text.endswith(r'loc(callsite("k.py":12:8 at "a \"b\".py":7:3))')
    assert print_op(module, locations=True).endswith("() -> () loc(unknown)")


def test_a_value_from_outside_gets_a_name():
    _, b = function_module("f", F32, names=("x",))
    negated = b.create(arith.Negf, b.block.args[0])

    assert print_op(negated.op) == '%0 = "arith.negf"(%x) : (f32) -> f32'


def test_the_work_grows_with_the_number_of_ops():
    def lines(count):
        module, b = function_module("f", F32)
        value = b.block.args[0]
        for _ in range(count):
            value = Builder(b.block).create(arith.Negf, value)
        return print_module(finish(module, b, value)).count("\n")

    assert lines(200) - lines(100) == 100
