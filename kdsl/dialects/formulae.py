"""Formulae on lanes: a small wrapper with operators, for decompositions that read like their maths.

    y = Lanes(b, op.x)
    n = (y * LOG2_E).nearest()

Scalars, vectors and tiles alike. Float sums and products carry the ``contract`` flag: where the
target has a fused multiply-add, ``a * b + c`` is one.
"""

from __future__ import annotations

from typing import Any

from kdsl.dialects import arith, math
from kdsl.ir.attributes import Opaque
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value
from kdsl.ir.types import I8, I16, I32, I64, ScalarType, element_type, like

INTEGER_OF_BITS = {8: I8, 16: I16, 32: I32, 64: I64}
_CONTRACT = Opaque(arith.CONTRACT)


class Lanes:
    """A value with the builder that extends it."""

    __slots__ = ("b", "value")

    def __init__(self, b: Builder, value: Value) -> None:
        self.b = b
        self.value = value

    @property
    def element(self) -> ScalarType:
        return element_type(self.value.type)

    def constant(self, number: Any) -> Lanes:
        """Return ``number`` in every lane, of the same type."""
        return Lanes(self.b, arith.constant(self.b, number, self.value.type))

    def _operand(self, other: Lanes | float) -> Value:
        return other.value if isinstance(other, Lanes) else self.constant(other).value

    def _float(self, kind: Any, other: Lanes | float, *, swap: bool = False) -> Lanes:
        pair = (self.value, self._operand(other))
        return self._new(self.b.create(kind, *(pair[::-1] if swap else pair), fastmath=_CONTRACT))

    def _integer(self, kind: Any, other: Lanes | int) -> Lanes:
        return self._new(self.b.create(kind, self.value, self._operand(other)))

    def _new(self, value: Value) -> Lanes:
        return Lanes(self.b, value)

    # ------------------------------------------------------------------------------ arithmetic

    def __add__(self, other: Lanes | float) -> Lanes:
        if self.element.kind == "f":
            return self._float(arith.Addf, other)
        return self._integer(arith.Addi, other)  # type: ignore[arg-type]

    def __sub__(self, other: Lanes | float) -> Lanes:
        if self.element.kind == "f":
            return self._float(arith.Subf, other)
        return self._integer(arith.Subi, other)  # type: ignore[arg-type]

    def __rsub__(self, other: float) -> Lanes:
        return self.constant(other) - self

    def __mul__(self, other: Lanes | float) -> Lanes:
        if self.element.kind == "f":
            return self._float(arith.Mulf, other)
        return self._integer(arith.Muli, other)  # type: ignore[arg-type]

    def __truediv__(self, other: Lanes | float) -> Lanes:
        return self._float(arith.Divf, other)

    def __rtruediv__(self, other: float) -> Lanes:
        return self.constant(other) / self

    def __neg__(self) -> Lanes:
        return self._new(self.b.create(arith.Negf, self.value))

    def __and__(self, other: Lanes | int) -> Lanes:
        return self._integer(arith.Andi, other)

    def __or__(self, other: Lanes | int) -> Lanes:
        return self._integer(arith.Ori, other)

    def __xor__(self, other: Lanes | int) -> Lanes:
        return self._integer(arith.Xori, other)

    def __lshift__(self, count: Lanes | int) -> Lanes:
        return self._integer(arith.Shli, count)

    def __rshift__(self, count: Lanes | int) -> Lanes:
        """Shift right, filling with zeros."""
        return self._integer(arith.Shrui, count)

    def shift_signed(self, count: Lanes | int) -> Lanes:
        return self._integer(arith.Shrsi, count)

    def exact_add(self, other: Lanes | float) -> Lanes:
        """Add without the right to fuse or reassociate."""
        return self._new(self.b.create(arith.Addf, self.value, self._operand(other)))

    def exact_sub(self, other: Lanes | float) -> Lanes:
        return self._new(self.b.create(arith.Subf, self.value, self._operand(other)))

    def exact_mul(self, other: Lanes | float) -> Lanes:
        return self._new(self.b.create(arith.Mulf, self.value, self._operand(other)))

    def exact_div(self, other: Lanes | float) -> Lanes:
        return self._new(self.b.create(arith.Divf, self.value, self._operand(other)))

    def apply(self, kind: Any, *others: Lanes) -> Lanes:
        """Apply another op to this value."""
        return self._new(self.b.create(kind, self.value, *(o.value for o in others)))

    def abs(self) -> Lanes:
        return self.apply(math.Absf)

    # ----------------------------------------------------------------------------- comparisons

    def compare(self, predicate: str, other: Lanes | float) -> Lanes:
        """Compare; the predicate is one of ``CMPF`` or ``CMPI``."""
        table = arith.CMPF if self.element.kind == "f" else arith.CMPI
        kind = arith.Cmpf if self.element.kind == "f" else arith.Cmpi
        made = self.b.create(kind, self.value, self._operand(other), predicate=table[predicate])
        return self._new(made)

    def choose(self, a: Lanes | float, b: Lanes | float) -> Lanes:
        """Return ``a`` where this condition holds, ``b`` elsewhere; one of them is no number."""
        like_ = a if isinstance(a, Lanes) else b
        assert isinstance(like_, Lanes)
        return self._new(
            self.b.create(arith.Select, self.value, like_._operand(a), like_._operand(b))
        )

    # ----------------------------------------------------------------------------- conversions

    def to(self, kind: Any, element: ScalarType) -> Lanes:
        """Apply a conversion op towards another element type."""
        return self._new(self.b.create(kind, self.value, types=[like(self.value.type, element)]))

    def bits(self) -> Lanes:
        """View a float as the integer of its size."""
        return self.to(arith.Bitcast, INTEGER_OF_BITS[self.element.bits])

    def view(self, element: ScalarType) -> Lanes:
        """View the same bits as another type of equal size."""
        return self.to(arith.Bitcast, element)


def horner(x: Lanes, coefficients: tuple[float, ...]) -> Lanes:
    """Return c0 + x (c1 + x (c2 + ...)); the lowest power comes first."""
    total = x.constant(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total
