"""The caller's arrays on a device with memory of its own: copied there and back for one call."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from kdsl.errors import CannotMirrorError
from kdsl.runtime.entry import Memory, item_bytes


class Copier(Protocol):
    """How bytes go to a device and come back."""

    def upload(self, host: np.ndarray) -> Any:
        """Return device memory that holds these bytes."""

    def download(self, handle: Any, host: np.ndarray) -> None:
        """Read device memory into ``host``, after everything that was launched."""

    def release(self, handle: Any) -> None:
        """Give device memory back."""


@dataclass
class Segment:
    """A run of host bytes and its copy: arrays that overlap share one."""

    low: int
    high: int
    handle: Any = None

    @property
    def host(self) -> np.ndarray:
        """The bytes as an array."""
        raw = (ctypes.c_char * (self.high - self.low)).from_address(self.low)
        return np.frombuffer(memoryview(raw), np.uint8)


class Mirror:
    """The copies that one call works on; ``sizes`` of pointers' memory by address, where known."""

    def __init__(self, copier: Copier, name: str) -> None:
        self.copier = copier
        self.name = name
        self.segments: list[Segment] = []
        self.sizes: dict[int, int] = {}

    def begin(self, buffers: Sequence[Memory]) -> None:
        """Copy the arrays of a call to the device. Raises CannotMirrorError."""
        self.segments = []
        for low, high in sorted(self._span(b) for b in buffers if b.address):
            if self.segments and low < self.segments[-1].high:
                self.segments[-1].high = max(high, self.segments[-1].high)
            elif high > low:
                self.segments.append(Segment(low, high))
        for segment in self.segments:
            segment.handle = self.copier.upload(segment.host)

    def _span(self, b: Memory) -> tuple[int, int]:
        """Return the addresses that an array reaches over."""
        if b.is_pointer:
            size = self.sizes.get(b.address)
            if size is None:
                raise CannotMirrorError(device=self.name)
            return b.address, b.address + size
        if 0 in b.shape:
            return b.address, b.address
        ends = [(n - 1) * s for n, s in zip(b.shape, b.strides, strict=True)]
        item = item_bytes(b.element)
        low = b.address + sum(min(e, 0) for e in ends) * item
        return low, b.address + (sum(max(e, 0) for e in ends) + 1) * item

    def find(self, b: Memory) -> tuple[Any, int]:
        """Return an array's copy and where it begins there, in bytes; None without bytes."""
        for segment in self.segments:
            if segment.low <= b.address < segment.high:
                return segment.handle, b.address - segment.low
        return None, 0

    def finish(self) -> None:
        """Copy back what changed: memory that was only read may not be writable."""
        for segment in self.segments:
            now = np.empty(segment.high - segment.low, np.uint8)
            self.copier.download(segment.handle, now)
            if not np.array_equal(now, segment.host):
                ctypes.memmove(segment.low, now.ctypes.data, now.size)
            self.copier.release(segment.handle)
        self.segments = []
