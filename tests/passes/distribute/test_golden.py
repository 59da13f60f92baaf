"""The lane-level program of a few tile programs, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsl.ir.core import Module
from kdsl.ir.printer import print_module
from kdsl.ir.types import BF16
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.passes.pipelines import SIMPLIFY
from kdsl.target.target import Target
from kdsl.testing.filecheck import golden
from tests.passes.distribute.lanes import MMA, PLAIN, distributed
from tests.passes.distribute.test_distribute import staged
from tests.passes.tile_programs import matmul, softmax

TIDY = Pipeline("tidy", (*SIMPLIFY, LoopInvariantCodeMotion(), DeadCodeElimination()))
PROGRAMS = {
    "softmax": (softmax(4, 64), PLAIN, 2),
    "copied_ahead": (staged(matmul(32, 16, 32, BF16)), MMA, 2),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_for_lanes_is_as_it_was(name: str) -> None:
    module: Module
    target: Target
    module, target, warps = PROGRAMS[name]
    after = distributed(module, target, warps)
    run_pipeline(TIDY, after, target)
    golden(print_module(after), Path(__file__).parent / "golden" / f"{name}.mlir")
