"""Scans and scatters: nests whose points depend on their order."""

from __future__ import annotations

from kdsl.dialects.kdsl import Scan, Scatter
from kdsl.dialects.memref import ATOMIC_KINDS, AtomicRmw
from kdsl.dialects.memref import Store as ScalarStore
from kdsl.dialects.scf import If, Yield
from kdsl.errors import TileShapeError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Region, Value
from kdsl.ir.types import element_type
from kdsl.passes.tile_to_loops.access import write_scratch
from kdsl.passes.tile_to_loops.combine import combine, neutral
from kdsl.passes.tile_to_loops.nest import ORIGIN, Coord, Nest
from kdsl.passes.tile_to_loops.plan import Plan
from kdsl.passes.tile_to_loops.pull import Puller
from kdsl.passes.tile_to_loops.scratch import Workspace


def emit_scan(plan: Plan, space: Workspace, b: Builder, op: Scan) -> None:
    """Write a running combination: vectors side by side, or lane after lane along the lane axis."""
    shape, axis, lane = op.x.type.shape, op.axis, plan.lane(op.y)
    vertical = lane != axis
    width = plan.layout.width(shape[lane]) if vertical else 1
    nest = Nest(space, b, width)
    puller = Puller(plan, nest)
    home = plan.home(op.y)
    element = element_type(op.x.type)
    start = space.constant(neutral(op.kind, element), nest.lanes(element))

    def run(coords: list[Coord]) -> None:
        loop = nest.open(0, shape[axis], 1, [start])
        at = list(coords)
        at[axis] = loop.at
        value = puller.vector(op.x, tuple(at), lane if vertical else None)[0]
        total = combine(nest.inner, op.kind, loop.carried[0], value)
        write_scratch(nest, home, tuple(at), lane, total)
        nest.close(loop, [total])

    def outer(axes: list[int], coords: list[Coord]) -> None:
        if not axes:
            run(coords)
            return
        first, rest = axes[0], axes[1:]
        for low, high, step, count in _pieces(shape[first], width if first == lane else 1):
            nest.count = count if first == lane else nest.count
            loop = nest.open(low, high, step)
            at = list(coords)
            at[first] = loop.at
            outer(rest, at)
            nest.close(loop)
        nest.count = nest.width

    outer([a for a in range(len(shape)) if a != axis], [ORIGIN] * len(shape))


def _pieces(extent: int, width: int) -> list[tuple[int, int, int, int]]:
    whole = extent - extent % width
    found = [(0, whole, width, width)] if whole else []
    if extent > whole:
        found.append((whole, extent, width, extent - whole))
    return found


def emit_scatter(plan: Plan, space: Workspace, b: Builder, op: Scatter) -> None:
    """Write one element after the other, in row-major order, where the mask holds."""
    if op.kind != "assign" and op.kind not in ATOMIC_KINDS:
        raise TileShapeError(
            op.loc,
            op=op.name,
            shape=str(op.value.type),
            why=f"cannot be combined atomically by {op.kind!r}",
            advice=f"use one of {', '.join(ATOMIC_KINDS)}",
        )
    nest = Nest(space, b, 1)
    puller = Puller(plan, nest)
    coords = []
    loops = []
    for extent in op.value.type.shape:
        loops.append(nest.open(0, extent))
        coords.append(loops[-1].at)
    value, mask, *indices = (
        puller.pull(v, tuple(coords), None)[0] for v in (op.value, op.mask, *op.indices)
    )
    choice = nest.inner.add(If, mask, types=[], regions=[Region([Block()]), Region([])])
    inner = Builder(choice.then_block, None, op.loc)
    _write(inner, op, value, list(indices))
    inner.add(Yield, [])
    for loop in reversed(loops):
        nest.close(loop)


def _write(b: Builder, op: Scatter, value: Value, indices: list[Value]) -> None:
    if op.kind == "assign":
        b.create(ScalarStore, value, op.target, indices)
    else:
        b.create(AtomicRmw, value, op.target, indices, kind=ATOMIC_KINDS.index(op.kind))
