"""What a C entry returns, and which Python exception a status becomes through TVM-FFI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Status:
    """One return value; ``kind`` is the exception that TVM-FFI raises."""

    value: int
    name: str
    text: str
    kind: str = "ValueError"


STATUSES = (
    Status(0, "OK", "the entry ran"),
    Status(1, "ASSERT", "an assertion in the kernel failed", "RuntimeError"),
    Status(2, "OUT_OF_MEMORY", "a workspace could not be allocated", "MemoryError"),
    Status(3, "DEVICE", "the device or its driver failed", "RuntimeError"),
    Status(16, "E_NULL", "a required pointer is null"),
    Status(17, "E_DEVICE", "a tensor is in the memory of another device"),
    Status(18, "E_DTYPE", "a dtype differs", "TypeError"),
    Status(19, "E_RANK", "a rank differs"),
    Status(20, "E_SHAPE", "a dim differs"),
    Status(21, "E_RELATION", "dims do not fit together"),
    Status(22, "E_STRIDE", "a stride is not supported"),
    Status(23, "E_ALIGN", "an address is not aligned"),
    Status(24, "E_RANGE", "a scalar does not fit its type"),
    Status(25, "E_ARITY", "the number of arguments differs", "TypeError"),
    Status(26, "E_TYPE", "an argument is of another type", "TypeError"),
    Status(27, "E_UNSUPPORTED", "no specialization takes these dtypes and dims"),
)
ASSERT, OUT_OF_MEMORY = 1, 2
FIRST_ARGUMENT_ERROR = 16
(E_NULL, E_DEVICE, E_DTYPE, E_RANK, E_SHAPE, E_RELATION, E_STRIDE, E_ALIGN, E_RANGE, E_ARITY,
 E_TYPE, E_UNSUPPORTED) = range(16, 28)  # fmt: skip
