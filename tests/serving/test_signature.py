from __future__ import annotations

import json
import math

import pytest

from kdsl.ir.signature import Arg, Relation, Signature

SIGNATURE = Signature(
    "rope",
    (
        Arg("q", "tensor", "bf16", "ro", ("B", "Hq", 64), align=16, dim_names=("B", "Hq", "D")),
        Arg("p", "ptr", "i32", optional=True, absent=True),
        Arg("scale", "scalar", "f32", default=-math.inf),
    ),
    (Relation("Hq % Hkv == 0"),),
    (("causal", True), ("D", 64)),
    "Rotate.",
)


def test_a_signature_survives_json():
    assert Signature.from_json(json.loads(json.dumps(SIGNATURE.to_json()))) == SIGNATURE


def test_slots_count_address_shape_and_strides():
    assert SIGNATURE.slots == (1 + 3 + 3) + 1 + 1


def test_a_fixed_dim_keeps_its_name():
    assert SIGNATURE.args[0].dim_name(2) == "D"


def test_dims_that_only_absent_arguments_have_are_missing():
    x = Arg("x", "tensor", "f32", dims=("N", 4), dim_names=("N", "D"))
    y = Arg("y", "tensor", "f32", dims=("N", "M"), optional=True, absent=True)
    z = Arg("z", "tensor", "f32", dims=("K",), optional=True)
    assert Signature("f", (x, y, z)).missing_dims == {"M"}
    assert Signature("f", (x, z)).missing_dims == frozenset()


def test_only_an_optional_argument_can_be_absent():
    row = {"name": "x", "kind": "tensor", "dtype": "f32", "absent": True}
    with pytest.raises(ValueError, match="not optional"):
        Signature.from_json({"name": "f", "args": [row]})


def test_an_unknown_kind_of_argument_is_refused():
    with pytest.raises(ValueError, match="struct"):
        Signature.from_json(
            {"name": "f", "args": [{"name": "x", "kind": "struct", "dtype": "f32"}]}
        )


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("Hq % Hkv == 0", {"Hq": 8, "Hkv": 2}, True),
        ("Hq % Hkv == 0", {"Hq": 7, "Hkv": 2}, False),
        ("Hq % Hkv == 0", {"Hq": 7, "Hkv": 0}, False),
        ("1 <= n // 2 < m", {"n": 4, "m": 3}, True),
    ],
)
def test_relations_hold_or_not(text, values, holds):
    relation = Relation(text)
    assert relation.holds(values) is holds
    assert set(relation.names) == set(values)
