"""Outside judges: programs and modules that kdsl did not write and that check its output.

mlir_opt = require_program("mlir-opt-19")      # skips, or fails under KDSL_REQUIRE_JUDGES=1
xdsl = require_module("xdsl")
"""

from __future__ import annotations

import shutil
from importlib import import_module
from types import ModuleType
from typing import NoReturn, TypeVar

from kdsl.settings import settings

T = TypeVar("T")

MISSING: dict[str, int] = {}
"""Judge -> how many tests asked for it in vain; printed at the end of a test run."""


def require_program(name: str) -> str:
    """Return the path of a program; skip or fail the calling test when it is not on PATH."""
    return require_found(name, shutil.which(name))


def require_found(name: str, found: T | None) -> T:
    """Return what a search of the caller's own found; skip or fail the calling test without it."""
    if found is None:
        _missing(name)
    return found


def require_module(name: str) -> ModuleType:
    """Return an imported module; skip or fail the calling test when it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        _missing(name)


def summary() -> str:
    """Return one line about the judges that were missing; empty when none was."""
    if not MISSING:
        return ""
    parts = (f"{name} ({count} tests)" for name, count in sorted(MISSING.items()))
    return f"outside judges not installed: {', '.join(parts)}"


def _missing(name: str) -> NoReturn:
    import pytest

    MISSING[name] = MISSING.get(name, 0) + 1
    if settings.require_judges:
        pytest.fail(f"the judge {name} is not installed, but KDSL_REQUIRE_JUDGES is set")
    pytest.skip(f"judge {name} is not installed")
