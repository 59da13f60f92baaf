"""Linear forms, and what is proved by them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsl.dialects.arith import (
    Addi,
    Ceildivsi,
    Floordivsi,
    Maxsi,
    Minsi,
    Muli,
    Subi,
    index_constant,
)
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block
from kdsl.ir.interpreter import interpret
from kdsl.ir.types import INDEX
from kdsl.passes.affine import Form, emit, facts_of, form_of, is_never_negative

DIVISORS = (1, 2, 3, 8)


@pytest.fixture
def block():
    return Block([INDEX] * 3, ["a", "b", "c"])


def parts(block):
    return Builder(block), *block.args


def test_sums_and_multiples_are_one_form(block):
    b, x, y, _ = parts(block)
    twice = b.create(Muli, x, index_constant(b, 2))
    total = b.create(Subi, b.create(Addi, twice, y), b.create(Addi, x, index_constant(b, 5)))
    form = form_of(total)
    assert form.scalars == {x: 1, y: 1}
    assert form.const == -5


def test_products_of_unknowns_are_atoms(block):
    b, x, y, _ = parts(block)
    product = b.create(Muli, x, y)
    assert form_of(product).scalars == {product: 1}


def test_a_difference_of_equal_forms_is_zero(block):
    b, x, _, _ = parts(block)
    assert form_of(b.create(Subi, x, x)) == Form({}, 0)


def test_minima_are_at_least_what_both_sides_are(block):
    b, x, y, _ = parts(block)
    facts = (Form({x: 1}), Form({y: 1}, -3))
    least = b.create(Minsi, x, y)
    assert is_never_negative(Form({least: 1}), facts)
    assert not is_never_negative(Form({least: 1}, -1), facts)


def test_rounded_quotients_are_bounded_from_the_right_side(block):
    b, x, _, _ = parts(block)
    up = b.create(Ceildivsi, x, index_constant(b, 8))
    down = b.create(Floordivsi, x, index_constant(b, 8))
    # x + 7 - 8 * ceil(x / 8) >= 0, and one less is not always.
    assert is_never_negative(Form({x: 1, up: -8}, 7))
    assert not is_never_negative(Form({x: 1, up: -8}, 6))
    assert is_never_negative(Form({x: 1, down: -8}))
    assert not is_never_negative(Form({x: 1, down: -8}, -1))


def test_a_part_of_something_positive_rounded_up_is_at_least_one(block):
    b, x, _, _ = parts(block)
    up = b.create(Ceildivsi, x, index_constant(b, 128))
    assert is_never_negative(Form({up: 1}, -1), (Form({x: 1}, -1),))
    assert not is_never_negative(Form({up: 1}, -1), (Form({x: 1}),))


@given(data=st.data())
def test_what_is_proved_holds_for_all_small_numbers(data):
    """Random expressions: a proof is never wrong (it may be missing)."""
    block = Block([INDEX] * 3, ["a", "b", "c"])
    b = Builder(block)
    pool = list(block.args)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from([Addi, Subi, Minsi, Maxsi, Floordivsi, Ceildivsi, Muli]))
        left = data.draw(st.sampled_from(pool))
        if kind in (Floordivsi, Ceildivsi, Muli):
            right = index_constant(b, data.draw(st.sampled_from(DIVISORS)))
        else:
            right = data.draw(st.sampled_from(pool))
        pool.append(b.create(kind, left, right))
    factors = [data.draw(st.integers(-8, 8)) for _ in pool]
    const = data.draw(st.integers(-4, 24))
    form = Form({}, const)
    for value, factor in zip(pool, factors, strict=True):
        form = form + Form({value: 1}) * factor
    facts = tuple(Form({v: 1}) for v in block.args)
    if not is_never_negative(form, facts):
        return
    for numbers in itertools.product((0, 1, 2, 5, 9), repeat=3):
        assert value_of(form, block, numbers) >= 0


def value_of(form, block, numbers):
    """Evaluate a form by running the ops behind it."""
    known = dict(zip(block.args, map(np.int64, numbers), strict=True))
    for op in block:
        known[op.results[0]] = op.evaluate(*(known[v] for v in op.operands))
    return sum(int(known[a]) * c for a, c in form.scalars.items()) + form.const


def test_emitted_forms_have_the_form(function, module_of):
    text = function("%a: index, %b: index", "", "%a: index")
    module = module_of(text)
    body = module.functions[0].body
    b = Builder(body, body.last)
    x, y = body.args
    form = Form({x: 3, y: -2}, 7)
    made = emit(b, form)
    body.last.set_operands([made])
    assert interpret(module, "f", (np.int64(5), np.int64(4))) == (14,)
    assert form_of(made) == form


def test_a_program_lies_inside_of_its_grid(function, module_of):
    text = function(
        "%m: memref<?xf32>",
        """
        %i = "kdsl.program_id"() {axis = 0 : i64} : () -> index
        %n = "kdsl.num_programs"() {axis = 0 : i64} : () -> index
        %z = "arith.constant"() {value = 0 : index} : () -> index
        %d = "memref.dim"(%m, %z) : (memref<?xf32>, index) -> index
        """,
        attributes=", kdsl.kernel, kdsl.positive = array<i64: 0, 0>",
    )
    kernel = module_of(text).functions[0]
    ops = {op.name: op for op in kernel.body}
    number, count = (ops[f"kdsl.{n}"].y for n in ("program_id", "num_programs"))
    size = ops["memref.dim"].results[0]
    facts = facts_of(kernel)
    assert is_never_negative(Form({count: 1, number: -1}, -1), facts)
    assert is_never_negative(Form({size: 1}, -1), facts)
    assert not is_never_negative(Form({size: 1}, -2), facts)
