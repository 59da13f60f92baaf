from __future__ import annotations

import json

import pytest

from kdsl.cache import Cache, digest
from kdsl.cli.__main__ import run
from kdsl.cli.console import age_text, size_text
from kdsl.settings import settings


@pytest.fixture
def filled(tmp_path):
    store = Cache(tmp_path / "cache")
    store.store(digest("a"), b"x" * 5000, {"kernel": "rope", "target": "here"})
    with settings.override(cache_dir=store.root):
        yield store


def test_entries_are_listed(filled, capsys):
    assert run(["cache", "list"]) == 0
    shown = capsys.readouterr().out
    assert "rope" in shown
    assert digest("a")[:12] in shown
    assert "1 entries, 5.0 KiB" in shown


def test_entries_are_listed_as_json(filled, capsys):
    assert run(["cache", "list", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["key"] == digest("a")
    assert entry["facts"]["kernel"] == "rope"


def test_clear_removes_all(filled, capsys):
    assert run(["cache", "clear"]) == 0
    assert "removed 1 entries" in capsys.readouterr().out
    assert list(filled.entries()) == []


def test_sizes_and_ages_read_well():
    assert [size_text(n) for n in (0, 1023, 1024, 1 << 30)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.0 GiB",
    ]
    assert [age_text(s) for s in (-1, 59, 60, 7300, 200000)] == [
        "0 s",
        "59 s",
        "1 min",
        "2 h",
        "2 d",
    ]
