"""Every library kernel, run lane by lane, computes what its tile program says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kdsl.ir.interpreter import interpret
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.distribute import Distribute
from kdsl.passes.fuse_launches import DropWorkspaces, FuseLaunches
from kdsl.passes.if_convert import IfConvert
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.passes.pipelines import SIMPLIFY
from kdsl.passes.simt import Simt
from kdsl.target.target import Target
from kdsl.testing import simt
from kdsl.testing.library_cases import Case, library_cases, matrix_cases
from tests.passes.distribute.lanes import MFMA, MMA, PLAIN, SPLIT, SQUARE, WMMA, close

LANES = Pipeline(
    "lanes",
    (
        SIMPLIFY,
        FuseLaunches(),
        DropWorkspaces(),
        IfConvert(),
        LoopInvariantCodeMotion(),
        Distribute(),
        Simt(),
        SIMPLIFY,
        LoopInvariantCodeMotion(),
        DeadCodeElimination(),
    ),
)


def check(case: Case, target: Target) -> None:
    module = case.module(target)
    wanted = [copied(a) for a in case.args]
    interpret(module, case.kernel.name, wanted)
    found = [copied(a) for a in case.args]
    run_pipeline(LANES, module, target, verify=True)
    simt.run(module, case.kernel.name, found, target.features)
    close(wanted, found, 1e-4)


def copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("case", library_cases(), ids=str)
def test_a_kernel_means_the_same_on_lanes(case: Case) -> None:
    check(case, PLAIN)


@pytest.mark.parametrize("target", [MMA, MFMA, WMMA, SPLIT], ids=str)
@pytest.mark.parametrize("case", matrix_cases(), ids=str)
def test_a_kernel_on_matrix_units_means_the_same(case: Case, target: Target) -> None:
    check(case, target)


@pytest.mark.parametrize("target", [MFMA, WMMA, SQUARE], ids=str)
@pytest.mark.parametrize("case", [c for c in matrix_cases() if "bf16" in str(c)], ids=str)
def test_a_kernel_with_little_workgroup_memory_means_the_same(case: Case, target: Target) -> None:
    little = replace(target.features, shared_bytes=12 * 1024)
    check(case, replace(target, features=little))
