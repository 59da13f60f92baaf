"""Products with a weight matrix ``[O, I]``, as linear layers keep it; sums in f32."""

import kdsl as kd
from kdsl import Const, Tensor, f32

M, O, I = kd.dims("M O I")
X = kd.dtype_var("X", kd.f32, kd.bf16)
W = kd.dtype_var("W", kd.f32, kd.bf16)


@kd.export
@kd.kernel(grid=lambda d: (kd.cdiv(d.O, d.ROWS),))
def matvec(
    x: Tensor[X, I], w: Tensor[W, O, I], out: Tensor[X, O], *, ROWS: Const[int] = 16
) -> None:
    """Write ``w @ x``; a program does ``ROWS`` rows."""
    first = kd.program_id(0) * ROWS
    for row in kd.range(first, kd.minimum(first + ROWS, w.shape[0])):

        @kd.vectorize(w.shape[1], init=0.0)
        def total(i, w_, sum_):
            return sum_ + w.load(row, i, width=w_).to(f32) * x.load(i, width=w_).to(f32)

        out[row] = total.to(X)


@kd.export
@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), kd.cdiv(d.O, d.BN)))
def matmul(
    x: Tensor[X, M, I],
    w: Tensor[W, O, I],
    out: Tensor[X, M, O],
    *,
    BM: Const[int] = 64,
    BN: Const[int] = 64,
    BK: Const[int] = 192,
) -> None:
    """Write ``x @ w.T``."""
    rows = kd.span(kd.program_id(0), BM, stop=x.shape[0])
    cols = kd.span(kd.program_id(1), BN, stop=w.shape[0])
    acc = kd.zeros((BM, BN), f32)
    for k in kd.range(kd.cdiv(x.shape[1], BK), stages=2):
        depth = kd.span(k, BK, stop=x.shape[1])
        left, right = x[rows, depth].load().to(f32), w[cols, depth].load().to(f32)
        acc = kd.dot(left, right.T, acc=acc)
    out[rows, cols].store(acc.to(X))
