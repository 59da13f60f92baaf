from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import kdsl.dialects.all  # noqa: F401 - declares the ops
from kdsl.errors import EmulationError, KernelAssertError, UnknownInstructionError
from kdsl.ir.parser import parse
from kdsl_amdgpu.emit import emit
from kdsl_amdgpu.emulator.device import run
from kdsl_amdgpu.emulator.program import parse as parse_assembly
from kdsl_amdgpu.features import CHIPS, resolve

spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(samples)
GFX942 = resolve("gfx942")


def go(text, target, entry, *args):
    return run(emit(parse(text), target), target, entry, args)


def numbers(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


def test_vectors_are_added_and_nothing_else_is_written(target):
    a, b = numbers(1000), numbers(1000, 1)
    held = np.full(1100, 7, np.float32)
    go(samples.add(), target, "add_entry", a, b, held[:1000])
    assert (held[:1000] == a + b).all()
    assert (held[1000:] == 7).all()


def test_a_workgroup_reduces_through_its_memory(target):
    a, o = numbers(1024), np.zeros(4, np.float32)
    done = go(samples.reduce(), target, "reduce_entry", a, o)
    np.testing.assert_allclose(o, a.reshape(4, 256).sum(1), atol=1e-4)
    assert done.waves == 4 * 256 // target.features.subgroup


@pytest.mark.parametrize("mode", ["xor", "up", "down", "idx"])
def test_lanes_read_each_other(target, mode):
    width = 32 if target.features.subgroup == 32 else 64
    distances = list(range(width))
    a, o = np.arange(64, dtype=np.float32), np.zeros(64 * width, np.float32)
    go(samples.shuffles(distances, mode, width), target, "shuffles_entry", a, o)
    lane, d = np.arange(64), np.array(distances)[:, None]
    within, base = lane % width, lane - lane % width
    wanted = {"xor": within ^ d, "up": within - d, "down": within + d, "idx": within * 0 + d}[mode]
    valid = (wanted >= 0) & (wanted < width)
    got = o.reshape(width, 64)
    assert (got[valid] == (base + wanted)[valid]).all()


def test_a_store_behind_a_buffer_is_an_error_with_its_instruction(target):
    a, b, c = numbers(1024), numbers(1024, 1), np.zeros(1024, np.float32)
    with pytest.raises(EmulationError, match=r"global_load_\w+.*byte 3996 of argument 0"):
        go(samples.add(), target, "add_entry", a[:999], b, c)


def test_rows_of_a_strided_array_may_not_be_left():
    held = numbers(64 * 2).reshape(64, 2)
    body = f"""
    %t = {samples.ID}
    %x = "memref.load"(%a, %t) : (memref<?xf32, strided<[2]>>, index) -> f32
    "memref.store"(%x, %o, %t) : (f32, {samples.TENSOR}, index) -> ()
    """
    args = {"a": "memref<?xf32, strided<[2]>>", "o": samples.TENSOR}
    o = np.zeros(64, np.float32)
    go(samples.module("k", args, 64, body), GFX942, "k_entry", held[:, 0], o)
    assert (o == held[:, 0]).all()
    wrong = samples.module("k", args, 64, body).replace("strided<[2]>", "strided<[1]>")
    with pytest.raises(EmulationError, match="between its rows"):
        go(wrong, GFX942, "k_entry", held[:, 0], o)


def test_a_removed_barrier_is_a_race(target):
    a, o = numbers(1024), np.zeros(4, np.float32)
    with pytest.raises(EmulationError, match=r"a race on byte \d+ of workgroup memory"):
        go(samples.reduce(barrier=False), target, "reduce_entry", a, o)


EARLY = f"""
    %t = {samples.ID}
    %half = "arith.constant"() {{value = 64 : index}} : () -> index
    %s = "kdsl.workgroup_alloc"() : () -> {samples.SHARED}
    %x = "memref.load"(%a, %t) : ({samples.TENSOR}, index) -> f32
    "memref.store"(%x, %s, %t) : (f32, {samples.SHARED}, index) -> ()
    %low = "arith.cmpi"(%t, %half) {{predicate = 2 : i64}} : (index, index) -> i1
    "scf.if"(%low) ({{
      {samples.BARRIER}
      %y = "memref.load"(%s, %t) : ({samples.SHARED}, index) -> f32
      "memref.store"(%y, %o, %t) : (f32, {samples.TENSOR}, index) -> ()
      "scf.yield"() : () -> ()
    }}, {{
    }}) : (i1) -> ()
"""


def test_waves_that_end_while_others_wait_at_a_barrier_are_an_error(target):
    text = samples.module("early", {"a": samples.TENSOR, "o": samples.TENSOR}, 256, EARLY)
    a, o = numbers(256), np.zeros(256, np.float32)
    with pytest.raises(EmulationError, match="waves ended while others wait"):
        go(text, target, "early_entry", a, o)


ASSERTED = f"""
    %t = {samples.ID}
    %zero = "arith.constant"() {{value = 0 : index}} : () -> index
    %n = "memref.dim"(%a, %zero) : ({samples.TENSOR}, index) -> index
    %ok = "arith.cmpi"(%t, %n) {{predicate = 2 : i64}} : (index, index) -> i1
    "cf.assert"(%ok) {{msg = "too short"}} : (i1) -> ()
    {samples.BARRIER}
    %x = "memref.load"(%a, %t) : ({samples.TENSOR}, index) -> f32
    "memref.store"(%x, %o, %t) : (f32, {samples.TENSOR}, index) -> ()
"""


def test_an_assertion_that_fails_ends_its_lanes_and_is_reported(target):
    text = samples.module("k", {"a": samples.TENSOR, "o": samples.TENSOR}, 256, ASSERTED)
    o = np.zeros(256, np.float32)
    go(text, target, "k_entry", numbers(256), o)
    with pytest.raises(KernelAssertError):
        go(text, target, "k_entry", numbers(100), o)


def test_workgroup_memory_that_nobody_wrote_is_poison():
    body = f"""
    %t = {samples.ID}
    %s = "kdsl.workgroup_alloc"() : () -> {samples.SHARED}
    %zero = "arith.constant"() {{value = 0 : index}} : () -> index
    %one = "arith.constant"() {{value = 1.0 : f32}} : () -> f32
    %far = "arith.constant"() {{value = 200 : index}} : () -> index
    %first = "arith.cmpi"(%t, %zero) {{predicate = 0 : i64}} : (index, index) -> i1
    "scf.if"(%first) ({{
      "memref.store"(%one, %s, %far) : (f32, {samples.SHARED}, index) -> ()
      "scf.yield"() : () -> ()
    }}, {{
    }}) : (i1) -> ()
    {samples.BARRIER}
    %x = "memref.load"(%s, %t) : ({samples.SHARED}, index) -> f32
    "memref.store"(%x, %o, %t) : (f32, {samples.TENSOR}, index) -> ()
    """
    o = np.zeros(64, np.float32)
    go(samples.module("k", {"o": samples.TENSOR}, 64, body), GFX942, "k_entry", o)
    assert (o.view(np.uint8) == 0xCB).all()


def test_an_instruction_without_a_row_is_never_skipped(monkeypatch):
    from kdsl_amdgpu.emulator import vector

    monkeypatch.delitem(vector.ROWS, "v_add_f32")
    a, c = numbers(1024), np.zeros(1024, np.float32)
    with pytest.raises(UnknownInstructionError, match="v_add_f32"):
        go(samples.add(), GFX942, "add_entry", a, a, c)


def test_waves_that_take_different_branches_part_and_meet_again():
    """Each wave counts to its own number, then all meet."""
    body = f"""
    %t = {samples.ID}
    %s = "kdsl.workgroup_alloc"() : () -> {samples.SHARED}
    %zero = "arith.constant"() {{value = 0 : index}} : () -> index
    %one = "arith.constant"() {{value = 1 : index}} : () -> index
    %wave = "arith.constant"() {{value = 64 : index}} : () -> index
    %last = "arith.constant"() {{value = 255 : index}} : () -> index
    %f = "arith.constant"() {{value = 1.0 : f32}} : () -> f32
    %start = "arith.constant"() {{value = 0.0 : f32}} : () -> f32
    %w = "arith.divui"(%t, %wave) : (index, index) -> index
    %n = "arith.muli"(%w, %w) : (index, index) -> index
    %sum = "scf.for"(%zero, %n, %one, %start) ({{
    ^bb0(%k: index, %acc: f32):
      %x = "memref.load"(%a, %k) : ({samples.TENSOR}, index) -> f32
      %next = "arith.addf"(%acc, %x) : (f32, f32) -> f32
      "scf.yield"(%next) : (f32) -> ()
    }}) : (index, index, index, f32) -> f32
    "memref.store"(%sum, %s, %t) : (f32, {samples.SHARED}, index) -> ()
    {samples.BARRIER}
    %other = "arith.subi"(%last, %t) : (index, index) -> index
    %y = "memref.load"(%s, %other) : ({samples.SHARED}, index) -> f32
    "memref.store"(%y, %o, %t) : (f32, {samples.TENSOR}, index) -> ()
    """
    text = samples.module("k", {"a": samples.TENSOR, "o": samples.TENSOR}, 256, body)
    a, o = np.ones(16, np.float32), np.zeros(256, np.float32)
    for chip in CHIPS:
        go(text, resolve(chip), "k_entry", a, o)
        assert (o == ((255 - np.arange(256)) // 64) ** 2).all()


def test_assembly_is_parsed_with_its_modifiers():
    text = (
        "\nk:\n\tv_mov_b32_dpp v6, v6 row_shl:4 row_mask:0xf bank_mask:0x5\n.LBB0_1:\n"
        '\tds_swizzle_b32 v5, v1 offset:swizzle(BITMASK_PERM,"ppipi") ; a comment\n'
        "\tv_dual_add_f32 v0, s3, v0 :: v_dual_mov_b32 v1, v2\n\t.section x\n"
    )
    program = parse_assembly(text, "k", CHIPS["gfx1100"])
    first, second, third = program.instructions
    assert (first.word, first.encoding, first.operands) == ("v_mov_b32", "dpp", ["v6", "v6"])
    assert first.modifiers == {"row_shl": "4", "row_mask": "0xf", "bank_mask": "0x5"}
    assert second.modifiers == {"offset": 'swizzle(BITMASK_PERM,"ppipi")'}
    assert [half.word for half in third.pair] == ["v_add_f32", "v_mov_b32"]
    assert program.labels == {".LBB0_1": 1}
