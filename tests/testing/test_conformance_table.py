"""The table of what was checked: rungs, refusals, and mistakes that must show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kdsl.codegen import backend as seam
from kdsl.codegen.backend import Trial
from kdsl.codegen.registry import resolve_target
from kdsl.errors import UnknownStageError
from kdsl.testing import conformance_table as tables
from kdsl.testing.library_cases import library_cases

CASES = [c for c in library_cases() if c.kernel.name in ("silu_mul", "attention")][:4]
HERE = resolve_target("cpu:x86-64")


def test_what_runs_here_is_compared_and_what_does_not_is_assembled() -> None:
    rows = list(tables.check(CASES, [HERE, resolve_target("cpu:aarch64")]))
    assert {(row.target, row.rung) for row in rows} == {
        ("cpu:x86-64", "hardware"),
        ("cpu:aarch64", "assembled"),
    }
    page = tables.markdown(rows, "# Conformance")
    assert "| elementwise.silu_mul | executed on hardware: 3 | assembled: 3 |" in page


def test_a_wrong_result_is_called_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = seam.Backend.try_out

    def spoil(self: Any, *given: Any) -> Trial:
        trial = right(self, *given)
        written = [a for a in given[-1] if isinstance(a, np.ndarray)][-1]
        written.reshape(-1)[3] += 1
        return trial

    monkeypatch.setattr(seam.Backend, "try_out", spoil)
    (row,) = tables.check(CASES[:1], [HERE])
    assert row.rung == tables.WRONG
    assert not row.is_right
    assert "WRONG" in tables.markdown([row], "")


def test_a_refusal_carries_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise UnknownStageError(name="lanes", known="trace")

    monkeypatch.setattr(tables, "_legalized", refuse)
    (row,) = tables.check(CASES[:1], [HERE])
    assert (row.rung, row.how[:6]) == (tables.REFUSED, "KD0718")
    assert row.is_right
    assert "refused, KD0718" in tables.markdown([row], "")


def test_rows_as_json_are_one_a_line() -> None:
    rows = list(tables.check(CASES[:2], [HERE]))
    lines = tables.as_json(rows).strip().splitlines()
    assert len(lines) == len(rows) + 2
