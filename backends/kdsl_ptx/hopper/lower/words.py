"""32-bit scalar arithmetic in few words, for addresses, barriers and ring states."""

from __future__ import annotations

from collections.abc import Callable

from kdsl.dialects import arith, scf
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.ir.types import I32, I64, INDEX, Type

Word = Value | int
"""A number, or an i32 value."""


class Words:
    """Writes i32 arithmetic with ``builder``; numbers become constants where they are needed."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder

    def value(self, x: Word, type: Type = I32) -> Value:
        """Return a value for a number."""
        return x if isinstance(x, Value) else arith.constant(self.builder, x, type)

    def add(self, a: Word, b: Word) -> Value:
        return a if _is_zero(b) and isinstance(a, Value) else self._two(arith.Addi, a, b)

    def sub(self, a: Word, b: Word) -> Value:
        return self._two(arith.Subi, a, b)

    def mul(self, a: Word, b: Word) -> Value:
        """Return the product; by a power of two it is a shift."""
        if isinstance(b, int) and b > 0 and b & (b - 1) == 0:
            return self.shl(a, b.bit_length() - 1)
        return self._two(arith.Muli, a, b)

    def shl(self, a: Word, b: int) -> Value:
        return self.value(a) if b == 0 else self._two(arith.Shli, a, b)

    def shr(self, a: Word, b: int) -> Value:
        return self._two(arith.Shrui, a, b)

    def and_(self, a: Word, b: Word) -> Value:
        return self._two(arith.Andi, a, b)

    def xor(self, a: Word, b: Word) -> Value:
        return self._two(arith.Xori, a, b)

    def equal(self, a: Word, b: Word) -> Value:
        return self._compare("eq", a, b)

    def differ(self, a: Word, b: Word) -> Value:
        return self._compare("ne", a, b)

    def both(self, a: Value, b: Value) -> Value:
        """Return the conjunction of two i1."""
        return self._made(self.builder.create(arith.Andi, a, b))

    def select(self, condition: Value, a: Word, b: Word) -> Value:
        return self._made(
            self.builder.create(arith.Select, condition, self.value(a), self.value(b))
        )

    def wide(self, a: Value) -> Value:
        """Return an i32 without sign as i64."""
        return self._made(self.builder.create(arith.Extui, a, types=[I64]))

    def word(self, a: Value) -> Value:
        """Return an index as i32."""
        if a.type is I32:
            return a
        assert a.type is INDEX
        known = arith.constant_of(a)
        if known is not None:
            return self.value(int(known))
        return self._made(self.builder.create(arith.IndexCast, a, types=[I32]))

    def index(self, a: Value) -> Value:
        """Return an i32 as index."""
        return self._made(self.builder.create(arith.IndexCast, a, types=[INDEX]))

    def when(self, condition: Value, body: Callable[[], object]) -> None:
        """Run ``body`` where ``condition`` holds."""
        block = Block()
        self.builder.add(scf.If, condition, types=[], regions=[Region([block]), Region()])
        with self.builder.at(block):
            body()
            self.builder.add(scf.Yield, [])

    # -------------------------------------------------------------------------------------------

    def _two(self, kind: type[Op], a: Word, b: Word) -> Value:
        return self._made(self.builder.create(kind, self.value(a), self.value(b)))  # type: ignore[type-var]

    def _compare(self, predicate: str, a: Word, b: Word) -> Value:
        made = self.builder.create(
            arith.Cmpi, self.value(a), self.value(b), predicate=arith.CMPI[predicate]
        )
        return self._made(made)

    @staticmethod
    def _made(value: object) -> Value:
        assert isinstance(value, Value)
        return value


def _is_zero(x: Word) -> bool:
    return isinstance(x, int) and x == 0
