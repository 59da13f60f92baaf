"""Which values of a loop body differ between its turns.

Where only some turns run an op (under a branch or in a loop that they leave at different times),
what may not run in the others counts as differing too: it has to be done lane by lane.
"""

from __future__ import annotations

from kdsl.dialects.memref import AtomicRmw
from kdsl.dialects.scf import For, If, While
from kdsl.ir.core import Block, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Pure, Terminator
from kdsl.passes.speculation import may_trap


def varying_values(body: Block, induction: Value) -> set[Value]:
    """Return the values that depend on ``induction``, through data or through control."""
    varying = {induction, *body.args}
    size = -1
    while size != len(varying):
        size = len(varying)
        _visit_block(body, varying, diverged=False)
    return varying


def leaves_one_by_one(op: While, varying: set[Value], diverged: bool) -> bool:
    """Return whether the turns leave a while at different times, or differ inside it."""
    return diverged or any(
        isinstance(inner, AtomicRmw) or not varying.isdisjoint(inner.operands)
        for inner in op.walk()
    )


def _visit_block(block: Block, varying: set[Value], diverged: bool) -> None:
    for op in block:
        _visit(op, varying, diverged)


def _visit(op: Op, varying: set[Value], diverged: bool) -> None:
    if isinstance(op, For):
        _visit_for(op, varying, diverged)
    elif isinstance(op, While):
        _visit_while(op, varying, diverged)
    elif isinstance(op, If):
        _visit_if(op, varying, diverged)
    elif (
        isinstance(op, AtomicRmw)
        or not varying.isdisjoint(op.operands)
        or (diverged and not _may_run_anyway(op))
    ):
        varying.update(op.results)


def _may_run_anyway(op: Op) -> bool:
    plain = isinstance(op, DeclaredOp) and (Pure in op.traits or Terminator in op.traits)
    return plain and not may_trap(op)


def _visit_for(op: For, varying: set[Value], diverged: bool) -> None:
    bounds_vary = not varying.isdisjoint((op.lower, op.upper, op.step))
    if bounds_vary:
        varying.add(op.induction)
    _visit_block(op.body, varying, diverged or bounds_vary)
    groups = zip(op.carried, op.inits, op.yields.operands, op.results, strict=True)
    for inside, init, yielded, out in groups:
        if bounds_vary or not varying.isdisjoint((inside, init, yielded)):
            varying.update((inside, out))


def _visit_while(op: While, varying: set[Value], diverged: bool) -> None:
    """A while whose lanes leave one by one carries vectors only."""
    inside = leaves_one_by_one(op, varying, diverged)
    for region in op.regions:
        if inside:
            varying.update(region.block.args)
        _visit_block(region.block, varying, inside)
    if inside:
        varying.update(op.results)


def _visit_if(op: If, varying: set[Value], diverged: bool) -> None:
    inside = diverged or op.condition in varying
    for region in op.regions:
        for block in region.blocks:
            _visit_block(block, varying, inside)
    for i, out in enumerate(op.results):
        yields = [b.last.operands[i] for r in op.regions for b in r.blocks if b.last is not None]
        if op.condition in varying or not varying.isdisjoint(yields):
            varying.add(out)
