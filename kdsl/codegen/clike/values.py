"""Ops that compute lanes: arith and math, one expression a lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdsl.codegen.clike.writer import Row, Writer, scalar_of
from kdsl.codegen.lowering import Lowering, LoweringTable
from kdsl.dialects import arith, math
from kdsl.ir.attributes import Dense, FloatAttr, IntAttr, Opaque
from kdsl.ir.core import Op, Value
from kdsl.ir.types import F16, F32, I1, ScalarType

lower = LoweringTable("a language like C")

WRAPPING: dict[type[Op], str] = {
    arith.Addi: "+", arith.Subi: "-", arith.Muli: "*",
    arith.Andi: "&", arith.Ori: "|", arith.Xori: "^", arith.Shli: "<<",
}  # fmt: skip
"""Operators that mean the same for signed and unsigned numbers."""
UNSIGNED: dict[type[Op], str] = {arith.Divui: "/", arith.Remui: "%", arith.Shrui: ">>"}
SIGNED: dict[type[Op], str] = {arith.Divsi: "/", arith.Remsi: "%", arith.Shrsi: ">>"}
ONE_BIT: dict[type[Op], str] = {arith.Addi: "!=", arith.Subi: "!=", arith.Muli: "&&"}
"""On bools, which wrap modulo two."""
SIGNED_CHOICES: dict[type[Op], str] = {arith.Maxsi: ">", arith.Minsi: "<"}
UNSIGNED_CHOICES: dict[type[Op], str] = {arith.Maxui: ">", arith.Minui: "<"}
FUNCTIONS: dict[type[Op], str] = {
    math.Absf: "fabs", math.Sqrt: "sqrt", math.Floor: "floor", math.Ceil: "ceil",
    math.Trunc: "trunc", math.Round: "round", math.Roundeven: "rint", math.Fma: "fma",
    math.Copysign: "copysign", arith.Maxnumf: "fmax", arith.Minnumf: "fmin",
}  # fmt: skip
INTEGER_OPERATORS = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
ORDERED = {"oeq": "==", "ogt": ">", "oge": ">=", "olt": "<", "ole": "<=", "une": "!="}
"""Comparisons that C has: false with a NaN, but for ``!=``."""
NEGATED = {"ueq": "one", "ugt": "ole", "uge": "olt", "ult": "oge", "ule": "ogt"}
CMPI_NAMES = tuple(arith.CMPI)
CMPF_NAMES = tuple(arith.CMPF)


def lanewise(op: Any, w: Writer, make: Callable[..., str]) -> None:
    """Declare the only result: ``make`` of each lane's operands."""
    rows = [w.row(v) for v in op.operands]
    w.define(op.results[0], [make(*lane) for lane in zip(*rows, strict=True)])


def signed(w: Writer, text: str, t: ScalarType) -> str:
    """Return a lane as a signed number; a signed bool is 0 or -1."""
    return f"({text} ? -1 : 0)" if t is I1 else f"({w.words.signed(t)}){text}"


def unsigned(text: str, t: ScalarType) -> str:
    """Return a lane as an unsigned number; small ones are widened, for C would make them signed."""
    return f"(uint){text}" if t.bits < 32 else text


def contracts(op: Op) -> bool:
    """Return whether a multiplication and an addition may be rounded once."""
    flags = op.attributes.get("fastmath")
    return isinstance(flags, Opaque) and ("contract" in flags.text or "fast>" in flags.text)


# --------------------------------------------------------------------------------------- integers


def _wrapping(word: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        t = scalar_of(op.y)
        sign = ONE_BIT.get(type(op), word) if t is I1 else word
        lanewise(op, w, lambda a, b: f"{_wide(a, t)} {sign} {_wide(b, t)}")

    return write


def _wide(text: str, t: ScalarType) -> str:
    return text if t is I1 else unsigned(text, t)


def _unsigned(word: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        t = scalar_of(op.y)
        lanewise(op, w, lambda a, b: f"{unsigned(a, t)} {word} {unsigned(b, t)}")

    return write


def _signed(word: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        t = scalar_of(op.y)
        shifts = word == ">>"
        tail = " & 1" if t is I1 else ""

        def lane(a: str, b: str) -> str:
            right = unsigned(b, t) if shifts else signed(w, b, t)
            text = f"{signed(w, a, t)} {word} {right}"
            return f"({text}){tail}" if tail else text

        lanewise(op, w, lane)

    return write


def _signed_choice(word: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        t = scalar_of(op.y)
        lanewise(op, w, lambda a, b: f"{signed(w, a, t)} {word} {signed(w, b, t)} ? {a} : {b}")

    return write


def _unsigned_choice(word: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        lanewise(op, w, lambda a, b: f"{a} {word} {b} ? {a} : {b}")

    return write


def _function(word: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        name = w.spelling.functions[word]
        lanewise(op, w, lambda *lane: f"{name}({', '.join(lane)})")

    return write


lower.words(_wrapping, WRAPPING)
lower.words(_unsigned, UNSIGNED)
lower.words(_signed, SIGNED)
lower.words(_signed_choice, SIGNED_CHOICES)
lower.words(_unsigned_choice, UNSIGNED_CHOICES)
lower.words(_function, FUNCTIONS)


@lower(math.Absi)
def absi(op: math.Absi, w: Writer) -> None:
    t = scalar_of(op.y)
    if t is I1:
        w.bind(op.y, w.row(op.x))
        return
    lanewise(op, w, lambda x: f"{signed(w, x, t)} < 0 ? 0 - {unsigned(x, t)} : {unsigned(x, t)}")


@lower(math.Ctpop, math.Ctlz, math.Cttz)
def count_bits(op: Any, w: Writer) -> None:
    """Zeros below the lowest bit are the ones of ``(x & -x) - 1``."""
    t = scalar_of(op.y)
    word = w.words.unsigned(t) if t is not I1 else "uint"
    ones, leading = w.spelling.functions["popcount"], w.spelling.functions["clz"]
    if t is I1:
        same = isinstance(op, math.Ctpop)
        lanewise(op, w, (lambda x: x) if same else (lambda x: f"!{x}"))
    elif isinstance(op, math.Ctpop):
        lanewise(op, w, lambda x: f"{ones}({x})")
    elif isinstance(op, math.Ctlz):
        lanewise(op, w, lambda x: f"{leading}({x})")
    else:
        lanewise(op, w, lambda x: f"{ones}(({word})((~{x}) & ({x} - 1)))")


@lower(arith.Cmpi)
def cmpi(op: arith.Cmpi, w: Writer) -> None:
    t, name = scalar_of(op.lhs), CMPI_NAMES[op.predicate]
    sign = INTEGER_OPERATORS[name.lstrip("su") if name not in INTEGER_OPERATORS else name]
    if name[0] == "s":
        lanewise(op, w, lambda a, b: f"{signed(w, a, t)} {sign} {signed(w, b, t)}")
    else:
        lanewise(op, w, lambda a, b: f"{a} {sign} {b}")


@lower(arith.Select)
def select(op: arith.Select, w: Writer) -> None:
    a, b = w.row(op.a), w.row(op.b)
    conditions = w.row(op.condition)
    if len(conditions) == 1:
        conditions *= len(a)
    texts = [f"{c} ? {x} : {y}" for c, x, y in zip(conditions, a, b, strict=True)]
    w.define(op.y, texts)


# ----------------------------------------------------------------------------------------- floats


@lower(arith.Constant)
def constant(op: arith.Constant, w: Writer) -> None:
    """A constant is written where it is used."""
    t, value = scalar_of(op.y), op.value
    if isinstance(value, Dense):
        if value.is_splat:
            w.bind(op.y, [w.words.literal(value.array[()], t)] * op.y.type.size)
        else:
            w.bind(op.y, [w.words.literal(x, t) for x in value.full().reshape(-1)])
        return
    number = value.value if isinstance(value, IntAttr | FloatAttr) else value
    w.bind(op.y, [w.words.literal(number, t)])


@lower(arith.Mulf)
def mulf(op: arith.Mulf, w: Writer) -> None:
    """A product that one addition reads is left to that addition."""
    if _is_fused(op, w):
        w.products[op.y] = (w.row(op.lhs), w.row(op.rhs))
        return
    lanewise(op, w, lambda a, b: f"{a} * {b}")


def _is_fused(op: arith.Mulf, w: Writer) -> bool:
    if not (w.features.fma and contracts(op) and op.y.has_one_use):
        return False
    (user,) = op.y.users
    return (
        isinstance(user, arith.Addf | arith.Subf) and user.parent is op.parent and contracts(user)
    )


@lower(arith.Addf, arith.Subf)
def add_or_subtract(op: Any, w: Writer) -> None:
    """With a product among the operands, one fused multiplication and addition."""
    minus = isinstance(op, arith.Subf)
    name = w.spelling.functions["fma"]
    left, right = op.operands
    if right in w.products:
        a, b = w.products[right]
        signs = "-" if minus else ""
        _declare(op, w, [f"{name}({signs}{x}, {y}, {z})" for x, y, z in _zip(a, b, w, left)])
    elif left in w.products:
        a, b = w.products[left]
        signs = "-" if minus else ""
        _declare(op, w, [f"{name}({x}, {y}, {signs}{z})" for x, y, z in _zip(a, b, w, right)])
    else:
        sign = "-" if minus else "+"
        lanewise(op, w, lambda a, b: f"{a} {sign} {b}")


def _declare(op: Any, w: Writer, texts: list[str]) -> None:
    w.define(op.y, texts)


def _zip(a: Row, b: Row, w: Writer, other: Value) -> list[tuple[str, str, str]]:
    """Return the lanes of a product with the other operand, which may be a product too."""
    if other in w.products:
        c = tuple(f"{x} * {y}" for x, y in zip(*w.products[other], strict=True))
    else:
        c = w.row(other)
    return list(zip(a, b, (f"({z})" if " " in z else z for z in c), strict=True))


@lower(arith.Divf)
def divf(op: arith.Divf, w: Writer) -> None:
    lanewise(op, w, lambda a, b: f"{a} / {b}")


@lower(arith.Negf)
def negf(op: arith.Negf, w: Writer) -> None:
    lanewise(op, w, lambda x: f"-{x}")


@lower(arith.Maximumf, arith.Minimumf)
def maximum(op: Any, w: Writer) -> None:
    """The first operand when it is a NaN; the second is chosen when the comparison is false."""
    sign = ">" if isinstance(op, arith.Maximumf) else "<"
    lanewise(op, w, lambda a, b: f"({a} {sign} {b} || {a} != {a}) ? {a} : {b}")


@lower(arith.Cmpf)
def cmpf(op: arith.Cmpf, w: Writer) -> None:
    name = CMPF_NAMES[op.predicate]
    if name in ("false", "true"):
        w.bind(op.y, [name] * len(w.row(op.lhs)))
        return
    lanewise(op, w, lambda a, b: comparison(name, a, b))


def comparison(name: str, a: str, b: str) -> str:
    """Return a float comparison by MLIR's name of its predicate."""
    if name in ORDERED:
        return f"{a} {ORDERED[name]} {b}"
    if name == "one":
        return f"({a} < {b} || {a} > {b})"
    if name in NEGATED:
        return f"!({comparison(NEGATED[name], a, b)})"
    both = f"{a} == {a} && {b} == {b}"
    return both if name == "ord" else f"!({both})"


# ------------------------------------------------------------------------------------ conversions


@lower(arith.Extui, arith.Trunci, arith.IndexCastui)
def resize(op: Any, w: Writer) -> None:
    """Unsigned numbers of another size; bools are one bit."""
    source, target = scalar_of(op.x), scalar_of(op.y)
    if source.bits == target.bits:
        w.bind(op.y, w.row(op.x))
    elif target is I1:
        lanewise(op, w, lambda x: f"({x} & 1) != 0")
    else:
        word = w.words.word(target)
        lanewise(op, w, lambda x: f"({word}){x}")


@lower(arith.Extsi, arith.IndexCast)
def sign_extend(op: Any, w: Writer) -> None:
    """Through the signed type; narrowing drops bits."""
    source, target = scalar_of(op.x), scalar_of(op.y)
    if source.bits == target.bits:
        w.bind(op.y, w.row(op.x))
    elif source.bits > target.bits:
        resize(op, w)
    else:
        word = w.words.signed(target)
        lanewise(op, w, lambda x: f"({word}){signed(w, x, source)}")


@lower(arith.Sitofp)
def signed_to_float(op: arith.Sitofp, w: Writer) -> None:
    word, t = w.word(op.y), scalar_of(op.x)
    lanewise(op, w, lambda x: f"({word}){signed(w, x, t)}")


@lower(arith.Uitofp)
def unsigned_to_float(op: arith.Uitofp, w: Writer) -> None:
    word = w.word(op.y)
    lanewise(op, w, lambda x: f"({word}){x}")


@lower(arith.Fptosi, arith.Fptoui)
def float_to_integer(op: Any, w: Writer) -> None:
    """Towards zero; a bool is the lowest bit."""
    t = scalar_of(op.y)
    if t is I1:
        lanewise(op, w, lambda x: f"(int){x} != 0")
        return
    word = w.words.signed(t) if isinstance(op, arith.Fptosi) else w.words.unsigned(t)
    lanewise(op, w, lambda x: f"({word}){x}")


@lower(arith.Extf, arith.Truncf)
def convert_float(op: Any, w: Writer) -> None:
    """Between floats; f16 that is held as bits has functions of its own."""
    source, target = scalar_of(op.x), scalar_of(op.y)
    if w.words.is_held(source) or w.words.is_held(target):
        pair = (source, target)
        if pair not in ((F16, F32), (F32, F16)):
            raise lower.refuse(op, f"{source} to {target}")
        name = w.call("kdsl_from_f16" if source is F16 else "kdsl_to_f16")
        lanewise(op, w, lambda x: f"{name}({x})")
        return
    word = w.word(op.y)
    lanewise(op, w, lambda x: f"({word}){x}")


@lower(arith.Bitcast)
def bitcast(op: arith.Bitcast, w: Writer) -> None:
    """Between words of one size; what is held as bits changes its name only."""
    w.bind(op.y, viewed(w, w.row(op.x), scalar_of(op.x), scalar_of(op.y)))


def viewed(w: Writer, row: Row, source: ScalarType, target: ScalarType) -> list[str]:
    """Return lanes seen as another type of the same size."""
    before, after = w.words.word(source), w.words.word(target)
    if before == after:
        return list(row)
    return w.declare(after, [w.spelling.bits(after, x) for x in row])
