"""Compute each pure expression once."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter

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
        changed = False
        for function in module.functions:
            changed |= _visit(function.body, {})
        return changed


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
    types = tuple([r.type for r in op.results])
    if not op.attributes:
        return (type(op), *operands, types)
    named = sorted(op.attributes.items(), key=itemgetter(0))
    return (type(op), *operands, types, *((k, _hashable(v)) for k, v in named))


def _hashable(value: object) -> object:
    """Return a key that tells 1 from True and 1.0, and 0.0 from -0.0."""
    if isinstance(value, list):
        return (list, *map(_hashable, value))
    if isinstance(value, float):
        return (float, value.hex())
    return (type(value), value)
