"""Rearranging lanes: nearly all of it only renames variables."""

from __future__ import annotations

from typing import Any

from kdsl.codegen.clike.values import comparison, signed, viewed
from kdsl.codegen.clike.writer import Writer, scalar_of
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import vector
from kdsl.dialects.arith import constant_of
from kdsl.ir.types import I1, ScalarType, VectorType

lower = LoweringTable("a language like C")


@lower(vector.Broadcast)
def broadcast(op: vector.Broadcast, w: Writer) -> None:
    """Repeat a scalar; a vector is repeated along new leading axes and axes of size one."""
    row = w.row(op.x)
    if not isinstance(op.x.type, VectorType):
        w.bind(op.y, row * op.y.type.size)
        return
    shape, wanted = op.x.type.shape, op.y.type.shape
    padded = (1,) * (len(wanted) - len(shape)) + shape
    w.bind(op.y, [row[_source(at, padded, wanted)] for at in range(op.y.type.size)])


def _source(at: int, shape: tuple[int, ...], wanted: tuple[int, ...]) -> int:
    """Return which element of the smaller shape element ``at`` of the larger one is."""
    found, step = 0, 1
    for size, full in zip(reversed(shape), reversed(wanted), strict=True):
        at, place = divmod(at, full)
        found += (place if size > 1 else 0) * step
        step *= size
    return found


@lower(vector.Shuffle)
def shuffle(op: vector.Shuffle, w: Writer) -> None:
    lanes = w.row(op.a) + w.row(op.b)
    w.bind(op.y, [lanes[m] for m in op.mask])


@lower(vector.Extract)
def extract(op: vector.Extract, w: Writer) -> None:
    (at,) = op.static_position
    w.bind(op.y, [w.row(op.x)[at]])


@lower(vector.Insert)
def insert(op: vector.Insert, w: Writer) -> None:
    (at,) = op.static_position
    row = list(w.row(op.x))
    row[at] = w.one(op.value)
    w.bind(op.y, row)


@lower(vector.FromElements)
def from_elements(op: vector.FromElements, w: Writer) -> None:
    w.bind(op.y, [w.one(e) for e in op.elements])


@lower(vector.ExtractElement)
def extract_element(op: vector.ExtractElement, w: Writer) -> None:
    """At a position known at run time, choose along a chain of comparisons."""
    known, row = constant_of(op.position), w.row(op.x)
    if known is not None:
        w.bind(op.y, [row[int(known)]])
        return
    at = w.one(op.position)
    text = row[0]
    for i, lane in enumerate(row[1:], 1):
        text = f"{at} == {i} ? {lane} : ({text})"
    w.define(op.y, [text])


@lower(vector.InsertElement)
def insert_element(op: vector.InsertElement, w: Writer) -> None:
    known, row, value = constant_of(op.position), w.row(op.x), w.one(op.value)
    if known is not None:
        w.bind(op.y, [*row[: int(known)], value, *row[int(known) + 1 :]])
        return
    at = w.one(op.position)
    w.define(op.y, [f"{at} == {i} ? {value} : {lane}" for i, lane in enumerate(row)])


@lower(vector.Interleave)
def interleave(op: vector.Interleave, w: Writer) -> None:
    w.bind(op.y, [x for pair in zip(w.row(op.a), w.row(op.b), strict=True) for x in pair])


@lower(vector.Deinterleave)
def deinterleave(op: vector.Deinterleave, w: Writer) -> None:
    row = w.row(op.x)
    w.bind(op.even, row[0::2])
    w.bind(op.odd, row[1::2])


@lower(vector.CreateMask)
def create_mask(op: vector.CreateMask, w: Writer) -> None:
    n = op.y.type.size
    known = constant_of(op.count)
    if known is not None:
        w.bind(op.y, ["true" if i < known else "false" for i in range(n)])
        return
    count = signed(w, w.one(op.count), scalar_of(op.count))
    w.define(op.y, [f"{count} > {i}" for i in range(n)])


# ------------------------------------------------------------------------------------------- bits


@lower(vector.Bitcast)
def bitcast(op: vector.Bitcast, w: Writer) -> None:
    """Lanes of another size: split into halves, or join; the first lane holds the low bits."""
    source, target = scalar_of(op.x), scalar_of(op.y)
    if source.bits == target.bits:
        w.bind(op.y, viewed(w, w.row(op.x), source, target))
        return
    raw = _raw(w, w.row(op.x), source)
    wide = w.spelling.unsigned[target.bits]
    if source.bits > target.bits:
        count = source.bits // target.bits
        texts = [f"({wide})({x} >> {i * target.bits})" for x in raw for i in range(count)]
    else:
        count = target.bits // source.bits
        texts = [
            " | ".join(f"(({wide}){x} << {i * source.bits})" for i, x in enumerate(raw[at:end]))
            for at, end in ((at, at + count) for at in range(0, len(raw), count))
        ]
    held = w.declare(wide, texts)
    word = w.words.word(target)
    if word != wide:
        held = w.declare(word, [w.spelling.bits(word, x) for x in held])
    w.bind(op.y, held)


def _raw(w: Writer, row: Any, t: ScalarType) -> list[str]:
    """Return lanes as unsigned integers."""
    word, raw = w.words.word(t), w.words.unsigned(t)
    return list(row) if word == raw else w.declare(raw, [w.spelling.bits(raw, x) for x in row])


# ------------------------------------------------------------------------------------- reductions


@lower(vector.Reduction)
def reduction(op: vector.Reduction, w: Writer) -> None:
    """Combine halves with halves: the language leaves the order open."""
    row, t, kind = list(w.row(op.x)), scalar_of(op.x), op.kind_name
    while len(row) > 1:
        half = len(row) // 2
        texts = [combined(w, kind, a, b, t) for a, b in zip(row[:half], row[half:], strict=False)]
        row = w.declare(w.words.word(t), texts) + row[2 * half :]
    w.bind(op.y, row)


def combined(w: Writer, kind: str, a: str, b: str, t: ScalarType) -> str:
    """Return two lanes combined by upstream's name of a reduction."""
    if t is I1:
        return _combined_bools(kind, a, b)
    if kind in SIGNS:
        return f"{a} {SIGNS[kind]} {b}"
    if kind in ("maxnumf", "minnumf"):
        return f"{w.spelling.functions['fmax' if kind == 'maxnumf' else 'fmin']}({a}, {b})"
    sign = ">" if kind.startswith("max") else "<"
    if kind.endswith("imumf"):
        return f"({comparison('ogt' if sign == '>' else 'olt', a, b)} || {a} != {a}) ? {a} : {b}"
    if kind.endswith("si"):
        return f"{signed(w, a, t)} {sign} {signed(w, b, t)} ? {a} : {b}"
    return f"{a} {sign} {b} ? {a} : {b}"


SIGNS = {"add": "+", "mul": "*", "and": "&", "or": "|", "xor": "^"}
_BOOL_SIGNS = {
    "add": "!=", "xor": "!=", "mul": "&&", "and": "&&", "or": "||",
    "maxui": "||", "minui": "&&", "maxsi": "&&", "minsi": "||",
}  # fmt: skip


def _combined_bools(kind: str, a: str, b: str) -> str:
    """A signed bool is 0 or -1, so that its maximum is 0."""
    return f"{a} {_BOOL_SIGNS[kind]} {b}"
