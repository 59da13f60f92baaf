"""AMD's HIP runtime through ctypes: what loading and launching need, with coded errors."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from typing import Any

from kdsl.errors import DeviceFailedError, NoDeviceError, NoDriverError

NAME = "amdgpu"
LIBRARIES = ("libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", "libamdhip64.so")
PROPERTIES = ("hipGetDevicePropertiesR0600", "hipGetDeviceProperties")
PROPERTY_BYTES = 8192
"""More than any version of the structure has."""
CHIP = re.compile(rb"gfx[0-9a-f]{3,4}")
OUT_OF_MEMORY = 2
PARAMETER_POINTER, PARAMETER_SIZE, PARAMETER_END = 1, 2, 3
TO_HOST = 2
NO_DEVICE = 100


class Driver:
    """The functions of the library; each raises DeviceFailedError when it does not succeed."""

    def __init__(self, library: Any) -> None:
        self.library = library
        count = ctypes.c_int(0)
        status = library.hipGetDeviceCount(ctypes.byref(count))
        if status not in (0, NO_DEVICE):
            raise NoDeviceError(target=NAME, why=self.describe(status))
        if status == NO_DEVICE or count.value == 0:
            raise NoDeviceError(target=NAME, why="it counts none")
        self.count = count.value

    def describe(self, status: int) -> str:
        """Return the driver's words for a result."""
        function = self.library.hipGetErrorString
        function.restype = ctypes.c_char_p
        text = function(status)
        return text.decode() if text else f"error {status}"

    def ask(self, function: str, *args: Any, kernel: str = "a call") -> None:
        """Call a function. Raises DeviceFailedError, MemoryError."""
        status = getattr(self.library, function)(*args)
        if status == OUT_OF_MEMORY:
            raise MemoryError(function)
        if status:
            why = self.describe(status)
            raise DeviceFailedError(kernel=kernel, function=function, why=why)

    def chip(self, index: int) -> str:
        """Return the name of a device's chip, without its options."""
        data = ctypes.create_string_buffer(PROPERTY_BYTES)
        name = next(n for n in PROPERTIES if hasattr(self.library, n))
        self.ask(name, data, index)
        found = CHIP.search(data.raw)
        if found is None:
            raise NoDeviceError(target=NAME, why="it does not name its chip")
        return found[0].decode()

    def use(self, index: int) -> None:
        """Make a device this thread's."""
        self.ask("hipSetDevice", index)

    def load(self, image: bytes) -> ctypes.c_void_p:
        """Load a code object on this thread's device."""
        module = ctypes.c_void_p()
        self.ask("hipModuleLoadData", ctypes.byref(module), ctypes.c_char_p(image))
        return module

    def function(self, module: ctypes.c_void_p, name: str) -> ctypes.c_void_p:
        """Return a kernel of a module."""
        found = ctypes.c_void_p()
        self.ask("hipModuleGetFunction", ctypes.byref(found), module, name.encode(), kernel=name)
        return found

    def allocate(self, size: int, queue: int) -> int:
        """Return memory that work on a queue may use from now on. Raises MemoryError."""
        address = ctypes.c_void_p()
        self.ask("hipMallocAsync", ctypes.byref(address), ctypes.c_size_t(size), _pointer(queue))
        return address.value or 0

    def free(self, address: int, queue: int) -> None:
        """Give memory back after the work on a queue."""
        self.ask("hipFreeAsync", _pointer(address), _pointer(queue))

    def zeroed(self, size: int) -> int:
        """Return new memory of zeros."""
        address = ctypes.c_void_p()
        self.ask("hipMalloc", ctypes.byref(address), ctypes.c_size_t(size))
        self.ask("hipMemset", address, 0, ctypes.c_size_t(size))
        return address.value or 0

    def read_word(self, address: int) -> int:
        """Return a 32-bit word of device memory; waits for the work before."""
        word = ctypes.c_int32(0)
        size = ctypes.c_size_t(4)
        self.ask("hipMemcpy", ctypes.byref(word), _pointer(address), size, TO_HOST)
        return word.value

    def clear_word(self, address: int) -> None:
        """Make a word of device memory zero."""
        self.ask("hipMemset", _pointer(address), 0, ctypes.c_size_t(4))

    def launch(
        self,
        kernel: str,
        function: ctypes.c_void_p,
        grid: tuple[int, int, int],
        lanes: int,
        queue: int,
        segment: bytes,
    ) -> None:
        """Start a kernel with its argument segment."""
        held = ctypes.create_string_buffer(segment, max(len(segment), 1))
        size = ctypes.c_size_t(len(segment))
        extra = (ctypes.c_void_p * 5)(
            PARAMETER_POINTER,
            ctypes.addressof(held),
            PARAMETER_SIZE,
            ctypes.addressof(size),
            PARAMETER_END,
        )
        sizes = [ctypes.c_uint(n) for n in (*grid, lanes, 1, 1, 0)]
        args = (function, *sizes, _pointer(queue), None, extra)
        self.ask("hipModuleLaunchKernel", *args, kernel=kernel)

    def synchronize(self) -> None:
        """Wait for this thread's device."""
        self.ask("hipDeviceSynchronize")


def _pointer(number: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(number)


@cache
def driver() -> Driver:
    """Open the library once. Raises NoDriverError, NoDeviceError."""
    why = ""
    for name in LIBRARIES:
        try:
            return Driver(ctypes.CDLL(name))
        except OSError as error:
            why = str(error)
    raise NoDriverError(target=NAME, library=LIBRARIES[-1], why=why)
