from __future__ import annotations

import json

import pytest

from kdsl.bench import suites
from kdsl.bench.compiling import straight_line
from kdsl.bench.suites import SUITES, Table, suite_named
from kdsl.cli.__main__ import run


@pytest.fixture
def one_suite(monkeypatch):
    monkeypatch.setattr(suites, "SUITES", {"quick": ("json:loads", "nothing")})
    table = Table("quick", ("kernel", "time"), (("rope", "1 ms"),))
    monkeypatch.setattr(suites, "suite_named", lambda *_: lambda: table)


def test_tables_are_printed_and_recorded(one_suite, tmp_path, capsys):
    record = tmp_path / "r.json"
    assert run(["bench", "--json", str(record)]) == 0
    assert "rope" in capsys.readouterr().out
    assert json.loads(record.read_text()) == {"quick": [{"kernel": "rope", "time": "1 ms"}]}


def test_benchmarks_are_listed(capsys):
    assert run(["bench", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in SUITES)


def test_every_benchmark_exists():
    for name in SUITES:
        assert callable(suite_named(name))


def test_an_unknown_benchmark_is_a_users_mistake(capsys):
    assert run(["bench", "prefil"]) == 2
    assert "KD0711" in capsys.readouterr().err


def test_the_modules_of_the_pipeline_benchmark_cannot_be_folded_away(tmp_path, capsys):
    path = tmp_path / "k.mlir"
    path.write_text(straight_line(60))
    assert run(["opt", str(path), "-p", "optimize"]) == 0
    assert capsys.readouterr().out.count('"arith.') == 60
