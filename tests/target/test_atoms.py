"""Matrix instructions: layouts are what vendors publish, and multiply as matrices do."""

from __future__ import annotations

import numpy as np
import pytest

from kdsl.ir.types import SCALARS
from kdsl.target.atoms import ATOMS, Atom, atom_named


@pytest.mark.parametrize("atom", ATOMS.values(), ids=lambda a: a.name)
def test_every_operand_is_held_once_or_in_copies(atom: Atom) -> None:
    assert (atom.a.shape, atom.b.shape) == ((atom.m, atom.k), (atom.k, atom.n))
    assert atom.c.shape == (atom.m, atom.n)
    for layout in (atom.a, atom.b, atom.c):
        assert layout.check()
        assert layout.lanes == atom.subgroup
        assert layout.warps == 1


@pytest.mark.parametrize("atom", ATOMS.values(), ids=lambda a: a.name)
def test_lanes_that_share_an_inner_index_multiply_as_matrices_do(atom: Atom) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((atom.m, atom.k)), rng.standard_normal((atom.k, atom.n))
    left, right = (
        x[tuple(np.moveaxis(layout.indices()[0], -1, 0))]
        for x, layout in ((a, atom.a), (b, atom.b))
    )
    again = [np.zeros((atom.m, atom.k)), np.zeros((atom.k, atom.n))]
    for found, held, layout in zip(again, (left, right), (atom.a, atom.b), strict=True):
        found[tuple(np.moveaxis(layout.indices()[0], -1, 0))] = held
    np.testing.assert_array_equal(again[0] @ again[1], a @ b)


@pytest.mark.parametrize("atom", ATOMS.values(), ids=lambda a: a.name)
def test_operand_types_are_known(atom: Atom) -> None:
    for pair in atom.types:
        assert all(name in SCALARS or name == "tf32" for name in pair)
    assert atom.accumulates(*atom.types[0])
    assert not atom.accumulates("f64", "f32")


def published(atom: str, operand: str) -> np.ndarray:
    """Return [lane, register] -> (row, column)."""
    found: np.ndarray = getattr(atom_named(atom), operand).indices()[0]
    return found


def test_mma_is_as_the_instruction_set_manual_says() -> None:
    a, b, c = (published("mma.m16n8k16", x) for x in "abc")
    for lane in range(32):
        group, thread = lane // 4, lane % 4
        for i in range(8):
            row = group if i in (0, 1, 4, 5) else group + 8
            assert tuple(a[lane, i]) == (row, thread * 2 + (i & 1) + (0 if i < 4 else 8))
        for i in range(4):
            assert tuple(b[lane, i]) == (thread * 2 + (i & 1) + (0 if i < 2 else 8), group)
            assert tuple(c[lane, i]) == (group + 8 * (i // 2), thread * 2 + (i & 1))


@pytest.mark.parametrize("name", ["mma.m16n8k32.i8", "mma.m16n8k32.f8"])
def test_mma_of_bytes_is_as_the_instruction_set_manual_says(name: str) -> None:
    a, b = (published(name, x) for x in "ab")
    for lane in range(32):
        group, thread = lane // 4, lane % 4
        for i in range(16):
            row = group if i < 4 or 8 <= i < 12 else group + 8
            assert tuple(a[lane, i]) == (row, thread * 4 + (i & 3) + (0 if i < 8 else 16))
        for i in range(8):
            assert tuple(b[lane, i]) == (thread * 4 + (i & 3) + (0 if i < 4 else 16), group)


def test_mma_of_tf32_is_as_the_instruction_set_manual_says() -> None:
    a, b = (published("mma.m16n8k8", x) for x in "ab")
    for lane in range(32):
        group, thread = lane // 4, lane % 4
        for i in range(4):
            assert tuple(a[lane, i]) == (group + 8 * (i & 1), thread + 4 * (i // 2))
        for i in range(2):
            assert tuple(b[lane, i]) == (thread + 4 * i, group)


@pytest.mark.parametrize(
    ("name", "side", "depth"),
    [("mfma.16x16x16", 16, 4), ("mfma.32x32x8", 32, 4), ("mfma.16x16x32", 16, 8)],
)
def test_mfma_operands_are_as_the_calculator_says(name: str, side: int, depth: int) -> None:
    a, b = (published(name, x) for x in "ab")
    for lane in range(64):
        for i in range(depth):
            k = depth * (lane // side) + i
            assert tuple(a[lane, i]) == (lane % side, k)
            assert tuple(b[lane, i]) == (k, lane % side)


def test_mfma_accumulators_are_as_the_calculator_says() -> None:
    small, large = published("mfma.16x16x16", "c"), published("mfma.32x32x8", "c")
    for lane in range(64):
        for i in range(4):
            assert tuple(small[lane, i]) == (4 * (lane // 16) + i, lane % 16)
        for i in range(16):
            assert tuple(large[lane, i]) == (8 * (i // 4) + 4 * (lane // 32) + i % 4, lane % 32)


def test_wmma_of_both_generations_is_as_the_calculator_says() -> None:
    a, c = (published("wmma.copied", x) for x in "ac")
    for lane in range(32):
        for i in range(16):
            assert tuple(a[lane, i]) == (lane % 16, i)
        for i in range(8):
            assert tuple(c[lane, i]) == (2 * i + lane // 16, lane % 16)
    a, c = (published("wmma.split", x) for x in "ac")
    for lane in range(32):
        for k in range(16):
            if (k >> 2) & 1 == lane // 16:
                assert tuple(a[lane, (k & 3) | ((k >> 1) & 4)]) == (lane % 16, k)
        for i in range(8):
            assert tuple(c[lane, i]) == (i + 8 * (lane // 16), lane % 16)


def test_an_accumulator_of_two_mma_is_the_next_ones_operand() -> None:
    atom = atom_named("mma.m16n8k16")
    assert atom.c.tile((16, 16)) == atom.a
