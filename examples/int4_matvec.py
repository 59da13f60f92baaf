"""A matrix of 4-bit weights times a vector: unpack, scale by group and sum as one stream."""

import numpy as np

import kdsl as kd
from kdsl import Const, Tensor, f32, u8

N, HALF, GROUPS = kd.dims("N HALF GROUPS")


@kd.export
@kd.kernel(grid=lambda d: (d.N,), require=["2 * HALF == GROUPS * GROUP"])
def int4_matvec(
    packed: Tensor[u8, N, HALF],
    scales: Tensor[f32, N, GROUPS],
    x: Tensor[f32, 2, HALF],
    out: Tensor[f32, N],
    *,
    GROUP: Const[int] = 32,
) -> None:
    """Write ``W @ x`` where W has 2 * HALF columns of 4 bits.

    Byte ``j`` of a row holds column ``j`` in its low half and column ``HALF + j`` in its high half,
    both plus 8; ``x`` is given in these two halves. A group of ``GROUP`` columns shares one scale.
    """
    row = kd.program_id(0)
    half = packed.shape[1]
    per_half = half // GROUP
    total = kd.cast(0.0, f32)
    for g in kd.range(per_half):

        @kd.vectorize(GROUP, init=0.0)
        def low(i, w, sum_):
            byte = packed.load(row, g * GROUP + i, width=w)
            return sum_ + ((byte & 15).to(f32) - 8.0) * x.load(0, g * GROUP + i, width=w)

        @kd.vectorize(GROUP, init=0.0)
        def high(i, w, sum_):
            byte = packed.load(row, g * GROUP + i, width=w)
            return sum_ + ((byte >> 4).to(f32) - 8.0) * x.load(1, g * GROUP + i, width=w)

        total = total + low * scales[row, g] + high * scales[row, per_half + g]
    out[row] = total


def main() -> None:
    rng = np.random.default_rng(0)
    rows, columns, group = 65, 256, 32
    weights = rng.integers(-8, 8, (rows, columns))
    scales = rng.standard_normal((rows, columns // group), dtype=np.float32)
    x = rng.standard_normal(columns, dtype=np.float32)
    half = columns // 2
    packed = ((weights[:, :half] + 8) | ((weights[:, half:] + 8) << 4)).astype(np.uint8)
    out = np.empty(rows, np.float32)
    int4_matvec(packed, scales, x.reshape(2, half), out)
    expected = (weights * np.repeat(scales.astype(np.float64), group, axis=1)) @ x
    error = np.abs(out - expected).max()
    print(f"int4_matvec of {weights.shape}: largest error {error:.1e}")
    assert error < 1e-2


if __name__ == "__main__":
    main()
