"""Transposing a square of vectors in registers."""

from __future__ import annotations

from collections.abc import Callable

from kdsl.dialects.arith import Addi, Extui, Trunci
from kdsl.dialects.vector import Load, Shuffle, Store
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value
from kdsl.ir.types import I1, I8, ScalarType, vector
from kdsl.passes.tile_to_loops.nest import Coord, Nest


def turn_block(
    nest: Nest, element: ScalarType, first: Coord, rows: int, row: Callable[[Coord], Value]
) -> list[Value]:
    """Return the columns of a square whose ``rows`` rows are computed by ``row``.

    The rows go through a small buffer, so that their computation is written once.
    """
    width = nest.width
    stored = I8 if element is I1 else element
    kind = vector(width, stored)
    stage = nest.space.stage(width, stored)
    loop = nest.open(0, rows)
    turn, level = nest.position(loop.at)
    base, base_level = nest.position(first)
    if loop.op is None:
        at = first
    else:
        moved, at_level = nest.make(max(level, base_level), Addi, base, turn)
        at = Coord(moved, 0, at_level)
    value = row(at)
    if element is I1:
        value = nest.inner.create(Extui, value, types=[kind])
    nest.inner.create(Store, value, stage, [turn, nest.space.index(0)])
    nest.close(loop)
    b = nest.inner
    loaded = [
        b.create(Load, stage, [nest.space.index(i), nest.space.index(0)], types=[kind])
        for i in range(width)
    ]
    columns = transpose(b, loaded)
    if element is I1:
        columns = [b.create(Trunci, c, types=[vector(width, I1)]) for c in columns]
    return columns


def transpose(b: Builder, rows: list[Value]) -> list[Value]:
    """Exchange rows and lanes of as many vectors as each has lanes: log2 rounds of shuffles."""
    count = len(rows)
    rows = list(rows)
    apart = 1
    while apart < count:
        low = tuple(i if not i & apart else count + i - apart for i in range(count))
        high = tuple(i + apart if not i & apart else count + i for i in range(count))
        for i in range(count):
            if not i & apart:
                x, y = rows[i], rows[i + apart]
                rows[i] = b.create(Shuffle, x, y, mask=list(low))
                rows[i + apart] = b.create(Shuffle, x, y, mask=list(high))
        apart *= 2
    return rows
