"""What the verifiers of scheduled kernels refuse."""

from __future__ import annotations

import pytest

from kdsl.errors import KdslError
from kdsl.ir.parser import parse
from kdsl.ir.verify import verify
from kdsl_ptx.dialect import tile
from tests.backends.ptx.hopper.programs import HERE

GEMM = (HERE / "gemm.mlir").read_text(encoding="utf-8")
ATTENTION = (HERE / "attention_causal_d128.mlir").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (GEMM, "registers = array<i64: 40, 232>", "registers = array<i64: 41, 232>"),
        (GEMM, "consumers = 2 : i64", "consumers = 4 : i64"),
        (GEMM, "lag = 0 : i64", "lag = 2 : i64"),
        (GEMM, "slabs = array<i64: 128, 256>", "slabs = array<i64: 100, 256>"),
        (GEMM, "ranks = array<i64: 2, 2>", "ranks = array<i64: 2, 3>"),
        (GEMM, "box = array<i64: 256, 64>", "box = array<i64: 512, 64>"),
        (GEMM, "transpose_b = true", "transpose_b = false"),
        (ATTENTION, 'ready = "full"', 'ready = "soon"'),
        (ATTENTION, "pending = 1 : i64", "pending = -1 : i64"),
        (ATTENTION, "dims = array<i64: 2, 3>, split", "dims = array<i64: 3, 2>, split"),
    ],
)
def test_what_does_not_fit_is_refused(text, old, new):
    assert old in text
    with pytest.raises(KdslError):
        verify(parse(text.replace(old, new)))


def test_tiles_take_whole_panels_of_whole_kilobytes():
    assert tile.tiles_bytes([(128, 64)]) == 128 * 128
    assert tile.tiles_bytes([(128, 96)]) == 2 * 128 * 128
    assert tile.tiles_bytes([(80, 64), (80, 64)]) == 2 * 80 * 128


def test_coordinates_belong_to_their_tiles():
    module = parse(GEMM)
    load = next(op for op in module.walk() if isinstance(op, tile.RingLoad))
    assert tile.shapes_of(load) == [(128, 64), (256, 64)]
    assert [len(each) for each in tile.coords_of(load)] == [2, 2]
