"""How dtypes look at the borders of a built file: in DLPack, in C and in messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Border:
    """One dtype: DLPack type code and bits, the C type of a scalar, and its integer range."""

    code: int
    bits: int
    c: str
    llvm: str
    family: str  # "f" float, "i" signed, "u" unsigned, "b" bool

    @property
    def word(self) -> int:
        """The DLDataType of one lane as a little-endian 32-bit word."""
        return self.code | self.bits << 8 | 1 << 16

    @property
    def bytes(self) -> int:
        return self.bits // 8

    @property
    def range(self) -> tuple[int, int]:
        if self.family == "i":
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << (1 if self.family == "b" else self.bits)) - 1


BORDERS = {
    "bool": Border(6, 8, "int8_t", "i8", "b"),
    "i8": Border(0, 8, "int8_t", "i8", "i"),
    "i16": Border(0, 16, "int16_t", "i16", "i"),
    "i32": Border(0, 32, "int32_t", "i32", "i"),
    "i64": Border(0, 64, "int64_t", "i64", "i"),
    "index": Border(0, 64, "int64_t", "i64", "i"),
    "u8": Border(1, 8, "uint8_t", "i8", "u"),
    "u16": Border(1, 16, "uint16_t", "i16", "u"),
    "u32": Border(1, 32, "uint32_t", "i32", "u"),
    "u64": Border(1, 64, "uint64_t", "i64", "u"),
    "f16": Border(2, 16, "float", "float", "f"),
    "bf16": Border(4, 16, "float", "float", "f"),
    "f32": Border(2, 32, "float", "float", "f"),
    "f64": Border(2, 64, "double", "double", "f"),
    "f8e4m3": Border(10, 8, "", "", "f"),
    "f8e5m2": Border(12, 8, "", "", "f"),
}
SCALARS = tuple(name for name, border in BORDERS.items() if border.c)
# Names for what may come from outside, also where no kernel takes it.
FOREIGN = {
    "complex64": 5 | 64 << 8 | 1 << 16,
    "complex128": 5 | 128 << 8 | 1 << 16,
}
WORD_NAMES = {b.word: name for name, b in BORDERS.items() if name != "index"} | {
    word: name for name, word in FOREIGN.items()
}


def widest(dtypes: list[str]) -> str | None:
    """Return the scalar dtype that carries all of these across a call; None for a mix of kinds."""
    families = {BORDERS[d].family for d in dtypes}
    if len(families) != 1:
        return None
    best = max(dtypes, key=lambda d: BORDERS[d].bits)
    return "f32" if best in ("f16", "bf16") else best
