"""The upstream ``cf`` dialect: only its assertion is used."""

from __future__ import annotations

from typing import Any

from kdsl.errors import InterpreterError
from kdsl.ir.define import BOOL_SCALAR, Op, attribute, operand


class Assert(Op, name="cf.assert"):
    """Stop the kernel with ``msg`` when ``condition`` does not hold."""

    condition = operand(BOOL_SCALAR)
    msg = attribute("string")

    def evaluate(self, condition: Any) -> tuple[()]:
        if not bool(condition):
            raise InterpreterError(self.loc, op=self.name, what=self.msg)
        return ()
