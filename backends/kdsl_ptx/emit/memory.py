"""Loads, stores, addresses and atomics.

An access of several elements is as wide as its alignment is proved to allow, at most 16 bytes.
Addresses are a register and a constant; parts that accesses share are computed once.
"""

from __future__ import annotations

from dataclasses import replace
from math import copysign
from typing import Any

from kdsl.codegen.llvm.types import item_bytes
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import arith, kdsl, memref, vector
from kdsl.dialects.arith import constant_of
from kdsl.ir.attributes import Dense
from kdsl.ir.core import BlockArgument, Value
from kdsl.ir.types import DYNAMIC, I1, INDEX, ScalarType, element_type
from kdsl_ptx.emit.integers import extend_text
from kdsl_ptx.emit.writer import Buffer, Writer, class_of, count_of, is_packed, raw

lower = LoweringTable("the PTX back end")

GLOBAL, SHARED, LOCAL = "global", "shared", "local"
WIDEST = 16
ALIGN = "kdsl.align"
EVICT = "kdsl.evict"
LOAD_HINTS = {"l1": ".ca", "l2": ".cg", "stream": ".L1::no_allocate", "last_use": ".lu"}
STORE_HINTS = {"l1": ".wb", "l2": ".cg", "stream": ".cs", "last_use": ".cs"}
LEAST_OFFSET, MOST_OFFSET = -(1 << 31), (1 << 31) - 1
PREFETCHES = {"0": ".L2", "1": ".L2", "2": ".L1", "3": ".L1"}


class Place:
    """Where an access goes: ``[register + offset]``, what divides the address, the space."""

    __slots__ = ("align", "buffer", "offset", "register")

    def __init__(self, buffer: Buffer, register: str, offset: int, align: int) -> None:
        self.buffer = buffer
        self.register = register
        self.offset = offset
        self.align = align

    def at(self, offset: int = 0) -> str:
        total = self.offset + offset
        return f"[{self.register}+{total}]" if total else f"[{self.register}]"


# ------------------------------------------------------------------------------------- addresses


def place_of(op: Any, w: Writer, ref: Value, indices: list[Value]) -> Place:
    """Return the address of an element."""
    buffer = w.buffers[ref]
    item = item_bytes(element_type(ref.type))
    constant, align = buffer.offset, buffer.align
    atoms: list[tuple[int, Value, int | str]] = []
    for index, stride in zip(indices, buffer.strides, strict=True):
        found: list[tuple[Value, int]] = []
        known = _flatten(index, 1, found)
        if isinstance(stride, int):
            constant += known * stride * item
            for value, sign in found:
                by = sign * stride * item
                align = min(align, (by & -by) * w.facts.divisor(value)) if by else align
                atoms.append((depth_of(value), value, by))
            continue
        align = min(align, item)
        for value, sign in found:
            atoms.append((depth_of(value), value, stride if sign > 0 else f"-{stride}"))
        if known:
            constant += 0
            atoms.append((0, None, (known, stride)))  # type: ignore[arg-type]
    if constant - buffer.offset:
        align = min(align, constant - buffer.offset & -(constant - buffer.offset))
    stated = max(op.attributes.get(ALIGN, 0), op.attributes.get("alignment", 0) or 0)
    align = max(align, stated, item)
    atoms.sort(key=lambda atom: atom[0])
    if buffer.space == GLOBAL:
        return Place(buffer, *_wide(w, buffer, atoms, item, constant), align)
    return Place(buffer, *_narrow(w, buffer, atoms, item, constant), align)


def _flatten(index: Value, sign: int, atoms: list[tuple[Value, int]]) -> int:
    """Split an index into a constant (returned) and signed atoms: i + 3 - j."""
    known = constant_of(index)
    if known is not None:
        return sign * int(known)
    op = index.op
    if isinstance(op, arith.Addi):
        return _flatten(op.lhs, sign, atoms) + _flatten(op.rhs, sign, atoms)
    if isinstance(op, arith.Subi):
        return _flatten(op.lhs, sign, atoms) + _flatten(op.rhs, -sign, atoms)
    if isinstance(op, vector.Extract):
        found: list[Value] = []
        number = _element(op.x, op.static_position[0], found)
        if number is not None:
            atoms += [(value, sign) for value in found]
            return sign * number
    atoms.append((index, sign))
    return 0


def _element(value: Value, at: int, atoms: list[Value]) -> int | None:
    """Split an element of a vector of indices into a constant and scalars; None when it is none.

    Lanes' positions in tiles are a scalar in all elements plus a constant for each.
    """
    op = value.op
    if isinstance(op, vector.Shuffle):
        first = count_of(op.operands[0].type)
        taken = op.mask[at]
        side = op.operands[0] if taken < first else op.operands[1]
        return _element(side, taken if taken < first else taken - first, atoms)
    if isinstance(op, arith.Addi):
        left, right = _element(op.lhs, at, atoms), _element(op.rhs, at, atoms)
        return None if left is None or right is None else left + right
    if isinstance(op, arith.Constant):
        known = op.value
        return int(known.full()[at]) if isinstance(known, Dense) else None
    if isinstance(op, vector.Broadcast) and isinstance(op.x.type, ScalarType):
        inner: list[tuple[Value, int]] = []
        number = _flatten(op.x, 1, inner)
        if all(sign > 0 for _, sign in inner):
            atoms += [scalar for scalar, _ in inner]
            return number
    return None


def depth_of(value: Value) -> int:
    """Return how many ops enclose the block of a value: inner parts are added last."""
    block = value.block if isinstance(value, BlockArgument) else value.op.parent  # type: ignore[union-attr]
    depth = 0
    while block is not None and block.parent is not None and block.parent.parent is not None:
        block, depth = block.parent.parent.parent, depth + 1
    return depth


def _wide(w: Writer, buffer: Buffer, atoms: list[Any], item: int, constant: int) -> tuple[str, int]:
    register = buffer.base
    for _, value, by in atoms:
        register = _add_wide(w, register, value, by, item)
    if not LEAST_OFFSET <= constant <= MOST_OFFSET - (1 << 16):
        return w.term("d", "add.s64", register, constant), 0
    return register, constant


def _add_wide(w: Writer, register: str, value: Value | None, by: Any, item: int) -> str:
    if value is None:
        known, stride = by
        return w.term("d", "mad.lo.s64", stride, known * item, register)
    if isinstance(by, str):
        product = w.term("d", "mul.lo.s64", by.lstrip("-"), w.one(value))
        return w.term("d", "mad.lo.s64", product, -item if by[0] == "-" else item, register)
    low = w.low_of.get(value)
    if low is not None and LEAST_OFFSET <= by <= MOST_OFFSET:
        return w.term("d", "mad.wide.s32", low[0], by, register)
    if by == 1:
        return w.term("d", "add.s64", register, w.one(value))
    return w.term("d", "mad.lo.s64", w.one(value), by, register)


def _narrow(
    w: Writer, buffer: Buffer, atoms: list[Any], item: int, constant: int
) -> tuple[str, int]:
    """Workgroup memory has 32-bit addresses; only the low bits of indices matter."""
    register = buffer.base
    for _, value, by in atoms:
        if value is None:
            known, stride = by
            low = w.term("r", "cvt.u32.u64", stride)
            register = w.term("r", "mad.lo.s32", low, known * item, register)
        elif isinstance(by, str):
            low = w.term("r", "cvt.u32.u64", by.lstrip("-"))
            product = w.term("r", "mul.lo.s32", low, w.low_bits(value))
            factor = -item if by[0] == "-" else item
            register = w.term("r", "mad.lo.s32", product, factor, register)
        elif by == 1:
            register = w.term("r", "add.s32", register, w.low_bits(value))
        else:
            register = w.term("r", "mad.lo.s32", w.low_bits(value), by, register)
    return register, constant


# ----------------------------------------------------------------------------------------- hints


def load_word(op: Any, w: Writer, buffer: Buffer) -> tuple[str, str]:
    """Return ``ld`` with its space and hints, and the operand of a cache policy."""
    if buffer.space != GLOBAL:
        return f"ld.{buffer.space}", ""
    cache = op.attributes.get(memref.CACHE)
    hint = LOAD_HINTS.get(cache, "") if isinstance(cache, str) else ""
    if cache == "stream" and not buffer.written:
        hint = f".nc{hint}"
    policy = _policy(op, w)
    if policy and cache == "last_use":
        hint = ""  # a policy goes with priorities only
    if policy:
        hint = "" if hint in (".ca", ".cg") else hint
        return f"ld.global{hint}.L2::cache_hint", f", {policy}"
    return f"ld.global{hint}", ""


def store_word(op: Any, w: Writer, buffer: Buffer) -> tuple[str, str]:
    if buffer.space != GLOBAL:
        return f"st.{buffer.space}", ""
    policy = _policy(op, w)
    if policy:
        return "st.global.L2::cache_hint", f", {policy}"
    cache = op.attributes.get(memref.CACHE)
    return f"st.global{STORE_HINTS.get(cache, '') if isinstance(cache, str) else ''}", ""


def _policy(op: Any, w: Writer) -> str:
    """Return the register of the policy that an access states, made once at the start."""
    wanted = op.attributes.get(EVICT)
    if wanted not in ("first", "last"):
        return ""
    key = ("policy", wanted)
    found = w.terms.get(key)
    if found is None:
        found = w.terms[key] = w.new("d")
        word = f"createpolicy.fractional.L2::evict_{wanted}.b64"
        w.entry.append(f"\t{word} {found}, 0f3F800000;")
    return found


# ------------------------------------------------------------------------------ runs of elements


def pieces(count: int, item: int, align: int) -> list[tuple[int, int]]:
    """Cut a run of elements into accesses: (first element, elements) of at most 16 bytes."""
    found: list[tuple[int, int]] = []
    at, total = 0, count * item
    while at < total:
        size = min(WIDEST, align, at & -at if at else WIDEST)
        while size > total - at:
            size >>= 1
        size = max(size, item)
        found.append((at // item, size // item))
        at += size
    return found


def _shape_of(bytes_: int, item: int) -> tuple[str, int]:
    """Return the access' element type and how many there are, for elements packed in words."""
    if item >= 4:
        return f".b{item * 8}", bytes_ // item
    if bytes_ >= 4:
        return ".b32", bytes_ // 4
    return f".b{item * 8}", bytes_ // item


def _braced(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{{{', '.join(texts)}}}"


COUNTS = {1: "", 2: ".v2", 4: ".v4"}


def load_run(op: Any, w: Writer, place: Place, y: Value, guard: str = "") -> None:
    """Read consecutive elements into ``y``; where ``guard`` does not hold they are zero."""
    element, count = element_type(y.type), count_of(y.type)
    item = item_bytes(element)
    word, policy = load_word(op, w, place.buffer)
    if element is I1:
        found = []
        for i in range(count):
            byte = w.new("h")
            w.do(f"{word}.u8 {byte}, {place.at(i)}{policy}")
            found.append(w.let("p", "setp.ne.s16", byte, 0))
        w.bind(y, found)
        return
    packed = is_packed(y.type)
    loose: list[Any] = [None] * count
    words: list[Any] = [None] * (count * item // 4) if packed else []
    runs = pieces(count, item, place.align)
    for first, size in runs:
        kind, n = _shape_of(size * item, item)
        letter = "r" if kind == ".b32" else class_of(element)
        if guard:
            held = [w.let(letter, f"mov{kind if kind != '.b8' else '.b16'}", 0) for _ in range(n)]
        else:
            held = [w.new(letter) for _ in range(n)]
        source = place.at(first * item)
        w.do(f"{_if(guard)}{word}{COUNTS[n]}{kind} {_braced(held)}, {source}{policy}")
        if kind == ".b32" and item < 4:
            if packed:
                words[first * item // 4 : first * item // 4 + n] = held
            else:
                texts = [t for h in held for t in w.unpacked(h, item * 8)]
                loose[first : first + size] = texts
        else:
            loose[first : first + size] = held
    if packed and None not in words:
        w.bind_words(y, words)
        return
    per = 4 // item if packed else 1
    for at, text in enumerate(words):
        if text is not None:
            loose[at * per : at * per + per] = w.unpacked(text, item * 8)
    w.bind(y, loose)


def _if(guard: str) -> str:
    return f"@{guard} " if guard else ""


def store_run(op: Any, w: Writer, place: Place, value: Value, guard: str = "") -> None:
    """Write consecutive elements, where ``guard`` holds."""
    element, count = element_type(value.type), count_of(value.type)
    item = item_bytes(element)
    word, policy = store_word(op, w, place.buffer)
    if element is I1:
        for i, bit in enumerate(w.loose(value)):
            byte = w.let("h", "selp.b16", 1, 0, w.register(bit, "p"))
            w.do(f"{word}.b8 {place.at(i)}, {byte}{policy}")
        return
    runs = pieces(count, item, place.align)
    by_words = is_packed(value.type) and all(n * item >= 4 for _, n in runs)
    texts = w.words(value) if by_words else w.loose(value)
    for first, size in runs:
        if by_words or item >= 4:
            step = 4 if by_words else item
            kind, n = (".b32" if by_words else f".b{item * 8}"), size * item // step
            start = first * item // step
            given = [raw(t) for t in texts[start : start + n]]
            if n > 1:
                given = [w.register(t, "r" if kind == ".b32" else "d") for t in given]
            at = place.at(first * item)
            w.do(f"{_if(guard)}{word}{COUNTS[n]}{kind} {at}, {_braced(given)}{policy}")
            continue
        for i in range(first, first + size):
            held = w.register(texts[i], "h")
            w.do(f"{_if(guard)}{word}.b{item * 8} {place.at(i * item)}, {held}{policy}")


# ------------------------------------------------------------------------------------- load, store


@lower(memref.Load)
def load(op: memref.Load, w: Writer) -> None:
    load_run(op, w, place_of(op, w, op.source, op.indices), op.y)


@lower(memref.Store)
def store(op: memref.Store, w: Writer) -> None:
    store_run(op, w, place_of(op, w, op.target, op.indices), op.value)


@lower(vector.Load)
def vector_load(op: vector.Load, w: Writer) -> None:
    load_run(op, w, place_of(op, w, op.source, op.indices), op.y)


@lower(vector.Store)
def vector_store(op: vector.Store, w: Writer) -> None:
    store_run(op, w, place_of(op, w, op.target, op.indices), op.value)


@lower(vector.MaskedLoad)
def masked_load(op: vector.MaskedLoad, w: Writer) -> None:
    """Runs as wide as their alignment where one bit masks all; else each element by itself."""
    place = place_of(op, w, op.source, op.indices)
    guard = _common(w.loose(op.mask))
    if guard is not None and _is_run(op, w, op.source, op.y) and is_zero(op.pass_thru):
        load_run(op, w, place, op.y, guard)
        return
    item = item_bytes(element_type(op.y.type))
    step = item * _unit(w, op.source)
    texts = [
        _guarded_load(op, w, place, i * step, mask, other)
        for i, (mask, other) in enumerate(zip(w.loose(op.mask), w.loose(op.pass_thru), strict=True))
    ]
    w.bind(op.y, texts)


def _common(masks: list[str]) -> str | None:
    """Return the register that masks all elements, empty for none; None where they differ."""
    if len(set(masks)) != 1 or masks[0] == "false":
        return None
    return "" if masks[0] == "true" else masks[0]


def _is_run(op: Any, w: Writer, ref: Value, value: Value) -> bool:
    return element_type(value.type) is not I1 and _unit(w, ref) == 1


def is_zero(value: Value) -> bool:
    """Return whether all elements of a constant are plus zero."""
    known = constant_of(value)
    return known is not None and known == 0 and copysign(1.0, known) > 0


def _unit(w: Writer, ref: Value) -> int:
    stride = w.buffers[ref].strides[-1] if w.buffers[ref].strides else 1
    return stride if isinstance(stride, int) else 1


def _guarded_load(op: Any, w: Writer, place: Place, offset: int, mask: str, other: str) -> str:
    element = element_type(op.y.type)
    word, policy = load_word(op, w, place.buffer)
    if mask == "false":
        return other
    guard = "" if mask == "true" else f"@{mask} "
    if element is I1:
        byte = w.let("h", "selp.b16", 1, 0, w.register(other, "p"))
        held = w.let("h", "mov.b16", byte)
        w.do(f"{guard}{word}.u8 {held}, {place.at(offset)}{policy}")
        return w.let("p", "setp.ne.s16", held, 0)
    kind = class_of(element)
    held = w.let(kind, f"mov.b{max(element.bits, 16)}", other) if guard else w.new(kind)
    w.do(f"{guard}{word}.b{item_bytes(element) * 8} {held}, {place.at(offset)}{policy}")
    return held


@lower(vector.MaskedStore)
def masked_store(op: vector.MaskedStore, w: Writer) -> None:
    place = place_of(op, w, op.target, op.indices)
    guard = _common(w.loose(op.mask))
    if guard is not None and _is_run(op, w, op.target, op.value):
        store_run(op, w, place, op.value, guard)
        return
    step = item_bytes(element_type(op.value.type)) * _unit(w, op.target)
    for i, mask in enumerate(w.loose(op.mask)):
        _guarded_store(op, w, place, i * step, mask, w.element(op.value, i))


def _guarded_store(op: Any, w: Writer, place: Place, offset: int, mask: str, text: str) -> None:
    element = element_type(op.value.type)
    word, policy = store_word(op, w, place.buffer)
    if mask == "false":
        return
    guard = "" if mask == "true" else f"@{mask} "
    if element is I1:
        held = w.let("h", "selp.b16", 1, 0, w.register(text, "p"))
    else:
        held = w.register(text, class_of(element))
    w.do(f"{guard}{word}.b{item_bytes(element) * 8} {place.at(offset)}, {held}{policy}")


def _lane_places(op: Any, w: Writer, ref: Value) -> list[Place]:
    """Return the addresses ``base[indices..., last + lanes]``."""
    place = place_of(op, w, ref, op.indices)
    item, buffer = item_bytes(element_type(ref.type)), w.buffers[ref]
    stride = buffer.strides[-1]
    source = element_type(op.lanes.type)
    found: list[Place] = []
    for text in w.loose(op.lanes):
        wide = text if source.bits == 64 else extend_text(w, text, source, INDEX, "s")
        if not isinstance(stride, int):
            wide = w.let("d", "mul.lo.s64", wide, stride)
        by = item * stride if isinstance(stride, int) else item
        if buffer.space == GLOBAL:
            register = w.let("d", "mad.lo.s64", wide, by, place.register)
        else:
            low = w.narrowed(wide)
            register = w.let("r", "mad.lo.s32", low, by, place.register)
        found.append(Place(buffer, register, place.offset, item))
    return found


@lower(vector.Gather)
def gather(op: vector.Gather, w: Writer) -> None:
    rows = zip(_lane_places(op, w, op.source), w.loose(op.mask), w.loose(op.pass_thru), strict=True)
    w.bind(op.y, [_guarded_load(op, w, at, 0, mask, other) for at, mask, other in rows])


@lower(vector.Scatter)
def scatter(op: vector.Scatter, w: Writer) -> None:
    places = _lane_places(op, w, op.target)
    for i, (at, mask) in enumerate(zip(places, w.loose(op.mask), strict=True)):
        _guarded_store(op, w, at, 0, mask, w.element(op.value, i))


# ---------------------------------------------------------------------------------------- buffers


@lower(memref.Dim)
def dim(op: memref.Dim, w: Writer) -> None:
    axis = constant_of(op.index)
    if axis is None:
        raise lower.refuse(op, "the dimension must be a constant")
    size = w.buffers[op.source].sizes[int(axis)]
    w.bind(op.y, [str(size)])


@lower(kdsl.Address)
def byte_address(op: kdsl.Address, w: Writer) -> None:
    place = place_of(op, w, op.source, op.indices)
    register = place.register
    if place.buffer.space != GLOBAL:
        register = w.term("d", "cvt.u64.u32", register)
    w.bind(op.y, [w.term("d", "add.s64", register, place.offset)])


@lower(memref.Cast)
def cast(op: memref.Cast, w: Writer) -> None:
    """The same buffer; what the new type states as static is known from now on."""
    old, t = w.buffers[op.source], memref.memref_type(op.y)
    sizes = [o if n == DYNAMIC else n for o, n in zip(old.sizes, t.shape, strict=True)]
    strides = [
        o if n == DYNAMIC else n for o, n in zip(old.strides, t.element_strides, strict=True)
    ]
    w.buffers[op.y] = replace(old, sizes=sizes, strides=strides)


@lower(kdsl.WorkgroupAlloc)
def workgroup_alloc(op: kdsl.WorkgroupAlloc, w: Writer) -> None:
    """One after the other in the kernel's dynamic workgroup memory."""
    t = memref.memref_type(op.y)
    align = max(int(op.align), item_bytes(t.element))
    start = -(-w.shared_bytes // align) * align
    extents = zip(t.shape, t.element_strides, strict=True)
    last = sum((n - 1) * s for n, s in extents) + 1 if t.size else 0
    w.shared_bytes = start + last * item_bytes(t.element)
    w.buffers[op.y] = Buffer(
        shared_base(w), SHARED, list(t.shape), list(t.element_strides), align, start
    )


def shared_base(w: Writer) -> str:
    """Return the register that holds the address of workgroup memory."""
    key = ("shared",)
    found = w.terms.get(key)
    if found is None:
        found = w.terms[key] = w.new("r")
        w.entry.append(f"\tmov.b32 {found}, kdsl_shared;")
    return found


@lower(memref.Alloca)
def alloca(op: memref.Alloca, w: Writer) -> None:
    """A buffer of the lane's own, in local memory."""
    t = op.memref_type
    if not t.is_static:
        raise lower.refuse(op, f"{t} has no static size")
    align = max(int(op.alignment), item_bytes(t.element))
    start = -(-w.local_bytes // align) * align
    w.local_bytes = start + t.size * item_bytes(t.element)
    key = ("local",)
    base = w.terms.get(key)
    if base is None:
        base = w.terms[key] = w.new("r")
        w.entry.append(f"\tmov.b32 {base}, kdsl_local;")
    w.buffers[op.y] = Buffer(base, LOCAL, list(t.shape), list(t.element_strides), align, start)


@lower(memref.Prefetch)
def prefetch(op: memref.Prefetch, w: Writer) -> None:
    place = place_of(op, w, op.source, op.indices)
    if place.buffer.space != GLOBAL:
        return
    hint = getattr(op.localityHint, "text", None) or str(getattr(op.localityHint, "value", 0))
    level = PREFETCHES[hint.split(":")[0].strip()]
    w.do(f"prefetch.global{level} {place.at()}")


# ---------------------------------------------------------------------------------------- atomics

ATOMIC_WORDS = {
    "addf": "add.f", "addi": "add.", "assign": "exch.b", "maxs": "max.s", "maxu": "max.u",
    "mins": "min.s", "minu": "min.u", "ori": "or.b", "andi": "and.b",
}  # fmt: skip


@lower(memref.AtomicRmw)
def atomic(op: memref.AtomicRmw, w: Writer) -> None:
    """One instruction where there is one, else compare and swap until nobody came between."""
    kind = memref.ATOMIC_KINDS[op.kind]
    element = element_type(op.y.type)
    place = place_of(op, w, op.target, op.indices)
    word = _atomic_word(kind, element, w.parts.sm)
    if word is None:
        compare_and_swap(op, w, kind, element, place)
        return
    space = place.buffer.space
    value = w.register(w.one(op.value), class_of(element))
    if not op.y.users and not word.startswith("exch"):
        w.do(f"red.relaxed.{_scope(space)}.{space}.{word} {place.at()}, {value}")
        w.bind(op.y, [value])
        return
    old = w.new(class_of(element))
    w.do(f"atom.relaxed.{_scope(space)}.{space}.{word} {old}, {place.at()}, {value}")
    w.bind(op.y, [old])


def _scope(space: str) -> str:
    return "cta" if space == SHARED else "gpu"


def _atomic_word(kind: str, element: ScalarType, sm: int) -> str | None:
    bits = element.bits
    if kind == "addf":
        if bits == 16:
            has = element.text == "f16" or sm >= 90
            return f"add.noftz.{element.text}" if has else None
        return f"add.f{bits}" if bits in (32, 64) else None
    if bits not in (32, 64) or element is I1:
        return None
    if kind == "addi":
        return f"add.u{bits}"
    start = ATOMIC_WORDS.get(kind)
    return None if start is None else f"{start}{bits}"


def compare_and_swap(op: Any, w: Writer, kind: str, element: ScalarType, place: Place) -> None:
    """Loop; elements of 8 bits are swapped together with their neighbour."""
    from kdsl_ptx.emit.combine import combine_texts

    bits, space = max(element.bits, 16), place.buffer.space
    held = "d" if bits == 64 else "r" if bits == 32 else "h"
    address, shift = place.register, ""
    offset = place.offset
    if item_bytes(element) == 1:
        address, shift = _byte_place(w, place)
        offset = 0
    at = f"[{address}+{offset}]"
    seen, again, won = w.new(held), w.label(), w.new("p")
    w.do(f"ld.relaxed.{_scope(space)}.{space}.b{bits} {seen}, {at}")
    given = w.one(op.value)
    w.place(again)
    w.open_scope()
    old = w.let("h", "shr.u16", seen, shift) if shift else seen
    old_text = old
    if element is I1:
        low = w.let("h", "and.b16", old, 1)
        old_text = w.let("p", "setp.ne.s16", low, 0)
    new = combine_texts(w, kind, element, old_text, given)
    if element is I1:
        new = w.let("h", "selp.b16", 1, 0, w.register(new, "p"))
    new = w.register(new, held)
    if shift:
        byte = w.let("h", "and.b16", new, "0xff")
        placed = w.let("h", "shl.b16", byte, shift)
        hole = w.let("h", "shl.b16", w.register("0xff", "h"), shift)
        kept = w.let("h", "not.b16", hole)
        rest = w.let("h", "and.b16", seen, kept)
        new = w.let("h", "or.b16", rest, placed)
    result = w.let(held, f"mov.b{bits}", seen)
    now = w.new(held)
    w.do(f"atom.relaxed.{_scope(space)}.{space}.cas.b{bits} {now}, {at}, {seen}, {new}")
    w.do(
        f"setp.eq.b{bits} {won}, {now}, {seen}"
        if bits > 16
        else f"setp.eq.s16 {won}, {now}, {seen}"
    )
    w.do(f"mov.b{bits} {seen}, {now}")
    w.do(f"@!{won} bra {again}")
    w.close_scope()
    if element is I1:
        raw_byte = w.let("h", "shr.u16", result, shift)
        low = w.let("h", "and.b16", raw_byte, 1)
        w.bind(op.y, [w.let("p", "setp.ne.s16", low, 0)])
    elif shift:
        w.bind(op.y, [w.let("h", "shr.u16", result, shift)])
    else:
        w.bind(op.y, [result])


def _byte_place(w: Writer, place: Place) -> tuple[str, str]:
    """Return the even address at or below a byte, and the byte's place there in bits."""
    if place.buffer.space == GLOBAL:
        whole = w.let("d", "add.s64", place.register, place.offset)
        low = w.let("r", "cvt.u32.u64", whole)
        even = w.let("d", "and.b64", whole, -2)
    else:
        low = w.let("r", "add.s32", place.register, place.offset)
        even = w.let("r", "and.b32", low, -2)
    odd = w.let("r", "and.b32", low, 1)
    return even, w.let("r", "shl.b32", odd, 3)
