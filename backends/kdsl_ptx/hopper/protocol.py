"""Checking the roles' protocol of every scheduled kernel before it is built.

The kernel runs on the host without data, for small numbers of tiles and turns. What decides how far
loops run comes from the record, so records are made up: any numbers do, as long as all roles see
the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kdsl.dialects.func import Func
from kdsl.errors import ScheduleProtocolError
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.types import I64, INDEX, MemRefType, ScalarType
from kdsl.passes.manager import Pass
from kdsl.target.target import Target
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.machine import Counter, ProtocolError
from kdsl_ptx.hopper.simulate import Choose, Session, at_random, in_order

CASES = ((1, 0), (1, 1), (1, 3), (3, 0), (3, 2), (4, 4))
"""Tiles and turns."""
ORDERS: tuple[Choose, ...] = (
    in_order(("producer", "scheduler", "memory")),
    in_order(("consumer", "consumer1", "consumer2", "memory")),
    in_order(("consumer1", "scheduler", "consumer")),
)
"""Loads as early, and as late, as can be; one warpgroup ahead of the others."""
STEPS = 20_000
SIZE_STEP = 70
"""Sizes are a multiple of this: turns of loops that a size decides."""
GRID_ARGUMENTS = ("grid_x", "grid_y", "grid_z", "group")


@dataclass(frozen=True)
class ProtocolCheck(Pass):
    """Refuse kernels whose roles would hang or race."""

    name: ClassVar[str] = "protocol-check"

    def run(self, module: Module, target: Target) -> bool:
        del target
        for function in module.functions:
            if isinstance(function, Func) and any(isinstance(o, tile.Roles) for o in function.body):
                check(module, function)
        return False


def check(module: Module, kernel: Func, orders: Sequence[Choose] = ORDERS) -> None:
    """Run a kernel's roles in several orders; raise ScheduleProtocolError."""
    for tiles, turns, choose in _runs(orders):
        try:
            Rehearsal(module, choose, turns).rehearse(kernel, tiles)
        except ProtocolError as problem:
            what = f"{problem} ({tiles} tiles, {turns} turns)"
            schedule = kernel.attributes.get(tile.SCHEDULE, "no schedule")
            raise ScheduleProtocolError(
                kernel.loc, kernel=kernel.sym_name, schedule=schedule, what=what
            ) from problem


def _runs(orders: Sequence[Choose]) -> Iterator[tuple[int, int, Choose]]:
    for i, (tiles, turns) in enumerate(CASES):
        chance = at_random(i)
        for choose in (chance, orders[i % len(orders)]):
            yield tiles, turns, choose


class Rehearsal(Session):
    """A session without data, with made-up arguments and records."""

    def __init__(self, module: Module, choose: Choose, turns: int) -> None:
        super().__init__(module, choose, has_data=False, steps=STEPS)
        self.turns = turns

    def rehearse(self, kernel: Func, tiles: int) -> None:
        """Run one workgroup that draws all tiles."""
        args = [self._argument(a, tiles) for a in kernel.body.args]
        self.launch(kernel, 1, args)

    def record(self, op: tile.Publish, operands: Sequence[Any]) -> tuple[Any, ...]:
        """Return a record with made-up bounds: those words that come from divisions."""
        live = operands[-1]
        words = [
            word if not int(live) else _made_up(value, word, self.turns)
            for value, word in zip(op.values, operands, strict=True)
        ]
        return (*words[:-1], live)

    def _argument(self, parameter: Any, tiles: int) -> Any:
        kind = parameter.type
        if isinstance(kind, MemRefType):
            shape = [n if n >= 0 else SIZE_STEP * self.turns for n in kind.shape]
            return np.broadcast_to(np.zeros((), kind.element.numpy), shape)
        if parameter.name == "counter" and kind is I64:
            return Counter()
        if parameter.name == "grid_x":
            return np.int64(tiles)
        if kind is INDEX:
            return np.int64(1)
        assert isinstance(kind, ScalarType)
        return kind.numpy.type(1)


def _made_up(value: Value, word: Any, turns: int) -> Any:
    """Return a word of a record: a bound or a condition is the number of turns."""
    op: Op | None = value.op
    if op is None:
        return word
    source = op.operands[0] if op.operands else value
    is_condition = isinstance(source.type, ScalarType) and source.type.bits == 1
    return np.int32(min(turns, 1) if is_condition else turns)
