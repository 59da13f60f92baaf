"""Running OpenCL text in this process: a program for each artifact, entries by the interpreter."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np

import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.codegen.backend import Artifact, LoadedEntry, Trial
from kdsl.codegen.clike.facts import Facts, read_facts
from kdsl.errors import AssembleError, KernelAssertError
from kdsl.ir.core import Module
from kdsl.ir.parser import parse
from kdsl.ir.types import MemRefType
from kdsl.runtime.entry import Memory, entry_function, item_bytes
from kdsl.runtime.mirror import Mirror
from kdsl.runtime.slots import words_of
from kdsl.target.target import Target
from kdsl_opencl.device import Opened, library, opened
from kdsl_opencl.emit import SUFFIX

STATUS = np.dtype(np.int32)


class Program:
    """A built program: what an entry asks of the device."""

    def __init__(self, text: str, facts: Facts, device: Opened) -> None:
        self.cl = library()
        self.facts = facts
        self.opened = device
        self.lock = Lock()
        self.mirror = Mirror(self, device.name)
        built = _built(text, device)
        self.kernels = {n: getattr(built, row["symbol"]) for n, row in facts.kernels.items()}
        flags = self.cl.mem_flags
        self.status = self.cl.Buffer(
            device.context, flags.READ_WRITE | flags.COPY_HOST_PTR, hostbuf=np.zeros(1, STATUS)
        )
        self.checked = any(
            kind == "status" for row in facts.kernels.values() for kind, *_ in row["parameters"]
        )

    def begin(self, buffers: Sequence[Memory]) -> None:
        """Bring the arrays of a call to where the device can read them."""
        if not self.opened.shares_memory:
            self.mirror.begin(buffers)

    def upload(self, host: np.ndarray) -> Any:
        """Return a buffer that holds these bytes."""
        flags = self.cl.mem_flags.READ_WRITE | self.cl.mem_flags.COPY_HOST_PTR
        return self.cl.Buffer(self.opened.context, flags, hostbuf=host)

    def download(self, handle: Any, host: np.ndarray) -> None:
        """Read a buffer, after everything in the queue."""
        self.cl.enqueue_copy(self.opened.queue, host, handle)

    def release(self, handle: Any) -> None:
        """Give a buffer back."""
        handle.release()

    def allocate(self, size: int) -> Any:
        """Return a workspace. Raises MemoryError."""
        cl = self.cl
        try:
            return cl.Buffer(self.opened.context, cl.mem_flags.READ_WRITE, max(size, 1))
        except cl.Error as error:
            raise MemoryError(str(error)) from error

    def free(self, handle: Any) -> None:
        """Give a workspace back: the driver keeps it for the kernels that still read it."""
        handle.release()

    def launch(self, kernel: str, grid: tuple[int, int, int], args: Sequence[Any]) -> int:
        """Put a kernel into the queue."""
        row, made = self.facts.kernels[kernel], self.kernels[kernel]
        for at, (kind, arg, axis, *_) in enumerate(row["parameters"]):
            made.set_arg(at, self._argument(kind, args[arg] if arg >= 0 else None, axis))
        lanes = row["lanes"]
        size = (grid[0] * lanes, grid[1], grid[2])
        self.cl.enqueue_nd_range_kernel(self.opened.queue, made, size, (lanes, 1, 1))
        return 0

    def _argument(self, kind: str, value: Any, axis: int) -> Any:
        if kind == "buffer":
            return self._place(value)[0]
        if kind == "status":
            return self.status
        if kind == "scalar":
            return np.asarray(value).view(_held(value))[()]
        if kind == "size":
            return np.uint64(value.shape[axis])
        if kind == "stride":
            return np.int64(value.strides[axis]).view(np.uint64)
        return np.uint64(self._place(value)[1])

    def _place(self, memory: Memory) -> tuple[Any, int]:
        """Return what the device knows memory by, and where it begins there in elements."""
        if memory.handle is not None:
            return memory.handle, 0
        if memory.address == 0:
            return None, 0
        if not self.opened.shares_memory:
            handle, first = self.mirror.find(memory)
            return handle, first // item_bytes(memory.element)
        return self.cl.SVM((ctypes.c_char * 1).from_address(memory.address)), 0

    def finish(self) -> int:
        """Wait for what was launched; return and forget the status."""
        queue = self.opened.queue
        self.mirror.finish()
        if not self.checked:
            queue.finish()
            return 0
        found = np.zeros(1, STATUS)
        self.cl.enqueue_copy(queue, found, self.status)
        if found[0]:
            self.cl.enqueue_copy(queue, self.status, np.zeros(1, STATUS))
        return int(found[0])


def _held(value: Any) -> np.dtype:
    """Return the dtype that a scalar is passed in: small floats and bools as their bits."""
    dtype = np.asarray(value).dtype
    return dtype if dtype in (np.float32, np.float64) else np.dtype(f"u{dtype.itemsize}")


def _built(text: str, device: Opened) -> Any:
    cl = library()
    try:
        return cl.Program(device.context, text).build(_options(device))
    except cl.Error as error:
        raise AssembleError(tool="the OpenCL driver", suffix=SUFFIX, why=str(error)) from error


def _options(device: Opened) -> list[str]:
    exact = library().device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
    options = ["-cl-std=CL1.2"]
    if device.device.single_fp_config & exact:
        options.append("-cl-fp32-correctly-rounded-divide-sqrt")
    return options


def load(artifact: Artifact, target: Target) -> dict[str, LoadedEntry]:
    """Return the entries of OpenCL text as functions. Raises NoDeviceError, AssembleError."""
    return _loaded(artifact, target)[0]


def _loaded(artifact: Artifact, target: Target) -> tuple[dict[str, LoadedEntry], Program]:
    text = artifact.data.decode()
    facts = read_facts(text)
    program = Program(text, facts, opened(target.chip))
    host = parse(facts.host)
    entries = {
        name: LoadedEntry(name, entry_function(host, name, program), 0, (program, host))
        for name in artifact.entries
    }
    return entries, program


def try_out(
    module: Module, artifact: Artifact, target: Target, entry: str, args: Sequence[Any]
) -> Trial:
    """Run an entry on the device of the target."""
    kinds = [p.type for p in module.function(entry).body.args]
    entries, program = _loaded(artifact, target)
    for kind, arg in zip(kinds, args, strict=True):
        if isinstance(kind, MemRefType) and arg is not None:
            program.mirror.sizes[arg.ctypes.data] = arg.nbytes
    slots = words_of(kinds, args)
    if entries[entry].call(ctypes.addressof(slots)):
        raise KernelAssertError(kernel=entry)
    rung = "emulator" if program.opened.simulated else "hardware"
    platform = program.opened.device.platform
    return Trial(rung, platform.name, f"{platform.version.strip()}, {program.opened.device.name}")
