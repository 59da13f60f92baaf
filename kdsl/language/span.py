"""Index ranges that know their own edge."""

from __future__ import annotations

from typing import Any

from kdsl.errors import TypeMismatchError, UnboundSpanError
from kdsl.language.state import where
from kdsl.language.types import static_int
from kdsl.language.values import INDEX_DTYPE, Lanes, as_index, binary, compare


class Span:
    """``size`` indices from ``start`` on, ``step`` apart, of which those below a limit exist.

    The limit is ``stop=``, else the extent of the first tensor dim that the span indexes.
    """

    __slots__ = ("_limit", "first", "size", "step")

    def __init__(self, first: Any, size: int, step: int, limit: Any) -> None:
        self.first = first
        self.size = size
        self.step = step
        self._limit = limit

    @property
    def start(self) -> Any:
        """The first index."""
        return self.first

    @property
    def end(self) -> Any:
        """Where the span ends when nothing cuts it off: ``start + size * step``."""
        return binary("+", self.first, self.size * self.step)

    @property
    def stop(self) -> Any:
        """One past the last index that exists (``end`` while no limit is known)."""
        return self.end if self._limit is None else binary("minimum", self.end, self._limit)

    @property
    def limit(self) -> Any:
        """The index from which on nothing exists; None while it is unknown."""
        return self._limit

    @property
    def index(self) -> Any:
        """The indices as a tile."""
        from kdsl.language.tile import iota

        places = iota(self.size, INDEX_DTYPE)
        places = binary("*", places, self.step) if self.step != 1 else places
        return binary("+", places, self.first)

    @property
    def mask(self) -> Any:
        """Which indices exist, as a bool tile."""
        if self._limit is None:
            raise UnboundSpanError(where())
        return compare("<", self.index, self._limit)

    def bind(self, extent: Any) -> None:
        """Take the extent of the first dim that is indexed for the limit."""
        if self._limit is None:
            self._limit = as_index(extent)

    def leaves(self) -> list[Any]:
        """Return what a loop carries."""
        return [self.first]

    def rebuilt(self, leaves: list[Any]) -> Span:
        """Return the span with other carried values."""
        return Span(as_index(leaves[0]), self.size, self.step, self._limit)

    def same_structure(self, other: Any) -> bool:
        """Return whether another value differs in carried values only."""
        return (
            isinstance(other, Span)
            and (other.size, other.step) == (self.size, self.step)
            and other._limit is self._limit
        )

    type_text = "span"

    def __repr__(self) -> str:
        return f"<span of {self.size} by {self.step}>"


def span(i: Any, size: Any, *, stop: Any = None, step: Any = 1, start: Any = 0) -> Span:
    """Return block ``i`` of ``size`` indices: from ``start + i * size * step`` on."""
    count, by = static_int(size, "the size of a span"), static_int(step, "the step of a span")
    if min(count, by) < 1:
        wanted, got = "a size and a step of 1 or more", f"{count} and {by}"
        raise TypeMismatchError(where(), op="kd.span", wanted=wanted, got=got)
    first = binary("*", as_index(i, "kd.span"), count * by)
    if not isinstance(start, int) or start:
        first = binary("+", as_index(start, "kd.span"), first)
    return Span(first, count, by, None if stop is None else as_index(stop, "kd.span"))


def span_at(start: Any, size: Any, *, stop: Any = None, step: Any = 1) -> Span:
    """Return ``size`` indices from ``start`` on."""
    return span(0, size, stop=stop, step=step, start=start)


def is_index_like(x: Any) -> bool:
    """Return whether a value is an int or a traced integer without shape."""
    if isinstance(x, Lanes):
        return not x.shape and x.dtype.is_integer
    return isinstance(x, int) and not isinstance(x, bool)
