"""Rotary embeddings by the library's kernel: both pairings, partial rotary, Llama 3 scaling."""

import numpy as np

from kdsl.library.reference import rope as rope_reference
from kdsl.library.rope import rope
from kdsl.library.rope_tables import Llama3Scaling, rope_tables


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 50, 80), dtype=np.float32)
    for rotary, interleaved in ((80, False), (80, True), (40, False)):
        cos, sin = rope_tables(64, rotary, scaling=Llama3Scaling(), dtype=np.float32)
        out = np.empty_like(x)
        rope(x, cos, sin, out, INTERLEAVED=interleaved)
        error = np.abs(out - rope_reference(x, cos, sin, interleaved=interleaved)).max()
        print(f"rope of {x.shape}, {rotary} rotary, interleaved {interleaved}: error {error:.1e}")
        assert error < 1e-5


if __name__ == "__main__":
    main()
