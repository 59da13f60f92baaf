"""A device made of NumPy: entries run on arrays, their kernels in the emulator."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.codegen.backend import Artifact, LoadedEntry, Source, Trial
from kdsl.errors import KernelAssertError, OutOfMemoryError
from kdsl.ir.core import Module
from kdsl.ir.parser import parse as parse_module
from kdsl.runtime.entry import ASSERT_FAILED, Memory, entry_function, item_bytes
from kdsl.runtime.slots import words_of
from kdsl.target.target import Target
from kdsl_amdgpu.assemble import Code, best_code, code_of, host_of
from kdsl_amdgpu.emit import emit
from kdsl_amdgpu.emulator.memory import POISON_BYTE
from kdsl_amdgpu.emulator.memory import Memory as EmulatedMemory
from kdsl_amdgpu.emulator.program import parse
from kdsl_amdgpu.emulator.run import Emulator
from kdsl_amdgpu.features import chip_of
from kdsl_amdgpu.host import STATUS_BYTES, Grid, kernel_abi, segment

SEGMENT_ALIGN = 64
POINTER_WINDOW = 1 << 20
HOW = "kdsl's emulator of assembly"


class EmulatedDevice:
    """Memory and kernels of one run; counts of waves and of instructions, once for each wave."""

    def __init__(self, code: Code, host: dict[str, Any], target: Target) -> None:
        self.code = code
        self.target = target
        self.lock = threading.RLock()
        self.memory = EmulatedMemory()
        self.waves = 0
        self.instructions = 0
        self.status = np.zeros(STATUS_BYTES, np.uint8)
        self.status_address = self.memory.add(self.status, "the status word")
        self.rows = host["kernels"]
        self.places: dict[int, int] = {}

    def add(self, array: np.ndarray, name: str) -> None:
        """Let kernels reach an array."""
        self.places[array.ctypes.data] = self.memory.add_array(array, name)

    # --------------------------------------------------------------------- what an entry asks for

    def begin(self, buffers: Sequence[Memory]) -> None:
        """Let kernels reach buffers that were not added as arrays, as far as their sizes say."""
        for number, buffer in enumerate(buffers):
            if buffer.address and buffer.address not in self.places:
                self.add(_window(buffer), f"buffer {number}")

    def allocate(self, size: int) -> int:
        """Return the address of poisoned memory."""
        return self.memory.add(np.full(size, POISON_BYTE, np.uint8), f"a workspace of {size} bytes")

    def free(self, handle: int) -> None:
        """Let later accesses be errors."""
        self.memory.forget(handle)

    def launch(self, kernel: str, grid: Grid, args: Sequence[Any]) -> int:
        """Run a kernel over a grid."""
        abi = kernel_abi(self.rows[kernel], self.code.kernels[kernel].facts)
        data = segment(abi, args, grid, self.status_address, self._place)
        held = np.zeros(-(-max(len(data), 1) // SEGMENT_ALIGN) * SEGMENT_ALIGN, np.uint8)
        held[: len(data)] = np.frombuffer(data, np.uint8)
        address = self.memory.add(held, "the argument segment")
        program = parse(self.code.assembly, kernel, chip_of(self.target))
        emulator = Emulator(program, self.code.kernels[kernel], self.memory)
        emulator.run(grid, address, lambda: bool(self.status.any()))
        self.waves += emulator.report.waves
        self.instructions += emulator.report.instructions
        return int(self.status.view(np.int32)[0])

    def finish(self) -> int:
        """Nothing is under way."""
        return int(self.status.view(np.int32)[0])

    def _place(self, memory: Memory) -> int:
        if memory.handle is not None:
            return int(memory.handle)
        return self.places[memory.address] if memory.address else 0


def _window(buffer: Memory) -> np.ndarray:
    """Return the bytes that a buffer may have; a pointer does not say how many."""
    size = POINTER_WINDOW
    if not buffer.is_pointer:
        steps = zip(buffer.shape, buffer.strides, strict=True)
        size = 0 if 0 in buffer.shape else 1 + sum((n - 1) * step for n, step in steps)
        size *= item_bytes(buffer.element)
    held: Any = (ctypes.c_uint8 * size).from_address(buffer.address)
    return np.frombuffer(held, np.uint8)


def run(source: Source, target: Target, entry: str, args: Sequence[Any]) -> EmulatedDevice:
    """Assemble a text and run an entry on arrays and numbers, which it changes in place.

    Raises KernelAssertError, EmulationError for a wrong access, a race or waves that end early,
    UnknownInstructionError for what the emulator has no row for.
    """
    facts = host_of(source.text)
    device = EmulatedDevice(best_code(source.text, target), facts, target)
    for number, array in enumerate(args):
        if isinstance(array, np.ndarray):
            device.add(array, f"argument {number}")
    host = parse_module(facts["module"])
    types = [arg.type for arg in host.function(entry).body.args]
    slots = words_of(types, args)
    status = entry_function(host, entry, device)(ctypes.addressof(slots))
    if status == ASSERT_FAILED:
        raise KernelAssertError(kernel=entry)
    if status:
        raise OutOfMemoryError(kernel=entry)
    return device


def load(artifact: Artifact, target: Target) -> dict[str, LoadedEntry]:
    """Return the entries of code that this process assembled, to be emulated on host memory."""
    code, facts = code_of(artifact.digest), artifact.facts["host"]
    host = parse_module(facts["module"])
    return {n: LoadedEntry(n, _entry(code, facts, target, host, n), 0) for n in artifact.entries}


def _entry(
    code: Code, facts: dict[str, Any], target: Target, host: Module, name: str
) -> Callable[[int], int]:
    def call(address: int) -> int:
        return entry_function(host, name, EmulatedDevice(code, facts, target))(address)

    return call


def try_out(
    module: Module, artifact: Artifact, target: Target, entry: str, args: Sequence[Any]
) -> Trial:
    """Run an entry in the emulator."""
    del artifact
    run(emit(module, target), target, entry, args)
    return Trial("emulator", HOW, f"LLVM {llvm_version()}")


def llvm_version() -> str:
    """Return the version of the LLVM whose assembly is run."""
    import llvmlite.binding as llvm

    return ".".join(map(str, llvm.llvm_version_info))
