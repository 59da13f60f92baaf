"""Memory whose every access is checked: buffers at far apart addresses, workgroups' own bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl_amdgpu.emulator.state import U8, U32, U64, Array

SPACING_BITS = 40
"""Buffers are so far apart that no index error leads from one into the next."""
OFFSET_MASK = (1 << SPACING_BITS) - 1
POISON_BYTE = 0xCB
NOBODY, SEVERAL = -1, -2


class AccessError(Exception):
    """An access that a device would not survive; the runner adds where it happened."""


class Memory:
    """Buffers of bytes, which callers share; ``address(n)`` is where buffer ``n`` begins."""

    def __init__(self) -> None:
        self.buffers: list[Array] = []
        self.names: list[str] = []
        self.valid: list[Array | None] = []

    def add(self, data: Array, name: str, valid: Array | None = None) -> int:
        """Add a buffer of bytes and return its address; ``valid``: which bytes are the array's."""
        self.buffers.append(data)
        self.names.append(name)
        self.valid.append(valid)
        return len(self.buffers) << SPACING_BITS

    def add_array(self, array: Array, name: str) -> int:
        """Add the bytes of an array, first to last element; return the first one's address."""
        low, high = _byte_bounds(array)
        data = bytes_at(array, low, high)
        valid = None if array.flags.c_contiguous else _own_bytes(array, low, high)
        return self.add(data, name, valid) + array.__array_interface__["data"][0] - low

    def forget(self, address: int) -> None:
        """Make every later access to a buffer an error."""
        number = (address >> SPACING_BITS) - 1
        self.buffers[number] = np.zeros(0, U8)
        self.names[number] += " that was freed"

    def find(self, addresses: Array, size: int) -> tuple[int, Array]:
        """Return the buffer that all addresses are in, and their offsets; AccessError outside."""
        low, high = int(addresses.min()), int(addresses.max())
        number = (low >> SPACING_BITS) - 1
        if number != (high >> SPACING_BITS) - 1 or not 0 <= number < len(self.buffers):
            self._outside(addresses, size)
        if (high & OFFSET_MASK) + size > self.buffers[number].size:
            self._outside(addresses, size)
        return number, (addresses & U64(OFFSET_MASK)).astype(np.int64)

    def _outside(self, addresses: Array, size: int) -> None:
        for address in map(int, addresses.reshape(-1)):
            number, offset = (address >> SPACING_BITS) - 1, address & OFFSET_MASK
            if not 0 <= number < len(self.buffers):
                msg = f"the address {address:#x} is in no buffer"
                raise AccessError(msg)
            have = self.buffers[number].size
            if offset + size > have:
                msg = f"byte {offset} of {self.names[number]}, which has {have}, is outside"
                raise AccessError(msg)
        msg = "one instruction reaches several buffers"
        raise AccessError(msg)

    def groups(self, addresses: Array) -> list[Array]:
        """Return index arrays: lanes whose addresses are in one buffer."""
        numbers = addresses >> U64(SPACING_BITS)
        if numbers.size and numbers.min() == numbers.max():
            return [np.arange(addresses.size)]
        return [np.flatnonzero(numbers == n) for n in np.unique(numbers)]

    def load(self, addresses: Array, size: int) -> Array:
        """Return the words [words, lanes] at addresses; 1 and 2 bytes are zero-extended."""
        found = np.empty((max(1, size // 4), addresses.size), U32)
        for lanes in self.groups(addresses):
            number, offsets = self.find(addresses[lanes], size)
            self._check_valid(number, offsets, size)
            found[:, lanes] = gather(self.buffers[number], offsets, size)
        return found

    def store(self, addresses: Array, words: Array, size: int) -> None:
        """Write words [words, lanes] to addresses, the last lane winning."""
        for lanes in self.groups(addresses):
            number, offsets = self.find(addresses[lanes], size)
            self._check_valid(number, offsets, size)
            if not self.buffers[number].flags.writeable:
                msg = f"{self.names[number]} is read only"
                raise AccessError(msg)
            scatter(self.buffers[number], offsets, words[:, lanes], size)

    def _check_valid(self, number: int, offsets: Array, size: int) -> None:
        valid = self.valid[number]
        if valid is None:
            return
        for k in range(size):
            bad = ~valid[offsets + k]
            if bad.any():
                at = int(offsets[bad.argmax()]) + k
                msg = f"byte {at} of {self.names[number]} lies between its rows"
                raise AccessError(msg)


def _byte_bounds(array: Array) -> tuple[int, int]:
    first = array.__array_interface__["data"][0]
    if array.size == 0:
        return first, first
    low = high = first
    for extent, step in zip(array.shape, array.strides, strict=True):
        reach = (extent - 1) * step
        low, high = (low + reach, high) if reach < 0 else (low, high + reach)
    return low, high + array.itemsize


def bytes_at(array: Array, low: int, high: int) -> Array:
    """Return the memory between two addresses that belong to an array, as bytes."""
    import ctypes

    held: Any = (ctypes.c_uint8 * (high - low)).from_address(low) if high > low else b""
    found = np.frombuffer(held, U8)
    if not array.flags.writeable:
        found = found.view()
        found.flags.writeable = False
    return found


def _own_bytes(array: Array, low: int, high: int) -> Array:
    """Return which bytes of the span are elements of the array."""
    own = np.zeros(high - low, bool)
    offset = array.__array_interface__["data"][0] - low
    grid = np.full(array.shape, offset, np.int64)
    for axis, (extent, step) in enumerate(zip(array.shape, array.strides, strict=True)):
        shape = [1] * array.ndim
        shape[axis] = extent
        grid += np.arange(extent).reshape(shape) * step
    for k in range(array.itemsize):
        own[grid.reshape(-1) + k] = True
    return own


def gather(data: Array, offsets: Array, size: int) -> Array:
    """Return [words, lanes] of bytes at offsets."""
    count = max(1, size // 4)
    unit, kind = (min(size, 4), {1: U8, 2: np.uint16, 4: U32}[min(size, 4)])
    if not np.any(offsets % unit) and data.size % unit == 0:
        typed = data.view(kind)
        at = offsets // unit
        return np.stack([typed[at + k] for k in range(count)]).astype(U32, copy=False)
    found = np.zeros((count, offsets.size), U32)
    for k in range(size):
        found[k // 4] |= data[offsets + k].astype(U32) << U32(8 * (k % 4))
    return found


def scatter(data: Array, offsets: Array, words: Array, size: int) -> None:
    """Write [words, lanes] to bytes at offsets."""
    unit, kind = (min(size, 4), {1: U8, 2: np.uint16, 4: U32}[min(size, 4)])
    if not np.any(offsets % unit) and data.size % unit == 0:
        typed = data.view(kind)
        at = offsets // unit
        for k in range(max(1, size // 4)):
            typed[at + k] = words[k].astype(kind, copy=False)
        return
    for k in range(size):
        data[offsets + k] = (words[k // 4] >> U32(8 * (k % 4))).astype(U8)


class Shared:
    """The workgroups' own memory, [workgroups, bytes], and who touched what since a barrier.

    ``unit``: how many bytes one mark stands for, the smallest access of the program.
    """

    def __init__(self, groups: int, size: int, unit: int) -> None:
        self.size = -(-size // 16) * 16
        self.limit = size
        self.unit = unit
        self.data = np.full((groups, self.size), POISON_BYTE, U8)
        self.flat = self.data.reshape(-1)
        marks = groups * self.size // unit
        self.writer = np.full(marks, NOBODY, np.int64)
        self.reader = np.full(marks, NOBODY, np.int64)

    def passed(self, groups: Array) -> None:
        """Note that workgroups passed a barrier: what was touched before is settled."""
        shape = (len(self.data), self.size // self.unit)
        self.writer.reshape(shape)[groups] = NOBODY
        self.reader.reshape(shape)[groups] = NOBODY

    def load(self, groups: Array, waves: Array, offsets: Array, size: int) -> Array:
        """Return [words, lanes] at byte offsets of the lanes' workgroups."""
        places = self._places(groups, offsets, size)
        for marks in self._marks(places, size):
            owner = self.writer[marks]
            self._conflict(
                (owner != NOBODY) & (owner != waves), marks, owner, waves, "reads", "wrote"
            )
            seen = self.reader[marks]
            made = np.where((seen == NOBODY) | (seen == waves), waves, SEVERAL)
            self.reader[marks] = made
            clash = self.reader[marks] != made
            if clash.any():
                self.reader[marks[clash]] = SEVERAL
        return gather(self.flat, places, size)

    def store(self, groups: Array, waves: Array, offsets: Array, words: Array, size: int) -> None:
        """Write [words, lanes] at byte offsets of the lanes' workgroups."""
        places = self._places(groups, offsets, size)
        self.claim(places, waves, size)
        scatter(self.flat, places, words, size)

    def claim(self, places: Array, waves: Array, size: int) -> None:
        """Check that nobody else touches what is written."""
        for marks in self._marks(places, size):
            owner, seen = self.writer[marks], self.reader[marks]
            self._conflict(
                (owner != NOBODY) & (owner != waves), marks, owner, waves, "writes", "wrote"
            )
            self._conflict((seen != NOBODY) & (seen != waves), marks, seen, waves, "writes", "read")
            self.writer[marks] = waves
            left = self.writer[marks]
            self._conflict(left != waves, marks, left, waves, "writes", "writes")

    def place(self, groups: Array, offsets: Array, size: int) -> Array:
        """Return checked places of accesses that race by design (atomics)."""
        return self._places(groups, offsets, size)

    def _places(self, groups: Array, offsets: Array, size: int) -> Array:
        if offsets.size and (offsets.min() < 0 or offsets.max() + size > self.limit):
            at = int(offsets.max() if offsets.max() + size > self.limit else offsets.min())
            msg = f"byte {at} of workgroup memory, which has {self.limit}, is outside"
            raise AccessError(msg)
        return groups * self.size + offsets

    def _marks(self, places: Array, size: int) -> list[Array]:
        first = places // self.unit
        return [first + k for k in range(max(1, size // self.unit))]

    def _conflict(
        self, bad: Array, marks: Array, other: Array, waves: Array, does: str, did: str
    ) -> None:
        if not bad.any():
            return
        at = int(bad.argmax())
        byte = int(marks[at]) * self.unit % self.size
        others = "several waves" if other[at] == SEVERAL else f"wave {int(other[at])}"
        msg = (
            f"a race on byte {byte} of workgroup memory: wave {int(waves[at])} {does} "
            f"what {others} {did}, without a barrier between"
        )
        raise AccessError(msg)
