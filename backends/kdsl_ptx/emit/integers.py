"""Integer arithmetic, comparisons, choices and conversions.

Elements of 8 bits are computed in 16-bit registers whose upper half is of no meaning; where it
matters the operands are extended first. Index values that fit are computed in 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import arith, math, vector
from kdsl.ir.core import Value
from kdsl.ir.types import BF16, F16, F32, F64, I1, INDEX, ScalarType, VectorType, element_type
from kdsl_ptx.emit.writer import FALSE, TRUE, Writer, class_of, count_of, is_packed, literal

lower = LoweringTable("the PTX back end")

Maker = Callable[..., str]

WORDS: dict[type[Any], tuple[str, str]] = {
    arith.Addi: ("add.s", ""), arith.Subi: ("sub.s", ""), arith.Muli: ("mul.lo.s", ""),
    arith.Andi: ("and.b", ""), arith.Ori: ("or.b", ""), arith.Xori: ("xor.b", ""),
    arith.Divsi: ("div.s", "s"), arith.Remsi: ("rem.s", "s"), arith.Maxsi: ("max.s", "s"),
    arith.Minsi: ("min.s", "s"), arith.Divui: ("div.u", "u"), arith.Remui: ("rem.u", "u"),
    arith.Maxui: ("max.u", "u"), arith.Minui: ("min.u", "u"),
}  # fmt: skip
"""The instruction, and how operands narrower than a register are extended for it."""
SHIFTS: dict[type[Any], tuple[str, str]] = {
    arith.Shli: ("shl.b", ""), arith.Shrsi: ("shr.s", "s"), arith.Shrui: ("shr.u", "u"),
}  # fmt: skip
ON_BITS: dict[type[Any], str] = {
    arith.Addi: "xor.pred", arith.Subi: "xor.pred", arith.Muli: "and.pred",
    arith.Andi: "and.pred", arith.Ori: "or.pred", arith.Xori: "xor.pred",
    arith.Maxsi: "and.pred", arith.Minsi: "or.pred",
    arith.Maxui: "or.pred", arith.Minui: "and.pred",
}  # fmt: skip
"""On i1, whose signed value is 0 or -1."""
BITWISE = (arith.Andi, arith.Ori, arith.Xori)
WRAPS_LOW = (arith.Addi, arith.Subi, arith.Muli, *BITWISE)
PREDICATES = ("eq", "ne", "lt", "le", "gt", "ge", "lt", "le", "gt", "ge")
FIRST_UNSIGNED = 6


def each(make: Maker, *lists: list[str]) -> list[str]:
    """Return ``make`` of each row of texts; equal rows are computed once."""
    made: dict[tuple[str, ...], str] = {}
    found: list[str] = []
    for row in zip(*lists, strict=True):
        text = made.get(row)
        if text is None:
            text = made[row] = make(*row)
        found.append(text)
    return found


def extended(w: Writer, text: str, element: ScalarType, sign: str) -> str:
    """Return an 8-bit element with its upper half filled; others as they are."""
    if element.bits != 8 or not sign:
        return text
    if text[0] != "%":
        number = int(text, 0) & 0xFF
        return str(number - 256 if sign == "s" and number >> 7 else number)
    if sign == "s":
        return w.let("h", "cvt.s16.s8", text)
    return w.let("h", "and.b16", text, "0xff")


def width_of(element: ScalarType) -> int:
    """Return the bits that an element is computed in."""
    return max(element.bits, 16)


# ----------------------------------------------------------------------------------- arithmetic


@lower(*WORDS)
def binary(op: Any, w: Writer) -> None:
    """One instruction for each element, or for each word where elements do not touch."""
    element = element_type(op.y.type)
    word, sign = WORDS[type(op)]
    if element is INDEX:
        _index_binary(op, w, word)
        return
    if element is I1:
        _bits_binary(op, w)
        return
    if isinstance(op, BITWISE) and is_packed(op.y.type):
        a, b = w.words(op.lhs), w.words(op.rhs)
        w.bind_words(op.y, each(lambda x, y: w.let("r", f"{word}32", x, y), a, b))
        return
    kind, text = class_of(element), f"{word}{width_of(element)}"
    w.bind(op.y, each(_instruction(w, kind, text, element, sign), w.loose(op.lhs), w.loose(op.rhs)))


def _instruction(w: Writer, kind: str, word: str, element: ScalarType, sign: str) -> Maker:
    def make(*texts: str) -> str:
        return w.let(kind, word, *(extended(w, t, element, sign) for t in texts))

    return make


def _bits_binary(op: Any, w: Writer) -> None:
    word = ON_BITS.get(type(op))
    if word is None:  # a quotient by the only divisor that is not zero, and its remainder
        quotient = isinstance(op, arith.Divsi | arith.Divui)
        w.bind(op.y, w.loose(op.lhs) if quotient else [FALSE] * count_of(op.y.type))
        return

    def make(a: str, b: str) -> str:
        return w.let("p", word, w.register(a, "p"), w.register(b, "p"))

    w.bind(op.y, each(make, w.loose(op.lhs), w.loose(op.rhs)))


POWER_WORDS: dict[type[Any], str] = {
    arith.Divsi: "shr.u", arith.Divui: "shr.u", arith.Remsi: "and.b", arith.Remui: "and.b",
}  # fmt: skip


def _power_of_two(op: Any, w: Writer) -> tuple[str, int] | None:
    """Return the instruction, and its operand, that divides a positive number by a power of 2."""
    word, known = POWER_WORDS.get(type(op)), arith.constant_of(op.rhs)
    if word is None or known is None or known <= 0 or int(known) & (int(known) - 1):
        return None
    top = w.facts.range(op.lhs)
    if top is None or top[0] < 0:
        return None
    return word, int(known).bit_length() - 1 if word[0] == "s" else int(known) - 1


def _index_binary(op: Any, w: Writer, word: str) -> None:
    quick = _power_of_two(op, w)
    if quick is not None:
        start, by = quick
        low = w.low(op.lhs)
        if low is not None:
            w.bind_low(op.y, each(lambda x: w.let("r", f"{start}32", x, by), low))
        else:
            w.bind(op.y, each(lambda x: w.let("d", f"{start}64", x, by), w.loose(op.lhs)))
        return
    fits = w.facts.fits32(op.y)
    a, b = w.low(op.lhs), w.low(op.rhs)
    if fits and a is not None and b is not None:
        w.bind_low(op.y, each(lambda x, y: w.let("r", f"{word}32", x, y), a, b))
        return
    if isinstance(op, arith.Muli) and a is not None and b is not None:
        w.bind(op.y, each(lambda x, y: w.let("d", "mul.wide.s32", x, y), a, b))
        return
    wide = each(lambda x, y: w.let("d", f"{word}64", x, y), w.loose(op.lhs), w.loose(op.rhs))
    w.bind(op.y, wide)


@lower(arith.Floordivsi, arith.Ceildivsi)
def rounded_quotient(op: Any, w: Writer) -> None:
    """By a power of two: a shift; of numbers that are not negative: the truncated quotient."""
    element = element_type(op.y.type)
    if element.bits < 32:
        raise lower.refuse(op, f"{element} is divided by a formula")
    low = _low_operands(op, w) if element is INDEX else None
    a, b = low or (w.loose(op.lhs), w.loose(op.rhs))
    bits = 32 if low or element.bits == 32 else 64
    make = _quotient(op, w, "r" if bits == 32 else "d", bits)
    bind = w.bind_low if low else w.bind
    bind(op.y, each(make, a, b))


def _low_operands(op: Any, w: Writer) -> tuple[list[str], list[str]] | None:
    if not w.facts.fits32(op.y):
        return None
    a, b = w.low(op.lhs), w.low(op.rhs)
    if a is None or b is None:
        return None
    top = w.facts.range(op.lhs)
    by = w.facts.range(op.rhs)
    assert top is not None
    assert by is not None
    # Rounding up adds the divisor first; that must not wrap around.
    return (a, b) if top[1] + by[1] < 1 << 31 else None


def _quotient(op: Any, w: Writer, kind: str, bits: int) -> Maker:
    up = isinstance(op, arith.Ceildivsi)
    top, by = w.facts.range(op.lhs), w.facts.range(op.rhs)
    positive = top is not None and by is not None and top[0] >= 0 and by[0] > 0
    small = positive and top is not None and by is not None and top[1] + by[1] < 1 << (bits - 1)
    known = arith.constant_of(op.rhs)
    shifted = known is not None and known > 0 and int(known) & (int(known) - 1) == 0

    def make(a: str, b: str) -> str:
        if shifted:
            count = int(known).bit_length() - 1
            if not up:
                return w.let(kind, f"shr.s{bits}", a, count)
            if small:
                more = w.let(kind, f"add.s{bits}", a, int(known) - 1)
                return w.let(kind, f"shr.s{bits}", more, count)
            negative = w.let(kind, f"neg.s{bits}", w.register(a, kind))
            less = w.let(kind, f"shr.s{bits}", negative, count)
            return w.let(kind, f"neg.s{bits}", less)
        if small:
            if up:
                a = w.let(kind, f"add.s{bits}", a, w.let(kind, f"sub.s{bits}", b, 1))
            return w.let(kind, f"div.u{bits}", a, b)
        return _by_remainder(w, kind, bits, a, b, up)

    return make


def _by_remainder(w: Writer, kind: str, bits: int, a: str, b: str, up: bool) -> str:
    """The truncated quotient, moved by one where the rest says so."""
    whole = w.let(kind, f"div.s{bits}", a, b)
    back = w.let(kind, f"mul.lo.s{bits}", whole, b)
    rest = w.let(kind, f"sub.s{bits}", a, back)
    inexact = w.let("p", f"setp.ne.s{bits}", rest, 0)
    signs = w.let(kind, f"xor.b{bits}", rest, b)
    side = w.let("p", f"setp.{'ge' if up else 'lt'}.s{bits}", signs, 0)
    moves = w.let("p", "and.pred", inexact, side)
    moved = w.let(kind, f"{'add' if up else 'sub'}.s{bits}", whole, 1)
    return w.let(kind, SELECTS[kind], moved, whole, moves)


@lower(*SHIFTS)
def shift(op: Any, w: Writer) -> None:
    """The count is always 32 bits."""
    element = element_type(op.y.type)
    word, sign = SHIFTS[type(op)]
    if element is I1:  # zero is the only count
        w.bind(op.y, w.loose(op.lhs))
        return
    if element is INDEX:
        a, b = w.low(op.lhs), w.low(op.rhs)
        if a is not None and b is not None and w.facts.fits32(op.y):
            w.bind_low(op.y, each(lambda x, y: w.let("r", f"{word}32", x, y), a, b))
            return
    kind, text = class_of(element), f"{word}{width_of(element)}"

    def make(a: str, b: str) -> str:
        return w.let(kind, text, extended(w, a, element, sign), _count(w, b, element))

    w.bind(op.y, each(make, w.loose(op.lhs), w.loose(op.rhs)))


def _count(w: Writer, text: str, element: ScalarType) -> str:
    if text[0] != "%" or element.bits == 32:
        return text
    source = {8: "u8", 16: "u16", 64: "u64"}[element.bits]
    return w.let("r", f"cvt.u32.{source}", text)


@lower(math.Absi)
def absolute(op: math.Absi, w: Writer) -> None:
    element = element_type(op.y.type)
    if element is I1:
        w.bind(op.y, w.loose(op.x))
        return
    word = f"abs.s{width_of(element)}"
    w.bind(op.y, each(_instruction(w, class_of(element), word, element, "s"), w.loose(op.x)))


@lower(math.Ctpop, math.Ctlz, math.Cttz)
def count_bits(op: Any, w: Writer) -> None:
    """The instructions count in 32 or 64 bits; narrower elements are placed so that it fits."""
    element = element_type(op.y.type)
    if element is I1:
        w.bind(op.y, each(lambda a: _count_one(op, w, a), w.loose(op.x)))
        return
    w.bind(op.y, each(lambda a: _count_in(op, w, a, element), w.loose(op.x)))


def _count_one(op: Any, w: Writer, text: str) -> str:
    """A one has no zeros around it; a zero has one."""
    if isinstance(op, math.Ctpop):
        return text
    return w.let("p", "not.pred", w.register(text, "p"))


def _count_in(op: Any, w: Writer, text: str, element: ScalarType) -> str:
    bits = element.bits
    wide, kind = (64, "d") if bits == 64 else (32, "r")
    value = w.register(text, class_of(element))
    if bits < 32:
        value = w.let("r", f"cvt.u32.u{bits}", value)
    if isinstance(op, math.Cttz):
        if bits < 32:  # a bit past the end stops the count there
            value = w.let("r", "or.b32", value, 1 << bits)
        value = w.let(kind, f"brev.b{wide}", value)
    elif isinstance(op, math.Ctlz) and bits < 32:
        value = w.let("r", "shl.b32", value, 32 - bits)
        value = w.let("r", "or.b32", value, 1 << (31 - bits))
    word = "popc" if isinstance(op, math.Ctpop) else "clz"
    found = w.let("r", f"{word}.b{wide}", value)
    if bits == 32:
        return found
    if bits == 64:
        return w.let("d", "cvt.u64.u32", found)
    return w.let("h", "cvt.u16.u32", found)


# ---------------------------------------------------------------------------- comparing, choosing


@lower(arith.Cmpi)
def compare(op: arith.Cmpi, w: Writer) -> None:
    element = element_type(op.lhs.type)
    unsigned = op.predicate >= FIRST_UNSIGNED
    name = PREDICATES[op.predicate]
    if element is INDEX:
        a, b = w.low(op.lhs), w.low(op.rhs)
        # Sign-extended numbers compare alike in both widths, as unsigned ones too.
        bits = 32 if a is not None and b is not None else 64
        if a is None or b is None:
            a, b = w.loose(op.lhs), w.loose(op.rhs)
        word = f"setp.{name}.{'u' if unsigned else 's'}{bits}"
        w.bind(op.y, each(lambda x, y: w.let("p", word, x, y), a, b))
        return
    if element is I1:
        w.bind(op.y, each(_compare_bits(w, name, unsigned), w.loose(op.lhs), w.loose(op.rhs)))
        return
    sign = "u" if unsigned else "s"
    word = f"setp.{name}.{sign}{width_of(element)}"
    make = _instruction(w, "p", word, element, sign)
    w.bind(op.y, each(make, w.loose(op.lhs), w.loose(op.rhs)))


def _compare_bits(w: Writer, name: str, unsigned: bool) -> Maker:
    def make(a: str, b: str) -> str:
        true = 1 if unsigned else -1
        x = w.let("r", "selp.b32", true, 0, w.register(a, "p"))
        y = w.let("r", "selp.b32", true, 0, w.register(b, "p"))
        return w.let("p", f"setp.{name}.{'u' if unsigned else 's'}32", x, y)

    return make


@lower(arith.Select)
def select(op: arith.Select, w: Writer) -> None:
    element = element_type(op.y.type)
    one = not isinstance(op.condition.type, VectorType)
    conditions = w.loose(op.condition)
    if is_packed(op.y.type) and one:
        _select(op, w, "r", conditions[0], w.words(op.a), w.words(op.b), w.bind_words)
        return
    if element is INDEX:
        a, b = w.low(op.a), w.low(op.b)
        if a is not None and b is not None:
            listed = conditions * len(a) if one else conditions
            w.bind_low(op.y, each(_chooser(w, "r"), listed, a, b))
            return
    a, b = w.loose(op.a), w.loose(op.b)
    listed = conditions * len(a) if one else conditions
    w.bind(op.y, each(_chooser(w, class_of(element)), listed, a, b))


def _select(op: Any, w: Writer, kind: str, p: str, a: list[str], b: list[str], bind: Any) -> None:
    bind(op.y, each(_chooser(w, kind), [p] * len(a), a, b))


def _chooser(w: Writer, kind: str) -> Maker:
    def choose(p: str, a: str, b: str) -> str:
        if p[0] != "%" or a == b:
            return a if p == TRUE or a == b else b
        if kind == "p":
            return choose_bits(w, p, a, b)
        return w.let(kind, SELECTS[kind], a, b, p)

    return choose


SELECTS = {"h": "selp.b16", "r": "selp.b32", "d": "selp.b64"}


def choose_bits(w: Writer, p: str, a: str, b: str) -> str:
    """Return ``p ? a : b`` of predicates."""
    first = w.let("p", "and.pred", p, w.register(a, "p"))
    other = w.let("p", "not.pred", p)
    second = w.let("p", "and.pred", other, w.register(b, "p"))
    return w.let("p", "or.pred", first, second)


# ------------------------------------------------------------------------------------ conversions


@lower(arith.Extsi, arith.Extui)
def extend(op: Any, w: Writer) -> None:
    source, wanted = element_type(op.x.type), element_type(op.y.type)
    sign = "s" if isinstance(op, arith.Extsi) else "u"
    w.bind(op.y, each(lambda t: extend_text(w, t, source, wanted, sign), w.loose(op.x)))


def extend_text(w: Writer, text: str, source: ScalarType, wanted: ScalarType, sign: str) -> str:
    """Return an integer in a wider type."""
    kind = class_of(wanted)
    if source is I1:
        one = -1 if sign == "s" else 1
        if text[0] != "%":
            return str(one if text == TRUE else 0)
        return w.let(kind, SELECTS[kind], one, 0, text)
    if text[0] != "%":
        number = int(text, 0) & ((1 << source.bits) - 1)
        negative = sign == "s" and number >> (source.bits - 1)
        return str(number - (1 << source.bits) if negative else number)
    bits = max(wanted.bits, 16)
    return w.let(kind, f"cvt.{sign}{bits}.{sign}{source.bits}", text)


def truncate_text(w: Writer, text: str, source: ScalarType, wanted: ScalarType) -> str:
    """Return the low bits of an integer."""
    if wanted is I1:
        if text[0] != "%":
            return TRUE if int(text, 0) & 1 else FALSE
        kind = class_of(source)
        bits = width_of(source)
        low = w.let(kind, f"and.b{bits}", text, 1)
        return w.let("p", f"setp.ne.s{bits}", low, 0)
    if text[0] != "%":
        number = int(text, 0) & ((1 << wanted.bits) - 1)
        return str(number - (1 << wanted.bits) if number >> (wanted.bits - 1) else number)
    if class_of(source) == class_of(wanted):
        return text
    return w.let(class_of(wanted), f"cvt.u{width_of(wanted)}.u{source.bits}", text)


@lower(arith.Trunci)
def truncate(op: arith.Trunci, w: Writer) -> None:
    source, wanted = element_type(op.x.type), element_type(op.y.type)
    w.bind(op.y, each(lambda t: truncate_text(w, t, source, wanted), w.loose(op.x)))


@lower(arith.IndexCast, arith.IndexCastui)
def index_cast(op: Any, w: Writer) -> None:
    source, wanted = element_type(op.x.type), element_type(op.y.type)
    sign = "s" if isinstance(op, arith.IndexCast) else "u"
    if source is INDEX:
        _from_index(op, w, wanted)
    elif source.bits == 32 and (sign == "s" or w.facts.fits32(op.y)):
        w.bind_low(op.y, w.loose(op.x))
    elif source.bits == 64:
        w.bind(op.y, w.loose(op.x))
    else:
        w.bind(op.y, each(lambda t: extend_text(w, t, source, wanted, sign), w.loose(op.x)))


def _from_index(op: Any, w: Writer, wanted: ScalarType) -> None:
    low = w.low_of.get(op.x)
    if wanted.bits == 64:
        w.bind(op.y, w.loose(op.x))
    elif low is not None and wanted.bits == 32:
        w.bind(op.y, low)
    elif wanted.bits == 32 and count_of(op.y.type) == 1:
        w.bind(op.y, [w.low_bits(op.x)])
    else:
        w.bind(op.y, each(lambda t: truncate_text(w, t, INDEX, wanted), w.loose(op.x)))


@lower(arith.Sitofp, arith.Uitofp)
def to_float(op: Any, w: Writer) -> None:
    """Small floats are rounded from f32, as everywhere."""
    source, wanted = element_type(op.x.type), element_type(op.y.type)
    sign = "s" if isinstance(op, arith.Sitofp) else "u"
    through = F64 if wanted is F64 else F32

    def make(text: str) -> str:
        if source is I1:
            kind, p = class_of(through), w.register(text, "p")
            one = literal(-1.0 if sign == "s" else 1.0, through)
            found = w.let(kind, SELECTS[kind], one, literal(0, through), p)
        else:
            held = w.register(text, class_of(source))
            word = f"cvt.rn.f{through.bits}.{sign}{source.bits}"
            found = w.let(class_of(through), word, held)
        return found if through is wanted else narrow_text(w, found, wanted)

    w.bind(op.y, each(make, w.loose(op.x)))


def narrow_text(w: Writer, text: str, wanted: ScalarType) -> str:
    """Return f32 rounded to f16 or bf16."""
    return w.let("h", f"cvt.rn.{wanted.text}.f32", w.register(text, "r"))


def widen_text(w: Writer, text: str, source: ScalarType) -> str:
    """Return an f16 or bf16 as f32."""
    held = w.register(text, "h")
    if source is F16:
        return w.let("r", "cvt.f32.f16", held)
    assert source is BF16
    return w.let("r", "mov.b32", f"{{0, {held}}}")


@lower(arith.Fptosi, arith.Fptoui)
def to_integer(op: Any, w: Writer) -> None:
    source, wanted = element_type(op.x.type), element_type(op.y.type)
    sign = "s" if isinstance(op, arith.Fptosi) else "u"

    def make(text: str) -> str:
        held, bits = w.register(text, class_of(source)), source.bits
        if bits == 16:
            held, bits = widen_text(w, held, source), 32
        if wanted is I1:
            return w.let("p", f"setp.neu.f{bits}", held, literal(0, F64 if bits == 64 else F32))
        if wanted.bits >= 32:
            word = f"cvt.rzi.{sign}{wanted.bits}.f{bits}"
            return w.let(class_of(wanted), word, held)
        whole = w.let("r", f"cvt.rzi.s32.f{bits}", held)
        return w.let("h", "cvt.u16.u32", whole)

    w.bind(op.y, each(make, w.loose(op.x)))


# ------------------------------------------------------------------------------------- same bits


@lower(arith.Bitcast, vector.Bitcast)
def bitcast(op: Any, w: Writer) -> None:
    """Registers have no type: only another size costs instructions."""
    source, wanted = element_type(op.x.type), element_type(op.y.type)
    if source.bits == wanted.bits:
        if is_packed(op.x.type) and op.x in w.words_of:
            w.bind_words(op.y, w.words(op.x))
        else:
            w.bind(op.y, [_retyped(t, wanted) for t in w.loose(op.x)])
        return
    _regroup(op.x, op.y, w, source.bits, wanted.bits)


def _retyped(text: str, wanted: ScalarType) -> str:
    """Return a literal of the same bits for another type."""
    if text[0] == "%":
        return text
    number = int(raw_text(text), 0) & ((1 << wanted.bits) - 1)
    if wanted is F32:
        return f"0f{number:08X}"
    if wanted is F64:
        return f"0d{number:016X}"
    return hex(number)


def _regroup(x: Value, y: Value, w: Writer, old: int, new: int) -> None:
    if old == 1 or new == 1:
        raise lower.refuse(y.op, "bits are not regrouped")  # type: ignore[arg-type]
    words = _as_words(x, w, old)
    element = element_type(y.type)
    if new == 32:
        w.bind(y, [_retyped(t, element) for t in words])
    elif new == 64:
        pairs = zip(words[::2], words[1::2], strict=True)
        w.bind(y, [w.let("d", "mov.b64", f"{{{raw_text(a)}, {raw_text(b)}}}") for a, b in pairs])
    elif is_packed(y.type):
        w.bind_words(y, words)
    else:
        w.bind(y, [t for word in words for t in w.unpacked(word, new)][: count_of(y.type)])


def _as_words(x: Value, w: Writer, old: int) -> list[str]:
    if old == 64:
        found: list[str] = []
        for text in w.loose(x):
            a, b = w.new("r"), w.new("r")
            w.do(f"mov.b64 {{{a}, {b}}}, {w.register(text, 'd')}")
            found += [a, b]
        return found
    if old == 32:
        return [raw_text(t) for t in w.loose(x)]
    if is_packed(x.type):
        return w.words(x)
    texts = w.loose(x)  # two bytes, or one 16-bit element: not a whole word
    padded = [*texts, *["0"] * (-len(texts) % (32 // old))]
    step = 32 // old
    return [w.packed(padded[i : i + step], old) for i in range(0, len(padded), step)]


def raw_text(text: str) -> str:
    """Return a float literal as its bits."""
    return f"0x{text[2:]}" if text[:2] in ("0f", "0d") else text
