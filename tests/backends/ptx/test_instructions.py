"""The machine dialect: each op's text, and accumulators that stay in place."""

from __future__ import annotations

import pytest

from kdsl.errors import KdslError
from kdsl.ir.define import REGISTRY
from kdsl_ptx.dialect import machine
from kdsl_ptx.emit import LOWER
from tests.backends.ptx.modules import assembled, code_of, instructions, kernel

ARGS = "%p: memref<?xi32>, %d: i64, %m: i64, %x: i32, %f: f32"
BASE = '%s = "ptx.shared_base"() <{bytes = 4096 : i64}> : () -> i32\n'
CASES = [
    ('"ptx.mbarrier_init"(%s) <{count = 3 : i64}> : (i32) -> ()',
     "mbarrier.init.shared::cta.b64 [%r3], 3;"),
    ('"ptx.fence_mbarrier_init"() : () -> ()', "fence.mbarrier_init.release.cluster;"),
    ('"ptx.mbarrier_expect"(%s) <{bytes = 512 : i64}> : (i32) -> ()',
     "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r3], 512;"),
    ('"ptx.mbarrier_arrive"(%s) : (i32) -> ()', "mbarrier.arrive.shared::cta.b64 _, [%r3];"),
    ('"ptx.mbarrier_wait"(%s, %x) : (i32, i32) -> ()',
     "mbarrier.try_wait.parity.shared::cta.b64 %p1, [%r3], %r1;"),
    ('"ptx.bar_sync"(%x) <{threads = 256 : i64}> : (i32) -> ()', "bar.sync %r1, 256;"),
    ('"ptx.bar_arrive"(%x) <{threads = 256 : i64}> : (i32) -> ()', "bar.arrive %r1, 256;"),
    ('"ptx.warp_sync"() : () -> ()', "bar.warp.sync -1;"),
    ('"ptx.fence_proxy_async"() : () -> ()', "fence.proxy.async.shared::cta;"),
    ('"ptx.fence_proxy_async"() <{space = "global"}> : () -> ()', "fence.proxy.async.global;"),
    ('"ptx.tma_load"(%s, %m, %s, %x, %x) : (i32, i64, i32, i32, i32) -> ()',
     ("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
     "[%r3], [%d4, {%r1, %r1}], [%r3];")),
    ('"ptx.tma_load"(%s, %m, %s, %x) <{evict = "last"}> : (i32, i64, i32, i32) -> ()',
     ("cp.async.bulk.tensor.1d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
     ".L2::cache_hint [%r3], [%d4, {%r1}], [%r3], %d6;")),
    ('"ptx.tma_store"(%m, %s, %x, %x, %x) : (i64, i32, i32, i32, i32) -> ()',
     "cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%d4, {%r1, %r1, %r1}], [%r3];"),
    ('"ptx.tma_prefetch"(%m) : (i64) -> ()', "prefetch.tensormap [%d4];"),
    ('"ptx.bulk_commit"() : () -> ()', "cp.async.bulk.commit_group;"),
    ('"ptx.bulk_wait"() <{read = true}> : () -> ()', "cp.async.bulk.wait_group.read 0;"),
    ('"ptx.wgmma_fence"() : () -> ()', "wgmma.fence.sync.aligned;"),
    ('"ptx.wgmma_commit"() : () -> ()', "wgmma.commit_group.sync.aligned;"),
    ('%w = "ptx.load_shared"(%s) : (i32) -> i32', "ld.shared.b32 %r4, [%r3];"),
    ('%w:2 = "ptx.load_shared"(%s) : (i32) -> (i32, f32)', "ld.shared.v2.b32 {%r4, %r5}, [%r3];"),
    ('"ptx.store_shared"(%s, %x, %f, %x, %x) : (i32, i32, f32, i32, i32) -> ()',
     "st.shared.v4.b32 [%r3], {%r1, %r2, %r1, %r1};"),
    ('%w = "ptx.load_global"(%d) <{order = "acquire"}> : (i64) -> i32',
     "ld.acquire.gpu.global.b32 %r4, [%d3];"),
    ('"ptx.store_global"(%d, %x) : (i64, i32) -> ()', "st.relaxed.gpu.global.b32 [%d3], %r1;"),
    ('%w = "ptx.atomic_add"(%d, %x) : (i64, i32) -> i32',
     "atom.relaxed.gpu.global.add.u32 %r4, [%d3], %r1;"),
    ('"ptx.set_max_registers"() <{count = 24 : i64, increase = false}> : () -> ()',
     "setmaxnreg.dec.sync.aligned.u32 24;"),
    ('%w = "ptx.redux_or"(%x) : (i32) -> i32', "redux.sync.or.b32 %r4, %r1, -1;"),
    ('%w = "ptx.elect"() : () -> i1', "elect.sync _|%p1, -1;"),
    ('%w = "ptx.special"() <{register = "laneid"}> : () -> i32', "mov.u32 %r4, %laneid;"),
    ('"ptx.griddep_wait"() : () -> ()', "griddepcontrol.wait;"),
    ('"ptx.griddep_launch"() : () -> ()', "griddepcontrol.launch_dependents;"),
    ('%w = "ptx.approximate"(%f) <{function = "tanh"}> : (f32) -> f32', "tanh.approx.f32 %r4, %r2;"),
    ('%w = "ptx.ldmatrix"(%s) <{count = 2 : i64, transpose = true}> : (i32) -> vector<4xbf16>',
     "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%r4, %r5}, [%r3];"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "wanted"), CASES, ids=[c[0].split('"')[1] for c in CASES])
def test_each_machine_op_is_its_instruction(op, wanted):
    code = code_of(kernel(ARGS, BASE + op))
    assert f"\t{wanted}\n" in code.text
    assembled(code.text)


def test_every_machine_op_has_a_lowering():
    ops = [kind for kind in REGISTRY.values() if kind.__module__ == machine.__name__]
    assert len(ops) > 35
    assert not [kind.name for kind in ops if kind not in LOWER.ops]


WGMMA = '"ptx.wgmma"({}) <{{n = 16 : i64, type = "bf16"}}> : ({}) -> vector<8xf32>'
TWO = f"""
    "ptx.wgmma_fence"() : () -> ()
    %a = {WGMMA.format("%d, %d", "i64, i64")}
    %b = {WGMMA.format("%d, %m, %a", "i64, i64, vector<8xf32>")}
    "ptx.wgmma_commit"() : () -> ()
    %c = "ptx.wgmma_wait"(%b) : (vector<8xf32>) -> vector<8xf32>
    %i = "arith.constant"() <{{value = 0 : index}}> : () -> index
    %fv = "arith.bitcast"(%READ) : (vector<8xf32>) -> vector<8xi32>
    "vector.store"(%fv, %p, %i) : (vector<8xi32>, memref<?xi32>, index) -> ()
"""


def test_a_product_accumulates_in_place():
    found = instructions(ARGS, TWO.replace("READ", "c"))
    first, second = (line for line in found if line.startswith("wgmma.mma"))
    assert first.split("}")[0] == second.split("}")[0]
    assert first.endswith("}, %d3, %d3, 0, 1, 1, 0, 0;")
    assert second.endswith("}, %d3, %d4, 1, 1, 1, 0, 0;")
    assert not any(line.startswith("mov.b32") for line in found)


def test_an_accumulator_that_is_read_later_is_copied_first():
    found = instructions(ARGS, TWO.replace("READ", "a"))
    first, second = (line for line in found if line.startswith("wgmma.mma"))
    assert first.split("}")[0] != second.split("}")[0]
    assert sum(line.startswith("mov.b32") for line in found) == 8


def test_an_accumulator_that_a_rename_still_reads_is_copied_first():
    body = TWO.replace("READ", "c").replace(
        "%b =",
        '%kept = "vector.extract"(%a) <{static_position = array<i64: 3>}>'
        " : (vector<8xf32>) -> f32\n    %b =",
    )
    body += '\n%k = "arith.bitcast"(%kept) : (f32) -> i32\n'
    body += '"memref.store"(%k, %p, %i) : (i32, memref<?xi32>, index) -> ()'
    found = instructions(ARGS, body)
    assert sum(line.startswith("mov.b32") for line in found) == 8


LOOP = f"""
    %c0 = "arith.constant"() <{{value = 0 : index}}> : () -> index
    %c1 = "arith.constant"() <{{value = 1 : index}}> : () -> index
    %c9 = "arith.constant"() <{{value = 9 : index}}> : () -> index
    %z = "arith.constant"() <{{value = dense<0.0> : vector<8xf32>}}> : () -> vector<8xf32>
    %r = "scf.for"(%c0, %c9, %c1, %z) ({{
    ^bb0(%i: index, %acc: vector<8xf32>):
      %b = {WGMMA.format("%d, %m, %acc", "i64, i64, vector<8xf32>")}
      "scf.yield"(%b) : (vector<8xf32>) -> ()
    }}) : (index, index, index, vector<8xf32>) -> vector<8xf32>
    %q = "scf.for"(%c0, %c9, %c1, %r) ({{
    ^bb0(%i: index, %acc: vector<8xf32>):
      %b = {WGMMA.format("%d, %m, %acc", "i64, i64, vector<8xf32>")}
      "scf.yield"(%b) : (vector<8xf32>) -> ()
    }}) : (index, index, index, vector<8xf32>) -> vector<8xf32>
    %fv = "arith.bitcast"(%q) : (vector<8xf32>) -> vector<8xi32>
    "vector.store"(%fv, %p, %c0) : (vector<8xi32>, memref<?xi32>, index) -> ()
"""


def test_an_accumulator_goes_round_and_from_loop_to_loop_without_a_move():
    found = instructions(ARGS, LOOP)
    heads = {line.split("}")[0] for line in found if line.startswith("wgmma.mma")}
    assert len(heads) == 1
    moves = [line for line in found if line.startswith("mov.b32") and "0f0" not in line]
    assert moves == ["mov.b32 %r3, 0;", "mov.b32 %r12, 0;"]  # the counters


def test_a_loops_start_that_is_read_afterwards_is_copied():
    body = LOOP.replace('"arith.bitcast"(%q)', '"arith.bitcast"(%r)')
    found = instructions(ARGS, body)
    heads = {line.split("}")[0] for line in found if line.startswith("wgmma.mma")}
    assert len(heads) == 2


@pytest.mark.parametrize("n", [8, 48, 176, 256])
@pytest.mark.parametrize("element", ["bf16", "f16", "f8E4M3FN", "f8E5M2", "i8"])
@pytest.mark.parametrize("a", ["descriptor", "registers"])
def test_products_of_every_type_assemble(n, element, a):
    depth = machine.WGMMA_DEPTH[element]
    left, kind = ("%d", "i64") if a == "descriptor" else ("%v", f"vector<{depth // 2}x{element}>")
    acc = f"vector<{n // 2}x{'i32' if element == 'i8' else 'f32'}>"
    raw = f"vector<{n // 2}xi32>"
    body = f"""
    %i = "arith.constant"() <{{value = 0 : index}}> : () -> index
    %w = "vector.load"(%p, %i) : (memref<?xi32>, index) -> vector<4xi32>
    %v = "vector.bitcast"(%w) : (vector<4xi32>) -> vector<{depth // 2}x{element}>
    "ptx.wgmma_fence"() : () -> ()
    %y = "ptx.wgmma"({left}, %m) <{{n = {n} : i64, type = "{element}"}}> : ({kind}, i64) -> {acc}
    "ptx.wgmma_commit"() : () -> ()
    %c = "ptx.wgmma_wait"(%y) : ({acc}) -> {acc}
    %fv = "{"vector.bitcast" if element == "i8" else "arith.bitcast"}"(%c) : ({acc}) -> {raw}
    "vector.store"(%fv, %p, %i) : ({raw}, memref<?xi32>, index) -> ()
    """
    image = assembled(code_of(kernel(ARGS, body)).text)
    assert "C75" not in image.log


def test_a_product_of_columns_that_do_not_exist_is_refused():
    with pytest.raises(KdslError, match="a product of 12 columns"):
        kernel(ARGS, WGMMA.format("%d, %d", "i64, i64").replace("n = 16", "n = 12"))


def test_a_variable_is_one_register_that_changes():
    body = """
    "ptx.variable_set"(%x) <{variable = "slot"}> : (i32) -> ()
    %a = "ptx.variable_get"() <{variable = "slot"}> : () -> i32
    %b = "arith.addi"(%a, %a) : (i32, i32) -> i32
    "ptx.variable_set"(%b) <{variable = "slot"}> : (i32) -> ()
    """
    found = instructions(ARGS, body)
    assert found[-5:] == [
        "mov.b32 %r3, %r1;", "mov.b32 %r4, %r3;", "add.s32 %r5, %r4, %r4;", "mov.b32 %r3, %r5;",
        "ret;",
    ]  # fmt: skip
