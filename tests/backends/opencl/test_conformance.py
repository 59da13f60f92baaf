"""Every elementwise op, dtype and width as OpenCL C on a driver, against ``evaluate``."""

from __future__ import annotations

from itertools import islice

import pytest

from kdsl.codegen.clike import values
from kdsl.dialects import arith
from kdsl.testing.conformance import check_backend, elementwise_cases
from kdsl_opencl.backend import BACKEND
from kdsl_opencl.emit import lower

BATCH = 100
"""Kernels of one program."""


@pytest.mark.slow
@pytest.mark.parametrize("width", [0, 3, 8])
def test_every_op_gives_what_its_meaning_says(width, either):
    cases = list(elementwise_cases([width]))
    problems, compared = [], 0
    for at in range(0, len(cases), BATCH):
        part = cases[at : at + BATCH]
        run = check_backend(BACKEND, either, part, lanes=1)
        problems += run.problems
        compared += run.compared
    assert not problems, "\n".join(str(p) for p in islice(problems, 20))
    assert compared > 100 * len(cases)


def test_the_suite_finds_a_wrong_lowering(monkeypatch, target):
    monkeypatch.setitem(lower._rows, arith.Subf, values.lower._rows[arith.Mulf])
    cases = [c for c in elementwise_cases([4]) if c.kind in (arith.Subf, arith.Addf)]
    run = check_backend(BACKEND, target, cases, lanes=1)
    assert {p.case.kind for p in run.problems} == {arith.Subf}
