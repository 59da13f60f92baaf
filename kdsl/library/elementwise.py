"""Elementwise kernels over contiguous memory; any length, spread over the threads."""

import kdsl as kd
from kdsl import Tensor, f32

N = kd.dims("N")
T = kd.dtype_var("T", kd.f32, kd.bf16, kd.f16)


@kd.export
@kd.kernel
def silu_mul(gate: Tensor[T, N], up: Tensor[T, N], out: Tensor[T, N]) -> None:
    """Write ``gate * sigmoid(gate) * up`` (SwiGLU, arXiv:2002.05202, eq. 5), computed in f32."""

    @kd.vectorize(out.shape[0])
    def step(i, w):
        g = gate.load(i, width=w).to(f32)
        u = up.load(i, width=w).to(f32)
        out.store(i, (g * kd.sigmoid(g) * u).to(T), cache="stream")


@kd.export
@kd.kernel
def add(x: Tensor[T, N], y: Tensor[T, N], out: Tensor[T, N]) -> None:
    """Write ``x + y``; ``out`` may be either of them."""

    @kd.vectorize(out.shape[0])
    def step(i, w):
        out.store(i, (x.load(i, width=w).to(f32) + y.load(i, width=w).to(f32)).to(T))


@kd.export
@kd.kernel
def scale_shift(x: Tensor[T, N], scale: f32, shift: f32, out: Tensor[T, N]) -> None:
    """Write ``x * scale + shift``."""

    @kd.vectorize(out.shape[0])
    def step(i, w):
        out.store(i, (x.load(i, width=w).to(f32) * scale + shift).to(T), cache="stream")


@kd.export
@kd.program
def gated_chain(
    x: Tensor[T, N], up: Tensor[T, N], scale: f32, shift: f32, out: Tensor[T, N]
) -> None:
    """Write ``silu(x * scale + shift) * up``: two kernels that fuse, their workspace gone."""
    between = kd.workspace(T, (out.shape[0],))
    scale_shift(x, scale, shift, between)
    silu_mul(between, up, out)
