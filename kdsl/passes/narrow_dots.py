"""Multiply what was loaded, not what it was widened to."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import Extf
from kdsl.dialects.kdsl import Dot, Transpose
from kdsl.ir.core import Module, Value, defining_op
from kdsl.ir.rewrite import Replacement, Rewriter, apply_greedily, pattern
from kdsl.ir.types import F32, TensorType
from kdsl.passes.manager import Pass
from kdsl.target.target import Target


@dataclass(frozen=True)
class NarrowDots(Pass):
    """Let products of widened 16-bit tiles take the tiles: they are exact in f32 either way."""

    name = "narrow-dots"

    def run(self, module: Module, target: Target) -> bool:
        del target
        return apply_greedily(module, [narrow_operands, widen_later])


@pattern(Dot)
def narrow_operands(op: Dot, rw: Rewriter) -> Replacement:
    """dot(extf a, extf b, acc) -> dot(a, b, acc)."""
    a, b = defining_op(op.a, Extf), defining_op(op.b, Extf)
    if a is None or b is None or a.x.type.element is not b.x.type.element:
        return None
    if a.x.type.element.bits != 16 or op.acc.type.element is not F32:
        return None
    return rw.create(Dot, a.x, b.x, op.acc)


@pattern(Transpose)
def widen_later(op: Transpose, rw: Rewriter) -> Replacement:
    """transpose(extf x) -> extf(transpose x), before a product."""
    inner = defining_op(op.x, Extf)
    if inner is None or not all(isinstance(user, Dot) for user in op.y.users):
        return None
    turned: Value = rw.create(Transpose, inner.x, permutation=op.permutation)
    kind = op.y.type
    assert isinstance(kind, TensorType)
    return rw.create(Extf, turned, types=[kind])
