"""Ops that compute values: arith, math and vector without memory."""

from __future__ import annotations

from functools import cache
from math import isnan as math_isnan
from typing import Any

from kdsl.codegen.llvm.function import FunctionWriter
from kdsl.codegen.llvm.types import intrinsic_suffix
from kdsl.codegen.lowering import Lowering, LoweringTable
from kdsl.dialects import arith, math, vector
from kdsl.dialects.arith import constant_of
from kdsl.ir.attributes import Opaque
from kdsl.ir.core import Value
from kdsl.ir.types import I1, ScalarType, VectorType, element_type

lower = LoweringTable("LLVM")

BINARY: dict[type[Any], str] = {
    arith.Addi: "add", arith.Subi: "sub", arith.Muli: "mul", arith.Divsi: "sdiv",
    arith.Divui: "udiv", arith.Remsi: "srem", arith.Remui: "urem", arith.Andi: "and",
    arith.Ori: "or", arith.Xori: "xor", arith.Shli: "shl", arith.Shrsi: "ashr", arith.Shrui: "lshr",
}  # fmt: skip
FLOAT_BINARY: dict[type[Any], str] = {
    arith.Addf: "fadd", arith.Subf: "fsub", arith.Mulf: "fmul", arith.Divf: "fdiv",
}  # fmt: skip
INTEGER_INTRINSICS: dict[type[Any], str] = {
    arith.Maxsi: "llvm.smax", arith.Minsi: "llvm.smin",
    arith.Maxui: "llvm.umax", arith.Minui: "llvm.umin", math.Ctpop: "llvm.ctpop",
}  # fmt: skip
FLAGGED_INTRINSICS: dict[type[Any], str] = {
    math.Ctlz: "llvm.ctlz",
    math.Cttz: "llvm.cttz",
    math.Absi: "llvm.abs",
}
FLOAT_INTRINSICS: dict[type[Any], str] = {
    math.Absf: "llvm.fabs", math.Sqrt: "llvm.sqrt", math.Floor: "llvm.floor",
    math.Ceil: "llvm.ceil", math.Trunc: "llvm.trunc", math.Round: "llvm.round",
    math.Roundeven: "llvm.roundeven", math.Fma: "llvm.fma", math.Copysign: "llvm.copysign",
}  # fmt: skip
CASTS: dict[type[Any], str] = {
    arith.Extsi: "sext", arith.Extui: "zext", arith.Trunci: "trunc", arith.Sitofp: "sitofp",
    arith.Uitofp: "uitofp", arith.Fptosi: "fptosi", arith.Fptoui: "fptoui",
}  # fmt: skip
SELECTING: dict[type[Any], str] = {
    arith.Maximumf: "ogt", arith.Minimumf: "olt", arith.Maxnumf: "ogt", arith.Minnumf: "olt",
}  # fmt: skip
MINMAX_INTRINSICS: dict[type[Any], str] = {
    arith.Maximumf: "llvm.maximum", arith.Minimumf: "llvm.minimum",
    arith.Maxnumf: "llvm.maxnum", arith.Minnumf: "llvm.minnum",
}  # fmt: skip
INTEGER_PREDICATES = tuple(arith.CMPI)
FLOAT_PREDICATES = tuple(arith.CMPF)
REDUCTIONS = {
    "minsi": "smin", "maxsi": "smax", "minui": "umin", "maxui": "umax",
    "minnumf": "fmin", "maxnumf": "fmax", "minimumf": "fminimum", "maximumf": "fmaximum",
    "and": "and", "or": "or", "xor": "xor", "add": "add", "mul": "mul",
}  # fmt: skip


@cache
def flag_words(text: str) -> str:
    """Return LLVM's fast-math words of ``#arith.fastmath<...>``, with a space after each."""
    inner = text.removeprefix("#arith.fastmath<").removesuffix(">")
    return "".join(f"{word.strip()} " for word in inner.split(",") if word.strip() != "none")


def fast_math(op: Any) -> str:
    """Return the fast-math words of an op."""
    found = op.attributes.get("fastmath")
    return flag_words(found.text) if isinstance(found, Opaque) else ""


def _binary(word: str) -> Lowering:
    def write(op: Any, w: FunctionWriter) -> None:
        a, b = op.operands
        w.result(op.results[0], f"{word} {w.spelling.type(a.type)} {w.names[a]}, {w.names[b]}")

    return write


def _float_binary(word: str) -> Lowering:
    def write(op: Any, w: FunctionWriter) -> None:
        a, b = op.operands
        t = w.spelling.type(a.type)
        w.result(op.results[0], f"{word} {fast_math(op)}{t} {w.names[a]}, {w.names[b]}")

    return write


def intrinsic(word: str) -> Lowering:
    """Return the row that calls an intrinsic, overloaded by its result."""

    def write(op: Any, w: FunctionWriter) -> None:
        t = w.spelling.type(op.results[0].type)
        args = ", ".join(f"{t} {w.names[v]}" for v in op.operands)
        w.result(op.results[0], f"call {fast_math(op)}{t} @{word}.{intrinsic_suffix(t)}({args})")

    return write


def _flagged_intrinsic(word: str) -> Lowering:
    def write(op: Any, w: FunctionWriter) -> None:
        t = w.spelling.type(op.x.type)
        w.result(op.y, f"call {t} @{word}.{intrinsic_suffix(t)}({t} {w.names[op.x]}, i1 false)")

    return write


def _cast(word: str) -> Lowering:
    def write(op: Any, w: FunctionWriter) -> None:
        to = w.spelling.type(op.y.type)
        w.result(op.y, f"{word} {w.typed(op.x)} to {to}")

    return write


lower.words(_binary, BINARY)
lower.words(_float_binary, FLOAT_BINARY)
lower.words(intrinsic, INTEGER_INTRINSICS | FLOAT_INTRINSICS)
lower.words(_flagged_intrinsic, FLAGGED_INTRINSICS)
lower.words(_cast, CASTS)


# -------------------------------------------------------------------------------------- exceptions


@lower(arith.Constant)
def constant(op: arith.Constant, w: FunctionWriter) -> None:
    """A constant is written where it is used."""
    w.bind(op.y, w.spelling.literal(op.value, op.y.type))


@lower(arith.Negf)
def negf(op: arith.Negf, w: FunctionWriter) -> None:
    w.result(op.y, f"fneg {fast_math(op)}{w.typed(op.x)}")


@lower(*SELECTING)
def minmax(op: Any, w: FunctionWriter) -> None:
    """A comparison and a choice, then the NaN of the operand that the choice would lose."""
    a, b = w.names[op.lhs], w.names[op.rhs]
    t, kind = w.spelling.type(op.y.type), type(op)
    flags = fast_math(op)
    if w.options.native_minmax:
        word = f"@{MINMAX_INTRINSICS[kind]}.{intrinsic_suffix(t)}"
        w.result(op.y, f"call {flags}{t} {word}({t} {a}, {t} {b})")
        return
    propagates = kind in (arith.Maximumf, arith.Minimumf)
    if propagates and _is_number(op.rhs):
        a, b = b, a
    mask = w.spelling.type(_mask_type(op.y.type))
    chosen = w.let(f"fcmp {flags}{SELECTING[kind]} {t} {a}, {b}")
    text = f"select {mask} {chosen}, {t} {a}, {t} {b}"
    if "nnan" in flags or _is_number(op.lhs) or _is_number(op.rhs):
        # (a > b ? a : b) gives b when either is NaN: right for the operand that is no number.
        w.result(op.y, text)
        return
    best = w.let(text)
    lost = w.let(f"fcmp uno {t} {a if propagates else b}, {a if propagates else b}")
    w.result(op.y, f"select {mask} {lost}, {t} {a}, {t} {best}")


def _is_number(value: Value) -> bool:
    known = constant_of(value)
    return known is not None and not math_isnan(known)


def _mask_type(t: Any) -> Any:
    return t.with_element(I1) if isinstance(t, VectorType) else I1


@lower(arith.Cmpi)
def cmpi(op: arith.Cmpi, w: FunctionWriter) -> None:
    word = INTEGER_PREDICATES[op.predicate]
    w.result(op.y, f"icmp {word} {w.typed(op.lhs)}, {w.names[op.rhs]}")


@lower(arith.Cmpf)
def cmpf(op: arith.Cmpf, w: FunctionWriter) -> None:
    word = FLOAT_PREDICATES[op.predicate]
    w.result(op.y, f"fcmp {fast_math(op)}{word} {w.typed(op.lhs)}, {w.names[op.rhs]}")


@lower(arith.Select)
def select(op: arith.Select, w: FunctionWriter) -> None:
    w.result(op.y, f"select {w.typed(op.condition)}, {w.typed(op.a)}, {w.typed(op.b)}")


@lower(arith.IndexCast, arith.IndexCastui)
def index_cast(op: Any, w: FunctionWriter) -> None:
    source, target = element_type(op.x.type), element_type(op.y.type)
    if source.bits == target.bits:
        w.bind(op.y, w.names[op.x])
        return
    widen = "sext" if isinstance(op, arith.IndexCast) else "zext"
    word = widen if source.bits < target.bits else "trunc"
    w.result(op.y, f"{word} {w.typed(op.x)} to {w.spelling.type(op.y.type)}")


@lower(arith.Bitcast, vector.Bitcast)
def bitcast(op: Any, w: FunctionWriter) -> None:
    to = w.spelling.type(op.y.type)
    if to == w.spelling.type(op.x.type):
        w.bind(op.y, w.names[op.x])
        return
    w.result(op.y, f"bitcast {w.typed(op.x)} to {to}")


@lower(arith.Extf, arith.Truncf)
def convert_float(op: Any, w: FunctionWriter) -> None:
    """Between floats; what is held as an integer is viewed as a float for the instruction."""
    word = "fpext" if isinstance(op, arith.Extf) else "fptrunc"
    source, target = _as_float(op.x.type, w), _as_float(op.y.type, w)
    value = w.names[op.x]
    held = w.spelling.type(op.x.type)
    if held != source:
        value = w.let(f"bitcast {held} {value} to {source}")
    wanted = w.spelling.type(op.y.type)
    if wanted == target:
        w.result(op.y, f"{word} {source} {value} to {target}")
        return
    made = w.let(f"{word} {source} {value} to {target}")
    w.result(op.y, f"bitcast {target} {made} to {wanted}")


def _as_float(t: Any, w: FunctionWriter) -> str:
    element = element_type(t)
    word = {"f16": "half", "bf16": "bfloat"}.get(element.text, w.spelling.scalar(element))
    return f"<{t.size} x {word}>" if isinstance(t, VectorType) else word


# ------------------------------------------------------------------------------------------ lanes


@lower(vector.Broadcast)
def broadcast(op: vector.Broadcast, w: FunctionWriter) -> None:
    t = w.spelling.type(op.y.type)
    if isinstance(op.x.type, VectorType):
        w.bind(op.y, w.names[op.x])
        return
    w.result(op.y, splat_text(w, t, w.typed(op.x)))


def splat_text(w: FunctionWriter, t: str, scalar: str) -> str:
    """Return the instruction that repeats a typed scalar in the vector type ``t``."""
    count = t[1:-1].partition(" x ")[0]
    name = scalar.rpartition(" ")[2]
    if not name.startswith("%"):
        return f"select i1 true, {t} splat ({scalar}), {t} poison"
    first = w.let(f"insertelement {t} poison, {scalar}, i64 0")
    return f"shufflevector {t} {first}, {t} poison, <{count} x i32> zeroinitializer"


@lower(vector.Shuffle)
def shuffle(op: vector.Shuffle, w: FunctionWriter) -> None:
    """LLVM wants both operands of one length; the shorter one is lengthened with poison."""
    a, b = op.a.type.size, op.b.type.size
    mask = list(op.mask)
    longest = max(a, b)
    names = [w.typed(op.a), w.typed(op.b)]
    for at, (value, size) in enumerate(((op.a, a), (op.b, b))):
        if size < longest:
            t = w.spelling.type(value.type)
            lanes = [*range(size), *["poison"] * (longest - size)]
            made = w.let(f"shufflevector {names[at]}, {t} poison, {_mask_text(lanes)}")
            names[at] = f"<{longest} x {w.spelling.scalar(value.type.element)}> {made}"
    lanes = [m if m < a else m - a + longest for m in mask]
    w.result(op.y, f"shufflevector {names[0]}, {names[1]}, {_mask_text(lanes)}")


def _mask_text(lanes: list[Any]) -> str:
    return f"<{len(lanes)} x i32> <{', '.join(f'i32 {lane}' for lane in lanes)}>"


@lower(vector.Interleave)
def interleave(op: vector.Interleave, w: FunctionWriter) -> None:
    n = op.a.type.size
    lanes = [lane for i in range(n) for lane in (i, n + i)]
    w.result(op.y, f"shufflevector {w.typed(op.a)}, {w.typed(op.b)}, {_mask_text(lanes)}")


@lower(vector.Deinterleave)
def deinterleave(op: vector.Deinterleave, w: FunctionWriter) -> None:
    n, t = op.x.type.size, w.spelling.type(op.x.type)
    for start, half in enumerate((op.even, op.odd)):
        lanes = list(range(start, n, 2))
        w.result(half, f"shufflevector {w.typed(op.x)}, {t} poison, {_mask_text(lanes)}")


@lower(vector.ExtractElement)
def extract(op: vector.ExtractElement, w: FunctionWriter) -> None:
    w.result(op.y, f"extractelement {w.typed(op.x)}, {w.typed(op.position)}")


@lower(vector.InsertElement)
def insert(op: vector.InsertElement, w: FunctionWriter) -> None:
    w.result(op.y, f"insertelement {w.typed(op.x)}, {w.typed(op.value)}, {w.typed(op.position)}")


@lower(vector.Extract)
def extract_fixed(op: vector.Extract, w: FunctionWriter) -> None:
    w.result(op.y, f"extractelement {w.typed(op.x)}, i64 {op.static_position[0]}")


@lower(vector.Insert)
def insert_fixed(op: vector.Insert, w: FunctionWriter) -> None:
    at = op.static_position[0]
    w.result(op.y, f"insertelement {w.typed(op.x)}, {w.typed(op.value)}, i64 {at}")


@lower(vector.FromElements)
def from_elements(op: vector.FromElements, w: FunctionWriter) -> None:
    t = w.spelling.type(op.y.type)
    made = "poison"
    for at, value in enumerate(op.elements):
        made = w.let(f"insertelement {t} {made}, {w.typed(value)}, i64 {at}")
    w.bind(op.y, made)


@lower(vector.CreateMask)
def create_mask(op: vector.CreateMask, w: FunctionWriter) -> None:
    """Compare the clamped count with 0, 1, 2, ...; with mask registers, shift a word of ones."""
    n = op.y.type.size
    known = constant_of(op.count)
    if known is not None:
        lanes = ", ".join(f"i1 {'true' if i < known else 'false'}" for i in range(n))
        w.bind(op.y, f"<{lanes}>")
        return
    low = w.let(f"call i64 @llvm.smax.i64({w.typed(op.count)}, i64 0)")
    count = w.let(f"call i64 @llvm.smin.i64(i64 {low}, i64 {n})")
    if w.options.bit_masks and n in (8, 16, 32):
        ones = w.let(f"shl nuw i64 1, {count}")
        word = w.let(f"add i64 {ones}, -1")
        short = w.let(f"trunc i64 {word} to i{n}")
        w.result(op.y, f"bitcast i{n} {short} to <{n} x i1>")
        return
    narrow = w.let(f"trunc i64 {count} to i32")
    spread = w.let(splat_text(w, f"<{n} x i32>", f"i32 {narrow}"))
    iota = ", ".join(f"i32 {i}" for i in range(n))
    w.result(op.y, f"icmp ult <{n} x i32> <{iota}>, {spread}")


@lower(vector.Reduction)
def reduction(op: vector.Reduction, w: FunctionWriter) -> None:
    """Floats are summed in any order: the language says so of reductions."""
    t, kind = w.spelling.type(op.x.type), op.kind_name
    element: ScalarType = op.x.type.element
    scalar, suffix = w.spelling.scalar(element), intrinsic_suffix(t)
    value, flags = w.names[op.x], fast_math(op)
    if element.kind == "f" and kind in ("add", "mul"):
        start = w.spelling.literal(-0.0 if kind == "add" else 1.0, element)
        flags = flags if "reassoc" in flags else f"reassoc {flags}"
        call = f"@llvm.vector.reduce.f{kind}.{suffix}({scalar} {start}, {t} {value})"
    else:
        call = f"@llvm.vector.reduce.{REDUCTIONS[kind]}.{suffix}({t} {value})"
    w.result(op.y, f"call {flags if element.kind == 'f' else ''}{scalar} {call}")
