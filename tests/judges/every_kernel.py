"""Every kernel and program of the examples and the library, with options and small arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import elementwise as example_elementwise
import histogram
import int4_matvec
import mandelbrot
import matmul
import ml_dtypes
import numpy as np
import prefix_sum
import reduction
import softmax
import stencil
import transpose

import kdsl.dialects.all  # noqa: F401  (declares the ops)
from kdsl.compiler import target_of
from kdsl.ir.core import Module
from kdsl.language.kernel import Kernel
from kdsl.library import attention, elementwise, linear, norms, rope, rope_attention

NUMPY = {"f32": np.float32, "bf16": ml_dtypes.bfloat16, "f16": np.float16, "i8": np.int8}
DTYPES = ("f32", "bf16", "f16")
RAGGED = 21
ROWS, COLS, DEPTH = 5, 11, 13
BATCH, HEADS, KV_HEADS, QUERIES, KEYS, TABLE, SIZE, ANGLES = 1, 2, 1, 9, 14, 20, 8, 3
BLOCKS = {"BM": 8, "BN": 8}
HEAD = {"D": SIZE, "R": ANGLES}
SCALE = np.float32(0.35)
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"CAUSAL": False},
    {"WINDOW": 5},
    {"WINDOW": 5, "CAUSAL": False},
    {"SOFTCAP": 5.0},
)
"""Of attention."""


@dataclass(frozen=True)
class Case:
    """A specialization (a value None: an argument left out) and arguments for its entry."""

    kernel: Kernel
    values: dict[str, Any]
    args: tuple[Any, ...]

    def __str__(self) -> str:
        options = [f"{k}={'none' if v is None else v}" for k, v in self.values.items()]
        return " ".join([f"{self.kernel.__module__}.{self.kernel.name}", *options])

    def module(self) -> Module:
        """Return the module as traced."""
        specialization = self.kernel.specialize(**self.values)
        return self.kernel.trace(specialization, target_of()).module

    @property
    def examples(self) -> dict[str, list[tuple[Any, ...]]]:
        """The arguments as Differential takes them."""
        return {self.kernel.name: [self.args]}


def floats(*shape: int, dtype: str = "f32", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng((seed, *shape))
    return rng.standard_normal(shape, dtype=np.float32).astype(NUMPY[dtype])


def integers(*shape: int, dtype: Any, low: int = 0, high: int = 9) -> np.ndarray:
    return np.random.default_rng(shape).integers(low, high, shape, dtype=dtype)


def cases() -> list[Case]:
    """Return all cases; small enough for the interpreter."""
    makers: tuple[Callable[[], list[Case]], ...] = (
        _examples, _elementwise, _linear, _rope, _attention, _whole, _prefill, _decode,
    )  # fmt: skip
    return [case for make in makers for case in make()]


def _examples() -> list[Case]:
    n = np.int64(RAGGED)
    row, matrix = (floats(RAGGED, seed=s) for s in (1, 2)), floats(ROWS, COLS)
    counted = integers(RAGGED, dtype=np.uint8, high=12)
    packed = integers(3, 16, dtype=np.uint8, high=256)
    pixels, out = np.zeros((4, COLS), np.int32), np.zeros_like(matrix)
    counts = np.zeros(9, np.int32)
    numbers = integers(3, RAGGED, dtype=np.int32, low=-9)
    view = (np.float32(-2.1), np.float32(-1.2), np.float32(0.3), np.int32(12))
    found = [
        Case(example_elementwise.silu_mul, {}, (*row, np.zeros(RAGGED, np.float32), n)),
        Case(histogram.histogram, {"CHUNK": 8}, (counted, counts)),
        Case(
            int4_matvec.int4_matvec,
            {"GROUP": 8},
            (packed, floats(3, 4), floats(2, 16), np.zeros(3, np.float32)),
        ),
        Case(mandelbrot.mandelbrot, {}, (pixels, *view)),
        Case(
            matmul.matmul,
            {**BLOCKS, "BK": 8},
            (floats(ROWS, DEPTH), floats(DEPTH, COLS), np.zeros((ROWS, COLS), np.float32)),
        ),
        Case(prefix_sum.prefix_sum, {"BLOCK": 8}, (numbers, np.zeros_like(numbers))),
        Case(reduction.rms_norm, {}, (matrix, floats(COLS), out, np.float32(1e-5))),
        Case(softmax.softmax, BLOCKS, (matrix * 4, out)),
        Case(stencil.diffuse, {}, (matrix, out, np.float32(0.1))),
    ]
    for dtype in ("f32", "bf16", "i8"):
        x = (floats(ROWS, COLS) * 40).astype(NUMPY[dtype])
        found.append(Case(transpose.transpose, {"T": dtype, "BLOCK": 8}, (x, np.zeros_like(x.T))))
    return found


def _elementwise() -> list[Case]:
    found = []
    for dtype in DTYPES:
        x, y = (floats(RAGGED, dtype=dtype, seed=s) for s in (1, 2))
        out, half, quarter = np.zeros_like(x), np.float32(0.5), np.float32(0.25)
        matrix = floats(ROWS, COLS, dtype=dtype)
        found += [
            Case(elementwise.silu_mul, {"T": dtype}, (x, y, out)),
            Case(elementwise.add, {"T": dtype}, (x, y, out)),
            Case(elementwise.scale_shift, {"T": dtype}, (x, half, quarter, out)),
            Case(elementwise.gated_chain, {"T": dtype}, (x, y, half, quarter, out)),
            Case(
                norms.rms_norm,
                {"T": dtype},
                (matrix, floats(COLS), np.zeros_like(matrix), np.float32(1e-5)),
            ),
        ]
    return found


def _linear() -> list[Case]:
    found = []
    for x, w in (("f32", "f32"), ("f32", "bf16"), ("bf16", "bf16")):
        vector, matrix = floats(DEPTH, dtype=x), floats(ROWS, DEPTH, dtype=x)
        weights = floats(COLS, DEPTH, dtype=w)
        kinds = {"X": x, "W": w}
        found += [
            Case(linear.matvec, {**kinds, "ROWS": 4}, (vector, weights, np.zeros(COLS, NUMPY[x]))),
            Case(
                linear.matmul,
                {**kinds, **BLOCKS, "BK": 8},
                (matrix, weights, np.zeros((ROWS, COLS), NUMPY[x])),
            ),
        ]
    return found


def _tables() -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(TABLE, dtype=np.float32)[:, None] / (1 + np.arange(ANGLES, dtype=np.float32))
    return np.cos(at), np.sin(at)


def _positions() -> np.ndarray:
    return (np.arange(QUERIES, dtype=np.int32) * 2)[None, :].repeat(BATCH, 0)


def _inputs(dtype: str, keys: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    q = floats(BATCH, HEADS, QUERIES, SIZE, dtype=dtype)
    k, v = (floats(BATCH, KV_HEADS, keys, SIZE, dtype=dtype, seed=s) for s in (2, 3))
    return q, k, v


def _rope() -> list[Case]:
    found = []
    for dtype in DTYPES:
        for interleaved in (False, True):
            for given in (False, True):
                values = {"T": dtype, **HEAD, "INTERLEAVED": interleaved, "BM": 8}
                positions = _positions() if given else None
                x = floats(BATCH, HEADS, QUERIES, SIZE, dtype=dtype)
                args = (x, *_tables(), np.zeros_like(x), positions, np.int32(3))
                found.append(Case(rope.rope, values | _absent(positions=positions), args))
    return found


def _absent(**given: Any) -> dict[str, None]:
    return {name: None for name, value in given.items() if value is None}


def _lse() -> np.ndarray:
    return np.zeros((BATCH, HEADS, QUERIES), np.float32)


def _attention() -> list[Case]:
    found = []
    for dtype, options, lse in (
        *(("f32", options, None) for options in OPTIONS),
        ("bf16", {}, _lse()),
        ("f16", {"SOFTCAP": 5.0}, None),
    ):
        q, k, v = _inputs(dtype, KEYS)
        values = {"T": dtype, "D": SIZE, **BLOCKS, **options, **_absent(lse=lse)}
        found.append(Case(attention.attention, values, (q, k, v, np.zeros_like(q), SCALE, lse)))
        blocks = dict.fromkeys(("cos", "sin", "positions"))
        start, length = np.int32(KEYS - QUERIES), np.int32(KEYS)
        args = (q, k, v, np.zeros_like(q), lse, None, None, None, start, length, SCALE)
        found.append(Case(attention.attention_blocks, {**values, **HEAD, **blocks}, args))
    return found


def _varied() -> list[tuple[str, dict[str, Any], Any, Any]]:
    """Return dtypes, options, and optional arguments lse and positions."""
    return [
        *(("f32", options, None, None) for options in OPTIONS),
        ("f32", {"INTERLEAVED": True}, _lse(), None),
        ("f32", {}, None, _positions()),
        ("bf16", {}, _lse(), _positions()),
        ("bf16", {"WINDOW": 5, "SOFTCAP": 5.0, "INTERLEAVED": True}, None, None),
        ("f16", {}, None, None),
    ]


def _whole() -> list[Case]:
    found = []
    for dtype, options, lse, positions in _varied():
        q, k, v = _inputs(dtype, QUERIES)
        absent = _absent(lse=lse, positions=positions)
        values = {"T": dtype, **HEAD, **BLOCKS, **options, **absent}
        args = (q, k, v, *_tables(), np.zeros_like(q), SCALE, lse, positions)
        found.append(Case(rope_attention.rope_attention, values, args))
    return found


def _caches(dtype: str) -> tuple[np.ndarray, ...]:
    return tuple(floats(BATCH, KV_HEADS, KEYS, SIZE, dtype=dtype, seed=s) for s in (4, 5))


def _prefill() -> list[Case]:
    found = []
    start = np.int32(KEYS - QUERIES - 1)
    for dtype, options, lse, positions in _varied():
        q, k, v = _inputs(dtype, QUERIES)
        absent = _absent(lse=lse, positions=positions)
        values = {"T": dtype, **HEAD, **BLOCKS, **options, **absent}
        args = (
            q, k, v, *_tables(), *_caches(dtype), np.zeros_like(q), SCALE, start, lse, positions,
        )  # fmt: skip
        found.append(Case(rope_attention.rope_attention_prefill, values, args))
    q, k, v = _inputs("f32", QUERIES)
    args = (k, v, *_tables(), *_caches("f32"), None, start)
    values = {"T": "f32", **HEAD, "BR": 4, "positions": None}
    found.append(Case(rope_attention.append_rotated, values, args))
    return found


def _decode() -> list[Case]:
    found = []
    for dtype, options, lse in (
        ("f32", {}, None),
        ("f32", {"WINDOW": 5}, _lse()[:, :, 0].copy()),
        ("f32", {"SOFTCAP": 5.0, "INTERLEAVED": True}, None),
        ("bf16", {}, _lse()[:, :, 0].copy()),
        ("f16", {}, None),
    ):
        q = floats(BATCH, HEADS, SIZE, dtype=dtype)
        k, v = (floats(BATCH, KV_HEADS, SIZE, dtype=dtype, seed=s) for s in (2, 3))
        position = np.full(BATCH, 11, np.int32)
        args = (q, k, v, *_tables(), *_caches(dtype), position, np.zeros_like(q), SCALE, lse)
        values = {"T": dtype, **HEAD, "G": HEADS // KV_HEADS, "BN": 8}
        values |= {**options, **_absent(lse=lse)}
        found.append(Case(rope_attention.rope_attention_decode, values, args))
    return found
