"""The straight line: a traced module goes through passes, becomes text, and becomes bytes.

    00-trace.mlir  01-optimize.mlir  02-lower.mlir  03-legalize.mlir  04-emit.*  05-assemble.*

Each stage may be looked at, and compiling may start from any stage's text.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsl import cache as disk
from kdsl.codegen.backend import Artifact, Backend, LoadedEntry, Source
from kdsl.codegen.registry import backend_named, default_target, resolve_target
from kdsl.errors import CannotWriteError, UnknownPassError, UnknownStageError
from kdsl.ir.core import Module
from kdsl.ir.printer import print_module
from kdsl.ir.verify import verify
from kdsl.passes.explain import explanations
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import PASSES, Observer, Pass, Pipeline, Step, run_pipeline
from kdsl.passes.pipelines import OPTIMIZE, SIMPLIFY
from kdsl.settings import settings
from kdsl.target.target import Target

if TYPE_CHECKING:
    from kdsl.passes.differential import Differential

MODULE_STAGES = ("trace", "optimize", "lower", "legalize")
STAGES = (*MODULE_STAGES, "emit", "assemble")
MODULE_SUFFIX = ".mlir"
OBJECT_SUFFIX = ".o"


@dataclass
class Compiled:
    """A module made into code for a target; stages that nobody asked for are made when asked.

    ``steps`` says what each stage and pass took; empty when the code came from the cache.
    """

    target: Target
    trace: str
    artifact: Artifact
    steps: list[Step] = field(default_factory=list)
    explanation: tuple[str, ...] = ()
    entries: dict[str, LoadedEntry] | None = None

    def ir(self, stage: str = "legalize") -> str:
        """Return the module after a stage, as text."""
        if stage not in MODULE_STAGES:
            raise UnknownStageError(name=stage, known=", ".join(MODULE_STAGES))
        return print_module(_module_at(self.trace, self.target, stage))

    def source(self) -> str:
        """Return the text that the back end emits."""
        backend = backend_named(self.target.backend)
        return backend.emit(_module_at(self.trace, self.target, "legalize"), self.target).text

    def binary(self) -> bytes:
        """Return the assembled bytes."""
        return self.artifact.data

    def load(self) -> dict[str, LoadedEntry]:
        """Make the entries callable in this process."""
        if self.entries is None:
            self.entries = backend_named(self.target.backend).loader()(self.artifact, self.target)
        return self.entries


def target_of(text: str | None = None) -> Target:
    """Return the named target, else the one of the settings, else this machine."""
    name = text or settings.target
    return resolve_target(name) if name else default_target()


def compile_module(module: Module, target: Target, start: str = "trace") -> Compiled:
    """Return code for ``module``, which is consumed; from the disk cache when it is there.

    ``start`` names the stage whose product ``module`` is.
    """
    trace = print_module(module)
    store = disk.current()
    key = disk.digest(trace, start, _target_text(target), _versions(target.backend))
    # A dump or a verification is asked for because of the compiling itself.
    wanted = settings.dump or settings.verify or settings.print_after or settings.time
    found = None if store is None or wanted else store.load(key)
    if found is not None:
        facts = found.facts
        artifact = Artifact(
            found.data, facts["format"], tuple(facts["entries"]), facts["facts"], facts["digest"]
        )
        return Compiled(target, trace, artifact, [], tuple(facts["explain"]))
    made = _compile(module, target, start, trace)
    if store is not None:
        artifact = made.artifact
        facts = {
            "format": artifact.format,
            "entries": list(artifact.entries),
            "facts": artifact.facts,
            "digest": artifact.digest,
            "explain": list(made.explanation),
            "kernel": ", ".join(artifact.entries),
            "target": str(target),
        }
        store.store(key, artifact.data, facts)
    return made


def _compile(module: Module, target: Target, start: str, trace: str) -> Compiled:
    backend = backend_named(target.backend)
    dump = _Dump(settings.dump, ",".join(_entries(module)) or "module", trace)
    dump.module(0, "trace", module)
    steps: list[Step] = []
    differential = _differential(module)
    observers = _observers(differential)
    verify(module)
    for number, (stage, pipeline) in _stages_after(backend, start):
        checked = settings.verify in ("ir", "passes")
        steps += run_pipeline(pipeline, module, target, verify=checked, observers=observers)
        dump.module(number, stage, module)
    if differential is not None and (left_out := differential.report()):
        print(left_out, file=sys.stderr)  # noqa: T201 - asked for
    explanation = tuple(explanations(module))
    source = _timed(steps, "emit", lambda: backend.emit(module, target))
    dump.text(4, "emit", source.suffix, source.text.encode())
    artifact = _timed(steps, "assemble", lambda: backend.assemble(source, target))
    dump.text(5, "assemble", OBJECT_SUFFIX, artifact.data)
    if settings.time:
        print(time_table(source, artifact, steps), file=sys.stderr)  # noqa: T201 - asked for
    return Compiled(target, trace, artifact, steps, explanation)


def _stages_after(backend: Backend, start: str) -> list[tuple[int, tuple[str, Pipeline]]]:
    stages = (
        ("optimize", OPTIMIZE),
        ("lower", backend.pipeline),
        ("legalize", Pipeline("legalize", (Legalize(backend.legal), SIMPLIFY))),
    )
    first = MODULE_STAGES.index(start) + 1
    return [(n, stage) for n, stage in enumerate(stages, 1) if n >= first]


def stages(
    module: Module, target: Target, observers: tuple[Observer, ...] = ()
) -> Iterator[tuple[str, Module]]:
    """Yield the name of each stage with the module after it, from ``trace``; it is consumed."""
    yield "trace", module
    for _, (name, pipeline) in _stages_after(backend_named(target.backend), "trace"):
        run_pipeline(pipeline, module, target, observers=observers)
        yield name, module


def _module_at(trace: str, target: Target, stage: str) -> Module:
    """Compile again up to a stage; nothing is kept for those who never look."""
    import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
    from kdsl.ir.parser import parse

    return next(module for name, module in stages(parse(trace), target) if name == stage)


def _entries(module: Module) -> list[str]:
    return [str(f.attributes["sym_name"]) for f in module.functions if "kdsl.entry" in f.attributes]


def _timed(steps: list[Step], name: str, make: Any) -> Any:
    started = time.perf_counter()
    made = make()
    steps.append(Step(name, time.perf_counter() - started, changed=True))
    return made


def entry_of(module: Module, name: str, target: Target) -> tuple[LoadedEntry, Compiled]:
    """Compile a module and return one of its entries, ready to be called."""
    compiled = compile_module(module, target)
    return compiled.load()[name], compiled


# -------------------------------------------------------------------------------------- watching


def _differential(module: Module) -> Differential | None:
    if settings.verify != "passes":
        return None
    from kdsl.passes.differential import Differential

    return Differential(module)


def _observers(differential: Differential | None) -> tuple[Observer, ...]:
    names = settings.print_after
    found = [_printer(names) if names else None, differential]
    return tuple(observer for observer in found if observer is not None)


def _printer(names: tuple[str, ...]) -> Observer:
    for name in names:
        if name != "all" and name not in PASSES:
            raise UnknownPassError(name=name, known=", ".join(sorted(PASSES)))

    def show(each: Pass, module: Module, changed: bool) -> None:
        if each.name in names or "all" in names:
            mark = "" if changed else " (no change)"
            print(f"// after {each}{mark}\n{print_module(module)}", file=sys.stderr)  # noqa: T201

    return show


_folders: dict[tuple[Path | None, str], dict[str, int]] = {}


def _folder(root: Path | None, name: str, trace: str) -> str:
    """Return a folder name: the entry's; with a number for its other specializations."""
    known = _folders.setdefault((root, name), {})
    number = known.setdefault(trace, len(known))
    return f"{name}-{number}" if number else name


class _Dump:
    """Writes each stage's product into the folder of KDSL_DUMP, one folder for each module."""

    def __init__(self, root: Path | None, name: str, trace: str) -> None:
        self.folder = None if root is None else root / _folder(root, name, trace)
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CannotWriteError(path=self.folder, why=error.strerror) from error

    def module(self, number: int, stage: str, module: Module) -> None:
        if self.folder is not None:
            self.text(number, stage, MODULE_SUFFIX, print_module(module).encode())

    def text(self, number: int, stage: str, suffix: str, data: bytes) -> None:
        if self.folder is not None:
            path = self.folder / f"{number:02d}-{stage}{suffix}"
            try:
                path.write_bytes(data)
            except OSError as error:
                raise CannotWriteError(path=path, why=error.strerror) from error


def time_table(source: Source, artifact: Artifact, steps: list[Step]) -> str:
    """Return the milliseconds of each pass and stage, and of the assembler's own steps."""
    rows = [(step.name, step.seconds) for step in steps]
    for tool, seconds in artifact.facts.items():
        if isinstance(seconds, dict) and all(isinstance(v, float) for v in seconds.values()):
            rows += [(f"  {tool}: {name}", took) for name, took in seconds.items()]
    total = sum(step.seconds for step in steps)
    title = ", ".join(source.entries) or "module"
    lines = [f"{seconds * 1e3:9.3f} ms  {name}" for name, seconds in rows]
    return "\n".join([f"compiling {title}:", *lines, f"{total * 1e3:9.3f} ms  total"])


@cache
def _versions(backend: str) -> str:
    """Return what cached code depends on besides its module: kdsl's and the back end's files."""
    import importlib

    import kdsl

    home = backend_named(backend).load.partition(":")[0].partition(".")[0]
    files = {kdsl.__file__, importlib.import_module(home).__file__}
    marks = [kdsl.__version__, sys.version, *_distributions()]
    for file in sorted(f for f in files if f is not None):
        # Templates and runtimes in LLVM IR lie beside the modules that read them.
        for path in sorted(Path(file).parent.rglob("*.*")):
            if path.suffix == ".pyc":
                continue
            status = path.stat()
            marks.append(f"{path}:{status.st_mtime_ns}:{status.st_size}")
    return disk.digest(*marks)


def _target_text(target: Target) -> str:
    """Return all that a target says, the same in every process (sets have no order)."""
    features = {f.name: getattr(target.features, f.name) for f in fields(target.features)}
    said = [f"{n}={sorted(v) if isinstance(v, frozenset) else v}" for n, v in features.items()]
    return "\n".join([str(target), target.triple, target.attributes, str(target.options), *said])


def _distributions() -> list[str]:
    """Return the versions of what the compiled code may come from."""
    import numpy as np

    return [f"numpy {np.__version__}"]
