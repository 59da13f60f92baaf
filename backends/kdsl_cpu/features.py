"""Known CPUs as data, and which of them this machine is.

Chips are named by LLVM's levels; ``native`` stands for this machine with all its features.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from kdsl.errors import UnknownChipError, UnknownFeatureError
from kdsl.target.features import Features
from kdsl.target.target import Target

KIB = 1024
F16_PAIRS = frozenset({("f16", "f32"), ("f32", "f16")})
NUMBERS = frozenset({"i1", "i8", "i16", "i32", "i64", "index", "f32", "f64"})
LINUX = {"x86-64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}


@dataclass(frozen=True)
class Chip:
    """A row: LLVM's name for the processor, its triple, LLVM features to add, what it can do."""

    cpu: str
    triple: str
    attributes: str
    features: Features


_SSE2 = Features(
    vector_bits=128,
    vector_registers=16,
    native=NUMBERS,
    rounding=False,
    l1_bytes=32 * KIB,
    l2_bytes=256 * KIB,
)
_AVX2 = replace(
    _SSE2,
    vector_bits=256,
    fma=True,
    rounding=True,
    fast_conversions=F16_PAIRS,
    l2_bytes=512 * KIB,
)
_AVX512 = replace(
    _AVX2,
    vector_bits=512,
    vector_registers=32,
    masked_memory=True,
    gather=True,
    l2_bytes=1024 * KIB,
)
_NEON = replace(
    _AVX2, vector_bits=128, vector_registers=32, fast_conversions=F16_PAIRS, l1_bytes=64 * KIB
)

CHIPS: dict[str, Chip] = {
    "x86-64": Chip("x86-64", LINUX["x86-64"], "", _SSE2),
    "x86-64-v3": Chip("x86-64-v3", LINUX["x86-64"], "", _AVX2),
    "x86-64-v4": Chip("x86-64-v4", LINUX["x86-64"], "", _AVX512),
    "x86-64-v4-bf16": Chip(
        "x86-64-v4",
        LINUX["x86-64"],
        "+avx512bf16",
        replace(_AVX512, dot=frozenset({("bf16", "f32")})),
    ),
    "aarch64": Chip("generic", LINUX["aarch64"], "+neon", _NEON),
}
NATIVE = "native"
LEVELS = (
    ("x86-64-v4-bf16", ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd", "avx512bf16")),
    ("x86-64-v4", ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd")),
    ("x86-64-v3", ("avx2", "fma", "f16c", "bmi2")),
)
"""The best level first, with what it needs."""


def resolve(chip: str = "") -> Target:
    """Return the target of ``name`` or ``name,+feature,-feature``; this machine's without one."""
    name, *options = (chip or NATIVE).split(",")
    if name == NATIVE:
        base = detect()
    elif name in CHIPS:
        row = CHIPS[name]
        base = Target("cpu", name, row.features, row.triple, row.attributes)
    else:
        raise UnknownChipError(backend="cpu", chip=name, known=", ".join([NATIVE, *CHIPS]))
    for option in options:
        base = _with_option(base, option)
    return base


def _with_option(target: Target, option: str) -> Target:
    word = option[1:]
    if option[:1] not in ("+", "-") or word not in OPTIONS:
        raise UnknownFeatureError(target=target, name=option, known=", ".join(OPTIONS))
    on = option.startswith("+")
    features = replace(target.features, fma=on) if word == "fma" else target.features
    attributes = ",".join(part for part in (target.attributes, option) if part)
    return replace(target, features=features, attributes=attributes, chip=f"{target.chip},{option}")


OPTIONS = ("fma", "prefer-256-bit")
"""Features that may be added or taken away."""


@cache
def detect() -> Target:
    """Return this machine: its level's row with its own caches and threads."""
    import llvmlite.binding as llvm

    triple = llvm.get_process_triple()
    if triple.startswith("aarch64"):
        level = "aarch64"
        attributes = CHIPS[level].attributes
    else:
        host = llvm.get_host_cpu_features()
        level = next((name for name, need in LEVELS if all(host.get(f) for f in need)), "x86-64")
        attributes = ",".join(sorted(f"{'+' if on else '-'}{name}" for name, on in host.items()))
    features = replace(CHIPS[level].features, threads=_processors(), **_caches())
    return Target("cpu", level, features, triple, attributes, (("cpu", llvm.get_host_cpu_name()),))


def runs_here(target: Target) -> bool:
    """Return whether this machine has the architecture and the level that a target needs."""
    import llvmlite.binding as llvm

    if target.triple.partition("-")[0] != llvm.get_process_triple().partition("-")[0]:
        return False
    host, level = llvm.get_host_cpu_features(), target.chip.partition(",")[0]
    return all(host.get(feature) for feature in dict(LEVELS).get(level, ()))


def cpu_name(target: Target) -> str:
    """Return LLVM's name of the processor."""
    stated = dict(target.options).get("cpu")
    return stated or CHIPS[target.chip.split(",", maxsplit=1)[0]].cpu


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _caches() -> dict[str, Any]:
    """Return the sizes that the C library reports; none where it does not know."""
    found: dict[str, Any] = {}
    names = {"l1_bytes": "SC_LEVEL1_DCACHE_SIZE", "l2_bytes": "SC_LEVEL2_CACHE_SIZE"}
    for field, name in names.items():
        size = os.sysconf(name) if name in os.sysconf_names else 0
        if size > 0:
            found[field] = size
    return found
