"""Functions of numbers: the same for scalars, SIMD values and tiles."""

from __future__ import annotations

import math
from typing import Any

from kdsl.dialects import math as ops
from kdsl.language.dims import DimExpr
from kdsl.language.values import (
    Lanes,
    as_value,
    binary,
    fma,
    magnitude,
    negate,
    power,
    unary,
    where_,
)

inf = math.inf
nan = math.nan
pi = math.pi
LOG2E = math.log2(math.e)
LN2 = math.log(2.0)

abs = magnitude
where = select = where_
pow = power

__all__ = ["abs", "fma", "pow", "select", "where"]


def exp(x: Any) -> Any:
    """Return e to the power of each lane."""
    return unary(ops.Exp, "exp", x)


def exp2(x: Any) -> Any:
    """Return two to the power of each lane."""
    return unary(ops.Exp2, "exp2", x)


def log(x: Any) -> Any:
    """Return the natural logarithm."""
    return unary(ops.Log, "log", x)


def log2(x: Any) -> Any:
    """Return the logarithm to base two."""
    return unary(ops.Log2, "log2", x)


def sin(x: Any) -> Any:
    """Return the sine of radians."""
    return unary(ops.Sin, "sin", x)


def cos(x: Any) -> Any:
    """Return the cosine of radians."""
    return unary(ops.Cos, "cos", x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent."""
    return unary(ops.Tanh, "tanh", x)


def erf(x: Any) -> Any:
    """Return the error function."""
    return unary(ops.Erf, "erf", x)


def sqrt(x: Any) -> Any:
    """Return the square root."""
    return unary(ops.Sqrt, "sqrt", x)


def rsqrt(x: Any) -> Any:
    """Return one over the square root."""
    return unary(ops.Rsqrt, "rsqrt", x)


def floor(x: Any) -> Any:
    """Round towards minus infinity."""
    return unary(ops.Floor, "floor", x)


def ceil(x: Any) -> Any:
    """Round towards plus infinity."""
    return unary(ops.Ceil, "ceil", x)


def trunc(x: Any) -> Any:
    """Round towards zero."""
    return unary(ops.Trunc, "trunc", x)


def round(x: Any) -> Any:
    """Round to the nearest integer, halves to even."""
    return unary(ops.Roundeven, "round", x)


def sigmoid(x: Any) -> Any:
    """Return ``1 / (1 + exp(-x))``."""
    return binary("/", 1.0, binary("+", exp(negate_any(x)), 1.0))


def silu(x: Any) -> Any:
    """Return ``x * sigmoid(x)``."""
    return binary("*", x, sigmoid(x))


def negate_any(x: Any) -> Any:
    """Change the sign of a number, traced or not."""
    x = as_value(x)
    return negate(x) if isinstance(x, Lanes) else -x


def copysign(x: Any, y: Any) -> Any:
    """Return the magnitude of ``x`` with the sign of ``y``."""
    return binary("copysign", x, y)


def popcount(x: Any) -> Any:
    """Return the number of one bits."""
    return unary(ops.Ctpop, "popcount", x, floats=False)


def leading_zeros(x: Any) -> Any:
    """Return the number of leading zero bits; the width for 0."""
    return unary(ops.Ctlz, "leading_zeros", x, floats=False)


def trailing_zeros(x: Any) -> Any:
    """Return the number of trailing zero bits; the width for 0."""
    return unary(ops.Cttz, "trailing_zeros", x, floats=False)


def clamp(x: Any, low: Any, high: Any) -> Any:
    """Limit every lane to ``low`` .. ``high``."""
    return minimum(maximum(x, low), high)


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of each pair of lanes, NaN when either is.

    Plain and sympy numbers work too.
    """
    return _extreme("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of each pair of lanes, NaN when either is.

    Plain and sympy numbers work too.
    """
    return _extreme("minimum", a, b)


def _extreme(op: str, a: Any, b: Any) -> Any:
    a, b = as_value(a), as_value(b)
    if isinstance(a, Lanes) or isinstance(b, Lanes):
        return binary(op, a, b)
    if hasattr(a, "free_symbols") or hasattr(b, "free_symbols"):
        import sympy

        return sympy.Max(a, b) if op == "maximum" else sympy.Min(a, b)
    return max(a, b) if op == "maximum" else min(a, b)


def cdiv(a: Any, b: Any) -> Any:
    """Return the quotient of integers, rounded up; plain and sympy numbers and dims work too."""
    a, b = as_value(a), as_value(b)
    if isinstance(a, Lanes) or isinstance(b, Lanes):
        return binary("cdiv", a, b)
    if isinstance(a, DimExpr) or isinstance(b, DimExpr):
        return (a + b - 1) // b
    return -(-a // b)
