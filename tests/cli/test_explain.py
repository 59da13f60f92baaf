from __future__ import annotations

from kdsl.cli.__main__ import run
from kdsl.errors import catalogue


def test_an_explanation_has_message_help_example_and_fix(capsys):
    assert run(["explain", "kd0106"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("KD0106 TracedBoolError")
    assert "Help: " in shown
    assert "# KD0106" in shown
    assert "# right" in shown


def test_without_a_code_every_error_is_listed(capsys):
    assert run(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [error.code for error in catalogue()]
