"""The pass: who does what, op by op, and where lanes have to wait for each other."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.func import Func, Return
from kdsl.dialects.gpu import LANES, WORKGROUP
from kdsl.dialects.kdsl import WorkgroupAlloc
from kdsl.dialects.memref import Alloca, AtomicRmw, Cast, Load, Store
from kdsl.dialects.scf import PARALLEL, TAIL, VECTORIZE, Condition, For, If, While, Yield
from kdsl.errors import CannotLegalizeError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Op, Region, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import ReadsMemory, Terminator, WritesMemory
from kdsl.ir.types import MemRefType, TensorType, memref
from kdsl.passes.distribute.hazards import Hazards, accesses
from kdsl.passes.distribute.lane import Lane
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.passes.parallel import functions_by_name, is_one_program, launches_by_kernel
from kdsl.passes.simt.combine import Team
from kdsl.passes.simt.grid import mark_independent, spread_over_grid
from kdsl.passes.simt.loops import share_loop
from kdsl.passes.simt.rules import is_marked, is_shared, shared_loops, workgroup_lanes
from kdsl.target.target import Target

LANE_ZERO = "lane 0"
"""The key of accesses by lane 0 alone: they are in order among themselves."""


@dataclass(frozen=True)
class Simt(Pass):
    """Write kernels for the lanes of workgroups.

    Kernels without tiles become lane-level whole, on a grid that uses the device when they have one
    loop and no grid of their own; in kernels that have lanes already the marked loops are shared.
    """

    name = "simt"

    def run(self, module: Module, target: Target) -> bool:
        functions = functions_by_name(module)
        launches = launches_by_kernel(module)
        changed = False
        for name, kernel in functions.items():
            if not kernel.is_kernel or _has_tiles(kernel):
                continue
            found = launches.get(name, [])
            if LANES in kernel.attributes:
                changed |= _share_marked(kernel, target)
                continue
            mark_independent(kernel)
            alone = bool(found) and all(is_one_program(each) for each in found)
            spread = spread_over_grid(kernel, found, target)
            _lower(kernel, target, alone=alone and not spread)
            changed = True
        return changed


def _has_tiles(kernel: Func) -> bool:
    return any(
        isinstance(v.type, TensorType) for op in kernel.walk() for v in (*op.results, *op.operands)
    )


def _lower(kernel: Func, target: Target, *, alone: bool) -> None:
    """Make a scalar kernel the program of one lane."""
    lanes = workgroup_lanes(shared_loops(kernel), target.features, alone=alone)
    kernel.attributes[LANES] = lanes
    _share_buffers(kernel, target)
    _Lowering(kernel, target, lanes).block(kernel.body)
    explain(kernel, f"{lanes} lanes a workgroup")


def _share_marked(kernel: Func, target: Target) -> bool:
    """Share the marked loops of a kernel that was written for lanes."""
    lanes = kernel.attributes[LANES]
    assert isinstance(lanes, int)
    loops = _outermost_marked(kernel)
    if not loops:
        return False
    _share_buffers(kernel, target)
    lowering = _Lowering(kernel, target, lanes)
    for loop in loops:
        block, following = loop.parent, loop.next
        assert block is not None
        with lowering.builder.at(block, loop):
            lowering.team.barrier()
            lowering.op(loop)
        with lowering.builder.at(block, following):
            lowering.team.barrier()
    return True


def _outermost_marked(op: Op) -> list[Op]:
    found: list[Op] = []
    for region in op.regions:
        for block in region.blocks:
            for inner in block:
                found += [inner] if is_marked(inner) else _outermost_marked(inner)
    return found


def _unmark(op: Op) -> None:
    for name in (PARALLEL, VECTORIZE, TAIL):
        op.attributes.pop(name, None)


def _share_buffers(kernel: Func, target: Target) -> None:
    """Keep buffers that a program makes in workgroup memory; those of one turn stay the lane's."""
    for op in list(kernel.walk()):
        if not isinstance(op, Alloca) or _is_inside_shared(op):
            continue
        kind = op.memref_type
        if not kind.is_static:
            raise CannotLegalizeError(op.loc, target=target, op=op.name, type=str(kind))
        wanted = memref(kind.shape, kind.element, kind.strides, WORKGROUP)
        made = WorkgroupAlloc.make(types=[wanted], align=max(16, op.alignment), loc=op.loc)
        assert op.parent is not None
        op.parent.insert_before(op, made)
        made.y.name = op.results[0].name
        op.replace_by(made.y)
        _follow_casts(made.y)


def _follow_casts(buffer: Value) -> None:
    for user in buffer.users:
        if isinstance(user, Cast):
            kind = user.y.type
            assert isinstance(kind, MemRefType)
            user.results[0].type = memref(kind.shape, kind.element, kind.strides, WORKGROUP)
            _follow_casts(user.results[0])


def _is_inside_shared(op: Op) -> bool:
    here = op.parent_op
    while here is not None:
        if is_shared(here):
            return True
        here = here.parent_op
    return False


class _Lowering:
    """Goes through a kernel in order; the builder stands before the op that is looked at."""

    def __init__(self, kernel: Func, target: Target, lanes: int) -> None:
        self.kernel = kernel
        features = target.features
        lane = Lane(kernel.body, features, lanes // max(1, features.subgroup))
        self.team = Team(lane)

    @property
    def builder(self) -> Builder:
        return self.team.builder

    def block(self, block: Block) -> None:
        """Lower the ops of a block, in place."""
        for op in list(block):
            if isinstance(op, Return | Yield | Condition):
                continue
            with self.builder.at(block, op):
                self.builder.loc = op.loc
                self.op(op)

    def op(self, op: Op) -> None:
        if is_shared(op):
            assert isinstance(op, For)
            if self.shared(op):
                return
        if any(is_shared(inner) for inner in op.walk()):
            self._uniform(op)
        elif _only_reads(op):
            self.team.before(accesses(op))
        else:
            self._serial(op)

    def shared(self, loop: For) -> bool:
        """Share a loop's turns; return False when that cannot be done."""
        self.team.before(accesses(loop))
        return share_loop(self.team, loop, self.kernel)

    # -------------------------------------------------------------------------- control

    def _uniform(self, op: Op) -> None:
        """Let all lanes take the same way through control flow with shared loops inside."""
        assert isinstance(op, For | While | If)
        _unmark(op)
        is_loop = not isinstance(op, If)
        if is_loop:
            # What a turn does meets the turn before it, too.
            self.team.hazards.merge(_keyed(op))
        entry = self.team.hazards.copy()
        ends = [] if isinstance(op, If) and op.else_block is not None else [entry]
        for region in op.regions:
            for block in region.blocks:
                if not is_loop:
                    self.team.hazards = entry.copy()
                self.block(block)
                ends.append(self.team.hazards)
        self.team.hazards = Hazards()
        for end in ends:
            self.team.hazards.merge(end)

    # -------------------------------------------------------------------------- lane 0

    def _serial(self, op: Op) -> None:
        """Let lane 0 run an op with effects, and tell the others its results."""
        team = self.team
        used = [r for r in op.results if r.users]
        rooms = [team.room(r.type, 1, number) for number, r in enumerate(used)]
        touched = _keyed(op)
        for room in rooms:
            touched.note(room, LANE_ZERO, writes=True)
        team.before(touched)
        branch = self._guard(op)
        following = op.next
        self._move(op, branch)
        if not used:
            return
        assert op.parent is not None
        b = Builder(branch.then_block, branch.then_block.last, op.loc)
        zero = team.lane.index(0)
        read = Hazards()
        readers = [list(r.users) for r in used]
        for result, room in zip(used, rooms, strict=True):
            b.add(Store, result, room, [zero])
            read.note(room, None, writes=False)
        assert branch.parent is not None
        with self.builder.at(branch.parent, following):
            team.before(read)
            told = [self.builder.create(Load, room, [zero]) for room in rooms]
        for result, users, value in zip(used, readers, told, strict=True):
            for user in users:
                _replace(user, result, value)

    def _guard(self, op: Op) -> If:
        """Return a branch for lane 0 before ``op``: the last one when nothing came since."""
        first = self.team.lane.is_first
        before = op.prev
        if (
            isinstance(before, If)
            and before.condition is first
            and not before.results
            and before.else_block is None
            and not any(r.users for r in op.results)
        ):
            return before
        made = self.builder.add(If, first, types=[], regions=[Region([Block()]), Region()])
        Builder(made.then_block, None, op.loc).create(Yield, [])
        return made

    def _move(self, op: Op, branch: If) -> None:
        """Put an op into lane 0's branch."""
        assert op.parent is not None
        op.parent.remove(op)
        branch.then_block.insert_before(branch.then_block.last, op)


def _replace(user: Op, old: Value, new: Value) -> None:
    for i, operand in enumerate(user.operands):
        if operand is old:
            user.set_operand(i, new)


def _only_reads(op: Op) -> bool:
    """Return whether an op changes nothing outside itself, so that every lane may do it."""
    for inner in op.walk():
        if isinstance(inner, DeclaredOp):
            if WritesMemory in inner.traits or isinstance(inner, AtomicRmw):
                return False
            known = inner.is_pure or inner.regions or ReadsMemory in inner.traits
            if not (known or Terminator in inner.traits or _is_harmless(inner)):
                return False
    return True


def _is_harmless(op: Op) -> bool:
    return op.name == "cf.assert" or isinstance(op, WorkgroupAlloc)


def _keyed(op: Op) -> Hazards:
    """Return what an op does to memory; what is outside of shared loops is done by lane 0.

    Reads are done by all lanes, unless they are inside of an op with effects.
    """
    found = Hazards()
    if is_shared(op) or _only_reads(op):
        return accesses(op)
    if any(is_shared(inner) for inner in op.walk()):
        for region in op.regions:
            for block in region.blocks:
                for inner in block:
                    found.merge(_keyed(inner))
        return found
    for buffer, _ in (touched := accesses(op)).reads:
        found.note(buffer, LANE_ZERO, writes=False)
    for buffer, _ in touched.writes:
        found.note(buffer, LANE_ZERO, writes=True)
    return found
