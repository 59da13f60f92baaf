"""The AMDGPU back end: what it has, in one screen."""

from __future__ import annotations

from kdsl.codegen.backend import Backend
from kdsl.dialects import kdsl, math, memref
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.distribute import Distribute
from kdsl.passes.legalize import Legal
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline
from kdsl.passes.pipelines import SIMPLIFY
from kdsl.passes.simt import Simt
from kdsl_amdgpu.assemble import ROCM_MEMORY, assemble
from kdsl_amdgpu.emit import emit, lower
from kdsl_amdgpu.features import CHIPS, NAME, resolve
from kdsl_amdgpu.wide import DecomposeWide

HOST = frozenset({kdsl.Launch, memref.Alloc, memref.Dealloc})
"""Ops of entries, which the host runs."""

BACKEND = Backend(
    name=NAME,
    resolve=resolve,
    chips=tuple(CHIPS),
    # Round is made of Trunc: halves away from zero have no instruction.
    legal=Legal(NAME, ops=(lower.ops | HOST) - {math.Round}),
    pipeline=Pipeline(
        NAME,
        (
            Distribute(),
            Simt(),
            SIMPLIFY,
            LoopInvariantCodeMotion(),
            DeadCodeElimination(),
            DecomposeWide(),
        ),
    ),
    emit=emit,
    assemble=assemble,
    load="kdsl_amdgpu.runtime:load",
    trial="kdsl_amdgpu.emulator.device:try_out",
    device=ROCM_MEMORY,
    devices="kdsl_amdgpu.runtime:DEVICES",
)
