"""Modules as OpenCL C."""

from __future__ import annotations

from kdsl.codegen.backend import Source
from kdsl.codegen.clike.facts import entries_of, facts_line
from kdsl.codegen.clike.module import Kernel, table, write_module
from kdsl.codegen.clike.writer import Parameter
from kdsl.codegen.lowering import LoweringTable
from kdsl.ir.core import Module
from kdsl.target.target import Target
from kdsl_opencl.packed import add_packed_rows
from kdsl_opencl.spelling import OPENCL

SUFFIX = ".cl"

lower: LoweringTable = table("the OpenCL back end")
add_packed_rows(lower)


def emit(module: Module, target: Target) -> Source:
    """Return the module as OpenCL C text."""
    written = write_module(module, OPENCL, target.features, lower)
    kernels = map(_kernel_text, written.kernels)
    parts = [_head(target), *written.helpers, *kernels, facts_line(module, written)]
    return Source("\n\n".join(parts) + "\n", SUFFIX, entries_of(module))


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
