"""Where the barriers, records, operands and ring of a scheduled kernel are in shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kdsl_ptx.dialect import tile

BARRIER_BYTES = 8
RECORD_ALIGN = 16
SWIZZLE_ALIGN = 1024
"""Tiles start at multiples of the 128-byte swizzle's period."""
PANEL_BYTES = 128
"""Bytes of a row in a swizzled panel."""


def round_up(n: int, to: int) -> int:
    """Return the least multiple of ``to`` that is not below ``n``."""
    return -(-n // to) * to


def panels(cols: int) -> int:
    """Return how many 64-element panels ``cols`` columns of 16 bits take."""
    return -(-cols // tile.PANEL)


def tile_bytes(rows: int, cols: int) -> int:
    """Return the bytes of a tile of 16-bit elements, its columns rounded up to panels."""
    return rows * panels(cols) * PANEL_BYTES


@dataclass(frozen=True, slots=True)
class Memory:
    """Sizes of a kernel's shared objects, and from them their offsets in bytes."""

    consumers: int
    slots: int
    words: int
    operands: tuple[tuple[int, int], ...]
    ring_slots: int
    ring_bytes: int
    staging_bytes: int

    # --------------------------------------------------------------------------- barriers

    @property
    def known(self) -> int:
        """One for each slot: its record is written."""
        return 0

    @property
    def full(self) -> int:
        """One for each slot: its operands are there."""
        return self.known + BARRIER_BYTES * self.slots

    @property
    def empty(self) -> int:
        """One for each slot: all have done with it."""
        return self.full + BARRIER_BYTES * self.slots

    @property
    def ring_full(self) -> int:
        """One for each entry of the ring: its tiles are there."""
        return self.empty + BARRIER_BYTES * self.slots

    @property
    def ring_empty(self) -> int:
        """One for each entry of the ring: all consumers have done with it."""
        return self.ring_full + BARRIER_BYTES * self.ring_slots

    def barriers(self) -> list[tuple[int, int]]:
        """Return the offset and the arrival count of every barrier."""
        rows = (
            (self.known, self.slots, 1),
            (self.full, self.slots, 1),
            (self.empty, self.slots, self.consumers + 1),
            (self.ring_full, self.ring_slots, 1),
            (self.ring_empty, self.ring_slots, self.consumers),
        )
        return [(at + BARRIER_BYTES * i, count) for at, n, count in rows for i in range(n)]

    # ------------------------------------------------------------------------------- data

    @property
    def record(self) -> int:
        """The first slot's record."""
        return round_up(self.ring_empty + BARRIER_BYTES * self.ring_slots, RECORD_ALIGN)

    @property
    def record_bytes(self) -> int:
        """From one slot's record to the next."""
        return round_up(4 * self.words, RECORD_ALIGN)

    @property
    def operand(self) -> int:
        """The first slot's operands."""
        return round_up(self.record + self.record_bytes * self.slots, SWIZZLE_ALIGN)

    @property
    def slot_bytes(self) -> int:
        """From one slot's operands to the next."""
        return sum(round_up(tile_bytes(*shape), SWIZZLE_ALIGN) for shape in self.operands)

    def operand_at(self, index: int) -> int:
        """Return where an operand is in a slot."""
        before = self.operands[:index]
        return sum(round_up(tile_bytes(*shape), SWIZZLE_ALIGN) for shape in before)

    @property
    def staging(self) -> int:
        """The staging area."""
        return self.operand + self.slot_bytes * self.slots

    @property
    def ring(self) -> int:
        """The first entry of the ring."""
        return self.staging + round_up(self.staging_bytes, SWIZZLE_ALIGN)

    @property
    def total(self) -> int:
        """Bytes of all."""
        return self.ring + self.ring_bytes * self.ring_slots


def memory_of(func: Any, roles: tile.Roles) -> Memory:
    """Return the plan of a kernel whose body has been scheduled."""
    attributes = func.attributes
    flat = attributes.get(tile.OPERANDS, ())
    shapes = tuple((flat[i], flat[i + 1]) for i in range(0, len(flat), 2))
    ring_slots, ring_bytes = attributes.get(tile.RING, (0, 0))
    return Memory(
        consumers=roles.consumers,
        slots=attributes[tile.SLOTS],
        words=attributes[tile.RECORD],
        operands=shapes,
        ring_slots=ring_slots,
        ring_bytes=ring_bytes,
        staging_bytes=attributes.get(tile.STAGING, 0),
    )
