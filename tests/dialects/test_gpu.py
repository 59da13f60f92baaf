"""Lanes, barriers, shuffles, and memory that a workgroup shares."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import kdsl.dialects.all
from kdsl.dialects import gpu, kdsl, memref
from kdsl.errors import KdslError, OpRuleError
from kdsl.ir.attributes import Opaque
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block
from kdsl.ir.parser import parse
from kdsl.ir.printer import print_module
from kdsl.ir.types import BF16, DYNAMIC, F16, F32, I32
from kdsl.ir.types import memref as memref_type
from kdsl.ir.verify import verify

TEXT = """\
"builtin.module"() ({
  "func.func"() ({
    %lane = "gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index
    %tile = "kdsl.workgroup_alloc"() {align = 128 : i64} : () -> memref<4x8xf32, strided<[9, 1]>, 3>
    %zero = "arith.constant"() {value = 0 : index} : () -> index
    %x = "memref.load"(%tile, %zero, %lane) : (memref<4x8xf32, strided<[9, 1]>, 3>, index, index) -> f32
    %one = "arith.constant"() {value = 1 : i32} : () -> i32
    %width = "arith.constant"() {value = 32 : i32} : () -> i32
    "gpu.barrier"() : () -> ()
    %y, %ok = "gpu.shuffle"(%x, %one, %width) {mode = #gpu<shuffle_mode xor>} : (f32, i32, i32) -> (f32, i1)
    "func.return"() : () -> ()
  }) {function_type = () -> (), kdsl.kernel, kdsl.lanes = 64 : i64, sym_name = "f"} : () -> ()
}) : () -> ()
"""


def test_a_lane_level_kernel_is_read_and_printed_alike():
    module = parse(TEXT)

    verify(module)

    assert print_module(module) == TEXT


def test_memory_space_is_part_of_the_type():
    shared = memref_type((4, 8), F32, None, gpu.WORKGROUP)

    assert str(shared) == "memref<4x8xf32, 3>"
    assert str(memref_type((2, 4), BF16, (8, 1), 3)) == "memref<2x4xbf16, strided<[8, 1]>, 3>"
    assert shared is not memref_type((4, 8), F32)
    assert shared.with_element(F16).space == gpu.WORKGROUP
    assert pickle.loads(pickle.dumps(shared)) is shared


def test_space_zero_is_the_default_one_as_it_is_upstream():
    assert memref_type((4,), F32, None, 0) is memref_type((4,), F32)


@pytest.mark.parametrize("text", ["vector<4xf32, 3>", "tensor<4xf32, 3>", "memref<4xf32, x>"])
def test_only_buffers_have_a_memory_space(text):
    with pytest.raises(KdslError):
        parse(f'%a = "arith.constant"() {{value = dense<1.0> : {text}}} : () -> {text}')


def test_space_may_be_written_with_its_type():
    text = '%a = "kdsl.workgroup_alloc"() {align = 16 : i64} : () -> memref<4xf32, 3 : i64>'

    (op,) = list(parse(text).walk())[1:]

    assert op.results[0].type is memref_type((4,), F32, None, 3)


def block():
    return Builder(Block())


def test_a_cast_keeps_the_memory_space():
    b = block()
    shared = b.create(kdsl.WorkgroupAlloc, types=[memref_type((4,), F32, None, 3)])
    cast = b.add(memref.Cast, shared, types=[memref_type((DYNAMIC,), F32)])

    with pytest.raises(OpRuleError, match="cannot be seen as"):
        cast.verify()


@pytest.mark.parametrize(
    ("kind", "align", "what"),
    [
        (memref_type((4,), F32), 16, "space 3"),
        (memref_type((DYNAMIC,), F32, None, 3), 16, "static shape"),
        (memref_type((4, 4), F32, (DYNAMIC, 1), 3), 16, "static strides"),
        (memref_type((4,), F32, None, 3), 24, "align"),
    ],
)
def test_workgroup_memory_is_static(kind, align, what):
    op = block().add(kdsl.WorkgroupAlloc, types=[kind], align=align)

    with pytest.raises(OpRuleError, match=what):
        op.verify()


def test_an_unknown_shuffle_mode_is_refused():
    with pytest.raises(OpRuleError, match="shuffle mode"):
        verify(parse(TEXT.replace("shuffle_mode xor", "shuffle_mode across")))


def test_an_unknown_dimension_is_refused():
    op = block().add(gpu.ThreadId, dimension=Opaque("#gpu<dim w>"))

    with pytest.raises(OpRuleError, match="no dimension"):
        op.verify()


def test_narrow_values_are_not_shuffled():
    from kdsl.dialects.arith import constant

    b = block()
    value, count = constant(b, 1.0, F16), constant(b, 1, I32)
    op = b.add(gpu.Shuffle, value, count, count, mode=gpu.shuffle_mode("up"))

    with pytest.raises(OpRuleError, match="f16 is not shuffled"):
        op.verify()


def test_workgroup_memory_starts_poisoned():
    op = block().add(kdsl.WorkgroupAlloc, types=[memref_type((4,), F32, None, 3)])

    assert np.isnan(op.evaluate()).all()
