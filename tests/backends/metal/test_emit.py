"""Emitted Metal text: its shape, its structure of numbers, and what it refuses."""

from __future__ import annotations

import pytest

from kdsl.codegen.backend import Source
from kdsl.codegen.clike.facts import read_facts
from kdsl.errors import CannotLowerError, NoDriverError, NoLauncherError, UnknownChipError
from kdsl.ir.types import DYNAMIC
from kdsl.testing.lane_programs import LaneProgram, lane_programs, module_of
from kdsl_metal.backend import BACKEND
from kdsl_metal.emit import split_parameters, word_bytes

PROGRAMS = {p.name: p for p in lane_programs()}

REVERSED = """\
[[max_total_threads_per_threadgroup(64)]]
kernel void kdsl_go_kernel(
    device float *X0_p [[buffer(0)]],
    device float *Y1_p [[buffer(1)]],
    uint3 kdsl_group [[threadgroup_position_in_grid]],
    uint3 kdsl_groups [[threadgroups_per_grid]],
    uint kdsl_thread [[thread_index_in_threadgroup]],
    uint kdsl_lane [[thread_index_in_simdgroup]])
{
  alignas(16) threadgroup float shared0[64];
  const ulong v1 = (ulong)kdsl_thread;
  const ulong v2 = (ulong)kdsl_group.x;
  const float v3 = X0_p[v1];
  shared0[v1] = v3;
  threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
  const ulong v4 = 63ul - v1;
  const float v5 = shared0[v4];
  Y1_p[v1] = v5;
}
"""


def emitted(program, chip="apple7"):
    return BACKEND.emit(module_of(program), BACKEND.resolve(chip)).text


def test_a_kernel_has_attributes_and_a_plain_body():
    assert REVERSED in emitted(PROGRAMS["lanes_in_reverse"])


def test_numbers_are_one_structure_without_gaps():
    text = emitted(PROGRAMS["strided_tensor"])
    row = read_facts(text).kernels["go.kernel"]
    _, numbers = split_parameters(row["parameters"], lambda p: p[0])
    sizes = [word_bytes(p[3]) for p in numbers]
    assert sizes == sorted(sizes, reverse=True)
    assert "constant kdsl_go_kernel_numbers &kdsl_numbers [[buffer(2)]]" in text
    assert DYNAMIC not in sizes


def test_exchanges_are_those_of_a_simdgroup():
    text = emitted(PROGRAMS["shuffle_xor_32_f32"])
    assert "simd_shuffle(" in text
    assert "threadgroup_barrier" not in text


def test_doubles_are_refused():
    with pytest.raises(CannotLowerError, match="no f64"):
        emitted(PROGRAMS["atomic_addf_f64"])


def test_printing_is_refused():
    body = '"kdsl.print"(%t) {format = "{}"} : (index) -> ()'
    program = LaneProgram("prints", {"X": "memref<?xf32>"}, body, lambda: ())
    with pytest.raises(CannotLowerError, match="cannot print"):
        emitted(program)


def test_an_unknown_family_names_the_known_ones():
    with pytest.raises(UnknownChipError, match="apple7"):
        BACKEND.resolve("apple1")


def test_a_file_cannot_be_built_and_that_is_said(target):
    with pytest.raises(NoLauncherError, match="metal:apple7"):
        BACKEND.assemble(Source("; a launcher in LLVM IR", ".ll"), target)


def test_running_it_elsewhere_says_what_it_needs(target):
    import platform

    if platform.system() == "Darwin":
        pytest.skip("this is a Mac")
    source = BACKEND.emit(module_of(PROGRAMS["histogram"]), target)
    with pytest.raises(NoDriverError, match="macOS"):
        BACKEND.loader()(BACKEND.assemble(source, target), target)
