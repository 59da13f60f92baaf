"""Vectors of a CPU's lane: one operation of the language for each, loops that stay vectors."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from kdsl.library.elementwise import silu_mul
from kdsl.library.linear import matmul
from kdsl.target.target import Target
from kdsl.testing.lane_programs import LaneProgram, module_of
from kdsl_opencl.backend import BACKEND
from kdsl_opencl.emit import emit
from kdsl_opencl.features import GENERIC, _as_cpu

CPU = Target("opencl", "native", replace(_as_cpu(GENERIC), fma=True))


def text_of(body, parameters=None):
    program = LaneProgram("packed", parameters or {"X": "memref<?xf32>"}, body, lambda: (), lanes=1)
    return emit(module_of(program), CPU).text


LOAD = '%x = "vector.load"(%X, %t) : (memref<?xf32>, index) -> vector<8xf32>'
STORE = '"vector.store"(%y, %X, %t) : (vector<8xf32>, memref<?xf32>, index) -> ()'


def test_an_operation_on_a_vector_is_one_operation():
    body = f"""
    {LOAD}
    %y = "arith.mulf"(%x, %x) : (vector<8xf32>, vector<8xf32>) -> vector<8xf32>
    {STORE}"""
    text = text_of(body)
    assert "const float8 v4 = *(__global kdsl_float8 *)(X0_p + v3);" in text
    assert "const float8 v5 = v4 * v4;" in text
    assert "typedef float kdsl_float8 __attribute__((ext_vector_type(8), aligned(4)));" in text


def test_a_comparison_and_a_choice_stay_in_vectors():
    body = f"""
    {LOAD}
    %m = "arith.cmpf"(%x, %x) {{predicate = 2 : i64}}
      : (vector<8xf32>, vector<8xf32>) -> vector<8xi1>
    %n = "arith.negf"(%x) : (vector<8xf32>) -> vector<8xf32>
    %y = "arith.select"(%m, %x, %n) : (vector<8xi1>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
    {STORE}"""
    text = text_of(body)
    assert "const int8 v5 = ((v4 > v4));" in text
    assert "v5 ? v4 : v6" in text
    assert ".s0" not in text


def test_an_op_without_a_packed_form_goes_through_its_lanes():
    body = f"""
    {LOAD}
    %y = "vector.shuffle"(%x, %x) {{mask = [7, 6, 5, 4, 3, 2, 1, 0]}}
      : (vector<8xf32>, vector<8xf32>) -> vector<8xf32>
    {STORE}"""
    assert "(float8)(v4.s7, v4.s6, v4.s5, v4.s4, v4.s3, v4.s2, v4.s1, v4.s0)" in text_of(body)


def compiled(kernel, **values):
    from kdsl.compiler import stages

    module = kernel.trace(kernel.specialize(**values), CPU).module
    *_, (_, module) = stages(module, CPU)
    return BACKEND.emit(module, CPU).text


@pytest.mark.parametrize("dtype", ["f32", "bf16", "f16"])
def test_an_elementwise_kernel_is_vectors_all_the_way(dtype):
    body = compiled(silu_mul, T=dtype)
    assert re.search(r"const float8 v\d+ = v\d+ [*/] v\d+;", body)


def test_the_sums_of_a_product_are_vectors_carried_through_the_loop():
    text = compiled(matmul, X="f32", W="f32", BM=32, BN=32, BK=32)
    sums = re.findall(r"const float8 v\d+ = kdsl_contract_float8\(v\d+, v\d+, v\d+\);", text)
    assert len(sums) >= 8
    assert "fma(" not in text
