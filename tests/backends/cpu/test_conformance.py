"""Every elementwise op, dtype and width, compiled for several chips and run here, against ``evaluate``."""

from __future__ import annotations

from itertools import islice

import pytest

from kdsl.testing.conformance import WIDTHS, check_backend, elementwise_cases
from kdsl_cpu.backend import BACKEND
from kdsl_cpu.features import LEVELS, detect

NEEDED = dict(LEVELS)
ORDER = ["x86-64", "x86-64-v3", "x86-64-v4", "x86-64-v4-bf16"]


def runs_here(chip: str) -> bool:
    here = detect()
    if not here.triple.startswith("x86_64"):
        return chip == "native"
    level = here.chip
    return chip == "native" or ORDER.index(chip) <= ORDER.index(level)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("chip", ["native", "x86-64-v3", "x86-64"])
def test_every_op_gives_what_its_meaning_says(chip, width):
    if not runs_here(chip):
        pytest.skip(f"this machine is no {chip}")
    cases = list(elementwise_cases([width]))
    run = check_backend(BACKEND, BACKEND.resolve(chip), cases)
    assert not run.problems, "\n".join(str(p) for p in islice(run.problems, 20))
    assert run.compared > 100 * len(cases)


def test_the_suite_finds_a_wrong_lowering(monkeypatch):
    from kdsl.codegen.llvm import values
    from kdsl.dialects import arith
    from kdsl_cpu.emit import lower

    monkeypatch.setitem(lower._rows, arith.Subf, values.lower._rows[arith.Addf])
    cases = [c for c in elementwise_cases([8]) if c.kind in (arith.Subf, arith.Addf)]
    run = check_backend(BACKEND, BACKEND.resolve("native"), cases)
    assert {p.case.kind for p in run.problems} == {arith.Subf}
