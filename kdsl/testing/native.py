"""Compiling and running modules without a language around them, for tests of back ends."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

import numpy as np

import kdsl.dialects.all  # noqa: F401 - ops are found in the registry
from kdsl.codegen.backend import Backend, LoadedEntry
from kdsl.ir.core import Module
from kdsl.ir.parser import parse
from kdsl.ir.verify import verify
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.target.target import Target


def native_entries(
    source: Module | str, backend: Backend, target: Target
) -> dict[str, LoadedEntry]:
    """Legalize, emit, assemble and load a module (or its text); no other pass runs."""
    module = parse(source) if isinstance(source, str) else source
    verify(module)
    run_pipeline(Pipeline("legalize", (Legalize(backend.legal),)), module, target)
    artifact = backend.assemble(backend.emit(module, target), target)
    return backend.loader()(artifact, target)


def run_native(entry: LoadedEntry, *args: Any) -> int:
    """Call an entry and return its status.

    An array is passed as a pointer; ``(array,)`` as a tensor with sizes and strides; ints and
    floats (f64) as they are, np.float32 in its own bits.
    """
    words: list[int] = []
    for arg in args:
        if isinstance(arg, tuple):
            (array,) = arg
            words += [array.ctypes.data, *array.shape]
            words += [s // array.itemsize for s in array.strides]
        elif isinstance(arg, np.ndarray):
            words.append(arg.ctypes.data)
        elif isinstance(arg, np.float32):
            words.append(struct.unpack("<I", struct.pack("<f", arg))[0])
        elif isinstance(arg, float):
            words.append(struct.unpack("<q", struct.pack("<d", arg))[0])
        else:
            words.append(int(arg))
    slots = (ctypes.c_int64 * max(len(words), 1))(*words)
    return entry.call(ctypes.addressof(slots))
