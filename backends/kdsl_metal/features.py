"""Apple GPU families as data."""

from __future__ import annotations

import platform
from dataclasses import replace

from kdsl.errors import NoChipError, UnknownChipError
from kdsl.target.features import Features
from kdsl.target.target import Target
from kdsl_metal.matrix import ATOM

KIB = 1024
CONVERSIONS = frozenset(
    pair for small in ("f16", "bf16") for pair in ((small, "f32"), ("f32", small))
)

APPLE7 = Features(
    vector_bits=128,
    vector_registers=64,
    native=frozenset({"i1", "i8", "i16", "i32", "i64", "index", "f32"}),
    fma=True,
    rounding=True,
    fast_conversions=CONVERSIONS,
    flat_memory=False,
    subgroup=32,
    shared_bytes=32 * KIB,
    atoms=(ATOM,),
    max_lanes=1024,
    registers=52 * KIB,
    lane_registers=128,
    threads=8,
)
"""M1 and A14: halves and bfloats are values; arithmetic is in f32."""

CHIPS: dict[str, Features] = {
    "apple7": APPLE7,
    "apple8": replace(APPLE7, threads=10),
    "apple9": replace(APPLE7, threads=10),
}
"""The names of Metal's GPU families."""
OLDEST = "apple7"


def resolve(chip: str = "") -> Target:
    """Return the target of a GPU family; on a Mac, the oldest one for none.

    Raises UnknownChipError, NoChipError.
    """
    if not chip and platform.system() != "Darwin":
        why = f"this system is {platform.system()}, Metal comes with macOS"
        raise NoChipError(backend="metal", why=why, known=", ".join(CHIPS))
    name = chip or OLDEST
    if name not in CHIPS:
        raise UnknownChipError(backend="metal", chip=chip, known=", ".join(CHIPS))
    return Target("metal", name, CHIPS[name])
