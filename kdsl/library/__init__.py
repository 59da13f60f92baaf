"""Fused RoPE-attention kernels, written in the public language only."""
