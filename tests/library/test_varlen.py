"""Packed sequences against the float64 reference, sequence by sequence."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from kdsl.errors import KernelAssertError
from kdsl.library import reference
from kdsl.library.rope_tables import rope_tables
from kdsl.library.varlen import attention_varlen, rope_attention_varlen

CANARY = 77.0
LENGTHS = [(5, 70, 1), (64,), (0, 33, 0, 130), (128, 3)]


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def packed(lengths: tuple[int, ...], size: int) -> tuple[Any, ...]:
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    rows = int(starts[-1]) + 9  # rows that belong to no sequence
    q, k, v = (normal(s, h, rows, size) for s, h in ((1, 4), (2, 2), (3, 2)))
    return starts, q, k, v, np.full_like(q, CANARY), np.full(q.shape[:2], CANARY, np.float32)


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("options", [{}, {"CAUSAL": False}, {"WINDOW": 17}], ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_sequences_see_only_themselves(
    lengths: tuple[int, ...], options: dict[str, Any], rotated: bool
) -> None:
    starts, q, k, v, out, lse = packed(lengths, 64)
    cos, sin = rope_tables(130, 64)
    longest = max(lengths)
    if rotated:
        rope_attention_varlen(q, k, v, starts, cos, sin, out, longest, 0.2, lse, **options)
    else:
        attention_varlen(q, k, v, starts, out, longest, 0.2, lse, **options)
    named = {name.lower(): value for name, value in options.items()}
    for first, last in itertools.pairwise(starts):
        part = [x[:, first:last] for x in (q, k, v)]
        if rotated:
            part[:2] = [reference.rope(x, cos, sin) for x in part[:2]]
        want, want_lse = reference.attention(*part, scale=0.2, **named)
        np.testing.assert_allclose(out[:, first:last], want, atol=3e-5, rtol=3e-5)
        np.testing.assert_allclose(lse[:, first:last], want_lse, atol=3e-5, rtol=3e-5)
    assert (out[:, starts[-1] :] == CANARY).all()
    assert (lse[:, starts[-1] :] == CANARY).all()


@pytest.mark.parametrize("wrong", [[0, 50, 40], [-1, 10, 20], [0, 10, 900]], ids=str)
def test_starts_that_are_no_row_numbers_fail_the_kernel(wrong: list[int]) -> None:
    q, k, v = normal(1, 4, 60, 64), normal(2, 2, 60, 64), normal(3, 2, 60, 64)
    starts = np.array(wrong, np.int32)
    with pytest.raises(KernelAssertError):
        attention_varlen(q, k, v, starts, np.empty_like(q), 60, 0.2)


def test_a_sequence_longer_than_said_fails_the_kernel() -> None:
    q, k, v = normal(1, 4, 60, 64), normal(2, 2, 60, 64), normal(3, 2, 60, 64)
    starts = np.array([0, 60], np.int32)
    with pytest.raises(KernelAssertError):
        attention_varlen(q, k, v, starts, np.empty_like(q), 40, 0.2)
