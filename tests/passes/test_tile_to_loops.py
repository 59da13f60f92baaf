"""tile-to-loops keeps what tile programs compute, whatever their shapes."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdsl.dialects import arith, math
from kdsl.dialects import kdsl as k
from kdsl.dialects.scf import If, While, Yield
from kdsl.errors import OutOfRegistersError
from kdsl.ir.core import Block, Region, Value
from kdsl.ir.types import BF16, F16, F32, F64, I1, I8, I32, INDEX, ScalarType, element_type, tensor
from kdsl.target.target import Target
from tests.passes.tile_programs import (
    AVX2,
    AVX512,
    SSE,
    Tiles,
    attention,
    buffer,
    check,
    lowered,
    matmul,
    program,
    random,
    run,
    softmax,
)

TARGETS = [AVX512, AVX2, SSE]
BFLOAT = ml_dtypes.bfloat16


# ---------------------------------------------------------------------------------- whole kernels


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("sizes", [(16, 16, 8), (7, 5, 3), (1, 33, 4), (20, 1, 5), (4, 64, 17)])
def test_a_matmul_of_any_block_is_right_at_the_edges(
    target: Target, sizes: tuple[int, int, int]
) -> None:
    check(matmul(*sizes), [random(13, 19), random(19, 15, seed=1), random(13, 15, seed=2)], target)


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("shape", [(5, 37), (1, 1), (4, 64), (3, 7)])
def test_a_softmax_masks_its_padding(target: Target, shape: tuple[int, int]) -> None:
    check(softmax(*shape), [random(4, min(shape[1], 33)), np.zeros((4, 33), np.float32)], target)


@pytest.mark.parametrize("blocks", [(16, 16), (4, 16), (5, 7), (1, 8), (32, 4)])
def test_attention_is_right_for_every_program(blocks: tuple[int, int]) -> None:
    module = attention(*blocks, 12, group=2)
    after = lowered(module)
    args = [
        random(2, 21, 12),
        random(1, 21, 12, seed=1),
        random(1, 21, 12, seed=2),
        np.zeros((2, 21, 12), np.float32),
    ]
    for row in range(-(-21 // blocks[0])):
        where = {"program_ids": (row, row % 2, 0), "grid": (9, 2, 1)}
        want, got = run(module, args, **where), run(after, args, **where)
        np.testing.assert_allclose(got[3], want[3], rtol=2e-5, atol=2e-5)


def test_attention_in_bf16_with_rope_is_right() -> None:
    q = random(2, 24, 16, dtype=BFLOAT)
    args = [
        q,
        random(1, 24, 16, seed=1, dtype=BFLOAT),
        random(1, 24, 16, seed=2, dtype=BFLOAT),
        np.zeros_like(q),
    ]
    tables = [random(24, 8, seed=3), random(24, 8, seed=4)]
    check(attention(16, 8, 16, BF16, group=2, rope=True), args + tables)


def test_attention_stays_small() -> None:
    module = lowered(attention(64, 64, 128, group=4, rope=True))
    assert sum(1 for _ in module.walk()) < 1500


def test_lanes_run_along_the_queries_where_there_are_enough() -> None:
    explained = "\n".join(lowered(attention(64, 64, 128)).functions[0].attributes["kdsl.explain"])
    assert "dot 64x128x64 (MxKxN): lanes along rows" in explained
    few = "\n".join(lowered(attention(4, 64, 128)).functions[0].attributes["kdsl.explain"])
    assert "dot 4x128x64 (MxKxN): lanes along the inner axis" in few


def test_a_tile_that_fits_no_stack_is_an_error() -> None:
    with pytest.raises(OutOfRegistersError, match="use smaller tiles"):
        lowered(matmul(2048, 2048, 16))


# ------------------------------------------------------------------------------------- single ops


def one_op(
    shape: tuple[int, ...],
    element: ScalarType,
    op: Callable[[Tiles, Value], Value],
    out: ScalarType | None = None,
) -> None:
    """Check ``op`` on a loaded tile; its result is stored."""

    def body(b: Tiles, x: Value, y: Value) -> None:
        loaded = b.load(x, [0] * len(shape), shape)
        value = op(b, loaded)
        b.store(value, y, [0] * value.type.rank)  # type: ignore[attr-defined]

    found: list[tuple[int, ...]] = []

    def probe(b: Tiles, x: Value) -> None:
        value = op(b, b.load(x, [0] * len(shape), shape))
        found.append(value.type.shape)  # type: ignore[attr-defined]

    program([buffer(len(shape), element)], probe)
    dtype = element.numpy
    data = random(*shape) * 5
    args = [data.astype(dtype), np.zeros(found[0], (out or element).numpy)]
    module = program([buffer(len(shape), element), buffer(len(found[0]), out or element)], body)
    for target in TARGETS:
        check(module, args, target)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["addf", "maximumf", "minnumf", "mulf"])
def test_reductions_along_every_axis(axis: int, kind: str) -> None:
    one_op((3, 5, 18), F32, lambda b, x: b.reduce(x, axis, kind))


@pytest.mark.parametrize("kind", ["addi", "maxs", "minu", "xori", "muli", "andi"])
def test_integer_reductions(kind: str) -> None:
    one_op((7, 19), I32, lambda b, x: b.reduce(x, 1, kind))
    one_op((7, 19), I8, lambda b, x: b.reduce(x, 0, kind))


@pytest.mark.parametrize("axis", [0, 1])
def test_scans_along_every_axis(axis: int) -> None:
    one_op((6, 21), F32, lambda b, x: b.create(k.Scan, x, axis=axis, kind="addf"))
    one_op((6, 21), I32, lambda b, x: b.create(k.Scan, x, axis=axis, kind="maxs"))


def test_a_scan_of_one_axis() -> None:
    one_op((33,), F16, lambda b, x: b.create(k.Scan, x, axis=0, kind="addf"))


@pytest.mark.parametrize("permutation", [(0, 2, 1), (2, 1, 0), (1, 2, 0)])
def test_transposes(permutation: tuple[int, ...]) -> None:
    one_op((3, 18, 5), F32, lambda b, x: b.transpose(x, permutation))
    one_op((16, 16, 32), BF16, lambda b, x: b.transpose(x, permutation))


@pytest.mark.parametrize("shape", [(6, 10), (60,), (2, 3, 10), (4, 15), (5, 1, 12), (1, 60, 1)])
def test_reshapes(shape: tuple[int, ...]) -> None:
    one_op((5, 12), F32, lambda b, x: b.create(k.Reshape, x, types=[tensor(shape, F32)]))
    one_op((60,), I32, lambda b, x: b.create(k.Reshape, x, types=[tensor(shape, I32)]))


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("offset", [0, 1, 16])
def test_slices(step: int, offset: int) -> None:
    one_op(
        (5, 70),
        F32,
        lambda b, x: b.create(k.Slice, x, offsets=(1, offset), sizes=(3, 17), steps=(1, step)),
    )
    one_op(
        (5, 70),
        F32,
        lambda b, x: b.create(
            k.Slice,
            b.create(k.Scan, x, axis=0, kind="addf"),
            offsets=(0, offset),
            sizes=(2, 17),
            steps=(2, step),
        ),
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_concatenations_that_meet_inside_a_vector(axis: int) -> None:
    def join(b: Tiles, x: Value) -> Value:
        other = b.create(arith.Mulf, x, x)
        whole = b.create(k.Concat, [x, other, x], axis=axis)
        return b.create(arith.Addf, whole, whole)

    one_op((5, 19), F32, join)
    one_op((16, 3), F32, lambda b, x: b.create(k.Concat, [x, x], axis=axis))


def test_truth_values_are_kept_in_buffers() -> None:
    def pick(b: Tiles, x: Value) -> Value:
        positive = b.create(arith.Cmpf, x, b.full(x.type.shape, 0.0), predicate=arith.CMPF["ogt"])  # type: ignore[attr-defined]
        turned = b.create(k.Concat, [positive, positive], axis=0)
        both = b.create(k.Concat, [x, x], axis=0)
        return b.create(arith.Select, turned, both, b.create(arith.Negf, both))

    one_op((5, 19), F32, pick)
    one_op((5, 19), F32, lambda b, x: pick(b, b.transpose(x)))


def test_a_masked_divisor_does_not_trap() -> None:
    after = one_op(
        (3, 21),
        I32,
        lambda b, x: b.create(
            arith.Divsi, b.full((3, 21), 7, I32), b.create(arith.Ori, x, b.full((3, 21), 1, I32))
        ),
    )
    assert after is None


@pytest.mark.parametrize(
    "types", [(F32, F32), (BF16, F32), (F16, F16), (I8, I32), (F64, F64), (F32, F64)]
)
@pytest.mark.parametrize("sizes", [(3, 17, 5), (16, 8, 32), (1, 40, 1), (18, 2, 7), (1, 1, 1)])
def test_dots_of_every_kind(
    types: tuple[ScalarType, ScalarType], sizes: tuple[int, int, int]
) -> None:
    (operand, wide), (m, depth, n) = types, sizes

    def body(b: Tiles, x: Value, y: Value, z: Value) -> None:
        first, second = b.load(x, [0, 0], (m, depth)), b.load(y, [0, 0], (depth, n))
        start = b.load(z, [0, 0], (m, n))
        b.store(b.dot(first, second, start), z, [0, 0])

    module = program([buffer(2, operand), buffer(2, operand), buffer(2, wide)], body)
    args = [
        (random(*s, seed=i) * 3).astype(t.numpy)
        for i, (s, t) in enumerate((((m, depth), operand), ((depth, n), operand), ((m, n), wide)))
    ]
    for target in TARGETS:
        check(module, args, target)


def test_dots_of_transposes_take_any_combination() -> None:
    for left in (False, True):
        for right in (False, True):

            def body(
                b: Tiles, x: Value, y: Value, z: Value, left: bool = left, right: bool = right
            ) -> None:
                a = b.load(x, [0, 0], (18, 6) if left else (6, 18))
                c = b.load(y, [0, 0], (9, 18) if right else (18, 9))
                b.store(
                    b.dot(b.transpose(a) if left else a, b.transpose(c) if right else c), z, [0, 0]
                )

            args = [
                random(*((18, 6) if left else (6, 18))),
                random(*((9, 18) if right else (18, 9))),
                random(6, 9),
            ]
            check(program([buffer(2)] * 3, body), args)


def test_a_gather_and_a_scatter() -> None:
    def body(b: Tiles, x: Value, at: Value, y: Value) -> None:
        rows = b.create(arith.IndexCast, b.load(at, [0], (5,)), types=[tensor((5,), INDEX)])
        shape = (5, 18)
        where = b.spread(rows, shape, (0,)), b.spread(b.iota(18), shape, (1,))
        keep = b.less(where[1], b.full(shape, 17, INDEX))
        value = b.create(k.Gather, x, keep, where)
        b.add(k.Scatter, b.create(arith.Addf, value, value), y, keep, where)
        b.add(k.Scatter, value, y, keep, where, kind="addf")

    module = program([buffer(2), buffer(1, I32), buffer(2)], body)
    check(
        module, [random(9, 18), np.array([3, 1, 8, 0, 5], np.int32), np.zeros((9, 18), np.float32)]
    )


def test_a_table_of_constants() -> None:
    table = np.arange(40, dtype=np.float32).reshape(5, 8) ** 1.5

    def body(b: Tiles, x: Value, y: Value) -> None:
        constant = arith.constant(b, table, tensor((5, 8), F32))
        b.store(b.create(arith.Mulf, b.load(x, [0, 0], (5, 8)), constant), y, [0, 0])

    check(program([buffer(2)] * 2, body), [random(5, 8), random(5, 8)])


# ---------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("offset", [-3, 0, 2, 9, 40])
@pytest.mark.parametrize("step", [1, 2])
def test_windows_that_leave_the_buffer_read_zero_and_write_nothing(offset: int, step: int) -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        tile = b.load(x, [offset, offset], (4, 18), steps=(step, step))
        b.store(
            b.create(arith.Addf, tile, b.full((4, 18), 1.0)),
            y,
            [offset, offset],
            steps=(step, step),
        )

    check(program([buffer(2)] * 2, body), [random(11, 21), random(11, 21, seed=1)])


def test_a_stop_before_the_end_bounds_a_window() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        stops = [b.index(3), b.index(13)]
        tile = b.load(x, [0, 0], (5, 18), stops=stops)
        b.store(b.create(arith.Addf, tile, b.full((5, 18), 1.0)), y, [1, 1], stops=stops)

    check(program([buffer(2)] * 2, body), [random(8, 21), random(8, 21, seed=1)])


def test_windows_along_permuted_dimensions() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        tile = b.load(x, [0, 2, 0], (18, 5), dims=(2, 0))
        b.store(tile, y, [0, 1, 0], dims=(0, 2))

    check(program([buffer(3)] * 2, body), [random(5, 4, 20), random(18, 4, 5, seed=1)])


def test_a_load_is_done_before_a_store_that_overwrites_it() -> None:
    def body(b: Tiles, x: Value) -> None:
        tile = b.load(x, [0, 0], (6, 20))
        total = b.reduce(tile, 1, "addf")
        b.store(b.create(arith.Addf, tile, b.full((6, 20), 1.0)), x, [0, 0])
        b.store(b.create(arith.Addf, tile, b.spread(total, (6, 20), (0,))), x, [0, 3])

    check(program([buffer(2)], body), [random(6, 23)])


def test_a_transpose_in_place_reads_all_first() -> None:
    def body(b: Tiles, x: Value) -> None:
        b.store(b.transpose(b.load(x, [0, 0], (18, 18))), x, [0, 0])

    check(program([buffer(2)], body), [random(18, 18)])


def test_a_load_after_a_store_sees_it() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        b.store(b.create(arith.Negf, b.load(x, [0, 0], (6, 20))), x, [0, 0])
        b.store(b.load(x, [0, 1], (6, 20)), y, [0, 0])

    check(program([buffer(2)] * 2, body), [random(6, 21), random(6, 20)])


# ----------------------------------------------------------------------------------- control flow


def test_carried_tiles_that_change_places() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        first, second = b.load(x, [0, 0], (3, 18)), b.load(x, [1, 0], (3, 18))

        def step(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            p, q, r = carried
            return [q, c.create(arith.Addf, p, r), q]

        for i, value in enumerate(b.loop(b.index(5), [first, second, first], step)):
            b.store(value, y, [3 * i, 0])

    check(program([buffer(2)] * 2, body), [random(4, 18), random(9, 18)])


def test_a_carried_tile_that_is_read_after_its_successor_was_made() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        start = b.load(x, [0, 0], (3, 18))

        def step(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            old, total = carried
            new = c.create(math.Exp2, c.create(arith.Negf, old))
            row = c.reduce(new, 1, "addf")
            mixed = c.create(arith.Addf, old, c.spread(row, (3, 18), (0,)))
            return [new, c.create(arith.Addf, total, mixed)]

        for i, value in enumerate(b.loop(b.index(4), [start, b.full((3, 18), 0.0)], step)):
            b.store(value, y, [3 * i, 0])

    check(program([buffer(2)] * 2, body), [random(4, 18), random(6, 18)])


def test_a_dot_that_reads_its_own_carried_tile() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        w = b.load(x, [0, 0], (18, 18))

        def step(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            scaled = c.create(arith.Mulf, c.dot(carried[0], w), c.full((5, 18), 0.2))
            return [scaled]

        (out,) = b.loop(b.index(3), [b.load(x, [0, 0], (5, 18))], step)
        b.store(out, y, [0, 0])

    check(program([buffer(2)] * 2, body), [random(18, 18), random(5, 18)])


def test_nested_loops_carry_tiles() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        start = b.load(x, [0, 0], (3, 18))

        def inner(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            return [c.create(arith.Addf, carried[0], c.load(x, [i, 0], (3, 18)))]

        def outer(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            (total,) = c.loop(c.index(3), [carried[0]], inner)
            return [c.create(arith.Mulf, total, c.full((3, 18), 0.5))]

        b.store(b.loop(b.index(2), [start], outer)[0], y, [0, 0])

    check(program([buffer(2)] * 2, body), [random(6, 18), random(3, 18)])


@pytest.mark.parametrize("chosen", [0, 1])
def test_branches_hand_over_tiles(chosen: int) -> None:
    def body(b: Tiles, x: Value, y: Value, flag: Value) -> None:
        tile = b.load(x, [0, 0], (3, 18))
        kinds = [tile.type, F32]
        choice = b.add(
            If,
            b.create(arith.Cmpi, flag, b.index(0), predicate=0),
            types=kinds,
            regions=[Region([Block()]), Region([Block()])],
        )
        then, other = Tiles(choice.regions[0].block), Tiles(choice.regions[1].block)
        squared = then.create(arith.Mulf, tile, tile)
        then.add(Yield, [squared, then.reduce(then.reduce(squared, 0, "addf"), 0, "addf")])
        other.add(Yield, [tile, other.number(2.0, F32)])
        b.store(
            b.create(arith.Addf, choice.results[0], b.spread(choice.results[1], (3, 18))), y, [0, 0]
        )

    check(program([buffer(2), buffer(2), INDEX], body), [random(3, 18), random(3, 18), chosen])


def test_a_while_carries_tiles() -> None:
    from kdsl.dialects.scf import Condition

    def body(b: Tiles, x: Value, y: Value) -> None:
        tile = b.load(x, [0, 0], (3, 18))
        before, after = Block([tile.type, INDEX]), Block([tile.type, INDEX])
        loop = b.add(
            While,
            [tile, b.index(0)],
            types=[tile.type, INDEX],
            regions=[Region([before]), Region([after])],
        )
        first, second = Tiles(before), Tiles(after)
        go = first.create(arith.Cmpi, before.args[1], first.index(3), predicate=arith.CMPI["slt"])
        first.add(Condition, go, [first.create(arith.Negf, before.args[0]), before.args[1]])
        more = second.create(arith.Addf, after.args[0], second.full((3, 18), 1.5))
        second.add(Yield, [more, second.create(arith.Addi, after.args[1], second.index(1))])
        b.store(loop.results[0], y, [0, 0])

    check(program([buffer(2)] * 2, body), [random(3, 18), random(3, 18)])


def test_a_tile_from_outside_is_kept_for_a_loop() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        power = b.create(math.Exp, b.load(x, [0, 0], (3, 18)))

        def step(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            return [c.create(arith.Addf, carried[0], power)]

        b.store(b.loop(b.index(4), [b.full((3, 18), 0.0)], step)[0], y, [0, 0])

    after = check(program([buffer(2)] * 2, body), [random(3, 18), random(3, 18)])
    loops = [
        op
        for op in after.walk()
        if op.name == "scf.for" and any(o.name == "arith.addf" for o in op.walk())
    ]
    assert not any(op.name == "math.exp" for op in loops[0].walk())


# ------------------------------------------------------------------------------- random programs

EXTENTS = st.sampled_from([1, 2, 3, 4, 5, 8, 15, 16, 17, 24, 33])


class Random:
    """Builds a random straight tile program out of drawn choices."""

    def __init__(self, draw: Callable[..., object], b: Tiles, source: Value) -> None:
        self.draw = draw
        self.b = b
        self.source = source
        self.tiles: list[Value] = []

    def number(self, low: int, high: int) -> int:
        found = self.draw(st.integers(low, high))
        assert isinstance(found, int)
        return found

    def pick(self) -> Value:
        return self.tiles[self.number(0, len(self.tiles) - 1)]

    def shape(self, rank: int) -> tuple[int, ...]:
        return tuple(int(self.draw(EXTENTS)) for _ in range(rank))  # type: ignore[call-overload]

    def load(self) -> None:
        shape = self.shape(2)
        at = [self.number(-2, 6), self.number(-2, 6)]
        dims = (0, 1) if self.number(0, 2) else (1, 0)
        self.tiles.append(self.b.load(self.source, at, shape, dims=dims))

    def step(self) -> None:
        """Add one op."""
        b, x = self.b, self.pick()
        shape = x.type.shape  # type: ignore[attr-defined]
        rank = len(shape)
        choice = self.number(0, 11)
        if choice == 0:
            self.load()
        elif choice == 1:
            self.tiles.append(
                b.create([arith.Addf, arith.Subf, arith.Maximumf][self.number(0, 2)], x, x)
            )
        elif choice == 2:
            half = b.create(arith.Mulf, x, b.full(shape, 0.5))
            self.tiles.append(b.create(math.Tanh, half))
        elif choice == 3 and rank > 1:
            axis = self.number(0, rank - 1)
            kept = [a for a in range(rank) if a != axis]
            reduced = b.reduce(x, axis, ["maximumf", "minimumf", "addf"][self.number(0, 2)])
            self.tiles.append(reduced)
            self.tiles.append(b.create(arith.Subf, x, b.spread(reduced, shape, kept)))
        elif choice == 4:
            order = list(range(rank))
            order = order[::-1] if self.number(0, 1) else order[1:] + order[:1]
            self.tiles.append(b.transpose(x, order))
        elif choice == 5:
            offsets = tuple(self.number(0, n - 1) for n in shape)
            sizes = tuple(self.number(1, n - o) for n, o in zip(shape, offsets, strict=True))
            self.tiles.append(b.create(k.Slice, x, offsets=offsets, sizes=sizes, steps=(1,) * rank))
        elif choice == 6 and shape[0] < 40:
            axis = self.number(0, rank - 1)
            self.tiles.append(b.create(k.Concat, [x, b.create(arith.Negf, x)], axis=axis))
        elif choice == 7 and rank == 2:
            other = (
                b.transpose(x)
                if self.number(0, 1)
                else b.load(self.source, [0, 0], (shape[1], self.shape(1)[0]))
            )
            product = b.dot(x, other)
            self.tiles.append(b.create(arith.Mulf, product, b.full(product.type.shape, 1 / 16)))  # type: ignore[attr-defined]
        elif choice == 8:
            lanes = b.spread(b.iota(shape[-1]), shape, (rank - 1,))
            keep = b.less(lanes, b.full(shape, self.number(0, shape[-1]), INDEX))
            self.tiles.append(b.create(arith.Select, keep, x, b.full(shape, -1.0)))
        elif choice == 9:
            self.tiles.append(b.to(b.to(x, BF16), F32))
        elif choice == 10:
            self.tiles.append(b.create(k.Scan, x, axis=self.number(0, rank - 1), kind="maximumf"))
        elif choice == 11 and rank > 1:
            flat = tensor((int(np.prod(shape)),), F32)
            self.tiles.append(b.create(k.Reshape, x, types=[flat]))

    def loop(self) -> None:
        """Carry two tiles through a few turns of random ops."""
        first, second = self.pick(), self.pick()
        outside = list(self.tiles)

        def body(c: Tiles, i: Value, carried: list[Value]) -> list[Value]:
            saved, self.b, self.tiles = self.b, c, [*outside[:2], *carried]
            for _ in range(self.number(1, 4)):
                self.step()
            found = []
            for arg in carried:
                same = [t for t in self.tiles if t.type is arg.type]
                found.append(same[self.number(0, len(same) - 1)])
            self.b = saved
            return found

        results = self.b.loop(self.b.index(self.number(0, 3)), [first, second], body)
        self.tiles = [*outside, *results]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_random_programs_keep_their_meaning(data: st.DataObject) -> None:
    outputs: list[tuple[int, ...]] = []

    def body(b: Tiles, x: Value, *ys: Value) -> None:
        made = Random(data.draw, b, x)
        made.load()
        for _ in range(made.number(1, 5)):
            made.step()
        if made.number(0, 1):
            made.loop()
        for _ in range(made.number(0, 3)):
            made.step()
        for y in ys:
            value = made.pick()
            rank = value.type.rank  # type: ignore[attr-defined]
            b.store(
                value, y, [0, made.number(-1, 2)], dims=(0, 1) if rank == 2 else (1,)
            ) if rank <= 2 else None
        outputs.append(())

    module = program([buffer(2), buffer(2), buffer(2)], body)
    target = TARGETS[data.draw(st.integers(0, 2))]
    args = [random(20, 20), random(30, 30, seed=1), random(30, 30, seed=2)]
    before = run(module, args)
    after = run(lowered(module, target), args)
    for want, got in zip(before, after, strict=True):
        bound = 1e-3 * (1.0 + float(np.max(np.abs(want), initial=0.0, where=np.isfinite(want))))
        np.testing.assert_allclose(got, want, rtol=1e-2, atol=bound)


__all__ = ["I1", "element_type"]
