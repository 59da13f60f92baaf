from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from sample_modules import BUFFER, finish, function_module, squares

from kdsl.dialects import arith, kdsl, math, memref, scf
from kdsl.errors import InternalError
from kdsl.ir.attributes import Dense
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Region, Value
from kdsl.ir.interpreter import interpret
from kdsl.ir.printer import print_module
from kdsl.ir.rewrite import Rewriter, apply_greedily, has_no_effect, is_dead, pattern
from kdsl.ir.types import F32, I1, I32, INDEX, tensor
from kdsl.ir.types import vector as lanes
from kdsl.ir.verify import verify
from kdsl.testing.compare import assert_same_bits
from kdsl.testing.filecheck import filecheck
from kdsl.testing.generate import arguments
from kdsl.testing.strategies import modules

ANYTHING = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


@pattern(arith.Addf)
def contract_multiply_add(op: arith.Addf, rw: Rewriter) -> Value | None:
    """add(mul(a, b), c) -> fma(a, b, c), when nothing else reads the product."""
    match op.lhs.op:
        case arith.Mulf(a, b) if op.lhs.has_one_use:
            return rw.create(math.Fma, a, b, op.rhs)
    return None


def names(module):
    return [op.name for op in module.functions[0].body]


def chain(count):
    """Return x * 1.5 + 0.5, ``count`` times over."""
    module, b = function_module("f", F32, names=("x",))
    value = b.block.args[0]
    for _ in range(count):
        product = b.create(arith.Mulf, value, arith.constant(b, 1.5, F32))
        value = b.create(arith.Addf, product, arith.constant(b, 0.5, F32))
    return finish(module, b, value)


def test_a_pattern_replaces_its_root():
    module = chain(1)

    assert apply_greedily(module, [contract_multiply_add])
    filecheck(
        print_module(module),
        """
        CHECK:     ^bb0(%x: f32):
        CHECK:     [[S:%.*]] = "arith.constant"() {value = 1.5 : f32}
        CHECK:     [[T:%.*]] = "arith.constant"() {value = 0.5 : f32}
        CHECK-NOT: "arith.mulf"
        CHECK-NOT: "arith.addf"
        CHECK:     "math.fma"(%x, [[S]], [[T]])
    """,
    )
    verify(module)


def test_a_guard_keeps_what_others_read():
    module, b = function_module("f", F32)
    x = b.block.args[0]
    product = b.create(arith.Mulf, x, x)
    finish(module, b, b.create(arith.Addf, product, x), product)

    assert not apply_greedily(module, [contract_multiply_add])
    assert names(module) == ["arith.mulf", "arith.addf", "func.return"]


def test_a_pattern_is_tried_again_when_the_other_reader_is_gone():
    module, b = function_module("f", F32)
    x = b.block.args[0]
    product = b.create(arith.Mulf, x, x)
    kept = b.create(arith.Addf, product, x)
    zero = arith.constant(b, 0.0, F32)
    b.create(math.Exp, b.create(arith.Addf, b.create(arith.Negf, product), zero))
    finish(module, b, kept)

    apply_greedily(module, [contract_multiply_add])

    assert names(module) == ["math.fma", "func.return"]


def test_nothing_to_do_says_so():
    module = squares()
    before = print_module(module)

    assert not apply_greedily(module, [contract_multiply_add])
    assert print_module(module) == before


def test_what_fired_is_counted():
    fired = {}

    apply_greedily(chain(3), [contract_multiply_add], fired=fired)

    assert fired["contract_multiply_add"] == 3


def test_a_pattern_may_serve_a_whole_family():
    @pattern(math.Unary)
    def forget(op, rw):
        """f(x) -> x."""
        return op.x

    module, b = function_module("f", F32)
    finish(module, b, b.create(math.Exp, b.create(math.Sin, b.block.args[0])))

    apply_greedily(module, [forget])

    assert names(module) == ["func.return"]


def test_what_a_pattern_created_in_vain_is_removed():
    @pattern(arith.Negf)
    def give_up(op, rw):
        """Create an op, then find that the rule does not apply."""
        rw.create(math.Absf, op.x)

    module, b = function_module("f", F32)
    finish(module, b, b.create(arith.Negf, b.block.args[0]))

    assert not apply_greedily(module, [give_up])
    assert names(module) == ["arith.negf", "func.return"]


def test_patterns_that_undo_each_other_are_named():
    @pattern(arith.Maximumf)
    def there(op, rw):
        """max -> min."""
        return rw.create(arith.Minimumf, op.lhs, op.rhs)

    @pattern(arith.Minimumf)
    def back(op, rw):
        """min -> max."""
        return rw.create(arith.Maximumf, op.lhs, op.rhs)

    module, b = function_module("f", F32, F32)
    finish(module, b, b.create(arith.Maximumf, *b.block.args))

    with pytest.raises(InternalError, match="never comes to an end"):
        apply_greedily(module, [there, back])


def test_a_replacement_of_another_type_is_refused():
    @pattern(arith.Negf)
    def wrong(op, rw):
        """-x -> 1 : i32."""
        return arith.constant(rw, 1, I32)

    module, b = function_module("f", F32)
    finish(module, b, b.create(arith.Negf, b.block.args[0]))

    with pytest.raises(InternalError, match=r"gives \(f32\) and was replaced by \(i32\)"):
        apply_greedily(module, [wrong])


def test_an_op_without_results_may_be_erased():
    @pattern(memref.Store)
    def forget(op, rw):
        """Drop every store."""
        return ()

    module = squares()

    apply_greedily(module, [forget])

    assert "memref.store" not in print_module(module)
    verify(module)


def test_a_change_in_place_is_a_change():
    @pattern(arith.Subf)
    def swap(op, rw):
        """a - b -> b - a, once."""
        if "my.done" not in op.attributes:
            a, b = op.operands
            op.set_operands([b, a])
            op.attributes["my.done"] = None
            rw.updated(op)

    module, b = function_module("f", F32, F32, names=("a", "b"))
    finish(module, b, b.create(arith.Subf, *b.block.args))

    assert apply_greedily(module, [swap])
    assert '"arith.subf"(%b, %a)' in print_module(module)


# --------------------------------------------------------------------------------------- folding


def folded(build, *inputs):
    module, b = function_module("f", *inputs)
    finish(module, b, build(b, *b.block.args))
    apply_greedily(module, [])
    verify(module)
    return module


def test_constants_are_computed():
    module = folded(
        lambda b: b.create(
            arith.Addi, arith.constant(b, 0x7FFFFFFF, I32), arith.constant(b, 2, I32)
        )
    )

    filecheck(
        print_module(module),
        """
        CHECK:      [[C:%.*]] = "arith.constant"() {value = -2147483647 : i32}
        CHECK-NEXT: "func.return"([[C]])
    """,
    )


def test_constants_move_to_the_right():
    module = folded(lambda b, x: b.create(arith.Addf, arith.constant(b, 2.0, F32), x), F32)

    filecheck(
        print_module(module),
        """
        CHECK: [[C:%.*]] = "arith.constant"()
        CHECK: "arith.addf"(%0, [[C]])
    """,
    )


def test_an_ops_own_fold_is_used():
    module = folded(lambda b, x: b.create(arith.Mulf, arith.constant(b, 1.0, F32), x), F32)

    assert names(module) == ["func.return"]


def test_a_fold_may_give_a_constant():
    def size(b, x):
        return b.create(memref.Dim, x, arith.index_constant(b, 0))

    from kdsl.ir.types import memref as memref_type

    module = folded(size, memref_type((12,), F32))

    assert "value = 12 : index" in print_module(module)
    assert names(module) == ["arith.constant", "func.return"]


def test_equal_lanes_stay_one_number():
    def build(b):
        two = arith.constant(b, 2.0, tensor((64, 128), F32))
        return b.create(arith.Addf, two, two)

    constant = folded(build).functions[0].body.first

    assert isinstance(constant.value, Dense)
    assert constant.value.is_splat
    assert constant.value.array == np.float32(4)


def test_a_broadcast_of_a_constant_is_a_constant():
    def build(b):
        return b.create(
            kdsl.Broadcast, arith.constant(b, 2.0, F32), types=[tensor((8, 8), F32)], dims=()
        )

    assert names(folded(build)) == ["arith.constant", "func.return"]


def test_many_different_lanes_are_not_written_out():
    def build(b):
        rows = arith.constant(b, np.arange(128), tensor((128,), I32))
        return b.create(arith.Addi, rows, rows)

    assert names(folded(build)) == ["arith.constant", "arith.addi", "func.return"]


def test_signed_zeros_are_two_constants():
    def build(b):
        return b.create(arith.Negf, arith.constant(b, 0.0, F32))

    assert "value = -0.0 : f32" in print_module(folded(build))


def test_nothing_is_folded_on_request():
    module, b = function_module("f")
    one = arith.constant(b, 1, I32)
    finish(module, b, b.create(arith.Addi, one, one))

    assert not apply_greedily(module, [], fold=False)


# ------------------------------------------------------------------------------- unused ops


def test_unused_ops_and_what_only_they_read_are_removed():
    module, b = function_module("f", F32)
    b.create(math.Exp, b.create(arith.Negf, b.block.args[0]))
    finish(module, b)

    assert apply_greedily(module, [])
    assert names(module) == ["func.return"]


def test_a_loop_without_effects_goes_a_loop_that_stores_stays():
    module, b = function_module("f", BUFFER, INDEX)
    x, n = b.block.args
    one = arith.index_constant(b, 1)
    for stores in (False, True):
        loop = scf.for_loop(b, one, n, one)
        c = Builder(loop.body)
        value = c.create(memref.Load, x, [loop.induction])
        if stores:
            c.add(memref.Store, value, x, [loop.induction])
        c.add(scf.Yield, [])
    finish(module, b)

    apply_greedily(module, [])

    assert names(module).count("scf.for") == 1
    assert "memref.store" in print_module(module)


def test_effects_are_told_apart():
    module = squares()
    seen = {op.name: has_no_effect(op) for op in module.walk()}

    assert seen["arith.mulf"]
    assert seen["memref.load"]
    assert not seen["memref.store"]
    assert not seen["scf.for"]
    assert not seen["scf.yield"]
    assert not seen["func.return"]
    assert not any(is_dead(op) for op in module.walk())


def test_a_branch_with_a_store_stays():
    module, b = function_module("f", I1, BUFFER)
    block = Block()
    b.add(scf.If, b.block.args[0], types=[], regions=[Region([block]), Region()])
    c = Builder(block)
    c.add(memref.Store, arith.constant(c, 1.0, F32), b.block.args[1], [arith.index_constant(c, 0)])
    c.add(scf.Yield, [])
    finish(module, b)

    assert not apply_greedily(module, [])


# ----------------------------------------------------------------------------------- everything


@given(modules())
@ANYTHING
def test_folding_does_not_change_an_answer(module):
    _same_answers(module)


@given(modules(tiles=True))
@ANYTHING
def test_folding_tiles_does_not_change_an_answer(module):
    _same_answers(module)


def _same_answers(module):
    first, second = (arguments(np.random.default_rng(3)) for _ in range(2))
    before = interpret(module, "f", first)

    apply_greedily(module, [])
    verify(module)
    after = interpret(module, "f", second)

    assert_same_bits((*after, *second), (*before, *first))


def test_the_work_is_linear_in_the_ops():
    """Counted in visits, not in seconds."""

    def visits(count):
        seen = 0

        @pattern(arith.Addf, arith.Mulf, math.Fma)
        def look(op, rw):
            """Only count."""
            nonlocal seen
            seen += 1

        apply_greedily(chain(count), [look, contract_multiply_add])
        return seen

    small, large = visits(50), visits(500)
    assert large <= 10.5 * small


def test_lanes_of_vectors_fold_one_by_one():
    def build(b):
        a = arith.constant(b, np.array([1, 2, 3, 4]), lanes(4, I32))
        return b.create(arith.Muli, a, a)

    constant = folded(build).functions[0].body.first

    np.testing.assert_array_equal(constant.value.full(), [1, 4, 9, 16])
