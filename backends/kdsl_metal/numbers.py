"""The numbers of a launch as the structure that a kernel reads: sizes, strides, scalars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsl_metal.emit import word_bytes


def packed_numbers(rows: Sequence[Sequence[Any]], args: Sequence[Any]) -> bytes:
    """Return the bytes of a kernel's numbers, given in the order of the structure."""
    return b"".join(_bytes(row, args[row[1]]) for row in rows)


def _bytes(row: Sequence[Any], value: Any) -> bytes:
    kind, _, axis, word, _ = row
    if kind in ("size", "stride"):
        number = value.shape[axis] if kind == "size" else value.strides[axis]
        return int(number).to_bytes(8, "little", signed=True)
    raw = np.asarray(value).tobytes()
    assert len(raw) == word_bytes(word)
    return raw
