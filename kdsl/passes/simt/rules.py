"""The numbers that the pass goes by: lanes of a workgroup, bytes of a lane, sweeps of a program."""

from __future__ import annotations

from kdsl.dialects.arith import constant_of
from kdsl.dialects.scf import PARALLEL, VECTORIZE, For
from kdsl.ir.core import Op
from kdsl.target.features import Features

ACCESS_BYTES = 16
"""The widest access of one lane."""
WIDEST_BYTES = 32
"""The most that one lane holds of one buffer at a time."""
LEAST_LANES, USUAL_LANES, MOST_LANES = 128, 256, 1024
LONE_LANES = 64
"""The lanes of a workgroup whose subgroups are single lanes: they meet in memory only."""
ABREAST = 2
"""So many vectors of each buffer does a lane have on their way at once."""
MOST_OPS_ABREAST = 64
"""Longer bodies keep a lane busy anyway."""
SWEEPS = 4
"""How many times the lanes of a program go over its share of a loop that the grid shares."""


def is_shared(op: Op) -> bool:
    """Return whether lanes share a loop's turns: it is marked, and no loop inside it is."""
    return is_marked(op) and not any(is_marked(inner) for inner in op.walk() if inner is not op)


def is_marked(op: Op) -> bool:
    """Return whether a loop's turns do not depend on each other."""
    return isinstance(op, For) and (VECTORIZE in op.attributes or PARALLEL in op.attributes)


def shared_loops(function: Op) -> list[For]:
    """Return the loops of a function whose turns its lanes share."""
    return [op for op in function.walk() if isinstance(op, For) and is_shared(op)]


def workgroup_lanes(loops: list[For], features: Features, *, alone: bool) -> int:
    """Return how many lanes a workgroup has; ``alone``: it is the only one.

    As many as its longest loop has turns, if that is known.
    """
    subgroup = max(1, features.subgroup)
    most = max(subgroup, min(LONE_LANES if subgroup == 1 else MOST_LANES, features.max_lanes))
    if not loops:
        return subgroup
    wanted = most if alone else min(USUAL_LANES, most)
    turns = [_turns(loop) for loop in loops]
    known = [t for t in turns if t is not None]
    if len(known) == len(turns):
        least = min(LEAST_LANES, most)
        while wanted // 2 >= max(least, *known):
            wanted //= 2
    return wanted - wanted % subgroup


def _turns(loop: For) -> int | None:
    lower, upper = constant_of(loop.lower), constant_of(loop.upper)
    return None if lower is None or upper is None else int(upper) - int(lower)
