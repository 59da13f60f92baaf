"""The pipelines, as data; read them aloud."""

from __future__ import annotations

from kdsl.passes.canonicalize import Canonicalize
from kdsl.passes.cse import CommonSubexpressionElimination
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.if_convert import IfConvert
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline
from kdsl.passes.unroll import Unroll
from kdsl.passes.vectorize import Vectorize

SIMPLIFY = Pipeline("simplify", (Canonicalize(), CommonSubexpressionElimination()))
OPTIMIZE = Pipeline(
    "optimize",
    (
        SIMPLIFY,
        IfConvert(),
        LoopInvariantCodeMotion(),
        Vectorize(),
        Unroll(),
        SIMPLIFY,
        LoopInvariantCodeMotion(),
        DeadCodeElimination(),
    ),
)

PIPELINES: dict[str, Pipeline] = {p.name: p for p in (SIMPLIFY, OPTIMIZE)}
"""Every pipeline by its name."""
