"""Where lanes must wait for each other because of memory that all programs see.

Each access has a key: two accesses with the same key (and buffer) touch the same elements with the
same lanes, so they need no barrier between them; None is like no other.
"""

from __future__ import annotations

from collections.abc import Hashable

from kdsl.dialects.kdsl import Gather, LoadTile, Scatter, StoreTile
from kdsl.dialects.memref import AtomicRmw
from kdsl.dialects.memref import Load as ScalarLoad
from kdsl.dialects.memref import Store as ScalarStore
from kdsl.dialects.vector import Load, MaskedLoad, MaskedStore, Store
from kdsl.ir.core import Op, Value
from kdsl.passes.aliasing import may_alias

READS = (LoadTile, Gather, ScalarLoad, Load, MaskedLoad)
WRITES = (StoreTile, Scatter, ScalarStore, Store, MaskedStore, AtomicRmw)

Access = tuple[Value, Hashable]


class Hazards:
    """What lanes read and wrote since the last barrier."""

    def __init__(self) -> None:
        self.reads: set[Access] = set()
        self.writes: set[Access] = set()

    def clear(self) -> None:
        """Forget everything: there was a barrier."""
        self.reads.clear()
        self.writes.clear()

    def must_wait(self, buffer: Value, key: Hashable, *, writes: bool) -> bool:
        """Return whether an access needs a barrier before it."""
        earlier = self.writes | self.reads if writes else self.writes
        return any(
            (key is None or other != key) and may_alias(buffer, seen) for seen, other in earlier
        )

    def note(self, buffer: Value, key: Hashable, *, writes: bool) -> None:
        """Record an access."""
        (self.writes if writes else self.reads).add((buffer, key))

    def copy(self) -> Hazards:
        """Return the same state."""
        found = Hazards()
        found.merge(self)
        return found

    def merge(self, other: Hazards) -> None:
        """Add what happened on another way to here."""
        self.reads |= other.reads
        self.writes |= other.writes


def accesses(op: Op) -> Hazards:
    """Return everything that an op and what is inside it do to memory, like nothing else."""
    found = Hazards()
    for inner in op.walk():
        if isinstance(inner, READS):
            found.note(inner.source, None, writes=False)
        elif isinstance(inner, WRITES):
            found.note(inner.target, None, writes=True)
    return found
