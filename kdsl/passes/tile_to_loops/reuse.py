"""Fewer buffers: tiles that live in registers only, and tiles that replace one in its place."""

from __future__ import annotations

from kdsl.dialects.scf import For, If, While
from kdsl.ir.core import Block, Op, Value
from kdsl.ir.types import TensorType
from kdsl.passes.tile_to_loops.plan import Plan
from kdsl.passes.tile_to_loops.pull import is_movable
from kdsl.passes.tile_to_loops.tasks import Group, Program, Task


def reads_inside(plan: Plan, op: Op, value: Value) -> bool:
    """Return whether an op, or a nest inside it, may read a tile."""
    frontier = [value]
    while frontier:
        here = frontier.pop()
        for user in here.users:
            if user.is_inside(op):
                return True
            # An expression outside may stand for the tile in there.
            if is_movable(user) and user.results[0] not in plan.stored:
                frontier.append(user.results[0])
    return False


def reuse_buffers(plan: Plan, block: Block, program: Program) -> None:
    """Drop stores that only their own nest reads, and overwrite tiles where they are read last."""
    for i, item in enumerate(program.items):
        if not isinstance(item, Group):
            continue
        for task in item.tasks:
            if not _makes_own(task):
                continue
            later = program.items[i + 1 :]
            if task.value not in plan.demands and _is_dead(plan, task.value, item, later):
                task.is_silent = True
                continue
            for old in task.same:
                if _may_replace(plan, block, task, old, item, later):
                    plan.share(task.value, old)
                    break


def _makes_own(task: Task) -> bool:
    """Return whether a task stores the tile that it computes, in that tile's own buffer."""
    plain = task.kind == "store" and task.turned is None and not task.is_copy
    return plain and task.makes is task.value and task.owner is task.value and task.offset is None


def _is_dead(plan: Plan, value: Value, group: Group, later: list[Group | Op]) -> bool:
    """Return whether a tile is read by its own nest at most, at the point where it is made."""
    if any(value in t.other for t in group.tasks) or not group.first.is_nested:
        return False
    return not any(_reads(plan, item, value) for item in later)


def _reads(plan: Plan, item: Group | Op, value: Value) -> bool:
    if isinstance(item, Group):
        return any(value in t.reads or (t.is_copy and t.value is value) for t in item.tasks)
    return value in item.operands or bool(item.regions and reads_inside(plan, item, value))


def _may_replace(
    plan: Plan, block: Block, task: Task, old: Value, group: Group, later: list[Group | Op]
) -> bool:
    """Return whether a tile may be made in the buffer of one that nothing reads afterwards."""
    new = task.value
    op = old.op
    if op is None or op.parent is not block or isinstance(op, For | If | While):
        return False
    if old not in plan.stored or old.type is not new.type or plan.lane(old) != plan.lane(new):
        return False
    if not isinstance(new.type, TensorType) or old in plan.demands or new in plan.demands:
        return False
    if plan.is_direct(old) or _sharers(plan, new) != {new}:
        return False
    for sharer in _sharers(plan, old):
        maker = sharer.op
        if maker is None or maker.parent is not block or isinstance(maker, For | If | While):
            return False
        if not _is_dead(plan, sharer, group, later):
            return False
    return True


def _sharers(plan: Plan, value: Value) -> set[Value]:
    """Return the tiles that live in the buffer of one."""
    home = plan.home(value)
    return {v for v, held in plan.homes.items() if held is home}
