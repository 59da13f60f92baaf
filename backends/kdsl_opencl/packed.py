"""Ops on packed vectors, for chips whose programs are one lane each: CPUs.

A row here writes one vector operation for each packed vector. An op without a row is written lane
by lane; its operands are taken apart and its result is packed when the next row wants it so. A
packed bool is an ``int`` of 0 or -1.

Drivers for CPUs are made of clang, and their libraries' functions are not always inlined: what an
operator or a builtin of clang can say is not said by a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdsl.codegen.clike import values
from kdsl.codegen.clike.memory import place, qualifier
from kdsl.codegen.clike.spelling import item_bytes
from kdsl.codegen.clike.values import CMPF_NAMES, CMPI_NAMES, INTEGER_OPERATORS, NEGATED, ORDERED
from kdsl.codegen.clike.writer import MASK, Row, Writer, scalar_of, widths_of
from kdsl.codegen.lowering import Lowering, LoweringTable
from kdsl.dialects import arith, math, vector
from kdsl.dialects.arith import constant_of
from kdsl.ir.core import Op, Value
from kdsl.ir.types import F16, F32, I1, I32, INDEX, ScalarType

lower = LoweringTable("packed vectors")

PASSED_BITS = 256
Make = Callable[..., str]
"""From the packed operands and their width to an expression."""


def add_packed_rows(rows: LoweringTable) -> None:
    """Put the rows of this module before those of a table, for values that are packed.

    In place: rows of ops with regions know the table that they are in.
    """
    for kind in lower.ops:
        rows._rows[kind] = _either(lower._rows[kind], rows._rows[kind])


def _either(packed: Lowering, plain: Lowering) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        if w.packing and any(widths_of(v) for v in (*op.results, *op.operands) if _is_data(v)):
            packed(op, w)
        else:
            plain(op, w)

    return write


def _is_data(value: Value) -> bool:
    return not value.type.text.startswith("memref")


def each(op: Any, w: Writer, make: Make) -> None:
    """Declare the result: ``make(*units, width)`` for each packed vector of the operands."""
    units = [w.units(v) for v in op.operands]
    widths = widths_of(op.results[0])
    texts = [make(*unit, n) for *unit, n in zip(*units, widths, strict=True)]
    w.define_units(op.results[0], texts)


def vector_of(w: Writer, word: str, n: int) -> str:
    return w.spelling.vector_word(word, n)


def called(w: Writer, word: str, n: int, bits: int, call: Callable[..., str], *units: str) -> str:
    """Return ``call(n, *units)``, in halves where a vector is too long to be passed.

    ``word`` is the result's element, ``bits`` the size of the largest element that is passed or
    returned. Some drivers pass vectors beyond 256 bits in other ways than their library expects.
    """
    if n * bits <= PASSED_BITS:
        return call(n, *units)
    low, high = (
        called(w, word, n // 2, bits, call, *(f"({u}).{half}" for u in units))
        for half in ("lo", "hi")
    )
    return f"({vector_of(w, word, n)})({low}, {high})"


def converted(w: Writer, word: str, n: int, x: str) -> str:
    """Return a packed vector converted to elements of ``word``, as C converts scalars."""
    return f"__builtin_convertvector({x}, {vector_of(w, word, n)})"


def as_signed(w: Writer, x: str, t: ScalarType, n: int) -> str:
    return f"as_{vector_of(w, w.words.signed(t), n)}({x})"


def as_unsigned(w: Writer, x: str, t: ScalarType, n: int) -> str:
    return f"as_{vector_of(w, w.words.unsigned(t), n)}({x})"


# --------------------------------------------------------------------------------------- integers

BOOLS = {
    arith.Addi: "^", arith.Subi: "^", arith.Muli: "&", arith.Andi: "&", arith.Ori: "|",
    arith.Xori: "^",
}  # fmt: skip


def _plain(sign: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        chosen = BOOLS.get(type(op), sign) if scalar_of(op.y) is I1 else sign
        each(op, w, lambda a, b, n: f"{a} {chosen} {b}")

    return write


def _signed(sign: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        t = scalar_of(op.y)
        if t is I1:
            values.lower._rows[type(op)](op, w)
            return

        def make(a: str, b: str, n: int) -> str:
            text = f"{as_signed(w, a, t, n)} {sign} {as_signed(w, b, t, n)}"
            return as_unsigned(w, text, t, n)

        each(op, w, make)

    return write


def _unsigned(sign: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        if scalar_of(op.y) is I1:
            values.lower._rows[type(op)](op, w)
        else:
            each(op, w, lambda a, b, n: f"{a} {sign} {b}")

    return write


lower.words(_plain, {**values.WRAPPING, arith.Divf: "/"})
lower.words(_signed, values.SIGNED)
lower.words(_unsigned, values.UNSIGNED)


@lower(arith.Maxsi, arith.Minsi, arith.Maxui, arith.Minui)
def choice(op: Any, w: Writer) -> None:
    t, kind = scalar_of(op.y), type(op)
    if t is I1:
        values.lower._rows[kind](op, w)
        return
    sign = ">" if kind in (arith.Maxsi, arith.Maxui) else "<"

    def make(a: str, b: str, n: int) -> str:
        x, y = a, b
        if kind in (arith.Maxsi, arith.Minsi):
            x, y = as_signed(w, a, t, n), as_signed(w, b, t, n)
        return f"{x} {sign} {y} ? {a} : {b}"

    each(op, w, make)


def mask_text(w: Writer, text: str, t: ScalarType, n: int) -> str:
    """Return a comparison's result as an ``int`` mask: it comes in the size of what is compared."""
    return f"({text})" if t.bits == I32.bits else converted(w, MASK, n, text)


@lower(arith.Cmpi)
def cmpi(op: arith.Cmpi, w: Writer) -> None:
    t, name = scalar_of(op.lhs), CMPI_NAMES[op.predicate]
    if t is I1:
        values.cmpi(op, w)
        return
    sign = INTEGER_OPERATORS[name.lstrip("su") if name not in INTEGER_OPERATORS else name]

    def make(a: str, b: str, n: int) -> str:
        if name[0] == "s":
            a, b = as_signed(w, a, t, n), as_signed(w, b, t, n)
        return mask_text(w, f"{a} {sign} {b}", t, n)

    each(op, w, make)


@lower(arith.Cmpf)
def cmpf(op: arith.Cmpf, w: Writer) -> None:
    t, name = scalar_of(op.lhs), CMPF_NAMES[op.predicate]
    if name in ("false", "true"):
        values.cmpf(op, w)
        return
    each(op, w, lambda a, b, n: mask_text(w, comparison(name, a, b), t, n))


def comparison(name: str, a: str, b: str) -> str:
    """Return a comparison of packed floats by MLIR's name of its predicate."""
    if name in ORDERED:
        return f"({a} {ORDERED[name]} {b})"
    if name == "one":
        return f"(({a} < {b}) | ({a} > {b}))"
    if name in NEGATED:
        return f"~{comparison(NEGATED[name], a, b)}"
    both = f"(({a} == {a}) & ({b} == {b}))"
    return both if name == "ord" else f"~{both}"


def select_text(w: Writer, mask: str, a: str, b: str, t: ScalarType, n: int) -> str:
    """Return ``a`` where the mask holds, else ``b``: masks have the size of what is chosen."""
    if t.bits != I32.bits:
        mask = converted(w, w.words.signed(t), n, mask)
    return f"{mask} ? {a} : {b}"


@lower(arith.Select)
def select(op: arith.Select, w: Writer) -> None:
    t = scalar_of(op.y)
    if not w.is_packed(op.condition):
        condition = w.one(op.condition)
        pairs = zip(w.units(op.a), w.units(op.b), strict=True)
        w.define_units(op.y, [f"{condition} ? {a} : {b}" for a, b in pairs])
        return
    if t is I1:
        each(op, w, lambda m, a, b, n: f"({m} & {a}) | (~{m} & {b})")
    else:
        each(op, w, lambda m, a, b, n: select_text(w, m, a, b, t, n))


# ----------------------------------------------------------------------------------------- floats


def _function(word: str) -> Lowering:
    def write(op: Any, w: Writer) -> None:
        name, t = w.spelling.functions[word], scalar_of(op.y)
        held = w.words.word(t)

        def call(_: int, *units: str) -> str:
            return f"{name}({', '.join(units)})"

        each(op, w, lambda *units: called(w, held, units[-1], t.bits, call, *units[:-1]))

    return write


CALLED = (
    math.Sqrt, math.Floor, math.Ceil, math.Trunc, math.Roundeven, math.Copysign,
)  # fmt: skip
lower.words(_function, {kind: values.FUNCTIONS[kind] for kind in CALLED})


@lower(arith.Maximumf, arith.Minimumf, arith.Maxnumf, arith.Minnumf)
def maximum(op: Any, w: Writer) -> None:
    """Choose by a comparison, with the NaN of the operand that it would lose."""
    kind = type(op)
    sign = ">" if kind in (arith.Maximumf, arith.Maxnumf) else "<"
    spreads = kind in (arith.Maximumf, arith.Minimumf)

    def make(a: str, b: str, n: int) -> str:
        lost = a if spreads else b
        return f"(({a} {sign} {b}) | ({lost} != {lost})) ? {a} : {b}"

    each(op, w, make)


@lower(arith.Mulf)
def mulf(op: arith.Mulf, w: Writer) -> None:
    if values._is_fused(op, w):
        w.products[op.y] = (w.units(op.lhs), w.units(op.rhs))
    else:
        each(op, w, lambda a, b, n: f"{a} * {b}")


@lower(arith.Addf, arith.Subf)
def add_or_subtract(op: Any, w: Writer) -> None:
    sign = "-" if isinstance(op, arith.Subf) else ""
    left, right = op.operands
    if right in w.products:
        triples = [(sign + a, b, c) for a, b, c in _with_product(w, right, left)]
    elif left in w.products:
        triples = [(a, b, sign + c) for a, b, c in _with_product(w, left, right)]
    else:
        each(op, w, lambda a, b, n: f"{a} {sign or '+'} {b}")
        return
    word = w.word(op.y)
    texts = [
        f"{contraction(w, word, n)}({a}, {b}, {c})"
        for (a, b, c), n in zip(triples, widths_of(op.y), strict=True)
    ]
    w.define_units(op.y, texts)


@lower(math.Fma)
def fma(op: math.Fma, w: Writer) -> None:
    """By contraction, which code generators for CPUs with the instruction always do.

    The library's function is a call there, and no builtin of clang's is one for vectors.
    """
    word = w.word(op.y)
    each(op, w, lambda a, b, c, n: f"{contraction(w, word, n)}({a}, {b}, {c})")


def contraction(w: Writer, word: str, n: int) -> str:
    """Return the name of a helper in which a product and a sum may be rounded once."""
    kind = vector_of(w, word, n)
    name = f"kdsl_contract_{kind}"
    text = f"""\
static inline {kind} {name}({kind} a, {kind} b, {kind} c) {{
#pragma OPENCL FP_CONTRACT ON
  return a * b + c;
}}"""
    return w.helper(name, text)


def _with_product(w: Writer, product: Value, other: Value) -> list[tuple[str, str, str]]:
    a, b = w.products[product]
    if other in w.products:
        c: Row = tuple(f"({x} * {y})" for x, y in zip(*w.products[other], strict=True))
    else:
        c = w.units(other)
    return list(zip(a, b, c, strict=True))


@lower(math.Absf)
def absf(op: math.Absf, w: Writer) -> None:
    """Without its sign bit."""
    t = scalar_of(op.y)
    word, bits = w.words.word(t), w.words.integer((1 << (t.bits - 1)) - 1, t.bits)
    each(op, w, lambda x, n: f"as_{vector_of(w, word, n)}({as_unsigned(w, x, t, n)} & {bits})")


@lower(arith.Negf)
def negf(op: arith.Negf, w: Writer) -> None:
    each(op, w, lambda x, n: f"-{x}")


# ------------------------------------------------------------------------------------ conversions


@lower(arith.Extui, arith.Trunci, arith.IndexCastui, arith.IndexCast, arith.Extsi)
def resize(op: Any, w: Writer) -> None:
    source, target = scalar_of(op.x), scalar_of(op.y)
    grows = source.bits < target.bits
    if source.bits == target.bits:
        w.bind_units(op.y, w.units(op.x))
    elif target is I1:
        word = w.words.unsigned(source)

        def lowest(x: str, n: int) -> str:
            kind = vector_of(w, word, n)
            return mask_text(w, f"({x} & ({kind})(1)) != ({kind})(0)", source, n)

        each(op, w, lowest)
    elif isinstance(op, arith.Extsi | arith.IndexCast) and grows:
        word = w.words.signed(target)

        def widen(x: str, n: int) -> str:
            seen = x if source is I1 else as_signed(w, x, source, n)
            return as_unsigned(w, converted(w, word, n, seen), target, n)

        each(op, w, widen)
    else:
        word = w.words.unsigned(target)
        tail = " & 1" if source is I1 else ""
        each(op, w, lambda x, n: converted(w, word, n, f"{x}{tail}"))


@lower(arith.Sitofp, arith.Uitofp)
def to_float(op: Any, w: Writer) -> None:
    word, t = w.word(op.y), scalar_of(op.x)
    if t is I1:
        values.lower._rows[type(op)](op, w)
    elif isinstance(op, arith.Sitofp):
        each(op, w, lambda x, n: converted(w, word, n, as_signed(w, x, t, n)))
    else:
        each(op, w, lambda x, n: converted(w, word, n, x))


@lower(arith.Fptosi, arith.Fptoui)
def to_integer(op: Any, w: Writer) -> None:
    t = scalar_of(op.y)
    if t is I1:
        values.float_to_integer(op, w)
    elif isinstance(op, arith.Fptoui):
        word = w.words.unsigned(t)
        each(op, w, lambda x, n: converted(w, word, n, x))
    else:
        word = w.words.signed(t)
        each(op, w, lambda x, n: as_unsigned(w, converted(w, word, n, x), t, n))


@lower(arith.Extf, arith.Truncf)
def convert_float(op: Any, w: Writer) -> None:
    source, target = scalar_of(op.x), scalar_of(op.y)
    if not (w.words.is_held(source) or w.words.is_held(target)):
        word = w.word(op.y)
        each(op, w, lambda x, n: converted(w, word, n, x))
        return
    if (source, target) not in ((F16, F32), (F32, F16)):
        raise lower.refuse(op, f"{source} to {target}")
    stem = "kdsl_from_f16" if source is F16 else "kdsl_to_f16"
    each(op, w, lambda x, n: f"{w.call(f'{stem}_{n}')}({x})")


@lower(arith.Bitcast, vector.Bitcast)
def bitcast(op: Any, w: Writer) -> None:
    source, target = scalar_of(op.x), scalar_of(op.y)
    if source.bits != target.bits or I1 in (source, target):
        raise_or_plain(op, w)
        return
    before, after = w.words.word(source), w.words.word(target)
    if before == after:
        w.bind_units(op.y, w.units(op.x))
    else:
        each(op, w, lambda x, n: f"as_{vector_of(w, after, n)}({x})")


def raise_or_plain(op: Op, w: Writer) -> None:
    """Write an op lane by lane."""
    from kdsl.codegen.clike import vectors

    table = vectors.lower._rows.get(type(op)) or values.lower._rows[type(op)]
    table(op, w)


# ------------------------------------------------------------------------------------------ lanes


@lower(vector.Load)
def load(op: vector.Load, w: Writer) -> None:
    t = scalar_of(op.y)
    if not w.is_packed(op.y) or w.guarded:
        _memory_row(op, w)
        return
    at = place(w, op.source, op.indices)
    texts, first = [], 0
    for n in widths_of(op.y):
        text = spot(w, op.source, at, first, n)
        if t is I1:
            text = converted(w, MASK, n, f"({text} != (uchar{n})(0))")
        texts.append(text)
        w.counted(f"load of {n} x {t}")
        first += n
    w.define_units(op.y, texts)


@lower(vector.Store)
def store(op: vector.Store, w: Writer) -> None:
    t = scalar_of(op.value)
    if not w.is_packed(op.value) or w.guarded:
        _memory_row(op, w)
        return
    at = place(w, op.target, op.indices)
    first = 0
    for n, unit in zip(widths_of(op.value), w.units(op.value), strict=True):
        text = converted(w, "uchar", n, f"{unit} & 1") if t is I1 else unit
        w.do(f"{spot(w, op.target, at, first, n)} = {text};")
        w.counted(f"store of {n} x {t}")
        first += n


def loose(w: Writer, ref: Value, n: int) -> str:
    """Return the pointer type of a packed vector that is aligned as its elements are."""
    t = scalar_of(ref)
    word = w.words.memory(t)
    name = f"kdsl_{vector_of(w, word, n)}"
    w.helper(
        name,
        f"typedef {word} {name} __attribute__((ext_vector_type({n}), aligned({item_bytes(t)})));",
    )
    return f"{qualifier(w, ref)} {name} *"


def spot(w: Writer, ref: Value, at: str, first: int, n: int) -> str:
    """Return a packed vector in memory."""
    return f"*({loose(w, ref, n)})({w.use(w.buffers[ref].base)} + {_offset(at, first)})"


@lower(vector.MaskedLoad)
def masked_load(op: vector.MaskedLoad, w: Writer) -> None:
    """In one piece where all lanes are wanted, which is all but the last turn of a loop."""
    t = scalar_of(op.y)
    if not w.is_packed(op.y) or t is I1 or w.guarded:
        _memory_row(op, w)
        return
    base, at = w.use(w.buffers[op.source].base), place(w, op.source, op.indices)
    names = w.variables(op.y, w.units(op.pass_thru))
    first = 0
    for n, name, mask in zip(widths_of(op.y), names, w.units(op.mask), strict=True):
        w.open(f"if (all({mask}))")
        w.do(f"{name} = {spot(w, op.source, at, first, n)};")
        w.otherwise()
        for i in range(n):
            lane, part = w.spelling.part(mask, i), w.spelling.part(name, i)
            w.do(f"if ({lane}) {part} = {base}[{_offset(at, first + i)}];")
        w.close()
        w.counted(f"masked load of {n} x {t}")
        first += n
    w.bind_units(op.y, names)


@lower(vector.MaskedStore)
def masked_store(op: vector.MaskedStore, w: Writer) -> None:
    t = scalar_of(op.value)
    if not w.is_packed(op.value) or t is I1 or w.guarded:
        _memory_row(op, w)
        return
    base, at = w.use(w.buffers[op.target].base), place(w, op.target, op.indices)
    first = 0
    units = zip(widths_of(op.value), w.units(op.value), w.units(op.mask), strict=True)
    for n, unit, mask in units:
        w.open(f"if (all({mask}))")
        w.do(f"{spot(w, op.target, at, first, n)} = {unit};")
        w.otherwise()
        for i in range(n):
            lane, part = w.spelling.part(mask, i), w.spelling.part(unit, i)
            w.do(f"if ({lane}) {base}[{_offset(at, first + i)}] = {part};")
        w.close()
        w.counted(f"masked store of {n} x {t}")
        first += n


def _memory_row(op: Op, w: Writer) -> None:
    from kdsl.codegen.clike import memory

    memory.lower._rows[type(op)](op, w)


def _offset(at: str, lane: int) -> str:
    return at if lane == 0 else f"{at} + {lane}"


@lower(vector.CreateMask)
def create_mask(op: vector.CreateMask, w: Writer) -> None:
    """Compare the clamped count with 0, 1, 2, ..."""
    known = constant_of(op.count)
    if known is not None or not w.is_packed(op.y):
        raise_or_plain(op, w)
        return
    size = op.y.type.size
    count = f"({w.words.signed(INDEX)}){w.one(op.count)}"
    low = w.let("int", f"(int)min(max({count}, 0l), {size}l)")
    texts, first = [], 0
    for n in widths_of(op.y):
        numbers = ", ".join(str(first + i) for i in range(n))
        texts.append(f"(int{n})({numbers}) < (int{n})({low})")
        first += n
    w.define_units(op.y, texts)


@lower(vector.Reduction)
def reduction(op: vector.Reduction, w: Writer) -> None:
    """Vectors with vectors, then halves with halves; the language leaves the order open."""
    t, kind = scalar_of(op.x), op.kind_name
    widths = widths_of(op.x)
    if t is I1 or not widths or len(set(widths)) > 1 or kind not in ("add", "mul", *_CHOSEN):
        raise_or_plain(op, w)
        return
    n, units, word = widths[0], list(w.units(op.x)), w.words.word(t)
    while len(units) > 1:
        half = len(units) // 2
        pairs = zip(units[:half], units[half : 2 * half], strict=True)
        made = [w.let(vector_of(w, word, n), _combined(kind, a, b)) for a, b in pairs]
        units = made + units[2 * half :]
    unit = units[0]
    while n > 2:
        n //= 2
        unit = w.let(vector_of(w, word, n), _combined(kind, f"{unit}.lo", f"{unit}.hi"))
    from kdsl.codegen.clike.vectors import combined

    w.bind(op.y, [w.let(word, combined(w, kind, f"{unit}.x", f"{unit}.y", t))])


_CHOSEN = {"maximumf": ">", "minimumf": "<", "maxnumf": ">", "minnumf": "<"}


def _combined(kind: str, a: str, b: str) -> str:
    if kind in ("add", "mul"):
        return f"{a} {'+' if kind == 'add' else '*'} {b}"
    lost = a if kind.endswith("imumf") else b
    return f"(({a} {_CHOSEN[kind]} {b}) | ({lost} != {lost})) ? {a} : {b}"
