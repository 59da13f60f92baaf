from __future__ import annotations

from types import SimpleNamespace

import pytest

from kdsl.cli.__main__ import run
from kdsl.codegen import registry
from kdsl.errors import BrokenBackEndError, NoDeviceError
from kdsl.target.features import Features
from kdsl.target.target import Target


@pytest.fixture
def two_back_ends(monkeypatch):
    here = Target("hand", "made", Features(vector_bits=256, vector_registers=16, threads=3))
    good = SimpleNamespace(chips=("made", "bought"), resolve=lambda _: here)

    def named(name):
        if name == "hand":
            return good
        raise BrokenBackEndError(name=name, distribution="other", why="ImportError: nothing there")

    monkeypatch.setattr(registry, "backend_names", lambda: ["hand", "other"])
    monkeypatch.setattr(registry, "backend_named", named)


def test_back_ends_are_listed_with_this_machine_and_their_chips(two_back_ends, capsys):
    assert run(["targets"]) == 0
    shown = capsys.readouterr().out
    assert "hand:made" in shown
    assert "16 x 256 bits" in shown
    assert "bought" in shown


def test_a_broken_back_end_is_named_and_hides_no_other(two_back_ends, capsys):
    assert run(["targets"]) == 0
    shown = capsys.readouterr().out
    assert "other: the back end 'other' from other is broken: ImportError: nothing there" in shown


def test_a_back_end_without_a_device_still_builds(monkeypatch, capsys):
    def nowhere(_):
        raise NoDeviceError(target="far", why="nothing is plugged in")

    away = SimpleNamespace(chips=("mars", "venus"), resolve=nowhere)
    monkeypatch.setattr(registry, "backend_names", lambda: ["far"])
    monkeypatch.setattr(registry, "backend_named", lambda _: away)
    assert run(["targets"]) == 0
    shown = capsys.readouterr().out
    assert "builds" in shown
    assert "builds, runs" not in shown
    assert "mars, venus" in shown
    assert "far runs nothing here: far: the driver reports no device (nothing is" in shown


def test_no_back_end_at_all_is_said(monkeypatch, capsys):
    monkeypatch.setattr(registry, "backend_names", list)
    assert run(["targets"]) == 0
    assert "no back end is installed" in capsys.readouterr().out
