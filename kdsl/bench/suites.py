"""The benchmarks by name: data, so that listing them runs and imports nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

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

DEVICE_SUITES: dict[str, tuple[str, str]] = {
    "rope-attention": (
        "kdsl.bench.device_attention:rope_attention_on_device",
        "attention, RoPE-attention and products on a GPU beside cuDNN and cuBLAS; CSV and plot",
    ),
}
"""The same for benchmarks of an accelerator; they run when named and write files to a folder."""


def suite_named(name: str, folder: Path = Path()) -> Suite:
    """Import one benchmark; raise UnknownBenchError."""
    known = SUITES | DEVICE_SUITES
    if name not in known:
        raise UnknownBenchError(name=name, known=", ".join(known))
    module, _, function = known[name][0].partition(":")
    suite = getattr(import_module(module), function)
    return partial(suite, folder) if name in DEVICE_SUITES else suite
