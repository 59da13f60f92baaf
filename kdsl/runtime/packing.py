"""A packer for one signature, written as Python text: the quick way for NumPy arrays that fit.

It accepts less than ``checks`` does and never explains: what it does not take goes the slow way,
which either packs it or names what is wrong.

    def pack(a0, a1):
        if a0.__class__ is not ndarray or a0.dtype is not t0: return None
        ...
        return array("q", (address, n, stride, ...))
"""

from __future__ import annotations

import ctypes
import re
import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdsl.ir.signature import PTR, SCALAR, Arg, Signature
from kdsl.ir.types import DTYPES, DType
from kdsl.runtime.views import HOST, Device

DATA_OFFSET = 16
"""Where CPython's NumPy arrays hold their address, after the object's head."""

Pack = Callable[..., "array[int] | None"]
CurrentQueue = Callable[[int], int]
"""From a device's number to the handle of the queue that launches go to now."""
_INTEGER_AT = ctypes.c_int64.from_address
_FLOAT_BITS = {
    32: (struct.Struct("<f").pack, struct.Struct("<I").unpack),
    64: (struct.Struct("<d").pack, struct.Struct("<q").unpack),
}
NAME = re.compile(r"[A-Za-z_]\w*")


def _layout_is_known() -> bool:
    """Ask NumPy itself whether arrays look as expected."""
    for probe in (np.zeros(3), np.zeros((2, 2), np.int8)[1:]):
        if _INTEGER_AT(id(probe) + DATA_OFFSET).value != probe.__array_interface__["data"][0]:
            return False
    return True


LAYOUT_IS_KNOWN = _layout_is_known()


def packer(
    signature: Signature,
    given: Sequence[Any],
    leading: int = 0,
    device: Device | str = HOST,
    queue: CurrentQueue | None = None,
) -> Pack | None:
    """Return the packer; None for signatures that it does not cover.

    ``given`` are the arguments of a call: later ones must be of the same kinds, NumPy arrays and
    torch tensors each in their place, None where it was None. ``leading`` grid sizes come first.
    With a ``device`` of its own the current ``queue`` and the device's number come last.
    """
    if not LAYOUT_IS_KNOWN:
        return None
    text = _Text(device)
    head = [f"g{i}" for i in range(leading)]
    text.words += head
    for i, (arg, value) in enumerate(zip(signature.args, given, strict=True)):
        dtype = DTYPES[arg.dtype]
        if arg.kind == SCALAR:
            if not text.scalar(i, arg, dtype):
                return None
        elif value is None:
            text.refuse(f"a{i} is not None")
            text.words += ["0"] * arg.slots
        elif isinstance(value, np.ndarray) and device == HOST:
            text.array(i, arg, dtype)
        elif hasattr(value, "data_ptr"):
            text.tensor(i, arg, dtype, value)
        else:
            return None
    for relation in signature.relations:
        known = NAME.sub(lambda m: text.dims.get(m[0], m[0]), relation.text)
        text.refuse(f"not ({known})")
    if isinstance(device, Device):
        text.words += [f"queue({device.number})", str(device.number)]
    names = ", ".join([*head, *(f"a{i}" for i in range(len(signature.args)))])
    body = "\n    ".join([*text.lines, f"return array('q', ({', '.join(text.words)},))"])
    known_names = {"array": array, "ndarray": np.ndarray, "at": _INTEGER_AT, "queue": queue}
    scope: dict[str, Any] = {**known_names, **text.scope}
    exec(f"def pack({names}):\n    {body}\n", scope)  # noqa: S102 - the text above, no user's
    made: Pack = scope["pack"]
    return made


class _Text:
    def __init__(self, device: Device | str) -> None:
        self.device = device
        self.lines: list[str] = []
        self.words: list[str] = []
        self.dims: dict[str, str] = {}
        self.scope: dict[str, Any] = {}

    def refuse(self, condition: str) -> None:
        self.lines.append(f"if {condition}: return None")

    def scalar(self, i: int, arg: Arg, dtype: DType) -> bool:
        name = f"a{i}"
        if dtype.kind == "b":
            self.refuse(f"{name}.__class__ is not bool")
            self.words.append(f"{name}")
        elif dtype.kind == "f":
            if dtype.bits not in _FLOAT_BITS:
                return False
            self.scope[f"p{dtype.bits}"], self.scope[f"u{dtype.bits}"] = _FLOAT_BITS[dtype.bits]
            self.refuse(f"{name}.__class__ is not float")
            self.words.append(f"u{dtype.bits}(p{dtype.bits}({name}))[0]")
        else:
            low = 0 if dtype.kind == "u" else -(1 << dtype.bits - 1)
            # An unsigned 64-bit number with its top bit set goes the slow way: a slot is signed.
            high = 1 << min(dtype.bits if dtype.kind == "u" else dtype.bits - 1, 63)
            self.refuse(f"{name}.__class__ is not int or not {low} <= {name} < {high}")
            self.words.append(name)
            self.dims[arg.name] = name
        return True

    def array(self, i: int, arg: Arg, dtype: DType) -> None:
        name, size = f"a{i}", dtype.itemsize
        self.scope[f"t{i}"] = dtype.numpy
        self.refuse(f"{name}.__class__ is not ndarray or {name}.dtype is not t{i}")
        self.lines.append(f"p{i} = at(id({name}) + {DATA_OFFSET}).value")
        align = max(arg.align, size)
        if align > 1:
            self.refuse(f"p{i} & {align - 1}" if align & (align - 1) == 0 else f"p{i} % {align}")
        self.words.append(f"p{i}")
        if arg.access != "ro" and arg.kind == PTR:
            self.lines.append(f"f{i} = {name}.flags")
            self.refuse(f"not f{i}.c_contiguous or not f{i}.writeable")
        elif arg.kind == PTR:
            self.refuse(f"not {name}.flags.c_contiguous")
        elif arg.access != "ro":
            self.refuse(f"not {name}.flags.writeable")
        if arg.kind != PTR and arg.dims:
            self._axes(i, arg, size)

    def tensor(self, i: int, arg: Arg, dtype: DType, like: Any) -> None:
        """Read a torch tensor by its own methods; its strides count elements."""
        name = f"a{i}"
        self.scope[f"c{i}"], self.scope[f"t{i}"] = type(like), like.dtype
        self.refuse(f"{name}.__class__ is not c{i} or {name}.dtype is not t{i}")
        if isinstance(self.device, Device):
            self.refuse(f"{name}.get_device() != {self.device.number}")
        else:
            self.refuse(f"not {name}.is_cpu")
        self.lines.append(f"p{i} = {name}.data_ptr()")
        align = max(arg.align, dtype.itemsize)
        if align > 1:
            self.refuse(f"p{i} % {align}")
        self.words.append(f"p{i}")
        if arg.kind == PTR:
            self.refuse(f"not {name}.is_contiguous()")
        elif arg.dims:
            self._axes(i, arg, 1, "stride()")

    # Another rank does not unpack: the caller takes the ValueError as a refusal.
    def _axes(self, i: int, arg: Arg, size: int, steps: str = "strides") -> None:
        rank = len(arg.dims)
        extents = [f"n{i}_{axis}" for axis in range(rank)]
        strides = [f"s{i}_{axis}" for axis in range(rank)]
        self.lines.append(f"{', '.join(extents)}, = a{i}.shape")
        self.lines.append(f"{', '.join(strides)}, = a{i}.{steps}")
        for axis, dim in enumerate(arg.dims):
            if isinstance(dim, int):
                self.refuse(f"{extents[axis]} != {dim}")
                named = arg.dim_name(axis)
                if named:
                    self.dims[named] = extents[axis]
            elif dim in self.dims:
                self.refuse(f"{extents[axis]} != {self.dims[dim]}")
            else:
                self.dims[dim] = extents[axis]
        if arg.unit_stride:
            self.refuse(f"{strides[-1]} != {size}")
        if size > 1:
            free = strides[:-1] if arg.unit_stride else strides
            if free:
                self.refuse(f"({' | '.join(free)}) & {size - 1}")
        self.words += extents
        self.words += [f"{s} // {size}" if size > 1 else s for s in strides]
