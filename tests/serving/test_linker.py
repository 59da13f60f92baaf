"""What binutils, the loader and a C program think of the linked files."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess

import numpy as np
import pytest
import sample

from kdsl.errors.artifacts import (
    LinkerFailedError,
    LinkerMissingError,
    SymbolClashError,
    UnknownLinkerError,
    UnsupportedObjectError,
)
from kdsl.serving import elf
from kdsl.serving import manifest as manifests
from kdsl.serving.system_linkers import link

PUBLIC = {
    "kdsl_axpby", "kdsl_rows", "__tvm_ffi_axpby", "__tvm_ffi_rows", "__tvm_ffi__metadata_axpby",
    "__tvm_ffi__metadata_rows", "__tvm_ffi_kdsl_manifest", "kdsl_manifest", "kdsl_manifest_size",
    "kdsl_abi_version", "kdsl_last_error", "kdsl_set_num_threads", "kdsl_get_num_threads",
}  # fmt: skip


def run(*command: object) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    return done.stdout


def test_a_linked_file_computes(library):
    x, y = np.arange(1000, dtype=np.float32), np.ones(1000, np.float32)
    library.axpby(x, y, 2.0, 3.0)
    np.testing.assert_array_equal(y, 2 * np.arange(1000) + 3)


@pytest.mark.judge
def test_nm_lists_exactly_the_public_symbols(file):
    lines = run("nm", "-D", "--defined-only", file).splitlines()
    assert {line.split()[-1].split("@")[0] for line in lines} == PUBLIC


@pytest.mark.judge
def test_nm_shows_internal_names_for_debuggers(own):
    assert "kdsl_entry_axpby" in run("nm", own)


@pytest.mark.judge
def test_readelf_accepts_all_tables(file):
    out = run("readelf", "-aW", file)
    assert "SONAME" in out
    assert "[libc.so.6]" in out
    assert "NODELETE" in out
    assert "GNU_RELRO" in out
    stack = next(line for line in out.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack
    assert "TEXTREL" not in out


@pytest.mark.judge
def test_readelf_reports_nothing_odd(own):
    done = subprocess.run(["readelf", "-aW", own], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.judge
def test_no_segment_is_writable_and_executable(own):
    for line in run("readelf", "-lW", own).splitlines():
        assert "RWE" not in line


@pytest.mark.judge
def test_gdb_and_objdump_find_the_code(own):
    assert "<kdsl_axpby>" in run("objdump", "-d", own)
    if shutil.which("gdb"):
        assert "kdsl_axpby" in run("gdb", "-batch", "-ex", "info functions kdsl_axpby", own)


@pytest.mark.judge
def test_strip_keeps_the_note_and_the_code(file, tmp_path):
    stripped = tmp_path / "stripped.so"
    run("strip", "-o", stripped, file)
    assert manifests.read(stripped) == manifests.read(file)
    assert ctypes.CDLL(str(stripped)).kdsl_abi_version() == manifests.ABI


def test_a_link_is_reproducible():
    kernels, pool = sample.objects()
    stub = sample.compile_ir("@kdsl_x = constant i32 1")
    assert link([kernels, pool, stub], "a.so") == link([kernels, pool, stub], "a.so")


def test_an_unknown_linker_is_named():
    with pytest.raises(UnknownLinkerError, match="own, ld, cc"):
        link([], "a.so", "gold")


def test_a_missing_linker_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LinkerMissingError, match="'ld'"):
        link([], "a.so", "ld")


@pytest.mark.parametrize("linker", ["ld", "cc"])
def test_a_failing_linker_is_quoted(linker):
    with pytest.raises(LinkerFailedError, match=f"'{linker}' failed: "):
        link([b"no object"], "a.so", linker)


def test_two_definitions_of_a_symbol_are_refused():
    one = sample.compile_ir("define i32 @twice() {\n  ret i32 1\n}")
    with pytest.raises(SymbolClashError, match="twice"):
        link([one, one], "a.so")


def test_a_weak_definition_yields_to_a_strong_one(tmp_path):
    weak = sample.compile_ir("define weak i32 @f() {\n  ret i32 1\n}")
    strong = sample.compile_ir("define i32 @f() {\n  ret i32 2\n}")
    for number, objects in enumerate(([weak, strong], [strong, weak])):
        path = tmp_path / f"{number}.so"
        path.write_bytes(link(objects, path.name))
        assert ctypes.CDLL(str(path)).f() == 2


def test_math_library_calls_bring_the_math_library(tmp_path):
    text = "declare float @expf(float)\ndefine float @f(float %x) {\n  %r = call float @expf(float %x)\n  ret float %r\n}"
    path = tmp_path / "m.so"
    path.write_bytes(link([sample.compile_ir(text)], "m.so"))
    function = ctypes.CDLL(str(path)).f
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    assert abs(function(1.0) - np.e) < 1e-6
    assert b"libm.so.6\0" in path.read_bytes()


def test_objects_refer_to_each_other_and_to_zeroed_data(tmp_path):
    a = "@big = global [100000 x i8] zeroinitializer\n@p = global ptr getelementptr (i8, ptr @big, i64 7)"
    b = """
@big = external global [100000 x i8]
@p = external global ptr
define i64 @f() {
  %q = load ptr, ptr @p
  store i8 5, ptr %q
  %v = load i8, ptr getelementptr (i8, ptr @big, i64 7)
  %w = load i8, ptr getelementptr (i8, ptr @big, i64 99999)
  %s = add i8 %v, %w
  %r = zext i8 %s to i64
  ret i64 %r
}"""
    path = tmp_path / "two.so"
    data = link([sample.compile_ir(b), sample.compile_ir(a)], "two.so")
    path.write_bytes(data)
    assert len(data) < 50_000
    assert ctypes.CDLL(str(path)).f() == 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("@t = thread_local global i32 0\ndefine ptr @f() {\n  ret ptr @t\n}", "thread-local"),
        ("@t = common global i32 0", "common"),
    ],
)
def test_what_the_linker_cannot_take_is_named(text, reason):
    with pytest.raises(UnsupportedObjectError, match=reason):
        link([sample.compile_ir(text)], "a.so")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(10, "R_X86_64_32 "), (11, "R_X86_64_32S"), (19, "thread-local"), (99, "99")],
)
def test_relocations_that_need_a_fixed_address_are_refused(kind, reason):
    data = bytearray(sample.objects()[0])
    file = elf.ElfFile(bytes(data))
    table = next(s for s in file.sections() if s.name == ".rela.text")
    struct.pack_into("<I", data, table.offset + 8, kind)
    with pytest.raises(UnsupportedObjectError, match=reason):
        link([bytes(data)], "a.so")


def test_an_object_for_another_machine_is_refused():
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("aarch64-linux-gnu").create_target_machine(reloc="pic")
    data = machine.emit_object(llvm.parse_assembly("define i32 @f() {\n  ret i32 1\n}"))
    with pytest.raises(UnsupportedObjectError, match="aarch64"):
        link([data], "a.so")
