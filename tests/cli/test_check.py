from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kdsl.bench.case import Case
from kdsl.cli.check import cases_of, run_cases, show
from kdsl.errors import BadChecksError, CheckFailedError, NoCheckError

PATH = Path("k.py")


def case(factor=2):
    return Case(
        entry="double",
        shape="4",
        dtype="f32",
        inputs=lambda: {"x": np.ones(4, np.float32)},
        reference=lambda x: {"x": x.astype(np.float64) * factor},
        tolerance=1e-6,
    )


def double(*, x):
    np.add(x, 1, out=x)
    np.minimum(x, 2, out=x)


def module(checks):
    made = ModuleType("k")
    made.CHECKS = checks
    return made


def test_cases_come_from_a_list_or_a_function():
    one = case()
    assert cases_of(module([one]), PATH, ["double"]) == [one]
    assert cases_of(module(lambda: [one]), PATH, ["double"]) == [one]


def test_cases_of_entries_that_were_not_built_are_left_out():
    assert cases_of(module([case()]), PATH, []) == []


def test_an_entry_without_a_case_is_an_error():
    with pytest.raises(NoCheckError, match="halve"):
        cases_of(module([case()]), PATH, ["double", "halve"])


def test_what_is_no_case_is_an_error():
    with pytest.raises(BadChecksError, match="holds str"):
        cases_of(module(["double"]), PATH, ["double"])


def test_a_right_answer_is_shown(capsys):
    show(run_cases([case()], {"double": double}))
    assert "double" in capsys.readouterr().out


def test_a_wrong_answer_is_shown_and_fails(capsys):
    with pytest.raises(CheckFailedError, match="largest error is"):
        show(run_cases([case(factor=3)], {"double": double}))
    assert "WRONG" in capsys.readouterr().out
