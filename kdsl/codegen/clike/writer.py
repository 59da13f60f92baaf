"""The text of one function while it is written: names of registers, lines, what it needs.

Every value is a row of scalars: a vector has one C variable for each lane. Rearranging lanes then
costs nothing, and the C compiler sees plain scalar code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kdsl.codegen.clike.spelling import Words
from kdsl.codegen.clike.uniform import Uniform
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.types import I1, MemRefType, ScalarType, VectorType, element_type

Row = tuple[str, ...]
"""The lanes of a value: names or literals."""
MASK = "int"
"""The word of a packed bool: 0 or -1."""
PACKED = (8, 4, 2)
DECLARATORS = 8
"""How many variables one line declares."""


@dataclass(slots=True)
class Buffer:
    """A memref: pointer, offset in elements, sizes and strides as text or numbers; its space."""

    base: str
    offset: str
    sizes: list[str | int]
    strides: list[str | int]
    space: int | None


@dataclass(frozen=True)
class Parameter:
    """One parameter of a C kernel.

    ``kind``: "buffer", "offset", "size", "stride" or "scalar" of argument ``arg`` (and ``axis``),
    or "status". ``word`` is the type of a scalar or of a buffer's elements.
    """

    kind: str
    arg: int
    axis: int
    name: str
    word: str


@dataclass
class Needs:
    """What kernels of a module share: helper functions, in the order of their use."""

    helpers: dict[str, str] = field(default_factory=dict)


class Writer:
    """Writes one function from top to bottom.

    ``exchange``: the next buffer for an exchange between lanes, None where a barrier must come
    first. ``guarded``: lanes whose assertion failed stay for the barriers. ``packing``: vectors are
    those of the language, for chips whose programs are one lane each.
    """

    def __init__(self, words: Words, needs: Needs, source: Module, lanes: int) -> None:
        self.words = words
        self.spelling = words.spelling
        self.features = words.features
        self.needs = needs
        self.source = source
        self.lanes = lanes
        self.guarded = False
        self.packing = self.spelling.pack is not None and not words.features.has_lanes
        self.uniform = Uniform()
        self.lines: list[str] = []
        self.shared: list[str] = []
        self.rows: dict[Value, Row] = {}
        self.packs: dict[Value, Row] = {}
        self.buffers: dict[Value, Buffer] = {}
        self.products: dict[Value, tuple[Row, Row]] = {}
        self.used: dict[str, Parameter] = {}
        self.uses_status = False
        self.accesses: dict[str, int] = {}
        self.exchange: int | None = 0
        self._known: dict[str, Parameter] = {}
        self._inside: list[list[Value]] = [[]]
        self._count = 0
        self._indent = 1

    # ------------------------------------------------------------------------------------ names

    def fresh(self) -> str:
        """Return a new variable's name."""
        self._count += 1
        return f"v{self._count}"

    def row(self, value: Value) -> Row:
        """Return the lanes of a value; those of packed vectors are parts of these."""
        found = self.rows.get(value)
        if found is None:
            found = self.rows[value] = parts_of(self, value)
        return found

    def one(self, value: Value) -> str:
        """Return a scalar."""
        (only,) = self.row(value)
        return only

    def is_packed(self, value: Value) -> bool:
        """Return whether a value is held in vectors of the language."""
        return self.packing and bool(widths_of(value))

    def units(self, value: Value) -> Row:
        """Return the variables that hold a value: its packed vectors, else its lanes."""
        if not self.is_packed(value):
            return self.row(value)
        found = self.packs.get(value)
        if found is None:
            found = self.packs[value] = packs_of(self, value)
            self._inside[-1].append(value)
        return found

    def unit_words(self, value: Value) -> list[str]:
        """Return the types of these variables."""
        word = self.word(value)
        if not self.is_packed(value):
            return [word] * lanes_of(value)
        if scalar_of(value) is I1:
            word = MASK
        return [self.spelling.vector_word(word, n) for n in widths_of(value)]

    def bind_units(self, value: Value, units: Iterable[str]) -> None:
        """Let a value be held in these variables."""
        if self.is_packed(value):
            self.packs[value] = tuple(units)
            self.rows.pop(value, None)
        else:
            self.bind(value, units)

    def define_units(self, value: Value, texts: Sequence[str]) -> None:
        """Declare the variables that hold a result."""
        words = self.unit_words(value)
        self.bind_units(value, [self.let(w, t) for w, t in zip(words, texts, strict=True)])

    def word(self, value: Value) -> str:
        """Return the C type of a value's lanes."""
        return self.words.word(element_type(value.type))

    def bind(self, value: Value, row: Iterable[str]) -> None:
        """Let a value be written as these names or literals."""
        self.rows[value] = tuple(row)
        self.packs.pop(value, None)

    def offer(self, parameter: Parameter) -> str:
        """Make a parameter known and return its name; it is declared when the text uses it."""
        self._known[parameter.name] = parameter
        return parameter.name

    def use(self, text: str | int) -> str:
        """Return a size, stride or pointer for use in the text; parameters are declared then."""
        if isinstance(text, int):
            return self.words.integer(text, 64)
        known = self._known.get(text)
        if known is not None:
            self.used[text] = known
        return text

    # ------------------------------------------------------------------------------------ lines

    def do(self, text: str) -> None:
        """Write a statement."""
        self.lines.append("  " * self._indent + text)

    def open(self, text: str) -> None:
        """Write a line that opens a block."""
        self.do(text + " {")
        self._indent += 1
        self._inside.append([])

    def close(self, text: str = "}") -> None:
        """Close a block: vectors that were packed in it are out of reach."""
        for value in self._inside.pop():
            self.packs.pop(value, None)
        self._indent -= 1
        self.do(text)

    def otherwise(self) -> None:
        """Close the first half of a branch and open the second."""
        self.close("} else {")
        self._indent += 1
        self._inside.append([])

    def let(self, word: str, text: str) -> str:
        """Declare a variable and return its name."""
        name = self.fresh()
        self.do(f"const {word} {name} = {text};")
        return name

    def define(self, value: Value, texts: Sequence[str]) -> None:
        """Declare the lanes of a result."""
        self.bind(value, self.declare(self.word(value), texts))

    def declare(self, word: str, texts: Sequence[str]) -> list[str]:
        """Declare variables of one type and return their names."""
        names = [self.fresh() for _ in texts]
        for at in range(0, len(names), DECLARATORS):
            pairs = zip(names[at : at + DECLARATORS], texts[at : at + DECLARATORS], strict=True)
            listed = ", ".join(f"{name} = {text}" for name, text in pairs)
            self.do(f"const {word} {listed};")
        return names

    def variables(self, value: Value, first: Sequence[str] | None = None) -> Row:
        """Declare variables that are assigned later and hold a value."""
        words = self.unit_words(value)
        names = [self.fresh() for _ in words]
        texts = (
            names if first is None else [f"{n} = {t}" for n, t in zip(names, first, strict=True)]
        )
        for at in range(0, len(names), DECLARATORS):
            # All units of one type stand together, the longest first.
            for word in dict.fromkeys(words[at : at + DECLARATORS]):
                same = [
                    text
                    for text, w in zip(
                        texts[at : at + DECLARATORS], words[at : at + DECLARATORS], strict=True
                    )
                    if w == word
                ]
                self.do(f"{word} {', '.join(same)};")
        return tuple(names)

    def assign(self, moves: Sequence[tuple[Row, Row, Sequence[str]]]) -> None:
        """Assign all at once: variables, texts and types; what is still to be read is saved.

        Loop-carried values may trade places.
        """
        triples = [
            t for names, texts, words in moves for t in zip(names, texts, words, strict=True)
        ]
        triples = [t for t in triples if t[0] != t[1]]
        overwritten = {name for name, _, _ in triples}
        saved: dict[str, str] = {}
        for _, text, word in triples:
            if text in overwritten and text not in saved:
                saved[text] = self.let(word, text)
        parts = [f"{name} = {saved.get(text, text)};" for name, text, _ in triples]
        for at in range(0, len(parts), DECLARATORS):
            self.do(" ".join(parts[at : at + DECLARATORS]))

    # ------------------------------------------------------------------------------------ needs

    def call(self, name: str) -> str:
        """Return the name of a helper function, which is written in front of the kernels."""
        if name not in self.needs.helpers:
            self.needs.helpers[name] = self.spelling.helpers[name]
        return name

    def helper(self, name: str, text: str) -> str:
        """Have a helper function made of ``text``."""
        self.needs.helpers.setdefault(name, text)
        return name

    def function(self, symbol: str) -> Op:
        """Return a function of the module that is written."""
        return self.source.function(symbol)

    def leaves_together(self, op: Op) -> bool:
        """Return whether all lanes come to the same decision at an assertion."""
        return self.uniform.place(op) and self.uniform.value(op.operands[0])

    def counted(self, what: str) -> None:
        """Count an access for the report."""
        self.accesses[what] = self.accesses.get(what, 0) + 1


def widths_of(value: Value) -> list[int]:
    """Return how a vector is cut into packed ones; empty for what is no such vector."""
    if not isinstance(value.type, VectorType):
        return []
    left, found = value.type.size, []
    for width in PACKED:
        found += [width] * (left // width)
        left %= width
    return [] if left else found


def parts_of(w: Writer, value: Value) -> Row:
    """Return the lanes of packed vectors."""
    tail = " != 0" if scalar_of(value) is I1 else ""
    units = zip(w.packs[value], widths_of(value), strict=True)
    texts = [f"{w.spelling.part(unit, i)}{tail}" for unit, n in units for i in range(n)]
    return tuple(f"({text})" if tail else text for text in texts)


def packs_of(w: Writer, value: Value) -> Row:
    """Return packed vectors made of lanes: of one text when the lanes are alike."""
    row = w.row(value)
    if scalar_of(value) is I1:
        row = tuple(MASKS.get(lane, f"({lane} ? -1 : 0)") for lane in row)
    made: list[str] = []
    at = 0
    for n, word in zip(widths_of(value), w.unit_words(value), strict=True):
        lanes = row[at : at + n]
        assert w.spelling.pack is not None
        made.append(w.let(word, w.spelling.pack(word, list(lanes))))
        at += n
    return tuple(made)


MASKS = {"true": "-1", "false": "0"}


def lanes_of(value: Value) -> int:
    """Return how many scalars a value is."""
    return value.type.size if isinstance(value.type, VectorType) else 1


def scalar_of(value: Value) -> ScalarType:
    """Return the type of a value's lanes, of a buffer's elements."""
    return element_type(value.type)


def is_buffer(value: Value) -> bool:
    """Return whether a value is memory."""
    return isinstance(value.type, MemRefType)
