"""The straight line: stages, dumps, times, the disk cache."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from kdsl import compiler
from kdsl.codegen.backend import Backend
from kdsl.codegen.registry import backend_named
from kdsl.errors import CannotRunError, CannotWriteError, UnknownStageError, UnknownTargetError
from kdsl.ir.parser import parse
from kdsl.settings import settings

TEXT = """"builtin.module"() ({
  "func.func"() ({
  ^bb0(%x: memref<?xf32>, %y: memref<?xf32>):
    %z = "arith.constant"() {value = 0 : index} : () -> index
    %v = "memref.load"(%x, %z) : (memref<?xf32>, index) -> f32
    %e = "math.exp"(%v) : (f32) -> f32
    "memref.store"(%e, %y, %z) : (f32, memref<?xf32>, index) -> ()
    "func.return"() : () -> ()
  }) {sym_name = "go", function_type = (memref<?xf32>, memref<?xf32>) -> (), kdsl.entry} : () -> ()
}) : () -> ()"""


@pytest.fixture
def fresh(tmp_path):
    with settings.override(cache_dir=tmp_path / "cache", disable_cache=False):
        yield tmp_path


def compiled(start="trace", text=TEXT):
    return compiler.compile_module(parse(text), compiler.target_of(), start)


def test_each_stage_can_be_looked_at(fresh):
    made = compiled()
    assert "math.exp" in made.ir("trace")
    assert "math.exp" in made.ir("optimize")
    assert "math.exp" not in made.ir("legalize")
    assert "kdsl_entry_go" in made.source()
    assert made.binary().startswith(b"\x7fELF")
    with pytest.raises(UnknownStageError):
        made.ir("later")


def test_the_second_time_comes_from_the_disk(fresh):
    first = compiled()
    second = compiled()
    assert first.steps
    assert not second.steps
    assert second.binary() == first.binary()
    assert list(second.load()) == ["go"]


def test_another_process_takes_the_cached_code(fresh):
    first = compiled()
    code = f"""
from kdsl import compiler
from kdsl.ir.parser import parse
import kdsl.dialects.all
made = compiler.compile_module(parse({TEXT!r}), compiler.target_of())
made.load()
print(len(made.steps), made.artifact.digest)
"""
    env = {"KDSL_CACHE_DIR": str(fresh / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **env},
    )
    assert done.stdout.split() == ["0", first.artifact.digest]


def test_another_target_is_another_entry(fresh):
    compiled()
    made = compiler.compile_module(parse(TEXT), compiler.target_of("cpu:x86-64"))
    assert made.steps


def test_a_dump_holds_every_stage_in_order(fresh):
    with settings.override(dump=fresh / "dump"):
        compiled()
    names = sorted(path.name for path in (fresh / "dump" / "go").iterdir())
    assert [name.split("-")[1].split(".")[0] for name in names] == list(compiler.STAGES)


def test_compiling_may_start_from_a_dumped_stage(fresh):
    with settings.override(dump=fresh / "dump"):
        whole = compiled()
    text = (fresh / "dump" / "go" / "03-legalize.mlir").read_text()
    rest = compiled("legalize", text)
    assert rest.binary() == whole.binary()
    assert [step.name for step in rest.steps] == ["emit", "assemble"]


def test_times_of_passes_and_stages_are_printed(fresh, capsys):
    with settings.override(time=True):
        compiled()
    shown = capsys.readouterr().err
    for word in ("compiling go", "canonicalize", "legalize", "emit", "llvm: generate", "total"):
        assert word in shown


def test_the_module_is_printed_after_the_named_pass(fresh, capsys):
    with settings.override(print_after="legalize"):
        compiled()
    shown = capsys.readouterr().err
    assert shown.count("// after") == 1
    assert "math.exp" not in shown


def test_passes_may_be_verified_while_compiling(fresh):
    with settings.override(verify="passes"):
        assert compiled().steps


def test_an_unknown_target_is_named():
    with pytest.raises(UnknownTargetError, match="cqu"):
        compiler.target_of("cqu")


def test_the_back_end_is_found_by_its_entry_point():
    assert isinstance(backend_named("cpu"), Backend)


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_dump_folder_that_cannot_be_made_is_a_users_mistake(fresh, inside):
    blocked = fresh / "file"
    blocked.write_text("")
    with settings.override(dump=blocked / inside), pytest.raises(CannotWriteError) as caught:
        compiled()
    assert "Not a directory" in str(caught.value)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names a foreign machine")
def test_code_for_another_machine_is_not_run(fresh):
    made = compiler.compile_module(parse(TEXT), compiler.target_of("cpu:aarch64"))
    with pytest.raises(CannotRunError, match="cpu:aarch64 cannot run"):
        made.load()


def test_a_number_of_threads_that_cannot_be_read_is_not_ignored(fresh):
    code = f"""
import kdsl.dialects.all
from kdsl import compiler
from kdsl.ir.parser import parse
compiler.compile_module(parse({TEXT!r}), compiler.target_of()).load()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KDSL_CACHE_DIR": str(fresh / "cache"), "KDSL_NUM_THREADS": "many"},
    )
    assert done.returncode == 1
    assert "KD0701" in done.stderr


def test_printing_after_an_unknown_pass_is_refused():
    from kdsl.errors import UnknownPassError
    from kdsl.library.elementwise import add
    from kdsl.settings import settings

    with settings.override(print_after=("canonicalise",)), pytest.raises(UnknownPassError):
        add.source(T="f32")
