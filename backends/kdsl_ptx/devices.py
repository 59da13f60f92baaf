"""What launches ask about devices: current streams, stream objects, and what a failure means."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

from kdsl.errors import (
    DeviceFailedError,
    GridLimitError,
    ImageRejectedError,
    KernelAssertError,
    LaunchError,
    MappedAddressError,
    MappedExtentError,
    MappedStrideError,
    NoDeviceError,
    NoDriverError,
    OldDriverError,
    OutOfMemoryError,
    WrongDeviceError,
)
from kdsl.ir.signature import Signature
from kdsl_ptx import driver as drivers
from kdsl_ptx.driver_ir import (
    GRID_TOO_LARGE,
    LIBRARY,
    MAP_ADDRESS,
    MAP_EXTENT,
    MAP_STRIDE,
    NO_DRIVER,
    NO_SUCH_DEVICE,
    OLD_DRIVER,
    Failure,
    failure_of,
)

LEGACY_STREAM = 0
GRID_LIMITS = ("2147483647", "65535", "65535")
OUT_OF_MEMORY = 2
NO_BINARY, UNSUPPORTED_TEXT = 209, 222
"""Results of loading an image: none for this device; text of a newer version than the driver's."""
WORKSPACE = "a workspace"
MAP_ERRORS: dict[int, type[LaunchError]] = {
    MAP_ADDRESS: MappedAddressError, MAP_STRIDE: MappedStrideError, MAP_EXTENT: MappedExtentError,
}  # fmt: skip


class Loaded:
    """An image of this process: its kernel's name, and where its status word's address is.

    ``engine`` holds the code that the word is part of: whoever synchronizes looks at it, also when
    the kernel itself is gone.
    """

    __slots__ = ("descriptor", "engine", "name")

    def __init__(self, name: str, descriptor: int, engine: object = None) -> None:
        self.name = name
        self.descriptor = descriptor
        self.engine = engine


LOADED: list[Loaded] = []
WORD_OFFSET = 32


class Devices:
    """A ``kdsl.runtime.devices.DeviceRuntime``."""

    def current_queue(self, like: Any) -> Callable[[int], int]:
        """Return how the library of an array names its current stream; else the legacy stream."""
        owner = like[0] if type(like) is tuple else like
        library = type(owner).__module__.partition(".")[0]
        if library == "torch":
            return _current_of_torch()
        if library == "cupy":
            return _current_of_cupy
        return _legacy

    def handle(self, stream: Any) -> int | None:
        """Take a handle, or a stream of torch, cupy or any library with ``__cuda_stream__``."""
        if isinstance(stream, int) and not isinstance(stream, bool):
            return stream
        told = getattr(stream, "__cuda_stream__", None)
        if told is not None:
            return int((told() if callable(told) else told)[1])
        for name in ("cuda_stream", "ptr", "handle"):
            found = getattr(stream, name, None)
            if isinstance(found, int):
                return found
        return None

    def failure(self, kernel: str, status: int, signature: Signature, leading: int) -> Exception:
        """Return the error of a nonzero status."""
        return explain(kernel, failure_of(status), signature, leading)

    def synchronize(self) -> None:
        """Wait for all devices in use, then report failed asserts."""
        if not LOADED:
            return
        from kdsl_ptx.runtime import contexts

        driver = drivers.driver()
        for context in contexts(driver):
            with driver.entered(context):
                driver.ask("cuCtxSynchronize")
        for loaded in LOADED:
            _check(loaded)


DEVICES = Devices()


def _check(loaded: Loaded) -> None:
    """Raise KernelAssertError when the status word of an image is set, and clear it."""
    address = ctypes.c_void_p.from_address(loaded.descriptor + WORD_OFFSET).value
    if address is None:
        return
    word = ctypes.c_uint32.from_address(address)
    if word.value:
        word.value = 0
        raise KernelAssertError(kernel=loaded.name)


def _legacy(index: int) -> int:
    return LEGACY_STREAM


def _current_of_torch() -> Callable[[int], int]:
    torch = sys.modules["torch"]
    quick: Callable[[int], int] | None = getattr(torch._C, "_cuda_getCurrentRawStream", None)
    if quick is not None:
        return quick
    return lambda index: int(torch.cuda.current_stream(index).cuda_stream)


def _current_of_cupy(index: int) -> int:
    return int(sys.modules["cupy"].cuda.get_current_stream().ptr)


# ---------------------------------------------------------------------------------------- failures


def explain(kernel: str, failure: Failure, signature: Signature, leading: int) -> Exception:
    """Return the coded error of a failure."""
    result = failure.result
    if result in MAP_ERRORS and failure.detail is not None:
        name = _argument(signature, failure.detail, leading)
        return MAP_ERRORS[result](kernel=kernel, name=name)
    if result == GRID_TOO_LARGE:
        axis = failure.detail or 0
        return GridLimitError(kernel=kernel, limit=GRID_LIMITS[axis], axis=axis)
    if result == NO_DRIVER:
        return NoDriverError(target=drivers.BACK_END, library=LIBRARY, why="it is not there")
    if result == NO_SUCH_DEVICE:
        return NoDeviceError(target=drivers.BACK_END, why="there are fewer devices")
    driver = drivers.driver()
    if result == OLD_DRIVER:
        return OldDriverError(version=driver.version, why=f"it has no {failure.function}")
    if failure.function == "cuModuleLoadDataEx":
        return _load_error(kernel, result)
    if result == OUT_OF_MEMORY:
        return OutOfMemoryError(kernel=kernel)
    why = driver.describe(result)
    if failure.detail is not None:
        why += f", for {_argument(signature, failure.detail, leading)!r}"
    return DeviceFailedError(kernel=kernel, function=failure.function, why=why)


def _argument(signature: Signature, number: int, leading: int) -> str:
    """Return the name of an entry's argument."""
    number -= leading
    return signature.args[number].name if 0 <= number < len(signature.args) else WORKSPACE


def _load_error(kernel: str, result: int) -> Exception:
    from kdsl_ptx.runtime import log

    driver = drivers.driver()
    if result == UNSUPPORTED_TEXT:
        return OldDriverError(version=driver.version, why=driver.describe(result))
    if result == NO_BINARY:
        device, chip = driver.name(0), drivers.chip_of()
        return WrongDeviceError(target=kernel, device=device, chip=chip)
    words = " ".join(part for part in (driver.describe(result), log()) if part)
    return ImageRejectedError(kernel=kernel, why=words)
