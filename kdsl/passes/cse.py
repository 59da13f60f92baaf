"""Compute each pure expression once."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.ir.core import Block, Module, Op
from kdsl.ir.define import Commutative, Pure, Terminator
from kdsl.ir.define import Op as DeclaredOp
from kdsl.passes.manager import Pass
from kdsl.target.target import Target

Key = tuple[object, ...]


@dataclass(frozen=True)
class CommonSubexpressionElimination(Pass):
    """Let an op reuse the result of an equal one that dominates it."""

    name = "cse"

    def run(self, module: Module, target: Target) -> bool:
        del target
        return any([_visit(f.body, {}) for f in module.functions])


def _visit(block: Block, known: dict[Key, Op]) -> bool:
    """Visit a block with the expressions of the enclosing ones; forget its own afterwards."""
    changed = False
    added: list[Key] = []
    for op in block:
        for region in op.regions:
            for inner in region.blocks:
                changed |= _visit(inner, known)
        key = expression_key(op)
        if key is None:
            continue
        earlier = known.get(key)
        if earlier is None:
            known[key] = op
            added.append(key)
        else:
            op.replace_by(*earlier.results)
            changed = True
    for key in added:
        del known[key]
    return changed


def expression_key(op: Op) -> Key | None:
    """Return what makes two pure ops equal, or None for ops that must stay."""
    if (
        not isinstance(op, DeclaredOp)
        or Pure not in op.traits
        or Terminator in op.traits
        or op.regions
        or not op.results
    ):
        return None
    operands = [id(v) for v in op.operands]
    if Commutative in op.traits and operands[0] > operands[1]:
        operands[0], operands[1] = operands[1], operands[0]
    attributes = tuple(sorted((k, _hashable(v)) for k, v in op.attributes.items()))
    return (op.name, *operands, attributes, *(id(r.type) for r in op.results))


def _hashable(value: object) -> str:
    return f"{type(value).__name__}:{value!r}"
