"""Read ELF files, 64-bit little-endian, without trusting them.

Layouts are those of the System V ABI, chapters 4 and 5. Every access is checked against the file's
size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kdsl.errors.artifacts import ForeignArtifactError, TruncatedArtifactError

MACHINES = {62: "x86-64", 183: "aarch64", 243: "riscv64", 3: "i386", 40: "arm"}
ET_REL, ET_DYN = 1, 3
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_HASH = 1, 2, 3, 4, 5
SHT_DYNAMIC, SHT_NOTE, SHT_NOBITS, SHT_REL, SHT_DYNSYM = 6, 7, 8, 9, 11
SHT_INIT_ARRAY, SHT_FINI_ARRAY = 14, 15
SHF_WRITE, SHF_ALLOC, SHF_EXEC, SHF_INFO_LINK, SHF_TLS = 1, 2, 4, 0x40, 0x400
SHN_UNDEF, SHN_ABS, SHN_COMMON, SHN_XINDEX = 0, 0xFFF1, 0xFFF2, 0xFFFF
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE, STT_TLS, STT_IFUNC = 0, 1, 2, 3, 4, 6, 10
STV_DEFAULT, STV_PROTECTED = 0, 3
PT_LOAD, PT_DYNAMIC, PT_NOTE = 1, 2, 4
PT_GNU_STACK, PT_GNU_RELRO = 0x6474E551, 0x6474E552

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SEGMENT = struct.Struct("<IIQQQQQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELA = struct.Struct("<QQq")
NOTE = struct.Struct("<III")
IDENT = b"\x7fELF\x02\x01\x01"


@dataclass(frozen=True)
class Section:
    """One row of the section table."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int


@dataclass(frozen=True)
class Segment:
    """One row of the program header table; addresses and sizes in bytes."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int


@dataclass(frozen=True)
class Symbol:
    """One row of a symbol table; ``section`` is a section's index or one of the SHN_ values."""

    name: str
    binding: int
    type: int
    visibility: int
    section: int
    value: int
    size: int


@dataclass(frozen=True)
class Relocation:
    """Patch ``offset`` of section ``target`` with symbol ``symbol`` plus ``addend``."""

    target: int
    offset: int
    type: int
    symbol: int
    addend: int


class ElfFile:
    """A parsed header; tables are read when asked for. Raises coded errors only."""

    def __init__(self, data: bytes, path: str = "<memory>") -> None:
        self.data = data
        self.path = path
        if data[:4] != IDENT[:4]:
            raise ForeignArtifactError(path=path, reason="it is no ELF file")
        if len(data) >= 6 and data[4:6] != IDENT[4:6]:
            raise ForeignArtifactError(path=path, reason="it is no 64-bit little-endian ELF file")
        head = self._unpack(HEADER, 0, "the ELF header")
        _, self.type, self.machine, _, _, self._phoff, self._shoff, _, _, phent, self._phnum = head[
            :11
        ]
        shent, self._shnum, self._shstr = head[11:]
        if (self._phnum and phent != SEGMENT.size) or (self._shnum and shent != SECTION.size):
            raise ForeignArtifactError(path=path, reason="its header tables have odd entry sizes")

    @property
    def machine_name(self) -> str:
        return MACHINES.get(self.machine, f"ELF machine {self.machine}")

    def slice(self, offset: int, size: int, what: str) -> bytes:
        """Return ``size`` bytes at ``offset``; raise TruncatedArtifactError outside the file."""
        if offset < 0 or size < 0 or offset + size > len(self.data):
            raise TruncatedArtifactError(path=self.path, what=what, size=len(self.data))
        return self.data[offset : offset + size]

    def segments(self) -> list[Segment]:
        """Return the program headers."""
        rows = self._table(SEGMENT, self._phoff, self._phnum, "the program header table")
        return [Segment(t, f, o, va, fs, ms, al) for t, f, o, va, _, fs, ms, al in rows]

    def sections(self) -> list[Section]:
        """Return the section headers with their names."""
        rows = self._table(SECTION, self._shoff, self._shnum, "the section table")
        if not rows:
            return []
        if self._shstr >= len(rows):
            raise TruncatedArtifactError(
                path=self.path, what="the section name table", size=len(self.data)
            )
        _, _, _, _, offset, size, *_ = rows[self._shstr]
        names = self.slice(offset, size, "the section name table")
        return [Section(self._string(names, row[0]), *row[1:]) for row in rows]

    def body(self, section: Section) -> bytes:
        """Return a section's bytes; zeros are not stored for a bss section."""
        if section.type == SHT_NOBITS:
            return b""
        return self.slice(section.offset, section.size, f"section {section.name!r}")

    def symbols(self, table: Section, sections: list[Section]) -> list[Symbol]:
        """Return the symbols of a symbol table section."""
        if table.link >= len(sections):
            raise TruncatedArtifactError(
                path=self.path, what="the symbol name table", size=len(self.data)
            )
        names = self.body(sections[table.link])
        body = self.body(table)
        count = len(body) // SYMBOL.size
        return [
            Symbol(self._string(names, n), i >> 4, i & 15, o & 3, x, value, size)
            for n, i, o, x, value, size in SYMBOL.iter_unpack(body[: count * SYMBOL.size])
        ]

    def relocations(self, table: Section) -> list[Relocation]:
        """Return the rows of a relocation section with addends."""
        body = self.body(table)
        rows = RELA.iter_unpack(body[: len(body) // RELA.size * RELA.size])
        return [Relocation(table.info, o, i & 0xFFFFFFFF, i >> 32, a) for o, i, a in rows]

    def require_whole(self) -> None:
        """Raise TruncatedArtifactError when the file ends before what a loader would map."""
        for segment in self.segments():
            # Zeroed memory alone has no place in the file.
            if segment.type == PT_LOAD and segment.file_size:
                self.slice(segment.offset, segment.file_size, "a loaded segment")
        self.sections()

    def notes(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield (owner, type, payload); program headers come first, for they survive stripping."""
        found = False
        for segment in self.segments():
            if segment.type == PT_NOTE:
                found = True
                yield from self._notes_at(segment.offset, segment.file_size)
        if not found:
            for section in self.sections():
                if section.type == SHT_NOTE:
                    yield from self._notes_at(section.offset, section.size)

    def _notes_at(self, offset: int, size: int) -> Iterator[tuple[str, int, bytes]]:
        end = offset + size
        while offset + NOTE.size <= end:
            owner_size, payload_size, kind = self._unpack(NOTE, offset, "a note")
            offset += NOTE.size
            owner = self.slice(offset, owner_size, "a note's owner")
            offset += _padded(owner_size)
            payload = self.slice(offset, payload_size, "a note's text")
            offset += _padded(payload_size)
            yield owner.rstrip(b"\0").decode("latin-1"), kind, payload

    def _unpack(self, layout: struct.Struct, offset: int, what: str) -> tuple[int, ...]:
        return layout.unpack(self.slice(offset, layout.size, what))

    def _table(
        self, layout: struct.Struct, offset: int, count: int, what: str
    ) -> list[tuple[int, ...]]:
        return list(layout.iter_unpack(self.slice(offset, count * layout.size, what)))

    def _string(self, table: bytes, offset: int) -> str:
        end = table.find(b"\0", offset)
        if offset >= len(table) or end < 0:
            raise TruncatedArtifactError(path=self.path, what="a name", size=len(self.data))
        return table[offset:end].decode("latin-1")


def note(owner: str, kind: int, payload: bytes) -> bytes:
    """Encode one ELF note."""
    name = owner.encode() + b"\0"
    return NOTE.pack(len(name), len(payload), kind) + _pad(name) + _pad(payload)


def _padded(size: int) -> int:
    return (size + 3) & ~3


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
