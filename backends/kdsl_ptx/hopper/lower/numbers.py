"""Functions of the consumers that have an instruction of their own.

Between two products nothing may branch, and a division or an exponential that is right for
subnormals does or costs several instructions. Here 2^x and log2 x are ``ex2.approx.ftz`` and
``lg2.approx.ftz`` (within 2 ulp; subnormals are zero), and a / b is a times ``rcp.approx.ftz`` of b
(within 2 ulp; zero for b beyond 2^126).
"""

from __future__ import annotations

from typing import Any

from kdsl.dialects import arith, math
from kdsl.ir.core import Value
from kdsl.ir.types import F32, TensorType
from kdsl.passes.distribute.elementwise import lower_elementwise
from kdsl.passes.distribute.lowering import Lowering
from kdsl_ptx.dialect import machine

FUNCTIONS: dict[type[Any], str] = {math.Exp2: "exp2", math.Log2: "log2"}


def is_consumers_tile(value: Value, low: Lowering) -> bool:
    """Return whether a value is an f32 tile in registers."""
    kind = value.type
    return isinstance(kind, TensorType) and kind.element is F32 and value not in low.plan.lazy


def function(op: Any, low: Lowering) -> None:
    """Write a function as its instruction."""
    if not is_consumers_tile(op.results[0], low):
        _as_usual(op, low)
        return
    x = low.fragment(op.operands[0], low.layout_of(op.results[0]))
    made = low.builder.create(machine.Approximate, x, function=FUNCTIONS[type(op)])
    low.bind(op.results[0], made)


def divide(op: arith.Divf, low: Lowering) -> None:
    """Multiply by the reciprocal."""
    if not is_consumers_tile(op.y, low):
        _as_usual(op, low)
        return
    layout = low.layout_of(op.y)
    a, b = low.fragment(op.lhs, layout), low.fragment(op.rhs, layout)
    reciprocal = low.builder.create(machine.Approximate, b, function="reciprocal")
    if arith.is_constant(op.lhs, 1.0):
        low.bind(op.y, reciprocal)
        return
    flags = {k: v for k, v in op.attributes.items() if k == "fastmath"}
    low.bind(op.y, low.builder.create(arith.Mulf, a, reciprocal, **flags))


def _as_usual(op: Any, low: Lowering) -> None:
    if isinstance(op.results[0].type, TensorType):
        if op.results[0] not in low.plan.lazy:
            lower_elementwise(op, low)
    else:
        low.clone(op)


RULES: dict[Any, Any] = {math.Exp2: function, math.Log2: function, arith.Divf: divide}
