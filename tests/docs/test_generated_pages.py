from __future__ import annotations

from pathlib import Path

import pytest

from kdsl.cli.__main__ import run
from kdsl.cli.pages import PAGES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_fresh(name):
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run kdsl docs"


def test_check_names_stale_pages_and_writes_nothing(tmp_path, capsys):
    assert run(["docs", "--folder", str(tmp_path)]) == 0
    assert run(["docs", "--folder", str(tmp_path), "--check"]) == 0
    page = tmp_path / "errors.md"
    page.write_text("old")
    assert run(["docs", "--folder", str(tmp_path), "--check"]) == 2
    assert "errors.md" in capsys.readouterr().err
    assert page.read_text() == "old"
