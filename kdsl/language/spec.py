"""The --spec language: which specializations of an exported kernel are built.

    D=64,128 T=f32,bf16 causal=true

Words apart by blanks; each is NAME=VALUE[,VALUE...]. Every combination is one specialization.
Values are ints, floats, true, false, none, or words (dtype names, strings).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

from kdsl.errors import BadSpecError

SpecValue = int | float | bool | str | None
Spec = dict[str, tuple[SpecValue, ...]]

WORD = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
INTEGER = re.compile(r"[+-]?(0x[0-9a-fA-F]+|\d+)")
FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?")
NAMED_VALUES: dict[str, SpecValue] = {"true": True, "false": False, "none": None}
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
