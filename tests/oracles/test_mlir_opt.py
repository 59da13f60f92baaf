"""mlir-opt 19 reads what we print, and agrees with our verifier on what is valid."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings

import kdsl.dialects.all  # noqa: F401  (declares the ops)
from kdsl.dialects import arith, func, scf
from kdsl.errors import KdslError
from kdsl.ir.define import REGISTRY
from kdsl.ir.parser import parse
from kdsl.ir.printer import print_module
from kdsl.ir.verify import verify
from kdsl.testing.generate import Generator, sample
from kdsl.testing.oracles import GENERIC, mlir_opt, mlir_opt_accepts_each
from kdsl.testing.strategies import faulty_modules, modules, mutated_modules

pytestmark = pytest.mark.judge

JUDGED = settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
MANY = settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))
OWN = [k for k in REGISTRY.values() if k.__module__.startswith("kdsl.dialects.")]


def normal(text):
    """Return a module's text with the names and the order that our printer gives."""
    module = parse(text)
    for op in module.walk():
        for region in op.regions:
            for block in region.blocks:
                for argument in block.args:
                    argument.name = None
        for result in op.results:
            result.name = None
    return print_module(module)


def agreed(module):
    """Return mlir-opt's verdict, which must be ours."""
    text = print_module(module)
    judged = mlir_opt(text)
    ours = complaint(text)
    assert judged.accepted == (not ours), f"{ours or 'only mlir-opt:'} {judged.complaint}\n{text}"
    return judged.accepted


def complaint(text):
    """Return what our parser or verifier has against a module; empty when nothing."""
    try:
        verify(parse(text))
    except KdslError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("kind", OWN, ids=[k.name for k in OWN])
def test_every_op_round_trips(kind):
    for seed in range(2):
        module = sample(kind, random.Random(seed).choice)
        assert any(type(op) is kind for op in module.walk())
        text = print_module(module)

        judged = mlir_opt(text, GENERIC)

        assert judged.accepted, judged.complaint
        assert normal(judged.output) == normal(text)


@given(modules())
@JUDGED
def test_what_we_accept_is_accepted(module):
    assert agreed(module)


@given(modules(tiles=True))
@JUDGED
def test_what_we_accept_of_tiles_is_accepted(module):
    assert agreed(module)


@given(faulty_modules())
@MANY
def test_planted_faults_are_rejected_by_both(found):
    name, module = found
    assert not agreed(module), name


@given(mutated_modules())
@MANY
def test_a_module_changed_at_random_is_judged_alike(module):
    agreed(module)


def test_large_modules_are_accepted():
    texts = []
    for seed in range(8):
        generator = Generator(random.Random(seed).choice, tiles=seed % 2 == 0)
        for _ in range(150):
            generator.any_op(3)
        module = generator.finish()
        verify(module)
        texts.append(print_module(module))

    assert all(mlir_opt_accepts_each(texts))


def test_locations_are_read():
    text = print_module(sample(scf.For, random.Random(0).choice), locations=True)

    judged = mlir_opt(text, "--mlir-print-debuginfo")

    assert judged.accepted, judged.complaint


@pytest.mark.parametrize("fault", ["missing operand", "missing attribute", "unequal types"])
def test_faults_in_our_own_dialect_are_rejected_through_irdl(fault):
    from kdsl.dialects import kdsl

    text = print_module(sample(kdsl.Scan, random.Random(0).choice))
    line = next(row for row in text.splitlines() if "kdsl.scan" in row)
    broken = {
        "missing operand": line.replace(line[line.index("(%") : line.index(")") + 1], "()").replace(
            "(tensor<4x8xi32>) ->", "() ->"
        ),
        "missing attribute": line.replace(', kind = "addi"', ""),
        "unequal types": line.replace("-> tensor<4x8xi32>", "-> tensor<4x4xi32>"),
    }[fault]
    assert broken != line

    judged = mlir_opt(text.replace(line, broken))

    assert not judged.accepted
    assert "kdsl" in judged.complaint


def test_upstream_folds_integer_constants_as_we_evaluate_them():
    """Two independent implementations of arith on the corners of i8 and i1."""
    kinds = [
        k
        for k in OWN
        if k.name.startswith("arith.")
        and len(k.operand_fields) == 2
        and k.operand_fields[0].constraint.name == "integer"
        and not k.name.startswith("arith.cmp")
    ]
    wrong = [c for c in corners(kinds) if mlir_folds(c) is False]

    assert len(kinds) > 15
    assert not wrong


def corners(kinds):
    from kdsl.ir.types import I8, I32

    for kind in kinds:
        for element in (I8, I32):
            for a in (-(1 << (element.bits - 1)), -7, -1, 0, 3, (1 << (element.bits - 1)) - 1):
                for b in (1, 2, 5):
                    yield kind, element, a, b


_FOLDED = {}


def mlir_folds(case):
    """Return whether upstream's canonicalizer gives our number; None when it does not fold."""
    if not _FOLDED:
        _FOLDED.update(fold_all())
    return _FOLDED.get(case)


def fold_all():
    """Let upstream fold one function for each case, all in one run."""
    from kdsl.ir.builder import Builder
    from kdsl.ir.core import Module

    kinds = [
        k
        for k in OWN
        if k.name.startswith("arith.")
        and len(k.operand_fields) == 2
        and k.operand_fields[0].constraint.name == "integer"
        and not k.name.startswith("arith.cmp")
    ]
    cases = list(corners(kinds))
    module = Module.empty()
    ours = []
    for i, (kind, element, a, b) in enumerate(cases):
        made = func.Func.empty(f"f{i}", (), (element,))
        module.body.append(made)
        builder = Builder(made.body)
        pair = [arith.constant(builder, x, element) for x in (a, b)]
        result = builder.add(kind, *pair)
        builder.add(func.Return, [result.result])
        ours.append(int(result.evaluate(*[v.op.evaluate() for v in pair])))
    judged = mlir_opt(print_module(module), "--canonicalize", GENERIC)
    assert judged.accepted, judged.complaint
    folded = parse(judged.output).functions
    found = {}
    for case, mine, function in zip(cases, ours, folded, strict=True):
        first = function.body.first
        if isinstance(first, arith.Constant) and first.next is function.body.last:
            found[case] = first.value.value == mine
    assert len(found) > len(cases) // 2
    return found
