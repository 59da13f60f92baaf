"""Loops whose staged loads run ahead: copies on the side, some turns before they are read.

The first turns' copies are begun before the loop. Each turn waits for its own, lets all lanes
arrive, begins the copies of a later turn in the slot that the last turn left, then works.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kdsl.dialects.arith import CMPI, Addi, Cmpi, Muli, Select
from kdsl.dialects.kdsl import LoadTile
from kdsl.dialects.lanes import CopyCommit, CopyWait
from kdsl.dialects.scf import For
from kdsl.ir.core import Value
from kdsl.passes.distribute.pipeline_plan import address_ops
from kdsl.passes.distribute.stage import Stage
from kdsl.passes.distribute.staging import Staged, copy_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdsl.passes.distribute.lowering import Lowering


class Ahead:
    """The staged loads of one loop that run ahead of it."""

    def __init__(self, op: For, low: Lowering, loads: Sequence[tuple[LoadTile, Stage]]) -> None:
        self.op = op
        self.low = low
        self.slots = min(stage.slots for _, stage in loads)
        self.loads = [(load, stage, low.buffer(stage)) for load, stage in loads]

    def begin(self) -> None:
        """Begin the copies of the first turns."""
        low, b = self.low, self.low.builder
        lower, upper, step = (low.scalar(v) for v in (self.op.lower, self.op.upper, self.op.step))
        for _, _, buffer in self.loads:
            low.order.write(buffer, b.block, b.block.last)
        for slot in range(self.slots - 1):
            at = lower
            for _ in range(slot):
                at = b.create(Addi, at, step)
            self._issue(at, upper, low.lane.index(slot))

    def turn(self, induction: Value, slot: Value) -> Value:
        """Begin a turn of the new loop; return the slot of the next one."""
        low, b, lane = self.low, self.low.builder, self.low.lane
        b.add(CopyWait, pending=self.slots - 2)
        low.barrier()
        last = lane.index(self.slots - 1)
        upper, step = low.scalar(self.op.upper), low.scalar(self.op.step)
        later = b.create(Addi, induction, b.create(Muli, step, last))
        wraps = b.create(Cmpi, slot, lane.index(0), predicate=CMPI["eq"])
        # The slot before this one, which the last turn has read.
        before = b.create(Select, wraps, last, b.create(Addi, slot, lane.index(-1)))
        self._issue(later, upper, before)
        for load, stage, buffer in self.loads:
            start = b.create(Muli, slot, lane.index(stage.size))
            low.hold(load.y, Staged(buffer, stage.element, stage.strides, start))
        full = b.create(Cmpi, slot, last, predicate=CMPI["eq"])
        made: Value = b.create(Select, full, lane.index(0), b.create(Addi, slot, lane.index(1)))
        return made

    def _issue(self, at: Value, upper: Value, slot: Value) -> None:
        """Begin the copies of the turn whose counter is ``at``, if there is one."""
        low, b = self.low, self.low.builder

        def copy() -> list[Value]:
            for load, stage, buffer in self.loads:
                start = b.create(Muli, slot, low.lane.index(stage.size))
                with self._at_turn(load, at):
                    copy_ahead(low, load, stage, buffer, start)
            return []

        low.choose(b.create(Cmpi, at, upper, predicate=CMPI["slt"]), [], copy)
        b.add(CopyCommit)

    @contextmanager
    def _at_turn(self, load: LoadTile, at: Value) -> Iterator[None]:
        """Let scalars be what they are in another turn."""
        low = self.low
        saved = low.scalars
        low.scalars = dict(saved)
        low.scalars[self.op.induction] = at
        try:
            for made in address_ops(load, self.op) or ():
                low.clone(made)
            yield
        finally:
            low.scalars = saved


def runs_ahead(op: For, low: Lowering) -> Ahead | None:
    """Return the loads of a loop that run ahead of it, if there are any."""
    loads = [
        (load, stage)
        for load, stage in low.plan.stages.items()
        if load.parent is op.body and stage.slots > 1 and isinstance(load, LoadTile)
    ]
    return Ahead(op, low, loads) if loads else None
