"""Lane-level programs on an OpenCL driver: the lane interpreter says what they compute."""

from __future__ import annotations

import numpy as np
import pytest

from kdsl.errors import KernelAssertError
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.testing import simt
from kdsl.testing.lane_programs import LaneProgram, lane_programs, module_of
from kdsl_opencl.backend import BACKEND


def run_here(program, target, args):
    """Compile a lane-level program and run it; returns its text."""
    module = module_of(program)
    run_pipeline(Pipeline("legalize", (Legalize(BACKEND.legal),)), module, target)
    source = BACKEND.emit(module, target)
    BACKEND.try_out(module, BACKEND.assemble(source, target), target, "go", args)
    return source.text


@pytest.mark.parametrize("program", lane_programs(), ids=str)
def test_lanes_compute_what_the_interpreter_says(program, target):
    mine, theirs = program.make(), program.make()
    run_here(program, target, mine)
    simt.run(module_of(program), "go", theirs, target.features)
    for got, wanted in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(got, wanted)


def checking(body_after, condition="%small"):
    """A program that asserts, then writes beyond its buffer in lanes whose assertion fails."""
    body = f"""
    %x = "memref.load"(%X, %t) : (memref<?xi32>, index) -> i32
    %i = "arith.index_cast"(%x) : (i32) -> index
    %small = "arith.cmpi"(%i, %c64) {{predicate = 2 : i64}} : (index, index) -> i1
    %few = "arith.cmpi"(%t, %c64) {{predicate = 2 : i64}} : (index, index) -> i1
    "cf.assert"({condition}) {{msg = "an index is too large"}} : (i1) -> ()
    {body_after}
    "memref.store"(%x, %Y, %i) : (i32, memref<?xi32>, index) -> ()"""
    parameters = {"X": "memref<?xi32>", "Y": "memref<?xi32>"}
    return LaneProgram("asserts", parameters, body, lambda: (), constants=(64,))


BARRIER = '"gpu.barrier"() : () -> ()'


@pytest.mark.parametrize("barrier", ["", BARRIER], ids=["alone", "before a barrier"])
def test_a_failed_assertion_is_reported_and_its_lane_writes_nothing(barrier, target):
    x = np.arange(64, dtype=np.int32)
    x[7] = 100
    y = np.full(128, -1, np.int32)
    with pytest.raises(KernelAssertError):
        run_here(checking(barrier), target, (x, y[:64]))
    assert (y[64:] == -1).all()


def test_an_assertion_that_holds_costs_no_result(target):
    x, y = np.arange(64, dtype=np.int32), np.full(64, -1, np.int32)
    run_here(checking(BARRIER), target, (x, y))
    np.testing.assert_array_equal(y, x)


def test_lanes_that_leave_together_keep_plain_accesses(target):
    """All lanes agree on a condition that is made of arguments: no access needs a guard."""
    agreed = """
    %first = "memref.load"(%X, %c0) : (memref<?xi32>, index) -> i32
    %zero = "arith.index_cast"(%first) : (i32) -> index
    %good = "arith.cmpi"(%zero, %c64) {predicate = 2 : i64} : (index, index) -> i1
    "cf.assert"(%good) {msg = "the first element is too large"} : (i1) -> ()
    "gpu.barrier"() : () -> ()
    "memref.store"(%first, %Y, %t) : (i32, memref<?xi32>, index) -> ()"""
    parameters = {"X": "memref<?xi32>", "Y": "memref<?xi32>"}
    program = LaneProgram("agreed", parameters, agreed, lambda: (), constants=(0, 64))
    x, y = np.full(64, 5, np.int32), np.zeros(64, np.int32)
    text = run_here(program, target, (x, y))
    assert "kdsl_alive" not in text
    assert (y == 5).all()
    with pytest.raises(KernelAssertError):
        run_here(program, target, (np.full(64, 500, np.int32), y))


def test_values_are_printed(target, capfd):
    body = """
    %x = "memref.load"(%X, %t) : (memref<?xf32>, index) -> f32
    %v = "vector.broadcast"(%x) : (f32) -> vector<2xf32>
    %on = "arith.cmpi"(%t, %c0) {predicate = 0 : i64} : (index, index) -> i1
    "scf.if"(%on) ({
      "kdsl.print"(%t, %x, %v, %on) {format = "lane {}: 100% {} {} {}"}
        : (index, f32, vector<2xf32>, i1) -> ()
      "scf.yield"() : () -> ()
    }, {}) : (i1) -> ()"""
    program = LaneProgram("prints", {"X": "memref<?xf32>"}, body, lambda: (), constants=(0,))
    run_here(program, target, (np.full(64, 1.5, np.float32),))
    assert "lane 0: 100% 1.5 [1.5 1.5] 1\n" in capfd.readouterr().out
