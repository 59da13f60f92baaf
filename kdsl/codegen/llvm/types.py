"""How types and constants are spelled in LLVM IR.

A float that the target cannot compute with (bf16, f8, often f16) is held as an integer of its
size: moving it
then never needs support, and conversions say what they do. A bool is one bit in registers, one
byte in memory.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from kdsl.errors import InternalError
from kdsl.ir.attributes import AttributeValue, Dense, FloatAttr, IntAttr
from kdsl.ir.types import I1, INDEX, MemRefType, ScalarType, ShapedType, Type, VectorType
from kdsl.target.features import Features

WORDS = {
    "i1": "i1", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64", "index": "i64",
    "f32": "float", "f64": "double",
}  # fmt: skip
FLOAT_WORDS = {"f16": "half", "bf16": "bfloat"}
LITERAL_MARKS = {"f16": "0xH", "bf16": "0xR"}
SUFFIXES = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16"}


class Spelling:
    """Types and literals for a target with these features."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self._native = {name for name in FLOAT_WORDS if name in features.native}
        self._types: dict[Type, str] = {}

    def scalar(self, t: ScalarType) -> str:
        """Return the register type of one lane."""
        word = WORDS.get(t.text)
        if word is None:
            word = FLOAT_WORDS[t.text] if t.text in self._native else f"i{t.bits}"
        return word

    def type(self, t: Type) -> str:
        """Return the register type of a scalar or one-dimensional vector."""
        found = self._types.get(t)
        if found is None:
            found = self._types[t] = self._spell(t)
        return found

    def _spell(self, t: Type) -> str:
        if isinstance(t, ScalarType):
            return self.scalar(t)
        if isinstance(t, VectorType) and t.rank == 1:
            return f"<{t.size} x {self.scalar(t.element)}>"
        if isinstance(t, MemRefType):
            return "ptr"
        raise InternalError(what=f"{t} has no LLVM type")

    def memory(self, t: Type) -> str:
        """Return the type in memory: a bool is a byte."""
        element = t.element if isinstance(t, ShapedType) else t
        return self.type(t).replace("i1", "i8") if element is I1 else self.type(t)

    def literal(self, value: AttributeValue, t: Type) -> str:
        """Return a constant of type ``t``."""
        if isinstance(value, Dense):
            return self._vector(value)
        element = t.element if isinstance(t, ShapedType) else t
        assert isinstance(element, ScalarType)
        number = value.value if isinstance(value, IntAttr | FloatAttr) else value
        return self._scalar_literal(number, element)

    def _vector(self, value: Dense) -> str:
        element = value.type.element
        word = self.scalar(element)
        if value.is_splat:
            return f"splat ({word} {self._scalar_literal(value.array[()], element)})"
        lanes = value.full().reshape(-1)
        return "<" + ", ".join(f"{word} {self._scalar_literal(x, element)}" for x in lanes) + ">"

    def _scalar_literal(self, number: Any, t: ScalarType) -> str:
        if t is I1:
            return "true" if number else "false"
        if t.kind != "f":
            return str(int(number))
        if t.bits == 64:
            return f"0x{struct.unpack('<Q', struct.pack('<d', float(number)))[0]:016X}"
        if t.text == "f32":
            # LLVM writes a float as the double of equal value; a NaN keeps its sign and quiet bit.
            wide = float(np.float32(number))
            return f"0x{struct.unpack('<Q', struct.pack('<d', wide))[0]:016X}"
        bits = int(np.asarray(number, t.numpy).view(np.dtype(f"u{t.bits // 8}")))
        if t.text in self._native:
            return f"{LITERAL_MARKS[t.text]}{bits:04X}"
        return str(bits - (1 << t.bits) if bits >> (t.bits - 1) else bits)


def item_bytes(t: ScalarType) -> int:
    """Return the bytes of one element in memory."""
    return 8 if t is INDEX else max(t.bits, 8) // 8


def intrinsic_suffix(text: str) -> str:
    """Return how an overloaded intrinsic names a register type: ``<8 x float>`` is ``v8f32``."""
    if text.startswith("<"):
        count, _, element = text[1:-1].partition(" x ")
        return f"v{count}{SUFFIXES.get(element, element)}"
    return SUFFIXES.get(text, text)
