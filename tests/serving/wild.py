"""Random DLTensors, right and wrong, over one page of memory; for programs that fuzz built files.

Pointers that a tensor may hold are valid or null; everything else is arbitrary.
"""

from __future__ import annotations

import ctypes

import numpy as np
from hypothesis import strategies as st

WILD = st.one_of(st.integers(-2, 9), st.sampled_from([-(2**63), 2**63 - 1, 2**31, 2**62, -1]))
F32, BF16, I32 = 0x12002, 0x11004, 0x12000
"""DLDataTypes as numbers: lanes, bits and code, high to low."""
PAGE = np.zeros(4096, np.float32)


class DL(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("word", ctypes.c_uint32),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


@st.composite
def tensors(draw, rank):
    if draw(st.integers(0, 15)) == 0:
        return None
    right = draw(st.booleans())
    small = st.sampled_from([0, 1, 4, 8])
    shape = [draw(small if right else WILD) for _ in range(16)]
    strides = [draw(st.integers(0, 8) if right else WILD) for _ in range(rank - 1)]
    strides += [1 if right else draw(WILD)] * 17
    return {
        "data": PAGE.ctypes.data if draw(st.integers(0, 4)) else 0,
        "device_type": 1 if right else draw(st.integers(-1, 3)),
        "ndim": rank if right else draw(st.integers(-1, 5)),
        "word": draw(st.sampled_from([F32, BF16])) if right else draw(st.integers(0, 2**32 - 1)),
        "shape": shape if draw(st.integers(0, 15)) else None,
        "strides": strides if draw(st.booleans()) else None,
        "byte_offset": draw(st.sampled_from([0, 0, 0, 4, 1, 16])),
    }


def make(fields, keep):
    if fields is None:
        return None
    fields = dict(fields)
    fields["data"] = fields["data"] or None
    for name in ("shape", "strides"):
        if fields[name] is not None:
            array = (ctypes.c_int64 * len(fields[name]))(*fields[name])
            keep.append(array)
            fields[name] = ctypes.addressof(array)
    dl = DL(**fields)
    keep.append(dl)
    return ctypes.addressof(dl)


def reaches_out(fields, size):
    """Whether an accepted tensor may reach outside ``size`` bytes: a lie that no check can see."""
    if fields is None or fields["shape"] is None:
        return False
    rank = min(max(fields["ndim"], 0), 16)
    extents = fields["shape"][:rank]
    strides = fields["strides"] or [
        int(np.prod(extents[k + 1 :], dtype=object)) for k in range(rank)
    ]
    last = sum(max(0, e - 1) * abs(s) for e, s in zip(extents, strides, strict=False)) + 1
    return 0 not in extents and 8 * last + fields["byte_offset"] > size
