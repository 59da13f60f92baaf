"""Scalar kernels for lanes: what they compute, how loops are shared, where lanes wait."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from kdsl.dialects.func import Func
from kdsl.dialects.gpu import LANES, Barrier, Shuffle
from kdsl.dialects.kdsl import Launch
from kdsl.dialects.memref import AtomicRmw
from kdsl.dialects.memref import Store as ScalarStore
from kdsl.dialects.scf import For, If
from kdsl.dialects.vector import Load, Store
from kdsl.errors import CannotVectorizeError
from kdsl.ir.printer import print_op
from kdsl.passes.distribute import Distribute
from kdsl.passes.explain import explanations
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.passes.pipelines import OPTIMIZE, SIMPLIFY
from kdsl.passes.simt import Simt
from kdsl.target.features import Features
from kdsl.target.target import Target
from kdsl.testing import simt
from kdsl.testing.filecheck import filecheck
from tests.passes import lane_kernels as kernels
from tests.passes import mixed_kernels

ROOM = {"shared_bytes": 64 * 1024}
WARPS = Target("generic", "warps", Features(subgroup=32, max_lanes=1024, **ROOM))
WAVES = Target("generic", "waves", Features(subgroup=64, max_lanes=1024, **ROOM))
SMALL = Target("generic", "small", Features(subgroup=32, max_lanes=64, **ROOM))
LONE = Target("generic", "lone", Features(subgroup=1, max_lanes=1024, **ROOM))
TARGETS = (WARPS, WAVES, SMALL, LONE)
each_target = pytest.mark.parametrize("target", TARGETS, ids=str)


def lowered(kernel, target=WARPS, **values):
    module = kernel.trace(kernel.specialize(**values), target).module
    run_pipeline(OPTIMIZE, module, target, verify=True)
    assert Simt().run(module, target)
    run_pipeline(SIMPLIFY, module, target, verify=True)
    return module


def run(kernel, args, target=WARPS, **values):
    """Run on copies; return them."""
    module = lowered(kernel, target, **values)
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    simt.run(module, kernel.name, copies, target.features)
    return copies


def the_kernel(module):
    (found,) = [f for f in module.functions if isinstance(f, Func) and f.is_kernel]
    return found


def ops(module, kind):
    return [op for op in the_kernel(module).walk() if isinstance(op, kind)]


def floats(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ------------------------------------------------------------------------------------ answers


@each_target
@pytest.mark.parametrize("size", [0, 1, 3, 127, 128, 1025, 5000])
@pytest.mark.parametrize("dtype", ["f32", "bf16", "i8", "f64"])
def test_a_copy_of_any_length(size, dtype, target):
    numpy = {"bf16": ml_dtypes.bfloat16, "f64": np.float64, "i8": np.int8}.get(dtype, np.float32)
    x = (floats(size) * 40).astype(numpy)

    _, out = run(kernels.copy, (x, np.zeros_like(x)), target, T=dtype)

    np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("skip", [1, 2, 3])
def test_a_copy_between_arrays_that_are_not_aligned(skip):
    room = np.zeros(3006, np.float32)
    x, out = floats(3006)[skip : 3000 + skip], room[3:3003]
    module = lowered(kernels.copy, T="f32")

    simt.run(module, "copy", (x, out), WARPS.features)

    np.testing.assert_array_equal(out, x)
    assert not room[:3].any()
    assert not room[3003:].any()


@pytest.mark.parametrize("start", [1, 4, 700])
def test_a_copy_that_starts_later(start):
    x = floats(2000)

    _, out = run(kernels.copy, (x, np.zeros_like(x)), T="f32", START=start)

    np.testing.assert_array_equal(out, np.where(np.arange(2000) < start, 0, x))


@each_target
def test_neighbours(target):
    x = floats(1500)

    _, out = run(kernels.shifted, (x, np.zeros_like(x)), target)

    np.testing.assert_allclose(out[1:-1], x[:-2] + x[1:-1] + x[2:], rtol=1e-6)
    assert out[0] == out[-1] == 0


@each_target
@pytest.mark.parametrize("size", [0, 1, 31, 3000])
def test_a_sum_starts_from_its_init(size, target):
    x = floats(size)

    _, out = run(kernels.total, (x, np.zeros(1, np.float32)), target)

    np.testing.assert_allclose(out[0], 1 + x.astype(np.float64).sum(), rtol=1e-5, atol=1e-5)


@each_target
def test_several_values_are_reduced_side_by_side(target):
    x, y = floats(700), np.arange(700, dtype=np.int32)

    *_, out, number = run(
        kernels.several, (x, y, np.zeros(2, np.float32), np.zeros(1, np.int32)), target
    )

    np.testing.assert_allclose(out, [x.sum(), x.max()], rtol=1e-4, atol=1e-4)
    assert number[0] == y.sum()


@each_target
@pytest.mark.parametrize("size", [7, 1030])
def test_two_reductions_in_a_row(size, target):
    x = floats(3, size)

    _, out = run(kernels.centred, (x, np.zeros_like(x)), target)

    wide = x.astype(np.float64)
    centred = wide - wide.mean(1, keepdims=True)
    wanted = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-4)


@each_target
def test_a_loop_reads_what_other_lanes_wrote_in_the_one_before(target):
    x = floats(777)

    *_, out = run(kernels.two_steps, (x, np.zeros_like(x), np.zeros_like(x)), target)

    np.testing.assert_array_equal(out, 2 * x[::-1])


@each_target
def test_a_loop_without_marks_stays_in_order(target):
    x = floats(90)

    _, out = run(kernels.running, (x, np.zeros_like(x)), target)

    np.testing.assert_allclose(out, np.cumsum(x), rtol=1e-4, atol=1e-5)


@each_target
def test_what_an_atomic_op_gives_reaches_all_lanes(target):
    counter = np.zeros(300, np.int32)
    out = np.zeros((4, 300), np.int32)

    counter, out = run(kernels.ticket, (counter, out), target)

    assert counter[0] == 4
    np.testing.assert_array_equal(out, np.arange(300) + np.arange(4)[:, None])


@each_target
def test_shared_loops_in_control_flow_that_all_lanes_take(target):
    x = np.abs(floats(5, 200)) * np.array([[1], [-1], [1], [0], [2]], np.float32)

    _, out = run(kernels.steps, (x, np.zeros_like(x)), target)

    wanted = x.astype(np.float64)
    for row in range(len(wanted)):
        for _ in range(3):
            total = wanted[row].sum()
            if total > 0:
                wanted[row] -= total / wanted.shape[1]
            else:
                wanted[row, 0] = total
    # Sums of what was centred are rounding alone: only rows that take one way are compared.
    np.testing.assert_allclose(out[3], wanted[3], atol=1e-5)
    np.testing.assert_allclose(out[1], wanted[1], rtol=1e-4)


def test_extents_need_more_than_32_bits():
    huge = np.broadcast_to(np.float32(1), ((1 << 33) + 7,))
    out = np.zeros(1, np.float32)

    simt.run(lowered(kernels.rest), "rest", (huge, out, np.int64(1 << 33) - 3000), WARPS.features)

    assert out[0] == 3007


@each_target
@pytest.mark.parametrize("kernel", [kernels.rows, kernels.heavy], ids=["rows", "heavy"])
def test_parallel_turns(kernel, target):
    x = floats(300, 33)

    _, out = run(kernel, (x, np.zeros(300, np.float32)), target)

    np.testing.assert_allclose(out, x.sum(1), rtol=1e-4, atol=1e-4)


@each_target
def test_turns_that_only_add_atomically_are_shared(target):
    data = np.random.default_rng(0).integers(0, 12, 5000).astype(np.uint8)

    _, bins = run(kernels.count, (data, np.zeros(9, np.int32)), target)

    np.testing.assert_array_equal(bins, np.bincount(data, minlength=12)[:9])


@each_target
def test_a_loop_that_cannot_be_shared_is_still_right(target):
    x = floats(50)

    _, out = run(kernels.last, (x, np.zeros(1, np.float32)), target)

    wanted = 0.0
    for value in x:
        wanted = wanted * 0.5 + value
    np.testing.assert_allclose(out[0], wanted, rtol=1e-5)


# --------------------------------------------------------------------------------- how it is done


def test_lanes_touch_sixteen_bytes_at_a_time():
    for dtype, width in (("f32", 4), ("bf16", 8), ("i8", 16), ("f64", 2)):
        module = lowered(kernels.copy, T=dtype)

        loads, stores = ops(module, Load), ops(module, Store)

        assert {load.y.type.size for load in loads} == {width}
        assert {op.alignment for op in (*loads, *stores)} == {16}


def test_a_lane_has_two_vectors_on_their_way():
    module = lowered(kernels.copy, T="f32")
    loops = [[type(op) for op in loop.body] for loop in ops(module, For)]

    memory = [[kind for kind in body if kind in (Load, Store)] for body in loops]

    assert memory == [[Load, Load, Store, Store], [Load, Store], []]


def test_neighbours_cannot_all_be_aligned():
    module = lowered(kernels.shifted)

    loads = [op.alignment for op in ops(module, Load)]
    assert loads.count(0) == 2 * loads.count(16)
    assert {op.alignment for op in ops(module, Store)} == {16}


def test_a_loop_without_a_grid_uses_the_whole_device():
    x = floats(100_000)
    module = lowered(kernels.copy, T="f32")
    (launch,) = [op for op in module.walk() if isinstance(op, Launch)]
    lanes = the_kernel(module).attributes[LANES]

    assert lanes == 256
    assert launch.x.op is not None
    assert "spread over the grid, 4096 turns a program" in "\n".join(explanations(module))
    out = np.zeros_like(x)
    simt.run(module, "copy", (x, out), WARPS.features)
    np.testing.assert_array_equal(out, x)


def test_a_workgroup_that_is_alone_has_all_lanes():
    assert the_kernel(lowered(kernels.total)).attributes[LANES] == 1024
    assert the_kernel(lowered(kernels.centred)).attributes[LANES] == 256
    assert the_kernel(lowered(kernels.total, SMALL)).attributes[LANES] == 64


def test_a_reduction_shuffles_and_meets_once_in_memory():
    module = lowered(kernels.total)

    assert len(ops(module, Shuffle)) == 10
    assert len(ops(module, Barrier)) == 1


def test_a_wave_of_64_lanes_takes_one_more_shuffle():
    assert len(ops(lowered(kernels.total, WAVES), Shuffle)) == 6 + 4


def test_stores_outside_of_shared_loops_are_done_by_one_lane():
    module = lowered(kernels.total)

    (store,) = [op for op in ops(module, ScalarStore) if op.target.type.space is None]

    assert isinstance(store.parent_op, If)


def test_lanes_wait_between_a_write_and_a_read_of_another_lane():
    module = lowered(kernels.two_steps)
    kernel = the_kernel(module)
    loops = [op for op in kernel.body if isinstance(op, For)]
    barriers = ops(module, Barrier)
    order = list(kernel.body)

    assert len(barriers) == 1
    assert len(loops) == 3 + 1
    assert order.index(loops[2]) < order.index(barriers[0]) < order.index(loops[3])


def test_independent_loops_have_no_barrier():
    assert not ops(lowered(kernels.copy, T="f32"), Barrier)


def test_atomic_turns_are_spread_over_grid_and_lanes():
    module = lowered(kernels.count)
    (update,) = ops(module, AtomicRmw)

    assert "spread over the grid" in "\n".join(explanations(module))
    assert not any(isinstance(op, If) and op.condition.name == "first" for op in ops(module, If))
    assert isinstance(update.parent_op, If)


def test_a_width_that_cannot_be_had_is_an_error():
    module = kernels.last.trace(kernels.last.specialize(), WARPS).module
    (loop,) = [op for op in module.walk() if "kdsl.vectorize" in op.attributes]
    loop.attributes["kdsl.vectorize"] = 4

    with pytest.raises(CannotVectorizeError, match="more than a reduction"):
        Simt().run(module, WARPS)


def test_what_was_decided_is_on_record():
    said = "\n".join(explanations(lowered(kernels.centred)))

    assert "shared by 256 lanes, 4 at a time" in said
    assert "not shared by lanes: a value carried" in "\n".join(explanations(lowered(kernels.last)))


def test_passes_for_one_thread_leave_loops_to_lanes():
    module = kernels.copy.trace(kernels.copy.specialize(T="f32"), WARPS).module
    run_pipeline(OPTIMIZE, module, WARPS)

    (loop,) = [op for op in module.walk() if isinstance(op, For)]

    assert loop.attributes["kdsl.vectorize"] == 0
    assert not ops(module, Load)


# ------------------------------------------------------------------------------ tiles beside loops


def through(kernel, args, target):
    """Run a kernel with tiles on copies; return them."""
    module = kernel.trace(kernel.specialize(), target).module
    run_pipeline(OPTIMIZE, module, target)
    run_pipeline(Pipeline("lanes", (Distribute(), Simt(), SIMPLIFY)), module, target, verify=True)
    copies = [a.copy() for a in args]
    simt.run(module, kernel.name, copies, target.features)
    return module, copies


@each_target
@pytest.mark.parametrize("size", [40, 500])
def test_tiles_and_shared_loops_in_one_kernel(size, target):
    x = floats(3, size)

    module, (_, out) = through(mixed_kernels.scaled, (x, np.zeros_like(x)), target)

    wanted = x / (np.abs(x[:, :32]).max(1, keepdims=True) + 1)
    wanted[:, :32] *= 2
    wanted[:, 0] = wanted.sum(1)
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-5)
    assert not any("kdsl.vectorize" in op.attributes for op in module.walk())


@each_target
def test_parallel_turns_with_tiles_are_programs(target):
    x = floats(5, 50)

    module, (_, out) = through(mixed_kernels.side_by_side, (x, np.zeros_like(x)), target)

    np.testing.assert_array_equal(out, x - x.max(1, keepdims=True))
    assert "spread over the grid, 1 turns a program" in "\n".join(explanations(module))


# -------------------------------------------------------------------------------------- as text


def test_the_text_of_a_shared_copy():
    module = lowered(kernels.copy, T="bf16")

    filecheck(
        print_op(the_kernel(module)),
        """
        CHECK: %[[T:.*]] = "gpu.thread_id"() {dimension = #gpu<dim x>}
        CHECK: %[[P:.*]] = "kdsl.program_id"() {axis = 0
        CHECK: %[[SHARE:.*]] = "arith.constant"() {value = 8192 : index}
        CHECK: %[[FIRST:.*]] = "arith.muli"(%[[P]], %[[SHARE]])
        CHECK: "kdsl.address"(%x, %[[FIRST]])
        CHECK: "kdsl.address"(%out, %[[FIRST]])
        CHECK: "arith.ori"
        CHECK: %[[WHOLE:.*]] = "arith.select"
        CHECK: "scf.for"(%{{.*}}, %[[WHOLE]], %{{.*}}) ({
        CHECK: "vector.load"(%x, %{{.*}}) {alignment = 16 : i64} : {{.*}} -> vector<8xbf16>
        CHECK: "vector.store"(%{{.*}}) {alignment = 16 : i64}
        CHECK: %[[REST:.*]] = "arith.addi"(%[[WHOLE]], %[[T]])
        CHECK: "scf.for"(%[[REST]], %{{.*}}, %{{.*}}) ({
        CHECK: "memref.load"(%x
        CHECK: "memref.store"
        CHECK: kdsl.lanes = 256 : i64
        """,
    )


def test_the_text_of_a_shared_sum():
    module = lowered(kernels.total)

    filecheck(
        print_op(the_kernel(module)),
        """
        CHECK: "kdsl.workgroup_alloc"() : () -> memref<32xf32, 3>
        CHECK: %[[WIDE:[0-9]+]] = "scf.for"{{.*}} ({
        CHECK: "arith.addf"{{.*}} : (vector<4xf32>, vector<4xf32>) -> vector<4xf32>
        CHECK: %[[ONE:[0-9]+]] = "vector.reduction"(%[[WIDE]])
        CHECK: %[[LANE:[0-9]+]] = "scf.for"({{.*}}, %[[ONE]]) ({
        CHECK: "gpu.shuffle"(%[[LANE]], {{.*}} {mode = #gpu<shuffle_mode xor>}
        CHECK: "scf.if"
        CHECK-NEXT: "memref.store"{{.*}} memref<32xf32, 3>
        CHECK: "gpu.barrier"()
        CHECK: "memref.load"{{.*}}memref<32xf32, 3>
        CHECK-COUNT-5: "gpu.shuffle"
        CHECK: "scf.if"
        CHECK-NEXT: "memref.store"(%{{.*}}, %out
        """,
    )
