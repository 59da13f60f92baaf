"""Every elementwise op on every element type emits, and ptxas takes it, for each chip."""

from __future__ import annotations

import pytest

from kdsl.dialects import kdsl as tiles
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.testing.conformance import build_module, elementwise_cases
from kdsl_ptx.backend import BACKEND
from kdsl_ptx.emit import device_code
from kdsl_ptx.features import CHIPS
from tests.backends.ptx.modules import assembled

WIDTHS = {"sm_80": (0, 8), "sm_86": (1,), "sm_89": (4,), "sm_90a": (0, 8), "sm_100a": (3,)}
WIDTHS["sm_120a"] = (16,)


def text_of(cases, chip):
    target = BACKEND.resolve(chip)
    module = build_module(cases, 32)
    steps = (BACKEND.pipeline, Pipeline("legalize", (Legalize(BACKEND.legal),)))
    run_pipeline(Pipeline("all", steps), module, target)
    assert not [op for f in module.functions for op in f.walk() if isinstance(op, tiles.Dot)]
    return device_code(module, target).text


@pytest.mark.parametrize(("chip", "width"), [(c, w) for c in CHIPS for w in WIDTHS[c]])
def test_every_op_emits_and_assembles(chip, width):
    cases = list(elementwise_cases([width]))
    text = text_of(cases, chip)
    assert text.count(".visible .entry") == len(cases) > 400
    assert assembled(text, chip).data
