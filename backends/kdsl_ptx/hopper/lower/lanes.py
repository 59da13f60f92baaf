"""The lanes of a role: what a thread of a scheduled kernel knows about itself, and its state."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Value
from kdsl.ir.types import I32
from kdsl.passes.distribute.lane import Lane
from kdsl.target.features import Features
from kdsl_ptx.dialect import machine
from kdsl_ptx.hopper.lower.memory import BARRIER_BYTES, Memory
from kdsl_ptx.hopper.lower.words import Word, Words

GROUP_LANES = 128
"""Threads of a warpgroup."""
GROUP_WARPS = 4
ROWS = 64
"""Rows of a tile that a warpgroup has."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A role's place in a ring: the slot's number and the parity that its next wait is for.

    Both are registers that change in place.
    """

    name: str
    slots: int

    def start(self, words: Words, parity: int) -> None:
        """Begin at slot 0."""
        self._set(words, "slot", words.value(0))
        self._set(words, "parity", words.value(parity))

    def slot(self, words: Words) -> Word:
        return self._get(words, "slot") if self.slots > 1 else 0

    def parity(self, words: Words) -> Value:
        return self._get(words, "parity")

    def at(self, words: Words, base: Value, offset: int, step: int) -> Value:
        """Return an address that is ``step`` bytes further for each slot."""
        slot = self.slot(words)
        first = words.add(base, offset)
        return first if isinstance(slot, int) else words.add(first, words.mul(slot, step))

    def barrier(self, words: Words, base: Value, offset: int) -> Value:
        """Return the address of the slot's barrier."""
        return self.at(words, base, offset, BARRIER_BYTES)

    def advance(self, words: Words) -> None:
        """Go to the next slot; the parity turns at the end of the ring."""
        parity = self.parity(words)
        turned = words.xor(parity, 1)
        if self.slots == 1:
            self._set(words, "parity", turned)
            return
        following = words.add(self.slot(words), 1)
        wraps = words.equal(following, self.slots)
        self._set(words, "slot", words.select(wraps, 0, following))
        self._set(words, "parity", words.select(wraps, turned, parity))

    def _get(self, words: Words, part: str) -> Value:
        return get(words, f"{self.name}.{part}")

    def _set(self, words: Words, part: str, value: Value) -> None:
        put(words, f"{self.name}.{part}", value)


def get(words: Words, name: str) -> Value:
    """Return what a mutable register holds now."""
    found = words.builder.create(machine.VariableGet, types=[I32], variable=name)
    assert isinstance(found, Value)
    return found


def put(words: Words, name: str, value: Word) -> None:
    """Change a mutable register."""
    words.builder.add(machine.VariableSet, words.value(value), variable=name)


class RoleLane(Lane):
    """A thread of one role: where shared memory is, and its cursors."""

    role = ""

    def __init__(
        self, block: Block, features: Features, warps: int, thread: Value,
        memory: Memory, base: Value,
    ) -> None:  # fmt: skip
        super().__init__(block, features, warps, thread, self._role_barrier)
        self.memory = memory
        self.base = base
        self.words = Words(self.builder)
        self.slots = Cursor(f"{self.role}.tile", memory.slots)
        self.ring = Cursor(f"{self.role}.ring", memory.ring_slots)

    def _role_barrier(self, builder: Builder) -> None:
        """Let one thread alone wait for nobody."""

    def begin(self) -> None:
        """Set the role's state as it is at the start."""


class Producer(RoleLane):
    """The thread that fills the ring."""

    role = "producer"

    def begin(self) -> None:
        self.slots.start(self.words, 0)
        if self.memory.ring_slots:
            self.ring.start(self.words, 1)


class Scheduler(RoleLane):
    """The thread that draws tiles, writes records and loads operands."""

    role = "scheduler"

    def begin(self) -> None:
        self.slots.start(self.words, 1)
        put(self.words, "scheduler.first", 1)


class Consumer(RoleLane):
    """A thread of a consumer warpgroup."""

    role = "consumer"
    OPEN = "consumer.open"
    """Name of the register that holds the open slot."""
    STARTED = "consumer.started"
    """Name of the register that says whether a slot was released already with a lag."""

    def __init__(
        self, block: Block, features: Features, warps: int, thread: Value,
        memory: Memory, base: Value, group: Value,
    ) -> None:  # fmt: skip
        super().__init__(block, features, warps, thread, memory, base)
        self.group = group
        """The number of the warpgroup, i32; ptxas must see that it is the thread's number / 128,
        minus 1, or it takes it for different in each lane."""

    @property
    def groups(self) -> int:
        return self.memory.consumers

    @property
    def in_group(self) -> Value:
        """The thread's number in its warpgroup, i32."""
        number = self.thread32
        return self.once("in_group", lambda b: Words(b).and_(number, GROUP_LANES - 1))

    @property
    def leads(self) -> Value:
        """Whether this is the first thread of its warpgroup."""
        number = self.in_group
        return self.once("leads", lambda b: Words(b).equal(number, 0))

    @property
    def group_row(self) -> Value:
        """The first row of the warpgroup, i32."""
        number = self.group
        return self.once("group_row", lambda b: Words(b).mul(number, ROWS))

    # ----------------------------------------------------------------- named barriers: 0 is taken

    @property
    def turn(self) -> Value:
        """The barrier at which this warpgroup waits for its turn."""
        number = self.group
        return self.once("turn", lambda b: Words(b).add(number, 1))

    @property
    def next_turn(self) -> Value:
        """The barrier at which the next warpgroup waits for its turn."""
        number, groups = self.group, self.groups

        def make(b: Builder) -> Value:
            words = Words(b)
            last = words.equal(number, groups - 1)
            return words.select(last, 1, words.add(number, 2))

        return self.once("next_turn", make)

    @property
    def own(self) -> Value:
        """The barrier of the warpgroup."""
        number, groups = self.group, self.groups
        return self.once("own", lambda b: Words(b).add(number, groups + 1))

    def group_barrier(self) -> None:
        """Wait for all threads of the warpgroup."""
        self.builder.add(machine.BarSync, self.own, threads=GROUP_LANES)

    def _role_barrier(self, builder: Builder) -> None:
        number = Words(builder).value(2 * self.groups + 1)
        builder.add(machine.BarSync, number, threads=GROUP_LANES * self.groups)

    def begin(self) -> None:
        self.slots.start(self.words, 0)
        if self.memory.ring_slots:
            self.ring.start(self.words, 0)
        put(self.words, self.OPEN, 0)
        put(self.words, self.STARTED, 0)
