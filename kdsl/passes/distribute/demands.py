"""In which layout an op reads its tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kdsl.dialects.kdsl import Dot
from kdsl.ir.core import Op, Value
from kdsl.ir.define import Elementwise
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import TensorType
from kdsl.target.layout import Layout

if TYPE_CHECKING:
    from kdsl.passes.distribute.lowering import Lowering


def demands(op: Op, low: Lowering) -> Iterator[tuple[Value, Layout]]:
    """Yield the tiles that an op reads in registers of a certain layout."""
    own = low.table.demands.get(type(op))
    if own is not None:
        yield from own(op, low.lane.warps)
    elif isinstance(op, Dot):
        plan = low.plan.dots.get(op)
        if plan is not None and plan.atom is not None:
            yield op.a, plan.a
        yield op.acc, low.layout_of(op.y)
    elif (
        isinstance(op, DeclaredOp)
        and Elementwise in op.traits
        and op.results[0] not in low.plan.lazy
        and isinstance(op.results[0].type, TensorType)
    ):
        for value in op.operands:
            if isinstance(value.type, TensorType):
                yield value, low.layout_of(op.results[0])
