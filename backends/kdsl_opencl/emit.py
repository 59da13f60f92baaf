"""Modules as OpenCL C: kernels in front, the host's part and launch facts in one last comment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kdsl.codegen.backend import Source
from kdsl.codegen.clike.module import Kernel, table, write_module
from kdsl.codegen.clike.writer import Parameter
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import func
from kdsl.errors import InternalError
from kdsl.ir.core import Module, Region
from kdsl.ir.printer import print_module
from kdsl.target.target import Target
from kdsl_opencl.spelling import OPENCL

SUFFIX = ".cl"
FACTS = "// kdsl: "
"""What the last line of the text begins with."""

lower: LoweringTable = table("the OpenCL back end")


@dataclass(frozen=True)
class Facts:
    """The last line, read: the host module's text, and per kernel symbol, lanes, parameters."""

    host: str
    kernels: dict[str, dict[str, Any]]
    entries: tuple[str, ...]
    accesses: tuple[str, ...]


def emit(module: Module, target: Target) -> Source:
    """Return the module as OpenCL C text."""
    written = write_module(module, OPENCL, target.features, lower)
    entries = tuple(
        op.sym_name for op in module.functions if isinstance(op, func.Func) and op.is_entry
    )
    facts = {
        "host": host_text(module),
        "kernels": {k.name: _launch_facts(k) for k in written.kernels},
        "entries": entries,
        "accesses": [k.accesses for k in written.kernels if k.accesses],
    }
    parts = [_head(target), *written.helpers, *map(_kernel_text, written.kernels)]
    text = "\n\n".join([*parts, FACTS + json.dumps(facts, sort_keys=True)])
    return Source(text + "\n", SUFFIX, entries)


def read_facts(text: str) -> Facts:
    """Return the launch facts of emitted text."""
    line = text.rstrip("\n").rpartition("\n")[2]
    if not line.startswith(FACTS):
        raise InternalError(what="OpenCL text without its facts")
    raw = json.loads(line.removeprefix(FACTS))
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
    rows = [[p.kind, p.arg, p.axis, p.word] for p in kernel.parameters]
    return {"symbol": kernel.symbol, "lanes": kernel.lanes, "parameters": rows}


def _head(target: Target) -> str:
    """Products and sums are fused where the text says so, and nowhere else."""
    lines = ["#pragma OPENCL FP_CONTRACT OFF"]
    native = target.features.native
    for dtype, extension in (("f64", "cl_khr_fp64"), ("f16", "cl_khr_fp16")):
        if dtype in native:
            lines.append(f"#pragma OPENCL EXTENSION {extension} : enable")
    return "\n".join(lines)


def _kernel_text(kernel: Kernel) -> str:
    listed = ",\n    ".join(map(_declared, kernel.parameters))
    head = (
        f"__kernel __attribute__((reqd_work_group_size({kernel.lanes}, 1, 1)))\n"
        f"void {kernel.symbol}({listed})"
    )
    body = [*(f"  {line}" for line in kernel.shared), *kernel.body]
    return "\n".join([head, "{", *body, "}"])


def _declared(p: Parameter) -> str:
    if p.kind in ("buffer", "status"):
        return f"__global {p.word} *{p.name}"
    return f"const {p.word} {p.name}"
