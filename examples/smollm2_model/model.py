"""A Llama-style decoder with a KV cache; all arithmetic is in the ops it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsl.errors import RelationError
from kdsl.library.rope_tables import rope_tables
from smollm2_model.ops import Ops
from smollm2_model.weights import MATRICES, Config, Layer, Weights

Array = NDArray[Any]


@dataclass(frozen=True)
class Buffers:
    """Activations of T tokens: what one forward step writes."""

    x: Array
    normed: Array
    q: Array
    k: Array
    v: Array
    attended: Array
    gate: Array
    up: Array
    branch: Array

    @classmethod
    def allocate(cls, config: Config, rows: int) -> Buffers:
        q_width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
        return cls(
            x=_f32(rows, config.width),
            normed=_f32(rows, config.width),
            q=_f32(rows, q_width),
            k=_f32(rows, kv_width),
            v=_f32(rows, kv_width),
            attended=_f32(rows, q_width),
            gate=_f32(rows, config.hidden),
            up=_f32(rows, config.hidden),
            branch=_f32(rows, config.width),
        )


class Model:
    """A decoder with the state of one conversation of at most ``capacity`` tokens."""

    def __init__(self, config: Config, weights: Weights, ops: Ops, capacity: int) -> None:
        self.config = config
        self.ops = ops
        self.length = 0
        self._embedding = weights.embedding
        self._norm = weights.norm
        self._layers = tuple(_prepare(layer, ops) for layer in weights.layers)
        self._output = ops.prepare(weights.embedding)
        self._cos, self._sin = rope_tables(capacity, config.head_dim, theta=config.theta)
        shape = (config.layers, config.kv_heads, capacity, config.head_dim)
        self._k_cache, self._v_cache = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._one_row = Buffers.allocate(config, 1)
        self._logits = _f32(self._output.shape[0])

    @property
    def capacity(self) -> int:
        return len(self._cos)

    def forward(self, tokens: Sequence[int]) -> Array:
        """Append tokens to the conversation; return the logits ``[V]`` after the last one.

        The array is overwritten by the next call.
        """
        rows = len(tokens)
        self._require_room(rows)
        b = self._one_row if rows == 1 else Buffers.allocate(self.config, rows)
        self.ops.embed(np.asarray(tokens, np.int64), self._embedding, b.x)
        for index, layer in enumerate(self._layers):
            self._attention(b, layer, self._k_cache[index], self._v_cache[index])
            self._feed_forward(b, layer)
        self.length += rows
        last = b.normed[-1:]
        self.ops.rms_norm(b.x[-1:], self._norm, self.config.eps, last)
        self.ops.matvec(last[0], self._output, self._logits)
        return self._logits

    def reset(self) -> None:
        """Forget the conversation."""
        self.length = 0

    def _attention(self, b: Buffers, layer: Layer, k_cache: Array, v_cache: Array) -> None:
        self.ops.rms_norm(b.x, layer.attention_norm, self.config.eps, b.normed)
        self._project(b.normed, layer.q, b.q)
        self._project(b.normed, layer.k, b.k)
        self._project(b.normed, layer.v, b.v)
        q, k, v, out = (self._heads(x) for x in (b.q, b.k, b.v, b.attended))
        tables = self._cos, self._sin
        if len(b.x) == 1:
            self.ops.rope_attention_decode(
                q[0], k[0], v[0], *tables, k_cache, v_cache, self.length, out[0]
            )
        else:
            self.ops.rope_attention_prefill(q, k, v, *tables, k_cache, v_cache, self.length, out)
        self._project(b.attended, layer.o, b.branch)
        self.ops.add(b.branch, b.x, b.x)

    def _feed_forward(self, b: Buffers, layer: Layer) -> None:
        self.ops.rms_norm(b.x, layer.ffn_norm, self.config.eps, b.normed)
        self._project(b.normed, layer.gate, b.gate)
        self._project(b.normed, layer.up, b.up)
        self.ops.silu_mul(b.gate, b.up, b.gate)
        self._project(b.gate, layer.down, b.branch)
        self.ops.add(b.branch, b.x, b.x)

    def _project(self, x: Array, w: Array, out: Array) -> None:
        if len(x) == 1:
            self.ops.matvec(x[0], w, out[0])
        else:
            self.ops.matmul(x, w, out)

    def _heads(self, x: Array) -> Array:
        """View ``[T, H D]`` as ``[T, H, D]``."""
        return x.reshape(len(x), -1, self.config.head_dim)

    def _require_room(self, rows: int) -> None:
        if not 0 < rows <= self.capacity - self.length:
            sizes = f"T = {rows}, cached = {self.length}, N = {self.capacity}"
            raise RelationError(kernel="SmolLM2", relation="0 < T <= N - cached", values=sizes)


def generate(model: Model, prompt: Sequence[int], limit: int, stop: int) -> Iterator[int]:
    """Yield at most ``limit`` greedy tokens, up to but without ``stop``.

    The first is yielded when the whole prompt has been read.
    """
    logits = model.forward(prompt)
    for count in range(1, limit + 1):
        token = int(np.argmax(logits))
        if token == stop:
            return
        yield token
        if count < limit:
            logits = model.forward([token])


def _prepare(layer: Layer, ops: Ops) -> Layer:
    return replace(layer, **{name: ops.prepare(getattr(layer, name)) for name in MATRICES})


def _f32(*shape: int) -> Array:
    return np.empty(shape, np.float32)
