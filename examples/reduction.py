"""RMSNorm: a reduction over each row, then a second pass that scales it; rows run side by side."""

import numpy as np

import kdsl as kd
from kdsl import Tensor, f32

N, E = kd.dims("N E")


@kd.export
@kd.kernel(grid=lambda d: (d.N,))
def rms_norm(
    x: Tensor[f32, N, E], weight: Tensor[f32, E], out: Tensor[f32, N, E], eps: f32
) -> None:
    """Divide each row of ``x`` by its root mean square and scale it by ``weight``."""
    row = kd.program_id(0)
    size = x.shape[1]

    @kd.vectorize(size, init=0.0)
    def squares(i, w, total):
        value = x.load(row, i, width=w)
        return total + value * value

    scale = kd.rsqrt(squares / size.to(f32) + eps)

    @kd.vectorize(size)
    def write(i, w):
        out.store(row, i, x.load(row, i, width=w) * scale * weight.load(i, width=w))


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((37, 577), dtype=np.float32)
    weight = rng.standard_normal(577, dtype=np.float32)
    out = np.empty_like(x)
    rms_norm(x, weight, out, 1e-5)
    wide = x.astype(np.float64)
    expected = wide / np.sqrt((wide * wide).mean(axis=1, keepdims=True) + 1e-5) * weight
    error = np.abs(out - expected).max()
    print(f"rms_norm of {x.shape}: largest error {error:.1e}")
    assert error < 1e-5


if __name__ == "__main__":
    main()
