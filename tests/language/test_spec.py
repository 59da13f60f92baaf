from __future__ import annotations

import pytest

from kdsl.errors import BadSpecError
from kdsl.language.spec import combinations, parse_spec


def test_values_are_ints_floats_bools_none_and_words():
    spec = parse_spec(["A=1,-2,0x10 B=1.5,2e3,.5 C=true,False D=none E=bf16,x86-64"])
    assert spec == {
        "A": (1, -2, 16),
        "B": (1.5, 2000.0, 0.5),
        "C": (True, False),
        "D": (None,),
        "E": ("bf16", "x86-64"),
    }


def test_every_combination_is_one_specialization():
    assert combinations(parse_spec(["D=64,128", "T=f32"])) == [
        {"D": 64, "T": "f32"},
        {"D": 128, "T": "f32"},
    ]


def test_no_spec_is_one_specialization_without_choices():
    assert combinations(parse_spec([])) == [{}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("D", "not of the form"),
        ("D:64", "not of the form"),
        ("=64", "not of the form"),
        ("2D=64", "not of the form"),
        ("D=", "missing"),
        ("D=64,", "missing"),
        ("D=64;128", "no number and no word"),
        ("D=1 D=2", "given twice"),
        ("D=1,1", "given twice"),
    ],
)
def test_a_bad_word_is_named_with_the_reason(text, why):
    with pytest.raises(BadSpecError, match=why) as caught:
        parse_spec([text])
    assert text.split()[-1] in str(caught.value)
