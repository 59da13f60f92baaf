"""Which assembler is taken, and what each says when something is wrong."""

from __future__ import annotations

import ctypes
import stat
from dataclasses import replace

import pytest

from kdsl.codegen.backend import Source
from kdsl.errors import AssembleError, OldAssemblerError
from kdsl.testing.judges import require_found
from kdsl_ptx import assemble, tools
from kdsl_ptx.artifact import image_of, join
from kdsl_ptx.backend import BACKEND
from tests.backends.ptx.modules import code_of, kernel

TARGET = BACKEND.resolve("sm_90a")
ELF = b"\x7fELF"


@pytest.fixture
def text():
    return code_of(kernel("%n: index", "")).text


@pytest.fixture
def fake_tool(tmp_path, monkeypatch):
    def install(script):
        path = tmp_path / "ptxas"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(assemble, "find_tool", lambda name: str(path))
        assemble.ptxas_version.cache_clear()

    yield install
    assemble.ptxas_version.cache_clear()


@pytest.fixture
def ptxas():
    return require_found("ptxas", tools.find_tool("ptxas"))


@pytest.mark.judge
@pytest.mark.usefixtures("ptxas")
def test_an_artifact_holds_the_image_and_its_facts(text):
    from kdsl_ptx.host_entry import DECLARATIONS  # a launcher without entries

    host = f'@kdsl_image = constant {{IMAGE}}, section ".rodata.kdsl_image"\n{DECLARATIONS}\n'
    made = assemble.assemble(Source(join(text, host), ".ptx"), TARGET)
    assert image_of(made.data).startswith(ELF)
    assert made.facts["assembler"] == "ptxas"
    assert [r["kernel"] for r in made.facts["resources"]] == ["k"]


def test_without_any_assembler_the_text_itself_is_packed(text, monkeypatch):
    monkeypatch.setattr(assemble, "find_tool", lambda name: None)
    monkeypatch.setattr(assemble, "find_linker", lambda: None)
    image = assemble.image_of_text(text, TARGET)
    assert image.is_text
    assert image.data == text.encode()
    facts = assemble.checked_facts(text, image)
    assert facts["assembler"] == "driver"
    assert "the driver assembles" in facts["accesses"][-1]


@pytest.mark.judge
@pytest.mark.usefixtures("ptxas")
def test_what_ptxas_refuses_is_quoted(text):
    with pytest.raises(AssembleError, match=r"ptxas rejected the emitted \.ptx source"):
        assemble.with_ptxas(text.replace("ret;", "rett;"), TARGET)


@pytest.mark.parametrize(
    "words",
    [
        "ptxas fatal   : Value 'sm_90a' is not defined for option 'gpu-name'",
        "ptxas k.ptx, line 1; fatal   : Unsupported .version 8.4; current version is '7.0'",
    ],
)
def test_an_assembler_that_is_too_old_is_named_with_its_version(text, fake_tool, words):
    fake_tool(f"""
if [ "$1" = --version ]; then echo "Cuda compilation tools, release 11.0, V11.0.221"; exit 0; fi
echo "{words}" >&2; exit 255""")
    with pytest.raises(OldAssemblerError) as caught:
        assemble.with_ptxas(text, TARGET)
    assert "11.0" in caught.value.summary
    assert "sm_90a" in caught.value.summary
    assert "8.4" in caught.value.summary


class FakeLinker:
    """The functions of nvJitLink, under the names that the library exports."""

    def __init__(self, fails=False):
        self.calls = []
        self.fails = fails
        for name in ("Create", "AddData", "Complete", "Destroy"):
            setattr(self, f"__nvJitLink{name}_12_0", self.record(name))
        for what, data in (("LinkedCubin", ELF), ("InfoLog", b"log"), ("ErrorLog", b"bad text")):
            setattr(self, f"__nvJitLinkGet{what}Size_12_0", self.size(data))
            setattr(self, f"__nvJitLinkGet{what}_12_0", self.data(data))

    def record(self, name):
        def call(*args):
            self.calls.append(name)
            if name == "Create":
                handle = ctypes.cast(args[0], ctypes.POINTER(ctypes.c_void_p))
                handle[0] = 1
                self.options = list(args[2])
            return 3 if self.fails and name == "Complete" else 0

        return call

    @staticmethod
    def size(data):
        def call(handle, out):
            ctypes.cast(out, ctypes.POINTER(ctypes.c_size_t))[0] = len(data)
            return 0

        return call

    @staticmethod
    def data(data):
        def call(handle, buffer):
            ctypes.memmove(buffer, data, len(data))
            return 0

        return call


def test_the_linker_is_the_second_choice(text, monkeypatch):
    linker = FakeLinker()
    monkeypatch.setattr(assemble, "find_tool", lambda name: None)
    monkeypatch.setattr(assemble, "find_linker", lambda: linker)
    image = assemble.image_of_text(text, TARGET)
    assert (image.data, image.log, image.tool) == (ELF, "log", "nvJitLink")
    assert linker.calls == ["Create", "AddData", "Complete", "Destroy"]
    assert b"-arch=sm_90a" in linker.options


def test_what_the_linker_refuses_is_quoted(text, monkeypatch):
    linker = FakeLinker(fails=True)
    monkeypatch.setattr(assemble, "find_linker", lambda: linker)
    with pytest.raises(AssembleError, match="bad text"):
        assemble.with_linker(text, TARGET)
    assert linker.calls[-1] == "Destroy"


def test_the_installed_linker_makes_what_ptxas_makes(text):
    if tools.find_linker() is None:
        pytest.skip("no nvJitLink")
    image = assemble.with_linker(text, TARGET)
    assert image is not None
    assert image.data.startswith(ELF)


def test_tools_are_found_in_wheels_when_path_has_none(tmp_path, monkeypatch):
    home = tmp_path / "nvidia" / "cu13" / "bin"
    home.mkdir(parents=True)
    (home / "ptxas").touch()
    monkeypatch.setattr(tools.shutil, "which", lambda name: None)
    monkeypatch.setattr(tools, "wheel_folders", lambda: [home.parent])
    tools.find_tool.cache_clear()
    try:
        assert tools.find_tool("ptxas") == str(home / "ptxas")
        assert tools.find_tool("nvdisasm") is None
    finally:
        tools.find_tool.cache_clear()


def test_text_for_an_unknown_chip_is_an_old_assembler(text):
    with pytest.raises(OldAssemblerError, match="sm_90a"):
        raise assemble._refused(
            "ptxas", "11.0", "Unsupported .version 9.9", replace(TARGET, chip="sm_90a")
        )
