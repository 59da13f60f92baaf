"""Attribute values, and how MLIR spells them.

Plain Python values are attributes: bool, int (``i64``), float (``f64``), str, a ``Type``, a tuple
of ints (``array<i64: ...>``), a tuple of ``i32`` written as ``I32Array``, a list (``[...]``) and
None (unit). What Python has no value for is one of the small classes below.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from kdsl.ir.types import ScalarType, ShapedType, Type

_bits = struct.Struct("<d").pack


class Attribute:
    """Base of the attributes that are no plain Python value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class IntAttr(Attribute):
    """An integer with its own type, for example ``3 : i32`` or ``3 : index``."""

    value: int
    type: ScalarType


@dataclass(frozen=True, slots=True, eq=False)
class FloatAttr(Attribute):
    """A float with its own type; the value is already rounded to it.

    Equal means equal bits: 0.0 and -0.0 are two constants, and a NaN equals itself.
    """

    value: float
    type: ScalarType

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FloatAttr):
            return NotImplemented
        return self.type is other.type and _bits(self.value) == _bits(other.value)

    def __hash__(self) -> int:
        return hash((_bits(self.value), self.type))


@dataclass(frozen=True, slots=True)
class Symbol(Attribute):
    """A reference to a function: ``@name``."""

    name: str


@dataclass(frozen=True, slots=True)
class I32Array(Attribute):
    """``array<i32: ...>``, which upstream uses for operand segments."""

    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Opaque(Attribute):
    """An upstream attribute in its own spelling, for example ``#vector.kind<add>``."""

    text: str


def without_repeats(array: np.ndarray) -> np.ndarray:
    """Return one element (rank 0) when all have the same bits, else the array."""
    if array.ndim == 0 or array.size == 0:
        return array
    flat = np.ascontiguousarray(array).reshape(-1)
    raw = flat.view(np.uint8).reshape(flat.size, -1)
    return flat[:1].reshape(()).copy() if bool((raw == raw[0]).all()) else array


class Dense(Attribute):
    """A constant vector or tile: one element for all lanes, or one each in row-major order.

    Lanes that all have the same bits are held as one element, however they were given.
    """

    __slots__ = ("_key", "array", "type")

    def __init__(self, array: np.ndarray, type: ShapedType) -> None:
        wanted = type.element.numpy
        self.array = without_repeats(np.asarray(array, dtype=wanted))
        self.type = type
        self._key = (self.array.shape, self.array.tobytes(), type)

    @property
    def is_splat(self) -> bool:
        """Whether one element stands for all lanes."""
        return self.array.ndim == 0

    def full(self) -> np.ndarray:
        """Return the whole array, shape as the type says."""
        return np.array(np.broadcast_to(self.array, self.type.shape))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dense) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Dense({self.array!r}, {self.type})"


AttributeValue = (
    bool | int | float | str | Type | tuple[int, ...] | list["AttributeValue"] | Attribute | None
)
