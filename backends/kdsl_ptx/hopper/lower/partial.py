"""Sums along a row that a loop carries stay unreduced in each lane until after the loop.

``total = total * shrink + sum(p)`` costs two shuffles for each row and iteration when the sum is
one number for all four lanes of a row. The sum is linear: each lane can keep its own part, as
long as what the loop does to it is the same for the whole row. A part is a column of four.

    carried total [R]   ->   carried parts [R, 4], reduced after the loop
"""

from __future__ import annotations

from typing import Any

from kdsl.dialects import arith, kdsl, math, scf
from kdsl.ir.builder import Builder
from kdsl.ir.core import Op, Value
from kdsl.ir.types import I1, I32, TensorType, tensor
from kdsl_ptx.dialect.rows import LANES_OF_ROW, QuadSum

ADD = "addf"


def carry_partial_sums(root: Op) -> bool:
    """Rewrite every loop inside ``root`` that carries such sums; return whether there was one."""
    changed = False
    for op in list(root.walk()):
        if not isinstance(op, scf.For):
            continue
        loop = op
        for index in range(len(loop.inits)):
            if _is_sum(loop, index):
                loop = _carry_parts(loop, index)
                changed = True
    return changed


def _is_sum(loop: scf.For, index: int) -> bool:
    """Return whether a carried row is only scaled by rows and added to sums along columns."""
    carried = loop.carried[index]
    kind = carried.type
    if not isinstance(kind, TensorType) or kind.rank != 1 or kind.element.kind != "f":
        return False
    found = _terms(loop.yields.values[index], carried, loop)
    return found is not None


def _terms(value: Value, carried: Value, loop: scf.For) -> tuple[Value | None, Value] | None:
    """Match ``carried * factor + sum``; return the factor (None: one) and the sum."""
    op = value.op
    if op is None or op.parent is not loop.body or not value.has_one_use:
        return None
    match op:
        case math.Fma(a, b, total) if _is_row_sum(total):
            factor = _other(a, b, carried)
            return None if factor is None or not carried.has_one_use else (factor, total)
        case arith.Addf(a, b):
            for scaled, total in ((a, b), (b, a)):
                if not _is_row_sum(total):
                    continue
                if scaled is carried and carried.has_one_use:
                    return None, total
                inner = scaled.op
                if isinstance(inner, arith.Mulf) and scaled.has_one_use:
                    factor = _other(inner.lhs, inner.rhs, carried)
                    if factor is not None and carried.has_one_use:
                        return factor, total
    return None


def _other(a: Value, b: Value, wanted: Value) -> Value | None:
    if a is wanted and b is not wanted:
        return b
    return a if b is wanted and a is not wanted else None


def _is_row_sum(value: Value) -> bool:
    """Return whether a value is a sum along columns that nothing else reads."""
    op = value.op
    if not (isinstance(op, kdsl.Reduce) and op.kind == ADD and op.axis == 1):
        return False
    kind = op.x.type
    return kind.rank == 2 and kind.shape[1] % (2 * LANES_OF_ROW) == 0 and value.has_one_use


def _carry_parts(loop: scf.For, index: int) -> scf.For:
    """Return the loop that carries parts at ``index``."""
    factor, total = _terms(loop.yields.values[index], loop.carried[index], loop) or (None, None)
    assert total is not None
    before = Builder.before(loop)
    inits = list(loop.inits)
    inits[index] = parts_of(before, inits[index])
    made = scf.For(
        [loop.lower, loop.upper, loop.step, *inits], [v.type for v in inits],
        dict(loop.attributes), [], loop.loc,
    )  # fmt: skip
    for old, new in zip(loop.results, made.results, strict=True):
        new.name = old.name
    region = loop.regions.pop()
    region.parent = made
    made.regions.append(region)
    body = region.block
    carried = body.args[1 + index]
    carried.type = inits[index].type
    yields = body.last
    assert yields is not None
    last = yields.operands[index].op
    assert last is not None
    parts = parts_of(Builder.before(last), total)
    scaled: Value = carried
    if factor is not None:
        wide = _repeat(Builder.before(last), factor)
        scaled = _made(Builder.before(last).create(arith.Mulf, carried, wide, **_flags(last)))
    result = _made(Builder.before(last).create(arith.Addf, scaled, parts, **_flags(last)))
    yields.set_operand(index, result)
    _erase_unused(last)
    loop.parent.insert_before(loop, made)  # type: ignore[union-attr]
    after = Builder(made.parent, made.next, made.loc)  # type: ignore[arg-type]
    whole = _made(after.create(kdsl.Reduce, made.results[index], axis=1, kind=ADD))
    for i, old in enumerate(loop.results):
        old.replace_by(whole if i == index else made.results[i])
    loop.erase()
    return made


def _flags(op: Op) -> dict[str, Any]:
    found = op.attributes.get("fastmath")
    return {} if found is None else {"fastmath": found}


def parts_of(b: Builder, value: Value) -> Value:
    """Return parts [R, 4] whose sum along the columns is ``value``."""
    op = value.op
    kind = value.type
    assert isinstance(kind, TensorType)
    wanted = tensor((*kind.shape, LANES_OF_ROW), kind.element)
    if arith.is_constant(value, 0.0):
        return arith.constant(b, 0.0, wanted)
    match op:
        case kdsl.Reduce(x) if op.kind == ADD and op.axis == 1 and x.type is wanted:
            return x
        case kdsl.Reduce() if _is_row_sum(value):
            return _made(b.create(QuadSum, op.x))
        case arith.Addf(c, total) if _is_row_sum(total):
            if arith.is_constant(c, 0.0):
                return parts_of(b, total)
            scaled = c.op
            if isinstance(scaled, arith.Mulf) and any(
                arith.is_constant(v, 0.0) for v in (scaled.lhs, scaled.rhs)
            ):
                factor = scaled.rhs if arith.is_constant(scaled.lhs, 0.0) else scaled.lhs
                zero = arith.constant(b, 0.0, wanted)
                first = _made(b.create(arith.Mulf, zero, _repeat(b, factor), **_flags(scaled)))
                return _made(b.create(arith.Addf, first, parts_of(b, total), **_flags(op)))
    return _in_first(b, value, wanted)


def _in_first(b: Builder, value: Value, wanted: TensorType) -> Value:
    """Return parts of which the first is the value, the others zero."""
    count = tensor((LANES_OF_ROW,), I32)
    number = b.create(kdsl.Iota, types=[count])
    first = b.create(arith.Cmpi, number, arith.constant(b, 0, count), predicate=arith.CMPI["eq"])
    row = b.create(kdsl.Broadcast, first, types=[tensor(wanted.shape, I1)], dims=(1,))
    zero = arith.constant(b, 0.0, wanted)
    return _made(b.create(arith.Select, row, _repeat(b, value), zero))


def _repeat(b: Builder, row: Value) -> Value:
    kind = row.type
    assert isinstance(kind, TensorType)
    wanted = tensor((*kind.shape, LANES_OF_ROW), kind.element)
    return _made(b.create(kdsl.Broadcast, row, types=[wanted], dims=(0,)))


def _erase_unused(op: Op) -> None:
    """Erase an op and the pure ops that only it read."""
    pending = [op]
    while pending:
        each = pending.pop()
        if each.is_used or each.parent is None:
            continue
        sources = [v.op for v in each.operands]
        each.erase()
        pending += [s for s in sources if isinstance(s, arith.Mulf | kdsl.Reduce)]


def _made(value: object) -> Value:
    assert isinstance(value, Value)
    return value
