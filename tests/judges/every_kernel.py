"""Every kernel and program of the examples and the library, with options and small arguments."""

from __future__ import annotations

import elementwise as example_elementwise
import histogram
import int4_matvec
import mandelbrot
import matmul
import numpy as np
import prefix_sum
import reduction
import softmax
import stencil
import transpose

from kdsl.testing.library_cases import (
    BLOCKS,
    COLS,
    DEPTH,
    NUMPY,
    RAGGED,
    ROWS,
    Case,
    floats,
    integers,
    library_cases,
)


def cases() -> list[Case]:
    """Return all cases; small enough for the interpreter."""
    return [*_examples(), *library_cases()]


def _examples() -> list[Case]:
    n = np.int64(RAGGED)
    row, matrix = (floats(RAGGED, seed=s) for s in (1, 2)), floats(ROWS, COLS)
    counted = integers(RAGGED, dtype=np.uint8, high=12)
    packed = integers(3, 16, dtype=np.uint8, high=256)
    pixels, out = np.zeros((4, COLS), np.int32), np.zeros_like(matrix)
    counts = np.zeros(9, np.int32)
    numbers = integers(3, RAGGED, dtype=np.int32, low=-9)
    view = (np.float32(-2.1), np.float32(-1.2), np.float32(0.3), np.int32(12))
    found = [
        Case(example_elementwise.silu_mul, {}, (*row, np.zeros(RAGGED, np.float32), n)),
        Case(histogram.histogram, {"CHUNK": 8}, (counted, counts)),
        Case(
            int4_matvec.int4_matvec,
            {"GROUP": 8},
            (packed, floats(3, 4), floats(2, 16), np.zeros(3, np.float32)),
        ),
        Case(mandelbrot.mandelbrot, {}, (pixels, *view)),
        Case(
            matmul.matmul,
            {**BLOCKS, "BK": 8},
            (floats(ROWS, DEPTH), floats(DEPTH, COLS), np.zeros((ROWS, COLS), np.float32)),
        ),
        Case(prefix_sum.prefix_sum, {"BLOCK": 8}, (numbers, np.zeros_like(numbers))),
        Case(reduction.rms_norm, {}, (matrix, floats(COLS), out, np.float32(1e-5))),
        Case(softmax.softmax, BLOCKS, (matrix * 4, out)),
        Case(stencil.diffuse, {}, (matrix, out, np.float32(0.1))),
    ]
    for dtype in ("f32", "bf16", "i8"):
        x = (floats(ROWS, COLS) * 40).astype(NUMPY[dtype])
        found.append(Case(transpose.transpose, {"T": dtype, "BLOCK": 8}, (x, np.zeros_like(x.T))))
    return found
