"""The upstream ``scf`` dialect: structured loops and branches."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import rules
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Region, Value
from kdsl.ir.define import (
    ANY,
    BOOL_SCALAR,
    INTEGER,
    Op,
    Pure,
    RegionEffects,
    Terminator,
    operand,
    result,
)
from kdsl.ir.types import ScalarType

VECTORIZE = "kdsl.vectorize"
"""On a loop: widen it; the value is the width, 0 lets the target choose."""
TAIL = "kdsl.tail"
"""On a loop to widen: how the rest is done: "mask", "scalar" or "none" (promised to be empty)."""
UNROLL = "kdsl.unroll"
"""On a loop: unroll by this factor; 0 means fully."""
PARALLEL = "kdsl.parallel"
"""On a loop without carried values: iterations are independent and may run on several threads."""
STAGES = "kdsl.stages"
"""On a loop: how many iterations' loads a pipelining back end may have in flight."""

UNORDERED = "kdsl.unordered"
"""On a loop: its turns may run in any order, though they carry values."""


class Yield(Op, name="scf.yield", traits=(Pure, Terminator)):
    """Hand values to the enclosing op."""

    values = operand(ANY, variadic=True)


class For(Op, name="scf.for", traits=(RegionEffects,), regions=1):
    """Count from ``lower`` to ``upper`` (exclusive) by ``step`` > 0, carrying values."""

    lower = operand(INTEGER)
    upper = operand(same_as="lower")
    step = operand(same_as="lower")
    inits = operand(ANY, variadic=True)
    outs = result(ANY, variadic=True)

    @property
    def induction(self) -> Value:
        """The counter, first argument of the body."""
        return self.body.args[0]

    @property
    def carried(self) -> list[Value]:
        """The carried values as the body sees them."""
        return list(self.body.args[1:])

    @property
    def yields(self) -> Yield:
        last = self.body.last
        assert isinstance(last, Yield)
        return last

    def execute(self, frame: Any, operands: tuple[Any, ...]) -> Any:
        lower, upper, step, *carried = operands
        kind = np.asarray(lower).dtype.type
        for i in range(int(lower), int(upper), int(step)):
            carried = list(frame.run(self.body, (kind(i), *carried)))
        return tuple(carried)

    def verify(self) -> None:
        rules.require(self, isinstance(self.lower.type, ScalarType), "its bounds must be scalars")
        carried = rules.types_of(self.inits)
        rules.same_types(self, "it gives", rules.types_of(self.results), carried)
        body = rules.takes(self, 0, (self.lower.type, *carried))
        rules.ends_with(self, body, Yield, carried)


class If(Op, name="scf.if", traits=(RegionEffects,), regions=2):
    """Run the first region when ``condition`` holds, else the second (which may be empty)."""

    condition = operand(BOOL_SCALAR)
    outs = result(ANY, variadic=True)

    @property
    def then_block(self) -> Block:
        return self.regions[0].block

    @property
    def else_block(self) -> Block | None:
        return self.regions[1].blocks[0] if self.regions[1].blocks else None

    def execute(self, frame: Any, operands: tuple[Any, ...]) -> Any:
        block = self.then_block if bool(operands[0]) else self.else_block
        return () if block is None else frame.run(block, ())

    def verify(self) -> None:
        given = rules.types_of(self.results)
        rules.ends_with(self, rules.takes(self, 0, ()), Yield, given)
        if given or self.regions[1].blocks:
            rules.ends_with(self, rules.takes(self, 1, ()), Yield, given)


class Condition(Op, name="scf.condition", traits=(Pure, Terminator)):
    """End of a while's first region: go on when ``condition`` holds, with ``values`` either way."""

    condition = operand(BOOL_SCALAR)
    values = operand(ANY, variadic=True)


class While(Op, name="scf.while", traits=(RegionEffects,), regions=2):
    """Run region 1 (ends in ``scf.condition``), then region 2 (ends in ``scf.yield``), again."""

    inits = operand(ANY, variadic=True)
    outs = result(ANY, variadic=True)

    def execute(self, frame: Any, operands: tuple[Any, ...]) -> Any:
        before, after = self.regions[0].block, self.regions[1].block
        carried = operands
        while True:
            condition, *values = frame.run(before, carried)
            if not bool(condition):
                return tuple(values)
            carried = frame.run(after, tuple(values))

    def verify(self) -> None:
        carried, given = rules.types_of(self.inits), rules.types_of(self.results)
        rules.ends_with(self, rules.takes(self, 0, carried), Condition, given, skip=1)
        rules.ends_with(self, rules.takes(self, 1, given), Yield, carried)


def for_loop(
    b: Builder,
    lower: Value,
    upper: Value,
    step: Value,
    inits: tuple[Value, ...] = (),
    **attributes: Any,
) -> For:
    """Create a loop with an empty body (no terminator yet); insert into ``loop.body``."""
    block = Block([lower.type, *(v.type for v in inits)])
    op = b.add(
        For,
        lower,
        upper,
        step,
        list(inits),
        types=[v.type for v in inits],
        regions=[Region([block])],
    )
    op.attributes.update(attributes)
    return op
