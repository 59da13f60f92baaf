"""The fused RoPE-attention kernels as one deployable file.

    kdsl build examples/rope_attention.py -o rope_attention.so --check

builds prompt and single-token attention for head dims 64 and 128, f32 and bf16, and checks them.
"""

import kdsl as kd
from kdsl.bench.attention import decode_case, prefill_case
from kdsl.library.rope_attention import rope_attention, rope_attention_decode

EXPORTS = [
    kd.exported(rope_attention, "T=f32,bf16 D=64 R=32", "T=f32,bf16 D=128 R=64"),
    kd.exported(rope_attention_decode, "T=f32,bf16 D=64 R=32 G=3", "T=f32,bf16 D=128 R=64 G=4"),
]

PROMPTS = [(9, 3, 512, 64), (32, 8, 512, 128)]
TOKENS = [(4, 9, 3, 1024, 64), (8, 32, 8, 2048, 128)]

CHECKS = [
    *(prefill_case(*shape, dtype) for shape in PROMPTS for dtype in ("f32", "bf16")),
    *(decode_case(*shape, dtype) for shape in TOKENS for dtype in ("f32", "bf16")),
]
