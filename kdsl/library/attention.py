"""Attention as one streaming pass over the keys, with RoPE on the queries when tables are given.

Heads come before positions: q is ``[B, Hq, M, D]``, k and v ``[B, Hkv, N, D]``; query head h reads
key head ``h // (Hq / Hkv)``. The running maximum, sum and output of a block of queries stay in
registers and cache (online softmax, arXiv:1805.02867; blocks of keys, arXiv:2205.14135).
"""

import kdsl as kd
from kdsl import Const, Tensor, f16, f32, i32
from kdsl.library.rope import angles, rotate
from kdsl.library.tiles import attention_tiles

B, Hq, Hkv, M, N, P = kd.dims("B Hq Hkv M N P")
D, R, R2 = kd.const_dims("D R R2")
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
def attend(q, k, v, row, origin, first, last, length, scale, causal, window, softcap, block):
    """Stream key blocks ``first`` to ``last`` (``block`` rows each) past the query tile ``q``.

    ``q`` is ``[rows, D]``; ``row`` are the positions of its rows. Key 0 is row ``origin`` of ``k``
    and ``v``; keys from ``length`` on do not exist. ``scale`` is not negative: it is applied to the
    differences of scores, where it costs nothing. Returns the output tile (f32) and the base-2
    log-sum-exp.
    """
    rows, size = q.shape
    unit = 1.0 if softcap > 0 else scale * kd.LOG2E
    top = kd.full((rows,), -kd.inf, f32)
    total = kd.zeros((rows,), f32)
    acc = kd.zeros((rows, size), f32)
    for j in kd.range(first, last, stages=2, order="any"):
        cols = kd.span_at(origin + j * block, block, stop=origin + length)
        s = kd.dot(q, k[cols].load().T)
        if softcap > 0:
            s = kd.tanh(s * (scale * (1.0 / softcap))) * (softcap * kd.LOG2E)
        at = kd.iota(block, kd.index) + j * block
        keep = (at < length)[None, :]
        near = visible(row[:, None], at[None, :], causal, window)
        if near is not None:
            keep = keep & near
        s = kd.where(keep, s, -kd.inf)
        higher = kd.maximum(top, s.max(axis=1))
        base = kd.where(higher == -kd.inf, 0.0, higher)
        if softcap > 0:
            p = kd.exp2(s - base[:, None])
            shrink = kd.exp2(top - base)
        else:
            p = kd.exp2(s * unit - (base * unit)[:, None])
            shrink = kd.exp2((top - base) * unit)
        total = total * shrink + p.sum(axis=1)
        acc = kd.dot(p.to(v.dtype), v[cols].load(), acc=acc * shrink[:, None])
        top = higher
    out = acc * kd.where(total > 0.0, 1.0 / total, 0.0)[:, None]
    return out, top * unit + kd.log2(total)


@kd.func
def key_blocks(low, high, length, causal, window, block):
    """Return the first and last block of keys that positions ``low`` to ``high`` - 1 may read."""
    first, last = 0, kd.cdiv(length, block)
    if causal:
        last = kd.cdiv(kd.minimum(length, high), block)
    if window > 0:
        first = kd.maximum(0, low - window + 1) // block
        if not causal:
            last = kd.minimum(last, kd.cdiv(high + window - 1, block))
    return first, last


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), d.Hq, d.B))
def attention_blocks(
    q: Tensor[T, B, Hq, M, D],
    k: Tensor[T, B, Hkv, N, D],
    v: Tensor[T, B, Hkv, N, D],
    out: Tensor[T, B, Hq, M, D],
    lse: Tensor[f32, B, Hq, M] | None,
    cos: Tensor[f32, P, R] | None,
    sin: Tensor[f32, P, R] | None,
    packed: Tensor[f16, M, R2] | None,
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
    only choose the angles. ``packed`` angles, of ``rope_and_pack``, take the tables' place.
    """
    block = kd.num_programs(0) - 1 - kd.program_id(0)  # the longest rows first
    h, b = kd.program_id(1), kd.program_id(2)
    hk = h // (q.shape[1] // k.shape[1])
    rows = kd.span(block, BM, stop=q.shape[2])
    x = q[b, h, rows].load()
    if packed is not None:
        table, half = packed[rows].load().to(f32), packed.shape[1] // 2
        c, s = table[:, 0:half], table[:, half : 2 * half]
        x = rotate(x.to(f32), c, s, INTERLEAVED).to(T)
    elif cos is not None:
        c, s = angles(cos, sin, positions, b, rows, start)
        x = rotate(x.to(f32), c, s, INTERLEAVED).to(T)
    low, high = start + rows.start, start + rows.stop
    first, last = key_blocks(low, high, length, CAUSAL, WINDOW, BN)
    row = start + rows.index
    o, e = attend(
        x, k[b, hk], v[b, hk], row, 0, first, last, length, scale, CAUSAL, WINDOW, SOFTCAP, BN
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
    BM: Const[int] = 0,
    BN: Const[int] = 0,
) -> None:
    """Attend without RoPE, for inputs that need none; queries are the last M of N positions.

    ``scale`` is positive.
    """
    assert scale > 0.0, "the scale of attention must be positive"
    rows_of_q, rows_of_k = attention_tiles(q.shape[3], q.dtype)
    n = k.shape[2]
    attention_blocks(
        q, k, v, out, lse, None, None, None, None, n - q.shape[2], n, scale,
        CAUSAL=CAUSAL, WINDOW=WINDOW, SOFTCAP=SOFTCAP,
        BM=BM or rows_of_q, BN=BN or rows_of_k,
    )  # fmt: skip
