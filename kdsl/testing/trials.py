"""How an attempt ends: at a rung, refused with a code, or wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdsl.codegen.backend import Trial
from kdsl.errors import KdslError, MissingBackEndError, MissingToolError, NoDeviceError

REFUSED, WRONG = "refused", "WRONG"
UNAVAILABLE = (MissingBackEndError, MissingToolError, NoDeviceError)
"""What says that this machine lacks something, not that the target does."""


def attempt(compiled: Callable[[], Any], run: Callable[[Any], Trial]) -> Trial:
    """Compile, then run; what was compiled and then fails is wrong, whatever its code."""
    try:
        made = compiled()
    except KdslError as problem:
        return Trial(REFUSED, f"{problem.code}: {problem.summary}")
    except Exception as problem:  # noqa: BLE001 - a crash is an answer, and the table shows it
        return Trial(WRONG, f"{type(problem).__name__}: {problem}")
    try:
        return run(made)
    except UNAVAILABLE as problem:
        return Trial("text", f"{problem.code}: {problem.summary}")
    except Exception as problem:  # noqa: BLE001 - as above
        code = f"{problem.code} " if isinstance(problem, KdslError) else ""
        return Trial(WRONG, f"{code}{type(problem).__name__}: {problem}")
