"""Known OpenCL devices as data, and which one this machine has.

``generic`` is what every OpenCL 1.2 device with f64 has; ``native`` stands for the device at hand.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from kdsl.errors import KdslError, NoChipError, UnknownChipError
from kdsl.target.features import Features
from kdsl.target.target import Target
from kdsl_opencl.device import device_of, library

KIB = 1024
NUMBERS = frozenset({"i1", "i8", "i16", "i32", "i64", "index", "f32"})
F16_PAIRS = frozenset({("f16", "f32"), ("f32", "f16")})
NATIVE = "native"

GENERIC = Features(
    vector_bits=128,
    vector_registers=64,
    native=NUMBERS | {"f64"},
    fma=False,
    rounding=True,
    fast_conversions=F16_PAIRS,
    flat_memory=False,
    subgroup=32,
    shared_bytes=32 * KIB,
    max_lanes=256,
    registers=65536,
    lane_registers=255,
)
"""Half loads and stores convert; there is no arithmetic on halves, no subgroup, no f64 atomics."""

CHIPS: dict[str, Features] = {
    "generic": GENERIC,
    "fp32": replace(GENERIC, native=NUMBERS),
    "pocl": replace(GENERIC, fma=True, shared_bytes=512 * KIB, threads=2),
    "intel": replace(GENERIC, fma=True, threads=2),
    "oclgrind": replace(GENERIC, fma=True),
}
"""The last three are the devices of platforms; code for them runs where the platform is.

They have lanes, as GPUs do; ``native`` is a CPU with loops over vectors where the device is one.
"""


def resolve(chip: str = "") -> Target:
    """Return the target of a chip's name; of this machine's device for none or ``native``."""
    if not chip or chip == NATIVE:
        return detect()
    if chip not in CHIPS:
        raise UnknownChipError(backend="opencl", chip=chip, known=", ".join((NATIVE, *CHIPS)))
    return Target("opencl", chip, CHIPS[chip])


@cache
def detect() -> Target:
    """Return the device that kernels run on here. Raises NoChipError."""
    try:
        device = device_of(NATIVE)
    except KdslError as problem:
        known = ", ".join(CHIPS)
        raise NoChipError(backend="opencl", why=problem.summary, known=known) from problem
    return Target("opencl", NATIVE, device_features(device), options=(("device", device.name),))


def device_features(device: Any) -> Features:
    """Return what a device says of itself."""
    config = library().device_fp_config
    extensions = set(device.extensions.split())
    found = replace(
        GENERIC,
        native=NUMBERS | ({"f64"} if "cl_khr_fp64" in extensions else set()),
        fma=bool(device.single_fp_config & config.FMA),
        shared_bytes=int(device.local_mem_size),
        max_lanes=min(int(device.max_work_group_size), GENERIC.max_lanes),
        threads=int(device.max_compute_units),
    )
    return _as_cpu(found) if device.type & library().device_type.CPU else found


def _as_cpu(features: Features) -> Features:
    """Return a CPU's features: its programs are one lane each, which has vector registers."""
    return replace(
        features,
        vector_bits=256,
        vector_registers=16,
        subgroup=1,
        max_lanes=1,
        l1_bytes=32 * KIB,
        l2_bytes=512 * KIB,
    )
