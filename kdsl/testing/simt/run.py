"""Running an entry: the host part op by op, each launch of a lane-level kernel as workgroups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsl.dialects.gpu import LANES
from kdsl.errors import InterpreterError
from kdsl.ir.core import Block, Module, Value
from kdsl.ir.interpreter import Frame, Grid, arguments_of
from kdsl.ir.types import MemRefType
from kdsl.target.features import Features
from kdsl.testing.simt.group import Rule, Step, Workgroup
from kdsl.testing.simt.memory import Memory
from kdsl.testing.simt.rules import RULES

FIRST: Grid = (0, 0, 0)


def run(
    module: Module,
    symbol: str,
    args: Sequence[Any] = (),
    features: Features | None = None,
    *,
    program_ids: Grid = FIRST,
    grid: Grid = (1, 1, 1),
    rules: dict[str, Rule] | None = None,
) -> tuple[Any, ...]:
    """Run an entry (or one program of a kernel); arrays given for buffers are written in place.

    ``features`` says how many lanes a subgroup has. ``rules`` run further ops, by their names.
    What a kernel itself returns comes as arrays with a lane axis. Raise a KD024x error at what a
    device must not do.
    """
    frame = LaneFrame(module, features or Features(subgroup=32), {**RULES, **(rules or {})})
    given = arguments_of(frame.function(symbol), symbol, args)
    with np.errstate(all="ignore"), frame.with_program(program_ids, grid):
        return frame.call(symbol, given)


class LaneFrame(Frame):
    """A frame in which calling a kernel with lanes runs a workgroup."""

    __slots__ = ("features", "memories", "plans", "rules")

    def __init__(self, module: Module, features: Features, rules: dict[str, Rule]) -> None:
        super().__init__(module)
        self.features = features
        self.rules = rules
        self.plans: dict[Block, tuple[list[Step], list[Value]]] = {}
        self.memories: dict[int, Memory] = {}

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
        return tuple(group.run(function.body, [_lanes_of(memory, p, a) for p, a in pairs]))

    def _memory(self, lanes: int) -> Memory:
        """Return the histories of this launch: a new launch starts with new ones."""
        is_first = self.program_ids == FIRST
        found = self.memories.get(lanes)
        if found is None or is_first:
            found = self.memories[lanes] = Memory(lanes, self.features.subgroup)
        found.start_program(is_first=is_first)
        return found


def _lanes_of(memory: Memory, parameter: Value, given: Any) -> Any:
    """Return a kernel's argument as lanes see it."""
    if isinstance(parameter.type, MemRefType):
        return memory.of_array(given.view(np.ndarray), parameter.name or "a buffer")
    return np.asarray(given)[None]
