"""What a host needs beside kernels' text: one comment line at its end, so that text is complete."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kdsl.codegen.clike.module import Kernel, Written
from kdsl.dialects import func
from kdsl.errors import InternalError
from kdsl.ir.core import Module, Region
from kdsl.ir.printer import print_module

MARK = "// kdsl: "
"""What the last line of a text begins with."""


@dataclass(frozen=True)
class Facts:
    """The last line, read.

    ``host``: the entries as MLIR text. ``kernels``: of each, "symbol", "lanes" and "parameters"
    (kind, argument, axis, word, name).
    """

    host: str
    kernels: dict[str, dict[str, Any]]
    entries: tuple[str, ...]
    accesses: tuple[str, ...]


def entries_of(module: Module) -> tuple[str, ...]:
    """Return the names of a module's entries."""
    functions = [op for op in module.functions if isinstance(op, func.Func)]
    return tuple(op.sym_name for op in functions if op.is_entry)


def facts_line(module: Module, written: Written) -> str:
    """Return the last line of a module's text."""
    facts = {
        "host": host_text(module),
        "kernels": {k.name: _launch_facts(k) for k in written.kernels},
        "entries": entries_of(module),
        "accesses": [k.accesses for k in written.kernels if k.accesses],
    }
    return MARK + json.dumps(facts, sort_keys=True)


def read_facts(text: str) -> Facts:
    """Return the facts of emitted text."""
    line = text.rstrip("\n").rpartition("\n")[2]
    if not line.startswith(MARK):
        raise InternalError(what="text of kernels without its facts")
    raw = json.loads(line.removeprefix(MARK))
    return Facts(raw["host"], raw["kernels"], tuple(raw["entries"]), tuple(raw["accesses"]))


def host_text(module: Module) -> str:
    """Return the entries as MLIR text; kernels are declared only."""
    host = module.clone()
    for op in host.functions:
        if isinstance(op, func.Func) and not op.is_entry:
            for inner in list(op.body):
                inner.drop_uses()
            op.regions = [Region()]
            op.regions[0].parent = op
            op.attributes["sym_visibility"] = "private"
    return print_module(host)


def _launch_facts(kernel: Kernel) -> dict[str, Any]:
    rows = [[p.kind, p.arg, p.axis, p.word, p.name] for p in kernel.parameters]
    return {"symbol": kernel.symbol, "lanes": kernel.lanes, "parameters": rows}
