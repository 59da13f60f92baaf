"""Prefix sum: a scan inside a block, the total carried to the next."""

import numpy as np

import kdsl as kd
from kdsl import Const, Tensor, i32

M, N = kd.dims("M N")


@kd.export
@kd.kernel(grid=lambda d: (d.M,))
def prefix_sum(x: Tensor[i32, M, N], out: Tensor[i32, M, N], *, BLOCK: Const[int] = 64) -> None:
    """Write the running sums of each row."""
    row = kd.program_id(0)
    before = kd.cast(0, i32)
    for j in kd.range(kd.cdiv(x.shape[1], BLOCK)):
        cols = kd.span(j, BLOCK)
        part = x[row, cols].load()
        out[row, cols].store(kd.cumsum(part, axis=0) + before)
        before = before + part.sum(axis=0)


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (11, 1001), dtype=np.int32)
    out = np.empty_like(x)
    prefix_sum(x, out)
    assert np.array_equal(out, np.cumsum(x, axis=1))
    print(f"prefix_sum of {x.shape}: equal")


if __name__ == "__main__":
    main()
