"""A module as one text: its kernels in PTX, its entries as the launcher that rides along."""

from __future__ import annotations

from kdsl.codegen.backend import Source
from kdsl.dialects import func
from kdsl.ir.core import Module
from kdsl.target.target import Target
from kdsl_ptx.artifact import join
from kdsl_ptx.emit import device_code
from kdsl_ptx.host_entry import host_text


def emit(module: Module, target: Target) -> Source:
    """Return kernels and launcher."""
    code = device_code(module, target)
    entries = [f.sym_name for f in module.functions if isinstance(f, func.Func) and f.is_entry]
    return Source(join(code.text, host_text(module, code.kernels)), ".ptx", tuple(entries))
