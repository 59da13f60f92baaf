"""Ops on rows that the four lanes of a row share."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import rules
from kdsl.ir.define import TENSOR, Op, Pure, operand, result
from kdsl.ir.types import Type, tensor

LANES_OF_ROW = 4
PAIR = 2
"""Neighbouring columns that a lane has."""


class QuadSum(Op, name="ptx.quad_sum", traits=(Pure,)):
    """Sum columns 8 i + 2 j and 8 i + 2 j + 1 for all i into column j: what one lane holds."""

    x = operand(TENSOR)
    y = result(TENSOR)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Type]:
        kind = operands[0].type
        return [tensor((kind.shape[0], LANES_OF_ROW), kind.element)]

    @staticmethod
    def evaluate(x: Any) -> Any:
        rows = x.shape[0]
        return np.asarray(x.reshape(rows, -1, LANES_OF_ROW, PAIR).sum(axis=(1, 3))).astype(x.dtype)

    def verify(self) -> None:
        kind = self.x.type
        fits = kind.rank == 2 and kind.shape[1] % (PAIR * LANES_OF_ROW) == 0
        rules.require(self, fits, f"the columns of {kind} are no multiple of 8")
