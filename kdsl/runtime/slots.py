"""Arguments as the 8-byte slots that native entries take, without a signature around them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsl.ir.types import MemRefType, Type


def words_of(kinds: Sequence[Type], args: Sequence[Any]) -> ctypes.Array[ctypes.c_int64]:
    """Return the slots of arguments of these types.

    A 1-D buffer without strides is a pointer (its address alone), any other buffer has its sizes
    and strides after its address, in elements; None is a buffer that is left out; numbers keep
    their bits.
    """
    words: list[int] = []
    for kind, arg in zip(kinds, args, strict=True):
        if not isinstance(kind, MemRefType):
            words.append(_number(arg))
        elif is_pointer(kind):
            words.append(0 if arg is None else arg.ctypes.data)
        elif arg is None:
            words += [0] * (1 + 2 * kind.rank)
        else:
            strides = (s // arg.itemsize for s in arg.strides)
            words += [arg.ctypes.data, *arg.shape, *strides]
    return (ctypes.c_int64 * max(len(words), 1))(*words)


def is_pointer(kind: MemRefType) -> bool:
    """Return whether a buffer is a ``Ptr``: one unknown extent, no strides."""
    return kind.rank == 1 and not kind.is_static and kind.strides is None


def _number(arg: Any) -> int:
    value = np.asarray(arg)
    if value.dtype.kind in "biu":
        return int(value)
    bits = value.reshape(1).view(f"u{value.itemsize}")
    return int(bits[0])
