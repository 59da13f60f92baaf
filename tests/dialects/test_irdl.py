from __future__ import annotations

import pytest

import kdsl.dialects.all  # noqa: F401  (declares the ops)
from kdsl.dialects.irdl import ATTRIBUTES, CONSTRAINTS, irdl
from kdsl.ir import define
from kdsl.ir.define import ATTRIBUTE_CHECKS, REGISTRY, Constraint
from kdsl.testing.filecheck import filecheck
from kdsl.testing.oracles import mlir_opt


def test_every_op_of_the_dialect_is_declared():
    text = irdl()

    for name in REGISTRY:
        if name.startswith("kdsl."):
            assert f"irdl.operation @{name.removeprefix('kdsl.')}" in text


def test_every_constraint_and_every_kind_of_attribute_has_a_translation():
    constraints = [c.name for c in vars(define).values() if isinstance(c, Constraint)]

    assert sorted(CONSTRAINTS) == sorted(constraints)
    assert set(ATTRIBUTE_CHECKS) - set(ATTRIBUTES) == {"typed", "opaque"}


def test_equal_types_share_one_constraint():
    filecheck(
        irdl(),
        """
        CHECK:      irdl.operation @scan {
        CHECK:        [[T:%.*]] = irdl.base "!builtin.tensor"
        CHECK:        irdl.operands([[T]])
        CHECK-NEXT:   irdl.results([[T]])
        """,
    )


def test_choices_are_spelled_out_and_optional_attributes_left_to_us():
    text = irdl()

    assert 'irdl.is "maximumf"' in text
    assert '"fastmath"' not in text


def test_an_op_that_mixes_types_is_declared_for_each_count():
    text = irdl(counts=range(3, 6))

    assert [n for n in range(9) if f"@launch__{n} " in text] == [3, 4, 5]
    assert "@launch " not in text


@pytest.mark.judge
def test_mlir_opt_loads_the_dialect():
    assert mlir_opt('"builtin.module"() ({\n^bb0:\n}) : () -> ()').accepted
