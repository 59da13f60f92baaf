"""Elementary functions by argument reduction and minimax polynomials: no calls, any width.

Largest errors, measured over dense sweeps against exact values, in units of the last place (ulp):

    f32: exp2 1.3, exp 1.1, log 1.0, log2 1.4, sin and cos 1.7 for |x| <= 1e5, tanh 1.5, erf 2.6,
         powf 2
    f64: exp2 1.2, exp 1.1, log 1.0, log2 1.3, sin and cos 1.7 for |x| <= 1e7, tanh 1.5, erf 7.0,
         powf 3000

Beyond the stated range sin and cos stay within [-1, 1] but lose their digits. Infinities, NaN,
zeros and subnormals follow C. With the fast-math flag ``afn``, exp2 in f32 has an error of at most
8 ulp, and results below 2**-125.5 are zero. Smaller floats are computed in f32. The coefficients
come from the Remez algorithm with 50 digits; the lowest power stands first.
"""

from __future__ import annotations

import math as numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kdsl.dialects import arith, math
from kdsl.dialects.formulae import Lanes, horner
from kdsl.ir.attributes import Opaque
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value
from kdsl.ir.types import F32, F64, I32, I64, ScalarType

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453
TWO_OVER_PI = 0.6366197723675814
INFINITY, NAN = float("inf"), float("nan")


@dataclass(frozen=True)
class Numbers:
    """What the formulae need of a float type."""

    type: ScalarType
    integer: ScalarType
    mantissa: int
    bias: int
    magic: float
    """1.5 * 2**mantissa: adding and taking it away rounds to an integer."""
    least_exp2: float
    most_exp2: float
    least_exp: float
    most_exp: float
    ln2: tuple[float, float]
    """ln 2 in two parts; multiples of the first are exact."""
    half_pi: tuple[float, float, float]
    exp2: tuple[float, ...]
    """(2**t - 1) / t on [-1/2, 1/2]."""
    exp: tuple[float, ...]
    """(e**t - 1 - t) / t**2 on [-ln 2 / 2, ln 2 / 2]."""
    tanh: tuple[float, ...]
    """(tanh t / t - 1) / t**2 in powers of t**2, for t <= 0.625."""
    sin: tuple[float, ...]
    """(sin t / t - 1) / t**2 in powers of t**2, for t <= pi / 4."""
    cos: tuple[float, ...]
    """(cos t - 1 + t**2 / 2) / t**4 in powers of t**2."""
    erf: tuple[float, ...]
    """erf t / t in powers of t**2, for t <= 1."""
    erfc: tuple[float, ...]
    """log2 erfc t on [1, erf_end], in powers of (t - shift) / scale."""
    erf_end: float
    erfc_shift: float
    erfc_scale: float

    @property
    def least_normal(self) -> float:
        return 2.0 ** (1 - self.bias)


SINGLE = Numbers(
    type=F32, integer=I32, mantissa=23, bias=127, magic=12582912.0,
    least_exp2=-151.0, most_exp2=129.0, least_exp=-104.0, most_exp=89.0,
    ln2=(0.693145751953125, 1.42860682030941723212e-6),
    half_pi=(1.5707963705062866, -4.371139000186243e-08, -1.7151245100059e-15),
    exp2=(0.69314724, 0.24022652, 0.055503104, 0.009617693, 0.0013406645, 0.0001559469),
    exp=(0.49999994, 0.16666521, 0.04166839, 0.008368717, 0.0013814599),
    tanh=(-0.3333328, 0.13331442, -0.053739715, 0.020639088, -0.0057049887),
    sin=(-0.16666655, 0.00833216, -0.00019515218),
    cos=(0.041666646, -0.0013887315, 2.4433082e-05),
    erf=(1.1283791, -0.37612626, 0.112835854, -0.026853813, 0.0051883277, -0.00080101937,
         7.8538615e-05),
    erfc=(0.0002719019, -1.6296399, -0.91353816, -0.15642002, 0.036370832, -0.006066943,
          0.0006369103, -3.1303032e-05),
    erf_end=4.0, erfc_shift=0.0, erfc_scale=1.0,
)  # fmt: skip

DOUBLE = Numbers(
    type=F64, integer=I64, mantissa=52, bias=1023, magic=6755399441055744.0,
    least_exp2=-1076.0, most_exp2=1025.0, least_exp=-746.0, most_exp=710.0,
    ln2=(0.6931471803691238, 1.9082149292705877e-10),
    half_pi=(1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33),
    exp2=(0.6931471805599453, 0.24022650695910072, 0.055504108664821736, 0.009618129107628562,
          0.0013333558146381742, 0.00015403530393172106, 1.5252733864841724e-05,
          1.321548700318004e-06, 1.0178047532629764e-07, 7.0548149224092044e-09,
          4.4572390916101007e-10, 2.5855119253802814e-11),
    exp=(0.5000000000000011, 0.16666666666666413, 0.04166666666653016, 0.008333333333494465,
         0.0013888888943628945, 0.0001984126950656571, 2.480149310007098e-05,
         2.755758638843295e-06, 2.7630247990155085e-07, 2.5000056708160523e-08),
    tanh=(-0.33333333333333315, 0.1333333333332989, -0.05396825396613455, 0.021869488470657318,
          -0.008863234341550333, 0.0035921142717218295, -0.0014557276193843565,
          0.0005894586332012452, -0.0002370301517477506, 9.158985668460137e-05,
          -3.0218023154962595e-05, 6.055659207852831e-06),
    sin=(-0.16666666666666666, 0.008333333333333323, -0.00019841269841255123,
         2.755731921421928e-06, -2.5052104919259524e-08, 1.6058367623939282e-10,
         -7.578748171917345e-13),
    cos=(0.041666666666666664, -0.0013888888888888874, 2.4801587301571523e-05,
         -2.75573192153876e-07, 2.087675436879061e-09, -1.147029356304031e-11,
         4.73812234882017e-14),
    erf=(1.1283791670955126, -0.37612638903183754, 0.1128379167095512, -0.026866170645129868,
         0.005223977625423609, -0.0008548327021955926, 0.00012055332903808761,
         -1.492564759439734e-05, 1.646204597874543e-06, -1.636464952887461e-07,
         1.4792469453037431e-08, -1.2164967563011512e-09, 8.710461935987662e-11,
         -4.233124648497937e-12),
    erfc=(-20.3599434549351, -26.206914606849534, -8.717061486505044, -0.11779736252384734,
          0.049236889470076525, -0.02075251664902731, 0.008589377941455116,
          -0.003424960458412172, 0.0012891627108197635, -0.00044401209782197744,
          0.0001313213452751104, -2.66843845517414e-05, -3.026369103248379e-06,
          4.998340007893128e-06, -5.09624438610266e-06, 6.09165543101147e-06,
          3.5972283498718255e-06, 2.2363475682313093e-06, -3.3669651379627154e-06,
          -4.566711527794047e-06, -2.6298018962342973e-06, -6.320113738593158e-07),
    erf_end=6.0, erfc_shift=3.5, erfc_scale=2.5,
)  # fmt: skip

FAST_EXP2 = (0.69314283, 0.24022351, 0.055574004, 0.009666283, 0.0011125524)
LOG_SINGLE = (
    0.3333333, -0.2500082, 0.20001227, -0.16623357, 0.14201757, -0.1316018, 0.12761576, -0.07634501
)  # fmt: skip
"""(ln(1 + t) - t + t**2 / 2) / t**3 for sqrt(1/2) <= 1 + t <= sqrt(2)."""
LOG_DOUBLE = (
    0.3333333333333333, 0.20000000000003126, 0.1428571428454225, 0.11111111323502258,
    0.09090887824442245, 0.07693545742562567, 0.0662505085043517, 0.06625739423771367,
)  # fmt: skip
"""(artanh s / s - 1) / s**2 in powers of s**2, s = t / (2 + t)."""

NUMBERS = {F32: SINGLE, F64: DOUBLE}


# ------------------------------------------------------------------------------------- reductions


def nearest(x: Lanes, n: Numbers) -> tuple[Lanes, Lanes]:
    """Return ``x`` rounded to an integer, as float and as integer; |x| < 2**(mantissa - 1).

    A NaN stays one in the float; the integer is then of no meaning, but defined.
    """
    moved = x.exact_add(n.magic)
    whole = moved.exact_sub(n.magic)
    return whole, moved.bits() - _bits_of(n.magic, n)


def _bits_of(number: float, n: Numbers) -> int:
    import struct

    form, whole = ("<f", "<i") if n.type is F32 else ("<d", "<q")
    return int(struct.unpack(whole, struct.pack(form, number))[0])


def clamp(x: Lanes, low: float, high: float) -> Lanes:
    """Limit to a range; NaN stays."""
    x = x.compare("olt", low).choose(low, x)
    return x.compare("ogt", high).choose(high, x)


def power_of_two(i: Lanes, n: Numbers) -> Lanes:
    """Return 2**i for exponents of normal numbers (one more is infinity)."""
    return ((i + n.bias) << n.mantissa).view(n.type)


def scale_by_power(y: Lanes, i: Lanes, n: Numbers) -> Lanes:
    """Return y * 2**i in two steps, so that subnormal results are rounded once."""
    half = i.shift_signed(1)
    return y.exact_mul(power_of_two(half, n)).exact_mul(power_of_two(i - half, n))


def fma(a: Lanes, b: Lanes | float, c: Lanes) -> Lanes:
    """Return a * b + c, rounded once."""
    other = b if isinstance(b, Lanes) else a.constant(b)
    return a.apply(math.Fma, other, c)


def sign_of(y: Lanes, x: Lanes) -> Lanes:
    """Return ``y`` with the sign of ``x``."""
    return y.apply(math.Copysign, x)


# --------------------------------------------------------------------------------- exponentials


def exp2_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Return 2**x."""
    x = clamp(x, n.least_exp2, n.most_exp2)
    whole, i = nearest(x, n)
    t = x.exact_sub(whole)
    return scale_by_power(t * horner(t, n.exp2) + 1.0, i, n)


def fast_exp2(x: Lanes) -> Lanes:
    """One step of scaling, by half of the power; what is too small for it is zero."""
    n = SINGLE
    x = clamp(x, -126.0, 128.0)
    whole, i = nearest(x, n)
    t = x.exact_sub(whole)
    twice = t * horner(t, tuple(2 * c for c in FAST_EXP2)) + 2.0
    return twice * power_of_two(i - 1, n)


def exp_parts(x: Lanes, n: Numbers) -> tuple[Lanes, Lanes]:
    """Return e**t - 1 and i with x = i ln 2 + t."""
    x = clamp(x, n.least_exp, n.most_exp)
    whole, i = nearest(x * LOG2_E, n)
    t = fma(-whole, n.ln2[0], x)
    t = fma(-whole, n.ln2[1], t)
    return t * t * horner(t, n.exp) + t, i


def exp_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Return e**x."""
    p, i = exp_parts(x, n)
    return scale_by_power(p + 1.0, i, n)


# ------------------------------------------------------------------------------------ logarithms


def log_parts(x: Lanes, n: Numbers) -> tuple[Lanes, Lanes]:
    """Return t and e with x = 2**e * (1 + t), sqrt(1/2) <= 1 + t < sqrt(2); x > 0."""
    small = x.compare("olt", n.least_normal)
    lift = n.mantissa + 1
    x = small.choose(x.exact_mul(2.0**lift), x)
    root = x.bits() - _bits_of(numbers.sqrt(0.5), n)
    e = root.shift_signed(n.mantissa)
    one_more = (x.bits() - (e << n.mantissa)).view(n.type)
    e = small.choose(e - lift, e)
    return one_more.exact_sub(1.0), e.to(arith.Sitofp, n.type)


def log_of_one_more(t: Lanes, n: Numbers) -> tuple[Lanes, Lanes]:
    """Return ln(1 + t) as the sum of t and a smaller part."""
    if n.type is F32:
        z = t * t
        return t, horner(t, LOG_SINGLE) * t * z - z * 0.5
    half = t * t * 0.5
    s = t / (t + 2.0)
    z = s * s
    rest = z * horner(z, LOG_DOUBLE) * 2.0
    # ln(1 + t) = 2 artanh(s) = t - (t**2/2 - s (t**2/2 + R)),  R = 2 s**2 P(s**2)
    return t, s * (half + rest) - half


def log_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Return ln x."""
    t, e = log_parts(x, n)
    top, rest = log_of_one_more(t, n)
    y = fma(e, n.ln2[0], top + fma(e, n.ln2[1], rest))
    return _log_limits(x, y)


def log2_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Return log2 x."""
    t, e = log_parts(x, n)
    top, rest = log_of_one_more(t, n)
    high = numbers.ldexp(round(numbers.ldexp(LOG2_E, 11)), -11)
    # log2 e in two parts: what the product with t loses is added back.
    product = top.exact_mul(high)
    lost = fma(top, high, -product)
    y = rest * LOG2_E + top * (LOG2_E - high) + lost
    whole = e.exact_add(product)
    error = e.exact_sub(whole).exact_add(product)
    return _log_limits(x, whole.exact_add(y + error))


def _log_limits(x: Lanes, y: Lanes) -> Lanes:
    """ln 0 is -inf, ln inf is inf, of negative numbers NaN."""
    y = x.compare("oeq", INFINITY).choose(x, y)
    y = x.compare("oeq", 0.0).choose(-INFINITY, y)
    return x.compare("olt", 0.0).choose(NAN, x.compare("uno", x).choose(x, y))


# --------------------------------------------------------------------------------- trigonometry


def sin_lanes(x: Lanes, n: Numbers, quarter: int = 0) -> Lanes:
    """Return the sine of x + quarter * pi / 2."""
    whole, i = nearest(x * TWO_OVER_PI, n)
    t = x
    for part in n.half_pi:
        t = fma(-whole, part, t)
    # A huge x leaves anything here; its result must still be a sine.
    t = clamp(t, -1.0, 1.0)
    z = t * t
    sine = z * horner(z, n.sin) * t + t
    cosine = z * z * horner(z, n.cos) + (1.0 - z * 0.5)
    i = i + quarter if quarter else i
    odd = (i & 1).compare("ne", 0)
    y = odd.choose(cosine, sine)
    flipped = y.bits() ^ ((i & 2) << (n.type.bits - 2))
    # Minus zero stays: its sine has the sign of x.
    made = flipped.view(n.type)
    return x.compare("oeq", 0.0).choose(x, made) if quarter == 0 else made


# ---------------------------------------------------------------------------------- hyperbolic


def tanh_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Return tanh x."""
    a = x.abs()
    z = a * a
    small = z * horner(z, n.tanh) * a + a
    limit = (n.mantissa + 2) * LN_2 / 2
    b = clamp(a, 0.0, limit)
    large = 1.0 - 2.0 / (exp_lanes(b + b, n) + 1.0)
    return sign_of(a.compare("olt", 0.625).choose(small, large), x)


def erf_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Return erf x."""
    a = x.abs()
    small = horner(a * a, n.erf) * a
    b = clamp(a, 1.0, n.erf_end)
    u = (b - n.erfc_shift) * (1.0 / n.erfc_scale) if n.erfc_shift else b
    large = 1.0 - exp2_lanes(horner(u, n.erfc), n)
    return sign_of(a.compare("olt", 1.0).choose(small, large), x)


# ---------------------------------------------------------------------------------------- powers


def pow_lanes(a: Lanes, b: Lanes) -> Lanes:
    """C's pow, in f64: f32 lanes have enough digits then, f64 lanes lose some."""
    size = a.abs()
    made = exp2_lanes(b * log2_lanes(size, DOUBLE), DOUBLE)
    made = size.compare("oeq", 1.0).choose(1.0, made)
    whole = b.apply(math.Trunc).compare("oeq", b)
    halved = b * 0.5
    odd = whole.apply(arith.Andi, halved.apply(math.Trunc).compare("une", halved))
    made = odd.choose(sign_of(made, a), made)
    negative = a.compare("olt", 0.0).apply(arith.Andi, a.compare("ogt", -INFINITY))
    finite = b.abs().compare("olt", INFINITY)
    fraction = whole.apply(arith.Xori, whole.constant(True))
    wrong = fraction.apply(arith.Andi, negative).apply(arith.Andi, finite)
    made = wrong.choose(NAN, made)
    made = a.compare("uno", b).choose(NAN, made)
    one = b.compare("oeq", 0.0).apply(arith.Ori, a.compare("oeq", 1.0))
    return one.choose(1.0, made)


# --------------------------------------------------------------------- rounding without support


def roundeven_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Adding 2**mantissa leaves no room for a fraction; larger numbers have none."""
    a = x.abs()
    step = 2.0**n.mantissa
    near = a.exact_add(step).exact_sub(step)
    return sign_of(a.compare("olt", step).choose(near, a), x)


def floor_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Round towards minus infinity."""
    near = roundeven_lanes(x, n)
    return sign_of(near.compare("ogt", x).choose(near.exact_sub(1.0), near), x)


def ceil_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Round towards plus infinity."""
    near = roundeven_lanes(x, n)
    return sign_of(near.compare("olt", x).choose(near.exact_add(1.0), near), x)


def trunc_lanes(x: Lanes, n: Numbers) -> Lanes:
    """Round towards zero."""
    a = x.abs()
    near = roundeven_lanes(a, n)
    return sign_of(near.compare("ogt", a).choose(near.exact_sub(1.0), near), x)


def round_lanes(x: Lanes) -> Lanes:
    """Halves away from zero: one more than the truncated number from .5 on."""
    down = x.apply(math.Trunc)
    more = x.exact_sub(down).abs().compare("oge", 0.5)
    step = sign_of(x.constant(1.0), x)
    return sign_of(more.choose(down.exact_add(step), down), x)


def remainder_lanes(x: Lanes, y: Lanes) -> Lanes:
    """x - trunc(x / y) y; exact while |x / y| < 2**24, and infinite y gives x."""
    quotient = x.exact_div(y).apply(math.Trunc)
    size = y.abs()
    rest = fma(-quotient, y, x)
    toward = sign_of(size, x)
    # The quotient may have been rounded across an integer.
    low = rest.exact_mul(sign_of(x.constant(1.0), x)).compare("olt", 0.0)
    rest = low.choose(rest.exact_add(toward), rest)
    high = rest.abs().compare("oge", size)
    rest = high.choose(rest.exact_sub(toward), rest)
    finite = x.abs().compare("olt", INFINITY)
    kept = size.compare("oeq", INFINITY).apply(arith.Andi, finite)
    return sign_of(kept.choose(x, rest), x)


def fused_lanes(a: Lanes, b: Lanes, c: Lanes) -> Lanes:
    """Return a * b + c without the instruction: in f64 for f32; f64 keeps the product's error.

    An f64 product that overflows or loses subnormal bits is not rescued (Dekker's method).
    """
    if a.element is F32:
        x, y, z = (v.to(arith.Extf, F64) for v in (a, b, c))
        return x.exact_mul(y).exact_add(z).to(arith.Truncf, F32)
    product = a.exact_mul(b)
    (a1, a2), (b1, b2) = _split(a), _split(b)
    lost = a1.exact_mul(b1).exact_sub(product)
    lost = lost.exact_add(a1.exact_mul(b2)).exact_add(a2.exact_mul(b1)).exact_add(a2.exact_mul(b2))
    total = product.exact_add(c)
    part = total.exact_sub(product)
    error = product.exact_sub(total.exact_sub(part)).exact_add(c.exact_sub(part))
    better = total.exact_add(lost.exact_add(error))
    finite = better.exact_sub(better).compare("oeq", 0.0)
    made = finite.choose(better, total)
    # A product that overflows does not make a NaN with an infinite c.
    given = a.abs().compare("olt", INFINITY).apply(arith.Andi, b.abs().compare("olt", INFINITY))
    return given.apply(arith.Andi, c.abs().compare("oeq", INFINITY)).choose(c, made)


def _split(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return the upper 26 bits and the rest."""
    upper = (x.bits() & ~((1 << 27) - 1)).view(F64)
    return upper, x.exact_sub(upper)


# ------------------------------------------------------------------------- decompositions of ops


def _is_approximate(op: Any) -> bool:
    flags = op.attributes.get("fastmath")
    return isinstance(flags, Opaque) and "afn" in flags.text


def _numbers(x: Lanes) -> Numbers:
    return NUMBERS[x.element]


def _of_exp2(x: Lanes, op: Any) -> Lanes:
    if x.element is F32 and _is_approximate(op):
        return fast_exp2(x)
    return exp2_lanes(x, _numbers(x))


def _of_powf(x: Lanes, op: Any) -> Lanes:
    y = Lanes(x.b, op.b)
    if x.element is F64:
        return pow_lanes(x, y)
    return pow_lanes(x.to(arith.Extf, F64), y.to(arith.Extf, F64)).to(arith.Truncf, x.element)


def _of_remf(x: Lanes, op: Any) -> Lanes:
    y = Lanes(x.b, op.rhs)
    if x.element is F64:
        return remainder_lanes(x, y)
    # f64 has the digits for quotients up to 2**29.
    wide = remainder_lanes(x.to(arith.Extf, F64), y.to(arith.Extf, F64))
    return wide.to(arith.Truncf, F32)


FORMULAE: dict[str, Callable[[Lanes, Any], Lanes]] = {
    "exp2": _of_exp2,
    "exp": lambda x, _: exp_lanes(x, _numbers(x)),
    "log": lambda x, _: log_lanes(x, _numbers(x)),
    "log2": lambda x, _: log2_lanes(x, _numbers(x)),
    "sin": lambda x, _: sin_lanes(x, _numbers(x)),
    "cos": lambda x, _: sin_lanes(x, _numbers(x), 1),
    "tanh": lambda x, _: tanh_lanes(x, _numbers(x)),
    "erf": lambda x, _: erf_lanes(x, _numbers(x)),
    "rsqrt": lambda x, _: x.constant(1.0).exact_div(x.apply(math.Sqrt)),
    "powf": _of_powf,
    "floor": lambda x, _: floor_lanes(x, _numbers(x)),
    "ceil": lambda x, _: ceil_lanes(x, _numbers(x)),
    "trunc": lambda x, _: trunc_lanes(x, _numbers(x)),
    "roundeven": lambda x, _: roundeven_lanes(x, _numbers(x)),
    "round": lambda x, _: round_lanes(x),
    "fma": lambda x, op: fused_lanes(x, Lanes(x.b, op.b), Lanes(x.b, op.c)),
    "remf": _of_remf,
}
"""Op name -> its formula in terms of the first operand (and the op, for the others)."""


def decompose(name: str, op: Any, b: Builder) -> Value:
    """Return the value of ``op`` written with simpler ops."""
    return FORMULAE[name](Lanes(b, op.operands[0]), op).value
