"""Matrix product by tiles: any shape, edges included."""

import numpy as np

import kdsl as kd
from kdsl import Const, Tensor, f32

M, N, K = kd.dims("M N K")


@kd.export
@kd.kernel(grid=lambda d: (kd.cdiv(d.N, d.BN), kd.cdiv(d.M, d.BM)))
def matmul(
    a: Tensor[f32, M, K],
    b: Tensor[f32, K, N],
    c: Tensor[f32, M, N],
    *,
    BM: Const[int] = 96,
    BN: Const[int] = 64,
    BK: Const[int] = 256,
) -> None:
    """Write ``a @ b`` to ``c``."""
    rows = kd.span(kd.program_id(1), BM, stop=c.shape[0])
    cols = kd.span(kd.program_id(0), BN, stop=c.shape[1])
    acc = kd.zeros((BM, BN), f32)
    for k in kd.range(kd.cdiv(a.shape[1], BK), stages=2):
        depth = kd.span(k, BK, stop=a.shape[1])
        acc = kd.dot(a[rows, depth].load(), b[depth, cols].load(), acc=acc)
    c[rows, cols].store(acc)


def main() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((201, 300), dtype=np.float32)
    b = rng.standard_normal((300, 133), dtype=np.float32)
    c = np.empty((201, 133), np.float32)
    matmul(a, b, c)
    error = np.abs(c - a.astype(np.float64) @ b).max()
    print(f"matmul of {a.shape} by {b.shape}: largest error {error:.1e}")
    assert error < 1e-3


if __name__ == "__main__":
    main()
