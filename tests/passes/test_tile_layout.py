"""Which axis becomes the lane axis."""

from __future__ import annotations

from kdsl.dialects import arith
from kdsl.dialects.kdsl import Dot, LoadTile
from kdsl.ir.core import Module, Value
from kdsl.ir.types import F32, I8, INDEX, tensor
from kdsl.passes.tile_layout import TileLayout, assign_lanes, dot_mode, strip_transposes, unit_axis
from tests.passes.tile_programs import AVX2, AVX512, SSE, Tiles, attention, buffer, matmul, program


def layout_of(module: Module) -> TileLayout:
    return assign_lanes(module.functions[0], AVX512)


def modes(module: Module) -> list[str]:
    """Return the modes of the dots, in order."""
    function = module.functions[0]
    layout = assign_lanes(function, AVX512)
    return [dot_mode(layout, op) for op in function.walk() if isinstance(op, Dot)]


def test_scores_have_a_lane_for_each_query() -> None:
    assert modes(attention(64, 64, 128))[0] == "m"


def test_few_queries_sum_along_the_head() -> None:
    assert modes(attention(4, 64, 128)) == ["k", "n"]


def test_a_product_has_a_lane_for_each_column() -> None:
    assert modes(matmul(16, 64, 64)) == ["n"]


def test_a_plain_load_runs_along_memory() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        b.store(b.load(x, [0, 0], (4, 20), dims=(1, 0)), y, [0, 0], dims=(1, 0))

    module = program([buffer(2)] * 2, body)
    (load,) = [op for op in module.walk() if isinstance(op, LoadTile)]
    assert unit_axis(load) == 0
    assert layout_of(module).lanes[load.y] == 0


def test_a_strided_load_has_no_unit_axis() -> None:
    def body(b: Tiles, x: Value) -> None:
        b.load(x, [0, 0], (4, 20), steps=(1, 2))

    (load,) = [op for op in program([buffer(2)], body).walk() if isinstance(op, LoadTile)]
    assert unit_axis(load) is None


def test_vectors_are_as_wide_as_the_widest_common_element() -> None:
    def body(b: Tiles, x: Value, y: Value) -> None:
        b.store(b.load(x, [0, 0], (4, 128)), y, [0, 0])
        b.create(arith.Addi, b.iota(4, INDEX), b.iota(4, INDEX))

    bytes_only = program([buffer(2, I8)] * 2, body).functions[0]
    floats = program([buffer(2, F32)] * 2, body).functions[0]
    widths = [assign_lanes(bytes_only, t).widest for t in (AVX512, AVX2, SSE)]
    assert widths == [64, 32, 16]
    assert [assign_lanes(floats, t).widest for t in (AVX512, AVX2, SSE)] == [16, 8, 4]


def test_short_axes_have_narrow_vectors() -> None:
    layout = TileLayout(16)
    assert [layout.width(n) for n in (1, 2, 3, 5, 9, 16, 17)] == [1, 2, 4, 8, 16, 16, 16]
    assert layout.vectors((3, 17), 1) == 6


def test_transposes_are_seen_through() -> None:
    found: list[Value] = []

    def body(b: Tiles, x: Value) -> None:
        tile = b.load(x, [0, 0, 0], (2, 3, 4))
        found.extend([tile, b.transpose(b.transpose(tile, (1, 2, 0)), (2, 1, 0))])

    program([buffer(3)], body)
    base, axes = strip_transposes(found[1])
    assert base is found[0]
    assert tuple(tensor((2, 3, 4), F32).shape[a] for a in axes) == found[1].type.shape  # type: ignore[attr-defined]
