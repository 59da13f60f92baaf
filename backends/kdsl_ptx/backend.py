"""The PTX back end: what it has, in one screen."""

from __future__ import annotations

from kdsl.codegen.backend import Backend
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.distribute import Distribute
from kdsl.passes.legalize import Legal
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline
from kdsl.passes.pipelines import SIMPLIFY
from kdsl.passes.simt import Simt
from kdsl_ptx import host_entry
from kdsl_ptx.artifact import DLPACK_CUDA
from kdsl_ptx.assemble import assemble
from kdsl_ptx.emit import LOWER
from kdsl_ptx.features import CHIPS, NAME, resolve
from kdsl_ptx.hopper.dependence import SignalDependents
from kdsl_ptx.hopper.lower import LowerRoles
from kdsl_ptx.hopper.pipeline import SCHEDULE
from kdsl_ptx.machine_math import MachineMath
from kdsl_ptx.source import emit

HOST = frozenset(
    kind for kind in host_entry.lower.ops if kind.name.partition(".")[0] in ("kdsl", "memref", NAME)
)
"""Ops of entries alone; their arithmetic is as kernels have it."""

BACKEND = Backend(
    name=NAME,
    resolve=resolve,
    chips=tuple(CHIPS),
    legal=Legal(NAME, ops=LOWER.ops | HOST),
    pipeline=Pipeline(
        NAME,
        (
            SCHEDULE,
            LowerRoles(),
            Distribute(),
            Simt(),
            SIMPLIFY,
            LoopInvariantCodeMotion(),
            MachineMath(),
            DeadCodeElimination(),
            SignalDependents(),
        ),
    ),
    emit=emit,
    assemble=assemble,
    load="kdsl_ptx.runtime:load",
    trial="kdsl_ptx.trial:try_out",
    device=DLPACK_CUDA,
    devices="kdsl_ptx.devices:DEVICES",
)
