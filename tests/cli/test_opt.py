from __future__ import annotations

import io

import pytest

from kdsl.cli.__main__ import run
from kdsl.testing.filecheck import filecheck

MODULE = """
"builtin.module"() ({
  "func.func"() ({
  ^bb0(%x: f32, %m: memref<?xf32>, %i: index):
    %dead = "arith.mulf"(%x, %x) : (f32, f32) -> f32
    %a = "arith.addf"(%x, %x) : (f32, f32) -> f32
    %b = "arith.addf"(%x, %x) : (f32, f32) -> f32
    %c = "arith.mulf"(%a, %b) : (f32, f32) -> f32
    "memref.store"(%c, %m, %i) : (f32, memref<?xf32>, index) -> ()
    "func.return"() : () -> ()
  }) {function_type = (f32, memref<?xf32>, index) -> (), sym_name = "k"} : () -> ()
}) : () -> ()
"""

ONE_SUM = """
CHECK:     [[A:%.*]] = "arith.addf"
CHECK-NOT: "arith.addf"
CHECK:     "arith.mulf"([[A]], [[A]])
CHECK-NOT: "arith.mulf"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "k.mlir"
    path.write_text(MODULE)
    return str(path)


def test_passes_run_in_order(file, capsys):
    assert run(["opt", file, "-p", "cse,dce"]) == 0
    filecheck(capsys.readouterr().out, ONE_SUM)


def test_a_module_comes_from_standard_input(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(MODULE))
    assert run(["opt", "-p", "cse,dce"]) == 0
    filecheck(capsys.readouterr().out, ONE_SUM)


def test_without_passes_the_module_is_printed_as_it_is(file, capsys):
    assert run(["opt", file]) == 0
    once = capsys.readouterr().out
    assert once.count("arith.") == 4


def test_the_module_is_written_into_a_file(file, tmp_path, capsys):
    target = tmp_path / "out.mlir"
    assert run(["opt", file, "-p", "cse,dce", "-o", str(target)]) == 0
    assert capsys.readouterr().out == ""
    filecheck(target.read_text(), ONE_SUM)


def test_modules_between_passes_and_times_go_to_standard_error(file, capsys):
    assert run(["opt", file, "-p", "cse,dce", "--print-after", "cse", "--time"]) == 0
    shown = capsys.readouterr().err
    assert "// after cse" in shown
    assert "// after dce" not in shown
    assert "ms  dce" in shown


def test_passes_and_pipelines_are_listed(capsys):
    assert run(["opt", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "canonicalize" in shown


def test_an_unknown_pass_is_a_users_mistake(file, capsys):
    assert run(["opt", file, "-p", "canonicalise"]) == 2
    assert "KD0301" in capsys.readouterr().err


def test_text_that_is_no_module_is_shown_with_its_place(tmp_path, capsys):
    path = tmp_path / "k.mlir"
    path.write_text(MODULE.replace('"arith.mulf"(%x, %x)', '"arith.mulf"(%x, %nope)'))
    assert run(["opt", str(path)]) == 2
    shown = capsys.readouterr().err
    assert "KD0221" in shown
    assert f"{path}:5:" in shown
    assert "^" in shown


def test_an_invalid_module_is_rejected(tmp_path, capsys):
    path = tmp_path / "k.mlir"
    wrong = '"arith.mulf"(%x, %x) : (f32, f32) -> f64'
    path.write_text(MODULE.replace('"arith.mulf"(%x, %x) : (f32, f32) -> f32', wrong))
    assert run(["opt", str(path)]) == 2
    assert "KD0204" in capsys.readouterr().err


def test_a_missing_file_is_a_users_mistake(tmp_path, capsys):
    assert run(["opt", str(tmp_path / "none.mlir")]) == 2
    assert "KD0706" in capsys.readouterr().err


def test_a_pass_to_print_after_that_does_not_exist_is_a_users_mistake(file, capsys):
    assert run(["opt", file, "-p", "cse", "--print-after", "cze"]) == 2
    assert "no pass 'cze'" in capsys.readouterr().err
