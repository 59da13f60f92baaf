"""The passes that schedule tile programs for Hopper, in order."""

from __future__ import annotations

from kdsl.passes.canonicalize import Canonicalize
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline
from kdsl.passes.narrow_dots import NarrowDots
from kdsl.passes.peel_masks import OrderBlocks, PeelMasks
from kdsl.passes.pipelines import SIMPLIFY
from kdsl.passes.propagate_launch_constants import PropagateLaunchConstants
from kdsl.passes.software_pipeline import SoftwarePipeline
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
        NarrowDots(),
        PropagateLaunchConstants(),
        SIMPLIFY,
        OrderBlocks(),
        SIMPLIFY,
        HopperPlan(),
        SoftwarePipeline(),
        SIMPLIFY,
        PeelMasks(),
        TIDY,
        WarpSpecialize(),
        SIMPLIFY,
        AsyncDots(),
        Canonicalize(),
        TIDY,
        PrefetchTables(),
        TIDY,
        OverlapLaunches(),
        ProtocolCheck(),
    ),
)
"""From tile programs to roles; kernels that fit no schedule only lose masks."""
