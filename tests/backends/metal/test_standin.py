"""Metal text on the CPU: what it computes, and that faults put in on purpose are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kdsl.dialects import math
from kdsl.errors import AssembleError, CannotLowerError, KernelAssertError, LaneOrderError
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.testing import simt
from kdsl.testing.conformance import check_backend, elementwise_cases
from kdsl.testing.conformance_table import check
from kdsl.testing.lane_programs import LaneProgram, lane_programs, module_of
from kdsl.testing.library_cases import library_cases, matrix_cases
from kdsl_metal.backend import BACKEND
from kdsl_metal.standin.build import read_strictly

pytestmark = pytest.mark.usefixtures("clang")

PROGRAMS = {p.name: p for p in lane_programs() if "64" not in p.name.rpartition("_")[2]}
"""Metal has neither f64 nor atomics of 64 bits."""
QUICK = ("tree_of_sums", "shuffle_down_8_i32", "histogram", "fragments_f16_x19", "strided_tensor")
BARRIER = '"gpu.barrier"() : () -> ()'


def run_here(program, target, args, change=lambda text: text):
    module = module_of(program)
    run_pipeline(Pipeline("legalize", (Legalize(BACKEND.legal),)), module, target)
    source = BACKEND.emit(module, target)
    artifact = BACKEND.assemble(replace(source, text=change(source.text)), target)
    BACKEND.try_out(module, artifact, target, "go", args)


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in PROGRAMS]
)
def test_lanes_compute_what_the_interpreter_says(name, target):
    program = PROGRAMS[name]
    mine, theirs = program.make(), program.make()
    run_here(program, target, mine)
    simt.run(module_of(program), "go", theirs, target.features)
    for got, wanted in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("case", [*library_cases(), *matrix_cases()], ids=str)
def test_a_library_kernel_computes_its_meaning(case, target):
    (row,) = check([case], [target])
    assert row.rung in ("hardware", "emulator"), row


def test_a_power_is_refused_as_its_formula_needs_doubles(target):
    (case,) = [c for c in elementwise_cases([0]) if c.name == "math_powf_f32_x0"]
    with pytest.raises(CannotLowerError, match="no f64"):
        check_backend(BACKEND, target, [case], lanes=1)


def test_a_product_goes_through_simdgroup_matrices(target):
    case = next(c for c in matrix_cases() if c.kernel.name == "matmul")
    assert "simdgroup_multiply_accumulate" in case.kernel.source(str(target), **case.values)
    (row,) = check([case], [target])
    assert row.rung in ("hardware", "emulator"), row


@pytest.mark.slow
@pytest.mark.parametrize("width", [0, 3])
def test_every_op_gives_what_its_meaning_says(width, target):
    here = replace(BACKEND, load="kdsl_metal.standin.load:load")
    cases = [
        c for c in elementwise_cases([width]) if "f64" not in c.name and c.kind is not math.Powf
    ]
    run = check_backend(here, target, cases, lanes=1)
    assert not run.problems, "\n".join(map(str, run.problems[:20]))
    assert run.compared > 100 * len(cases)


# ------------------------------------------------------------------------------- broken on purpose


def broken(name, old, new):
    whole = PROGRAMS[name]
    assert old in whole.body
    return replace(whole, body=whole.body.replace(old, new), constants=(*whole.constants, 4096))


def test_a_missing_barrier_shows_in_one_of_the_orders(target):
    program = broken("lanes_in_reverse", BARRIER, "")
    with pytest.raises(LaneOrderError, match="order of the lanes"):
        run_here(program, target, program.make())


@pytest.mark.parametrize(
    ("old", "new"),
    [("(%y, %Y, %t)", "(%y, %Y, %c4096)"), ("(%X, %t)", "(%X, %c4096)")],
    ids=["a store", "a load"],
)
def test_an_access_beyond_a_buffer_is_a_fault(old, new, target):
    program = broken("lanes_in_reverse", old, new)
    with pytest.raises(LaneOrderError, match="outside of all buffers"):
        run_here(program, target, program.make())


def test_a_barrier_that_some_lanes_miss_is_found(target):
    inside = f'"scf.if"(%low) ({{\n      {BARRIER}'
    program = broken("tree_of_sums", '"scf.if"(%low) ({', inside)
    with pytest.raises(LaneOrderError, match="at a barrier"):
        run_here(program, target, program.make())


def test_a_failed_assertion_is_the_callers_error(target):
    body = """
    %x = "memref.load"(%X, %t) : (memref<?xi32>, index) -> i32
    %i = "arith.index_cast"(%x) : (i32) -> index
    %small = "arith.cmpi"(%i, %c64) {predicate = 2 : i64} : (index, index) -> i1
    "cf.assert"(%small) {msg = "an index is too large"} : (i1) -> ()
    "gpu.barrier"() : () -> ()
    "memref.store"(%x, %X, %i) : (i32, memref<?xi32>, index) -> ()"""
    program = LaneProgram("asserts", {"X": "memref<?xi32>"}, body, lambda: (), constants=(64,))
    x = np.arange(64, dtype=np.int32)
    run_here(program, target, (x,))
    x[3] = 100_000
    with pytest.raises(KernelAssertError):
        run_here(program, target, (x,))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("const float v3 = X0_p[v1];", "const double v3 = X0_p[v1];"),
        ("shared0[v1] = v3;", "*(device float *)(shared0 + v1) = v3;"),
        ("Y1_p[v1] = v5;", "Y1_p[v1] = unheard_of(v5);"),
        ("const ulong v4 =", "if (v1 > 3) { threadgroup float more[4]; }\n  const ulong v4 ="),
    ],
    ids=["double", "mixed address spaces", "unknown function", "nested threadgroup variable"],
)
def test_clang_refuses_what_metal_would(old, new, target):
    text = BACKEND.emit(module_of(PROGRAMS["lanes_in_reverse"]), target).text
    read_strictly(text)
    assert old in text
    with pytest.raises(AssembleError):
        read_strictly(text.replace(old, new))
