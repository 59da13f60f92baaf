"""Programs go to the lanes of a workgroup, or on a CPU, where a lane costs as much, to loops."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.ir.core import Module
from kdsl.passes.distribute import Distribute
from kdsl.passes.manager import Pass, Pipeline, run_pipeline
from kdsl.passes.simt import Simt
from kdsl.passes.tile_to_loops import TileToLoops
from kdsl.target.target import Target

LANES = Pipeline("lanes", (Distribute(), Simt()))
LOOPS = Pipeline("loops", (TileToLoops(),))


@dataclass(frozen=True)
class LanesOrLoops(Pass):
    """Lower tiles and marked loops as the chip's features want it."""

    name = "lanes-or-loops"

    def run(self, module: Module, target: Target) -> bool:
        """Run the passes for lanes, or those for loops."""
        chosen = LANES if target.features.has_lanes else LOOPS
        return any(step.changed for step in run_pipeline(chosen, module, target))
