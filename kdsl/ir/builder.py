"""Creating ops at an insertion point."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from kdsl.ir.core import Block, Op, Region, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdsl.ir.attributes import AttributeValue
    from kdsl.ir.define import Op as DeclaredOp
    from kdsl.ir.location import Location
    from kdsl.ir.types import Type

OpT = TypeVar("OpT", bound="DeclaredOp")


class Builder:
    """Puts new ops before ``anchor`` in ``block`` (at its end when ``anchor`` is None)."""

    __slots__ = ("anchor", "block", "loc")

    def __init__(self, block: Block, anchor: Op | None = None, loc: Location | None = None) -> None:
        self.block = block
        self.anchor = anchor
        self.loc = loc

    @classmethod
    def before(cls, op: Op) -> Builder:
        """Return a builder that inserts before ``op`` with its location."""
        assert op.parent is not None
        return cls(op.parent, op, op.loc)

    @classmethod
    def after(cls, op: Op) -> Builder:
        """Return a builder that inserts right after ``op`` with its location."""
        assert op.parent is not None
        return cls(op.parent, op.next, op.loc)

    def insert(self, op: Op) -> Op:
        """Insert an existing op."""
        if op.loc is None:
            op.loc = self.loc
        return self.block.insert_before(self.anchor, op)

    def add(
        self,
        kind: type[OpT],
        /,
        *operands: Value | Sequence[Value],
        types: Sequence[Type] | None = None,
        regions: Sequence[Region] = (),
        **attributes: AttributeValue,
    ) -> OpT:
        """Create an op, insert it and return it."""
        op = kind.make(*operands, types=types, regions=regions, loc=self.loc, **attributes)
        self.block.insert_before(self.anchor, op)
        return op

    def create(
        self,
        kind: type[OpT],
        /,
        *operands: Value | Sequence[Value],
        types: Sequence[Type] | None = None,
        regions: Sequence[Region] = (),
        **attributes: AttributeValue,
    ) -> Any:
        """Create an op, insert it and return its only result (a tuple of several; None of none)."""
        op = self.add(kind, *operands, types=types, regions=regions, **attributes)
        if len(op.results) == 1:
            return op.results[0]
        return tuple(op.results) or None

    @contextmanager
    def at(self, block: Block, anchor: Op | None = None) -> Iterator[Builder]:
        """Insert elsewhere for the length of a ``with`` block."""
        saved = self.block, self.anchor
        self.block, self.anchor = block, anchor
        try:
            yield self
        finally:
            self.block, self.anchor = saved
