"""Every elementwise op on every element type on a real device, against its meaning.

    PYTHONPATH=.:backends python tests/backends/ptx/device_conformance.py [--widths 0,8] [--chip sm_90a]

Prints the first wrong element of each op that differs; the exit status is their number.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time

import numpy as np
import torch

from kdsl.dialects import math
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.testing import conformance
from kdsl.testing.conformance import build_module, elementwise_cases
from kdsl_ptx.backend import BACKEND

LANES = 32
APPROXIMATE = {math.Exp2: 2.1, math.Rsqrt: 2.1}
"""Errors of the instructions, in units of the last place, where formulae are closer."""


def on_device(array):
    raw = np.ascontiguousarray(array).view(np.uint8)
    return torch.from_numpy(raw.copy()).cuda()


def execute(call, case, inputs):
    count, width = len(inputs[0]), max(case.width, 1)
    padded = -(-count // width) * width
    given = [np.concatenate([a, np.repeat(a[:1], padded - count)]) for a in inputs]
    out = np.zeros(padded, conformance.result_element(case).numpy)
    arrays = [on_device(a) for a in (*given, out)]
    slots = [*(a.data_ptr() for a in arrays), padded, 0, torch.cuda.current_device()]
    words = (ctypes.c_int64 * len(slots))(*slots)
    status = call(ctypes.addressof(words))
    torch.cuda.synchronize()
    if status:
        raise RuntimeError(f"{case.name}: status {status}")
    return arrays[-1].cpu().numpy().view(out.dtype)[:count]


def check(target, width):
    cases = list(elementwise_cases([width]))
    module = build_module(cases, LANES)
    functions = module.functions[::2]
    ops = [
        next(op for op in f.walk() if type(op) is c.kind)
        for f, c in zip(functions, cases, strict=True)
    ]
    wanted = [conformance.meaning(case, op) for case, op in zip(cases, ops, strict=True)]
    steps = (BACKEND.pipeline, Pipeline("legalize", (Legalize(BACKEND.legal),)))
    run_pipeline(Pipeline("conformance", steps), module, target)
    artifact = BACKEND.assemble(BACKEND.emit(module, target), target)
    entries = BACKEND.loader()(artifact, target)
    wrong = 0
    for case, (inputs, expected) in zip(cases, wanted, strict=True):
        got = execute(entries[case.name].call, case, inputs)
        problem = conformance.compare(case, inputs, expected, got)
        if problem is not None:
            wrong += 1
            print(problem)
    return len(cases), wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--widths", default="0,1,3,4,8,16,17")
    parser.add_argument("--chip", default="")
    given = parser.parse_args()
    conformance.ULPS.update(APPROXIMATE)
    target, total = BACKEND.resolve(given.chip), 0
    for width in map(int, given.widths.split(",")):
        started = time.perf_counter()
        cases, wrong = check(target, width)
        total += wrong
        print(f"width {width}: {cases} ops, {wrong} wrong, {time.perf_counter() - started:.1f} s")
    return min(total, 99)


if __name__ == "__main__":
    sys.exit(main())
