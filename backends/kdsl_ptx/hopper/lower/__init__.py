"""From the roles of a scheduled kernel to what each thread does.

``LowerRoles`` lowers every kernel that holds ``ptx.roles``: the tile slots, the ring and the
output become barriers and bulk copies (``protocol``), matrix products become wgmma (``dots``),
shared tiles are read and written by matrix accesses (``shared``), and all other ops on tiles are
written by kdsl's own rules (``kdsl.passes.distribute``) for the lanes of the consumers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kdsl.dialects.gpu import LANES
from kdsl.ir.core import Block, Module, Op
from kdsl.passes.distribute.lane import Lane
from kdsl.passes.distribute.lowering import Lowering, Table
from kdsl.passes.manager import Pass
from kdsl.target.target import Target
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.lower import dots, numbers, protocol, roles, sums, tiles
from kdsl_ptx.hopper.lower.lanes import GROUP_LANES, GROUP_WARPS
from kdsl_ptx.hopper.lower.narrow import meet_after_tiles, narrow_roles
from kdsl_ptx.hopper.lower.operands import sink_operands
from kdsl_ptx.hopper.lower.partial import carry_partial_sums

TABLE = Table(
    rules={
        **protocol.RULES,
        **dots.RULES,
        **sums.RULES,
        **roles.RULES,
        **numbers.RULES,
        **tiles.RULES,
    },
    anchors={**dots.ANCHORS, **sums.ANCHORS},
    demands={**dots.DEMANDS, **sums.DEMANDS},
    apart=(tile.Roles,),
)
"""What scheduled kernels add to kdsl's rules."""


@dataclass(frozen=True)
class LowerRoles(Pass):
    """Write scheduled kernels for single threads."""

    name: ClassVar[str] = "lower-roles"

    def run(self, module: Module, target: Target) -> bool:
        changed = False
        for function in module.functions:
            found = roles_of(function)
            if found is not None:
                lower_kernel(function, found, target)
                changed = True
        return changed


def roles_of(function: Op) -> tile.Roles | None:
    """Return the roles of a scheduled kernel, None for other functions."""
    for region in function.regions:
        for op in region.block:
            if isinstance(op, tile.Roles):
                return op
    return None


def lower_kernel(function: Op, found: tile.Roles, target: Target) -> None:
    """Replace a scheduled kernel's body by what one thread does."""
    narrow_roles(found)
    meet_after_tiles(found)
    sink_operands(found)
    carry_partial_sums(found)
    source = function.body
    body = Block([a.type for a in source.args], [a.name for a in source.args])
    function.attributes[LANES] = GROUP_LANES * (1 + found.consumers)
    lane = Lane(body, target.features, GROUP_WARPS * (1 + found.consumers))
    low = Lowering(function, target, lane, TABLE)
    low.scalars.update(zip(source.args, body.args, strict=True))
    low.assign(source)
    low.block(source)
    _replace_body(function, body)


def _replace_body(function: Op, body: Block) -> None:
    region = function.regions[0]
    for op in list(region.block):
        op.drop_uses()
    region.blocks.clear()
    region.add(body)


__all__ = ["TABLE", "LowerRoles"]
