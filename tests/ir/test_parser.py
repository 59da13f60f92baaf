from __future__ import annotations

import pickle
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_modules import SQUARES, squares

import kdsl.dialects.all
from kdsl.dialects import arith
from kdsl.errors import (
    ParseError,
    RedefinedValueError,
    UndefinedValueError,
    UnknownOpError,
    UnknownTypeError,
)
from kdsl.ir.attributes import Dense, FloatAttr, I32Array, IntAttr, Opaque, Symbol
from kdsl.ir.core import Module
from kdsl.ir.parser import parse
from kdsl.ir.printer import print_module
from kdsl.ir.types import DYNAMIC, F32, F64, I32, INDEX, memref, vector
from kdsl.ir.verify import verify
from kdsl.testing.strategies import modules

SLOW = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def constant(text):
    """Return the attribute and the type of ``arith.constant`` from their text."""
    value, _, kind = text.rpartition(" -> ")
    module = parse(f'%0 = "arith.constant"() {{value = {value}}} : () -> {kind}')
    op = module.body.first
    assert isinstance(op, arith.Constant)
    return op.value


def attribute(text):
    """Return any attribute from its text."""
    return parse(f'"builtin.module"() ({{}}) {{a = {text}}} : () -> ()').attributes["a"]


def test_a_printed_module_reads_back():
    assert print_module(parse(SQUARES)) == SQUARES
    verify(parse(SQUARES))


@given(modules())
@SLOW
def test_whatever_is_printed_reads_back(module):
    text = print_module(module)
    assert print_module(parse(text)) == text


@given(modules(tiles=True))
@SLOW
def test_whatever_is_printed_of_tiles_reads_back(module):
    text = print_module(module)
    assert print_module(parse(text)) == text


def test_locations_read_back():
    text = print_module(parse(SQUARES, "squares.mlir"), locations=True)

    assert print_module(parse(text), locations=True) == text
    assert 'loc("squares.mlir":4:10)' in text


def test_an_op_without_a_location_points_at_its_text():
    loop = parse(SQUARES, "squares.mlir").functions[0].body.first.next.next.next

    assert str(loop.loc) == "squares.mlir:7:10"
    assert loop.loc.text == '"scf.for"'
    assert str(pickle.loads(pickle.dumps(loop.loc))) == "squares.mlir:7:10"


def test_locations_of_call_sites_keep_their_callers():
    module = parse('"builtin.module"() ({}) : () -> () loc(callsite("a":1:2 at "b":3:4))')

    assert [str(x) for x in module.loc.chain()] == ["a:1:2", "b:3:4"]


def test_functions_without_a_module_get_one():
    module = parse('%0 = "arith.constant"() {value = 1 : i32} : () -> i32')

    assert isinstance(module, Module)
    assert module.body.first.name == "arith.constant"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("3", 3),
        ("-3 : i64", -3),
        ("1.5", 1.5),
        ('"a\\22\\C3\\A9\\n"', 'a"é\n'),
        ("array<i64: 1, -2>", (1, -2)),
        ("array<i64>", ()),
        ("array<i32: 1, 0>", I32Array((1, 0))),
        ("[1 : i64, 2 : i64]", [1, 2]),
        ("unit", None),
        ("f32", F32),
        ("memref<?x4xf32, strided<[?, 1]>>", memref((DYNAMIC, 4), F32, (DYNAMIC, 1))),
        ("@f", Symbol("f")),
        ('@"a b"', Symbol("a b")),
        ("#vector.kind<add>", Opaque("#vector.kind<add>")),
        ("7 : i32", IntAttr(7, I32)),
        ("255 : i8", IntAttr(-1, kdsl.ir.types.I8)),
    ],
)
def test_an_attribute_is_read(text, value):
    found = attribute(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3 : i64 -> i64", IntAttr(3, kdsl.ir.types.I64)),
        ("1.5 : f64 -> f64", FloatAttr(1.5, F64)),
        ("0x7F800000 : f32 -> f32", FloatAttr(float("inf"), F32)),
        ("1.0e-05 : f32 -> f32", FloatAttr(float(np.float32(1e-5)), F32)),
        ("false -> i1", False),
        ("dense<2.5> : vector<4xf32> -> vector<4xf32>", Dense(np.float32(2.5), vector(4, F32))),
        (
            "dense<[1, 0x7, -1, 3]> : vector<4xi32> -> vector<4xi32>",
            Dense(np.array([1, 7, -1, 3]), vector(4, I32)),
        ),
        (
            'dense<"0x01000000FFFFFFFF"> : vector<2xi32> -> vector<2xi32>',
            Dense(np.array([1, -1]), vector(2, I32)),
        ),
        (
            'dense<"0x05"> : vector<4xi1> -> vector<4xi1>',
            Dense(np.array([True, False, True, False]), vector(4, kdsl.ir.types.I1)),
        ),
    ],
)
def test_a_constant_keeps_its_type(text, value):
    assert constant(text) == value


def test_properties_and_the_dictionary_are_one():
    module = parse(
        '%0 = "arith.constant"() <{value = 1 : index}> {my.note} : () -> index\n'
        '%1 = "arith.addi"(%0, %0) <{overflowFlags = #arith.overflow<none>}> : (index, index) -> index'
    )

    first, second = module.body
    assert first.attributes == {"value": IntAttr(1, INDEX), "my.note": None}
    assert second.attributes == {}


def test_results_may_be_grouped_or_left_without_names():
    module = parse(
        '%v = "arith.constant"() {value = dense<1.0> : vector<4xf32>} : () -> vector<4xf32>\n'
        '%p:2 = "vector.deinterleave"(%v) : (vector<4xf32>) -> (vector<2xf32>, vector<2xf32>)\n'
        '"arith.addf"(%p#0, %p#1) : (vector<2xf32>, vector<2xf32>) -> vector<2xf32>\n'
    )

    assert module.body.last.operands == module.body.last.prev.results


def test_a_value_may_be_named_before_its_definition():
    """Whether it dominates is the verifier's question."""
    module = parse(
        '%1 = "arith.negf"(%0) : (f32) -> f32\n'
        '%0 = "arith.constant"() {value = 1.0 : f32} : () -> f32'
    )

    assert module.body.first.operands == module.body.last.results


def test_comments_and_blank_lines_are_skipped():
    assert print_module(parse("// one\n\n" + SQUARES.replace("\n", " // two\n"))) == SQUARES


FAULTS = [
    ("scf.yield", "scf.yeild", UnknownOpError, "'scf.yeild'", (13, 7)),
    ('mulf"(%4', 'mulf"(%9', UndefinedValueError, "%9 is never defined", (10, 25)),
    ("%5 = ", "%4 = ", RedefinedValueError, "%4 is defined twice", (10, 7)),
    ('"arith.mulf"', "arith.mulf", ParseError, "expected an op's name in quotes", (10, 12)),
    (": index}", ": indx}", UnknownTypeError, "'indx' is not a type", (4, 42)),
    ("memref<?xf32>, %y", "memref<?xf33>, %y", UnknownTypeError, "'memref<?xf33>'", (3, 12)),
    ("(%4, %4) : (f32, f32)", "(%4, %4) : (f32)", ParseError, "2 operand types", (10, 35)),
    ("(%4, %4) : (f32, f32)", "(%4, %4) : (f32, f64)", ParseError, "a value of type f64", (10, 29)),
    ("%5 = ", "%5, %50 = ", ParseError, "1 names, one for each result", (10, 7)),
    ("{value = 0.0 : f32}", "{value = 0 : f32}", ParseError, "a number of type f32", (6, 38)),
    ("{value = 0 : index}", "{value = 0.5 : index}", ParseError, "a number of type index", (4, 38)),
    ("{value = 0 : index}", "{value 0 : index}", ParseError, "','", (4, 36)),
    ("(%0, %n", "(%0 %n", ParseError, "',' or ')'", (7, 23)),
    (
        '%4 = "memref.load"(%x, %i) :',
        '%4 = "memref.load"(%x, %i)[^bb1] :',
        ParseError,
        "no successors",
        (9, 33),
    ),
    ('-> f32\n      "scf.yield"', 'f32\n      "scf.yield"', ParseError, "'->'", (12, 48)),
]


@pytest.mark.parametrize(
    ("old", "new", "kind", "words", "place"), FAULTS, ids=[f[1] for f in FAULTS]
)
def test_a_fault_is_named_and_pointed_at(old, new, kind, words, place):
    text = SQUARES.replace(old, new, 1)
    assert text != SQUARES

    with pytest.raises(kind) as caught:
        parse(text, "squares.mlir")

    assert words in str(caught.value)
    assert (caught.value.loc.line, caught.value.loc.column) == place
    assert "^" in caught.value.render()


@given(
    st.integers(0, len(SQUARES) - 1),
    st.integers(1, 12),
    st.sampled_from(["", "%", "(", "}", '"', "9", "é"]),
)
@settings(deadline=None, max_examples=300)
def test_damaged_text_is_read_or_refused_with_a_code(start, length, instead):
    text = SQUARES[:start] + instead + SQUARES[start + length :]
    with suppress(*(kind for _, _, kind, _, _ in FAULTS)):
        parse(text)


@pytest.mark.parametrize("text", ["9", "09", "0x09", "007"])
def test_leading_zeros_mean_nothing(text):
    assert parse_value(text) == int(text, 16 if text.startswith("0x") else 10)


def parse_value(text):
    op = f'"arith.constant"() {{value = {text} : i64}} : () -> i64'
    module = parse(f'"builtin.module"() ({{\n{op}\n}}) : () -> ()')
    return module.body.first.value.value


def test_text_that_ends_early_is_refused():
    with pytest.raises(ParseError, match="the end of the text"):
        parse(SQUARES[:300])


def test_a_value_of_a_region_is_unknown_outside():
    text = SQUARES.replace('"func.return"(%3)', '"func.return"(%6)')

    with pytest.raises(UndefinedValueError):
        parse(text)


def test_a_parsed_module_equals_the_built_one():
    assert print_module(squares()) == print_module(parse(SQUARES))
