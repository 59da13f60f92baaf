"""SIMD values of a stated width, and what reaches across their lanes."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import arith, vector
from kdsl.errors import ShapeMismatchError, TypeMismatchError, WidthError
from kdsl.ir.attributes import Opaque
from kdsl.ir.types import DType
from kdsl.ir.types import vector as vector_type
from kdsl.language.constants import constant
from kdsl.language.state import current, emit, where
from kdsl.language.types import (
    AnyDType,
    SIMDType,
    Width,
    describe,
    resolve_dtype,
    static_int,
)
from kdsl.language.values import (
    CONTRACT,
    F32,
    INDEX_DTYPE,
    Lanes,
    Scalar,
    as_index,
    as_value,
    assign,
    cast,
    wrap,
)

MAX_WIDTH = 1024

# name -> kind of vector.reduction for floats, signed and unsigned integers.
REDUCE = {
    "add": ("add", "add", "add"),
    "mul": ("mul", "mul", "mul"),
    "min": ("minimumf", "minsi", "minui"),
    "max": ("maximumf", "maxsi", "maxui"),
    "and": (None, "and", "and"),
    "or": (None, "or", "or"),
    "xor": (None, "xor", "xor"),
}


class SIMD(Lanes):
    """A traced value of ``width`` lanes."""

    __slots__ = ()

    def __class_getitem__(cls, item: Any) -> SIMDType:
        dtype, width = item
        return SIMDType(dtype, width)

    @property
    def width(self) -> int:
        return int(self.shape[0])

    @property
    def type_text(self) -> str:
        return f"SIMD[{self.dtype}, {self.width}]"

    # ------------------------------------------------------------------------------- lanes

    def __getitem__(self, lane: Any) -> Scalar:
        """Return one lane, at a position known while tracing or not."""
        at = self._lane("SIMD[...]", lane)
        return wrap(emit(vector.ExtractElement, self.ir, at.ir), self.dtype)

    def insert(self, value: Any, offset: Any = 0) -> SIMD:
        """Return the value with one lane, or a narrower value's run of lanes, replaced."""
        value = as_value(value)
        if isinstance(value, SIMD):
            return self._insert_lanes(value, static_int(offset, "the offset of insert"))
        lane = assign("insert", value, self.dtype)
        at = self._lane("insert", offset)
        return wrap(emit(vector.InsertElement, lane.ir, self.ir, at.ir), self.dtype)

    def _insert_lanes(self, part: SIMD, offset: int) -> SIMD:
        self._same_dtype("insert", part)
        self._range("insert", offset, part.width)
        pad = [min(i, part.width - 1) for i in range(self.width)]
        wide = part.shuffle(*pad)
        picked = [
            self.width + i - offset if offset <= i < offset + part.width else i
            for i in range(self.width)
        ]
        return self._pick(wide, picked)

    def _lane(self, op: str, lane: Any) -> Scalar:
        if isinstance(lane, int) and not isinstance(lane, bool):
            position = lane + self.width if lane < 0 else lane
            self._range(op, position, 1)
            lane = position
        return as_index(lane, op)

    def _range(self, op: str, offset: int, width: int) -> None:
        if offset < 0 or width < 1 or offset + width > self.width:
            why = f"at lane {offset} does not fit {self.width} lanes"
            raise WidthError(where(), op=op, width=width, why=why)

    def _same_dtype(self, op: str, other: Any) -> SIMD:
        if not isinstance(other, SIMD) or other.dtype is not self.dtype:
            wanted = f"SIMD lanes of {self.dtype}"
            raise TypeMismatchError(where(), op=op, wanted=wanted, got=describe(other))
        return other

    # ---------------------------------------------------------------------------- movement

    def _pick(self, other: SIMD, lanes: list[int]) -> SIMD:
        made = emit(vector.Shuffle, self.ir, other.ir, mask=list(lanes))
        return wrap(made, self.dtype)

    def shuffle(self, *lanes: Any) -> SIMD:
        """Return lanes by number; with another value first, its lanes follow this one's."""
        other = self
        if lanes and isinstance(lanes[0], SIMD):
            other, lanes = self._same_dtype("shuffle", lanes[0]), lanes[1:]
        if len(lanes) == 1 and isinstance(lanes[0], tuple | list):
            lanes = tuple(lanes[0])
        picked = [static_int(i, "a lane of shuffle") for i in lanes]
        limit = self.width + (other.width if other is not self else 0)
        if not picked or not all(0 <= i < limit for i in picked):
            why = f"must be 1 or more, its lanes from 0 to {limit - 1}"
            raise WidthError(where(), op="shuffle", width=len(picked), why=why)
        return self._pick(other, picked)

    def rotate_left(self, count: int) -> SIMD:
        """Move every lane ``count`` places towards lane 0."""
        n = static_int(count, "the count of rotate_left")
        return self._pick(self, [(i + n) % self.width for i in range(self.width)])

    def rotate_right(self, count: int) -> SIMD:
        """Move every lane ``count`` places away from lane 0."""
        return self.rotate_left(-static_int(count, "the count of rotate_right"))

    def reversed(self) -> SIMD:
        """Return the lanes in reverse order."""
        return self._pick(self, list(range(self.width))[::-1])

    def slice(self, offset: int, width: int) -> SIMD:
        """Return ``width`` lanes from ``offset`` on."""
        first, count = static_int(offset, "the offset of slice"), static_int(width, "a width")
        self._range("slice", first, count)
        return self._pick(self, list(range(first, first + count)))

    def join(self, other: SIMD) -> SIMD:
        """Return the lanes of this value, then those of another."""
        self._same_dtype("join", other)
        return self._pick(other, list(range(self.width + other.width)))

    def split(self) -> tuple[SIMD, SIMD]:
        """Return the lower and the upper half."""
        self._even("split")
        half = self.width // 2
        return self.slice(0, half), self.slice(half, half)

    def interleave(self, other: SIMD) -> SIMD:
        """Return a0 b0 a1 b1 ..."""
        self._same_dtype("interleave", other)
        if other.width != self.width:
            left, right = self.type_text, other.type_text
            raise ShapeMismatchError(where(), op="interleave", left=left, right=right)
        return wrap(emit(vector.Interleave, self.ir, other.ir), self.dtype)

    def deinterleave(self) -> tuple[SIMD, SIMD]:
        """Return the even lanes and the odd lanes."""
        self._even("deinterleave")
        even, odd = emit(vector.Deinterleave, self.ir)
        return wrap(even, self.dtype), wrap(odd, self.dtype)

    def _even(self, op: str) -> None:
        if self.width % 2:
            raise WidthError(where(), op=op, width=self.width, why="is odd")

    # -------------------------------------------------------------------------- reductions

    def _reduce(self, name: str) -> Scalar:
        column = 0 if self.dtype.is_float else 2 if self.dtype.is_unsigned else 1
        kind = REDUCE[name][column]
        if kind is None or (self.dtype.kind == "b" and name not in ("and", "or", "xor")):
            wanted = "integers" if kind is None else "numbers"
            raise TypeMismatchError(where(), op=f"reduce_{name}", wanted=wanted, got=self.type_text)
        attributes = (
            {"fastmath": CONTRACT} if self.dtype.is_float and name in ("add", "mul") else {}
        )
        made = emit(
            vector.Reduction, self.ir, kind=Opaque(vector.reduction_kind(kind)), **attributes
        )
        return wrap(made, self.dtype)

    def reduce_add(self) -> Scalar:
        """Return the sum of the lanes."""
        return self._reduce("add")

    def reduce_mul(self) -> Scalar:
        """Return the product of the lanes."""
        return self._reduce("mul")

    def reduce_min(self) -> Scalar:
        """Return the smallest lane; NaN when there is one."""
        return self._reduce("min")

    def reduce_max(self) -> Scalar:
        """Return the largest lane; NaN when there is one."""
        return self._reduce("max")

    def reduce_and(self) -> Scalar:
        """Return the bitwise and of the lanes."""
        return self._reduce("and")

    def reduce_or(self) -> Scalar:
        """Return the bitwise or of the lanes."""
        return self._reduce("or")

    def reduce_xor(self) -> Scalar:
        """Return the bitwise exclusive or of the lanes."""
        return self._reduce("xor")

    any, all = reduce_or, reduce_and


def check_width(width: Any, op: str, dtype: DType) -> int:
    """Return the number of lanes; 0 (AUTO) is what the target's registers hold."""
    count = static_int(width, "a width", "*, W: Const[int] = kd.AUTO")
    if count == 0 and type(width) is not int:
        return current().target.features.lanes(dtype.bits)
    if not 1 <= count <= MAX_WIDTH:
        why = f"must be from 1 to {MAX_WIDTH}"
        raise WidthError(where(), op=op, width=count, why=why)
    return count


def make_simd(dtype: DType, width: int, lanes: tuple[Any, ...]) -> SIMD:
    """Make a value from one number for all lanes, or one for each."""
    if len(lanes) not in (1, width):
        why = f"needs 1 or {width} numbers, got {len(lanes)}"
        raise WidthError(where(), op="SIMD", width=width, why=why)
    if all(isinstance(v, int | float) for v in lanes):
        for value in lanes:
            assign("SIMD", value, dtype)
        data = np.array([dtype.numpy.type(v) for v in lanes]).view(dtype.type.numpy)
        value = data[0] if len(lanes) == 1 else data
        made = arith.constant(current().builder, value, vector_type(width, dtype.type))
        return wrap(made, dtype)
    found = splat(lanes[0], width, dtype)
    for i, value in enumerate(lanes[1:], 1):
        found = found.insert(value, i)
    return found


def splat(value: Any, width: Any, dtype: AnyDType | None = None) -> Any:
    """Return a SIMD value with one number in every lane."""
    if isinstance(width, Width):
        return cast(value, dtype) if dtype is not None else as_value(value)
    given = as_value(value)
    chosen = resolve_dtype(dtype) if dtype is not None else getattr(given, "dtype", None)
    scalar = cast(given, chosen or F32) if not isinstance(given, Lanes) else given
    if chosen is not None:
        scalar = assign("kd.splat", scalar, chosen)
    wanted = vector_type(check_width(width, "kd.splat", scalar.dtype), scalar.dtype.type)
    return wrap(emit(vector.Broadcast, scalar.ir, types=[wanted]), scalar.dtype)


def lane_numbers(width: Any, dtype: AnyDType = INDEX_DTYPE) -> SIMD:
    """Return 0, 1, 2, ... as a SIMD value."""
    wanted = resolve_dtype(dtype)
    count = check_width(width, "kd.lane_numbers", wanted)
    data = np.arange(count).astype(wanted.type.numpy)
    made = arith.constant(current().builder, data, vector_type(count, wanted.type))
    return wrap(made, wanted)


def mask_below(count: Any, width: Any) -> SIMD:
    """Return a mask whose first ``count`` lanes hold."""
    from kdsl.language.values import BOOL

    lanes = check_width(width, "kd.mask_below", BOOL)
    made = emit(
        vector.CreateMask,
        as_index(count, "kd.mask_below").ir,
        types=[vector_type(lanes, BOOL.type)],
    )
    return wrap(made, BOOL)


def simd_constant(value: Any, dtype: DType, width: int) -> Any:
    """Return a constant in every lane."""
    return constant(value, dtype, vector_type(width, dtype.type))
