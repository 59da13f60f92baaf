"""Every op's NumPy meaning gives what its declaration says."""

from __future__ import annotations

import random

import numpy as np
import pytest

import kdsl.dialects.all  # noqa: F401  (declares the ops)
from kdsl.dialects import arith
from kdsl.dialects.numeric import CMPF, CMPI
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block
from kdsl.ir.define import REGISTRY
from kdsl.ir.interpreter import Frame, interpret
from kdsl.ir.types import F32, I1, I8, MemRefType, ScalarType, element_type
from kdsl.testing.generate import OF_SUBGROUPS, arguments, sample

OWN = [k for k in REGISTRY.values() if k.__module__.startswith("kdsl.dialects.")]
ALONE = [k for k in OWN if k not in OF_SUBGROUPS]


class Watching(Frame):
    """A frame that looks at every value that an op of one class gives."""

    kind: type
    seen: list

    def run(self, block, args):
        found = super().run(block, args)
        for op in block:
            if type(op) is self.kind:
                Watching.seen += [(r.type, self._values[r]) for r in op.results]
        return found


@pytest.mark.parametrize("kind", ALONE, ids=[k.name for k in ALONE])
def test_an_op_gives_values_of_the_declared_types(kind, monkeypatch):
    monkeypatch.setattr("kdsl.ir.interpreter.Frame", Watching)
    Watching.kind = kind
    for seed in range(4):
        Watching.seen = []
        interpret(
            sample(kind, random.Random(seed).choice), "f", arguments(np.random.default_rng(seed))
        )
        for wanted, value in Watching.seen:
            assert np.asarray(value).dtype == element_type(wanted).numpy
            if isinstance(wanted, ScalarType):
                assert np.ndim(value) == 0
            elif not isinstance(wanted, MemRefType):
                assert np.shape(value) == wanted.shape


def test_every_op_has_a_meaning_or_belongs_to_one():
    without = [k.name for k in ALONE if k.evaluate is None and not hasattr(k, "execute")]

    assert without == ["func.func", "func.return", "scf.yield", "scf.condition"]


def compared(kind, predicate, a, b, type):
    builder = Builder(Block())
    pair = [arith.constant(builder, x, type) for x in (a, b)]
    op = builder.add(kind, *pair, predicate=predicate)
    return bool(op.evaluate(*[v.op.evaluate() for v in pair]))


@pytest.mark.parametrize(
    ("name", "a", "b", "wanted"),
    [
        ("slt", -1, 1, True),
        ("ult", -1, 1, False),
        ("uge", -1, 1, True),
        ("sge", -128, 127, False),
        ("ne", 3, 3, False),
    ],
)
def test_integers_compare_signed_or_unsigned(name, a, b, wanted):
    assert compared(arith.Cmpi, CMPI[name], a, b, I8) is wanted


def test_a_signed_i1_is_zero_or_minus_one():
    assert compared(arith.Cmpi, CMPI["slt"], True, False, I1)
    assert not compared(arith.Cmpi, CMPI["ult"], True, False, I1)


@pytest.mark.parametrize("name", CMPF)
def test_a_nan_makes_ordered_comparisons_false_and_unordered_ones_true(name):
    wanted = name in ("true", "uno") or (name[0] == "u" and name != "uno")

    assert compared(arith.Cmpf, CMPF[name], float("nan"), 1.0, F32) is wanted


def test_predicates_are_numbered_as_mlir_numbers_them():
    assert (CMPI["eq"], CMPI["ult"], CMPI["uge"]) == (0, 6, 9)
    assert (CMPF["oeq"], CMPF["ord"], CMPF["true"]) == (1, 7, 15)
