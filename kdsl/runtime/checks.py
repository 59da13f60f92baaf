"""Arguments of a call against a signature: everything is checked before any memory is touched."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from kdsl.errors import (
    AlignmentError,
    ArgumentDtypeError,
    ArgumentRankError,
    ArgumentShapeError,
    ArgumentStrideError,
    ArgumentTypeError,
    DeviceError,
    NullArgumentError,
    ReadOnlyArrayError,
    RelationError,
    ScalarRangeError,
)
from kdsl.ir.signature import PTR, SCALAR, Arg, Signature
from kdsl.ir.types import DTYPES, DType
from kdsl.runtime.views import HOST, Device, View, view_of

WORD = 1 << 64
HALF_WORD = 1 << 63


class Checked:
    """A signature made ready for checking: per argument what would be looked up each time."""

    __slots__ = ("aligns", "args", "code", "device", "dtypes", "kernel", "signature")

    def __init__(self, signature: Signature, device: Device | str = HOST) -> None:
        self.signature = signature
        self.device = device
        self.kernel = signature.name
        self.args = signature.args
        self.dtypes = [DTYPES[a.dtype] for a in signature.args]
        self.aligns = [
            max(a.align, d.itemsize) for a, d in zip(self.args, self.dtypes, strict=True)
        ]
        self.code = [(r, compile(r.text, "<relation>", "eval")) for r in signature.relations]

    def slots(self, values: Sequence[Any], words: list[int], keep: list[Any]) -> None:
        """Append the slots of all arguments; raise a LaunchError for the first misfit."""
        dims: dict[str, int] = {}
        owners: dict[str, str] = {}
        for arg, value, dtype, align in zip(
            self.args, values, self.dtypes, self.aligns, strict=True
        ):
            if arg.kind == SCALAR:
                word, number = scalar_word(self.kernel, arg, dtype, value)
                words.append(word)
                if number is not None:
                    dims[arg.name] = number
                continue
            view = value if value.__class__ is View else view_of(value)
            if view is None:
                self._missing(arg, value, words)
                continue
            self._array(arg, align, view, dims, owners)
            words.append(view.address)
            if arg.kind != PTR:
                words += view.shape
                words += view.strides
            keep.append(view.keep)
        for relation, code in self.code:
            self._relation(relation, code, dims)

    def _missing(self, arg: Arg, value: Any, words: list[int]) -> None:
        if value is not None:
            wanted = f"an array of {arg.dtype}"
            raise ArgumentTypeError(
                kernel=self.kernel, name=arg.name, wanted=wanted, got=type(value).__name__
            )
        if not arg.optional:
            raise NullArgumentError(kernel=self.kernel, name=arg.name)
        words += [0] * arg.slots

    def _array(
        self, arg: Arg, align: int, view: View, dims: dict[str, int], owners: dict[str, str]
    ) -> None:
        kernel, name, shape, strides = self.kernel, arg.name, view.shape, view.strides
        if view.device != self.device:
            raise DeviceError(kernel=kernel, name=name, got=view.device, wanted=self.device)
        if view.dtype != arg.dtype:
            raise ArgumentDtypeError(kernel=kernel, name=name, wanted=arg.dtype, got=view.dtype)
        if arg.kind == PTR:
            self._contiguous(arg, view)
        else:
            if len(shape) != len(arg.dims):
                listed = ", ".join(map(str, arg.dims))
                raise ArgumentRankError(
                    kernel=kernel, name=name, wanted=len(arg.dims), dims=listed, shape=shape
                )
            for axis, (dim, extent) in enumerate(zip(arg.dims, shape, strict=True)):
                wanted = dims.setdefault(dim, extent) if isinstance(dim, str) else dim
                if wanted != extent:
                    self._wrong_extent(arg, axis, extent, wanted, owners)
                if isinstance(dim, str):
                    owners.setdefault(dim, name)
                elif arg.dim_names:
                    dims[arg.dim_names[axis] or ""] = extent
            if arg.unit_stride and strides and strides[-1] != 1 and shape[-1] > 1:
                raise ArgumentStrideError(
                    kernel=kernel, name=name, wanted="an innermost stride of 1", got=strides
                )
            if -1 in strides:
                self._negative(arg, view)
        if view.address % align and 0 not in shape:
            raise AlignmentError(
                kernel=kernel, name=name, wanted=align, got=hex(view.address % 4096)
            )
        if view.readonly and arg.access != "ro":
            raise ReadOnlyArrayError(kernel=kernel, name=name)

    def _contiguous(self, arg: Arg, view: View) -> None:
        """Check that elements lie one after the other: a pointer sees no strides."""
        step = 1
        for extent, stride in zip(reversed(view.shape), reversed(view.strides), strict=True):
            if extent != 1 and stride != step and 0 not in view.shape:
                raise ArgumentStrideError(
                    kernel=self.kernel,
                    name=arg.name,
                    wanted="contiguous elements",
                    got=view.strides,
                )
            step *= extent

    def _negative(self, arg: Arg, view: View) -> None:
        """-1 may be a reversed axis, or bytes that are no whole number of elements."""
        raw = getattr(view.keep, "strides", None)
        size = DTYPES[arg.dtype].itemsize
        if isinstance(view.keep, np.ndarray) and any(s % size for s in raw or ()):
            raise ArgumentStrideError(
                kernel=self.kernel, name=arg.name, wanted="strides of whole elements", got=raw
            )

    def _wrong_extent(
        self, arg: Arg, axis: int, extent: int, wanted: int, owners: Mapping[str, str]
    ) -> None:
        dim = arg.dims[axis]
        fixed = arg.dim_name(axis)
        by = (
            f"{owners.get(dim, 'an earlier argument')!r}" if isinstance(dim, str) else "declaration"
        )
        raise ArgumentShapeError(
            kernel=self.kernel,
            name=arg.name,
            dim=fixed or f"axis {axis}",
            got=extent,
            wanted=wanted,
            by=by,
        )

    def _relation(self, relation: Any, code: Any, dims: Mapping[str, int]) -> None:
        try:
            holds = eval(code, {"__builtins__": {}}, dims)  # noqa: S307 - kdsl's own text
        except ZeroDivisionError:
            holds = False
        if not holds:
            values = ", ".join(f"{n} = {dims[n]}" for n in relation.names)
            raise RelationError(kernel=self.kernel, relation=relation.text, values=values)


# ---------------------------------------------------------------------------------------- scalars


def scalar_word(kernel: str, arg: Arg, dtype: DType, value: Any) -> tuple[int, int | None]:
    """Return a scalar as a slot, and as an int when relations may use it."""
    kind = dtype.kind
    if kind == "f":
        return _float_word(kernel, arg, dtype, value), None
    if value is None:
        raise NullArgumentError(kernel=kernel, name=arg.name)
    if kind == "b":
        if not isinstance(value, bool | np.bool_):
            raise _wrong_scalar(kernel, arg, "a bool", value)
        return int(value), int(value)
    try:
        number = index(value)
    except TypeError:
        raise _wrong_scalar(kernel, arg, f"an integer ({dtype})", value) from None
    low, high = (
        (0, 1 << dtype.bits) if kind == "u" else (-(1 << dtype.bits - 1), 1 << dtype.bits - 1)
    )
    if not low <= number < high:
        raise ScalarRangeError(kernel=kernel, name=arg.name, got=number, dtype=dtype)
    return (number - WORD if number >= HALF_WORD else number), number


def _wrong_scalar(kernel: str, arg: Arg, wanted: str, value: Any) -> ArgumentTypeError:
    return ArgumentTypeError(kernel=kernel, name=arg.name, wanted=wanted, got=type(value).__name__)


def _float_word(kernel: str, arg: Arg, dtype: DType, value: Any) -> int:
    """Return the bits of a float in the low bytes; finite numbers must stay finite."""
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        if value is None:
            raise NullArgumentError(kernel=kernel, name=arg.name)
        if not hasattr(value, "__float__") or isinstance(value, str | np.ndarray | bool):
            raise _wrong_scalar(kernel, arg, f"a number ({dtype})", value)
    number = float(value)
    if dtype.bits == 64:
        return int(struct.unpack("<q", struct.pack("<d", number))[0])
    if dtype.bits == 32:
        try:
            return int(struct.unpack("<I", struct.pack("<f", number))[0])
        except OverflowError:
            raise ScalarRangeError(kernel=kernel, name=arg.name, got=value, dtype=dtype) from None
    with np.errstate(all="ignore"):
        narrow = np.asarray(number).astype(dtype.numpy)
    if np.isfinite(number) and not np.isfinite(narrow.astype(np.float32)):
        raise ScalarRangeError(kernel=kernel, name=arg.name, got=value, dtype=dtype)
    return int(narrow.view(np.dtype(f"u{dtype.itemsize}")))
