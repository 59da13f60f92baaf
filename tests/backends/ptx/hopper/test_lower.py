"""From roles to threads: where things are in shared memory, and what becomes of single ops."""

import numpy as np
import pytest

import kdsl.dialects.all
import kdsl_ptx.dialect.rows
import kdsl_ptx.dialect.tile  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.dialects import arith, kdsl, scf
from kdsl.ir.interpreter import interpret
from kdsl.ir.parser import parse
from kdsl.ir.types import I32, INDEX
from kdsl.ir.verify import verify
from kdsl.passes.distribute import Distribute
from kdsl.passes.manager import run_pipeline
from kdsl.passes.pipelines import Pipeline
from kdsl.target.features import Features
from kdsl.target.target import Target
from kdsl.testing import simt
from kdsl_ptx.dialect import machine, tile
from kdsl_ptx.hopper.lower import LowerRoles, roles_of
from kdsl_ptx.hopper.lower.memory import Memory, memory_of, tile_bytes
from kdsl_ptx.hopper.lower.narrow import narrow_roles
from kdsl_ptx.hopper.lower.operands import sink_operands
from kdsl_ptx.hopper.lower.partial import carry_partial_sums
from kdsl_ptx.hopper.lower.shared import accumulator_layout
from kdsl_ptx.hopper.lower.sums import parts_layout
from tests.backends.ptx.hopper.programs import HERE, HOPPER

FLASH = Memory(
    consumers=2, slots=2, words=6, operands=((128, 128),), ring_slots=4, ring_bytes=32768,
    staging_bytes=0,
)  # fmt: skip


def example(name):
    return parse((HERE / f"{name}.mlir").read_text())


def lowered(name):
    module = example(name)
    run_pipeline(Pipeline("lower", (LowerRoles(),)), module, HOPPER, verify=True)
    return module


def ops(module, kind):
    return [op for function in module.functions for op in function.walk() if type(op) is kind]


# --------------------------------------------------------------------------------- shared memory


def test_barriers_are_apart_and_wait_for_all_that_arrive():
    barriers = FLASH.barriers()
    places = [place for place, _ in barriers]
    assert len(set(places)) == len(places) == 3 * 2 + 2 * 4
    assert all(place % 8 == 0 for place in places)
    counts = dict(barriers)
    assert counts[FLASH.known] == counts[FLASH.full] == counts[FLASH.ring_full] == 1
    assert counts[FLASH.empty] == 3  # both consumers, and the producer's read of the record
    assert counts[FLASH.ring_empty] == 2


def test_areas_follow_one_another_at_multiples_of_the_swizzle():
    assert max(place for place, _ in FLASH.barriers()) + 8 <= FLASH.record
    assert FLASH.record % 16 == 0
    assert FLASH.record + 2 * FLASH.record_bytes <= FLASH.operand
    assert FLASH.record_bytes == 32
    assert FLASH.operand % 1024 == FLASH.ring % 1024 == 0
    assert FLASH.ring == FLASH.operand + 2 * 32768
    assert FLASH.total == FLASH.ring + 4 * 32768
    assert FLASH.total <= 227 * 1024


@pytest.mark.parametrize(("cols", "panels"), [(64, 1), (96, 2), (128, 2), (256, 4)])
def test_columns_are_rounded_up_to_panels(cols, panels):
    assert tile_bytes(64, cols) == 64 * panels * 128


def test_the_example_fits_what_its_attributes_say():
    module = example("gemm")
    function = module.functions[0]
    memory = memory_of(function, roles_of(function))
    assert (memory.consumers, memory.slots, memory.operands) == (2, 2, ())
    assert memory.ring == memory.staging + 32768
    assert memory.slot_bytes == 0


# ----------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("columns", [8, 80, 128, 256])
def test_accumulators_hold_each_element_once(columns, groups):
    layout = accumulator_layout((64 * groups, columns), groups)
    assert layout.check()
    assert (layout.registers, layout.lanes, layout.warps) == (columns // 2, 32, 4 * groups)
    at = layout.indices()
    # PTX ISA: lane 5 of warp 1 has row 16 + 1 (and 8 more), columns 2 and 3 of each eight.
    assert at[1, 5, :4].tolist() == [[17, 2], [17, 3], [25, 2], [25, 3]]


def test_parts_of_row_sums_are_one_column_in_each_lane_of_a_row():
    layout = parts_layout(128, 2)
    assert layout.check()
    assert layout.indices()[0, 6].tolist() == [[1, 2], [9, 2]]


# ------------------------------------------------------------------------------------- whole kernels


@pytest.mark.parametrize("name", ["gemm", "attention_causal_d128"])
def test_a_lowered_kernel_has_neither_tiles_nor_roles(name):
    module = lowered(name)
    verify(module)
    text = str(module.functions[0])
    assert "tensor<" not in text
    assert "ptx.roles" not in text
    assert module.functions[0].attributes["kdsl.lanes"] == 384


def test_lowering_leaves_other_functions_alone():
    module = example("gemm")
    before = str(module.functions[1])
    LowerRoles().run(module, HOPPER)
    assert str(module.functions[1]) == before
    assert not LowerRoles().run(module, HOPPER)


def test_each_turn_of_a_gemm_is_one_group_of_four_products():
    module = lowered("gemm")
    (loop,) = [op for op in ops(module, scf.For) if ops_in(op, machine.Wgmma)]
    products = ops_in(loop, machine.Wgmma)
    assert [p.n for p in products] == [256] * 4
    assert [p.step_a for p in products] == [p.step_b for p in products] == [0, 2, 4, 6]
    assert not any(p.transpose_a or p.transpose_b or p.in_registers for p in products)
    assert len(ops_in(loop, machine.WgmmaFence)) == len(ops_in(loop, machine.WgmmaCommit)) == 1
    (wait,) = ops_in(loop, machine.WgmmaWait)
    assert (wait.pending, len(wait.operands)) == (1, 0)
    assert loop.induction.type is I32


def test_the_first_product_of_an_attention_takes_no_accumulator():
    module = lowered("attention_causal_d128")
    (loop,) = [op for op in ops(module, scf.For) if ops_in(op, machine.Wgmma)]
    products = ops_in(loop, machine.Wgmma)
    assert [len(p.acc) for p in products] == [0] + [1] * 15
    assert all(p.in_registers for p in products)  # queries and probabilities
    # Keys lie by rows, in two panels; values by columns, 16 rows a step.
    assert [p.step_b for p in products[:8]] == [0, 2, 4, 6, 1024, 1026, 1028, 1030]
    assert [p.step_b for p in products[8:]] == [128 * i for i in range(8)]
    assert [p.transpose_b for p in products] == [False] * 8 + [True] * 8


def test_no_lane_sums_across_lanes_in_the_steady_loop():
    module = lowered("attention_causal_d128")
    (loop,) = [op for op in ops(module, scf.For) if ops_in(op, machine.Wgmma)]
    shuffles = [op for op in loop.walk() if op.name == "gpu.shuffle"]
    assert len(shuffles) == 4  # two rows, two steps: the maximum only


def ops_in(op, kind):
    return [each for each in op.walk() if type(each) is kind]


# -------------------------------------------------------------------------------------------- sums

SUMS = """
"builtin.module"() ({
  "func.func"() ({
  ^bb0(%p: memref<?x8x16xf32, strided<[128, 16, 1]>>, %f: memref<?x8xf32, strided<[8, 1]>>, %o: memref<8xf32, strided<[1]>>, %n: index):
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %c1 = "arith.constant"() {value = 1 : index} : () -> index
    %c8 = "arith.constant"() {value = 8 : index} : () -> index
    %c16 = "arith.constant"() {value = 16 : index} : () -> index
    %init = "arith.constant"() {value = dense<INIT> : tensor<8xf32>} : () -> tensor<8xf32>
    %r = "scf.for"(%c0, %n, %c1, %init) ({
    ^bb1(%i: index, %total: tensor<8xf32>):
      %x = "kdsl.load_tile"(%p, %i, %c0, %c0, %c8, %c16) {dims = array<i64: 1, 2>, steps = array<i64: 1, 1>} : (memref<?x8x16xf32, strided<[128, 16, 1]>>, index, index, index, index, index) -> tensor<8x16xf32>
      %s = "kdsl.load_tile"(%f, %i, %c0, %c8) {dims = array<i64: 1>, steps = array<i64: 1>} : (memref<?x8xf32, strided<[8, 1]>>, index, index, index) -> tensor<8xf32>
      %sum = "kdsl.reduce"(%x) {axis = 1 : i64, kind = "addf"} : (tensor<8x16xf32>) -> tensor<8xf32>
      UPDATE
      "scf.yield"(%next) : (tensor<8xf32>) -> ()
    }) : (index, index, index, tensor<8xf32>) -> tensor<8xf32>
    "kdsl.store_tile"(%r, %o, %c0, %c8) {dims = array<i64: 0>, steps = array<i64: 1>} : (tensor<8xf32>, memref<8xf32, strided<[1]>>, index, index) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?x8x16xf32, strided<[128, 16, 1]>>, memref<?x8xf32, strided<[8, 1]>>, memref<8xf32, strided<[1]>>, index) -> (), sym_name = "sums"} : () -> ()
}) : () -> ()
"""
SCALED = """%scaled = "arith.mulf"(%total, %s) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
      %next = "arith.addf"(%scaled, %sum) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>"""
FUSED = '%next = "math.fma"(%s, %total, %sum) : (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>'
PLAIN = '%next = "arith.addf"(%sum, %total) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>'
LARGEST = '%next = "arith.maximumf"(%sum, %total) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>'


def sums(update, init="0.0"):
    return parse(SUMS.replace("UPDATE", update).replace("INIT", init))


def result_of(module, turns=3):
    rng = np.random.default_rng(0)
    p = rng.standard_normal((turns, 8, 16), dtype=np.float32)
    f = rng.random((turns, 8), dtype=np.float32)
    o = np.zeros(8, np.float32)
    interpret(module, "sums", [p, f, o, np.int64(turns)])
    return o


@pytest.mark.parametrize("init", ["0.0", "2.5"])
@pytest.mark.parametrize("update", [SCALED, FUSED, PLAIN], ids=["scaled", "fused", "plain"])
def test_sums_that_a_loop_carries_are_reduced_after_it(update, init):
    module = sums(update, init)
    wanted = result_of(module)
    assert carry_partial_sums(module)
    verify(module)
    (loop,) = ops(module, scf.For)
    assert not ops_in(loop, kdsl.Reduce)
    assert loop.carried[0].type.shape == (8, 4)
    np.testing.assert_allclose(result_of(module), wanted, rtol=2e-6)
    assert result_of(module, 0).tolist() == [float(init)] * 8


def test_what_is_no_sum_stays():
    module = sums(LARGEST)
    before = str(module)
    assert not carry_partial_sums(module)
    assert str(module) == before


# ------------------------------------------------------------------------------------------ numbers


def test_roles_count_blocks_and_hand_records_on_in_32_bits():
    module = example("attention_causal_d128")
    roles = roles_of(module.functions[0])
    narrow_roles(roles)
    verify(module)
    counted = [op for op in roles.walk() if isinstance(op, scf.For)]
    assert counted
    assert all(op.induction.type is I32 for op in counted)
    whiles = [op for op in roles.walk() if isinstance(op, scf.While)]
    assert all(r.type is I32 for op in whiles for r in op.results)
    wide = [
        op
        for op in roles.scheduler.parent_op.regions[1].block.parent.blocks[0]
        if isinstance(op, arith.Divsi | arith.Floordivsi) and op.results[0].type is INDEX
    ]
    assert wide == []


def test_probabilities_are_rounded_after_the_last_wait_of_a_turn():
    module = example("attention_causal_d128")
    roles = roles_of(module.functions[0])
    (loop,) = [op for op in roles.walk() if isinstance(op, scf.For) and ops_in(op, tile.DotAsync)]
    rounded = next(op for op in loop.body if isinstance(op, arith.Truncf))
    wait = next(op for op in loop.body if isinstance(op, tile.DotWait))
    loop.body.insert_before(wait.next, rounded.detach())  # too early
    sink_operands(roles)
    order = [type(op) for op in loop.body]
    assert order.index(arith.Truncf) > max(i for i, k in enumerate(order) if k is tile.DotWait)
    sink_operands(roles)
    assert [type(op) for op in loop.body] == order


# ------------------------------------------------------------------------------------------- limits

LIMITS = """
"builtin.module"() ({
  "func.func"() ({
  ^bb0(%l: memref<32xi32, strided<[1]>>, %o: memref<32x64xf32, strided<[64, 1]>>):
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %c32 = "arith.constant"() {value = 32 : index} : () -> index
    %c64 = "arith.constant"() {value = 64 : index} : () -> index
    %one = "arith.constant"() {value = dense<1.0> : tensor<32x64xf32>} : () -> tensor<32x64xf32>
    %no = "arith.constant"() {value = dense<0.0> : tensor<32x64xf32>} : () -> tensor<32x64xf32>
    %rows = "kdsl.load_tile"(%l, %c0, %c32) {dims = array<i64: 0>, steps = array<i64: 1>} : (memref<32xi32, strided<[1]>>, index, index) -> tensor<32xi32>
    %limit = "kdsl.broadcast"(%rows) {dims = array<i64: 0>} : (tensor<32xi32>) -> tensor<32x64xi32>
    %iota = "kdsl.iota"() : () -> tensor<64xi32>
    %col = "kdsl.broadcast"(%iota) {dims = array<i64: 1>} : (tensor<64xi32>) -> tensor<32x64xi32>
    %keep = "arith.cmpi"(OPERANDS) {predicate = PREDICATE : i64} : (tensor<32x64xi32>, tensor<32x64xi32>) -> tensor<32x64xi1>
    %x = "arith.select"(%keep, %one, %no) : (tensor<32x64xi1>, tensor<32x64xf32>, tensor<32x64xf32>) -> tensor<32x64xf32>
    "kdsl.store_tile"(%x, %o, %c0, %c0, %c32, %c64) {dims = array<i64: 0, 1>, steps = array<i64: 1, 1>} : (tensor<32x64xf32>, memref<32x64xf32, strided<[64, 1]>>, index, index, index, index) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<32xi32, strided<[1]>>, memref<32x64xf32, strided<[64, 1]>>) -> (), kdsl.kernel, sym_name = "limits"} : () -> ()
}) : () -> ()
"""
LANES = Target("lanes", "lanes", Features(subgroup=32, shared_bytes=65536))


@pytest.mark.parametrize("predicate", ["eq", "ne", "slt", "sle", "sgt", "sge"])
@pytest.mark.parametrize("operands", ["%col, %limit", "%limit, %col"])
def test_positions_are_compared_with_limits_far_and_near(operands, predicate):
    number = str(arith.CMPI[predicate])
    text = LIMITS.replace("OPERANDS", operands).replace("PREDICATE", number)
    edges = [-(2**31), -(2**30), -1, 0, 1, 2, 7, 8, 62, 63, 64, 2**30, 2**31 - 1]
    limits = np.resize(np.array(edges, np.int32), 32)
    wanted, found = np.zeros((2, 32, 64), np.float32)
    interpret(parse(text), "limits", [limits, wanted])
    module = parse(text)
    run_pipeline(Pipeline("distribute", (Distribute(),)), module, LANES, verify=True)
    simt.run(module, "limits", [limits, found], LANES.features)
    np.testing.assert_array_equal(found, wanted)
    assert 0 < wanted.sum() < wanted.size
