"""Choosing the layout of every tile: from dots outwards, else for wide memory accesses.

Tiles that elementwise ops, branches and loops tie together share a layout. A layout spreads from
those that know theirs along ops that only move elements; where two meet, elements are moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from kdsl.dialects.kdsl import (
    Broadcast,
    Concat,
    Dot,
    Gather,
    LoadTile,
    Reduce,
    Reshape,
    Scan,
    Scatter,
    Slice,
    StoreTile,
    Transpose,
)
from kdsl.dialects.scf import For, If, While
from kdsl.ir.core import Block, Op, Value
from kdsl.ir.define import Elementwise
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import TensorType, element_type
from kdsl.passes.distribute.dot_plan import DotPlan, plan_dot
from kdsl.passes.distribute.lazy import is_lazy
from kdsl.passes.distribute.project import broadcast_layout, slice_layout, unslice_layout
from kdsl.passes.distribute.scan_layout import scan_layout
from kdsl.passes.distribute.stage import Stage, stages_of
from kdsl.passes.tile_layout import unit_axis
from kdsl.target.features import Features
from kdsl.target.layout import Layout, blocked

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Table

Transfer = Callable[[Layout], Layout | None]
Edge = tuple[Value, Value, Transfer]


@dataclass(slots=True)
class Plan:
    """The layouts of tiles, those without one of their own, and how each dot is done."""

    layouts: dict[Value, Layout]
    lazy: set[Value]
    dots: dict[Op, DotPlan]
    stages: dict[Op, Stage] = field(default_factory=dict)


def infer(block: Block, features: Features, warps: int, table: Table) -> Plan:
    """Choose a layout for every tile of a block and of what is inside it."""
    ops = list(walk(block, table.apart))
    solver = _Solver(features, warps)
    for op in ops:
        solver.note_lazy(op)
    for op in ops:
        solver.tie(op)
    anchors, wishes = [], []
    by_rows = any(isinstance(o, Reduce) and o.x.type.rank == 2 and o.axis == 1 for o in ops)
    dots: dict[Op, DotPlan] = {}
    for op in ops:
        if isinstance(op, Dot) and type(op) not in table.rules:
            plan = dots[op] = plan_dot(op, features, warps, by_rows=by_rows)
            anchors.append((op.y, plan.c))
            if plan.atom is not None:
                wishes.append((op.a, plan.a))
        elif isinstance(op, Scan):
            kind = op.x.type
            anchors.append((op.y, scan_layout(kind.shape, op.axis, solver.lanes, warps)))
        if type(op) in table.anchors:
            anchors += table.anchors[type(op)](op, warps)
        if type(op) in table.demands:
            wishes += table.demands[type(op)](op, warps)
    for value, layout in anchors:
        solver.give(value, layout)
    solver.spread()
    for value, layout in wishes:
        solver.give(value, layout)
        solver.spread()
    for value, layout in solver.seeds(ops):
        solver.give(value, layout)
        solver.spread()
    staged = stages_of(ops, dots, features, warps)
    return Plan(solver.result(), solver.lazy, dots, staged)


def walk(block: Block, apart: tuple[type[Op], ...]) -> Iterator[Op]:
    """Yield the ops of a block, outer before inner, without regions that have their own lanes."""
    for op in block:
        yield op
        if not isinstance(op, apart):
            for region in op.regions:
                for inner in region.blocks:
                    yield from walk(inner, apart)


def is_tile(value: Value) -> bool:
    """Return whether a value is a tile."""
    return isinstance(value.type, TensorType)


class _Solver:
    """Groups of tiles with one layout, and the edges along which layouts spread."""

    def __init__(self, features: Features, warps: int) -> None:
        self.features = features
        self.lanes = max(1, features.subgroup)
        self.warps = warps
        self.lazy: set[Value] = set()
        self.tiles: list[Value] = []
        self._parent: dict[Value, Value] = {}
        self._layouts: dict[Value, Layout] = {}
        self._edges: dict[Value, list[Edge]] = {}
        self._changed: list[Value] = []

    # ------------------------------------------------------------------------------ structure

    def note_lazy(self, op: Op) -> None:
        for value in [*op.results, *(a for r in op.regions for b in r.blocks for a in b.args)]:
            if is_tile(value):
                self.tiles.append(value)
                self._parent[value] = value
        if is_lazy(op, self.lazy):
            self.lazy.add(op.results[0])

    def root(self, value: Value) -> Value:
        """Return the group of a tile."""
        found = value
        while self._parent.setdefault(found, found) is not found:
            found = self._parent[found]
        self._parent[value] = found
        return found

    def unite(self, values: list[Value]) -> None:
        """Give tiles one layout; lazy ones have none."""
        row = [v for v in values if is_tile(v) and v not in self.lazy]
        for a, b in pairwise(row):
            one, two = self.root(a), self.root(b)
            if one is not two:
                self._parent[two] = one

    def tie(self, op: Op) -> None:
        """Note what an op says about the layouts of what it reads and makes."""
        if isinstance(op, For):
            for group in zip(op.inits, op.carried, op.yields.operands, op.results, strict=True):
                self.unite(list(group))
        elif isinstance(op, If):
            for i, out in enumerate(op.results):
                ends = [b.last.operands[i] for r in op.regions for b in r.blocks if b.last]
                self.unite([out, *ends])
        elif isinstance(op, While):
            self._tie_while(op)
        elif isinstance(op, Dot):
            self.unite([op.acc, op.y])
        elif isinstance(op, Scatter | Gather):
            self.unite([v for v in (*op.operands, *op.results) if is_tile(v)])
        elif isinstance(op, DeclaredOp) and Elementwise in op.traits:
            self.unite([*op.results, *op.operands])
        else:
            self._tie_move(op)

    def _tie_while(self, op: While) -> None:
        before, after = (region.block for region in op.regions)
        assert before.last is not None
        assert after.last is not None
        for group in zip(op.inits, before.args, after.last.operands, strict=True):
            self.unite(list(group))
        for group in zip(before.last.operands[1:], after.args, op.results, strict=True):
            self.unite(list(group))

    def _tie_move(self, op: Op) -> None:
        if isinstance(op, Reduce):
            self._edge(op.x, op.y, lambda x: x.drop(op.axis))
        elif isinstance(op, Broadcast):
            self._edge(op.y, op.x, lambda y: broadcast_layout(op, y))
        elif isinstance(op, Transpose):
            order = op.permutation
            back = [order.index(i) for i in range(len(order))]
            self._edge(op.x, op.y, lambda x: x.permute(order))
            self._edge(op.y, op.x, lambda y: y.permute(back))
        elif isinstance(op, Reshape):
            self._edge(op.x, op.y, lambda x: x.reshape(op.y.type.shape))
            self._edge(op.y, op.x, lambda y: y.reshape(op.x.type.shape))
        elif isinstance(op, Slice):
            self._edge(op.x, op.y, lambda x: slice_layout(op, x))
            self._edge(op.y, op.x, lambda y: unslice_layout(op, y))
        elif isinstance(op, Concat):
            self._tie_concat(op)

    def _tie_concat(self, op: Concat) -> None:
        extents = [p.type.shape[op.axis] for p in op.parts]
        at = 0
        for part, extent in zip(op.parts, extents, strict=True):
            self._edge(op.y, part, lambda y, at=at, n=extent: y.slice(op.axis, at, n))  # type: ignore[misc]
            at += extent
        self._edge(op.parts[0], op.y, lambda x: x.concat(op.axis, extents))

    def _edge(self, source: Value, target: Value, transfer: Transfer) -> None:
        if is_tile(source) and is_tile(target) and not {source, target} & self.lazy:
            self._edges.setdefault(source, []).append((source, target, transfer))

    # -------------------------------------------------------------------------------- solving

    def give(self, value: Value, layout: Layout) -> None:
        """Let a tile's group have a layout, unless it has one."""
        root = self.root(value)
        if value not in self.lazy and root not in self._layouts:
            self._layouts[root] = layout
            self._changed.append(root)

    def spread(self) -> None:
        """Follow the edges until nothing new is known."""
        members: dict[Value, list[Value]] = {}
        for value in self.tiles:
            members.setdefault(self.root(value), []).append(value)
        while self._changed:
            root = self._changed.pop(0)
            for value in members.get(root, ()):
                for _, target, transfer in self._edges.get(value, ()):
                    if self.root(target) not in self._layouts:
                        found = transfer(self._layouts[root])
                        if found is not None:
                            self.give(target, found)

    def seeds(self, ops: list[Op]) -> Iterator[tuple[Value, Layout]]:
        """Yield layouts for what is left: parts of tiles, then the largest that touch memory.

        A whole whose parts lie in the same lanes costs nothing to cut and to join; it is then read
        in as many runs as it has parts.
        """
        yield from self._parts(ops)
        touched: dict[Value, tuple[int, int, int | None]] = {}
        for op in ops:
            if isinstance(op, LoadTile | StoreTile | Gather | Scatter):
                value = op.results[0] if op.results else op.operands[0]
                kind = value.type
                assert isinstance(kind, TensorType)
                axis = unit_axis(op) if isinstance(op, LoadTile | StoreTile) else None
                bits = element_type(kind).bits
                root = self.root(value)
                known = touched.get(root)
                if known is None or bits < known[1]:
                    touched[root] = (kind.size, bits, axis)
        for root, (_, bits, axis) in sorted(touched.items(), key=lambda item: -item[1][0]):
            yield root, self._blocked(root, bits, axis)
        rest = sorted(self.tiles, key=lambda v: -v.type.size)  # type: ignore[attr-defined]
        for value in rest:
            if value not in self.lazy and self.root(value) not in self._layouts:
                yield value, self._blocked(value, element_type(value.type).bits, None)

    def _parts(self, ops: list[Op]) -> Iterator[tuple[Value, Layout]]:
        bits = [
            element_type((op.results or op.operands)[0].type).bits
            for op in ops
            if isinstance(op, LoadTile | StoreTile)
        ]
        for op in ops:
            if isinstance(op, Slice | Concat):
                parts = [op.y] if isinstance(op, Slice) else list(op.parts)
                for part in parts:
                    if part not in self.lazy and self.root(part) not in self._layouts:
                        yield part, self._blocked(part, min(bits, default=32), None)

    def _blocked(self, value: Value, bits: int, axis: int | None) -> Layout:
        kind = value.type
        assert isinstance(kind, TensorType)
        return blocked(kind.shape, bits, self.lanes, self.warps, axis)

    def result(self) -> dict[Value, Layout]:
        """Return the layout of each tile."""
        return {
            v: self._blocked(v, element_type(v.type).bits, None)
            if v in self.lazy
            else self._layouts[self.root(v)]
            for v in self.tiles
        }
