"""The driver of this process, through ctypes: what there is, and what its results mean."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from kdsl.errors import DeviceFailedError, NoDeviceError, NoDriverError, OldDriverError
from kdsl_ptx.driver_ir import FUNCTIONS, LIBRARY, OPTIONAL, symbols

NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE."""
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
NAME_BYTES = 256
NAMES = tuple(name for name, _ in FUNCTIONS)
BACK_END = "ptx"


class Driver:
    """The driver's functions by address, in the order of ``FUNCTIONS``; 0 where one is missing."""

    def __init__(self, addresses: Sequence[int], keep: object = None) -> None:
        self.addresses = tuple(addresses)
        self.keep = keep
        self._functions: dict[str, Callable[..., int]] = {}

    def call(self, name: str, *args: Any) -> int:
        """Call a function with ctypes values; return its result."""
        found = self._functions.get(name)
        if found is None:
            address = self.addresses[NAMES.index(name)]
            found = self._functions[name] = ctypes.CFUNCTYPE(ctypes.c_int)(address)
        return found(*args)

    def ask(self, name: str, *args: Any) -> None:
        """Call a function that must succeed. Raises DeviceFailedError."""
        result = self.call(name, *args)
        if result:
            why = self.describe(result)
            raise DeviceFailedError(kernel="the driver", function=name, why=why)

    def describe(self, result: int) -> str:
        """Return a result's name and meaning."""
        texts: list[str] = []
        for name in ("cuGetErrorName", "cuGetErrorString"):
            text = ctypes.c_char_p()
            if self.call(name, result, ctypes.byref(text)) == 0 and text.value:
                texts.append(text.value.decode(errors="replace"))
        return ": ".join(texts) or f"result {result}"

    @cached_property
    def version(self) -> str:
        """The newest version of the programming interface that the driver has."""
        number = ctypes.c_int()
        self.ask("cuDriverGetVersion", ctypes.byref(number))
        return f"{number.value // 1000}.{number.value % 1000 // 10}"

    @cached_property
    def device_count(self) -> int:
        number = ctypes.c_int()
        self.ask("cuDeviceGetCount", ctypes.byref(number))
        return number.value

    def device(self, index: int) -> int:
        """Return the handle of a device."""
        handle = ctypes.c_int()
        self.ask("cuDeviceGet", ctypes.byref(handle), index)
        return handle.value

    def attribute(self, index: int, number: int) -> int:
        """Return an attribute of a device."""
        value = ctypes.c_int()
        self.ask("cuDeviceGetAttribute", ctypes.byref(value), number, self.device(index))
        return value.value

    def capability(self, index: int) -> tuple[int, int]:
        """Return a device's compute capability."""
        major, minor = (self.attribute(index, n) for n in (CAPABILITY_MAJOR, CAPABILITY_MINOR))
        return major, minor

    def name(self, index: int) -> str:
        """Return a device's name."""
        text = ctypes.create_string_buffer(NAME_BYTES)
        self.ask("cuDeviceGetName", text, NAME_BYTES, self.device(index))
        return text.value.decode(errors="replace")

    @contextmanager
    def entered(self, context: int) -> Iterator[None]:
        """Make a context the current one."""
        old = ctypes.c_void_p()
        self.ask("cuCtxPushCurrent", ctypes.c_void_p(context))
        try:
            yield
        finally:
            self.ask("cuCtxPopCurrent", ctypes.byref(old))


def open_driver() -> Driver:
    """Open the driver's library. Raises NoDriverError, OldDriverError or NoDeviceError."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NoDriverError(target=BACK_END, library=LIBRARY, why=error) from None
    addresses: list[int] = []
    for (name, _), symbol in zip(FUNCTIONS, symbols(), strict=True):
        found = getattr(library, symbol, None)
        if found is None and name not in OPTIONAL:
            raise OldDriverError(version="unknown", why=f"it has no {name}")
        addresses.append(ctypes.cast(found, ctypes.c_void_p).value or 0 if found else 0)
    driver = Driver(addresses, library)
    awake(driver)
    return driver


def awake(driver: Driver) -> None:
    """Wake a driver and ask for devices. Raises NoDeviceError or DeviceFailedError."""
    result = driver.call("cuInit", 0)
    if result == NO_DEVICE or (result == 0 and driver.device_count == 0):
        why = driver.describe(NO_DEVICE)
        raise NoDeviceError(target=BACK_END, why=why)
    if result:
        why = driver.describe(result)
        raise NoDeviceError(target=BACK_END, why=why)


_current: list[Driver] = []


def driver() -> Driver:
    """Return this process' driver, opened at the first question."""
    if not _current:
        _current.append(open_driver())
    return _current[-1]


@contextmanager
def using(other: Driver) -> Iterator[Driver]:
    """Take another driver for the length of a block."""
    awake(other)
    _current.append(other)
    try:
        yield other
    finally:
        _current.remove(other)


def chip_of(index: int = 0) -> str:
    """Return the chip of a device as assemblers call it, without the mark of its own features."""
    major, minor = driver().capability(index)
    return f"sm_{major}{minor}"
