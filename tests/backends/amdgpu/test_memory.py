"""Accesses that elementwise kernels have not: atomics, gathers, masks, hints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import kdsl.dialects.all  # noqa: F401 - declares the ops
from kdsl.dialects.memref import ATOMIC_KINDS
from kdsl.ir.parser import parse
from kdsl.ir.types import scalar_type
from kdsl.ir.verify import verify
from kdsl_amdgpu.emit import emit
from kdsl_amdgpu.emulator.device import run

spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(samples)


def go(text, target, *args):
    module = parse(text)
    verify(module)
    return run(emit(module, target), target, "k_entry", args)


def ref(element, space=""):
    return f"memref<?x{element}, strided<[1]>>" if not space else f"memref<4x{element}, {space}>"


ATOMICS = [
    *(("addf", t) for t in ("f32", "f64")),
    *(("mulf", t) for t in ("f32",)),
    *(("maximumf", t) for t in ("f32",)),
    *(("minnumf", t) for t in ("f32",)),
    *((kind, t) for kind in ("addi", "maxs", "mins", "maxu", "minu", "ori", "andi") for t in ("i32", "i64")),
    ("assign", "i32"),
    ("muli", "i32"),
]  # fmt: skip
COMBINE = {
    "addf": np.add, "addi": np.add, "mulf": np.multiply, "muli": np.multiply,
    "maximumf": np.maximum, "minnumf": np.fmin, "maxs": np.maximum, "mins": np.minimum,
    "ori": np.bitwise_or, "andi": np.bitwise_and,
}  # fmt: skip


def combined(kind, start, values):
    found = start.copy()
    for at, value in zip(np.arange(64) % 4, values, strict=True):
        if kind == "assign":
            continue
        if kind in ("maxu", "minu"):
            wide = np.dtype(f"u{found.itemsize}")
            pick = max if kind == "maxu" else min
            found[at] = np.array(
                pick(int(found[at : at + 1].view(wide)[0]), int(np.array(value).view(wide))), wide
            ).view(found.dtype)
        else:
            found[at] = COMBINE[kind](found[at], value)
    return found


@pytest.mark.parametrize(("kind", "element"), ATOMICS)
def test_lanes_combine_into_global_memory(kind, element, target):
    body = f"""
    %t = {samples.ID}
    %four = "arith.constant"() {{value = 4 : index}} : () -> index
    %at = "arith.remui"(%t, %four) : (index, index) -> index
    %x = "memref.load"(%a, %t) : ({ref(element)}, index) -> {element}
    %old = "memref.atomic_rmw"(%x, %o, %at) {{kind = {ATOMIC_KINDS.index(kind)} : i64}} : ({element}, {ref(element)}, index) -> {element}
    """
    dtype = scalar_type(element).numpy
    rng = np.random.default_rng(3)
    if dtype.kind == "f":
        a, o = (rng.uniform(0.5, 1.5, n).astype(dtype) for n in (64, 4))
    else:
        a, o = (rng.integers(-50, 50, n).astype(dtype) for n in (64, 4))
    wanted = combined(kind, o, a)
    go(samples.module("k", {"a": ref(element), "o": ref(element)}, 64, body), target, a, o)
    if kind == "assign":
        assert all(o[i] in a[i::4] for i in range(4))
    elif dtype.kind == "f":
        np.testing.assert_allclose(o, wanted, rtol=1e-5)
    else:
        assert (o == wanted).all()


@pytest.mark.parametrize(("kind", "element"), [("addf", "f32"), ("addi", "i32"), ("maxs", "i32")])
def test_lanes_combine_into_workgroup_memory_without_a_race(kind, element, target):
    zero = "0.0" if element == "f32" else "0"
    body = f"""
    %t = {samples.ID}
    %four = "arith.constant"() {{value = 4 : index}} : () -> index
    %zero = "arith.constant"() {{value = {zero} : {element}}} : () -> {element}
    %s = "kdsl.workgroup_alloc"() : () -> {ref(element, 3)}
    %at = "arith.remui"(%t, %four) : (index, index) -> index
    %first = "arith.cmpi"(%t, %four) {{predicate = 2 : i64}} : (index, index) -> i1
    "scf.if"(%first) ({{
      "memref.store"(%zero, %s, %t) : ({element}, {ref(element, 3)}, index) -> ()
      "scf.yield"() : () -> ()
    }}, {{
    }}) : (i1) -> ()
    {samples.BARRIER}
    %x = "memref.load"(%a, %t) : ({ref(element)}, index) -> {element}
    %old = "memref.atomic_rmw"(%x, %s, %at) {{kind = {ATOMIC_KINDS.index(kind)} : i64}} : ({element}, {ref(element, 3)}, index) -> {element}
    {samples.BARRIER}
    "scf.if"(%first) ({{
      %y = "memref.load"(%s, %t) : ({ref(element, 3)}, index) -> {element}
      "memref.store"(%y, %o, %t) : ({element}, {ref(element)}, index) -> ()
      "scf.yield"() : () -> ()
    }}, {{
    }}) : (i1) -> ()
    """
    dtype = scalar_type(element).numpy
    a = np.random.default_rng(5).integers(1, 50, 256).astype(dtype)
    o = np.zeros(4, dtype)
    go(samples.module("k", {"a": ref(element), "o": ref(element)}, 256, body), target, a, o)
    rows = a.reshape(-1, 4)
    assert (o == (rows.max(0) if kind == "maxs" else rows.sum(0))).all()


def test_masks_of_single_elements_touch_no_others(target):
    """The buffers end where the mask does."""
    body = f"""
    %t = {samples.ID}
    %zero = "arith.constant"() {{value = 0 : index}} : () -> index
    %four = "arith.constant"() {{value = 4 : index}} : () -> index
    %n = "memref.dim"(%a, %zero) : ({ref("f32")}, index) -> index
    %at = "arith.muli"(%t, %four) : (index, index) -> index
    %left = "arith.subi"(%n, %at) : (index, index) -> index
    %mask = "vector.create_mask"(%left) : (index) -> vector<4xi1>
    %none = "arith.constant"() {{value = dense<7.0> : vector<4xf32>}} : () -> vector<4xf32>
    %x = "vector.maskedload"(%a, %at, %mask, %none) : ({ref("f32")}, index, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
    %y = "arith.addf"(%x, %x) : (vector<4xf32>, vector<4xf32>) -> vector<4xf32>
    "vector.maskedstore"(%o, %at, %mask, %y) : ({ref("f32")}, index, vector<4xi1>, vector<4xf32>) -> ()
    """
    a, o = np.arange(201, dtype=np.float32), np.zeros(201, np.float32)
    go(samples.module("k", {"a": ref("f32"), "o": ref("f32")}, 64, body), target, a, o)
    assert (o == 2 * a).all()


def test_lanes_of_a_vector_are_gathered_and_scattered(target):
    body = f"""
    %t = {samples.ID}
    %zero = "arith.constant"() {{value = 0 : index}} : () -> index
    %four = "arith.constant"() {{value = 4 : index}} : () -> index
    %at = "arith.muli"(%t, %four) : (index, index) -> index
    %lanes = "arith.constant"() {{value = dense<[3, 2, 1, 0]> : vector<4xi64>}} : () -> vector<4xi64>
    %mask = "arith.constant"() {{value = dense<[true, true, false, true]> : vector<4xi1>}} : () -> vector<4xi1>
    %none = "arith.constant"() {{value = dense<9> : vector<4xi16>}} : () -> vector<4xi16>
    %x = "vector.gather"(%a, %at, %lanes, %mask, %none) : ({ref("i16")}, index, vector<4xi64>, vector<4xi1>, vector<4xi16>) -> vector<4xi16>
    "vector.scatter"(%o, %at, %lanes, %mask, %x) : ({ref("i16")}, index, vector<4xi64>, vector<4xi1>, vector<4xi16>) -> ()
    """
    a, o = np.arange(256, dtype=np.int16), np.full(256, -1, np.int16)
    go(samples.module("k", {"a": ref("i16"), "o": ref("i16")}, 64, body), target, a, o)
    wanted = np.where(np.arange(256) % 4 == 1, -1, a)
    assert (o == wanted).all()


@pytest.mark.parametrize("element", ["i1", "i8", "i16", "f16", "bf16", "f8E4M3FN", "i64", "f64"])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_elements_of_every_size_are_moved_whole(element, count, target):
    kind = f"vector<{count}x{element}>"
    body = f"""
    %t = {samples.ID}
    %n = "arith.constant"() {{value = {count} : index}} : () -> index
    %s = "kdsl.workgroup_alloc"() : () -> memref<512x{element}, 3>
    %at = "arith.muli"(%t, %n) : (index, index) -> index
    %x = "vector.load"(%a, %at) : ({ref(element)}, index) -> {kind}
    "vector.store"(%x, %s, %at) : ({kind}, memref<512x{element}, 3>, index) -> ()
    {samples.BARRIER}
    %y = "vector.load"(%s, %at) : (memref<512x{element}, 3>, index) -> {kind}
    "vector.store"(%y, %o, %at) : ({kind}, {ref(element)}, index) -> ()
    """
    dtype = scalar_type(element).numpy
    raw = np.random.default_rng(1).integers(
        0, 2 if element == "i1" else 256, 64 * count * dtype.itemsize, np.uint8
    )
    a = raw.view(dtype)
    o = np.zeros(64 * count, dtype)
    go(samples.module("k", {"a": ref(element), "o": ref(element)}, 64, body), target, a, o)
    assert (o.view(np.uint8) == a.view(np.uint8)).all()


def test_a_hint_to_fetch_changes_nothing(target):
    body = f"""
    %t = {samples.ID}
    "memref.prefetch"(%a, %t) {{isDataCache = true, isWrite = false, localityHint = 3 : i32}} : ({ref("f32")}, index) -> ()
    %x = "memref.load"(%a, %t) : ({ref("f32")}, index) -> f32
    "memref.store"(%x, %o, %t) : (f32, {ref("f32")}, index) -> ()
    """
    a, o = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    go(samples.module("k", {"a": ref("f32"), "o": ref("f32")}, 64, body), target, a, o)
    assert (o == a).all()


LOCAL = f"""
    %t = {samples.ID}
    %mask = "arith.constant"() {{value = MASK : index}} : () -> index
    %count = "arith.constant"() {{value = SIZE : index}} : () -> index
    %zero = "arith.constant"() {{value = 0 : index}} : () -> index
    %one = "arith.constant"() {{value = 1 : index}} : () -> index
    %m = "memref.alloca"() {{operandSegmentSizes = array<i32: 0, 0>}} : () -> memref<SIZExf32>
    "scf.for"(%zero, %count, %one) ({{
    ^bb0(%k: index):
      %p = "arith.muli"(%k, %count) : (index, index) -> index
      %q = "arith.addi"(%p, %t) : (index, index) -> index
      %x = "memref.load"(%a, %q) : ({ref("f32")}, index) -> f32
      "memref.store"(%x, %m, %k) : (f32, memref<SIZExf32>, index) -> ()
      "scf.yield"() : () -> ()
    }}) : (index, index, index) -> ()
    %i = "arith.andi"(%t, %mask) : (index, index) -> index
    %y = "memref.load"(%m, %i) : (memref<SIZExf32>, index) -> f32
    "memref.store"(%y, %o, %t) : (f32, {ref("f32")}, index) -> ()
"""


@pytest.mark.parametrize("size", [8, 256])
def test_a_lane_has_memory_of_its_own(size, target):
    """Small buffers are registers that are counted from an index on, large ones scratch memory."""
    if size == 256 and target.chip == "gfx90a":
        pytest.skip("its scratch memory is reached by buffer instructions, which have no row")
    body = LOCAL.replace("SIZE", str(size)).replace("MASK", str(size - 1))
    a, o = np.arange(size * size + 64, dtype=np.float32), np.zeros(64, np.float32)
    go(samples.module("k", {"a": ref("f32"), "o": ref("f32")}, 64, body), target, a, o)
    lane = np.arange(64)
    assert (o == (lane & size - 1) * size + lane).all()
