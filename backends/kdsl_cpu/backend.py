"""The CPU back end: what it has, in one screen."""

from __future__ import annotations

from kdsl.codegen.backend import Backend
from kdsl.dialects import math
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.legalize import Legal
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline
from kdsl.passes.pipelines import SIMPLIFY
from kdsl.passes.tile_to_loops import TileToLoops
from kdsl_cpu.assemble import assemble
from kdsl_cpu.emit import emit, lower
from kdsl_cpu.features import CHIPS, NATIVE, resolve

ROUNDING = (math.Floor, math.Ceil, math.Trunc, math.Roundeven)

BACKEND = Backend(
    name="cpu",
    resolve=resolve,
    chips=(NATIVE, *CHIPS),
    legal=Legal(
        "cpu",
        # Round is made of Trunc: halves away from zero have no instruction on x86.
        ops=lower.ops - {math.Round},
        needs={math.Fma: lambda f: f.fma} | dict.fromkeys(ROUNDING, lambda f: f.rounding),
    ),
    pipeline=Pipeline(
        "cpu", (TileToLoops(), SIMPLIFY, LoopInvariantCodeMotion(), DeadCodeElimination())
    ),
    emit=emit,
    assemble=assemble,
    load="kdsl_cpu.runtime:load",
    trial="kdsl_cpu.runtime:try_out",
)
