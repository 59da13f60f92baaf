"""Reading MLIR's generic syntax: what the printer, mlir-opt and xDSL write for declared ops.

Undeclared properties in ``<{...}>`` that say no (``false``, ``#arith.overflow<none>``) are
upstream's defaults and are dropped. Ops without a written location point at their own text.
Verifying is the caller's business.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any, NoReturn

import numpy as np

from kdsl.errors import (
    ParseError,
    RedefinedValueError,
    UndefinedValueError,
    UnknownOpError,
    UnknownTypeError,
)
from kdsl.errors.base import KdslError, Position
from kdsl.ir.attributes import (
    AttributeValue,
    Dense,
    FloatAttr,
    I32Array,
    IntAttr,
    Opaque,
    Symbol,
)
from kdsl.ir.core import Block, Module, Op, Region, Value
from kdsl.ir.define import REGISTRY, AttributeField, IsolatedFromAbove
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.location import Location
from kdsl.ir.printer import attribute_text
from kdsl.ir.types import (
    DYNAMIC,
    F64,
    I1,
    I32,
    I64,
    SCALARS,
    FunctionType,
    ScalarType,
    ShapedType,
    Type,
    function,
    memref,
    tensor,
    vector,
)


def parse(text: str, file: str = "<text>") -> Module:
    """Read a module (or functions without one around them); raise a KD022x error at the fault.

    The dialects whose ops are to be read must have been imported.
    """
    return _Parser(_Text(text, file)).module()


# ----------------------------------------------------------------------------------------- tokens

_TOKEN = re.compile(
    r"""(?>(?:\s+|//[^\n]*)*)
    (
      "(?:[^"\\\n]|\\.)*"
    | %[\w.$-]+(?:\#\d+)?
    | (?:vector|tensor|memref)<(?:[^<>]|<[^<>]*>)*>
    | [A-Za-z_][\w.$]*
    | 0x[0-9A-Fa-f]+
    | -?\d+\.\d*(?:[eE][+-]?\d+)?
    | -?\d+
    | ->
    | \^[\w.$-]+
    | @(?:[\w.$-]+|"(?:[^"\\\n]|\\.)*")
    | [!\#][\w.$-]+(?:<(?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*>)?
    | \S
    | \Z
    )""",
    re.VERBOSE,
)
_FLOAT = re.compile(r"-?\d+\.\d*(?:[eE][+-]?\d+)?").fullmatch
_INTEGER = re.compile(r"-?\d+").fullmatch
_HEX = re.compile(r"0x[0-9A-Fa-f]+").fullmatch
_SHAPED = re.compile(
    r"(vector|tensor|memref)<\s*((?:(?:\d+|\?)\s*x\s*)*)(\w+)\s*"
    r"(?:,\s*strided<\[([^\]]*)\]>\s*)?(?:,\s*(\d+)\s*(?::\s*i64\s*)?)?>"
).fullmatch
_ESCAPE = re.compile(rb'\\(["\\nt]|[0-9A-Fa-f]{2})')
_ESCAPED = {b'"': b'"', b"\\": b"\\", b"n": b"\n", b"t": b"\t"}


class _Text:
    """The text being read; where each token is gets worked out when somebody asks."""

    __slots__ = ("_lines", "_spans", "file", "text", "tokens")

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.tokens: list[str] = _TOKEN.findall(text)
        self.tokens.append("")
        self._spans: list[tuple[int, int]] | None = None
        self._lines: list[int] | None = None

    def span(self, index: int) -> tuple[int, int]:
        """Return the offsets of a token's first character and of its end."""
        if self._spans is None:
            self._spans = [m.span(1) for m in _TOKEN.finditer(self.text)]
            self._spans.append((len(self.text), len(self.text)))
        return self._spans[index]

    def place(self, index: int) -> tuple[int, int, int, int]:
        """Return line, column, end line and end column of a token, which is in one line."""
        if self._lines is None:
            self._lines = [0, *(m.end() for m in re.finditer("\n", self.text))]
        start, end = self.span(index)
        line = bisect_right(self._lines, start)
        column = start - self._lines[line - 1] + 1
        return (line, column, line, column + max(end - start, 1))

    def position(self, index: int) -> Position:
        start, end = self.span(index)
        return Position.in_text(self.file, self.text, start, max(end - start, 1))


class TextLocation(Location):
    """Where an op stands in the text that it was read from."""

    __slots__ = ("_index", "_position", "_source")

    def __init__(self, source: _Text, index: int) -> None:
        super().__init__(source.file)
        self._source = source
        self._index = index
        self._position: Position | None = None

    @property
    def position(self) -> Position:
        if self._position is None:
            self._position = self._source.position(self._index)
        return self._position

    @property
    def span(self) -> tuple[int, int, int, int]:
        """(line, column, end line, end column) of the op's name."""
        return self._source.place(self._index)

    @property
    def source_line(self) -> str:
        """The whole line."""
        return self.position.source_line


# ----------------------------------------------------------------------------------------- values


class _Scope:
    """Names of values inside one function; regions take their names away with them."""

    __slots__ = ("forward", "groups", "names")

    def __init__(self) -> None:
        self.names: dict[str, Value] = {}
        self.groups: dict[str, int] = {}
        self.forward: dict[str, tuple[Value, int]] = {}


class _Parser:
    __slots__ = ("at", "scope", "source", "tokens")

    def __init__(self, source: _Text) -> None:
        self.source = source
        self.tokens = source.tokens
        self.at = 0
        self.scope = _Scope()

    # ------------------------------------------------------------------------------------ basics

    def fail(self, wanted: str, index: int | None = None) -> NoReturn:
        """Complain about the current token (or about another one)."""
        index = self.at if index is None else index
        found = self.tokens[index]
        shown = f"'{found}'" if found else "the end of the text"
        raise ParseError(self.source.position(index), wanted=wanted, found=shown)

    def error(self, kind: type[KdslError], index: int, **fields: Any) -> KdslError:
        return kind(self.source.position(index), **fields)

    def expect(self, token: str, wanted: str = "") -> None:
        if self.tokens[self.at] != token:
            self.fail(wanted or f"'{token}'")
        self.at += 1

    def accept(self, token: str) -> bool:
        if self.tokens[self.at] == token:
            self.at += 1
            return True
        return False

    # ------------------------------------------------------------------------------------- ops

    def module(self) -> Module:
        """Read the whole text."""
        block = Block()
        while self.tokens[self.at]:
            if self.tokens[self.at][0] == "#" or self.tokens[self.at].startswith("{-#"):
                self.fail("an op (attribute and type aliases are not read)")
            block.append(self.op())
        self.undefined(self.scope)
        only = block.first
        if isinstance(only, Module) and only.next is None:
            only.detach()
            return only
        return Module(regions=[Region([block])])

    def op(self) -> Op:
        tokens = self.tokens
        results = self.result_names() if tokens[self.at][:1] == "%" else []
        at = self.at
        quoted = tokens[at]
        if quoted[:1] != '"':
            self.fail("an op's name in quotes")
        name = quoted[1:-1]
        kind: type[Op] | None = Module if name == Module.name else REGISTRY.get(name)
        if kind is None:
            raise self.error(UnknownOpError, at, name=name)
        self.at = at + 1
        operands = self.operands()
        if tokens[self.at] == "[":
            self.fail("regions, attributes or ':' (control flow is structured: no successors)")
        attributes: dict[str, AttributeValue] = {}
        if tokens[self.at] == "<":
            self.at += 1
            attributes = _without_defaults(kind, self.dictionary())
            self.expect(">")
        regions = self.regions(kind) if tokens[self.at] == "(" else []
        if tokens[self.at] == "{":
            attributes.update(self.dictionary())
        if attributes and issubclass(kind, DeclaredOp):
            _as_declared(kind, attributes)
        self.expect(":", "':' and the types of operands and results")
        self.check_operands(operands)
        self.expect("->")
        types = self.type_list() if tokens[self.at] == "(" else [self.type()]
        loc = self.location() if tokens[self.at] == "loc" else None
        op = kind(
            [value for value, _ in operands],
            types,
            attributes,
            regions,
            loc or TextLocation(self.source, at),
        )
        self.define_results(op, results)
        return op

    def result_names(self) -> list[tuple[str, int, int]]:
        """Read ``%a, %b:2 =`` as (name, count, where)."""
        found: list[tuple[str, int, int]] = []
        while True:
            name = self.value_name()
            where = self.at - 1
            count = 1
            if self.accept(":"):
                count = self.integer()
            found.append((name, count, where))
            if not self.accept(","):
                break
        self.expect("=")
        return found

    def value_name(self) -> str:
        token = self.tokens[self.at]
        if token[:1] != "%" or len(token) == 1:
            self.fail("a value's name, %...")
        self.at += 1
        return token

    def operands(self) -> list[tuple[Value, int]]:
        """Read ``(%a, %b#1)``; values with the tokens that name them."""
        self.expect("(")
        found: list[tuple[Value, int]] = []
        if self.accept(")"):
            return found
        names = self.scope.names
        while True:
            name = self.value_name()
            value = names.get(name)
            found.append((value or self.not_yet(name), self.at - 1))
            token = self.tokens[self.at]
            self.at += 1
            if token == ")":
                return found
            if token != ",":
                self.fail("',' or ')'", self.at - 1)

    def not_yet(self, name: str) -> Value:
        """Return the value of a name that is ``%a#0`` or that is defined further down."""
        base, _, number = name.partition("#")
        if number and self.scope.groups.get(base, 0) > int(number):
            return self.scope.names[f"{base}#{number}"]
        known = self.scope.forward.get(name)
        if known is None:
            known = self.scope.forward[name] = (Value(I1), self.at - 1)
        return known[0]

    def check_operands(self, operands: list[tuple[Value, int]]) -> None:
        """Read the operand types and compare them with the values."""
        start = self.at
        given = self.type_list()
        if len(given) != len(operands):
            self.fail(f"{len(operands)} operand types in '(...)', one for each operand", start)
        forward = self.scope.forward
        for (value, where), type in zip(operands, given, strict=True):
            if value.type is not type and not (forward and self.tokens[where] in forward):
                raise self.error(
                    ParseError,
                    where,
                    wanted=f"a value of type {type}",
                    found=f"one of {value.type}",
                )

    def define_results(self, op: Op, names: list[tuple[str, int, int]]) -> None:
        if not names:
            return
        if sum(count for _, count, _ in names) != len(op.results):
            self.fail(f"{len(op.results)} names, one for each result", names[0][2])
        results = iter(op.results)
        for name, count, where in names:
            if count == 1:
                self.define(name, next(results), where)
                continue
            self.scope.groups[name] = count
            for number in range(count):
                self.define(f"{name}#{number}", next(results), where)

    def define(self, name: str, value: Value, where: int) -> None:
        names = self.scope.names
        if name in names:
            raise self.error(RedefinedValueError, where, name=name)
        names[name] = value
        if not name[1].isdigit() and "#" not in name:
            value.name = name[1:]
        early = self.scope.forward.pop(name, None)
        if early is not None:
            early[0].replace_by(value)

    def undefined(self, scope: _Scope) -> None:
        for name, (_, where) in scope.forward.items():
            raise self.error(UndefinedValueError, where, name=name)

    # ---------------------------------------------------------------------------------- regions

    def regions(self, kind: type[Op]) -> list[Region]:
        """Read ``({...}, {...})``."""
        outer = self.scope
        isolated = kind is Module or (
            issubclass(kind, DeclaredOp) and IsolatedFromAbove in kind.traits
        )
        if isolated:
            self.scope = _Scope()
        self.expect("(")
        found = [self.region()]
        while self.accept(","):
            found.append(self.region())
        self.expect(")")
        if isolated:
            self.undefined(self.scope)
            self.scope = outer
        return found

    def region(self) -> Region:
        tokens = self.tokens
        before = set(self.scope.names)
        self.expect("{")
        region = Region()
        while tokens[self.at] != "}":
            block = region.add(self.label() if tokens[self.at][:1] == "^" else Block())
            token = tokens[self.at]
            while token != "}" and token[:1] != "^":
                if not token:
                    self.fail("'}'")
                block.append(self.op())
                token = tokens[self.at]
        self.at += 1
        names = self.scope.names
        for name in [n for n in names if n not in before]:
            del names[name]
            self.scope.groups.pop(name.partition("#")[0], None)
        return region

    def label(self) -> Block:
        """Read ``^bb0(%x: f32):``."""
        self.at += 1
        block = Block()
        if self.accept("("):
            while not self.accept(")"):
                name = self.value_name()
                where = self.at - 1
                self.expect(":")
                argument = block.add_argument(self.type())
                self.define(name, argument, where)
                if self.tokens[self.at] == "loc":
                    self.location()
                if self.tokens[self.at] != ")":
                    self.expect(",", "',' or ')'")
        self.expect(":")
        return block

    # ------------------------------------------------------------------------------------ types

    def type(self) -> Type:
        token = self.tokens[self.at]
        found = _TYPES.get(token)
        if found is None:
            if token == "(":
                return self.function_type()
            found = _shaped_type(token)
            if found is None:
                if token[:1].isalpha() or token[:1] in ("!", "_"):
                    raise self.error(UnknownTypeError, self.at, text=token)
                self.fail("a type")
            _TYPES[token] = found
        self.at += 1
        return found

    def type_list(self) -> list[Type]:
        """Read ``(f32, index)``."""
        self.expect("(")
        if self.accept(")"):
            return []
        found = [self.type()]
        while self.accept(","):
            found.append(self.type())
        self.expect(")", "',' or ')'")
        return found

    def function_type(self) -> FunctionType:
        inputs = self.type_list()
        self.expect("->")
        results = self.type_list() if self.tokens[self.at] == "(" else [self.type()]
        return function(tuple(inputs), tuple(results))

    # ------------------------------------------------------------------------------- attributes

    def dictionary(self) -> dict[str, AttributeValue]:
        """Read ``{a = 1 : i64, unit}``."""
        self.expect("{")
        found: dict[str, AttributeValue] = {}
        while not self.accept("}"):
            key = self.tokens[self.at]
            if key[:1] == '"':
                key = _string(key)
            elif not (key[:1].isalpha() or key[:1] == "_"):
                self.fail("an attribute's name")
            if key in found:
                self.fail("an attribute that was not given yet")
            self.at += 1
            found[key] = self.attribute() if self.accept("=") else None
            if self.tokens[self.at] != "}":
                self.expect(",", "',' or '}'")
        return found

    def attribute(self) -> AttributeValue:
        token = self.tokens[self.at]
        first = token[:1]
        if first == '"':
            self.at += 1
            return _string(token)
        if first == "@":
            self.at += 1
            return Symbol(_string(token[1:]) if token[1:2] == '"' else token[1:])
        if first == "#":
            self.at += 1
            return Opaque(token)
        if first == "[":
            return self.list()
        if first.isdigit() or (first == "-" and token != "->"):
            return self.number()
        if token in ("true", "false"):
            self.at += 1
            return token == "true"
        if token == "unit":
            self.at += 1
            return None
        if token == "array":
            return self.array()
        if token == "dense":
            return self.dense()
        return self.type()

    def list(self) -> list[AttributeValue]:
        self.expect("[")
        found: list[AttributeValue] = []
        while not self.accept("]"):
            found.append(self.attribute())
            if self.tokens[self.at] != "]":
                self.expect(",", "',' or ']'")
        return found

    def integer(self) -> int:
        token = self.tokens[self.at]
        if not _INTEGER(token):
            self.fail("an integer")
        self.at += 1
        return int(token)

    def number(self) -> AttributeValue:
        """Read ``3 : i32``, ``1.5 : f32``, ``0x7FC00000 : f32``."""
        where = self.at
        token = self.tokens[where]
        self.at += 1
        type: Type | None = None
        if self.accept(":"):
            type = self.type()
            if not isinstance(type, ScalarType):
                self.fail("a scalar type", self.at - 1)
        if type is None:
            type = F64 if _FLOAT(token) else I64
        assert isinstance(type, ScalarType)
        value = self.element(token, type, where)
        if type.kind == "f":
            return float(value) if type is F64 else FloatAttr(value, type)
        if type is I64 or type is I1:
            found: int = value
            return found
        return IntAttr(value, type)

    def element(self, token: str, type: ScalarType, where: int) -> Any:
        """Return the number that a token means in a type."""
        if type.kind == "f":
            if _FLOAT(token):
                return float(type.numpy.type(float(token)))
            if _HEX(token):
                bits = np.array(int(token, 16), np.dtype(f"u{type.numpy.itemsize}"))
                return float(bits.view(type.numpy))
            self.fail(f"a number of type {type} (with a point, or its bits in hex)", where)
        if type is I1 and token in ("true", "false"):
            return token == "true"
        if _INTEGER(token) or _HEX(token):
            value = int(token, 16 if _HEX(token) else 10)
            if -(1 << (type.bits - 1)) <= value < 1 << type.bits:
                return bool(value) if type is I1 else _wrap(value, type.bits)
        return self.fail(f"a number of type {type}", where)

    def array(self) -> AttributeValue:
        """Read ``array<i64: 1, 2>``."""
        self.at += 1
        self.expect("<")
        type = self.type()
        if type is not I64 and type is not I32:
            self.fail("i32 or i64", self.at - 1)
        values: list[int] = []
        if self.accept(":"):
            values.append(self.integer())
            while self.accept(","):
                values.append(self.integer())
        self.expect(">")
        return tuple(values) if type is I64 else I32Array(tuple(values))

    def dense(self) -> Dense:
        """Read ``dense<[1, 2]> : vector<2xi32>``."""
        self.at += 1
        self.expect("<")
        start = self.at
        if self.tokens[start] == "[":
            self.skip_brackets()
        else:
            self.at += 1
        self.expect(">")
        self.expect(":")
        where = self.at
        type = self.type()
        if not isinstance(type, ShapedType) or not type.is_static:
            self.fail("a vector or tensor type of static shape", where)
        end = self.at
        self.at = start
        if self.tokens[start][:1] == '"':
            array = self.raw_elements(type)
        else:
            array = np.array(self.nested(type.element), type.element.numpy)
        if array.ndim and array.shape != type.shape:
            self.fail(f"elements of shape {type.shape}", start)
        self.at = end
        return Dense(array, type)

    def skip_brackets(self) -> None:
        depth = 0
        while True:
            token = self.tokens[self.at]
            if not token:
                self.fail("']'")
            depth += (token == "[") - (token == "]")
            self.at += 1
            if depth == 0:
                return

    def nested(self, element: ScalarType) -> Any:
        token = self.tokens[self.at]
        self.at += 1
        if token != "[":
            return self.element(token, element, self.at - 1)
        found = [self.nested(element)]
        while self.accept(","):
            found.append(self.nested(element))
        self.expect("]", "',' or ']'")
        return found

    def raw_elements(self, type: ShapedType) -> np.ndarray:
        """Read elements as upstream writes many of them: bytes in hex."""
        digits = self.tokens[self.at][1:-1].removeprefix("0x")
        try:
            raw = bytes.fromhex(digits)
        except ValueError:
            self.fail("bytes in hex")
        wanted = type.element.numpy
        size = (type.size + 7) // 8 if wanted == np.bool_ else type.size * wanted.itemsize
        if len(raw) != size:
            self.fail(f"{size} bytes in hex")
        if wanted == np.bool_:
            bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
            return bits[: type.size].astype(np.bool_).reshape(type.shape)
        return np.frombuffer(raw, wanted).reshape(type.shape)

    # -------------------------------------------------------------------------------- locations

    def location(self) -> Location | None:
        """Read ``loc(...)``; kinds that kdsl does not write give None."""
        self.at += 1
        self.expect("(")
        found = self.place()
        self.expect(")")
        return found

    def place(self) -> Location | None:
        token = self.tokens[self.at]
        if token[:1] == '"' and self.tokens[self.at + 1] == ":":
            self.at += 2
            line = self.integer()
            self.expect(":")
            column = self.integer()
            return Location(_string(token), (line, column, line, column + 1))
        if token == "callsite":
            self.at += 1
            self.expect("(")
            callee = self.place()
            self.expect("at")
            caller = self.place()
            self.expect(")")
            return _with_caller(callee, caller)
        depth = 0
        while depth or self.tokens[self.at] not in (")", "at", ","):
            token = self.tokens[self.at]
            if not token:
                self.fail("')'")
            depth += (token in "([") - (token in ")]")
            self.at += 1
        return None


def _with_caller(callee: Location | None, caller: Location | None) -> Location | None:
    if callee is None or caller is None:
        return callee
    callee.chain()[-1].caller = caller
    return callee


# ------------------------------------------------------------------------------- types, attributes

_TYPES: dict[str, Type] = dict(SCALARS)


def _shaped_type(text: str) -> Type | None:
    """Return the vector, tensor or memref type that is written so, if there is one."""
    found = _SHAPED(text)
    if found is None:
        return None
    kind, dims, element_text, strides, space = found.groups()
    element = SCALARS.get(element_text)
    shape = tuple(_extent(d) for d in dims.split("x")[:-1])
    if element is None or (kind != "memref" and (strides is not None or space is not None)):
        return None
    if kind == "memref":
        parts = None if strides is None else [_extent(s) for s in strides.split(",") if s.strip()]
        where = None if space is None else int(space)
        return memref(shape, element, None if parts is None else tuple(parts), where)
    if kind == "vector":
        return None if DYNAMIC in shape else vector(shape, element)
    return tensor(shape, element)


def _extent(text: str) -> int:
    text = text.strip()
    return DYNAMIC if text == "?" else int(text)


def _string(token: str) -> str:
    raw = token[1:-1]
    if "\\" not in raw:
        return raw
    return _ESCAPE.sub(_unescape, raw.encode()).decode(errors="replace")


def _unescape(found: re.Match[bytes]) -> bytes:
    what = found[1]
    return _ESCAPED.get(what) or bytes.fromhex(what.decode())


def _wrap(value: int, bits: int) -> int:
    """Return the signed number with these low bits."""
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


def _without_defaults(
    kind: type[Op], properties: dict[str, AttributeValue]
) -> dict[str, AttributeValue]:
    """Drop upstream's spelled-out defaults: ``<none>``, and false where kdsl has no such name."""
    fields = kind.attribute_fields if issubclass(kind, DeclaredOp) else {}
    return {
        name: value
        for name, value in properties.items()
        if not (_is_none(value) or (value is False and name not in fields))
    }


def _is_none(value: AttributeValue) -> bool:
    return isinstance(value, Opaque) and value.text.endswith("<none>")


def _as_declared(kind: type[DeclaredOp], attributes: dict[str, AttributeValue]) -> None:
    """Turn what text cannot tell apart into what the op declares: ``3 : i64``, int or IntAttr."""
    for name, field in kind.attribute_fields.items():
        if name in attributes:
            attributes[name] = _declared(field, attributes[name])


def _declared(field: AttributeField, value: AttributeValue) -> AttributeValue:
    if field.kind == "typed":
        if isinstance(value, float):
            return FloatAttr(value, F64)
        if isinstance(value, int) and not isinstance(value, bool):
            return IntAttr(value, I64)
    if field.kind == "opaque" and value is not None and not isinstance(value, Opaque):
        return Opaque(attribute_text(value))
    return value
