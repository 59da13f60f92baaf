"""From tile programs to roles: the order of things, and the answers, role by role."""

from __future__ import annotations

import pytest

from kdsl.dialects.scf import For
from kdsl.ir.parser import parse
from kdsl.ir.verify import verify
from kdsl.library.attention import attention
from kdsl.library.linear import matmul
from kdsl.library.rope_attention import rope_attention, rope_attention_prefill
from kdsl.testing.filecheck import filecheck
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.simulate import at_random, in_order
from tests.backends.ptx.hopper.programs import (
    HERE,
    answers_agree,
    attention_arrays,
    gated,
    gated_arrays,
    lines,
    matmul_arrays,
    rope_arrays,
    scheduled,
)

D128 = {"T": "bf16", "D": 128, "BM": 128, "BN": 128}
GEMM = {"X": "bf16", "W": "bf16", "BM": 128, "BN": 256, "BK": 64}
ORDERS = (
    at_random(1),
    in_order(("producer", "scheduler", "memory")),
    in_order(("consumer", "consumer1", "memory")),
    in_order(("memory", "consumer1")),
)


def roles_of(module):
    return next(op for f in module.functions for op in f.walk() if isinstance(op, tile.Roles))


def steady_loop(module):
    loops = [op for op in roles_of(module).regions[2].block.parent_op.walk() if isinstance(op, For)]
    consumer = roles_of(module).consumer
    return [op for op in loops if op.parent_op.is_inside(consumer.parent_op) and has_dots(op)][-1]


def has_dots(loop):
    return any(isinstance(op, tile.DotAsync) for op in loop.body)


def names(loop):
    return [op.name.partition(".")[2] for op in loop.body if op.name.startswith("ptx.")]


# ------------------------------------------------------------------------------------------- order


def test_the_steady_loop_issues_both_products_and_waits_at_first_use():
    assert names(steady_loop(scheduled(attention, **D128))) == [
        "ring_wait", "turn_wait", "dot_async", "ring_wait", "dot_async", "turn_pass",
        "dot_wait", "ring_release", "dot_wait", "ring_release",
    ]  # fmt: skip


def test_the_steady_loop_masks_nothing_and_guards_nothing():
    loop = steady_loop(scheduled(attention, **D128))
    found = {op.name for op in loop.body}
    assert not found & {"arith.select", "arith.cmpi", "arith.cmpf", "kdsl.iota"}


def test_accumulators_are_scaled_and_powers_narrowed_after_the_second_product():
    order = [op.name for op in steady_loop(scheduled(attention, **D128)).body]
    assert order[-3:] == ["arith.mulf", "arith.truncf", "scf.yield"]


def test_wide_accumulators_are_scaled_under_the_first_product():
    loop = steady_loop(scheduled(attention, T="bf16", D=256, BM=128, BN=80))
    order = [op.name for op in loop.body]
    first = order.index("ptx.dot_async")
    second = order.index("ptx.dot_async", first + 1)
    assert "arith.mulf" in order[first:second]
    assert order[second - 1] == "ptx.ring_wait"
    assert "turn_wait" not in names(loop)


def test_with_aligned_blocks_only_the_first_block_of_a_causal_loop_is_masked():
    module = scheduled(rope_attention, R=64, **D128)
    loops = [op for op in roles_of(module).walk() if isinstance(op, For)]
    assert len(loops) == 2, "one of the producer, one of the consumers"
    assert any("cut into clean turns" in line for line in lines(module))


def test_rows_that_do_not_start_at_a_block_get_a_masked_loop_before_the_clean_one():
    module = scheduled(rope_attention_prefill, R=64, **D128)
    loops = [op for op in roles_of(module).walk() if isinstance(op, For)]
    assert len(loops) == 4
    assert any("cut into masked, clean turns" in line for line in lines(module))


def test_all_keys_visible_masks_the_last_block_alone():
    module = scheduled(attention, CAUSAL=False, **D128)
    assert any("cut into clean turns" in line for line in lines(module))


def test_a_matrix_product_waits_one_turn_late():
    assert names(steady_loop(scheduled(matmul, **GEMM))) == [
        "ring_wait", "dot_async", "dot_wait", "ring_release",
    ]  # fmt: skip
    text = str(scheduled(matmul, **GEMM))
    filecheck(
        text,
        """
        CHECK: "ptx.dot_wait"() {pending = 1 : i64}
        CHECK: "ptx.dot_wait"(%{{.*}}) {pending = 0 : i64}
        """,
    )


def test_consumers_and_producer_divide_nothing():
    roles = roles_of(scheduled(attention, **D128))
    for region in (roles.regions[0], roles.regions[2]):
        found = [o.name for op in region.block for o in op.walk() if "div" in o.name]
        assert found in ([], ["arith.divf"])


def test_rope_works_on_the_operand_in_registers():
    module = scheduled(rope_attention, R=64, **D128)
    filecheck(
        str(module),
        """
        CHECK: "ptx.load_fragment"
        CHECK: "kdsl.concat"
        CHECK: "arith.truncf"
        CHECK-NOT: "ptx.operand_store"
        CHECK: "ptx.dot_async"
        """,
    )


def test_a_turned_operand_that_fits_no_registers_goes_back_to_its_room():
    module = scheduled(rope_attention, T="bf16", D=256, R=128, BM=128, BN=80)
    assert '"ptx.operand_store"' in str(module)


@pytest.mark.parametrize("name", ["attention_causal_d128", "gemm"])
def test_the_examples_are_valid(name):
    verify(parse((HERE / f"{name}.mlir").read_text(encoding="utf-8")))


# ----------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("rows", "keys"), [(300, 300), (130, 290), (1, 1), (5, 0)])
def test_attention_agrees_whatever_role_runs_first(causal, rows, keys):
    orders = ORDERS if rows == 300 else ORDERS[:1]
    values = {**D128, "CAUSAL": causal}
    answers_agree(attention, values, attention_arrays(rows, keys, 128), orders)


@pytest.mark.parametrize(
    ("size", "rows", "keys"),
    [
        (64, 192, 128),
        (96, 128, 128),
        (192, 128, 96),
        (256, 128, 80),
        (128, 64, 128),
        (128, 128, 64),
    ],
)
def test_attention_agrees_for_all_head_sizes_and_blocks(size, rows, keys):
    values = {"T": "bf16", "D": size, "BM": rows, "BN": keys}
    answers_agree(attention, values, attention_arrays(200, 260, size))


@pytest.mark.parametrize(
    "more", [{"WINDOW": 150}, {"WINDOW": 150, "CAUSAL": False}, {"SOFTCAP": 20.0}]
)
def test_windows_and_softcaps_agree(more):
    answers_agree(attention, {**D128, **more}, attention_arrays(300, 400, 128))


def test_half_precision_agrees():
    arrays = attention_arrays(150, 150, 128, dtype="float16")
    answers_agree(attention, {**D128, "T": "f16"}, arrays)


@pytest.mark.parametrize("more", [{"R": 64}, {"R": 32}, {"R": 64, "INTERLEAVED": True}])
def test_rope_attention_agrees(more):
    answers_agree(rope_attention, {**D128, **more}, rope_arrays(200, 128, more["R"]))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("size", "keys"), [(192, 128), (256, 96)])
def test_rope_with_wide_heads_agrees(size, keys, packed):
    values = {"T": "bf16", "D": size, "R": size // 2, "BM": 128, "BN": keys}
    values |= {"positions": None} if packed else {}
    answers_agree(rope_attention, values, rope_arrays(150, size, size // 2))


def test_packed_angles_leave_the_slot_when_the_ring_would_starve():
    values = {"T": "bf16", "D": 256, "R": 128, "BM": 128, "BN": 96, "positions": None}
    module = scheduled(rope_attention, **values)
    kernel = roles_of(module).parent_op
    assert kernel.attributes[tile.OPERANDS] == (128, 256)
    assert kernel.attributes[tile.RING][0] == 3


def test_a_prompt_over_a_cache_agrees():
    values = {**D128, "R": 64}
    answers_agree(rope_attention_prefill, values, rope_arrays(140, 128, 64, keys=333))


@pytest.mark.parametrize("shape", [(200, 300, 200), (128, 256, 64), (5, 7, 0), (300, 600, 136)])
def test_a_matrix_product_agrees(shape):
    answers_agree(matmul, GEMM, matmul_arrays(*shape), ORDERS[:2])


def test_a_gated_layer_agrees():
    answers_agree(gated, {"T": "bf16"}, gated_arrays(200, 150, 200), ORDERS[:2])
