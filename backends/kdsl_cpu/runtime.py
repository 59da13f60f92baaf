"""Running object files in this process: one LLVM engine each, one thread pool for all."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from kdsl.codegen.backend import Artifact, LoadedEntry, Source, Trial
from kdsl.errors import CannotRunError
from kdsl.ir.core import Module
from kdsl.runtime.launcher import status_error
from kdsl.runtime.slots import words_of
from kdsl.settings import settings
from kdsl.target.target import Target
from kdsl_cpu.assemble import POOL_FUNCTION, assemble, initialize
from kdsl_cpu.features import detect, runs_here
from kdsl_cpu.runtime_ir import pool_ir

ENTRY_PREFIX = "kdsl_entry_"
CALL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)


def _engine(data: bytes) -> Any:
    initialize()
    # A JIT engine reads relocations of any size; its own machine is never asked to generate code.
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    return engine


@cache
def pool() -> Any:
    """Start the thread pool of this process and make it known to later engines."""
    # The pool reads the variable itself and ignores what it cannot read; a typo must be seen.
    _ = settings.num_threads
    here = detect()
    built = assemble(Source(pool_ir(here.triple), ".ll"), here)
    engine = _engine(built.data)
    llvm.add_symbol(POOL_FUNCTION, engine.get_function_address(POOL_FUNCTION))
    return engine


def set_num_threads(count: int) -> None:
    """Choose how many threads launches use; 0 goes back to the environment's choice."""
    address = pool().get_function_address("kdsl_set_num_threads")
    ctypes.CFUNCTYPE(None, ctypes.c_int32)(address)(count)


def load(artifact: Artifact, target: Target) -> dict[str, LoadedEntry]:
    """Return the entries of an object file as functions; raise CannotRunError for foreign code."""
    if not runs_here(target):
        raise CannotRunError(target=target, here=detect())
    pool()
    engine = _engine(artifact.data)
    found: dict[str, LoadedEntry] = {}
    for name in artifact.entries:
        address = engine.get_function_address(ENTRY_PREFIX + name)
        found[name] = LoadedEntry(name, CALL(address), address, engine)
    return found


def try_out(
    module: Module, artifact: Artifact, target: Target, entry: str, args: Sequence[Any]
) -> Trial:
    """Run an entry on this processor; code for another one is only assembled."""
    if not runs_here(target):
        return Trial("assembled", "LLVM", ".".join(map(str, llvm.llvm_version_info)))
    function = module.function(entry)
    slots = words_of([p.type for p in function.body.args], args)
    loaded = load(artifact, target)[entry]  # holds the code for as long as it runs
    if status := loaded.call(ctypes.addressof(slots)):
        raise status_error(entry, status)
    here = detect()
    architecture = here.triple.partition("-")[0].replace("_", "-")
    return Trial("hardware", f"{architecture} processor", dict(here.options)["cpu"])
