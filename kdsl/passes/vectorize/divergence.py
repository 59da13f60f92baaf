"""Which values of a loop body differ between its turns."""

from __future__ import annotations

from kdsl.dialects.memref import AtomicRmw
from kdsl.dialects.scf import For, If, While
from kdsl.ir.core import Block, Op, Value


def varying_values(body: Block, induction: Value) -> set[Value]:
    """Return the values that depend on ``induction``, through data or through control."""
    varying = {induction, *body.args}
    size = -1
    while size != len(varying):
        size = len(varying)
        for op in body:
            _visit(op, varying)
    return varying


def _visit(op: Op, varying: set[Value]) -> None:
    for region in op.regions:
        for block in region.blocks:
            for inner in block:
                _visit(inner, varying)
    if isinstance(op, For):
        _visit_for(op, varying)
    elif isinstance(op, While):
        _visit_while(op, varying)
    elif isinstance(op, If):
        _visit_if(op, varying)
    elif isinstance(op, AtomicRmw) or any(v in varying for v in op.operands):
        varying.update(op.results)


def _visit_for(op: For, varying: set[Value]) -> None:
    bounds_vary = any(v in varying for v in (op.lower, op.upper, op.step))
    if bounds_vary:
        varying.add(op.induction)
    groups = zip(op.carried, op.inits, op.yields.operands, op.results, strict=True)
    for inside, init, yielded, out in groups:
        if bounds_vary or varying & {inside, init, yielded}:
            varying.update((inside, out))


def _visit_while(op: While, varying: set[Value]) -> None:
    """A while that anything varying touches carries vectors only: its lanes leave one by one."""
    touched = any(v in varying for inner in op.walk() for v in inner.operands)
    if touched:
        varying.update(op.regions[0].block.args, op.regions[1].block.args, op.results)


def _visit_if(op: If, varying: set[Value]) -> None:
    diverges = op.condition in varying
    for i, out in enumerate(op.results):
        yields = [b.last.operands[i] for r in op.regions for b in r.blocks if b.last is not None]
        if diverges or any(v in varying for v in yields):
            varying.add(out)
