"""Which pure ops may run although the program might not have run them."""

from __future__ import annotations

from kdsl.dialects.arith import Ceildivsi, Divsi, Divui, Floordivsi, Remsi, Remui, constant_of
from kdsl.dialects.scf import For, While
from kdsl.ir.core import Op

DIVISIONS = (Divsi, Divui, Floordivsi, Ceildivsi, Remsi, Remui)
"""Trap on a zero divisor, and on the smallest number divided by -1."""


def is_speculatable(op: Op) -> bool:
    """Return whether running a pure op (and what is inside it) early can do no harm."""
    if not op.regions:
        return not may_trap(op)
    return not any(isinstance(o, While) or may_trap(o) or _may_never_end(o) for o in op.walk())


def may_trap(op: Op) -> bool:
    """Return whether an op stops the program for some operands."""
    if not isinstance(op, DIVISIONS):
        return False
    divisor = constant_of(op.operands[1])
    return divisor is None or divisor in (0, -1)


def _may_never_end(op: Op) -> bool:
    """A loop's step is positive wherever the program runs it, and anything elsewhere."""
    if not isinstance(op, For):
        return False
    step = constant_of(op.step)
    return step is None or step <= 0
