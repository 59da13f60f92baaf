"""``kdsl.print`` through the C library: one write a call, so that threads do not mix lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsl.dialects import kdsl
from kdsl.ir.core import Value
from kdsl.ir.types import I1, INDEX, VectorType, element_type

if TYPE_CHECKING:
    from kdsl_cpu.emit import Kernel

STANDARD_OUTPUT = 1


def print_values(op: kdsl.Print, w: Kernel) -> None:
    """Turn ``{}`` into C conversions and call dprintf."""
    texts = op.format.split("{}")
    pieces = [_escape(texts[0])]
    args: list[str] = []
    for value, text in zip(op.values, texts[1:], strict=True):
        pieces.append(_conversion(w, value, args))
        pieces.append(_escape(text))
    name = w.module.string("".join(pieces) + "\n")
    w.module.declared["declare i32 @dprintf(i32, ptr, ...)"] = None
    listed = "".join(f", {arg}" for arg in args)
    w.let(f"call i32 (i32, ptr, ...) @dprintf(i32 {STANDARD_OUTPUT}, ptr {name}{listed})")


def _escape(text: str) -> str:
    return text.replace("%", "%%").replace("{{", "{").replace("}}", "}")


def _conversion(w: Kernel, value: Value, args: list[str]) -> str:
    t = value.type
    if not isinstance(t, VectorType):
        return _scalar(w, w.names[value], value, args)
    lanes = []
    for i in range(t.size):
        lane = w.let(f"extractelement {w.typed(value)}, i64 {i}")
        lanes.append(_scalar(w, lane, value, args))
    return "[" + " ".join(lanes) + "]"


def _scalar(w: Kernel, name: str, value: Value, args: list[str]) -> str:
    """Append a promoted argument; return its C conversion."""
    element = element_type(value.type)
    word = w.spelling.scalar(element)
    if element.kind == "f":
        if word != "double":
            name = w.let(f"fpext {word} {name} to double")
        args.append(f"double {name}")
        return "%g"
    if element is not INDEX and element.bits < 64:
        extend = "zext" if element is I1 else "sext"
        name = w.let(f"{extend} {word} {name} to i64")
    args.append(f"i64 {name}")
    return "%lld"
