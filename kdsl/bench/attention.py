"""Cases of the RoPE-attention library: inputs, references, work counts and peers."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from kdsl.bench.case import Arrays, Case
from kdsl.library import reference
from kdsl.library.rope_tables import rope_tables

Array = NDArray[Any]

NUMPY_DTYPES: dict[str, Any] = {"f32": np.float32, "bf16": ml_dtypes.bfloat16, "f16": np.float16}
TOLERANCES = {"f32": 2e-5, "bf16": 2e-2, "f16": 3e-3}
"""Largest error relative to the largest output: rounded outputs and probabilities."""


def _normal(rng: np.random.Generator, dtype: str, *shape: int) -> Array:
    return rng.standard_normal(shape, dtype=np.float32).astype(NUMPY_DTYPES[dtype])


def prefill_case(
    heads: int, kv_heads: int, rows: int, size: int, dtype: str, batch: int = 1
) -> Case:
    """Return causal RoPE-attention over a prompt: 2 H S^2 D flops, the masked half left out."""

    def inputs() -> dict[str, Any]:
        rng = np.random.default_rng(7)
        cos, sin = rope_tables(rows, size)
        return {
            "q": _normal(rng, dtype, batch, heads, rows, size),
            "k": _normal(rng, dtype, batch, kv_heads, rows, size),
            "v": _normal(rng, dtype, batch, kv_heads, rows, size),
            "cos": cos,
            "sin": sin,
            "out": np.zeros((batch, heads, rows, size), NUMPY_DTYPES[dtype]),
            "scale": 1.0 / math.sqrt(size),
        }

    return Case(
        entry="rope_attention",
        shape=f"{heads}/{kv_heads} heads, {rows} x {size}",
        dtype=dtype,
        inputs=inputs,
        reference=_prefill_reference,
        tolerance=TOLERANCES[dtype],
        flops=2.0 * batch * heads * rows * rows * size,
        peers={"numpy": _numpy_prefill, "torch": _torch_prefill},
    )


def _prefill_reference(
    q: Array, k: Array, v: Array, cos: Array, sin: Array, **_: Any
) -> dict[str, Array]:
    turned, keys = reference.rope(q, cos, sin), reference.rope(k, cos, sin)
    return {"out": reference.attention(turned, keys, v)[0]}


def _numpy_prefill(given: Arrays) -> Any:
    q, k, v, cos, sin = (given[name] for name in ("q", "k", "v", "cos", "sin"))

    def run() -> object:
        turned = reference.rope(q, cos, sin, dtype=np.float32)
        keys = reference.rope(k, cos, sin, dtype=np.float32)
        return reference.attention(turned, keys, v, dtype=np.float32)

    return run


def _torch_tensor(torch: Any, array: Array) -> Any:
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _torch_rope(torch: Any, x: Any, cos: Any, sin: Any) -> Any:
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def _torch_prefill(given: Arrays) -> Any:
    import torch

    q, k, v = (_torch_tensor(torch, given[name]) for name in ("q", "k", "v"))
    cos, sin = (torch.from_numpy(given[name]).to(q.dtype) for name in ("cos", "sin"))
    attention = torch.nn.functional.scaled_dot_product_attention

    def run() -> object:
        turned, keys = _torch_rope(torch, q, cos, sin), _torch_rope(torch, k, cos, sin)
        return attention(turned, keys, v, is_causal=True, enable_gqa=True)

    return run


# ---------------------------------------------------------------------------------------- decode


def decode_case(batch: int, heads: int, kv_heads: int, cached: int, size: int, dtype: str) -> Case:
    """Return one token for each of ``batch`` sequences; bytes are those of the caches read."""

    def inputs() -> dict[str, Any]:
        rng = np.random.default_rng(7)
        cos, sin = rope_tables(cached, size)
        return {
            "q": _normal(rng, dtype, batch, heads, size),
            "k": _normal(rng, dtype, batch, kv_heads, size),
            "v": _normal(rng, dtype, batch, kv_heads, size),
            "cos": cos,
            "sin": sin,
            "k_cache": _normal(rng, dtype, batch, kv_heads, cached, size),
            "v_cache": _normal(rng, dtype, batch, kv_heads, cached, size),
            "position": np.full(batch, cached - 1, np.int32),
            "out": np.zeros((batch, heads, size), NUMPY_DTYPES[dtype]),
            "scale": 1.0 / math.sqrt(size),
        }

    return Case(
        entry="rope_attention_decode",
        shape=f"{heads}/{kv_heads} heads, batch {batch}, {cached} x {size}",
        dtype=dtype,
        inputs=inputs,
        reference=_decode_reference,
        tolerance=TOLERANCES[dtype],
        reads_only=True,
        bytes=2.0 * batch * kv_heads * cached * size * np.dtype(NUMPY_DTYPES[dtype]).itemsize,
        peers={"numpy": _numpy_decode, "torch": _torch_decode},
    )


def _decode_reference(
    q: Array,
    k: Array,
    v: Array,
    cos: Array,
    sin: Array,
    k_cache: Array,
    v_cache: Array,
    position: Array,
    **_: Any,
) -> dict[str, Array]:
    out, _lse = reference.rope_attention_decode(q, k, v, cos, sin, k_cache, v_cache, position)
    return {
        "out": out,
        "k_cache": k_cache.astype(np.float64),
        "v_cache": v_cache.astype(np.float64),
    }


def _numpy_decode(given: Arrays) -> Any:
    names = ("q", "k", "v", "cos", "sin", "k_cache", "v_cache", "position")
    values = [given[name] for name in names]
    return lambda: reference.rope_attention_decode(*values, dtype=np.float32)


def _torch_decode(given: Arrays) -> Any:
    import torch

    q, k, v = (_torch_tensor(torch, given[name])[:, :, None] for name in ("q", "k", "v"))
    k_cache, v_cache = (_torch_tensor(torch, given[name]) for name in ("k_cache", "v_cache"))
    cos, sin = (torch.from_numpy(given[name]).to(q.dtype) for name in ("cos", "sin"))
    at = int(given["position"][0])
    attention = torch.nn.functional.scaled_dot_product_attention

    def run() -> object:
        k_cache[:, :, at : at + 1] = _torch_rope(torch, k, cos[at], sin[at])
        v_cache[:, :, at : at + 1] = v
        turned = _torch_rope(torch, q, cos[at], sin[at])
        return attention(turned, k_cache[:, :, : at + 1], v_cache[:, :, : at + 1], enable_gqa=True)

    return run
