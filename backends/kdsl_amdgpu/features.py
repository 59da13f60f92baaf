"""AMD GPUs that kdsl knows, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kdsl.errors import KdslError, NoChipError, UnknownChipError
from kdsl.target.features import Features
from kdsl.target.target import Target

NAME = "amdgpu"
TRIPLE = "amdgcn-amd-amdhsa"
KIB, MIB = 1024, 1024 * 1024
NUMBERS = frozenset({"i1", "i8", "i16", "i32", "i64", "index", "f32", "f64"})
CONVERSIONS = frozenset({("f16", "f32"), ("f32", "f16"), ("bf16", "f32"), ("f32", "bf16")})


@dataclass(frozen=True, slots=True)
class Chip:
    """A row: what passes ask, and what LLVM, checks and the occupancy report ask.

    ``attributes``: LLVM features to change. ``family``: how the independent decoder calls the
    encoding. ``granule``: vector registers in a granule of the kernel descriptor;
    ``allocation``: the granule in which the hardware gives them, out of ``simd_registers`` for each
    lane of one of a processor's ``simds``, which run at most ``max_waves`` waves each.
    """

    features: Features
    family: str
    attributes: str
    granule: int
    allocation: int
    simd_registers: int
    simds: int
    max_waves: int
    cluster_lds: int


_CDNA = Features(
    vector_bits=128,
    vector_registers=512,
    native=NUMBERS,
    fma=True,
    rounding=True,
    fast_conversions=CONVERSIONS,
    flat_memory=False,
    subgroup=64,
    line_bytes=128,
    l1_bytes=16 * KIB,
    l2_bytes=8 * MIB,
    shared_bytes=64 * KIB,
    max_lanes=1024,
    registers=4 * 64 * 512,
    lane_registers=512,
    threads=110,
)
_RDNA = replace(
    _CDNA,
    vector_registers=256,
    subgroup=32,
    l1_bytes=32 * KIB,
    l2_bytes=6 * MIB,
    registers=2 * 32 * 1536,
    lane_registers=256,
    threads=96,
)

CDNA_ATOMS = ("mfma.16x16x16", "mfma.32x32x8")

CHIPS: dict[str, Chip] = {
    "gfx90a": Chip(
        replace(_CDNA, atoms=CDNA_ATOMS, threads=104), "cdna", "", 8, 8, 512, 4, 8, 64 * KIB
    ),
    "gfx942": Chip(
        replace(_CDNA, atoms=(*CDNA_ATOMS, "mfma.16x16x32.i8"), threads=304, l1_bytes=32 * KIB),
        "cdna", "", 8, 8, 512, 4, 8, 64 * KIB,
    ),
    "gfx950": Chip(
        replace(
            _CDNA,
            atoms=("mfma.16x16x32", *CDNA_ATOMS, "mfma.16x16x32.i8", "mfma.16x16x32.f8"),
            shared_bytes=160 * KIB,
            threads=256,
            l1_bytes=32 * KIB,
        ),
        "cdna", "", 8, 8, 512, 4, 8, 160 * KIB,
    ),
    "gfx1100": Chip(
        replace(_RDNA, atoms=("wmma.copied",)),
        "rdna3", "-real-true16", 8, 24, 1536, 2, 16, 64 * KIB,
    ),
    "gfx1201": Chip(
        replace(_RDNA, atoms=("wmma.split",), threads=64, l2_bytes=8 * MIB),
        "rdna4", "-real-true16", 8, 24, 1536, 2, 16, 64 * KIB,
    ),
}  # fmt: skip
"""Real 16-bit register halves are off: kernels compute in 32 bits and only pack and unpack."""


def resolve(chip: str = "") -> Target:
    """Return the target of a chip; of this machine's device without one.

    Raises UnknownChipError, NoChipError.
    """
    name = chip or device_chip()
    row = CHIPS.get(name)
    if row is None:
        raise UnknownChipError(backend=NAME, chip=name, known=", ".join(CHIPS))
    return Target(NAME, name, row.features, TRIPLE, row.attributes)


def device_chip() -> str:
    """Return the chip of the first device. Raises NoChipError."""
    from kdsl_amdgpu.hip import driver

    try:
        return driver().chip(0)
    except KdslError as problem:
        known = ", ".join(CHIPS)
        raise NoChipError(backend=NAME, why=problem.summary, known=known) from problem


def chip_of(target: Target) -> Chip:
    """Return the row of a target's chip."""
    return CHIPS[target.chip]
