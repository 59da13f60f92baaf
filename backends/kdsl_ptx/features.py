"""Known GPUs as data: what they have, which PTX they need, and which one is in this machine."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from functools import cache

from kdsl.errors import NoChipError, UnknownChipError
from kdsl.target.features import Features
from kdsl.target.target import Target

NAME = "ptx"
KIB, MIB = 1024, 1024 * 1024
NATIVE = frozenset({"i1", "i8", "i16", "i32", "i64", "index", "f32", "f64"})
STORAGE = frozenset({"f16", "bf16", "f8E4M3FN", "f8E5M2"})
HALVES = frozenset(
    {("f16", "f32"), ("f32", "f16"), ("f64", "f16"), ("bf16", "f32"), ("f32", "bf16")}
)
BYTES = frozenset(
    (source, wanted) for source in ("f8E4M3FN", "f8E5M2") for wanted in ("f16", "f32")
)
DOTS = frozenset({("f16", "f32"), ("bf16", "f32"), ("i8", "i32")})
SMALL_DOTS = frozenset({("f8E4M3FN", "f32"), ("f8E5M2", "f32")})
ATOMS = ("mma.m16n8k16", "mma.m16n8k8", "mma.m16n8k32.i8")
SMALL_ATOM = "mma.m16n8k32.f8"
WGMMA_ROWS = 64


@dataclass(frozen=True)
class Chip:
    """A row: PTX's number of the chip, the PTX version that its instructions need, features."""

    capability: int
    version: str
    features: Features


_AMPERE = Features(
    vector_bits=128,
    vector_registers=255,
    native=NATIVE,
    storage=STORAGE,
    dot=DOTS,
    fma=True,
    rounding=True,
    fast_conversions=HALVES,
    masked_memory=True,
    gather=True,
    flat_memory=False,
    subgroup=32,
    line_bytes=128,
    l1_bytes=192 * KIB,
    l2_bytes=40 * MIB,
    shared_bytes=163 * KIB,
    atoms=ATOMS,
    async_copy=True,
    matrix_load=True,
    max_lanes=1024,
    registers=65536,
    lane_registers=255,
    threads=108,
)
_ADA = replace(
    _AMPERE,
    dot=DOTS | SMALL_DOTS,
    fast_conversions=HALVES | BYTES,
    atoms=(*ATOMS, SMALL_ATOM),
    l1_bytes=128 * KIB,
    l2_bytes=72 * MIB,
    shared_bytes=99 * KIB,
    threads=128,
)
_HOPPER = replace(
    _ADA,
    l1_bytes=256 * KIB,
    l2_bytes=50 * MIB,
    shared_bytes=227 * KIB,
    matrix_rows=WGMMA_ROWS,
    threads=132,
)

CHIPS: dict[str, Chip] = {
    "sm_80": Chip(80, "8.0", _AMPERE),
    "sm_86": Chip(
        86,
        "8.0",
        replace(_AMPERE, l1_bytes=128 * KIB, l2_bytes=6 * MIB, shared_bytes=99 * KIB, threads=84),
    ),
    "sm_89": Chip(89, "8.4", _ADA),
    "sm_90a": Chip(90, "8.4", _HOPPER),
    "sm_100a": Chip(100, "8.6", replace(_HOPPER, l2_bytes=126 * MIB, matrix_rows=0, threads=148)),
    "sm_120a": Chip(120, "8.7", replace(_ADA, l2_bytes=96 * MIB, threads=170)),
}
"""By PTX's name of the chip. Workgroup memory is what one workgroup may have."""
SUFFIXES = ("a", "")


def resolve(chip: str = "") -> Target:
    """Return the target of a chip; without a name, of the GPU in this machine."""
    if not chip:
        return detect()
    row = CHIPS.get(chip)
    if row is None:
        raise UnknownChipError(backend=NAME, chip=chip, known=", ".join(CHIPS))
    return Target(NAME, chip, row.features)


def compute_capability(chip: str) -> int:
    """Return the chip's number: 90 of ``sm_90a``."""
    return CHIPS[chip].capability


def ptx_version(chip: str) -> str:
    """Return the oldest PTX version that has all that is written for a chip.

    Older text is taken by more drivers.
    """
    return CHIPS[chip].version


# -------------------------------------------------------------------------------- this machine

LIBRARY = "libcuda.so.1"
CAPABILITY_MAJOR, CAPABILITY_MINOR, PROCESSORS = 75, 76, 16
"""CUdevice_attribute numbers."""


@cache
def detect() -> Target:
    """Return the first GPU as a target. Raises NoChipError when there is none that is known."""
    known = ", ".join(CHIPS)
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NoChipError(backend=NAME, known=known, why=str(error)) from error
    status = driver.cuInit(0)
    if status:
        raise NoChipError(backend=NAME, known=known, why=f"cuInit gives {status}")
    count = ctypes.c_int(0)
    status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status or not count.value:
        raise NoChipError(backend=NAME, known=known, why="the driver reports no device")
    return target_of_device(driver, 0)


def target_of_device(driver: ctypes.CDLL, number: int) -> Target:
    """Return the target of one of the driver's devices, with its own number of processors."""
    device = ctypes.c_int(0)
    driver.cuDeviceGet(ctypes.byref(device), number)
    major, minor, processors = (
        _attribute(driver, device, which)
        for which in (CAPABILITY_MAJOR, CAPABILITY_MINOR, PROCESSORS)
    )
    chip = chip_of(major, minor)
    if chip is None:
        why = f"device {number} is sm_{major}{minor}"
        raise NoChipError(backend=NAME, known=", ".join(CHIPS), why=why)
    row = CHIPS[chip]
    return Target(NAME, chip, replace(row.features, threads=processors or row.features.threads))


def chip_of(major: int, minor: int) -> str | None:
    """Return the chip that runs on a device; code for sm_86 runs on later devices of the family."""
    for suffix in SUFFIXES:
        name = f"sm_{major}{minor}{suffix}"
        if name in CHIPS:
            return name
    plain = [
        (row.capability, name)
        for name, row in CHIPS.items()
        if not name.endswith("a") and row.capability // 10 == major
    ]
    fitting = [name for capability, name in sorted(plain) if capability <= major * 10 + minor]
    return fitting[-1] if fitting else None


def _attribute(driver: ctypes.CDLL, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int(0)
    driver.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value
