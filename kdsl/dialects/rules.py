"""Rules that ops share beyond counts and constraints; upstream's verifiers have the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kdsl.errors import LaneCountError, OpRuleError, RegionError, TerminatorError
from kdsl.ir.attributes import Dense, FloatAttr, IntAttr
from kdsl.ir.core import Block, Op, Value
from kdsl.ir.types import I1, INDEX, MemRefType, ScalarType, ShapedType, Type, element_type


def require(op: Op, holds: bool, what: str) -> None:
    """Raise OpRuleError unless a rule holds."""
    if not holds:
        raise OpRuleError(op.loc, op=op.name, what=what)


# ------------------------------------------------------------------------------------------- lanes


def same_container(a: Type, b: Type) -> bool:
    """Return whether two types are scalars both, or of one kind and shape."""
    if isinstance(a, ShapedType):
        return isinstance(b, ShapedType) and type(a) is type(b) and a.shape == b.shape
    return isinstance(b, ScalarType)


def same_lanes(op: Any) -> None:
    """Operand and result have the same lanes."""
    x, y = op.x.type, op.y.type
    require(op, same_container(x, y), f"{x} and {y} differ in more than their elements")


def _bits(value: Value) -> int:
    return element_type(value.type).bits


def widens(op: Any) -> None:
    """The result's elements are wider."""
    same_lanes(op)
    require(op, _bits(op.y) > _bits(op.x), f"{op.y.type} is not wider than {op.x.type}")


def narrows(op: Any) -> None:
    """The result's elements are narrower."""
    same_lanes(op)
    require(op, _bits(op.y) < _bits(op.x), f"{op.y.type} is not narrower than {op.x.type}")


def same_width(op: Any) -> None:
    """The result's elements have as many bits."""
    same_lanes(op)
    fits = _bits(op.y) == _bits(op.x) and INDEX not in (
        element_type(op.x.type),
        element_type(op.y.type),
    )
    require(op, fits, f"{op.x.type} and {op.y.type} differ in width")


def casts_index(op: Any) -> None:
    """One side is index, the other is not."""
    same_lanes(op)
    sides = [element_type(op.x.type), element_type(op.y.type)]
    require(op, sides.count(INDEX) == 1, f"{op.x.type} to {op.y.type}: one of them must be index")


def one_of_predicates(count: int) -> Callable[[Any], None]:
    """The predicate is one of the first ``count`` numbers."""

    def verify(op: Any) -> None:
        require(op, 0 <= op.predicate < count, f"there is no predicate {op.predicate}")

    return verify


def condition_fits(op: Any) -> None:
    """One condition decides for all lanes, or each lane has its own."""
    condition, a = op.condition.type, op.a.type
    if condition is not I1 and not same_container(condition, a):
        raise LaneCountError(op.loc, op=op.name, wanted=_lanes(a), got=_lanes(condition))


def _lanes(t: Type) -> str:
    return "x".join(str(n) for n in t.shape) if isinstance(t, ShapedType) else "1"


def constant_of_its_type(op: Any) -> None:
    """The attribute has the result's type."""
    value, kind = op.value, op.results[0].type
    got = I1 if isinstance(value, bool) else value.type
    require(op, got is kind, f"a constant of type {got} cannot be a {kind}")
    if isinstance(value, Dense):
        fits = value.is_splat or value.array.shape == value.type.shape
        require(op, fits, f"elements of shape {value.array.shape} for {value.type}")
    elif isinstance(value, IntAttr | FloatAttr):
        fits = isinstance(value, FloatAttr) == (value.type.kind == "f")
        require(op, fits, f"{value.value!r} is no {value.type}")


# ------------------------------------------------------------------------------------------ memory


def indexed(op: Op, buffer: Value, indices: Sequence[Value]) -> None:
    """One index for each dimension of the buffer."""
    rank = len(indices)
    kind = buffer.type
    assert isinstance(kind, MemRefType)
    require(op, rank == kind.rank, f"{kind} takes {kind.rank} indices, got {rank}")


def holds_elements(op: Op, buffer: Value, value: Value) -> None:
    """A value's elements are the buffer's."""
    element = element_type(buffer.type)
    fits = element_type(value.type) is element
    require(op, fits, f"{buffer.type} holds {element}, not {value.type}")


def scalar_access(op: Op, buffer: Value, indices: Sequence[Value], value: Value) -> None:
    """Read or write one element."""
    indexed(op, buffer, indices)
    fits = value.type is element_type(buffer.type)
    require(op, fits, f"{buffer.type} holds {element_type(buffer.type)}, not {value.type}")


def vector_access(op: Op, buffer: Value, indices: Sequence[Value], value: Value) -> None:
    """Read or write consecutive elements of the last dimension."""
    indexed(op, buffer, indices)
    holds_elements(op, buffer, value)
    kind, lanes = buffer.type, value.type
    assert isinstance(kind, MemRefType)
    assert isinstance(lanes, ShapedType)
    require(op, lanes.rank == 1, f"{lanes} has more than one axis")
    require(op, kind.rank > 0, f"{kind} has no dimension")
    require(op, kind.element_strides[-1] == 1, f"the last stride of {kind} is not known to be 1")


def masked_lanes(op: Op, lanes: Value, *others: Value) -> None:
    """A mask (or offsets) has the lanes that it is for."""
    for other in others:
        if not same_container(lanes.type, other.type):
            raise LaneCountError(
                op.loc, op=op.name, wanted=_lanes(lanes.type), got=_lanes(other.type)
            )


# ----------------------------------------------------------------------------------------- regions


def types_of(values: Sequence[Value]) -> tuple[Type, ...]:
    """Return the types of values."""
    return tuple(v.type for v in values)


def listed(types: Sequence[Type]) -> str:
    """Return types as a message shows them."""
    return f"({', '.join(t.text for t in types)})"


def ends_with(op: Op, block: Block, kind: type[Op], types: Sequence[Type], skip: int = 0) -> None:
    """A block ends in a ``kind`` that hands over ``types`` (after ``skip`` of its own)."""
    last = block.last
    if not isinstance(last, kind):
        what = f"its region ends in {'nothing' if last is None else last.name}, not {kind.name}"
        raise TerminatorError(op.loc if last is None else last.loc, op=op.name, what=what)
    got = types_of(last.operands[skip:])
    if got != tuple(types):
        what = f"{kind.name} hands over {listed(got)}, expected {listed(types)}"
        raise TerminatorError(last.loc, op=op.name, what=what)


def takes(op: Op, region: int, types: Sequence[Type]) -> Block:
    """Return the block of a region, whose arguments must have these types."""
    blocks = op.regions[region].blocks
    if not blocks:
        raise RegionError(op.loc, op=op.name, what=f"region {region} is empty")
    got = types_of(blocks[0].args)
    if got != tuple(types):
        what = f"region {region} takes {listed(got)}, expected {listed(types)}"
        raise RegionError(op.loc, op=op.name, what=what)
    return blocks[0]


def same_types(op: Op, what: str, got: Sequence[Type], wanted: Sequence[Type]) -> None:
    """Two lists of types are equal."""
    require(op, tuple(got) == tuple(wanted), f"{what} {listed(got)}, expected {listed(wanted)}")
