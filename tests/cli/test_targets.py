from __future__ import annotations

from types import SimpleNamespace

import pytest

from kdsl.cli import targets as command
from kdsl.cli.__main__ import run
from kdsl.codegen import registry
from kdsl.codegen.backend import Trial
from kdsl.errors import BrokenBackEndError, MissingToolError, NoChipError, NoDeviceError
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
    monkeypatch.setattr(command, "tried", lambda _: Trial("hardware", "this hand", "5 fingers"))


def test_back_ends_are_listed_with_this_machine_and_their_chips(two_back_ends, capsys):
    assert run(["targets"]) == 0
    shown = capsys.readouterr().out
    assert "hand:made" in shown
    assert "16 x 256 bits" in shown
    assert "bought" in shown
    assert "builds, runs" in shown
    assert "running: this hand 5 fingers" in shown


def test_a_broken_back_end_is_named_and_hides_no_other(two_back_ends, capsys):
    assert run(["targets"]) == 0
    shown = capsys.readouterr().out
    assert "other: the back end 'other' from other is broken: ImportError: nothing there" in shown


def test_a_back_end_without_a_device_still_builds(monkeypatch, capsys):
    def nowhere(chip):
        if chip:
            return Target("far", chip)
        why = NoDeviceError(target="far", why="nothing is plugged in")
        raise NoChipError(backend="far", why="no device", known="mars, venus") from why

    def nobody(target):
        assert target.chip == "venus"
        raise MissingToolError(purpose="far", tool="a telescope", advice="install a telescope")

    away = SimpleNamespace(chips=("mars", "venus"), resolve=nowhere, usual="venus")
    monkeypatch.setattr(command, "tried", nobody)
    monkeypatch.setattr(registry, "backend_names", lambda: ["far"])
    monkeypatch.setattr(registry, "backend_named", lambda _: away)
    assert run(["targets"]) == 0
    shown = capsys.readouterr().out
    assert "builds" in shown
    assert "builds, runs" not in shown
    assert "mars, venus" in shown
    assert "far runs nothing here: far: the driver reports no device (nothing is" in shown
    assert "check that the process may see the device" in shown
    assert "far checks nothing here: far needs a telescope" in shown
    assert "install a telescope" in shown


def test_a_small_kernel_is_tried_on_this_machine():
    trial = command.tried(registry.default_target())
    assert trial.rung == "hardware"
    assert trial.how.endswith("processor")


def test_no_back_end_at_all_is_said(monkeypatch, capsys):
    monkeypatch.setattr(registry, "backend_names", list)
    assert run(["targets"]) == 0
    assert "no back end is installed" in capsys.readouterr().out
