"""Comparing what lanes compute with what the tile program says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsl.ir.core import Module
from kdsl.ir.types import TensorType
from kdsl.ir.verify import verify
from kdsl.passes.distribute import Distribute
from kdsl.target.features import Features
from kdsl.target.target import Target
from kdsl.testing import simt
from tests.passes.tile_programs import run

COMMON = {"max_lanes": 1024, "shared_bytes": 160 * 1024, "fma": True, "flat_memory": False}
PLAIN = Target("generic", "plain", Features(subgroup=32, **COMMON))
MMA = Target(
    "generic",
    "mma",
    Features(
        subgroup=32,
        atoms=("mma.m16n8k16", "mma.m16n8k32.i8", "mma.m16n8k32.f8"),
        async_copy=True,
        matrix_load=True,
        **COMMON,
    ),
)
MFMA = Target(
    "generic", "mfma", Features(subgroup=64, atoms=("mfma.16x16x16", "mfma.32x32x8"), **COMMON)
)
WMMA = Target("generic", "wmma", Features(subgroup=32, atoms=("wmma.copied",), **COMMON))
SPLIT = Target("generic", "split", Features(subgroup=32, atoms=("wmma.split",), **COMMON))
SQUARE = Target("generic", "square", Features(subgroup=32, atoms=("simdgroup.8x8x8",), **COMMON))
SINGLE = Target("generic", "single", Features(subgroup=1, **COMMON))
TARGETS = (PLAIN, MMA, MFMA, WMMA, SPLIT, SQUARE, SINGLE)


def distributed(module: Module, target: Target, warps: int | None = None) -> Module:
    """Return the lowered copy, verified and free of tiles."""
    copy = module.clone()
    if warps is not None:
        for function in copy.functions:
            if "kdsl.kernel" in function.attributes:
                function.attributes["kdsl.warps"] = warps
    assert Distribute().run(copy, target)
    verify(copy)
    for op in copy.walk():
        kinds = [v.type for v in (*op.operands, *op.results)]
        kinds += [a.type for r in op.regions for blk in r.blocks for a in blk.args]
        assert not any(isinstance(t, TensorType) for t in kinds), op
    return copy


def run_lanes(module: Module, target: Target, args: Sequence[Any], **where: Any) -> list[Any]:
    """Run ``f`` for all lanes on copies of the arrays; return them."""
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    simt.run(module, "f", copies, target.features, **where)
    return copies


def check_lanes(
    module: Module,
    args: Sequence[Any],
    target: Target = PLAIN,
    warps: int | None = None,
    tolerance: float = 2e-5,
    **where: Any,
) -> Module:
    """Assert that lanes compute what a program's tiles say; return the lowered module."""
    after = distributed(module, target, warps)
    close(run(module, args, **where), run_lanes(after, target, args, **where), tolerance)
    return after


def close(wanted: Sequence[Any], found: Sequence[Any], tolerance: float = 2e-5) -> None:
    """Assert that arrays agree, integers exactly."""
    for want, got in zip(wanted, found, strict=True):
        if not isinstance(want, np.ndarray):
            continue
        if want.dtype.kind in "iub":
            np.testing.assert_array_equal(got, want)
        else:
            scale = tolerance if want.dtype.itemsize >= 4 else 2e-2
            np.testing.assert_allclose(
                got.astype(np.float64), want.astype(np.float64), rtol=scale, atol=scale
            )
