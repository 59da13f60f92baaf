"""Fetching what a tile reads from global memory while the tile before it is being finished.

Tables that work on an operand needs (angles of RoPE, say) are loaded at the head of a tile, where
nothing hides their latency. They move to the end of the tile before: behind its last streaming
loop, where the scores' registers are free, and are carried to the next tile. Its coordinates come
from the next record, which the scheduler has published by then. The programs of a grid run in any
order, so that loads of one may pass stores of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kdsl.dialects.arith import is_constant
from kdsl.dialects.kdsl import Gather, LoadTile
from kdsl.dialects.scf import Condition, For, If, While, Yield
from kdsl.ir.builder import Builder
from kdsl.ir.core import BlockArgument, Module, Op, OpResult, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import I32, TensorType
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.target.target import Target
from kdsl_ptx.dialect import tile

GROUP_LANES = 128
ROW_REGISTERS = 8
"""Beside tables, rows (positions, say) may be fetched."""


@dataclass(frozen=True)
class PrefetchTables(Pass):
    """Load a tile's tables at the end of the tile before it."""

    name: ClassVar[str] = "prefetch-tables"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            for op in list(function.walk()):
                if isinstance(op, tile.Roles) and function.attributes[tile.SLOTS] == 2:
                    changed |= _prefetch(op, function)
        return changed


def _prefetch(roles: tile.Roles, function: Op) -> bool:
    loop = next(op for op in roles.consumer if isinstance(op, While))
    fetches = _fetches(loop)
    registers = sum(_registers(op.results[0], roles.consumers) for op in fetches)
    room = _free_registers(roles)
    if not fetches or registers > room:
        if fetches:
            explain(function, f"tables are not fetched ahead: {registers} of {room} registers")
        return False
    _carry(loop, fetches)
    explain(function, f"{len(fetches)} tables are fetched a tile ahead, {registers} registers")
    return True


def _body(loop: While) -> list[Op]:
    return list(loop.regions[1].block)


def _fetches(loop: While) -> list[Op]:
    """Return the loads from global memory at the head of a tile."""
    found: list[Op] = []
    for op in _body(loop):
        if isinstance(op, tile.RingWait | For | If):
            break
        if isinstance(op, LoadTile | Gather) and _can_move(op, loop):
            found.append(op)
    return found


def _can_move(op: Op, loop: While) -> bool:
    """Return whether a load follows from the record by loads and pure ops alone."""
    return all(_follows(v, loop) for v in op.operands)


def _follows(value: Value, loop: While) -> bool:
    op = value.op
    if op is None or op.parent is not loop.regions[1].block:
        return True
    if not isinstance(op, LoadTile | Gather) and not _is_plain(op):
        return False
    return all(_follows(v, loop) for v in op.operands)


def _is_plain(op: Op) -> bool:
    return isinstance(op, DeclaredOp) and op.is_pure and not op.regions


def _registers(value: Value, consumers: int) -> int:
    """Return the registers of a tile in a thread, when each warpgroup holds its rows once."""
    kind = value.type
    assert isinstance(kind, TensorType)
    words = -(-kind.size * kind.element.bits // 32)
    return max(1, words // (GROUP_LANES * consumers)) if kind.rank > 1 else 2


def _free_registers(roles: tile.Roles) -> int:
    """Return the registers of the widest product that begins anew each turn: its result is dead.

    Sums that a loop carries are not: what is still to be written out is in them.
    """
    wide = [
        int(op.acc.type.shape[1]) // 2
        for op in roles.walk()
        if isinstance(op, tile.DotAsync)
        and isinstance(op.parent_op, For)
        and is_constant(op.acc, 0.0)
    ]
    return max(wide, default=0) + ROW_REGISTERS


def _carry(loop: While, fetches: Sequence[Op]) -> None:
    """Fetch before the loop and at the end of each tile, and carry what was fetched."""
    before, after = (region.block for region in loop.regions)
    condition, last = before.last, after.last
    assert isinstance(condition, Condition)
    assert isinstance(last, Yield)
    record = next(op for op in before if isinstance(op, tile.TileRecord))
    words = [v.index for v in condition.operands[1:] if isinstance(v, OpResult)]
    ends = [op for op in after if isinstance(op, For | If) and _streams(op)]
    anchor = ends[-1].next if ends else last
    assert anchor is not None
    first = _fetch(Builder.before(loop), loop, fetches, record, words)
    again = _fetch(Builder.before(anchor), loop, fetches, record, words)
    kinds = [v.type for v in first]
    loop.set_operands([*loop.operands, *first])
    passed = [before.add_argument(kind) for kind in kinds]
    condition.set_operands([*condition.operands, *passed])
    given = [after.add_argument(kind) for kind in kinds]
    last.set_operands([*last.operands, *again])
    loop.results += [OpResult(loop, len(loop.results) + i, kind) for i, kind in enumerate(kinds)]
    for op, argument in zip(fetches, given, strict=True):
        op.replace_by(argument)


def _streams(op: Op) -> bool:
    return any(isinstance(each, tile.RingWait) for each in op.walk())


def _fetch(
    b: Builder, loop: While, fetches: Sequence[Op], record: tile.TileRecord, words: list[int]
) -> list[Value]:
    """Read the next record, and copy the fetches for its coordinates."""
    peek = b.add(tile.TilePeek, types=[I32] * len(record.results))
    after = loop.regions[1].block
    mapping: dict[Value, Value] = {
        argument: peek.results[i] for argument, i in zip(after.args, words, strict=False)
    }
    return [_copy(b, op.results[0], after.args, mapping) for op in fetches]


def _copy(
    b: Builder, value: Value, arguments: Sequence[BlockArgument], mapping: dict[Value, Value]
) -> Value:
    """Copy what computes a value in the body of the loop over tiles."""
    if value in mapping:
        return mapping[value]
    op = value.op
    block = arguments[0].block if arguments else None
    if op is None or op.parent is not block:
        return value
    for v in op.operands:
        _copy(b, v, arguments, mapping)
    b.insert(op.clone(mapping))
    return mapping[value]
