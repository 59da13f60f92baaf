"""RoPE-attention against NumPy and torch: prompts and single tokens."""

from __future__ import annotations

from kdsl.bench.attention import decode_case, prefill_case
from kdsl.bench.report import measured
from kdsl.bench.suites import Table

DTYPES = ("f32", "bf16")
PREFILL_SHAPES = ((32, 8, 512, 128), (32, 8, 2048, 128), (9, 3, 512, 64), (9, 3, 2048, 64))
"""Heads, key heads, tokens, head dim."""
DECODE_SHAPES = ((8, 32, 8, 2048, 128), (1, 9, 3, 2048, 64))
"""Batch, heads, key heads, cached tokens, head dim."""
BUDGET_S = 4.0


def prefill() -> Table:
    """Measure causal attention over whole prompts."""
    from kdsl.library.rope_attention import rope_attention

    cases = [prefill_case(*shape, dtype) for shape in PREFILL_SHAPES for dtype in DTYPES]
    return measured("prefill", [(c, rope_attention) for c in cases], BUDGET_S)


def decode() -> Table:
    """Measure one token a sequence over a cache."""
    from kdsl.library.rope_attention import rope_attention_decode

    cases = [decode_case(*shape, dtype) for shape in DECODE_SHAPES for dtype in DTYPES]
    return measured("decode", [(c, rope_attention_decode) for c in cases], BUDGET_S)
