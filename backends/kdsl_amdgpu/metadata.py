"""What a code object says of its kernels: metadata and descriptors, which must agree."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from kdsl.errors import CodeObjectError
from kdsl_amdgpu import elf
from kdsl_amdgpu.elf import Elf

NOTE_OWNER, NOTE_METADATA = b"AMDGPU", 32
DESCRIPTOR_BYTES = 64
CODE_ALIGN = 256
DESCRIPTOR = struct.Struct("<III4xq20xIIIHH4x")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The fields of a 64-byte kernel descriptor that launching and checking need."""

    lds_bytes: int
    scratch_bytes: int
    argument_bytes: int
    entry_offset: int
    resources: int
    user_registers: int
    group_ids: tuple[bool, ...]
    scratch_registers: bool
    wave32: bool

    @property
    def register_granules(self) -> int:
        """How many granules of vector registers a wave gets."""
        return (self.resources & 63) + 1


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of a code object: its descriptor and its row of the metadata."""

    name: str
    entry: int
    descriptor: Descriptor
    facts: dict[str, Any]


def read_descriptor(data: bytes) -> Descriptor:
    """Decode a kernel descriptor."""
    lds, scratch, arguments, offset, _, first, second, properties, _ = DESCRIPTOR.unpack(data)
    return Descriptor(
        lds, scratch, arguments, offset, first, second >> 1 & 31,
        tuple(bool(second >> bit & 1) for bit in (7, 8, 9)),
        bool(properties & 1), bool(properties & 0x400),
    )  # fmt: skip


def metadata(source: Elf) -> dict[str, Any]:
    """Return the metadata note. Raises CodeObjectError."""
    for section in source.sections:
        if section.kind != elf.NOTE:
            continue
        data, at = section.data, 0
        while at + 12 <= len(data):
            name_size, size, kind = struct.unpack_from("<III", data, at)
            name = data[at + 12 : at + 12 + name_size].rstrip(b"\0")
            start = at + 12 + -(-name_size // 4) * 4
            if (name, kind) == (NOTE_OWNER, NOTE_METADATA):
                found: dict[str, Any] = unpack(data[start : start + size])
                return found
            at = start + -(-size // 4) * 4
    raise CodeObjectError(what="it has no note with the kernels' metadata")


def check(data: bytes, granule: int) -> dict[str, Kernel]:
    """Return the kernels of a loadable object; note, descriptors and symbols must agree.

    ``granule``: how many vector registers a granule of the descriptor is.
    """
    source = elf.read_elf(data)
    image = source.image()
    found: dict[str, Kernel] = {}
    for row in metadata(source)["amdhsa.kernels"]:
        name = row[".name"]
        symbol = source.by_name.get(row[".symbol"])
        code = source.by_name.get(name)
        if symbol is None or code is None:
            raise CodeObjectError(what=f"{name} has no descriptor or no code")
        descriptor = read_descriptor(bytes(image[symbol.value : symbol.value + DESCRIPTOR_BYTES]))
        entry = symbol.value + descriptor.entry_offset
        for holds, what in _agreements(descriptor, row, symbol, code, entry, granule):
            if not holds:
                raise CodeObjectError(what=f"the descriptor of {name} is wrong: {what}")
        found[name] = Kernel(name, entry, descriptor, row)
    return found


def _agreements(
    d: Descriptor,
    row: dict[str, Any],
    symbol: elf.Symbol,
    code: elf.Symbol,
    entry: int,
    granule: int,
) -> list[tuple[bool, str]]:
    args_end = max((a[".offset"] + a[".size"] for a in row[".args"]), default=0)
    needed = max(1, -(-row[".vgpr_count"] // granule))
    place = symbol.size == DESCRIPTOR_BYTES and symbol.value % DESCRIPTOR_BYTES == 0
    return [
        (place, "its place or size"),
        (entry == code.value, "it does not point at the code"),
        (entry % CODE_ALIGN == 0, "the code is not aligned"),
        (d.lds_bytes == row[".group_segment_fixed_size"], "bytes of workgroup memory"),
        (d.scratch_bytes == row[".private_segment_fixed_size"], "bytes of scratch memory"),
        (d.argument_bytes == row[".kernarg_segment_size"], "bytes of arguments"),
        (d.wave32 == (row[".wavefront_size"] == 32), "lanes of a wave"),
        (d.register_granules >= needed, "vector registers"),
        (args_end <= d.argument_bytes, "an argument lies outside"),
    ]


# --------------------------------------------------------------------------------------- msgpack

NUMBERS = {
    0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
STRING_SIZES = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def unpack(data: bytes) -> Any:
    """Decode the forms of msgpack that LLVM writes. Raises CodeObjectError."""
    value, _ = _unpack(data, 0)
    return value


def _unpack(data: bytes, at: int) -> tuple[Any, int]:
    code = data[at]
    at += 1
    if code < 0x80:
        return code, at
    if code < 0x90:
        return _mapping(data, at, code & 15)
    if code < 0xA0:
        return _array(data, at, code & 15)
    if code < 0xC0:
        return _string(data, at, code & 31)
    if code in CONSTANTS:
        return CONSTANTS[code], at
    if code in NUMBERS:
        form = NUMBERS[code]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if code in STRING_SIZES:
        form = STRING_SIZES[code]
        size = struct.unpack_from(form, data, at)[0]
        return _string(data, at + struct.calcsize(form), size)
    if code in (0xDC, 0xDE):
        count = struct.unpack_from(">H", data, at)[0]
        return (_array if code == 0xDC else _mapping)(data, at + 2, count)
    raise CodeObjectError(what=f"its metadata has the unknown mark {code:#x}")


def _string(data: bytes, at: int, size: int) -> tuple[str, int]:
    return data[at : at + size].decode(), at + size


def _array(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    found = []
    for _ in range(count):
        value, at = _unpack(data, at)
        found.append(value)
    return found, at


def _mapping(data: bytes, at: int, count: int) -> tuple[dict[Any, Any], int]:
    found = {}
    for _ in range(count):
        key, at = _unpack(data, at)
        found[key], at = _unpack(data, at)
    return found, at
