"""What a launch passes to a kernel: the agreement between the emitter and the host launcher.

A memref argument becomes its address, then one 64-bit number for each extent and each stride (in
elements) that its type leaves open; a plain ``memref<?xT>`` (a Ptr) is its address alone. A scalar
is one parameter of its size (a bool a byte). A tensor map is 128 bytes by value. The last parameter
is always the address of the status word, a 32-bit number into which a failing ``cf.assert`` stores
1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdsl.codegen.llvm.types import item_bytes
from kdsl.dialects import func
from kdsl.errors import InternalError
from kdsl.ir.types import DYNAMIC, MemRefType, ScalarType

POINTER, SIZE, STRIDE, SCALAR, MAP, STATUS = (
    "pointer", "size", "stride", "scalar", "map", "status",
)  # fmt: skip
"""Kinds of parameters."""

LANES = "kdsl.lanes"
"""On a kernel: how many threads a workgroup has."""
CLUSTER = "ptx.cluster"
"""On a kernel: workgroups of a cluster, one to three sizes."""
TENSOR_MAPS = "ptx.tensor_maps"
"""On a kernel: the numbers of the arguments (i64) that are tensor maps."""
PDL = "ptx.pdl"
"""On a launch: it may begin before the kernel in front of it has ended."""

MAP_BYTES, MAP_ALIGN = 128, 64
FUNCTION_STATUS = -1
"""The argument number of the status word, which no argument of the function stands for."""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a kernel: its PTX type and what of which argument it holds."""

    type: str
    kind: str
    arg: int
    axis: int = 0

    @property
    def bytes(self) -> int:
        return MAP_BYTES if self.kind == MAP else int(self.type[2:]) // 8

    @property
    def align(self) -> int:
        return MAP_ALIGN if self.kind == MAP else self.bytes


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What a launch needs to know of an emitted kernel.

    ``shared``: bytes of dynamic workgroup memory. ``symbol``: the kernel's name in the image.
    """

    symbol: str
    threads: int
    shared: int = 0
    cluster: tuple[int, int, int] = (1, 1, 1)


def kernel_symbol(name: str) -> str:
    """Return a kernel's name in an image: identifiers have no dots."""
    return name.replace(".", "$")


def tensor_maps(kernel: func.Func) -> frozenset[int]:
    """Return the numbers of the arguments that are tensor maps."""
    attributes: Mapping[str, Any] = kernel.attributes
    return frozenset(int(n) for n in attributes.get(TENSOR_MAPS, ()))


def kernel_params(kernel: func.Func) -> list[Param]:
    """Return the parameters of a kernel in order; the status word is the last."""
    maps = tensor_maps(kernel)
    found: list[Param] = []
    for number, arg in enumerate(kernel.body.args):
        t = arg.type
        if number in maps:
            found.append(Param(".b8", MAP, number))
        elif isinstance(t, MemRefType):
            found += _memref_params(t, number)
        elif isinstance(t, ScalarType):
            found.append(Param(f".b{item_bytes(t) * 8}", SCALAR, number))
        else:
            raise InternalError(what=f"{t} cannot be passed to a kernel")
    found.append(Param(".b64", STATUS, FUNCTION_STATUS))
    return found


def is_pointer(t: MemRefType) -> bool:
    """A Ptr is a vector of unknown size without a layout: only its address is passed."""
    return t.strides is None and t.shape == (DYNAMIC,)


def _memref_params(t: MemRefType, number: int) -> list[Param]:
    found = [Param(".b64", POINTER, number)]
    if is_pointer(t):
        return found
    for kind, numbers in ((SIZE, t.shape), (STRIDE, t.element_strides)):
        found += [Param(".b64", kind, number, a) for a, n in enumerate(numbers) if n == DYNAMIC]
    return found


def facts_of(kernel: func.Func, shared: int = 0) -> KernelFacts:
    """Return the facts that a kernel's own attributes state."""
    attributes: Mapping[str, Any] = kernel.attributes
    lanes = attributes.get(LANES, 1)
    x, y, z = (*map(int, attributes.get(CLUSTER, ())), 1, 1, 1)[:3]
    threads = int(getattr(lanes, "value", lanes))
    return KernelFacts(kernel_symbol(kernel.sym_name), threads, shared, (x, y, z))
