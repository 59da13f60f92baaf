"""Layouts hold every element, by equally many places, whatever is done to them."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsl.target.layout import Digit, Layout, blocked, made, power_of_two

SIZES = st.sampled_from([1, 2, 3, 4, 5, 8, 12, 16, 32, 33, 64, 80])
SHAPES = st.lists(SIZES, min_size=1, max_size=3).filter(lambda s: prod(s) <= 8192).map(tuple)
LANES = st.sampled_from([(32, 4), (64, 4), (32, 1), (1, 16), (64, 2)])
MATRIX = made(
    (16, 16),
    [
        Digit("reg", 2, 1, 1), Digit("reg", 2, 0, 8), Digit("reg", 2, 1, 8),
        Digit("lane", 4, 1, 2), Digit("lane", 8, 0, 1),
    ],
)  # fmt: skip


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    shape = draw(SHAPES)
    lanes, warps = draw(LANES)
    axis = draw(st.integers(0, len(shape) - 1))
    return blocked(shape, draw(st.sampled_from([8, 16, 32, 64])), lanes, warps, axis)


def elements(layout: Layout) -> np.ndarray:
    return np.arange(prod(layout.shape)).reshape(layout.shape)


def held(layout: Layout, tile: np.ndarray) -> np.ndarray:
    """Return what each register holds of a tile."""
    return tile[tuple(np.moveaxis(layout.indices(), -1, 0))]


@settings(max_examples=200, deadline=None)
@given(layouts())
def test_a_blocked_layout_holds_every_element(layout: Layout) -> None:
    assert layout.check()
    np.testing.assert_array_equal(held(layout, elements(layout)), layout.linear())


@settings(max_examples=100, deadline=None)
@given(SHAPES, LANES)
def test_a_blocked_layout_uses_the_lanes_that_it_can(
    shape: tuple[int, ...], size: tuple[int, int]
) -> None:
    layout = blocked(shape, 32, *size)
    assert (layout.lanes, layout.warps) == size
    busy = min(size[0] * size[1], prod(power_of_two(n) for n in shape))
    assert layout.registers == prod(shape) // busy


@settings(max_examples=100, deadline=None)
@given(layouts(), st.data())
def test_a_dropped_axis_leaves_copies(layout: Layout, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, layout.rank - 1))
    found = layout.drop(axis)
    assert found.check()
    assert (found.lanes, found.warps) == (layout.lanes, layout.warps)
    wanted = np.delete(layout.indices(), axis, axis=-1)
    seen = [{tuple(e) for e in lane} for lane in wanted[0]]
    got = [{tuple(e) for e in lane} for lane in found.indices()[0]]
    assert seen == got


@settings(max_examples=100, deadline=None)
@given(layouts(), st.data())
def test_an_added_axis_is_held_whole(layout: Layout, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, layout.rank))
    found = layout.expand(axis, data.draw(SIZES))
    assert found.check()
    assert (found.lanes, found.warps) == (layout.lanes, layout.warps)


@settings(max_examples=100, deadline=None)
@given(layouts(), st.data())
def test_another_extent_is_a_layout_again(layout: Layout, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, layout.rank - 1))
    found = layout.resize(axis, data.draw(SIZES))
    assert found.check()
    assert (found.lanes, found.warps) == (layout.lanes, layout.warps)


@settings(max_examples=200, deadline=None)
@given(layouts(), st.data())
def test_a_slice_holds_what_the_lane_held(layout: Layout, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, layout.rank - 1))
    extent = layout.shape[axis]
    step = data.draw(st.sampled_from([1, 2, 4]))
    size = data.draw(st.integers(1, max(1, extent // step)))
    offset = data.draw(st.integers(0, max(0, extent - (size - 1) * step - 1)))
    found = layout.slice(axis, offset, size, step)
    if found is not None:
        assert found.check()
        assert (found.lanes, found.warps) == (layout.lanes, layout.warps)
        at = found.indices().copy()
        at[..., axis] = at[..., axis] * step + offset
        part = at.reshape(layout.warps * layout.lanes, -1, layout.rank)
        whole = layout.indices().reshape(layout.warps * layout.lanes, -1, layout.rank)
        for mine, all_ in zip(part, whole, strict=True):
            assert {tuple(e) for e in mine} <= {tuple(e) for e in all_}


def test_halves_of_a_matrix_operand_stay_in_their_lanes() -> None:
    whole = MATRIX.tile((16, 64))
    half = whole.slice(1, 32, 32)
    assert half == MATRIX.tile((16, 32))
    assert half.concat(1, (32, 32)) == whole


def test_every_second_column_of_pairs_stays_in_its_lane() -> None:
    found = MATRIX.slice(1, 1, 8, 2)
    assert found is not None
    assert found.registers == MATRIX.registers // 2
    assert found.along(1)[0] == Digit("lane", 4, 1, 1)


@settings(max_examples=200, deadline=None)
@given(layouts(), st.data())
def test_a_reshape_moves_nothing(layout: Layout, data: st.DataObject) -> None:
    size = prod(layout.shape)
    first = data.draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
    shape = data.draw(st.sampled_from([(size,), (first, size // first), (1, size, 1)]))
    found = layout.reshape(shape)
    if found is not None:
        np.testing.assert_array_equal(found.linear(), layout.linear())


@settings(max_examples=100, deadline=None)
@given(layouts(), st.randoms())
def test_a_transposed_layout_holds_the_transposed_tile(layout: Layout, random: object) -> None:
    order = list(range(layout.rank))
    random.shuffle(order)  # type: ignore[attr-defined]
    found = layout.permute(order)
    tile = elements(layout)
    np.testing.assert_array_equal(held(found, tile.transpose(order)), held(layout, tile))


def test_digits_that_count_as_one_are_one() -> None:
    digits = [Digit("reg", 2, 0, 1), Digit("reg", 1, 1, 4), Digit("reg", 4, 0, 2)]
    assert made((8,), digits).digits == (Digit("reg", 8, 0, 1),)


def test_a_layout_that_leaves_elements_out_fails_the_check() -> None:
    assert not made((4,), [Digit("reg", 2, 0, 1)]).check()
    assert not made((4,), [Digit("reg", 4, 0, 1), Digit("lane", 2, 0, 1)]).check()


@pytest.mark.parametrize("warps", [1, 2, 4])
def test_rows_are_dealt_out_to_subgroups(warps: int) -> None:
    layout = MATRIX.over_warps(0, warps)
    assert layout.check()
    assert layout.shape == (16 * warps, 16)
    assert layout.copied_over_warps(2).check()
