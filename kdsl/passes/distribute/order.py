"""Which writes to staging buffers must wait for those who still read them.

A buffer is written, then read after a barrier. Whether another barrier is needed before it is
written again is known only when a loop's whole body is: events are recorded and settled at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kdsl.ir.core import Block, Op, Value


@dataclass(frozen=True, slots=True)
class Event:
    """A barrier (no buffer), a read, or a write whose first op comes after ``before``."""

    buffer: Value | None = None
    block: Block | None = None
    before: Op | None = None

    @property
    def is_write(self) -> bool:
        return self.block is not None


class Order:
    """The events of the block being written, and of those around it."""

    def __init__(self) -> None:
        self._stack: list[list[Event]] = [[]]

    def barrier(self) -> None:
        """Note that all lanes waited for each other."""
        self._stack[-1].append(Event())

    def read(self, buffer: Value) -> None:
        """Note a read."""
        self._stack[-1].append(Event(buffer))

    def write(self, buffer: Value, block: Block, before: Op | None) -> None:
        """Note a write that begins in ``block`` after the op ``before`` (None: at its start)."""
        self._stack[-1].append(Event(buffer, block, before))

    def enter(self) -> None:
        """Begin the body of a loop or branch."""
        self._stack.append([])

    def leave(self, *, repeats: bool) -> Iterator[Event]:
        """End it; yield the writes that need a barrier before them.

        Outside, its barriers do not count: it may not have been run.
        """
        events = self._stack.pop()
        late = list(_late(events, repeats=repeats))
        self._stack[-1] += [e for e in events if e.buffer is not None]
        yield from late

    def finish(self) -> Iterator[Event]:
        """End the kernel; yield as ``leave`` does."""
        yield from _late(self._stack[-1], repeats=False)


def _late(events: list[Event], *, repeats: bool) -> Iterator[Event]:
    settled: set[int] = set()
    for at, event in enumerate(events):
        if event.is_write and _is_touched(events, at, settled, repeats=repeats):
            settled.add(at)
            yield event


def _is_touched(events: list[Event], at: int, settled: set[int], *, repeats: bool) -> bool:
    """Return whether a write may meet earlier users of its buffer without a barrier between."""
    count = len(events)
    for distance in range(1, (count if repeats else at) + 1):
        here = (at - distance) % count
        seen = events[here]
        if seen.buffer is None:
            return False
        if seen.buffer is events[at].buffer:
            return True
        if here in settled:
            return False
    return False
