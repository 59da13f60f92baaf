from __future__ import annotations

import pytest

from kdsl.settings import settings
from kdsl.testing import judges


def nowhere(name):
    return judges.require_found(name, None)


@pytest.fixture(autouse=True)
def own_count(monkeypatch):
    monkeypatch.setattr(judges, "MISSING", {})


def test_a_judge_that_is_there_is_found():
    assert judges.require_program("sh").endswith("/sh")
    assert judges.require_module("json").dumps(1) == "1"
    assert judges.require_found("sh", ["sh"]) == ["sh"]
    assert judges.summary() == ""


@pytest.mark.parametrize("ask", [judges.require_program, judges.require_module, nowhere])
def test_a_missing_judge_skips_and_is_counted(ask):
    with settings.override(require_judges=False):
        for _ in range(2):
            with pytest.raises(pytest.skip.Exception, match="not installed"):
                ask("no_such_judge")
    assert judges.summary() == "outside judges not installed: no_such_judge (2 tests)"


@pytest.mark.parametrize("ask", [judges.require_program, judges.require_module, nowhere])
def test_a_missing_judge_fails_where_it_is_required(ask):
    with (
        settings.override(require_judges=True),
        pytest.raises(pytest.fail.Exception, match="KDSL_REQUIRE_JUDGES"),
    ):
        ask("no_such_judge")
