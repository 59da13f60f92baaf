"""The pipelines, as data; read them aloud."""

from __future__ import annotations

from kdsl.passes.align_stores import AlignStores
from kdsl.passes.canonicalize import Canonicalize
from kdsl.passes.cse import CommonSubexpressionElimination
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.fuse_elementwise import FuseElementwise
from kdsl.passes.fuse_launches import DropWorkspaces, FuseLaunches
from kdsl.passes.if_convert import IfConvert
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline
from kdsl.passes.narrow_dots import NarrowDots
from kdsl.passes.parallel import DistributeParallel
from kdsl.passes.peel_masks import OrderBlocks, PeelMasks
from kdsl.passes.propagate_launch_constants import PropagateLaunchConstants
from kdsl.passes.software_pipeline import SoftwarePipeline
from kdsl.passes.unroll import Unroll
from kdsl.passes.vectorize import Vectorize

SIMPLIFY = Pipeline("simplify", (Canonicalize(), CommonSubexpressionElimination()))
FUSE = Pipeline("fuse", (FuseLaunches(), FuseElementwise(), DropWorkspaces()))
WIDEN = Pipeline("widen", (DistributeParallel(), AlignStores(), Vectorize(), Unroll()))
OPTIMIZE = Pipeline(
    "optimize",
    (
        SIMPLIFY,
        FUSE,
        IfConvert(),
        LoopInvariantCodeMotion(),
        WIDEN,
        SIMPLIFY,
        LoopInvariantCodeMotion(),
        DeadCodeElimination(),
    ),
)
"""From a traced module to lane-level code, for targets with flat memory."""

ORDER = Pipeline(
    "order", (NarrowDots(), PropagateLaunchConstants(), SIMPLIFY, OrderBlocks(), SIMPLIFY)
)
"""Tile programs as schedules like them: narrow products, known sizes, masked blocks first."""
SKEW = Pipeline("skew", (SoftwarePipeline(), SIMPLIFY, PeelMasks(), SIMPLIFY))
"""Late stages a turn behind, and masks out of the turns that need none."""

PIPELINES: dict[str, Pipeline] = {p.name: p for p in (SIMPLIFY, FUSE, WIDEN, OPTIMIZE, ORDER, SKEW)}
"""Every pipeline by its name."""
