"""The OpenCL back end: what it has, in one screen."""

from __future__ import annotations

from kdsl.codegen.backend import Backend
from kdsl.dialects import kdsl, math, memref
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.legalize import Legal
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline
from kdsl.passes.pipelines import SIMPLIFY
from kdsl_opencl.assemble import assemble
from kdsl_opencl.emit import emit, lower
from kdsl_opencl.features import CHIPS, NATIVE, resolve
from kdsl_opencl.lanes_or_loops import LanesOrLoops

HOST = frozenset({kdsl.Launch, memref.Alloc, memref.Dealloc})
"""Ops of entries, which the host runs."""

BACKEND = Backend(
    name="opencl",
    resolve=resolve,
    chips=(NATIVE, *CHIPS),
    legal=Legal("opencl", ops=lower.ops | HOST, needs={math.Fma: lambda f: f.fma}),
    pipeline=Pipeline(
        "opencl", (LanesOrLoops(), SIMPLIFY, LoopInvariantCodeMotion(), DeadCodeElimination())
    ),
    emit=emit,
    assemble=assemble,
    load="kdsl_opencl.runtime:load",
    trial="kdsl_opencl.runtime:try_out",
    usual="generic",
)
