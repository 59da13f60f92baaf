"""Schedules apart from the maths: choices by target, and their automatic search."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kdsl.errors import BadDecoratorError, UnknownParameterError
from kdsl.language.kernel import Kernel
from kdsl.language.state import active, where
from kdsl.language.types import Config
from kdsl.target.features import Features
from kdsl.target.target import GENERIC, Target

Measure = Callable[[Config], float]
"""Seconds (or any cost) of one run with a configuration; a KdslError says that it cannot run."""


def target_name(target: str | Target | None) -> str:
    """Return the name that a schedule is kept under; empty for every target."""
    if target is None:
        return ""
    return str(target) if isinstance(target, Target) else target


def matches(name: str, target: Target) -> bool:
    """Return whether a name means a target: its back end, chip, both, or a feature."""
    wanted = _plain(name)
    features = [f.lstrip("+") for f in target.attributes.split(",") if f and not f.startswith("-")]
    return wanted in {_plain(n) for n in (target.backend, target.chip, str(target), *features)}


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def by_target(**choices: Any) -> Any:
    """Return the choice whose name means the target being compiled for, else ``default``."""
    trace = active()
    target = GENERIC if trace is None else trace.target
    for name, value in choices.items():
        if name != "default" and matches(name, target):
            return value
    if "default" in choices:
        return choices["default"]
    raise BadDecoratorError(
        where(), decorator="kd.by_target", why=f"nothing is chosen for {target}",
        advice="add default=...",
    )  # fmt: skip


def features() -> Features:
    """Return what the target being compiled for can do; a generic one's outside of a kernel."""
    trace = active()
    return (GENERIC if trace is None else trace.target).features


@dataclass
class Tuning:
    """The configurations of a kernel, and which was the fastest for each key."""

    configs: tuple[Config, ...]
    key: tuple[str, ...]
    budget_s: float
    prune: Callable[[Config, Target], bool] | None
    best: dict[tuple[Any, ...], Config] = field(default_factory=dict)
    timings: dict[tuple[Any, ...], list[tuple[Config, float]]] = field(default_factory=dict)

    def key_of(self, names: dict[str, Any]) -> tuple[Any, ...]:
        """Return the key of a call from its dims, Const parameters and integers by name."""
        return tuple(names.get(n) for n in self.key)

    def candidates(self, target: Target) -> list[Config]:
        """Return the configurations that the resource model lets through.

        The first when it lets none.
        """
        if self.prune is None:
            return list(self.configs)
        return [c for c in self.configs if self.prune(c, target)] or [self.configs[0]]

    def choose(self, key: tuple[Any, ...], target: Target, measure: Measure) -> Config:
        """Return the fastest configuration for a key.

        Measure until the budget is spent when it is new.
        """
        from kdsl.errors import KdslError

        if key in self.best:
            return self.best[key]
        started = time.perf_counter()
        timings: list[tuple[Config, float]] = []
        problem: KdslError | None = None
        for config in self.candidates(target):
            if timings and time.perf_counter() - started > self.budget_s:
                break
            try:
                timings.append((config, measure(config)))
            except KdslError as error:
                problem = error
        if not timings:
            assert problem is not None
            raise problem
        self.timings[key] = sorted(timings, key=lambda t: t[1])
        self.best[key] = self.timings[key][0][0]
        return self.best[key]


def autotune(
    configs: Iterable[Config],
    key: Sequence[Any] = (),
    *,
    budget_s: float = 20.0,
    prune: Callable[[Config, Target], bool] | None = None,
) -> Callable[[Any], Kernel]:
    """Search Const parameters and options of a kernel by timing.

    ``key`` names the dims, Const parameters and integers that each get their own choice;
    ``prune(config, target)`` says from the target's features alone which configurations are worth
    a try; ``budget_s`` seconds are spent for each key. The first configuration holds where
    nothing has been timed.
    """
    listed = tuple(configs)
    if not listed or not all(isinstance(c, Config) for c in listed):
        raise BadDecoratorError(
            where(), decorator="@kd.autotune", why="it needs a list of kd.Config",
            advice="@kd.autotune([kd.Config(BM=64), kd.Config(BM=128)], key=(M,))",
        )  # fmt: skip

    def decorate(kernel: Any) -> Kernel:
        if not isinstance(kernel, Kernel):
            raise BadDecoratorError(
                where(), decorator="@kd.autotune", why=f"it got a {type(kernel).__name__}",
                advice="put @kd.autotune above @kd.kernel",
            )  # fmt: skip
        known = set(kernel.params.consts) | OPTIONS
        for config in listed:
            for name in config.values:
                if name not in known:
                    raise UnknownParameterError(
                        where(), kernel=kernel.name, name=name, known=", ".join(sorted(known))
                    )
        kernel.tuning = Tuning(listed, tuple(str(k) for k in key), budget_s, prune)
        kernel.schedule(None, **listed[0].values)
        return kernel

    return decorate


OPTIONS = {
    "num_stages", "stages", "num_warps", "warps", "consumers", "maxnreg", "buffers", "ping_pong",
    "rescale", "a_operand", "persistent", "group", "registers", "portable",
}  # fmt: skip
"""Schedule options that are no Const parameters."""
