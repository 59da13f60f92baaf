"""When is a mask true everywhere? Bounds of integer tiles, as scalars before the nest.

A block of keys that lies wholly before the queries needs no mask; whether it does is one comparison
of scalars.
"""

from __future__ import annotations

from typing import Any

from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Andi,
    Cmpi,
    Constant,
    IndexCast,
    Ori,
    Select,
    Subi,
    constant_of,
)
from kdsl.dialects.kdsl import Broadcast, Iota, Reshape, Slice, Transpose
from kdsl.ir.attributes import Dense
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value
from kdsl.ir.types import TensorType, element_type
from kdsl.passes.tile_to_loops.plan import Plan, is_tile
from kdsl.passes.tile_to_loops.pull import is_movable
from kdsl.passes.tile_to_loops.scratch import Workspace

ORDERED = {
    CMPI["slt"]: ("slt", False), CMPI["sle"]: ("sle", False),
    CMPI["sgt"]: ("slt", True), CMPI["sge"]: ("sle", True),
}  # fmt: skip
"""Comparisons as "less": which, and whether the sides change places."""

Bounds = tuple[Value, Value]


class Masks:
    """Finds the masks of a nest that can be known to hold everywhere before it starts."""

    def __init__(self, plan: Plan, space: Workspace, b: Builder) -> None:
        self.plan = plan
        self.space = space
        self.b = b

    def selects_in(self, value: Value, found: list[Select] | None = None) -> list[Select]:
        """Return the selects by a mask of tiles inside an expression."""
        found = [] if found is None else found
        op = value.op
        if isinstance(op, Select) and is_tile(op.condition) and op not in found:
            found.append(op)
        if op is not None and is_movable(op):
            for operand in op.operands:
                if is_tile(operand) and operand not in self.plan.stored:
                    self.selects_in(operand, found)
        return found

    def holds(self, mask: Value) -> Value | None:
        """Compute whether a mask is true in all lanes; None when only its lanes can tell."""
        op = mask.op
        if isinstance(op, Andi | Ori):
            x, y = self.holds(op.lhs), self.holds(op.rhs)
            if isinstance(op, Ori):
                return x if y is None else y if x is None else self._make(Ori, x, y)
            return None if x is None or y is None else self._make(Andi, x, y)
        if isinstance(op, Cmpi) and op.predicate in ORDERED:
            return self._ordered(op)
        if isinstance(op, Broadcast):
            return self.holds(op.x) if is_tile(op.x) else op.x
        if isinstance(op, Transpose | Reshape):
            return self.holds(op.x)
        if isinstance(op, Constant) and isinstance(op.value, Dense) and bool(op.value.array.all()):
            return self.space.constant(True, element_type(mask.type))
        return None

    def _ordered(self, op: Cmpi) -> Value | None:
        name, swapped = ORDERED[op.predicate]
        low, high = (op.rhs, op.lhs) if swapped else (op.lhs, op.rhs)
        x, y = self.bounds(low), self.bounds(high)
        if x is None or y is None:
            return None
        return self._make(Cmpi, x[1], y[0], predicate=CMPI[name])

    def bounds(self, value: Value) -> Bounds | None:
        """Return the least and the greatest lane of an integer tile as scalars, when simple."""
        op = value.op
        if not isinstance(value.type, TensorType):
            return value, value
        element = value.type.element
        if isinstance(op, Constant) and isinstance(op.value, Dense) and element.kind in "ix":
            array = op.value.array
            return tuple(self.space.constant(n, element) for n in (array.min(), array.max()))  # type: ignore[return-value]
        if isinstance(op, Iota):
            return tuple(self.space.constant(n, element) for n in (0, value.type.shape[0] - 1))  # type: ignore[return-value]
        if isinstance(op, Broadcast | Transpose | Reshape | Slice):
            return self.bounds(op.x)
        if isinstance(op, IndexCast):
            found = self.bounds(op.x)
            if found is None or element_type(op.x.type).bits > element.bits:
                return None
            return tuple(self._make(IndexCast, v, types=[element]) for v in found)  # type: ignore[return-value]
        if isinstance(op, Addi | Subi):
            x, y = self.bounds(op.lhs), self.bounds(op.rhs)
            if x is None or y is None:
                return None
            if isinstance(op, Subi):
                y = y[1], y[0]
            return self._make(type(op), x[0], y[0]), self._make(type(op), x[1], y[1])
        return None

    def _make(self, kind: type[Any], *operands: Value, **attributes: Any) -> Value:
        if kind in (Addi, Subi) and constant_of(operands[1]) == 0:
            return operands[0]
        made = self.b.create(kind, *operands, **attributes)
        assert isinstance(made, Value)
        return made
