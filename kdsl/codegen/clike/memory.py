"""Ops that touch memory: addresses, loads and stores, masks, gathers, atomics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kdsl.codegen.clike.spelling import PRIVATE, item_bytes
from kdsl.codegen.clike.vectors import combined
from kdsl.codegen.clike.writer import Buffer, Writer, scalar_of
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import kdsl as tiles
from kdsl.dialects import memref, vector
from kdsl.dialects.arith import constant_of
from kdsl.dialects.gpu import WORKGROUP
from kdsl.ir.core import Value
from kdsl.ir.types import DYNAMIC, I1, INDEX, MemRefType, ScalarType

lower = LoweringTable("a language like C")

ALIGNMENTS = ("alignment", "kdsl.align")
"""Attributes that state a power of two which divides an access's address."""
WORD_BITS = 32
PLACES = {WORKGROUP: "workgroup ", PRIVATE: "private "}
"""What the report calls memory that is not global."""

# ------------------------------------------------------------------------------------- addresses


def place(w: Writer, ref: Value, indices: Sequence[Value]) -> str:
    """Return the offset of an element from its buffer's pointer."""
    buffer = w.buffers[ref]
    constant, terms = 0, []
    if buffer.offset:
        terms.append(w.use(buffer.offset))
    for index, stride in zip(indices, buffer.strides, strict=True):
        known = constant_of(index)
        if known is not None and isinstance(stride, int):
            constant += int(known) * stride
        elif stride == 1:
            terms.append(w.one(index))
        elif known != 0:
            terms.append(f"{w.one(index)} * {w.use(stride)}")
    if constant or not terms:
        terms.append(w.words.integer(constant, 64))
    return terms[0] if len(terms) == 1 else w.let(w.words.word(INDEX), " + ".join(terms))


def element(w: Writer, ref: Value, at: str) -> str:
    """Return an element as C writes it."""
    return f"{w.use(w.buffers[ref].base)}[{at}]"


def guard(w: Writer, ref: Value) -> str:
    """Return the condition under which this lane may touch a buffer: none of its checks failed."""
    own = w.buffers[ref].space in (WORKGROUP, PRIVATE)
    return "kdsl_alive" if w.guarded and not own else ""


def _read(w: Writer, ref: Value, at: str, condition: str = "", other: str = "") -> str:
    """Return the expression that reads an element; a bool is true when its byte is not zero."""
    t = scalar_of(ref)
    text = element(w, ref, at)
    text = f"{text} != 0" if t is I1 else text
    alive = guard(w, ref)
    condition = f"({alive} && {condition})" if alive and condition else alive or condition
    if not condition:
        return text
    return f"{condition} ? {text} : {other or w.words.literal(0, t)}"


def _write(w: Writer, ref: Value, at: str, value: str, condition: str = "") -> None:
    text = f"{element(w, ref, at)} = {value};"
    alive = guard(w, ref)
    condition = f"{alive} && {condition}" if alive and condition else alive or condition
    w.do(f"if ({condition}) {text}" if condition else text)


def _offset(at: str, lane: int) -> str:
    return at if lane == 0 else f"{at} + {lane}"


# ---------------------------------------------------------------------------------------- scalars


@lower(memref.Load)
def load(op: memref.Load, w: Writer) -> None:
    w.define(op.y, [_read(w, op.source, place(w, op.source, op.indices))])
    _count(w, "load", op.source, 1)


@lower(memref.Store)
def store(op: memref.Store, w: Writer) -> None:
    _write(w, op.target, place(w, op.target, op.indices), w.one(op.value))
    _count(w, "store", op.target, 1)


@lower(memref.Dim)
def dim(op: memref.Dim, w: Writer) -> None:
    axis = constant_of(op.index)
    if axis is None:
        raise lower.refuse(op, "the dimension must be a constant")
    w.bind(op.y, [w.use(w.buffers[op.source].sizes[int(axis)])])


@lower(tiles.Address)
def byte_address(op: tiles.Address, w: Writer) -> None:
    at = place(w, op.source, op.indices)
    w.define(op.y, [f"(ulong)({w.use(w.buffers[op.source].base)} + {at})"])


@lower(memref.Cast)
def cast(op: memref.Cast, w: Writer) -> None:
    """The same buffer; what the new type states as static is known from now on."""
    old = w.buffers[op.source]
    t = memref.memref_type(op.y)
    sizes = [o if n == DYNAMIC else n for o, n in zip(old.sizes, t.shape, strict=True)]
    strides = [
        o if n == DYNAMIC else n for o, n in zip(old.strides, t.element_strides, strict=True)
    ]
    w.buffers[op.y] = Buffer(old.base, old.offset, sizes, strides, old.space)


@lower(tiles.WorkgroupAlloc)
def workgroup_alloc(op: tiles.WorkgroupAlloc, w: Writer) -> None:
    """Declared at the top of the kernel, as these languages want it."""
    t = memref.memref_type(op.y)
    name = f"shared{len(w.shared)}"
    count = span(t)
    align = max(op.align, item_bytes(t.element))
    w.shared.append(w.spelling.shared(w.words.memory(t.element), name, count, align))
    w.buffers[op.y] = Buffer(name, "", list(t.shape), list(t.element_strides), WORKGROUP)


def span(t: MemRefType) -> int:
    """Return how many elements a static buffer reaches over."""
    last = sum((n - 1) * s for n, s in zip(t.shape, t.element_strides, strict=True))
    return last + 1 if t.size else 1


@lower(memref.Alloca)
def alloca(op: memref.Alloca, w: Writer) -> None:
    """An array of this lane alone."""
    t = op.memref_type
    if not t.is_static:
        raise lower.refuse(op, f"{t} has no static size")
    name = w.fresh()
    w.do(f"{w.words.memory(t.element)} {name}[{max(t.size, 1)}];")
    w.buffers[op.y] = Buffer(name, "", list(t.shape), list(t.element_strides), PRIVATE)


@lower(memref.Prefetch)
def prefetch(op: memref.Prefetch, w: Writer) -> None:
    """A hint that these languages have no portable word for."""


# ---------------------------------------------------------------------------------------- vectors


@lower(vector.Load)
def vector_load(op: vector.Load, w: Writer) -> None:
    """In the longest pieces that the language has; each piece is one vector access."""
    t, n = scalar_of(op.y), op.y.type.size
    at = place(w, op.source, op.indices)
    if t is I1 or n == 1 or guard(w, op.source):
        w.define(op.y, [_read(w, op.source, _offset(at, i)) for i in range(n)])
        _count(w, "load", op.source, 1, n)
        return
    word, base = w.words.memory(t), w.use(w.buffers[op.source].base)
    texts: list[str] = []
    for first, count in pieces(n, w.spelling.widths):
        if count == 1:
            texts.append(element(w, op.source, _offset(at, first)))
        else:
            aligned = _is_aligned(op, first, count, t)
            pointer = f"{base} + {_offset(at, first)}"
            loaded = w.spelling.load(qualifier(w, op.source), word, count, pointer, aligned)
            name = w.let(w.spelling.vector_word(word, count), loaded)
            texts += [w.spelling.part(name, i) for i in range(count)]
        _count(w, "load", op.source, count)
    w.define(op.y, texts)


@lower(vector.Store)
def vector_store(op: vector.Store, w: Writer) -> None:
    t, n = scalar_of(op.value), op.value.type.size
    at, row = place(w, op.target, op.indices), w.row(op.value)
    if t is I1 or n == 1 or guard(w, op.target):
        for i, lane in enumerate(row):
            _write(w, op.target, _offset(at, i), lane)
        _count(w, "store", op.target, 1, n)
        return
    word, base = w.words.memory(t), w.use(w.buffers[op.target].base)
    for first, count in pieces(n, w.spelling.widths):
        if count == 1:
            _write(w, op.target, _offset(at, first), row[first])
        else:
            aligned = _is_aligned(op, first, count, t)
            pointer = f"{base} + {_offset(at, first)}"
            parts = list(row[first : first + count])
            w.do(w.spelling.store(qualifier(w, op.target), word, parts, pointer, aligned))
        _count(w, "store", op.target, count)


def qualifier(w: Writer, ref: Value) -> str:
    """Return the qualifier of a buffer's pointer."""
    return w.spelling.spaces[w.buffers[ref].space]


def pieces(n: int, widths: Sequence[int]) -> list[tuple[int, int]]:
    """Cut a run of elements into (first, count), longest first."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < n:
        count = next((c for c in widths if c <= n - at), 1)
        found.append((at, count))
        at += count
    return found


def _is_aligned(op: Any, first: int, count: int, t: ScalarType) -> bool:
    """Return whether a piece lies at a multiple of its own size."""
    size = item_bytes(t)
    stated = max(int(op.attributes.get(name, 0)) for name in ALIGNMENTS)
    return stated >= count * size and first * size % (count * size) == 0


@lower(vector.MaskedLoad)
def masked_load(op: vector.MaskedLoad, w: Writer) -> None:
    at = place(w, op.source, op.indices)
    lanes = zip(w.row(op.mask), w.row(op.pass_thru), strict=True)
    w.define(op.y, [_read(w, op.source, _offset(at, i), m, p) for i, (m, p) in enumerate(lanes)])
    _count(w, "masked load", op.source, 1, op.y.type.size)


@lower(vector.MaskedStore)
def masked_store(op: vector.MaskedStore, w: Writer) -> None:
    at = place(w, op.target, op.indices)
    for i, (m, value) in enumerate(zip(w.row(op.mask), w.row(op.value), strict=True)):
        if m != "false":
            _write(w, op.target, _offset(at, i), value, m)
    _count(w, "masked store", op.target, 1, op.value.type.size)


def _spots(op: Any, w: Writer, ref: Value) -> list[str]:
    """Return the offsets ``indices..., last + lanes``."""
    at = place(w, ref, op.indices)
    stride = w.buffers[ref].strides[-1]
    word = w.words.signed(INDEX)
    t = scalar_of(op.lanes)
    scale = "" if stride == 1 else f" * {w.use(stride)}"
    return [f"{at} + ({word})({w.words.signed(t)}){lane}{scale}" for lane in w.row(op.lanes)]


@lower(vector.Gather)
def gather(op: vector.Gather, w: Writer) -> None:
    spots = _spots(op, w, op.source)
    lanes = zip(spots, w.row(op.mask), w.row(op.pass_thru), strict=True)
    w.define(op.y, [_read(w, op.source, at, m, p) for at, m, p in lanes])
    _count(w, "gather", op.source, 1, len(spots))


@lower(vector.Scatter)
def scatter(op: vector.Scatter, w: Writer) -> None:
    spots = _spots(op, w, op.target)
    for at, m, value in zip(spots, w.row(op.mask), w.row(op.value), strict=True):
        _write(w, op.target, at, value, m)
    _count(w, "scatter", op.target, 1, len(spots))


def _count(w: Writer, what: str, ref: Value, width: int, times: int = 1) -> None:
    where = PLACES.get(w.buffers[ref].space or 0, "")
    key = f"{where}{what} of {width} x {scalar_of(ref)}"
    for _ in range(times):
        w.counted(key)


# ---------------------------------------------------------------------------------------- atomics

RMW_KINDS = {
    "addf": "add", "addi": "add", "mulf": "mul", "muli": "mul", "maximumf": "maximumf",
    "minimumf": "minimumf", "maxnumf": "maxnumf", "minnumf": "minnumf", "maxs": "maxsi",
    "mins": "minsi", "maxu": "maxui", "minu": "minui", "ori": "or", "andi": "and",
}  # fmt: skip
"""Upstream's atomic kinds as the reductions that combine the same way."""


@lower(memref.AtomicRmw)
def atomic(op: memref.AtomicRmw, w: Writer) -> None:
    """A builtin where there is one, else compare and swap the word until nobody interfered."""
    kind, t = memref.ATOMIC_KINDS[op.kind], scalar_of(op.value)
    if t is I1 or (w.words.is_held(t) and kind != "assign"):
        raise lower.refuse(op, f"{kind} of {t} has no atomic form")
    buffer = w.buffers[op.target]
    at = place(w, op.target, op.indices)
    pointer = f"{w.use(buffer.base)} + {at}"
    name = atomic_function(w, kind, t, buffer.space)
    text = f"{name}({pointer}, {w.one(op.value)})"
    alive = guard(w, op.target)
    w.define(op.y, [f"{alive} ? {text} : {w.words.literal(0, t)}" if alive else text])


def atomic_function(w: Writer, kind: str, t: ScalarType, space: int | None) -> str:
    """Return the name of a function ``old = f(pointer, value)`` over a memory space."""
    qualifier = w.spelling.spaces[space]
    word = w.words.word(t)
    name = f"kdsl_atomic_{kind}_{t}_{'workgroup' if space == WORKGROUP else 'global'}"
    native = w.spelling.atomics.get(f"{kind}/{t.kind}{t.bits}")
    if native is not None:
        kept = w.words.signed(t) if kind in ("maxs", "mins") else w.words.unsigned(t)
        body = f"return {w.spelling.atomic_call(native, kept, qualifier)};"
    elif t.bits < WORD_BITS:
        body = _small_swap(w, kind, t, qualifier)
    else:
        body = _whole_swap(w, kind, t, qualifier)
    return w.helper(name, f"{word} {name}({qualifier} {word} *p, {word} x) {{\n{body}\n}}")


def _step(w: Writer, kind: str, t: ScalarType) -> str:
    return "x" if kind == "assign" else combined(w, RMW_KINDS[kind], "seen", "x", t)


def _whole_swap(w: Writer, kind: str, t: ScalarType, qualifier: str) -> str:
    raw, word = w.words.unsigned(t), w.words.word(t)
    into = (lambda x: x) if raw == word else (lambda x: w.spelling.bits(word, x))
    back = (lambda x: x) if raw == word else (lambda x: w.spelling.bits(raw, x))
    swap = w.spelling.atomic_swap(raw, qualifier, "p", "old", "next")
    return (
        f"  {raw} old = *(volatile {qualifier} {raw} *)p;\n"
        f"  for (;;) {{\n"
        f"    const {word} seen = {into('old')};\n"
        f"    const {word} made = {_step(w, kind, t)};\n"
        f"    const {raw} next = {back('made')};\n"
        f"    const {raw} now = {swap};\n"
        f"    if (now == old) return seen;\n"
        f"    old = now;\n"
        f"  }}"
    )


def _small_swap(w: Writer, kind: str, t: ScalarType, qualifier: str) -> str:
    """Swap the 32-bit word around the element."""
    raw, word, mask = w.words.unsigned(t), w.words.word(t), (1 << t.bits) - 1
    into = (lambda x: x) if raw == word else (lambda x: w.spelling.bits(word, x))
    back = (lambda x: x) if raw == word else (lambda x: w.spelling.bits(raw, x))
    swap = w.spelling.atomic_swap("uint", qualifier, "whole", "old", "next")
    return (
        f"  {qualifier} uint *whole = ({qualifier} uint *)((ulong)p & ~3ul);\n"
        f"  const uint shift = ((uint)(ulong)p & 3u) * 8u;\n"
        f"  uint old = *(volatile {qualifier} uint *)whole;\n"
        f"  for (;;) {{\n"
        f"    const {word} seen = {into(f'({raw})(old >> shift)')};\n"
        f"    const {word} made = {_step(w, kind, t)};\n"
        f"    const uint next = (old & ~({mask}u << shift)) | ((uint){back('made')} << shift);\n"
        f"    const uint now = {swap};\n"
        f"    if (now == old) return seen;\n"
        f"    old = now;\n"
        f"  }}"
    )
