"""Tile sizes by what a chip can do; every choice may be overridden by the kernels' Const values."""

from __future__ import annotations

from typing import Any

import kdsl as kd

MATRIX_REGISTERS = 208
"""Of a lane's 240 registers beside such a unit, what scores, weights and output may take."""


def attention_tiles(size: int, dtype: Any, packed: bool = False) -> tuple[int, int]:
    """Return rows of queries and of keys in a block for heads of ``size`` elements.

    ``packed``: the rows of a sequence end where only the device knows.

    A unit that multiplies ``matrix_rows`` rows out of workgroup memory by itself is fed best by two
    groups of rows, by three where the output is small; a lane then holds, of each of its two rows,
    a quarter of the scores (f32), the weights (16 bits) and the output (f32).
    """
    features = kd.features()
    unit = features.matrix_rows if dtype.bits == 16 and not packed else 0  # else it is not fed
    if not unit:
        few = 0 < features.lane_registers <= 256
        if few and dtype.bits > 16 and size > 64:
            return 32, 32  # sums without a matrix unit: both operands take registers
        # Without a unit that reads matrices, fragments of keys take registers beside the output.
        narrow = 0 < features.lane_registers <= 256 and not features.matrix_load
        return (128, 32) if narrow and size > 64 else (64, 64)
    groups = 3 if size <= 64 else 2
    fits = [n for n in (128, 112, 96, 80, 64) if n // 2 + n // 4 + size // 2 <= MATRIX_REGISTERS]
    return unit * groups, fits[0] if fits else 64


def product_tiles(dtype: Any, outputs: int = 1) -> tuple[int, int, int]:
    """Return rows, columns and depth of a block of a product with ``outputs`` accumulators."""
    features = kd.features()
    if features.matrix_rows and dtype.bits == 16:
        return 2 * features.matrix_rows, 256 // outputs, 64
    if features.subgroup > 1 and dtype.bits == 16:
        return 128, 128 // outputs, 32
    if features.subgroup > 1:
        return 64, 64 // outputs, 32
    return 64, 64, 192
