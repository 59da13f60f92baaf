"""The RoPE-attention kernels against the float64 reference, at every option and at ragged sizes."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from kdsl.errors import KernelAssertError, RelationError
from kdsl.library import reference
from kdsl.library.attention import attention
from kdsl.library.rope import rope
from kdsl.library.rope_attention import (
    rope_attention,
    rope_attention_decode,
    rope_attention_prefill,
)
from kdsl.library.rope_tables import LinearScaling, Llama3Scaling, YarnScaling, rope_tables

TOLERANCE = {np.float32: 3e-5, ml_dtypes.bfloat16: 4e-2, np.float16: 6e-3}
CANARY = 77.0
SHAPES = [(1, 4, 2, 70, 64), (2, 3, 1, 33, 80), (1, 2, 2, 129, 96), (1, 8, 2, 5, 128)]


def normal(seed: int, *shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32).astype(dtype)


def close(got: np.ndarray, want: np.ndarray, dtype: Any = np.float32) -> None:
    np.testing.assert_allclose(
        got.astype(np.float64), want, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype]
    )


def expected(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, cos: np.ndarray, sin: np.ndarray, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    interleaved = options.pop("interleaved", False)
    positions = options.pop("positions", None)
    turned = [
        reference.rope(x, cos, sin, interleaved=interleaved, positions=positions) for x in (q, k)
    ]
    return reference.attention(*turned, v, **options)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("batch", "heads", "kv_heads", "rows", "size"), SHAPES)
def test_whole_sequences_agree_with_the_reference(
    batch: int, heads: int, kv_heads: int, rows: int, size: int, dtype: Any
) -> None:
    q = normal(1, batch, heads, rows, size, dtype=dtype)
    k, v = (normal(s, batch, kv_heads, rows, size, dtype=dtype) for s in (2, 3))
    cos, sin = rope_tables(rows, size)
    out, lse = np.full_like(q, np.nan), np.full(q.shape[:-1], np.nan, np.float32)
    rope_attention(q, k, v, cos, sin, out, 1 / math.sqrt(size), lse)
    want, want_lse = expected(q, k, v, cos, sin)
    close(out, want, dtype)
    close(lse, want_lse, dtype)


@pytest.mark.parametrize(
    ("constants", "options"),
    [
        ({"CAUSAL": False}, {"causal": False}),
        ({"WINDOW": 17}, {"window": 17}),
        ({"WINDOW": 17, "CAUSAL": False}, {"window": 17, "causal": False}),
        ({"SOFTCAP": 5.0}, {"softcap": 5.0}),
        ({"INTERLEAVED": True}, {"interleaved": True}),
    ],
    ids=str,
)
def test_every_option_agrees_with_the_reference(
    constants: dict[str, Any], options: dict[str, Any]
) -> None:
    q, k, v = normal(1, 1, 4, 90, 64), normal(2, 1, 2, 90, 64), normal(3, 1, 2, 90, 64)
    cos, sin = rope_tables(100, 64)
    out = np.full_like(q, np.nan)
    rope_attention(q, k, v, cos, sin, out, 0.2, **constants)
    close(out, expected(q, k, v, cos, sin, scale=0.2, **options)[0])


def test_partial_rotary_leaves_the_rest_of_a_head_alone() -> None:
    q, k, v = normal(1, 1, 2, 40, 80), normal(2, 1, 1, 40, 80), normal(3, 1, 1, 40, 80)
    cos, sin = rope_tables(40, 32)
    out = np.full_like(q, np.nan)
    rope_attention(q, k, v, cos, sin, out, 0.1)
    close(out, expected(q, k, v, cos, sin, scale=0.1)[0])


@pytest.mark.parametrize(
    "scaling", [LinearScaling(4.0), Llama3Scaling(), YarnScaling(4.0, 1024)], ids=str
)
def test_scaled_tables_turn_keys_and_queries_alike(scaling: Any) -> None:
    q, k, v = normal(1, 1, 2, 40, 64), normal(2, 1, 1, 40, 64), normal(3, 1, 1, 40, 64)
    cos, sin = rope_tables(40, 64, scaling=scaling)
    out = np.full_like(q, np.nan)
    rope_attention(q, k, v, cos, sin, out, 0.1)
    close(out, expected(q, k, v, cos, sin, scale=0.1)[0])


def test_position_ids_choose_the_angles() -> None:
    q, k, v = normal(1, 2, 2, 40, 64), normal(2, 2, 1, 40, 64), normal(3, 2, 1, 40, 64)
    cos, sin = rope_tables(90, 64)
    ids = np.stack([np.arange(40) + 50, np.arange(40) * 2]).astype(np.int32)
    out = np.full_like(q, np.nan)
    rope_attention(q, k, v, cos, sin, out, 0.1, positions=ids)
    close(out, expected(q, k, v, cos, sin, scale=0.1, positions=ids[:, None])[0])


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 65])
def test_any_length_works(rows: int) -> None:
    q, k, v = normal(1, 1, 2, rows, 64), normal(2, 1, 1, rows, 64), normal(3, 1, 1, rows, 64)
    cos, sin = rope_tables(rows, 64)
    out = np.full_like(q, np.nan)
    rope_attention(q, k, v, cos, sin, out, 0.1)
    close(out, expected(q, k, v, cos, sin, scale=0.1)[0])


def test_no_tokens_write_nothing() -> None:
    q, k = np.empty((1, 2, 0, 64), np.float32), np.empty((1, 1, 0, 64), np.float32)
    cos, sin = rope_tables(4, 64)
    rope_attention(q, k, k, cos, sin, np.empty_like(q), 0.1)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_prompt_is_appended_and_attends_to_what_was_cached(dtype: Any) -> None:
    start, rows, capacity = 37, 30, 100
    q = normal(1, 2, 4, rows, 64, dtype=dtype)
    k, v = (normal(s, 2, 2, rows, 64, dtype=dtype) for s in (2, 3))
    caches = [normal(s, 2, 2, capacity, 64, dtype=dtype) for s in (4, 5)]
    caches[0][:, :, start + rows :] = caches[1][:, :, start + rows :] = CANARY
    cos, sin = rope_tables(capacity, 64)
    wanted = [c.copy() for c in caches]
    want, want_lse = reference.rope_attention_prefill(q, k, v, cos, sin, *wanted, start=start)
    out, lse = np.full_like(q, np.nan), np.full(q.shape[:-1], np.nan, np.float32)
    rope_attention_prefill(q, k, v, cos, sin, *caches, out, 1 / 8, start, lse)
    close(out, want, dtype)
    close(lse, want_lse, dtype)
    for got, kept in zip(caches, wanted, strict=True):
        close(got, kept.astype(np.float64), dtype)
        assert (got[:, :, start + rows :] == CANARY).all()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("heads", "kv_heads", "size"), [(9, 3, 64), (8, 2, 128), (4, 4, 80)])
def test_one_token_is_appended_and_attends(
    heads: int, kv_heads: int, size: int, dtype: Any
) -> None:
    capacity = 150
    q = normal(1, 3, heads, size, dtype=dtype)
    k, v = (normal(s, 3, kv_heads, size, dtype=dtype) for s in (2, 3))
    caches = [normal(s, 3, kv_heads, capacity, size, dtype=dtype) for s in (4, 5)]
    cos, sin = rope_tables(capacity, size)
    position = np.array([0, 77, capacity - 1], np.int32)
    wanted = [c.copy() for c in caches]
    want, want_lse = reference.rope_attention_decode(q, k, v, cos, sin, *wanted, position)
    out, lse = np.full_like(q, np.nan), np.full(q.shape[:-1], np.nan, np.float32)
    scale = 1 / math.sqrt(size)
    rope_attention_decode(
        q, k, v, cos, sin, *caches, position, out, scale, lse, G=heads // kv_heads
    )
    close(out, want, dtype)
    close(lse, want_lse, dtype)
    for got, kept in zip(caches, wanted, strict=True):
        close(got, kept.astype(np.float64), dtype)


def test_attention_without_rope_puts_the_queries_last() -> None:
    q, k, v = normal(1, 1, 4, 20, 64), normal(2, 1, 2, 75, 64), normal(3, 1, 2, 75, 64)
    out = np.full_like(q, np.nan)
    attention(q, k, v, out, 0.125)
    close(out, reference.attention(q, k, v, scale=0.125)[0])


def test_a_transposed_layout_needs_no_copy() -> None:
    """Engines keep heads after positions; the kernels take any outer strides."""
    q, k, v = (normal(s, 1, 50, h, 64).swapaxes(1, 2) for s, h in ((1, 4), (2, 2), (3, 2)))
    cos, sin = rope_tables(50, 64)
    out = np.full((1, 50, 4, 64), np.nan, np.float32).swapaxes(1, 2)
    rope_attention(q, k, v, cos, sin, out, 0.125)
    close(out, expected(q, k, v, cos, sin, scale=0.125)[0])


@pytest.mark.parametrize("interleaved", [False, True])
def test_rope_alone_may_work_in_place(interleaved: bool) -> None:
    x = normal(1, 2, 3, 41, 96)
    cos, sin = rope_tables(60, 64)
    want = reference.rope(x, cos, sin, positions=np.arange(41) + 7, interleaved=interleaved)
    rope(x, cos, sin, x, start=7, INTERLEAVED=interleaved)
    close(x, want)


def test_results_are_the_same_every_time() -> None:
    q, k, v = normal(1, 1, 4, 200, 64), normal(2, 1, 2, 200, 64), normal(3, 1, 2, 200, 64)
    cos, sin = rope_tables(200, 64)
    outs = [np.empty_like(q) for _ in range(5)]
    for out in outs:
        rope_attention(q, k, v, cos, sin, out, 0.125)
    assert all(np.array_equal(outs[0], out) for out in outs)


@pytest.mark.parametrize("wrong", [-1, 40, 2**31 - 1])
def test_a_position_id_outside_of_the_tables_fails_the_kernel(wrong: int) -> None:
    x = normal(1, 1, 2, 20, 64)
    cos, sin = rope_tables(40, 64)
    ids = np.arange(20, dtype=np.int32)[None]
    ids[0, 7] = wrong
    with pytest.raises(KernelAssertError):
        rope(x, cos, sin, np.empty_like(x), ids)


def test_tables_must_reach_the_last_position() -> None:
    x = normal(1, 1, 2, 20, 64)
    cos, sin = rope_tables(24, 64)
    rope(x, cos, sin, np.empty_like(x), start=4)
    with pytest.raises(RelationError, match="start = 5"):
        rope(x, cos, sin, np.empty_like(x), start=5)
    q, k = normal(1, 1, 2, 30, 64), normal(2, 1, 1, 30, 64)
    with pytest.raises(RelationError):
        rope_attention(q, k, k, cos, sin, np.empty_like(q), 0.1)
    cache = normal(3, 1, 1, 90, 64)
    with pytest.raises(RelationError):
        rope_attention_prefill(q, k, k, cos, sin, cache, cache.copy(), np.empty_like(q), 0.1)
