"""A driver that records its calls: a table of C functions in Python, as the launcher takes it.

``FakeDriver(results={"cuInit": 100})`` lets a function fail. Addresses that it gives out are of no
memory, but for what the host itself reads.
"""

# ruff: noqa: N802 - the driver names its functions like this
from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass, field

from kdsl_ptx.driver import Driver
from kdsl_ptx.driver_ir import FUNCTIONS

P, I, U, L, C = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_ubyte
ARGUMENTS = {
    "cuInit": (U,), "cuDriverGetVersion": (P,), "cuDeviceGetCount": (P,), "cuDeviceGet": (P, I),
    "cuDeviceGetAttribute": (P, I, I), "cuDeviceGetName": (P, I, I),
    "cuDevicePrimaryCtxRetain": (P, I), "cuCtxGetCurrent": (P,), "cuCtxPushCurrent": (P,),
    "cuCtxPopCurrent": (P,), "cuCtxSynchronize": (), "cuModuleLoadDataEx": (P, P, U, P, P),
    "cuModuleGetFunction": (P, P, P), "cuFuncSetAttribute": (P, I, I),
    "cuLaunchKernelEx": (P, P, P, P), "cuMemAlloc": (P, L), "cuMemHostAlloc": (P, L, U),
    "cuMemsetD8Async": (L, C, L, P), "cuMemAllocAsync": (P, L, P), "cuMemFreeAsync": (L, P),
    "cuDeviceGetDefaultMemPool": (P, I), "cuMemPoolSetAttribute": (P, I, P),
    "cuStreamCreate": (P, U), "cuStreamSynchronize": (P,), "cuStreamDestroy": (P,),
    "cuStreamIsCapturing": (P, P), "cuThreadExchangeStreamCaptureMode": (P,),
    "cuGetErrorName": (I, P), "cuGetErrorString": (I, P),
    "cuTensorMapEncodeTiled": (P, I, U, L, P, P, P, P, I, I, I, I),
}  # fmt: skip
ERROR_NAMES = {
    2: b"CUDA_ERROR_OUT_OF_MEMORY", 100: b"CUDA_ERROR_NO_DEVICE", 209: b"CUDA_ERROR_NO_BINARY",
    222: b"CUDA_ERROR_UNSUPPORTED_PTX_VERSION", 700: b"CUDA_ERROR_ILLEGAL_ADDRESS",
    901: b"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
}  # fmt: skip
CONTEXT, STREAM_OF_OWN = 0xC0000, 0x57000


@dataclass
class Launched:
    """One launch, taken apart. ``params`` are raw bytes; ``attributes`` by number."""

    function: str
    grid: tuple
    block: tuple
    shared: int
    stream: int
    attributes: dict
    params: list


@dataclass
class FakeDriver:
    results: dict = field(default_factory=dict)
    devices: int = 1
    capability: tuple = (9, 0)
    sizes: dict = field(default_factory=dict)
    """Kernel -> bytes of each of its parameters."""
    capturing: set = field(default_factory=set)
    missing: tuple = ()
    log: bytes = b""

    def __post_init__(self):
        self.calls = []
        self.launches = []
        self.maps = []
        self.current = [None]
        self.functions = {}
        self.memory = 0x7F0000000000
        self.keep = []
        addresses = []
        for name, _ in FUNCTIONS:
            made = ctypes.CFUNCTYPE(I, *ARGUMENTS[name])(self._recorded(name))
            self.keep.append(made)
            address = ctypes.cast(made, P).value
            addresses.append(0 if name in self.missing else address)
        self.driver = Driver(addresses, self)

    def _recorded(self, name):
        answer = getattr(self, name, None)

        def call(*args):
            self.calls.append((name, *args))
            result = self.results.get(name, 0)
            if result == 0 and answer is not None:
                result = answer(*args) or 0
            return result

        return call

    def named(self, name):
        """Return the arguments of every call of a function."""
        return [call[1:] for call in self.calls if call[0] == name]

    @property
    def names(self):
        return [call[0] for call in self.calls]

    # ------------------------------------------------------------------------------- answers

    def cuDriverGetVersion(self, out):
        I.from_address(out).value = 13010

    def cuDeviceGetCount(self, out):
        I.from_address(out).value = self.devices

    def cuDeviceGet(self, out, index):
        I.from_address(out).value = 40 + index

    def cuDeviceGetAttribute(self, out, number, device):
        known = {16: 132, 75: self.capability[0], 76: self.capability[1]}
        I.from_address(out).value = known[number]

    def cuDeviceGetName(self, out, size, device):
        ctypes.memmove(out, b"a fake\0", 7)

    def cuDevicePrimaryCtxRetain(self, out, device):
        P.from_address(out).value = CONTEXT + device - 40

    def cuCtxGetCurrent(self, out):
        P.from_address(out).value = self.current[-1]

    def cuCtxPushCurrent(self, context):
        self.current.append(context)

    def cuCtxPopCurrent(self, out):
        P.from_address(out).value = self.current.pop()

    def cuModuleLoadDataEx(self, out, image, count, keys, values):
        P.from_address(out).value = 0xAAA0
        self.image = ctypes.string_at(image, 4)
        self.loaded_in = self.current[-1]
        if self.log:
            buffer = P.from_address(values).value
            ctypes.memmove(buffer, self.log + b"\0", len(self.log) + 1)
            return 218
        return 0

    def cuModuleGetFunction(self, out, module, name):
        handle = 0xF000 + 16 * len(self.functions)
        self.functions[handle] = ctypes.string_at(name).decode()
        P.from_address(out).value = handle

    def cuMemAlloc(self, out, size):
        L.from_address(out).value = self._new(size)

    def cuMemAllocAsync(self, out, size, stream):
        L.from_address(out).value = self._new(size)

    def _new(self, size):
        self.memory += 1 << 20
        return self.memory

    def cuMemHostAlloc(self, out, size, flags):
        buffer = ctypes.create_string_buffer(size)
        self.keep.append(buffer)
        P.from_address(out).value = ctypes.addressof(buffer)

    def cuDeviceGetDefaultMemPool(self, out, device):
        P.from_address(out).value = 0xB001

    def cuStreamCreate(self, out, flags):
        P.from_address(out).value = STREAM_OF_OWN

    def cuStreamIsCapturing(self, stream, out):
        I.from_address(out).value = int((stream or 0) in self.capturing)

    def cuThreadExchangeStreamCaptureMode(self, place):
        mode = I.from_address(place)
        before = getattr(self, "mode", 0)
        self.mode, mode.value = mode.value, before

    def cuGetErrorName(self, result, out):
        text = ERROR_NAMES.get(result)
        if text is None:
            return 1
        P.from_address(out).value = ctypes.cast(ctypes.c_char_p(text), P).value
        return 0

    def cuGetErrorString(self, result, out):
        return 1

    def cuTensorMapEncodeTiled(
        self,
        out,
        kind,
        rank,
        address,
        dims,
        strides,
        box,
        ones,
        interleave,
        swizzle,
        promotion,
        oob,
    ):
        assert out % 64 == 0
        self.maps.append({
            "kind": kind,
            "address": address,
            "dims": list((L * rank).from_address(dims)),
            "strides": list((L * (rank - 1)).from_address(strides)),
            "box": list((U * rank).from_address(box)),
            "ones": list((U * rank).from_address(ones)),
            "modes": (interleave, swizzle, promotion, oob),
        })  # fmt: skip
        ctypes.memmove(out, struct.pack("<16Q", *range(len(self.maps), len(self.maps) + 16)), 128)

    def cuLaunchKernelEx(self, config, function, params, extra):
        assert extra is None
        raw = ctypes.string_at(config, 56)
        *sizes, shared = struct.unpack_from("<7I", raw)
        stream, table, count = struct.unpack_from("<QQI", raw, 32)
        attributes = {}
        for i in range(count):
            number, x, y, z = struct.unpack_from("<I4xIII", ctypes.string_at(table + 72 * i, 72))
            attributes[number] = (x, y, z) if number == 4 else x
        name = self.functions[function]
        sizes_of = self.sizes.get(name, ())
        places = (P * len(sizes_of)).from_address(params)
        values = [ctypes.string_at(p, n) for p, n in zip(places, sizes_of, strict=True)]
        self.launches.append(
            Launched(name, tuple(sizes[:3]), tuple(sizes[3:]), shared, stream, attributes, values)
        )
