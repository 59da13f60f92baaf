"""A five-point stencil: neighbours in two dimensions, the border kept."""

import numpy as np

import kdsl as kd
from kdsl import Tensor, f32

H, W = kd.dims("H W")


@kd.export
@kd.kernel(grid=lambda d: (d.H,))
def diffuse(x: Tensor[f32, H, W], out: Tensor[f32, H, W], rate: f32) -> None:
    """Move each inner element by ``rate`` times its discrete Laplacian."""
    row = kd.program_id(0)
    last = x.shape[1] - 1
    if (row == 0) | (row == x.shape[0] - 1):

        @kd.vectorize(x.shape[1])
        def keep(i, w):
            out.store(row, i, x.load(row, i, width=w))

    else:
        out[row, 0] = x[row, 0]
        out[row, last] = x[row, last]

        @kd.vectorize(last - 1)
        def inner(i, w):
            here = x.load(row, i + 1, width=w)
            around = x.load(row, i, width=w) + x.load(row, i + 2, width=w)
            around = around + x.load(row - 1, i + 1, width=w) + x.load(row + 1, i + 1, width=w)
            out.store(row, i + 1, here + rate * (around - 4.0 * here))


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((53, 117), dtype=np.float32)
    out = np.empty_like(x)
    diffuse(x, out, 0.1)
    expected = x.astype(np.float64)
    around = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
    expected[1:-1, 1:-1] += 0.1 * (around - 4.0 * x[1:-1, 1:-1])
    error = np.abs(out - expected).max()
    print(f"diffuse of {x.shape}: largest error {error:.1e}")
    assert error < 1e-5


if __name__ == "__main__":
    main()
