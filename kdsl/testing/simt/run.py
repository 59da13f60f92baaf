"""Running an entry: the host part op by op, each launch of a lane-level kernel as workgroups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from kdsl.dialects.gpu import LANES
from kdsl.errors import DeadlockedLanesError, InterpreterError
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.interpreter import Frame, Grid, arguments_of
from kdsl.ir.types import MemRefType
from kdsl.target.features import Features
from kdsl.testing.simt.fibers import DeadlockError, Fibers
from kdsl.testing.simt.group import Rule, Step, Workgroup
from kdsl.testing.simt.memory import Memory
from kdsl.testing.simt.rules import RULES

FIRST: Grid = (0, 0, 0)


@dataclass(frozen=True)
class Machine:
    """What a back end adds: rules for its ops, and which lanes go their own ways.

    ``rules`` run ops of kernels, by their names, called with the workgroup, the op and its
    operands' lanes; ``host`` run ops of entries, called with the frame, the op and its operands.
    ``apart``: runs of so many lanes go their own ways, and so do the sides of branches, until they
    wait for each other; 0: all lanes go in step. ``seed`` chooses the order. ``engines`` beside the
    lanes touch memory too: in accesses, engine e counts as lane ``lanes + e * subgroup``.
    """

    rules: Mapping[str, Rule] = field(default_factory=dict)
    host: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    apart: int = 0
    seed: int = 0
    engines: int = 0


def run(
    module: Module,
    symbol: str,
    args: Sequence[Any] = (),
    features: Features | None = None,
    *,
    program_ids: Grid = FIRST,
    grid: Grid = (1, 1, 1),
    machine: Machine | None = None,
) -> tuple[Any, ...]:
    """Run an entry (or one program of a kernel); arrays given for buffers are written in place.

    ``features`` says how many lanes a subgroup has. What a kernel itself returns comes as arrays
    with a lane axis. Raise a KD024x error at what a device must not do.
    """
    frame = LaneFrame(module, features or Features(subgroup=32), machine or Machine())
    given = arguments_of(frame.function(symbol), symbol, args)
    with np.errstate(all="ignore"), frame.with_program(program_ids, grid):
        return frame.call(symbol, given)


class LaneFrame(Frame):
    """A frame in which calling a kernel with lanes runs a workgroup."""

    __slots__ = ("features", "machine", "memories", "plans", "rules", "state")

    def __init__(self, module: Module, features: Features, machine: Machine) -> None:
        super().__init__(module)
        self.machine = machine
        self.state: dict[Any, Any] = {}
        """What a back end's rules of entries leave for those of kernels."""
        self.features = features
        self.rules = {**RULES, **machine.rules}
        self.plans: dict[Block, tuple[list[Step], list[Value]]] = {}
        self.memories: dict[int, Memory] = {}

    def meaning(self, op: Op) -> Any:
        """Return how an op of an entry is run on its operands' values."""
        rule = self.machine.host.get(op.name)
        return super().meaning(op) if rule is None else partial(rule, self, op)

    def call(self, symbol: str, args: Sequence[Any]) -> tuple[Any, ...]:
        """Run a function; for a kernel with lanes, all lanes of the present program."""
        function = self.function(symbol)
        lanes = function.attributes.get(LANES)
        if lanes is None:
            return super().call(symbol, args)
        if not isinstance(lanes, int) or lanes < 1 or lanes % self.features.subgroup:
            what = f"{LANES} = {lanes} is no multiple of {self.features.subgroup}"
            raise InterpreterError(function.loc, op=f"@{symbol}", what=what)
        memory = self._memory(lanes)
        group = Workgroup(
            self.module, lanes, self.features, memory, self.rules, self.plans,
            self.program_ids, self.grid,
        )  # fmt: skip
        pairs = zip(function.body.args, args, strict=True)
        given = [_lanes_of(memory, p, a) for p, a in pairs]
        group.state["host"] = self.state
        if not self.machine.apart:
            return tuple(group.run(function.body, given))
        self._run_apart(function, group, given)
        return ()

    def _run_apart(self, function: Op, group: Workgroup, given: list[Any]) -> None:
        """Run the kernel once for each part of the workgroup, side by side."""
        group.fibers = Fibers(self.machine.seed)
        numbers = np.arange(group.lanes) // self.machine.apart
        parts = [group.fork(numbers == part) for part in range(int(numbers[-1]) + 1)]
        try:
            group.fibers.run([partial(_run_part, part, function, given) for part in parts])
        except DeadlockError as problem:
            what = "; ".join(problem.waiting)
            name = f"@{function.attributes['sym_name']}"
            raise DeadlockedLanesError(function.loc, op=name, what=what) from None

    def _memory(self, lanes: int) -> Memory:
        """Return the histories of this launch: a new launch starts with new ones."""
        is_first = self.program_ids == FIRST
        found = self.memories.get(lanes)
        if found is None or is_first:
            subgroup = self.features.subgroup
            actors = lanes + self.machine.engines * subgroup
            found = self.memories[lanes] = Memory(actors, subgroup)
        found.start_program(is_first=is_first)
        return found


def _run_part(part: Workgroup, function: Op, given: list[Any]) -> None:
    part.run(function.body, given)


def _lanes_of(memory: Memory, parameter: Value, given: Any) -> Any:
    """Return a kernel's argument as lanes see it."""
    if isinstance(parameter.type, MemRefType):
        return memory.of_array(given.view(np.ndarray), parameter.name or "a buffer")
    return np.asarray(given)[None]
