"""Views as NumPy arrays over the same memory, for the interpreter."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsl.ir.signature import PTR, SCALAR, Signature
from kdsl.ir.types import DTYPES, element_type
from kdsl.runtime.views import View


def array_of(view: View) -> np.ndarray:
    """Return an array over a view's memory; it keeps the owner alive."""
    dtype = DTYPES[view.dtype]
    size = dtype.itemsize
    ends = [(n - 1) * s for n, s in zip(view.shape, view.strides, strict=True)]
    if 0 in view.shape:
        return np.empty(view.shape, dtype.numpy)
    low, high = sum(min(e, 0) for e in ends), sum(max(e, 0) for e in ends) + 1
    raw = (ctypes.c_char * ((high - low) * size)).from_address(view.address + low * size)
    raw._owner = view.keep  # type: ignore[attr-defined]
    strides = [s * size for s in view.strides]
    found = np.ndarray(view.shape, dtype.numpy, memoryview(raw), -low * size, strides)
    if view.readonly:
        found.flags.writeable = False
    return found


def interpreter_arguments(signature: Signature, values: Sequence[Any]) -> list[Any]:
    """Return what the interpreter takes: arrays in signless dtypes, scalars as they are."""
    found: list[Any] = []
    for arg, value in zip(signature.args, values, strict=True):
        kind = element_type(DTYPES[arg.dtype].type).numpy
        if arg.kind == SCALAR:
            found.append(np.asarray(value).astype(DTYPES[arg.dtype].numpy).view(kind)[()])
        elif value is None:
            found.append(None)
        else:
            made = array_of(value).view(kind)
            found.append(made.reshape(-1) if arg.kind == PTR else made)
    return found
