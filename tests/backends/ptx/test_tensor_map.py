"""Descriptors of bulk copies: what is asked of the driver, and when."""

from __future__ import annotations

import threading

import pytest

from kdsl.errors import (
    CannotLowerError,
    DeviceFailedError,
    MappedAddressError,
    MappedExtentError,
    MappedStrideError,
    OldDriverError,
)
from kdsl.ir.parser import parse
from kdsl_ptx import host_entry
from tests.backends.ptx import typed_kernels as typed
from tests.backends.ptx.test_runtime import Ready

BASE, OUT = 0x7E0000000000, 0x7E1000000000
SWIZZLE_128, PROMOTE_128 = 3, 2


def tile(**options):
    return Ready("tile", typed.COPY_IR, typed.COPY, **options)


def mapped(kind, attributes, args=None, extra="", options=None):
    """Return a kernel whose entry makes a map of its first argument."""
    args = args or {"x": kind, "o": typed.F}
    operands = ", ".join(["%x", *(f"%{e}" for e in extra.split())])
    types = ", ".join([kind, *(["index"] * len(extra.split()))])
    body = (
        f'\n  %m = "ptx.tensor_map"({operands}) {{{attributes}}} : ({types}) -> i64'
        + typed.launch("copy", ("c1", "c1", "c1"), {"m": "i64", "o": typed.F})
    )
    text = typed.module(
        typed.function("copy", {"m": "i64", "o": typed.F}, ptx__tensor_maps="array<i64: 0>"),
        typed.function("tile", args, body, "kdsl.entry"),
    )
    return Ready("tile", text, typed.COPY, **(options or {}))


def test_a_matrix_becomes_a_map_of_two_dims_with_clipped_boxes():
    with tile() as ready:
        assert ready.run(BASE, 100, 64, 96, 1, OUT) == 0
        assert ready.fake.maps == [{
            "kind": 9, "address": BASE, "dims": [64, 100], "strides": [192], "box": [64, 64],
            "ones": [1, 1], "modes": (0, SWIZZLE_128, PROMOTE_128, 0),
        }]  # fmt: skip


def test_the_map_is_passed_by_value():
    with tile() as ready:
        ready.run(BASE, 100, 64, 96, 1, OUT)
        (launched,) = ready.fake.launches
        made = launched.params[0]
        assert [int.from_bytes(made[i : i + 8], "little") for i in range(0, 128, 8)] == list(
            range(1, 17)
        )


def test_a_map_is_kept_while_the_tensor_stays():
    with tile() as ready:
        calls = [(BASE, 100, 64, 96, 1), (BASE, 100, 64, 96, 1), (BASE, 100, 64, 128, 1)]
        calls += [(BASE, 101, 64, 128, 1), (BASE + 16, 101, 64, 128, 1)] * 2
        for x in calls:
            assert ready.run(*x, OUT) == 0
        assert len(ready.fake.maps) == 6
        assert ready.fake.launches[0].params[0] == ready.fake.launches[1].params[0]


def test_panels_heads_and_batch_are_dims_of_the_map():
    kind = "memref<?x?x?x128xf16, strided<[?, ?, ?, 1]>>"
    attributes = (
        "dims = array<i64: 2, 3>, box = array<i64: 128, 128>, split = true, promotion = 256 : i64"
    )
    with mapped(kind, attributes) as ready:
        # batch 2, heads 5, rows 300; heads between the rows of one batch
        assert ready.run(BASE, 2, 5, 300, 128, 192_000, 128, 640, 1, OUT) == 0
        (made,) = ready.fake.maps
        assert made["kind"] == 6
        assert made["dims"] == [64, 300, 2, 5, 2]
        assert made["strides"] == [1280, 128, 256, 384_000]
        assert made["box"] == [64, 128, 2, 1, 1]
        assert made["modes"] == (0, SWIZZLE_128, 3, 0)


@pytest.mark.parametrize(("stop", "rows"), [(70, 70), (100, 100), (2**40, 100), (0, 1), (-3, 1)])
def test_rows_from_a_stop_on_are_outside_of_the_map(stop, rows):
    args = {"x": typed.T, "n": "index", "o": typed.F}
    attributes = (
        "dims = array<i64: 0, 1>, box = array<i64: 64, 64>, split = false, promotion = 64 : i64"
    )
    with mapped(typed.T, attributes, args, "n") as ready:
        assert ready.run(BASE, 100, 64, 64, 1, stop, OUT) == 0
        assert ready.fake.maps[0]["dims"][1] == rows


def test_an_empty_tensor_needs_no_address():
    with tile() as ready:
        assert ready.run(0, 0, 64, 64, 1, OUT) == 0
        (made,) = ready.fake.maps
        assert made["dims"] == [1, 1]
        assert made["strides"] == [16]
        assert made["address"] == ready.fake.named("cuMemsetD8Async")[0][0]


def test_the_stride_of_a_single_row_does_not_matter():
    with tile() as ready:
        assert ready.run(BASE, 1, 64, 3, 1, OUT) == 0
        assert ready.fake.maps[0]["strides"] == [16]


@pytest.mark.parametrize(
    ("x", "error"),
    [
        ((BASE + 8, 100, 64, 64, 1), MappedAddressError),
        ((BASE, 100, 64, 68, 1), MappedStrideError),
        ((BASE, 100, 64, 1 << 39, 1), MappedStrideError),
        ((BASE, (1 << 31), 64, 64, 1), MappedExtentError),
    ],
)
def test_a_tensor_that_cannot_be_mapped_is_named(x, error):
    with tile() as ready:
        raised = ready.failure(ready.run(*x, OUT))
        assert type(raised) is error
        assert "'x'" in str(raised)
        assert ready.fake.launches == []
        assert ready.run(BASE, 100, 64, 64, 1, OUT) == 0


def test_what_the_driver_does_not_map_is_named_too():
    with tile(results={"cuTensorMapEncodeTiled": 1}) as ready:
        raised = ready.failure(ready.run(BASE, 100, 64, 64, 1, OUT))
        assert isinstance(raised, DeviceFailedError)
        assert "cuTensorMapEncodeTiled" in str(raised)
        assert "'x'" in str(raised)
        ready.fake.results.clear()
        assert ready.run(BASE, 100, 64, 64, 1, OUT) == 0
        assert len(ready.fake.maps) == 1


def test_an_old_driver_without_maps_runs_everything_else():
    with tile(missing=("cuTensorMapEncodeTiled",)) as ready:
        raised = ready.failure(ready.run(BASE, 100, 64, 64, 1, OUT))
        assert isinstance(raised, OldDriverError)
    with Ready("vadd", typed.ADD_IR, typed.ADD, missing=("cuTensorMapEncodeTiled",)) as ready:
        assert ready.run(1, 2, 3, 4) == 0


def test_a_workspace_may_be_mapped():
    kind = "memref<?x64xbf16, strided<[?, 1]>>"
    body = (
        '\n  %w = "memref.alloc"(%n) {operandSegmentSizes = array<i32: 1, 0>} : (index) -> '
        "memref<?x64xbf16>"
        f'\n  %x = "memref.cast"(%w) : (memref<?x64xbf16>) -> {kind}'
        f'\n  %m = "ptx.tensor_map"(%x) {{dims = array<i64: 0, 1>, box = array<i64: 64, 64>,'
        f" split = true, promotion = 0 : i64}} : ({kind}) -> i64"
        + typed.launch("copy", ("c1", "c1", "c1"), {"m": "i64", "o": typed.F})
        + '\n  "memref.dealloc"(%w) : (memref<?x64xbf16>) -> ()'
    )
    text = typed.module(
        typed.function("copy", {"m": "i64", "o": typed.F}, ptx__tensor_maps="array<i64: 0>"),
        typed.function("tile", {"n": "index", "o": typed.F}, body, "kdsl.entry"),
    )
    with Ready("tile", text, typed.COPY) as ready:
        assert ready.run(70, OUT) == 0
        (made,) = ready.fake.maps
        assert (made["dims"], made["strides"], made["box"]) == ([64, 70, 1], [128, 16], [64, 64, 1])
        assert ready.fake.named("cuMemFreeAsync")[0][0] == made["address"]


def test_threads_that_map_different_tensors_at_once_get_their_own():
    with tile() as ready:
        problems = []

        def work(rows):
            from array import array

            slots = array("q", [BASE + 4096 * rows, rows, 64, 64, 1, OUT, 0, 0])
            address = slots.buffer_info()[0]
            problems.extend(rows for _ in range(200) if ready.entry.call(address))

        started = [threading.Thread(target=work, args=(rows,)) for rows in range(1, 5)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
        assert problems == []
        assert len(ready.fake.launches) == 800
        for made in ready.fake.maps:
            assert made["address"] == BASE + 4096 * made["dims"][1]


def test_an_unknown_promotion_is_refused():
    text = typed.COPY_IR.replace("promotion = 128", "promotion = 96")
    kernel = typed.Kernel("tile", text, typed.COPY)
    with pytest.raises(CannotLowerError, match="promotion = 96"):
        kernel.assemble(parse(text))


def test_entries_cannot_read_the_devices_memory():
    body = '\n  %y = "memref.load"(%x, %c0) : (memref<?xf32>, index) -> f32'
    text = typed.module(typed.function("go", {"x": typed.F}, body, "kdsl.entry"))
    with pytest.raises(CannotLowerError, match=r"memref\.load"):
        host_entry.host_text(parse(text), {})
