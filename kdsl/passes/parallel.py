"""Spread a kernel's one parallel loop over the grid."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import (
    Addi,
    Ceildivsi,
    IndexCast,
    Maxsi,
    Minsi,
    Muli,
    Subi,
    constant,
    constant_of,
    index_constant,
    is_constant,
)
from kdsl.dialects.func import Func
from kdsl.dialects.kdsl import Launch, ProgramId
from kdsl.dialects.scf import PARALLEL, For, While
from kdsl.ir.attributes import Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import BlockArgument, Module, Op, Value
from kdsl.ir.types import INDEX
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.target.target import Target


@dataclass(frozen=True)
class DistributeParallel(Pass):
    """Let each program of the grid do one chunk of a kernel's outermost parallel loop.

    Applies to kernels that are launched on a grid of one and whose only effects are in one loop that carries
    ``kdsl.parallel``, with bounds that the launching function can compute. ``chunk`` is the smallest number
    of turns that is worth a program; a program does a whole multiple of it.
    """

    chunk: int = 64
    name = "distribute-parallel"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for launch in [op for f in module.functions for op in f.walk() if isinstance(op, Launch)]:
            assert isinstance(launch.kernel, Symbol)
            kernel = module.function(launch.kernel.name)
            assert isinstance(kernel, Func)
            loop = parallel_loop(kernel)
            if (
                loop is not None
                and _runs_once(launch)
                and _launches(module, kernel) == 1
                and self._may_follow(kernel, loop)
            ):
                _split(launch, kernel, loop, self.chunk)
                changed = True
        return changed

    def _may_follow(self, kernel: Func, loop: For) -> bool:
        return all(_is_computable(v, kernel) for v in (loop.lower, loop.upper))


def parallel_loop(kernel: Func) -> For | None:
    """Return the kernel's only op with effects when that is a parallel loop by steps of one."""
    loops = [op for op in kernel.body if isinstance(op, For) and PARALLEL in op.attributes]
    others = [op for op in kernel.body if op not in loops and op.regions]
    if len(loops) != 1 or others or loops[0].results or constant_of(loops[0].step) != 1:
        return None
    if any(isinstance(op, ProgramId) for op in kernel.walk()):
        return None
    return loops[0]


def _runs_once(launch: Launch) -> bool:
    return all(is_constant(v, 1) for v in (launch.x, launch.y, launch.z))


def _launches(module: Module, kernel: Func) -> int:
    name = Symbol(kernel.sym_name)
    return sum(
        1
        for f in module.functions
        for op in f.walk()
        if isinstance(op, Launch) and op.kernel == name
    )


def _is_computable(value: Value, kernel: Func) -> bool:
    """Return whether a value follows from the kernel's arguments by pure ops."""
    if isinstance(value, BlockArgument):
        return value.block is kernel.body
    op = value.op
    return (
        op is not None
        and getattr(op, "is_pure", False)
        and not op.regions
        and all(_is_computable(v, kernel) for v in op.operands)
    )


def _split(launch: Launch, kernel: Func, loop: For, chunk: int) -> None:
    del loop.attributes[PARALLEL]
    outside = Builder.before(launch)
    mapping: dict[Value, Value] = dict(zip(kernel.body.args, launch.args, strict=True))
    lower = as_index(outside, _copy_slice(outside, loop.lower, mapping))
    upper = as_index(outside, _copy_slice(outside, loop.upper, mapping))
    share = chunk * loop_weight(loop)
    size = index_constant(outside, share)
    zero = index_constant(outside, 0)
    turns = outside.create(Maxsi, outside.create(Subi, upper, lower), zero)
    launch.set_operand(0, outside.create(Ceildivsi, turns, size))

    inside = Builder.before(loop)
    kind = loop.lower.type
    program = inside.create(ProgramId, axis=0)
    start = inside.create(Muli, program, index_constant(inside, share))
    if kind is not INDEX:
        start = inside.create(IndexCast, start, types=[kind])
    first = inside.create(Addi, loop.lower, start)
    last = inside.create(Addi, first, constant(inside, share, kind))
    upper_inside = inside.create(Minsi, last, loop.upper)
    loop.set_operand(0, first)
    loop.set_operand(1, upper_inside)
    explain(kernel, f"{loop.loc or 'loop'}: spread over the grid, {share} turns a program")


LIGHT_LOOP_CHUNKS = 512
"""A turn of a loop without inner loops costs nanoseconds; waking a thread costs microseconds."""


def loop_weight(loop: For) -> int:
    """Return how many smallest chunks a program takes: turns that hold loops are worth one alone."""
    heavy = any(isinstance(op, For | While) and op is not loop for op in loop.walk())
    return 1 if heavy else LIGHT_LOOP_CHUNKS


def as_index(b: Builder, value: Value) -> Value:
    """Convert an integer to index."""
    if value.type is INDEX:
        return value
    found: Value = b.create(IndexCast, value, types=[INDEX])
    return found


def _copy_slice(b: Builder, value: Value, mapping: dict[Value, Value]) -> Value:
    """Copy what computes ``value`` to where ``b`` inserts."""
    if value in mapping:
        return mapping[value]
    op: Op | None = value.op
    assert op is not None
    for operand in op.operands:
        _copy_slice(b, operand, mapping)
    b.insert(op.clone(mapping))
    return mapping[value]
