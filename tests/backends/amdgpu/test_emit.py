from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import kdsl.dialects.all  # noqa: F401 - declares the ops
from kdsl.errors import (
    CannotLowerError,
    InternalError,
    NoChipError,
    OutOfRegistersError,
    UnknownChipError,
)
from kdsl.ir.parser import parse
from kdsl.ir.verify import verify
from kdsl_amdgpu.assemble import host_of
from kdsl_amdgpu.emit import emit, orders_memory
from kdsl_amdgpu.features import resolve


def load_samples():
    spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


samples = load_samples()
GFX942, GFX1100 = resolve("gfx942"), resolve("gfx1100")


def text_of(sample, target=GFX942):
    module = parse(sample)
    verify(module)
    return emit(module, target).text


def test_a_kernel_is_written_for_one_lane():
    text = text_of(samples.add())
    assert 'define amdgpu_kernel void @"add"(' in text
    assert "call range(i32 0, 256) i32 @llvm.amdgcn.workitem.id.x()" in text
    assert "load float, ptr addrspace(1)" in text
    assert '"amdgpu-flat-work-group-size"="256,256"' in text
    assert '"amdgpu-no-workgroup-id-y"' in text


def test_arguments_are_pointers_then_sizes_and_strides_that_are_not_known():
    text = text_of(samples.add())
    head = text.partition('void @"add"(')[2].partition(")  #")[0].partition("#")[0]
    assert head.count("ptr addrspace(1) align 4") == 3
    assert head.count("i64") == 3
    kinds = [p[0] for p in host_of(text)["kernels"]["add"]["parameters"]]
    assert kinds == ["pointer", "size"] * 3


def test_the_host_part_says_how_to_launch():
    host = host_of(text_of(samples.add(grid=7)))
    assert host["kernels"]["add"]["lanes"] == 256
    module = parse(host["module"])
    verify(module)
    assert [f.sym_name for f in module.functions] == ["add", "add_entry"]
    assert json.dumps(host)


def test_workgroup_memory_is_a_global_of_its_address_space():
    text = text_of(samples.reduce())
    assert "addrspace(3) global [1024 x i8] poison, align 16" in text


def test_a_barrier_orders_workgroup_memory_alone_when_no_lane_reads_what_others_wrote():
    text = text_of(samples.reduce())
    mark = text.partition('fence syncscope("workgroup") release, !mmra !')[2].splitlines()[0]
    assert f'!{mark} = !{{!"amdgpu-synchronize-as", !"local"}}' in text
    assert text.count("@llvm.amdgcn.s.barrier()") == 1


def exchange(where):
    """Return a kernel that writes global memory, meets, and reads it."""
    write = f'"memref.store"(%x, %a, %t) : (f32, {samples.TENSOR}, index) -> ()'
    read = f'%x = "memref.load"(%a, %t) : ({samples.TENSOR}, index) -> f32'
    meet = samples.BARRIER
    lines = {
        "read, write": [read, meet, write],
        "write, read": [read, write, meet, read.replace("%x", "%y")],
    }[where]
    return samples.module(
        "swap", {"a": samples.TENSOR}, 64, "\n".join([f"%t = {samples.ID}", *lines])
    )


@pytest.mark.parametrize(("where", "ordered"), [("read, write", 0), ("write, read", 1)])
def test_a_barrier_between_a_global_write_and_a_read_orders_all_memory(where, ordered):
    module = parse(exchange(where))
    assert len(orders_memory(module.function("swap").body)) == ordered
    assert ("release\n" in emit(module, GFX942).text) == bool(ordered)


def test_a_barrier_in_a_loop_that_writes_and_reads_orders_all_memory():
    body = f"""
    %t = {samples.ID}
    %zero = "arith.constant"() {{value = 0 : index}} : () -> index
    %one = "arith.constant"() {{value = 1 : index}} : () -> index
    %n = "arith.constant"() {{value = 4 : index}} : () -> index
    "scf.for"(%zero, %n, %one) ({{
    ^bb0(%k: index):
      {samples.BARRIER}
      %x = "memref.load"(%a, %t) : ({samples.TENSOR}, index) -> f32
      "memref.store"(%x, %a, %t) : (f32, {samples.TENSOR}, index) -> ()
      "scf.yield"() : () -> ()
    }}) : (index, index, index) -> ()
    """
    module = parse(samples.module("loop", {"a": samples.TENSOR}, 64, body))
    assert len(orders_memory(module.function("loop").body)) == 1


SHUFFLED = {
    1: "i32 177, i32 15, i32 15",
    2: "i32 78, i32 15, i32 15",
    3: "i32 27, i32 15, i32 15",
    7: "i32 321, i32 15, i32 15",
    8: "i32 296, i32 15, i32 15",
    15: "i32 320, i32 15, i32 15",
}


@pytest.mark.parametrize("distance", SHUFFLED)
def test_near_lanes_are_read_by_data_parallel_moves(distance):
    text = text_of(samples.shuffles([distance]))
    assert f"{SHUFFLED[distance]}, i1 false)" in text
    assert "bpermute" not in text


@pytest.mark.parametrize(
    ("target", "distance", "word"),
    [
        (GFX942, 4, "update.dpp"),
        (GFX942, 16, "ds.swizzle"),
        (GFX1100, 16, "permlanex16"),
        (GFX942, 32, "ds.bpermute"),
    ],
)
def test_far_lanes_are_read_by_what_the_machine_has(target, distance, word):
    text = text_of(samples.shuffles([distance], width=64), target)
    assert f"@llvm.amdgcn.{word}" in text


def test_a_kernel_without_a_number_of_lanes_is_a_mistake_of_passes():
    text = samples.add().replace("kdsl.lanes = 256 : i64, ", "")
    with pytest.raises(InternalError, match=r"kdsl\.lanes"):
        emit(parse(text), GFX942)


def test_a_matrix_instruction_that_the_table_lacks_is_refused():
    body = f"""
    %t = {samples.ID}
    %a = "arith.constant"() {{value = dense<0.0> : vector<4xf32>}} : () -> vector<4xf32>
    %y = "kdsl.matrix_multiply"(%a, %a, %a) {{atom = "mfma.16x16x16"}} : (vector<4xf32>, vector<4xf32>, vector<4xf32>) -> vector<4xf32>
    """
    with pytest.raises(CannotLowerError, match=r"mfma.16x16x16 of f32"):
        emit(parse(samples.module("k", {"o": samples.TENSOR}, 64, body)), GFX942)


def test_printing_in_a_kernel_is_refused_with_the_op_named():
    body = f'    %t = {samples.ID}\n    "kdsl.print"(%t) {{format = "{{}}"}} : (index) -> ()'
    with pytest.raises(CannotLowerError, match=r"kdsl.print"):
        emit(parse(samples.module("k", {"o": samples.TENSOR}, 64, body)), GFX942)


def test_chips_are_known_by_name_and_others_are_refused():
    assert resolve("gfx942").features.subgroup == 64
    assert resolve("gfx1201").features.subgroup == 32
    with pytest.raises(UnknownChipError, match="gfx803"):
        resolve("gfx803")


def test_without_a_driver_there_is_no_chip_to_compile_for(monkeypatch):
    from kdsl_amdgpu import hip

    monkeypatch.setattr(hip, "LIBRARIES", ("libnosuchdriver.so",))
    hip.driver.cache_clear()
    with pytest.raises(NoChipError, match="libnosuchdriver"):
        resolve("")


def test_more_workgroup_memory_than_there_is_is_refused():
    text = samples.reduce().replace("memref<256xf32, 3>", "memref<17000xf32, 3>")
    with pytest.raises(OutOfRegistersError, match="68000 bytes of workgroup memory"):
        emit(parse(text), GFX942)
    assert "[68000 x i8]" in emit(parse(text), resolve("gfx950")).text
