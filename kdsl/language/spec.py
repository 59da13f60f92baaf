"""The --spec language: which specializations of an exported kernel are built.

    D=64,128 T=f32,bf16 causal=true

Words apart by blanks; each is NAME=VALUE[,VALUE...]. Every combination is one specialization.
Values are ints, floats, true, false, none, or words (dtype names, strings). For an optional
argument they are none (callers must leave it out) and given (callers must pass it); none when
nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product

from kdsl.errors import BadSpecError

SpecValue = int | float | bool | str | None
Spec = dict[str, tuple[SpecValue, ...]]

WORD = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
INTEGER = re.compile(r"[+-]?(0x[0-9a-fA-F]+|\d+)")
FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?")
NAMED_VALUES: dict[str, SpecValue] = {"true": True, "false": False, "none": None}
GIVEN = "given"
VALUE = re.compile(r"[\w.+-]+")


def parse_spec(texts: Sequence[str]) -> Spec:
    """Read the --spec options together; raise BadSpecError where a word cannot be read."""
    found: Spec = {}
    for text in texts:
        for word in text.split():
            name, values = _parse_word(word)
            if name in found:
                raise BadSpecError(text=word, why=f"{name} is given twice")
            found[name] = values
    return found


def combinations(spec: Spec) -> list[dict[str, SpecValue]]:
    """Return one assignment for each combination of values, the last name varying fastest."""
    return [dict(zip(spec, values, strict=True)) for values in product(*spec.values())]


def spec_text(values: Mapping[str, SpecValue]) -> str:
    """Return one assignment in the language of --spec."""
    names = {value: name for name, value in NAMED_VALUES.items()}
    return " ".join(
        f"{name}={names[value] if value is None or value is True or value is False else value}"
        for name, value in values.items()
    )


def is_given(name: str, value: SpecValue) -> bool:
    """Return whether an optional argument is compiled to be passed. Raises BadSpecError."""
    if value is None or value == GIVEN:
        return value is not None
    text = spec_text({name: value})
    raise BadSpecError(text=text, why=f"{name} is an optional argument: it is none or {GIVEN}")


def _parse_word(word: str) -> tuple[str, tuple[SpecValue, ...]]:
    match = WORD.fullmatch(word)
    if match is None:
        raise BadSpecError(text=word, why="it is not of the form NAME=VALUE")
    name, texts = match[1], match[2].split(",")
    values = tuple(_parse_value(word, text) for text in texts)
    if len(set(map(repr, values))) < len(values):
        raise BadSpecError(text=word, why="a value is given twice")
    return name, values


def _parse_value(word: str, text: str) -> SpecValue:
    if not VALUE.fullmatch(text):
        why = "a value is missing" if not text else f"{text!r} is no number and no word"
        raise BadSpecError(text=word, why=why)
    if text.lower() in NAMED_VALUES:
        return NAMED_VALUES[text.lower()]
    if INTEGER.fullmatch(text):
        return int(text, 0) if "x" in text else int(text)
    if FLOAT.fullmatch(text):
        return float(text)
    return text
