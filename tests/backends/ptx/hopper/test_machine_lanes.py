"""Scheduled kernels run lane by lane: roles, barriers, bulk copies and products, in many orders."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from kdsl.compiler import stages
from kdsl.errors import (
    CopyInFlightError,
    DeadlockedLanesError,
    InterpreterError,
    KdslError,
    LaneRaceError,
)
from kdsl.ir.interpreter import interpret
from kdsl.ir.parser import parse
from kdsl.ir.verify import verify
from kdsl.library import attention as attention_library
from kdsl.library import linear, rope_attention
from kdsl.passes.differential import difference
from kdsl.testing import simt
from kdsl_ptx.dialect import machine as ops
from kdsl_ptx.features import resolve
from kdsl_ptx.hopper.lower import LowerRoles
from tests.backends.ptx.hopper.machine_lanes import machine

HERE = Path(__file__).parent
HOPPER = resolve("sm_90a")
ORDERS = range(2)


def gemm():
    module = parse((HERE / "gemm.mlir").read_text())
    assert LowerRoles().run(module, HOPPER)
    verify(module)
    return module


def whole_numbers(*shape, seed=0):
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(ml_dtypes.bfloat16)


def multiply(module, rows, columns, depth, order=0):
    """Return what the example gives, and what it should."""
    x, w = whole_numbers(rows, depth), whole_numbers(columns, depth, seed=1)
    out = np.zeros((rows, columns), ml_dtypes.bfloat16)
    (entry,) = [f.attributes["sym_name"] for f in module.functions if "kdsl.entry" in f.attributes]
    simt.run(module, entry, (x, w, out), HOPPER.features, machine=machine(order))
    return out, (x.astype(np.float32) @ w.astype(np.float32).T).astype(ml_dtypes.bfloat16)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "size", [(128, 256, 64), (200, 300, 136), (1, 8, 8), (130, 264, 512)], ids=str
)
def test_a_scheduled_product_is_exact(size, order):
    out, wanted = multiply(gemm(), *size, order)

    np.testing.assert_array_equal(out, wanted)


def floats(*shape, dtype, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape).astype(np.float32).astype(dtype)


def scheduled(kernel, values):
    """Return the traced module, and the lowered one, in which the Hopper schedule was taken."""
    specialization = kernel.specialize(**values)
    traced = kernel.trace(specialization, HOPPER).module
    *_, (_, lowered) = stages(kernel.trace(specialization, HOPPER).module, HOPPER)
    assert any(isinstance(op, ops.Wgmma) for op in lowered.walk())
    return traced, lowered


def compare(kernel, values, args, order=0):
    traced, lowered = scheduled(kernel, values)
    wanted, found = ([a.copy() if isinstance(a, np.ndarray) else a for a in args] for _ in "12")
    interpret(traced, kernel.name, wanted)
    simt.run(lowered, kernel.name, found, HOPPER.features, machine=machine(order))
    for number, (want, got) in enumerate(zip(wanted, found, strict=True)):
        assert not difference(str(number), want, got)


def attention_args(dtype, queries, keys, size, heads=2):
    q = floats(1, heads, queries, size, dtype=dtype, seed=0)
    k, v = (floats(1, 1, keys, size, dtype=dtype, seed=s) for s in (1, 2))
    lse = np.zeros((1, heads, queries), np.float32)
    return (q, k, v, np.zeros_like(q), np.float32(size**-0.5), lse)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("size", "options"),
    [
        (64, {}),
        (64, {"CAUSAL": False}),
        (128, {}),
        (64, {"WINDOW": 50}),
        (64, {"SOFTCAP": 5.0}),
    ],
    ids=str,
)
def test_scheduled_attention_is_right_in_any_order(size, options, order):
    args = attention_args(ml_dtypes.bfloat16, 200, 200, size)
    values = {"T": "bf16", "D": size, **options}

    compare(attention_library.attention, values, args, order)


@pytest.mark.parametrize("queries", [1, 63, 129])
def test_scheduled_attention_of_few_rows(queries):
    args = attention_args(np.float16, queries, queries + 70, 64)

    compare(attention_library.attention, {"T": "f16", "D": 64}, args)


def test_scheduled_attention_with_rotation():
    q, k, v, out, scale, lse = attention_args(ml_dtypes.bfloat16, 150, 150, 64)
    angles = np.arange(150, dtype=np.float32)[:, None] / (1 + np.arange(32, dtype=np.float32))
    args = (q, k, v, np.cos(angles), np.sin(angles), out, scale, lse, None)
    values = {"T": "bf16", "D": 64, "R": 32, "positions": None}

    compare(rope_attention.rope_attention, values, args)


def test_a_scheduled_product_of_the_library():
    x, w = floats(200, 128, dtype=ml_dtypes.bfloat16, seed=0), whole_numbers(320, 128)
    args = (x, w, np.zeros((200, 320), ml_dtypes.bfloat16))

    compare(linear.matmul, {"X": "bf16", "W": "bf16"}, args)


# ------------------------------------------------------------------------------------- mistakes


def without(module, kind, number=None):
    """Remove one op of a kind (None: all)."""
    found = [op for op in module.walk() if isinstance(op, kind)]
    for op in found if number is None else [found[number]]:
        op.erase()
    return module


def test_a_ring_that_is_never_given_back_stops():
    module = without(gemm(), ops.MbarrierArrive)

    with pytest.raises(DeadlockedLanesError, match="for phase"):
        multiply(module, 128, 256, 64)


def test_consumers_that_do_not_wait_for_copies_are_found():
    module = gemm()
    consumer = next(op for op in module.walk() if isinstance(op, ops.Wgmma)).parent
    for op in list(consumer):
        if isinstance(op, ops.MbarrierWait):
            op.erase()

    with pytest.raises((CopyInFlightError, LaneRaceError)):
        multiply(module, 128, 256, 64)


def test_results_that_are_read_before_the_products_are_done_are_found():
    module = gemm()
    for op in list(module.walk()):
        if isinstance(op, ops.WgmmaWait):
            op.replace_by(*op.operands)

    found = []
    try:
        out, wanted = multiply(module, 128, 256, 64)
        found = np.argwhere(out != wanted)
    except KdslError:
        return
    assert len(found)


def test_a_tile_that_is_copied_out_before_all_lanes_wrote_it_is_found():
    module = without(gemm(), ops.BarSync)

    with pytest.raises(LaneRaceError):
        multiply(module, 128, 256, 64)


def test_a_store_that_the_copy_engine_may_not_see_is_found():
    module = without(gemm(), ops.FenceProxyAsync)

    with pytest.raises(InterpreterError, match="fence_proxy_async"):
        multiply(module, 128, 256, 64)
