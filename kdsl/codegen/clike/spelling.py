"""What differs between languages like C, as one table that a back end fills.

Integers are held unsigned, so that they wrap; ops that mean signed numbers cast. A float that the
chip cannot compute with is held as the unsigned integer of its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdsl.errors import InternalError
from kdsl.ir.types import I1, INDEX, ScalarType
from kdsl.target.features import Features

BYTE = "uchar"
"""How a bool lies in memory."""
PRIVATE = 5
"""The memory space of arrays that one lane has for itself."""


@dataclass(frozen=True)
class Spelling:
    """A language's words.

    - ``unsigned``, ``signed``: integer words by bits; ``floats``: words of the float types.
    - ``literals``: what follows an integer literal, by bits.
    - ``spaces``: qualifiers of pointers by memory space.
    - ``bits(word, text)``: bits viewed as another type of their size.
    - ``thread``, ``lane``: this lane's number in workgroup and subgroup, as index; ``program``,
      ``programs`` (by axis): its place in the grid and the grid's size, as index.
    - ``stored``: floats that are values in the language even where the chip computes in f32.
    - ``shared(word, name, count, align)`` declares workgroup memory.
    - ``load(qualifier, word, count, pointer, aligned)`` reads consecutive elements as one vector of
      the type ``vector_word(word, count)``; ``part(name, i)`` is its element i; ``store(qualifier,
      word, parts, pointer, aligned)`` is the statement that writes some. ``widths``: the vector
      lengths there are, longest first.
    - ``functions``: builtins by kdsl's names for them; ``helpers``: the text of functions that are
      written in front of the kernels that need them.
    - ``shuffle(word, value, lane)``: another lane's value; None where subgroups are made of
      workgroup memory and barriers.
    - ``atomics``: "kind/element" to a builtin; ``atomic_call(builtin, word, qualifier)`` is its
      call on ``p`` and ``x``; ``atomic_swap(word, qualifier, pointer, old, new)`` returns what was
      there.
    - ``pack(word, lanes)`` makes a vector of lanes; None where vectors are never values: a back end
      that packs has rows for ops on them.
    - ``offsets``: a buffer comes with where it begins, in elements.
    """

    name: str
    unsigned: Mapping[int, str]
    signed: Mapping[int, str]
    floats: Mapping[str, str]
    literals: Mapping[int, str]
    spaces: Mapping[int | None, str]
    bits: Callable[[str, str], str]
    thread: str
    lane: str
    program: tuple[str, str, str]
    programs: tuple[str, str, str]
    barrier: str
    shared: Callable[[str, str, int, int], str]
    load: Callable[[str, str, int, str, bool], str]
    part: Callable[[str, int], str]
    store: Callable[[str, str, list[str], str, bool], str]
    vector_word: Callable[[str, int], str]
    functions: Mapping[str, str]
    atomics: Mapping[str, str]
    atomic_call: Callable[[str, str, str], str]
    atomic_swap: Callable[[str, str, str, str, str], str]
    helpers: Mapping[str, str] = field(default_factory=dict)
    widths: tuple[int, ...] = (4, 2)
    stored: frozenset[str] = frozenset()
    shuffle: Callable[[str, str, str], str] | None = None
    printf: str | None = None
    offsets: bool = True
    pack: Callable[[str, list[str]], str] | None = None


class Words:
    """A language's words on one chip: types and literals."""

    def __init__(self, spelling: Spelling, features: Features) -> None:
        self.spelling = spelling
        self.features = features
        self._cache: dict[ScalarType, str] = {}

    def word(self, t: ScalarType) -> str:
        """Return the type that holds a value of ``t``."""
        found = self._cache.get(t)
        if found is None:
            found = self._cache[t] = self._spell(t)
        return found

    def _spell(self, t: ScalarType) -> str:
        if t is I1:
            return "bool"
        if t.kind != "f":
            return self.spelling.unsigned[t.bits]
        if self.is_held(t):
            return self.spelling.unsigned[t.bits]
        return self.spelling.floats[t.text]

    def is_held(self, t: ScalarType) -> bool:
        """Return whether a float is held as an unsigned integer."""
        known = t.text in self.features.native or t.text in self.spelling.stored
        return t.kind == "f" and not (known and t.text in self.spelling.floats)

    def memory(self, t: ScalarType) -> str:
        """Return the type of an element in memory."""
        return BYTE if t is I1 else self.word(t)

    def signed(self, t: ScalarType) -> str:
        """Return the signed integer word of a type's size."""
        return self.spelling.signed[t.bits]

    def unsigned(self, t: ScalarType) -> str:
        """Return the unsigned integer word of a type's size."""
        return self.spelling.unsigned[t.bits]

    def literal(self, number: Any, t: ScalarType) -> str:
        """Return a constant."""
        if t is I1:
            return "true" if number else "false"
        if t.kind != "f":
            return self.integer(int(number), t.bits)
        if self.is_held(t) or t.bits < 32:
            raw = int(np.asarray(number, t.numpy).view(np.dtype(f"u{max(t.bits, 8) // 8}")))
            held = self.integer(raw, t.bits)
            return held if self.is_held(t) else self.spelling.bits(self.word(t), held)
        return self._float(number, t)

    def integer(self, number: int, bits: int) -> str:
        """Return an unsigned literal of ``bits`` bits."""
        number &= (1 << bits) - 1
        if bits < 32:
            return f"({self.spelling.unsigned[bits]}){number}"
        return f"{number}{self.spelling.literals[bits]}"

    def _float(self, number: Any, t: ScalarType) -> str:
        """Write what reads back as the same bits; a NaN and an infinity by their bits."""
        exact = t.numpy.type(number)
        if not math.isfinite(exact):
            raw = int(np.asarray(exact).view(np.dtype(f"u{t.bits // 8}")))
            return self.spelling.bits(self.word(t), self.integer(raw, t.bits))
        text = repr(float(exact)) if t.bits == 64 else _short(exact)
        text = text if any(c in text for c in ".e") else text + ".0"
        text += "" if t.bits == 64 else "f"
        return f"({text})" if text.startswith("-") else text


def _short(number: Any) -> str:
    """Return the shortest decimal text that rounds to an f32."""
    return np.format_float_scientific(number, unique=True, trim="0")


def item_bytes(t: ScalarType) -> int:
    """Return the bytes of one element in memory."""
    return 8 if t is INDEX else max(t.bits, 8) // 8


def identifier(text: str) -> str:
    """Return a name with every sign that C does not allow replaced."""
    made = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in text)
    if not made:
        raise InternalError(what="a function without a name")
    return f"_{made}" if made[0].isdigit() else made
