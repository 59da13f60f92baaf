"""Named dims and what is computed from them before any value is known.

A ``Dim`` outside of a kernel is a symbol, and arithmetic gives expressions; in a kernel it is the
extent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kdsl.errors import BadAnnotationError, TracedBoolError, TracedValueError
from kdsl.language.state import active, where

PRECEDENCE = {
    "==": 0,
    "!=": 0,
    "<": 0,
    "<=": 0,
    ">": 0,
    ">=": 0,
    "+": 1,
    "-": 1,
    "*": 2,
    "//": 2,
    "%": 2,
}
EVALUATE: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class DimExpr:
    """An expression over named dims: ``text`` is Python, which sympy reads too."""

    __slots__ = ("op", "parts")

    def __init__(self, op: str, *parts: Any) -> None:
        self.op = op
        self.parts = parts

    @property
    def text(self) -> str:
        if self.op == "name":
            return str(self.parts[0])
        rank = PRECEDENCE[self.op]
        left, right = (_inside(p, rank, i) for i, p in enumerate(self.parts))
        return f"{left} {self.op} {right}"

    def evaluate(self, names: Callable[[str], Any]) -> Any:
        """Compute the value; ``names`` gives that of each dim."""
        if self.op == "name":
            return names(self.parts[0])
        left, right = (p.evaluate(names) if isinstance(p, DimExpr) else p for p in self.parts)
        return EVALUATE[self.op](left, right)

    def names(self) -> list[str]:
        """Return the dims that the expression reads."""
        if self.op == "name":
            return [self.parts[0]]
        return [n for p in self.parts if isinstance(p, DimExpr) for n in p.names()]

    def __bool__(self) -> bool:
        if self.op == "==":
            return _text(self.parts[0]) == _text(self.parts[1])
        if self.op == "!=":
            return _text(self.parts[0]) != _text(self.parts[1])
        raise TracedBoolError(where(), type="dim")

    def __index__(self) -> int:
        found = extent(self)
        if isinstance(found, int):
            return found
        raise TracedValueError(where(), type=f"dim {self.text}", wanted="int")

    def __hash__(self) -> int:
        return hash((self.op, self.parts))

    def __repr__(self) -> str:
        return self.text


class Dim(DimExpr):
    """A named dim; ``const`` ones are fixed when a kernel is specialized."""

    __slots__ = ("const",)

    def __init__(self, name: str, const: bool = False) -> None:
        super().__init__("name", name)
        self.const = const

    @property
    def name(self) -> str:
        return str(self.parts[0])


def _inside(part: Any, rank: int, side: int) -> str:
    text = _text(part)
    if isinstance(part, DimExpr) and part.op != "name" and PRECEDENCE[part.op] < rank + side:
        return f"({text})"
    return text


def _text(part: Any) -> str:
    return part.text if isinstance(part, DimExpr) else str(part)


def _operator(op: str, swapped: bool) -> Callable[[DimExpr, Any], Any]:
    def apply(self: DimExpr, other: Any) -> Any:
        left, right = (other, self) if swapped else (self, other)
        if active() is not None:
            return EVALUATE[op](extent(left), extent(right))
        if not isinstance(other, int | DimExpr):
            return NotImplemented
        return DimExpr(op, left, right)

    return apply


for _op, _name in {"+": "add", "-": "sub", "*": "mul", "//": "floordiv", "%": "mod"}.items():
    setattr(DimExpr, f"__{_name}__", _operator(_op, swapped=False))
    setattr(DimExpr, f"__r{_name}__", _operator(_op, swapped=True))
for _op, _name in {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}.items():
    setattr(DimExpr, f"__{_name}__", _operator(_op, swapped=False))


def extent(x: Any) -> Any:
    """Return the value of a dim expression in the kernel under way; other values as they are."""
    if not isinstance(x, DimExpr):
        return x
    trace = active()
    if trace is None:
        return x
    return x.evaluate(trace.dim)


def dims(names: str) -> Any:
    """Make named dims: ``B, H = kd.dims("B H")``; one name gives one dim."""
    return _make(names, const=False)


def const_dims(names: str) -> Any:
    """Make named dims whose extent is fixed at compile time: an int in the kernel."""
    return _make(names, const=True)


def _make(names: str, *, const: bool) -> Any:
    words = names.replace(",", " ").split()
    for word in words:
        if not word.isidentifier():
            raise BadAnnotationError(where(), kernel="kd.dims", name=word, got="no Python name")
    made = tuple(Dim(word, const) for word in words)
    return made[0] if len(made) == 1 else made


def evaluate_text(text: str, names: Mapping[str, int]) -> bool:
    """Evaluate a relation's text over ints; a zero divisor makes it false."""
    try:
        return bool(eval(compile(text, "<relation>", "eval"), {"__builtins__": {}}, dict(names)))  # noqa: S307
    except ZeroDivisionError:
        return False
