"""Tables that say how ops become text: op class -> function, most of them made from a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kdsl.errors import CannotLowerError
from kdsl.ir.core import Op

Lowering = Callable[[Any, Any], None]
"""Writes one op: ``lower(op, writer)``."""
LoweringT = TypeVar("LoweringT", bound=Lowering)


class LoweringTable:
    """Op class -> lowering; ``name`` is what errors call the back end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._rows: dict[type[Op], Lowering] = {}

    def __call__(self, *kinds: type[Op]) -> Callable[[LoweringT], LoweringT]:
        """Make the decorated function the lowering of these op classes."""

        def enter(lower: LoweringT) -> LoweringT:
            for kind in kinds:
                self._rows[kind] = lower
            return lower

        return enter

    def words(self, make: Callable[[str], Lowering], table: Mapping[type[Op], str]) -> None:
        """Enter ``make(word)`` for each op class and word of ``table``."""
        for kind, word in table.items():
            self._rows[kind] = make(word)

    def include(self, other: LoweringTable) -> None:
        """Take over the rows of another table."""
        self._rows.update(other._rows)

    @property
    def ops(self) -> frozenset[type[Op]]:
        """The op classes that the table can lower."""
        return frozenset(self._rows)

    def lower(self, op: Op, writer: Any) -> None:
        """Write ``op``. Raises CannotLowerError for an op without a row."""
        row = self._rows.get(type(op))
        if row is None:
            raise CannotLowerError(op.loc, backend=self.name, op=op.name, detail="")
        row(op, writer)

    def refuse(self, op: Op, detail: str) -> CannotLowerError:
        """Return the error for a form of an op that has no lowering."""
        return CannotLowerError(op.loc, backend=self.name, op=op.name, detail=f": {detail}")
