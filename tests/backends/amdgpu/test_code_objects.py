from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

import kdsl.dialects.all  # noqa: F401 - declares the ops
from kdsl.errors import AssembleError, AssemblerDiedError, CodeObjectError
from kdsl.ir.parser import parse
from kdsl.testing.judges import require_found
from kdsl_amdgpu import elf
from kdsl_amdgpu.assemble import LINKERS, generate, link_with
from kdsl_amdgpu.emit import emit
from kdsl_amdgpu.features import resolve
from kdsl_amdgpu.link import link
from kdsl_amdgpu.metadata import check, metadata, unpack

spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(samples)

GFX942 = resolve("gfx942")
SAMPLES = (samples.add, samples.reduce)


def built(sample, target):
    return generate(emit(parse(sample()), target).text, target)


@pytest.mark.parametrize("sample", SAMPLES)
def test_our_linker_makes_an_object_whose_parts_agree(sample, target):
    code = built(sample, target)
    kernels = check(link(code.relocatable), 8)
    (name,) = kernels
    assert kernels[name].entry % 256 == 0
    assert kernels[name].descriptor.wave32 == (target.features.subgroup == 32)
    assert kernels[name].facts[".max_flat_workgroup_size"] == 256


def test_the_code_is_where_the_descriptor_says():
    code = built(samples.add, GFX942)
    source = elf.read_elf(code.relocatable)
    text = next(s for s in source.sections if s.name == ".text").data
    loadable = link(code.relocatable)
    entry = check(loadable, 8)["add"].entry
    assert elf.read_elf(loadable).image()[entry : entry + len(text)] == text


def test_loaders_find_symbols_by_section_name_and_by_dynamic_table():
    made = elf.read_elf(link(built(samples.add, GFX942).relocatable))
    by_name = {s.name: s for s in made.sections}
    assert by_name[".symtab"].data == by_name[".dynsym"].data
    assert by_name[".strtab"].data == by_name[".dynstr"].data
    assert {"add", "add.kd"} <= set(made.by_name)
    for segment in made.segments:
        assert segment.offset == segment.address
        assert segment.kind != elf.PT_LOAD or segment.offset % 4096 == 0


def lld():
    """Return how lld is called: a program, or the one in a wheel."""
    program = next((p for name in LINKERS if (p := which(name))), None)
    if program is not None:
        return [program]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "ld.lld"]
    return None


@pytest.mark.judge
@pytest.mark.parametrize("sample", SAMPLES)
def test_lld_links_the_same_code_descriptors_and_notes(sample, target):
    command = require_found("lld", lld())
    code = built(sample, target)
    ours, theirs = (
        elf.read_elf(d) for d in (link(code.relocatable), link_with(command, code.relocatable))
    )
    for name in (".text", ".note", ".rodata"):
        found = [next(s.data for s in side.sections if s.name == name) for side in (ours, theirs)]
        if name == ".rodata":
            # Descriptors hold the distance to the code, which depends on the placement.
            found = [d[:16] + d[24:] for d in found]
        assert found[0] == found[1], name


@pytest.mark.judge
def test_readelf_and_objdump_read_what_we_link(tmp_path):
    tool = next(
        (p for n in ("llvm-readelf", "llvm-readelf-22", "readelf") if (p := which(n))), None
    )
    tool = require_found("readelf", tool)
    path = tmp_path / "k.hsaco"
    path.write_bytes(link(built(samples.add, GFX942).relocatable))
    done = subprocess.run([tool, "-a", "-W", str(path)], capture_output=True, text=True, check=True)
    assert "add.kd" in done.stdout
    assert "error" not in done.stderr.lower()
    assert "Warning" not in done.stderr


def damaged(data, change):
    made = elf.read_elf(data)
    at = made.by_name["add.kd"].value
    raw = bytearray(data)
    change(raw, at)
    return bytes(raw)


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [
        (0, 4096, "workgroup memory"),
        (4, 16, "scratch"),
        (8, 4, "arguments"),
        (16, 64, "does not point at the code"),
    ],
)
def test_a_descriptor_that_disagrees_with_the_metadata_is_found(offset, value, what):
    data = link(built(samples.add, GFX942).relocatable)
    wrong = damaged(data, lambda raw, at: struct.pack_into("<I", raw, at + offset, value))
    with pytest.raises(CodeObjectError, match=what):
        check(wrong, 8)


def test_other_files_are_refused():
    with pytest.raises(CodeObjectError, match="ELF"):
        link(b"not an object")
    host = Path("/proc/self/exe").read_bytes()
    with pytest.raises(CodeObjectError, match="AMD"):
        elf.read_elf(host)
    data = link(built(samples.add, GFX942).relocatable)
    with pytest.raises(CodeObjectError, match="not relocatable"):
        link(data)
    with pytest.raises(CodeObjectError, match="damaged"):
        elf.read_elf(data[: len(data) // 2])


def test_an_undefined_symbol_needs_a_real_linker():
    text = """target triple = "amdgcn-amd-amdhsa"
    @table = external addrspace(4) global [4 x i32]
    define amdgpu_kernel void @k(ptr addrspace(1) %o, i32 %i) {
      %p = getelementptr [4 x i32], ptr addrspace(4) @table, i64 0, i32 %i
      %x = load i32, ptr addrspace(4) %p
      store i32 %x, ptr addrspace(1) %o
      ret void
    }"""
    with pytest.raises(CodeObjectError, match=r"not defined|real linker"):
        generate(text, GFX942)


def test_code_generation_that_ends_the_process_is_an_error_and_the_next_one_works():
    text = """target triple = "amdgcn-amd-amdhsa"
    define amdgpu_kernel void @k(ptr addrspace(1) %o) {
      %x = call float @llvm.amdgcn.fdot2.f32.bf16.bf16(<2 x bfloat> zeroinitializer, <2 x bfloat> zeroinitializer, bfloat 0.0)
      ret void
    }
    declare <16 x float> @llvm.amdgcn.mfma.f32.32x32x16.f16(<8 x half>, <8 x half>, <16 x float>, i32, i32, i32)
    define amdgpu_kernel void @m(ptr addrspace(1) %o) {
      %x = load <8 x half>, ptr addrspace(1) %o
      %y = call <16 x float> @llvm.amdgcn.mfma.f32.32x32x16.f16(<8 x half> %x, <8 x half> %x, <16 x float> zeroinitializer, i32 0, i32 0, i32 0)
      store <16 x float> %y, ptr addrspace(1) %o
      ret void
    }""".replace(
        "      %x = call float @llvm.amdgcn.fdot2.f32.bf16.bf16(<2 x bfloat> zeroinitializer, <2 x bfloat> zeroinitializer, bfloat 0.0)\n",
        "",
    )
    with pytest.raises(AssemblerDiedError, match="mfma"):
        generate(text, resolve("gfx90a"))
    assert "s_endpgm" in built(samples.add, resolve("gfx90a")).assembly


def test_text_that_llvm_does_not_take_is_an_error_with_its_words():
    with pytest.raises(AssembleError, match="expected"):
        generate("define nonsense", GFX942)


def test_emission_is_deterministic(target):
    text = emit(parse(samples.reduce()), target).text
    first = generate(text, target)
    generate.cache_clear()
    again = generate(text, target)
    assert first is not again
    assert (first.assembly, first.relocatable, first.loadable) == (
        again.assembly, again.relocatable, again.loadable,
    )  # fmt: skip


def test_metadata_names_every_argument():
    row = metadata(elf.read_elf(built(samples.add, GFX942).loadable))["amdhsa.kernels"][0]
    assert [a[".size"] for a in row[".args"]][:6] == [8] * 6
    assert row[".wavefront_size"] == 64


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x07", 7),
        (b"\xcd\x01\x00", 256),
        (b"\xd0\xff", -1),
        (b"\xa2hi", "hi"),
        (b"\xd9\x02hi", "hi"),
        (b"\x92\x01\xc3", [1, True]),
        (b"\x81\xa1a\x02", {"a": 2}),
        (b"\xdc\x00\x01\x05", [5]),
        (b"\xde\x00\x01\xa1a\xc2", {"a": False}),
    ],
)
def test_msgpack_is_decoded(data, value):
    assert unpack(data) == value


def test_an_unknown_mark_of_msgpack_is_an_error():
    with pytest.raises(CodeObjectError, match="0xc1"):
        unpack(b"\xc1")
