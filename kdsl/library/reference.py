"""What the library's kernels mean: NumPy, in the precision asked for, written to be read.

Heads come before positions: q is ``[..., Hq, M, D]``, k and v are ``[..., Hkv, N, D]``, and query
head h reads key head ``h // (Hq / Hkv)``. Every function computes in ``dtype`` (f64 unless told)
and returns it; inputs of any float dtype, bf16 included, are widened exactly.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from kdsl.errors import RelationError

Array = NDArray[Any]


def rms_norm(
    x: ArrayLike, weight: ArrayLike, eps: float = 1e-5, *, dtype: DTypeLike = np.float64
) -> Array:
    """Divide each row by its root mean square and scale it (arXiv:1910.07467, eq. 4)."""
    x, weight = np.asarray(x, dtype), np.asarray(weight, dtype)
    mean = np.mean(x * x, axis=-1, keepdims=True, dtype=dtype)
    return np.asarray(x / np.sqrt(mean + np.asarray(eps, dtype)) * weight)


def silu_mul(gate: ArrayLike, up: ArrayLike, *, dtype: DTypeLike = np.float64) -> Array:
    """Return ``gate * sigmoid(gate) * up`` (SwiGLU, arXiv:2002.05202, eq. 5)."""
    gate, up = np.asarray(gate, dtype), np.asarray(up, dtype)
    # exp of a non-positive number cannot overflow, whichever sign the gate has.
    small = np.exp(-np.abs(gate))
    return np.asarray(gate * np.where(gate >= 0, 1, small) / (1 + small) * up)


def rope(
    x: ArrayLike,
    cos: ArrayLike,
    sin: ArrayLike,
    *,
    positions: ArrayLike | None = None,
    interleaved: bool = False,
    dtype: DTypeLike = np.float64,
) -> Array:
    """Turn the pairs of ``x`` ``[..., T, D]`` by the angles of their positions (arXiv:2104.09864).

    ``cos`` and ``sin`` are ``[P, R / 2]``, ``R <= D``: elements from R on are left alone. A pair is
    ``(i, i + R / 2)``, or ``(2 i, 2 i + 1)`` when interleaved. ``positions`` are rows of the tables
    and broadcast to ``x.shape[:-1]``; by default row t belongs to position t of ``x``.
    """
    x, cos, sin = (np.asarray(value, dtype) for value in (x, cos, sin))
    rows = np.arange(x.shape[-2]) if positions is None else np.asarray(positions)
    rotated = 2 * cos.shape[-1]
    _require("R <= D", holds=rotated <= x.shape[-1], R=rotated, D=x.shape[-1])
    _require_rows(rows, len(cos))
    c, s = cos[rows], sin[rows]
    first, second = _pairs(rotated, interleaved=interleaved)
    out = x.copy()
    out[..., first] = x[..., first] * c - x[..., second] * s
    out[..., second] = x[..., second] * c + x[..., first] * s
    return out


def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    scale: float | None = None,
    causal: bool = True,
    window: int | None = None,
    softcap: float | None = None,
    offset: int | None = None,
    dtype: DTypeLike = np.float64,
) -> tuple[Array, Array]:
    """Return softmax(scale q k^T) v ``[..., Hq, M, Dv]`` and the log-sum-exp ``[..., Hq, M]``.

    ``offset`` is the position of the first query, key j having position j; by default the queries
    are the last M positions. ``causal`` hides later keys; ``window`` hides keys that are that many
    or more positions away, on either side; ``softcap`` c replaces a score s by ``c tanh(s / c)``
    before masking (arXiv:2408.00118, section 2). Logarithms are natural; no visible key
    gives 0 and -inf.
    """
    q, k, v = (np.asarray(value, dtype) for value in (q, k, v))
    *batch, q_heads, rows, size = q.shape
    kv_heads, keys = k.shape[-3:-1]
    _require("Hq % Hkv == 0", holds=q_heads % kv_heads == 0, Hq=q_heads, Hkv=kv_heads)
    _require("q.D == k.D", holds=size == k.shape[-1], **{"q.D": size, "k.D": k.shape[-1]})
    _require("k.N == v.N", holds=keys == v.shape[-2], **{"k.N": keys, "v.N": v.shape[-2]})
    group = q_heads // kv_heads
    first = keys - rows if offset is None else offset
    visible = _visible(first + np.arange(rows), np.arange(keys), causal=causal, window=window)
    factor = np.asarray(1 / math.sqrt(size) if scale is None else scale, dtype)
    out = np.empty((*batch, q_heads, rows, v.shape[-1]), dtype)
    lse = np.empty((*batch, q_heads, rows), dtype)
    # One group of heads at a time: scores of all heads at once would take gigabytes.
    for index in np.ndindex(*batch, kv_heads):
        *lead, head = index
        heads = (*lead, slice(head * group, (head + 1) * group))
        scores = (q[heads] * factor) @ k[index].T
        if softcap is not None:
            scores = softcap * np.tanh(scores / np.asarray(softcap, dtype))
        out[heads], lse[heads] = _softmax_times(scores, visible, v[index])
    return out, lse


def append_to_cache(new: ArrayLike, cache: Array, start: int) -> None:
    """Write ``new`` ``[..., Hkv, T, D]`` to positions ``start`` on of ``[..., Hkv, N, D]``."""
    rows, capacity = np.shape(new)[-2], cache.shape[-2]
    fits = 0 <= start <= capacity - rows
    _require("0 <= start <= N - T", holds=fits, start=start, T=rows, N=capacity)
    cache[..., start : start + rows, :] = new


def rope_attention_prefill(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cos: ArrayLike,
    sin: ArrayLike,
    k_cache: Array,
    v_cache: Array,
    *,
    start: int = 0,
    interleaved: bool = False,
    scale: float | None = None,
    causal: bool = True,
    window: int | None = None,
    softcap: float | None = None,
    dtype: DTypeLike = np.float64,
) -> tuple[Array, Array]:
    """Append T rotated keys and T values at ``start``, then attend to all cached so far.

    q is ``[..., Hq, T, D]``, k and v ``[..., Hkv, T, D]``, the caches ``[..., Hkv, N, D]``. Returns
    the output and the log-sum-exp of ``attention``. Attention reads keys and values back from the
    cache, so a bf16 cache rounds them as it does on a machine.
    """
    rows = np.shape(q)[-2]
    positions = start + np.arange(rows)
    turned = rope(q, cos, sin, positions=positions, interleaved=interleaved, dtype=dtype)
    keys = rope(k, cos, sin, positions=positions, interleaved=interleaved, dtype=dtype)
    append_to_cache(keys, k_cache, start)
    append_to_cache(v, v_cache, start)
    return attention(
        turned,
        k_cache[..., : start + rows, :],
        v_cache[..., : start + rows, :],
        scale=scale,
        causal=causal,
        window=window,
        softcap=softcap,
        offset=start,
        dtype=dtype,
    )


def rope_attention_decode(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cos: ArrayLike,
    sin: ArrayLike,
    k_cache: Array,
    v_cache: Array,
    position: ArrayLike,
    *,
    interleaved: bool = False,
    scale: float | None = None,
    window: int | None = None,
    softcap: float | None = None,
    dtype: DTypeLike = np.float64,
) -> tuple[Array, Array]:
    """Append one key and value per sequence at its ``position``, then attend up to it.

    q is ``[B, Hq, D]``, k and v ``[B, Hkv, D]``, the caches ``[B, Hkv, N, D]``; ``position`` is one
    int or ``[B]``. Returns ``[B, Hq, D]`` and the log-sum-exp ``[B, Hq]``.
    """
    q, k, v = np.asarray(q), np.asarray(k), np.asarray(v)
    out = np.empty(q.shape[:-1] + v.shape[-1:], dtype)
    lse = np.empty(q.shape[:-1], dtype)
    for sequence, at in enumerate(np.broadcast_to(position, q.shape[:1]).tolist()):
        row, row_lse = rope_attention_prefill(
            q[sequence, :, None],
            k[sequence, :, None],
            v[sequence, :, None],
            cos,
            sin,
            k_cache[sequence],
            v_cache[sequence],
            start=at,
            interleaved=interleaved,
            scale=scale,
            window=window,
            softcap=softcap,
            dtype=dtype,
        )
        out[sequence], lse[sequence] = row[:, 0], row_lse[:, 0]
    return out, lse


def _pairs(rotated: int, *, interleaved: bool) -> tuple[slice, slice]:
    if interleaved:
        return slice(0, rotated, 2), slice(1, rotated, 2)
    return slice(0, rotated // 2), slice(rotated // 2, rotated)


def _visible(queries: Array, keys: Array, *, causal: bool, window: int | None) -> Array:
    """Return ``[M, N]`` bools: which query position may read which key position."""
    distance = queries[:, None] - keys[None, :]
    visible = distance >= 0 if causal else np.ones(distance.shape, np.bool_)
    return visible if window is None else visible & (np.abs(distance) < window)


def _softmax_times(scores: Array, visible: Array, v: Array) -> tuple[Array, Array]:
    """Return softmax over visible scores times ``v``, and the log-sum-exp, of one head group."""
    scores = np.where(visible, scores, -np.inf)
    top = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = np.sum(weights, axis=-1, keepdims=True)
    empty = total == 0
    out = (weights @ v) / np.where(empty, 1, total)
    lse = np.where(empty, -np.inf, np.log(np.where(empty, 1, total)) + top)
    return out, lse[..., 0]


def _require_rows(rows: Array, count: int) -> None:
    low, high = (int(rows.min()), int(rows.max())) if rows.size else (0, -1)
    _require("0 <= position < P", holds=low >= 0 and high < count, first=low, last=high, P=count)


def _require(relation: str, *, holds: bool, **values: object) -> None:
    if not holds:
        shown = ", ".join(f"{name} = {value}" for name, value in values.items())
        raise RelationError(kernel="reference", relation=relation, values=shown)
