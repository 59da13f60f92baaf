"""Functions: approximate where a kernel allows it, formulae otherwise."""

from __future__ import annotations

import pytest

from kdsl.dialects import arith
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl_ptx.backend import BACKEND
from kdsl_ptx.emit import device_code
from kdsl_ptx.machine_math import MachineMath
from tests.backends.ptx.modules import assembled, kernel

TARGET = BACKEND.resolve("sm_90a")
BODY = """
    %x = "memref.load"(%a, %t) : (memref<?x{0}>, index) -> {0}
    %y = "math.{1}"(%x) {2} : ({0}) -> {0}
    "memref.store"(%y, %a, %t) : ({0}, memref<?x{0}>, index) -> ()
"""
APPROXIMATELY = "<{fastmath = #arith.fastmath<afn>}>"


def words_of(element, function, flags=""):
    module = kernel(f"%a: memref<?x{element}>", BODY.format(element, function, flags))
    steps = (MachineMath(), Legalize(BACKEND.legal))
    run_pipeline(Pipeline("math", steps), module, TARGET)
    text = device_code(module, TARGET).text
    assembled(text)
    return [line.split()[0] for line in text.splitlines() if line.startswith("\t")]


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        ("exp2", ["ex2.approx.ftz.f32"]),
        ("exp", ["mul.rn.f32", "ex2.approx.ftz.f32"]),
        ("log", ["lg2.approx.ftz.f32", "mul.rn.f32"]),
        ("log2", ["lg2.approx.ftz.f32"]),
        ("tanh", ["tanh.approx.f32"]),
        ("sin", ["sin.approx.ftz.f32"]),
        ("rsqrt", ["rsqrt.approx.ftz.f32"]),
    ],
)
def test_a_function_that_may_be_approximate_is_an_instruction(function, wanted):
    words = words_of("f32", function, APPROXIMATELY)
    loaded, stored = words.index("ld.global.b32"), words.index("st.global.b32")
    assert words[loaded + 1 : stored] == wanted


@pytest.mark.parametrize("function", ["exp", "log", "log2", "tanh", "sin", "erf"])
@pytest.mark.parametrize("element", ["f32", "f64"])
def test_a_function_that_must_be_accurate_is_a_formula(function, element):
    words = words_of(element, function)
    assert not [w for w in words if "approx" in w]
    assert len(words) > 20


def test_two_to_the_power_keeps_subnormals_unless_told_otherwise():
    assert "ex2.approx.f32" in words_of("f32", "exp2")
    assert not [w for w in words_of("f64", "exp2", APPROXIMATELY) if "approx" in w]


@pytest.mark.parametrize("element", ["f16", "bf16"])
def test_half_floats_go_through_f32(element):
    assert "ex2.approx.f32" in words_of(element, "exp2")


def test_the_host_gets_quotients_that_it_can_write():
    body = '%q = "arith.ceildivsi"(%n, %n) : (index, index) -> index'
    module = kernel("%n: index", body)
    entry = module.functions[0]
    entry.attributes.pop("kdsl.kernel")
    assert MachineMath().run(module, TARGET)
    kinds = {type(op) for op in entry.walk()}
    assert arith.Divsi in kinds
    assert not kinds & {arith.Ceildivsi, arith.Floordivsi}
    assert not MachineMath().run(module, TARGET)
