"""Spread a kernel's one parallel loop over the grid."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import (
    Addi,
    Ceildivsi,
    Maxsi,
    Minsi,
    Muli,
    Subi,
    constant_of,
    index_constant,
    is_constant,
)
from kdsl.dialects.cf import Assert
from kdsl.dialects.func import Func, Return
from kdsl.dialects.kdsl import Launch, NumPrograms, ProgramId
from kdsl.dialects.memref import Alloca, Load
from kdsl.dialects.scf import PARALLEL, For, While
from kdsl.ir.attributes import Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import BlockArgument, Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import WritesMemory
from kdsl.ir.types import MemRefType, TensorType
from kdsl.passes.aliasing import may_alias
from kdsl.passes.counters import as_counter, as_index
from kdsl.passes.explain import explain, place
from kdsl.passes.manager import Pass
from kdsl.target.target import Target


@dataclass(frozen=True)
class DistributeParallel(Pass):
    """Let each program of the grid do one chunk of a kernel's outermost parallel loop.

    Applies to kernels that are launched on a grid of one and whose only effects are in one loop
    that carries ``kdsl.parallel``, with bounds that the launching function can compute. ``chunk``
    is the smallest number of turns that is worth a program; a program does a multiple of it. Where
    workgroups have lanes, a program does one turn if that has tiles; other loops are left to the
    pass that lets lanes share them.
    """

    chunk: int = 64
    name = "distribute-parallel"

    def run(self, module: Module, target: Target) -> bool:
        changed = False
        functions = functions_by_name(module)
        for name, found in launches_by_kernel(module).items():
            kernel = functions[name]
            loop = parallel_loop(kernel)
            if loop is None or len(found) != 1 or not is_one_program(found[0]):
                continue
            if bounds_are_computable(loop, kernel):
                if not target.features.has_lanes:
                    share = self.chunk * loop_weight(loop)
                elif makes_tiles(loop):
                    share = 1
                else:
                    continue
                split(found[0], kernel, loop, share)
                changed = True
        return changed


def makes_tiles(op: Op) -> bool:
    """Return whether an op or one inside it makes a tile."""
    return any(isinstance(r.type, TensorType) for inner in op.walk() for r in inner.results)


def launches_by_kernel(module: Module) -> dict[str, list[Launch]]:
    """Return every launch of a module by its kernel's name."""
    found: dict[str, list[Launch]] = {}
    for op in module.walk():
        if isinstance(op, Launch):
            assert isinstance(op.kernel, Symbol)
            found.setdefault(op.kernel.name, []).append(op)
    return found


def functions_by_name(module: Module) -> dict[str, Func]:
    """Return the functions of a module by their names."""
    return {f.sym_name: f for f in module.functions if isinstance(f, Func)}


def is_one_program(launch: Launch) -> bool:
    """Return whether the grid has one program."""
    return all(is_constant(v, 1) for v in (launch.x, launch.y, launch.z))


def parallel_loop(kernel: Func) -> For | None:
    """Return the parallel loop by steps of one that is all that a kernel does.

    What stands before it only prepares: pure ops, assertions, and loads of what the loop does not
    write.
    """
    loops = [op for op in kernel.body if isinstance(op, For) and PARALLEL in op.attributes]
    if len(loops) != 1 or loops[0].results or constant_of(loops[0].step) != 1:
        return None
    loop = loops[0]
    if any(isinstance(op, ProgramId | NumPrograms) for op in kernel.walk()):
        return None
    written = written_buffers(loop)
    prepares = all(_only_prepares(op, written) for op in kernel.body if op is not loop)
    return loop if prepares else None


def _only_prepares(op: Op, written: list[Value]) -> bool:
    if isinstance(op, Load):
        return not any(may_alias(op.source, v) for v in written)
    harmless = isinstance(op, Return | Assert | Alloca)
    return harmless or (isinstance(op, DeclaredOp) and op.is_pure)


def written_buffers(loop: For) -> list[Value]:
    """Return the buffers that ops of a loop may write."""
    return [
        v
        for op in loop.walk()
        if isinstance(op, DeclaredOp) and WritesMemory in op.traits
        for v in op.operands
        if isinstance(v.type, MemRefType)
    ]


def bounds_are_computable(loop: For, kernel: Func) -> bool:
    """Return whether the launching function can compute where a loop starts and ends."""
    return all(_is_computable(v, kernel, set()) for v in (loop.lower, loop.upper))


def _is_computable(value: Value, kernel: Func, known: set[Value]) -> bool:
    """Return whether a value follows from the kernel's arguments by pure ops; ``known`` ones do."""
    if value in known:
        return True
    if isinstance(value, BlockArgument):
        return value.block is kernel.body
    op = value.op
    found = (
        isinstance(op, DeclaredOp)
        and op.is_pure
        and not op.regions
        and all(_is_computable(v, kernel, known) for v in op.operands)
    )
    if found:
        known.add(value)
    return found


def split(launch: Launch, kernel: Func, loop: For, share: int) -> None:
    """Give the launch a grid and the loop the bounds of one program's share, computed in index."""
    del loop.attributes[PARALLEL]
    outside = Builder.before(launch)
    mapping: dict[Value, Value] = dict(zip(kernel.body.args, launch.args, strict=True))
    lower = as_index(outside, _copy_slice(outside, loop.lower, mapping))
    upper = as_index(outside, _copy_slice(outside, loop.upper, mapping))
    zero = index_constant(outside, 0)
    turns = outside.create(Maxsi, outside.create(Subi, upper, lower), zero)
    size = index_constant(outside, share)
    launch.set_operand(0, outside.create(Ceildivsi, turns, size))

    inside = Builder.before(loop)
    kind = loop.lower.type
    program = inside.create(ProgramId, axis=0)
    size = index_constant(inside, share)
    start = inside.create(Muli, program, size)
    first = inside.create(Addi, as_index(inside, loop.lower), start)
    last = inside.create(Addi, first, size)
    stop = inside.create(Minsi, last, as_index(inside, loop.upper))
    loop.set_operand(0, as_counter(inside, first, kind))
    loop.set_operand(1, as_counter(inside, stop, kind))
    explain(kernel, f"{place(loop)}: spread over the grid, {share} turns a program")


LIGHT_LOOP_CHUNKS = 512
"""A turn of a loop without inner loops costs nanoseconds; waking a thread, microseconds."""


def loop_weight(loop: For) -> int:
    """Return how many smallest chunks a program takes; turns that hold loops are worth one."""
    heavy = any(isinstance(op, For | While) and op is not loop for op in loop.walk())
    return 1 if heavy else LIGHT_LOOP_CHUNKS


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
