"""Rotary position embeddings (arXiv:2104.09864) as tile kernels.

``cos`` and ``sin`` are ``[P, R]``: R angles for each of P positions, R at most half the head dim D.
Elements from 2 R on are left alone (partial rotary). A pair is ``(i, i + R)``, or ``(2 i, 2 i +
1)`` when interleaved.
"""

import kdsl as kd
from kdsl import Const, Tensor, f16, f32, i32

B, H, M, N, P = kd.dims("B H M N P")
D, R, R2 = kd.const_dims("D R R2")
T = kd.dtype_var("T", kd.f32, kd.bf16, kd.f16)


@kd.func
def rotate(x, cos, sin, interleaved):
    """Turn the pairs of the rows of ``x`` ``[..., D]`` by the angles ``[..., R]``, all f32."""
    size, half, last = x.shape[-1], cos.shape[-1], x.rank - 1
    if interleaved:
        a, b = x[..., 0 : 2 * half : 2], x[..., 1 : 2 * half : 2]
    else:
        a, b = x[..., 0:half], x[..., half : 2 * half]
    first = a * cos - b * sin
    second = b * cos + a * sin
    if interleaved:
        pairs = kd.concat([first[..., None], second[..., None]], axis=last + 1)
        turned = pairs.reshape((*x.shape[:-1], 2 * half))
    else:
        turned = kd.concat([first, second], axis=last)
    if 2 * half < size:
        turned = kd.concat([turned, x[..., 2 * half : size]], axis=last)
    return turned


@kd.func
def angles(cos, sin, positions, b, rows, start):
    """Load the table rows of a span of tokens: of their ids, or of ``start`` on."""
    if positions is None:
        at = kd.span_at(rows.start + start, rows.size, stop=rows.stop + start)
        return cos[at].load(), sin[at].load()
    ids = positions[b, rows].load().to(kd.index)
    known = (ids >= 0) & (ids < cos.shape[0])
    assert known.all(axis=0), "a position id is outside of the tables"
    row, col, keep = ids[:, None], kd.iota(cos.shape[1], kd.index)[None, :], known[:, None]
    return cos[row, col].load(mask=keep), sin[row, col].load(mask=keep)


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), kd.cdiv(d.H, d.HEADS), d.B))
def rope_and_pack(
    x: Tensor[T, B, H, M, D],
    cos: Tensor[f32, P, R],
    sin: Tensor[f32, P, R],
    out: Tensor[T, B, H, M, D],
    packed: Tensor[f16, M, R2],
    start: i32,
    *,
    INTERLEAVED: Const[bool],
    BM: Const[int] = 8,
    HEADS: Const[int] = 4,
) -> None:
    """Write ``x`` rotated to ``out``, and to ``packed`` the cosines and sines of its rows, in f16.

    They lie side by side, so that one tile of 16-bit elements holds what a block of rows needs.
    A program turns ``HEADS`` heads with the angles that it has read once.
    """
    b = kd.program_id(2)
    rows = kd.span(kd.program_id(0), BM, stop=x.shape[2])
    heads = kd.span(kd.program_id(1), HEADS, stop=x.shape[1])
    c, s = angles(cos, sin, None, b, rows, start)
    turned = rotate(x[b, heads, rows].load().to(f32), c[None, :, :], s[None, :, :], INTERLEAVED)
    out[b, heads, rows].store(turned.to(T))
    if (b == 0) & (kd.program_id(1) == 0):
        packed[rows].store(kd.concat([c, s], axis=1).to(f16))


@kd.export
@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), d.H, d.B))
def rope(
    x: Tensor[T, B, H, M, D],
    cos: Tensor[f32, P, R],
    sin: Tensor[f32, P, R],
    out: Tensor[T, B, H, M, D],
    positions: Tensor[i32, B, M] | None = None,
    start: i32 = 0,
    *,
    INTERLEAVED: Const[bool] = False,
    BM: Const[int] = 32,
) -> None:
    """Write ``x`` rotated to ``out``, or in place; row m has position ``start + m`` or its id."""
    if positions is None:
        kd.require(start >= 0)
        kd.require(start + x.shape[2] <= cos.shape[0])
    b, h = kd.program_id(2), kd.program_id(1)
    rows = kd.span(kd.program_id(0), BM, stop=x.shape[2])
    c, s = angles(cos, sin, positions, b, rows, start)
    turned = rotate(x[b, h, rows].load().to(f32), c, s, INTERLEAVED)
    out[b, h, rows].store(turned.to(T))
