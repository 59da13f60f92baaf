"""What a launch needs of the driver, as LLVM IR text.

It is linked into every built file with kernels for these devices, and once into the JIT engine. All
driver functions are reached through a table of addresses, so the code links nothing: a built
file fills it by ``dlopen`` at its first launch, a process that compiles hands in its own.

A status is 0, or a result of the driver (bits 0 to 11; from 1000 on, what is found here) with the
number of the driver function plus 1 (bits 12 to 19) and a detail (bits 20 to 27): an argument's
number or a grid's axis, plus 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

LIBRARY = "libcuda.so.1"

FUNCTIONS: tuple[tuple[str, str], ...] = (
    ("cuInit", ""), ("cuDriverGetVersion", ""), ("cuDeviceGetCount", ""), ("cuDeviceGet", ""),
    ("cuDeviceGetAttribute", ""), ("cuDeviceGetName", ""), ("cuDevicePrimaryCtxRetain", ""),
    ("cuCtxGetCurrent", ""), ("cuCtxPushCurrent", "_v2"), ("cuCtxPopCurrent", "_v2"),
    ("cuCtxSynchronize", ""), ("cuModuleLoadDataEx", ""), ("cuModuleGetFunction", ""),
    ("cuFuncSetAttribute", ""), ("cuLaunchKernelEx", ""), ("cuMemAlloc", "_v2"),
    ("cuMemHostAlloc", ""), ("cuMemsetD8Async", ""), ("cuMemAllocAsync", ""),
    ("cuMemFreeAsync", ""), ("cuDeviceGetDefaultMemPool", ""), ("cuMemPoolSetAttribute", ""),
    ("cuStreamCreate", ""), ("cuStreamSynchronize", ""), ("cuStreamDestroy", "_v2"),
    ("cuStreamIsCapturing", ""), ("cuThreadExchangeStreamCaptureMode", ""), ("cuGetErrorName", ""),
    ("cuGetErrorString", ""), ("cuTensorMapEncodeTiled", ""),
)  # fmt: skip
"""Name and version ending of each driver function; the last ones are newer than the others."""
OPTIONAL = ("cuTensorMapEncodeTiled",)

SITE_SHIFT, DETAIL_SHIFT, RESULT_MASK = 12, 20, 0xFFF
FIRST_DEVICE_STATUS = 1000
"""Smaller statuses have one meaning in all back ends."""
(NO_DRIVER, OLD_DRIVER, GRID_TOO_LARGE, NO_SUCH_DEVICE, MAP_ADDRESS, MAP_STRIDE, MAP_EXTENT) = (
    range(FIRST_DEVICE_STATUS, FIRST_DEVICE_STATUS + 7)
)
FORMS = (
    f"%s: {LIBRARY} cannot be opened; the driver must be installed",
    "%s: the driver is too old, it has no %s",
    "%s: the grid is too large along axis %d of 3",
    "%s: there is no such device",
    "%s: argument %d must begin at a multiple of 16 bytes",
    "%s: the strides of argument %d must be multiples of 16 bytes, below 2**40",
    "%s: argument %d has more than 2**31 - 1 elements along a dim",
)
"""What is found here, for a caller without Python: printf forms over the entry and the detail.

The second one, of OLD_DRIVER, is over the entry and the function.
"""
FAILED = "%s: %s failed with result %d (%s) %s"
MAX_DEVICES = 64
LOG_BYTES = 8192
PAGE_BYTES, WORD_BYTES = 4096, 4
COUNTERS, COUNTER_BYTES = 8192, 32
"""A ring of counters outnumbers the launches that a device's queues hold."""
SHARED_FREE = 48 * 1024
"""Dynamic workgroup memory that needs no permission, in bytes."""

# Byte offsets in a device's record; the context comes first.
AT_SMS, AT_RING, AT_NEXT, AT_ONCE, AT_USED, RECORD_BYTES = 8, 16, 24, 32, 40, 64
# Byte offsets in a module's descriptor; the number of kernels comes first.
AT_IMAGE, AT_NAMES, AT_SHARED, AT_WORD, AT_LOADED = 8, 16, 24, 32, 40
STATE_BYTES = 40
AT_MAP, MAP_CACHE_BYTES = 128, 256
"""Of a tensor map's cache: where the map begins, and the size of it all."""
EXPORTED = (
    "kdsl_gpu_adopt", "kdsl_gpu_log", "kdsl_gpu_context", "kdsl_gpu_begin", "kdsl_gpu_end",
    "kdsl_gpu_launch", "kdsl_gpu_alloc", "kdsl_gpu_free", "kdsl_gpu_sms", "kdsl_gpu_counter",
    "kdsl_gpu_map", "kdsl_device_failure_2",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """A status taken apart; ``function`` is empty and ``detail`` None where there is none."""

    result: int
    function: str
    detail: int | None


def failure_of(status: int) -> Failure:
    """Take a status apart."""
    site = (status >> SITE_SHIFT) & 0xFF
    detail = (status >> DETAIL_SHIFT) & 0xFF
    function = FUNCTIONS[site - 1][0] if 1 <= site <= len(FUNCTIONS) else ""
    return Failure(status & RESULT_MASK, function, detail - 1 if detail else None)


def symbols() -> tuple[str, ...]:
    """Return the driver functions as the library exports them."""
    return tuple(name + version for name, version in FUNCTIONS)


@cache
def driver_ir() -> str:
    """Return the module's text."""
    numbers: dict[str, int | str] = {
        "FUNCTIONS": len(FUNCTIONS),
        "TABLE_BYTES": 8 * len(FUNCTIONS),
        "REQUIRED": len(FUNCTIONS) - len(OPTIONAL),
        "LIBRARY": LIBRARY,
        "LIBRARY_BYTES": len(LIBRARY) + 1,
        "DEVICES": MAX_DEVICES,
        "RECORD": RECORD_BYTES,
        "PAGE": PAGE_BYTES,
        "WORDS": PAGE_BYTES // WORD_BYTES,
        "COUNTER_MEMORY": COUNTERS * COUNTER_BYTES,
        "NAMES": "\n".join([*_names(), *_forms()]),
        **{f"GRID_{x}": GRID_TOO_LARGE | (i + 1) << DETAIL_SHIFT for i, x in enumerate("XYZ")},
        **{name: number for name, number in globals().items() if _is_constant(name, number)},
        **{name: number for number, (name, _) in enumerate(FUNCTIONS)},
    }
    text = Path(__file__).with_name("driver.ll").read_text()
    for name, number in numbers.items():
        text = text.replace("{" + name + "}", str(number))
    return text


def _is_constant(name: str, value: object) -> bool:
    return name.isupper() and isinstance(value, int) and name != "FUNCTIONS"


def _names() -> list[str]:
    return _table("names", symbols())


def _forms() -> list[str]:
    return [*_table("forms", FORMS), _text("failed", FAILED), _text("nothing", "unknown")]


def _table(name: str, texts: tuple[str, ...]) -> list[str]:
    """Return texts and a table of their addresses."""
    lines = [_text(f"{name}{i}", text) for i, text in enumerate(texts)]
    listed = ", ".join(f"ptr @kdsl.gpu.{name}{i}" for i in range(len(texts)))
    return [*lines, f"@kdsl.gpu.{name} = internal constant [{len(texts)} x ptr] [{listed}]"]


def _text(name: str, text: str) -> str:
    return f'@kdsl.gpu.{name} = private constant [{len(text) + 1} x i8] c"{text}\\00"'
