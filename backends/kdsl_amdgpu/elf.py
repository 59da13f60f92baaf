"""Reading ELF objects for AMD GPUs: relocatable ones from LLVM, loadable ones from a linker."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from kdsl.errors import CodeObjectError

MACHINE, OSABI = 0xE0, 0x40
RELOCATABLE, SHARED = 1, 3
PROGBITS, SYMTAB, STRTAB, RELA, HASH, DYNAMIC, NOTE, NOBITS, DYNSYM = 1, 2, 3, 4, 5, 6, 7, 8, 11
WRITE, ALLOC, EXECUTE = 1, 2, 4
PT_LOAD, PT_DYNAMIC, PT_NOTE = 1, 2, 4
UNDEFINED, ABSOLUTE = 0, 0xFFF1
GLOBAL = 1

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SEGMENT = struct.Struct("<IIQQQQQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QQq")
ENTRY = struct.Struct("<QQ")


@dataclass(slots=True)
class Section:
    """A section header, with its number and its bytes in the file."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int
    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol; ``section`` is a section's number."""

    name: str
    info: int
    other: int
    section: int
    value: int
    size: int

    @property
    def is_exported(self) -> bool:
        """Whether loaders see it: global, defined in a section, default or protected."""
        return (
            self.info >> 4 == GLOBAL
            and self.section not in (UNDEFINED, ABSOLUTE)
            and self.other & 3 in (0, 3)
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A program header."""

    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int


@dataclass(slots=True)
class Elf:
    """A parsed object."""

    data: bytes
    ident: bytes
    kind: int
    flags: int
    sections: list[Section]
    segments: list[Segment]
    symbols: list[Symbol]
    by_name: dict[str, Symbol] = field(default_factory=dict)

    def image(self) -> bytearray:
        """Return memory as a loader fills it from the loadable segments."""
        loads = [s for s in self.segments if s.kind == PT_LOAD]
        memory = bytearray(max((s.address + s.memory_size for s in loads), default=0))
        for s in loads:
            memory[s.address : s.address + s.file_size] = self.data[
                s.offset : s.offset + s.file_size
            ]
        return memory


def read_elf(data: bytes) -> Elf:
    """Parse a little-endian 64-bit AMDGPU object. Raises CodeObjectError."""
    if len(data) < HEADER.size or data[:6] != b"\x7fELF\x02\x01":
        raise CodeObjectError(what="it is no little-endian 64-bit ELF file")
    try:
        return _read(data)
    except (struct.error, IndexError, ValueError) as problem:
        raise CodeObjectError(what=f"it is damaged: {problem}") from problem


def _read(data: bytes) -> Elf:
    ident, kind, machine, _, _, phoff, shoff, flags, _, phsize, phnum, shsize, shnum, names = (
        HEADER.unpack_from(data)
    )
    if machine != MACHINE or ident[7] != OSABI:
        raise CodeObjectError(what="it is not for AMD GPUs under HSA")
    rows = [SECTION.unpack_from(data, shoff + i * shsize) for i in range(shnum)]
    strings = rows[names][4]
    sections = [
        Section(
            name=_text(data, strings + name),
            kind=section_kind,
            flags=section_flags,
            address=address,
            offset=offset,
            size=size,
            link=link,
            info=info,
            align=align,
            entry_size=entry_size,
            number=number,
            data=_bytes(data, section_kind, offset, size),
        )
        for number, (
            name, section_kind, section_flags, address, offset, size, link, info, align, entry_size,
        ) in enumerate(rows)
    ]  # fmt: skip
    segments = []
    for i in range(phnum):
        k, f, offset, address, _, size, memory, align = SEGMENT.unpack_from(
            data, phoff + i * phsize
        )
        segments.append(Segment(k, f, offset, address, size, memory, align))
    table = SYMTAB if kind == RELOCATABLE else DYNSYM
    symbols = [
        s
        for section in sections
        if section.kind == table
        for s in _symbols(data, section, sections)
    ]
    return Elf(data, ident, kind, flags, sections, segments, symbols, {s.name: s for s in symbols})


def _bytes(data: bytes, kind: int, offset: int, size: int) -> bytes:
    if kind == NOBITS:
        return bytes(size)
    if offset + size > len(data):
        raise CodeObjectError(what="a section lies behind its end")
    return data[offset : offset + size]


def _symbols(data: bytes, table: Section, sections: list[Section]) -> list[Symbol]:
    strings = sections[table.link].offset
    found = []
    for at in range(table.offset, table.offset + table.size, SYMBOL.size):
        name, info, other, section, value, size = SYMBOL.unpack_from(data, at)
        found.append(Symbol(_text(data, strings + name), info, other, section, value, size))
    return found


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(0, at)].decode()
