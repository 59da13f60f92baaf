"""Which loads of a loop may run ahead of it."""

from __future__ import annotations

from kdsl.dialects.kdsl import LoadTile
from kdsl.dialects.scf import STAGES, For
from kdsl.ir.core import Block, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Pure
from kdsl.passes.aliasing import may_alias
from kdsl.passes.distribute.hazards import accesses
from kdsl.passes.speculation import may_trap


def turns_ahead(op: LoadTile) -> int:
    """Return how many slots a load's loop asks for; 1 when its place is known too late for more."""
    block = op.parent
    loop = None if block is None else block.parent_op
    if not isinstance(loop, For) or block is None:
        return 1
    slots = loop.attributes.get(STAGES)
    if not isinstance(slots, int) or slots < 2 or address_ops(op, loop) is None:
        return 1
    written = accesses(loop).writes
    return 1 if any(may_alias(op.source, buffer) for buffer, _ in written) else slots


def address_ops(op: LoadTile, loop: For) -> list[Op] | None:
    """Return the ops of a loop's body that a load's place needs, in order.

    None when it depends on more than the counter and what is outside.
    """
    needed: list[Op] = []
    pending = [op.source, *op.indices]
    seen: set[Op] = set()
    while pending:
        value = pending.pop()
        made = value.op
        if made is None:
            if value is not loop.induction and not _is_outside(value, loop):
                return None
        elif made.parent is loop.body:
            movable = isinstance(made, DeclaredOp) and Pure in made.traits and not made.regions
            if not movable or may_trap(made):
                return None
            if made not in seen:
                seen.add(made)
                needed.append(made)
                pending += made.operands
        elif made.is_inside(loop):
            return None
    return [o for o in loop.body if o in seen] if needed else []


def _is_outside(value: Value, loop: For) -> bool:
    """Return whether a block argument belongs to a block around the loop."""
    block = getattr(value, "block", None)
    return not (isinstance(block, Block) and (block is loop.body or _inside(block, loop)))


def _inside(block: Block, loop: For) -> bool:
    holder = block.parent_op
    return holder is not None and holder.is_inside(loop)
