"""Attention as one streaming pass over the keys, with RoPE on the queries when tables are given.

Heads come before positions: q is ``[B, Hq, M, D]``, k and v ``[B, Hkv, N, D]``; query head h reads
key head ``h // (Hq / Hkv)``. The running maximum, sum and output of a block of queries stay in
registers and cache (online softmax, arXiv:1805.02867; blocks of keys, arXiv:2205.14135).
"""

import kdsl as kd
from kdsl import Const, Tensor, f32, i32
from kdsl.library.rope import angles, rotate

B, Hq, Hkv, M, N, P = kd.dims("B Hq Hkv M N P")
D, R = kd.const_dims("D R")
T = kd.dtype_var("T", kd.f32, kd.bf16, kd.f16)


@kd.func
def visible(row, col, causal, window):
    """Say which positions ``row`` may read positions ``col``; ``window`` 0 is unbounded."""
    keep = None
    if causal:
        keep = row >= col
    if window > 0:
        near = row - col < window
        keep = near if keep is None else keep & near
        if not causal:
            keep = keep & (col - row < window)
    return keep


@kd.func
def attend(q, k, v, row, first, last, length, causal, window, softcap, block):
    """Stream keys ``first`` to ``last`` (blocks of ``block``) past the query tile ``q``.

    ``q`` is ``[rows, D]`` times scale (and log2 e, without a softcap); ``row`` are the positions of
    its rows; keys from ``length`` on do not exist. Returns the output tile (f32) and the base-2
    log-sum-exp.
    """
    rows, size = q.shape
    top = kd.full((rows,), -kd.inf, f32)
    total = kd.zeros((rows,), f32)
    acc = kd.zeros((rows, size), f32)
    for j in kd.range(first, last, stages=2):
        cols = kd.span(j, block, stop=length)
        s = kd.dot(q, k[cols].load().T)
        if softcap > 0:
            s = kd.tanh(s * (1.0 / softcap)) * (softcap * kd.LOG2E)
        keep = cols.mask[None, :]
        near = visible(row[:, None], cols.index[None, :], causal, window)
        if near is not None:
            keep = keep & near
        s = kd.where(keep, s, -kd.inf)
        higher = kd.maximum(top, s.max(axis=1))
        base = kd.where(higher == -kd.inf, 0.0, higher)
        p = kd.exp2(s - base[:, None])
        shrink = kd.exp2(top - base)
        total = total * shrink + p.sum(axis=1)
        acc = kd.dot(p.to(v.dtype), v[cols].load(), acc=acc * shrink[:, None])
        top = higher
    out = acc * kd.where(total > 0.0, 1.0 / total, 0.0)[:, None]
    return out, top + kd.log2(total)


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), d.Hq, d.B))
def attention_blocks(
    q: Tensor[T, B, Hq, M, D],
    k: Tensor[T, B, Hkv, N, D],
    v: Tensor[T, B, Hkv, N, D],
    out: Tensor[T, B, Hq, M, D],
    lse: Tensor[f32, B, Hq, M] | None,
    cos: Tensor[f32, P, R] | None,
    sin: Tensor[f32, P, R] | None,
    positions: Tensor[i32, B, M] | None,
    start: i32,
    length: i32,
    scale: f32,
    *,
    CAUSAL: Const[bool] = True,
    WINDOW: Const[int] = 0,
    SOFTCAP: Const[float] = 0.0,
    INTERLEAVED: Const[bool] = False,
    BM: Const[int] = 64,
    BN: Const[int] = 64,
) -> None:
    """Attend with one block of queries of one head; query m has position ``start + m``.

    Keys 0 to ``length`` exist and are rotated. Positions decide what a query may read; position ids
    only choose the angles.
    """
    block = kd.num_programs(0) - 1 - kd.program_id(0)  # the longest rows first
    h, b = kd.program_id(1), kd.program_id(2)
    hk = h // (q.shape[1] // k.shape[1])
    rows = kd.span(block, BM, stop=q.shape[2])
    x = q[b, h, rows].load().to(f32)
    if cos is not None:
        c, s = angles(cos, sin, positions, b, rows, start)
        x = rotate(x, c, s, INTERLEAVED)
    x = x * (scale if SOFTCAP > 0 else scale * kd.LOG2E)
    first, last = 0, kd.cdiv(length, BN)
    if CAUSAL:
        last = kd.cdiv(kd.minimum(length, start + rows.stop), BN)
    if WINDOW > 0:
        first = kd.maximum(0, start + rows.start - WINDOW + 1) // BN
        if not CAUSAL:
            last = kd.minimum(last, kd.cdiv(start + rows.stop + WINDOW - 1, BN))
    o, e = attend(
        x.to(T),
        k[b, hk],
        v[b, hk],
        start + rows.index,
        first,
        last,
        length,
        CAUSAL,
        WINDOW,
        SOFTCAP,
        BN,
    )
    out[b, h, rows].store(o.to(T))
    if lse is not None:
        lse[b, h, rows].store(e * kd.LN2)


@kd.export
@kd.program(require=["Hq % Hkv == 0"])
def attention(
    q: Tensor[T, B, Hq, M, D],
    k: Tensor[T, B, Hkv, N, D],
    v: Tensor[T, B, Hkv, N, D],
    out: Tensor[T, B, Hq, M, D],
    scale: f32,
    lse: Tensor[f32, B, Hq, M] | None = None,
    *,
    CAUSAL: Const[bool] = True,
    WINDOW: Const[int] = 0,
    SOFTCAP: Const[float] = 0.0,
    BM: Const[int] = 64,
    BN: Const[int] = 64,
) -> None:
    """Attend without RoPE, for inputs that need none; queries are the last M of N positions."""
    n = k.shape[2]
    attention_blocks(
        q, k, v, out, lse, None, None, None, n - q.shape[2], n, scale,
        CAUSAL=CAUSAL, WINDOW=WINDOW, SOFTCAP=SOFTCAP, BM=BM, BN=BN,
    )  # fmt: skip
