"""Running kernels in the interpreter, and reading the error that a kernel raises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kdsl.errors import KdslError
from kdsl.ir.interpreter import interpret
from kdsl.ir.types import dtype_of_numpy
from kdsl.ir.verify import verify
from kdsl.language.specialize import specialization_for, trace
from kdsl.target.target import GENERIC


def fact_of(value):
    if isinstance(value, np.ndarray):
        return dtype_of_numpy(value.dtype).name, value.shape
    return None


def argument_of(param, value, dtype):
    if param.kind != "scalar":
        return value
    return dtype.numpy.type(value)


def run_kernel(kernel, *args, grid=None, target=GENERIC, **named):
    """Trace for these arguments, verify, and interpret the entry; arrays are written in place."""
    leaves, consts = kernel.params.bind(args, named)
    facts = [fact_of(v) for v in leaves]
    spec = specialization_for(kernel, facts, consts)
    if grid is not None:
        spec = replace(spec, explicit_grid=True)
    traced = trace(kernel, spec, target)
    verify(traced.module)
    from kdsl.language.specialize import Binding

    binding = Binding(kernel, spec, target)
    given = [
        argument_of(p, v, binding.dtype(p)) for p, v in zip(kernel.params.args, leaves, strict=True)
    ]
    if grid is not None:
        given += [np.int64(n) for n in (*grid, 1, 1)[:3]]
    interpret(traced.module, traced.entry, given)
    return traced


@pytest.fixture
def run():
    return run_kernel


@pytest.fixture
def error_of():
    """Trace a kernel with these names; return the error that it raises."""

    def find(kernel, **names):
        with pytest.raises(KdslError) as caught:
            verify(kernel.trace(kernel.specialize(**names)).module)
        return caught.value

    return find
