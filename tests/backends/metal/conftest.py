"""Metal text runs here when there is a clang for its stand-in."""

from __future__ import annotations

import os

import pytest

from kdsl.testing.judges import require_module
from kdsl_metal.backend import BACKEND


@pytest.fixture(scope="session")
def clang():
    if not os.environ.get("KDSL_CLANG"):
        require_module("ziglang")


@pytest.fixture(scope="session")
def target():
    return BACKEND.resolve("apple7")
