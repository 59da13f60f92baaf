"""Every module of every kernel, after every stage, is what upstream's tools say it is."""

from __future__ import annotations

import random
from functools import cache

import pytest
from every_kernel import cases

from kdsl.compiler import MODULE_STAGES, stages, target_of
from kdsl.errors import KdslError
from kdsl.ir.core import Module
from kdsl.ir.define import REGISTRY
from kdsl.ir.parser import parse
from kdsl.ir.printer import print_module
from kdsl.ir.verify import verify
from kdsl.testing.oracles import (
    GENERIC,
    XDSL_DIFFERS,
    XDSL_SCALARS_ONLY,
    mlir_opt_batch,
    readable_by_xdsl,
    xdsl_roundtrip,
)
from kdsl.testing.strategies import FAULTS

SEEN_BY_XDSL = (
    "undeclared value",
    "operand missing",
    "operand too many",
    "operand of another type",
    "result of another type",
)
"""Faults that xDSL's verifier looks for in every op."""
MOST_VALUES = 4
"""Of an op with more of them, a launch say, only these tell it from others."""


@cache
def every_module() -> dict[str, str]:
    """Return each text once, with the kernel and the stage that made it."""
    found: dict[str, str] = {}
    for case in cases():
        for stage, module in stages(case.module(), target_of()):
            found.setdefault(print_module(module), f"{case} after {stage}")
    return found


@cache
def new_modules() -> list[str]:
    """Return the modules in which an op stands with types or attributes that none before had.

    xDSL looks at one op at a time and takes a millisecond a line: what it accepted once it accepts.
    """
    seen: set[object] = set()
    found = []
    for text in every_module():
        ops = {_signature(op) for op in parse(text).walk()}
        if not ops <= seen:
            seen |= ops
            found.append(text)
    return found


def _signature(op):
    types = [v.type for v in (*op.operands, *op.results)]
    kinds = [(type(each), str(getattr(each, "element", each))) for each in types]
    return op.name, *kinds[:MOST_VALUES], len(op.regions), *sorted(op.attributes)


def without_names(module: Module) -> str:
    """Return the text with the names of values that our printer makes up."""
    for op in module.walk():
        for region in op.regions:
            for block in region.blocks:
                for argument in block.args:
                    argument.name = None
        for result in op.results:
            result.name = None
    return print_module(module)


def test_we_read_what_we_print_and_accept_it():
    used = set()
    for text, place in every_module().items():
        module = parse(text)
        verify(module)
        assert print_module(module) == text, place
        used |= {op.name for op in module.walk()}

    for stage in MODULE_STAGES:
        assert sum(place.endswith(stage) for place in every_module().values()) > 40
    assert len(used & set(REGISTRY)) > 80
    assert {name.partition(".")[0] for name in used} == {
        "builtin", "func", "scf", "arith", "math", "vector", "memref", "cf", "kdsl",
    }  # fmt: skip


LOOPS = ("lower", "legalize")
"""Stages whose modules are long, and alike but for their sizes."""
XDSL_PARTS = 4
"""xDSL takes a millisecond a line: parts can run side by side."""


@pytest.mark.judge
def test_mlir_opt_gives_every_module_back():
    texts = every_module()

    for judged, (text, place) in zip(mlir_opt_batch([*texts], GENERIC), texts.items(), strict=True):
        assert judged.accepted, f"{place}: {judged.complaint}"
        assert without_names(parse(judged.output)) == without_names(parse(text)), place


@cache
def modules_for_xdsl() -> list[str]:
    """Return all modules that users see, and of those with loops each one that has a new form."""
    new = {*new_modules()}
    return [t for t, place in every_module().items() if t in new or not place.endswith(LOOPS)]


@pytest.mark.judge
@pytest.mark.parametrize("part", range(XDSL_PARTS))
def test_xdsl_gives_every_module_back(part):
    for text in modules_for_xdsl()[part::XDSL_PARTS]:
        readable, place = readable_by_xdsl(text), every_module()[text]
        judged = xdsl_roundtrip(readable)

        assert judged.accepted, f"{place}: {judged.complaint}"
        assert print_module(parse(judged.output)) == readable, place


def faulty(
    kinds: tuple[str, ...], texts: list[str], unseen: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Return each text with a fault planted, not in ops ``unseen``, and what it is and where."""
    found = {}
    for number, text in enumerate(texts):
        choose = random.Random(number).choice
        module = parse(text)
        name = choose([name for name in kinds if FAULTS[name][0](module)])
        find, plant = FAULTS[name]
        op = choose([op for op in find(module) if op.name not in unseen])
        plant(op, choose)
        found[print_module(module)] = f"{name} at {op.name}: {every_module()[text]}"
    return found


def is_rejected_by_us(text: str) -> bool:
    try:
        verify(parse(text))
    except KdslError:
        return True
    return False


@pytest.mark.judge
def test_faults_planted_into_these_modules_are_rejected():
    texts = faulty(tuple(FAULTS), [*every_module()][::3])
    assert {place.partition(" at ")[0] for place in texts.values()} >= {*FAULTS} - {
        "symbol unknown"
    }

    ours = {place for text, place in texts.items() if not is_rejected_by_us(text)}
    judged = zip(mlir_opt_batch([*texts]), texts.values(), strict=True)
    theirs = {place for verdict, place in judged if verdict.accepted}

    assert not ours
    assert not theirs


@pytest.mark.judge
def test_faults_planted_into_these_modules_are_rejected_by_xdsl():
    unseen = XDSL_SCALARS_ONLY | XDSL_DIFFERS
    for text, place in faulty(SEEN_BY_XDSL, new_modules()[::4], unseen).items():
        assert not xdsl_roundtrip(text).accepted, place
