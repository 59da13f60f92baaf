"""Reading an image: which machine instructions each kernel holds, without a disassembler.

An image is an ELF file with a section ``.text.<kernel>`` for each kernel. An instruction
is 16 bytes, whose lowest 9 bits name the operation. The numbers below are those of sm_90, read off
nvdisasm's output; a test compares the counts.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator

HEADER = struct.Struct("<Q10xHHH")
"""At byte 40: place of the section table; from byte 58: size and count of rows, row of names."""
HEADER_AT = 40
SECTION = struct.Struct("<IIQQQQ")
PREFIX = b".text."
INSTRUCTION_BYTES = 16
OPERATION = 0x1FF
R2UR, WARPSYNC = 0x0CA, 0x148
NAMES = {R2UR: "R2UR", WARPSYNC: "WARPSYNC"}


def kernels_of(image: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the machine code of each kernel."""
    start, entry, count, names = HEADER.unpack_from(image, HEADER_AT)
    rows = [SECTION.unpack_from(image, start + i * entry) for i in range(count)]
    texts = rows[names][4]
    for name, _, _, _, offset, size in rows:
        at = texts + name
        if image.startswith(PREFIX, at):
            end = image.index(b"\0", at)
            yield image[at + len(PREFIX) : end].decode(), image[offset : offset + size]


def instruction_counts(image: bytes) -> dict[str, Counter[str]]:
    """Return how often each of the named instructions is in each kernel."""
    found: dict[str, Counter[str]] = {}
    for name, code in kernels_of(image):
        whole = code[: len(code) // INSTRUCTION_BYTES * INSTRUCTION_BYTES]
        operations = Counter(low & OPERATION for low, _ in struct.iter_unpack("<QQ", whole))
        found[name] = Counter({text: operations[number] for number, text in NAMES.items()})
    return found
