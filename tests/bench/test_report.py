from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kdsl.bench import report
from kdsl.bench.case import Case
from kdsl.bench.measure import medians
from kdsl.bench.report import Outcome, columns, rows, run_case, time_text


def absent(_inputs):
    raise ImportError("not installed")


CASE = Case(
    entry="scale",
    shape="8",
    dtype="f32",
    inputs=lambda: {"x": np.ones(8, np.float32)},
    reference=lambda x: {"x": x.astype(np.float64) * 2},
    tolerance=1e-6,
    bytes=64.0,
    peers={"numpy": lambda inputs: lambda: np.multiply(inputs["x"], 1), "absent": absent},
)


def double(*, x):
    np.add(x, 1, out=x)
    np.minimum(x, 2, out=x)


def test_peers_that_are_installed_are_measured_beside_ours():
    outcome = run_case(CASE, double, budget_s=0.0)
    assert outcome.is_right
    assert outcome.seconds > 0
    assert list(outcome.peers) == ["numpy"]


def test_each_run_is_called_in_turns():
    calls = []
    found = medians({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 0.0)
    assert set(found) == {"a", "b"}
    assert "".join(calls).count("ab") >= 1


@pytest.fixture
def rates(monkeypatch):
    monkeypatch.setattr(report, "sgemm_rate", lambda: 100e9)
    monkeypatch.setattr(report, "copy_rate", lambda: 40e9)


def test_rates_are_shares_of_a_copy_or_of_a_matrix_multiply(rates):
    moves = Outcome(dataclasses.replace(CASE, bytes=10e9), 0.0, 0.5)
    assert (moves.rate_text, moves.share_text) == ("20.0 GB/s", "50% of copy")
    counts = Outcome(dataclasses.replace(CASE, flops=30e9), 0.0, 0.5)
    assert (counts.rate_text, counts.share_text) == ("60.0 GFLOP/s", "60% of sgemm")


def test_a_table_has_a_column_for_each_peer(rates):
    outcomes = [
        Outcome(CASE, 0.0, 1e-3, {"numpy": 2e-3}),
        Outcome(CASE, 1.0, 1e-3, {"torch": 5e-4}),
    ]
    head, body = columns(outcomes), rows(outcomes)
    assert head[-2:] == ["x numpy", "x torch"]
    assert body[0][-2:] == ["2.00", ""]
    assert body[1][-2:] == ["", "0.50"]
    assert body[1][3].endswith("WRONG")
    assert {len(row) for row in body} == {len(head)}


def test_times_have_fitting_units():
    assert [time_text(s) for s in (2.5, 0.0123, 4.5e-5, 7e-8)] == [
        "2.5 s",
        "12.3 ms",
        "45 µs",
        "70 ns",
    ]
