"""The upstream ``memref`` dialect: buffers, scalar access and atomics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdsl.dialects import rules
from kdsl.ir.core import Value
from kdsl.ir.define import (
    DATA,
    INDEX_ONLY,
    MEMREF,
    Allocates,
    Op,
    Pure,
    ReadsMemory,
    WritesMemory,
    attribute,
    operand,
    result,
)
from kdsl.ir.types import DYNAMIC, INDEX, MemRefType, ScalarType, Type, element_type

CACHE = "kdsl.cache"
"""On a memory access: "l1", "l2", "stream" or "last_use"."""


class Load(Op, name="memref.load", traits=(ReadsMemory,)):
    """Read one element."""

    source = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    y = result(DATA)

    @classmethod
    def infer_types(cls, operands: Any, attributes: Any) -> list[Type]:
        return [operands[0].type.element]

    @staticmethod
    def evaluate(source: Any, *indices: Any) -> Any:
        return source[tuple(int(i) for i in indices)]

    def verify(self) -> None:
        rules.scalar_access(self, self.source, self.indices, self.y)


class Store(Op, name="memref.store", traits=(WritesMemory,)):
    """Write one element."""

    value = operand(DATA)
    target = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)

    @staticmethod
    def evaluate(value: Any, target: Any, *indices: Any) -> tuple[()]:
        target[tuple(int(i) for i in indices)] = value
        return ()

    def verify(self) -> None:
        rules.scalar_access(self, self.target, self.indices, self.value)


class Dim(Op, name="memref.dim", traits=(Pure,)):
    """The size of one dimension."""

    source = operand(MEMREF)
    index = operand(INDEX_ONLY)
    y = result(element=INDEX)

    @staticmethod
    def evaluate(source: Any, index: Any) -> Any:
        return np.int64(source.shape[int(index)])

    def fold(self) -> Any:
        """A static dimension is a constant."""
        from kdsl.dialects.arith import constant_attribute, constant_of

        axis = constant_of(self.index)
        if axis is None:
            return None
        extent = self.source.type.shape[int(axis)]
        return None if extent == DYNAMIC else constant_attribute(extent, INDEX)


def poisoned(shape: Sequence[int], element: ScalarType) -> np.ndarray:
    """Return what memory holds that nobody wrote: NaN, or 0xCB in every byte."""
    made = np.empty(shape, element.numpy)
    made.view(np.uint8)[...] = 0xCB if element.bits > 1 else 1
    if element.kind == "f":
        made[...] = np.nan
    return made


class _Allocation(Op):
    """Make a buffer; one size operand for each dynamic dimension."""

    alignment: int

    @property
    def memref_type(self) -> MemRefType:
        found = self.results[0].type
        assert isinstance(found, MemRefType)
        return found

    def buffer(self, sizes: tuple[Any, ...]) -> np.ndarray:
        """Return a poisoned array."""
        given = iter(sizes)
        shape = [int(next(given)) if n == DYNAMIC else n for n in self.memref_type.shape]
        return poisoned(shape, self.memref_type.element)

    def verify(self) -> None:
        kind = self.memref_type
        missing = kind.shape.count(DYNAMIC)
        sizes, symbols = (self.operand_group(i) for i in (0, 1))
        rules.require(
            self, len(sizes) == missing, f"{kind} takes {missing} sizes, got {len(sizes)}"
        )
        strides = 0 if kind.strides is None else kind.strides.count(DYNAMIC)
        what = f"{kind} takes {strides} symbols, got {len(symbols)}"
        rules.require(self, len(symbols) == strides, what)
        rules.require(self, self.alignment >= 0, f"alignment {self.alignment} is negative")


class Alloc(_Allocation, name="memref.alloc", traits=(Allocates,), segments=True):
    """Make a buffer on the heap; ``memref.dealloc`` frees it."""

    sizes = operand(INDEX_ONLY, variadic=True)
    symbols = operand(INDEX_ONLY, variadic=True)
    alignment = attribute("int", default=64)
    y = result(MEMREF)

    def evaluate(self, *sizes: Any) -> Any:
        return self.buffer(sizes)


class Alloca(_Allocation, name="memref.alloca", traits=(Allocates,), segments=True):
    """Make a buffer that lives until the function returns."""

    sizes = operand(INDEX_ONLY, variadic=True)
    symbols = operand(INDEX_ONLY, variadic=True)
    alignment = attribute("int", default=64)
    y = result(MEMREF)

    def evaluate(self, *sizes: Any) -> Any:
        return self.buffer(sizes)


class Dealloc(Op, name="memref.dealloc", traits=(WritesMemory,)):
    """Free a buffer made by ``memref.alloc``."""

    source = operand(MEMREF)

    @staticmethod
    def evaluate(source: Any) -> tuple[()]:
        del source
        return ()


class Prefetch(Op, name="memref.prefetch", traits=(WritesMemory,)):
    """Hint that an element will be read or written soon."""

    source = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    isWrite = attribute("bool", default=False)  # noqa: N815  (upstream's spelling)
    localityHint = attribute("opaque")  # noqa: N815
    isDataCache = attribute("bool", default=True)  # noqa: N815

    @staticmethod
    def evaluate(source: Any, *indices: Any) -> tuple[()]:
        del source, indices
        return ()

    def verify(self) -> None:
        rules.indexed(self, self.source, self.indices)


ATOMIC_KINDS = (
    "addf",
    "addi",
    "assign",
    "maximumf",
    "maxs",
    "maxu",
    "minimumf",
    "mins",
    "minu",
    "mulf",
    "muli",
    "ori",
    "andi",
    "maxnumf",
    "minnumf",
)
"""Upstream's ``arith::AtomicRMWKind`` in its numbering."""


class AtomicRmw(Op, name="memref.atomic_rmw", traits=(ReadsMemory, WritesMemory)):
    """Combine a value into memory atomically; returns what was there."""

    value = operand(DATA)
    target = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)
    kind = attribute("int")
    y = result(same_as="value")

    def evaluate(self, value: Any, target: Any, *indices: Any) -> Any:
        from kdsl.dialects.kdsl import COMBINE

        at = tuple(int(i) for i in indices)
        old = target[at]
        name = ATOMIC_KINDS[self.kind]
        with np.errstate(all="ignore"):
            target[at] = value if name == "assign" else COMBINE[name](old, value)
        return old

    def verify(self) -> None:
        rules.scalar_access(self, self.target, self.indices, self.value)
        fits = 0 <= self.kind < len(ATOMIC_KINDS)
        rules.require(self, fits, f"there is no atomic kind {self.kind}")
        name = ATOMIC_KINDS[self.kind]
        wants_float = name.endswith("f") and name != "assign"
        is_float = element_type(self.value.type).kind == "f"
        fits = name == "assign" or wants_float == is_float
        rules.require(self, fits, f"{name} of {self.value.type}")


class Cast(Op, name="memref.cast", traits=(Pure,)):
    """The same buffer under a more or less static type."""

    source = operand(MEMREF)
    y = result(MEMREF)

    @staticmethod
    def evaluate(source: Any) -> Any:
        return source

    def verify(self) -> None:
        source, target = memref_type(self.source), memref_type(self.y)
        fits = source.element is target.element and source.rank == target.rank
        fits = fits and source.space == target.space
        pairs = [*zip(source.shape, target.shape, strict=False)]
        pairs += zip(source.element_strides, target.element_strides, strict=False)
        fits = fits and all(a == b or DYNAMIC in (a, b) for a, b in pairs)
        rules.require(self, fits, f"{source} cannot be seen as {target}")


def memref_type(value: Value) -> MemRefType:
    """Return a value's type, which must be a memref."""
    assert isinstance(value.type, MemRefType)
    return value.type
