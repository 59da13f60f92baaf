"""Kernels with tiles and loops for lanes in one."""

import kdsl as kd
from kdsl import Const, Tensor, f32

N, M = kd.dims("N M")


@kd.kernel(grid=lambda d: (d.N,))
def scaled(x: Tensor[f32, N, M], out: Tensor[f32, N, M], *, BLOCK: Const[int] = 32) -> None:
    """A tile's largest element scales what a loop for lanes wrote; then tiles read that."""
    row = kd.program_id(0)
    size = x.shape[1]
    head = kd.span(0, BLOCK, stop=size)
    most = kd.abs(x[row, head].load()).max(axis=0)

    @kd.vectorize(size)
    def write(i, w):
        out.store(row, i, x.load(row, i, width=w) / (most + 1.0))

    out[row, head].store(out[row, head].load() * 2.0)

    @kd.vectorize(size, init=0.0)
    def total(i, w, s):
        return s + out.load(row, i, width=w)

    out[row, 0] = total


@kd.kernel
def side_by_side(x: Tensor[f32, N, M], out: Tensor[f32, N, M], *, BLOCK: Const[int] = 64) -> None:
    """Parallel turns that work on tiles: each is a program of its own."""

    @kd.parallelize(x.shape[0])
    def row(r):
        cols = kd.span(0, BLOCK, stop=x.shape[1])
        tile = x[r, cols].load()
        out[r, cols].store(tile - tile.max(axis=0))
