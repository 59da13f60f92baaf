"""Kernels of the language, lowered and run by upstream's tools, write what we compute."""

from __future__ import annotations

import numpy as np
import pytest
from every_kernel import Case, cases

from kdsl.compiler import stages, target_of
from kdsl.ir.core import Module
from kdsl.ir.interpreter import interpret
from kdsl.ir.printer import print_module
from kdsl.testing.upstream import run_upstream

pytestmark = pytest.mark.judge

OWN = ("kdsl.launch", "kdsl.program_id", "kdsl.num_programs")
"""Ops that become loops and arguments."""
LANES = (
    "elementwise.silu_mul",
    "histogram.histogram",
    "int4_matvec.int4_matvec",
    "mandelbrot.mandelbrot",
    "reduction.rms_norm",
    "stencil.diffuse",
)
"""Kernels without tiles: they are in upstream's ops once they are optimized."""
TILES = ("matmul.matmul", "prefix_sum.prefix_sum", "softmax.softmax")
"""Kernels that are in upstream's ops once they are legalized for a chip."""
ALL = {str(case).split()[0]: case for case in cases() if "bf16" not in str(case)}
F32 = {str(case): case for case in cases() if "T=f32" in str(case)}


def module_at(case: Case, stage: str) -> Module:
    return next(module for name, module in stages(case.module(), target_of()) if name == stage)


def agrees(case: Case, stage: str) -> None:
    """Compare what upstream's code and our interpreter (of the traced module) write."""
    module = module_at(case, stage)
    assert {op.name for op in module.walk() if op.name.startswith("kdsl.")} <= {*OWN}
    found = run_upstream(module, case.kernel.name, case.args)
    ours = [a.copy() if isinstance(a, np.ndarray) else a for a in case.args]
    interpret(case.module(), case.kernel.name, ours)

    words = [a for a in ours if isinstance(a, np.ndarray) and a.itemsize == 4]
    given = [a for a in case.args if isinstance(a, np.ndarray) and a.itemsize == 4]
    assert any((a != b).any() for a, b in zip(words, given, strict=True)), "nothing was written"
    for theirs, mine in zip(found, words, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", LANES)
def test_an_optimized_kernel_runs_under_upstream(name: str) -> None:
    agrees(ALL[name], "optimize")


@pytest.mark.parametrize("name", TILES)
def test_a_legalized_tile_kernel_runs_under_upstream(name: str) -> None:
    agrees(ALL[name], "legalize")


@pytest.mark.parametrize(
    "name", ["rope.rope", "rope_attention.rope_attention", "attention.attention"]
)
def test_the_librarys_attention_runs_under_upstream(name: str) -> None:
    agrees(next(case for text, case in F32.items() if name in text), "legalize")


def test_a_wrong_kernel_is_seen() -> None:
    case = ALL["stencil.diffuse"]
    text = print_module(module_at(case, "optimize"))
    from kdsl.ir.parser import parse

    broken = parse(text.replace('"arith.subf"', '"arith.addf"'))
    right = run_upstream(module_at(case, "optimize"), "diffuse", case.args)
    wrong = run_upstream(broken, "diffuse", case.args)

    assert not np.allclose(right[1], wrong[1])
