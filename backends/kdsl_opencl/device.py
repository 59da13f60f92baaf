"""OpenCL devices of this process: found by platform, each with one context and one queue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from kdsl.errors import MissingBackEndError, NoDeviceError

PLATFORMS = {
    "pocl": "Portable Computing Language",
    "intel": "Intel",
    "oclgrind": "Oclgrind",
}
"""Chips that are one platform's device: a part of the platform's name."""
SIMULATORS = ("Oclgrind",)
"""Platforms that are taken only when they are named."""


@dataclass(frozen=True)
class Opened:
    """A device ready for work. ``shares_memory``: it reads host memory by the host's addresses."""

    device: Any
    context: Any
    queue: Any
    shares_memory: bool
    simulated: bool

    @property
    def is_cpu(self) -> bool:
        """Whether it is a CPU."""
        return bool(self.device.type & library().device_type.CPU)

    @property
    def name(self) -> str:
        """Platform, its version and device, as they call themselves."""
        platform = self.device.platform
        return f"{platform.name} ({platform.version.strip()}), {self.device.name.strip()}"


@cache
def library() -> Any:
    """Import pyopencl. Raises MissingBackEndError."""
    try:
        import pyopencl
    except ImportError as error:
        raise MissingBackEndError(
            name="opencl", module="pyopencl", package='"kdsl[opencl]"'
        ) from error
    return pyopencl


def device_of(chip: str) -> Any:
    """Return the device of a chip's platform, else the first one. Raises NoDeviceError."""
    found = [d for p in _platforms() if _is_of(p.name, chip) for d in _devices(p)]
    if not found:
        seen = ", ".join(p.name for p in _platforms()) or "none"
        raise NoDeviceError(target=f"opencl:{chip}", why=f"platforms here: {seen}")
    return found[0]


def _is_of(platform: str, chip: str) -> bool:
    if chip in PLATFORMS:
        return PLATFORMS[chip] in platform
    return not any(name in platform for name in SIMULATORS)


@cache
def _platforms() -> tuple[Any, ...]:
    cl = library()
    try:
        return tuple(cl.get_platforms())
    except cl.Error as error:
        raise NoDeviceError(target="opencl", why=str(error)) from error


def _devices(platform: Any) -> list[Any]:
    try:
        return list(platform.get_devices())
    except library().Error:
        return []  # a platform without devices says so by an error


@cache
def opened(chip: str) -> Opened:
    """Return the device of a chip with its context and queue."""
    cl, device = library(), device_of(chip)
    context = cl.Context([device])
    caps = getattr(device, "svm_capabilities", 0)
    simulated = any(name in device.platform.name for name in SIMULATORS)
    shares = caps & cl.device_svm_capabilities.FINE_GRAIN_SYSTEM or (
        device.type & cl.device_type.CPU and caps and not simulated
    )
    return Opened(device, context, cl.CommandQueue(context), bool(shares), simulated)
