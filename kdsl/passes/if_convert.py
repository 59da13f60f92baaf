"""Turn branches into selects."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import Select
from kdsl.dialects.scf import If
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Terminator
from kdsl.ir.types import ScalarType
from kdsl.passes.canonicalize import inline_before
from kdsl.passes.manager import Pass
from kdsl.passes.speculation import is_speculatable
from kdsl.target.target import Target


@dataclass(frozen=True)
class IfConvert(Pass):
    """Run both sides of a branch and select, when both are pure scalar work of few ops.

    ``max_ops`` bounds the ops of both sides together.
    """

    max_ops: int = 16
    name = "if-convert"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            for op in reversed(list(function.walk())):
                if isinstance(op, If) and op.parent is not None and self._pays(op):
                    convert(op)
                    changed = True
        return changed

    def _pays(self, op: If) -> bool:
        blocks = [op.then_block, op.else_block]
        return (
            bool(op.results)
            and all(isinstance(r.type, ScalarType) for r in op.results)
            and all(block is not None and _is_harmless(block) for block in blocks)
            and sum(len(block) - 1 for block in blocks if block is not None) <= self.max_ops
        )


def _is_harmless(block: Block) -> bool:
    return all(
        isinstance(op, DeclaredOp)
        and (Terminator in op.traits or (op.is_pure and not op.regions and is_speculatable(op)))
        for op in block
    )


def convert(op: If) -> None:
    """Move both sides before the branch and select between what they yield."""
    otherwise = op.else_block
    assert otherwise is not None
    chosen = inline_before(op, op.then_block, [])
    other = inline_before(op, otherwise, [])
    b = Builder.before(op)
    op.replace_by(
        *(b.create(Select, op.condition, x, y) for x, y in zip(chosen, other, strict=True))
    )
