"""Arrays of any library as address, dtype, shape and strides, without copying.

NumPy arrays are read directly, torch tensors by their own methods, everything else through DLPack.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np

from kdsl.ir.types import DTYPES, dtype_of_numpy

CPU_DEVICES = (1, 3, 11)
"""DLPack's numbers of memory that the CPU reads: plain, and pinned for CUDA or ROCm."""
DEVICE_NAMES = {
    2: "a CUDA device",
    4: "an OpenCL device",
    7: "a Vulkan device",
    8: "a Metal device",
    10: "a ROCm device",
    12: "CUDA managed memory",
}
INTERFACE_DEVICE = 2
"""The kind of device whose arrays may have an array interface instead of DLPack."""
NO_WAITING = -1
"""To ``__dlpack__``: the array's queue need not be waited for."""
HOST = "the host"


class Device(NamedTuple):
    """Memory that the CPU does not read: DLPack's number of its kind, and which one it is."""

    kind: int
    number: int

    def __str__(self) -> str:
        kind = DEVICE_NAMES.get(self.kind, f"device type {self.kind}")
        return f"{kind} (number {self.number})"


class View:
    """What a launch needs to know of an array; strides in elements; ``keep`` owns the memory."""

    __slots__ = ("address", "device", "dtype", "keep", "readonly", "shape", "strides")

    def __init__(
        self,
        address: int,
        dtype: str,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        readonly: bool,
        device: Device | str = HOST,
        keep: object = None,
    ) -> None:
        self.address = address
        self.dtype = dtype
        self.shape = shape
        self.strides = strides
        self.readonly = readonly
        self.device = device
        self.keep = keep


_NAMES: dict[Any, str] = {}
"""dtype objects of any library -> dtype names, learned as they come."""


def view_of(x: Any) -> View | None:
    """Return the view of an array, None for what is no array."""
    if x.__class__ is np.ndarray or isinstance(x, np.ndarray):
        return view_of_numpy(x)
    if hasattr(x, "data_ptr") and hasattr(x, "stride"):
        return _view_of_torch(x)
    if hasattr(x, "__dlpack__"):
        return _view_of_dlpack(x)
    if hasattr(x, "__cuda_array_interface__"):
        return _view_of_interface(x)
    return None


def view_of_numpy(x: np.ndarray) -> View:
    """Return the view of a NumPy array."""
    described = x.__array_interface__
    address, readonly = described["data"]
    name = _NAMES.get(x.dtype) or _name_of_numpy(x.dtype)
    strides = described["strides"]
    shape = x.shape
    if strides is None:
        return View(address, name, shape, contiguous(shape), readonly, HOST, x)
    size = x.itemsize
    return View(address, name, shape, tuple(_elements(s, size) for s in strides), readonly, HOST, x)


def _elements(stride: int, size: int) -> int:
    """Return a byte stride in elements; -1 stands for one that is no multiple."""
    return stride // size if stride % size == 0 else -1


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return row-major strides in elements."""
    if len(shape) == 1:
        return (1,)
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(extent, 1)
    return tuple(reversed(strides))


def _name_of_numpy(dtype: np.dtype) -> str:
    """Return kdsl's name, or NumPy's for a dtype that kdsl has not (or in the other byte order)."""
    found = dtype_of_numpy(dtype) if dtype.isnative else None
    name = found.name if found is not None else str(dtype)
    _NAMES[dtype] = name
    return name


def _view_of_torch(x: Any) -> View:
    name = _NAMES.get(x.dtype)
    if name is None:
        name = _NAMES[x.dtype] = _TORCH.get(str(x.dtype), str(x.dtype))
    if x.is_cpu:
        return View(x.data_ptr(), name, tuple(x.shape), tuple(x.stride()), False, HOST, x)
    if x.is_meta:
        nowhere = f"the device {x.device}"
        return View(0, name, tuple(x.shape), tuple(x.stride()), False, nowhere, x)
    kind, index = x.detach().__dlpack_device__()
    device = Device(int(kind), int(index))
    return View(x.data_ptr(), name, tuple(x.shape), tuple(x.stride()), False, device, x)


_TORCH = {
    "torch.bool": "bool", "torch.int8": "i8", "torch.int16": "i16", "torch.int32": "i32",
    "torch.int64": "i64", "torch.uint8": "u8", "torch.uint16": "u16", "torch.uint32": "u32",
    "torch.uint64": "u64", "torch.float16": "f16", "torch.bfloat16": "bf16",
    "torch.float32": "f32", "torch.float64": "f64", "torch.float8_e4m3fn": "f8e4m3",
    "torch.float8_e5m2": "f8e5m2",
}  # fmt: skip

TORCH_NAMES = {name: text.partition(".")[2] for text, name in _TORCH.items()}
"""dtype names -> torch's."""


# ---------------------------------------------------------------------------------------- DLPack


class _Device(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("number", ctypes.c_int32))


class _Dtype(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _Dtype),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
_BY_CODE = {(d.dlpack, d.itemsize * 8): d.name for d in DTYPES.values() if d.kind != "x"}


def _view_of_dlpack(x: Any) -> View:
    """Read the unversioned form, which every library gives; the view keeps the capsule."""
    kind, index = x.__dlpack_device__() if hasattr(x, "__dlpack_device__") else (1, 0)
    device: Device | str = HOST if kind in CPU_DEVICES else Device(int(kind), int(index))
    # The launch goes to the queue that the array's library uses, so nothing has to wait here.
    capsule = x.__dlpack__() if device == HOST else x.__dlpack__(stream=NO_WAITING)
    found = ctypes.cast(_pointer_of(capsule, b"dltensor"), ctypes.POINTER(_Tensor)).contents
    shape = tuple(found.shape[: found.ndim])
    strides = tuple(found.strides[: found.ndim]) if found.strides else contiguous(shape)
    code = (found.dtype.code, found.dtype.bits)
    name = _BY_CODE.get(code, f"DLPack code {code[0]}, {code[1]} bits")
    if found.dtype.lanes != 1:
        name = f"{name} x {found.dtype.lanes}"
    address = (found.data or 0) + found.byte_offset
    return View(address, name, shape, strides, _is_readonly(x), device, (x, capsule))


def _view_of_interface(x: Any) -> View:
    """Read the older protocol of device arrays, which does not tell the device: it is the first."""
    told = x.__cuda_array_interface__
    address, readonly = told["data"]
    dtype, shape = np.dtype(told["typestr"]), tuple(told["shape"])
    given = told.get("strides")
    size = dtype.itemsize
    strides = contiguous(shape) if given is None else tuple(_elements(s, size) for s in given)
    name = _NAMES.get(dtype) or _name_of_numpy(dtype)
    return View(address, name, shape, strides, readonly, Device(INTERFACE_DEVICE, 0), x)


def _is_readonly(x: Any) -> bool:
    """Return whether the owner says so: jax arrays never may be written."""
    flags = getattr(x, "flags", None)
    if flags is not None and hasattr(flags, "writeable"):
        return not flags.writeable
    return type(x).__module__.partition(".")[0] in ("jax", "jaxlib")
