"""A writer of LLVM IR text for the launcher: fresh names, constants, checks that fall through."""

from __future__ import annotations

import re
from collections.abc import Iterable

I64_MIN = "-9223372036854775808"
ESCAPED = re.compile(r"[^ !#-\[\]-~]")
"""What cannot stand in an IR string as itself: quotes, backslashes, all but printable ASCII."""


class Strings:
    """Constants of a module, each stored once."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def __call__(self, text: str | bytes) -> str:
        """Return the global that holds ``text`` and a zero byte."""
        data = (text.encode() if isinstance(text, str) else text) + b"\0"
        return self._names.setdefault(data, f"@kdsl.s{len(self._names)}")

    def lines(self) -> Iterable[str]:
        for data, name in self._names.items():
            yield f"{name} = private unnamed_addr constant {array(data)}"


def array(data: bytes) -> str:
    """Return bytes as an IR constant with its type."""
    text = ESCAPED.sub(lambda match: f"\\{ord(match[0]):02X}", data.decode("latin-1"))
    return f'[{len(data)} x i8] c"{text}"'


class Function:
    """The text of one function, written from top to bottom."""

    def __init__(self, head: str, strings: Strings) -> None:
        self.strings = strings
        self._lines = [f"define {head} {{", "entry:"]
        self._tail: list[str] = []
        self._count = 0

    def fresh(self, stem: str = "v") -> str:
        self._count += 1
        return f"%{stem}.{self._count}"

    def do(self, text: str) -> None:
        """Write an instruction without a result."""
        self._lines.append("  " + text)

    def let(self, text: str, stem: str = "v") -> str:
        """Write an instruction and return its result."""
        name = self.fresh(stem)
        self._lines.append(f"  {name} = {text}")
        return name

    def label(self, stem: str = "l") -> str:
        return self.fresh(stem)[1:]

    def start(self, label: str) -> None:
        self._lines.append(f"{label}:")

    def field(self, base: str, offset: int, kind: str) -> str:
        """Load a field at a byte offset."""
        at = self.let(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base
        return self.let(f"load {kind}, ptr {at}")

    def require(self, condition: str, code: int, text: str, *values: str) -> None:
        """Go on when ``condition`` holds; otherwise format ``text`` and return ``code``."""
        good, bad = self.label("ok"), self.label("bad")
        self.do(f"br i1 {condition}, label %{good}, label %{bad}")
        self._tail.append(f"{bad}:")
        self._tail += self.failure(code, text, *values)
        self.start(good)

    def failure(self, code: int, text: str, *values: str) -> list[str]:
        """Return the lines that store a message and leave; ``values`` are typed IR operands."""
        operands = "".join(f", {value}" for value in values)
        buffer = self.fresh("buffer")
        into = f"ptr {buffer}, i64 {MESSAGE_BYTES}, ptr {self.strings(text)}"
        return [
            f"  {buffer} = call ptr @kdsl.error_buffer()",
            f"  {self.fresh()} = call i32 (ptr, i64, ptr, ...) @snprintf({into}{operands})",
            f"  ret i32 {code}",
        ]

    def fail(self, code: int, text: str, *values: str) -> None:
        """Store a message and return ``code``, unconditionally."""
        self._lines += self.failure(code, text, *values)

    def text(self) -> str:
        return "\n".join([*self._lines, *self._tail, "}"])


MESSAGE_BYTES = 2048
