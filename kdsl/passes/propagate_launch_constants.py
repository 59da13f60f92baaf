"""Let a kernel know what every launch of it passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kdsl.dialects.arith import (
    Ceildivsi,
    Floordivsi,
    IndexCast,
    Maxsi,
    Minsi,
    constant,
    constant_of,
    index_constant,
)
from kdsl.dialects.func import Func
from kdsl.dialects.kdsl import Launch
from kdsl.dialects.memref import Alloc, Dim
from kdsl.ir.builder import Builder
from kdsl.ir.core import BlockArgument, Module, Value
from kdsl.ir.rewrite import Replacement, Rewriter, apply_greedily, pattern
from kdsl.ir.types import DYNAMIC, I1, INDEX, MemRefType, ScalarType
from kdsl.passes.affine import POSITIVE
from kdsl.passes.explain import explain
from kdsl.passes.fuse_launches import buffer_behind
from kdsl.passes.manager import Pass
from kdsl.passes.parallel import functions_by_name, launches_by_kernel
from kdsl.target.target import Target

Size = tuple[Value, int]
"""A buffer of the launching function, and a dimension of it."""


@dataclass(frozen=True)
class PropagateLaunchConstants(Pass):
    """Replace a kernel's scalar argument by the constant, or the size, that all launches pass.

    A size is ``memref.dim`` of another argument. Sizes that are at least 1 because the grid is made
    of them are noted on the kernel (``kdsl.positive``). Arguments stay, so that launches do.
    """

    name = "propagate-launch-constants"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        kernels = functions_by_name(module)
        for name, launches in launches_by_kernel(module).items():
            kernel = kernels[name]
            if kernel.regions[0].blocks:
                changed |= apply_greedily(kernel, [cast_operands])
                changed |= _propagate(kernel, launches)
                changed |= _note_positive(kernel, launches)
        return changed


@pattern(IndexCast)
def cast_operands(op: IndexCast, rw: Rewriter) -> Replacement:
    """index_cast(a / c) -> index_cast(a) / index_cast(c), and extremes: none of them overflows."""
    inner = op.x.op
    if op.y.type is not INDEX or not isinstance(inner, Ceildivsi | Floordivsi | Minsi | Maxsi):
        return None
    divides = isinstance(inner, Ceildivsi | Floordivsi)
    if divides and (constant_of(inner.rhs) or 0) <= 0:
        return None
    return rw.create(
        type(inner), *(rw.create(IndexCast, v, types=[INDEX]) for v in (inner.lhs, inner.rhs))
    )


def _propagate(kernel: Func, launches: Sequence[Launch]) -> bool:
    changed = False
    for parameter in kernel.body.args:
        if not parameter.users or not isinstance(parameter.type, ScalarType):
            continue
        b = Builder(kernel.body, kernel.body.first, kernel.loc)
        made = _constant(b, parameter, launches) or _size(b, kernel, parameter, launches)
        if made is not None:
            line, value = made
            value.name = parameter.name
            parameter.replace_by(value)
            explain(kernel, f"{parameter.name or parameter.index}: {line} at every launch")
            changed = True
    return changed


def _constant(
    b: Builder, parameter: BlockArgument, launches: Sequence[Launch]
) -> tuple[str, Value] | None:
    kind = parameter.type
    known = [constant_of(launch.args[parameter.index]) for launch in launches]
    if known[0] is None or any(k != known[0] for k in known) or kind is I1:
        return None
    assert isinstance(kind, ScalarType)
    if kind.kind == "f" and known[0] == 0:
        return None  # 0.0 == -0.0
    return str(known[0]), constant(b, known[0], kind)


def _size(
    b: Builder, kernel: Func, parameter: BlockArgument, launches: Sequence[Launch]
) -> tuple[str, Value] | None:
    """Return a size of another argument that each launch passes, as the parameter's type."""
    numbered: set[tuple[int, int]] | None = None
    for launch in launches:
        sizes = _equal_sizes(_size_of(launch.args[parameter.index]), launch)
        numbered = sizes if numbered is None else numbered & sizes
    if not numbered:
        return None
    at, axis = min(numbered)
    buffer = kernel.body.args[at]
    size: Value = b.create(Dim, buffer, index_constant(b, axis))
    if parameter.type is INDEX:
        return f"size {axis} of {buffer.name or at}", size
    for user in [u for u in parameter.users if isinstance(u, IndexCast) and u.y.type is INDEX]:
        user.replace_by(size)
    assert size.op is not None
    found: Value = Builder.after(size.op).create(IndexCast, size, types=[parameter.type])
    return f"size {axis} of {buffer.name or at}", found


def _size_of(value: Value) -> Size | None:
    """Return the buffer and dimension that a value is the size of."""
    if isinstance(value.op, IndexCast):
        value = value.op.x
    if not isinstance(value.op, Dim):
        return None
    axis = constant_of(value.op.index)
    return None if axis is None else _origin(value.op.source, int(axis))


def _origin(buffer: Value, axis: int) -> Size | None:
    """Follow a size through casts and allocations."""
    buffer = buffer_behind(buffer)
    if isinstance(buffer.op, Alloc):
        shape = buffer.op.memref_type.shape
        if shape[axis] != DYNAMIC:
            return None
        return _size_of(buffer.op.operands[sum(n == DYNAMIC for n in shape[:axis])])
    return buffer, axis


def _equal_sizes(size: Size | None, launch: Launch) -> set[tuple[int, int]]:
    """Return arguments and dimensions of a launch that have a size."""
    if size is None:
        return set()
    return {
        (at, axis)
        for at, given in enumerate(launch.args)
        if isinstance(given.type, MemRefType)
        for axis in range(given.type.rank)
        if given.type.shape[axis] == DYNAMIC and _origin(given, axis) == size
    }


def _note_positive(kernel: Func, launches: Sequence[Launch]) -> bool:
    """Note the sizes that the grid of every launch is made of: no program runs where one is 0."""
    common: set[tuple[int, int]] | None = None
    for launch in launches:
        found: set[tuple[int, int]] = set()
        for extent in (launch.x, launch.y, launch.z):
            op = extent.op
            divided = isinstance(op, Ceildivsi) and (constant_of(op.rhs) or 0) > 0
            found |= _equal_sizes(_size_of(op.lhs if divided else extent), launch)
        common = found if common is None else common & found
    if not common:
        return False
    kernel.attributes[POSITIVE] = tuple(n for pair in sorted(common) for n in pair)
    return True
