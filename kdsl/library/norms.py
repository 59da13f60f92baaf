"""Normalization over rows."""

import kdsl as kd
from kdsl import Const, Tensor, f32

N, E = kd.dims("N E")
T = kd.dtype_var("T", kd.f32, kd.bf16, kd.f16)


@kd.export
@kd.kernel(grid=lambda d: (d.N,))
def rms_norm(
    x: Tensor[T, N, E],
    weight: Tensor[f32, E],
    out: Tensor[T, N, E],
    eps: f32 = 1e-5,
    *,
    STREAM: Const[bool] = False,
) -> None:
    """Divide rows by their root mean square and scale by ``weight`` (arXiv:1910.07467, eq. 4).

    ``STREAM`` writes past the caches: for outputs that are larger than those.
    """
    row = kd.program_id(0)
    size = x.shape[1]

    @kd.vectorize(size, init=0.0)
    def squares(i, w, total):
        value = x.load(row, i, width=w).to(f32)
        return total + value * value

    scale = kd.rsqrt(squares / size.to(f32) + eps)

    @kd.vectorize(size)
    def write(i, w):
        value = x.load(row, i, width=w).to(f32) * scale * weight.load(i, width=w)
        out.store(row, i, value.to(T), cache="stream" if STREAM else None)
