"""The benchmarks by name: data, so that listing them runs and imports nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from kdsl.errors import UnknownBenchError


@dataclass(frozen=True)
class Table:
    """A finished benchmark: what was measured, as text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Suite = Callable[[], Table]

SUITES: dict[str, tuple[str, str]] = {
    "prefill": (
        "kdsl.bench.rope:prefill",
        "RoPE-attention over prompts, NumPy and torch beside it",
    ),
    "decode": ("kdsl.bench.rope:decode", "RoPE-attention of one token over a cache"),
    "streaming": (
        "kdsl.bench.streaming:streaming",
        "elementwise kernels, a fused chain and RMSNorm over 64 MB, against a copy",
    ),
    "import": ("kdsl.bench.startup:import_cost", "CPU time of import kdsl over import numpy"),
    "compile": (
        "kdsl.bench.building:build_cost",
        "kdsl build of the RoPE kernels: wall and CPU time, new process, empty cache",
    ),
    "calls": ("kdsl.bench.calls:call_cost", "microseconds of a call besides the work"),
    "pipeline": ("kdsl.bench.compiling:pipeline_cost", "passes: milliseconds an op by module size"),
}
"""Name -> "module:function" of a ``Suite``, and what it measures."""


def suite_named(name: str) -> Suite:
    """Import one benchmark; raise UnknownBenchError."""
    if name not in SUITES:
        raise UnknownBenchError(name=name, known=", ".join(SUITES))
    module, _, function = SUITES[name][0].partition(":")
    suite: Suite = getattr(import_module(module), function)
    return suite
