"""The upstream ``math`` dialect: elementary functions on lanes.

Ops with a ``decompose`` can be written with simpler ops, so that a target needs none of them;
accuracy is stated there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects.arith import LANEWISE
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value
from kdsl.ir.define import FLOAT, INTEGER, Op, attribute, operand, result


def _floating(function: Any) -> Any:
    """Evaluate in the lanes' own type, f32 for the 8- and 16-bit ones, without warnings."""

    def evaluate(*values: Any) -> Any:
        first = np.asarray(values[0])
        wide = first.dtype if first.dtype.itemsize >= 4 else np.dtype(np.float32)
        with np.errstate(all="ignore"):
            found = function(*(np.asarray(v).astype(wide) for v in values))
        return np.asarray(found).astype(first.dtype)[()]

    return staticmethod(evaluate)


def by_formula(name: str) -> Any:
    """Return a ``decompose`` that the polynomials implement (they need this module's ops)."""

    def decompose(self: Op, b: Builder) -> Value:
        from kdsl.dialects import polynomials

        return polynomials.decompose(name, self, b)

    return decompose


class Unary(Op):
    """Base of the functions of one float operand."""


def _rsqrt(x: Any) -> Any:
    return np.reciprocal(np.sqrt(x))


def _erf(x: Any) -> Any:
    from math import erf

    return np.vectorize(erf, otypes=[np.float64])(x)


def _round_away(x: Any) -> Any:
    whole = np.trunc(x)
    return np.copysign(whole + np.copysign(np.abs(x - whole) >= 0.5, x), x)


class Absf(Unary, name="math.absf", traits=LANEWISE):
    """Magnitude."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.abs)


class Exp2(Unary, name="math.exp2", traits=LANEWISE):
    """Two raised to the power of each lane."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.exp2)
    decompose = by_formula("exp2")


class Exp(Unary, name="math.exp", traits=LANEWISE):
    """Euler's number raised to the power of each lane."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.exp)
    decompose = by_formula("exp")


class Log(Unary, name="math.log", traits=LANEWISE):
    """Natural logarithm."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.log)
    decompose = by_formula("log")


class Log2(Unary, name="math.log2", traits=LANEWISE):
    """Logarithm to base two."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.log2)
    decompose = by_formula("log2")


class Sin(Unary, name="math.sin", traits=LANEWISE):
    """Sine of radians."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.sin)
    decompose = by_formula("sin")


class Cos(Unary, name="math.cos", traits=LANEWISE):
    """Cosine of radians."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.cos)
    decompose = by_formula("cos")


class Tanh(Unary, name="math.tanh", traits=LANEWISE):
    """Hyperbolic tangent."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.tanh)
    decompose = by_formula("tanh")


class Erf(Unary, name="math.erf", traits=LANEWISE):
    """Error function."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(_erf)
    decompose = by_formula("erf")


class Sqrt(Unary, name="math.sqrt", traits=LANEWISE):
    """Square root."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.sqrt)


class Rsqrt(Unary, name="math.rsqrt", traits=LANEWISE):
    """One over the square root."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(_rsqrt)
    decompose = by_formula("rsqrt")


class Floor(Unary, name="math.floor", traits=LANEWISE):
    """Round towards minus infinity."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.floor)
    decompose = by_formula("floor")


class Ceil(Unary, name="math.ceil", traits=LANEWISE):
    """Round towards plus infinity."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.ceil)
    decompose = by_formula("ceil")


class Trunc(Unary, name="math.trunc", traits=LANEWISE):
    """Round towards zero."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.trunc)
    decompose = by_formula("trunc")


class Round(Unary, name="math.round", traits=LANEWISE):
    """Round to the nearest integer, halves away from zero."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(_round_away)
    decompose = by_formula("round")


class Roundeven(Unary, name="math.roundeven", traits=LANEWISE):
    """Round to the nearest integer, halves to even."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.rint)
    decompose = by_formula("roundeven")


class Fma(Op, name="math.fma", traits=LANEWISE):
    """``a * b + c``, rounded once."""

    a = operand(FLOAT)
    b = operand(same_as="a")
    c = operand(same_as="a")
    y = result(same_as="a")
    fastmath = attribute("opaque", default=None)

    @staticmethod
    def evaluate(a: Any, b: Any, c: Any) -> Any:
        # A product of two f32 is exact in f64; the sum rounds a second time, within half an ulp.
        wide = np.float64 if a.dtype.itemsize <= 4 else np.longdouble
        with np.errstate(all="ignore"):
            return np.add(np.multiply(a, b, dtype=wide), c, dtype=wide).astype(a.dtype)

    decompose = by_formula("fma")


class Copysign(Op, name="math.copysign", traits=LANEWISE):
    """The magnitude of ``a`` with the sign of ``b``."""

    a = operand(FLOAT)
    b = operand(same_as="a")
    y = result(same_as="a")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.copysign)


class Powf(Op, name="math.powf", traits=LANEWISE):
    """``a`` raised to the power ``b``."""

    a = operand(FLOAT)
    b = operand(same_as="a")
    y = result(same_as="a")
    fastmath = attribute("opaque", default=None)
    evaluate = _floating(np.power)
    decompose = by_formula("powf")


class Absi(Op, name="math.absi", traits=LANEWISE):
    """Magnitude of a signed integer, modulo 2 to the width."""

    x = operand(INTEGER)
    y = result(same_as="x")

    @staticmethod
    def evaluate(x: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.abs(x)


def _bit_counter(count: Any) -> Any:
    def evaluate(x: Any) -> Any:
        lanes = np.asarray(x)
        bits = lanes.dtype.itemsize * 8
        masked = lanes.astype(object) & ((1 << bits) - 1)
        return np.vectorize(lambda v: count(int(v), bits), otypes=[lanes.dtype])(masked)[()]

    return staticmethod(evaluate)


class Ctpop(Op, name="math.ctpop", traits=LANEWISE):
    """Number of one bits."""

    x = operand(INTEGER)
    y = result(same_as="x")
    evaluate = _bit_counter(lambda v, _: v.bit_count())


class Ctlz(Op, name="math.ctlz", traits=LANEWISE):
    """Number of leading zero bits; the width for zero."""

    x = operand(INTEGER)
    y = result(same_as="x")
    evaluate = _bit_counter(lambda v, bits: bits - v.bit_length())


class Cttz(Op, name="math.cttz", traits=LANEWISE):
    """Number of trailing zero bits; the width for zero."""

    x = operand(INTEGER)
    y = result(same_as="x")
    evaluate = _bit_counter(lambda v, bits: (v & -v).bit_length() - 1 if v else bits)
