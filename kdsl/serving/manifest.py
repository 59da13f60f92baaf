"""The manifest: what a built file holds, as JSON in an ELF note, read without loading the file."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdsl.codegen.backend import HOST_MEMORY
from kdsl.errors.artifacts import (
    DamagedManifestError,
    ForeignArtifactError,
    NewerAbiError,
    UnreadableArtifactError,
    WrongMachineError,
)
from kdsl.ir.signature import Signature
from kdsl.serving import elf

ABI = 1
OWNER, NOTE_TYPE = "kdsl", 1
MACHINE_ALIASES = {"x86_64": "x86-64", "AMD64": "x86-64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Specialization:
    """One compiled form of an entry: ``symbol`` is ``i32 symbol(ptr slots)`` in the file."""

    symbol: str
    signature: Signature


@dataclass(frozen=True)
class Entry:
    """One exported function; dispatch takes the first specialization that fits the arguments."""

    name: str
    specializations: tuple[Specialization, ...]
    kind: str = ""
    doc: str = ""
    grid: str = ""
    device: int = HOST_MEMORY
    """DLPack's number of the memory that its tensors must be in."""

    @property
    def runs_on_host(self) -> bool:
        return self.device == HOST_MEMORY

    @property
    def signature(self) -> Signature:
        """The first specialization's: names, kinds and ranks are the same in all."""
        return self.specializations[0].signature

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of all dims, in order of appearance."""
        names = (
            arg.dim_name(axis)
            for s in self.specializations
            for arg in s.signature.args
            for axis in range(len(arg.dims))
        )
        return tuple(dict.fromkeys(name for name in names if name))


@dataclass(frozen=True)
class TargetRecord:
    """Code in the file: for which machine, and the SHA-256 of its objects in link order."""

    kind: str
    triple: str
    features: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """All that a file says about itself."""

    entries: tuple[Entry, ...]
    targets: tuple[TargetRecord, ...] = ()
    producer: str = "kdsl"
    source_hash: str = ""
    abi: int = ABI

    def by_name(self) -> dict[str, list[Entry]]:
        """Return the entries of each name: one for each kind of memory."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.name, []).append(entry)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return JSON-able data."""
        return {
            "kdsl_abi": self.abi,
            "producer": self.producer,
            "source_sha256": self.source_hash,
            "entries": [entry_to_json(entry) for entry in self.entries],
            "targets": [vars(target) for target in self.targets],
        }

    def encode(self) -> bytes:
        """Return the bytes of the note; equal manifests give equal bytes."""
        return encode(self.to_json())


def encode(data: Mapping[str, Any]) -> bytes:
    """Return compact JSON in UTF-8."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Return JSON-able data: a summary that suits any reader, then each specialization in full."""
    first = entry.signature
    return {
        "name": entry.name,
        "symbol": f"kdsl_{entry.name}",
        "kind": entry.kind,
        "doc": entry.doc,
        "grid": entry.grid,
        **({} if entry.runs_on_host else {"device": entry.device}),
        "args": [
            {
                "name": arg.name,
                "kind": arg.kind,
                "rank": len(arg.dims),
                "dtypes": list(
                    dict.fromkeys(s.signature.args[k].dtype for s in entry.specializations)
                ),
            }
            for k, arg in enumerate(first.args)
        ],
        "dims": list(entry.dims),
        "relations": [r.text for r in first.relations],
        "specializations": [
            {"symbol": s.symbol, **s.signature.to_json()} for s in entry.specializations
        ],
    }


def decode(payload: bytes, path: str = "<memory>") -> Manifest:
    """Return the manifest in a note. Raises DamagedManifestError or NewerAbiError."""
    try:
        data = json.loads(payload.decode())
        abi = data["kdsl_abi"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedManifestError(path=path, reason=_reason(error)) from None
    if not isinstance(abi, int) or abi < 1:
        raise DamagedManifestError(path=path, reason=f"kdsl_abi is {abi!r}")
    if abi > ABI:
        raise NewerAbiError(path=path, found=abi, known=ABI)
    try:
        return Manifest(
            entries=tuple(_entry(entry) for entry in data["entries"]),
            targets=tuple(TargetRecord(**target) for target in data["targets"]),
            producer=str(data["producer"]),
            source_hash=str(data["source_sha256"]),
            abi=abi,
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DamagedManifestError(path=path, reason=_reason(error)) from None


def read(source: str | Path | bytes) -> Manifest:
    """Return a built file's manifest, for any machine, without loading it. Raises ArtifactError."""
    file = _open(source)
    file.require_whole()
    for owner, kind, payload in file.notes():
        if owner == OWNER and kind == NOTE_TYPE:
            return decode(payload, file.path)
    raise ForeignArtifactError(path=file.path, reason="it has no kdsl note")


def require_this_machine(source: str | Path | bytes) -> None:
    """Raise WrongMachineError unless the file's code runs on this kind of processor."""
    file = _open(source)
    here = MACHINE_ALIASES.get(platform.machine(), platform.machine())
    if file.machine_name != here:
        raise WrongMachineError(path=file.path, found=file.machine_name, expected=here)


def _open(source: str | Path | bytes) -> elf.ElfFile:
    if isinstance(source, bytes):
        return elf.ElfFile(source)
    try:
        data = Path(source).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableArtifactError(path=str(source), reason=reason) from None
    return elf.ElfFile(data, str(source))


def _entry(data: Mapping[str, Any]) -> Entry:
    found = tuple(
        Specialization(str(row["symbol"]), Signature.from_json(row))
        for row in data["specializations"]
    )
    if not found:
        raise ValueError("an entry without specializations")
    name, kind = str(data["name"]), str(data["kind"])
    device = int(data.get("device", HOST_MEMORY))
    return Entry(name, found, kind, str(data["doc"]), str(data["grid"]), device)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("{", "(").replace("}", ")")
