"""SiLU-gate over a long vector: one vectorize loop, spread over the threads, any length."""

import numpy as np

import kdsl as kd
from kdsl import Ptr, f32, i64


@kd.export
@kd.kernel
def silu_mul(gate: Ptr[f32, kd.RO], up: Ptr[f32, kd.RO], out: Ptr[f32, kd.WO], n: i64) -> None:
    """Write ``gate * sigmoid(gate) * up``; n elements each."""

    @kd.vectorize(n)
    def step(i, w):
        g = gate.load(i, width=w)
        out.store(i, g * kd.sigmoid(g) * up.load(i, width=w))


def main() -> None:
    rng = np.random.default_rng(0)
    n = 100_003
    gate, up = rng.standard_normal((2, n), dtype=np.float32)
    out = np.empty_like(gate)
    silu_mul(gate, up, out, n)
    wide = gate.astype(np.float64)
    error = np.abs(out - wide / (1 + np.exp(-wide)) * up).max()
    print(f"silu_mul of {n} elements: largest error {error:.1e}")
    assert error < 1e-5


if __name__ == "__main__":
    main()
