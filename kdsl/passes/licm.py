"""Move work that does not change out of loops."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.scf import For, While
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Terminator
from kdsl.passes.manager import Pass
from kdsl.passes.speculation import is_speculatable
from kdsl.target.target import Target


@dataclass(frozen=True)
class LoopInvariantCodeMotion(Pass):
    """Hoist pure ops whose operands are defined outside of the loop."""

    name = "licm"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            changed |= _visit(function.body)
        return changed


def _visit(block: Block) -> bool:
    """Hoist out of inner loops first, so that work leaves as many loops as it can."""
    changed = False
    for op in block:
        for region in op.regions:
            for inner in region.blocks:
                changed |= _visit(inner)
        if isinstance(op, For):
            changed |= _hoist(op, [op.body])
        elif isinstance(op, While):
            changed |= _hoist(op, [region.block for region in op.regions])
    return changed


def _hoist(loop: Op, blocks: list[Block]) -> bool:
    """Move what does not depend on the loop before it; ``made`` is what still does."""
    assert loop.parent is not None
    changed = False
    made: set[Value] = {argument for block in blocks for argument in block.args}
    for block in blocks:
        for op in block:
            if _may_move(op) and made.isdisjoint(_reads(op)):
                block.remove(op)
                loop.parent.insert_before(loop, op)
                changed = True
            else:
                made.update(op.results)
    return changed


def _may_move(op: Op) -> bool:
    return (
        isinstance(op, DeclaredOp)
        and bool(op.results)
        and op.is_pure
        and Terminator not in op.traits
        and is_speculatable(op)
    )


def _reads(op: Op) -> list[Value]:
    """Return the values that an op and the ops inside it read."""
    return [v for o in op.walk() for v in o.operands] if op.regions else op.operands
