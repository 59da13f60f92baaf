"""Which pure ops may run although the program might not have run them."""

from __future__ import annotations

from kdsl.dialects.arith import Ceildivsi, Divsi, Divui, Floordivsi, Remsi, Remui, constant_of
from kdsl.dialects.scf import While
from kdsl.ir.core import Op

DIVISIONS = (Divsi, Divui, Floordivsi, Ceildivsi, Remsi, Remui)
"""Trap on a zero divisor, and on the smallest number divided by -1."""


def is_speculatable(op: Op) -> bool:
    """Return whether running a pure op (and what is inside it) early can do no harm."""
    return all(not isinstance(o, While) and not _may_trap(o) for o in op.walk())


def _may_trap(op: Op) -> bool:
    if not isinstance(op, DIVISIONS):
        return False
    divisor = constant_of(op.operands[1])
    return divisor is None or divisor in (0, -1)
