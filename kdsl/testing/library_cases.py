"""Every kernel and program of the library, with options and small arguments: what suites run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import kdsl.dialects.all  # noqa: F401  (declares the ops)
from kdsl.compiler import target_of
from kdsl.ir.core import Module
from kdsl.language.kernel import Kernel
from kdsl.library import attention, elementwise, linear, norms, rope, rope_attention, varlen
from kdsl.target.target import Target

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

    def module(self, target: Target | None = None) -> Module:
        """Return the module as traced for a target: of the settings, if none is named."""
        specialization = self.kernel.specialize(**self.values)
        return self.kernel.trace(specialization, target or target_of()).module

    @property
    def examples(self) -> dict[str, list[tuple[Any, ...]]]:
        """The arguments as Differential takes them."""
        return {self.kernel.name: [self.args]}


def floats(*shape: int, dtype: str = "f32", seed: int = 0) -> np.ndarray:
    """Return normal numbers of a shape, always the same for a seed."""
    rng = np.random.default_rng((seed, *shape))
    return rng.standard_normal(shape, dtype=np.float32).astype(NUMPY[dtype])


def integers(*shape: int, dtype: Any, low: int = 0, high: int = 9) -> np.ndarray:
    """Return integers from ``low`` on below ``high``, always the same for a shape."""
    return np.random.default_rng(shape).integers(low, high, shape, dtype=dtype)


def library_cases() -> list[Case]:
    """Return all cases; small enough for the interpreter."""
    makers: tuple[Callable[[], list[Case]], ...] = (
        _elementwise, _linear, _rope, _attention, _whole, _prefill, _decode, _packed,
    )  # fmt: skip
    return [case for make in makers for case in make()]


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
    for dtype, given in (("f32", True), ("bf16", False)):
        matrix = floats(ROWS, DEPTH, dtype=dtype)
        gate, up = (floats(COLS, DEPTH, dtype=dtype, seed=s) for s in (1, 2))
        biases = [floats(COLS, seed=s) if given else None for s in (3, 4)]
        values = {"X": dtype, **BLOCKS, "BK": 8}
        values |= _absent(gate_bias=biases[0], up_bias=biases[1])
        out = np.zeros((ROWS, COLS), NUMPY[dtype])
        found.append(Case(linear.gated_matmul, values, (matrix, gate, up, out, *biases)))
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
        blocks = dict.fromkeys(("cos", "sin", "packed", "positions"))
        start, length = np.int32(KEYS - QUERIES), np.int32(KEYS)
        args = (q, k, v, np.zeros_like(q), lse, None, None, None, None, start, length, SCALE)
        values = {**values, **HEAD, "R2": 2 * ANGLES, **blocks}
        found.append(Case(attention.attention_blocks, values, args))
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


def _packed() -> list[Case]:
    found = []
    starts, longest = np.array([0, 5, 5, QUERIES], np.int32), np.int32(5)
    for dtype, options, given in (
        ("f32", {}, True),
        ("f32", {"WINDOW": 3}, False),
        ("bf16", {"CAUSAL": False}, True),
    ):
        q = floats(HEADS, QUERIES, SIZE, dtype=dtype)
        k, v = (floats(KV_HEADS, QUERIES, SIZE, dtype=dtype, seed=s) for s in (2, 3))
        lse = _lse()[0] if given else None
        values = {"T": dtype, "D": SIZE, **BLOCKS, **options, **_absent(lse=lse)}
        args = (q, k, v, starts, np.zeros_like(q), longest, SCALE, lse)
        found.append(Case(varlen.attention_varlen, values, args))
        rotated = (q, k, v, starts, *_tables(), np.zeros_like(q), longest, SCALE, lse)
        found.append(Case(varlen.rope_attention_varlen, {**values, "R": ANGLES}, rotated))
    return found


# --------------------------------------------------------------------------------- matrix units

UNIT_SIZE, UNIT_ANGLES, UNIT_ROWS, UNIT_KEYS, UNIT_DEPTH = 64, 32, 70, 90, 88
UNIT_BLOCKS = {"BM": 64, "BN": 32}


def matrix_cases() -> list[Case]:
    """Return cases with tiles that fill a matrix unit; too large for loops in the interpreter."""
    found = []
    for dtype in ("bf16", "f16"):
        x = floats(UNIT_ROWS, UNIT_DEPTH, dtype=dtype)
        w = floats(72, UNIT_DEPTH, dtype=dtype, seed=1)
        out = np.zeros((UNIT_ROWS, 72), NUMPY[dtype])
        values = {"X": dtype, **UNIT_BLOCKS, "BK": 32}
        found.append(Case(linear.matmul, {**values, "W": dtype}, (x, w, out)))
        up = floats(72, UNIT_DEPTH, dtype=dtype, seed=2)
        unbiased = {**values, "gate_bias": None, "up_bias": None}
        args = (x, w, up, np.zeros_like(out), None, None)
        found.append(Case(linear.gated_matmul, unbiased, args))
        found += _unit_attention(dtype)
    return found


def _unit_attention(dtype: str) -> list[Case]:
    q = floats(BATCH, HEADS, UNIT_ROWS, UNIT_SIZE, dtype=dtype)
    keys, tokens = (
        [floats(BATCH, KV_HEADS, n, UNIT_SIZE, dtype=dtype, seed=s) for s in (2, 3)]
        for n in (UNIT_KEYS, UNIT_ROWS)
    )
    at = np.arange(UNIT_ROWS, dtype=np.float32)[:, None]
    turns = at / (1 + np.arange(UNIT_ANGLES, dtype=np.float32))
    lse = np.zeros((BATCH, HEADS, UNIT_ROWS), np.float32)
    found = []
    for options in ({}, {"CAUSAL": False}):
        values = {"T": dtype, "D": UNIT_SIZE, **UNIT_BLOCKS, **options}
        args = (q, *keys, np.zeros_like(q), SCALE, lse)
        found.append(Case(attention.attention, values, args))
        rotated = {**values, "R": UNIT_ANGLES, "positions": None}
        tables = (np.cos(turns), np.sin(turns))
        given = (q, *tokens, *tables, np.zeros_like(q), SCALE, lse, None)
        found.append(Case(rope_attention.rope_attention, rotated, given))
    return found
