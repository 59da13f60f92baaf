"""Move work that does not change out of loops."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.scf import For, While
from kdsl.ir.core import Block, BlockArgument, Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Terminator
from kdsl.passes.speculation import is_speculatable
from kdsl.passes.manager import Pass
from kdsl.target.target import Target


@dataclass(frozen=True)
class LoopInvariantCodeMotion(Pass):
    """Hoist pure ops whose operands are defined outside of the loop."""

    name = "licm"

    def run(self, module: Module, target: Target) -> bool:
        del target
        return any([_visit(f.body) for f in module.functions])


def _visit(block: Block) -> bool:
    changed = False
    for op in block:
        for region in op.regions:
            for inner in region.blocks:
                changed |= _visit(inner)
        if isinstance(op, For):
            changed |= _hoist(op, op.body)
        elif isinstance(op, While):
            changed |= _hoist(op, op.regions[1].block)
    return changed


def _hoist(loop: Op, body: Block) -> bool:
    assert loop.parent is not None
    changed = False
    for op in body:
        if _may_move(op) and all(_is_outside(v, loop) for v in _reads(op)):
            body.remove(op)
            loop.parent.insert_before(loop, op)
            changed = True
    return changed


def _may_move(op: Op) -> bool:
    return (
        isinstance(op, DeclaredOp)
        and op.is_pure
        and Terminator not in op.traits
        and bool(op.results)
        and is_speculatable(op)
    )


def _reads(op: Op) -> list[Value]:
    """Return every value that an op, or an op inside it, reads from outside of it."""
    if not op.regions:
        return op.operands
    inside = {r for o in op.walk() for r in o.results}
    inside |= {a for o in op.walk() for r in o.regions for b in r.blocks for a in b.args}
    return [v for o in op.walk() for v in o.operands if v not in inside]


def _is_outside(value: Value, loop: Op) -> bool:
    """Return whether a value is defined outside of a loop that encloses its user."""
    if isinstance(value, BlockArgument):
        owner = value.block.parent_op
        return owner is None or not owner.is_inside(loop)
    return value.op is not None and not value.op.is_inside(loop)
