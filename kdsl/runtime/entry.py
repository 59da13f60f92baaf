"""Host entries run by the interpreter: for back ends whose driver is called from Python.

An entry computes its grid, makes workspaces and launches kernels. What a device does about memory
and launches is given as a ``Device``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from kdsl.dialects import cf, kdsl, memref
from kdsl.errors import InternalError
from kdsl.ir.core import Block, Module, Op
from kdsl.ir.interpreter import Frame, OutOfWorkError, Step
from kdsl.ir.types import DYNAMIC, I1, MemRefType, ScalarType, Type, element_type
from kdsl.runtime.slots import is_pointer

ASSERT_FAILED = 1
OUT_OF_MEMORY = 2
SLOT_BYTES = 8


@dataclass(slots=True)
class Memory:
    """A buffer of an entry: the caller's at ``address``, or a workspace as the device made it.

    ``is_pointer``: it is a pointer, whose size nobody knows; strides are in elements.
    """

    element: ScalarType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    address: int = 0
    handle: Any = None
    is_pointer: bool = False


class Device(Protocol):
    """What an entry asks of a device; calls take turns by its lock."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """What a call holds from its beginning to its end."""

    def begin(self, buffers: Sequence[Memory]) -> None:
        """Take note of the buffers of the caller; ``finish`` ends the call."""

    def allocate(self, size: int) -> Any:
        """Return ``size`` bytes of device memory. Raises MemoryError."""

    def free(self, handle: Any) -> None:
        """Give memory back after what was launched."""

    def launch(self, kernel: str, grid: tuple[int, int, int], args: Sequence[Any]) -> int:
        """Start a kernel on buffers and scalars; return a status, 0 when it is not known yet."""

    def finish(self) -> int:
        """Wait, and return the status of what was launched."""


class _StatusError(OutOfWorkError):
    """An entry ends with a status; frames let it pass, as they do for a run that is cut short."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _HostFrame(Frame):
    """A frame whose buffers are ``Memory`` and whose launches go to a device."""

    __slots__ = ("device", "made", "rows")

    def __init__(self, module: Module, device: Device) -> None:
        super().__init__(module)
        self.device = device
        self.made: list[Memory] = []
        self.rows: dict[type[Op], Callable[[Any], Callable[..., Any]]] = {
            kdsl.Launch: self._launch,
            memref.Alloc: self._alloc,
            memref.Alloca: self._absent,
            memref.Dealloc: self._dealloc,
            memref.Dim: self._dim,
            memref.Cast: self._cast,
            cf.Assert: self._assert,
        }

    def _prepare(self, block: Block) -> tuple[list[Step], list[Any]]:
        steps, returned = super()._prepare(block)
        return [self._own(step) for step in steps], returned

    def _own(self, step: Step) -> Step:
        evaluate, operands, results, _, op = step
        row = self.rows.get(type(op))
        return (evaluate if row is None else row(op), operands, results, False, op)

    def _launch(self, op: kdsl.Launch) -> Callable[..., Any]:
        name = op.kernel.name

        def run(x: Any, y: Any, z: Any, *args: Any) -> tuple[()]:
            grid = (int(x), int(y), int(z))
            if 0 not in grid:
                status = self.device.launch(name, grid, args)
                if status:
                    raise _StatusError(status)
            return ()

        return run

    def _alloc(self, op: memref.Alloc) -> Callable[..., Any]:
        t = op.memref_type

        def run(*sizes: Any) -> Memory:
            given = iter(sizes)
            shape = tuple(int(next(given)) if n == DYNAMIC else n for n in t.shape)
            if any(n < 0 for n in shape):
                raise _StatusError(OUT_OF_MEMORY)
            size = item_bytes(t.element)
            for n in shape:
                size *= n
            try:
                handle = self.device.allocate(size)
            except MemoryError:
                raise _StatusError(OUT_OF_MEMORY) from None
            made = Memory(t.element, shape, _strides(t, shape), 0, handle)
            self.made.append(made)
            return made

        return run

    @staticmethod
    def _absent(op: memref.Alloca) -> Callable[..., Any]:
        """Make the buffer that stands for a tensor that is left out: no elements, address 0."""
        t = op.memref_type
        if t.size:
            raise InternalError(what=f"an entry makes {t} on its stack")
        made = Memory(t.element, t.shape, t.element_strides)
        return lambda: made

    def _dealloc(self, op: memref.Dealloc) -> Callable[..., Any]:
        del op

        def run(source: Memory) -> tuple[()]:
            self._free(source)
            return ()

        return run

    def _free(self, source: Memory) -> None:
        handle, source.handle = source.handle, None
        if handle is not None:
            self.device.free(handle)

    @staticmethod
    def _dim(op: memref.Dim) -> Callable[..., Any]:
        del op
        return lambda source, axis: np.int64(source.shape[int(axis)])

    @staticmethod
    def _cast(op: memref.Cast) -> Callable[..., Any]:
        del op
        return lambda source: source

    @staticmethod
    def _assert(op: cf.Assert) -> Callable[..., Any]:
        del op

        def run(condition: Any) -> tuple[()]:
            if not bool(condition):
                raise _StatusError(ASSERT_FAILED)
            return ()

        return run

    def release(self) -> None:
        """Free what an entry left, as one does that ends early."""
        for memory in self.made:
            self._free(memory)


def item_bytes(t: ScalarType) -> int:
    """Return the bytes of one element in memory."""
    return int(t.numpy.itemsize)


def _strides(t: MemRefType, shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for extent, known in zip(reversed(shape), reversed(t.element_strides), strict=True):
        strides.append(step if known == DYNAMIC else known)
        step *= extent
    return tuple(reversed(strides))


# ----------------------------------------------------------------------------------------- calling


def entry_function(module: Module, name: str, device: Device) -> Callable[[int], int]:
    """Return an entry as a function of its slots' address that returns a status."""
    function = module.function(name)
    types = [arg.type for arg in function.body.args]
    readers = [_reader(t) for t in types]
    count = sum(_slots(t) for t in types)
    row = ctypes.c_int64 * max(count, 1)

    def call(address: int) -> int:
        slots = iter(row.from_address(address))
        args = [read(slots) for read in readers]
        with device.lock:
            return _run(_HostFrame(module, device), name, args)

    return call


def _run(frame: _HostFrame, name: str, args: list[Any]) -> int:
    device = frame.device
    device.begin([a for a in args if isinstance(a, Memory)])
    try:
        with np.errstate(all="ignore"):
            frame.call(name, args)
        return device.finish()
    except _StatusError as problem:
        return device.finish() or problem.status
    finally:
        frame.release()


def _slots(t: Type) -> int:
    if isinstance(t, MemRefType) and not is_pointer(t):
        return 1 + 2 * t.rank
    return 1


def _reader(t: Type) -> Callable[[Any], Any]:
    if isinstance(t, MemRefType):
        return _memory_reader(t)
    assert isinstance(t, ScalarType)
    kind = t.numpy.type if t.kind != "f" else np.dtype(f"u{item_bytes(t)}").type
    mask = (1 << max(t.bits, 8)) - 1

    def read(slots: Any) -> Any:
        word = next(slots)
        if t is I1:
            return np.bool_(word & 0xFF)
        if t.kind != "f":
            return np.int64(word).astype(kind)
        return np.asarray(word & mask, np.uint64).astype(kind).view(t.numpy)[()]

    return read


def _memory_reader(t: MemRefType) -> Callable[[Any], Any]:
    element = element_type(t)
    rank = 0 if is_pointer(t) else t.rank

    def read(slots: Any) -> Memory:
        address = next(slots)
        shape = tuple([next(slots) for _ in range(rank)])
        strides = tuple([next(slots) for _ in range(rank)])
        return Memory(element, shape, strides, address, None, is_pointer(t))

    return read
