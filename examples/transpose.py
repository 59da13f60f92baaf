"""Transpose a matrix by square tiles, so that both sides touch whole cache lines."""

import numpy as np

import kdsl as kd
from kdsl import Const, Tensor

M, N = kd.dims("M N")
T = kd.dtype_var("T", kd.f32, kd.bf16, kd.i8)


@kd.export
@kd.kernel(grid=lambda d: (kd.cdiv(d.N, d.BLOCK), kd.cdiv(d.M, d.BLOCK)))
def transpose(x: Tensor[T, M, N], out: Tensor[T, N, M], *, BLOCK: Const[int] = 32) -> None:
    """Write ``x.T`` to ``out``."""
    rows = kd.span(kd.program_id(1), BLOCK)
    cols = kd.span(kd.program_id(0), BLOCK)
    out[cols, rows].store(x[rows, cols].load().T)


def main() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.int8):
        x = (rng.standard_normal((131, 77)) * 40).astype(dtype)
        out = np.empty((77, 131), dtype)
        transpose(x, out)
        assert np.array_equal(out, x.T)
        print(f"transpose of {x.shape} {x.dtype}: equal")


if __name__ == "__main__":
    main()
