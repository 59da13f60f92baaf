"""The Metal back end: what it has, in one screen."""

from __future__ import annotations

from kdsl.codegen.backend import Backend
from kdsl.dialects import kdsl, memref
from kdsl.passes.dce import DeadCodeElimination
from kdsl.passes.distribute import Distribute
from kdsl.passes.legalize import Legal
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline
from kdsl.passes.pipelines import SIMPLIFY
from kdsl.passes.simt import Simt
from kdsl_metal.assemble import assemble
from kdsl_metal.emit import emit, lower
from kdsl_metal.features import CHIPS, resolve

HOST = frozenset({kdsl.Launch, memref.Alloc, memref.Dealloc})
"""Ops of entries, which the host runs."""

BACKEND = Backend(
    name="metal",
    resolve=resolve,
    chips=tuple(CHIPS),
    legal=Legal("metal", ops=lower.ops | HOST),
    pipeline=Pipeline(
        "metal",
        (Distribute(), Simt(), SIMPLIFY, LoopInvariantCodeMotion(), DeadCodeElimination()),
    ),
    emit=emit,
    assemble=assemble,
    load="kdsl_metal.runtime:load",
    trial="kdsl_metal.standin.trial:try_out",
    usual="apple7",
)
