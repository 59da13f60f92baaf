"""Every op of the model by a kdsl kernel of the library; no copies on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsl.library.elementwise import add, silu_mul
from kdsl.library.linear import matmul, matvec
from kdsl.library.norms import rms_norm
from kdsl.library.rope_attention import rope_attention_decode, rope_attention_prefill

Array = NDArray[Any]


class KdslOps:
    """The library's kernels, on arrays with heads after positions."""

    def prepare(self, matrix: Array) -> Array:
        """Keep the weights as they are: the kernels read f32 and bf16."""
        return np.ascontiguousarray(matrix)

    def embed(self, tokens: NDArray[np.int64], table: Array, out: Array) -> None:
        out[:] = table[tokens]

    def rms_norm(self, x: Array, weight: Array, eps: float, out: Array) -> None:
        rms_norm(x, weight, out, eps)

    def matmul(self, x: Array, w: Array, out: Array) -> None:
        matmul(x, w, out)

    def matvec(self, x: Array, w: Array, out: Array) -> None:
        matvec(x, w, out)

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
        q, k, v, out = (x.swapaxes(0, 1)[None] for x in (q, k, v, out))
        caches = k_cache[None], v_cache[None]
        rope_attention_prefill(q, k, v, cos, sin, *caches, out, q.shape[-1] ** -0.5, start)

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
        at = np.array([position], np.int32)
        caches = k_cache[None], v_cache[None]
        q, k, v, out = (x[None] for x in (q, k, v, out))
        rope_attention_decode(q, k, v, cos, sin, *caches, at, out, q.shape[-1] ** -0.5)

    def silu_mul(self, gate: Array, up: Array, out: Array) -> None:
        silu_mul(gate.reshape(-1), up.reshape(-1), out.reshape(-1))

    def add(self, x: Array, residual: Array, out: Array) -> None:
        add(x.reshape(-1), residual.reshape(-1), out.reshape(-1))
