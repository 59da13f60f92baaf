"""The caller's arrays on a device with memory of its own: copied there and back for one call."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdsl.errors import CannotMirrorError
from kdsl.runtime.entry import Memory, item_bytes
from kdsl_opencl.device import Opened, library


@dataclass
class Segment:
    """A run of host bytes and its copy: arrays that overlap share one."""

    low: int
    high: int
    buffer: Any = None

    @property
    def host(self) -> np.ndarray:
        """The bytes as an array."""
        raw = (ctypes.c_char * (self.high - self.low)).from_address(self.low)
        return np.frombuffer(memoryview(raw), np.uint8)


class Mirror:
    """The copies that one call works on."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.segments: list[Segment] = []
        self.sizes: dict[int, int] = {}

    def begin(self, buffers: Sequence[Memory]) -> None:
        """Copy the arrays of a call to the device."""
        spans = sorted(self._span(b) for b in buffers if b.address)
        self.segments = []
        for low, high in spans:
            if self.segments and low < self.segments[-1].high:
                self.segments[-1].high = max(high, self.segments[-1].high)
            elif high > low:
                self.segments.append(Segment(low, high))
        cl = library()
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        for segment in self.segments:
            segment.buffer = cl.Buffer(self.opened.context, flags, hostbuf=segment.host)

    def _span(self, b: Memory) -> tuple[int, int]:
        """Return the bytes that an array reaches over. Raises CannotMirrorError."""
        if b.is_pointer:
            size = self.sizes.get(b.address)
            if size is None:
                raise CannotMirrorError(device=self.opened.name)
            return b.address, b.address + size
        if 0 in b.shape:
            return b.address, b.address
        ends = [(n - 1) * s for n, s in zip(b.shape, b.strides, strict=True)]
        item = item_bytes(b.element)
        low = b.address + sum(min(e, 0) for e in ends) * item
        return low, b.address + (sum(max(e, 0) for e in ends) + 1) * item

    def find(self, b: Memory) -> tuple[Any, int]:
        """Return an array's buffer and where it begins there, in elements; None without bytes."""
        for segment in self.segments:
            if segment.low <= b.address < segment.high:
                return segment.buffer, (b.address - segment.low) // item_bytes(b.element)
        return None, 0

    def finish(self) -> None:
        """Copy back what changed: memory that was only read may not be writable."""
        cl = library()
        for segment in self.segments:
            now = np.empty(segment.high - segment.low, np.uint8)
            cl.enqueue_copy(self.opened.queue, now, segment.buffer)
            host = segment.host
            if not np.array_equal(now, host):
                ctypes.memmove(segment.low, now.ctypes.data, now.size)
            segment.buffer.release()
        self.segments = []
