"""Every example runs alone and its own check holds."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CHECKED_BY_BUILD = {"rope_attention.py", "smollm2.py"}
"""One is what ``kdsl build --check`` runs, the other has a test file of its own."""
RUN_ALONE = sorted(p.name for p in EXAMPLES.glob("*.py") if p.name not in CHECKED_BY_BUILD)


@pytest.mark.parametrize("name", RUN_ALONE)
def test_the_example_runs_and_says_what_it_checked(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert capsys.readouterr().out.strip()
