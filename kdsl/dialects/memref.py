"""The upstream ``memref`` dialect: buffers, scalar access and atomics."""

from __future__ import annotations

from typing import Any

import numpy as np

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
from kdsl.ir.types import DYNAMIC, INDEX, MemRefType, Type

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


class Store(Op, name="memref.store", traits=(WritesMemory,)):
    """Write one element."""

    value = operand(DATA)
    target = operand(MEMREF)
    indices = operand(INDEX_ONLY, variadic=True)

    @staticmethod
    def evaluate(value: Any, target: Any, *indices: Any) -> tuple[()]:
        target[tuple(int(i) for i in indices)] = value
        return ()


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


class _Allocation(Op):
    """Make a buffer; one size operand for each dynamic dimension."""

    @property
    def memref_type(self) -> MemRefType:
        found = self.results[0].type
        assert isinstance(found, MemRefType)
        return found

    def buffer(self, sizes: tuple[Any, ...]) -> np.ndarray:
        """Return a poisoned array: NaN, or 0xCB in every byte."""
        given = iter(sizes)
        shape = [int(next(given)) if n == DYNAMIC else n for n in self.memref_type.shape]
        dtype = self.memref_type.element.numpy
        made = np.empty(shape, dtype)
        made.view(np.uint8)[...] = 0xCB if dtype != np.bool_ else 1
        if self.memref_type.element.kind == "f":
            made[...] = np.nan
        return made


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


class Cast(Op, name="memref.cast", traits=(Pure,)):
    """The same buffer under a more or less static type."""

    source = operand(MEMREF)
    y = result(MEMREF)

    @staticmethod
    def evaluate(source: Any) -> Any:
        return source


def memref_type(value: Value) -> MemRefType:
    """Return a value's type, which must be a memref."""
    assert isinstance(value.type, MemRefType)
    return value.type
