"""Kernels of scalar level, of the library and the examples, run by lanes as by one thread."""

from __future__ import annotations

import numpy as np
import pytest
from every_kernel import cases

from kdsl.ir.interpreter import interpret
from kdsl.ir.types import TensorType
from kdsl.passes.manager import run_pipeline
from kdsl.passes.pipelines import OPTIMIZE
from kdsl.passes.simt import Simt
from kdsl.target.features import Features
from kdsl.target.target import Target
from kdsl.testing import simt

WARPS = Target("generic", "warps", Features(subgroup=32, max_lanes=1024))
WAVES = Target("generic", "waves", Features(subgroup=64, max_lanes=1024))
LONE = Target("generic", "lone", Features(subgroup=1, max_lanes=1024))


def has_tiles(case):
    return any(
        isinstance(r.type, TensorType) for op in case.module(WARPS).walk() for r in op.results
    )


CASES = [case for case in cases() if not has_tiles(case)]


@pytest.mark.parametrize("target", [WARPS, WAVES, LONE], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_lanes_compute_what_one_thread_does(case, target):
    wanted, found = (
        [a.copy() if isinstance(a, np.ndarray) else a for a in case.args] for _ in range(2)
    )
    interpret(case.module(target), case.kernel.name, wanted)
    module = case.module(target)
    run_pipeline(OPTIMIZE, module, target, verify=True)
    Simt().run(module, target)

    simt.run(module, case.kernel.name, found, target.features)

    for want, got in zip(wanted, found, strict=True):
        if isinstance(want, np.ndarray):
            scale = 1e-5 if want.dtype.itemsize > 2 else 2e-2
            a, b = (x.astype(np.float64) for x in (got, want))
            np.testing.assert_allclose(a, b, rtol=scale, atol=scale)


def test_there_are_such_kernels():
    names = {case.kernel.name for case in CASES}

    assert names >= {"rms_norm", "silu_mul", "matvec", "mandelbrot", "diffuse", "histogram"}
