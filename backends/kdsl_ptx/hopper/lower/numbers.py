"""Functions of the consumers that have an instruction of their own.

Between two products nothing may branch, and a division or an exponential that is right for
subnormals does or costs several instructions. Here 2^x and log2 x are ``ex2.approx.ftz`` and
``lg2.approx.ftz`` (within 2 ulp; subnormals are zero), e^x is 2^(x log2 e) (within 2 + |x| ulp),
and a / b is a times ``rcp.approx.ftz`` of b (within 2 ulp; zero for b beyond 2^126). tanh x is
1 - 2 / (e^2x + 1), near zero the first terms of its series (both within 2e-6 of the value).
"""

from __future__ import annotations

from typing import Any

from kdsl.dialects import arith, math
from kdsl.ir.core import Value
from kdsl.ir.types import F32, TensorType
from kdsl.passes.distribute.elementwise import lower_elementwise
from kdsl.passes.distribute.lowering import Lowering
from kdsl_ptx.dialect import machine

LOG2E = 1.4426950408889634
SERIES = (-1 / 3, 2 / 15, -17 / 315, 62 / 2835)
"""tanh x = x + x^3 (s0 + s1 x^2 + ...)."""
NEAR = 0.25
"""Below it the series is as exact as f32; above it the difference from 1 loses two bits at most."""

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
    flags: dict[str, Any] = {k: v for k, v in op.attributes.items() if k == "fastmath"}
    low.bind(op.y, low.builder.create(arith.Mulf, a, reciprocal, **flags))


def exponential(op: math.Exp, low: Lowering) -> None:
    """Write e^x."""
    if not is_consumers_tile(op.results[0], low):
        _as_usual(op, low)
        return
    x = low.fragment(op.operands[0], low.layout_of(op.results[0]))
    low.bind(op.results[0], _exp2_of(low, x, LOG2E))


def _exp2_of(low: Lowering, x: Value, factor: float) -> Value:
    """Return 2^(factor x)."""
    scaled = low.builder.create(arith.Mulf, x, low.lane.constant(factor, x.type))
    return _value(low.builder.create(machine.Approximate, scaled, function="exp2"))


def tangent(op: math.Tanh, low: Lowering) -> None:
    """Write tanh x without a branch."""
    if not is_consumers_tile(op.results[0], low):
        _as_usual(op, low)
        return
    b, lane = low.builder, low.lane
    x = low.fragment(op.operands[0], low.layout_of(op.results[0]))

    def number(value: float) -> Value:
        return lane.constant(value, x.type)

    power = _exp2_of(low, x, 2 * LOG2E)
    above = b.create(arith.Addf, power, number(1.0))
    part = b.create(machine.Approximate, above, function="reciprocal")
    far = b.create(math.Fma, part, number(-2.0), number(1.0))
    square = b.create(arith.Mulf, x, x)
    series = number(SERIES[-1])
    for term in reversed(SERIES[:-1]):
        series = b.create(math.Fma, series, square, number(term))
    cube = b.create(arith.Mulf, square, x)
    near = b.create(math.Fma, series, cube, x)
    small = b.create(arith.Cmpf, square, number(NEAR**2), predicate=arith.CMPF["olt"])
    low.bind(op.results[0], b.create(arith.Select, small, near, far))


def _value(x: object) -> Value:
    assert isinstance(x, Value)
    return x


def _as_usual(op: Any, low: Lowering) -> None:
    if isinstance(op.results[0].type, TensorType):
        if op.results[0] not in low.plan.lazy:
            lower_elementwise(op, low)
    else:
        low.clone(op)


RULES: dict[Any, Any] = {
    math.Exp2: function,
    math.Log2: function,
    math.Exp: exponential,
    math.Tanh: tangent,
    arith.Divf: divide,
}
