"""The table of what was checked: rungs, refusals, and mistakes that must show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsl.cli.__main__ import run
from kdsl.codegen import backend as seam
from kdsl.codegen.backend import Trial
from kdsl.codegen.registry import resolve_target
from kdsl.dialects import arith, math
from kdsl.errors import MissingToolError, NoDeviceError, UnknownStageError
from kdsl.testing import conformance_command as command
from kdsl.testing import conformance_ops as op_tables
from kdsl.testing import conformance_record as records
from kdsl.testing import conformance_table as tables
from kdsl.testing.conformance_page import page, with_hardware
from kdsl.testing.library_cases import library_cases
from kdsl.testing.trials import REFUSED, WRONG, attempt

CASES = [c for c in library_cases() if c.kernel.name in ("silu_mul", "attention")][:4]
HERE = resolve_target("cpu:x86-64")
DOCS = Path(__file__).parents[2] / "docs"
OPS = [c for c in op_tables.op_cases([4]) if c.kind in (arith.Addf, arith.Cmpi, math.Exp)]


def table_of(cases: Any, ops: Any, names: Any = ("cpu:x86-64",)) -> tables.Table:
    return tables.make_table(names, cases, ops, map)


def test_what_runs_here_is_compared_and_what_does_not_is_assembled() -> None:
    table = table_of(CASES, [], ("cpu:x86-64", "cpu:aarch64"))
    assert {(row.target, row.rung, row.how) for row in table.kernels} == {
        ("cpu:x86-64", "hardware", "x86-64 processor"),
        ("cpu:aarch64", "assembled", "LLVM"),
    }
    text = page(records.recorded(table), [])
    assert "| elementwise.silu_mul | hardware 3 | assembled 3 |" in text
    assert table.versions.keys() == {"cpu:x86-64: x86-64 processor", "cpu:aarch64: LLVM"}


def test_a_wrong_result_is_called_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = seam.Backend.try_out

    def spoil(self: Any, *given: Any) -> Trial:
        trial = right(self, *given)
        written = [a for a in given[-1] if isinstance(a, np.ndarray)][-1]
        written.reshape(-1)[3] += 1
        return trial

    monkeypatch.setattr(seam.Backend, "try_out", spoil)
    table = table_of(CASES[:1], OPS[:1])
    (row,) = table.kernels
    assert row.rung == WRONG
    assert not row.is_right
    assert len(table.wrong) == 2
    assert "WRONG 1" in page(records.recorded(table), [])


def test_a_refusal_carries_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise UnknownStageError(name="lanes", known="trace")

    monkeypatch.setattr(tables, "_legalized", refuse)
    (row,) = tables.check(CASES[:1], [HERE])
    assert (row.rung, row.how[:6]) == (REFUSED, "KD0718")
    assert row.is_right
    text = page(records.recorded(tables.Table([row])), [])
    assert "- cpu:x86-64, 1 kernels: KD0718" in text


def test_what_fails_after_it_was_compiled_is_wrong_but_a_missing_tool_is_not() -> None:
    def fail(problem: Exception) -> Trial:
        def run_it(_: Any) -> Trial:
            raise problem

        return attempt(lambda: None, run_it)

    assert fail(UnknownStageError(name="a race", known="none")).rung == WRONG
    assert fail(ZeroDivisionError("oh")).rung == WRONG
    assert fail(NoDeviceError(target="far", why="none")).rung == "text"
    assert fail(MissingToolError(purpose="x", tool="y", advice="z")).rung == "text"


def test_ops_are_compared_each_and_counted_by_group() -> None:
    table = table_of([], OPS)
    assert {row.rung for row in table.ops} == {"hardware"}
    compared = {(row.op, row.dtype): row.cases for row in table.ops}
    assert compared["arith.cmpi", "i8"] == 10
    assert compared["arith.addf", "bf16"] == 1
    assert "| comparisons, select: i8 | hardware 10 |" in page(records.recorded(table), [])


def test_one_refused_op_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = op_tables._compiled

    def refuse_exp(backend: Any, target: Any, cases: Any) -> Any:
        if any(case.kind is math.Exp for case in cases):
            raise UnknownStageError(name="exp", known="none")
        return compiled(backend, target, cases)

    monkeypatch.setattr(op_tables, "_compiled", refuse_exp)
    rungs = {row.op: row.rung for row in table_of([], OPS).ops}
    assert rungs == {"math.exp": REFUSED, "arith.addf": "hardware", "arith.cmpi": "hardware"}


def test_rows_survive_being_written_and_read() -> None:
    record = records.recorded(table_of(CASES[:2], OPS))
    again = records.from_json(records.to_json(record))
    assert (again.kernels, again.ops, again.cases) == (record.kernels, record.ops, record.cases)
    assert not records.stale(record, again)
    assert not records.missing(record, again)
    assert page(record, []) == page(again, [])


def test_a_row_that_is_refused_now_is_stale_and_a_better_rung_is_not() -> None:
    key = ("rope.rope", "T=f32", "far:chip")
    old = records.Recorded({key: "assembled: as"})
    assert not records.stale(old, records.Recorded({key: "hardware: the far device"}))
    refused = records.Recorded({key: "refused: KD0404: no"})
    assert records.stale(old, refused) == [
        "rope.rope T=f32 far:chip: 'assembled: as' is now 'refused: KD0404: no'"
    ]
    assert records.stale(refused, old)
    assert records.stale(records.Recorded(), old) == ["rope.rope T=f32 far:chip is new"]
    gone = records.Recorded({("rope.rope", "T=f16", "far:chip"): "text: written"})
    assert records.missing(old, gone) == ["rope.rope T=f32 far:chip is gone"]


def test_what_ran_on_a_device_is_recorded_and_shown_with_its_date(tmp_path: Path) -> None:
    table = table_of(CASES[:2], OPS[:1])
    (done,) = records.executed(table, "2026-11-23")
    path = tmp_path / "hardware.json"
    path.write_text(records.executed_json([done]))
    assert records.read_executed(path) == [done]
    assert records.joined([done], [replace(done, date="2026-11-24")])[0].date == "2026-11-24"
    elsewhere = records.recorded(table)
    elsewhere.kernels = dict.fromkeys(elsewhere.kernels, "assembled: as")
    shown = with_hardware(elsewhere, [done])
    assert set(shown.kernels.values()) == {"hardware: x86-64 processor, 2026-11-23"}
    assert "on x86-64 processor, 2026-11-23: 2 specializations" in page(elsewhere, [done])


def test_named_targets_replace_their_rows_alone() -> None:
    old = records.Recorded({("k", "", "a:1"): "text: x", ("k", "", "b:2"): "text: x"})
    new = records.Recorded({("k", "", "b:2"): "assembled: y"})
    both = records.combined(old, new, ["b:2", "a:1"])
    assert list(both.kernels.items()) == [
        (("k", "", "b:2"), "assembled: y"),
        (("k", "", "a:1"), "text: x"),
    ]


def test_the_command_writes_checks_and_finds_a_stale_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tables, "every_case", lambda: CASES[:1])
    monkeypatch.setattr(op_tables, "op_cases", lambda: OPS[:1])
    common = [
        "conformance",
        "--target",
        "cpu:x86-64",
        "--processes",
        "1",
        "--folder",
        str(tmp_path),
    ]
    assert run([*common, "--write"]) == 0
    assert run([*common, "--check"]) == 0
    written = tmp_path / command.PAGE
    written.write_text(written.read_text().replace("hardware 1", "hardware 2"))
    assert run([*common, "--check"]) == 2
    assert "is not the page of" in capsys.readouterr().err
    assert run(["conformance", "--page-only", "--write", "--folder", str(tmp_path)]) == 0
    rows = tmp_path / command.ROWS
    rows.write_text(rows.read_text().replace("hardware: x86-64", "refused: x86-64"))
    assert run([*common, "--check"]) == 2
    assert "is now" in capsys.readouterr().err
    record = tmp_path / "hw.json"
    assert run([*common, "--record", str(record)]) == 0
    (row,) = json.loads(record.read_text())
    assert row["target"] == "cpu:x86-64"
    assert len(row["kernels"]) == 1


def test_the_page_in_docs_is_the_page_of_its_rows() -> None:
    found = records.from_json((DOCS / command.ROWS).read_text())
    devices = records.read_executed(DOCS / command.HARDWARE)
    assert (DOCS / command.PAGE).read_text() == page(found, devices)
    wrong = [r for r in (*found.kernels.values(), *found.ops.values()) if r.startswith(WRONG)]
    assert not wrong


def test_the_page_in_docs_covers_every_case_and_every_op() -> None:
    found = records.from_json((DOCS / command.ROWS).read_text())
    targets = {str(resolve_target(name)) for name in command.TARGETS}
    shown = records.targets_of(found)
    assert "cpu:x86-64-v3" in shown
    assert set(shown) <= targets
    cases = {tables.case_key(case) for case in tables.every_case()}
    ops = {(c.kind.name, op_tables.dtype_text(c), str(c.width)) for c in op_tables.op_cases()}
    for target in shown:
        assert {key[:2] for key in found.kernels if key[-1] == target} == cases
        assert {key[:3] for key in found.ops if key[-1] == target} == ops


def test_a_sample_of_the_page_in_docs_is_fresh() -> None:
    cases, ops = command.sample()
    old = records.from_json((DOCS / command.ROWS).read_text())
    table = table_of(cases, ops, records.targets_of(old))
    assert not records.stale(old, records.recorded(table))
