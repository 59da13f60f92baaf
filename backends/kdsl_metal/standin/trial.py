"""Running Metal text on this CPU, in a child process: a fault in it is an answer, not an end."""

from __future__ import annotations

import ctypes
import pickle
import platform
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsl.codegen.backend import Artifact, Trial
from kdsl.errors import KernelAssertError, LaneOrderError
from kdsl.ir.core import Module
from kdsl.ir.types import MemRefType, Type
from kdsl.runtime.slots import is_pointer, words_of
from kdsl.target.target import Target
from kdsl_metal.standin.job import Bytes, Job

HOW = "kdsl's own reading of the Metal library, clang, 3 orders of the lanes"


def try_out(
    module: Module, artifact: Artifact, target: Target, entry: str, args: Sequence[Any]
) -> Trial:
    """Run an entry by the system's Metal, elsewhere by the stand-in; arrays change in place."""
    if platform.system() == "Darwin":
        return _on_device(module, artifact, entry, args)
    del target
    kinds = [p.type for p in module.function(entry).body.args]
    given = [_argument(kind, arg) for kind, arg in zip(kinds, args, strict=True)]
    status, found = run_child(Job(artifact.data.decode(), entry, tuple(given)), entry)
    if status:
        raise KernelAssertError(kernel=entry)
    arrays = [a for kind, a in zip(kinds, args, strict=True) if _is_array(kind, a)]
    for array, data in zip(arrays, found, strict=True):
        low, _ = _span(array)
        if bytes(data) != ctypes.string_at(low, len(data)):
            ctypes.memmove(low, data, len(data))
    return Trial("emulator", HOW)


def _on_device(module: Module, artifact: Artifact, entry: str, args: Sequence[Any]) -> Trial:
    """Run an entry on the default device of this Mac."""
    from kdsl_metal.runtime import device_name, loaded

    kinds = [p.type for p in module.function(entry).body.args]
    entries, program = loaded(artifact)
    for kind, arg in zip(kinds, args, strict=True):
        if _is_array(kind, arg):
            program.mirror.sizes[arg.ctypes.data] = arg.nbytes
    slots = words_of(kinds, args)
    if entries[entry].call(ctypes.addressof(slots)):
        raise KernelAssertError(kernel=entry)
    return Trial("hardware", device_name())


def run_child(job: Job, entry: str) -> tuple[int, list[bytes]]:
    """Run a job in a child. Raises what it raises, LaneOrderError for a fault."""
    command = [sys.executable, "-m", "kdsl_metal.standin.worker"]
    done = subprocess.run(command, input=pickle.dumps(job), capture_output=True, check=False)
    if done.returncode < 0:
        why = f"memory outside of all buffers was touched (signal {-done.returncode})"
        raise LaneOrderError(kernel=entry, why=why)
    if done.returncode:
        raise LaneOrderError(kernel=entry, why=done.stderr.decode()[-500:])
    answer = pickle.loads(done.stdout)  # noqa: S301 - the child's own
    if isinstance(answer, Exception):
        raise answer
    status: int
    data: list[bytes]
    status, data = answer
    return status, data


def _is_array(kind: Type, arg: Any) -> bool:
    return isinstance(kind, MemRefType) and arg is not None


def _argument(kind: Type, arg: Any) -> Any:
    if not isinstance(kind, MemRefType):
        return int(words_of([kind], [arg])[0])
    pointer = is_pointer(kind)
    if arg is None:
        return (1 if pointer else 1 + 2 * kind.rank,)
    low, high = _span(arg)
    strides = tuple(s // arg.itemsize for s in arg.strides)
    data = ctypes.string_at(low, high - low)
    return Bytes(data, arg.ctypes.data - low, arg.shape, strides, pointer)


def _span(array: np.ndarray) -> tuple[int, int]:
    """Return the addresses that an array reaches over."""
    at = array.ctypes.data
    if array.size == 0:
        return at, at
    ends = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    low = at + sum(min(e, 0) for e in ends)
    return low, at + sum(max(e, 0) for e in ends) + array.itemsize
