"""Modules as Metal Shading Language: kernels by the generator, surroundings by a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kdsl.codegen.backend import Source
from kdsl.codegen.clike.facts import entries_of, facts_line
from kdsl.codegen.clike.module import Kernel, table, write_module
from kdsl.codegen.clike.values import lanewise
from kdsl.codegen.clike.writer import Parameter, Writer
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import arith
from kdsl.ir.core import Module
from kdsl.target.target import Target
from kdsl_metal import matrix
from kdsl_metal.spelling import METAL, swap_helper

SUFFIX = ".metal"
TEMPLATE = "module.metal.j2"
BUFFERS = ("buffer", "status")
"""Kinds of parameters that are buffers; all others are numbers in one structure."""

lower: LoweringTable = table("the Metal back end")
lower.include(matrix.lower)


@lower(arith.Remf)
def remainder(op: arith.Remf, w: Writer) -> None:
    """Exact, as the specification has it; the decomposition would need f64."""
    lanewise(op, w, lambda a, b: f"fmod({a}, {b})")


@dataclass(frozen=True)
class KernelParts:
    """A kernel as the template takes it."""

    symbol: str
    lanes: int
    buffers: tuple[Parameter, ...]
    numbers: tuple[Parameter, ...]
    shared: tuple[str, ...]
    body: tuple[str, ...]


def emit(module: Module, target: Target) -> Source:
    """Return the module as Metal Shading Language text."""
    written = write_module(module, METAL, target.features, lower)
    kernels = [_parts(k) for k in written.kernels]
    text = _template().render(
        helpers=[*_swaps(written.helpers), *written.helpers],
        kernels=kernels,
        facts=facts_line(module, written),
    )
    return Source(text, SUFFIX, entries_of(module))


def _parts(k: Kernel) -> KernelParts:
    buffers, numbers = split_parameters(k.parameters, lambda p: p.kind)
    return KernelParts(k.symbol, k.lanes, tuple(buffers), tuple(numbers), k.shared, k.body)


def split_parameters(parameters: Sequence[Any], kind: Any) -> tuple[list[Any], list[Any]]:
    """Return the buffers, in the order of their indices, and the numbers, largest first.

    A structure of falling sizes has no gaps, so that a host can pack it without rules of alignment.
    """
    buffers = [p for p in parameters if kind(p) in BUFFERS]
    numbers = [p for p in parameters if kind(p) not in BUFFERS]
    return buffers, sorted(numbers, key=lambda p: -word_bytes(_word(p)))


def _word(p: Any) -> str:
    return p.word if isinstance(p, Parameter) else str(p[3])


def word_bytes(word: str) -> int:
    """Return the size of a scalar type."""
    return SIZES[word]


SIZES = {
    "ulong": 8, "long": 8, "uint": 4, "int": 4, "float": 4, "ushort": 2, "short": 2, "half": 2,
    "bfloat": 2, "uchar": 1, "char": 1, "bool": 1,
}  # fmt: skip


def _swaps(helpers: Sequence[str]) -> list[str]:
    """Return compare-and-swap for the memories in which helpers use it."""
    text = "\n".join(helpers)
    if "kdsl_swap(" not in text:
        return []
    return [swap_helper(q) for q in ("device", "threadgroup") if f"{q} " in text]


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - it is no page
    )
    return environment.from_string(Path(__file__).with_name(TEMPLATE).read_text())
