"""What a back end is: a frozen manifest of seven fields, and the products it hands over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


OBJECT_FORMAT = "elf-object"
"""The format of artifacts that are linked into a file, whose entries any host program can call."""


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

HOST_MEMORY = 1
"""DLPack's number of the memory that the CPU works on."""

RUNGS = ("hardware", "emulator", "assembled", "text")
"""How far code can be checked, best first: run, run by an emulator, assembled, written."""


@dataclass(frozen=True)
class Trial:
    """How far an entry was checked on this machine, by what ("ptxas"), and its version ("13.0")."""

    rung: str
    how: str
    version: str = ""

    @property
    def ran(self) -> bool:
        """Whether the arguments hold the results."""
        return self.rung in RUNGS[:2]


TryOut = Callable[[Module, Artifact, Target, str, Sequence[Any]], Trial]
"""Runs an entry of a legalized module and its artifact as far as this machine can.

Arguments are NumPy arrays (written in place) and scalars, None for a buffer that is left out.
"""


@dataclass(frozen=True)
class Backend:
    """The table of contents of a back end.

    ``resolve(chip)`` gives a target: of this machine when ``chip`` is empty; it raises
    UnknownChipError.
    ``chips`` are the names it knows. ``legal`` says which ops it takes, ``pipeline`` which passes
    it adds
    after the common ones, ``emit`` writes text, ``assemble`` bytes. ``load`` is "module:function",
    imported when code is first run here, so that no driver is needed to compile. ``trial``,
    likewise a TryOut, says how far code can be checked here; without it, it is text. ``device``
    is DLPack's number of the memory that kernels work on, and ``devices`` names the object that
    answers for it where it is not the host's. ``usual`` is the chip that files are built for when
    none is named; without it, this machine's.
    """

    name: str
    resolve: Callable[[str], Target]
    chips: tuple[str, ...]
    legal: Legal
    pipeline: Pipeline
    emit: Callable[[Module, Target], Source]
    assemble: Callable[[Source, Target], Artifact]
    load: str
    trial: str = ""
    device: int = HOST_MEMORY
    devices: str = ""
    usual: str = ""

    def loader(self) -> Load:
        """Import and return the function that makes an artifact callable."""
        found: Load = _named(self.load)
        return found

    def device_runtime(self) -> Any:
        """Import and return what answers for the devices; None where kernels share host memory."""
        return _named(self.devices) if self.devices else None

    def try_out(
        self, module: Module, artifact: Artifact, target: Target, entry: str, args: Sequence[Any]
    ) -> Trial:
        """Run an entry as far as this machine can."""
        if not self.trial:
            return Trial("text", "emitted, not assembled")
        run: TryOut = _named(self.trial)
        return run(module, artifact, target, entry, args)


def _named(text: str) -> Any:
    from importlib import import_module

    module, _, name = text.partition(":")
    return getattr(import_module(module), name)
