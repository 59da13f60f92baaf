"""Call a built rope with one to three fields of a right call changed; run as a program by test_fuzz_rope.

Each tensor has a page of its own. A refused call must leave all pages as they were and say why; an
accepted one may change the output's page only. Position ids are data, not arguments: they lie within the
tables.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from wild import BF16, F32, I32, WILD, make, reaches_out

from kdsl.serving.library import load

LIBRARY = load(sys.argv[1])
COUNTS: Counter[bool] = Counter()
FIRST_ARGUMENT_ERROR = 16
SIZE, ANGLES = 8, 4
NAMES = ("x", "cos", "sin", "out", "positions")
PAGES = {name: np.empty(2048, np.float32) for name in NAMES}
SMALL = st.integers(0, 4)
FIELDS = {
    "data": st.just(0),
    "device_type": st.integers(-1, 16),
    "ndim": WILD.filter(lambda n: abs(n) < 2**31),
    "word": st.one_of(st.sampled_from([F32, BF16, I32]), st.integers(0, 2**32 - 1)),
    "shape": st.none() | st.tuples(st.integers(0, 3), WILD),
    "strides": st.none() | st.tuples(st.integers(0, 3), WILD),
    "byte_offset": st.sampled_from([1, 2, 4, 16]),
}


def tensor(name, word, *shape):
    strides = [int(np.prod(shape[k + 1 :])) for k in range(len(shape))]
    padding = [1] * (16 - len(shape))
    return {
        "data": PAGES[name].ctypes.data, "device_type": 1, "ndim": len(shape), "word": word,
        "shape": [*shape, *padding], "strides": [*strides, *padding], "byte_offset": 0,
    }  # fmt: skip


@st.composite
def calls(draw):
    """Draw the fields of a right call, and change up to three of them."""
    batch, heads, rows = draw(SMALL), draw(SMALL), draw(SMALL)
    word, table = draw(st.sampled_from([F32, BF16])), rows + draw(SMALL)
    given = {
        "x": tensor("x", word, batch, heads, rows, SIZE),
        "cos": tensor("cos", F32, table, ANGLES),
        "sin": tensor("sin", F32, table, ANGLES),
        "out": tensor("out", word, batch, heads, rows, SIZE),
        "positions": tensor("positions", I32, batch, rows) if draw(st.booleans()) else None,
    }
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(NAMES))
        field = draw(st.sampled_from(["all", *FIELDS]))
        if field == "all" or given[name] is None:
            given[name] = None
            continue
        value = draw(FIELDS[field])
        if isinstance(value, tuple):
            axis, value = value
            row = given[name][field]
            value = None if row is None else [*row[:axis], value, *row[axis + 1 :]]
        given[name][field] = value
    return given


def table_rows(fields):
    shapes = [(fields[name] or {}).get("shape") for name in ("cos", "sin")]
    return max(1, min(shape[0] if shape else 1 for shape in shapes))


STARTS = st.one_of(st.just(0), st.integers(-(2**31), 2**31 - 1))


@settings(max_examples=int(sys.argv[2]), deadline=None, database=None)
@given(calls(), STARTS, st.integers(0, 2**32 - 1))
def rope(fields, start, seed):
    if any(reaches_out(f, PAGES[name].nbytes) for name, f in fields.items()):
        return
    rng = np.random.default_rng(seed)
    for page in PAGES.values():
        page.view(np.uint32)[:] = rng.integers(0, 2**32, page.size, np.uint32)
    PAGES["positions"].view(np.int32)[:] = rng.integers(
        0, table_rows(fields), PAGES["positions"].size
    )
    before = {name: page.tobytes() for name, page in PAGES.items()}
    keep: list[object] = []
    given = [make(fields[name], keep) for name in NAMES]
    status = LIBRARY.handle.kdsl_rope(*given, start, None)
    COUNTS[status == 0] += 1
    assert status == 0 or status >= FIRST_ARGUMENT_ERROR
    if status:
        assert LIBRARY.handle.kdsl_last_error()
    for name, page in PAGES.items():
        assert page.tobytes() == before[name] or (name == "out" and not status)


if __name__ == "__main__":
    rope()
    assert COUNTS[True], "no call was accepted: the fuzzer is too wild"
    assert COUNTS[False], "no call was refused: the fuzzer is too tame"
    print(f"{COUNTS[False]} calls refused, {COUNTS[True]} accepted")
