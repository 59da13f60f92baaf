"""What NumPy does not do by itself on signless lanes, and comparisons by MLIR's predicates."""

from __future__ import annotations

from typing import Any

import numpy as np

_CMPI_NAMES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")
_CMPF_NAMES = (
    "false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord",
    "ueq", "ugt", "uge", "ult", "ule", "une", "uno", "true",
)  # fmt: skip

CMPI = {name: number for number, name in enumerate(_CMPI_NAMES)}
"""Integer predicates as MLIR numbers them."""
CMPF = {name: number for number, name in enumerate(_CMPF_NAMES)}
"""Float predicates as MLIR numbers them: ``o`` is false and ``u`` true when a lane is NaN."""

_COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
}


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


def compare_integers(predicate: int, lhs: Any, rhs: Any) -> Any:
    """Compare signless lanes by one of ``CMPI``."""
    name = _CMPI_NAMES[predicate]
    if name[0] == "u":
        return _COMPARE[name[1:]](unsigned(lhs), unsigned(rhs))
    if name[0] != "s":
        return _COMPARE[name](lhs, rhs)
    if is_bool(lhs):
        lhs, rhs = rhs, lhs  # a signed i1 is 0 or -1
    return _COMPARE[name[1:]](lhs, rhs)


def compare_floats(predicate: int, lhs: Any, rhs: Any) -> Any:
    """Compare float lanes by one of ``CMPF``."""
    name = _CMPF_NAMES[predicate]
    either_nan = np.isnan(lhs) | np.isnan(rhs)
    if name in ("false", "true"):
        return np.full_like(either_nan, name == "true")
    if name in ("ord", "uno"):
        return either_nan if name == "uno" else ~either_nan
    with np.errstate(all="ignore"):
        found = _COMPARE[name[1:]](lhs, rhs)
    return (found & ~either_nan) if name[0] == "o" else (found | either_nan)
