"""A model of one workgroup's shared state: barriers, tile slots, the ring, copies under way.

What the hardware would do wrongly without a word - a slot overwritten while somebody reads it, data
read before it is there - raises ProtocolError here. Data is NumPy arrays, or None when only the
protocol is of interest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdsl_ptx.dialect import tile

Wait = Iterator[Callable[[], bool]]
"""What agents are: generators of conditions; they go on when the last one holds."""


class ProtocolError(Exception):
    """The roles' protocol is wrong."""


@dataclass
class Barrier:
    """An mbarrier: a phase ends after ``count`` arrivals, once all expected bytes are there."""

    count: int
    phases: int = 0
    arrived: int = 0
    copies: int = 0

    def arrive(self, copies: int = 0) -> None:
        """Arrive, and expect so many copies."""
        self.arrived += 1
        self.copies += copies
        if self.arrived > self.count:
            raise ProtocolError("a barrier has more arrivals than it counts: released twice")
        self._step()

    def landed(self) -> None:
        """Note that an expected copy has landed."""
        self.copies -= 1
        self._step()

    def _step(self) -> None:
        if self.arrived == self.count and self.copies == 0:
            self.phases, self.arrived = self.phases + 1, 0


@dataclass
class Shared:
    """A tile in shared memory, as it was when it was handed out."""

    place: Place
    version: int
    number: int
    reader: int

    def read(self) -> Any:
        """Return the data; raise when it is not there, not yet or no more."""
        place = self.place
        if place.version != self.version or self.reader in place.given_back:
            raise ProtocolError(f"{place.name} is read after it was released")
        if place.loading or self.number >= len(place.data):
            raise ProtocolError(f"{place.name} is read before its data has arrived")
        return place.data[self.number]


@dataclass
class Place:
    """Room for tiles in shared memory: ``version`` counts what was put there."""

    name: str
    data: list[Any] = field(default_factory=list)
    version: int = 0
    loading: int = 0
    holders: set[int] = field(default_factory=set)
    given_back: set[int] = field(default_factory=set)
    leaving: dict[int, int] = field(default_factory=dict)

    def begin(self, count: int) -> None:
        """Begin to overwrite it with ``count`` tiles."""
        if self.holders:
            raise ProtocolError(f"{self.name} is overwritten before it was released")
        if any(self.leaving.values()):
            raise ProtocolError(f"{self.name} is overwritten while its output is being stored")
        if self.loading:
            raise ProtocolError(f"{self.name} is overwritten while it is being loaded")
        self.version += 1
        self.loading = count
        self.given_back = set()
        self.data = [None] * count


@dataclass
class TensorMap:
    """What a tensor map says: an array, and which of its axes boxes run along."""

    array: np.ndarray
    dims: tuple[int, ...]
    split: bool
    stops: tuple[int, ...]

    def window(self, coords: Sequence[int], shape: tuple[int, int]) -> tuple[Any, tuple[int, ...]]:
        """Return where a box lies in the array, and its first row and column; None outside."""
        r, c = self.dims
        column = coords[0] + (tile.PANEL * coords[2] if self.split else 0)
        others = list(coords[3 if self.split else 2 :])
        at: list[Any] = [0] * self.array.ndim
        for axis in reversed(range(self.array.ndim)):
            if axis not in (r, c):
                at[axis] = int(others.pop(0))
                if not 0 <= at[axis] < self.array.shape[axis]:
                    return None, (0, 0)
        sizes = [self.array.shape[r], self.array.shape[c]]
        sizes = [
            min(n, max(0, s))
            for n, s in zip(sizes, (*self.stops, *sizes[len(self.stops) :]), strict=True)
        ]
        first = [0, 0]
        for i, (axis, start) in enumerate(((r, coords[1]), (c, column))):
            low, high = max(0, start), min(sizes[i], start + shape[i])
            if low >= high:
                return None, (0, 0)
            at[axis] = slice(low, high)
            first[i] = low - start
        return tuple(at), (first[0], first[1])

    def load(self, coords: Sequence[int], shape: tuple[int, int]) -> np.ndarray:
        """Return a box; what is outside is zero."""
        found = np.zeros(shape, self.array.dtype)
        at, (row, column) = self.window(coords, shape)
        if at is not None:
            part = self.array.view(np.ndarray)[at]
            part = part if self.dims[0] < self.dims[1] else part.T
            found[row : row + part.shape[0], column : column + part.shape[1]] = part
        return found

    def store(self, coords: Sequence[int], box: np.ndarray) -> None:
        """Write what of a box is inside."""
        at, (row, column) = self.window(coords, (box.shape[0], box.shape[1]))
        if at is not None:
            part = self.array.view(np.ndarray)[at]
            part[...] = box[row : row + part.shape[0], column : column + part.shape[1]]


@dataclass
class Counter:
    """The word that workgroups of a launch draw tiles from."""

    value: int = 0

    def draw(self, total: int, workgroups: int) -> int:
        """Return the next number; the last draw of a launch sets the word back."""
        found = self.value
        self.value = 0 if found == total - 1 else found + 1
        return found + workgroups


class Workgroup:
    """The shared state of one workgroup."""

    def __init__(self, attributes: Any, consumers: int, number: int, count: int) -> None:
        self.consumers = consumers
        self.number = number
        self.workgroups = count
        slots = attributes[tile.SLOTS]
        self.known = [Barrier(1) for _ in range(slots)]
        self.full = [Barrier(1) for _ in range(slots)]
        self.empty = [Barrier(consumers + 1) for _ in range(slots)]
        self.slots = [Place(f"tile slot {i}") for i in range(slots)]
        self.records: list[tuple[Any, ...]] = [()] * slots
        ring = attributes[tile.RING][0]
        self.ring_full = [Barrier(1) for _ in range(ring)]
        self.ring_empty = [Barrier(consumers) for _ in range(ring)]
        self.ring = [Place(f"ring slot {i}") for i in range(ring)]
        self.ring_bytes = attributes[tile.RING][1]
        self.staging = [Place(f"the staging area of warpgroup {i}") for i in range(consumers)]
        self.turns = [1] + [0] * (consumers - 1)
        self.copies: list[Callable[[], None]] = []
        self.loaded = 0
        self.waited = [0] * consumers
        self.released = [0] * consumers

    def check_end(self) -> None:
        """Raise when something was loaded and never taken, or taken and never given back."""
        for c in range(self.consumers):
            if self.waited[c] != self.loaded:
                raise ProtocolError(
                    f"{self.loaded} ring entries are loaded, warpgroup {c} takes {self.waited[c]}"
                )
            if self.released[c] != self.waited[c]:
                left = self.waited[c] - self.released[c]
                raise ProtocolError(f"warpgroup {c} does not release {left} ring entries")
        for place in (*self.slots, *self.staging):
            if any(place.leaving.values()):
                raise ProtocolError(f"output is still leaving {place.name} at the end")
