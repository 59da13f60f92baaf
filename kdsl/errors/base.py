"""The root of the error tree: one class is one message, its code, its hint and its explanation."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Protocol

MAX_CALLERS = 4
CODE_FORM = re.compile(r"[A-Z]{2}\d{4}")

_BY_CODE: dict[str, type[KdslError]] = {}


class SourceLocation(Protocol):
    """A span of source text: lines and columns from 1, ``end_column`` exclusive."""

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...

    @property
    def end_line(self) -> int: ...

    @property
    def end_column(self) -> int: ...

    @property
    def source_line(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def caller(self) -> SourceLocation | None: ...


class Position:
    """A resolved ``SourceLocation``: what a pickled error carries instead of a code object."""

    __slots__ = (
        "caller",
        "column",
        "end_column",
        "end_line",
        "file",
        "line",
        "source_line",
        "text",
    )

    def __init__(
        self,
        file: str,
        line: int,
        column: int,
        end_line: int,
        end_column: int,
        source_line: str = "",
        text: str = "",
        caller: SourceLocation | None = None,
    ) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.end_line = end_line
        self.end_column = end_column
        self.source_line = source_line
        self.text = text
        self.caller = caller

    @classmethod
    def resolve(cls, loc: SourceLocation) -> Position:
        """Copy what ``loc`` shows, its callers too."""
        return cls(
            loc.file,
            loc.line,
            loc.column,
            loc.end_line,
            loc.end_column,
            loc.source_line,
            loc.text,
            None if loc.caller is None else cls.resolve(loc.caller),
        )

    @classmethod
    def in_text(cls, file: str, source: str, offset: int, length: int = 1) -> Position:
        """Point at ``length`` characters of ``source`` from ``offset`` on."""
        start = source.rfind("\n", 0, offset) + 1
        end = source.find("\n", offset)
        row = source[start : len(source) if end < 0 else end]
        line, column = source.count("\n", 0, offset) + 1, offset - start + 1
        end_column = min(column + length, len(row) + 2)
        text = row[column - 1 : end_column - 1]
        return cls(file, line, column, line, end_column, row, text)


class KdslError(Exception):
    """Anything that a user of kdsl can do something about.

    A subclass states ``code``, ``message`` (a ``str.format`` template over the keyword fields),
    ``hint`` (the same, may be empty) and ``explanation`` (Markdown: what happened, a wrong example,
    the fix). The fields become attributes.
    """

    code: ClassVar[str] = ""
    message: ClassVar[str] = ""
    hint: ClassVar[str] = ""
    explanation: ClassVar[str] = ""
    exit_code: ClassVar[int] = 2

    loc: SourceLocation | None
    fields: dict[str, Any]
    notes: tuple[str, ...]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" in cls.__dict__:
            _register(cls)

    def __init__(
        self, loc: SourceLocation | None = None, *, notes: tuple[str, ...] = (), **fields: Any
    ) -> None:
        self.loc = loc
        self.fields = fields
        self.notes = tuple(notes)
        self.summary = self.message.format(**fields)
        self.advice = self.hint.format(**fields)
        super().__init__(self.summary)

    def __getattr__(self, name: str) -> Any:
        """Give a message field; raise AttributeError otherwise."""
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}") from None

    def render(self) -> str:
        """Show code, message, the user's line with carets, the calls that led there, the hint."""
        lines = [f"error[{self.code}]: {self.summary}"]
        if self.loc is not None:
            lines += _snippet(self.loc)
            lines += _callers(self.loc)
        mark = "" if self.loc is None else " " * _gutter(self.loc) + " "
        lines += [f"{mark}= note: {note}" for note in self.notes]
        if self.advice:
            lines.append(f"{mark}= help: {self.advice}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.render()

    def __reduce__(self) -> tuple[Any, ...]:
        loc = None if self.loc is None else Position.resolve(self.loc)
        return _rebuild, (type(self), loc, self.notes, self.fields)


def by_code(code: str) -> type[KdslError] | None:
    """Return the error class with this code, if there is one."""
    return _BY_CODE.get(code.upper())


def catalogue() -> list[type[KdslError]]:
    """Return every coded error class known so far, ordered by code."""
    return [_BY_CODE[code] for code in sorted(_BY_CODE)]


def _register(cls: type[KdslError]) -> None:
    if CODE_FORM.fullmatch(cls.code) is None:
        raise TypeError(f"{cls.__name__}: the code {cls.code!r} is not of the form KD0203")
    other = _BY_CODE.setdefault(cls.code, cls)
    if other.__qualname__ != cls.__qualname__ or other.__module__ != cls.__module__:
        raise TypeError(f"{cls.__name__} and {other.__name__} both claim the code {cls.code}")
    _BY_CODE[cls.code] = cls


def _rebuild(
    cls: type[KdslError], loc: Position | None, notes: tuple[str, ...], fields: dict[str, Any]
) -> KdslError:
    return cls(loc, notes=notes, **fields)


def _gutter(loc: SourceLocation) -> int:
    return len(str(loc.line))


def _snippet(loc: SourceLocation) -> list[str]:
    width = _gutter(loc)
    lines = [f"{' ' * width}--> {loc.file}:{loc.line}:{loc.column}"]
    source = loc.source_line
    if source:
        lines += [
            f"{' ' * width} |",
            f"{loc.line} | {source}",
            f"{' ' * width} | {_carets(loc, source)}",
        ]
    return lines


def _carets(loc: SourceLocation, source: str) -> str:
    """Underline the span; tabs stay tabs so that the carets stand under their text."""
    start = min(max(loc.column - 1, 0), len(source))
    end = loc.end_column - 1 if loc.end_line == loc.line else len(source)
    lead = "".join("\t" if c == "\t" else " " for c in source[:start])
    return lead + "^" * max(end - start, 1)


def _callers(loc: SourceLocation) -> list[str]:
    chain: list[SourceLocation] = []
    here = loc.caller
    while here is not None:
        chain.append(here)
        here = here.caller
    lines: list[str] = []
    for caller in chain[:MAX_CALLERS]:
        lines.append("note: in a call from here")
        lines += _snippet(caller)
    if len(chain) > MAX_CALLERS:
        lines.append(f"note: and {len(chain) - MAX_CALLERS} more calls")
    return lines
