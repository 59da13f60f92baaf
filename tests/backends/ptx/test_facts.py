"""What the emitter knows of integers before a kernel runs."""

from __future__ import annotations

import pytest

from kdsl.dialects import arith
from kdsl_ptx.emit.facts import IntegerFacts, is_dead_after
from tests.backends.ptx.modules import kernel

BODY = """
    %c4 = "arith.constant"() <{value = 4 : index}> : () -> index
    %c32 = "arith.constant"() <{value = 32 : index}> : () -> index
    %b = "kdsl.program_id"() <{axis = 0 : i64}> : () -> index
    %four = "arith.muli"(%t, %c4) : (index, index) -> index
    %lane = "arith.remui"(%t, %c32) : (index, index) -> index
    %warp = "arith.divui"(%t, %c32) : (index, index) -> index
    %minus = "arith.subi"(%lane, %c32) : (index, index) -> index
    %far = "arith.muli"(%b, %c32) : (index, index) -> index
    %any = "arith.addi"(%n, %t) : (index, index) -> index
    %least = "arith.minsi"(%t, %c4) : (index, index) -> index
    %shifted = "arith.shli"(%warp, %c4) : (index, index) -> index
    %masked = "arith.andi"(%n, %c4) : (index, index) -> index
"""


@pytest.fixture
def values():
    module = kernel("%n: index", BODY, lanes=128)
    function = module.functions[0]
    found = {op.results[0].name: op.results[0] for op in function.walk() if op.results}
    found["n"] = function.body.args[0]
    return found


RANGES = {
    "four": (0, 508), "lane": (0, 31), "warp": (0, 3), "minus": (-32, -1),
    "far": (0, 32 * ((1 << 31) - 1)), "any": None, "least": (0, 4), "shifted": (0, 48),
    "masked": (0, 4), "n": None,
}  # fmt: skip


@pytest.mark.parametrize(("name", "wanted"), RANGES.items())
def test_ranges_follow_from_the_size_of_the_workgroup(values, name, wanted):
    assert IntegerFacts(128).range(values[name]) == wanted


def test_what_fits_32_bits_is_known(values):
    facts = IntegerFacts(128)
    fitting = {name for name in RANGES if facts.fits32(values[name])}
    assert fitting == set(RANGES) - {"far", "any", "n"}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("four", 4),
        ("far", 32),
        ("minus", 1),
        ("shifted", 16),
        ("masked", 4),
        ("c32", 32),
        ("any", 1),
    ],
)
def test_divisors_are_powers_of_two(values, name, wanted):
    assert IntegerFacts(128).divisor(values[name]) == wanted


def test_lanes_agree_on_what_does_not_come_from_their_number(values):
    facts = IntegerFacts(128)
    agreed = {name for name in RANGES if facts.agrees(values[name])}
    assert agreed == {"far", "masked", "n"}


LOOP = """
    %c0 = "arith.constant"() <{value = 0 : index}> : () -> index
    %c1 = "arith.constant"() <{value = 1 : index}> : () -> index
    %before = "arith.addi"(%n, %c1) : (index, index) -> index
    %r = "scf.for"(%c0, %n, %c1, %before) ({
    ^bb0(%i: index, %acc: index):
      %inside = "arith.addi"(%acc, %i) : (index, index) -> index
      %more = "arith.addi"(%inside, %n) : (index, index) -> index
      "scf.yield"(%more) : (index) -> ()
    }) : (index, index, index, index) -> index
    %after = "arith.addi"(%r, %c1) : (index, index) -> index
"""


def test_a_value_is_dead_after_its_last_reader_unless_a_loop_comes_back():
    function = kernel("%n: index", LOOP).functions[0]
    order = {op: i for i, op in enumerate(function.walk())}
    named = {r.name: r for op in order for r in op.results}
    loop = named["r"].op
    inside, more, after = (named[n].op for n in ("inside", "more", "after"))
    acc = loop.body.args[1]
    assert is_dead_after(named["before"], loop, order)
    assert not is_dead_after(function.body.args[0], more, order)  # the next turn reads it
    assert is_dead_after(acc, inside, order)
    assert is_dead_after(named["inside"], more, order)
    assert is_dead_after(acc, after, order)  # the loop is over
    assert not is_dead_after(named["inside"], inside, order)
    assert isinstance(after, arith.Addi)
