"""Dots: by matrix instructions where one fits, else by multiply-adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdsl.dialects.arith import Extf
from kdsl.dialects.kdsl import Dot, Transpose
from kdsl.dialects.lanes import MatrixMultiply
from kdsl.ir.core import Value
from kdsl.ir.types import ScalarType, element_type
from kdsl.passes.distribute.dot_plan import DotPlan
from kdsl.passes.distribute.fma import multiply_add
from kdsl.passes.distribute.rearrange import convert
from kdsl.target.atoms import Atom
from kdsl.target.layout import Layout

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering


def lower_dot(op: Dot, low: Lowering) -> None:
    """Multiply two tiles and add a third."""
    plan = low.plan.dots[op]
    acc = low.fragment(op.acc, plan.c)
    if plan.atom is None:
        found = multiply_add(low, op, plan, acc)
    else:
        a = operand(low, op.a, plan.element, plan.a)
        b = operand(low, op.b, plan.element, plan.b)
        found = multiply(low, plan, a, b, acc)
    low.bind(op.y, convert(low, found, plan.c, low.layout_of(op.y)))


def operand(low: Lowering, value: Value, element: ScalarType, layout: Layout) -> Value:
    """Return an operand's registers as the type that it was before it was widened."""
    if element_type(value.type) is element:
        return low.fragment(value, layout)
    if isinstance(value.op, Transpose):
        order = value.op.permutation
        back = [order.index(i) for i in range(len(order))]
        return operand(low, value.op.x, element, layout.permute(back))
    assert isinstance(value.op, Extf)
    return low.fragment(value.op.x, layout)


def multiply(low: Lowering, plan: DotPlan, a: Value, b: Value, c: Value) -> Value:
    """Return ``c + a @ b`` of fragments in the plan's layouts, atom by atom."""
    atom = plan.atom
    assert atom is not None
    lane = low.lane
    rows, columns, depths = (
        _starts(plan.c, 0, atom.m), _starts(plan.c, 1, atom.n), _starts(plan.a, 1, atom.k),
    )  # fmt: skip
    a_places, b_places, c_places = _places(plan.a), _places(plan.b), _places(plan.c)
    left = {
        (i, k): lane.pick(a, _mask(atom.a, a_places, plan.a, (i, k)))
        for i in rows for k in depths
    }  # fmt: skip
    right = {
        (k, j): lane.pick(b, _mask(atom.b, b_places, plan.b, (k, j)))
        for k in depths for j in columns
    }  # fmt: skip
    masks = {(i, j): _mask(atom.c, c_places, plan.c, (i, j)) for i in rows for j in columns}
    sums = {at: lane.pick(c, mask) for at, mask in masks.items()}
    for k in depths:
        for i, j in sums:
            sums[i, j] = low.builder.create(
                MatrixMultiply, left[i, k], right[k, j], sums[i, j], atom=atom.name
            )
    return _assembled(low, plan.c, atom, sums, masks)


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

