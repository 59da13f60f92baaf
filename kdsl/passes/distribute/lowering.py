"""Writes what one lane does: op by op, by rules, with each tile's registers as one flat vector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from kdsl.dialects.scf import If, Yield
from kdsl.errors import CannotLegalizeError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import TensorType, VectorType, vector
from kdsl.passes.distribute.hazards import Hazards
from kdsl.passes.distribute.infer import Plan, infer
from kdsl.passes.distribute.lane import Lane
from kdsl.passes.distribute.lazy import compute_lazily
from kdsl.passes.distribute.order import Event, Order
from kdsl.passes.distribute.rearrange import View, convert, in_registers
from kdsl.passes.distribute.stage import Stage, staged_bytes
from kdsl.target.features import Features
from kdsl.target.layout import Layout, row_major
from kdsl.target.target import Target

Rule = Callable[[Any, "Lowering"], None]
"""Writes an op for a lane: reads fragments and scalars of its operands, binds its results."""


class Held(Protocol):
    """A tile that is somewhere else than in registers, as a rule of its own bound it."""

    def read(self, low: Lowering, layout: Layout) -> Value:
        """Return the tile's registers in a layout."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a back end adds: rules, and layouts that its ops insist on.

    ``anchors`` gives for an op the layouts of some of its results (or operands). ``apart`` are ops
    whose regions have lanes of their own; their rules call ``Lowering.role``.
    """

    rules: dict[type[Op], Rule] = field(default_factory=dict)
    anchors: dict[type[Op], Callable[[Any, int], Iterable[tuple[Value, Layout]]]] = field(
        default_factory=dict
    )
    demands: dict[type[Op], Callable[[Any, int], Iterable[tuple[Value, Layout]]]] = field(
        default_factory=dict
    )
    apart: tuple[type[Op], ...] = ()


class Lowering:
    """The state of lowering one kernel: what each value has become.

    Scalars and buffers map to new values; tiles to registers in a layout (``bind``), to something
    that can be read in any layout (``hold``), or to nothing yet when they are computed where they
    are read.
    """

    def __init__(self, function: Op, target: Target, lane: Lane, table: Table) -> None:
        self.function = function
        self.target = target
        self.features: Features = target.features
        self.lane = lane
        self.table = table
        self.plan = Plan({}, set(), {})
        self.hazards = Hazards()
        self.order = Order()
        self.scalars: dict[Value, Value] = {}
        self._held: dict[Value, Held] = {}
        self._buffers: dict[Op, Value] = {}
        self._scopes: list[dict[tuple[Value, Layout], Value]] = [{}]

    # ------------------------------------------------------------------------------- layouts

    def assign(self, block: Block) -> None:
        """Choose layouts for the tiles of a block and of what is inside it."""
        found = infer(block, self.features, self.lane.warps, self.table)
        self.plan = Plan(
            {**self.plan.layouts, **found.layouts},
            self.plan.lazy | found.lazy,
            {**self.plan.dots, **found.dots},
            {**self.plan.stages, **found.stages},
        )

    def layout_of(self, value: Value) -> Layout:
        """Return the layout in which a tile is computed."""
        return self.plan.layouts[value]

    # -------------------------------------------------------------------------------- values

    @property
    def builder(self) -> Builder:
        return self.lane.builder

    def scalar(self, value: Value) -> Value:
        """Return what a scalar or buffer has become."""
        return self.scalars.get(value, value)

    def bind(self, value: Value, fragment: Value, layout: Layout | None = None) -> None:
        """Say that a tile's registers are ``fragment``, in its own layout unless told."""
        layout = self.layout_of(value) if layout is None else layout
        kind = value.type
        assert isinstance(kind, TensorType)
        wanted = vector(layout.registers, kind.element)
        assert fragment.type is wanted, f"{fragment.type} bound where {wanted} is wanted"
        if fragment.name is None:
            fragment.name = value.name
        self.plan.layouts[value] = layout
        self._scopes[-1][(value, layout)] = fragment

    def hold(self, value: Value, held: Held) -> None:
        """Say that a tile is somewhere else."""
        self._held[value] = held

    def held(self, value: Value) -> Held | None:
        """Return where a tile is when it is not in registers."""
        return self._held.get(value)

    def fragment(self, value: Value, layout: Layout | None = None) -> Value:
        """Return a tile's registers, in its own layout unless told."""
        if layout is None:
            layout = self.layout_of(value)
        found = self._known(value, layout)
        if found is None:
            found = self._made(value, layout)
            self._scopes[-1][(value, layout)] = found
        return found

    def _known(self, value: Value, layout: Layout) -> Value | None:
        for scope in reversed(self._scopes):
            found = scope.get((value, layout))
            if found is not None:
                return found
        return None

    def _made(self, value: Value, layout: Layout) -> Value:
        held = self._held.get(value)
        if held is not None:
            return held.read(self, layout)
        if value in self.plan.lazy:
            return compute_lazily(self, value, layout)
        own = self.layout_of(value)
        source = self._known(value, own)
        assert source is not None, f"{value} is read before it is computed"
        return convert(self, source, own, layout)

    def is_near(self, value: Value, layout: Layout) -> bool:
        """Return whether a tile comes to a layout without workgroup memory."""
        if value in self.plan.lazy or self._known(value, layout) is not None:
            return True
        if value in self._held:
            return False
        own = self.layout_of(value)
        strides = tuple(row_major(own.shape))
        return in_registers([View(own, strides)], View(layout, strides)) is not None

    def buffer(self, stage: Stage) -> Value:
        """Return the workgroup memory of a staged load."""
        found = self._buffers.get(stage.home)
        if found is None:
            found = self.lane.allocate((stage.room,), stage.element)
            self._buffers[stage.home] = found
        return found

    def spare_bytes(self) -> int:
        """Return how much workgroup memory staged tiles leave."""
        staged = self.features.shared_bytes - staged_bytes(self.plan.stages.values())
        return max(0, staged)

    # ------------------------------------------------------------------------------- control

    @contextmanager
    def scope(self, block: Block) -> Iterator[Builder]:
        """Write into another block; what is computed there is known only there."""
        self._scopes.append({})
        try:
            with self.builder.at(block):
                yield self.builder
        finally:
            self._scopes.pop()

    @contextmanager
    def role(self, block: Block, lane: Lane) -> Iterator[Lane]:
        """Lower the old ``block`` for other lanes, which ``lane`` numbers and counts."""
        saved = self.lane, self.plan, self.hazards, self.order
        self.lane, self.hazards, self.order = lane, Hazards(), Order()
        self._scopes.append({})
        try:
            self.assign(block)
            yield lane
            self.settle(self.order.finish())
        finally:
            self._scopes.pop()
            self.lane, self.plan, self.hazards, self.order = saved

    def barrier(self) -> None:
        """Wait for all lanes; what they did to memory is then behind everyone."""
        self.lane.barrier()
        self.hazards.clear()
        self.order.barrier()

    def settle(self, late: Iterable[Event]) -> None:
        """Put barriers before writes to staging buffers that others may still read."""
        for event in late:
            assert event.block is not None
            anchor = event.block.first if event.before is None else event.before.next
            with self.builder.at(event.block, anchor):
                self.lane.barrier()

    def block(self, block: Block) -> None:
        """Lower the ops of a block, where the builder stands."""
        from kdsl.passes.distribute.rules import RULES, lower_plain

        for op in block:
            self.builder.loc = op.loc
            rule = self.table.rules.get(type(op)) or RULES.get(type(op))
            if rule is not None:
                rule(op, self)
            elif has_tiles(op):
                self._tile_op(op)
            else:
                lower_plain(op, self)

    def _tile_op(self, op: Op) -> None:
        from kdsl.passes.distribute.elementwise import is_elementwise, lower_elementwise

        if all(r in self.plan.lazy for r in op.results):
            return
        if not is_elementwise(op):
            kinds = ", ".join(str(v.type) for v in (*op.operands, *op.results))
            raise CannotLegalizeError(op.loc, target=self.target, op=op.name, type=kinds)
        lower_elementwise(op, self)

    def clone(self, op: Op) -> Op:
        """Copy an op that has no tiles."""
        return self.builder.insert(op.clone(self.scalars))

    def choose(
        self,
        condition: Value,
        types: list[Any],
        then: Callable[[], list[Value]],
        otherwise: Callable[[], list[Value]] | None = None,
    ) -> list[Value]:
        """Write an ``scf.if`` whose branches are written by functions."""
        regions = [Region([Block()]), Region([Block()] if otherwise else [])]
        op = self.builder.add(If, condition, types=types, regions=regions)
        for region, write in zip(regions, (then, otherwise), strict=True):
            if write is not None:
                with self.scope(region.block):
                    self.builder.add(Yield, write())
        return list(op.results)


def has_tiles(op: Op) -> bool:
    """Return whether an op reads or makes tiles."""
    return any(isinstance(v.type, TensorType) for v in (*op.operands, *op.results))


def registers_type(value: Value, layout: Layout) -> VectorType:
    """Return the type of a tile's registers in a layout."""
    kind = value.type
    assert isinstance(kind, TensorType)
    return vector(layout.registers, kind.element)


def is_declared(op: Op | None) -> bool:
    """Return whether an op is of a known class."""
    return isinstance(op, DeclaredOp)
