"""Products with a weight matrix ``[O, I]``, as linear layers keep it; sums in f32."""

import kdsl as kd
from kdsl import Const, Tensor, f32
from kdsl.library.tiles import product_tiles

M, O, I = kd.dims("M O I")
X = kd.dtype_var("X", kd.f32, kd.bf16, kd.f16)
W = kd.dtype_var("W", kd.f32, kd.bf16, kd.f16)


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


@kd.func
def alike(left, right):
    """Return a product's operands ``left`` and ``right.T``, both f32 where their types differ."""
    if left.dtype == right.dtype:
        return left, right.T
    return left.to(f32), right.to(f32).T


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), kd.cdiv(d.O, d.BN)))
def matmul_blocks(
    x: Tensor[X, M, I],
    w: Tensor[W, O, I],
    out: Tensor[X, M, O],
    *,
    BM: Const[int],
    BN: Const[int],
    BK: Const[int],
) -> None:
    """Write one block of ``x @ w.T``."""
    rows = kd.span(kd.program_id(0), BM, stop=x.shape[0])
    cols = kd.span(kd.program_id(1), BN, stop=w.shape[0])
    acc = kd.zeros((BM, BN), f32)
    for k in kd.range(kd.cdiv(x.shape[1], BK), stages=2):
        depth = kd.span(k, BK, stop=x.shape[1])
        acc = kd.dot(*alike(x[rows, depth].load(), w[cols, depth].load()), acc=acc)
    out[rows, cols].store(acc.to(X))


@kd.export
@kd.program
def matmul(
    x: Tensor[X, M, I],
    w: Tensor[W, O, I],
    out: Tensor[X, M, O],
    *,
    BM: Const[int] = 0,
    BN: Const[int] = 0,
    BK: Const[int] = 0,
) -> None:
    """Write ``x @ w.T``; block sizes of 0 are chosen for the chip."""
    rows, cols, depth = product_tiles(x.dtype if x.dtype == w.dtype else f32)
    matmul_blocks(x, w, out, BM=BM or rows, BN=BN or cols, BK=BK or depth)


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), kd.cdiv(d.O, d.BN)))
def gated_matmul_blocks(
    x: Tensor[X, M, I],
    gate: Tensor[X, O, I],
    up: Tensor[X, O, I],
    out: Tensor[X, M, O],
    gate_bias: Tensor[f32, O] | None,
    up_bias: Tensor[f32, O] | None,
    *,
    BM: Const[int],
    BN: Const[int],
    BK: Const[int],
) -> None:
    """Write one block of the gated product; both products read the same rows of ``x``."""
    rows = kd.span(kd.program_id(0), BM, stop=x.shape[0])
    cols = kd.span(kd.program_id(1), BN, stop=gate.shape[0])
    g = kd.zeros((BM, BN), f32)
    u = kd.zeros((BM, BN), f32)
    for k in kd.range(kd.cdiv(x.shape[1], BK), stages=2):
        depth = kd.span(k, BK, stop=x.shape[1])
        left = x[rows, depth].load()
        g = kd.dot(left, gate[cols, depth].load().T, acc=g)
        u = kd.dot(left, up[cols, depth].load().T, acc=u)
    if gate_bias is not None:
        g = g + gate_bias[cols].load()[None, :]
    if up_bias is not None:
        u = u + up_bias[cols].load()[None, :]
    out[rows, cols].store((g * kd.sigmoid(g) * u).to(X))


@kd.export
@kd.program
def gated_matmul(
    x: Tensor[X, M, I],
    gate: Tensor[X, O, I],
    up: Tensor[X, O, I],
    out: Tensor[X, M, O],
    gate_bias: Tensor[f32, O] | None = None,
    up_bias: Tensor[f32, O] | None = None,
    *,
    BM: Const[int] = 0,
    BN: Const[int] = 0,
    BK: Const[int] = 0,
) -> None:
    """Write ``silu(x @ gate.T + gate_bias) * (x @ up.T + up_bias)`` (SwiGLU, arXiv:2002.05202)."""
    rows, cols, depth = product_tiles(x.dtype, outputs=2)
    gated_matmul_blocks(
        x, gate, up, out, gate_bias, up_bias, BM=BM or rows, BN=BN or cols, BK=BK or depth
    )
