"""Memory of a workgroup: which lane touched which element when, and what that lane has seen since.

Each lane keeps, for every other one, up to which tick it knows what that one did (a vector clock).
A barrier, or a release and an acquire of a machine's own barrier object, moves that on. An access
is a race when the element was touched after what the lane knows of, by another lane, and one of the
two writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kdsl.errors import CopyInFlightError, LaneRaceError, MisalignedAccessError, OutOfBoundsError
from kdsl.ir.core import Op

NEVER = -1
SEVERAL = -2
ALL_SEEN = np.iinfo(np.int64).max


class Clock:
    """What each of ``lanes`` lanes has seen of the others, in ticks of one clock for all."""

    def __init__(self, lanes: int, subgroup: int) -> None:
        self.lanes = lanes
        self.subgroup = subgroup
        self.groups = -(-lanes // subgroup)
        self.tick = 1
        self.seen = np.zeros((lanes, lanes), np.int64)
        self._of_groups: np.ndarray | None = None

    def barrier(self, lanes: np.ndarray | None = None) -> None:
        """Let these lanes (None: all) see what each of them did so far."""
        if lanes is None:
            self.seen.fill(self.tick)
        else:
            joint = self.seen[lanes].max(axis=0)
            joint[lanes] = self.tick
            self.seen[lanes] = joint
        self._advance()

    def release(self, lanes: np.ndarray) -> np.ndarray:
        """Return what these lanes know and did, for others to acquire later."""
        joint = self.seen[lanes].max(axis=0)
        joint[lanes] = self.tick
        self._advance()
        return np.asarray(joint)

    def acquire(self, lanes: np.ndarray, released: np.ndarray) -> None:
        """Let these lanes see what was released."""
        self.seen[lanes] = np.maximum(self.seen[lanes], released)
        self._of_groups = None

    def of_groups(self) -> np.ndarray:
        """Return up to which tick each lane knows all others of each subgroup: [lanes, groups]."""
        if self._of_groups is None:
            others = self.seen.copy()
            np.fill_diagonal(others, ALL_SEEN)
            starts = np.arange(0, self.lanes, self.subgroup)
            self._of_groups = np.minimum.reduceat(others, starts, axis=1)
        return self._of_groups

    def _advance(self) -> None:
        self.tick += 1
        self._of_groups = None


class History:
    """Who touched each element of one piece of memory last, and when."""

    def __init__(self, size: int, clock: Clock) -> None:
        groups = clock.groups
        self.writer = np.full(size, NEVER, np.int32)
        self.written = np.zeros(size, np.int64)
        self.reader = np.full((size, groups), NEVER, np.int32)
        self.read = np.zeros((size, groups), np.int64)
        self.updater = np.full((size, groups), NEVER, np.int32)
        self.updated: np.ndarray | None = None
        self.in_flight: np.ndarray | None = None
        self.writing_program = np.full(size, NEVER, np.int64)
        self.first_program = np.full(size, NEVER, np.int64)
        self.last_program = np.full(size, NEVER, np.int64)


@dataclass(eq=False, slots=True)
class LaneBuffer:
    """Memory as lanes see it: an array, and the history that views of the same memory share.

    ``private``: the array's first axis is the lane. ``base``: the number of the array's first
    element in the history.
    """

    array: np.ndarray
    name: str
    history: History | None = None
    base: int = 0
    private: bool = False

    def numbers(self, at: tuple[np.ndarray, ...]) -> np.ndarray:
        """Return the numbers of elements in the history."""
        item = self.array.itemsize
        found = np.full(at[0].shape if at else (1,), self.base, np.int64)
        for index, stride in zip(at, self.array.strides, strict=True):
            found += index * (stride // item)
        return found


@dataclass(frozen=True, slots=True)
class Access:
    """Elements that lanes touch with one op: flat, one entry for each lane and element."""

    op: Op
    buffer: LaneBuffer
    at: tuple[np.ndarray, ...]
    lanes: np.ndarray
    numbers: np.ndarray

    def place(self, k: int) -> str:
        return f"[{', '.join(str(int(i[k])) for i in self.at)}]"


class Memory:
    """The clock of a workgroup and the histories of all memory; lives for a whole run."""

    def __init__(self, lanes: int, subgroup: int) -> None:
        self.clock = Clock(lanes, subgroup)
        self.histories: dict[tuple[int, int, int], History] = {}
        self.kept: list[np.ndarray] = []
        self.program = 0
        self.launch_start = 0

    def start_program(self, *, is_first: bool) -> None:
        """Forget what lanes of the program before did, and of an earlier launch everything."""
        self.program += 1
        if is_first:
            self.launch_start = self.program
        self.clock.barrier()

    def of_array(self, array: np.ndarray, name: str) -> LaneBuffer:
        """Return a caller's array; views of one allocation share its history."""
        if array.size == 0:
            return LaneBuffer(array, name)
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        start, item = _address(root), array.itemsize
        key = (start, root.nbytes, item)
        if key not in self.histories:
            self.histories[key] = History(-(-root.nbytes // item), self.clock)
            self.kept.append(root)
        return LaneBuffer(array, name, self.histories[key], (_address(array) - start) // item)

    def workgroup(self, array: np.ndarray, name: str) -> LaneBuffer:
        """Return memory of this workgroup alone."""
        span = 1 + sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)) // (
            array.itemsize
        )
        return LaneBuffer(array, name, History(span, self.clock))

    # ------------------------------------------------------------------------------- checking

    def reads(self, access: Access) -> None:
        """Check that lanes may read, and note it."""
        history = access.buffer.history
        if history is None or not access.lanes.size:
            return
        self._landed(access, history)
        self._others_wrote(access, history, "read")
        self._others_updated(access, history, "read")
        self._program_read(access, history)
        group = access.lanes // self.clock.subgroup
        _note(history.reader, history.read, (access.numbers, group), access.lanes, self.clock.tick)

    def writes(self, access: Access, *, in_flight: bool = False) -> None:
        """Check that lanes may write, and note it."""
        history = access.buffer.history
        if history is None or not access.lanes.size:
            return
        if not in_flight:
            self._landed(access, history)
        numbers, lanes = access.numbers, access.lanes
        self._others_wrote(access, history, "written")
        self._others_read(access, history)
        self._others_updated(access, history, "written")
        self._program_write(access, history)
        history.writer[numbers] = lanes
        history.written[numbers] = self.clock.tick
        twice = np.flatnonzero(history.writer[numbers] != lanes)
        if twice.size:
            k = int(twice[0])
            raise _race(access, k, "written", "written", int(history.writer[numbers[k]]))

    def updates(self, access: Access) -> None:
        """Check that lanes may combine into memory atomically, and note it."""
        history = access.buffer.history
        if history is None or not access.lanes.size:
            return
        self._landed(access, history)
        self._others_wrote(access, history, "updated")
        self._others_read(access, history, "updated")
        if history.updated is None:
            history.updated = np.zeros(history.read.shape, np.int64)
        group = access.lanes // self.clock.subgroup
        place = (access.numbers, group)
        _note(history.updater, history.updated, place, access.lanes, self.clock.tick)

    def _others_wrote(self, access: Access, history: History, verb: str) -> None:
        writer, lanes = history.writer[access.numbers], access.lanes
        other = (writer >= 0) & (writer != lanes)
        if not other.any():
            return
        known = self.clock.seen[lanes, np.maximum(writer, 0)]
        wrong = np.flatnonzero(other & (history.written[access.numbers] > known))
        if wrong.size:
            k = int(wrong[0])
            raise _race(access, k, verb, "written", int(writer[k]))

    def _others_read(self, access: Access, history: History, verb: str = "written") -> None:
        self._others_did(access, history.reader, history.read, verb, "read")

    def _others_updated(self, access: Access, history: History, verb: str) -> None:
        if history.updated is not None:
            self._others_did(access, history.updater, history.updated, verb, "updated")

    def _others_did(
        self, access: Access, who: np.ndarray, when: np.ndarray, verb: str, before: str
    ) -> None:
        numbers, lanes = access.numbers, access.lanes
        times, others = when[numbers], who[numbers]
        late = times > self.clock.of_groups()[lanes]
        if not late.any():
            return
        # Of a single lane it is known exactly whether it was seen; of several, whether all were.
        seen = self.clock.seen[lanes[:, None], np.maximum(others, 0)]
        one = others >= 0
        wrong = np.argwhere(late & ~(one & (times <= seen)) & (others != lanes[:, None]))
        if wrong.size:
            k, group = (int(i) for i in wrong[0])
            other = int(who[numbers[k], group])
            raise _race(access, k, verb, before, other)

    def _landed(self, access: Access, history: History) -> None:
        if history.in_flight is None:
            return
        wrong = np.flatnonzero(history.in_flight[access.numbers])
        if wrong.size:
            k = int(wrong[0])
            raise CopyInFlightError(
                access.op.loc, op=access.op.name, name=access.buffer.name,
                index=access.place(k), lane=int(access.lanes[k]),
            )  # fmt: skip

    # --------------------------------------------------------------------------- other programs

    def _program_read(self, access: Access, history: History) -> None:
        numbers = access.numbers
        self._programs(access, history.writing_program[numbers], "read", "written")
        fresh = history.first_program[numbers] < self.launch_start
        history.first_program[numbers[fresh]] = self.program
        history.last_program[numbers] = self.program

    def _program_write(self, access: Access, history: History) -> None:
        numbers = access.numbers
        self._programs(access, history.writing_program[numbers], "written", "written")
        self._programs(access, history.first_program[numbers], "written", "read")
        self._programs(access, history.last_program[numbers], "written", "read")
        history.writing_program[numbers] = self.program

    def _programs(self, access: Access, who: np.ndarray, verb: str, before: str) -> None:
        wrong = np.flatnonzero((who >= self.launch_start) & (who != self.program))
        if wrong.size:
            k = int(wrong[0])
            other = f"one of program {int(who[k]) - self.launch_start}"
            raise _race(access, k, verb, before, other)


def _note(who: np.ndarray, when: np.ndarray, place: Any, lanes: np.ndarray, tick: int) -> None:
    """Note that lanes touched places now; where several did, that it was several."""
    fresh = when[place] != tick
    who[place] = np.where(fresh | (who[place] == lanes), lanes, SEVERAL)
    when[place] = tick
    mixed = who[place] != lanes
    if mixed.any():
        who[tuple(p[mixed] for p in place)] = SEVERAL


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _race(access: Access, k: int, verb: str, before: str, other: object) -> LaneRaceError:
    op = access.op
    return LaneRaceError(
        op.loc, op=op.name, name=access.buffer.name, index=access.place(k), verb=verb,
        lane=int(access.lanes[k]), before=before,
        other="several" if other == SEVERAL else other,
    )  # fmt: skip


# ------------------------------------------------------------------------------------- addressing


def access_of(
    op: Op,
    buffer: LaneBuffer,
    indices: tuple[np.ndarray, ...],
    mask: np.ndarray,
    alignment: int = 0,
) -> Access:
    """Return the elements at ``indices`` where ``mask`` holds; raise when one is outside.

    ``mask`` has the lanes as its first axis; indices broadcast against it.
    """
    where = np.nonzero(mask)
    lanes = where[0]
    at = tuple(np.broadcast_to(i, mask.shape)[where] for i in indices)
    shape = buffer.array.shape[1:] if buffer.private else buffer.array.shape
    for index, extent in zip(at, shape, strict=True):
        outside = np.flatnonzero((index < 0) | (index >= extent))
        if outside.size:
            k = int(outside[0])
            shown = f"[{', '.join(str(int(i[k])) for i in at)}] of lane {int(lanes[k])}"
            raise OutOfBoundsError(op.loc, op=op.name, index=shown, name=buffer.name, shape=shape)
    if buffer.private:
        at = (lanes, *at)
    access = Access(op, buffer, at, lanes, buffer.numbers(at))
    if alignment > 1 and lanes.size:
        _aligned(access, alignment)
    return access


def _aligned(access: Access, alignment: int) -> None:
    """Check the address of each lane's first element."""
    first = np.concatenate([[True], access.lanes[1:] != access.lanes[:-1]])
    array = access.buffer.array
    address = np.full(int(first.sum()), _address(array), np.int64)
    for index, stride in zip(access.at, array.strides, strict=True):
        address += index[first] * stride
    wrong = np.flatnonzero(address % alignment)
    if wrong.size:
        k = int(np.flatnonzero(first)[wrong[0]])
        raise MisalignedAccessError(
            access.op.loc, op=access.op.name, name=access.buffer.name,
            index=access.place(k), lane=int(access.lanes[k]), align=alignment,
        )  # fmt: skip
