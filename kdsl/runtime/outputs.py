"""Arrays that a call makes itself: as large as the other arguments say, where they are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdsl.errors import NoOutputError
from kdsl.ir.types import DTYPES
from kdsl.runtime.views import HOST, TORCH_NAMES, View


def extents(kernel: str, name: str, dims: Sequence[Any], known: Mapping[str, Any]) -> list[Any]:
    """Return the extents of dims: ints, or expressions over ``known`` names. Raises NoOutputError.

    ``known`` may hold symbolic sizes of another library.
    """
    found: list[Any] = []
    for dim in dims:
        if isinstance(dim, int):
            found.append(dim)
            continue
        missing = [n for n in dim.names() if n not in known]
        if missing:
            why = f"no other argument has the dim {missing[0]}"
            raise NoOutputError(kernel=kernel, name=name, why=why)
        found.append(dim.evaluate(known.__getitem__))
    return found


def torch_dtype(name: str) -> Any:
    """Return torch's dtype of a name."""
    return getattr(sys.modules["torch"], TORCH_NAMES[name])


def make(kernel: str, name: str, shape: Sequence[int], dtype: str, like: View | None) -> Any:
    """Return a new array by the library of ``like``, on its device. Raises NoOutputError."""
    owner: Any = None if like is None else like.keep
    if type(owner) is tuple:
        owner = owner[0]
    library = type(owner).__module__.partition(".")[0]
    if hasattr(owner, "data_ptr"):
        return owner.new_empty(tuple(shape), dtype=torch_dtype(dtype), requires_grad=False)
    if like is None or like.device == HOST:
        return np.empty(tuple(shape), DTYPES[dtype].numpy)
    if library == "cupy":
        return sys.modules["cupy"].empty(tuple(shape), DTYPES[dtype].numpy)
    why = f"{library} gives kdsl no way to make an array on {like.device}"
    raise NoOutputError(kernel=kernel, name=name, why=why)
