"""``decompose-wide``: what the machine has in 32 bits and LLVM does not make in 64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kdsl.dialects import math
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module
from kdsl.ir.types import F64, element_type
from kdsl.passes.manager import Pass
from kdsl.target.target import Target
from kdsl_amdgpu.abi import ops_in

NARROW_ONLY = (math.Exp2, math.Exp, math.Log2, math.Log)


@dataclass(frozen=True)
class DecomposeWide(Pass):
    """Write elementary functions of doubles with simpler ops."""

    name: ClassVar[str] = "decompose-wide"

    def run(self, module: Module, target: Target) -> bool:
        """Rewrite every kernel."""
        changed = False
        for op in ops_in(module.body):
            if isinstance(op, NARROW_ONLY) and element_type(op.x.type) is F64:
                op.replace_by(op.decompose(Builder.before(op)))
                changed = True
        return changed
