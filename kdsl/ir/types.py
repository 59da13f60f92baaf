"""Interned IR types, and one row per element dtype.

Types are compared by identity: building the same type twice gives the same object. They print as
MLIR prints them. A dimension that is known only at run time is ``DYNAMIC``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import ml_dtypes
import numpy as np

DYNAMIC = -1
"""The size or stride of a dimension that is known only at run time."""


class Type:
    """Base of every IR type; equal types are one object."""

    __slots__ = ("text",)
    text: str
    _interned: ClassVar[dict[tuple[object, ...], Type]] = {}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[object, ...]:
        msg = f"{type(self).__name__} does not say how it is pickled"
        raise TypeError(msg)


class ScalarType(Type):
    """A scalar: ``kind`` is "i" (signless integer), "f" (float) or "x" (index); size in bits."""

    __slots__ = ("bits", "kind", "numpy")
    kind: str
    bits: int
    numpy: np.dtype

    def __reduce__(self) -> tuple[object, ...]:
        return scalar_type, (self.text,)


class ShapedType(Type):
    """A vector, tile or buffer: ``shape`` (``DYNAMIC`` where unknown) and a scalar ``element``."""

    __slots__ = ("element", "shape")
    shape: tuple[int, ...]
    element: ScalarType

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_static(self) -> bool:
        return DYNAMIC not in self.shape

    @property
    def size(self) -> int:
        """The number of elements of a static shape."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    def with_element(self, element: ScalarType) -> ShapedType:
        raise NotImplementedError(type(self).__name__)


class VectorType(ShapedType):
    """SIMD lanes: ``vector<8xf32>``."""

    __slots__ = ()

    def with_element(self, element: ScalarType) -> VectorType:
        return vector(self.shape, element)

    def __reduce__(self) -> tuple[object, ...]:
        return vector, (self.shape, self.element)


class TensorType(ShapedType):
    """A tile value: ``tensor<64x128xf32>``."""

    __slots__ = ()

    def with_element(self, element: ScalarType) -> TensorType:
        return tensor(self.shape, element)

    def __reduce__(self) -> tuple[object, ...]:
        return tensor, (self.shape, self.element)


class MemRefType(ShapedType):
    """Memory: shape, element, strides in elements (``None``: row-major contiguous) and space.

    ``space`` is ``None`` for memory that all programs see, 3 for a workgroup's own.
    """

    __slots__ = ("space", "strides")
    strides: tuple[int, ...] | None
    space: int | None

    @property
    def element_strides(self) -> tuple[int, ...]:
        """Strides in elements, ``DYNAMIC`` where unknown; row-major when none were given."""
        if self.strides is not None:
            return self.strides
        strides: list[int] = []
        step = 1
        for extent in reversed(self.shape):
            strides.append(step)
            step = DYNAMIC if DYNAMIC in (step, extent) else step * extent
        return tuple(reversed(strides))

    def with_element(self, element: ScalarType) -> MemRefType:
        return memref(self.shape, element, self.strides, self.space)

    def __reduce__(self) -> tuple[object, ...]:
        return memref, (self.shape, self.element, self.strides, self.space)


class FunctionType(Type):
    """Argument and result types of a function."""

    __slots__ = ("inputs", "results")
    inputs: tuple[Type, ...]
    results: tuple[Type, ...]

    def __reduce__(self) -> tuple[object, ...]:
        return function, (self.inputs, self.results)


# ---------------------------------------------------------------------------------- constructors


def _scalar(text: str, kind: str, bits: int, numpy: object) -> ScalarType:
    made = ScalarType()
    made.text, made.kind, made.bits, made.numpy = text, kind, bits, np.dtype(numpy)  # type: ignore[call-overload]
    Type._interned[("scalar", text)] = made
    return made


I1 = _scalar("i1", "i", 1, np.bool_)
I8 = _scalar("i8", "i", 8, np.int8)
I16 = _scalar("i16", "i", 16, np.int16)
I32 = _scalar("i32", "i", 32, np.int32)
I64 = _scalar("i64", "i", 64, np.int64)
F16 = _scalar("f16", "f", 16, np.float16)
BF16 = _scalar("bf16", "f", 16, ml_dtypes.bfloat16)
F32 = _scalar("f32", "f", 32, np.float32)
F64 = _scalar("f64", "f", 64, np.float64)
F8E4M3 = _scalar("f8E4M3FN", "f", 8, ml_dtypes.float8_e4m3fn)
F8E5M2 = _scalar("f8E5M2", "f", 8, ml_dtypes.float8_e5m2)
INDEX = _scalar("index", "x", 64, np.int64)

SCALARS: dict[str, ScalarType] = {
    t.text: t for t in (I1, I8, I16, I32, I64, F16, BF16, F32, F64, F8E4M3, F8E5M2, INDEX)
}


def scalar_type(text: str) -> ScalarType:
    """Return the scalar type that MLIR spells ``text``; raise KeyError otherwise."""
    return SCALARS[text]


def _shape_text(shape: tuple[int, ...], element: ScalarType) -> str:
    return "".join(f"{'?' if n == DYNAMIC else n}x" for n in shape) + element.text


def vector(shape: int | tuple[int, ...], element: ScalarType) -> VectorType:
    """Return ``vector<shape x element>``."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    key = ("vector", shape, element)
    found = Type._interned.get(key)
    if found is None:
        found = VectorType()
        found.shape, found.element = shape, element
        found.text = f"vector<{_shape_text(shape, element)}>"
        Type._interned[key] = found
    return found  # type: ignore[return-value]


def tensor(shape: tuple[int, ...], element: ScalarType) -> TensorType:
    """Return ``tensor<shape x element>``."""
    shape = tuple(shape)
    key = ("tensor", shape, element)
    found = Type._interned.get(key)
    if found is None:
        found = TensorType()
        found.shape, found.element = shape, element
        found.text = f"tensor<{_shape_text(shape, element)}>"
        Type._interned[key] = found
    return found  # type: ignore[return-value]


def memref(
    shape: tuple[int, ...],
    element: ScalarType,
    strides: tuple[int, ...] | None = None,
    space: int | None = None,
) -> MemRefType:
    """Return ``memref<shape x element>``; ``strides`` in elements, ``None`` means row-major.

    Space 0 is the default one, ``None``, as it is upstream.
    """
    shape = tuple(shape)
    strides = None if strides is None else tuple(strides)
    space = space or None
    key = ("memref", shape, element, strides, space)
    found = Type._interned.get(key)
    if found is None:
        found = MemRefType()
        found.shape, found.element, found.strides, found.space = shape, element, strides, space
        layout = ""
        if strides is not None:
            inner = ", ".join("?" if s == DYNAMIC else str(s) for s in strides)
            layout = f", strided<[{inner}]>"
        where = "" if space is None else f", {space}"
        found.text = f"memref<{_shape_text(shape, element)}{layout}{where}>"
        Type._interned[key] = found
    return found  # type: ignore[return-value]


def function(inputs: tuple[Type, ...], results: tuple[Type, ...]) -> FunctionType:
    """Return the function type ``(inputs) -> results``."""
    inputs, results = tuple(inputs), tuple(results)
    key = ("function", inputs, results)
    found = Type._interned.get(key)
    if found is None:
        found = FunctionType()
        found.inputs, found.results = inputs, results
        listed = ", ".join(t.text for t in results)
        tail = listed if len(results) == 1 else f"({listed})"
        found.text = f"({', '.join(t.text for t in inputs)}) -> {tail}"
        Type._interned[key] = found
    return found  # type: ignore[return-value]


def element_type(t: Type) -> ScalarType:
    """Return the scalar type of a scalar, vector, tile or buffer type."""
    if isinstance(t, ShapedType):
        return t.element
    if isinstance(t, ScalarType):
        return t
    msg = f"{t} has no element type"
    raise TypeError(msg)


def like(t: Type, element: ScalarType) -> Type:
    """Return ``t`` with another element: ``like(vector<8xf32>, i1)`` is ``vector<8xi1>``."""
    return t.with_element(element) if isinstance(t, ShapedType) else element


# ---------------------------------------------------------------------------------------- dtypes


@dataclass(frozen=True, slots=True, eq=False)
class DType:
    """An element type as kernel authors name it.

    ``kind`` is "b" (bool), "i", "u", "f" or "x" (index). ``type`` is the signless IR type.
    ``numpy`` is how arrays hold it; ``dlpack`` is its DLPack type code.
    """

    name: str
    kind: str
    bits: int
    type: ScalarType
    numpy: np.dtype
    dlpack: int

    @property
    def itemsize(self) -> int:
        """Bytes of one element in memory."""
        return self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_integer(self) -> bool:
        return self.kind in "iux"

    @property
    def is_unsigned(self) -> bool:
        return self.kind in "ub"

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[object, ...]:
        return dtype_named, (self.name,)


def _dtype_rows() -> dict[str, DType]:
    rows = [
        ("bool", "b", 1, I1, np.bool_, 6),
        ("i8", "i", 8, I8, np.int8, 0),
        ("i16", "i", 16, I16, np.int16, 0),
        ("i32", "i", 32, I32, np.int32, 0),
        ("i64", "i", 64, I64, np.int64, 0),
        ("u8", "u", 8, I8, np.uint8, 1),
        ("u16", "u", 16, I16, np.uint16, 1),
        ("u32", "u", 32, I32, np.uint32, 1),
        ("u64", "u", 64, I64, np.uint64, 1),
        ("f16", "f", 16, F16, np.float16, 2),
        ("bf16", "f", 16, BF16, ml_dtypes.bfloat16, 4),
        ("f32", "f", 32, F32, np.float32, 2),
        ("f64", "f", 64, F64, np.float64, 2),
        ("f8e4m3", "f", 8, F8E4M3, ml_dtypes.float8_e4m3fn, 10),
        ("f8e5m2", "f", 8, F8E5M2, ml_dtypes.float8_e5m2, 12),
        ("index", "x", 64, INDEX, np.int64, 0),
    ]
    return {r[0]: DType(r[0], r[1], r[2], r[3], np.dtype(r[4]), r[5]) for r in rows}


DTYPES: dict[str, DType] = _dtype_rows()


def dtype_named(name: str) -> DType:
    """Return the dtype called ``name``; raise KeyError otherwise."""
    return DTYPES[name]


def dtype_of_numpy(dtype: np.dtype) -> DType | None:
    """Return the dtype whose arrays have this NumPy dtype, or None."""
    return _BY_NUMPY.get(dtype)


_BY_NUMPY: dict[np.dtype, DType] = {d.numpy: d for d in DTYPES.values() if d.kind != "x"}
