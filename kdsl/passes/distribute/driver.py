"""The pass: how many lanes a kernel gets, and its body rewritten for one of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from kdsl.dialects.gpu import LANES
from kdsl.dialects.kdsl import Dot, WorkgroupAlloc
from kdsl.errors import OutOfRegistersError, TileShapeError
from kdsl.ir.core import Block, Module, Op
from kdsl.ir.types import TensorType, element_type
from kdsl.passes.distribute.lane import Lane
from kdsl.passes.distribute.lowering import Lowering, Table
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.passes.narrow_dots import NarrowDots
from kdsl.target.features import Features
from kdsl.target.target import Target

WARPS = "kdsl.warps"
"""On a kernel: how many subgroups its workgroup has; a schedule sets it."""
ELEMENTS = 16
"""How many elements of the largest tile a lane gets, where memory is what counts."""
ROWS = 16
"""How many rows of a dot a subgroup gets."""
MOST_WARPS = 8
LONE_LANES = 64
"""The lanes of a workgroup where subgroups are single lanes, at most."""


@dataclass(frozen=True)
class Distribute(Pass):
    """Spread tiles over the lanes of a workgroup: the body becomes what one lane does.

    ``rules`` names a back end's table as ``module:name``; several are separated by ``+``.
    """

    name = "distribute"
    rules: str = ""

    def run(self, module: Module, target: Target) -> bool:
        table = tables(self.rules)
        changed = NarrowDots().run(module, target)
        for function in module.functions:
            if any(_makes_tile(op) for op in function.walk()):
                distribute(function, target, table)
                changed = True
        return changed


def tables(names: str) -> Table:
    """Return the tables that back ends add, merged; raise ImportError when there is none such."""
    from importlib import import_module

    found = Table()
    for name in filter(None, names.split("+")):
        module, _, attribute = name.partition(":")
        table: Table = getattr(import_module(module), attribute)
        found = Table(
            {**found.rules, **table.rules},
            {**found.anchors, **table.anchors},
            {**found.demands, **table.demands},
            (*found.apart, *table.apart),
        )
    return found


def _makes_tile(op: Op) -> bool:
    return any(isinstance(r.type, TensorType) for r in op.results)


def distribute(function: Op, target: Target, table: Table) -> None:
    """Rewrite a kernel with tiles for one lane."""
    check(function)
    features = target.features
    warps = warps_of(function, features)
    old = function.body
    new = Block([a.type for a in old.args], [a.name for a in old.args])
    function.regions[0].add(new)
    low = Lowering(function, target, Lane(new, features, warps), table)
    low.scalars.update(zip(old.args, new.args, strict=True))
    low.assign(old)
    low.block(old)
    low.settle(low.order.finish())
    lines = described(low)
    for op in reversed(list(old)):
        op.drop_uses()
    function.regions[0].blocks.remove(old)
    function.attributes[LANES] = low.lane.count
    check_room(function, target)
    explain(function, f"{low.lane.count} lanes: {warps} subgroups of {low.lane.subgroup}")
    for line in lines:
        explain(function, line)


def check(function: Op) -> None:
    """Raise TileShapeError for a tile whose size is not known."""
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


def check_room(function: Op, target: Target) -> None:
    """Raise OutOfRegistersError when the workgroup's memory is too small."""
    needed = 0
    for op in function.walk():
        if isinstance(op, WorkgroupAlloc):
            kind = op.y.type
            needed += kind.size * max(8, kind.element.bits) // 8
    available = target.features.shared_bytes
    if needed > available:
        raise OutOfRegistersError(
            function.loc,
            what=f"the kernel {function.attributes['sym_name']}",
            needed=f"{needed} bytes",
            kind="workgroup memory",
            target=target,
            available=f"{available} bytes",
            advice="use smaller tiles, or fewer stages",
        )


def warps_of(function: Op, features: Features) -> int:
    """Return how many subgroups a kernel gets: a power of two."""
    lanes = max(1, features.subgroup)
    most = max(1, max(features.max_lanes, lanes) // lanes)
    asked = function.attributes.get(WARPS)
    if isinstance(asked, int):
        return max(1, min(asked, most))
    largest, rows = 1, 0
    for op in function.walk():
        for r in op.results:
            if isinstance(r.type, TensorType):
                largest = max(largest, prod(r.type.shape))
        if isinstance(op, Dot):
            rows = max(rows, op.y.type.shape[0])
    if lanes == 1:
        wanted = min(LONE_LANES, largest // ELEMENTS)
    elif rows:
        # A dot with few rows still has columns and an inner axis to share out.
        wanted = max(rows // ROWS, min(4, largest // (lanes * ELEMENTS)))
        wanted = min(wanted, MOST_WARPS)
    else:
        wanted = min(MOST_WARPS, largest // (lanes * ELEMENTS))
    return 1 << max(0, min(wanted, most).bit_length() - 1)


def described(low: Lowering) -> list[str]:
    """Return what was decided about dots, for ``kernel.explain()``."""
    lines = []
    for op, plan in low.plan.dots.items():
        assert isinstance(op, Dot)
        shape = "x".join(str(n) for n in (*op.a.type.shape, op.b.type.shape[1]))
        how = "multiply-adds" if plan.atom is None else plan.atom.name
        lines.append(f"dot {shape} (MxKxN) of {plan.element}: {how}")
        if plan.atom is None and low.features.atoms:
            kind = element_type(op.acc.type)
            lines[-1] += f", no matrix instruction fits {plan.element} into {kind} at this size"
    return lines
