"""The lowering of row sums that stay in their lanes; see ``partial``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kdsl.dialects import arith
from kdsl.ir.core import Value
from kdsl.passes.distribute.lowering import Lowering
from kdsl.target.layout import Digit, Layout, made
from kdsl_ptx.dialect.rows import LANES_OF_ROW, QuadSum
from kdsl_ptx.hopper.lower.dots import layout_of
from kdsl_ptx.hopper.lower.lanes import GROUP_WARPS, ROWS

ROWS_OF_LANE = 2


def parts_layout(rows: int, groups: int) -> Layout:
    """Return where the parts of row sums are: one column in each lane of a row."""
    return made(
        (rows, LANES_OF_ROW),
        [
            Digit("reg", ROWS_OF_LANE, 0, 8),
            Digit("lane", LANES_OF_ROW, 1, 1), Digit("lane", 8, 0, 1),
            Digit("warp", 4, 0, 16), Digit("warp", groups, 0, ROWS),
        ],
    )  # fmt: skip


def quad_sum(op: QuadSum, low: Lowering) -> None:
    """Add a lane's registers of each row."""
    lane, b = low.lane, low.builder
    source = low.fragment(op.x, layout_of(op.x, lane.warps))
    # Registers are pairs of columns of the two rows in turn: bring a row's together.
    count = op.x.type.shape[1] // (2 * LANES_OF_ROW)
    columns = [
        lane.pick(source, [4 * i + 2 * row + column for row in range(ROWS_OF_LANE)])
        for i in range(count)
        for column in range(2)
    ]
    low.bind(op.y, _running(b, columns))


def _running(b: Any, parts: list[Value]) -> Value:
    """Add vectors of two rows each, one after the other.

    The parts come out of the exponential unit one at a time: each addition hides behind the next
    exponential. A tree would begin when half of them are there, and end behind the last one.
    """
    total = parts[0]
    for part in parts[1:]:
        total = b.create(arith.Addf, total, part)
    return total


def anchored(op: QuadSum, warps: int) -> Iterable[tuple[Value, Layout]]:
    """Yield the parts with their layout."""
    yield op.y, parts_layout(op.y.type.shape[0], warps // GROUP_WARPS)


def demanded(op: QuadSum, warps: int) -> Iterable[tuple[Value, Layout]]:
    """Yield the summed tile with its layout."""
    yield op.x, layout_of(op.x, warps)


RULES: dict[Any, Any] = {QuadSum: quad_sum}
ANCHORS: dict[Any, Any] = {QuadSum: anchored}
DEMANDS: dict[Any, Any] = {QuadSum: demanded}
