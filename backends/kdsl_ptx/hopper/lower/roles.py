"""Three roles in one kernel: barriers are set up, then each warpgroup goes its own way.

Warpgroup 0 gives the producer (its thread 0) and the scheduler (thread 32); the others consume.
Threads that serve no role end at once.
"""

from __future__ import annotations

from typing import Any

from kdsl.dialects import gpu, scf
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.passes.distribute.lowering import Lowering
from kdsl_ptx.dialect import machine, tile
from kdsl_ptx.hopper.lower.lanes import (
    GROUP_LANES,
    GROUP_WARPS,
    Consumer,
    Producer,
    RoleLane,
    Scheduler,
)
from kdsl_ptx.hopper.lower.memory import SWIZZLE_ALIGN, Memory, memory_of
from kdsl_ptx.hopper.lower.protocol import give_first_turn
from kdsl_ptx.hopper.lower.words import Words

SCHEDULER_THREAD = 32
"""The first thread of warp 1."""


def lower_roles(op: tile.Roles, low: Lowering) -> None:
    """Write the set-up and the three roles."""
    memory = memory_of(low.function, op)
    lane, words = low.lane, Words(low.builder)
    base = shared_base(low, memory)
    thread = lane.thread32
    words.when(words.equal(thread, 0), lambda: _set_up(words, base, memory))
    low.builder.add(gpu.Barrier)
    warpgroup = words.shr(thread, 7)
    serves = words.equal(warpgroup, 0)
    group = words.sub(warpgroup, 1)
    number = words.index(words.sub(thread, GROUP_LANES))
    loading, consuming = Block(), Block()
    regions = [Region([loading]), Region([consuming])]
    low.builder.add(scf.If, serves, types=[], regions=regions)
    few, many = op.registers
    with low.builder.at(loading):
        low.builder.add(machine.SetMaxRegisters, count=few, increase=False)
        # Nothing follows a role that ends: only then is its state uniform.
        first = words.equal(words.shr(thread, 5), 0)
        sides = (Block(), Block())
        low.builder.add(scf.If, first, types=[], regions=[Region([side]) for side in sides])
        for side, own, kind, block in (
            (sides[0], 0, Producer, op.producer),
            (sides[1], SCHEDULER_THREAD, Scheduler, op.scheduler),
        ):
            with low.builder.at(side):
                inside = _branch(low, words.equal(thread, own))
                role = kind(inside, low.features, 1, words.value(0), memory, base)
                _write_role(low, role, block, inside)
                low.builder.add(scf.Yield, [])
        low.builder.add(scf.Yield, [])
    with low.builder.at(consuming):
        low.builder.add(machine.SetMaxRegisters, count=many, increase=True)
        warps = GROUP_WARPS * op.consumers
        consumer = Consumer(consuming, low.features, warps, number, memory, base, group)
        _write_role(low, consumer, op.consumer, consuming)


def _branch(low: Lowering, condition: Value) -> Block:
    """Add a branch and return its block."""
    block = Block()
    low.builder.add(scf.If, condition, types=[], regions=[Region([block]), Region()])
    return block


def shared_base(low: Lowering, memory: Memory) -> Value:
    """Return the address of the kernel's shared memory, i32."""
    made = low.builder.create(machine.SharedBase, bytes=memory.total, align=SWIZZLE_ALIGN)
    assert isinstance(made, Value)
    return made


def _set_up(words: Words, base: Value, memory: Memory) -> None:
    """Make the barriers, and let the copy engine see them."""
    for offset, count in memory.barriers():
        words.builder.add(machine.MbarrierInit, words.add(base, offset), count=count)
    words.builder.add(machine.FenceMbarrierInit)


def _write_role(low: Lowering, lane: RoleLane, source: Block, target: Block) -> None:
    """Write a role's region into a block of its own."""
    with low.role(source, lane):
        lane.builder.block, lane.builder.anchor = target, None
        lane.begin()
        turns = any(isinstance(each, tile.TurnWait) for op in source for each in op.walk())
        if isinstance(lane, Consumer) and turns and lane.groups > 1:
            give_first_turn(lane)
        low.block(source)


def end(op: tile.End, low: Lowering) -> None:
    """End a role: what it stored must have left shared memory."""
    lane = low.lane
    if isinstance(lane, Consumer) and _has(op, tile.TileStore):
        words = lane.words
        words.when(lane.leads, lambda: words.builder.add(machine.BulkWait, pending=0, read=True))
    low.builder.add(scf.Yield, [])


def _has(op: Op, kind: type[Op]) -> bool:
    block = op.parent
    assert block is not None
    return any(isinstance(each, kind) for other in block for each in other.walk())


RULES: dict[Any, Any] = {tile.Roles: lower_roles, tile.End: end}
