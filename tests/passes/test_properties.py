from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdsl.errors import CannotVectorizeError
from kdsl.ir.interpreter import interpret
from kdsl.passes.canonicalize import Canonicalize
from kdsl.passes.manager import Pipeline, parse_pipeline, run_pipeline
from kdsl.passes.pipelines import OPTIMIZE
from kdsl.target.features import Features
from kdsl.target.target import Target
from kdsl.testing import generate, loop_programs
from kdsl.testing.loop_programs import LoopProgram
from kdsl.testing.strategies import chooser, modules

WIDTHS = (2, 4, 8)
PASSES = (
    "canonicalize",
    "cse",
    "dce",
    "licm",
    "unroll",
    "unroll{max-ops=64}",
    "if-convert",
    "fuse-elementwise",
    "vectorize",
)
WITHOUT_CANONICALIZE = Pipeline(
    "plain", tuple(each for each in OPTIMIZE if not isinstance(each, Canonicalize))
)
COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))


def outcome(module, args):
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    return [*interpret(module, "f", copies), *copies]


def assert_same(before, after):
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def lengths(width):
    """All that can go wrong about a tail: 0 .. 2 * width + 1."""
    return range(2 * width + 2)


def check(module, pipeline, width, target):
    changed = module.clone()
    try:
        run_pipeline(pipeline, changed, target, verify=True)
    except CannotVectorizeError:
        return
    for n in lengths(width):
        args = loop_programs.arguments(np.random.default_rng(n), n)
        assert_same(outcome(module, args), outcome(changed, args))


def with_lanes(width):
    return Target("generic", "test", Features(vector_bits=32 * width))


@pytest.mark.parametrize("text", PASSES)
@settings(COMMON, max_examples=15)
@given(data=st.data())
def test_a_pass_keeps_the_meaning_of_loops(text, data):
    choose = chooser(data.draw)
    width = choose(WIDTHS)
    module = LoopProgram(choose, choose((0, width))).build(choose((1, 2)))
    check(module, parse_pipeline(text), width, with_lanes(width))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("pipeline", [OPTIMIZE, WITHOUT_CANONICALIZE], ids=lambda p: p.name)
@settings(COMMON, max_examples=15)
@given(data=st.data())
def test_the_pipeline_keeps_the_meaning_of_loops_with_and_without_canonicalize(
    pipeline, width, data
):
    choose = chooser(data.draw)
    module = LoopProgram(choose, choose((0, width))).build(choose((1, 2, 3)))
    check(module, pipeline, width, with_lanes(width))


@pytest.mark.parametrize("text", [*PASSES[:-2], "optimize"])
@settings(COMMON, max_examples=25)
@given(data=st.data(), tiles=st.booleans())
def test_a_pass_keeps_the_meaning_of_any_module(text, data, tiles):
    module = data.draw(modules(tiles))
    changed = module.clone()
    run_pipeline(parse_pipeline(text), changed, verify=True)
    args = generate.arguments(np.random.default_rng(0))
    for a, b in zip(outcome(module, args), outcome(changed, args), strict=True):
        np.testing.assert_allclose(
            np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=1e-5, atol=1e-30
        )
