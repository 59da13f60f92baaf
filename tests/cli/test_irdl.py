from __future__ import annotations

from kdsl.cli.__main__ import run


def test_the_kdsl_dialect_is_printed(capsys):
    assert run(["irdl"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("irdl.dialect @kdsl {")
    assert "irdl.operation @dot" in shown


def test_an_unknown_dialect_is_a_users_mistake(capsys):
    assert run(["irdl", "kdls"]) == 2
    assert "KD0716" in capsys.readouterr().err
