"""The shapes that attention and products on an accelerator are measured at: data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AttentionShape:
    """One attention problem in bf16; ``wanted`` is the ratio to cuDNN that a release must reach.

    ``replay``: so short that only a graph shows the kernel. ``rope_limit``: how much longer the
    call with RoPE may take than attention alone, as a fraction.
    """

    batch: int
    heads: int
    kv_heads: int
    tokens: int
    size: int
    causal: bool
    wanted: float
    replay: bool = False
    rope_limit: float | None = None

    @property
    def flops(self) -> float:
        """4 B H S^2 D, half of it when causal."""
        full = 4.0 * self.batch * self.heads * self.tokens**2 * self.size
        return full / 2 if self.causal else full

    @property
    def title(self) -> str:
        """Batch x tokens, heads, head dim, mask."""
        mask = "causal" if self.causal else "full"
        return f"{self.batch}x{self.tokens} {self.heads}/{self.kv_heads} d{self.size} {mask}"


ATTENTION = (
    AttentionShape(1, 32, 8, 512, 128, True, 1.20, replay=True, rope_limit=0.18),
    AttentionShape(4, 32, 8, 1024, 128, True, 1.30, replay=True, rope_limit=0.15),
    AttentionShape(4, 32, 8, 4096, 128, True, 1.20, rope_limit=0.07),
    AttentionShape(1, 32, 8, 8192, 128, True, 1.20, rope_limit=0.04),
    AttentionShape(1, 32, 8, 16384, 128, True, 1.15, rope_limit=0.025),
    AttentionShape(1, 32, 8, 8192, 128, False, 1.10),
    AttentionShape(1, 32, 8, 16384, 128, False, 1.07),
    AttentionShape(4, 32, 32, 4096, 64, True, 1.12),
    AttentionShape(1, 32, 32, 16384, 64, False, 1.18),
    AttentionShape(1, 16, 16, 8192, 96, True, 1.30),
    AttentionShape(1, 16, 16, 8192, 192, True, 1.20),
    AttentionShape(1, 16, 16, 8192, 192, False, 1.10),
    AttentionShape(1, 8, 8, 16384, 256, True, 1.20),
    AttentionShape(1, 8, 8, 16384, 256, False, 1.08),
)

PRODUCTS = ((4096, 0.90), (8192, 0.90))
"""Size of a square bf16 product, and the wanted ratio to cuBLAS."""

DECODE = ((1, 32, 8, 8192, 128), (16, 32, 8, 8192, 128), (64, 32, 8, 8192, 128))
"""Batch, heads, key heads, cached tokens, head dim."""
