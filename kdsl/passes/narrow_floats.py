"""Conversions between f32 and the 8- and 16-bit floats by bit arithmetic, for targets without them.

Rounding is to nearest even, NaN stays NaN (quiet), too large becomes infinity, or NaN in f8e4m3,
which has none.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects import arith
from kdsl.dialects.formulae import INTEGER_OF_BITS, Lanes
from kdsl.ir.types import BF16, F8E4M3, F8E5M2, F16, F32, F64, I32, ScalarType

F32_MANTISSA = 23
F32_BIAS = 127
MAGNITUDE = 0x7FFFFFFF
INFINITY = 0x7F800000


@dataclass(frozen=True)
class Format:
    """A small float: mantissa bits, bias; the bits of the largest number, of overflow, of NaN."""

    type: ScalarType
    mantissa: int
    bias: int
    largest: int
    overflow: int
    nan: int

    @property
    def shift(self) -> int:
        return F32_MANTISSA - self.mantissa

    @property
    def least_normal(self) -> float:
        return 2.0 ** (1 - self.bias)


FORMATS = {
    F16: Format(F16, 10, 15, 0x7BFF, 0x7C00, 0x7E00),
    BF16: Format(BF16, 7, 127, 0x7F7F, 0x7F80, 0x7FC0),
    F8E5M2: Format(F8E5M2, 2, 15, 0x7B, 0x7C, 0x7E),
    F8E4M3: Format(F8E4M3, 3, 7, 0x7E, 0x7F, 0x7F),
}


def widen(x: Lanes, f: Format) -> Lanes:
    """Return f32 lanes with the value of the small floats ``x``; exact."""
    raw = x.view(INTEGER_OF_BITS[f.type.bits]).to(arith.Extui, I32)
    if f.type is BF16:
        return (raw << 16).view(F32)
    sign = (raw >> (f.type.bits - 1)) << 31
    magnitude = raw & ((1 << (f.type.bits - 1)) - 1)
    # A power of two moves the exponent; subnormals become normal on the way.
    scaled = (magnitude << f.shift).view(F32).exact_mul(2.0 ** (F32_BIAS - f.bias)).bits()
    beyond = magnitude.compare("ugt", f.largest)
    payload = ((magnitude << f.shift) & ((1 << F32_MANTISSA) - 1)) | INFINITY
    special = payload if f.overflow != f.nan else magnitude.constant(INFINITY | 1 << 22)
    return (beyond.choose(special, scaled) | sign).view(F32)


def narrow(x: Lanes, f: Format) -> Lanes:
    """Return the f32 lanes ``x`` rounded to the small format."""
    raw = x.bits()
    magnitude = raw & MAGNITUDE
    small = _round_normal(magnitude, f)
    if f.type is not BF16:
        tiny = magnitude.view(F32).compare("olt", f.least_normal)
        small = tiny.choose(_round_subnormal(magnitude, f), small)
        small = small.compare("ugt", f.largest).choose(f.overflow, small)
    small = magnitude.compare("ugt", INFINITY).choose(f.nan, small)
    sign = (raw >> 31) << (f.type.bits - 1)
    return (small | sign).to(arith.Trunci, INTEGER_OF_BITS[f.type.bits]).view(f.type)


def _round_normal(magnitude: Lanes, f: Format) -> Lanes:
    odd = (magnitude >> f.shift) & 1
    rounded = magnitude + ((1 << (f.shift - 1)) - 1) + odd
    # An infinity does not overflow here: its exponent is the largest and its mantissa zero.
    return (rounded >> f.shift) - ((F32_BIAS - f.bias) << f.mantissa)


def _round_subnormal(magnitude: Lanes, f: Format) -> Lanes:
    """Adding a number whose last bit is the smallest subnormal lets the adder round."""
    anchor = 2.0 ** (F32_MANTISSA - f.mantissa + 1 - f.bias)
    summed = magnitude.view(F32).exact_add(anchor).bits()
    return summed - anchor_bits(anchor)


def anchor_bits(anchor: float) -> int:
    """Return the bits of an f32 number."""
    import struct

    return int(struct.unpack("<i", struct.pack("<f", anchor))[0])


def narrow_odd(x: Lanes) -> Lanes:
    """Return f64 lanes as f32, inexact ones odd, so that a second rounding is right."""
    y = x.to(arith.Truncf, F32)
    back = y.to(arith.Extf, F64)
    inexact = back.compare("one", x)
    too_large = back.abs().compare("ogt", x.abs())
    bits = y.bits() - too_large.to(arith.Extui, I32)
    return inexact.choose(bits | 1, y.bits()).view(F32)
