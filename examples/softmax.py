"""Softmax over rows of any length, a block of rows at a time, in one pass over memory."""

import numpy as np

import kdsl as kd
from kdsl import Const, Tensor, f32

M, N = kd.dims("M N")


@kd.export
@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM),))
def softmax(
    x: Tensor[f32, M, N], out: Tensor[f32, M, N], *, BM: Const[int] = 16, BN: Const[int] = 64
) -> None:
    """Write exp(x - max) / sum for each row; the maximum and the sum are kept while streaming."""
    rows = kd.span(kd.program_id(0), BM, stop=x.shape[0])
    top = kd.full((BM,), -kd.inf, f32)
    total = kd.zeros((BM,), f32)
    for j in kd.range(kd.cdiv(x.shape[1], BN)):
        cols = kd.span(j, BN, stop=x.shape[1])
        s = kd.where(cols.mask[None, :], x[rows, cols].load(), -kd.inf)
        higher = kd.maximum(top, s.max(axis=1))
        total = total * kd.exp(top - higher) + kd.exp(s - higher[:, None]).sum(axis=1)
        top = higher
    scale = 1.0 / total
    for j in kd.range(kd.cdiv(x.shape[1], BN)):
        cols = kd.span(j, BN, stop=x.shape[1])
        out[rows, cols].store(kd.exp(x[rows, cols].load() - top[:, None]) * scale[:, None])


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((37, 501), dtype=np.float32) * 10
    out = np.empty_like(x)
    softmax(x, out)
    wide = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    error = np.abs(out - wide / wide.sum(axis=1, keepdims=True)).max()
    print(f"softmax of {x.shape}: largest error {error:.1e}")
    assert error < 1e-5


if __name__ == "__main__":
    main()
