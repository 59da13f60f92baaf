"""What the rewritten text of a kernel calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdsl.dialects import cf
from kdsl.dialects import kdsl as ops
from kdsl.errors import (
    StaticAssertError,
    TracedBoolError,
    TypeMismatchError,
    UnsupportedConstructError,
)
from kdsl.language.carry import Spans, Unbound
from kdsl.language.control import Branch, ForLoop, Names, WhileLoop, choose
from kdsl.language.state import Scope, current, emit, user_frame, where
from kdsl.language.types import describe
from kdsl.language.values import (
    Lanes,
    as_value,
    binary,
    compare,
    invert,
    is_traced,
)


def _file() -> str | None:
    frame = user_frame(2)
    return None if frame is None else frame.f_code.co_filename


def unbound(name: str) -> Unbound:
    """Return what a name holds before it is assigned."""
    return Unbound(name)


def read(value: Any) -> Any:
    """Return a name's value; raise when it may have none."""
    if isinstance(value, Unbound):
        value.fail()
    return value


def loop(iterable: Any, names: Names, spans: Spans) -> ForLoop:
    """Begin a ``for`` statement."""
    return ForLoop(iterable, names, spans, _file())


def after_loop(loop: ForLoop, name: str, value: Any) -> Any:
    """Return a loop's target after the loop: unbound when the loop is traced."""
    return Unbound(name, loop.construct) if loop.traced else value


def while_(names: Names, spans: Spans) -> WhileLoop:
    """Begin a ``while`` statement."""
    return WhileLoop(names, spans, _file())


def branch(condition: Any, names: Names, merged: tuple[bool, ...], spans: Spans) -> Branch:
    """Begin an ``if`` statement."""
    return Branch(condition, names, merged, spans, _file())


def leaving(loop: ForLoop | WhileLoop, word: str) -> None:
    """Refuse ``break`` and ``continue`` where the loop, or a branch in it, is traced."""
    if loop.traced or current(word).scope is not loop.outer:
        advice = "put the condition into a while, or use kd.static_range with a Const condition"
        raise UnsupportedConstructError(
            where(), construct=f"{word} in a traced loop or branch", advice=advice
        )


def scope() -> Scope:
    """Return the block in which a function's body starts."""
    return current("return").scope


def returned(value: Any, start: Scope) -> Any:
    """Refuse ``return`` inside a traced loop or branch."""
    if current("return").scope is not start:
        advice = "assign to a name and return it at the end"
        raise UnsupportedConstructError(
            where(), construct="return inside a traced loop or branch", advice=advice
        )
    return value


def ifexp(condition: Any, then: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """Return the value of a ternary."""
    condition = as_value(condition)
    if isinstance(condition, Lanes):
        return choose(_bool(condition, "a ternary"), then, other)
    return then() if condition else other()


def _bool(value: Any, op: str) -> Any:
    value = as_value(value)
    if isinstance(value, Lanes) and value.shape:
        raise TracedBoolError(where(), type=describe(value))
    if isinstance(value, Lanes) and value.dtype.kind != "b":
        raise TypeMismatchError(where(), op=op, wanted="bool", got=describe(value))
    return value


def and_(first: Any, *rest: Callable[[], Any]) -> Any:
    """Return the value of ``a and b``; what is right is evaluated only where it matters."""
    return _short_circuit("and", first, rest)


def or_(first: Any, *rest: Callable[[], Any]) -> Any:
    """Return the value of ``a or b``; what is right is evaluated only where it matters."""
    return _short_circuit("or", first, rest)


def _short_circuit(op: str, first: Any, rest: tuple[Callable[[], Any], ...]) -> Any:
    if not rest:
        return first
    value = as_value(first) if is_traced(first) or hasattr(first, "as_operand") else first
    if not isinstance(value, Lanes):
        if bool(value) is (op == "or"):
            return first
        return _short_circuit(op, rest[0](), rest[1:])
    if value.dtype.kind != "b":
        raise TypeMismatchError(where(), op=op, wanted="bools", got=describe(value))
    if value.shape:
        return binary("&" if op == "and" else "|", value, _short_circuit(op, rest[0](), rest[1:]))

    def later() -> Any:
        return _bool(_short_circuit(op, rest[0](), rest[1:]), op)

    if op == "and":
        return choose(value, later, lambda: False)
    return choose(value, lambda: True, later)


def not_(value: Any) -> Any:
    """Return the value of ``not x``."""
    if not is_traced(value):
        return not value
    value = as_value(value)
    if not isinstance(value, Lanes):
        return not value
    if value.dtype.kind != "b":
        raise TypeMismatchError(where(), op="not", wanted="bool", got=describe(value))
    return invert(value)


PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def chain(left: Any, *steps: tuple[str, Callable[[], Any]]) -> Any:
    """Return the value of ``a < b < c``; each operand is evaluated once."""
    (op, make), *rest = steps
    right = make()
    traced = is_traced(left) or is_traced(right)
    first = compare(op, left, right) if traced else PLAIN[op](left, right)
    if not rest:
        return first
    return and_(first, lambda: chain(right, *rest))


def assert_(condition: Any, message: Callable[[], Any] | None, text: str) -> None:
    """Stop the kernel when a traced condition fails; a known one must hold now."""
    said = str(message()) if message is not None else text
    condition = _bool(condition, "assert")
    if isinstance(condition, Lanes):
        emit(cf.Assert, condition.ir, msg=said)
    elif not condition:
        raise StaticAssertError(where(), what=said)


def print_(function: Any, *values: Any, **options: Any) -> None:
    """Print traced values when the kernel runs, others now."""
    import builtins

    if function is not builtins.print or not any(is_traced(v) for v in values):
        function(*values, **options)
        return
    parts, traced = [], []
    for value in map(as_value, values):
        if isinstance(value, Lanes):
            parts.append("{}")
            traced.append(value.ir)
        else:
            parts.append(str(value).replace("{", "{{").replace("}", "}}"))
    emit(ops.Print, traced, format=str(options.get("sep", " ")).join(parts))
