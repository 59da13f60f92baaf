"""Running images in this process: one native launcher for all, one engine for each artifact."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from kdsl.codegen.backend import Artifact, LoadedEntry
from kdsl.errors import WrongDeviceError
from kdsl.settings import settings
from kdsl.target.target import Target
from kdsl_ptx import driver as drivers
from kdsl_ptx.artifact import DRIVER_LEVEL, MACHINE_CODE, host_object, host_triple
from kdsl_ptx.devices import DEVICES, LOADED, Loaded
from kdsl_ptx.driver_ir import EXPORTED, FUNCTIONS, MAX_DEVICES, driver_ir

ENTRY_PREFIX = "kdsl_entry_"
DESCRIPTOR_PREFIX = "kdsl_module_"
CALL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)
CHIP = re.compile(r"sm_(\d+)(\d)([af]?)")


def _engine(data: bytes) -> Any:
    import llvmlite.binding as llvm

    # A JIT engine reads relocations of any size; its own machine is never asked to generate code.
    machine = llvm.Target.from_triple(host_triple()).create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    return engine


_launchers: dict[drivers.Driver, Any] = {}


@cache
def _launcher_object() -> bytes:
    return host_object(driver_ir(), DRIVER_LEVEL)


def launcher(driver: drivers.Driver) -> Any:
    """Return the native launcher over a driver, and make it known to later engines."""
    import llvmlite.binding as llvm

    found = _launchers.get(driver)
    if found is None:
        found = _launchers[driver] = _engine(_launcher_object())
        table = (ctypes.c_void_p * len(FUNCTIONS))(*driver.addresses)
        adopt = found.get_function_address("kdsl_gpu_adopt")
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(adopt)(ctypes.addressof(table))
    for name in EXPORTED:
        llvm.add_symbol(name, found.get_function_address(name))
    return found


def log() -> str:
    """Return what the driver's assembler said about the latest image."""
    address = launcher(drivers.driver()).get_function_address("kdsl_gpu_log")
    text = ctypes.CFUNCTYPE(ctypes.c_char_p)(address)()
    return (text or b"").decode(errors="replace").strip()


def contexts(driver: drivers.Driver) -> list[int]:
    """Return the contexts of the devices that something was launched on."""
    address = launcher(driver).get_function_address("kdsl_gpu_context")
    ask = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(address)
    found = [ask(index) for index in range(min(driver.device_count, MAX_DEVICES))]
    return [context for context in found if context]


def load(artifact: Artifact, target: Target) -> dict[str, LoadedEntry]:
    """Return an artifact's entries as functions. Raises NoDriverError, WrongDeviceError, ...

    The image goes to a device at the first launch there.
    """
    driver = drivers.driver()
    require_device(driver, target, artifact.facts["image"])
    launcher(driver)
    engine = _engine(artifact.data)
    if artifact.entries:
        name = artifact.entries[0]
        descriptor = engine.get_global_value_address(DESCRIPTOR_PREFIX + name)
        LOADED.append(Loaded(name, descriptor, engine))
    found: dict[str, LoadedEntry] = {}
    for name in artifact.entries:
        address = engine.get_function_address(ENTRY_PREFIX + name)
        call: Callable[[int], int] = CALL(address)
        if settings.sync:
            call = _waiting(call)
        found[name] = LoadedEntry(name, call, address, engine)
    return found


def _waiting(call: Callable[[int], int]) -> Callable[[int], int]:
    def call_and_wait(slots: int) -> int:
        status = call(slots)
        if status == 0:
            DEVICES.synchronize()
        return status

    return call_and_wait


def require_device(driver: drivers.Driver, target: Target, image: str) -> None:
    """Raise WrongDeviceError unless a device of this machine can run a target's code."""
    for index in range(driver.device_count):
        if can_run(target.chip, driver.capability(index), image):
            return
    chip = drivers.chip_of()
    raise WrongDeviceError(target=target, device=driver.name(0), chip=chip)


def can_run(chip: str, capability: tuple[int, int], image: str = MACHINE_CODE) -> bool:
    """Return whether code for a chip runs on a device.

    Machine code runs on later chips of its generation, text on any later chip; what uses features
    of one chip (``a``), or of one family (``f``), runs there only.
    """
    found = CHIP.match(chip)
    if found is None:
        return False
    wanted, mark = (int(found[1]), int(found[2])), found[3]
    if mark == "a":
        return capability == wanted
    if mark == "f" or image == MACHINE_CODE:
        return capability[0] == wanted[0] and capability[1] >= wanted[1]
    return capability >= wanted
