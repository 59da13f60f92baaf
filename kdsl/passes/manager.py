"""Passes and pipelines: data that can be printed, parsed, timed, dumped and checked between steps.

A pass is a frozen dataclass with a kebab-case ``name``; its fields are its options:
``unroll{max-ops=64}``. A pipeline is a name and a tuple of passes: ``optimize{canonicalize,cse}``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from kdsl.errors import (
    InternalError,
    KdslError,
    PassOptionError,
    PipelineSyntaxError,
    UnknownPassError,
)
from kdsl.ir.core import Module
from kdsl.target.target import GENERIC, Target

PASSES: dict[str, type[Pass]] = {}
"""Every pass by its name."""


@dataclass(frozen=True)
class Pass:
    """Base of passes: ``run`` changes a valid module into a valid module of the same meaning."""

    name: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in cls.__dict__:
            PASSES[cls.name] = cls

    def run(self, module: Module, target: Target) -> bool:
        """Apply the pass; return whether anything changed."""
        raise InternalError(what=f"the pass {self.name} has no run()")

    def __str__(self) -> str:
        options = [
            f"{f.name.replace('_', '-')}={_text(getattr(self, f.name))}"
            for f in fields(self)
            if getattr(self, f.name) != f.default
        ]
        return f"{self.name}{{{' '.join(options)}}}" if options else self.name


@dataclass(frozen=True)
class Pipeline:
    """Passes in order, under a name."""

    name: str
    passes: tuple[Pass | Pipeline, ...] = ()

    def __iter__(self) -> Iterator[Pass]:
        for step in self.passes:
            if isinstance(step, Pipeline):
                yield from step
            else:
                yield step

    def __str__(self) -> str:
        return f"{self.name}{{{','.join(str(p) for p in self.passes)}}}"


@dataclass(slots=True)
class Step:
    """What one pass did: its name, seconds, and whether it changed the module."""

    name: str
    seconds: float
    changed: bool


Observer = Callable[[Pass, Module, bool], None]
"""Called after each pass with the pass, the module and whether it changed."""


def run_pipeline(
    pipeline: Pipeline,
    module: Module,
    target: Target = GENERIC,
    *,
    verify: bool = False,
    observers: tuple[Observer, ...] = (),
) -> list[Step]:
    """Run the passes in order; return what each did.

    ``verify`` checks the module after every pass and names the pass that broke it. ``observers``
    see the module after each pass (dump, print, compare).
    """
    steps: list[Step] = []
    for each in pipeline:
        started = time.perf_counter()
        changed = each.run(module, target)
        steps.append(Step(str(each), time.perf_counter() - started, changed))
        if verify:
            _verify_after(each, module)
        for observe in observers:
            observe(each, module, changed)
    return steps


def _verify_after(each: Pass, module: Module) -> None:
    from kdsl.errors import InvalidAfterPassError
    from kdsl.ir.verify import verify

    try:
        verify(module)
    except KdslError as problem:
        raise InvalidAfterPassError(
            problem.loc, pass_name=each.name, what=problem.summary
        ) from problem


# --------------------------------------------------------------------------------------- text


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_pipeline(text: str, name: str = "pipeline") -> Pipeline:
    """Read ``canonicalize,unroll{max-ops=64},optimize{cse,dce}``; names may be passes or pipelines.

    Text that is one pipeline gives that pipeline; otherwise the steps get ``name``.
    """
    steps = tuple(_step(word, options) for word, options in _split(text))
    if len(steps) == 1 and isinstance(steps[0], Pipeline):
        return steps[0]
    return Pipeline(name, steps)


def _step(word: str, inside: str | None) -> Pass | Pipeline:
    import kdsl.passes.pipelines as known

    if word in PASSES:
        return _make(PASSES[word], inside or "")
    if inside is None and word in known.PIPELINES:
        return known.PIPELINES[word]
    if inside is None or "=" in inside.partition("{")[0].partition(",")[0]:
        names = ", ".join(sorted([*PASSES, *known.PIPELINES]))
        raise UnknownPassError(name=word, known=names)
    if not inside.strip():
        return Pipeline(word)
    return Pipeline(word, tuple(_step(*each) for each in _split(inside)))


def _split(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield each name with what stands in its braces, None without braces."""
    depth = start = 0
    for i, c in enumerate([*text, ","]):
        depth += (c == "{") - (c == "}")
        if depth < 0:
            raise PipelineSyntaxError(text=text, why="a '}' without its '{'")
        if c == "," and depth == 0:
            word, brace, rest = text[start:i].strip().partition("{")
            if not word or (brace and not rest.rstrip().endswith("}")):
                raise PipelineSyntaxError(text=text, why=f"'{text[start:i]}' is no pass")
            yield word.strip(), rest.rstrip().removesuffix("}") if brace else None
            start = i + 1
    if depth:
        raise PipelineSyntaxError(text=text, why="a '{' without its '}'")


def _make(kind: type[Pass], options: str) -> Pass:
    known = {f.name.replace("_", "-"): f for f in fields(kind)}
    values: dict[str, Any] = {}
    for part in options.replace(",", " ").split():
        key, _, value = part.partition("=")
        if key not in known:
            raise PassOptionError(
                pass_name=kind.name,
                option=key,
                why="does not exist",
                known=", ".join(known) or "none",
            )
        values[known[key].name] = _read(kind, key, value, known[key].default)
    return kind(**values)


def _read(kind: type[Pass], key: str, value: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[value]
        return type(default)(value)
    except (KeyError, ValueError):
        raise PassOptionError(
            pass_name=kind.name,
            option=key,
            why=f"takes <{type(default).__name__}>, got {value!r}",
            known=f"{key}=<{type(default).__name__}>",
        ) from None
