"""Matrix instructions, by AMD's published layouts of their operands.

Source: AMD's matrix instruction calculator (CDNA1 to CDNA3, RDNA3, RDNA4); the k order of CDNA4's
double-rate forms follows the same rule. Tables here are not those of ``kdsl.target.atoms``: a
mistake in one of them shows as a wrong product.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from kdsl_amdgpu.emulator.program import Instruction
from kdsl_amdgpu.emulator.scalar import Step
from kdsl_amdgpu.emulator.state import (
    F16,
    F32,
    I32,
    U8,
    U16,
    U32,
    Array,
    Waves,
    number,
    unknown,
    vector_register,
)  # fmt: skip
from kdsl_amdgpu.features import Chip

_WORD = re.compile(r"v_(mfma|wmma)_(f32|i32)_(\d+)x(\d+)x(\d+)_?(\w+?)(?:_1k)?")
TYPES: dict[str, tuple[Any, int]] = {
    "f16": (F16, 2), "bf16": (ml_dtypes.bfloat16, 2), "i8": (np.int8, 1), "iu8": (np.int8, 1),
    "fp8_fp8": (ml_dtypes.float8_e4m3fn, 1), "bf8_bf8": (ml_dtypes.float8_e5m2, 1),
}  # fmt: skip
"""Ending of a mnemonic -> how operand elements are read, bytes."""
Places = tuple[Array, Array]


@dataclass(frozen=True, slots=True)
class Unit:
    """Where elements are.

    ``operand``: (row or column, k) by [lane, element]; ``result``: (row, column) by
    [lane, register].
    """

    m: int
    n: int
    k: int
    operand: Places
    result: Places


def mfma_unit(m: int, k: int) -> Unit:
    """Return the places of a matrix instruction of 64 lanes."""
    lane = np.arange(64)[:, None]
    per = m * k // 64
    element = np.arange(per)[None]
    operand = (np.broadcast_to(lane % m, (64, per)), lane // m * per + element)
    count = m * m // 64
    register = np.arange(count)[None]
    row = (
        8 * (register // 4) + 4 * (lane // 32) + register % 4
        if m == 32
        else lane // 16 * 4 + register
    )
    return Unit(m, m, k, operand, (row, np.broadcast_to(lane % m, (64, count))))


def wmma_unit(split: bool) -> Unit:
    """Return the places of a matrix instruction of 32 lanes.

    Its halves hold different k (``split``), or the same.
    """
    lane = np.arange(32)[:, None]
    register = np.arange(8)[None]
    half = lane // 16
    if split:
        element = np.arange(8)[None]
        # k bit 2 is the half; bits 0, 1 and 3 are the element.
        k = element & 3 | half << 2 | (element & 4) << 1
        operand = (np.broadcast_to(lane % 16, (32, 8)), k)
        row = 8 * half + register
    else:
        element = np.arange(16)[None]
        operand = (np.broadcast_to(lane % 16, (32, 16)), np.broadcast_to(element, (32, 16)))
        row = 2 * register + half
    return Unit(16, 16, 16, operand, (row, np.broadcast_to(lane % 16, (32, 8))))


def matrix_multiply(ins: Instruction, chip: Chip) -> Step:
    """Multiply and add in k order, in the accumulator's type."""
    found = _WORD.fullmatch(ins.word)
    if found is None or found[6] not in TYPES:
        raise unknown(ins)
    family, result, m, _, k, kind = found.groups()
    unit = mfma_unit(int(m), int(k)) if family == "mfma" else wmma_unit(chip.family == "rdna4")
    registers = [vector_register(text) for text in ins.operands[:3]]
    if None in registers or set(ins.modifiers) - {"neg_lo"}:
        raise unknown(ins)
    d, a, b = (r for r in registers if r is not None)
    accumulate = _accumulator(ins.operands[3], I32 if result == "i32" else F32)
    read = _operand_reader(unit, *TYPES[kind])
    rows, columns = unit.result
    bits: Any = I32 if result == "i32" else F32

    def step(w: Waves) -> None:
        left, right = read(w, a), read(w, b)
        if bits is F32:
            product = _float_product(left, right)
        else:
            product = left.astype(np.int64) @ right.astype(np.int64).transpose(0, 2, 1)
        picked = product[:, rows, columns].transpose(2, 0, 1)
        old = accumulate(w, rows.shape[1])
        total = (picked + old).astype(bits)
        w.v[d : d + rows.shape[1]] = np.ascontiguousarray(total).view(U32)

    return step


def _float_product(left: Array, right: Array) -> Array:
    """Sum products in f64: their rounding order is not documented."""
    wide = left.astype(np.float64) @ right.astype(np.float64).transpose(0, 2, 1)
    return np.asarray(wide)


def _accumulator(text: str, view: Any) -> Callable[[Waves, int], Any]:
    at = vector_register(text)
    if at is None:
        constant = np.full((1, 1, 1), number(text, "u32"), U32).view(view)
        return lambda w, count: constant
    return lambda w, count: w.v[at : at + count].view(view)


def _operand_reader(unit: Unit, view: Any, size: int) -> Callable[[Waves, int], Array]:
    """Return how a matrix [waves, rows, k] is read from registers."""
    rows, ks = unit.operand
    per_word = 4 // size
    count = rows.shape[1] // per_word
    raw: Any = U8 if size == 1 else U16

    def read(w: Waves, register: int) -> Array:
        words = w.v[register : register + count].transpose(1, 2, 0)
        elements = np.ascontiguousarray(words).view(raw).view(view)
        matrix = np.zeros((w.count, unit.m, unit.k), view)
        matrix[:, rows, ks] = elements
        return matrix.astype(np.float32) if view is not np.int8 else matrix

    return read
