"""Which matrix instruction a dot takes, and the layouts of its accumulator and operands."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from kdsl.dialects.kdsl import Dot
from kdsl.ir.types import ScalarType, element_type
from kdsl.target.atoms import Atom, atom_named
from kdsl.target.features import Features
from kdsl.target.layout import Digit, Layout, made, power_of_two

LANE_COLUMNS = 4
"""Columns of the accumulator that a lane holds side by side without a matrix unit."""


@dataclass(frozen=True, slots=True)
class DotPlan:
    """How a dot is done; ``atom`` None is by multiply-adds, then ``a`` and ``b`` are unused.

    ``a_step`` and ``b_step`` are for as much of the inner axis as one instruction takes.
    """

    atom: Atom | None
    element: ScalarType
    c: Layout
    a: Layout
    b: Layout
    a_step: Layout
    b_step: Layout


def plan_dot(op: Dot, features: Features, warps: int, *, by_rows: bool) -> DotPlan:
    """Choose the instruction and the layouts; ``by_rows``: a row should stay in one subgroup."""
    (m, k), n = op.a.type.shape, op.b.type.shape[1]
    element = op.a.type.element
    for name in features.atoms:
        atom = atom_named(name)
        if (
            atom.subgroup == features.subgroup
            and atom.accumulates(element.text, element_type(op.acc.type).text)
            and k % atom.k == 0
            and _fits(m, atom.m)
            and _fits(n, atom.n)
        ):
            return _matrix_plan(atom, element, (m, n, k), warps, by_rows)
    c = _fma_layout((m, n), max(1, features.subgroup), warps)
    return DotPlan(None, element, c, c, c, c, c)


def _fits(extent: int, atom: int) -> bool:
    """Return whether a tile's extent is a multiple of the atom's, or divides it."""
    return extent % atom == 0 or atom % extent == 0


def _matrix_plan(
    atom: Atom, element: ScalarType, shape: tuple[int, int, int], warps: int, by_rows: bool
) -> DotPlan:
    m, n, k = shape
    rows, columns = max(1, m // atom.m), max(1, n // atom.n)
    wm, wn = split_warps(rows, columns, warps, by_rows)
    spare = warps // (wm * wn)
    tm, tn = min(m, atom.m), min(n, atom.n)

    def spread(layout: Layout, m_axis: int | None, n_axis: int | None) -> Layout:
        """Repeat one atom over columns, subgroups and rows, alike for all three tiles."""
        digits = list(layout.digits)
        extents = list(layout.shape)
        if n_axis is not None:
            digits.append(Digit("reg", columns // wn, n_axis, tn))
            extents[n_axis] = n
        digits.append(Digit("warp", wm, m_axis, tm))
        digits.append(Digit("warp", wn, n_axis, tn * (columns // wn)))
        digits.append(Digit("warp", spare, None))
        if m_axis is not None:
            digits.append(Digit("reg", rows // wm, m_axis, tm * wm))
            extents[m_axis] = m
        return made(tuple(extents), digits)

    c = clipped(clipped(atom.c, 0, m), 1, n)
    a, b = clipped(atom.a, 0, m), clipped(atom.b, 1, n)
    return DotPlan(
        atom,
        element,
        spread(c, 0, 1),
        spread(a.tile((tm, k)), 0, None),
        spread(b.tile((k, tn)), None, 1),
        spread(a, 0, None),
        spread(b, None, 1),
    )


def clipped(layout: Layout, axis: int, extent: int) -> Layout:
    """Return an atom's layout for a smaller tile, whose elements are then held several times."""
    return layout if extent >= layout.shape[axis] else layout.resize(axis, extent)


def split_warps(rows: int, columns: int, warps: int, by_rows: bool) -> tuple[int, int]:
    """Return how many subgroups go along rows and columns (counted in atoms)."""
    best = (1, 1)
    most, least = 0, 0.0
    wm = 1
    while wm <= warps:
        if rows % wm == 0:
            wn = min(warps // wm, power_of_two(columns))
            # Each subgroup reads rows / wm of one operand and columns / wn of the other.
            traffic = rows / wm + columns / wn
            cost = -float(wm) if by_rows else traffic
            if wm * wn > most or (wm * wn == most and cost < least):
                best, most, least = (wm, wn), wm * wn, cost
        wm *= 2
    return best


def _fma_layout(shape: tuple[int, int], lanes: int, warps: int) -> Layout:
    """Return an accumulator's layout in which a lane holds a small rectangle."""
    m, n = shape
    pm, pn = power_of_two(m), power_of_two(n)
    each = max(1, pm * pn // (lanes * warps))
    width = min(LANE_COLUMNS, pn, each)
    across = min(lanes, pn // width, 8 if m >= 8 else lanes)
    down = min(lanes // across, pm)
    across = min(lanes // down, pn // width)
    wm = min(warps, pm // down)
    wn = min(warps // wm, pn // (width * across))
    digits = [
        Digit("reg", width, 1, 1),
        Digit("lane", across, 1, width),
        Digit("lane", down, 0, 1),
        Digit("lane", lanes // (across * down), None),
        Digit("warp", wm, 0, down),
        Digit("warp", wn, 1, width * across),
        Digit("warp", warps // (wm * wn), None),
        Digit("reg", n // (width * across * wn), 1, width * across * wn),
        Digit("reg", m // (down * wm), 0, down * wm),
    ]
    found = made(shape, digits)
    assert prod(found.shape) > 0
    return found
