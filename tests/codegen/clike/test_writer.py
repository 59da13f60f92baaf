"""The writer of functions in languages like C: assignments at once, packed vectors, scopes."""

from __future__ import annotations

import pytest

from kdsl.codegen.clike.spelling import Words, identifier
from kdsl.codegen.clike.writer import Needs, Writer, widths_of
from kdsl.ir.core import Block, Module
from kdsl.ir.types import BF16, F16, F32, F64, I1, I8, I16, I32, I64, vector
from kdsl.target.features import Features
from kdsl_metal.features import APPLE7
from kdsl_metal.spelling import METAL
from kdsl_opencl.features import GENERIC
from kdsl_opencl.spelling import OPENCL

CPU = Features(fma=True, native=frozenset({"f32", "f64"}))


def writer(features=GENERIC, spelling=OPENCL):
    return Writer(Words(spelling, features), Needs(), Module.empty(), 64)


def values(*types):
    return Block(types).args


def test_variables_that_trade_places_are_saved_first():
    w = writer()
    w.assign([(("a", "b", "c"), ("b", "a", "c"), ["float"] * 3)])
    assert w.lines == ["  const float v1 = b;", "  const float v2 = a;", "  a = v1; b = v2;"]


def test_variables_that_stay_are_not_assigned():
    w = writer()
    w.assign([(("a", "b"), ("a", "x"), ["float"] * 2)])
    assert w.lines == ["  b = x;"]


@pytest.mark.parametrize(
    ("t", "opencl", "metal"),
    [
        (I1, "bool", "bool"), (I8, "uchar", "uchar"), (I64, "ulong", "ulong"),
        (F16, "ushort", "half"), (BF16, "ushort", "bfloat"), (F32, "float", "float"),
    ],
    ids=str,
)  # fmt: skip
def test_floats_without_arithmetic_are_values_or_bits(t, opencl, metal):
    assert Words(OPENCL, GENERIC).word(t) == opencl
    assert Words(METAL, APPLE7).word(t) == metal


@pytest.mark.parametrize(
    ("number", "t", "text"),
    [
        (True, I1, "true"), (-1, I8, "(uchar)255"), (-1, I32, "4294967295u"),
        (5, I64, "5ul"), (0.1, F32, "1.0e-01f"), (-2.0, F32, "(-2.0e+00f)"),
        (float("inf"), F32, "as_float(2139095040u)"), (1.5, F64, "1.5"), (1.0, BF16, "(ushort)16256"),
    ],
)  # fmt: skip
def test_literals_read_back_as_the_same_bits(number, t, text):
    assert Words(OPENCL, GENERIC).literal(number, t) == text


@pytest.mark.parametrize(
    ("size", "widths"), [(8, [8]), (24, [8, 8, 8]), (14, [8, 4, 2]), (6, [4, 2]), (7, []), (1, [])]
)
def test_vectors_are_cut_into_those_that_the_language_has(size, widths):
    (v,) = values(vector(size, F32))
    assert widths_of(v) == widths


def test_only_a_chip_of_single_lanes_packs():
    (v,) = values(vector(8, F32))
    assert not writer(GENERIC).is_packed(v)
    assert writer(CPU).is_packed(v)
    assert not writer(CPU, METAL).is_packed(v)


def test_lanes_are_packed_when_a_vector_is_wanted_and_taken_apart_when_lanes_are():
    w = writer(CPU)
    a, b = values(vector(4, F32), vector(2, I1))
    w.bind(a, ["x", "x", "x", "x"])
    w.bind(b, ["true", "c"])
    assert w.units(a) == ("v1",)
    assert w.units(b) == ("v2",)
    assert w.lines == [
        "  const float4 v1 = (float4)(x);",
        "  const int2 v2 = (int2)(-1, (c ? -1 : 0));",
    ]
    w.bind_units(a, ["packed"])
    assert w.row(a) == ("packed.s0", "packed.s1", "packed.s2", "packed.s3")


def test_what_was_packed_in_a_block_is_packed_anew_behind_it():
    w = writer(CPU)
    (a,) = values(vector(2, I16))
    w.bind(a, ["x", "y"])
    w.open("if (c)")
    inside = w.units(a)
    w.close()
    assert w.units(a) != inside
    assert len([line for line in w.lines if "ushort2" in line]) == 2


def test_names_become_identifiers():
    assert identifier("silu_mul.kernel") == "silu_mul_kernel"
    assert identifier("2d") == "_2d"
