"""Running Metal text through the system's Metal: compiled at load, arrays copied for each call."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np

import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.codegen.backend import Artifact, LoadedEntry
from kdsl.codegen.clike.facts import Facts, read_facts
from kdsl.errors import AssembleError, DeviceFailedError, NoDeviceError
from kdsl.ir.parser import parse
from kdsl.runtime.entry import Memory, entry_function
from kdsl.runtime.mirror import Mirror
from kdsl.target.target import Target
from kdsl_metal.emit import SUFFIX, split_parameters
from kdsl_metal.numbers import packed_numbers
from kdsl_metal.objc import Count, Id, Size, class_named, complaint, libraries, send, text, words

COMPLETED = 4
"""``MTLCommandBufferStatusCompleted``."""
STATUS_BYTES = 4


@cache
def device() -> int:
    """Return the system's default device. Raises NoDriverError, NoDeviceError."""
    found: int | None = libraries()[0].MTLCreateSystemDefaultDevice()
    if not found:
        raise NoDeviceError(target="metal", why="MTLCreateSystemDefaultDevice gives none")
    return found


def device_name() -> str:
    """Return what the device calls itself."""
    return words(send(device(), "name"))


class Program:
    """A compiled library: what an entry asks of the device."""

    def __init__(self, source: str, facts: Facts) -> None:
        self.facts = facts
        self.queue = send(device(), "newCommandQueue")
        library = _library(source)
        self.pipelines = {n: _pipeline(library, r["symbol"]) for n, r in facts.kernels.items()}
        self.mirror = Mirror(self, device_name())
        self.status = self.upload(np.zeros(STATUS_BYTES, np.uint8))
        self.pending: list[int] = []
        self.lock = Lock()

    # ------------------------------------------------------------------------------------ memory

    def upload(self, host: np.ndarray) -> int:
        """Return a buffer that holds these bytes."""
        types = (ctypes.c_void_p, Count, Count)
        message = "newBufferWithBytes:length:options:"
        made: int = send(device(), message, host.ctypes.data, host.size, 0, types=types)
        return made

    def download(self, handle: int, host: np.ndarray) -> None:
        """Read a buffer; everything that was launched has been waited for."""
        ctypes.memmove(host.ctypes.data, send(handle, "contents"), host.size)

    def release(self, handle: int) -> None:
        """Give a buffer back."""
        send(handle, "release", gives=None)

    def begin(self, buffers: Sequence[Memory]) -> None:
        """Copy the arrays of a call."""
        self.mirror.begin(buffers)

    def allocate(self, size: int) -> int:
        """Return a workspace. Raises MemoryError."""
        message = "newBufferWithLength:options:"
        made: int | None = send(device(), message, max(size, 1), 0, types=(Count, Count))
        if not made:
            raise MemoryError
        return made

    def free(self, handle: int) -> None:
        """Give a workspace back: command buffers keep what they read."""
        self.release(handle)

    # ---------------------------------------------------------------------------------- launching

    def launch(self, kernel: str, grid: tuple[int, int, int], args: Sequence[Any]) -> int:
        """Put a kernel into the queue."""
        row = self.facts.kernels[kernel]
        buffers, numbers = split_parameters(row["parameters"], lambda p: p[0])
        commands = send(self.queue, "commandBuffer")
        encoder = send(commands, "computeCommandEncoder")
        pipeline = self.pipelines[kernel]
        send(encoder, "setComputePipelineState:", pipeline, types=(Id,), gives=None)
        types = (Id, Count, Count)
        for at, parameter in enumerate(buffers):
            handle, first = self._place(parameter, args)
            send(encoder, "setBuffer:offset:atIndex:", handle, first, at, types=types, gives=None)
        held = packed_numbers(numbers, args)
        if held:
            _set_numbers(encoder, held, len(buffers))
        message = "dispatchThreadgroups:threadsPerThreadgroup:"
        sizes = (Size(*grid), Size(row["lanes"], 1, 1))
        send(encoder, message, *sizes, types=(Size, Size), gives=None)
        send(encoder, "endEncoding", gives=None)
        send(commands, "commit", gives=None)
        self.pending.append(commands)
        return 0

    def _place(self, parameter: Sequence[Any], args: Sequence[Any]) -> tuple[int | None, int]:
        if parameter[0] == "status":
            return self.status, 0
        memory: Memory = args[parameter[1]]
        return self.mirror.find(memory) if memory.handle is None else (memory.handle, 0)

    def finish(self) -> int:
        """Wait for what was launched; return and forget the status. Raises DeviceFailedError."""
        pending, self.pending = self.pending, []
        for commands in pending:
            send(commands, "waitUntilCompleted", gives=None)
            if send(commands, "status", gives=Count) != COMPLETED:
                why = complaint(send(commands, "error"))
                raise DeviceFailedError(
                    kernel=", ".join(self.facts.kernels), function="a command buffer", why=why
                )
        self.mirror.finish()
        found = np.zeros(STATUS_BYTES, np.uint8)
        self.download(self.status, found)
        status = int(found.view(np.int32)[0])
        if status:
            ctypes.memset(send(self.status, "contents"), 0, STATUS_BYTES)
        return status


def _set_numbers(encoder: int, held: bytes, at: int) -> None:
    types = (ctypes.c_char_p, Count, Count)
    send(encoder, "setBytes:length:atIndex:", held, len(held), at, types=types, gives=None)


def _library(source: str) -> int:
    """Compile text; its arithmetic is exact, as far as it does not say otherwise itself."""
    options = send(send(class_named("MTLCompileOptions"), "alloc"), "init")
    send(options, "setFastMathEnabled:", False, types=(ctypes.c_bool,), gives=None)
    error = Id()
    types = (Id, Id, ctypes.POINTER(Id))
    message = "newLibraryWithSource:options:error:"
    made = send(device(), message, text(source), options, ctypes.byref(error), types=types)
    if not made:
        why = complaint(error.value or 0)
        raise AssembleError(tool="the system's Metal compiler", suffix=SUFFIX, why=why)
    found: int = made
    return found


def _pipeline(library: int, symbol: str) -> int:
    function = send(library, "newFunctionWithName:", text(symbol), types=(Id,))
    error = Id()
    types = (Id, ctypes.POINTER(Id))
    message = "newComputePipelineStateWithFunction:error:"
    made = send(device(), message, function, ctypes.byref(error), types=types)
    if not made:
        why = complaint(error.value or 0)
        raise AssembleError(tool="the system's Metal compiler", suffix=SUFFIX, why=why)
    found: int = made
    return found


def load(artifact: Artifact, target: Target) -> dict[str, LoadedEntry]:
    """Return the entries of Metal text as functions. Raises NoDriverError, AssembleError."""
    del target
    return loaded(artifact)[0]


def loaded(artifact: Artifact) -> tuple[dict[str, LoadedEntry], Program]:
    """Return the entries, and the program whose mirror may be told the sizes of pointers."""
    source = artifact.data.decode()
    facts = read_facts(source)
    program = Program(source, facts)
    host = parse(facts.host)
    entries = {
        name: LoadedEntry(name, entry_function(host, name, program), 0, (program, host))
        for name in artifact.entries
    }
    return entries, program
