"""Loading code objects and running entries on AMD's devices: entries by the interpreter."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.codegen.backend import Artifact, LoadedEntry
from kdsl.errors import DeviceFailedError, GridLimitError, KernelAssertError, WrongDeviceError
from kdsl.ir.core import Module
from kdsl.ir.parser import parse
from kdsl.ir.signature import Signature
from kdsl.ir.types import MemRefType
from kdsl.runtime.entry import Memory, entry_function
from kdsl.runtime.slots import is_pointer
from kdsl.target.target import Target
from kdsl_amdgpu.features import chip_of
from kdsl_amdgpu.hip import Driver, driver
from kdsl_amdgpu.host import STATUS_BYTES, Grid, kernel_abi, segment
from kdsl_amdgpu.launcher import image_of
from kdsl_amdgpu.metadata import check

GRID_LIMITS = (2**31 - 1, 65535, 65535)
SLOT_BYTES = 8
TRAILING = 2
"""Slots after the arguments: the queue, the device's number."""


class Image:
    """A loaded code object: what entries ask of the device that a call names."""

    def __init__(self, name: str, artifact: Artifact, target: Target, hip: Driver) -> None:
        self.name = name
        self.image = image_of(artifact.data)
        self.target = target
        self.hip = hip
        self.lock = threading.RLock()
        self.queue = 0
        self.index = -1
        self.functions: dict[int, dict[str, ctypes.c_void_p]] = {}
        self.status: dict[int, int] = {}
        facts = artifact.facts["host"]["kernels"]
        kernels = check(self.image, chip_of(target).granule)
        self.abis = {n: kernel_abi(row, kernels[n].facts) for n, row in facts.items()}

    def enter(self, queue: int, index: int) -> None:
        """Let the next call be on a queue of a device."""
        self.queue, self.index = queue, index
        self.hip.use(index)
        if index in self.functions:
            return
        chip = self.hip.chip(index)
        if chip != self.target.chip:
            raise WrongDeviceError(target=self.target, device=f"device {index}", chip=chip)
        module = self.hip.load(self.image)
        self.functions[index] = {n: self.hip.function(module, n) for n in self.abis}
        self.status[index] = self.hip.zeroed(STATUS_BYTES)

    # --------------------------------------------------------------------- what an entry asks for

    def begin(self, buffers: Sequence[Memory]) -> None:
        """Arrays are on the device already."""

    def allocate(self, size: int) -> int:
        """Return a workspace. Raises MemoryError."""
        return self.hip.allocate(max(size, 1), self.queue)

    def free(self, handle: int) -> None:
        """Give a workspace back after the work on the queue."""
        self.hip.free(handle, self.queue)

    def launch(self, kernel: str, grid: Grid, args: Sequence[Any]) -> int:
        """Start a kernel; its status is known later."""
        for axis, (count, limit) in enumerate(zip(grid, GRID_LIMITS, strict=True)):
            if count > limit:
                raise GridLimitError(kernel=kernel, limit=limit, axis=axis)
        abi = self.abis[kernel]
        data = segment(abi, args, grid, self.status[self.index], _place)
        function = self.functions[self.index][kernel]
        self.hip.launch(kernel, function, grid, abi.lanes, self.queue, data)
        return 0

    def finish(self) -> int:
        """Launches are asynchronous: a failed assertion is reported by ``synchronize``."""
        return 0

    def check(self) -> None:
        """Wait for the devices in use. Raises KernelAssertError for an assertion that failed."""
        for index, word in self.status.items():
            self.hip.use(index)
            self.hip.synchronize()
            if self.hip.read_word(word):
                self.hip.clear_word(word)
                raise KernelAssertError(kernel=self.name)


def _place(memory: Memory) -> int:
    return int(memory.handle) if memory.handle is not None else memory.address


IMAGES: list[Image] = []


def load(artifact: Artifact, target: Target) -> dict[str, LoadedEntry]:
    """Return the entries of a code object as functions.

    Raises NoDriverError, NoDeviceError, WrongDeviceError.
    """
    image = Image(", ".join(artifact.entries), artifact, target, driver())
    host = parse(artifact.facts["host"]["module"])
    IMAGES.append(image)
    return {
        name: LoadedEntry(name, _call(host, name, image), 0, (image, host))
        for name in artifact.entries
    }


def _call(host: Module, name: str, image: Image) -> Callable[[int], int]:
    run = entry_function(host, name, image)
    count = sum(_slots(arg.type) for arg in host.function(name).body.args)
    trailing = ctypes.c_int64 * TRAILING

    def call(address: int) -> int:
        queue, index = trailing.from_address(address + count * SLOT_BYTES)
        with image.lock:
            image.enter(queue, index)
            return run(address)

    return call


def _slots(t: Any) -> int:
    return 1 + 2 * t.rank if isinstance(t, MemRefType) and not is_pointer(t) else 1


class Devices:
    """A ``kdsl.runtime.devices.DeviceRuntime``."""

    def current_queue(self, like: Any) -> Callable[[int], int]:
        """Return how the library of an array names its current stream; else the null stream."""
        owner = like[0] if type(like) is tuple else like
        library = type(owner).__module__.partition(".")[0]
        if library == "torch":
            torch = sys.modules["torch"]
            return lambda index: int(torch.cuda.current_stream(index).cuda_stream)
        if library == "cupy":
            return lambda index: int(sys.modules["cupy"].cuda.get_current_stream().ptr)
        return lambda index: 0

    def handle(self, stream: Any) -> int | None:
        """Take a handle, or a stream of torch or cupy."""
        if isinstance(stream, int) and not isinstance(stream, bool):
            return stream
        for name in ("cuda_stream", "ptr", "handle"):
            found = getattr(stream, name, None)
            if isinstance(found, int):
                return found
        return None

    def failure(self, kernel: str, status: int, signature: Signature, leading: int) -> Exception:
        """Return the error of a nonzero status."""
        return DeviceFailedError(kernel=kernel, function="the entry", why=f"status {status}")

    def synchronize(self) -> None:
        """Wait for all devices in use, then report failed assertions."""
        for image in IMAGES:
            image.check()


DEVICES = Devices()
