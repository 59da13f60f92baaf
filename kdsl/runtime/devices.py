"""What a launch asks of a device with memory of its own: its queue, and what a failure means.

A back end states the DLPack number of the memory that its kernels work on, and an object that
answers these questions. Nothing here knows a vendor.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

from kdsl.codegen.backend import HOST_MEMORY, Backend
from kdsl.codegen.registry import backend_named, backend_names
from kdsl.errors import BadStreamError, BrokenBackEndError
from kdsl.ir.signature import Signature
from kdsl.runtime.packing import CurrentQueue


class DeviceRuntime(Protocol):
    """How a back end's driver is asked; queues are called streams by most."""

    def current_queue(self, like: Any) -> CurrentQueue:
        """Return the function that gives the current queue as the library of an array sees it."""

    def handle(self, stream: Any) -> int | None:
        """Return the handle of a stream object, None for what is none."""

    def failure(self, kernel: str, status: int, signature: Signature, leading: int) -> Exception:
        """Return the error of a nonzero status; ``leading`` grid sizes precede the arguments."""

    def synchronize(self) -> None:
        """Wait until all launches are done. Raises what they failed with."""


@cache
def backend_of_memory(kind: int) -> Backend | None:
    """Return the first back end that works on memory of this kind; a broken one is passed over."""
    for name in backend_names():
        try:
            found = backend_named(name)
        except BrokenBackEndError:
            continue
        if found.device == kind and kind != HOST_MEMORY:
            return found
    return None


_in_use: list[DeviceRuntime] = []


def runtime_of(backend: Backend) -> DeviceRuntime | None:
    """Return what answers for a back end's devices, None where kernels share the host's memory."""
    found: DeviceRuntime | None = backend.device_runtime()
    if found is not None and found not in _in_use:
        _in_use.append(found)
    return found


def queue_handle(runtime: DeviceRuntime | None, kernel: str, stream: Any) -> int:
    """Return a stream's handle. Raises BadStreamError."""
    if runtime is None:
        raise BadStreamError(kernel=kernel, got=repr(stream), why=": the arrays are on the host")
    found = runtime.handle(stream)
    if found is None:
        raise BadStreamError(kernel=kernel, got=repr(stream), why="")
    return found


def synchronize() -> None:
    """Wait for every launch of this process; raise what they failed with, failed asserts too.

    Launches on devices are asynchronous, as torch's are. A failed ``assert`` of a kernel is
    reported here, or by the kernel's next call.
    """
    for runtime in _in_use:
        runtime.synchronize()
