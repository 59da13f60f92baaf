"""Call the sample's bare C entries with random DLTensors; run as a program by test_calls.

Pointers that a tensor may hold are valid or null; everything else is arbitrary. A call that is accepted must
be right by our own rules; poisoned outputs must be unchanged after a refusal.
"""

from __future__ import annotations

import ctypes
import sys
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kdsl.serving.library import load

WILD = st.one_of(st.integers(-2, 9), st.sampled_from([-(2**63), 2**63 - 1, 2**31, 2**62, -1]))
PAGE = np.zeros(4096, np.float32)
LIBRARY = load(sys.argv[1])
COUNTS: Counter[bool] = Counter()


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
        "data": draw(st.sampled_from([0, 1, 1, 1, 1])),
        "device_type": 1 if right else draw(st.integers(-1, 3)),
        "ndim": rank if right else draw(st.integers(-1, 5)),
        "word": draw(st.sampled_from([0x12002, 0x11004]))
        if right
        else draw(st.integers(0, 2**32 - 1)),
        "shape": shape if draw(st.integers(0, 15)) else None,
        "strides": strides if draw(st.booleans()) else None,
        "byte_offset": draw(st.sampled_from([0, 0, 0, 4, 1, 16])),
    }


def make(fields, keep):
    if fields is None:
        return None
    fields = dict(fields)
    fields["data"] = PAGE.ctypes.data if fields["data"] else None
    for name in ("shape", "strides"):
        if fields[name] is not None:
            array = (ctypes.c_int64 * len(fields[name]))(*fields[name])
            keep.append(array)
            fields[name] = ctypes.addressof(array)
    dl = DL(**fields)
    keep.append(dl)
    return ctypes.addressof(dl)


def huge(fields, rank):
    """Whether an accepted tensor may reach outside the page: a lie that no check can see."""
    if fields is None or fields["shape"] is None:
        return False
    extents = fields["shape"][:rank]
    strides = fields["strides"] or [1 if a == rank - 1 else 8 for a in range(rank)]
    return (
        0 not in extents
        and sum(max(0, e - 1) * abs(s) for e, s in zip(extents, strides, strict=False)) + 8
        > PAGE.size
    )


def judge(status, before):
    COUNTS[status == 0] += 1
    if status >= 16:
        assert PAGE.tobytes() == before
        assert LIBRARY.handle.kdsl_last_error()


@settings(max_examples=1500, deadline=None, database=None)
@given(tensors(1), tensors(1))
def axpby(x, y):
    if huge(x, 1) and huge(y, 1):
        return
    PAGE[:] = 3
    keep: list[object] = []
    status = LIBRARY.handle.kdsl_axpby(make(x, keep), make(y, keep), 1.0, 1.0, None)
    judge(status, np.full(4096, 3, np.float32).tobytes())


@settings(max_examples=1500, deadline=None, database=None)
@given(tensors(2), tensors(2), tensors(1), st.integers(-(2**31), 2**31 - 1) | st.just(1))
def rows(src, out, bias, mode):
    if huge(src, 2) or huge(out, 2):
        return
    PAGE[:] = 3
    keep: list[object] = []
    made = [make(t, keep) for t in (src, out, bias)]
    status = LIBRARY.handle.kdsl_rows(*made, 1.0, mode, None)
    judge(status, np.full(4096, 3, np.float32).tobytes())


if __name__ == "__main__":
    axpby()
    rows()
    assert COUNTS[True], "no call was accepted: the fuzzer is too wild"
    print(f"{COUNTS[False]} calls refused, {COUNTS[True]} accepted")
