"""Modules as text: MLIR's generic syntax and nothing else.

Attributes stand in the plain ``{...}`` dictionary after the regions, sorted by name: mlir-opt and
xDSL take that for every op, their own and IRDL's. Values are called by their hints, made unique
within a function.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from kdsl.ir.attributes import (
    AttributeValue,
    Dense,
    FloatAttr,
    I32Array,
    IntAttr,
    Opaque,
    Symbol,
)
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.ir.define import IsolatedFromAbove
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.location import Location
from kdsl.ir.types import F64, I1, ScalarType, Type

INDENT = "  "
UNKNOWN_LOCATION = "loc(unknown)"


def print_module(op: Op, locations: bool = False) -> str:
    """Return the text of a module (or of any op with all its regions), ending in a newline."""
    return print_op(op, locations) + "\n"


def print_op(op: Op, locations: bool = False) -> str:
    """Return the text of one op; values from outside get names of their own."""
    lines: list[str] = []
    _Printer(lines, locations).op(op, "", _Names())
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------ names

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_$.]")


class _Names(dict[Value, str]):
    """A name for each value, made up at its first appearance."""

    __slots__ = ("blocks", "numbered", "taken")

    def __init__(self) -> None:
        super().__init__()
        self.numbered = 0
        self.blocks = 0
        self.taken: dict[str, int] = {}

    def __missing__(self, value: Value) -> str:
        hint = value.name
        if hint is None:
            name = f"%{self.numbered}"
            self.numbered += 1
        else:
            name = "%" + self._unique(_clean(hint))
        self[value] = name
        return name

    def _unique(self, name: str) -> str:
        count = self.taken.get(name)
        if count is None:
            self.taken[name] = 1
            return name
        tried = f"{name}_{count}"
        while tried in self.taken:
            count += 1
            tried = f"{name}_{count}"
        self.taken[name] = count + 1
        self.taken[tried] = 1
        return tried


def _clean(hint: str) -> str:
    """Return a hint in the letters that MLIR allows, not starting with a digit."""
    if hint.isascii() and hint.isidentifier():
        return hint
    cleaned = _NOT_IN_NAMES.sub("_", hint)
    return cleaned if cleaned and not cleaned[0].isdigit() else f"_{cleaned}"


# -------------------------------------------------------------------------------------------- ops


class _Printer:
    __slots__ = ("lines", "locations")

    def __init__(self, lines: list[str], locations: bool) -> None:
        self.lines = lines
        self.locations = locations

    def op(self, op: Op, indent: str, names: _Names) -> None:
        operands = op.operands
        results = op.results
        head = f'{indent}"{op.name}"({", ".join([names[v] for v in operands])})'
        if results:
            head = f"{indent}{', '.join([names[r] for r in results])} = {head[len(indent) :]}"
        if op.regions:
            head = self.regions(op, head, indent, names)
        if op.attributes:
            head = f"{head} {dictionary(op.attributes)}"
        given = ", ".join([v.type.text for v in operands])
        if len(results) == 1:
            tail = _result_text(results[0].type)
        else:
            tail = f"({', '.join([r.type.text for r in results])})"
        if self.locations:
            tail = f"{tail} {location_text(op.loc)}"
        self.lines.append(f"{head} : ({given}) -> {tail}")

    def regions(self, op: Op, head: str, indent: str, names: _Names) -> str:
        """Print regions between ``head`` and the closing line, whose start is returned."""
        if isinstance(op, DeclaredOp) and IsolatedFromAbove in op.traits:
            names = _Names()
        self.lines.append(f"{head} ({{")
        for i, region in enumerate(op.regions):
            if i:
                self.lines.append(f"{indent}}}, {{")
            self.region(region, indent, names)
        return f"{indent}}})"

    def region(self, region: Region, indent: str, names: _Names) -> None:
        deeper = indent + INDENT
        for block in region.blocks:
            if block.args or block.first is None or block is not region.blocks[0]:
                self.lines.append(self.label(block, indent, names))
            op = block.first
            while op is not None:
                self.op(op, deeper, names)
                op = op.next

    def label(self, block: Block, indent: str, names: _Names) -> str:
        number = names.blocks
        names.blocks += 1
        args = ", ".join([f"{names[a]}: {a.type.text}" for a in block.args])
        return f"{indent}^bb{number}({args}):" if args else f"{indent}^bb{number}:"


def _result_text(t: Type) -> str:
    return f"({t.text})" if t.text.startswith("(") else t.text


def location_text(loc: Location | None) -> str:
    """Return ``loc("file":line:column)``, with the call sites when there are any."""
    if loc is None:
        return UNKNOWN_LOCATION
    text = _position(loc)
    for caller in loc.chain()[1:]:
        text = f"callsite({text} at {_position(caller)})"
    return f"loc({text})"


def _position(loc: Location) -> str:
    return f"{string_text(loc.file)}:{loc.line}:{loc.column}"


# ------------------------------------------------------------------------------------- attributes

_BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_$.]*").fullmatch
_PLAIN_STRING = re.compile(r"[ !#-\[\]-~]*").fullmatch
_HEX_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def dictionary(attributes: dict[str, AttributeValue]) -> str:
    """Return ``{a = 1 : i64, unit}``, sorted by name."""
    entries = [
        _key(name) if value is None else f"{_key(name)} = {attribute_text(value)}"
        for name, value in sorted(attributes.items(), key=_by_name)
    ]
    return f"{{{', '.join(entries)}}}"


def _by_name(entry: tuple[str, AttributeValue]) -> str:
    return entry[0]


def _key(name: str) -> str:
    return name if _BARE_KEY(name) else string_text(name)


def attribute_text(value: AttributeValue) -> str:
    """Return an attribute as MLIR spells it; raise TypeError for what is none."""
    write = _WRITERS.get(type(value))
    if write is not None:
        return write(value)
    if isinstance(value, Type):
        return value.text
    msg = f"{value!r} is no attribute"
    raise TypeError(msg)


def string_text(text: str) -> str:
    """Return a string literal; what is not printable ASCII becomes two hex digits a byte."""
    if _PLAIN_STRING(text):
        return f'"{text}"'
    return f'"{"".join(_escaped(byte) for byte in text.encode())}"'


def _escaped(byte: int) -> str:
    if byte in (0x22, 0x5C):
        return f"\\{chr(byte)}"
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:02X}"


def float_text(value: Any, element: ScalarType) -> str:
    """Return the shortest text that reads back as ``value``; hex for NaN and infinities."""
    number = float(value)
    if not math.isfinite(number):
        rounded = np.asarray(value, dtype=element.numpy)
        bits = int(rounded.view(_HEX_UNSIGNED[rounded.dtype.itemsize]))
        return f"0x{bits:0{element.bits // 4}X}"
    text = repr(number)
    if element is not F64:
        # MLIR reads a double and rounds it: a short text is used when that gives the number back.
        short = repr(float(str(element.numpy.type(number))))
        if float(element.numpy.type(float(short))) == number:
            text = short
    if "." in text:
        return text
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}.0{e}{exponent}"


def _element_text(value: Any, element: ScalarType) -> str:
    if element.kind == "f":
        return float_text(value, element)
    if element is I1:
        return "true" if value else "false"
    return str(int(value))


def _nested_text(array: np.ndarray, element: ScalarType) -> str:
    if array.ndim == 0:
        return _element_text(array[()], element)
    return f"[{', '.join([_nested_text(part, element) for part in array])}]"


def _dense_text(value: Dense) -> str:
    return f"dense<{_nested_text(value.array, value.type.element)}> : {value.type.text}"


def _numbers(kind: str, values: tuple[int, ...]) -> str:
    return (
        f"array<{kind}: {', '.join([str(int(v)) for v in values])}>" if values else f"array<{kind}>"
    )


_WRITERS: dict[type, Callable[[Any], str]] = {
    bool: lambda v: "true" if v else "false",
    int: lambda v: f"{v} : i64",
    float: lambda v: f"{float_text(v, F64)} : f64",
    str: string_text,
    tuple: lambda v: _numbers("i64", v),
    list: lambda v: f"[{', '.join([attribute_text(x) for x in v])}]",
    type(None): lambda _: "unit",
    IntAttr: lambda v: f"{v.value} : {v.type.text}",
    FloatAttr: lambda v: f"{float_text(v.value, v.type)} : {v.type.text}",
    Symbol: lambda v: f"@{v.name}" if _BARE_KEY(v.name) else f"@{string_text(v.name)}",
    I32Array: lambda v: _numbers("i32", v.values),
    Opaque: lambda v: v.text,
    Dense: _dense_text,
}
