"""Emitted OpenCL C: its text, what it refuses, and what its last line keeps. No driver is needed."""

from __future__ import annotations

import pytest

from kdsl.codegen.backend import Source
from kdsl.codegen.clike.facts import read_facts
from kdsl.errors import CannotLowerError, NoLauncherError, UnknownChipError
from kdsl.ir.parser import parse
from kdsl.testing.lane_programs import LaneProgram, lane_programs, module_of
from kdsl_opencl.backend import BACKEND

GENERIC = BACKEND.resolve("generic")
PROGRAMS = {p.name: p for p in lane_programs()}

REVERSED = """\
__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void kdsl_go_kernel(const ulong X0_o,
    __global float *X0_p,
    const ulong Y1_o,
    __global float *Y1_p)
{
  __local float shared0[64] __attribute__((aligned(16)));
  const ulong v1 = (ulong)get_local_id(0);
  const ulong v2 = (ulong)get_group_id(0);
  const ulong v3 = X0_o + v1;
  const float v4 = X0_p[v3];
  shared0[v1] = v4;
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  const ulong v5 = 63ul - v1;
  const float v6 = shared0[v5];
  const ulong v7 = Y1_o + v1;
  Y1_p[v7] = v6;
}
"""


def emitted(program, target=GENERIC):
    return BACKEND.emit(module_of(program), target).text


def test_a_kernel_is_plain_c_over_scalars():
    assert REVERSED in emitted(PROGRAMS["lanes_in_reverse"])


def test_a_product_and_a_sum_are_fused_only_where_the_program_allows_it():
    body = """
    %x = "memref.load"(%X, %t) : (memref<?xf32>, index) -> f32
    %xx = "arith.mulf"(%x, %x) {fastmath = #arith.fastmath<contract>} : (f32, f32) -> f32
    %y = "arith.addf"(%xx, %x) {FLAGS} : (f32, f32) -> f32
    "memref.store"(%y, %X, %t) : (f32, memref<?xf32>, index) -> ()"""
    texts = []
    for flags in ("fastmath = #arith.fastmath<contract>", ""):
        made = body.replace("{FLAGS}", f"{{{flags}}}")
        program = LaneProgram("fused", {"X": "memref<?xf32>"}, made, lambda: ())
        texts.append(emitted(program, BACKEND.resolve("pocl")))
    assert "fma(v4, v4, v4)" in texts[0]
    assert "fma(" not in texts[1]
    assert "v4 * v4" in texts[1]


def test_no_instruction_fuses_where_the_chip_has_none():
    assert "fma(" not in emitted(PROGRAMS["tree_of_sums"])


def test_doubles_are_refused_where_the_chip_has_none():
    with pytest.raises(CannotLowerError, match="no f64"):
        emitted(PROGRAMS["atomic_addf_f64"], BACKEND.resolve("fp32"))


def test_an_unknown_chip_names_the_known_ones():
    with pytest.raises(UnknownChipError, match="pocl"):
        BACKEND.resolve("gtx")


def test_the_last_line_keeps_the_hosts_part_and_how_to_launch():
    facts = read_facts(emitted(PROGRAMS["lanes_in_reverse"]))
    assert facts.entries == ("go",)
    row = facts.kernels["go.kernel"]
    assert (row["symbol"], row["lanes"]) == ("kdsl_go_kernel", 64)
    kinds = [kind for kind, *_ in row["parameters"]]
    assert kinds == ["offset", "buffer", "offset", "buffer"]
    host = parse(facts.host)
    assert [f.sym_name for f in host.functions if f.is_entry] == ["go"]
    assert "gpu.barrier" not in facts.host


def test_emitting_twice_gives_the_same_text():
    assert emitted(PROGRAMS["histogram"]) == emitted(PROGRAMS["histogram"])


def test_accesses_are_counted_by_width():
    facts = read_facts(emitted(PROGRAMS["fragments_f32_x4"]))
    (line,) = facts.accesses
    assert "load of 4 x f32" in line
    assert "masked store of 1 x f32" in line


def test_a_file_cannot_be_built_and_that_is_said():
    with pytest.raises(NoLauncherError, match="opencl:generic"):
        BACKEND.assemble(Source("; a launcher in LLVM IR", ".ll"), GENERIC)
