"""Dots: by matrix instructions where one fits, else by multiply-adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdsl.dialects.kdsl import Dot, Transpose
from kdsl.dialects.lanes import MatrixMultiply
from kdsl.ir.core import Value, defining_op
from kdsl.ir.types import TensorType
from kdsl.passes.distribute.dot_plan import DotPlan
from kdsl.passes.distribute.fma import multiply_add
from kdsl.passes.distribute.rearrange import convert
from kdsl.passes.distribute.scratch import into_scratch, padded
from kdsl.passes.distribute.staging import Staged
from kdsl.target.atoms import Atom
from kdsl.target.layout import Layout

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering

ROUNDED = 16
"""Elements: parts of a shared buffer begin at multiples, so that all accesses stay aligned."""


def lower_dot(op: Dot, low: Lowering) -> None:
    """Multiply two tiles and add a third."""
    plan = low.plan.dots[op]
    acc = low.fragment(op.acc, plan.c)
    if plan.atom is None:
        found = multiply_add(low, op, plan, acc)
    else:
        a = Operand(low, op.a, plan.a, plan.a_step, plan.atom.a, 1)
        b = Operand(low, op.b, plan.b, plan.b_step, plan.atom.b, 0)
        found = multiply(low, plan, a, b, acc)
    low.bind(op.y, convert(low, found, plan.c, low.layout_of(op.y)))


class Operand:
    """Gives the registers of an operand atom by atom.

    What is in workgroup memory is read for one step of the inner axis at a time, right before it
    is multiplied: registers are scarce there. What other lanes hold goes there in parts.
    """

    def __init__(
        self, low: Lowering, value: Value, layout: Layout, step: Layout, atom: Layout, inner: int
    ) -> None:
        self.low = low
        self.value = value
        self.atom = atom
        self.inner = inner
        self.depths = _starts(layout, inner, atom.shape[inner])
        self.others = _starts(layout, 1 - inner, atom.shape[1 - inner])
        held = low.held(value)
        self.staged = held if isinstance(held, Staged) else None
        self.is_moved = self.staged is None and not low.is_near(value, layout)
        is_whole = self.staged is None and not self.is_moved
        self.whole = low.fragment(value, layout) if is_whole else None
        self.layout = layout if is_whole else step
        self._first = 0
        self._places = _places(self.layout)

    @property
    def row_bytes(self) -> int:
        """How much workgroup memory one step of the inner axis takes, when it is moved there."""
        kind = self.value.type
        assert isinstance(kind, TensorType)
        return kind.shape[1 - self.inner] * max(8, kind.element.bits) // 8 if self.is_moved else 0

    def move(self, buffer: Value, start: int, first: int, count: int) -> int:
        """Write steps ``first`` on to workgroup memory; return where there is room again."""
        kind = self.value.type
        assert isinstance(kind, TensorType)
        turn = defining_op(self.value, Transpose)
        source: Value = self.value if turn is None else turn.x
        inner = self.inner if turn is None else 1 - self.inner
        # The last axis of the tile as it was made is the one that was contiguous in memory.
        shape = [kind.shape[1 - self.inner]] * 2
        shape[inner] = count
        (row, _), size = padded(shape, kind.element)
        steps = (row, 1) if turn is None else (1, row)
        self.staged = Staged(buffer, kind.element, steps, None, start)
        self._first = first
        turned = (row, 1)
        base = start - first * turned[inner]
        layout = self.low.layout_of(source)
        fragment = self.low.fragment(source, layout)
        window = None if count == kind.shape[self.inner] else (inner, first, count)
        into_scratch(self.low, buffer, fragment, layout, turned, base, window=window)
        return start + -(-size // ROUNDED) * ROUNDED

    def step(self, depth: int) -> dict[int, Value]:
        """Return the atoms' registers at ``depth``, by where they are along the outer axis."""
        fragment = self.whole
        if self.staged is not None:
            moved = self.staged.moved(self.inner, depth - self._first)
            fragment, depth = moved.read(self.low, self.layout), 0
        assert fragment is not None
        found = {}
        for other in self.others:
            start = (depth, other) if self.inner == 0 else (other, depth)
            mask = _mask(self.atom, self._places, self.layout, start)
            found[other] = self.low.lane.pick(fragment, mask)
        return found


def multiply(low: Lowering, plan: DotPlan, a: Operand, b: Operand, c: Value) -> Value:
    """Return ``c + a @ b`` in the plan's layout of c, atom by atom."""
    atom = plan.atom
    assert atom is not None
    places = _places(plan.c)
    masks = {(i, j): _mask(atom.c, places, plan.c, (i, j)) for i in a.others for j in b.others}
    sums = {at: low.lane.pick(c, mask) for at, mask in masks.items()}
    moved = [side for side in (a, b) if side.is_moved]
    chunk = _chunk(low, a, b, atom.k, len(a.depths))
    for depth in a.depths:
        if moved and depth % chunk == 0:
            if depth:
                low.barrier()
            _move(low, plan, moved, depth, chunk)
        left, right = a.step(depth), b.step(depth)
        for (i, j), total in sums.items():
            sums[i, j] = low.builder.create(
                MatrixMultiply, left[i], right[j], total, atom=atom.name
            )
    if moved:
        low.barrier()
    return _assembled(low, plan.c, atom, sums, masks)


def _chunk(low: Lowering, a: Operand, b: Operand, depth: int, count: int) -> int:
    """Return how many steps of the inner axis are in workgroup memory at once."""
    room = low.spare_bytes() // 2
    for parts in range(1, count + 1):
        if count % parts == 0 and (count // parts) * depth * (a.row_bytes + b.row_bytes) <= room:
            return count // parts * depth
    return depth


def _move(low: Lowering, plan: DotPlan, sides: list[Operand], first: int, count: int) -> None:
    """Write a part of the operands to workgroup memory."""
    room = sum(
        (side.row_bytes * 8 // max(8, plan.element.bits) + ROUNDED) * (count + ROUNDED)
        for side in sides
    )
    buffer = low.lane.scratch(plan.element, room)
    start = 0
    for side in sides:
        start = side.move(buffer, start, first, count)
    low.barrier()


def _starts(layout: Layout, axis: int, atom: int) -> list[int]:
    """Return what registers add to an index along an axis beyond one atom's own extent."""
    extent = min(atom, layout.shape[axis])
    found = {int(c) // extent * extent for c in layout.coordinates("reg")[:, axis]}
    return sorted(found)


def _places(layout: Layout) -> dict[tuple[int, int], int]:
    """Return the register for each pair of indices that registers add."""
    return {(int(r), int(c)): n for n, (r, c) in enumerate(layout.coordinates("reg"))}


def _mask(
    atom: Layout, places: dict[tuple[int, int], int], whole: Layout, start: tuple[int, int]
) -> list[int]:
    """Return the registers that an atom at ``start`` takes, in its own order.

    Where the tile is smaller than the atom, its elements are taken several times.
    """
    extents = np.minimum(atom.shape, whole.shape)
    at = atom.coordinates("reg") % extents + np.array(start)
    return [places[int(r), int(c)] for r, c in at]


def _assembled(
    low: Lowering,
    layout: Layout,
    atom: Atom,
    sums: dict[tuple[int, int], Value],
    masks: dict[tuple[int, int], list[int]],
) -> Value:
    """Put the accumulators of all atoms into one fragment."""
    lane = low.lane
    joined = lane.join(list(sums.values()))
    back = [-1] * layout.registers
    size = atom.c.registers
    for n, at in enumerate(sums):
        for i, register in enumerate(masks[at]):
            if back[register] < 0:
                back[register] = n * size + i
    return lane.pick(joined, back)
