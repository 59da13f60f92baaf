"""Vectors: rearranging renames registers; reductions combine them."""

from __future__ import annotations

from typing import Any

from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import vector
from kdsl.dialects.arith import constant_of
from kdsl.ir.core import Value
from kdsl.ir.types import I1, INDEX, ScalarType, element_type
from kdsl_ptx.emit.floats import extreme_maker, flags, in_f32
from kdsl_ptx.emit.integers import SELECTS, Maker, choose_bits, extended, width_of
from kdsl_ptx.emit.writer import WORD_BITS, Writer, class_of, count_of, is_packed

lower = LoweringTable("the PTX back end")


@lower(vector.Broadcast)
def broadcast(op: vector.Broadcast, w: Writer) -> None:
    """A scalar in all places; a vector repeated along new or stretched leading axes."""
    shape = op.y.type.shape
    if count_of(op.x.type) == 1:
        _pick(op.y, op.x, [0] * op.y.type.size, w)
        return
    inner = op.x.type.shape
    padded = (1,) * (len(shape) - len(inner)) + inner
    places = [0]
    for size, have in zip(shape, padded, strict=True):
        places = [p * have + (i if have > 1 else 0) for p in places for i in range(size)]
    _pick(op.y, op.x, places, w)


def _pick(y: Value, x: Value, places: list[int], w: Writer) -> None:
    """Bind ``y`` to elements of ``x``; whole words stay whole."""
    low = w.low_of.get(x)
    if low is not None:
        w.bind_low(y, [low[p] for p in places])
        return
    per = WORD_BITS // max(element_type(x.type).bits, 8)
    if is_packed(x.type) and is_packed(y.type) and x in w.words_of:
        groups = [places[i : i + per] for i in range(0, len(places), per)]
        if all(_is_word(group, per) for group in groups):
            words = w.words(x)
            w.bind_words(y, [words[group[0] // per] for group in groups])
            return
    if len(places) < count_of(x.type):
        w.bind(y, [w.element(x, p) for p in places])
        return
    texts = w.loose(x)
    w.bind(y, [texts[p] for p in places])


def _is_word(group: list[int], per: int) -> bool:
    return group[0] % per == 0 and all(p == group[0] + i for i, p in enumerate(group))


@lower(vector.Shuffle)
def shuffle(op: vector.Shuffle, w: Writer) -> None:
    split, places = op.a.type.size, list(op.mask)
    if all(p < split for p in places):
        _pick(op.y, op.a, places, w)
        return
    if all(p >= split for p in places):
        _pick(op.y, op.b, [p - split for p in places], w)
        return
    element = element_type(op.y.type)
    if element is INDEX and op.a in w.low_of and op.b in w.low_of:
        both = [*w.low_of[op.a], *w.low_of[op.b]]
        w.bind_low(op.y, [both[p] for p in places])
        return
    per = WORD_BITS // max(element.bits, 8)
    if per > 1 and is_packed(op.a.type) and is_packed(op.b.type) and is_packed(op.y.type):
        groups = [places[i : i + per] for i in range(0, len(places), per)]
        if all(_is_word(group, per) for group in groups):
            both = [*w.words(op.a), *w.words(op.b)]
            w.bind_words(op.y, [both[group[0] // per] for group in groups])
            return
    found = [w.element(op.a, p) if p < split else w.element(op.b, p - split) for p in places]
    w.bind(op.y, found)


@lower(vector.Extract)
def extract(op: vector.Extract, w: Writer) -> None:
    _pick(op.y, op.x, [int(op.static_position[0])], w)


@lower(vector.ExtractElement)
def extract_element(op: vector.ExtractElement, w: Writer) -> None:
    """A position that is known renames; else one choice for each element."""
    known = constant_of(op.position)
    if known is not None:
        _pick(op.y, op.x, [int(known)], w)
        return
    at, kind = _position(op.position, w), class_of(element_type(op.y.type))
    texts = w.loose(op.x)
    found = texts[0]
    for i, text in enumerate(texts[1:], 1):
        found = _choose(w, kind, at(i), text, found)
    w.bind(op.y, [found])


def _choose(w: Writer, kind: str, p: str, a: str, b: str) -> str:
    return choose_bits(w, p, a, b) if kind == "p" else w.let(kind, SELECTS[kind], a, b, p)


def _position(position: Value, w: Writer) -> Any:
    """Return what writes whether a position is a number."""
    element = element_type(position.type)
    low = w.low(position) if element is INDEX else None
    if low is not None:
        return lambda i: w.let("p", "setp.eq.s32", low[0], i)
    text = extended(w, w.one(position), element, "s")
    return lambda i: w.let("p", f"setp.eq.s{width_of(element)}", text, i)


@lower(vector.Insert)
def insert(op: vector.Insert, w: Writer) -> None:
    _put(op.y, op.x, op.value, int(op.static_position[0]), w)


def _put(y: Value, x: Value, value: Value, at: int, w: Writer) -> None:
    low, new = w.low_of.get(x), w.low_of.get(value)
    if low is not None and new is not None:
        w.bind_low(y, [*low[:at], new[0], *low[at + 1 :]])
        return
    texts = list(w.loose(x))
    texts[at] = w.one(value)
    w.bind(y, texts)


@lower(vector.InsertElement)
def insert_element(op: vector.InsertElement, w: Writer) -> None:
    known = constant_of(op.position)
    if known is not None:
        _put(op.y, op.x, op.value, int(known), w)
        return
    at, kind = _position(op.position, w), class_of(element_type(op.y.type))
    new = w.one(op.value)
    w.bind(op.y, [_choose(w, kind, at(i), new, text) for i, text in enumerate(w.loose(op.x))])


@lower(vector.FromElements)
def from_elements(op: vector.FromElements, w: Writer) -> None:
    parts = list(op.elements)
    if all(v in w.low_of for v in parts):
        w.bind_low(op.y, [w.low_of[v][0] for v in parts])
        return
    w.bind(op.y, [w.one(v) for v in parts])


@lower(vector.Interleave)
def interleave(op: vector.Interleave, w: Writer) -> None:
    """Along the last axis."""
    n, a, b = op.a.type.shape[-1], w.loose(op.a), w.loose(op.b)
    found: list[str] = []
    for row in range(0, len(a), n):
        for x, y in zip(a[row : row + n], b[row : row + n], strict=True):
            found += (x, y)
    w.bind(op.y, found)


@lower(vector.Deinterleave)
def deinterleave(op: vector.Deinterleave, w: Writer) -> None:
    """The last axis is even, so rows do not matter."""
    size = op.x.type.size
    _pick(op.even, op.x, list(range(0, size, 2)), w)
    _pick(op.odd, op.x, list(range(1, size, 2)), w)


@lower(vector.CreateMask)
def create_mask(op: vector.CreateMask, w: Writer) -> None:
    n = op.y.type.size
    known = constant_of(op.count)
    if known is not None:
        w.bind(op.y, ["true" if i < known else "false" for i in range(n)])
        return
    low = w.low(op.count)
    text, bits = (low[0], 32) if low is not None else (w.one(op.count), 64)
    w.bind(op.y, [w.let("p", f"setp.gt.s{bits}", text, i) for i in range(n)])


# ------------------------------------------------------------------------------------- reductions

INTEGER_WORDS = {
    "add": ("add.s", ""), "mul": ("mul.lo.s", ""), "and": ("and.b", ""), "or": ("or.b", ""),
    "xor": ("xor.b", ""), "minsi": ("min.s", "s"), "maxsi": ("max.s", "s"),
    "minui": ("min.u", "u"), "maxui": ("max.u", "u"),
}  # fmt: skip
FLOAT_WORDS = {
    "minnumf": "min", "maxnumf": "max", "minimumf": "min.NaN", "maximumf": "max.NaN",
}  # fmt: skip
BIT_WORDS = {
    "add": "xor.pred", "mul": "and.pred", "and": "and.pred", "or": "or.pred", "xor": "xor.pred",
    "minsi": "or.pred", "maxsi": "and.pred", "minui": "and.pred", "maxui": "or.pred",
}  # fmt: skip


@lower(vector.Reduction)
def reduction(op: vector.Reduction, w: Writer) -> None:
    """A balanced tree: the language lets reductions combine in any order."""
    element = op.x.type.element
    low = w.low_of.get(op.x)
    if element is INDEX and low is not None and w.facts.fits32(op.y):
        word = INTEGER_WORDS[op.kind_name][0]
        w.bind_low(op.y, [combine(low, lambda a, b: w.let("r", f"{word}32", a, b))])
        return
    w.bind(op.y, [combine(w.loose(op.x), _combiner(op, w, element))])


def combine(texts: list[str], make: Maker) -> str:
    """Return the texts combined pairwise."""
    while len(texts) > 1:
        pairs = [make(a, b) for a, b in zip(texts[::2], texts[1::2], strict=False)]
        texts = [*pairs, *texts[len(texts) // 2 * 2 :]]
    return texts[0]


def _combiner(op: vector.Reduction, w: Writer, element: ScalarType) -> Maker:
    name = op.kind_name
    if element.kind == "f":
        if name in FLOAT_WORDS:
            return extreme_maker(w, FLOAT_WORDS[name], element)
        kind = "d" if element.bits == 64 else "r"
        exact = "" if "contract" in flags(op) else ".rn"
        word = f"{name}{exact}.f{max(element.bits, 32)}"
        return in_f32(w, element, lambda a, b: w.let(kind, word, a, b))
    if element is I1:
        word = BIT_WORDS[name]
        return lambda a, b: w.let("p", word, w.register(a, "p"), w.register(b, "p"))
    start, sign = INTEGER_WORDS[name]
    kind, word = class_of(element), f"{start}{width_of(element)}"
    return lambda a, b: w.let(
        kind, word, extended(w, a, element, sign), extended(w, b, element, sign)
    )
