"""The upstream ``gpu`` dialect: what one lane of a workgroup asks of the others.

A lane-level kernel (``kdsl.lanes`` on its function) says what one lane does. Lanes are numbered
along x alone; ``features.subgroup`` consecutive ones form a subgroup.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import rules
from kdsl.ir.attributes import Opaque
from kdsl.ir.define import (
    FIXED_INTEGER,
    SCALAR,
    Op,
    Pure,
    ReadsMemory,
    WritesMemory,
    attribute,
    operand,
    result,
)
from kdsl.ir.types import I1, I32, INDEX

LANES = "kdsl.lanes"
"""On a kernel: how many lanes its workgroup has; its body is what one of them does."""
WORKGROUP = 3
"""The memory space of buffers that the lanes of a workgroup share."""
DIMENSIONS = ("x", "y", "z")
X = Opaque("#gpu<dim x>")
SHUFFLE_MODES = ("xor", "up", "down", "idx")


def shuffle_mode(name: str) -> Opaque:
    """Return the attribute of a shuffle mode: "xor", "up", "down" or "idx"."""
    return Opaque(f"#gpu<shuffle_mode {name}>")


class ThreadId(Op, name="gpu.thread_id", traits=(Pure,)):
    """The number of this lane in its workgroup."""

    dimension = attribute("opaque")
    y = result(element=INDEX)

    @staticmethod
    def evaluate() -> Any:
        """Outside of a workgroup of several lanes there is lane 0 alone."""
        return np.int64(0)

    def verify(self) -> None:
        known = self.dimension.text in {f"#gpu<dim {d}>" for d in DIMENSIONS}
        rules.require(self, known, f"there is no dimension {self.dimension.text}")


class Barrier(Op, name="gpu.barrier", traits=(ReadsMemory, WritesMemory)):
    """Wait for all lanes of the workgroup; what they wrote before is seen by all afterwards."""

    @staticmethod
    def evaluate() -> tuple[()]:
        return ()


class Shuffle(Op, name="gpu.shuffle", traits=(Pure,)):
    """Read another lane's ``value``; ``valid`` tells whether there is such a lane.

    The subgroup is cut into runs of ``width`` lanes. In its run, lane ``i`` reads lane
    ``i ^ offset`` (xor), ``i - offset`` (up), ``i + offset`` (down) or ``offset`` (idx). All lanes
    of the run must be there.
    """

    value = operand(SCALAR)
    offset = operand(FIXED_INTEGER)
    width = operand(FIXED_INTEGER)
    mode = attribute("opaque")
    y = result(same_as="value")
    valid = result(element=I1)

    @property
    def mode_name(self) -> str:
        return str(self.mode.text.removeprefix("#gpu<shuffle_mode ").removesuffix(">"))

    @staticmethod
    def evaluate(value: Any, offset: Any, width: Any) -> tuple[Any, Any]:
        """With one lane there is nobody else to read from."""
        del width
        return value, np.bool_(int(offset) == 0)

    def verify(self) -> None:
        rules.require(
            self, self.mode_name in SHUFFLE_MODES, f"there is no shuffle mode {self.mode.text}"
        )
        kind = self.value.type
        rules.require(self, kind.kind in "if" and kind.bits in (32, 64), f"{kind} is not shuffled")
        for count in (self.offset, self.width):
            rules.require(self, count.type is I32, f"{count.type} where i32 is wanted")
