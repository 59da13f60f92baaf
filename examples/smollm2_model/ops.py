"""The ops that the model runs on: one small interface, and its reference in NumPy.

Each op writes its result to ``out`` and returns nothing. Activations and caches are f32, T is the
number of tokens, N the capacity of the cache.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kdsl.library import reference

Array = NDArray[Any]


class Ops(Protocol):
    """What a set of kernels must offer to run the model."""

    def prepare(self, matrix: Array) -> Array:
        """Return a projection's weights as ``matmul`` and ``matvec`` want them; called once."""
        ...

    def embed(self, tokens: NDArray[np.int64], table: Array, out: Array) -> None:
        """Copy row ``tokens[t]`` of ``table`` ``[V, E]`` to row t of ``out`` ``[T, E]``."""
        ...

    def rms_norm(self, x: Array, weight: Array, eps: float, out: Array) -> None:
        """Normalize the rows of ``x`` ``[T, E]`` and scale them by ``weight`` ``[E]``."""
        ...

    def matmul(self, x: Array, w: Array, out: Array) -> None:
        """Multiply ``x`` ``[T, I]`` by the transpose of ``w`` ``[O, I]`` (f32 or bf16)."""
        ...

    def matvec(self, x: Array, w: Array, out: Array) -> None:
        """Multiply ``w`` ``[O, I]`` (f32 or bf16) by ``x`` ``[I]``."""
        ...

    def rope_attention_prefill(
        self,
        q: Array,
        k: Array,
        v: Array,
        cos: Array,
        sin: Array,
        k_cache: Array,
        v_cache: Array,
        start: int,
        out: Array,
    ) -> None:
        """Rotate q and k, append k and v at ``start``, attend causally to everything cached.

        q and out are ``[T, Hq, D]``, k and v ``[T, Hkv, D]``, cos and sin ``[N, D / 2]`` (pairs
        are half-split), the caches ``[Hkv, N, D]``.
        """
        ...

    def rope_attention_decode(
        self,
        q: Array,
        k: Array,
        v: Array,
        cos: Array,
        sin: Array,
        k_cache: Array,
        v_cache: Array,
        position: int,
        out: Array,
    ) -> None:
        """Do the same for one token: q and out are ``[Hq, D]``, k and v ``[Hkv, D]``."""
        ...

    def silu_mul(self, gate: Array, up: Array, out: Array) -> None:
        """Write ``gate * sigmoid(gate) * up``, all ``[T, H]``."""
        ...

    def add(self, x: Array, residual: Array, out: Array) -> None:
        """Write ``x + residual``, all ``[T, E]``; ``out`` may be either of them."""
        ...


class NumpyOps:
    """Every op by the library's NumPy reference, in f32."""

    def prepare(self, matrix: Array) -> Array:
        """Widen to f32, which changes no value: BLAS has no bf16."""
        return np.ascontiguousarray(matrix, np.float32)

    def embed(self, tokens: NDArray[np.int64], table: Array, out: Array) -> None:
        out[:] = table[tokens]

    def rms_norm(self, x: Array, weight: Array, eps: float, out: Array) -> None:
        out[:] = reference.rms_norm(x, weight, eps, dtype=np.float32)

    def matmul(self, x: Array, w: Array, out: Array) -> None:
        np.matmul(x, w.T, out=out)

    def matvec(self, x: Array, w: Array, out: Array) -> None:
        np.matmul(w, x, out=out)

    def rope_attention_prefill(
        self,
        q: Array,
        k: Array,
        v: Array,
        cos: Array,
        sin: Array,
        k_cache: Array,
        v_cache: Array,
        start: int,
        out: Array,
    ) -> None:
        q, k, v = (x.swapaxes(0, 1) for x in (q, k, v))
        attended, _ = reference.rope_attention_prefill(
            q, k, v, cos, sin, k_cache, v_cache, start=start, dtype=np.float32
        )
        out[:] = attended.swapaxes(0, 1)

    def rope_attention_decode(
        self,
        q: Array,
        k: Array,
        v: Array,
        cos: Array,
        sin: Array,
        k_cache: Array,
        v_cache: Array,
        position: int,
        out: Array,
    ) -> None:
        q, k, v, k_cache, v_cache = (x[None] for x in (q, k, v, k_cache, v_cache))
        attended, _ = reference.rope_attention_decode(
            q, k, v, cos, sin, k_cache, v_cache, position, dtype=np.float32
        )
        out[:] = attended[0]

    def silu_mul(self, gate: Array, up: Array, out: Array) -> None:
        out[:] = reference.silu_mul(gate, up, dtype=np.float32)

    def add(self, x: Array, residual: Array, out: Array) -> None:
        np.add(x, residual, out=out)
