"""Attention over sequences of different lengths that lie one after the other, without padding.

q is ``[Hq, T, D]``, k and v ``[Hkv, T, D]``; sequence s owns the rows ``starts[s]`` to
``starts[s + 1]`` - 1. ``longest`` is at least the length of the longest sequence. Options are those
of ``kdsl.library.attention``.
"""

import kdsl as kd
from kdsl import Const, Tensor, f32, i32
from kdsl.library.attention import attend, key_blocks
from kdsl.library.rope import rotate
from kdsl.library.tiles import attention_tiles

Hq, Hkv, L, S, P = kd.dims("Hq Hkv L S P")
D, R = kd.const_dims("D R")
T = kd.dtype_var("T", kd.f32, kd.bf16, kd.f16)


@kd.func
def bounds(starts, sequence, total):
    """Return the first row of a sequence and its length, and that they lie inside the buffers."""
    begin, end = starts[sequence].to(kd.index), starts[sequence + 1].to(kd.index)
    assert (begin >= 0) & (begin <= end) & (end <= total), "starts are not ascending row numbers"
    return begin, end - begin


@kd.func
def turned(x, cos, sin, first, interleaved):
    """Rotate the rows of ``x``, positions ``first`` on, in f32."""
    rows = x.shape[0]
    at = kd.span_at(first, rows, stop=cos.shape[0])
    return rotate(x.to(f32), cos[at].load(), sin[at].load(), interleaved)


@kd.kernel(grid=lambda d: (kd.cdiv(d.longest, d.BM), d.Hq, d.S - 1))
def packed_blocks(
    q: Tensor[T, Hq, L, D],
    k: Tensor[T, Hkv, L, D],
    v: Tensor[T, Hkv, L, D],
    starts: Tensor[i32, S],
    out: Tensor[T, Hq, L, D],
    lse: Tensor[f32, Hq, L] | None,
    cos: Tensor[f32, P, R] | None,
    sin: Tensor[f32, P, R] | None,
    longest: i32,
    scale: f32,
    *,
    CAUSAL: Const[bool],
    WINDOW: Const[int],
    SOFTCAP: Const[float],
    INTERLEAVED: Const[bool],
    BM: Const[int],
    BN: Const[int],
) -> None:
    """Attend with one block of queries of one head of one sequence."""
    block = kd.num_programs(0) - 1 - kd.program_id(0)  # the longest rows first
    h = kd.program_id(1)
    hk = h // (q.shape[0] // k.shape[0])
    origin, length = bounds(starts, kd.program_id(2), q.shape[1])
    assert length <= longest, "a sequence is longer than said"
    low = block * BM
    if low < length:
        rows = kd.span_at(origin + low, BM, stop=origin + length)
        x = q[h, rows].load()
        if cos is not None:
            x = turned(x, cos, sin, low, INTERLEAVED).to(T)
        high = kd.minimum(low + BM, length)
        first, last = key_blocks(low, high, length, CAUSAL, WINDOW, BN)
        row = low + kd.iota(BM, kd.index)
        o, e = attend(
            x, k[hk], v[hk], row, origin, first, last, length, scale, CAUSAL, WINDOW, SOFTCAP, BN
        )
        out[h, rows].store(o.to(T))
        if lse is not None:
            lse[h, rows].store(e * kd.LN2)


@kd.kernel(grid=lambda d: (kd.cdiv(d.longest, d.BM), d.Hkv, d.S - 1))
def packed_rope(
    x: Tensor[T, Hkv, L, D],
    starts: Tensor[i32, S],
    cos: Tensor[f32, P, R],
    sin: Tensor[f32, P, R],
    out: Tensor[T, Hkv, L, D],
    longest: i32,
    *,
    INTERLEAVED: Const[bool],
    BM: Const[int] = 32,
) -> None:
    """Write the rows of every sequence rotated; row m of a sequence has position m."""
    origin, length = bounds(starts, kd.program_id(2), x.shape[1])
    assert length <= cos.shape[0], "a sequence is longer than the tables"
    h, low = kd.program_id(1), kd.program_id(0) * BM
    rows = kd.span_at(origin + low, BM, stop=origin + length)
    out[h, rows].store(turned(x[h, rows].load(), cos, sin, low, INTERLEAVED).to(T))


@kd.export
@kd.program(require=["Hq % Hkv == 0", "S >= 1", "longest >= 0"])
def attention_varlen(
    q: Tensor[T, Hq, L, D],
    k: Tensor[T, Hkv, L, D],
    v: Tensor[T, Hkv, L, D],
    starts: Tensor[i32, S],
    out: Tensor[T, Hq, L, D],
    longest: i32,
    scale: f32,
    lse: Tensor[f32, Hq, L] | None = None,
    *,
    CAUSAL: Const[bool] = True,
    WINDOW: Const[int] = 0,
    SOFTCAP: Const[float] = 0.0,
    BM: Const[int] = 0,
    BN: Const[int] = 0,
) -> None:
    """Attend within each sequence; rows of no sequence are not written. ``scale`` is positive."""
    assert scale > 0.0, "the scale of attention must be positive"
    rows_of_q, rows_of_k = attention_tiles(q.shape[2], q.dtype, packed=True)
    packed_blocks(
        q, k, v, starts, out, lse, None, None, longest, scale,
        CAUSAL=CAUSAL, WINDOW=WINDOW, SOFTCAP=SOFTCAP, INTERLEAVED=False,
        BM=BM or rows_of_q, BN=BN or rows_of_k,
    )  # fmt: skip


@kd.export
@kd.program(require=["Hq % Hkv == 0", "S >= 1", "longest >= 0"])
def rope_attention_varlen(
    q: Tensor[T, Hq, L, D],
    k: Tensor[T, Hkv, L, D],
    v: Tensor[T, Hkv, L, D],
    starts: Tensor[i32, S],
    cos: Tensor[f32, P, R],
    sin: Tensor[f32, P, R],
    out: Tensor[T, Hq, L, D],
    longest: i32,
    scale: f32,
    lse: Tensor[f32, Hq, L] | None = None,
    *,
    CAUSAL: Const[bool] = True,
    WINDOW: Const[int] = 0,
    SOFTCAP: Const[float] = 0.0,
    INTERLEAVED: Const[bool] = False,
    BM: Const[int] = 0,
    BN: Const[int] = 0,
) -> None:
    """Rotate q and k and attend within each sequence. ``scale`` is positive."""
    assert scale > 0.0, "the scale of attention must be positive"
    rows_of_q, rows_of_k = attention_tiles(q.shape[2], q.dtype, packed=True)
    heads, rows, size = k.shape
    rotated = kd.workspace(T, (heads, rows, size))
    packed_rope(k, starts, cos, sin, rotated, longest, INTERLEAVED=INTERLEAVED)
    packed_blocks(
        q, rotated, v, starts, out, lse, cos, sin, longest, scale,
        CAUSAL=CAUSAL, WINDOW=WINDOW, SOFTCAP=SOFTCAP, INTERLEAVED=INTERLEAVED,
        BM=BM or rows_of_q, BN=BN or rows_of_k,
    )  # fmt: skip
