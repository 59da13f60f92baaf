"""How a kernel's arguments lie in its argument segment: shared by emission and launching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kdsl.dialects import cf, func, kdsl
from kdsl.errors import InternalError
from kdsl.ir.core import Block, Op
from kdsl.ir.types import DYNAMIC, MemRefType, ScalarType

AXES = 3
POINTER, SIZE, STRIDE, SCALAR, GRID, STATUS = (
    "pointer",
    "size",
    "stride",
    "scalar",
    "grid",
    "status",
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value of the argument segment.

    ``kind`` says which; ``argument`` is the kernel argument that it describes, ``axis`` its
    dimension (or that of the grid), ``dtype`` the IR's name of a scalar's type.
    """

    kind: str
    argument: int = -1
    axis: int = -1
    dtype: str = "i64"

    def row(self) -> list[Any]:
        """Return it as plain data."""
        return [self.kind, self.argument, self.axis, self.dtype]


def parameters(function: func.Func) -> list[Parameter]:
    """Return what a kernel is given: arguments, then the grid and a status word where needed."""
    found: list[Parameter] = []
    for number, arg in enumerate(function.body.args):
        found += _of_argument(number, arg.type)
    if any(isinstance(op, kdsl.NumPrograms) for op in ops_in(function.body)):
        found += [Parameter(GRID, axis=axis) for axis in range(AXES)]
    if any(isinstance(op, cf.Assert) for op in ops_in(function.body)):
        found.append(Parameter(STATUS))
    return found


def _of_argument(number: int, t: Any) -> list[Parameter]:
    if isinstance(t, ScalarType):
        return [Parameter(SCALAR, number, dtype=t.text)]
    if not isinstance(t, MemRefType):
        raise InternalError(what=f"{t} cannot be passed to a kernel")
    found = [Parameter(POINTER, number)]
    if is_pointer(t):
        return found
    for kind, numbers in ((SIZE, t.shape), (STRIDE, t.element_strides)):
        found += [Parameter(kind, number, axis) for axis, n in enumerate(numbers) if n == DYNAMIC]
    return found


def is_pointer(t: MemRefType) -> bool:
    """A Ptr is a vector of unknown size without a layout; a Tensor states its strides."""
    return t.strides is None and t.shape == (DYNAMIC,)


def ops_in(block: Block) -> list[Op]:
    """Return every op of a block and of the regions inside, in order."""
    found: list[Op] = []
    for op in block:
        found.append(op)
        for region in op.regions:
            for inner in region.blocks:
                found += ops_in(inner)
    return found
