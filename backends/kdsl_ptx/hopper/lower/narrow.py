"""Roles count in 32 bits, and records go around in words.

The uniform datapath, which keeps ring states and descriptors out of the lanes' registers, has 32
bits, and the producer's and scheduler's few registers do not hold 64-bit divisions. What these two
compute are numbers of tiles and coordinates of bulk copies, which have 32 bits in any case: extents
and grids are checked to be below 2^31 where tensor maps are made.
"""

from __future__ import annotations

from kdsl.dialects import arith, scf
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Op, Value
from kdsl.ir.types import I32, INDEX
from kdsl_ptx.dialect import machine, tile

STREAMS = (tile.RingLoad, tile.RingWait)
ARITHMETIC = (
    arith.Addi, arith.Subi, arith.Muli, arith.Minsi, arith.Maxsi, arith.Minui, arith.Maxui,
    arith.Divsi, arith.Divui, arith.Floordivsi, arith.Ceildivsi, arith.Remsi, arith.Remui,
    arith.Cmpi, arith.Select,
)  # fmt: skip


def narrow_roles(roles: tile.Roles) -> None:
    """Narrow the loops over streamed blocks and what the tile loops carry."""
    for role in (roles.producer, roles.scheduler):
        for op in role:
            for each in list(op.walk()):
                _narrow_arithmetic(each)
    for op in list(roles.walk()):
        if isinstance(op, scf.For) and op.lower.type is INDEX and streams(op):
            _narrow_loop(op)
        elif isinstance(op, scf.While):
            _narrow_while(op)


def meet_after_tiles(roles: tile.Roles) -> None:
    """Let the lanes of a consumer's warp meet at the end of each tile.

    Some of them stored or released alone. Without a word, ptxas takes the state of the rings for
    different in each lane from the second tile on.
    """
    for op in roles.consumer:
        if isinstance(op, scf.While):
            last = op.regions[1].block.last
            assert last is not None
            Builder.before(last).add(machine.WarpSync)


def _narrow_arithmetic(op: Op) -> None:
    """Compute on words what is computed on indices."""
    if not isinstance(op, ARITHMETIC) or all(v.type is not INDEX for v in op.operands):
        return
    b = Builder.before(op)
    words = [_word(b, v) if v.type is INDEX else v for v in op.operands]
    wide = op.results[0].type is INDEX
    made = type(op)(words, [I32 if wide else op.results[0].type], dict(op.attributes), [], op.loc)
    found: Value = b.insert(made).results[0]
    if wide:
        found = b.add(arith.IndexCast, found, types=[INDEX]).result
    op.replace_by(found)


def streams(op: Op) -> bool:
    """Return whether blocks of the ring go through a loop."""
    return any(isinstance(each, STREAMS) for each in op.walk())


def _narrow_loop(loop: scf.For) -> None:
    before = Builder.before(loop)
    for i in range(3):
        loop.set_operand(i, _word(before, loop.operands[i]))
    _narrow_argument(loop.body, 0)


def _narrow_argument(block: Block, number: int) -> None:
    """Make an index argument a word; what read it reads the word's index."""
    argument = block.args[number]
    b = Builder(block, block.first)
    argument.type = I32
    wide = b.add(arith.IndexCast, argument, types=[INDEX])
    wide.result.name = argument.name
    for user in list(argument.users):
        if user is not wide:
            for i, operand in enumerate(user.operands):
                if operand is argument:
                    user.set_operand(i, wide.result)


def _word(b: Builder, value: Value) -> Value:
    """Return an index as i32."""
    known = arith.constant_of(value)
    if known is not None:
        return arith.constant(b, int(known), I32)
    source = value.op
    if isinstance(source, arith.IndexCast) and source.x.type is I32:
        return source.x
    made = b.create(arith.IndexCast, value, types=[I32])
    assert isinstance(made, Value)
    return made


def _narrow_while(op: scf.While) -> None:
    """Hand words on where indices made of words were."""
    condition = op.regions[0].block.last
    assert isinstance(condition, scf.Condition)
    after = op.regions[1].block
    for number, value in enumerate(list(condition.values)):
        source = value.op
        if value.type is not INDEX or not isinstance(source, arith.IndexCast):
            continue
        if source.x.type is not I32:
            continue
        condition.set_operand(1 + number, source.x)
        _narrow_argument(after, number)
        _narrow_result(op, number)


def _narrow_result(op: Op, number: int) -> None:
    result = op.results[number]
    result.type = I32
    if result.users:
        wide = Builder.after(op).add(arith.IndexCast, result, types=[INDEX])
        for user in list(result.users):
            if user is not wide:
                for i, operand in enumerate(user.operands):
                    if operand is result:
                        user.set_operand(i, wide.result)
