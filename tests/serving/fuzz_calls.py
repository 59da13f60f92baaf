"""Call the sample's bare C entries with random DLTensors; run as a program by test_calls.

A call that is accepted must be right by our own rules; poisoned outputs must be unchanged after a refusal.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from wild import PAGE, make, reaches_out, tensors

from kdsl.serving.library import load

LIBRARY = load(sys.argv[1])
COUNTS: Counter[bool] = Counter()


def judge(status, before):
    COUNTS[status == 0] += 1
    if status >= 16:
        assert PAGE.tobytes() == before
        assert LIBRARY.handle.kdsl_last_error()


@settings(max_examples=1500, deadline=None, database=None)
@given(tensors(1), tensors(1))
def axpby(x, y):
    if reaches_out(x, PAGE.nbytes) and reaches_out(y, PAGE.nbytes):
        return
    PAGE[:] = 3
    keep: list[object] = []
    status = LIBRARY.handle.kdsl_axpby(make(x, keep), make(y, keep), 1.0, 1.0, None)
    judge(status, np.full(4096, 3, np.float32).tobytes())


@settings(max_examples=1500, deadline=None, database=None)
@given(tensors(2), tensors(2), tensors(1), st.integers(-(2**31), 2**31 - 1) | st.just(1))
def rows(src, out, bias, mode):
    if reaches_out(src, PAGE.nbytes) or reaches_out(out, PAGE.nbytes):
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
