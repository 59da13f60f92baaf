"""kdsl build with exports made by hand, whose code is LLVM IR text."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from types import ModuleType

import llvmlite.binding as llvm
import numpy as np
import pytest

from kdsl.bench.case import Case
from kdsl.cli import building
from kdsl.cli.__main__ import run
from kdsl.cli.building import exports_of, jobs_of
from kdsl.codegen.backend import Artifact
from kdsl.errors import BadSpecError, NoExportsError, UnknownEntryError
from kdsl.ir.signature import Arg, Signature
from kdsl.serving.library import load
from kdsl.target.target import Target

TRIPLE = llvm.get_process_triple()

CODE = """
define hidden i32 @{symbol}(ptr %slots) {{
  %x = load ptr, ptr %slots
  %v = load float, ptr %x
  %w = fadd float %v, {amount:.1f}
  store float %w, ptr %x
  ret i32 0
}}
"""


@cache
def machine():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(TRIPLE).create_target_machine(reloc="pic", codemodel="default")


def assemble(text):
    module = llvm.parse_assembly(f'target triple = "{TRIPLE}"\n{text}')
    module.verify()
    return bytes(machine().emit_object(module))


@dataclass
class HandMade:
    """An export that adds a constant to the first element of its argument, named for it by N."""

    name: str = "bump"
    doc: str = "Add to the first element."
    grid: str = "1"
    spec_names: tuple = ("N", "amount")
    specs: tuple = ({"amount": 1},)
    compiled: list = field(default_factory=list)

    def compile(self, values, target, symbol):
        self.compiled.append((dict(values), symbol))
        data = assemble(CODE.format(symbol=symbol, amount=values["amount"]))
        dims = (values.get("N", "N"),)
        signature = Signature(self.name, (Arg("x", "tensor", "f32", "rw", dims),))
        return Artifact(data, "elf-object", (symbol,)), signature


class Marked:
    def __init__(self, export):
        self.__kdsl_export__ = export
        self.__module__ = "k"


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "k.py"
    found.write_text("x = 1\n")
    return found


@pytest.fixture
def use(monkeypatch):
    """Put exports (and cases) into whatever file is loaded, and let LLVM assemble the launcher."""

    def put(*exports, checks=()):
        module = ModuleType("k")
        for export in exports:
            setattr(module, export.name, Marked(export))
        module.CHECKS = checks
        target = Target("hand", "made", triple=TRIPLE)
        monkeypatch.setattr("kdsl.cli.build.load_file", lambda _: module)
        monkeypatch.setattr("kdsl.compiler.target_of", lambda _: target)
        monkeypatch.setattr(building, "cores", lambda: 1)  # what is compiled is seen here
        monkeypatch.setattr(building, "_assemble", lambda text, *_, **__: assemble(text))
        return module

    return put


def test_a_file_is_built_loaded_and_called(use, path, tmp_path, capsys):
    use(HandMade())
    out = tmp_path / "k.so"
    assert run(["build", str(path), "-o", str(out)]) == 0
    assert "1 entries, 1 specializations for hand:made" in capsys.readouterr().out
    x = np.zeros(4, np.float32)
    load(out)["bump"](x)
    assert x.tolist() == [1, 0, 0, 0]


def test_a_spec_makes_specializations_that_calls_are_dispatched_on(use, path, tmp_path):
    export = HandMade(specs=({"amount": 1}, {"amount": 5}))
    use(export)
    out = tmp_path / "k.so"
    assert run(["build", str(path), "-o", str(out), "--spec", "N=4,8 amount=2"]) == 0
    symbols = ["kdsl_entry_bump_0", "kdsl_entry_bump_1"]
    values = [{"amount": 2, "N": 4}, {"amount": 2, "N": 8}]
    assert export.compiled == list(zip(values, symbols, strict=True))
    bump = load(out)["bump"]
    for n in (4, 8):
        x = np.zeros(n, np.float32)
        bump(x)
        assert x[0] == 2


def test_a_header_is_written(use, path, tmp_path):
    use(HandMade())
    header = tmp_path / "k.h"
    run(["build", str(path), "-o", str(tmp_path / "libk.so"), "--header", str(header)])
    assert "kdsl_bump" in header.read_text()


def bump_case(amount):
    return Case(
        entry="bump",
        shape="4",
        dtype="f32",
        inputs=lambda: {"x": np.zeros(4, np.float32)},
        reference=lambda x: {"x": x.astype(np.float64) + np.array([amount, 0, 0, 0])},
        tolerance=1e-6,
    )


def test_check_runs_the_cases_of_the_file(use, path, tmp_path, capsys):
    use(HandMade(), checks=[bump_case(1)])
    assert run(["build", str(path), "-o", str(tmp_path / "k.so"), "--check"]) == 0
    assert "0.0e+00" in capsys.readouterr().out


def test_a_wrong_answer_fails_the_check(use, path, tmp_path, capsys):
    use(HandMade(), checks=[bump_case(3)])
    assert run(["build", str(path), "-o", str(tmp_path / "k.so"), "--check"]) == 2
    assert "KD0709" in capsys.readouterr().err


def test_check_without_a_case_is_said_before_anything_is_built(use, path, tmp_path, capsys):
    export = HandMade()
    use(export)
    assert run(["build", str(path), "-o", str(tmp_path / "k.so"), "--check"]) == 2
    assert "KD0714" in capsys.readouterr().err
    assert export.compiled == []


def test_only_the_wanted_entries_are_built(use, path):
    module = use(HandMade("a"), HandMade("b"))
    assert [e.name for e in exports_of(module, path, [])] == ["a", "b"]
    assert [e.name for e in exports_of(module, path, ["b"])] == ["b"]
    with pytest.raises(UnknownEntryError, match="it exports a, b"):
        exports_of(module, path, ["c"])


def test_a_files_own_list_counts_instead_of_the_marks(use, path):
    module = use(HandMade("a"), HandMade("b"))
    module.EXPORTS = [HandMade("c")]
    assert [e.name for e in exports_of(module, path, [])] == ["c"]


def test_a_file_without_exports_is_an_error(path):
    with pytest.raises(NoExportsError, match="exports no kernel"):
        exports_of(ModuleType("k"), path, [])


def test_a_spec_touches_the_exports_that_have_the_name():
    first, second = HandMade("a", spec_names=("N", "amount")), HandMade("b", spec_names=("amount",))
    jobs = jobs_of([first, second], {"N": (4, 8)})
    assert [job.symbol for job in jobs] == ["kdsl_entry_a_0", "kdsl_entry_a_1", "kdsl_entry_b"]
    assert jobs[0].title == "a amount=1 N=4"


def test_a_spec_that_no_export_has_is_an_error():
    with pytest.raises(BadSpecError, match="no exported kernel has it; there are N, amount"):
        jobs_of([HandMade()], {"M": (4,)})


def test_a_missing_file_is_a_users_mistake(tmp_path, capsys):
    assert run(["build", str(tmp_path / "none.py"), "-o", str(tmp_path / "k.so")]) == 2
    assert "KD0706" in capsys.readouterr().err


def test_a_missing_folder_is_a_users_mistake(use, path, tmp_path, capsys):
    use(HandMade())
    assert run(["build", str(path), "-o", str(tmp_path / "no" / "k.so")]) == 2
    assert "KD0616" in capsys.readouterr().err


def test_an_unknown_linker_is_a_users_mistake(path, tmp_path):
    assert run(["build", str(path), "-o", str(tmp_path / "k.so"), "--linker", "gold"]) == 2


def test_the_real_back_end_assembles_the_launcher(path, tmp_path, monkeypatch, capsys):
    module = ModuleType("k")
    module.EXPORTS = [HandMade()]
    module.CHECKS = [bump_case(1)]
    monkeypatch.setattr("kdsl.cli.build.load_file", lambda _: module)
    assert run(["build", str(path), "-o", str(tmp_path / "k.so"), "--check"]) == 0
    assert run(["inspect", str(tmp_path / "k.so")]) == 0
    assert "bump(x)" in capsys.readouterr().out
