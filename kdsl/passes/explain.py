"""What passes did and why: lines that they leave on a function for ``kernel.explain()``."""

from __future__ import annotations

from kdsl.ir.core import Op

EXPLAIN = "kdsl.explain"


def explain(function: Op, line: str) -> None:
    """Record a line on a function."""
    lines = function.attributes.setdefault(EXPLAIN, [])
    assert isinstance(lines, list)
    if line not in lines:
        lines.append(line)


def explanations(module: Op) -> list[str]:
    """Return all recorded lines, with the functions' names before them."""
    found: list[str] = []
    for function in module.body:
        lines = function.attributes.get(EXPLAIN)
        if isinstance(lines, list):
            found += [f"{function.attributes['sym_name']}: {line}" for line in lines]
    return found
