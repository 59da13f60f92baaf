"""Where an op came from: two pointers when it is made, file and columns when somebody asks.

A tracer stores the frame's code object and last instruction; ``co_positions()`` turns them into a
line and a column range only when an error or a dump needs them.
"""

from __future__ import annotations

from itertools import islice
from types import CodeType


class Location:
    """A span of source text, resolved on first use; ``caller`` is the call that led here."""

    __slots__ = ("_code", "_lasti", "_span", "caller", "file")

    def __init__(
        self,
        file: str,
        span: tuple[int, int, int, int] | None = None,
        *,
        code: CodeType | None = None,
        lasti: int = -1,
        caller: Location | None = None,
    ) -> None:
        self.file = file
        self._span = span
        self._code = code
        self._lasti = lasti
        self.caller = caller

    @classmethod
    def of_code(cls, code: CodeType, lasti: int, caller: Location | None = None) -> Location:
        """Point at the instruction at byte offset ``lasti`` of ``code``."""
        return cls(code.co_filename, code=code, lasti=lasti, caller=caller)

    @property
    def span(self) -> tuple[int, int, int, int]:
        """(line, column, end line, end column); lines from 1, columns from 1, the end exclusive."""
        if self._span is None:
            self._span = _resolve(self._code, self._lasti)
        return self._span

    @property
    def line(self) -> int:
        return self.span[0]

    @property
    def column(self) -> int:
        return self.span[1]

    @property
    def end_line(self) -> int:
        return self.span[2]

    @property
    def end_column(self) -> int:
        return self.span[3]

    @property
    def text(self) -> str:
        """The source text of the span's first line; empty when the source is not at hand."""
        line, column, end_line, end_column = self.span
        source = self.source_line
        return source[column - 1 : end_column - 1 if end_line == line else len(source)]

    @property
    def source_line(self) -> str:
        """The whole first line of the span, without its newline."""
        import linecache

        return linecache.getline(self.file, self.span[0]).rstrip("\n")

    def chain(self) -> list[Location]:
        """Return this location and its callers, innermost first."""
        found: list[Location] = []
        here: Location | None = self
        while here is not None:
            found.append(here)
            here = here.caller
        return found

    def __str__(self) -> str:
        return f"{self.file}:{self.span[0]}:{self.span[1]}"

    def __repr__(self) -> str:
        return f"Location({self})"

    def __reduce__(self) -> tuple[object, ...]:
        return Location, (self.file, self.span), (None, {"caller": self.caller})

    def __setstate__(self, state: tuple[object, dict[str, Location | None]]) -> None:
        self.caller = state[1]["caller"]


def _resolve(code: CodeType | None, lasti: int) -> tuple[int, int, int, int]:
    if code is None:
        return (1, 1, 1, 1)
    # co_positions yields one entry for each two-byte instruction word.
    found = next(islice(code.co_positions(), max(lasti, 0) // 2, None), None)
    line, end_line, column, end_column = found or (None, None, None, None)
    line = line or code.co_firstlineno
    column = (column or 0) + 1
    return (line, column, end_line or line, (end_column or column) + (1 if end_column else 0))
