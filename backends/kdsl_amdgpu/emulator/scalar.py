"""Instructions of the scalar unit: one number a wave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kdsl_amdgpu.emulator import arithmetic as do
from kdsl_amdgpu.emulator.program import Instruction
from kdsl_amdgpu.emulator.state import (
    EXEC,
    F16,
    F32,
    HALF,
    I32,
    I64,
    LOW,
    NULL,
    U16,
    U32,
    U64,
    Array,
    Waves,
    number,
    scalar_pair,
    scalar_register,
    unknown,
)

Step = Callable[[Waves], None]
Maker = Callable[[Instruction], Step]
Read = Callable[[Waves], Array]

ROWS: dict[str, Maker] = {}
"""Mnemonic -> what makes the step."""


def read32(text: str) -> Read:
    """Return how a 32-bit operand is read: [waves], unsigned."""
    register = scalar_register(text)
    if register is None:
        constant = np.full(1, number(text, "u32") & 0xFFFFFFFF, U64).astype(U32)
        return lambda w: constant
    if register in (EXEC, EXEC + 1):
        shift = U64(0) if register == EXEC else HALF
        return lambda w: (w.mask >> shift).astype(U32)
    return lambda w: w.s[register]


def read64(text: str) -> Read:
    """Return how a 64-bit operand is read: [waves], unsigned."""
    register = scalar_register(text)
    if register is None:
        value = number(text, "i64")
        if value < 1 << 32 and value >> 31 and not text.startswith("-"):
            value &= 0xFFFFFFFF
        constant = np.full(1, value, U64)
        return lambda w: constant
    return lambda w: scalar_pair(w, register)


def write32(text: str) -> Callable[[Waves, Any], None]:
    """Return how a 32-bit result is written."""
    if text == NULL:
        return lambda w, value: None
    register = scalar_register(text)
    assert register is not None

    def write(w: Waves, value: Any) -> None:
        value = np.broadcast_to(np.asarray(value).astype(U32), w.count)
        if register == EXEC:
            w.mask = (w.mask & ~LOW) | value.astype(U64)
        elif register == EXEC + 1:
            w.mask = (w.mask & LOW) | value.astype(U64) << HALF
        else:
            w.s[register] = value

    return write


def write64(text: str) -> Callable[[Waves, Any], None]:
    """Return how a 64-bit result is written."""
    if text == NULL:
        return lambda w, value: None
    register = scalar_register(text)
    assert register is not None

    def write(w: Waves, value: Any) -> None:
        if register == EXEC:
            w.mask = np.broadcast_to(np.asarray(value), w.count).astype(U64)
            return
        w.s[register] = (value & LOW).astype(U32)
        w.s[register + 1] = (value >> HALF).astype(U32)

    return write


def _operation(wide: bool, function: Callable[..., Any], sets: str, count: int) -> Maker:
    """Make rows of pure results; ``sets``: "" keeps the flag, "nonzero" sets it so."""

    def make(ins: Instruction) -> Step:
        read, write = (read64, write64) if wide else (read32, write32)
        out = write(ins.operands[0])
        sources = [read(text) for text in ins.operands[1 : 1 + count]]

        def step(w: Waves) -> None:
            value = function(*[source(w) for source in sources])
            if sets:
                w.scc[:] = value != 0
            out(w, value)

        return step

    return make


def _signed(x: Any) -> Any:
    return x.view(I32) if x.dtype == U32 else x.view(I64)


def _shift(function: Callable[[Any, Any], Any], mask: int) -> Callable[[Any, Any], Any]:
    def shifted(a: Any, b: Any) -> Any:
        return function(a, (b & b.dtype.type(mask)).astype(a.dtype))

    return shifted


BITWISE: dict[str, Callable[[Any, Any], Any]] = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "andn2": lambda a, b: a & ~b,
    "and_not1": lambda a, b: a & ~b,
    "orn2": lambda a, b: a | ~b,
    "or_not1": lambda a, b: a | ~b,
    "nand": lambda a, b: ~(a & b),
    "nor": lambda a, b: ~(a | b),
    "xnor": lambda a, b: ~(a ^ b),
}
for _word, _function in BITWISE.items():
    for _bits in (32, 64):
        ROWS[f"s_{_word}_b{_bits}"] = _operation(_bits == 64, _function, "nonzero", 2)


def _save_exec(function: Callable[[Any, Any], Any], bits: int) -> Maker:
    def make(ins: Instruction) -> Step:
        out = (write64 if bits == 64 else write32)(ins.operands[0])
        source = (read64 if bits == 64 else read32)(ins.operands[1])
        ones = U64((1 << bits) - 1)

        def step(w: Waves) -> None:
            old = w.mask.copy()
            value = function(source(w).astype(U64), old) & ones
            out(w, old)
            w.mask = value
            w.scc[:] = value != 0

        return step

    return make


for _word in ("and", "or", "xor", "andn2", "and_not1", "orn2", "or_not1", "nand", "nor", "xnor"):
    for _bits in (32, 64):
        ROWS[f"s_{_word}_saveexec_b{_bits}"] = _save_exec(BITWISE[_word], _bits)


def _exchanged(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: function(b, a)


for _word, _plain in (("and_not0", "and_not1"), ("andn1", "andn2"), ("or_not0", "or_not1")):
    for _bits in (32, 64):
        ROWS[f"s_{_word}_saveexec_b{_bits}"] = _save_exec(_exchanged(BITWISE[_plain]), _bits)


def _carry(function: Callable[[Any, Any, Any], Any], uses: bool) -> Maker:
    """Sums in 64 bits; the flag is the carry or borrow."""

    def make(ins: Instruction) -> Step:
        out = write32(ins.operands[0])
        a, b = (read32(text) for text in ins.operands[1:3])

        def step(w: Waves) -> None:
            carry = w.scc.astype(I64) if uses else I64(0)
            value = function(a(w).astype(I64), b(w).astype(I64), carry)
            out(w, value & 0xFFFFFFFF)
            w.scc[:] = value >> 32 != 0

        return step

    return make


for _name in ("s_add_u32", "s_add_co_u32"):
    ROWS[_name] = _carry(lambda a, b, c: a + b, uses=False)
for _name in ("s_addc_u32", "s_add_co_ci_u32"):
    ROWS[_name] = _carry(lambda a, b, c: a + b + c, uses=True)
for _name in ("s_sub_u32", "s_sub_co_u32"):
    ROWS[_name] = _carry(lambda a, b, c: a - b, uses=False)
for _name in ("s_subb_u32", "s_sub_co_ci_u32"):
    ROWS[_name] = _carry(lambda a, b, c: a - b - c, uses=True)


def _overflowing(function: Callable[[Any, Any], Any]) -> Maker:
    def make(ins: Instruction) -> Step:
        out = write32(ins.operands[0])
        a, b = (read32(text) for text in ins.operands[1:3])

        def step(w: Waves) -> None:
            value = function(a(w).view(I32).astype(I64), b(w).view(I32).astype(I64))
            w.scc[:] = (value > 0x7FFFFFFF) | (value < -0x80000000)
            out(w, value & 0xFFFFFFFF)

        return step

    return make


for _name in ("s_add_i32", "s_add_co_i32"):
    ROWS[_name] = _overflowing(lambda a, b: a + b)
for _name in ("s_sub_i32", "s_sub_co_i32"):
    ROWS[_name] = _overflowing(lambda a, b: a - b)


def _high(signed: bool) -> Callable[[Any, Any], Any]:
    kind = I32 if signed else U32
    wide = I64 if signed else U64

    def high(a: Any, b: Any) -> Any:
        return (a.view(kind).astype(wide) * b.view(kind).astype(wide) >> wide(32)).astype(U32)

    return high


def _field(signed: bool, wide: bool) -> Callable[[Any, Any], Any]:
    def extract(a: Any, b: Any) -> Any:
        start, count = int(b[0]) & (63 if wide else 31), int(b[0]) >> 16 & 127
        if count == 0:
            return np.zeros_like(a)
        bits = 64 if wide else 32
        if start + count >= bits:
            return (_signed(a) >> start).view(a.dtype) if signed else a >> a.dtype.type(start)
        up = a << a.dtype.type(bits - start - count)
        down = a.dtype.type(bits - count)
        return (_signed(up) >> _signed(np.array(down))).view(a.dtype) if signed else up >> down

    return extract


def _count_leading(x: Any) -> Any:
    bits = x.dtype.itemsize * 8
    found = [bits - int(v).bit_length() if v else -1 for v in x]
    return np.array(found, np.int64).astype(I32).view(U32)


def _count_trailing(x: Any) -> Any:
    found = [(int(v) & -int(v)).bit_length() - 1 for v in x]
    return np.array(found, np.int64).astype(I32).view(U32)


def _sign_bits(x: Any) -> Any:
    signed = x.view(I32 if x.dtype == U32 else I64)
    return _count_leading(np.where(signed < 0, ~x, x))


def _ones(x: Any) -> Any:
    return np.array([int(v).bit_count() for v in x], U32)


_ARITHMETIC: dict[str, tuple[Callable[..., Any], bool, str, int]] = {
    "s_mov_b32": (lambda a: a, False, "", 1),
    "s_mov_b64": (lambda a: a, True, "", 1),
    "s_not_b32": (lambda a: ~a, False, "nonzero", 1),
    "s_not_b64": (lambda a: ~a, True, "nonzero", 1),
    "s_mul_i32": (lambda a, b: a * b, False, "", 2),
    "s_mul_u64": (lambda a, b: a * b, True, "", 2),
    "s_mul_hi_u32": (_high(signed=False), False, "", 2),
    "s_mul_hi_i32": (_high(signed=True), False, "", 2),
    "s_add_nc_u64": (lambda a, b: a + b, True, "", 2),
    "s_add_u64": (lambda a, b: a + b, True, "", 2),
    "s_sub_nc_u64": (lambda a, b: a - b, True, "", 2),
    "s_sub_u64": (lambda a, b: a - b, True, "", 2),
    "s_lshl_b32": (_shift(lambda a, b: a << b, 31), False, "nonzero", 2),
    "s_lshr_b32": (_shift(lambda a, b: a >> b, 31), False, "nonzero", 2),
    "s_ashr_i32": (
        _shift(lambda a, b: (a.view(I32) >> b.view(I32)).view(U32), 31), False, "nonzero", 2,
    ),
    "s_bfe_u32": (_field(signed=False, wide=False), False, "nonzero", 2),
    "s_bfe_i32": (_field(signed=True, wide=False), False, "nonzero", 2),
    "s_bfe_u64": (_field(signed=False, wide=True), True, "nonzero", 2),
    "s_bfe_i64": (_field(signed=True, wide=True), True, "nonzero", 2),
    "s_abs_i32": (lambda a: np.abs(a.view(I32)).view(U32), False, "nonzero", 1),
    "s_sext_i32_i16": (lambda a: a.astype(np.int16).astype(I32).view(U32), False, "", 1),
    "s_sext_i32_i8": (lambda a: a.astype(np.int8).astype(I32).view(U32), False, "", 1),
    "s_brev_b32": (
        lambda a: np.array([int(f"{int(v):032b}"[::-1], 2) for v in a], U32), False, "", 1,
    ),
    "s_pack_ll_b32_b16": (
        lambda a, b: (a & U32(0xFFFF)) | (b << U32(16)), False, "", 2,
    ),
    "s_pack_lh_b32_b16": (
        lambda a, b: (a & U32(0xFFFF)) | (b & U32(0xFFFF0000)), False, "", 2,
    ),
    "s_pack_hh_b32_b16": (
        lambda a, b: (a >> U32(16)) | (b & U32(0xFFFF0000)), False, "", 2,
    ),
    "s_bfm_b32": (
        lambda a, b: ((U32(1) << (a & U32(31))) - U32(1)) << (b & U32(31)), False, "", 2,
    ),
    "s_lshl1_add_u32": (lambda a, b: (a << U32(1)) + b, False, "", 2),
    "s_lshl2_add_u32": (lambda a, b: (a << U32(2)) + b, False, "", 2),
    "s_lshl3_add_u32": (lambda a, b: (a << U32(3)) + b, False, "", 2),
    "s_lshl4_add_u32": (lambda a, b: (a << U32(4)) + b, False, "", 2),
    "s_max_u32": (np.maximum, False, "", 2),
    "s_min_u32": (np.minimum, False, "", 2),
    "s_flbit_i32_b32": (_count_leading, False, "", 1),
    "s_clz_i32_u32": (_count_leading, False, "", 1),
    "s_flbit_i32": (_sign_bits, False, "", 1),
    "s_cls_i32": (_sign_bits, False, "", 1),
    "s_ff1_i32_b32": (_count_trailing, False, "", 1),
    "s_ctz_i32_b32": (_count_trailing, False, "", 1),
    "s_bcnt1_i32_b32": (_ones, False, "nonzero", 1),
}  # fmt: skip
for _name, (_function, _wide, _sets, _count) in _ARITHMETIC.items():
    ROWS[_name] = _operation(_wide, _function, _sets, _count)


def _mixed(function: Callable[..., Any], reads: str, result: bool) -> Maker:
    """Rows with a 64-bit first source and narrow others, or narrow results."""

    def make(ins: Instruction) -> Step:
        out = (write64 if result else write32)(ins.operands[0])
        sources = [
            (read64 if kind == "w" else read32)(text)
            for kind, text in zip(reads, ins.operands[1:], strict=True)
        ]

        def step(w: Waves) -> None:
            value = function(*[source(w) for source in sources])
            w.scc[:] = value != 0
            out(w, value)

        return step

    return make


def _wide_shift(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: function(a, (b & U32(63)).astype(U64))


ROWS["s_lshl_b64"] = _mixed(_wide_shift(lambda a, b: a << b), "wn", result=True)
ROWS["s_lshr_b64"] = _mixed(_wide_shift(lambda a, b: a >> b), "wn", result=True)
ROWS["s_ashr_i64"] = _mixed(
    _wide_shift(lambda a, b: (a.view(I64) >> b.view(I64)).view(U64)), "wn", result=True
)
ROWS["s_bcnt1_i32_b64"] = _mixed(_ones, "w", result=False)
ROWS["s_flbit_i32_b64"] = ROWS["s_clz_i32_u64"] = _mixed(_count_leading, "w", result=False)
ROWS["s_flbit_i32_i64"] = ROWS["s_cls_i32_i64"] = _mixed(_sign_bits, "w", result=False)
ROWS["s_ff1_i32_b64"] = ROWS["s_ctz_i32_b64"] = _mixed(_count_trailing, "w", result=False)


def _chooses(greater: bool) -> Maker:
    """Signed minimum and maximum; the flag says that the first was taken."""

    def make(ins: Instruction) -> Step:
        out = write32(ins.operands[0])
        a, b = (read32(text) for text in ins.operands[1:3])

        def step(w: Waves) -> None:
            x, y = a(w).view(I32), b(w).view(I32)
            first = x > y if greater else x < y
            w.scc[:] = first
            out(w, np.where(first, x, y).view(U32))

        return step

    return make


ROWS["s_max_i32"] = _chooses(greater=True)
ROWS["s_min_i32"] = _chooses(greater=False)


def _either_nan(a: Any, b: Any) -> Any:
    return np.isnan(a) | np.isnan(b)


COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal, "lg": np.not_equal, "ne": np.not_equal, "gt": np.greater,
    "ge": np.greater_equal, "lt": np.less, "le": np.less_equal,
}  # fmt: skip
FLOAT_COMPARE: dict[str, Callable[[Any, Any], Any]] = COMPARE | {
    "lg": lambda a, b: (a < b) | (a > b), "o": lambda a, b: ~_either_nan(a, b),
    "u": _either_nan, "neq": np.not_equal, "nlg": lambda a, b: ~((a < b) | (a > b)),
    "nge": lambda a, b: ~(a >= b), "ngt": lambda a, b: ~(a > b),
    "nle": lambda a, b: ~(a <= b), "nlt": lambda a, b: ~(a < b),
}  # fmt: skip


def _compare(function: Callable[[Any, Any], Any], kind: str) -> Maker:
    view: Any = {"u32": U32, "i32": I32, "u64": U64, "f32": F32}[kind]

    def make(ins: Instruction) -> Step:
        read = read64 if kind == "u64" else read32
        a, b = (read(text) for text in ins.operands[:2])

        def step(w: Waves) -> None:
            w.scc[:] = function(a(w).view(view), b(w).view(view))

        return step

    return make


for _word, _function in COMPARE.items():
    for _kind in ("u32", "i32", "u64"):
        ROWS[f"s_cmp_{_word}_{_kind}"] = _compare(_function, _kind)
for _word, _function in FLOAT_COMPARE.items():
    ROWS[f"s_cmp_{_word}_f32"] = _compare(_function, "f32")


def _select(wide: bool) -> Maker:
    def make(ins: Instruction) -> Step:
        read, write = (read64, write64) if wide else (read32, write32)
        out = write(ins.operands[0])
        a, b = (read(text) for text in ins.operands[1:3])
        return lambda w: out(w, np.where(w.scc, a(w), b(w)))

    return make


def _conditional_move(wide: bool) -> Maker:
    def make(ins: Instruction) -> Step:
        read, write = (read64, write64) if wide else (read32, write32)
        out, old, new = write(ins.operands[0]), read(ins.operands[0]), read(ins.operands[1])
        return lambda w: out(w, np.where(w.scc, new(w), old(w)))

    return make


ROWS["s_cselect_b32"], ROWS["s_cselect_b64"] = _select(wide=False), _select(wide=True)
ROWS["s_cmov_b32"], ROWS["s_cmov_b64"] = _conditional_move(wide=False), _conditional_move(wide=True)


def _bit_set(value: int, wide: bool) -> Maker:
    def make(ins: Instruction) -> Step:
        read, write = (read64, write64) if wide else (read32, write32)
        out, old, at = write(ins.operands[0]), read(ins.operands[0]), read32(ins.operands[1])

        def step(w: Waves) -> None:
            x = old(w)
            one = x.dtype.type(1) << (at(w) & U32(63 if wide else 31)).astype(x.dtype)
            out(w, x | one if value else x & ~one)

        return step

    return make


for _bits in (32, 64):
    ROWS[f"s_bitset1_b{_bits}"] = _bit_set(1, _bits == 64)
    ROWS[f"s_bitset0_b{_bits}"] = _bit_set(0, _bits == 64)


def _bit_test(wanted: int) -> Maker:
    def make(ins: Instruction) -> Step:
        a, at = read32(ins.operands[0]), read32(ins.operands[1])

        def step(w: Waves) -> None:
            w.scc[:] = (a(w) >> (at(w) & U32(31)) & U32(1)) == wanted

        return step

    return make


ROWS["s_bitcmp1_b32"], ROWS["s_bitcmp0_b32"] = _bit_test(1), _bit_test(0)


def _immediate(function: Callable[[Any, Any], Any]) -> Maker:
    """A 16-bit signed constant, combined with what the register holds."""

    def make(ins: Instruction) -> Step:
        out, old = write32(ins.operands[0]), read32(ins.operands[0])
        value = int(ins.operands[1], 0)
        value = (value & 0xFFFF) - (0x10000 if value & 0x8000 else 0)
        constant = np.full(1, value & 0xFFFFFFFF, U64).astype(U32)
        return lambda w: out(w, function(old(w), constant))

    return make


ROWS["s_movk_i32"] = _immediate(lambda old, k: k)
ROWS["s_mulk_i32"] = _immediate(lambda old, k: old * k)
ROWS["s_addk_i32"] = _immediate(lambda old, k: old + k)
ROWS["s_addk_co_i32"] = ROWS["s_addk_i32"]


def _compare_immediate(function: Callable[[Any, Any], Any], signed: bool) -> Maker:
    def make(ins: Instruction) -> Step:
        a, value = read32(ins.operands[0]), int(ins.operands[1], 0)
        if signed:
            value = (value & 0xFFFF) - (0x10000 if value & 0x8000 else 0)

        def step(w: Waves) -> None:
            x = a(w)
            w.scc[:] = function(x.view(I32) if signed else x, value)

        return step

    return make


for _word, _function in COMPARE.items():
    ROWS[f"s_cmpk_{_word}_i32"] = _compare_immediate(_function, signed=True)
    ROWS[f"s_cmpk_{_word}_u32"] = _compare_immediate(_function, signed=False)

FLOAT_ROWS: dict[str, tuple[Callable[..., Any], int]] = {
    "s_add_f32": (lambda a, b: a + b, 2), "s_sub_f32": (lambda a, b: a - b, 2),
    "s_mul_f32": (lambda a, b: a * b, 2), "s_min_num_f32": (np.fmin, 2),
    "s_max_num_f32": (np.fmax, 2), "s_min_f32": (np.fmin, 2), "s_max_f32": (np.fmax, 2),
    "s_floor_f32": (np.floor, 1), "s_ceil_f32": (np.ceil, 1), "s_trunc_f32": (np.trunc, 1),
    "s_rndne_f32": (np.rint, 1), "s_maximum_f32": (np.maximum, 2), "s_minimum_f32": (np.minimum, 2),
    "v_s_exp_f32": (do.exp2, 1), "v_s_log_f32": (do.log2, 1), "v_s_rcp_f32": (do.rcp, 1),
    "v_s_rsq_f32": (do.rsq, 1), "v_s_sqrt_f32": (np.sqrt, 1),
}  # fmt: skip


def _float(function: Callable[..., Any], count: int) -> Maker:
    def make(ins: Instruction) -> Step:
        out = write32(ins.operands[0])
        sources = [read32(text) for text in ins.operands[1 : 1 + count]]
        if len(ins.operands) != 1 + count or ins.modifiers or ins.flags:
            raise unknown(ins)

        def step(w: Waves) -> None:
            out(w, function(*[s(w).view(F32) for s in sources]).astype(F32).view(U32))

        return step

    return make


for _name, (_function, _count) in FLOAT_ROWS.items():
    ROWS[_name] = _float(_function, _count)


def _fused(keeps: bool) -> Maker:
    def make(ins: Instruction) -> Step:
        out = write32(ins.operands[0])
        texts = [*ins.operands[1:3], ins.operands[0]] if keeps else ins.operands[1:4]
        a, b, c = (read32(text) for text in texts)

        def step(w: Waves) -> None:
            x, y, z = (s(w).view(F32).astype(np.float64) for s in (a, b, c))
            out(w, (x * y + z).astype(F32).view(U32))

        return step

    return make


ROWS["s_fmac_f32"] = _fused(keeps=True)
ROWS["s_fmaak_f32"] = _fused(keeps=False)
ROWS["s_fmamk_f32"] = _fused(keeps=False)


def _to_float(view: Any) -> Maker:
    def make(ins: Instruction) -> Step:
        out, a = write32(ins.operands[0]), read32(ins.operands[1])
        return lambda w: out(w, a(w).view(view).astype(F32).view(U32))

    return make


def _from_float(convert: Callable[[Any], Any]) -> Maker:
    def make(ins: Instruction) -> Step:
        out, a = write32(ins.operands[0]), read32(ins.operands[1])
        return lambda w: out(w, convert(a(w).view(F32)).view(U32))

    return make


ROWS["s_cvt_i32_f32"] = _from_float(do.to_int(I32, -(1 << 31), (1 << 31) - 1))
ROWS["s_cvt_u32_f32"] = _from_float(do.to_int(U32, 0, (1 << 32) - 1))
ROWS["s_cvt_f32_i32"], ROWS["s_cvt_f32_u32"] = _to_float(I32), _to_float(U32)

HALF_ROWS: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "s_cvt_f32_f16": (lambda a: a.astype(F32), F16, U32),
    "s_cvt_f16_f32": (lambda a: a.astype(F16), F32, U16),
    "s_add_f16": (lambda a, b: a + b, F16, U16),
    "s_sub_f16": (lambda a, b: a - b, F16, U16),
    "s_mul_f16": (lambda a, b: a * b, F16, U16),
    "s_max_num_f16": (np.fmax, F16, U16),
    "s_min_num_f16": (np.fmin, F16, U16),
    "s_maximum_f16": (np.maximum, F16, U16),
    "s_minimum_f16": (np.minimum, F16, U16),
    "s_floor_f16": (np.floor, F16, U16),
    "s_ceil_f16": (np.ceil, F16, U16),
    "s_trunc_f16": (np.trunc, F16, U16),
    "s_rndne_f16": (np.rint, F16, U16),
}
"""Mnemonic -> (function, how sources are read, bits of the result)."""


def _half(function: Callable[..., Any], view: Any, bits: Any) -> Maker:
    """Rows on the low halves of registers; the high half of a result is zero."""

    def make(ins: Instruction) -> Step:
        out = write32(ins.operands[0])
        sources = [_half_source(text, view) for text in ins.operands[1:]]
        return lambda w: out(w, function(*[read(w) for read in sources]).view(bits))

    return make


def _half_source(text: str, view: Any) -> Read:
    if scalar_register(text) is None:
        constant = np.full(1, number(text, "f16" if view is F16 else "u32"), U64)
        fixed = constant.astype(U16 if view is F16 else U32).view(view)
        return lambda w: fixed
    word = read32(text)
    return lambda w: (word(w).astype(U16) if view is F16 else word(w)).view(view)


for _name, (_function, _view, _result) in HALF_ROWS.items():
    ROWS[_name] = _half(_function, _view, _result)


def _high_to_float(ins: Instruction) -> Step:
    """Convert the high half of a register."""
    out, word = write32(ins.operands[0]), read32(ins.operands[1])

    def step(w: Waves) -> None:
        out(w, (word(w) >> U32(16)).astype(U16).view(F16).astype(F32).view(U32))

    return step


ROWS["s_cvt_hi_f32_f16"] = _high_to_float


def _compare_halves(function: Callable[[Any, Any], Any]) -> Maker:
    def make(ins: Instruction) -> Step:
        a, b = (_half_source(text, F16) for text in ins.operands)

        def step(w: Waves) -> None:
            w.scc[:] = function(a(w), b(w))

        return step

    return make


for _word, _function in FLOAT_COMPARE.items():
    ROWS[f"s_cmp_{_word}_f16"] = _compare_halves(_function)
