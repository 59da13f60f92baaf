"""One file for several targets: what it launches by itself, and what is packed into it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest

from kdsl.cli.__main__ import run as command_line
from kdsl.codegen.registry import targets_to_build
from kdsl.errors import ArtifactError, UnknownTargetError
from kdsl.serving import manifest
from kdsl.serving.library import load
from kdsl.serving.packed import decode, encode, packed_in
from kdsl.testing.judges import require_program
from tests.backends.ptx import test_built_file

SOURCE = """
import kdsl as kd
from kdsl.library.elementwise import add

EXPORTS = [kd.exported(add, "T=f32,bf16")]
"""
TARGETS = "cpu:x86-64,sm_90a,gfx942,gfx1100,metal,opencl"
PACKED = ["amdgpu:gfx1100", "metal:apple7", "opencl:generic"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    source = folder / "kernels.py"
    source.write_text(SOURCE)
    output = folder / "kernels.so"
    assert command_line(["build", str(source), "-o", str(output), "--target", TARGETS]) == 0
    (folder / "program.py").write_text(test_built_file.PROGRAM)
    return output


@pytest.fixture(scope="module")
def driver(built):
    compiler = require_program("cc")
    source = Path(test_built_file.__file__).with_name("fake_driver.c")
    target = built.parent / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", target, source], check=True)
    return target.parent


def test_every_target_is_in_the_manifest_with_a_hash(built):
    found = manifest.read(built)
    kinds = [record.kind for record in found.targets]
    assert kinds[:3] == ["cpu", "ptx", "amdgpu"]
    assert {k.partition(" ")[0] for k in kinds[3:]} == {"sm_90a", "gfx942", *PACKED}
    assert all(len(record.sha256) == 64 for record in found.targets)
    assert [entry.device for entry in found.by_name()["add"]] == [1, 2, 10]


def test_packed_code_has_the_hash_that_the_manifest_tells(built):
    packed = packed_in(built)
    assert [each.target for each in packed] == [t for t in PACKED for _ in range(2)]
    records = {record.kind.partition(" ")[0]: record for record in manifest.read(built).targets}
    for target in PACKED:
        data = b"".join(each.data for each in packed if each.target == target)
        assert hashlib.sha256(data).hexdigest() == records[target].sha256


def test_inspect_lists_what_is_launched_and_what_is_packed(built, capsys, tmp_path):
    assert command_line(["inspect", str(built)]) == 0
    shown = capsys.readouterr().out
    for words in ("gfx942 code object", "sm_90a", "opencl-c", "metal-source", "on the host"):
        assert words in shown
    assert shown.count("add(x, y, out)") == 1
    assert command_line(["inspect", str(built), "--extract", str(tmp_path)]) == 0
    (text,) = tmp_path.glob("add_0_opencl_generic*.opencl-c")
    assert "__kernel" in text.read_text()


def test_arrays_of_the_host_go_to_the_code_of_the_host(built):
    x, out = np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)
    load(built).add(x, x, out)
    np.testing.assert_array_equal(out, x + x)


def test_arrays_of_a_device_go_to_the_code_of_the_device(built, driver):
    said = test_built_file.run(built, [(0x1000,), (0x2000,), (0x3000,)], driver)
    assert "load 7fELF" in said[0]
    assert said[1].startswith("launch add$kernel")
    assert said[2].split() == ["status", "0"]


def test_each_device_fails_in_its_own_words(built):
    places = [(0x1000, 0, 10), (0x2000, 0, 10), (0x3000, 0, 10)]
    (said,) = test_built_file.run(built, places)
    assert "libamdhip64" in said
    (said,) = test_built_file.run(built, [(0x1000,), (0x2000,), (0x3000,)])
    assert "libcuda.so.1" in said


def test_arrays_where_there_is_no_code_are_refused_with_what_there_is(built):
    (said,) = test_built_file.run(built, [(0x1000, 0, 7), (0x2000, 0, 7), (0x3000, 0, 7)])
    assert "are on DLPack device type 7, expected 1 (the host), 2 (a CUDA device) or 10" in said


def test_packed_code_is_run_by_the_back_end_of_its_target(built):
    pytest.importorskip("pyopencl")
    x, out = np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)
    library = load(built, target="opencl")
    assert library.entries == ("add",)
    library.add(x, y=x, out=out)
    np.testing.assert_array_equal(out, x + x)


def test_code_that_is_not_packed_is_told_with_what_is(built):
    with pytest.raises(ArtifactError, match=r"no code packed for .gfx90a.*metal:apple7"):
        load(built, target="gfx90a")


def test_packed_code_that_was_changed_is_not_loaded(built):
    payload = encode(packed_in(built)[0])
    with pytest.raises(ArtifactError, match="another hash"):
        decode(payload[:-1] + b"?", "k.so")
    with pytest.raises(ArtifactError, match="packed code"):
        decode(b"{}" + payload, "k.so")


def test_a_file_may_hold_packed_code_alone(built, tmp_path):
    output = tmp_path / "k.so"
    source = built.parent / "kernels.py"
    assert command_line(["build", str(source), "-o", str(output), "--target", "metal"]) == 0
    assert [each.format for each in packed_in(output)] == ["metal-source"] * 2
    assert load(output).entries == ()


def test_a_list_of_targets_names_chips_and_back_ends():
    found = targets_to_build("gfx942, metal,opencl,metal:apple7")
    assert list(map(str, found)) == ["amdgpu:gfx942", "metal:apple7", "opencl:generic"]
    with pytest.raises(UnknownTargetError):
        targets_to_build("metal,nothing")
