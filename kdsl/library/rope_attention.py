"""RoPE and attention in one call: whole sequences, prompts over a cache, and single tokens.

Shapes and options are those of ``kdsl.library.attention`` and ``kdsl.library.rope``. Keys are
rotated once, on their way to the cache (or to a workspace); queries are rotated where attention
loads them.
"""

from typing import Any

import kdsl as kd
from kdsl import Const, Tensor, f16, f32, i32
from kdsl.library.attention import attend, attention_blocks
from kdsl.library.rope import angles, rope, rope_and_pack, rotate
from kdsl.library.tiles import attention_tiles

B, Hq, Hkv, M, N, P = kd.dims("B Hq Hkv M N P")
D, R = kd.const_dims("D R")
T = kd.dtype_var("T", kd.f32, kd.bf16, kd.f16)


def packs(dtype: Any, half: int, interleaved: bool) -> bool:
    """Say whether the angles of queries are packed, and rounded to f16, for a chip's matrix unit.

    Queries and keys in bf16 round eight times as coarsely; in f16 they would not. Interleaved pairs
    lie in other places of the unit's operands than their angles in a packed row.
    """
    unit = kd.features().matrix_rows
    return bool(unit) and dtype.name == "bf16" and half % 8 == 0 and not interleaved


@kd.export
@kd.program(require=["Hq % Hkv == 0"])
def rope_attention(
    q: Tensor[T, B, Hq, M, D],
    k: Tensor[T, B, Hkv, M, D],
    v: Tensor[T, B, Hkv, M, D],
    cos: Tensor[f32, P, R],
    sin: Tensor[f32, P, R],
    out: Tensor[T, B, Hq, M, D],
    scale: f32,
    lse: Tensor[f32, B, Hq, M] | None = None,
    positions: Tensor[i32, B, M] | None = None,
    *,
    CAUSAL: Const[bool] = True,
    WINDOW: Const[int] = 0,
    SOFTCAP: Const[float] = 0.0,
    INTERLEAVED: Const[bool] = False,
    BM: Const[int] = 0,
    BN: Const[int] = 0,
) -> None:
    """Attend over whole sequences that start at position 0, without a cache.

    ``scale`` is positive.
    """
    assert scale > 0.0, "the scale of attention must be positive"
    rows_of_q, rows_of_k = attention_tiles(q.shape[3], q.dtype)
    if positions is None:
        kd.require(q.shape[2] <= cos.shape[0])
    batch, heads, rows, size = k.shape
    rotated = kd.workspace(T, (batch, heads, rows, size))
    packed = None
    if positions is None and packs(q.dtype, cos.shape[1], INTERLEAVED):
        packed = kd.workspace(f16, (rows, 2 * cos.shape[1]))
        rope_and_pack(k, cos, sin, rotated, packed, 0, INTERLEAVED=INTERLEAVED)
    else:
        rope(k, cos, sin, rotated, positions, 0, INTERLEAVED=INTERLEAVED)
    attention_blocks(
        q, rotated, v, out, lse, cos, sin, packed, positions, 0, rows, scale,
        CAUSAL=CAUSAL, WINDOW=WINDOW, SOFTCAP=SOFTCAP, INTERLEAVED=INTERLEAVED,
        BM=BM or rows_of_q, BN=BN or rows_of_k,
    )  # fmt: skip


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BR), d.Hkv, d.B))
def append_rotated(
    k: Tensor[T, B, Hkv, M, D],
    v: Tensor[T, B, Hkv, M, D],
    cos: Tensor[f32, P, R],
    sin: Tensor[f32, P, R],
    k_cache: Tensor[T, B, Hkv, N, D],
    v_cache: Tensor[T, B, Hkv, N, D],
    positions: Tensor[i32, B, M] | None,
    start: i32,
    *,
    INTERLEAVED: Const[bool] = False,
    BR: Const[int] = 32,
) -> None:
    """Write keys, rotated, and values to rows ``start`` on of the caches."""
    b, h = kd.program_id(2), kd.program_id(1)
    rows = kd.span(kd.program_id(0), BR, stop=k.shape[2])
    at = kd.span_at(rows.start + start, BR, stop=rows.stop + start)
    c, s = angles(cos, sin, positions, b, rows, start)
    turned = rotate(k[b, h, rows].load().to(f32), c, s, INTERLEAVED)
    k_cache[b, h, at].store(turned.to(T))
    v_cache[b, h, at].store(v[b, h, rows].load())


@kd.export
@kd.program(require=["Hq % Hkv == 0", "start >= 0", "start + M <= N"])
def rope_attention_prefill(
    q: Tensor[T, B, Hq, M, D],
    k: Tensor[T, B, Hkv, M, D],
    v: Tensor[T, B, Hkv, M, D],
    cos: Tensor[f32, P, R],
    sin: Tensor[f32, P, R],
    k_cache: Tensor[T, B, Hkv, N, D],
    v_cache: Tensor[T, B, Hkv, N, D],
    out: Tensor[T, B, Hq, M, D],
    scale: f32,
    start: i32 = 0,
    lse: Tensor[f32, B, Hq, M] | None = None,
    positions: Tensor[i32, B, M] | None = None,
    *,
    CAUSAL: Const[bool] = True,
    WINDOW: Const[int] = 0,
    SOFTCAP: Const[float] = 0.0,
    INTERLEAVED: Const[bool] = False,
    BM: Const[int] = 0,
    BN: Const[int] = 0,
) -> None:
    """Append M tokens at ``start`` to the caches and attend to everything cached so far.

    ``scale`` is positive.
    """
    assert scale > 0.0, "the scale of attention must be positive"
    rows_of_q, rows_of_k = attention_tiles(q.shape[3], q.dtype)
    if positions is None:
        kd.require(start + q.shape[2] <= cos.shape[0])
    append_rotated(k, v, cos, sin, k_cache, v_cache, positions, start, INTERLEAVED=INTERLEAVED)
    attention_blocks(
        q, k_cache, v_cache, out, lse, cos, sin, None, positions, start, start + q.shape[2], scale,
        CAUSAL=CAUSAL, WINDOW=WINDOW, SOFTCAP=SOFTCAP, INTERLEAVED=INTERLEAVED,
        BM=BM or rows_of_q, BN=BN or rows_of_k,
    )  # fmt: skip


@kd.export
@kd.kernel(
    grid=lambda d: (d.Hkv, d.B, 1),
    require=["Hq == G * Hkv"],
)
def rope_attention_decode(
    q: Tensor[T, B, Hq, D],
    k: Tensor[T, B, Hkv, D],
    v: Tensor[T, B, Hkv, D],
    cos: Tensor[f32, P, R],
    sin: Tensor[f32, P, R],
    k_cache: Tensor[T, B, Hkv, N, D],
    v_cache: Tensor[T, B, Hkv, N, D],
    position: Tensor[i32, B],
    out: Tensor[T, B, Hq, D],
    scale: f32,
    lse: Tensor[f32, B, Hq] | None = None,
    *,
    G: Const[int] = Hq // Hkv,
    WINDOW: Const[int] = 0,
    SOFTCAP: Const[float] = 0.0,
    INTERLEAVED: Const[bool] = False,
    BN: Const[int] = 128,
) -> None:
    """Append one token for each sequence at its ``position`` and attend up to it.

    ``G`` is the number of query heads for each key head. One program does one key head of one
    sequence; a position outside of the caches or the tables, or a ``scale`` that is not positive,
    fails the kernel's assertion before anything is written.
    """
    hk, b = kd.program_id(0), kd.program_id(1)
    at = position[b].to(kd.index)
    assert (at >= 0) & (at < k_cache.shape[2]) & (at < cos.shape[0]) & (scale > 0.0)
    here = kd.span_at(at, 1, stop=at + 1)
    heads = kd.span(hk, G, stop=q.shape[1])
    one = kd.span_at(hk, 1, stop=hk + 1)
    c, s = cos[here].load(), sin[here].load()
    k_cache[b, hk, here].store(rotate(k[b, one].load().to(f32), c, s, INTERLEAVED).to(T))
    v_cache[b, hk, here].store(v[b, one].load())
    x = rotate(q[b, heads].load().to(f32), c, s, INTERLEAVED)
    first = kd.maximum(0, at + 1 - WINDOW) // BN if WINDOW > 0 else 0
    row = kd.full((G,), at, kd.index)
    o, e = attend(
        x.to(T),
        k_cache[b, hk],
        v_cache[b, hk],
        row,
        0,
        first,
        kd.cdiv(at + 1, BN),
        at + 1,
        scale,
        False,
        WINDOW,
        SOFTCAP,
        BN,
    )
    out[b, heads].store(o.to(T))
    if lse is not None:
        lse[b, heads].store(e * kd.LN2)
