"""How kernels are launched: the argument segment, for the HIP runtime and the emulator alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdsl.errors import InternalError
from kdsl.runtime.entry import Memory
from kdsl_amdgpu.abi import GRID, POINTER, SCALAR, SIZE, STATUS, Parameter

STATUS_BYTES = 4
Grid = tuple[int, int, int]


@dataclass(frozen=True)
class KernelAbi:
    """How a kernel is launched: lanes of a workgroup, parameters, their places, segment size."""

    lanes: int
    parameters: tuple[Parameter, ...]
    places: tuple[tuple[int, int], ...]
    size: int


def kernel_abi(row: dict[str, Any], facts: dict[str, Any]) -> KernelAbi:
    """Join what was emitted (``parameters``) with what LLVM laid out (``.args``)."""
    parameters = tuple(Parameter(*p) for p in row["parameters"])
    places = tuple((a[".offset"], a[".size"]) for a in facts[".args"])
    if len(places) < len(parameters):
        what = f"{facts['.name']} has {len(places)} of {len(parameters)} arguments"
        raise InternalError(what=what)
    return KernelAbi(row["lanes"], parameters, places, facts[".kernarg_segment_size"])


def segment(
    abi: KernelAbi, args: Sequence[Any], grid: Grid, status: int, place: Callable[[Memory], int]
) -> bytes:
    """Return the bytes of a kernel's argument segment.

    ``place`` says where the device has a buffer.
    """
    made = bytearray(abi.size)
    for p, (offset, size) in zip(abi.parameters, abi.places, strict=False):
        made[offset : offset + size] = _bytes(p, args, grid, status, place).ljust(size, b"\0")
    return bytes(made)


def _bytes(
    p: Parameter, args: Sequence[Any], grid: Grid, status: int, place: Callable[[Memory], int]
) -> bytes:
    if p.kind == SCALAR:
        return np.asarray(args[p.argument]).tobytes()
    if p.kind == POINTER:
        number = place(args[p.argument])
    elif p.kind == GRID:
        number = grid[p.axis]
    elif p.kind == STATUS:
        number = status
    else:
        memory = args[p.argument]
        number = (memory.shape if p.kind == SIZE else memory.strides)[p.axis]
    return int(number).to_bytes(8, "little", signed=p.kind not in (POINTER, STATUS))
