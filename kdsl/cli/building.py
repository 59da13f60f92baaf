"""From the exported kernels of a file to one shared object."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Protocol

import kdsl
from kdsl.cli.forks import cores, mapped
from kdsl.codegen.backend import HOST_MEMORY, OBJECT_FORMAT, Artifact, Source
from kdsl.codegen.registry import backend_named, default_target
from kdsl.errors import BadSpecError, NoExportsError, UnknownEntryError
from kdsl.ir.signature import Signature
from kdsl.language.spec import Spec, SpecValue, combinations, spec_text
from kdsl.serving.manifest import Entry, Manifest, Specialization, TargetRecord
from kdsl.serving.package import build_shared_object, manifest_of
from kdsl.serving.packed import Packed
from kdsl.settings import settings
from kdsl.target.target import Target

EXPORT = "__kdsl_export__"
"""The attribute by which @kd.export marks a kernel; its value is an ``Export``."""

EXPORTS = "EXPORTS"
"""A file's own list of ``Export``s (kd.exported makes them); what is marked does not count then."""

RUNTIME_FACT = "runtime"
"""The fact of an artifact that lists source texts which it needs once in a file."""

DEVICE_FACT = "device"
"""The fact of an artifact that tells DLPack's number of its memory, if that is not the host's."""

TRIPLE_FACT = "triple"
"""The fact of an artifact that tells for which processor its object is, if not for the target."""

IMAGES_FACT = "images"
"""The fact of an artifact that lists the code for devices in it: (kind, SHA-256) each."""

PREFIX = "kdsl_entry_"
SYMBOL = PREFIX + "{name}"
NO_LETTERS = re.compile("[^A-Za-z0-9]+")
ASSEMBLED_SUFFIX = ".ll"

Advance = Callable[[str], None]


class Export(Protocol):
    """What ``kdsl build`` asks of an exported kernel."""

    @property
    def name(self) -> str:
        """The entry's name."""

    @property
    def doc(self) -> str:
        """What the entry does, for the manifest and the header."""

    @property
    def grid(self) -> str:
        """The grid as text, for the manifest."""

    @property
    def spec_names(self) -> Sequence[str]:
        """What a spec may fix: Const parameters, dims, dtype variables."""

    @property
    def specs(self) -> Sequence[Mapping[str, SpecValue]]:
        """The specializations that the file itself asks for, at least one."""

    def compile(
        self, values: Mapping[str, SpecValue], target: Target, symbol: str
    ) -> tuple[Artifact, Signature]:
        """Return the code of one specialization, callable as ``symbol``, and its signature."""


@dataclass(frozen=True)
class Job:
    """One specialization to compile."""

    export: Export
    values: Mapping[str, SpecValue]
    symbol: str

    @property
    def title(self) -> str:
        """The entry's name and what is fixed."""
        return " ".join(filter(None, [self.export.name, spec_text(self.values)]))


@dataclass(frozen=True)
class Built:
    """A finished shared object and what it says about itself."""

    data: bytes
    manifest: Manifest


def exports_of(module: ModuleType, path: Path, wanted: Sequence[str]) -> list[Export]:
    """Return the file's exports, or those of ``wanted``; raise when there is none."""
    listed = getattr(module, EXPORTS, None)
    if listed is None:
        # An imported kernel is its own file's export, not this one's.
        own = (v for v in vars(module).values() if _is_defined_in(v, module))
        marked = (getattr(value, EXPORT, None) for value in own)
        listed = [export for export in marked if export is not None]
    found: dict[str, Export] = {export.name: export for export in listed}
    if not found:
        raise NoExportsError(path=path)
    for name in wanted:
        if name not in found:
            raise UnknownEntryError(path=path, name=name, known=", ".join(found))
    return [found[name] for name in wanted] if wanted else list(found.values())


def _is_defined_in(value: object, module: ModuleType) -> bool:
    return getattr(value, "__module__", module.__name__) == module.__name__


def jobs_of(exports: Sequence[Export], spec: Spec) -> list[Job]:
    """Return every specialization of every export; ``spec`` overrides what the file asks for."""
    known = {name for export in exports for name in export.spec_names}
    for name in spec:
        if name not in known:
            names = ", ".join(sorted(known)) or "nothing"
            raise BadSpecError(text=name, why=f"no exported kernel has it; there are {names}")
    return [job for export in exports for job in _jobs(export, spec)]


def _jobs(export: Export, spec: Spec) -> list[Job]:
    own: Spec = {name: values for name, values in spec.items() if name in export.spec_names}
    merged = [{**given, **chosen} for given in export.specs for chosen in combinations(own)]
    distinct = list({repr(sorted(values.items())): values for values in merged}.values())
    symbol = SYMBOL.format(name=export.name)
    if len(distinct) == 1:
        return [Job(export, distinct[0], symbol)]
    return [Job(export, values, f"{symbol}_{i}") for i, values in enumerate(distinct)]


def build_jobs(
    jobs: Sequence[Job],
    targets: Sequence[Target],
    *,
    source: bytes,
    soname: str,
    linker: str,
    advance: Advance,
) -> Built:
    """Compile every job for every target, then link one file; ``advance`` hears of each job.

    The file launches the code of the first target of each kind of memory; what it cannot launch is
    packed into it, for the back end of its target.
    """
    parts = _Parts()
    for work, (artifact, signature) in _compiled(_works(jobs, targets)):
        parts.add(work, artifact, signature)
        advance(work.title)
    manifest = manifest_of(parts.entries(), producer=f"kdsl {kdsl.__version__}", source=source)
    assembler = next((t for t in targets if t in parts.launched), None) or default_target()
    records = parts.records()
    data = build_shared_object(
        parts.objects,
        replace(manifest, targets=tuple(records)),
        lambda text: _assemble(text, assembler),
        soname=soname,
        runtime=list(parts.runtime),
        images=[TargetRecord(kind, "", "", digest) for kind, digest in parts.images],
        packed=parts.packed,
        linker=linker,
        compile_launcher=lambda text: _assemble(text, assembler, quick=True),
    )
    advance("linking")
    return Built(data, replace(manifest, targets=tuple(records)))


@dataclass(frozen=True)
class _Work:
    """A job for one target; ``symbol`` is its own among all."""

    job: Job
    target: Target
    symbol: str

    @property
    def title(self) -> str:
        return f"{self.job.title} for {self.target}"


def _works(jobs: Sequence[Job], targets: Sequence[Target]) -> list[_Work]:
    return [
        _Work(job, target, f"{job.symbol}_{NO_LETTERS.sub('_', str(target))}" if k else job.symbol)
        for k, target in enumerate(targets)
        for job in jobs
    ]


class _Parts:
    """What goes into a file: linked objects, and code that others launch."""

    def __init__(self) -> None:
        self.launched: dict[Target, list[bytes]] = {}
        self.memories: dict[int, Target] = {}
        self.triples: dict[Target, str] = {}
        self.objects: list[bytes] = []
        self.runtime: dict[str, None] = {}
        self.images: dict[tuple[str, str], None] = {}
        self.packed: list[Packed] = []
        self._found: dict[tuple[str, int], list[Specialization]] = {}
        self._exports: dict[str, Export] = {}

    def add(self, work: _Work, artifact: Artifact, signature: Signature) -> None:
        """Link an artifact, or pack it."""
        name, facts = work.job.export.name, artifact.facts
        self._exports[name] = work.job.export
        memory = facts.get(DEVICE_FACT, HOST_MEMORY)
        is_linked = artifact.format == OBJECT_FORMAT
        if not is_linked or self.memories.setdefault(memory, work.target) != work.target:
            self.packed.append(
                Packed(
                    name, str(work.target), artifact.format, work.symbol.removeprefix(PREFIX),
                    signature, artifact.data, facts,
                )
            )  # fmt: skip
            return
        self.objects.append(artifact.data)
        self.launched.setdefault(work.target, []).append(artifact.data)
        self.triples[work.target] = facts.get(TRIPLE_FACT, work.target.triple)
        self.runtime |= dict.fromkeys(facts.get(RUNTIME_FACT, ()))
        self.images |= dict.fromkeys(map(tuple, facts.get(IMAGES_FACT, ())))
        found = self._found.setdefault((name, memory), [])
        found.append(Specialization(work.symbol, signature))

    def entries(self) -> list[Entry]:
        """Return the entries that the file launches."""
        return [
            Entry(name, tuple(found), "", self._exports[name].doc, self._exports[name].grid, memory)
            for (name, memory), found in self._found.items()
        ]

    def records(self) -> list[TargetRecord]:
        """Return a line of the manifest for each target whose code is linked."""
        return [
            TargetRecord(
                target.backend,
                self.triples[target],
                _present(target.attributes),
                hashlib.sha256(b"".join(objects)).hexdigest(),
            )
            for target, objects in self.launched.items()
        ]


def _compiled(works: Sequence[_Work]) -> Iterator[tuple[_Work, tuple[Artifact, Signature]]]:
    """Compile side by side, or one after the other when the user watches."""

    def compiled(work: _Work) -> tuple[Artifact, Signature]:
        return work.job.export.compile(work.job.values, work.target, work.symbol)

    watched = settings.time or settings.dump is not None or settings.print_after
    return zip(works, mapped(compiled, works, 1 if watched else cores()), strict=True)


def _present(attributes: str) -> str:
    """Return the features that the code may use; those switched off say nothing to a reader."""
    return ",".join(word for word in attributes.split(",") if not word.startswith("-"))


def _assemble(text: str, target: Target, quick: bool = False) -> bytes:
    source = Source(text, ASSEMBLED_SUFFIX, quick=quick)
    return backend_named(target.backend).assemble(source, target).data
