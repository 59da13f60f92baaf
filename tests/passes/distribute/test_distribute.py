"""What lanes are given to do: layouts that move nothing, few barriers, few ops, and errors."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from kdsl.dialects import arith
from kdsl.dialects import kdsl as k
from kdsl.dialects.cf import Assert
from kdsl.dialects.gpu import LANES, Barrier
from kdsl.dialects.memref import ATOMIC_KINDS, AtomicRmw
from kdsl.dialects.memref import Load as ScalarLoad
from kdsl.dialects.memref import Store as ScalarStore
from kdsl.dialects.scf import STAGES, For, If
from kdsl.errors import InterpreterError, OutOfRegistersError, TileShapeError
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.types import BF16, F32, I32, I64, INDEX, memref
from kdsl.passes.explain import explanations
from kdsl.passes.licm import LoopInvariantCodeMotion
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.passes.pipelines import SIMPLIFY
from kdsl.target.target import Target
from kdsl.testing import simt
from tests.passes.distribute.lanes import (
    MFMA,
    MMA,
    PLAIN,
    SINGLE,
    check_lanes,
    close,
    distributed,
    run_lanes,
)
from tests.passes.tile_programs import Tiles, attention, buffer, matmul, program, random, run

SMALL = replace(PLAIN, features=replace(PLAIN.features, shared_bytes=8 * 1024))


def simplified(module: Module, target: Target) -> Module:
    run_pipeline(Pipeline("tidy", (*SIMPLIFY, LoopInvariantCodeMotion())), module, target)
    return module


def loops(module: Module) -> list[Op]:
    return [op for op in module.walk() if isinstance(op, For)]


def count(op: Op) -> Counter[str]:
    return Counter(inner.name for inner in op.walk())


def staged(module: Module, stages: int = 2) -> Module:
    """Ask for loads that run ahead in every loop."""
    for loop in loops(module):
        loop.attributes[STAGES] = stages
    return module


# ---------------------------------------------------------------------------------------- shape


def test_a_kernel_says_how_many_lanes_it_has() -> None:
    module = distributed(attention(64, 64, 64, BF16), MMA)
    assert module.functions[0].attributes[LANES] == 128
    assert "f: 128 lanes: 4 subgroups of 32" in explanations(module)
    assert "f: dot 64x64x64 (MxKxN) of bf16: mma.m16n8k16" in explanations(module)


def test_a_schedule_chooses_the_number_of_subgroups() -> None:
    assert distributed(matmul(64, 64, 32), PLAIN, 2).functions[0].attributes[LANES] == 64
    huge = distributed(matmul(64, 64, 32), PLAIN, 64).functions[0].attributes[LANES]
    assert huge == PLAIN.features.max_lanes


def test_fragments_are_whole_vectors_and_the_code_is_small() -> None:
    module = simplified(distributed(attention(64, 64, 128, BF16), MMA), MMA)
    names = count(module)
    assert names["math.exp2"] == 2
    assert names["kdsl.matrix_multiply"] == 128
    assert sum(names.values()) < 1800


def test_sums_become_the_next_operand_without_memory() -> None:
    module = staged(attention(64, 64, 64, BF16))
    (loop,) = loops(simplified(distributed(module, MMA), MMA))
    names = count(loop)
    # One barrier a turn: for the keys and values that were copied ahead.
    assert names["gpu.barrier"] == 1
    assert names["kdsl.copy_wait"] == 1
    # Two rows a lane, over the four lanes that share them, for the maximum and for the sum.
    assert names["gpu.shuffle"] == 2 * 2 * 2


def test_an_operand_from_outside_of_a_loop_stays_in_registers() -> None:
    (loop,) = loops(simplified(distributed(attention(64, 64, 64, BF16), MMA), MMA))
    names = count(loop)
    # Keys: 4 steps x 8 columns of 8; values: as many; 4 matrices a load, two for each.
    assert names["kdsl.load_matrix"] == 2 * 4 * 8 * 2 // 4


def test_rows_of_a_matrix_operand_are_padded() -> None:
    module = distributed(matmul(64, 64, 64, BF16), MMA)
    kinds = [op.results[0].type for op in module.walk() if op.name == "kdsl.workgroup_alloc"]
    assert any(kind.shape == (64 * (64 + 8),) for kind in kinds)  # type: ignore[attr-defined]


def test_masks_are_compared_in_32_bits() -> None:
    (loop,) = loops(simplified(distributed(attention(64, 64, 64, BF16), MMA), MMA))
    kinds = [str(op.operands[0].type) for op in loop.walk() if op.name == "arith.cmpi"]
    assert "vector<32xi32>" in kinds
    assert not any(kind.startswith("vector") and "index" in kind for kind in kinds)


# ------------------------------------------------------------------------------------ pipelines


@pytest.mark.parametrize("stages", [2, 3, 4])
@pytest.mark.parametrize("depth", [0, 8, 32, 40, 64, 150])
def test_loads_that_run_ahead_are_right_for_any_number_of_turns(stages: int, depth: int) -> None:
    module = staged(matmul(32, 32, 32, BF16), stages)
    bf16 = BF16.numpy
    args = [
        random(40, depth, dtype=bf16),
        random(depth, 48, seed=1, dtype=bf16),
        random(40, 48, seed=2, dtype=bf16),
    ]
    for where in ((0, 0, 0), (1, 1, 0)):
        check_lanes(module, args, MMA, program_ids=where, grid=(2, 2, 1))


def test_a_loop_that_writes_what_it_reads_does_not_run_ahead() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        def step(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            at = c.create(arith.Muli, i, c.index(16))
            found = c.dot(c.load(x, [0, at], (16, 16)), c.load(x, [at, 0], (16, 16)), carried[0])
            c.store(c.to(found, BF16), x, [at, 0])
            return [found]

        (found,) = b.loop(b.index(3), [b.full((16, 16), 0.0)], step)
        b.store(b.to(found, BF16), y, [0, 0])

    module = staged(program([buffer(2, BF16)] * 2, body))
    args = [random(48, 48, dtype=BF16.numpy) / 8, random(16, 16, dtype=BF16.numpy)]
    after = check_lanes(module, [a.astype(BF16.numpy) for a in args], MMA)
    assert "kdsl.copy_async" not in count(after)


@pytest.mark.parametrize("target", [MMA, MFMA], ids=str)
@pytest.mark.parametrize("rows", [1, 2, 4, 8, 16, 24, 48])
def test_a_dot_of_few_rows_is_right(rows: int, target: Target) -> None:
    bf16 = BF16.numpy
    args = [
        random(rows, 64, dtype=bf16), random(64, 32, seed=1, dtype=bf16),
        random(rows, 32, seed=2, dtype=bf16),
    ]  # fmt: skip
    after = check_lanes(matmul(rows, 32, 32, BF16), args, target)
    assert ("kdsl.matrix_multiply" in count(after)) == (rows % 16 == 0 or 16 % rows == 0)


@pytest.mark.parametrize("size", [32, 80, 96])
def test_dots_go_through_little_workgroup_memory_in_parts(size: int) -> None:
    args = [random(2, 40, size), random(1, 40, size, seed=1), random(1, 40, size, seed=2)]
    args.append(np.zeros((2, 40, size), np.float32))
    check_lanes(attention(32, 16, size, group=2), args, SMALL)


# -------------------------------------------------------------------------------------- effects


def test_scalars_are_written_by_one_lane_and_read_by_all() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        total = b.reduce(b.load(x, [0], (100,)), 0, "addf")
        b.add(ScalarStore, total, y, [b.index(0)])
        again = b.create(ScalarLoad, y, [b.index(0)])
        b.store(b.spread(again, (40,)), y, [b.index(1)])

    check_lanes(program([buffer(1)] * 2, body), [random(100), random(50)], PLAIN)
    check_lanes(program([buffer(1)] * 2, body), [random(100), random(50)], SINGLE, 8)


def test_an_atomic_is_done_once_and_tells_all_lanes_what_was_there() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        one = b.number(3, I32)
        kind = ATOMIC_KINDS.index("addi")
        b.add(AtomicRmw, one, x, [b.index(0)], kind=kind)
        old = b.create(AtomicRmw, one, x, [b.index(0)], kind=kind)
        b.store(b.spread(old, (64,)), y, [0])

    args = [np.zeros(2, np.int32), np.zeros(70, np.int32)]
    check_lanes(program([buffer(1, I32)] * 2, body), args, PLAIN, 4)


def test_atomics_of_tiles_count_every_element_once() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        places = b.create(arith.IndexCast, b.load(x, [0], (100,)), types=[index_tile(100)])
        keep = b.less(places, b.spread(b.index(5), (100,)))
        ones = b.full((100,), 1, I32)
        b.add(k.Scatter, ones, y, keep, [places], kind="addi")

    numbers = np.random.default_rng(0).integers(0, 8, 100).astype(np.int32)
    for target in (PLAIN, SINGLE):
        check_lanes(program([buffer(1, I32)] * 2, body), [numbers, np.zeros(5, np.int32)], target)


def index_tile(size: int) -> object:
    from kdsl.ir.types import tensor

    return tensor((size,), INDEX)


def test_a_printed_tile_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    def body(b: Tiles, x: Value) -> None:
        tile = b.load(x, [0, 0], (2, 3))
        b.add(k.Print, [b.index(7), tile], format="{}: {}!")

    module = distributed(program([buffer(2, I32)], body), PLAIN)
    run_lanes(module, PLAIN, [np.arange(6, dtype=np.int32).reshape(2, 3)])
    assert capsys.readouterr().out == "7: [0 1 2 3 4 5]!\n"


def test_an_assertion_about_a_tile_stops_the_kernel() -> None:
    def body(b: Tiles, x: Value) -> None:
        good = b.less(b.load(x, [0], (64,)), b.full((64,), 9, I64))
        b.add(Assert, b.reduce(good, 0, "andi"), msg="too large")

    module = distributed(program([buffer(1, I64)], body), PLAIN)
    run_lanes(module, PLAIN, [np.zeros(64, np.int64)])
    with pytest.raises(InterpreterError, match="too large"):
        run_lanes(module, PLAIN, [np.full(64, 9, np.int64)])


def test_tiles_under_a_branch_are_stored_when_it_is_taken() -> None:
    from kdsl.dialects.scf import Yield
    from kdsl.ir.core import Block, Region

    def body(b: Tiles, x: Value, y: Value) -> None:
        first = b.create(ScalarLoad, x, [b.index(0)])
        taken = b.create(arith.Cmpf, first, b.number(0.0, F32), predicate=arith.CMPF["ogt"])
        op = b.add(If, taken, types=[], regions=[Region([Block()]), Region([])])
        with b.at(op.then_block):
            b.store(b.load(x, [0], (40,)), y, [0])
            b.add(Yield, [])

    module = program([buffer(1)] * 2, body)
    for sign in (1.0, -1.0):
        check_lanes(module, [np.full(40, sign, np.float32), np.zeros(40, np.float32)], PLAIN)


# ------------------------------------------------------------------------------------- accesses


@pytest.mark.parametrize("shift", [0, 1, 2])
@pytest.mark.parametrize("columns", [64, 61, 70])
def test_any_address_and_any_edge_is_read_right(shift: int, columns: int) -> None:
    """The interpreter refuses what is misaligned, and every place outside of the buffers."""

    def body(b: Tiles, x: Value, y: Value) -> None:
        tile = b.load(x, [b.index(0), b.index(2)], (16, 64))
        b.store(b.create(arith.Addf, tile, tile), y, [b.index(3), b.index(0)])

    module = program([buffer(2)] * 2, body)
    whole = random(17, columns + 3)
    args = [whole[:, shift : shift + columns], np.zeros((12, columns), np.float32)]
    after = distributed(module, PLAIN)
    wanted = run(module, args)
    given = [args[0], args[1].copy()]
    simt.run(after, "f", given, PLAIN.features)
    close(wanted, given)


def test_aligned_rows_are_read_in_whole_vectors() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        b.store(b.load(x, [0, 0], (32, 64)), y, [0, 0])

    kind = memref((32, 64), BF16)
    module = distributed(program([kind, kind], body), PLAIN)
    wide = [op for op in module.walk() if op.attributes.get("alignment") == 16]
    assert {op.name for op in wide} == {"vector.load", "vector.store"}
    assert all("vector<8xbf16>" in str([v.type for v in (*o.operands, *o.results)]) for o in wide)


def test_a_tile_without_a_unit_stride_is_read_element_by_element() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        b.store(b.load(x, [0, 0], (9, 10)), y, [0, 0])

    strided = memref((-1, -1), F32, (-1, -1))
    module = program([strided, strided], body)
    wide = random(12, 40)
    args = [wide[:, ::3], np.zeros((7, 20), np.float32)[:, ::2]]
    after = distributed(module, PLAIN)
    wanted, given = args[1].copy(), args[1].copy()
    wanted[:7, :10] = args[0][:7, :10]
    simt.run(after, "f", [args[0], given], PLAIN.features)
    close([wanted], [given])


def test_a_barrier_stands_between_a_store_and_a_load_of_other_lanes() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        b.store(b.transpose(b.load(x, [0, 0], (16, 16))), y, [0, 0])
        b.store(b.transpose(b.load(y, [0, 0], (16, 16))), x, [0, 0])

    module = program([buffer(2)] * 2, body)
    after = check_lanes(module, [random(16, 16), random(16, 16, seed=1)], PLAIN)
    assert sum(isinstance(op, Barrier) for op in after.walk()) >= 2


# --------------------------------------------------------------------------------------- errors


def test_a_kernel_that_needs_too_much_workgroup_memory_is_an_error() -> None:
    tiny = replace(PLAIN, features=replace(PLAIN.features, shared_bytes=1024))

    def body(b: Tiles, x: Value, y: Value) -> None:
        tile = b.load(x, [0, 0], (64, 64))
        b.store(b.create(arith.Addf, tile, b.transpose(tile)), y, [0, 0])

    with pytest.raises(OutOfRegistersError, match="workgroup memory"):
        distributed(program([buffer(2)] * 2, body), tiny)


def test_a_tile_of_unknown_size_is_an_error() -> None:
    from kdsl.ir.types import tensor
    from kdsl.passes.distribute import Distribute

    def body(b: Tiles, x: Value, y: Value) -> None:
        b.store(b.load(x, [0], (4,)), y, [0])

    module = program([buffer(1)] * 2, body)
    load = next(op for op in module.walk() if isinstance(op, k.LoadTile))
    load.results[0].type = tensor((-1,), F32)
    with pytest.raises(TileShapeError, match="Const parameter"):
        Distribute().run(module, PLAIN)
