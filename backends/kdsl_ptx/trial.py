"""How far an entry can be checked on this machine: run on its GPU, else assembled."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from kdsl.codegen.backend import Artifact, Trial
from kdsl.errors import (
    DeviceFailedError,
    KernelAssertError,
    NoDeviceError,
    NoDriverError,
    OldDriverError,
)
from kdsl.ir.core import Module
from kdsl.ir.types import MemRefType
from kdsl.runtime.slots import is_pointer, words_of
from kdsl.target.target import Target
from kdsl_ptx import driver as drivers
from kdsl_ptx.assemble import DRIVER, PTXAS, ptxas_version
from kdsl_ptx.devices import DEVICES
from kdsl_ptx.runtime import can_run, load
from kdsl_ptx.tools import find_tool

FIRST_DEVICE, DEFAULT_STREAM = 0, 0


def try_out(
    module: Module, artifact: Artifact, target: Target, entry: str, args: Sequence[Any]
) -> Trial:
    """Run an entry on the first GPU, on copies of the arrays; without one, say who assembled."""
    try:
        driver = drivers.driver()
    except (NoDriverError, NoDeviceError, OldDriverError):
        return _assembled(artifact)
    if not can_run(target.chip, driver.capability(FIRST_DEVICE)):
        return _assembled(artifact)
    kinds = [p.type for p in module.function(entry).body.args]
    loaded = load(artifact, target)[entry]
    with _Copies(driver, args) as copies:
        given = copies.words(kinds)
        if loaded.call(ctypes.addressof(given)):
            raise KernelAssertError(kernel=entry)
        DEVICES.synchronize()
        copies.bring_back()
    return Trial("hardware", driver.name(FIRST_DEVICE))


def _assembled(artifact: Artifact) -> Trial:
    tool = artifact.facts.get("assembler", DRIVER)
    if tool == DRIVER:
        return Trial("text", "emitted, not assembled: pip install nvidia-cuda-nvcc brings ptxas")
    path = find_tool(PTXAS) if tool == PTXAS else None
    return Trial("assembled", str(tool), str(ptxas_version(path)) if path else "")


class _Copies(ExitStack):
    """Arrays on the device for the length of a block."""

    def __init__(self, driver: drivers.Driver, args: Sequence[Any]) -> None:
        super().__init__()
        self.driver = driver
        self.library: Any = driver.keep
        self.args = args
        self.places: dict[int, int] = {}
        self.enter_context(driver.entered(self._context()))
        for array in args:
            if isinstance(array, np.ndarray):
                self._copy(array)

    def _ask(self, name: str, *args: Any) -> None:
        result = getattr(self.library, name)(*args)
        if result:
            why = self.driver.describe(result)
            raise DeviceFailedError(kernel="the driver", function=name, why=why)

    def _context(self) -> int:
        found = ctypes.c_void_p()
        device = self.driver.device(FIRST_DEVICE)
        self._ask("cuDevicePrimaryCtxRetain", ctypes.byref(found), device)
        return found.value or 0

    def _copy(self, array: np.ndarray) -> None:
        place = ctypes.c_uint64()
        size = ctypes.c_size_t(max(array.nbytes, 1))
        self._ask("cuMemAlloc_v2", ctypes.byref(place), size)
        self.callback(self._ask, "cuMemFree_v2", place)
        source = ctypes.c_void_p(array.ctypes.data)
        if array.nbytes:
            self._ask("cuMemcpyHtoD_v2", place, source, ctypes.c_size_t(array.nbytes))
        self.places[id(array)] = place.value

    def words(self, kinds: Sequence[Any]) -> ctypes.Array[ctypes.c_int64]:
        """Return the slots, with addresses on the device, then stream and device."""
        words = list(words_of(kinds, self.args))
        at = 0
        for kind, arg in zip(kinds, self.args, strict=True):
            if isinstance(kind, MemRefType):
                if arg is not None:
                    words[at] = self.places[id(arg)]
                at += 1 if is_pointer(kind) else 1 + 2 * kind.rank
            else:
                at += 1
        words = [*words[:at], DEFAULT_STREAM, FIRST_DEVICE]
        return (ctypes.c_int64 * len(words))(*words)

    def bring_back(self) -> None:
        """Copy what the kernel may have written into the arrays."""
        for array in self.args:
            if isinstance(array, np.ndarray) and array.nbytes:
                place = ctypes.c_uint64(self.places[id(array)])
                into = ctypes.c_void_p(array.ctypes.data)
                self._ask("cuMemcpyDtoH_v2", into, place, ctypes.c_size_t(array.nbytes))
