"""Every elementwise op, dtype and width, compiled by LLVM and emulated, against ``evaluate``."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from kdsl.codegen.llvm import values
from kdsl.dialects import arith
from kdsl.testing.conformance import check_backend, elementwise_cases
from kdsl_amdgpu.backend import BACKEND
from kdsl_amdgpu.emit import lower

EMULATED = replace(BACKEND, load="kdsl_amdgpu.emulator.device:load")
BATCH = 60


@pytest.mark.slow
@pytest.mark.parametrize("width", [0, 3, 8])
@pytest.mark.parametrize("chip", ["gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201"])
def test_every_op_gives_what_its_meaning_says(chip, width):
    cases = list(elementwise_cases([width]))
    problems, compared = [], 0
    for at in range(0, len(cases), BATCH):
        run = check_backend(EMULATED, BACKEND.resolve(chip), cases[at : at + BATCH], lanes=64)
        problems += run.problems
        compared += run.compared
    assert not problems, "\n".join(str(p) for p in islice(problems, 20))
    assert compared > 100 * len(cases)


def test_the_suite_finds_a_wrong_lowering(monkeypatch):
    monkeypatch.setitem(lower._rows, arith.Subf, values.lower._rows[arith.Addf])
    cases = [c for c in elementwise_cases([4]) if c.kind in (arith.Subf, arith.Addf)]
    run = check_backend(EMULATED, BACKEND.resolve("gfx942"), cases, lanes=64)
    assert {p.case.kind for p in run.problems} == {arith.Subf}
