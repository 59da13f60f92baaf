"""Packed instructions: two numbers of one register, or of two, at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kdsl_amdgpu.emulator import arithmetic as do
from kdsl_amdgpu.emulator.program import Instruction
from kdsl_amdgpu.emulator.scalar import Maker, Step
from kdsl_amdgpu.emulator.state import (
    F16,
    F32,
    I16,
    U16,
    U32,
    Read,
    Waves,
    number,
    reader,
    scalar_register,
    unknown,
    vector_register,
)  # fmt: skip

ROWS: dict[str, Maker] = {}
Function = Callable[..., Any]


def _bits(ins: Instruction, name: str, count: int, default: int) -> list[bool]:
    text = ins.modifiers.get(name)
    if text is None:
        return [bool(default)] * count
    found = [part.strip() == "1" for part in text.strip("[]").split(",")]
    return found[:count]


def _word_reader(text: str, kind: str) -> Read:
    """Constants of packed halves: an inline float is one half, in the low part."""
    if vector_register(text) is None and scalar_register(text) is None:
        bits = number(text, kind)
        constant = do.constant_array(bits)
        return lambda w: constant
    return reader(text, "u32")


def _halves(function: Function, kind: str, count: int, keeps: bool = False) -> Maker:
    """Rows on 16-bit halves: op_sel says which half each result takes."""
    view: Any = {"f16": F16, "u16": U16, "i16": I16}[kind]

    def make(ins: Instruction) -> Step:
        register = vector_register(ins.operands[0])
        if register is None:
            raise unknown(ins)
        texts = [*ins.operands[1:], *([ins.operands[0]] if keeps else [])]
        words = [_word_reader(text, kind) for text in texts]
        low = _bits(ins, "op_sel", count, 0)
        high = _bits(ins, "op_sel_hi", count, 1)
        negate = [_bits(ins, "neg_lo", count, 0), _bits(ins, "neg_hi", count, 0)]
        clamp = "clamp" in ins.flags
        if len(texts) != count or (clamp and kind != "f16"):
            raise unknown(ins)

        def part(word: Any, up: bool, minus: bool) -> Any:
            value = (word >> U32(16) if up else word).astype(U16).view(view)
            return -value if minus else value

        def step(w: Waves) -> None:
            given = [read(w) for read in words]
            made = []
            for half, chosen in enumerate((low, high)):
                sources = [
                    part(x, up, minus)
                    for x, up, minus in zip(given, chosen, negate[half], strict=True)
                ]
                value = np.asarray(function(*sources), view)
                value = np.clip(value, F16(0), F16(1)) if clamp else value
                made.append(value.view(U16))
            w.put(register, do.joined(made[0], made[1]))

        return step

    return make


def _shift(function: Function) -> Function:
    return lambda b, a: function(a, b & b.dtype.type(15))


_HALF_ROWS: dict[str, tuple[Function, str, int]] = {
    "v_pk_add_f16": (lambda a, b: a + b, "f16", 2),
    "v_pk_mul_f16": (lambda a, b: a * b, "f16", 2),
    "v_pk_max_f16": (np.fmax, "f16", 2), "v_pk_min_f16": (np.fmin, "f16", 2),
    "v_pk_max_num_f16": (np.fmax, "f16", 2), "v_pk_min_num_f16": (np.fmin, "f16", 2),
    "v_pk_maximum_f16": (np.maximum, "f16", 2), "v_pk_minimum_f16": (np.minimum, "f16", 2),
    "v_pk_fma_f16": (do.fma16, "f16", 3),
    "v_pk_maximum3_f16": (lambda a, b, c: np.maximum(np.maximum(a, b), c), "f16", 3),
    "v_pk_minimum3_f16": (lambda a, b, c: np.minimum(np.minimum(a, b), c), "f16", 3),
    "v_pk_add_u16": (lambda a, b: a + b, "u16", 2), "v_pk_sub_u16": (lambda a, b: a - b, "u16", 2),
    "v_pk_add_i16": (lambda a, b: a + b, "i16", 2), "v_pk_sub_i16": (lambda a, b: a - b, "i16", 2),
    "v_pk_mul_lo_u16": (lambda a, b: a * b, "u16", 2),
    "v_pk_mad_u16": (lambda a, b, c: a * b + c, "u16", 3),
    "v_pk_mad_i16": (lambda a, b, c: a * b + c, "i16", 3),
    "v_pk_max_u16": (np.maximum, "u16", 2), "v_pk_min_u16": (np.minimum, "u16", 2),
    "v_pk_max_i16": (np.maximum, "i16", 2), "v_pk_min_i16": (np.minimum, "i16", 2),
    "v_pk_lshlrev_b16": (_shift(lambda a, b: a << b), "u16", 2),
    "v_pk_lshrrev_b16": (_shift(lambda a, b: a >> b), "u16", 2),
    "v_pk_ashrrev_i16": (_shift(lambda a, b: a >> b), "i16", 2),
}  # fmt: skip
for _name, (_function, _kind, _count) in _HALF_ROWS.items():
    ROWS[_name] = _halves(_function, _kind, _count)
ROWS["v_pk_fmac_f16"] = _halves(do.fma16, "f16", 3, keeps=True)


def _pairs(function: Function, count: int) -> Maker:
    """Rows on pairs of f32 registers: op_sel says which register each result takes."""

    def make(ins: Instruction) -> Step:
        register = vector_register(ins.operands[0])
        if register is None:
            raise unknown(ins)
        sources = [_pair_reader(text) for text in ins.operands[1:]]
        low = _bits(ins, "op_sel", count, 0)
        high = _bits(ins, "op_sel_hi", count, 1)
        negate = [_bits(ins, "neg_lo", count, 0), _bits(ins, "neg_hi", count, 0)]
        if len(sources) != count:
            raise unknown(ins)

        def step(w: Waves) -> None:
            made = []
            for half, chosen in enumerate((low, high)):
                given = [
                    -read(w, up) if minus else read(w, up)
                    for read, up, minus in zip(sources, chosen, negate[half], strict=True)
                ]
                made.append(np.ascontiguousarray(function(*given), F32).view(U32))
            w.put(register, made[0])
            w.put(register + 1, made[1])

        return step

    return make


def _pair_reader(text: str) -> Callable[[Waves, bool], Any]:
    at = vector_register(text)
    if at is not None:
        return lambda w, up: w.v[at + up].view(F32)
    register = scalar_register(text)
    if register is not None:
        return lambda w, up: w.s[register + up].view(F32)[:, None]
    constant = do.constant_array(number(text, "u32")).view(F32)
    return lambda w, up: constant


ROWS["v_pk_add_f32"] = _pairs(lambda a, b: a + b, 2)
ROWS["v_pk_mul_f32"] = _pairs(lambda a, b: a * b, 2)
ROWS["v_pk_fma_f32"] = _pairs(do.fma32, 3)
ROWS["v_pk_mov_b32"] = _pairs(lambda a, b: a, 2)


def _packed_move(ins: Instruction) -> Step:
    """The low result comes from the first source, the high one from the second."""
    register = vector_register(ins.operands[0])
    if register is None:
        raise unknown(ins)
    first, second = (_pair_reader(text) for text in ins.operands[1:3])
    low = _bits(ins, "op_sel", 2, 0)
    high = _bits(ins, "op_sel_hi", 2, 1)

    def step(w: Waves) -> None:
        a = np.array(first(w, low[0])).view(U32)
        b = np.array(second(w, high[1] if "op_sel_hi" in ins.modifiers else low[1])).view(U32)
        w.put(register, a)
        w.put(register + 1, b)

    return step


ROWS["v_pk_mov_b32"] = _packed_move


def _mixed(place: str) -> Maker:
    """A fused product and sum whose operands are f32 or a half of a register as f16."""

    def make(ins: Instruction) -> Step:
        register = vector_register(ins.operands[0])
        if register is None:
            raise unknown(ins)
        is_half = _bits(ins, "op_sel_hi", 3, 0)
        upper = _bits(ins, "op_sel", 3, 0)
        sources = [
            _mix_reader(text, half, up)
            for text, half, up in zip(ins.operands[1:4], is_half, upper, strict=True)
        ]

        def step(w: Waves) -> None:
            value = do.fma32(*[read(w) for read in sources])
            if "clamp" in ins.flags:
                value = np.clip(value, F32(0), F32(1))
            if place == "whole":
                w.put(register, value.view(U32))
                return
            half = value.astype(F16).view(U16).astype(U32)
            if place == "low":
                w.put(register, w.v[register] & U32(0xFFFF0000) | half)
            else:
                w.put(register, w.v[register] & U32(0xFFFF) | half << U32(16))

        return step

    return make


def _mix_reader(text: str, half: bool, up: bool) -> Read:
    if not half:
        return reader(text, "f32")
    plain = text.strip("-|")
    word = reader(plain, "u32")

    def read(w: Waves) -> Any:
        value = (word(w) >> U32(16 if up else 0)).astype(U16).view(F16).astype(F32)
        value = np.abs(value) if "|" in text else value
        return -value if text.startswith("-") else value

    return read


for _name in ("v_fma_mix", "v_mad_mix"):
    ROWS[f"{_name}_f32"] = _mixed("whole")
    ROWS[f"{_name}lo_f16"] = _mixed("low")
    ROWS[f"{_name}hi_f16"] = _mixed("high")


def _dot2(kind: str) -> Maker:
    """Two products of halves and a sum, in f32."""

    def make(ins: Instruction) -> Step:
        register = vector_register(ins.operands[0])
        if register is None or ins.modifiers:
            raise unknown(ins)
        a, b = reader(ins.operands[1], "u32"), reader(ins.operands[2], "u32")
        c = reader(ins.operands[3] if len(ins.operands) > 3 else ins.operands[0], "f32")

        def parts(x: Any) -> list[Any]:
            if kind == "bf16":
                return [(x << U32(16)).view(F32), (x & U32(0xFFFF0000)).view(F32)]
            return [p.astype(U16).view(F16).astype(F32) for p in do.halves(x)]

        def step(w: Waves) -> None:
            x, y = parts(a(w)), parts(b(w))
            total = c(w).astype(np.float64)
            for k in range(2):
                total = total + x[k].astype(np.float64) * y[k]
            w.put(register, total.astype(F32).view(U32))

        return step

    return make


for _kind in ("f16", "bf16"):
    ROWS[f"v_dot2_f32_{_kind}"] = ROWS[f"v_dot2c_f32_{_kind}"] = _dot2(_kind)
    ROWS[f"v_dot2acc_f32_{_kind}"] = _dot2(_kind)
