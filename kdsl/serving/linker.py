"""Link relocatable x86-64 objects into a shared object: no compiler, no binutils.

Image order: headers, notes, dynamic tables and read-only data (R); code and import stubs (RX);
pointers that are fixed up at load time (RW, then read-only); data and bss (RW). File offsets equal
addresses. Imports are bound at load time through a table of pointers. Relocation formulae: System V
ABI, AMD64 supplement, table 4.9.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from kdsl.errors.artifacts import SymbolClashError, UnsupportedObjectError
from kdsl.serving import elf

PAGE = 0x1000
EM_X86_64 = 62
LIBC, LIBM = "libc.so.6", "libm.so.6"
LIBM_NAMES = frozenset((
    "acos", "asin", "atan", "atan2", "cbrt", "ceil", "copysign", "cos", "cosh", "erf", "erfc",
    "exp", "exp10", "exp2", "expm1", "fabs", "floor", "fma", "fmax", "fmin", "fmod", "log",
    "log10", "log1p", "log2", "lround", "nearbyint", "pow", "rint", "round", "roundeven", "sin",
    "sincos", "sinh", "sqrt", "tan", "tanh", "tgamma", "trunc", "ldexp", "frexp", "hypot",
))  # fmt: skip

R_NONE, R_64, R_PC32, R_PLT32, R_GLOB_DAT, R_RELATIVE, R_GOTPCREL = 0, 1, 2, 4, 6, 8, 9
R_32, R_32S, R_PC64, R_GOTPCRELX, R_REX_GOTPCRELX = 10, 11, 24, 41, 42
GOT_LOADS = frozenset((R_GOTPCREL, R_GOTPCRELX, R_REX_GOTPCRELX))
REFUSED = {
    R_32: "R_X86_64_32 (an absolute 32-bit address; compile with -fPIC)",
    R_32S: "R_X86_64_32S (an absolute 32-bit address; compile with -fPIC)",
    19: "R_X86_64_TLSGD (thread-local storage)",
    20: "R_X86_64_TLSLD (thread-local storage)",
    22: "R_X86_64_GOTTPOFF (thread-local storage)",
    23: "R_X86_64_TPOFF32 (thread-local storage)",
    25: "R_X86_64_GOTOFF64 (large code model)",
    26: "R_X86_64_GOTPC32 (large code model)",
}

(DT_NULL, DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_RELAENT, DT_STRSZ) = (
    0, 1, 4, 5, 6, 7, 8, 9, 10)  # fmt: skip
DT_SYMENT, DT_SONAME, DT_INIT_ARRAY, DT_FINI_ARRAY, DT_INIT_ARRAYSZ, DT_FINI_ARRAYSZ = (
    11, 14, 25, 26, 27, 28)  # fmt: skip
DT_FLAGS, DT_RELACOUNT, DT_FLAGS_1 = 30, 0x6FFFFFF9, 0x6FFFFFFB
DF_SYMBOLIC, DF_BIND_NOW, DF_1_NOW, DF_1_NODELETE = 2, 8, 1, 8

PREFIXES = (".text", ".rodata", ".data.rel.ro", ".data", ".bss", ".init_array", ".fini_array")
R, RX, RELRO, RW = range(4)
STUB = struct.Struct("<2si10x")
JUMP_THROUGH = b"\xff\x25"  # jmp *disp32(%rip)


@dataclass
class _Piece:
    """One input section at its place in the output."""

    owner: int
    index: int
    body: bytes
    size: int
    offset: int = 0


@dataclass
class _Output:
    """One output section; ``address`` is also the file offset."""

    name: str
    type: int
    flags: int
    group: int
    align: int = 1
    size: int = 0
    address: int = 0
    pieces: list[_Piece] = field(default_factory=list)
    body: bytes = b""
    link: str = ""
    info: int = 0
    entry_size: int = 0
    number: int = 0

    def add(self, piece: _Piece, align: int) -> None:
        self.align = max(self.align, align)
        piece.offset = _up(self.size, align)
        self.size = piece.offset + piece.size
        self.pieces.append(piece)

    def set(self, body: bytes) -> None:
        self.body, self.size = body, len(body)


@dataclass(frozen=True)
class _Object:
    """One parsed input."""

    file: elf.ElfFile
    sections: list[elf.Section]
    symbols: list[elf.Symbol]
    relocations: list[elf.Relocation]


@dataclass(frozen=True)
class _Definition:
    """Where a symbol lives: an input section of an object, or an absolute value."""

    owner: int
    symbol: elf.Symbol


def link_own(objects: list[bytes], soname: str) -> bytes:
    """Return a shared object. Raises UnsupportedObjectError or SymbolClashError."""
    return _Link([_parse(data, number) for number, data in enumerate(objects)], soname).run()


def _parse(data: bytes, number: int) -> _Object:
    file = elf.ElfFile(data, f"object {number}")
    if file.type != elf.ET_REL or file.machine != EM_X86_64:
        raise UnsupportedObjectError(
            reason=f"it is no relocatable x86-64 object ({file.machine_name})"
        )
    sections = file.sections()
    tables = [s for s in sections if s.type == elf.SHT_SYMTAB]
    symbols = file.symbols(tables[0], sections) if tables else []
    live = {i for i, s in enumerate(sections) if s.flags & elf.SHF_ALLOC}
    for section in sections:
        if section.flags & elf.SHF_TLS:
            raise UnsupportedObjectError(reason=f"section {section.name!r} is thread-local storage")
        if section.type == elf.SHT_REL and section.info in live:
            raise UnsupportedObjectError(reason="it has relocations without addends")
    relocations = [
        row
        for section in sections
        if section.type == elf.SHT_RELA and section.info in live
        for row in file.relocations(section)
        if row.type != R_NONE
    ]
    return _Object(file, sections, symbols, relocations)


class _Link:
    """One link: collect, lay out, patch, write."""

    def __init__(self, objects: list[_Object], soname: str) -> None:
        self.objects = objects
        self.soname = soname
        self.outputs: dict[str, _Output] = {}
        self.place: dict[tuple[int, int], tuple[_Output, _Piece]] = {}
        self.defined: dict[str, _Definition] = {}
        self.imports: dict[str, elf.Symbol] = {}
        self.stubs: dict[str, int] = {}
        self.got: dict[tuple[int, int] | str, int] = {}
        self.relatives: list[tuple[int, int]] = []
        self.bound: list[tuple[int, int, str, int]] = []

    def run(self) -> bytes:
        """Do the four steps."""
        self._collect_sections()
        self._collect_symbols()
        absolute = self._scan_relocations()
        self._make_tables(absolute)
        self._lay_out()
        image = self._fill()
        self._patch(image)
        return self._write(image)

    # -- collect

    def _collect_sections(self) -> None:
        for owner, obj in enumerate(self.objects):
            for index, section in enumerate(obj.sections):
                if not section.flags & elf.SHF_ALLOC:
                    continue
                output = self._output_for(section)
                piece = _Piece(owner, index, obj.file.body(section), section.size)
                output.add(piece, max(1, section.align))
                self.place[owner, index] = output, piece

    def _output_for(self, section: elf.Section) -> _Output:
        name = next(
            (p for p in PREFIXES if section.name == p or section.name.startswith(p + ".")),
            section.name,
        )
        flags = section.flags & (elf.SHF_WRITE | elf.SHF_ALLOC | elf.SHF_EXEC)
        found = self.outputs.get(name)
        if found is None:
            found = _Output(name, section.type, flags, _group(name, flags))
            self.outputs[name] = found
        elif found.flags != flags or (found.type == elf.SHT_NOBITS) != (
            section.type == elf.SHT_NOBITS
        ):
            raise UnsupportedObjectError(reason=f"sections {name!r} differ in flags")
        return found

    def _collect_symbols(self) -> None:
        for owner, obj in enumerate(self.objects):
            for symbol in obj.symbols:
                if symbol.section == elf.SHN_COMMON:
                    raise UnsupportedObjectError(reason=f"{symbol.name!r} is a common symbol")
                if symbol.type in (elf.STT_TLS, elf.STT_IFUNC):
                    raise UnsupportedObjectError(
                        reason=f"{symbol.name!r} is thread-local or an indirect function"
                    )
                if symbol.binding != elf.STB_LOCAL and symbol.section != elf.SHN_UNDEF:
                    self._define(owner, symbol)
        for obj in self.objects:
            for row in obj.relocations:
                if row.symbol >= len(obj.symbols):
                    raise UnsupportedObjectError(reason="a relocation names no symbol")
                symbol = obj.symbols[row.symbol]
                if (
                    symbol.section == elf.SHN_UNDEF
                    and symbol.name
                    and symbol.name not in self.defined
                ):
                    before = self.imports.get(symbol.name)
                    if before is None or before.binding == elf.STB_WEAK:
                        self.imports[symbol.name] = symbol

        # The narrowest visibility that any object asks for holds.
        self.hidden = {
            symbol.name
            for obj in self.objects
            for symbol in obj.symbols
            if symbol.visibility not in (elf.STV_DEFAULT, elf.STV_PROTECTED)
        }

    def _define(self, owner: int, symbol: elf.Symbol) -> None:
        before = self.defined.get(symbol.name)
        if before is None or (
            before.symbol.binding == elf.STB_WEAK and symbol.binding != elf.STB_WEAK
        ):
            self.defined[symbol.name] = _Definition(owner, symbol)
        elif symbol.binding != elf.STB_WEAK:
            raise SymbolClashError(symbol=symbol.name)

    def _scan_relocations(self) -> int:
        """Reserve import stubs and pointer slots; return the number of absolute addresses."""
        absolute = 0
        for owner, obj in enumerate(self.objects):
            for row in obj.relocations:
                symbol = obj.symbols[row.symbol]
                imported = symbol.name in self.imports and symbol.section == elf.SHN_UNDEF
                key = self._key(owner, row)
                where = obj.sections[row.target]
                if row.type in GOT_LOADS:
                    self.got.setdefault(key, len(self.got))
                elif row.type == R_64:
                    absolute += 1
                    if not where.flags & elf.SHF_WRITE:
                        raise UnsupportedObjectError(
                            reason=f"an absolute address in the read-only section {where.name!r}"
                        )
                elif row.type == R_PLT32 and imported:
                    self.stubs.setdefault(symbol.name, len(self.stubs))
                    self.got.setdefault(key, len(self.got))
                elif row.type not in (R_PC32, R_PLT32, R_PC64):
                    kind = REFUSED.get(row.type, f"relocation type {row.type}")
                    raise UnsupportedObjectError(reason=f"{kind} in section {where.name!r}")
                elif imported:
                    raise UnsupportedObjectError(
                        reason=f"a direct reference to the imported {symbol.name!r} (use -fPIC)"
                    )
        return absolute

    def _key(self, owner: int, row: elf.Relocation) -> tuple[int, int] | str:
        symbol = self.objects[owner].symbols[row.symbol]
        return symbol.name if symbol.binding != elf.STB_LOCAL else (owner, row.symbol)

    # -- lay out

    def _make_tables(self, absolute: int) -> None:
        """Create the sections that the loader reads, at their final sizes."""
        self.exports = sorted(self.defined.keys() - self.hidden)
        self.dynamic_names = [*self.imports, *self.exports]
        self.needed = [LIBC]
        if any(n in LIBM_NAMES or n[:-1] in LIBM_NAMES for n in self.imports):
            self.needed.append(LIBM)
        self.strings, self.string_at = _string_table(
            [self.soname, *self.needed, *self.dynamic_names]
        )
        slots = 16 * len(self.stubs), 8 * len(self.got)
        self._table(".hash", elf.SHT_HASH, R, _hash_table(self.dynamic_names), ".dynsym", 4)
        self._table(
            ".dynsym", elf.SHT_DYNSYM, R, self._dynsym_size(), ".dynstr", elf.SYMBOL.size, 1
        )
        self._table(".dynstr", elf.SHT_STRTAB, R, self.strings)
        rela = elf.RELA.size * (absolute + len(self.got))
        self._table(".rela.dyn", elf.SHT_RELA, R, bytes(rela), ".dynsym", elf.RELA.size)
        self._table(".plt", elf.SHT_PROGBITS, RX, bytes(slots[0]), "", 16)
        self._table(".got", elf.SHT_PROGBITS, RELRO, bytes(slots[1]), "", 8)
        self._table(".dynamic", elf.SHT_DYNAMIC, RELRO, bytes(16 * 24), ".dynstr", 16)

    def _dynsym_size(self) -> bytes:
        return bytes(elf.SYMBOL.size * (1 + len(self.dynamic_names)))

    def _table(
        self,
        name: str,
        kind: int,
        group: int,
        body: bytes,
        link: str = "",
        entry: int = 0,
        info: int = 0,
    ) -> None:
        flags = elf.SHF_ALLOC | {R: 0, RX: elf.SHF_EXEC, RELRO: elf.SHF_WRITE}[group]
        if name in self.outputs:
            raise UnsupportedObjectError(reason=f"it has a section {name!r} of its own")
        align = 16 if name == ".plt" else 8 if name != ".dynstr" else 1
        output = _Output(name, kind, flags, group, align, link=link, info=info, entry_size=entry)
        output.set(body)
        self.outputs[name] = output

    def _lay_out(self) -> None:
        """Give every section its address; bss comes last, where the file may end early."""
        order = sorted(self.outputs.values(), key=_order)
        self.order = [o for o in order if o.size]
        # ELF header, then at most nine program headers.
        position = elf.HEADER.size + 9 * elf.SEGMENT.size
        group = R
        self.file_end = 0
        for number, output in enumerate(self.order, 1):
            if output.group != group:
                position, group = _up(position, PAGE), output.group
            position = _up(position, output.align)
            output.address, output.number = position, number
            position += output.size
            if output.type != elf.SHT_NOBITS:
                self.file_end = position
        self.memory_end = position

    # -- fill and patch

    def _fill(self) -> bytearray:
        image = bytearray(self.file_end)
        for output in self.order:
            if output.type == elf.SHT_NOBITS:
                continue
            if output.body:
                image[output.address : output.address + output.size] = output.body
            if output.flags & elf.SHF_EXEC and output.pieces:
                image[output.address : output.address + output.size] = b"\xcc" * output.size
            for piece in output.pieces:
                start = output.address + piece.offset
                image[start : start + len(piece.body)] = piece.body
        got, plt = self.outputs[".got"].address, self.outputs[".plt"].address
        for name, slot in self.stubs.items():
            at = plt + 16 * slot
            STUB.pack_into(image, at, JUMP_THROUGH, got + 8 * self.got[name] - (at + 6))
        for key, slot in self.got.items():
            self._fill_slot(key, got + 8 * slot)
        return image

    def _fill_slot(self, key: tuple[int, int] | str, at: int) -> None:
        if isinstance(key, str):
            if key in self.imports:
                self.bound.append((at, R_GLOB_DAT, key, 0))
                return
            found = self.defined[key]
            self.relatives.append((at, self._address(found.owner, found.symbol)))
        else:
            owner, index = key
            self.relatives.append((at, self._address(owner, self.objects[owner].symbols[index])))

    def _address(self, owner: int, symbol: elf.Symbol) -> int:
        if symbol.section == elf.SHN_UNDEF:
            if symbol.name not in self.defined:
                return 0
            found = self.defined[symbol.name]
            owner, symbol = found.owner, found.symbol
        elif symbol.binding != elf.STB_LOCAL:
            found = self.defined[symbol.name]
            owner, symbol = found.owner, found.symbol
        if symbol.section == elf.SHN_ABS:
            raise UnsupportedObjectError(reason=f"{symbol.name!r} is an absolute symbol")
        if (owner, symbol.section) not in self.place:
            raise UnsupportedObjectError(
                reason=f"{symbol.name!r} lies in a section that is not loaded"
            )
        output, piece = self.place[owner, symbol.section]
        return output.address + piece.offset + symbol.value

    def _patch(self, image: bytearray) -> None:
        got, plt = self.outputs[".got"].address, self.outputs[".plt"].address
        for owner, obj in enumerate(self.objects):
            for row in obj.relocations:
                symbol = obj.symbols[row.symbol]
                output, piece = self.place[owner, row.target]
                at = output.address + piece.offset + row.offset
                imported = symbol.section == elf.SHN_UNDEF and symbol.name in self.imports
                if row.offset + (8 if row.type in (R_64, R_PC64) else 4) > piece.size:
                    raise UnsupportedObjectError(reason="a relocation lies outside its section")
                if row.type == R_64 and imported:
                    self.bound.append((at, R_64, symbol.name, row.addend))
                elif row.type == R_64:
                    self.relatives.append((at, self._address(owner, symbol) + row.addend))
                elif row.type in GOT_LOADS:
                    slot = got + 8 * self.got[self._key(owner, row)]
                    _put(image, at, slot + row.addend - at, 4)
                else:
                    value = (
                        plt + 16 * self.stubs[symbol.name]
                        if imported
                        else self._address(owner, symbol)
                    )
                    _put(image, at, value + row.addend - at, 8 if row.type == R_PC64 else 4)

    # -- write

    def _write(self, image: bytearray) -> bytes:
        number_of = {name: k for k, name in enumerate(self.dynamic_names, 1)}
        self._store(image, ".dynsym", self._dynamic_symbols())
        rows = [(at, R_RELATIVE, value) for at, value in self.relatives]
        rows += [(at, number_of[n] << 32 | kind, addend) for at, kind, n, addend in self.bound]
        self._store(image, ".rela.dyn", b"".join(elf.RELA.pack(*row) for row in rows))
        self._store(image, ".dynamic", self._dynamic())
        segments = self._segments()
        for number, segment in enumerate(segments):
            elf.SEGMENT.pack_into(image, elf.HEADER.size + number * elf.SEGMENT.size, *segment)
        tail, section_table, count = self._section_table(len(image))
        head = elf.HEADER.pack(
            elf.IDENT, elf.ET_DYN, EM_X86_64, 1, 0,
            elf.HEADER.size, section_table, 0, elf.HEADER.size,
            elf.SEGMENT.size, len(segments), elf.SECTION.size, count, count - 1)  # fmt: skip
        image[: len(head)] = head
        return bytes(image) + tail

    def _store(self, image: bytearray, name: str, body: bytes) -> None:
        output = self.outputs[name]
        assert len(body) <= output.size, name
        image[output.address : output.address + len(body)] = body

    def _dynamic_symbols(self) -> bytes:
        rows = [elf.SYMBOL.pack(0, 0, 0, 0, 0, 0)]
        for name, symbol in self.imports.items():
            binding = elf.STB_WEAK if symbol.binding == elf.STB_WEAK else elf.STB_GLOBAL
            rows.append(elf.SYMBOL.pack(self.string_at[name], binding << 4, 0, 0, 0, 0))
        rows += [self._symbol_row(self.string_at[n], self.defined[n]) for n in self.exports]
        return b"".join(rows)

    def _symbol_row(self, name: int, found: _Definition) -> bytes:
        s = found.symbol
        section = self.place[found.owner, s.section][0].number
        address = self._address(found.owner, s)
        return elf.SYMBOL.pack(
            name, s.binding << 4 | s.type, s.visibility, section, address, s.size
        )

    def _dynamic(self) -> bytes:
        out = self.outputs
        rows = [(DT_NEEDED, self.string_at[name]) for name in self.needed]
        rows += [
            (DT_SONAME, self.string_at[self.soname]),
            (DT_HASH, out[".hash"].address),
            (DT_STRTAB, out[".dynstr"].address),
            (DT_SYMTAB, out[".dynsym"].address),
            (DT_STRSZ, len(self.strings)),
            (DT_SYMENT, elf.SYMBOL.size),
        ]
        if out[".rela.dyn"].size:
            rows += [
                (DT_RELA, out[".rela.dyn"].address),
                (DT_RELASZ, out[".rela.dyn"].size),
                (DT_RELAENT, elf.RELA.size),
                (DT_RELACOUNT, len(self.relatives)),
            ]
        for name, tag, size_tag in (
            (".init_array", DT_INIT_ARRAY, DT_INIT_ARRAYSZ),
            (".fini_array", DT_FINI_ARRAY, DT_FINI_ARRAYSZ),
        ):
            if name in out:
                rows += [(tag, out[name].address), (size_tag, out[name].size)]
        rows += [(DT_FLAGS, DF_SYMBOLIC | DF_BIND_NOW), (DT_FLAGS_1, DF_1_NOW | DF_1_NODELETE)]
        return b"".join(struct.pack("<QQ", *row) for row in [*rows, (DT_NULL, 0)])

    def _segments(self) -> list[tuple[int, ...]]:
        rows = []
        for flags, groups in ((4, (R,)), (5, (RX,)), (6, (RELRO,)), (6, (RW,))):
            members = [o for o in self.order if o.group in groups]
            if members:
                start = 0 if R in groups else members[0].address
                end = members[-1].address + members[-1].size
                stored = [o for o in members if o.type != elf.SHT_NOBITS]
                file_end = stored[-1].address + stored[-1].size if stored else start
                # Read-only after relocation works on whole pages.
                top = _up(end, PAGE) if RELRO in groups else end
                rows.append(
                    _segment(elf.PT_LOAD, flags, start, file_end - start, top - start, PAGE)
                )
                if RELRO in groups:
                    rows.append(
                        _segment(elf.PT_GNU_RELRO, 4, start, file_end - start, top - start, 1)
                    )
        dynamic = self.outputs[".dynamic"]
        rows.append(_segment(elf.PT_DYNAMIC, 6, dynamic.address, dynamic.size, dynamic.size, 8))
        notes = [o for o in self.order if o.type == elf.SHT_NOTE]
        if notes:
            start, end = notes[0].address, notes[-1].address + notes[-1].size
            align = max(o.align for o in notes)
            rows.append(_segment(elf.PT_NOTE, 4, start, end - start, end - start, align))
        rows.append((elf.PT_GNU_STACK, 6, 0, 0, 0, 0, 0, 16))
        return rows

    def _section_table(self, offset: int) -> tuple[bytes, int, int]:
        """Return (bytes after the image, offset of the table, its number of rows)."""
        local, first_global, names = self._static_symbols()
        extra = [
            (".symtab", elf.SHT_SYMTAB, local, len(self.order) + 2, first_global, elf.SYMBOL.size),
            (".strtab", elf.SHT_STRTAB, names, 0, 0, 0),
        ]
        titles, title_at = _string_table(
            [o.name for o in self.order] + [row[0] for row in extra] + [".shstrtab"]
        )
        extra.append((".shstrtab", elf.SHT_STRTAB, titles, 0, 0, 0))
        rows = [bytes(elf.SECTION.size)]
        for o in self.order:
            link = self.outputs[o.link].number if o.link else 0
            place = o.address, min(o.address, self.file_end), o.size
            facts = link, o.info, o.align, o.entry_size
            rows.append(elf.SECTION.pack(title_at[o.name], o.type, o.flags, *place, *facts))
        tail = bytearray()
        for name, kind, body, link, info, entry in extra:
            tail += bytes(-(offset + len(tail)) % 8)
            where = 0, 0, offset + len(tail), len(body), link, info, 8 if entry else 1, entry
            rows.append(elf.SECTION.pack(title_at[name], kind, *where))
            tail += body
        tail += bytes(-(offset + len(tail)) % 8)
        at = offset + len(tail)
        return bytes(tail) + b"".join(rows), at, len(rows)

    def _static_symbols(self) -> tuple[bytes, int, bytes]:
        """Return (table, index of its first global, names); local ones serve debuggers."""
        inner = [
            _Definition(owner, s)
            for owner, obj in enumerate(self.objects)
            for s in obj.symbols
            if s.type in (elf.STT_FUNC, elf.STT_OBJECT)
            and (owner, s.section) in self.place
            and (s.binding == elf.STB_LOCAL or s.name not in self.exports)
        ]
        shown = [self.defined[name] for name in self.exports]
        names, name_at = _string_table([d.symbol.name for d in inner + shown])
        rows = [bytes(elf.SYMBOL.size)]
        for d in inner:
            row = self._symbol_row(name_at[d.symbol.name], d)
            rows.append(row[:4] + bytes([d.symbol.type]) + row[5:])
        rows += [self._symbol_row(name_at[d.symbol.name], d) for d in shown]
        return b"".join(rows), 1 + len(inner), names


def _group(name: str, flags: int) -> int:
    if flags & elf.SHF_EXEC:
        return RX
    if not flags & elf.SHF_WRITE:
        return R
    return RELRO if name in (".data.rel.ro", ".init_array", ".fini_array") else RW


def _order(output: _Output) -> tuple[int, bool, bool]:
    return output.group, output.type == elf.SHT_NOBITS, output.type != elf.SHT_NOTE


def _segment(kind: int, flags: int, at: int, stored: int, size: int, align: int) -> tuple[int, ...]:
    return kind, flags, at, at, at, stored, size, align


def _put(image: bytearray, at: int, value: int, size: int) -> None:
    limit = 1 << (8 * size - 1)
    if not -limit <= value < limit:
        raise UnsupportedObjectError(reason="a relative address does not fit (code over 2 GiB)")
    image[at : at + size] = value.to_bytes(size, "little", signed=True)


def _up(position: int, align: int) -> int:
    return position + -position % align


def _string_table(names: list[str]) -> tuple[bytes, dict[str, int]]:
    table, where = bytearray(b"\0"), {"": 0}
    for name in names:
        if name not in where:
            where[name] = len(table)
            table += name.encode("latin-1") + b"\0"
    return bytes(table), where


def _hash_table(names: list[str]) -> bytes:
    """Return the System V hash table: bucket heads, then chains of symbol numbers."""
    count = max(1, len(names))
    buckets, chains = [0] * count, [0] * (len(names) + 1)
    for number, name in enumerate(names, 1):
        bucket = _elf_hash(name) % count
        chains[number], buckets[bucket] = buckets[bucket], number
    return struct.pack(f"<{2 + count + len(chains)}I", count, len(chains), *buckets, *chains)


def _elf_hash(name: str) -> int:
    value = 0
    for byte in name.encode("latin-1"):
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value
