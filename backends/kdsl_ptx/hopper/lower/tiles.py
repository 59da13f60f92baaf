"""The loop over tiles: each turn is a program of its own.

Nothing is promised between programs, so no lane waits for another because of memory that an earlier
tile touched.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from kdsl.dialects import scf
from kdsl.ir.core import Block, Region, Value
from kdsl.ir.types import MemRefType
from kdsl.passes.distribute.control import carried, lower_while, register_type, take, take_results
from kdsl.passes.distribute.hazards import Hazards
from kdsl.passes.distribute.lowering import Lowering
from kdsl_ptx.dialect import tile


class TileHazards(Hazards):
    """What lanes read and wrote since the tile began.

    Waiting costs what the warpgroups are ahead of each other, so tensors of different ranks count
    as different memory: a caller passes one buffer as one tensor.
    """

    def must_wait(self, buffer: Value, key: Hashable, *, writes: bool) -> bool:
        """Return whether an access needs a barrier before it."""
        near = TileHazards()
        near.reads = {a for a in self.reads if _rank(a[0]) == _rank(buffer)}
        near.writes = {a for a in self.writes if _rank(a[0]) == _rank(buffer)}
        return Hazards.must_wait(near, buffer, key, writes=writes)

    def copy(self) -> Hazards:
        """Return the same state."""
        found = TileHazards()
        found.merge(self)
        return found


def _rank(buffer: Value) -> int:
    assert isinstance(buffer.type, MemRefType)
    return buffer.type.rank


def tile_loop(op: scf.While, low: Lowering) -> None:
    """Lower a role's loop over tiles; other loops as usual."""
    if not isinstance(op.parent_op, tile.Roles):
        lower_while(op, low)
        return
    first, second = (region.block for region in op.regions)
    inits = [carried(low, v, of) for v, of in zip(op.inits, first.args, strict=True)]
    types = [register_type(low, r) for r in op.results]
    blocks = [Block([v.type for v in inits]), Block(types)]
    regions = [Region([block]) for block in blocks]
    made = low.builder.add(scf.While, inits, types=types, regions=regions)
    made.attributes.update(op.attributes)
    for old, new in zip((first, second), blocks, strict=True):
        low.hazards = TileHazards()
        with low.scope(new):
            for was, now in zip(old.args, new.args, strict=True):
                now.name = was.name
                take(low, was, now)
            low.block(old)
    low.hazards = Hazards()
    take_results(low, op, made)


RULES: dict[Any, Any] = {scf.While: tile_loop}
