"""Constants of a trace, and which Python numbers a dtype can hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import arith
from kdsl.errors import ConstantRangeError, TypeMismatchError
from kdsl.ir.core import Value
from kdsl.ir.types import DType, Type, like
from kdsl.language.state import Scope, current, where
from kdsl.language.types import describe


def constant(value: Any, dtype: DType, shape_of: Type | None = None) -> Value:
    """Return a constant of the dtype (of the shape of a type), one for each block and value."""
    trace = current()
    check_fits(value, dtype)
    t = dtype.type if shape_of is None else like(shape_of, dtype.type)
    key = (type(value), repr(value), dtype), t
    scope: Scope | None = trace.scope
    while scope is not None:
        found = scope.constants.get(key)
        if found is not None:
            return found
        scope = scope.parent
    trace.builder.loc = trace.location(2)
    made = arith.constant(trace.builder, value, t)
    trace.scope.constants[key] = made
    return made


def check_fits(value: Any, dtype: DType) -> None:
    """Raise when a Python number cannot stand for the dtype."""
    if dtype.kind == "b":
        if not isinstance(value, bool):
            raise TypeMismatchError(where(), op="a constant", wanted="a bool", got=describe(value))
        return
    if dtype.kind == "f":
        if isinstance(value, float) and np.isfinite(value) and np.isinf(_in_float(value, dtype)):
            raise ConstantRangeError(where(), value=value, dtype=dtype)
        if isinstance(value, int) and np.isinf(_in_float(float(value), dtype)):
            raise ConstantRangeError(where(), value=value, dtype=dtype)
        return
    if isinstance(value, float):
        raise TypeMismatchError(
            where(), op=f"an {dtype} operand", wanted="an integer", got=describe(value)
        )
    low = 0 if dtype.kind == "u" else -(1 << (dtype.bits - 1))
    high = (1 << (dtype.bits if dtype.kind == "u" else dtype.bits - 1)) - 1
    if not low <= value <= high:
        raise ConstantRangeError(where(), value=value, dtype=dtype)


def _in_float(value: float, dtype: DType) -> Any:
    with np.errstate(all="ignore"):
        return np.float64(dtype.numpy.type(value))
