"""The pass: plan each function that has tiles, then write its nests and drop the tiles."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.kdsl import Dot, LoadTile, Scan, Scatter
from kdsl.dialects.scf import Condition, For, If, While, Yield
from kdsl.errors import TileShapeError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Op, Region, Value
from kdsl.ir.location import Location
from kdsl.ir.types import TensorType
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.passes.tile_layout import TileLayout, assign_lanes
from kdsl.passes.tile_to_loops.emit import emit_group
from kdsl.passes.tile_to_loops.irregular import emit_scan, emit_scatter
from kdsl.passes.tile_to_loops.micro import emit_dot
from kdsl.passes.tile_to_loops.normalize import normalize
from kdsl.passes.tile_to_loops.plan import Plan, is_tile, is_tile_op
from kdsl.passes.tile_to_loops.schedule import ConflictError, Scheduler
from kdsl.passes.tile_to_loops.scratch import Workspace
from kdsl.passes.tile_to_loops.tasks import Group, Program, pack_task
from kdsl.target.target import Target


@dataclass(frozen=True)
class TileToLoops(Pass):
    """Write tile ops as loops over scalars and vectors, with scratch buffers on the stack."""

    name = "tile-to-loops"

    def run(self, module: Module, target: Target) -> bool:
        changed = False
        for function in module.functions:
            if any(_has_tiles(op) for op in function.walk()):
                _lower(function, target)
                changed = True
        return changed


def _has_tiles(op: Op) -> bool:
    return any(isinstance(r.type, TensorType) for r in op.results)


def _lower(function: Op, target: Target) -> None:
    normalize(function)
    _check(function)
    layout = assign_lanes(function, target)
    plan, programs = _plan(function, layout)
    for line in plan.describe():
        explain(function, line)
    _Lowering(plan, programs, Workspace(function, layout), target).run()


def _check(function: Op) -> None:
    for op in function.walk():
        for r in op.results:
            if isinstance(r.type, TensorType) and (not r.type.is_static or 0 in r.type.shape):
                raise TileShapeError(
                    op.loc,
                    op=op.name,
                    shape=str(r.type),
                    why="has a size that is not a positive constant",
                    advice="make the size a Const parameter",
                )


def _plan(function: Op, layout: TileLayout) -> tuple[Plan, dict[Block, Program]]:
    """Plan until no load is passed by a write to memory."""
    kept: set[Value] = set()
    while True:
        plan = Plan(function, layout, kept)
        scheduler = Scheduler(plan)
        try:
            scheduler.run(function.body)
        except ConflictError as conflict:
            kept.add(conflict.value)
            continue
        return plan, scheduler.programs


class _Lowering:
    """Writes the program of every block of one function."""

    def __init__(
        self, plan: Plan, programs: dict[Block, Program], space: Workspace, target: Target
    ) -> None:
        self.plan = plan
        self.programs = programs
        self.space = space
        self.registers = target.features.vector_registers
        self.dead: list[Op] = []

    def run(self) -> None:
        function = self.plan.function
        self.dead = [op for op in function.walk() if is_tile_op(op)]
        self.block(function.body, function.body)
        for op in self.dead:
            op.drop_uses()
        for op in self.dead:
            op.detach()
        self.space.finish()

    def block(self, known: Block, block: Block) -> None:
        """Write the program that was made for ``known`` into ``block``, where its ops are now."""
        program = self.programs[known]
        anchors: list[Op | None] = []
        following: Op | None = None
        for item in reversed(program.items):
            anchors.append(following)
            if isinstance(item, Op):
                following = item
        for item, anchor in zip(program.items, reversed(anchors), strict=True):
            if isinstance(item, Group):
                self.group(item, Builder(block, anchor, _location(item)))
            elif item.regions:
                self.control(item)
            elif isinstance(item, Yield | Condition):
                item.set_operands([v for v in item.operands if not is_tile(v)])

    def group(self, group: Group, b: Builder) -> None:
        op = group.first.op
        if isinstance(op, Dot) and group.first.kind == "dot":

            def pack(value: Value, load: LoadTile) -> None:
                emit_group(self.plan, self.space, b, Group([pack_task(self.plan, value, load)]))

            text = emit_dot(self.plan, self.space, b, op, self.registers, pack)
            explain(self.plan.function, text)
        elif isinstance(op, Scan) and group.first.kind == "scan":
            emit_scan(self.plan, self.space, b, op)
        elif isinstance(op, Scatter) and group.first.kind == "scatter":
            emit_scatter(self.plan, self.space, b, op)
        else:
            emit_group(self.plan, self.space, b, group)

    def control(self, op: Op) -> None:
        """Make a loop or branch anew without its tiles, and lower what is inside."""
        assert isinstance(op, For | If | While)
        known = [b for region in op.regions for b in region.blocks]
        if any(is_tile(v) for v in (*op.operands, *op.results)):
            op = self.without_tiles(op)
        blocks = [b for region in op.regions for b in region.blocks]
        for old, new in zip(known, blocks, strict=True):
            self.block(old, new)

    def without_tiles(self, op: For | If | While) -> For | If | While:
        regions = []
        for region in op.regions:
            copy = Region()
            for block in region.blocks:
                copy.add(_without_tile_arguments(block))
            regions.append(copy)
        kept = [r for r in op.results if not is_tile(r)]
        made = type(op)(
            [v for v in op.operands if not is_tile(v)],
            [r.type for r in kept],
            dict(op.attributes),
            regions,
            op.loc,
        )
        assert op.parent is not None
        op.parent.insert_before(op, made)
        for old, new in zip(kept, made.results, strict=True):
            new.name = old.name
            old.replace_by(new)
        self.dead.append(op)
        return made


def _location(group: Group) -> Location | None:
    op = group.first.op if group.first.op is not None else group.first.value.op
    return None if op is None else op.loc


def _without_tile_arguments(block: Block) -> Block:
    """Move a block's ops into a new one that has only the other arguments."""
    kept = [a for a in block.args if not is_tile(a)]
    made = Block([a.type for a in kept], [a.name for a in kept])
    for old, new in zip(kept, made.args, strict=True):
        old.replace_by(new)
    for op in list(block):
        block.remove(op)
        made.append(op)
    return made
