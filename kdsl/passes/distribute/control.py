"""Branches and loops: the same ones, with registers for the tiles that they carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdsl.dialects.scf import PARALLEL, VECTORIZE, Condition, For, If, While, Yield
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.ir.types import TensorType, Type
from kdsl.passes.distribute.demands import demands
from kdsl.passes.distribute.hazards import Hazards, accesses
from kdsl.passes.distribute.pipeline import Ahead, runs_ahead
from kdsl.passes.parallel import makes_tiles

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering


def is_simd_loop(op: Op) -> bool:
    """Return whether a loop is for the pass that spreads vector loops over lanes."""
    is_marked = VECTORIZE in op.attributes or PARALLEL in op.attributes
    return is_marked and not makes_tiles(op)


def lower_for(op: For, low: Lowering) -> None:
    """Lower a loop; what it carries in registers stays there."""
    if is_simd_loop(op):
        lower_simd(op, low)
        return
    hoist(op, low)
    await_region(op, low)
    before = low.hazards.copy()
    low.hazards.merge(accesses(op))
    ahead = runs_ahead(op, low)
    if ahead is not None:
        ahead.begin()
    inits = [carried(low, v, of) for v, of in zip(op.inits, op.results, strict=True)]
    if ahead is not None:
        inits.append(low.lane.index(0))
    block = Block([op.induction.type, *(v.type for v in inits)])
    made = low.builder.add(
        For,
        *(low.scalar(v) for v in (op.lower, op.upper, op.step)),
        inits,
        types=[v.type for v in inits],
        regions=[Region([block])],
    )
    made.attributes.update(op.attributes)
    _fill(low, op.body, block, repeats=True, ahead=ahead)
    low.hazards.merge(before)
    take_results(low, op, made)


def _fill(
    low: Lowering, old: Block, new: Block, *, repeats: bool, ahead: Ahead | None = None
) -> None:
    """Lower a block into another whose arguments stand for the old one's.

    With loads that run ahead, the last argument is the slot that they are read from.
    """
    low.order.enter()
    with low.scope(new):
        for was, now in zip(old.args, new.args, strict=False):
            now.name = was.name
            take(low, was, now)
        following = None if ahead is None else ahead.turn(new.args[0], new.args[-1])
        low.block(old)
        if following is not None:
            assert new.last is not None
            new.last.set_operands([*new.last.operands, following])
    low.settle(low.order.leave(repeats=repeats))


def take(low: Lowering, value: Value, fragment: Value) -> None:
    """Say what a value has become: registers or a scalar."""
    if isinstance(value.type, TensorType):
        low.bind(value, fragment)
    else:
        low.scalars[value] = fragment


def take_results(low: Lowering, op: Op, made: Op) -> None:
    """Say what the results of an op have become."""
    for was, now in zip(op.results, made.results, strict=False):
        now.name = was.name
        take(low, was, now)


def carried(low: Lowering, value: Value, like: Value) -> Value:
    """Return a value as ``like`` is held."""
    if isinstance(value.type, TensorType):
        return low.fragment(value, low.layout_of(like))
    return low.scalar(value)


def lower_yield(op: Yield, low: Lowering) -> None:
    """Hand over registers in the layout of the enclosing op's results."""
    assert op.parent is not None
    holder: Any = op.parent.parent_op
    if isinstance(holder, While):
        first = holder.regions[0].block
        targets: Sequence[Value] = first.args
    else:
        targets = holder.results
    values = [carried(low, v, of) for v, of in zip(op.values, targets, strict=True)]
    low.builder.add(Yield, values)


def lower_condition(op: Condition, low: Lowering) -> None:
    """End the first region of a while."""
    assert op.parent is not None
    holder = op.parent.parent_op
    assert holder is not None
    values = [carried(low, v, of) for v, of in zip(op.values, holder.results, strict=True)]
    low.builder.add(Condition, low.scalar(op.condition), values)


def lower_if(op: If, low: Lowering) -> None:
    """Lower a branch; its condition is the same for all lanes."""
    types = [register_type(low, r) for r in op.results]
    regions = [Region([Block()] if r.blocks else []) for r in op.regions]
    made = low.builder.add(If, low.scalar(op.condition), types=types, regions=regions)
    made.attributes.update(op.attributes)
    before = low.hazards.copy()
    after = Hazards()
    for old, new in zip(op.regions, regions, strict=True):
        low.hazards = before.copy()
        if old.blocks:
            _fill(low, old.block, new.block, repeats=False)
        after.merge(low.hazards)
    low.hazards = after
    take_results(low, op, made)


def register_type(low: Lowering, value: Value) -> Type:
    """Return the type of what a value becomes."""
    from kdsl.passes.distribute.lowering import registers_type

    if isinstance(value.type, TensorType):
        return registers_type(value, low.layout_of(value))
    return value.type


def lower_while(op: While, low: Lowering) -> None:
    """Lower a while; its condition is the same for all lanes."""
    hoist(op, low)
    await_region(op, low)
    before = low.hazards.copy()
    low.hazards.merge(accesses(op))
    first, second = (region.block for region in op.regions)
    inits = [carried(low, v, of) for v, of in zip(op.inits, first.args, strict=True)]
    types = [register_type(low, r) for r in op.results]
    blocks = [Block([v.type for v in inits]), Block(types)]
    made = low.builder.add(While, inits, types=types, regions=[Region([block]) for block in blocks])
    made.attributes.update(op.attributes)
    for old, new in zip((first, second), blocks, strict=True):
        _fill(low, old, new, repeats=True)
    low.hazards.merge(before)
    take_results(low, op, made)


def hoist(op: Op, low: Lowering) -> None:
    """Bring tiles from outside of a loop into the layouts that the loop wants, before it."""
    inside = {id(v) for o in op.walk() for v in results_and_arguments(o)}
    for inner in op.walk():
        for value, layout in demands(inner, low):
            outer = id(value) not in inside and value not in low.plan.lazy
            if outer and low.held(value) is None:
                low.fragment(value, layout)


def results_and_arguments(op: Op) -> list[Value]:
    """Return the values that an op brings into being."""
    return [*op.results, *(a for r in op.regions for block in r.blocks for a in block.args)]


def await_region(op: Op, low: Lowering) -> None:
    """Put a barrier before a loop when something in it must wait for what was before."""
    inside = accesses(op)
    waits = any(low.hazards.must_wait(b, k, writes=False) for b, k in inside.reads)
    if waits or any(low.hazards.must_wait(b, k, writes=True) for b, k in inside.writes):
        low.barrier()


def lower_simd(op: Op, low: Lowering) -> None:
    """Leave a vector loop to the pass for those; its lanes touch memory as they like."""
    await_region(op, low)
    made = low.clone(op)
    low.hazards.merge(accesses(op))
    for was, now in zip(op.results, made.results, strict=True):
        low.scalars[was] = now
