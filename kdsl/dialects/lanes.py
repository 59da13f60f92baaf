"""Ops of the ``kdsl`` dialect that lanes of a subgroup or workgroup do together, or ahead of time.

Their meaning for a whole workgroup is in ``kdsl.testing.simt``; where the operands of a matrix unit
are is data in ``kdsl.target.atoms``.
"""

from __future__ import annotations

from typing import Any

from kdsl.dialects import rules
from kdsl.dialects.gpu import WORKGROUP
from kdsl.ir.core import Value
from kdsl.ir.define import (
    BOOL_SCALAR,
    INDEX_ONLY,
    MEMREF,
    VECTOR,
    Op,
    Pure,
    ReadsMemory,
    WritesMemory,
    attribute,
    operand,
    result,
)


class MatrixMultiply(Op, name="kdsl.matrix_multiply", traits=(Pure,)):
    """One instruction of a matrix unit: ``c + a @ b``, by all lanes of a subgroup together.

    ``atom`` names it; each operand is a lane's registers in the order of the atom's layout.
    """

    a = operand(VECTOR)
    b = operand(VECTOR)
    c = operand(VECTOR)
    atom = attribute("string")
    y = result(same_as="c")

    def verify(self) -> None:
        a, b = self.a.type, self.b.type
        rules.require(self, a.element is b.element, f"{a} and {b} differ in their elements")


class CopyAsync(Op, name="kdsl.copy_async", traits=(ReadsMemory, WritesMemory)):
    """Begin to copy ``bytes`` bytes to workgroup memory; zeros arrive where ``valid`` is false.

    ``indices`` holds those of the source, then those of the target. The source is not read where
    ``valid`` is false. What was copied is there after ``kdsl.copy_commit``, a ``kdsl.copy_wait`` of
    this lane and a barrier.
    """

    source = operand(MEMREF)
    target = operand(MEMREF)
    valid = operand(BOOL_SCALAR)
    indices = operand(INDEX_ONLY, variadic=True)
    bytes = attribute("int", default=16)

    @property
    def source_indices(self) -> list[Value]:
        """Where the first element is read."""
        return list(self.indices[: self.source.type.rank])

    @property
    def target_indices(self) -> list[Value]:
        """Where the first element goes."""
        return list(self.indices[self.source.type.rank :])

    @property
    def count(self) -> int:
        """How many elements are copied."""
        return int(self.bytes * 8 // max(8, self.source.type.element.bits))

    def evaluate(self, source: Any, target: Any, valid: Any, *indices: Any) -> tuple[()]:
        places = [int(i) for i in indices]
        rank = self.source.type.rank
        (*rows, first), (*outer, last) = places[:rank], places[rank:]
        for i in range(self.count):
            target[(*outer, last + i)] = source[(*rows, first + i)] if valid else 0
        return ()

    def verify(self) -> None:
        source, target = self.source.type, self.target.type
        rank = source.rank + target.rank
        rules.require(
            self, len(self.indices) == rank, f"{rank} indices wanted, got {len(self.indices)}"
        )
        rules.require(self, source.element is target.element, f"{source} to {target}")
        rules.require(self, target.space == WORKGROUP, f"{target} is not in space {WORKGROUP}")
        whole = self.bytes in (4, 8, 16) and self.bytes * 8 % source.element.bits == 0
        rules.require(self, whole, f"{self.bytes} bytes of {source.element}")


class CopyCommit(Op, name="kdsl.copy_commit", traits=(WritesMemory,)):
    """Make the copies that this lane began since the last commit one group."""

    @staticmethod
    def evaluate() -> tuple[()]:
        return ()


class CopyWait(Op, name="kdsl.copy_wait", traits=(ReadsMemory, WritesMemory)):
    """Wait until at most ``pending`` groups of this lane's copies are under way."""

    pending = attribute("int", default=0)

    @staticmethod
    def evaluate() -> tuple[()]:
        return ()

    def verify(self) -> None:
        rules.require(self, self.pending >= 0, f"pending = {self.pending}")


class LoadMatrix(Op, name="kdsl.load_matrix", traits=(ReadsMemory,)):
    """Read ``count`` 8x8 matrices of 16-bit elements, together with the other lanes of 32.

    Lanes 8 i to 8 i + 7 give the places of the rows of matrix i, 16 bytes each, aligned to 16. Lane
    l gets elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4 of each matrix in turn; with
    ``transpose``, of its column l / 4.
    """

    source = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    count = attribute("int", default=4)
    transpose = attribute("bool", default=False)
    y = result(VECTOR)

    def verify(self) -> None:
        rules.indexed(self, self.source, self.indices)
        kind, found = self.source.type, self.y.type
        rules.require(self, kind.space == WORKGROUP, f"{kind} is not in space {WORKGROUP}")
        fits = kind.element.bits == 16 and found.element is kind.element
        rules.require(self, fits, f"{found} from {kind}")
        rules.require(self, self.count in (1, 2, 4), f"{self.count} matrices")
        rules.require(self, found.size == 2 * self.count, f"{found} for {self.count} matrices")


def is_workgroup(buffer: Value) -> bool:
    """Return whether a buffer is in the memory that the lanes of a workgroup share."""
    return getattr(buffer.type, "space", None) == WORKGROUP
