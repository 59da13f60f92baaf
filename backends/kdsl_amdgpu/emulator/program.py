"""Assembly text as instructions: words, operands, modifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kdsl_amdgpu.features import Chip

_LABEL = re.compile(r"([.\w$@\"-]+):")
_ENCODING = re.compile(r"_(e32|e64|sdwa|dpp|dpp8|e64_dpp)$")
_SPLIT = re.compile(r",\s*(?![^\[(]*[\])])")
_MODIFIER = re.compile(r"\b([a-z]\w*):(\[[^\]]*\]|swizzle\([^)]*\)|\S+)")
DUAL = "::"


@dataclass(slots=True)
class Instruction:
    """One instruction: ``word`` without its encoding, operands as written, modifiers by name.

    ``flags`` are words without a value (``glc``, ``row_mirror``); ``pair`` holds the halves of a
    dual-issue instruction.
    """

    word: str
    operands: list[str]
    modifiers: dict[str, str]
    flags: frozenset[str]
    encoding: str
    text: str
    line: int
    pair: tuple[Instruction, ...] = ()


@dataclass(slots=True)
class Program:
    """A kernel's instructions, where its labels are, and constant data of the object."""

    name: str
    chip: Chip
    instructions: list[Instruction]
    labels: dict[str, int] = field(default_factory=dict)


def parse(assembly: str, name: str, chip: Chip) -> Program:
    """Return the instructions of a kernel."""
    starts = (assembly.find(f"\n{label}:") for label in (name, f'"{name}"'))
    start = next(at for at in starts if at >= 0) + 1
    end = assembly.find("\n\t.section", start)
    program = Program(name, chip, [])
    first = assembly.count("\n", 0, start)
    for number, text in enumerate(assembly[start:end].splitlines()[1:], first + 1):
        line = text.partition(";")[0].strip()
        if not line or (line.startswith(".") and not line.endswith(":")):
            continue
        if (label := _LABEL.fullmatch(line)) is not None:
            program.labels[label[1]] = len(program.instructions)
            continue
        program.instructions.append(_line(line, number + 1))
    return program


def _line(text: str, number: int) -> Instruction:
    if DUAL in text:
        halves = [_one(part.strip(), number) for part in text.split(DUAL)]
        for half in halves:
            half.word = half.word.replace("v_dual_", "v_")
        return Instruction("dual", [], {}, frozenset(), "", text, number, tuple(halves))
    return _one(text, number)


def _one(text: str, number: int) -> Instruction:
    word, _, rest = text.partition(" ")
    modifiers = dict(_MODIFIER.findall(rest))
    rest = _MODIFIER.sub("", rest)
    operands = [part.strip() for part in _SPLIT.split(rest) if part.strip()]
    flags: list[str] = []
    if operands:
        first, *flags = operands[-1].split()
        operands[-1] = first
    encoding = ""
    if (found := _ENCODING.search(word)) is not None:
        encoding, word = found[1], word[: found.start()]
    return Instruction(word, operands, modifiers, frozenset(flags), encoding, text, number)
