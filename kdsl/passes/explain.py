"""What passes did and why: lines that they leave on a function for ``kernel.explain()``."""

from __future__ import annotations

from kdsl.ir.core import Op

EXPLAIN = "kdsl.explain"


def explain(function: Op, line: str) -> None:
    """Record a line on a function."""
    lines = function.attributes.setdefault(EXPLAIN, [])
    assert isinstance(lines, list)
    lines.append(line)


def place(op: Op | None) -> str:
    """Return how a line names a loop: by where it is written."""
    return str(op.loc) if op is not None and op.loc else "loop"


def explanations(module: Op) -> list[str]:
    """Return all recorded lines, each once, with the functions' names before them."""
    found: dict[str, None] = {}
    for function in module.body:
        lines = function.attributes.get(EXPLAIN)
        if isinstance(lines, list):
            found.update((f"{function.attributes['sym_name']}: {line}", None) for line in lines)
    return list(found)
