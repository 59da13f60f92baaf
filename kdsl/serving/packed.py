"""Code in a built file that the file does not launch itself: text for a driver, a second chip.

Each piece is an ELF note: a line of JSON, then the bytes. The back end of the target launches it
from Python (``library.load(path, target=...)``); other launchers read it with ``kdsl inspect``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdsl.errors.artifacts import DamagedManifestError
from kdsl.ir.signature import Signature
from kdsl.serving import elf
from kdsl.serving.manifest import OWNER, TargetRecord

PACKED_NOTE_TYPE = 2


@dataclass(frozen=True)
class Packed:
    """One specialization of an entry for one target; ``facts`` as its back end reported them."""

    entry: str
    target: str
    format: str
    symbol: str
    signature: Signature
    data: bytes
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def encode(packed: Packed) -> bytes:
    """Return the bytes of a note."""
    head = {
        "entry": packed.entry,
        "target": packed.target,
        "format": packed.format,
        "symbol": packed.symbol,
        "signature": packed.signature.to_json(),
        "facts": packed.facts,
        "sha256": packed.sha256,
    }
    line = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    return line + b"\n" + packed.data


def decode(payload: bytes, path: str) -> Packed:
    """Return what ``encode`` wrote. Raises DamagedManifestError."""
    line, _, data = payload.partition(b"\n")
    try:
        head = json.loads(line)
        found = Packed(
            head["entry"],
            head["target"],
            head["format"],
            head["symbol"],
            Signature.from_json(head["signature"]),
            data,
            head["facts"],
        )
        wanted = head["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        reason = f"packed code: {type(error).__name__}: {error}"
        raise DamagedManifestError(path=path, reason=reason) from None
    if found.sha256 != wanted:
        reason = f"the code of {found.entry} for {found.target} has another hash than it says"
        raise DamagedManifestError(path=path, reason=reason)
    return found


def packed_in(path: str | Path) -> list[Packed]:
    """Return the code that a built file carries for other launchers. Raises ArtifactError."""
    file = elf.ElfFile(Path(path).read_bytes(), str(path))
    return [
        decode(payload, file.path)
        for owner, kind, payload in file.notes()
        if (owner, kind) == (OWNER, PACKED_NOTE_TYPE)
    ]


def records_of(packed: Sequence[Packed]) -> list[TargetRecord]:
    """Return a line of the manifest for each target: the hash of all its code."""
    parts: dict[tuple[str, str], list[bytes]] = {}
    for each in packed:
        parts.setdefault((each.target, each.format), []).append(each.data)
    return [
        TargetRecord(f"{target} {form}", "", "", hashlib.sha256(b"".join(data)).hexdigest())
        for (target, form), data in parts.items()
    ]
