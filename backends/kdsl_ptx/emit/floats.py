"""Float arithmetic, comparisons and functions.

f32 and f64 have instructions. f16 and bf16 are added and multiplied in pairs; everything else on
them is done in f32 and rounded. An op that carries ``contract`` leaves out the rounding modifier,
which lets ptxas fuse a product and a sum.

Largest errors of approximate instructions (PTX ISA), in units of the last place of f32: ex2 2,
rsqrt 2, div.full 2; subnormal inputs and results are kept, except by ex2 under the flag ``afn``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import arith, math
from kdsl.ir.attributes import Opaque
from kdsl.ir.core import Value
from kdsl.ir.types import BF16, F16, F32, F64, ScalarType, element_type
from kdsl_ptx.emit.integers import each, narrow_text, widen_text
from kdsl_ptx.emit.writer import Writer, class_of, is_packed, literal

lower = LoweringTable("the PTX back end")

FLOATS_OF_BITS = {32: "f32", 64: "f64"}
SUMS: dict[type[Any], str] = {arith.Addf: "add", arith.Subf: "sub", arith.Mulf: "mul"}
EXTREMES: dict[type[Any], str] = {
    arith.Maximumf: "max.NaN", arith.Minimumf: "min.NaN", arith.Maxnumf: "max",
    arith.Minnumf: "min",
}  # fmt: skip
UNARY: dict[type[Any], tuple[str, str]] = {
    arith.Negf: ("neg.f32", "neg.f64"), math.Absf: ("abs.f32", "abs.f64"),
    math.Sqrt: ("sqrt.rn.f32", "sqrt.rn.f64"),
    math.Floor: ("cvt.rmi.f32.f32", "cvt.rmi.f64.f64"),
    math.Ceil: ("cvt.rpi.f32.f32", "cvt.rpi.f64.f64"),
    math.Trunc: ("cvt.rzi.f32.f32", "cvt.rzi.f64.f64"),
    math.Roundeven: ("cvt.rni.f32.f32", "cvt.rni.f64.f64"),
}  # fmt: skip
SIGN_BITS: dict[type[Any], tuple[str, str]] = {
    arith.Negf: ("xor.b32", "0x80008000"), math.Absf: ("and.b32", "0x7fff7fff"),
}  # fmt: skip
PREDICATES = (
    "", "eq", "gt", "ge", "lt", "le", "ne", "num",
    "equ", "gtu", "geu", "ltu", "leu", "neu", "nan", "",
)  # fmt: skip
"""Names of comparisons, by MLIR's numbers; the first is never true and the last always."""
FUSES = frozenset({"contract", "fast"})
APPROXIMATES = frozenset({"afn", "fast"})
QUICK_QUOTIENT = frozenset({"arcp", "afn", "fast"})

Maker = Callable[..., str]


@cache
def flag_words(text: str) -> frozenset[str]:
    """Return the words inside ``#arith.fastmath<...>``."""
    inner = text.removeprefix("#arith.fastmath<").removesuffix(">")
    return frozenset(word.strip() for word in inner.split(","))


def flags(op: Any) -> frozenset[str]:
    """Return the fast-math words of an op."""
    found = op.attributes.get("fastmath")
    return flag_words(found.text) if isinstance(found, Opaque) else frozenset()


def rounding(op: Any) -> str:
    return "" if flags(op) & FUSES else ".rn"


def in_f32(w: Writer, element: ScalarType, make: Maker) -> Maker:
    """Compute on small floats in f32 and round."""
    if element.bits != 16:
        return make

    def through(*texts: str) -> str:
        return narrow_text(w, make(*(widen_text(w, t, element) for t in texts)), element)

    return through


def _lists(w: Writer, op: Any) -> list[list[str]]:
    return [w.loose(v) for v in op.operands]


def wide_of(element: ScalarType) -> str:
    """Return the PTX type that an element is computed in."""
    return "f64" if element is F64 else "f32"


def _refuse_bytes(op: Any, element: ScalarType) -> None:
    if element.bits == 8:
        raise lower.refuse(op, f"there is no arithmetic on {element}; legalize widens it")


# ---------------------------------------------------------------------------------- arithmetic


@lower(*SUMS)
def sums(op: Any, w: Writer) -> None:
    element = element_type(op.y.type)
    _refuse_bytes(op, element)
    if is_packed(op.y.type):
        _pairs(op, w, element)
        return
    word = f"{SUMS[type(op)]}{rounding(op)}.{wide_of(element)}"
    kind = class_of(F64 if element is F64 else F32)
    make = in_f32(w, element, lambda a, b: w.let(kind, word, a, b))
    w.bind(op.y, each(make, *_lists(w, op)))


def _pairs(op: Any, w: Writer, element: ScalarType) -> None:
    """Both halves at once; bf16 has only the fused form before sm_90."""
    kind, a, b = type(op), w.words(op.lhs), w.words(op.rhs)

    def reg(text: str) -> str:
        return w.register(text, "r")

    if element is F16 or w.parts.sm >= 90:
        word = f"{SUMS[kind]}{rounding(op)}.{element.text}x2"
        w.bind_words(op.y, each(lambda x, y: w.let("r", word, reg(x), reg(y)), a, b))
        return
    one, minus, zero = reg("0x3f803f80"), reg("0xbf80bf80"), reg("0x80008000")

    def fused(x: str, y: str) -> str:
        x, y = reg(x), reg(y)
        rows = {arith.Addf: (x, one, y), arith.Subf: (y, minus, x), arith.Mulf: (x, y, zero)}
        return w.let("r", "fma.rn.bf16x2", *rows[kind])

    w.bind_words(op.y, each(fused, a, b))


@lower(math.Fma)
def fused_multiply_add(op: math.Fma, w: Writer) -> None:
    element = element_type(op.y.type)
    _refuse_bytes(op, element)
    if is_packed(op.y.type):
        word = f"fma.rn.{element.text}x2"
        rows = [[w.register(t, "r") for t in w.words(v)] for v in op.operands]
        w.bind_words(op.y, each(lambda *t: w.let("r", word, *t), *rows))
        return
    if element.bits == 16:
        word = f"fma.rn.{element.text}"
        rows = [[w.register(t, "h") for t in w.loose(v)] for v in op.operands]
        w.bind(op.y, each(lambda *t: w.let("h", word, *t), *rows))
        return
    word = f"fma.rn.{wide_of(element)}"
    w.bind(op.y, each(lambda *t: w.let(class_of(element), word, *t), *_lists(w, op)))


@lower(*EXTREMES)
def extremes(op: Any, w: Writer) -> None:
    element = element_type(op.y.type)
    _refuse_bytes(op, element)
    word = EXTREMES[type(op)]
    if is_packed(op.y.type):
        rows = [[w.register(t, "r") for t in w.words(v)] for v in op.operands]
        text = f"{word}.{element.text}x2"
        w.bind_words(op.y, each(lambda a, b: w.let("r", text, a, b), *rows))
        return
    w.bind(op.y, each(extreme_maker(w, word, element), *_lists(w, op)))


def extreme_maker(w: Writer, word: str, element: ScalarType) -> Maker:
    """Return what writes one maximum or minimum; f64 has no form that keeps NaN."""
    if element.bits == 16:
        return lambda a, b: w.let(
            "h", f"{word}.{element.text}", w.register(a, "h"), w.register(b, "h")
        )
    if element is F32:
        return lambda a, b: w.let("r", f"{word}.f32", a, b)
    plain = word.removesuffix(".NaN")
    if plain == word:
        return lambda a, b: w.let("d", f"{word}.f64", a, b)

    def propagating(a: str, b: str) -> str:
        best = w.let("d", f"{plain}.f64", a, b)
        total = w.let("d", "add.rn.f64", a, b)
        lost = w.let("p", "setp.nan.f64", a, b)
        return w.let("d", "selp.b64", total, best, lost)

    return propagating


@lower(arith.Divf)
def quotient(op: arith.Divf, w: Writer) -> None:
    element = element_type(op.y.type)
    _refuse_bytes(op, element)
    quick = bool(flags(op) & QUICK_QUOTIENT) and element is not F64
    word = "div.full.f32" if quick else f"div.rn.{wide_of(element)}"
    kind = "d" if element is F64 else "r"
    make = in_f32(w, element, lambda a, b: w.let(kind, word, w.register(a, kind), b))
    w.bind(op.y, each(make, *_lists(w, op)))


# ----------------------------------------------------------------------------------- functions


@lower(*UNARY)
def unary(op: Any, w: Writer) -> None:
    element = element_type(op.y.type)
    _refuse_bytes(op, element)
    bits = SIGN_BITS.get(type(op))
    if bits is not None and is_packed(op.y.type):
        w.bind_words(op.y, each(lambda a: w.let("r", bits[0], a, bits[1]), w.words(op.x)))
        return
    word = UNARY[type(op)][element is F64]
    _apply(op, w, word, element)


def _apply(op: Any, w: Writer, word: str, element: ScalarType) -> None:
    kind = "d" if element is F64 else "r"
    make = in_f32(w, element, lambda a: w.let(kind, word, w.register(a, kind)))
    w.bind(op.y, each(make, w.loose(op.x)))


@lower(math.Exp2)
def exp2(op: math.Exp2, w: Writer) -> None:
    """f64 never comes here: its formula is more accurate than any instruction."""
    element = element_type(op.y.type)
    if element is F64 or element.bits == 8:
        raise lower.refuse(op, f"there is no instruction for {element}")
    quick = ".ftz" if flags(op) & APPROXIMATES else ""
    _apply(op, w, f"ex2.approx{quick}.f32", element)


@lower(math.Rsqrt)
def reciprocal_root(op: math.Rsqrt, w: Writer) -> None:
    element = element_type(op.y.type)
    _refuse_bytes(op, element)
    if element is not F64:
        _apply(op, w, "rsqrt.approx.f32", element)
        return

    def make(a: str) -> str:
        return w.let("d", "rcp.rn.f64", w.let("d", "sqrt.rn.f64", w.register(a, "d")))

    w.bind(op.y, each(make, w.loose(op.x)))


@lower(math.Copysign)
def copysign(op: math.Copysign, w: Writer) -> None:
    """PTX names the sign first."""
    element = element_type(op.y.type)
    _refuse_bytes(op, element)
    kind, word = ("d", "copysign.f64") if element is F64 else ("r", "copysign.f32")
    make = in_f32(w, element, lambda a, b: w.let(kind, word, b, a))
    w.bind(op.y, each(make, *_lists(w, op)))


@lower(arith.Cmpf)
def compare(op: arith.Cmpf, w: Writer) -> None:
    element = element_type(op.lhs.type)
    _refuse_bytes(op, element)
    name = PREDICATES[op.predicate]
    if not name:
        w.bind(op.y, ["true" if op.predicate else "false"] * len(w.loose(op.lhs)))
        return
    word = f"setp.{name}.{wide_of(element)}"

    def make(a: str, b: str) -> str:
        if element.bits == 16:
            a, b = widen_text(w, a, element), widen_text(w, b, element)
        return w.let("p", word, a, b)

    w.bind(op.y, each(make, *_lists(w, op)))


# --------------------------------------------------------------------------------- conversions


@lower(arith.Extf)
def widen(op: arith.Extf, w: Writer) -> None:
    source, wanted = element_type(op.x.type), element_type(op.y.type)
    if source is BF16 and wanted is F32 and op.x in w.words_of and is_packed(op.x.type):
        w.bind(op.y, [t for word in w.words(op.x) for t in _halves(w, word)])
        return
    if source.bits == 8:
        _widen_bytes(op, w, source, wanted)
        return

    def make(text: str) -> str:
        if source is F32:
            return w.let("d", "cvt.f64.f32", w.register(text, "r"))
        found = widen_text(w, text, source)
        return found if wanted is F32 else w.let("d", "cvt.f64.f32", found)

    w.bind(op.y, each(make, w.loose(op.x)))


def _halves(w: Writer, word: str) -> list[str]:
    """A bf16 is the upper half of the f32 with the same value."""
    if word[0] != "%":
        number = int(word, 0)
        return [f"0f{(number & 0xFFFF) << 16:08X}", f"0f{number & 0xFFFF0000:08X}"]
    return [w.let("r", "shl.b32", word, 16), w.let("r", "and.b32", word, "0xffff0000")]


BYTE_FLOATS = {"f8E4M3FN": "e4m3x2", "f8E5M2": "e5m2x2"}


def _widen_bytes(op: Any, w: Writer, source: ScalarType, wanted: ScalarType) -> None:
    """Two at once to f16, which holds all their values."""
    texts = w.loose(op.x)
    word = f"cvt.rn.f16x2.{BYTE_FLOATS[source.text]}"
    found: list[str] = []
    for i in range(0, len(texts), 2):
        pair = texts[i : i + 2]
        low = w.let("h", "and.b16", w.register(pair[0], "h"), "0xff")
        both = low
        if len(pair) == 2:
            high = w.let("h", "shl.b16", w.register(pair[1], "h"), 8)
            both = w.let("h", "or.b16", low, high)
        halves = w.unpacked(w.let("r", word, both), 16)
        found += halves[: len(pair)]
    if wanted is F16:
        w.bind(op.y, found)
        return
    if wanted is F32:
        w.bind(op.y, each(lambda t: widen_text(w, t, F16), found))
        return
    raise lower.refuse(op, f"{source} to {wanted}")


@lower(arith.Truncf)
def narrow(op: arith.Truncf, w: Writer) -> None:
    source, wanted = element_type(op.x.type), element_type(op.y.type)
    if wanted.bits == 8:
        raise lower.refuse(op, f"{source} to {wanted}; legalize does it by bits")
    if is_packed(op.y.type) and source is F32:
        texts = w.loose(op.x)
        word = f"cvt.rn.{wanted.text}x2.f32"
        pairs = each(lambda a, b: w.let("r", word, b, a), texts[::2], texts[1::2])
        w.bind_words(op.y, pairs)
        return

    def make(text: str) -> str:
        if source is F64:
            kind = "r" if wanted is F32 else "h"
            return w.let(kind, f"cvt.rn.{wanted.text}.f64", w.register(text, "d"))
        if source is F32:
            return narrow_text(w, text, wanted)
        return narrow_text(w, widen_text(w, text, source), wanted)

    w.bind(op.y, each(make, w.loose(op.x)))


@lower(arith.Constant)
def constant(op: arith.Constant, w: Writer) -> None:
    """A constant is written where it is used."""
    bind_constant(op.y, op.value, w)


def bind_constant(y: Value, value: Any, w: Writer) -> None:
    from kdsl.ir.attributes import Dense
    from kdsl.ir.types import INDEX
    from kdsl_ptx.emit.writer import count_of

    element = element_type(y.type)
    if isinstance(value, Dense):
        if value.is_splat:
            texts = [
                literal(
                    value.array.item() if element.bits > 16 or element.kind != "f" else value.array,
                    element,
                )
            ] * count_of(y.type)
        else:
            texts = [literal(n, element) for n in value.array.reshape(-1)]
    else:
        texts = [literal(arith.plain(value), element)]
    w.bind(y, texts)
    if element is INDEX and w.facts.fits32(y):
        w.bind_low(y, texts)
