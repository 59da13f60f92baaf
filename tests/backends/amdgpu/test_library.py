"""Every kernel of the library on every chip: compiled, linked, emulated, compared."""

from __future__ import annotations

import pytest

from kdsl.codegen.registry import resolve_target
from kdsl.testing.conformance_table import check
from kdsl.testing.library_cases import library_cases, matrix_cases
from kdsl_amdgpu.backend import BACKEND

CASES = [*library_cases(), *matrix_cases()]
QUICK = ("silu_mul", "rms_norm", "rope.rope", "matvec", "rope_attention_decode")


def chosen(case):
    return next((name for name in QUICK if name in str(case)), None)


def quick_cases():
    """Return the first case of each quick kernel."""
    found = {}
    for case in CASES:
        name = chosen(case)
        if name is not None:
            found.setdefault(name, case)
    return list(found.values())


def problems(cases, target):
    rows = list(check(cases, [target]))
    return [f"{r.kernel} {r.options}: {r.rung} {r.how}" for r in rows if r.rung != "emulator"]


def test_some_of_the_library_runs_in_the_emulator(target):
    assert resolve_target(f"{BACKEND.name}:{target.chip}") == target
    assert not problems(quick_cases(), target)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_the_whole_library_runs_in_the_emulator(target, part):
    assert not problems(CASES[part::4], target)
