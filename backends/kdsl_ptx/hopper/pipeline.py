"""The passes that schedule tile programs for Hopper, in order."""

from __future__ import annotations

from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline
from kdsl.passes.pipelines import ORDER, SIMPLIFY, SKEW
from kdsl_ptx.hopper.dependence import OverlapLaunches
from kdsl_ptx.hopper.dots import AsyncDots
from kdsl_ptx.hopper.plan import HopperPlan
from kdsl_ptx.hopper.prefetch import PrefetchTables
from kdsl_ptx.hopper.protocol import ProtocolCheck
from kdsl_ptx.hopper.specialize import WarpSpecialize

TIDY = Pipeline("tidy", (SIMPLIFY, LoopInvariantCodeMotion(), DeadCodeElimination()))

SCHEDULE = Pipeline(
    "hopper-schedule",
    (
        ORDER,
        HopperPlan(),
        SKEW,
        TIDY,
        WarpSpecialize(),
        SIMPLIFY,
        AsyncDots(),
        TIDY,
        PrefetchTables(),
        TIDY,
        OverlapLaunches(),
        ProtocolCheck(),
    ),
)
"""From tile programs to roles; kernels that fit no schedule only lose masks."""
