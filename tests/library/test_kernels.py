"""Elementwise, norm and linear kernels against their references, at ragged sizes and in every dtype."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from kdsl.library import reference
from kdsl.library.elementwise import add, gated_chain, scale_shift, silu_mul
from kdsl.library.linear import gated_matmul, matmul, matvec
from kdsl.library.norms import rms_norm

TOLERANCE = {np.float32: 1e-5, ml_dtypes.bfloat16: 2e-2, np.float16: 2e-3}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE)
SIZES = pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000, 70_001])


def normal(seed: int, *shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32).astype(dtype)


def close(got: np.ndarray, want: np.ndarray) -> None:
    tolerance = TOLERANCE[got.dtype.type]
    np.testing.assert_allclose(got.astype(np.float64), want, atol=tolerance, rtol=tolerance)


@DTYPES
@SIZES
def test_silu_mul(size: int, dtype: Any) -> None:
    gate, up = normal(1, size, dtype=dtype), normal(2, size, dtype=dtype)
    out = np.full_like(gate, np.nan)
    silu_mul(gate, up, out)
    close(out, reference.silu_mul(gate, up))


@SIZES
def test_a_streaming_loop_writes_its_range_wherever_that_starts(size: int) -> None:
    for start in range(4):
        x = normal(1, size)
        room = np.full(size + 8, 7.0, np.float32)
        scale_shift(x, 2.0, 1.0, room[start : start + size])
        close(room[start : start + size], x.astype(np.float64) * 2 + 1)
        assert (room[:start] == 7).all()
        assert (room[start + size :] == 7).all()


@DTYPES
def test_add_in_place(dtype: Any) -> None:
    x, y = normal(1, 999, dtype=dtype), normal(2, 999, dtype=dtype)
    want = x.astype(np.float64) + y.astype(np.float64)
    add(x, y, x)
    close(x, want)


@SIZES
def test_a_chain_of_kernels(size: int) -> None:
    x, up = normal(1, size), normal(2, size)
    out = np.full_like(x, np.nan)
    gated_chain(x, up, 0.5, 0.25, out)
    close(out, reference.silu_mul(x.astype(np.float64) * 0.5 + 0.25, up))


def test_the_chain_is_one_kernel_without_a_workspace() -> None:
    text = gated_chain.ir("legalize", T="f32")
    assert "memref.alloc" not in text
    assert text.count('"kdsl.launch"') == 1


@DTYPES
@pytest.mark.parametrize(("rows", "size"), [(1, 1), (3, 577), (40, 64)])
def test_rms_norm(rows: int, size: int, dtype: Any) -> None:
    x, weight = normal(1, rows, size, dtype=dtype), normal(2, size)
    out = np.full_like(x, np.nan)
    rms_norm(x, weight, out, 1e-5)
    close(out, reference.rms_norm(x, weight))


@pytest.mark.parametrize("weights", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("outputs", "inputs"), [(1, 1), (37, 576), (100, 65)])
def test_matvec(outputs: int, inputs: int, weights: Any) -> None:
    w, x = normal(1, outputs, inputs, dtype=weights), normal(2, inputs)
    out = np.full(outputs, np.nan, np.float32)
    matvec(x, w, out)
    np.testing.assert_allclose(out, w.astype(np.float64) @ x, atol=1e-3)


@pytest.mark.parametrize("weights", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("rows", "outputs", "inputs"), [(1, 1, 1), (37, 65, 200), (64, 64, 192)])
def test_matmul(rows: int, outputs: int, inputs: int, weights: Any) -> None:
    w, x = normal(1, outputs, inputs, dtype=weights), normal(2, rows, inputs)
    out = np.full((rows, outputs), np.nan, np.float32)
    matmul(x, w, out)
    np.testing.assert_allclose(out, x.astype(np.float64) @ w.T.astype(np.float64), atol=1e-3)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("rows", "outputs", "inputs"), [(1, 1, 1), (70, 90, 200), (64, 64, 192)])
def test_gated_matmul(rows: int, outputs: int, inputs: int, biased: bool) -> None:
    rng = np.random.default_rng(3)
    x, gate, up = (
        rng.standard_normal(shape, dtype=np.float32)
        for shape in ((rows, inputs), (outputs, inputs), (outputs, inputs))
    )
    biases = [rng.standard_normal(outputs, dtype=np.float32) for _ in range(2)] if biased else []
    out = np.full((rows, outputs), np.nan, np.float32)
    gated_matmul(x, gate, up, out, *biases)
    added = biases or [np.zeros(outputs)] * 2
    want = reference.silu_mul(
        *(x.astype(np.float64) @ w.T + b for w, b in zip((gate, up), added, strict=True))
    )
    np.testing.assert_allclose(out, want, atol=1e-4, rtol=1e-4)
