"""Launches that begin before the launch before them has ended (programmatic dependent launch).

A kernel with roles that follows another launch starts early; the threads that read what the
earlier kernel wrote wait for it first, all others get ready meanwhile. Output is stored after
streamed tiles have arrived, so after the wait - but for tiles that stream nothing, where consumers
wait themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from kdsl.dialects.func import Func
from kdsl.dialects.kdsl import Launch
from kdsl.dialects.memref import Alloca, Dim
from kdsl.dialects.scf import If
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, BlockArgument, Module
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import WritesMemory
from kdsl.ir.types import MemRefType
from kdsl.passes.aliasing import may_alias
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.passes.parallel import functions_by_name, launches_by_kernel
from kdsl.target.target import Target
from kdsl_ptx.dialect import machine, tile


@dataclass(frozen=True)
class OverlapLaunches(Pass):
    """Let kernels with roles start while the launch before them is running."""

    name: ClassVar[str] = "overlap-launches"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        kernels = functions_by_name(module)
        for name, launches in launches_by_kernel(module).items():
            roles = roles_of(kernels[name])
            if roles is None or len(launches) != 1:
                continue
            before = _launch_before(launches[0])
            if before is not None:
                _overlap(launches[0], before, kernels, roles)
                changed = True
        return changed


@dataclass(frozen=True)
class SignalDependents(Pass):
    """Let a kernel say at its beginning that the next one may start, when that one waits for it."""

    name: ClassVar[str] = "signal-dependents"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        kernels = functions_by_name(module)
        followed: set[str] = set()
        for launches in launches_by_kernel(module).values():
            for launch in launches:
                before = _launch_before(launch) if tile.PDL in launch.attributes else None
                if before is not None:
                    followed.add(before.kernel.name)
        for name in sorted(followed):
            body = kernels[name].body
            if not isinstance(body.first, machine.GriddepLaunch):
                Builder(body, body.first, kernels[name].loc).add(machine.GriddepLaunch)
                changed = True
        return changed


def roles_of(kernel: Func) -> tile.Roles | None:
    """Return the roles of a kernel, None when it has none."""
    if not kernel.regions[0].blocks:
        return None
    return next((op for op in kernel.body if isinstance(op, tile.Roles)), None)


def _launch_before(launch: Launch) -> Launch | None:
    """Return the launch right before one in an entry, with nothing between but preparation."""
    op = launch.prev
    while op is not None and not isinstance(op, Launch):
        prepares = isinstance(op, tile.Counter | Alloca | Dim)
        if not prepares and not (isinstance(op, DeclaredOp) and op.is_pure):
            return None
        op = op.prev
    return op


def _overlap(launch: Launch, before: Launch, kernels: dict[str, Func], roles: tile.Roles) -> None:
    """Mark one launch, and insert the waits that it needs."""
    earlier = kernels[before.kernel.name]
    written = [before.args[a.index] for a in _written(earlier)]
    inner = roles_of(earlier)
    if inner is not None:
        written += [before.args[a.index] for a in _stored(inner, before, earlier)]
    touched = [v for v in before.args if isinstance(v.type, MemRefType)]
    kernel = kernels[launch.kernel.name]
    waiting = []
    for name, block in zip(tile.ROLES, (r.block for r in roles.regions), strict=True):
        reads = [launch.args[a.index] for a in _buffers(block, kernel, launch)]
        # The producer waits in any case: a launch after this one may count on this one alone.
        if name == "producer" or any(may_alias(r, w) for r in reads for w in written):
            Builder(block, block.first, kernel.loc).add(tile.GridDependencyWait)
            waiting.append(name)
    launch.attributes[tile.PDL] = None
    stores = [launch.args[a.index] for a in (*_written(kernel), *_stored(roles, launch, kernel))]
    if "consumer" not in waiting and any(may_alias(s, t) for s in stores for t in touched):
        for block in _empty_tiles(roles.consumer):
            Builder(block, block.first, kernel.loc).add(tile.GridDependencyWait)
    explain(kernel, f"starts before {earlier.sym_name} has ended: {', '.join(waiting)} wait")


def _buffers(block: Block, kernel: Func, launch: Launch) -> list[BlockArgument]:
    """Return the buffers that a role reads, by itself or through tensor maps."""
    found: dict[BlockArgument, None] = {}
    for op in (o for each in block for o in each.walk()):
        stores = isinstance(op, DeclaredOp) and WritesMemory in op.traits
        copied = op.maps if isinstance(op, tile.RingLoad | tile.TileLoad) else []
        for v in op.operands:
            if not isinstance(v, BlockArgument) or v.block is not kernel.body:
                continue
            if isinstance(v.type, MemRefType) and not stores and op.name != "memref.dim":
                found[v] = None
            elif v in copied:
                found.update((a, None) for a in _sources(launch, kernel, v))
    return list(found)


def _sources(launch: Launch, kernel: Func, where: BlockArgument) -> Iterator[BlockArgument]:
    """Yield the arguments that are the buffer of a tensor map."""
    made = launch.args[where.index].op
    if isinstance(made, tile.TensorMap):
        for argument, given in zip(kernel.body.args, launch.args, strict=True):
            if given is made.source:
                yield argument


def _written(kernel: Func) -> list[BlockArgument]:
    """Return the arguments that a kernel writes from registers."""
    found: dict[BlockArgument, None] = {}
    for op in kernel.walk():
        if isinstance(op, DeclaredOp) and WritesMemory in op.traits:
            for v in op.operands:
                is_own = isinstance(v, BlockArgument) and v.block is kernel.body
                if is_own and isinstance(v.type, MemRefType):
                    found[v] = None  # type: ignore[index]
    return list(found)


def _stored(roles: tile.Roles, launch: Launch, kernel: Func) -> Iterator[BlockArgument]:
    """Yield the arguments that a kernel writes by bulk copies."""
    for op in roles.walk():
        if isinstance(op, tile.TileStore) and isinstance(op.map, BlockArgument):
            yield from _sources(launch, kernel, op.map)


def _empty_tiles(block: Block) -> Iterator[Block]:
    """Yield the blocks of branches that stream nothing beside ones that do."""
    for op in (o for each in block for o in each.walk()):
        if isinstance(op, If) and len(op.regions[1].blocks) == 1:
            sides = [region.block for region in op.regions]
            waits = [any(isinstance(o, tile.RingWait) for o in side) for side in sides]
            if waits == [True, False]:
                yield sides[1]
