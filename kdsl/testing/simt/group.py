"""One workgroup: values of its lanes, which of them are active, and how ops find their rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdsl.errors import (
    DeadlockedLanesError,
    DivergentBarrierError,
    InterpreterError,
    KdslError,
)
from kdsl.ir.core import Block, Module, Op, OpResult, Value
from kdsl.ir.define import Elementwise, Pure, Terminator
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.interpreter import Grid
from kdsl.target.features import Features
from kdsl.testing.simt.barriers import NamedBarrier
from kdsl.testing.simt.fibers import Fibers
from kdsl.testing.simt.memory import Access, LaneBuffer, Memory, access_of

Rule = Callable[..., tuple[Any, ...]]
"""Called with the workgroup, the op and its operands' lanes; returns the results' lanes."""
Step = tuple[Rule, Op, list[Value], list[OpResult]]


@dataclass(eq=False, slots=True)
class Pending:
    """Elements that asynchronous copies will write: which lane began each, in which group."""

    access: Access
    values: np.ndarray
    groups: np.ndarray


@dataclass(eq=False)
class Workgroup:
    """The state of one program while its lanes run.

    ``mask`` has the active lanes, of which there is at least one; a ``fork`` has its own.
    """

    module: Module
    lanes: int
    features: Features
    memory: Memory
    rules: dict[str, Rule]
    plans: dict[Block, tuple[list[Step], list[Value]]]
    program_ids: Grid
    grid: Grid
    mask: np.ndarray = field(init=False)
    values: dict[Value, Any] = field(default_factory=dict)
    pending: list[Pending] = field(default_factory=list)
    committed: np.ndarray = field(init=False)
    state: dict[Any, Any] = field(default_factory=dict)
    """What rules of a back end keep for the length of the program."""
    fibers: Fibers | None = None
    """Set where parts of the workgroup go their own ways."""

    def __post_init__(self) -> None:
        self.mask = np.ones(self.lanes, np.bool_)
        self.committed = np.zeros(self.lanes, np.int64)
        self.numbers = np.arange(self.lanes, dtype=np.int64)

    @property
    def subgroup(self) -> int:
        """How many lanes run in step."""
        return self.memory.clock.subgroup

    # --------------------------------------------------------------------------------- running

    def run(self, block: Block, args: Sequence[Any]) -> list[Any]:
        """Run a block for the active lanes; return what its terminator reads."""
        plan = self.plans.get(block)
        if plan is None:
            plan = self.plans[block] = self._prepare(block)
        steps, returned = plan
        values = self.values
        values.update(zip(block.args, args, strict=True))
        for rule, op, operands, results in steps:
            try:
                found = rule(self, op, *[values[v] for v in operands])
            except KdslError:
                raise
            except Exception as problem:
                what = f"{type(problem).__name__}: {problem}"
                raise InterpreterError(op.loc, op=op.name, what=what) from problem
            for r, value in zip(results, found, strict=True):
                values[r] = value
        return [values[v] for v in returned]

    def _prepare(self, block: Block) -> tuple[list[Step], list[Value]]:
        steps: list[Step] = []
        for op in block:
            if isinstance(op, DeclaredOp) and Terminator in op.traits:
                return steps, op.operands
            steps.append((self._rule(op), op, op.operands, op.results))
        return steps, []

    def _rule(self, op: Op) -> Rule:
        own = getattr(type(op), "execute_lanes", None)
        if own is not None:
            return lambda group, op, *operands: own(op, group, *operands)
        rule = self.rules.get(op.name)
        if rule is not None:
            return rule
        if isinstance(op, DeclaredOp) and op.evaluate is not None:
            if Elementwise in op.traits:
                return elementwise
            if Pure in op.traits:
                return lane_by_lane
        what = "it has no meaning for the lanes of a workgroup"
        raise InterpreterError(op.loc, op=op.name, what=what)

    # ------------------------------------------------------------------------------- own ways

    def fork(self, mask: np.ndarray) -> Workgroup:
        """Return the same workgroup for some of its lanes, with values of their own."""
        part = copy(self)
        part.mask, part.values = mask, dict(self.values)
        return part

    def wait(self, op: Op, condition: Callable[[], bool], what: str) -> None:
        """Let other lanes go on until a condition holds; raise when none can make it hold."""
        if self.fibers is not None:
            lanes = np.flatnonzero(self.mask)
            shown = f"lanes {lanes[0]} to {lanes[-1]} at {op.loc or op.name} {what}"
            self.fibers.wait(condition, shown)
        elif not condition():
            raise DeadlockedLanesError(op.loc, op=op.name, what=what)

    def meet(self, op: Op, number: int, threads: int, *, waits: bool = True) -> None:
        """Come to a barrier by number with the active lanes; ``waits`` until it opens."""
        barrier = self.state.setdefault(("barrier", number), NamedBarrier())
        lanes = np.flatnonzero(self.mask)
        clock = self.memory.clock
        turn = barrier.come(clock, lanes, threads)
        if waits:
            self.wait(op, lambda: barrier.opened > turn, f"for barrier {number}")
            clock.acquire(lanes, barrier.passed[turn])

    # ---------------------------------------------------------------------------------- values

    def spread(self, value: np.ndarray) -> np.ndarray:
        """Return a value with one entry for each lane."""
        return np.broadcast_to(value, (self.lanes, *value.shape[1:]))

    def agreed(self, value: np.ndarray) -> Any:
        """Return the one number that all active lanes hold, or None when they differ."""
        if value.shape[0] == 1:
            return value[0]
        held = value[self.mask]
        return held[0] if bool((held == held[0]).all()) else None

    def merged(self, op: Op, mask: np.ndarray, new: Any, old: Any) -> Any:
        """Return ``new`` where the mask holds, ``old`` elsewhere."""
        if new is old:
            return new
        if isinstance(new, LaneBuffer) or isinstance(old, LaneBuffer):
            if isinstance(new, LaneBuffer) and isinstance(old, LaneBuffer):
                same = new.array.__array_interface__ == old.array.__array_interface__
                if same:
                    return new
            raise InterpreterError(op.loc, op=op.name, what="lanes differ in what buffer it is")
        where = mask.reshape(mask.shape + (1,) * (new.ndim - 1))
        return np.where(where, new, old)

    # ---------------------------------------------------------------------------------- memory

    def load(
        self,
        op: Op,
        buffer: LaneBuffer,
        indices: tuple[np.ndarray, ...],
        mask: np.ndarray,
        rest: Any = None,
        alignment: int = 0,
    ) -> np.ndarray:
        """Read the elements at ``indices`` where ``mask`` holds; ``rest`` elsewhere, else zero."""
        access = access_of(op, buffer, indices, mask, alignment)
        self.memory.reads(access)
        found = np.zeros(mask.shape, buffer.array.dtype)
        if rest is not None:
            found[...] = rest
        found[mask] = buffer.array[access.at]
        alike = not buffer.private and mask.ndim == 1 and all(i.shape[0] == 1 for i in indices)
        return found[mask][:1] if alike else found

    def store(
        self,
        op: Op,
        buffer: LaneBuffer,
        indices: tuple[np.ndarray, ...],
        mask: np.ndarray,
        values: np.ndarray,
        alignment: int = 0,
    ) -> None:
        """Write the elements at ``indices`` where ``mask`` holds."""
        access = access_of(op, buffer, indices, mask, alignment)
        self.memory.writes(access)
        buffer.array[access.at] = np.broadcast_to(values, mask.shape)[mask]

    # -------------------------------------------------------------------------------- together

    def all_here(self, op: Op) -> None:
        """Raise unless all lanes of the workgroup are active."""
        if not self.mask.all():
            raise DivergentBarrierError(
                op.loc, op=op.name, reached=int(self.mask.sum()), lanes=self.lanes
            )

    def subgroups_here(self, op: Op) -> np.ndarray:
        """Return which subgroups are active; raise when only some lanes of one are."""
        here = self.mask.reshape(-1, self.subgroup)
        some, whole = here.any(axis=1), here.all(axis=1)
        if (some != whole).any():
            first = int(np.flatnonzero(some != whole)[0])
            raise DivergentBarrierError(
                op.loc, op=op.name, reached=int(here[first].sum()), lanes=self.subgroup
            )
        return np.asarray(whole)


# ---------------------------------------------------------------------------------------- pure ops


def elementwise(group: Workgroup, op: Any, *operands: Any) -> tuple[Any, ...]:
    """Run an op that acts on each element alone, for all lanes at once."""
    del group
    rank = max(v.ndim for v in operands)
    given = [v if v.ndim == rank else v.reshape(v.shape + (1,) * (rank - v.ndim)) for v in operands]
    found = op.evaluate(*given)
    return found if isinstance(found, tuple) else (found,)


def lane_by_lane(group: Workgroup, op: Any, *operands: Any) -> tuple[Any, ...]:
    """Run a pure op once for each lane; once for all where its operands agree."""
    count = max((v.shape[0] for v in operands), default=1)
    lanes = np.flatnonzero(group.mask) if count > 1 else [0]
    columns: list[list[Any]] = [[] for _ in op.results]
    for lane in lanes:
        found = op.evaluate(*[v[lane if v.shape[0] > 1 else 0] for v in operands])
        parts = found if isinstance(found, tuple) else (found,)
        for column, part in zip(columns, parts, strict=True):
            column.append(np.asarray(part))
    if count == 1:
        return tuple(np.stack(column) for column in columns)
    results = []
    for column in columns:
        made = np.zeros((count, *column[0].shape), column[0].dtype)
        made[lanes] = np.stack(column)
        results.append(made)
    return tuple(results)
