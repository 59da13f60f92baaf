"""What is known of integers before a kernel runs: ranges, divisors, whether lanes agree.

Index values whose range fits 32 bits are computed in 32-bit registers, accesses whose address is
proved to be a multiple are as wide as that allows, and branches that all lanes take alike say so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdsl.dialects import arith, gpu, kdsl, memref, scf, vector
from kdsl.ir.attributes import Dense
from kdsl.ir.core import Block, BlockArgument, Op, Value
from kdsl.ir.types import I1, INDEX, Type, element_type

Range = tuple[int, int]
I32_RANGE: Range = (-(1 << 31), (1 << 31) - 1)
SIZE_RANGE: Range = (0, 1 << 47)
"""No extent is larger: addresses have 49 bits."""
GRID_RANGES: tuple[Range, ...] = ((0, (1 << 31) - 1), (0, 65535), (0, 65535))
LANES_RANGE: Range = (0, 1023)
DEEPEST = 40
"""How many ops a question follows; beyond, nothing is known."""
MOST_DIVISOR = 1 << 12


class IntegerFacts:
    """Answers about the values of one kernel; ``lanes`` is the size of its workgroup."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self._ranges: dict[Value, Range | None] = {}
        self._divisors: dict[Value, int] = {}
        self._agreed: dict[Value, bool] = {}

    # ------------------------------------------------------------------------------------ ranges

    def range(self, value: Value, depth: int = 0) -> Range | None:
        """Return the least and the largest number that a value can be, None when unknown."""
        known = self._ranges.get(value, ...)
        if known is not ...:
            return known
        if depth > DEEPEST:
            return None
        found = self._range(value, depth + 1)
        if found is None:
            found = _of_type(value.type)
        self._ranges[value] = found
        return found

    def _range(self, value: Value, depth: int) -> Range | None:
        op = value.op
        if op is None:
            return self._range_of_argument(value, depth)
        rule = RANGE_RULES.get(type(op))
        if rule is None:
            return None
        found = rule(self, op, depth)
        bits = element_type(value.type).bits
        # What does not fit the type wraps around: then anything is possible.
        if found is None or found[0] < -(1 << (bits - 1)) or found[1] >= 1 << (bits - 1):
            return None
        return found

    def _range_of_argument(self, value: Value, depth: int) -> Range | None:
        assert isinstance(value, BlockArgument)
        loop = value.block.parent_op
        if not isinstance(loop, scf.For) or value.index != 0:
            return None
        low, high = self.range(loop.lower, depth), self.range(loop.upper, depth)
        if low is None or high is None:
            return None
        return (low[0], max(low[0], high[1] - 1))

    def fits32(self, value: Value) -> bool:
        """Return whether a value is a signed 32-bit number."""
        found = self.range(value)
        return found is not None and found[0] >= I32_RANGE[0] and found[1] <= I32_RANGE[1]

    # ---------------------------------------------------------------------------------- divisors

    def divisor(self, value: Value, depth: int = 0) -> int:
        """Return a power of two that divides a value (for zero, a large one)."""
        known = self._divisors.get(value)
        if known is not None:
            return known
        if depth > DEEPEST:
            return 1
        found = min(self._divisor(value, depth + 1), MOST_DIVISOR)
        self._divisors[value] = found
        return found

    def _divisor(self, value: Value, depth: int) -> int:
        op = value.op
        if op is None:
            return self._divisor_of_argument(value, depth)
        match op:
            case arith.Constant():
                known = arith.constant_of(value)
                return low_bit(int(known)) if known is not None else 1
            case arith.Addi() | arith.Subi() | arith.Minsi() | arith.Maxsi():
                return min(self.divisor(op.lhs, depth), self.divisor(op.rhs, depth))
            case arith.Muli():
                return self.divisor(op.lhs, depth) * self.divisor(op.rhs, depth)
            case arith.Shli():
                by = arith.constant_of(op.rhs)
                return self.divisor(op.lhs, depth) << int(by) if by is not None else 1
            case arith.Andi():
                return max(self.divisor(op.lhs, depth), self.divisor(op.rhs, depth))
            case arith.Ori() | arith.Xori():
                return min(self.divisor(op.lhs, depth), self.divisor(op.rhs, depth))
            case arith.Remsi() | arith.Remui():
                return min(self.divisor(op.lhs, depth), self.divisor(op.rhs, depth))
            case arith.Select():
                return min(self.divisor(op.a, depth), self.divisor(op.b, depth))
            case arith.IndexCast() | arith.IndexCastui() | arith.Extsi() | arith.Extui():
                return self.divisor(op.x, depth)
            case arith.Divsi() | arith.Divui() | arith.Shrsi() | arith.Shrui():
                return self._divisor_of_quotient(op, depth)
        return 1

    def _divisor_of_quotient(self, op: Any, depth: int) -> int:
        by = arith.constant_of(op.rhs)
        if by is None:
            return 1
        by = 1 << int(by) if isinstance(op, arith.Shrsi | arith.Shrui) else int(by)
        whole = self.divisor(op.lhs, depth)
        return whole // by if by > 0 and by & (by - 1) == 0 and whole > by else 1

    def _divisor_of_argument(self, value: Value, depth: int) -> int:
        assert isinstance(value, BlockArgument)
        loop = value.block.parent_op
        if isinstance(loop, scf.For) and value.index == 0:
            return min(self.divisor(loop.lower, depth), self.divisor(loop.step, depth))
        return 1

    # --------------------------------------------------------------------------------- agreement

    def agrees(self, value: Value, depth: int = 0) -> bool:
        """Return whether all lanes of a warp that are there hold the same value."""
        known = self._agreed.get(value)
        if known is not None:
            return known
        if depth > DEEPEST:
            return False
        found = self._agrees(value, depth + 1)
        self._agreed[value] = found
        return found

    def _agrees(self, value: Value, depth: int) -> bool:
        op = value.op
        if op is None:
            assert isinstance(value, BlockArgument)
            loop = value.block.parent_op
            if isinstance(loop, scf.For) and value.index == 0:
                return all(self.agrees(v, depth) for v in loop.operands[:3])
            return loop is None or loop.parent_op is None or loop.name == "func.func"
        if type(op) in AGREED:
            return True
        if op.regions or not getattr(op, "is_pure", False) or isinstance(op, gpu.ThreadId):
            return False
        if isinstance(op, gpu.Shuffle):
            return False
        return bool(op.operands) and all(self.agrees(v, depth) for v in op.operands)


def low_bit(number: int) -> int:
    """Return the largest power of two that divides a number."""
    return number & -number if number else MOST_DIVISOR


def is_dead_after(value: Value, op: Op, order: dict[Op, int]) -> bool:
    """Return whether nothing reads ``value`` once ``op`` has.

    ``order`` numbers the ops of the function, outer before inner.
    """
    home = value.block if isinstance(value, BlockArgument) else value.op.parent  # type: ignore[union-attr]
    here = _in_block(op, home, through_loops=True)
    if here is None:  # the value's region has ended
        return True
    if _in_block(op, home, through_loops=False) is None:  # it is read again in the next turn
        return False
    at = order[here]
    for user in value.users:
        if user is op:
            continue
        place = _in_block(user, home, through_loops=True)
        if place is None or order[place] >= at:
            return False
    return True


def _in_block(op: Op, home: Block | None, *, through_loops: bool) -> Op | None:
    """Return the op of block ``home`` that encloses ``op``."""
    here: Op | None = op
    while here is not None and here.parent is not home:
        here = here.parent_op
        if not through_loops and isinstance(here, scf.For | scf.While):
            return None
    return here


AGREED: set[type[Op]] = {arith.Constant, kdsl.ProgramId, kdsl.NumPrograms, memref.Dim}
"""Ops whose result all lanes share."""

# ------------------------------------------------------------------------------------- range rules


def _of_type(t: Type) -> Range | None:
    element = element_type(t) if not t.text.startswith("memref") else None
    if element is None or element.kind == "f" or element is I1:
        return None
    if element is INDEX:
        return None
    return (-(1 << (element.bits - 1)), (1 << (element.bits - 1)) - 1)


def _constant(facts: IntegerFacts, op: Any, depth: int) -> Range | None:
    value = op.value
    if isinstance(value, Dense):
        if value.type.element.kind == "f" or value.type.element is I1:
            return None
        return (int(value.array.min()), int(value.array.max()))
    number = arith.plain(value)
    if isinstance(number, bool) or not isinstance(number, int):
        return None
    return (number, number)


Pair = tuple[Range, Range]


def _both(facts: IntegerFacts, op: Any, depth: int) -> Pair | None:
    a = facts.range(op.operands[0], depth)
    b = facts.range(op.operands[1], depth)
    return None if a is None or b is None else (a, b)


def _from_both(compute: Callable[[Range, Range], Range | None]) -> Any:
    def rule(facts: IntegerFacts, op: Any, depth: int) -> Range | None:
        both = _both(facts, op, depth)
        return None if both is None else compute(*both)

    return rule


def _multiply(a: Range, b: Range) -> Range:
    products = [x * y for x in a for y in b]
    return (min(products), max(products))


def _divide_up(a: Range, b: Range) -> Range | None:
    return (-(-a[0] // b[1]), -(-a[1] // b[0])) if a[0] >= 0 and b[0] > 0 else None


def _divide(a: Range, b: Range) -> Range | None:
    return (a[0] // b[1], a[1] // b[0]) if a[0] >= 0 and b[0] > 0 else None


def _remainder(a: Range, b: Range) -> Range | None:
    return (0, min(a[1], b[1] - 1)) if a[0] >= 0 and b[0] > 0 else None


def _shift_left(a: Range, b: Range) -> Range | None:
    return _multiply(a, (1 << b[0], 1 << b[1])) if b[0] >= 0 and b[1] < 64 else None


def _shift_right(a: Range, b: Range) -> Range | None:
    return (a[0] >> b[1], a[1] >> b[0]) if a[0] >= 0 and 0 <= b[0] <= b[1] < 64 else None


def _and(facts: IntegerFacts, op: Any, depth: int) -> Range | None:
    """A mask that is not negative bounds the result, whatever it masks."""
    ranges = [facts.range(v, depth) for v in op.operands]
    tops = [r[1] for r in ranges if r is not None and r[0] >= 0]
    return (0, min(tops)) if tops else None


def _or(a: Range, b: Range) -> Range | None:
    if a[0] < 0 or b[0] < 0:
        return None
    return (0, (1 << max(a[1], b[1]).bit_length()) - 1)


def _select(facts: IntegerFacts, op: Any, depth: int) -> Range | None:
    a, b = facts.range(op.a, depth), facts.range(op.b, depth)
    return None if a is None or b is None else (min(a[0], b[0]), max(a[1], b[1]))


def _cast(facts: IntegerFacts, op: Any, depth: int) -> Range | None:
    if element_type(op.x.type) is I1:
        return (-1, 0)
    return facts.range(op.x, depth)


def _zero_extend(facts: IntegerFacts, op: Any, depth: int) -> Range | None:
    if element_type(op.x.type) is I1:
        return (0, 1)
    known = facts.range(op.x, depth)
    if known is not None and known[0] >= 0:
        return known
    return (0, (1 << element_type(op.x.type).bits) - 1)


def _same(facts: IntegerFacts, op: Any, depth: int) -> Range | None:
    return facts.range(op.operands[0], depth)


def _of_two(facts: IntegerFacts, op: Any, depth: int) -> Range | None:
    both = _both(facts, op, depth)
    return None if both is None else (min(both[0][0], both[1][0]), max(both[0][1], both[1][1]))


RANGE_RULES: dict[type[Op], Callable[[IntegerFacts, Any, int], Range | None]] = {
    arith.Constant: _constant,
    arith.Addi: _from_both(lambda a, b: (a[0] + b[0], a[1] + b[1])),
    arith.Subi: _from_both(lambda a, b: (a[0] - b[1], a[1] - b[0])),
    arith.Muli: _from_both(_multiply),
    arith.Divsi: _from_both(_divide),
    arith.Divui: _from_both(_divide),
    arith.Floordivsi: _from_both(_divide),
    arith.Ceildivsi: _from_both(_divide_up),
    arith.Remsi: _from_both(_remainder),
    arith.Remui: _from_both(_remainder),
    arith.Shli: _from_both(_shift_left),
    arith.Shrsi: _from_both(_shift_right),
    arith.Shrui: _from_both(_shift_right),
    arith.Andi: _and,
    arith.Ori: _from_both(_or),
    arith.Xori: _from_both(_or),
    arith.Minsi: _from_both(lambda a, b: (min(a[0], b[0]), min(a[1], b[1]))),
    arith.Maxsi: _from_both(lambda a, b: (max(a[0], b[0]), max(a[1], b[1]))),
    arith.Select: _select,
    arith.IndexCast: _cast,
    arith.Extsi: _cast,
    arith.IndexCastui: _zero_extend,
    arith.Extui: _zero_extend,
    vector.Broadcast: _same,
    vector.Shuffle: _of_two,
    vector.ExtractElement: _same,
    gpu.ThreadId: lambda f, op, d: (0, f.lanes - 1) if op.dimension == gpu.X else (0, 0),
    kdsl.ProgramId: lambda f, op, d: GRID_RANGES[op.axis],
    kdsl.NumPrograms: lambda f, op, d: GRID_RANGES[op.axis],
    memref.Dim: lambda f, op, d: SIZE_RANGE,
}
