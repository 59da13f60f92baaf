from __future__ import annotations

import copy
import pickle
import string

import pytest

import kdsl.errors
from kdsl.errors import (
    KdslError,
    OperandTypeError,
    Position,
    TracedBoolError,
    UnknownTargetError,
    by_code,
    catalogue,
)

LAYERS = {"01", "02", "03", "04", "05", "06", "07", "09"}
SOURCE = "def kernel(x):\n    return exp2(x)\n"
FIELDS = {"op": "math.exp2", "wanted": "floats", "operand": "x", "got": "vector<8xi32>"}


def at(text, source=SOURCE, file="k.py", caller=None):
    found = Position.in_text(file, source, source.index(text), len(text))
    found.caller = caller
    return found


def test_an_error_shows_the_users_line_with_carets_and_a_fix():
    assert str(OperandTypeError(at("exp2(x)"), **FIELDS)) == (
        "error[KD0203]: math.exp2 needs floats for 'x', got vector<8xi32>\n"
        " --> k.py:2:12\n"
        "  |\n"
        "2 |     return exp2(x)\n"
        "  |            ^^^^^^^\n"
        "  = help: convert first, for example x.to(kd.f32)"
    )


def test_an_error_without_a_place_is_two_lines():
    error = UnknownTargetError(name="cqu", known="a, b")
    first, second = str(error).splitlines()
    assert first == "error[KD0401]: there is no target 'cqu'; there are a, b"
    assert second.startswith("= help: ")


def test_callers_follow_innermost_first():
    outer = at("kernel", "\n\nkernel(1)\n", "main.py")
    lines = str(OperandTypeError(at("exp2(x)", caller=outer), **FIELDS)).splitlines()
    where = lines.index("note: in a call from here")
    assert lines[where + 1 :][0] == " --> main.py:3:1"
    assert lines[where + 4] == "  | ^^^^^^"


def test_a_long_call_chain_is_cut():
    here = None
    for _ in range(9):
        here = at("exp2(x)", caller=here)
    text = str(OperandTypeError(here, **FIELDS))
    assert text.count("note: in a call from here") == 4
    assert "note: and 4 more calls" in text


def test_carets_stand_under_text_that_is_indented_with_tabs():
    lines = str(OperandTypeError(at("y", "\tx = y\n"), **FIELDS)).splitlines()
    assert lines[3:5] == ["1 | \tx = y", "  | \t    ^"]


def test_a_range_over_several_lines_is_underlined_to_the_end_of_the_first():
    loc = Position("k.py", 1, 5, 3, 2, "x = f(", "f(")
    assert "  |     ^^" in str(OperandTypeError(loc, **FIELDS)).splitlines()


def test_a_missing_source_line_leaves_the_place():
    loc = Position("<stdin>", 7, 3, 7, 4)
    assert str(OperandTypeError(loc, **FIELDS)).splitlines()[1] == " --> <stdin>:7:3"


def test_notes_stand_before_the_help():
    text = str(OperandTypeError(at("exp2(x)"), notes=("x came from i32",), **FIELDS))
    assert text.index("= note: x came from i32") < text.index("= help:")


def test_fields_are_attributes():
    error = OperandTypeError(**FIELDS)
    assert error.operand == "x"
    with pytest.raises(AttributeError, match="no 'colour'"):
        error.colour


def test_a_message_without_its_fields_cannot_be_raised():
    with pytest.raises(KeyError):
        OperandTypeError(op="math.exp2")


@pytest.mark.parametrize("duplicate", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_errors_survive_pickling_with_place_and_callers(duplicate):
    error = OperandTypeError(
        at("exp2(x)", caller=at("kernel", "kernel(1)\n", "main.py")), notes=("n",), **FIELDS
    )
    again = duplicate(error)
    assert type(again) is OperandTypeError
    assert str(again) == str(error)
    assert again.operand == "x"


def test_two_classes_cannot_claim_one_code():
    with pytest.raises(TypeError, match="both claim the code KD0203"):

        class ThiefError(KdslError):
            code = "KD0203"


def test_a_code_has_two_letters_and_four_digits():
    with pytest.raises(TypeError, match="not of the form"):

        class OddError(KdslError):
            code = "E1"


def test_codes_are_found_in_any_case():
    assert by_code("kd0106") is TracedBoolError
    assert by_code("KD9999") is None


@pytest.mark.parametrize("error", catalogue(), ids=lambda error: error.code)
class TestEveryError:
    def test_it_is_public(self, error):
        assert getattr(kdsl.errors, error.__name__) is error

    def test_its_code_names_a_layer(self, error):
        assert error.code[:2] == "KD"
        assert error.code[2:4] in LAYERS

    def test_it_says_what_happened_and_explains(self, error):
        assert error.message
        assert error.__doc__.strip().endswith(".")
        assert error.explanation.strip()

    def test_its_hint_uses_fields_that_callers_give(self, error):
        for text in (error.message, error.hint):
            for _, field, _, _ in string.Formatter().parse(text):
                assert field is None or field.isidentifier()

    def test_it_can_be_raised_and_pickled(self, error):
        names = {
            field
            for text in (error.message, error.hint)
            for _, field, _, _ in string.Formatter().parse(text)
            if field is not None
        }
        raised = error(**dict.fromkeys(names, "something"))
        assert str(pickle.loads(pickle.dumps(raised))) == str(raised)
