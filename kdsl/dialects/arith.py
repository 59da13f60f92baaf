"""The upstream ``arith`` dialect: constants, arithmetic, comparisons and conversions on lanes.

Names, operands and meaning are MLIR's. Integers are signless: signed and unsigned variants are
separate ops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import numeric, rules
from kdsl.dialects.numeric import is_bool, quiet, signless, truncating_quotient, unsigned
from kdsl.ir.attributes import Attribute, AttributeValue, Dense, FloatAttr, IntAttr
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value, defining_op
from kdsl.ir.define import (
    BOOL,
    DATA,
    FIXED_INTEGER,
    FLOAT,
    INTEGER,
    Commutative,
    ConstantLike,
    Elementwise,
    Op,
    Pure,
    attribute,
    element_of,
    operand,
    result,
)
from kdsl.ir.rewrite import use_constants
from kdsl.ir.types import I1, INDEX, ScalarType, ShapedType, Type, element_type

LANEWISE = (Pure, Elementwise)
COMMUTING = (Pure, Elementwise, Commutative)

CMPI = numeric.CMPI
CMPF = numeric.CMPF

CONTRACT = "#arith.fastmath<contract>"
"""The fast-math flag of ordinary kernel arithmetic: multiply and add may fuse, no more."""


class Constant(Op, name="arith.constant", traits=(Pure, ConstantLike)):
    """A constant scalar, vector or tile."""

    value = attribute("typed")
    y = result(DATA)

    def evaluate(self) -> Any:
        value = self.value
        if isinstance(value, Dense):
            return value.full()
        return element_type(self.results[0].type).numpy.type(plain(value))

    verify = rules.constant_of_its_type


def plain(value: AttributeValue) -> Any:
    """Return the Python number inside a constant attribute (the splat element of a Dense)."""
    if isinstance(value, IntAttr | FloatAttr):
        return value.value
    if isinstance(value, Dense):
        return value.array.item() if value.is_splat else None
    return value


def constant_attribute(value: Any, type: Type) -> AttributeValue:
    """Return the attribute of ``arith.constant`` for a number or array of ``type``."""
    if isinstance(type, ShapedType):
        if isinstance(value, int) and type.element.kind != "f" and type.element is not I1:
            value = _wrap(value, type.element.bits)
        return Dense(np.asarray(value, dtype=type.element.numpy), type)
    assert isinstance(type, ScalarType)
    if type is I1:
        return bool(value)
    if type.kind == "f":
        return FloatAttr(float(type.numpy.type(value)), type)
    return IntAttr(_wrap(int(value), type.bits), type)


def _wrap(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def constant(b: Builder, value: Any, type: Type) -> Value:
    """Create a constant of ``type`` from a number, an array or a constant's attribute.

    A number for a shaped type fills all lanes.
    """
    if not isinstance(value, Attribute):
        value = constant_attribute(value, type)
    made = b.create(Constant, types=[type], value=value)
    assert isinstance(made, Value)
    return made


use_constants(constant)


def index_constant(b: Builder, value: int) -> Value:
    """Create an index constant."""
    return constant(b, value, INDEX)


def constant_of(value: Value) -> Any:
    """Return the number that a value is known to be (a splat's element), else None."""
    op = defining_op(value, Constant)
    return None if op is None else plain(op.value)


def is_constant(value: Value, number: float) -> bool:
    """Return whether a value is known to be ``number`` in all lanes."""
    known = constant_of(value)
    return known is not None and known == number


# ------------------------------------------------------------------------------------- floats


class Addf(Op, name="arith.addf", traits=COMMUTING):
    """Sum of the lanes."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    fastmath = attribute("opaque", default=None)
    evaluate = staticmethod(np.add)


class Subf(Op, name="arith.subf", traits=LANEWISE):
    """Difference of the lanes."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    fastmath = attribute("opaque", default=None)
    evaluate = staticmethod(np.subtract)

    def fold(self) -> Value | None:
        """x - 0 is x, for every x."""
        return self.lhs if _positive_zero(self.rhs) else None


class Mulf(Op, name="arith.mulf", traits=COMMUTING):
    """Product of the lanes."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    fastmath = attribute("opaque", default=None)
    evaluate = staticmethod(np.multiply)

    def fold(self) -> Value | None:
        """x * 1 is x."""
        return self.lhs if is_constant(self.rhs, 1) else None


class Divf(Op, name="arith.divf", traits=LANEWISE):
    """Quotient of the lanes."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    fastmath = attribute("opaque", default=None)

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.divide(lhs, rhs)

    def fold(self) -> Value | None:
        """x / 1 is x."""
        return self.lhs if is_constant(self.rhs, 1) else None


class Remf(Op, name="arith.remf", traits=LANEWISE):
    """Remainder with the sign of the dividend."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    fastmath = attribute("opaque", default=None)

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.fmod(lhs, rhs)

    def decompose(self, b: Builder) -> Value:
        """x - trunc(x / y) y."""
        from kdsl.dialects import polynomials

        return polynomials.decompose("remf", self, b)


class Negf(Op, name="arith.negf", traits=LANEWISE):
    """Lanes with their sign changed."""

    x = operand(FLOAT)
    y = result(same_as="x")
    fastmath = attribute("opaque", default=None)
    evaluate = staticmethod(np.negative)

    def fold(self) -> Value | None:
        """Two changes of sign are none."""
        inner = defining_op(self.x, Negf)
        return inner.x if inner is not None else None


class Maximumf(Op, name="arith.maximumf", traits=COMMUTING):
    """Larger of the lanes; NaN when either is NaN."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    fastmath = attribute("opaque", default=None)
    evaluate = staticmethod(np.maximum)


class Minimumf(Op, name="arith.minimumf", traits=COMMUTING):
    """Smaller of the lanes; NaN when either is NaN."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    fastmath = attribute("opaque", default=None)
    evaluate = staticmethod(np.minimum)


class Maxnumf(Op, name="arith.maxnumf", traits=COMMUTING):
    """Larger of the lanes; the other one when one is NaN."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    fastmath = attribute("opaque", default=None)
    evaluate = staticmethod(np.fmax)


class Minnumf(Op, name="arith.minnumf", traits=COMMUTING):
    """Smaller of the lanes; the other one when one is NaN."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    fastmath = attribute("opaque", default=None)
    evaluate = staticmethod(np.fmin)


def _positive_zero(value: Value) -> bool:
    known = constant_of(value)
    return known is not None and known == 0 and not np.signbit(np.float64(known))


# ------------------------------------------------------------------------------------ integers


class Addi(Op, name="arith.addi", traits=COMMUTING):
    """Sum of the lanes, modulo 2 to the width."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.not_equal(lhs, rhs) if is_bool(lhs) else np.add(lhs, rhs)

    def fold(self) -> Value | None:
        """x + 0 is x."""
        return self.lhs if is_constant(self.rhs, 0) else None


class Subi(Op, name="arith.subi", traits=LANEWISE):
    """Difference of the lanes, modulo 2 to the width."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.not_equal(lhs, rhs) if is_bool(lhs) else np.subtract(lhs, rhs)

    def fold(self) -> Value | None:
        """x - 0 is x."""
        return self.lhs if is_constant(self.rhs, 0) else None


class Muli(Op, name="arith.muli", traits=COMMUTING):
    """Product of the lanes, modulo 2 to the width."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    evaluate = quiet(np.multiply)

    def fold(self) -> Value | None:
        """x * 1 is x, x * 0 is 0."""
        if is_constant(self.rhs, 1) and element_of(self.rhs) is not I1:
            return self.lhs
        return self.rhs if is_constant(self.rhs, 0) else None


class Divsi(Op, name="arith.divsi", traits=LANEWISE):
    """Signed quotient, rounded towards zero; undefined for a zero divisor."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        return truncating_quotient(lhs, rhs).astype(np.asarray(lhs).dtype)

    def fold(self) -> Value | None:
        """x / 1 is x."""
        return self.lhs if is_constant(self.rhs, 1) else None


class Divui(Op, name="arith.divui", traits=LANEWISE):
    """Unsigned quotient; undefined for a zero divisor."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        with np.errstate(all="ignore"):
            return signless(np.floor_divide(unsigned(lhs), unsigned(rhs)), lhs)

    def fold(self) -> Value | None:
        """x / 1 is x."""
        return self.lhs if is_constant(self.rhs, 1) else None


class Floordivsi(Op, name="arith.floordivsi", traits=LANEWISE):
    """Signed quotient, rounded towards minus infinity."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    evaluate = quiet(np.floor_divide)

    def fold(self) -> Value | None:
        """x // 1 is x."""
        return self.lhs if is_constant(self.rhs, 1) else None

    def decompose(self, b: Builder) -> Value:
        """The truncated quotient, less one when the remainder and the divisor differ in sign."""
        zero = constant(b, 0, self.lhs.type)
        one = constant(b, 1, self.lhs.type)
        quotient = b.create(Divsi, self.lhs, self.rhs)
        remainder = b.create(Subi, self.lhs, b.create(Muli, quotient, self.rhs))
        inexact = b.create(Cmpi, remainder, zero, predicate=CMPI["ne"])
        opposed = b.create(Cmpi, b.create(Xori, remainder, self.rhs), zero, predicate=CMPI["slt"])
        less = b.create(Subi, quotient, one)
        return b.create(Select, b.create(Andi, inexact, opposed), less, quotient)


class Ceildivsi(Op, name="arith.ceildivsi", traits=LANEWISE):
    """Signed quotient, rounded towards plus infinity."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        if is_bool(lhs):
            return lhs
        with np.errstate(all="ignore"):
            return np.negative(np.floor_divide(np.negative(lhs), rhs))

    def fold(self) -> Value | None:
        """ceil(x / 1) is x."""
        return self.lhs if is_constant(self.rhs, 1) else None

    def decompose(self, b: Builder) -> Value:
        """-(-x // y)."""
        zero = constant(b, 0, self.lhs.type)
        negated = b.create(Subi, zero, self.lhs)
        return b.create(Subi, zero, b.create(Floordivsi, negated, self.rhs))


class Remsi(Op, name="arith.remsi", traits=LANEWISE):
    """Signed remainder with the sign of the dividend."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        with np.errstate(all="ignore"):
            found = np.subtract(lhs, np.multiply(truncating_quotient(lhs, rhs), rhs))
            return found.astype(np.asarray(lhs).dtype)


class Remui(Op, name="arith.remui", traits=LANEWISE):
    """Unsigned remainder."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        with np.errstate(all="ignore"):
            return signless(np.remainder(unsigned(lhs), unsigned(rhs)), lhs)


class Andi(Op, name="arith.andi", traits=COMMUTING):
    """Bitwise and."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    evaluate = staticmethod(np.bitwise_and)

    def fold(self) -> Value | None:
        """x & x is x; all ones change nothing; zero stays zero."""
        if self.lhs is self.rhs or is_constant(
            self.rhs, True if element_of(self.rhs) is I1 else -1
        ):
            return self.lhs
        return self.rhs if is_constant(self.rhs, 0) else None


class Ori(Op, name="arith.ori", traits=COMMUTING):
    """Bitwise or."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    evaluate = staticmethod(np.bitwise_or)

    def fold(self) -> Value | None:
        """x | x and x | 0 are x."""
        return self.lhs if self.lhs is self.rhs or is_constant(self.rhs, 0) else None


class Xori(Op, name="arith.xori", traits=COMMUTING):
    """Bitwise exclusive or."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    evaluate = staticmethod(np.bitwise_xor)

    def fold(self) -> Value | None:
        """x ^ 0 is x."""
        return self.lhs if is_constant(self.rhs, 0) else None


class Shli(Op, name="arith.shli", traits=LANEWISE):
    """Shift left; undefined from the width on."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    evaluate = quiet(np.left_shift)

    def fold(self) -> Value | None:
        """A shift by 0 changes nothing."""
        return self.lhs if is_constant(self.rhs, 0) else None


class Shrsi(Op, name="arith.shrsi", traits=LANEWISE):
    """Shift right, filling with the sign."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")
    evaluate = quiet(np.right_shift)

    def fold(self) -> Value | None:
        """A shift by 0 changes nothing."""
        return self.lhs if is_constant(self.rhs, 0) else None


class Shrui(Op, name="arith.shrui", traits=LANEWISE):
    """Shift right, filling with zeros."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        with np.errstate(all="ignore"):
            return signless(np.right_shift(unsigned(lhs), unsigned(rhs)), lhs)

    def fold(self) -> Value | None:
        """A shift by 0 changes nothing."""
        return self.lhs if is_constant(self.rhs, 0) else None


class Maxsi(Op, name="arith.maxsi", traits=COMMUTING):
    """Larger of the lanes, signed."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        return np.minimum(lhs, rhs) if is_bool(lhs) else np.maximum(lhs, rhs)

    def fold(self) -> Value | None:
        """max(x, x) is x."""
        return self.lhs if self.lhs is self.rhs else None


class Minsi(Op, name="arith.minsi", traits=COMMUTING):
    """Smaller of the lanes, signed."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        return np.maximum(lhs, rhs) if is_bool(lhs) else np.minimum(lhs, rhs)

    def fold(self) -> Value | None:
        """min(x, x) is x."""
        return self.lhs if self.lhs is self.rhs else None


class Maxui(Op, name="arith.maxui", traits=COMMUTING):
    """Larger of the lanes, unsigned."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        return signless(np.maximum(unsigned(lhs), unsigned(rhs)), lhs)


class Minui(Op, name="arith.minui", traits=COMMUTING):
    """Smaller of the lanes, unsigned."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    y = result(same_as="lhs")

    @staticmethod
    def evaluate(lhs: Any, rhs: Any) -> Any:
        return signless(np.minimum(unsigned(lhs), unsigned(rhs)), lhs)


# --------------------------------------------------------------------------------- comparisons


class Cmpi(Op, name="arith.cmpi", traits=LANEWISE):
    """Compare integer lanes; ``predicate`` as in ``CMPI``."""

    lhs = operand(INTEGER)
    rhs = operand(same_as="lhs")
    predicate = attribute("int")
    y = result(same_as="lhs", element=I1)

    def evaluate(self, lhs: Any, rhs: Any) -> Any:
        return numeric.compare_integers(self.predicate, lhs, rhs)

    verify = rules.one_of_predicates(10)


class Cmpf(Op, name="arith.cmpf", traits=LANEWISE):
    """Compare float lanes; ``predicate`` as in ``CMPF``."""

    lhs = operand(FLOAT)
    rhs = operand(same_as="lhs")
    predicate = attribute("int")
    fastmath = attribute("opaque", default=None)
    y = result(same_as="lhs", element=I1)

    def evaluate(self, lhs: Any, rhs: Any) -> Any:
        return numeric.compare_floats(self.predicate, lhs, rhs)

    verify = rules.one_of_predicates(16)


class Select(Op, name="arith.select", traits=(Pure, Elementwise)):
    """Each lane of ``a`` where ``condition`` holds, of ``b`` elsewhere."""

    condition = operand(BOOL)
    a = operand(DATA)
    b = operand(same_as="a")
    y = result(same_as="a")

    @staticmethod
    def evaluate(condition: Any, a: Any, b: Any) -> Any:
        found = np.where(condition, a, b)
        return found if found.ndim else found[()]

    def fold(self) -> Value | None:
        """Equal choices make the condition irrelevant; a known condition chooses."""
        if self.a is self.b:
            return self.a
        known = constant_of(self.condition)
        if known is None:
            return None
        return self.a if known else self.b

    verify = rules.condition_fits


# --------------------------------------------------------------------------------- conversions


class Conversion(Op):
    """Base of the ops that change the element type and nothing else; ``types=[...]`` gives it."""


def _cast(self: Op, x: Any) -> Any:
    if element_type(self.results[0].type) is I1 and np.asarray(x).dtype.kind in "iu":
        return (np.asarray(x) & 1).astype(np.bool_)[()]
    with np.errstate(all="ignore"):
        return np.asarray(x).astype(element_type(self.results[0].type).numpy)[()]


def _through_f32(self: Op, x: Any) -> Any:
    """Round once: NumPy's extension types convert to integers and f64 only through f32."""
    with np.errstate(all="ignore"):
        return np.asarray(x).astype(element_type(self.results[0].type).numpy)[()]


class Extf(Conversion, name="arith.extf", traits=LANEWISE):
    """Widen a float; exact."""

    x = operand(FLOAT)
    y = result(FLOAT)
    fastmath = attribute("opaque", default=None)
    evaluate = _through_f32
    verify = rules.widens


class Truncf(Conversion, name="arith.truncf", traits=LANEWISE):
    """Narrow a float, rounding to nearest even."""

    x = operand(FLOAT)
    y = result(FLOAT)
    fastmath = attribute("opaque", default=None)
    evaluate = _through_f32
    verify = rules.narrows


class Extsi(Conversion, name="arith.extsi", traits=LANEWISE):
    """Widen an integer with its sign (``i1`` true becomes -1)."""

    x = operand(FIXED_INTEGER)
    y = result(FIXED_INTEGER)

    def evaluate(self, x: Any) -> Any:
        wide = _cast(self, x)
        return np.negative(wide) if is_bool(x) else wide

    verify = rules.widens


class Extui(Conversion, name="arith.extui", traits=LANEWISE):
    """Widen an integer with zeros (``i1`` true becomes 1)."""

    x = operand(FIXED_INTEGER)
    y = result(FIXED_INTEGER)

    def evaluate(self, x: Any) -> Any:
        return _cast(self, unsigned(x))

    verify = rules.widens


class Trunci(Conversion, name="arith.trunci", traits=LANEWISE):
    """Keep the low bits of an integer."""

    x = operand(FIXED_INTEGER)
    y = result(FIXED_INTEGER)

    def evaluate(self, x: Any) -> Any:
        if element_type(self.results[0].type) is I1:
            return (np.asarray(x) & 1).astype(np.bool_)[()]
        return _cast(self, x)

    verify = rules.narrows


class Sitofp(Conversion, name="arith.sitofp", traits=LANEWISE):
    """Signed integer to float, rounding to nearest even."""

    x = operand(FIXED_INTEGER)
    y = result(FLOAT)

    def evaluate(self, x: Any) -> Any:
        found = _cast(self, x)
        return np.negative(found) if is_bool(x) else found

    verify = rules.same_lanes


class Uitofp(Conversion, name="arith.uitofp", traits=LANEWISE):
    """Unsigned integer to float, rounding to nearest even."""

    x = operand(FIXED_INTEGER)
    y = result(FLOAT)

    def evaluate(self, x: Any) -> Any:
        return _cast(self, unsigned(x))

    verify = rules.same_lanes


class Fptosi(Conversion, name="arith.fptosi", traits=LANEWISE):
    """Float to signed integer, towards zero; undefined when it does not fit."""

    x = operand(FLOAT)
    y = result(FIXED_INTEGER)
    evaluate = _cast
    verify = rules.same_lanes


class Fptoui(Conversion, name="arith.fptoui", traits=LANEWISE):
    """Float to unsigned integer, towards zero; undefined when it does not fit."""

    x = operand(FLOAT)
    y = result(FIXED_INTEGER)

    def evaluate(self, x: Any) -> Any:
        wanted = element_type(self.results[0].type).numpy
        with np.errstate(all="ignore"):
            found = np.asarray(x).astype(np.float64).astype(np.dtype(f"u{wanted.itemsize}"))
        return found.view(wanted)[()] if wanted != np.bool_ else found.astype(np.bool_)[()]

    verify = rules.same_lanes


class IndexCast(Conversion, name="arith.index_cast", traits=LANEWISE):
    """Between index and integers, with the sign."""

    x = operand(INTEGER)
    y = result(INTEGER)

    def evaluate(self, x: Any) -> Any:
        found = _cast(self, x)
        return np.negative(found) if is_bool(x) else found

    def fold(self) -> Value | None:
        """There and back again."""
        inner = defining_op(self.x, IndexCast)
        if inner is not None and inner.x.type is self.y.type and element_of(self.x) is INDEX:
            return inner.x
        return None

    verify = rules.casts_index


class IndexCastui(Conversion, name="arith.index_castui", traits=LANEWISE):
    """Between index and integers, with zeros."""

    x = operand(INTEGER)
    y = result(INTEGER)

    def evaluate(self, x: Any) -> Any:
        return _cast(self, unsigned(x))

    verify = rules.casts_index


class Bitcast(Conversion, name="arith.bitcast", traits=LANEWISE):
    """The same bits as another type of equal width."""

    x = operand(DATA)
    y = result(DATA)

    def evaluate(self, x: Any) -> Any:
        return np.asarray(x).view(element_type(self.results[0].type).numpy)[()]

    verify = rules.same_width
