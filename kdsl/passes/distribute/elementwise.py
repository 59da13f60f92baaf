"""Ops that act on each element alone: the same op on a lane's registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsl.dialects.arith import Cmpi
from kdsl.ir.core import Op, Value
from kdsl.ir.define import Elementwise
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import I32, INDEX, TensorType, element_type
from kdsl.passes.distribute.affine import compare_positions
from kdsl.passes.distribute.limits import compare_limits
from kdsl.target.layout import Layout

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering


def is_elementwise(op: Op) -> bool:
    """Return whether an op acts on each element alone."""
    return isinstance(op, DeclaredOp) and Elementwise in op.traits


def lower_elementwise(op: Op, low: Lowering) -> None:
    """Apply an op to the registers of its operands."""
    value = op.results[0]
    low.bind(value, apply_lanewise(low, op, low.layout_of(value)))


def apply_lanewise(low: Lowering, op: Op, layout: Layout) -> Value:
    """Return the registers of an op's result in a layout."""
    if isinstance(op, Cmpi) and element_type(op.lhs.type) is INDEX:
        found = compare_positions(low, op, layout)
        if found is not None:
            return found
    if isinstance(op, Cmpi) and element_type(op.lhs.type) is I32:
        found = compare_limits(low, op, layout)
        if found is not None:
            return found
    operands = [
        low.fragment(v, layout) if isinstance(v.type, TensorType) else low.scalar(v)
        for v in op.operands
    ]
    from kdsl.passes.distribute.lowering import registers_type

    made = type(op)(
        operands, [registers_type(op.results[0], layout)], dict(op.attributes), [], op.loc
    )
    return low.builder.insert(made).results[0]
