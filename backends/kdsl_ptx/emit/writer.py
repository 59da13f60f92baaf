"""Writing one kernel: values in registers, in three forms that are converted when asked for.

Registers have no type but a size: ``%p`` predicates, ``%h`` 16 bits, ``%r`` 32, ``%d`` 64. A value
is a list of texts, a register or a literal each, one for every element in row-major order:

- *loose*: an element in each register (8- and 16-bit elements in ``%h``, whose unused bits are of
  no meaning; index in ``%d``);
- *words*: 8- and 16-bit elements of a vector packed into 32-bit words, lowest first;
- *low*: index elements that fit 32 signed bits, in ``%r``.

Rearranging elements renames registers and writes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdsl.dialects import arith
from kdsl.ir.core import Op, Value
from kdsl.ir.types import F32, F64, I1, ScalarType, Type, VectorType, element_type
from kdsl_ptx.emit.facts import IntegerFacts, is_dead_after

CLASS_OF_BITS = {1: "p", 8: "h", 16: "h", 32: "r", 64: "d"}
DECLARED = {"p": ".pred", "h": ".b16", "r": ".b32", "d": ".b64"}
WORD_BITS = 32
TRUE, FALSE = "true", "false"
WRAPPING: dict[type[Op], str] = {
    arith.Addi: "add.s32", arith.Subi: "sub.s32", arith.Muli: "mul.lo.s32",
}  # fmt: skip
"""Index ops whose low bits depend on their operands' low bits alone."""
DEEPEST = 8


@dataclass(slots=True)
class Buffer:
    """A memref: base address in ``base`` (``%d`` in global, ``%r`` in workgroup memory).

    ``offset``: bytes to add. ``sizes`` and ``strides`` (in elements): numbers, or ``%d`` registers.
    ``align``: what divides base + offset. ``written``: whether the kernel stores through it.
    """

    base: str
    space: str
    sizes: list[int | str]
    strides: list[int | str]
    align: int
    offset: int = 0
    written: bool = True


@dataclass(slots=True)
class ModuleParts:
    """What kernels of a module share: texts, declarations, the chip's number, ready lines."""

    source: Any
    sm: int
    strings: dict[str, str] = field(default_factory=dict)
    prints: bool = False

    def string(self, text: str) -> str:
        """Return the name of the global that holds ``text`` and a zero byte."""
        found = self.strings.get(text)
        if found is None:
            found = self.strings[text] = f"kdsl_text{len(self.strings)}"
        return found


class Writer:
    """The lines of one kernel and where its values are."""

    def __init__(self, parts: ModuleParts, lanes: int) -> None:
        self.parts = parts
        self.facts = IntegerFacts(lanes)
        self.lanes = lanes
        self.lines: list[str] = []
        self.entry: list[str] = []
        self.counts = {"p": 0, "h": 0, "r": 0, "d": 0}
        self.labels = 0
        self.loose_of: dict[Value, list[Any]] = {}
        self.words_of: dict[Value, list[str]] = {}
        self.low_of: dict[Value, list[str]] = {}
        self.buffers: dict[Value, Buffer] = {}
        self.terms: dict[tuple[str, ...], str] = {}
        self.owners: dict[str, list[Value]] | None = None
        self.order: dict[Op, int] = {}
        self.variables: dict[str, list[str]] = {}
        self.shared_bytes = 0
        self.local_bytes = 0
        self.status = ""
        self.barriers = False
        self._undo: list[list[tuple[Any, Any]]] = [[]]

    # ------------------------------------------------------------------------------------- lines

    def new(self, kind: str) -> str:
        """Return a fresh register of a class."""
        n = self.counts[kind] = self.counts[kind] + 1
        return f"%{kind}{n}"

    def label(self) -> str:
        self.labels += 1
        return f"$L{self.labels}"

    def do(self, text: str) -> None:
        """Write an instruction."""
        self.lines.append(f"\t{text};")

    def let(self, kind: str, word: str, *args: Any) -> str:
        """Write an instruction with a fresh result; return the result."""
        n = self.counts[kind] = self.counts[kind] + 1
        made = f"%{kind}{n}"
        self.lines.append(f"\t{word} {made}, {', '.join(map(str, args))};")
        return made

    def place(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def term(self, kind: str, word: str, *args: Any) -> str:
        """Return the result of a pure instruction on registers that never change, written once."""
        key = (word, *map(str, args))
        found = self.terms.get(key)
        if found is None:
            found = self.let(kind, word, *args)
            self.remember(self.terms, key, found)
        return found

    # ------------------------------------------------------------------------------------ scopes

    def open_scope(self) -> None:
        """Begin code that what follows it is not dominated by."""
        self._undo.append([])

    def close_scope(self) -> None:
        """Forget the conversions and terms that were written inside."""
        for container, key in reversed(self._undo.pop()):
            if isinstance(container, dict):
                container.pop(key, None)
            else:
                container[key] = None

    def remember(self, container: Any, key: Any, value: Any) -> None:
        """Put an entry that lasts as long as the scope."""
        container[key] = value
        self._undo[-1].append((container, key))

    # ------------------------------------------------------------------------------------ values

    def bind(self, value: Value, texts: list[str]) -> None:
        """State the loose form of a value."""
        self.loose_of[value] = texts
        if self.owners is not None:
            self._own(value, texts)

    def bind_words(self, value: Value, words: list[str]) -> None:
        """State the packed form of a value."""
        self.words_of[value] = words
        if self.owners is not None:
            self._own(value, words)

    def bind_low(self, value: Value, texts: list[str]) -> None:
        """State the 32-bit form of index elements."""
        self.low_of[value] = texts

    def _own(self, value: Value, texts: list[str]) -> None:
        owners = self.owners
        assert owners is not None
        for text in texts:
            found = owners.get(text)
            if found is None:
                owners[text] = [value]
            elif not found or found[-1] is not value:
                found.append(value)

    def loose(self, value: Value) -> list[str]:
        """Return one text for each element."""
        found = self.loose_of.get(value)
        if found is None:
            found = [None] * count_of(value.type)
            self.remember(self.loose_of, value, found)
        elif None not in found:
            return found
        for i, text in enumerate(found):
            if text is None:
                self._loosen(value, found, i)
        return found

    def element(self, value: Value, at: int) -> str:
        """Return the text of one element."""
        found = self.loose_of.get(value)
        if found is None:
            found = [None] * count_of(value.type)
            self.remember(self.loose_of, value, found)
        text = found[at]
        if text is None:
            self._loosen(value, found, at)
            text = found[at]
        return str(text)

    def one(self, value: Value) -> str:
        """Return the text of a scalar."""
        found = self.loose_of.get(value)
        return found[0] if found is not None and found[0] is not None else self.element(value, 0)

    def _loosen(self, value: Value, found: list[Any], at: int) -> None:
        low = self.low_of.get(value)
        if low is not None:
            text = low[at]
            wide = self.term("d", "cvt.s64.s32", text) if text[0] == "%" else text
            self.remember(found, at, wide)
            return
        bits = element_type(value.type).bits
        per = WORD_BITS // bits
        first = at // per * per
        parts = self.unpacked(self.words_of[value][at // per], bits)
        for i, text in enumerate(parts):
            if found[first + i] is None:
                self.remember(found, first + i, text)

    def unpacked(self, word: str, bits: int) -> list[str]:
        """Return the elements of a word, lowest first."""
        per = WORD_BITS // bits
        if word[0] != "%":
            number = int(word, 0)
            return [hex(number >> bits * i & ((1 << bits) - 1)) for i in range(per)]
        if bits == 16:
            key = ("unpack", word)
            low = self.terms.get(key)
            if low is None:
                low, high = self.new("h"), self.new("h")
                self.do(f"mov.b32 {{{low}, {high}}}, {word}")
                self.remember(self.terms, key, low)
                self.remember(self.terms, ("upper", word), high)
            return [low, self.terms["upper", word]]
        parts = [word, *(self.term("r", "shr.u32", word, 8 * i) for i in range(1, per))]
        return [self.term("h", "cvt.u16.u32", part) for part in parts]

    def words(self, value: Value) -> list[str]:
        """Return the packed form of a vector whose elements are 8 or 16 bits, and fill words."""
        found = self.words_of.get(value)
        if found is None:
            bits = element_type(value.type).bits
            texts = self.loose(value)
            per = WORD_BITS // bits
            found = [self.packed(texts[i : i + per], bits) for i in range(0, len(texts), per)]
            self.remember(self.words_of, value, found)
        return found

    def packed(self, texts: Sequence[str], bits: int) -> str:
        """Return a word that holds elements, lowest first."""
        if all(t[0] != "%" for t in texts):
            mask = (1 << bits) - 1
            return hex(sum((int(t, 0) & mask) << bits * i for i, t in enumerate(texts)))
        if bits == 16:
            return self.term("r", "mov.b32", f"{{{texts[0]}, {texts[1]}}}")
        parts = [self.term("r", "cvt.u32.u16", self.register(t, "h")) for t in texts]
        low = self.term("r", "prmt.b32", parts[0], parts[1], "0x0040")
        high = self.term("r", "prmt.b32", parts[2], parts[3], "0x0040")
        return self.term("r", "prmt.b32", low, high, "0x5410")

    def low(self, value: Value) -> list[str] | None:
        """Return index elements in 32 bits, or None when they may not fit."""
        found = self.low_of.get(value)
        if found is None and self.facts.fits32(value):
            found = [self.narrowed(t) for t in self.loose(value)]
            self.remember(self.low_of, value, found)
        return found

    def narrowed(self, text: str) -> str:
        """Return the low 32 bits of a 64-bit text."""
        if text[0] != "%":
            number = int(text, 0) & 0xFFFFFFFF
            return str(number - (1 << 32) if number >> 31 else number)
        return self.let("r", "cvt.u32.u64", text)

    def low_bits(self, value: Value, depth: int = 0) -> str:
        """Return the low 32 bits of an index scalar, which may be larger.

        Sums and products are worked out in 32 bits from their operands' low bits.
        """
        known = self.low_of.get(value)
        if known is not None:
            return known[0]
        op = value.op
        word = None if op is None or depth >= DEEPEST else WRAPPING.get(type(op))
        if op is not None and word is not None:
            a, b = (self.low_bits(v, depth + 1) for v in op.operands)
            return self.term("r", word, a, b)
        text = self.one(value)
        return self.term("r", "cvt.u32.u64", text) if text[0] == "%" else self.narrowed(text)

    def registers(self, value: Value) -> list[str]:
        """Return what holds a value: words where elements are packed, else loose texts."""
        return self.words(value) if is_packed(value.type) else self.loose(value)

    def bind_registers(self, value: Value, texts: list[str]) -> None:
        """State a value in the form that ``registers`` gives."""
        if is_packed(value.type):
            self.bind_words(value, texts)
        else:
            self.bind(value, texts)

    def register(self, text: str, kind: str) -> str:
        """Return a register that holds ``text``."""
        if text[0] == "%":
            return text
        if kind == "p":
            return self.term("p", "setp.eq.s32", 0, 0 if text == TRUE else 1)
        return self.term(kind, f"mov.{DECLARED[kind][1:]}", text)

    def predicate(self, value: Value) -> str:
        """Return the predicate register of an i1 scalar."""
        return self.register(self.one(value), "p")

    def dies(self, values: Sequence[Value], op: Op) -> bool:
        """Return whether nothing that ``values`` share registers with is read after ``op``."""
        assert self.owners is not None
        seen: set[Value] = set()
        for value in values:
            for text in self.registers(value):
                if text[0] != "%":
                    return False
                for owner in self.owners.get(text, ()):
                    if owner not in seen:
                        seen.add(owner)
                        if not is_dead_after(owner, op, self.order):
                            return False
        return True


# ---------------------------------------------------------------------------------------- spelling


def count_of(t: Type) -> int:
    """Return the number of elements."""
    return t.size if isinstance(t, VectorType) else 1


def is_packed(t: Type) -> bool:
    """Return whether a type's elements are held packed in words."""
    if not isinstance(t, VectorType):
        return False
    bits = t.element.bits
    return bits in (8, 16) and t.size % (WORD_BITS // bits) == 0


def class_of(element: ScalarType) -> str:
    """Return the register class of an element."""
    return CLASS_OF_BITS[element.bits]


def register_class(t: Type) -> str:
    """Return the class of the registers that ``Writer.registers`` gives."""
    return "r" if is_packed(t) else class_of(element_type(t))


def literal(number: Any, element: ScalarType) -> str:
    """Return how a constant element is written."""
    if element is F32:
        return f"0f{struct.unpack('<I', struct.pack('<f', number))[0]:08X}"
    if element is F64:
        return f"0d{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    if element is I1:
        return TRUE if number else FALSE
    if element.kind == "f":
        raw = np.asarray(number, element.numpy)
        return hex(int(raw.view(np.dtype(f"u{raw.dtype.itemsize}"))))
    return str(int(number))


def raw(text: str) -> str:
    """Return a literal as plain bits, as stores of several elements want it."""
    if text[:2] in ("0f", "0d"):
        return f"0x{text[2:]}"
    return text
