"""Choose approximate instructions where a kernel allows them, and formulae where there is none.

An op with the fast-math flag ``afn`` may be as inaccurate as the machine's own instruction. Without
it, functions are written with kdsl's polynomials (``kdsl.dialects.polynomials``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from kdsl.dialects import arith, math
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.types import F32, F64, element_type
from kdsl.passes.manager import Pass
from kdsl.target.target import Target
from kdsl_ptx.dialect import machine
from kdsl_ptx.emit.floats import APPROXIMATES, flags

DIRECT: dict[type[Op], str] = {
    math.Log2: "log2", math.Tanh: "tanh", math.Sin: "sin", math.Cos: "cos", math.Rsqrt: "rsqrt",
}  # fmt: skip
ROUNDED = (arith.Ceildivsi, arith.Floordivsi)
LOG2_E, LN_2 = 1.4426950408889634, 0.6931471805599453


@dataclass(frozen=True)
class MachineMath(Pass):
    """Replace functions that kernels mark ``afn``, and write what has no instruction otherwise."""

    name: ClassVar[str] = "machine-math"

    def run(self, module: Module, target: Target) -> bool:
        changed = False
        for function in module.functions:
            on_host = "kdsl.kernel" not in function.attributes
            changed |= _round_by_formula(function, 64 if on_host else 16)
            for op in [] if on_host else list(function.walk()):
                made = _replacement(op)
                if made is not None:
                    op.replace_by(made)
                    changed = True
        return changed


def _round_by_formula(function: Op, bits: int) -> bool:
    """Decompose rounded quotients of at most so many bits: the host has none of them."""
    changed = False
    for kind in ROUNDED:  # the first is made of the second
        for op in list(function.walk()):
            if isinstance(op, kind) and element_type(op.results[0].type).bits <= bits:
                op.replace_by(op.decompose(Builder.before(op)))
                changed = True
    return changed


def _replacement(op: Any) -> Value | None:
    if not isinstance(op, math.Unary):
        return None
    x: Value = op.operands[0]
    element = element_type(x.type)
    if element is F64 and isinstance(op, math.Exp2):
        made: Value = op.decompose(Builder.before(op))
        return made
    if element is not F32 or not flags(op) & APPROXIMATES:
        return None
    b = Builder.before(op)
    if isinstance(op, math.Exp):
        return _approximate(b, _times(b, x, LOG2_E, op), "exp2")
    if isinstance(op, math.Log):
        return _times(b, _approximate(b, x, "log2"), LN_2, op)
    function = DIRECT.get(type(op))
    return None if function is None else _approximate(b, x, function)


def _approximate(b: Builder, x: Value, function: str) -> Value:
    made = b.create(machine.Approximate, x, function=function)
    assert isinstance(made, Value)
    return made


def _times(b: Builder, x: Value, by: float, op: Any) -> Value:
    factor = arith.constant(b, by, x.type)
    made = b.create(arith.Mulf, x, factor, fastmath=op.fastmath)
    assert isinstance(made, Value)
    return made
