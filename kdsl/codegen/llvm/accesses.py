"""Which widths memory is accessed with, read off the emitted text for ``explain()``."""

from __future__ import annotations

import re
from collections import Counter

from kdsl.codegen.llvm.types import SUFFIXES

FUNCTION = re.compile(r'^define internal [^@]*@"kdsl_kernel_([^"]*)"', re.MULTILINE)
_SHAPE = r"<[^>]*>|[a-z]\w*"
_PLACE = r", ptr %v\d+, align \d+"
ACCESS = re.compile(
    rf"= load (?P<loaded>{_SHAPE}){_PLACE}(?P<load_hint>, !nontemporal)?"
    rf"|  store (?P<stored>{_SHAPE}) .*{_PLACE}(?P<store_hint>, !nontemporal)?"
    r"|@llvm\.masked\.(?P<masked>load|store|gather|scatter)\.v(?P<count>\d+)(?P<element>\w+)\."
)


def access_report(text: str) -> list[str]:
    """Return a line for each kernel: how many loads and stores of which width it holds."""
    lines: list[str] = []
    for head in FUNCTION.finditer(text):
        body = text[text.find("\nprogram:", head.end()) : text.find("\n}", head.end())]
        found = Counter(_kind(m) for m in ACCESS.finditer(body))
        if found:
            parts = [f"{count} {kind}" for kind, count in sorted(found.items())]
            lines.append(f"{head[1]}: accesses: {'; '.join(parts)}")
    return lines


def _kind(m: re.Match[str]) -> str:
    if m["masked"]:
        return f"masked {m['masked']} of {m['count']} x {m['element']}"
    word = "load" if m["loaded"] else "store"
    count, _, element = (m["loaded"] or m["stored"]).strip("<>").rpartition(" x ")
    streaming = "streaming " if m["load_hint"] or m["store_hint"] else ""
    return f"{streaming}{word} of {count or '1'} x {SUFFIXES.get(element, element)}"
