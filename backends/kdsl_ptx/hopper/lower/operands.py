"""Register operands of products are made when no product is in flight.

What a loop makes for the next turn's product (probabilities, rounded) goes to the registers that
the present one reads. ptxas serializes all products of a loop in which that happens too early
(C7513), so the rounding is moved behind the last wait, to the end of the turn.
"""

from __future__ import annotations

from kdsl.dialects import scf
from kdsl.ir.core import Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Pure
from kdsl_ptx.dialect import tile


def sink_operands(roles: tile.Roles) -> None:
    """Move what makes the next turn's operands to the ends of loops."""
    for op in roles.walk():
        if isinstance(op, scf.For):
            for value, carried in zip(op.yields.values, op.carried, strict=True):
                if _is_operand(carried):
                    _sink(value, op)


def _is_operand(value: Value) -> bool:
    return any(isinstance(user, tile.DotAsync) and user.a is value for user in value.users)


def _sink(value: Value, loop: scf.For) -> None:
    """Move the op that defines ``value`` to the end of the loop's body when nothing hinders."""
    op: Op | None = value.op
    if op is None or op.parent is not loop.body or not value.has_one_use:
        return
    if isinstance(op, DeclaredOp) and Pure in op.traits and not op.regions:
        loop.body.insert_before(loop.yields, op.detach())
