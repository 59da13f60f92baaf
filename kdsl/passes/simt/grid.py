"""Using the whole device for kernels that were written without a grid."""

from __future__ import annotations

from kdsl.dialects.arith import constant_of
from kdsl.dialects.func import Func
from kdsl.dialects.kdsl import Launch
from kdsl.dialects.memref import AtomicRmw, Load
from kdsl.dialects.scf import PARALLEL, For, While
from kdsl.ir.core import Op
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Terminator, WritesMemory
from kdsl.passes.aliasing import may_alias
from kdsl.passes.explain import explain, place
from kdsl.passes.parallel import (
    bounds_are_computable,
    is_one_program,
    parallel_loop,
    split,
    written_buffers,
)
from kdsl.passes.simt.rules import SWEEPS, is_marked, is_shared, workgroup_lanes
from kdsl.passes.simt.width import choose_width
from kdsl.target.target import Target


def spread_over_grid(kernel: Func, launches: list[Launch], target: Target) -> bool:
    """Give each program a share of a kernel's one parallel loop; return whether that was done.

    A program gets some turns for each lane, or one when the turns are shared themselves.
    """
    loop = parallel_loop(kernel)
    if loop is None or len(launches) != 1 or not is_one_program(launches[0]):
        return False
    if not bounds_are_computable(loop, kernel):
        explain(kernel, f"{place(loop)}: one workgroup: its bounds are known to the kernel alone")
        return False
    split(launches[0], kernel, loop, _share(loop, target))
    loop.attributes.setdefault(PARALLEL, None)
    return True


def _share(loop: For, target: Target) -> int:
    if not is_shared(loop):
        return 1
    lanes = workgroup_lanes([loop], target.features, alone=False)
    heavy = any(isinstance(op, For | While) and op is not loop for op in loop.walk())
    return lanes if heavy else lanes * choose_width(loop).width * SWEEPS


def mark_independent(kernel: Func) -> None:
    """Mark loops whose turns only add to memory atomically: their order does not matter anyway."""
    for op in kernel.walk():
        if isinstance(op, For) and not is_marked(op) and _only_updates(op):
            op.attributes[PARALLEL] = None


def _only_updates(loop: For) -> bool:
    if loop.results or constant_of(loop.step) != 1:
        return False
    written = written_buffers(loop)
    updates = 0
    for op in loop.walk():
        if op is loop:
            continue
        if isinstance(op, AtomicRmw):
            if any(r.users for r in op.results):
                return False
            updates += 1
        elif isinstance(op, Load):
            if any(may_alias(op.source, v) for v in written):
                return False
        elif not _is_harmless(op):
            return False
    return updates > 0


def _is_harmless(op: Op) -> bool:
    if not isinstance(op, DeclaredOp) or WritesMemory in op.traits or is_marked(op):
        return False
    return op.is_pure or Terminator in op.traits or bool(op.regions)
