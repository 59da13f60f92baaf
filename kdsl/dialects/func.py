"""The upstream ``func`` dialect: functions, calls and returns.

A device kernel carries the unit attribute ``kdsl.kernel``; a host entry carries ``kdsl.entry``.
"""

from __future__ import annotations

from typing import Any

from kdsl.dialects import rules
from kdsl.ir.attributes import AttributeValue
from kdsl.ir.core import Block, Region
from kdsl.ir.core import Op as CoreOp
from kdsl.ir.define import (
    ANY,
    IsolatedFromAbove,
    Op,
    Terminator,
    attribute,
    operand,
    result,
)
from kdsl.ir.location import Location
from kdsl.ir.types import FunctionType, Type, function

KERNEL = "kdsl.kernel"
"""Marks a function that runs once for each program id."""
ENTRY = "kdsl.entry"
"""Marks a host function that callers outside may call."""


class Func(Op, name="func.func", traits=(IsolatedFromAbove,), regions=1):
    """A function; its body is one block whose arguments are the parameters."""

    sym_name = attribute("string")
    function_type = attribute("function_type")
    sym_visibility = attribute("string", default=None)

    @classmethod
    def empty(
        cls,
        name: str,
        inputs: tuple[Type, ...],
        results: tuple[Type, ...] = (),
        names: tuple[str | None, ...] = (),
        loc: Location | None = None,
        **attributes: AttributeValue,
    ) -> Func:
        """Return a function with an empty entry block."""
        made = cls.make(
            regions=[Region([Block(inputs, names)])],
            loc=loc,
            sym_name=name,
            function_type=function(inputs, results),
        )
        made.attributes.update(attributes)
        assert isinstance(made, Func)
        return made

    @property
    def is_kernel(self) -> bool:
        return KERNEL in self.attributes

    @property
    def is_entry(self) -> bool:
        return ENTRY in self.attributes

    @property
    def type(self) -> FunctionType:
        found = self.function_type
        assert isinstance(found, FunctionType)
        return found

    def verify(self) -> None:
        if not self.regions[0].blocks:
            rules.require(self, self.sym_visibility == "private", "only a private one has no body")
            return
        body = rules.takes(self, 0, self.type.inputs)
        rules.ends_with(self, body, Return, self.type.results)


class Return(Op, name="func.return", traits=(Terminator,)):
    """Leave the function with these values."""

    values = operand(ANY, variadic=True)


class Call(Op, name="func.call"):
    """Call a function of the module."""

    args = operand(ANY, variadic=True)
    callee = attribute("symbol")
    outs = result(ANY, variadic=True)

    def execute(self, frame: Any, operands: tuple[Any, ...]) -> Any:
        return frame.call(self.callee.name, operands)

    def verify_symbols(self, symbols: dict[str, CoreOp]) -> None:
        callee = symbols[self.callee.name]
        rules.require(self, isinstance(callee, Func), f"@{self.callee.name} is no function")
        assert isinstance(callee, Func)
        rules.same_types(self, "it passes", rules.types_of(self.operands), callee.type.inputs)
        rules.same_types(self, "it gives", rules.types_of(self.results), callee.type.results)
