"""A content-addressed cache on disk: digest -> bytes and JSON facts, one file each.

A file is complete or absent: it is written under another name and renamed. Any number of processes
may use one folder; what a killed writer leaves is never read and is swept later. A damaged file is
a miss and is removed. A folder that cannot be written is read and otherwise left alone.

    magic "KDSLC001" · SHA-256 of the rest · length of the facts (8 bytes, little) · facts · data
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdsl.errors import CacheError
from kdsl.settings import settings

MAGIC = b"KDSLC001"
HASH_BYTES = 32
LENGTH = struct.Struct("<Q")
HEADER_BYTES = len(MAGIC) + HASH_BYTES + LENGTH.size
SUFFIX = ".kdslc"
TEMPORARY = ".tmp-"
SHARD_CHARACTERS = 2
STALE_AFTER_S = 3600.0


@dataclass(frozen=True)
class Entry:
    """What a cache file holds."""

    data: bytes
    facts: dict[str, Any]


@dataclass(frozen=True)
class Listed:
    """What is known of a cache file: ``size`` in bytes, ``modified`` in seconds since the epoch."""

    key: str
    size: int
    modified: float
    facts: dict[str, Any]


def digest(*parts: str | bytes) -> str:
    """Return the SHA-256 of the parts, in hexadecimal; ("ab", "c") and ("a", "bc") differ."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(LENGTH.pack(len(data)))
        total.update(data)
    return total.hexdigest()


class Cache:
    """The cache in one folder; keys are digests."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def load(self, key: str) -> Entry | None:
        """Return the entry of ``key``; None when it is absent, unreadable or damaged."""
        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        entry = decode(content)
        if entry is None:
            # A read-only folder keeps its damaged file; it stays a miss.
            with suppress(OSError):
                path.unlink()
        return entry

    def store(self, key: str, data: bytes, facts: Mapping[str, Any]) -> bool:
        """Keep an entry; return False when the folder cannot be written, which harms nobody."""
        path = self._path(key)
        temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_bytes(encode(data, facts))
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            return False
        sweep(path.parent)
        return True

    def entries(self) -> Iterator[Listed]:
        """Yield every intact entry, oldest first."""
        found: list[tuple[float, Path, int]] = []
        for path in self._files(f"*{SUFFIX}"):
            with suppress(OSError):  # another process may remove files meanwhile
                status = path.stat()
                found.append((status.st_mtime, path, status.st_size))
        for modified, path, size in sorted(found):
            key = path.parent.name + path.stem
            entry = self.load(key)
            if entry is not None:
                yield Listed(key, size, modified, entry.facts)

    def size(self) -> int:
        """Return how many bytes the entries take."""
        total = 0
        for path in self._files(f"*{SUFFIX}"):
            with suppress(OSError):  # as in entries
                total += path.stat().st_size
        return total

    def clear(self) -> tuple[int, int]:
        """Remove entries and what killed writers left; return the entries' count and bytes."""
        count = total = 0
        for path in [*self._files(f"*{SUFFIX}"), *self._files(f"{TEMPORARY}*")]:
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:  # another process was faster
                continue
            except OSError as error:
                raise CacheError(path=self.root, why=error.strerror) from error
            if path.suffix == SUFFIX:
                count, total = count + 1, total + size
        for folder in self._shards():
            with suppress(OSError):  # not empty: somebody stores right now
                folder.rmdir()
        return count, total

    def _path(self, key: str) -> Path:
        return self.root / key[:SHARD_CHARACTERS] / f"{key[SHARD_CHARACTERS:]}{SUFFIX}"

    def _shards(self) -> list[Path]:
        try:
            return [path for path in self.root.iterdir() if len(path.name) == SHARD_CHARACTERS]
        except OSError:  # no folder yet: nothing cached
            return []

    def _files(self, pattern: str) -> list[Path]:
        return [path for shard in self._shards() for path in shard.glob(pattern)]


def encode(data: bytes, facts: Mapping[str, Any]) -> bytes:
    """Return the content of a cache file."""
    text = json.dumps(dict(facts), sort_keys=True, separators=(",", ":")).encode()
    body = LENGTH.pack(len(text)) + text + data
    return MAGIC + hashlib.sha256(body).digest() + body


def decode(content: bytes) -> Entry | None:
    """Return what ``encode`` was given; None when a single bit has changed."""
    if len(content) < HEADER_BYTES or not content.startswith(MAGIC):
        return None
    start = len(MAGIC) + HASH_BYTES
    if hashlib.sha256(memoryview(content)[start:]).digest() != content[len(MAGIC) : start]:
        return None
    (length,) = LENGTH.unpack_from(content, start)
    end = HEADER_BYTES + length
    return Entry(content[end:], json.loads(content[HEADER_BYTES:end]))


def sweep(folder: Path) -> None:
    """Remove what writers that were killed long ago left in ``folder``."""
    oldest = time.time() - STALE_AFTER_S
    for path in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError):  # another process may sweep too
            if path.stat().st_mtime < oldest:
                path.unlink()


def current() -> Cache | None:
    """Return the cache that the settings name; None when caching is off."""
    return None if settings.disable_cache else Cache(settings.cache_dir)
