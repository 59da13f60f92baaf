"""Comparing answers: bit for bit, except that any NaN equals any other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def same_bits(a: Any, b: Any) -> bool:
    """Return whether two numbers or arrays are of one dtype and shape and equal bit for bit."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    raw_a, raw_b = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    differs = (raw_a != raw_b).reshape(a.size, -1).any(axis=-1)
    if a.dtype.kind in "biu":
        return not bool(differs.any())
    both_nan = (np.isnan(a) & np.isnan(b)).reshape(-1)
    return not bool((differs & ~both_nan).any())


def assert_same_bits(got: Iterable[Any], wanted: Iterable[Any]) -> None:
    """Raise AssertionError naming the first answer that differs."""
    for i, (a, b) in enumerate(zip(got, wanted, strict=True)):
        assert same_bits(a, b), f"answer {i} differs:\n{a!r}\n{b!r}"
