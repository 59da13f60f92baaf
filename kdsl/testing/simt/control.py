"""Branches, loops and calls of lanes that may go different ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kdsl.testing.simt.group import Rule, Workgroup

Lanes = np.ndarray


def _if(group: Workgroup, op: Any, condition: Lanes) -> tuple[Any, ...]:
    outer = group.mask
    agreed = group.agreed(condition)
    if agreed is not None:
        block = op.then_block if agreed else op.else_block
        return () if block is None else tuple(group.run(block, ()))
    here = outer & condition
    if group.fibers is not None and op.else_block is not None:
        return _side_by_side(group, op, here)
    try:
        group.mask = here
        taken = group.run(op.then_block, ())
        if op.else_block is None:
            return ()
        group.mask = outer & ~condition
        other = group.run(op.else_block, ())
    finally:
        group.mask = outer
    pairs = zip(taken, other, strict=True)
    return tuple(group.merged(op, here, a, b) for a, b in pairs)


def _side_by_side(group: Workgroup, op: Any, here: np.ndarray) -> tuple[Any, ...]:
    """Let both sides of a branch go their own ways, each waiting for what it likes."""
    assert group.fibers is not None
    sides = [group.fork(here), group.fork(group.mask & ~here)]
    found: list[list[Any]] = [[], []]

    def task(number: int, block: Any) -> Callable[[], None]:
        def run() -> None:
            found[number] = sides[number].run(block, ())

        return run

    group.fibers.beside([task(0, op.then_block), task(1, op.else_block)])
    pairs = zip(*found, strict=True)
    return tuple(group.merged(op, here, a, b) for a, b in pairs)


def _for(group: Workgroup, op: Any, *operands: Any) -> tuple[Any, ...]:
    bounds, carried = operands[:3], list(operands[3:])
    agreed = [group.agreed(v) for v in bounds]
    kind = bounds[0].dtype
    if all(v is not None for v in agreed):
        for i in range(*(int(v) for v in agreed)):
            carried = group.run(op.body, (np.array([i], kind), *carried))
        return tuple(carried)
    outer = group.mask
    lower, upper, step = (group.spread(v) for v in bounds)
    counter = lower.copy()
    try:
        while True:
            active = outer & (counter < upper)
            if not active.any():
                return tuple(carried)
            group.mask = active
            yielded = group.run(op.body, (counter, *carried))
            pairs = zip(yielded, carried, strict=True)
            carried = [group.merged(op, active, new, old) for new, old in pairs]
            counter = counter + step
    finally:
        group.mask = outer


def _while(group: Workgroup, op: Any, *carried: Any) -> tuple[Any, ...]:
    before, after = (region.block for region in op.regions)
    outer = active = group.mask
    results: list[Any] | None = None
    given = list(carried)
    try:
        while True:
            group.mask = active
            condition, *values = group.run(before, given)
            goes_on = group.spread(condition)
            leaving = active & ~goes_on
            if results is None:
                results = values
            elif leaving.any():
                pairs = zip(values, results, strict=True)
                results = [group.merged(op, leaving, new, old) for new, old in pairs]
            active = active & goes_on
            if not active.any():
                return tuple(results)
            group.mask = active
            given = group.run(after, values)
    finally:
        group.mask = outer


def _call(group: Workgroup, op: Any, *operands: Any) -> tuple[Any, ...]:
    saved = group.values
    group.values = {}
    try:
        return tuple(group.run(group.module.function(op.callee.name).body, operands))
    finally:
        group.values = saved


CONTROL: dict[str, Rule] = {
    "scf.if": _if,
    "scf.for": _for,
    "scf.while": _while,
    "func.call": _call,
}
