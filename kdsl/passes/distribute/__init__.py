"""Tiles spread over lanes: ``distribute``, for every target with workgroups.

``layout`` says which lane and register holds which element; ``infer`` chooses a layout for each
tile, from dots outwards; ``lowering`` rewrites a kernel op by op for one lane, by the rules of
``rules``; ``lane`` has the lane's numbers, barriers, scratch memory and fragments; ``rearrange``
moves elements between layouts.

A back end adds to it with a ``Table`` in a module of its own, named to the pass as
``Distribute(rules="module:NAME")``:

* ``rules[OpClass] = rule(op, low)``: ``low.fragment(value, layout)`` gives a tile's registers as
  one vector, in any layout; ``low.scalar(value)`` what a scalar or buffer has become;
  ``low.bind(result, fragment, layout)`` says what a tile's registers are, ``low.scalars[result] =
  value`` what a scalar is, and ``low.hold(result, held)`` that a tile is elsewhere (in workgroup
  memory, in flight): ``held.read(low, layout)`` must give its registers, and
  ``held.transposed(permutation)``, where there is one, the same tile turned.
* ``anchors[OpClass](op, warps)`` yields (tile, layout) that hold whatever neighbours want;
  ``demands[OpClass](op, warps)`` those in which operands are read, which are wishes.
* ``apart``: ops whose regions run on lanes of their own. Their rule makes a ``Lane(block, features,
  warps, thread, barrier)`` for the new block, and in ``with low.role(old_block, lane):`` calls
  ``low.block(old_block)``.

New ops are written with ``low.builder``; ``lane.once(key, make)`` computes at the role's start.

Scalars are the same on all lanes. What changes memory outside of tiles is done by lane 0. Loops
marked for vectorizing are left as they are, for the pass that spreads those.
"""

from kdsl.passes.distribute.driver import Distribute
from kdsl.passes.distribute.lane import Lane
from kdsl.passes.distribute.lowering import Held, Lowering, Rule, Table

__all__ = ["Distribute", "Held", "Lane", "Lowering", "Rule", "Table"]
