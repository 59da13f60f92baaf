"""From the exported kernels of a file to one shared object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import kdsl
from kdsl.cli.forks import cores, mapped
from kdsl.codegen.backend import HOST_MEMORY, Artifact, Source
from kdsl.codegen.registry import backend_named
from kdsl.errors import BadSpecError, NoExportsError, UnknownEntryError
from kdsl.ir.signature import Signature
from kdsl.language.spec import Spec, SpecValue, combinations, spec_text
from kdsl.serving.manifest import Entry, Manifest, Specialization, TargetRecord
from kdsl.serving.package import build_shared_object, manifest_of
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

SYMBOL = "kdsl_entry_{name}"
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
    target: Target,
    *,
    source: bytes,
    soname: str,
    linker: str,
    advance: Advance,
) -> Built:
    """Compile every job, then link one file; ``advance`` hears of each finished job."""
    objects: list[bytes] = []
    runtime: dict[str, None] = {}
    images: dict[tuple[str, str], None] = {}
    devices: dict[str, int] = {}
    triple = target.triple
    entries: dict[str, list[Specialization]] = {}
    for job, (artifact, signature) in _compiled(jobs, target):
        objects.append(artifact.data)
        runtime |= dict.fromkeys(artifact.facts.get(RUNTIME_FACT, ()))
        images |= dict.fromkeys(map(tuple, artifact.facts.get(IMAGES_FACT, ())))
        triple = artifact.facts.get(TRIPLE_FACT, triple)
        devices[job.export.name] = artifact.facts.get(DEVICE_FACT, HOST_MEMORY)
        entries.setdefault(job.export.name, []).append(Specialization(job.symbol, signature))
        advance(job.title)
    exports = {job.export.name: job.export for job in jobs}
    manifest = manifest_of(
        [
            Entry(name, tuple(found), "", exports[name].doc, exports[name].grid, devices[name])
            for name, found in entries.items()
        ],
        producer=f"kdsl {kdsl.__version__}",
        source=source,
    )
    data = build_shared_object(
        objects,
        manifest,
        lambda text: _assemble(text, target),
        soname=soname,
        runtime=list(runtime),
        target=TargetRecord(target.backend, triple, _present(target.attributes), ""),
        images=[TargetRecord(kind, "", "", digest) for kind, digest in images],
        linker=linker,
        compile_launcher=lambda text: _assemble(text, target, quick=True),
    )
    advance("linking")
    return Built(data, manifest)


def _compiled(
    jobs: Sequence[Job], target: Target
) -> Iterator[tuple[Job, tuple[Artifact, Signature]]]:
    """Compile jobs side by side, or one after the other when the user watches them."""

    def compiled(job: Job) -> tuple[Artifact, Signature]:
        return job.export.compile(job.values, target, job.symbol)

    watched = settings.time or settings.dump is not None or settings.print_after
    return zip(jobs, mapped(compiled, jobs, 1 if watched else cores()), strict=True)


def _present(attributes: str) -> str:
    """Return the features that the code may use; those switched off say nothing to a reader."""
    return ",".join(word for word in attributes.split(",") if not word.startswith("-"))


def _assemble(text: str, target: Target, quick: bool = False) -> bytes:
    source = Source(text, ASSEMBLED_SUFFIX, quick=quick)
    return backend_named(target.backend).assemble(source, target).data
