"""Fewer kinds of tile ops: sums in the type they are kept in, concatenations stored by parts."""

from __future__ import annotations

from typing import Any

from kdsl.dialects.arith import Addi, Extf, Extsi, Extui, Truncf, Trunci, index_constant
from kdsl.dialects.kdsl import Concat, Dot, Reduce, Scan, StoreTile, Transpose
from kdsl.ir.builder import Builder
from kdsl.ir.core import Op, Value
from kdsl.ir.types import F32, I1, ScalarType, Type, element_type, like


def normalize(function: Op) -> None:
    """Rewrite the tile ops of a function into the forms that the lowering knows."""
    for op in list(function.walk()):
        if isinstance(op, Dot):
            _widen_dot(op)
        elif isinstance(op, Reduce | Scan):
            _widen_combination(op)
        elif isinstance(op, StoreTile):
            _split_store(op)


def _is_small_float(element: ScalarType) -> bool:
    return element.kind == "f" and element.bits < 32


def converted(b: Builder, value: Value, element: ScalarType) -> Value:
    """Convert a value's lanes; integers keep their sign."""
    source = element_type(value.type)
    if source is element:
        return value
    if isinstance(value.op, Transpose):
        turned = converted(b, value.op.x, element)
        found = b.create(Transpose, turned, permutation=value.op.permutation)
        assert isinstance(found, Value)
        return found
    kind: type[Any]
    if element.kind == "f":
        kind = Extf if source.bits < element.bits else Truncf
    elif source.bits > element.bits:
        kind = Trunci
    else:
        kind = Extui if source is I1 else Extsi
    wanted: Type = like(value.type, element)
    if source.kind == "f" and source.bits == element.bits:
        value = b.create(Extf, value, types=[like(value.type, F32)])
        kind = Truncf
    made = b.create(kind, value, types=[wanted])
    assert isinstance(made, Value)
    return made


def _widen_dot(op: Dot) -> None:
    """Convert operands and accumulator to the type in which the sums are kept."""
    wanted = element_type(op.acc.type)
    wide = F32 if _is_small_float(wanted) else wanted
    b = Builder.before(op)
    if wide is wanted:
        for i in range(2):
            op.set_operand(i, converted(b, op.operands[i], wide))
        return
    parts = [converted(b, v, wide) for v in op.operands]
    made = b.create(Dot, *parts)
    op.replace_by(converted(b, made, wanted))


def _widen_combination(op: Reduce | Scan) -> None:
    """Combine small floats in f32 and round once."""
    element = element_type(op.x.type)
    if not _is_small_float(element):
        return
    b = Builder.before(op)
    attributes: dict[str, Any] = dict(op.attributes)
    made = b.create(type(op), converted(b, op.x, F32), **attributes)
    op.replace_by(converted(b, made, element))


def _split_store(op: StoreTile) -> None:
    """Store the parts of a concatenation, seen through conversions, one by one."""
    whole = op.value.op
    if not isinstance(whole, Concat) or not op.value.has_one_use:
        return
    b = Builder.before(op)
    start = 0
    axis = whole.axis
    dim, step = op.dims[axis], op.steps[axis]
    for part in list(whole.parts):
        indices = list(op.indices)
        if start:
            moved = index_constant(b, start * step)
            indices[dim] = b.create(Addi, indices[dim], moved)
        made = b.add(StoreTile, part, op.target, indices, dims=op.dims, steps=op.steps)
        extra = {k: v for k, v in op.attributes.items() if k not in made.attributes}
        made.attributes.update(extra)
        start += part.type.shape[axis]
        _split_store(made)
    op.erase()
    whole.erase()
