"""What vector instructions compute, as NumPy functions of lanes.

Sources: AMD's instruction set documents for CDNA3, RDNA3 and RDNA4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kdsl_amdgpu.emulator.state import F16, F32, F64, I16, I32, I64, U8, U16, U32, U64, Array

SMALLEST_F32 = np.float32(2.0**-126)
SMALLEST_F64 = 2.0**-1022
SPLIT_LIMIT = 2.0**-900
"""Below it the parts of a split product may be subnormal."""


def fma32(a: Any, b: Any, c: Any) -> Any:
    """The product of two f32 is exact in f64."""
    return (a.astype(F64) * b + c).astype(F32)


def fma16(a: Any, b: Any, c: Any) -> Any:
    """Products and sums of f16 are exact in f64."""
    return (a.astype(F64) * b + c).astype(F16)


def fma64(a: Any, b: Any, c: Any) -> Any:
    """Split both factors, so that the product's error is known, and add it last."""
    p = a * b
    split = F64(134217729.0)
    ha, hb = a * split, b * split
    ha, hb = ha - (ha - a), hb - (hb - b)
    la, lb = a - ha, b - hb
    error = ((ha * hb - p) + ha * lb + la * hb) + la * lb
    s = p + c
    rest = s - p
    made = s + (error + ((p - (s - rest)) + (c - rest)))
    # Where a part overflows or gets subnormal, a wider exponent range saves the sum.
    wide = (np.asarray(a, np.longdouble) * b + c).astype(F64)
    return np.where(np.isfinite(made) & (np.abs(made) > SPLIT_LIMIT), made, wide)


def flush(x: Any) -> Any:
    """Make subnormal results zero of the same sign, as the transcendental unit does."""
    return np.where(np.abs(x) < SMALLEST_F32, np.copysign(F32(0), x), x).astype(F32)


def exp2(x: Any) -> Any:
    return flush(np.exp2(flush(x)))


def log2(x: Any) -> Any:
    return np.log2(flush(x)).astype(F32)


def rcp(x: Any) -> Any:
    return (F32(1) / x).astype(F32)


def rsq(x: Any) -> Any:
    return (1.0 / np.sqrt(x.astype(F64))).astype(F32)


def sine(x: Any) -> Any:
    """Arguments are turns."""
    return np.sin(2 * np.pi * (x.astype(F64) % 1.0)).astype(F32)


def cosine(x: Any) -> Any:
    return np.cos(2 * np.pi * (x.astype(F64) % 1.0)).astype(F32)


def fract(x: Any) -> Any:
    found = x - np.floor(x)
    one = np.nextafter(x.dtype.type(1), x.dtype.type(0))
    return np.minimum(found, one)


def ldexp(x: Any, e: Any) -> Any:
    return np.ldexp(x, np.clip(e, -4000, 4000))


def mantissa(x: Any) -> Any:
    found, _ = np.frexp(x)
    return np.where(np.isfinite(x), found, x).astype(x.dtype)


def exponent(x: Any) -> Any:
    _, found = np.frexp(x)
    return np.where(np.isfinite(x), found, 0).astype(I32)


def median(a: Any, b: Any, c: Any) -> Any:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def float_median(a: Any, b: Any, c: Any) -> Any:
    """With a NaN it is the least of the three."""
    bad = np.isnan(a) | np.isnan(b) | np.isnan(c)
    return np.where(bad, np.fmin(np.fmin(a, b), c), median(a, b, c)).astype(F32)


def to_int(kind: Any, low: int, high: int) -> Callable[[Any], Any]:
    """Truncate and saturate; NaN is zero."""

    def convert(x: Any) -> Any:
        wide = np.nan_to_num(x.astype(F64), nan=0.0, posinf=np.inf, neginf=-np.inf)
        return np.clip(np.trunc(wide), low, high).astype(I64).astype(kind)

    return convert


def divide_scale(a: Any, denominator: Any, numerator: Any) -> tuple[Any, Any]:
    """Return a scaled operand of a division, and whether the quotient is to be scaled back.

    Where the inverse of the denominator and the quotient are both subnormal, the documents scale
    the denominator up, which overflows; it has to go down.
    """
    is_double = numerator.dtype == F64
    step, smallest = (128, SMALLEST_F64) if is_double else (64, SMALLEST_F32)
    far, tiny, bias = (768, 53, 1022) if is_double else (96, 23, 126)
    _, en = np.frexp(numerator)
    _, ed = np.frexp(denominator)
    quotient = numerator.astype(F64) / denominator
    inverse = 1.0 / denominator.astype(F64)
    small_denominator = (np.abs(denominator) < smallest) & (denominator != 0)
    small_inverse = np.abs(inverse) < smallest
    small_quotient = (np.abs(quotient) < smallest) & (numerator != 0)
    void = (numerator == 0) | (denominator == 0)
    is_d, is_n = a == denominator, a == numerator
    up, down = np.ldexp(a, step), np.ldexp(a, -step)
    conditions = [
        void, en - ed >= far, small_denominator, small_inverse & small_quotient, small_inverse,
        small_quotient, en + bias <= tiny,
    ]  # fmt: skip
    values = [
        np.full_like(a, np.nan), np.where(is_d, up, a), up, np.where(is_d, down, a), down,
        np.where(is_n, up, a), up,
    ]  # fmt: skip
    flags = [False, True, False, True, False, True, False]
    shape = np.broadcast_shapes(a.shape, denominator.shape, numerator.shape)
    spread = [np.broadcast_to(c, shape) for c in conditions]
    value = np.select(
        spread, [np.broadcast_to(v, shape) for v in values], np.broadcast_to(a, shape)
    )
    flag = np.select(spread, [np.full(shape, f) for f in flags], np.zeros(shape, bool))
    return value.astype(a.dtype), flag


def divide_fixup(quotient: Any, denominator: Any, numerator: Any) -> Any:
    """Give a quotient the right sign and the special results.

    Of numbers it is no NaN: one that the steps before overflowed to is infinite.
    """
    sign = np.signbit(denominator) ^ np.signbit(numerator)
    inf = np.isinf
    zero_d, zero_n = denominator == 0, numerator == 0
    magnitude = np.where(np.isnan(quotient), quotient.dtype.type(np.inf), np.abs(quotient))
    conditions = [
        np.isnan(numerator), np.isnan(denominator),
        (zero_d & zero_n) | (inf(denominator) & inf(numerator)),
        zero_d | inf(numerator), inf(denominator) | zero_n,
    ]  # fmt: skip
    shape = np.broadcast_shapes(quotient.shape, denominator.shape, numerator.shape)
    infinite, none = np.full(shape, np.inf, quotient.dtype), np.zeros(shape, quotient.dtype)
    values = [numerator, denominator, np.full(shape, np.nan, quotient.dtype), infinite, none]
    value = np.select(
        [np.broadcast_to(c, shape) for c in conditions],
        [np.broadcast_to(v, shape) for v in values],
        np.broadcast_to(magnitude, shape),
    ).astype(quotient.dtype)
    return np.where(np.isnan(value), value, np.where(sign, -np.abs(value), np.abs(value)))


def divide_fused(a: Any, b: Any, c: Any, scaled: Any) -> Any:
    """A fused product and sum, scaled back before it is rounded where the operands were scaled."""
    is_double = a.dtype == F64
    step, wider = (128, np.longdouble) if is_double else (64, F64)
    _, e = np.frexp(c)
    back = np.where(e > 1, step, -step)
    made = (fma64 if is_double else fma32)(a, b, c)
    wide = np.ldexp(a.astype(wider) * b + c, back)
    return np.where(scaled, wide.astype(a.dtype), made).astype(a.dtype)


# -------------------------------------------------------------------------------- narrow and packed


def halves(x: Any) -> tuple[Any, Any]:
    """Return the low and high 16 bits of words as numbers."""
    return x & U32(0xFFFF), x >> U32(16)


def joined(low: Any, high: Any) -> Any:
    """Return words of two 16-bit halves."""
    return low.astype(U32) | high.astype(U32) << U32(16)


def half_bits(x: Any) -> Any:
    """Return f32 rounded to f16, as bits."""
    with np.errstate(all="ignore"):
        return x.astype(F16).view(U16)


def half_bits_to_zero(x: Any) -> Any:
    """Return f32 truncated to f16, as bits."""
    with np.errstate(all="ignore"):
        made = x.astype(F16)
    over = np.abs(made.astype(F32)) > np.abs(x)
    bits = made.view(U16)
    return np.where(over & ~np.isnan(x) & (bits & 0x7FFF != 0), bits - U16(1), bits).astype(U16)


def brain_bits(x: Any) -> Any:
    """Return f32 rounded to bf16, as bits."""
    bits = np.ascontiguousarray(x).view(U32)
    rounded = (bits + U32(0x7FFF) + (bits >> U32(16) & U32(1))) >> U32(16)
    return np.where(np.isnan(x), bits >> U32(16) | U32(0x40), rounded).astype(U16)


def brain(x: Any) -> Any:
    """Return bf16 bits in words as f32."""
    return (x << U32(16)).view(F32)


def permute_bytes(a: Any, b: Any, selector: Any) -> Any:
    """Pick each byte of the result from the eight bytes of ``b`` (0-3) and ``a`` (4-7)."""
    a, b, selector = np.broadcast_arrays(a, b, selector)
    both = b.astype(U64) | a.astype(U64) << U64(32)
    found = np.zeros(both.shape, U32)
    for k in range(4):
        pick = (selector >> U32(8 * k)) & U32(0xFF)
        byte = (both >> ((pick & U32(7)).astype(U64) * U64(8))) & U64(0xFF)
        sign = (both >> (((pick & U32(3)) * U32(2) + U32(1)) * U32(8) + U32(7)).astype(U64)) & U64(
            1
        )
        byte = np.where(pick >= 13, U64(0xFF), byte)
        byte = np.where(pick == 12, U64(0), byte)
        byte = np.where((pick >= 8) & (pick <= 11), sign * U64(0xFF), byte)
        found |= byte.astype(U32) << U32(8 * k)
    return found


def align(shift_unit: int) -> Callable[[Any, Any, Any], Any]:
    """Return 32 bits of two words, from a bit or byte on."""

    def aligned(a: Any, b: Any, c: Any) -> Any:
        shift = (c & U32(31 if shift_unit == 1 else 3)) * U32(shift_unit)
        both = b.astype(U64) | a.astype(U64) << U64(32)
        return (both >> shift.astype(U64)).astype(U32)

    return aligned


def field_u32(x: Any, start: Any, count: Any) -> Any:
    start, count = start & U32(31), count & U32(31)
    return x >> start & ((U32(1) << count) - U32(1))


def field_i32(x: Any, start: Any, count: Any) -> Any:
    start, count = start & U32(31), count & U32(31)
    found = field_u32(x, start, count)
    top = U32(1) << np.maximum(count, U32(1)) - U32(1)
    return np.where(count == 0, U32(0), (found ^ top) - top)


def leading_zeros(x: Any) -> Any:
    """The count, or all ones for zero."""
    _, e = np.frexp(x.astype(F64))
    return np.where(x == 0, -1, 32 - e).astype(I32).view(U32)


def trailing_zeros(x: Any) -> Any:
    low = x & (~x + U32(1))
    _, e = np.frexp(low.astype(F64))
    return np.where(x == 0, -1, e - 1).astype(I32).view(U32)


def sign_bits(x: Any) -> Any:
    """How many leading bits equal the sign; all ones when all do."""
    flipped = np.where(x.view(I32) < 0, ~x, x)
    _, e = np.frexp(flipped.astype(F64))
    return np.where(flipped == 0, -1, 32 - e).astype(I32).view(U32)


def reverse_bits(x: Any) -> Any:
    raw = np.ascontiguousarray(np.broadcast_to(x, x.shape)).view(U8)
    table = np.array([int(f"{i:08b}"[::-1], 2) for i in range(256)], U8)
    return np.ascontiguousarray(table[raw].reshape(*x.shape, 4)[..., ::-1]).view(U32)[..., 0]


def ones(x: Any) -> Any:
    return np.bitwise_count(x).astype(U32)


def bit_operation(table: int) -> Callable[[Any, Any, Any], Any]:
    """Any function of three bits, by its truth table."""

    def combine(a: Any, b: Any, c: Any) -> Any:
        found = np.zeros(np.broadcast_shapes(a.shape, b.shape, c.shape), a.dtype)
        for i in range(8):
            if table >> i & 1:
                x, y, z = a if i & 4 else ~a, b if i & 2 else ~b, c if i & 1 else ~c
                found |= x & y & z
        return found

    return combine


def dot_bytes(a: Any, b: Any, c: Any) -> Any:
    """Four products of signed bytes and a sum."""
    total = c.view(I32).astype(I64)
    for k in range(4):
        x = (a >> U32(8 * k)).astype(np.int8).astype(I64)
        y = (b >> U32(8 * k)).astype(np.int8).astype(I64)
        total = total + x * y
    return total.astype(I32).view(U32)


def high_product(signed: bool) -> Callable[[Any, Any], Any]:
    """Return the high word of a product."""
    kind, wide = (I32, I64) if signed else (U32, U64)

    def high(a: Any, b: Any) -> Any:
        return (a.view(kind).astype(wide) * b.view(kind).astype(wide) >> wide(32)).astype(U32)

    return high


def low24(x: Any) -> Any:
    return x & U32(0xFFFFFF)


def signed24(x: Any) -> Any:
    return ((x << U32(8)).view(I32) >> I32(8)).astype(I32)


def narrow_signed(x: Any) -> Any:
    """View the low 16 bits as signed."""
    return x.astype(U16).view(I16)


def constant_array(value: int) -> Array:
    """Return a word that broadcasts to any lanes."""
    return np.full((1, 1), value & 0xFFFFFFFF, U64).astype(U32)
