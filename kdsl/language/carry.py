"""What loops and branches hand on: names, bound or not, and the numbers inside values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdsl.errors import UnboundLoopVariableError
from kdsl.ir.location import Location
from kdsl.language.dims import extent
from kdsl.language.state import where
from kdsl.language.types import describe
from kdsl.language.values import Lanes, Operators

Spans = dict[str, tuple[int, int, int, int]]
"""Name -> where it is assigned: line, column, end line, end column; columns from 1."""


class Unbound(Operators):
    """Stands for a name without a value; every use of it is the user's mistake."""

    __slots__ = ("construct", "name")

    def __init__(self, name: str, construct: str = "code before it") -> None:
        self.name = name
        self.construct = construct

    def fail(self) -> Any:
        """Raise the error of reading the name."""
        raise UnboundLoopVariableError(where(), name=self.name, construct=self.construct)

    as_operand = fail

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "type_text":
            raise AttributeError(name)
        return self.fail()

    def __getitem__(self, item: Any) -> Any:
        return self.fail()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fail()


@dataclass(frozen=True)
class Shape:
    """How a value is put together from leaves: traced values and Python numbers."""

    kind: str
    parts: tuple[Shape, ...] = ()
    like: Any = None

    @property
    def size(self) -> int:
        return 1 if self.kind == "leaf" else sum(p.size for p in self.parts) or self._own()

    def _own(self) -> int:
        return len(self.like.leaves()) if self.kind == "custom" else 0


LEAF = Shape("leaf")


def flatten(value: Any) -> tuple[Shape, list[Any]]:
    """Take a value apart: tuples, lists, dataclasses, spans, pointers and views hold leaves."""
    value = extent(value)
    if isinstance(value, Lanes | bool | int | float):
        return LEAF, [value]
    if type(value) in (tuple, list):
        parts = [flatten(v) for v in value]
        shape = Shape(type(value).__name__, tuple(s for s, _ in parts))
        return shape, [leaf for _, leaves in parts for leaf in leaves]
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None and not isinstance(value, type):
        parts = [flatten(getattr(value, name)) for name in fields]
        shape = Shape("struct", tuple(s for s, _ in parts), type(value))
        return shape, [leaf for _, leaves in parts for leaf in leaves]
    if hasattr(value, "same_structure"):
        return Shape("custom", (), value), list(value.leaves())
    return Shape("static", (), value), []


def rebuild(shape: Shape, leaves: Sequence[Any]) -> Any:
    """Put a value together again."""
    found, rest = _rebuild(shape, list(leaves))
    assert not rest
    return found


def _rebuild(shape: Shape, leaves: list[Any]) -> tuple[Any, list[Any]]:
    if shape.kind == "leaf":
        return leaves[0], leaves[1:]
    if shape.kind == "static":
        return shape.like, leaves
    if shape.kind == "custom":
        count = len(shape.like.leaves())
        return shape.like.rebuilt(leaves[:count]), leaves[count:]
    parts = []
    for part in shape.parts:
        made, leaves = _rebuild(part, leaves)
        parts.append(made)
    if shape.kind == "struct":
        names = shape.like.__dataclass_fields__
        return shape.like(**dict(zip(names, parts, strict=True))), leaves
    return (tuple(parts) if shape.kind == "tuple" else parts), leaves


def fits(before: Shape, after: Shape) -> bool:
    """Return whether two values differ in their leaves only."""
    if before.kind != after.kind:
        return False
    if before.kind == "custom":
        return bool(before.like.same_structure(after.like))
    if before.kind == "static":
        return before.like is after.like or _equal(before.like, after.like)
    if before.kind == "struct" and before.like is not after.like:
        return False
    return len(before.parts) == len(after.parts) and all(
        fits(a, b) for a, b in zip(before.parts, after.parts, strict=True)
    )


def _equal(a: Any, b: Any) -> bool:
    """Compare values that hold nothing traced."""
    if isinstance(a, Operators) or isinstance(b, Operators) or type(a) is not type(b):
        return False
    found = a == b
    return found if isinstance(found, bool) else False


def same(a: Any, b: Any) -> bool:
    """Return whether two values are known to be the same without running anything."""
    if a is b:
        return True
    if type(a) is type(b) and isinstance(a, bool | int | float | str):
        return bool(a == b)
    return isinstance(a, Lanes) and isinstance(b, Lanes) and a.ir is b.ir and a.dtype is b.dtype


def text_of(value: Any) -> str:
    """Say what a carried value is."""
    return "unbound" if isinstance(value, Unbound) else describe(value)


def place(spans: Spans | None, name: str, file: str | None) -> Location | None:
    """Return where a construct assigns a name; the line being run when that is not known."""
    if spans and file and name in spans:
        from kdsl.language.state import active

        trace = active()
        caller = trace.callers[-1] if trace is not None and trace.callers else None
        return Location(file, spans[name], caller=caller)
    return where()
