"""What the assembler says about its code, and what the emitted text says about its accesses."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

ENTRY = re.compile(r"^\.visible \.entry ([\w$]+)\(", re.MULTILINE)
COMPILING = re.compile(r"Compiling entry function '([\w$]+)' for")
PROPERTIES = re.compile(r"Function properties for ([\w$]+)")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
BARRIERS = re.compile(r"used (\d+) barriers")
SHARED = re.compile(r"(\d+)(?:\+\d+)? bytes smem")
CONSTANT = re.compile(r"(\d+) bytes cmem\[\d+\]")
ADVISORY = re.compile(r"\((C75\d\d)\)\s*(.*)")
IN_FUNCTION = re.compile(r"function '([\w$]+)'")
SPACES = ("global", "shared", "local")


@dataclass
class Resources:
    """What a kernel takes: registers of a lane, bytes, and the assembler's advisories."""

    kernel: str
    registers: int = 0
    barriers: int = 0
    shared: int = 0
    constant: int = 0
    stack: int = 0
    spill_stores: int = 0
    spill_loads: int = 0
    advisories: list[str] = field(default_factory=list)

    def as_fact(self) -> dict[str, Any]:
        """Return plain data for an artifact's facts."""
        return asdict(self)


def resources(log: str) -> dict[str, Resources]:
    """Read the verbose output of ptxas (nvJitLink's is the same)."""
    found: dict[str, Resources] = {}
    current: Resources | None = None
    for line in log.splitlines():
        if m := COMPILING.search(line) or PROPERTIES.search(line):
            current = found.setdefault(m[1], Resources(m[1]))
        elif m := ADVISORY.search(line):
            named = IN_FUNCTION.search(line)
            owner = found.setdefault(named[1], Resources(named[1])) if named else current
            if owner is not None:
                owner.advisories.append(f"{m[1]}: {m[2]}")
        elif current is not None:
            _read_line(current, line)
    return found


def _read_line(into: Resources, line: str) -> None:
    if m := FRAME.search(line):
        into.stack, into.spill_stores, into.spill_loads = map(int, m.groups())
    elif m := USED.search(line):
        into.registers = int(m[1])
        for name, pattern in (("barriers", BARRIERS), ("shared", SHARED)):
            if m := pattern.search(line):
                setattr(into, name, int(m[1]))
        into.constant = sum(map(int, CONSTANT.findall(line)))


def bodies(text: str) -> dict[str, str]:
    """Return the text of each kernel by its symbol."""
    heads = list(ENTRY.finditer(text))
    ends = [*(h.start() for h in heads[1:]), len(text)]
    return {h[1]: text[h.start() : end] for h, end in zip(heads, ends, strict=False)}


def access_report(text: str) -> list[str]:
    """Return a line for each kernel: how many accesses of which width and hints it holds."""
    lines: list[str] = []
    for name, body in bodies(text).items():
        found: Counter[str] = Counter()
        for line in body.splitlines():
            word = _access_word(line)
            if word:
                found[word] += 1
        if found:
            parts = [f"{count} {word}" for word, count in sorted(found.items())]
            lines.append(f"{name}: accesses: {'; '.join(parts)}")
    return lines


def _access_word(line: str) -> str:
    """Return the instruction of a line that touches memory, else nothing."""
    word = line.strip()
    if word.startswith("@"):
        word = word.partition(" ")[2]
    word = word.partition(" ")[0]
    kind, _, rest = word.partition(".")
    if kind in ("ld", "st") and rest.startswith("param"):
        return ""
    if kind in ("ld", "st", "atom", "red"):
        return word
    if kind == "cp" and rest.startswith("async") and ".wait" not in rest and "commit" not in rest:
        return word
    return word if kind in ("ldmatrix", "stmatrix") else ""


def resource_lines(found: dict[str, Resources]) -> list[str]:
    """Return a line for each kernel for ``explain()``."""
    lines: list[str] = []
    for r in found.values():
        parts = [f"{r.registers} registers", f"{r.shared} bytes of static workgroup memory"]
        if r.stack:
            parts.append(f"{r.stack} bytes of stack")
        if r.spill_stores or r.spill_loads:
            parts.append(f"{r.spill_stores} + {r.spill_loads} bytes spilled")
        lines.append(f"{r.kernel}: takes {', '.join(parts)}")
    return lines
