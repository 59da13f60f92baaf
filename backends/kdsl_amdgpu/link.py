"""Relocatable object to loadable code object, in memory: what lld does for one small module.

Each segment starts on a page of its own, with file offset equal to address. AMD's loader takes its
symbols from the sections *named* ``.symtab`` and ``.strtab``, other readers from ``.dynsym``: both
are written.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from kdsl.errors import CodeObjectError
from kdsl_amdgpu import elf
from kdsl_amdgpu.elf import Elf, Section, Symbol

PAGE = 4096
HEADER_END = elf.HEADER.size
READ, READ_WRITE, READ_EXECUTE = 4, 6, 5
DT_NULL, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT = 0, 4, 5, 6, 10, 11

RELOCATIONS: dict[int, tuple[str, int]] = {
    4: ("<I", 0),  # R_AMDGPU_REL32
    5: ("<Q", 0),  # R_AMDGPU_REL64
    10: ("<I", 0),  # R_AMDGPU_REL32_LO
    11: ("<I", 32),  # R_AMDGPU_REL32_HI
}
"""Number -> (how the value is stored, how far it is shifted right); all are relative."""


def link(data: bytes) -> bytes:
    """Return a loadable object. Raises CodeObjectError for what needs a real linker."""
    source = elf.read_elf(data)
    if source.kind != elf.RELOCATABLE:
        raise CodeObjectError(what="it is not relocatable")
    return _Layout(source).write()


@dataclass
class _Layout:
    source: Elf
    places: dict[int, int] = field(default_factory=dict)
    """Section number -> address."""
    end: int = 0
    headers: list[tuple[int, ...]] = field(default_factory=list)
    names: bytearray = field(default_factory=lambda: bytearray(b"\0"))

    def write(self) -> bytes:
        kept = [s for s in self.source.sections if _is_loaded(s)]
        read_only = [s for s in kept if not s.flags & (elf.WRITE | elf.EXECUTE)]
        read_only.sort(key=lambda s: s.kind != elf.NOTE)
        code = [s for s in kept if s.flags & elf.EXECUTE]
        data = [s for s in kept if s.flags & elf.WRITE]
        exported = [s for s in self.source.symbols if s.is_exported]
        self.end = HEADER_END + elf.SEGMENT.size * (6 if data else 5)
        self._place(read_only)
        strings, name_offsets = _string_table(exported)
        count = len(exported) + 1
        symbols_at = self._room(elf.SYMBOL.size * count, 8)
        hash_at = self._room(4 * (3 + count), 8)
        strings_at = self._room(len(strings), 1)
        read_end = self.end
        segments = [(elf.PT_LOAD, READ, 0, read_end, PAGE)]
        for sections, flags in ((code, READ_EXECUTE), (data, READ_WRITE)):
            if sections:
                start = self._page()
                self._place(sections)
                segments.append((elf.PT_LOAD, flags, start, self.end - start, PAGE))
        self._page()
        dynamic = _dynamic(hash_at, strings_at, len(strings), symbols_at)
        dynamic_at = self._room(len(dynamic), 8)
        notes = [s for s in read_only if s.kind == elf.NOTE]
        if not notes:
            raise CodeObjectError(what="it has no note with the kernels' metadata")
        first, last = self.places[notes[0].number], notes[-1]
        segments += [
            (elf.PT_LOAD, READ_WRITE, dynamic_at, len(dynamic), PAGE),
            (elf.PT_DYNAMIC, READ_WRITE, dynamic_at, len(dynamic), 8),
            (elf.PT_NOTE, READ, first, self.places[last.number] + last.size - first, 4),
        ]
        image = bytearray(self.end)
        order = [*read_only, *code, *data]
        for s in order:
            at = self.places[s.number]
            image[at : at + s.size] = s.data
        self._relocate(image)
        numbers = {s.number: i + 1 for i, s in enumerate(order)}
        table = self._symbol_table(exported, name_offsets, numbers)
        image[symbols_at : symbols_at + len(table)] = table
        _write_hash(image, hash_at, count)
        image[strings_at : strings_at + len(strings)] = strings
        image[dynamic_at : dynamic_at + len(dynamic)] = dynamic
        for i, (kind, flags, at, size, align) in enumerate(segments):
            row = (kind, flags, at, at, at, size, size, align)
            elf.SEGMENT.pack_into(image, HEADER_END + elf.SEGMENT.size * i, *row)
        self._headers(order, len(table), symbols_at, hash_at, strings_at, len(strings), dynamic_at)
        return self._finish(image, table, strings, len(segments))

    # ------------------------------------------------------------------------------------ places

    def _room(self, size: int, align: int) -> int:
        at = -(-self.end // align) * align
        self.end = at + size
        return at

    def _page(self) -> int:
        return self._room(0, PAGE)

    def _place(self, sections: list[Section]) -> None:
        for s in sections:
            self.places[s.number] = self._room(s.size, s.align or 1)

    def _address(self, symbol: Symbol) -> int:
        if symbol.section == elf.UNDEFINED:
            raise CodeObjectError(what=f"the symbol {symbol.name!r} is not defined in it")
        if symbol.section == elf.ABSOLUTE:
            return symbol.value
        return self.places[symbol.section] + symbol.value

    def _relocate(self, image: bytearray) -> None:
        for section in self.source.sections:
            if section.kind != elf.RELA or section.info not in self.places:
                continue
            for offset, info, addend in elf.RELOCATION.iter_unpack(section.data):
                row = RELOCATIONS.get(info & 0xFFFFFFFF)
                if row is None:
                    what = f"its relocation type {info & 0xFFFFFFFF} needs a real linker"
                    raise CodeObjectError(what=what)
                form, shift = row
                place = self.places[section.info] + offset
                target = self._address(self.source.symbols[info >> 32]) + addend
                mask = (1 << 8 * struct.calcsize(form)) - 1
                struct.pack_into(form, image, place, (target - place) >> shift & mask)

    # ------------------------------------------------------------------------------------ tables

    def _symbol_table(
        self, exported: list[Symbol], names: list[int], numbers: dict[int, int]
    ) -> bytes:
        rows = [bytes(elf.SYMBOL.size)]
        for symbol, name in zip(exported, names, strict=True):
            where = (numbers[symbol.section], self._address(symbol), symbol.size)
            rows.append(elf.SYMBOL.pack(name, symbol.info, symbol.other, *where))
        return b"".join(rows)

    def _header(self, name: str, *fields: int) -> None:
        self.headers.append((len(self.names), *fields))
        self.names += name.encode() + b"\0"

    def _headers(
        self, order: list[Section], table: int, symbols_at: int, hash_at: int,
        strings_at: int, strings: int, dynamic_at: int,
    ) -> None:  # fmt: skip
        self.headers.append((0,) * 10)
        for s in order:
            at = self.places[s.number]
            self._header(s.name, s.kind, s.flags, at, at, s.size, 0, 0, s.align, s.entry_size)
        first = len(self.headers)
        row = (elf.DYNSYM, elf.ALLOC, symbols_at, symbols_at, table, first + 2, 1, 8)
        self._header(".dynsym", *row, elf.SYMBOL.size)
        size = strings_at - hash_at
        self._header(".hash", elf.HASH, elf.ALLOC, hash_at, hash_at, size, first, 0, 4, 4)
        row = (elf.STRTAB, elf.ALLOC, strings_at, strings_at, strings, 0, 0, 1)
        self._header(".dynstr", *row, 0)
        size = elf.ENTRY.size * 6
        flags = elf.ALLOC | elf.WRITE
        row = (elf.DYNAMIC, flags, dynamic_at, dynamic_at, size, first + 2, 0, 8)
        self._header(".dynamic", *row, elf.ENTRY.size)

    def _finish(self, image: bytearray, table: bytes, strings: bytes, segments: int) -> bytes:
        """Append what loaders do not map: the second symbol table, names, section headers."""
        image += bytes(-len(image) % 8)
        link = len(self.headers) + 1
        row = (elf.SYMTAB, 0, 0, len(image), len(table), link, 1, 8)
        self._header(".symtab", *row, elf.SYMBOL.size)
        image += table
        self._header(".strtab", elf.STRTAB, 0, 0, len(image), len(strings), 0, 0, 1, 0)
        image += strings
        size = len(self.names) + len(".shstrtab") + 1
        self._header(".shstrtab", elf.STRTAB, 0, 0, len(image), size, 0, 0, 1, 0)
        image += self.names
        image += bytes(-len(image) % 8)
        at = len(image)
        for header in self.headers:
            image += elf.SECTION.pack(*header)
        count = len(self.headers)
        row = (elf.SHARED, elf.MACHINE, 1, 0, HEADER_END, at, self.source.flags, HEADER_END)
        sizes = (elf.SEGMENT.size, segments, elf.SECTION.size, count, count - 1)
        image[:HEADER_END] = elf.HEADER.pack(self.source.ident, *row, *sizes)
        return bytes(image)


def _is_loaded(s: Section) -> bool:
    kinds = (elf.PROGBITS, elf.NOBITS, elf.NOTE)
    return bool(s.flags & elf.ALLOC) and s.kind in kinds and s.size > 0


def _string_table(symbols: list[Symbol]) -> tuple[bytes, list[int]]:
    text, offsets = bytearray(b"\0"), []
    for symbol in symbols:
        offsets.append(len(text))
        text += symbol.name.encode() + b"\0"
    return bytes(text), offsets


def _write_hash(image: bytearray, at: int, count: int) -> None:
    """One bucket holds the chain of all symbols: right for any name, quick for a handful."""
    struct.pack_into("<III", image, at, 1, count, 1 if count > 1 else 0)
    for i in range(count):
        struct.pack_into("<I", image, at + 12 + 4 * i, 0 if i in (0, count - 1) else i + 1)


def _dynamic(hash_at: int, strings_at: int, strings: int, symbols_at: int) -> bytes:
    rows = (
        (DT_HASH, hash_at),
        (DT_STRTAB, strings_at),
        (DT_STRSZ, strings),
        (DT_SYMTAB, symbols_at),
        (DT_SYMENT, elf.SYMBOL.size),
        (DT_NULL, 0),
    )
    return b"".join(elf.ENTRY.pack(*row) for row in rows)
