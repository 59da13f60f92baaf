"""The README's promises that a machine can check."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kdsl.cli.__main__ import COMMANDS
from kdsl.settings import all_settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def test_the_first_two_commands_are_one_line_each():
    first, second = [block.strip() for block in SHELL.findall(README)[:2]]
    assert "\n" not in first
    assert "\n" not in second
    assert "kdsl build examples/rope_attention.py" in first
    assert "pytest" in second


def test_ci_runs_the_readmes_test_command():
    command = SHELL.findall(README)[1].strip().rpartition(".venv/bin/")[2]
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_ci_can_be_executed():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_every_command_is_mentioned_and_exists():
    mentioned = set(re.findall(r"`kdsl (\w+)", README))
    assert mentioned <= set(COMMANDS)
    assert set(COMMANDS) - {"docs"} <= mentioned


def test_every_setting_that_is_mentioned_exists():
    known = {setting.variable for setting in all_settings()}
    assert set(re.findall(r"\bKDSL_[A-Z_]+\b", README)) <= known


def test_the_kernel_of_the_readme_is_short():
    block = README[README.index("@kd.kernel\n") :]
    kernel = block[: block.index("\n\n\n")]
    assert kernel.count("\n") <= 15
