"""Instructions of the vector unit, a row each: result kind, operand kinds, function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from kdsl_amdgpu.emulator import arithmetic as do
from kdsl_amdgpu.emulator.crosslane import dpp_mover, sdwa_reader, sdwa_writer
from kdsl_amdgpu.emulator.program import Instruction
from kdsl_amdgpu.emulator.scalar import COMPARE, FLOAT_COMPARE, Maker, Step
from kdsl_amdgpu.emulator.state import (
    EXEC,
    F16,
    F32,
    F64,
    I16,
    I32,
    I64,
    NULL,
    U16,
    U32,
    U64,
    VCC,
    Read,
    Waves,
    number,
    reader,
    scalar_register,
    unknown,
    vector_register,
)  # fmt: skip

ROWS: dict[str, Maker] = {}
"""Mnemonic -> what makes the step."""

Function = Callable[..., Any]
FLOAT_SCALES = {"2": 2.0, "4": 4.0}
KNOWN_MODIFIERS = frozenset(
    {"mul", "div", "op_sel", "op_sel_hi", "neg_lo", "neg_hi", "row_mask", "bank_mask", "bound_ctrl",
     "quad_perm", "row_shl", "row_shr", "row_ror", "row_bcast", "row_share", "row_xmask",
     "dst_sel", "dst_unused", "src0_sel", "src1_sel", "bitop3", "wave_shr", "dpp8", "byte_sel",
     "fi"}
)  # fmt: skip


def source(ins: Instruction, position: int, kind: str) -> Read:
    """Return how operand ``position`` is read, with what its encoding adds."""
    text = ins.operands[position]
    if ins.encoding == "sdwa" and position in (1, 2):
        return sdwa_reader(ins, position, kind)
    read = reader(text, kind)
    if kind in ("f16", "u16", "i16") and _selected_high(ins, position - 1):
        read = _high_reader(text, kind)
    if ins.encoding in ("dpp", "e64_dpp", "dpp8") and position == 1:
        return dpp_mover(ins, read)
    return read


def _selected_high(ins: Instruction, which: int) -> bool:
    """Whether a VOP3 instruction of 16-bit operands takes a register's high half."""
    bits = ins.modifiers.get("op_sel")
    return bits is not None and bits[1:-1].split(",")[which].strip() == "1"


def _high_reader(text: str, kind: str) -> Read:
    view: Any = {"f16": F16, "u16": U16, "i16": I16}[kind]
    plain = text.strip("-|")
    word = reader(plain, "u32")

    def read(w: Waves) -> Any:
        value = (word(w) >> U32(16)).astype(U16).view(view)
        value = np.abs(value) if "|" in text else value
        return -value if text.startswith("-") else value

    return read


def _check(ins: Instruction) -> None:
    if set(ins.modifiers) - KNOWN_MODIFIERS:
        raise unknown(ins)


def writer(ins: Instruction, kind: str) -> Callable[[Waves, Any], None]:
    """Return how lanes of a kind become the first operand, with output modifiers."""
    at = vector_register(ins.operands[0])
    if at is None:
        raise unknown(ins)
    if ins.encoding == "sdwa":
        return sdwa_writer(ins, at)
    shape = _shaper(ins, kind)
    if kind in ("f64", "u64", "i64"):
        return lambda w, value: w.put_wide(at, shape(value).view(U64))
    if kind in ("f16", "u16", "i16"):
        return _half_writer(ins, at, shape)
    return lambda w, value: w.put(at, shape(value).view(U32))


def _half_writer(
    ins: Instruction, at: int, shape: Callable[[Any], Any]
) -> Callable[[Waves, Any], None]:
    """16-bit results fill the low half; with ``op_sel`` the high one, and the other half stays."""
    bits = ins.modifiers.get("op_sel")
    high = bits is not None and bits[1:-1].split(",")[-1].strip() == "1"

    def write(w: Waves, value: Any) -> None:
        half = shape(value).view(U16).astype(U32)
        if high:
            w.put(at, w.v[at] & U32(0xFFFF) | half << U32(16))
        elif bits is not None:
            w.put(at, w.v[at] & U32(0xFFFF0000) | half)
        else:
            w.put(at, half)

    return write


def _shaper(ins: Instruction, kind: str) -> Callable[[Any], Any]:
    kinds: dict[str, Any] = {
        "f32": F32, "f16": F16, "f64": F64, "u32": U32, "i32": I32, "u16": U16, "i16": I16,
        "u64": U64, "i64": I64,
    }  # fmt: skip
    view = kinds[kind]
    scale = FLOAT_SCALES.get(ins.modifiers.get("mul", ""), 0.5 if "div" in ins.modifiers else 1.0)
    clamp = "clamp" in ins.flags
    if clamp and kind[0] != "f":
        raise unknown(ins)

    def shape(value: Any) -> Any:
        value = np.ascontiguousarray(value, view)
        if scale != 1.0:
            value = value * view(scale)
        if clamp:
            value = np.where(np.isnan(value), view(0), np.clip(value, view(0), view(1)))
        return value

    return shape


def rows(result: str, operands: str, table: dict[str, Function]) -> None:
    """Enter instructions of one shape; ``operands`` are kinds, ``+kind`` the old destination."""
    for name, function in table.items():
        ROWS[name] = _row(result, operands.split(), function)


def _row(result: str, operands: list[str], function: Function) -> Maker:
    def make(ins: Instruction) -> Step:
        _check(ins)
        write = writer(ins, result)
        sources: list[Read] = []
        position = 1
        for kind in operands:
            if kind.startswith("+"):
                sources.append(reader(ins.operands[0], kind[1:]))
            else:
                sources.append(source(ins, position, kind))
                position += 1
        if position != len(ins.operands):
            raise unknown(ins)
        if len(sources) == 1:
            (a,) = sources
            return lambda w: write(w, function(a(w)))
        if len(sources) == 2:
            a, b = sources
            return lambda w: write(w, function(a(w), b(w)))
        return lambda w: write(w, function(*[read(w) for read in sources]))

    return make


_to_i16 = do.to_int(I16, -(1 << 15), (1 << 15) - 1)
_to_u16 = do.to_int(U16, 0, (1 << 16) - 1)


def _same(x: Any) -> Any:
    return x


def _shift_left(b: Any, a: Any) -> Any:
    return a << (b & U32(31))


def _shift_right(b: Any, a: Any) -> Any:
    return a >> (b & U32(31))


def _shift_signed(b: Any, a: Any) -> Any:
    return (a.view(I32) >> (b & U32(31)).view(I32)).view(U32)


rows("u32", "u32", {
    "v_mov_b32": _same, "v_accvgpr_read_b32": _same, "v_accvgpr_write_b32": _same,
    "v_accvgpr_mov_b32": _same, "v_not_b32": lambda a: ~a, "v_bfrev_b32": do.reverse_bits,
    "v_ffbh_u32": do.leading_zeros, "v_clz_i32_u32": do.leading_zeros,
    "v_ffbl_b32": do.trailing_zeros, "v_ctz_i32_b32": do.trailing_zeros,
    "v_ffbh_i32": do.sign_bits, "v_cls_i32": do.sign_bits,
})  # fmt: skip
rows("u32", "u32 u32", {
    "v_and_b32": lambda a, b: a & b, "v_or_b32": lambda a, b: a | b,
    "v_xor_b32": lambda a, b: a ^ b, "v_xnor_b32": lambda a, b: ~(a ^ b),
    "v_lshlrev_b32": _shift_left, "v_lshrrev_b32": _shift_right, "v_ashrrev_i32": _shift_signed,
    "v_add_u32": lambda a, b: a + b, "v_add_nc_u32": lambda a, b: a + b,
    "v_sub_u32": lambda a, b: a - b, "v_sub_nc_u32": lambda a, b: a - b,
    "v_subrev_u32": lambda a, b: b - a, "v_subrev_nc_u32": lambda a, b: b - a,
    "v_add_i32": lambda a, b: a + b, "v_sub_i32": lambda a, b: a - b,
    "v_add_nc_i32": lambda a, b: a + b, "v_sub_nc_i32": lambda a, b: a - b,
    "v_mul_lo_u32": lambda a, b: a * b, "v_mul_hi_u32": do.high_product(signed=False),
    "v_mul_hi_i32": do.high_product(signed=True),
    "v_mul_u32_u24": lambda a, b: do.low24(a) * do.low24(b),
    "v_mul_i32_i24": lambda a, b: (do.signed24(a) * do.signed24(b)).view(U32),
    "v_mul_hi_u32_u24": lambda a, b: do.high_product(signed=False)(do.low24(a), do.low24(b)),
    "v_max_u32": np.maximum, "v_min_u32": np.minimum,
    "v_bcnt_u32_b32": lambda a, b: do.ones(a) + b,
    "v_bfm_b32": lambda a, b: ((U32(1) << (a & U32(31))) - U32(1)) << (b & U32(31)),
    "v_pack_b32_f16": lambda a, b: do.joined(a & U32(0xFFFF), b & U32(0xFFFF)),
})  # fmt: skip


def _saturating(function: Function, plain: Maker) -> Maker:
    """With ``clamp`` sums stay within what a word holds."""

    def clamped(a: Any, b: Any) -> Any:
        return np.clip(function(a.astype(I64), b.astype(I64)), 0, 0xFFFFFFFF).astype(U32)

    def make(ins: Instruction) -> Step:
        if "clamp" not in ins.flags:
            return plain(ins)
        flags = ins.flags - {"clamp"}
        return _row("u32", ["u32", "u32"], clamped)(replace(ins, flags=flags))

    return make


for _name in ("v_add_u32", "v_add_nc_u32"):
    ROWS[_name] = _saturating(lambda a, b: a + b, ROWS[_name])
for _name in ("v_sub_u32", "v_sub_nc_u32"):
    ROWS[_name] = _saturating(lambda a, b: a - b, ROWS[_name])
rows("i32", "i32 i32", {"v_max_i32": np.maximum, "v_min_i32": np.minimum})
rows("u32", "u32 u32 u32", {
    "v_lshl_or_b32": lambda a, b, c: a << (b & U32(31)) | c,
    "v_lshl_add_u32": lambda a, b, c: (a << (b & U32(31))) + c,
    "v_add_lshl_u32": lambda a, b, c: (a + b) << (c & U32(31)),
    "v_add3_u32": lambda a, b, c: a + b + c, "v_and_or_b32": lambda a, b, c: a & b | c,
    "v_or3_b32": lambda a, b, c: a | b | c, "v_xor3_b32": lambda a, b, c: a ^ b ^ c,
    "v_xad_u32": lambda a, b, c: (a ^ b) + c,
    "v_bfe_u32": do.field_u32, "v_bfe_i32": do.field_i32,
    "v_bfi_b32": lambda a, b, c: a & b | ~a & c,
    "v_perm_b32": do.permute_bytes, "v_alignbit_b32": do.align(1), "v_alignbyte_b32": do.align(8),
    "v_mad_u32_u24": lambda a, b, c: do.low24(a) * do.low24(b) + c,
    "v_mad_i32_i24": lambda a, b, c: (do.signed24(a) * do.signed24(b)).view(U32) + c,
    "v_max3_u32": lambda a, b, c: np.maximum(np.maximum(a, b), c),
    "v_min3_u32": lambda a, b, c: np.minimum(np.minimum(a, b), c), "v_med3_u32": do.median,
    "v_dot4_i32_i8": do.dot_bytes,
})  # fmt: skip
rows("i32", "i32 i32 i32", {
    "v_max3_i32": lambda a, b, c: np.maximum(np.maximum(a, b), c),
    "v_min3_i32": lambda a, b, c: np.minimum(np.minimum(a, b), c), "v_med3_i32": do.median,
    "v_maxmin_i32": lambda a, b, c: np.minimum(np.maximum(a, b), c),
    "v_minmax_i32": lambda a, b, c: np.maximum(np.minimum(a, b), c),
})  # fmt: skip
rows("u32", "u32 u32 u32", {
    "v_maxmin_u32": lambda a, b, c: np.minimum(np.maximum(a, b), c),
    "v_minmax_u32": lambda a, b, c: np.maximum(np.minimum(a, b), c),
})  # fmt: skip

# ------------------------------------------------------------------------------------ f32 and f64

rows("f32", "f32", {
    "v_exp_f32": do.exp2, "v_log_f32": do.log2, "v_rcp_f32": do.rcp, "v_rcp_iflag_f32": do.rcp,
    "v_rsq_f32": do.rsq, "v_sqrt_f32": np.sqrt, "v_sin_f32": do.sine, "v_cos_f32": do.cosine,
    "v_floor_f32": np.floor, "v_ceil_f32": np.ceil, "v_trunc_f32": np.trunc,
    "v_rndne_f32": np.rint, "v_fract_f32": do.fract, "v_frexp_mant_f32": do.mantissa,
})  # fmt: skip
rows("f32", "f32 f32", {
    "v_add_f32": lambda a, b: a + b, "v_sub_f32": lambda a, b: a - b,
    "v_subrev_f32": lambda a, b: b - a, "v_mul_f32": lambda a, b: a * b,
    "v_max_f32": np.fmax, "v_min_f32": np.fmin, "v_max_num_f32": np.fmax,
    "v_min_num_f32": np.fmin, "v_maximum_f32": np.maximum, "v_minimum_f32": np.minimum,
})  # fmt: skip
rows("f32", "f32 f32 f32", {
    "v_fma_f32": do.fma32, "v_fmaak_f32": do.fma32, "v_fmamk_f32": do.fma32,
    "v_madak_f32": lambda a, b, c: a * b + c, "v_madmk_f32": lambda a, b, c: a * b + c,
    "v_mad_f32": lambda a, b, c: a * b + c, "v_div_fixup_f32": do.divide_fixup,
    "v_med3_f32": do.float_median, "v_med3_num_f32": do.float_median,
    "v_max3_f32": lambda a, b, c: np.fmax(np.fmax(a, b), c),
    "v_min3_f32": lambda a, b, c: np.fmin(np.fmin(a, b), c),
    "v_max3_num_f32": lambda a, b, c: np.fmax(np.fmax(a, b), c),
    "v_min3_num_f32": lambda a, b, c: np.fmin(np.fmin(a, b), c),
    "v_maximum3_f32": lambda a, b, c: np.maximum(np.maximum(a, b), c),
    "v_minimum3_f32": lambda a, b, c: np.minimum(np.minimum(a, b), c),
    "v_maxmin_f32": lambda a, b, c: np.fmin(np.fmax(a, b), c),
    "v_minmax_f32": lambda a, b, c: np.fmax(np.fmin(a, b), c),
    "v_maxmin_num_f32": lambda a, b, c: np.fmin(np.fmax(a, b), c),
    "v_minmax_num_f32": lambda a, b, c: np.fmax(np.fmin(a, b), c),
    "v_maximumminimum_f32": lambda a, b, c: np.minimum(np.maximum(a, b), c),
    "v_minimummaximum_f32": lambda a, b, c: np.maximum(np.minimum(a, b), c),
})  # fmt: skip
rows("f32", "f32 f32 +f32", {"v_fmac_f32": do.fma32, "v_mac_f32": lambda a, b, c: a * b + c})
rows("f32", "f32 i32", {"v_ldexp_f32": do.ldexp})
rows("i32", "f32", {
    "v_frexp_exp_i32_f32": do.exponent, "v_cvt_i32_f32": do.to_int(I32, -(1 << 31), (1 << 31) - 1),
    "v_cvt_rpi_i32_f32": lambda x: np.floor(x + F32(0.5)).astype(I32),
    "v_cvt_flr_i32_f32": lambda x: np.floor(x).astype(I32),
})  # fmt: skip
rows("u32", "f32", {"v_cvt_u32_f32": do.to_int(U32, 0, (1 << 32) - 1)})
rows("f32", "i32", {"v_cvt_f32_i32": lambda x: x.astype(F32)})
rows("f32", "u32", {
    "v_cvt_f32_u32": lambda x: x.astype(F32),
    "v_cvt_f32_ubyte0": lambda x: (x & U32(255)).astype(F32),
    "v_cvt_f32_ubyte1": lambda x: (x >> U32(8) & U32(255)).astype(F32),
    "v_cvt_f32_ubyte2": lambda x: (x >> U32(16) & U32(255)).astype(F32),
    "v_cvt_f32_ubyte3": lambda x: (x >> U32(24)).astype(F32),
    "v_cvt_f32_bf16": do.brain,
})  # fmt: skip
rows("u32", "f32 f32", {
    "v_cvt_pkrtz_f16_f32": lambda a, b: do.joined(do.half_bits_to_zero(a), do.half_bits_to_zero(b)),
    "v_cvt_pk_rtz_f16_f32": lambda a, b: do.joined(
        do.half_bits_to_zero(a), do.half_bits_to_zero(b)
    ),
    "v_cvt_pk_f16_f32": lambda a, b: do.joined(do.half_bits(a), do.half_bits(b)),
    "v_cvt_pk_i16_f32": lambda a, b: do.joined(_to_i16(a).view(U16), _to_i16(b).view(U16)),
    "v_cvt_pk_u16_f32": lambda a, b: do.joined(_to_u16(a), _to_u16(b)),
    "v_cvt_pk_bf16_f32": lambda a, b: do.joined(do.brain_bits(a), do.brain_bits(b)),
})  # fmt: skip
rows("f64", "f64", {
    "v_rcp_f64": lambda x: 1.0 / x, "v_rsq_f64": lambda x: 1.0 / np.sqrt(x), "v_sqrt_f64": np.sqrt,
    "v_floor_f64": np.floor, "v_ceil_f64": np.ceil, "v_trunc_f64": np.trunc,
    "v_rndne_f64": np.rint, "v_fract_f64": do.fract, "v_frexp_mant_f64": do.mantissa,
})  # fmt: skip
rows("i32", "f64", {
    "v_frexp_exp_i32_f64": do.exponent, "v_cvt_i32_f64": do.to_int(I32, -(1 << 31), (1 << 31) - 1),
})  # fmt: skip
rows("u32", "f64", {"v_cvt_u32_f64": do.to_int(U32, 0, (1 << 32) - 1)})
rows("f64", "i32", {"v_cvt_f64_i32": lambda x: x.astype(F64)})
rows("f64", "u32", {"v_cvt_f64_u32": lambda x: x.astype(F64)})
rows("f64", "f32", {"v_cvt_f64_f32": lambda x: x.astype(F64)})
rows("f32", "f64", {"v_cvt_f32_f64": lambda x: x.astype(F32)})
rows("f64", "f64 f64", {
    "v_add_f64": lambda a, b: a + b, "v_mul_f64": lambda a, b: a * b, "v_max_f64": np.fmax,
    "v_min_f64": np.fmin, "v_max_num_f64": np.fmax, "v_min_num_f64": np.fmin,
    "v_maximum_f64": np.maximum, "v_minimum_f64": np.minimum,
})  # fmt: skip
rows("f64", "f64 f64 f64", {"v_fma_f64": do.fma64, "v_div_fixup_f64": do.divide_fixup})
rows("f64", "f64 f64 +f64", {"v_fmac_f64": do.fma64})
rows("f64", "f64 i32", {"v_ldexp_f64": do.ldexp})

# --------------------------------------------------------------------------------------- 16 bits

rows("f16", "f32", {"v_cvt_f16_f32": lambda x: x.astype(F16)})
rows("f32", "f16", {"v_cvt_f32_f16": lambda x: x.astype(F32)})
rows("f16", "i16", {"v_cvt_f16_i16": lambda x: x.astype(F16)})
rows("f16", "u16", {"v_cvt_f16_u16": lambda x: x.astype(F16)})
rows("i16", "f16", {"v_cvt_i16_f16": do.to_int(I16, -(1 << 15), (1 << 15) - 1)})
rows("u16", "f16", {"v_cvt_u16_f16": do.to_int(U16, 0, (1 << 16) - 1)})
rows("f16", "f16", {
    "v_rcp_f16": lambda x: F16(1) / x, "v_sqrt_f16": np.sqrt,
    "v_rsq_f16": lambda x: (1.0 / np.sqrt(x.astype(F32))).astype(F16),
    "v_exp_f16": np.exp2, "v_log_f16": np.log2, "v_fract_f16": do.fract,
    "v_frexp_mant_f16": do.mantissa, "v_floor_f16": np.floor, "v_ceil_f16": np.ceil,
    "v_trunc_f16": np.trunc, "v_rndne_f16": np.rint,
})  # fmt: skip
rows("f16", "f16 f16", {
    "v_add_f16": lambda a, b: a + b, "v_sub_f16": lambda a, b: a - b,
    "v_subrev_f16": lambda a, b: b - a, "v_mul_f16": lambda a, b: a * b, "v_max_f16": np.fmax,
    "v_min_f16": np.fmin, "v_max_num_f16": np.fmax, "v_min_num_f16": np.fmin,
    "v_maximum_f16": np.maximum, "v_minimum_f16": np.minimum,
})  # fmt: skip
rows("f16", "f16 f16 f16", {
    "v_fma_f16": do.fma16, "v_div_fixup_f16": do.divide_fixup, "v_fmaak_f16": do.fma16,
    "v_fmamk_f16": do.fma16, "v_med3_f16": do.median, "v_med3_num_f16": do.median,
    "v_max3_f16": lambda a, b, c: np.fmax(np.fmax(a, b), c),
    "v_min3_f16": lambda a, b, c: np.fmin(np.fmin(a, b), c),
    "v_max3_num_f16": lambda a, b, c: np.fmax(np.fmax(a, b), c),
    "v_min3_num_f16": lambda a, b, c: np.fmin(np.fmin(a, b), c),
    "v_maximum3_f16": lambda a, b, c: np.maximum(np.maximum(a, b), c),
    "v_minimum3_f16": lambda a, b, c: np.minimum(np.minimum(a, b), c),
})  # fmt: skip
rows("f16", "f16 f16 +f16", {"v_fmac_f16": do.fma16})
rows("f16", "f16 i16", {"v_ldexp_f16": do.ldexp})
rows("u16", "u16 u16", {
    "v_add_u16": lambda a, b: a + b, "v_add_nc_u16": lambda a, b: a + b,
    "v_sub_u16": lambda a, b: a - b, "v_sub_nc_u16": lambda a, b: a - b,
    "v_subrev_u16": lambda a, b: b - a, "v_mul_lo_u16": lambda a, b: a * b,
    "v_max_u16": np.maximum, "v_min_u16": np.minimum,
    "v_lshlrev_b16": lambda b, a: a << (b & U16(15)),
    "v_lshrrev_b16": lambda b, a: a >> (b & U16(15)),
    "v_ashrrev_i16": lambda b, a: (a.view(I16) >> (b & U16(15)).view(I16)).view(U16),
    "v_and_b16": lambda a, b: a & b, "v_or_b16": lambda a, b: a | b,
    "v_xor_b16": lambda a, b: a ^ b,
})  # fmt: skip
rows("i16", "i16 i16", {
    "v_max_i16": np.maximum, "v_min_i16": np.minimum, "v_add_nc_i16": lambda a, b: a + b,
    "v_sub_nc_i16": lambda a, b: a - b,
})  # fmt: skip
rows("u16", "u16 u16 u16", {
    "v_mad_u16": lambda a, b, c: a * b + c, "v_mad_legacy_u16": lambda a, b, c: a * b + c,
})  # fmt: skip
rows("u32", "u16 u16 u32", {"v_mad_u32_u16": lambda a, b, c: a.astype(U32) * b.astype(U32) + c})
rows("i32", "i16 i16 i32", {"v_mad_i32_i16": lambda a, b, c: a.astype(I32) * b.astype(I32) + c})

# --------------------------------------------------------------------------------------- 64 bits

rows("u64", "u32 u64", {
    "v_lshlrev_b64": lambda b, a: a << (b & U32(63)).astype(U64),
    "v_lshrrev_b64": lambda b, a: a >> (b & U32(63)).astype(U64),
    "v_ashrrev_i64": lambda b, a: (a.view(I64) >> (b & U32(63)).astype(I64)).view(U64),
})  # fmt: skip
rows("u64", "u64 u32 u64", {"v_lshl_add_u64": lambda a, b, c: (a << b.astype(U64)) + c})
rows("u64", "u64", {"v_mov_b64": _same})


def _wide_multiply(signed: bool) -> Maker:
    """Product of words plus a pair, with a carry to a scalar mask."""

    def make(ins: Instruction) -> Step:
        write = writer(ins, "u64")
        kind = "i32" if signed else "u32"
        a, b = source(ins, 2, kind), source(ins, 3, kind)
        c = source(ins, 4, "i64" if signed else "u64")
        wide: Any = I64 if signed else U64
        carry = None if ins.operands[1] == NULL else scalar_register(ins.operands[1])

        def step(w: Waves) -> None:
            product = a(w).astype(wide) * b(w).astype(wide)
            base = c(w)
            total = product + base
            if carry is not None:
                w.put_lanes(carry, np.broadcast_to(total < base, w.active.shape))
            write(w, total)

        return step

    return make


ROWS["v_mad_u64_u32"] = ROWS["v_mad_co_u64_u32"] = _wide_multiply(signed=False)
ROWS["v_mad_i64_i32"] = ROWS["v_mad_co_i64_i32"] = _wide_multiply(signed=True)

# -------------------------------------------------------------------------- carries, choices, masks


def _carrying(function: Function, takes: bool) -> Maker:
    def make(ins: Instruction) -> Step:
        _check(ins)
        write = writer(ins, "u32")
        out = scalar_register(ins.operands[1])
        a = _carry_source(ins, 2)
        b = source(ins, 3, "u32")
        given = scalar_register(ins.operands[4]) if takes else None

        def step(w: Waves) -> None:
            carry = w.lane_mask(given).astype(I64) if given is not None else I64(0)
            total = function(a(w).astype(I64), b(w).astype(I64), carry)
            if out is not None:
                w.put_lanes(out, np.broadcast_to(total >> 32 != 0, w.active.shape))
            write(w, (total & 0xFFFFFFFF).astype(U32))

        return step

    return make


def _carry_source(ins: Instruction, position: int) -> Read:
    read = reader(ins.operands[position], "u32")
    return dpp_mover(ins, read) if ins.encoding in ("dpp", "e64_dpp") else read


for _name in ("v_add_co_u32",):
    ROWS[_name] = _carrying(lambda a, b, c: a + b, takes=False)
for _name in ("v_addc_co_u32", "v_add_co_ci_u32"):
    ROWS[_name] = _carrying(lambda a, b, c: a + b + c, takes=True)
ROWS["v_sub_co_u32"] = _carrying(lambda a, b, c: a - b, takes=False)
ROWS["v_subrev_co_u32"] = _carrying(lambda a, b, c: b - a, takes=False)
for _name in ("v_subb_co_u32", "v_sub_co_ci_u32"):
    ROWS[_name] = _carrying(lambda a, b, c: a - b - c, takes=True)
for _name in ("v_subbrev_co_u32", "v_subrev_co_ci_u32"):
    ROWS[_name] = _carrying(lambda a, b, c: b - a - c, takes=True)


def _choose(ins: Instruction) -> Step:
    _check(ins)
    write = writer(ins, "u32")
    # Signs of choices are those of floats.
    signed = any(t.startswith(("-v", "-s", "-|", "|")) for t in ins.operands[1:3])
    kind = "f32" if signed else "u32"
    a, b = source(ins, 1, kind), source(ins, 2, kind)
    mask = scalar_register(ins.operands[3]) if len(ins.operands) > 3 else VCC
    if mask is None:
        raise unknown(ins)

    def step(w: Waves) -> None:
        write(w, np.where(w.lane_mask(mask), b(w).view(U32), a(w).view(U32)))

    return step


ROWS["v_cndmask_b32"] = _choose


def _choose_half(ins: Instruction) -> Step:
    write = writer(ins, "u16")
    a, b = source(ins, 1, "u16"), source(ins, 2, "u16")
    mask = scalar_register(ins.operands[3]) if len(ins.operands) > 3 else VCC
    if mask is None:
        raise unknown(ins)
    return lambda w: write(w, np.where(w.lane_mask(mask), b(w), a(w)))


ROWS["v_cndmask_b16"] = _choose_half


def _compare(function: Function, kind: str, narrows: bool) -> Maker:
    """A mask of lanes to a scalar register; ``v_cmpx`` writes the mask of active lanes."""

    def make(ins: Instruction) -> Step:
        _check(ins)
        count = len(ins.operands)
        first = count - 2
        target = scalar_register(ins.operands[0]) if count == 3 else (EXEC if narrows else VCC)
        if target is None:
            raise unknown(ins)
        shifted = Instruction(
            ins.word, ["", *ins.operands[first:]], ins.modifiers, ins.flags, ins.encoding,
            ins.text, ins.line,
        )  # fmt: skip
        a, b = source(shifted, 1, kind), source(shifted, 2, kind)

        def step(w: Waves) -> None:
            found = np.broadcast_to(function(a(w), b(w)), w.active.shape)
            if narrows:
                w.keep(found)
                if target != EXEC:
                    w.put_scalar_mask(target, w.mask)
            else:
                w.put_lanes(target, found)

        return step

    return make


for _kind in ("u32", "i32", "u64", "i64", "u16", "i16"):
    for _word, _function in COMPARE.items():
        ROWS[f"v_cmp_{_word}_{_kind}"] = _compare(_function, _kind, narrows=False)
        ROWS[f"v_cmpx_{_word}_{_kind}"] = _compare(_function, _kind, narrows=True)
for _kind in ("f32", "f64", "f16"):
    for _word, _function in FLOAT_COMPARE.items():
        ROWS[f"v_cmp_{_word}_{_kind}"] = _compare(_function, _kind, narrows=False)
        ROWS[f"v_cmpx_{_word}_{_kind}"] = _compare(_function, _kind, narrows=True)


def _classes(x: Any, wanted: Any) -> Any:
    """Bits: NaNs, -inf, -normal, -subnormal, -0, +0, +subnormal, +normal, +inf."""
    smallest = {4: do.SMALLEST_F32, 8: do.SMALLEST_F64, 2: F16(2.0**-14)}[x.dtype.itemsize]
    sign, small, zero = np.signbit(x), np.abs(x) < smallest, x == 0
    nan, inf = np.isnan(x), np.isinf(x)
    rank = np.where(inf, 0, np.where(zero, 3, np.where(small, 2, 1)))
    bit = np.where(sign, 2 + rank, 9 - rank)
    return (wanted >> np.where(nan, 1, bit).astype(U32) & U32(1) != 0) | (
        nan & (wanted & U32(1) != 0)
    )


def _class_test(kind: str, narrows: bool) -> Maker:
    def make(ins: Instruction) -> Step:
        count = len(ins.operands)
        target = scalar_register(ins.operands[0]) if count == 3 else (EXEC if narrows else VCC)
        a, b = reader(ins.operands[-2], kind), reader(ins.operands[-1], "u32")
        assert target is not None

        def step(w: Waves) -> None:
            found = np.broadcast_to(_classes(a(w), b(w)), w.active.shape)
            if narrows:
                w.keep(found)
            else:
                w.put_lanes(target, found)

        return step

    return make


for _kind in ("f32", "f64", "f16"):
    ROWS[f"v_cmp_class_{_kind}"] = _class_test(_kind, narrows=False)
    ROWS[f"v_cmpx_class_{_kind}"] = _class_test(_kind, narrows=True)

# ------------------------------------------------------------------------------------- division


def _divide_scale(kind: str) -> Maker:
    def make(ins: Instruction) -> Step:
        write, out = writer(ins, kind), scalar_register(ins.operands[1])
        sources = [reader(text, kind) for text in ins.operands[2:5]]

        def step(w: Waves) -> None:
            value, flag = do.divide_scale(*[read(w) for read in sources])
            if out is not None:
                w.put_lanes(out, np.broadcast_to(flag, w.active.shape))
            write(w, value)

        return step

    return make


def _divide_fused(kind: str) -> Maker:
    def make(ins: Instruction) -> Step:
        write = writer(ins, kind)
        sources = [reader(text, kind) for text in ins.operands[1:4]]

        def step(w: Waves) -> None:
            a, b, c = (read(w) for read in sources)
            write(w, do.divide_fused(a, b, c, w.lane_mask(VCC)))

        return step

    return make


for _kind in ("f32", "f64"):
    ROWS[f"v_div_scale_{_kind}"] = _divide_scale(_kind)
    ROWS[f"v_div_fmas_{_kind}"] = _divide_fused(_kind)


def _bit_operation(kind: str) -> Maker:
    """Three sources by a truth table of eight bits."""

    def make(ins: Instruction) -> Step:
        function = do.bit_operation(number(ins.modifiers.get("bitop3", "0"), "u32"))
        return _row(kind, [kind] * 3, function)(ins)

    return make


ROWS["v_bitop3_b16"] = _bit_operation("u16")
ROWS["v_bitop3_b32"] = _bit_operation("u32")


def _count_below(high: bool) -> Maker:
    """How many lanes of a mask are below this one."""

    def make(ins: Instruction) -> Step:
        write = writer(ins, "u32")
        a, b = source(ins, 1, "u32"), source(ins, 2, "u32")

        def step(w: Waves) -> None:
            lanes = np.arange(w.width)
            shift = np.clip(lanes - (32 if high else 0), 0, 32)
            below = ((np.uint64(1) << shift.astype(U64)) - U64(1)).astype(U32)
            write(w, do.ones(a(w) & below) + b(w))

        return step

    return make


ROWS["v_mbcnt_lo_u32_b32"] = _count_below(high=False)
ROWS["v_mbcnt_hi_u32_b32"] = _count_below(high=True)
