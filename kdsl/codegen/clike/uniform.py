"""Which values all lanes of a workgroup agree on, by what they are computed from."""

from __future__ import annotations

from kdsl.dialects import func, gpu, scf
from kdsl.ir.core import BlockArgument, Op, Value


class Uniform:
    """Answers for one function; a loop's carried values count as different in each lane."""

    def __init__(self) -> None:
        self._known: dict[Value, bool] = {}

    def value(self, value: Value) -> bool:
        """Return whether all lanes surely hold the same value."""
        found = self._known.get(value)
        if found is None:
            found = self._known[value] = self._decide(value)
        return found

    def _decide(self, value: Value) -> bool:
        if isinstance(value, BlockArgument):
            owner = value.block.parent_op
            if isinstance(owner, func.Func):
                return True
            if isinstance(owner, scf.For) and value.index == 0:
                return all(map(self.value, (owner.lower, owner.upper, owner.step)))
            return False
        op = value.op
        if op is None or op.regions or isinstance(op, gpu.ThreadId | gpu.Shuffle):
            return False
        return all(map(self.value, op.operands))

    def place(self, op: Op) -> bool:
        """Return whether all lanes surely reach an op together."""
        above = op.parent_op
        while above is not None and not isinstance(above, func.Func):
            if isinstance(above, scf.If):
                agreed = self.value(above.condition)
            elif isinstance(above, scf.For):
                agreed = all(map(self.value, (above.lower, above.upper, above.step)))
            else:
                agreed = False
            if not agreed:
                return False
            above = above.parent_op
        return True
