"""NumPy helpers for signless integer lanes, shared by the meanings of ops."""

from __future__ import annotations

from typing import Any

import numpy as np


def quiet(function: Any) -> Any:
    """Wrap around silently and keep the lanes' type, as machine integers do."""

    def evaluate(*values: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(function(*values)).astype(np.asarray(values[0]).dtype)[()]

    return staticmethod(evaluate)


def unsigned(x: Any) -> Any:
    """View signless lanes as unsigned."""
    x = np.asarray(x)
    return x if x.dtype == np.bool_ else x.view(np.dtype(f"u{x.dtype.itemsize}"))


def signless(x: Any, like: Any) -> Any:
    """View unsigned lanes as the signless type of ``like``."""
    return np.asarray(x).astype(unsigned(like).dtype).view(np.asarray(like).dtype)[()]


def is_bool(x: Any) -> bool:
    """Return whether the lanes are ``i1``."""
    return bool(np.asarray(x).dtype == np.bool_)


def truncating_quotient(lhs: Any, rhs: Any) -> Any:
    """Divide signed lanes, rounding towards zero."""
    with np.errstate(all="ignore"):
        quotient = np.floor_divide(lhs, rhs)
        remainder = np.subtract(lhs, np.multiply(quotient, rhs))
        opposed = (remainder != 0) & ((remainder < 0) != np.less(lhs, 0))
        return np.where(opposed, quotient + 1, quotient)
