"""A histogram: many programs add to shared counters atomically."""

import numpy as np

import kdsl as kd
from kdsl import Const, Tensor, i32, u8

N, BINS = kd.dims("N BINS")


@kd.export
@kd.kernel(grid=lambda d: (kd.cdiv(d.N, d.CHUNK),))
def histogram(data: Tensor[u8, N], counts: Tensor[i32, BINS], *, CHUNK: Const[int] = 4096) -> None:
    """Add to ``counts[b]`` how often b occurs; values from BINS on are not counted."""
    first = kd.program_id(0) * CHUNK
    for i in kd.range(first, kd.minimum(first + CHUNK, data.shape[0])):
        value = data[i].to(kd.index)
        if value < counts.shape[0]:
            counts.atomic_add(value, 1)


def main() -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, 100_000, dtype=np.uint8)
    counts = np.zeros(200, np.int32)
    histogram(data, counts)
    assert np.array_equal(counts, np.bincount(data, minlength=256)[:200])
    print(f"histogram of {data.size} bytes in {counts.size} bins: equal")


if __name__ == "__main__":
    main()
