"""What a back end is: a frozen manifest of seven fields, and the products it hands over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kdsl.ir.core import Module
from kdsl.passes.legalize import Legal
from kdsl.passes.manager import Pipeline
from kdsl.target.target import Target


@dataclass(frozen=True)
class Source:
    """Emitted text, its file ending, and the functions in it that may be called.

    ``quick`` text is not worth optimizing: it runs once a call, as a launcher does.
    """

    text: str
    suffix: str
    entries: tuple[str, ...] = ()
    quick: bool = False


@dataclass(frozen=True)
class Artifact:
    """Assembled code: bytes in a format ("elf-object"), callable entries, facts, a digest."""

    data: bytes
    format: str
    entries: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True)
class LoadedEntry:
    """Native code that may be called: ``call(address of the slots)`` returns a status.

    ``keep`` holds whatever must outlive the code.
    """

    name: str
    call: Callable[[int], int]
    address: int
    keep: object = None


Load = Callable[[Artifact, Target], dict[str, LoadedEntry]]


@dataclass(frozen=True)
class Backend:
    """The table of contents of a back end.

    ``resolve(chip)`` gives a target: of this machine when ``chip`` is empty; it raises
    UnknownChipError.
    ``chips`` are the names it knows. ``legal`` says which ops it takes, ``pipeline`` which passes
    it adds
    after the common ones, ``emit`` writes text, ``assemble`` bytes. ``load`` is "module:function",
    imported when code is first run here, so that no driver is needed to compile.
    """

    name: str
    resolve: Callable[[str], Target]
    chips: tuple[str, ...]
    legal: Legal
    pipeline: Pipeline
    emit: Callable[[Module, Target], Source]
    assemble: Callable[[Source, Target], Artifact]
    load: str

    def loader(self) -> Load:
        """Import and return the function that makes an artifact callable."""
        from importlib import import_module

        module, _, name = self.load.partition(":")
        found: Load = getattr(import_module(module), name)
        return found
