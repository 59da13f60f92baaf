"""Finding back ends: by a chip's name, and in a checkout that nobody installed."""

from __future__ import annotations

import pytest

from kdsl.codegen import registry
from kdsl.errors import UnknownTargetError


def test_a_chip_that_one_back_end_knows_needs_no_back_end_before_it() -> None:
    assert str(registry.resolve_target("x86-64-v3")) == "cpu:x86-64-v3"
    with pytest.raises(UnknownTargetError):
        registry.resolve_target("x86-64-v9")


def test_a_checkout_works_without_being_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    declared = registry._entry_points.__wrapped__()
    assert declared["cpu"].load().name == "cpu"
