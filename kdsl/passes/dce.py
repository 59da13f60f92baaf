"""Remove ops that nothing needs."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.memref import Alloc, Alloca, Dealloc, Store
from kdsl.dialects.vector import MaskedStore
from kdsl.dialects.vector import Store as VectorStore
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.rewrite import is_dead
from kdsl.passes.manager import Pass
from kdsl.target.target import Target


@dataclass(frozen=True)
class DeadCodeElimination(Pass):
    """Remove unused ops without effects, and buffers that are only written."""

    name = "dce"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            changed |= sweep(function)
        return changed


def sweep(op: Op) -> bool:
    """Remove dead ops inside ``op``, last first so that whole chains go at once."""
    changed = False
    for region in op.regions:
        for block in region.blocks:
            changed |= _sweep_block(block)
    return changed


def _sweep_block(block: Block) -> bool:
    changed = False
    for op in reversed(block):
        changed |= sweep(op)
        if is_dead(op):
            op.erase()
            changed = True
        elif isinstance(op, Alloc | Alloca) and _only_written(op.results[0]):
            for user in list(op.results[0].users):
                user.erase()
            op.erase()
            changed = True
    return changed


def _only_written(buffer: Value) -> bool:
    writes = (Store, VectorStore, MaskedStore)
    return all(
        isinstance(user, Dealloc) or (isinstance(user, writes) and user.value is not buffer)
        for user in buffer.users
    )
