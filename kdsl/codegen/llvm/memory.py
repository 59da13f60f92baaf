"""Ops that touch memory: addresses, loads and stores, masks, gathers, atomics."""

from __future__ import annotations

from typing import Any

from kdsl.codegen.llvm.function import Buffer, FunctionWriter
from kdsl.codegen.llvm.types import intrinsic_suffix, item_bytes
from kdsl.codegen.llvm.values import splat_text
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import arith, memref, vector
from kdsl.dialects import kdsl as tiles
from kdsl.dialects.arith import constant_of
from kdsl.ir.attributes import IntAttr, Opaque
from kdsl.ir.core import Value
from kdsl.ir.types import DYNAMIC, I1, VectorType, element_type

lower = LoweringTable("LLVM")

ALIGN = "kdsl.align"
"""On a vector access: a power of two that divides its address, in bytes."""
NONTEMPORAL = ", !nontemporal !0"
"""Module metadata 0 is ``!{i32 1}``."""

# ------------------------------------------------------------------------------------- addresses


def buffer_of(w: FunctionWriter, value: Value) -> Buffer:
    return w.buffers[value]


def address(w: FunctionWriter, buffer: Buffer, indices: list[Value], element: str) -> str:
    """Return the pointer to an element; parts that do not change in a loop are added outside it."""
    constant = 0
    parts: list[tuple[int, str]] = []
    for index, stride in zip(indices, buffer.strides, strict=True):
        atoms: list[tuple[Value, int]] = []
        constant_index = _flatten(index, 1, atoms)
        if isinstance(stride, int):
            constant += constant_index * stride
        elif constant_index:
            text = w.term(f"mul i64 {{0}}, {constant_index}", stride)
            parts.append((w.depth(text), text))
        for atom, factor in atoms:
            text = _scaled(w, w.names[atom], factor, stride)
            parts.append((w.depth(text), text))
    pointer = buffer.base
    step = f"getelementptr {element}, {buffer.pointer} {{0}}, i64"
    for _, text in sorted(parts, key=lambda part: part[0]):
        pointer = w.term(f"{step} {{1}}", pointer, text)
    if constant:
        pointer = w.term(f"{step} {constant}", pointer)
    return pointer


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
    atoms.append((index, sign))
    return 0


def _scaled(w: FunctionWriter, name: str, factor: int, stride: str | int) -> str:
    if not name.startswith("%"):
        # Only a constant of unusual form comes here; LLVM folds it.
        return w.term("mul i64 {0}, {1}", name, stride)
    if isinstance(stride, int):
        times = factor * stride
        return name if times == 1 else w.term(f"mul i64 {{0}}, {times}", name)
    product = w.term("mul i64 {0}, {1}", name, stride)
    return product if factor == 1 else w.term("sub i64 0, {0}", product)


def _element(w: FunctionWriter, ref: Value) -> str:
    return w.spelling.memory(element_type(ref.type))


def _place(w: FunctionWriter, ref: Value, indices: Any) -> str:
    """Return an element's pointer with its type."""
    buffer = buffer_of(w, ref)
    return f"{buffer.pointer} {address(w, buffer, list(indices), _element(w, ref))}"


def _space(w: FunctionWriter, ref: Value) -> str:
    return buffer_of(w, ref).suffix


def _aligned(pointer: str, align: int) -> str:
    """Return a pointer argument with its alignment between type and name."""
    kind, _, name = pointer.rpartition(" ")
    return f"{kind} align {align} {name}"


def _alignment(op: Any, ref: Value) -> int:
    natural = item_bytes(element_type(ref.type))
    stated = max(op.attributes.get(ALIGN, 0), plain_int(op.attributes.get("alignment", 0)))
    return max(natural, stated)


def _hint(op: Any, align: int, size: int) -> str:
    """A streaming access goes past the caches, if the machine can do it in one piece."""
    streams = op.attributes.get(memref.CACHE) == "stream"
    return NONTEMPORAL if streams and align >= size else ""


# ---------------------------------------------------------------------------------------- scalars


@lower(memref.Load)
def load(op: memref.Load, w: FunctionWriter) -> None:
    pointer = _place(w, op.source, op.indices)
    align = _alignment(op, op.source)
    _finish_load(w, op.y, f"load {w.spelling.memory(op.y.type)}, {pointer}, align {align}")


def _finish_load(w: FunctionWriter, y: Value, text: str) -> None:
    """A bool is true when its byte is not zero."""
    if element_type(y.type) is not I1:
        w.result(y, text)
        return
    zero = "zeroinitializer" if isinstance(y.type, VectorType) else "0"
    w.result(y, f"icmp ne {w.spelling.memory(y.type)} {w.let(text)}, {zero}")


def _stored(w: FunctionWriter, value: Value) -> str:
    """Return a value with its type as it lies in memory."""
    if element_type(value.type) is not I1:
        return w.typed(value)
    t = w.spelling.memory(value.type)
    return f"{t} {w.let(f'zext {w.typed(value)} to {t}')}"


@lower(memref.Store)
def store(op: memref.Store, w: FunctionWriter) -> None:
    pointer = _place(w, op.target, op.indices)
    w.do(f"store {_stored(w, op.value)}, {pointer}, align {_alignment(op, op.target)}")


@lower(memref.Dim)
def dim(op: memref.Dim, w: FunctionWriter) -> None:
    axis = constant_of(op.index)
    if axis is None:
        raise lower.refuse(op, "the dimension must be a constant")
    w.bind(op.y, str(buffer_of(w, op.source).sizes[int(axis)]))


@lower(tiles.Address)
def byte_address(op: tiles.Address, w: FunctionWriter) -> None:
    w.result(op.y, f"ptrtoint {_place(w, op.source, op.indices)} to i64")


@lower(memref.Cast)
def cast(op: memref.Cast, w: FunctionWriter) -> None:
    """The same buffer; what the new type states as static is known from now on."""
    old = buffer_of(w, op.source)
    t = memref.memref_type(op.y)
    sizes = [o if n == DYNAMIC else n for o, n in zip(old.sizes, t.shape, strict=True)]
    strides = [
        o if n == DYNAMIC else n for o, n in zip(old.strides, t.element_strides, strict=True)
    ]
    w.buffers[op.y] = Buffer(old.base, sizes, strides, old.pointer)


@lower(memref.Alloca)
def alloca(op: memref.Alloca, w: FunctionWriter) -> None:
    """Stack buffers are made once, in the entry block; their contents are undefined each time."""
    t = op.memref_type
    if not t.is_static:
        raise lower.refuse(op, f"{t} has no static size")
    word = w.spelling.memory(t.element)
    align = max(int(op.alignment), item_bytes(t.element))
    base = w.in_entry(f"alloca [{t.size} x {word}], align {align}")
    w.buffers[op.y] = Buffer(base, list(t.shape), list(t.element_strides))


@lower(memref.Prefetch)
def prefetch(op: memref.Prefetch, w: FunctionWriter) -> None:
    pointer = _place(w, op.source, op.indices)
    hint = op.localityHint
    text = hint.text.split(":")[0].strip() if isinstance(hint, Opaque) else str(plain_int(hint))
    args = f"i32 {int(op.isWrite)}, i32 {int(text)}, i32 {int(op.isDataCache)}"
    w.do(f"call void @llvm.prefetch.{_space(w, op.source)}({pointer}, {args})")


def plain_int(value: Any) -> int:
    return int(value.value if isinstance(value, IntAttr) else value)


# ---------------------------------------------------------------------------------------- vectors


@lower(vector.Load)
def vector_load(op: vector.Load, w: FunctionWriter) -> None:
    _finish_load(w, op.y, load_text(op, w, op.source, op.y))


def load_text(op: Any, w: FunctionWriter, source: Value, y: Value) -> str:
    """Return the instruction that loads consecutive elements."""
    pointer = _place(w, source, op.indices)
    align = _alignment(op, source)
    hint = _hint(op, align, _bytes(y))
    return f"load {w.spelling.memory(y.type)}, {pointer}, align {align}{hint}"


@lower(vector.Store)
def vector_store(op: vector.Store, w: FunctionWriter) -> None:
    w.do(store_text(op, w, op.target, op.value))


def store_text(op: Any, w: FunctionWriter, target: Value, value: Value) -> str:
    """Return the instruction that stores consecutive elements."""
    pointer = _place(w, target, op.indices)
    align = _alignment(op, target)
    hint = _hint(op, align, _bytes(value))
    return f"store {_stored(w, value)}, {pointer}, align {align}{hint}"


def _bytes(value: Value) -> int:
    t = value.type
    assert isinstance(t, VectorType)
    return t.size * item_bytes(t.element)


@lower(vector.MaskedLoad)
def masked_load(op: vector.MaskedLoad, w: FunctionWriter) -> None:
    pointer = _place(w, op.source, op.indices)
    t = w.spelling.memory(op.y.type)
    call = f"call {t} @llvm.masked.load.{intrinsic_suffix(t)}.{_space(w, op.source)}"
    args = f"{_aligned(pointer, _alignment(op, op.source))}, {w.typed(op.mask)}"
    _finish_load(w, op.y, f"{call}({args}, {_stored(w, op.pass_thru)})")


@lower(vector.MaskedStore)
def masked_store(op: vector.MaskedStore, w: FunctionWriter) -> None:
    pointer = _place(w, op.target, op.indices)
    t = w.spelling.memory(op.value.type)
    args = f"{_aligned(pointer, _alignment(op, op.target))}, {w.typed(op.mask)}"
    name = f"@llvm.masked.store.{intrinsic_suffix(t)}.{_space(w, op.target)}"
    w.do(f"call void {name}({_stored(w, op.value)}, {args})")


def _lane_pointers(w: FunctionWriter, ref: Value, indices: Any, lanes: Value) -> tuple[str, str]:
    """Return the vector type and name of the pointers ``base[indices..., last + lanes]``."""
    base = _place(w, ref, indices)
    t = lanes.type
    assert isinstance(t, VectorType)
    n = t.size
    name = w.names[lanes]
    if t.element.bits < 64:
        name = w.let(f"sext {w.typed(lanes)} to <{n} x i64>")
    stride = buffer_of(w, ref).strides[-1]
    if stride != 1:
        spread = w.let(splat_text(w, f"<{n} x i64>", f"i64 {stride}"))
        name = w.let(f"mul <{n} x i64> {name}, {spread}")
    pointers = w.let(f"getelementptr {_element(w, ref)}, {base}, <{n} x i64> {name}")
    return f"<{n} x {buffer_of(w, ref).pointer}>", pointers


@lower(vector.Gather)
def gather(op: vector.Gather, w: FunctionWriter) -> None:
    kind, pointers = _lane_pointers(w, op.source, op.indices, op.lanes)
    t = w.spelling.memory(op.y.type)
    count = op.lanes.type.size
    name = f"@llvm.masked.gather.{intrinsic_suffix(t)}.v{count}{_space(w, op.source)}"
    args = f"{kind} align {_alignment(op, op.source)} {pointers}, {w.typed(op.mask)}"
    _finish_load(w, op.y, f"call {t} {name}({args}, {_stored(w, op.pass_thru)})")


@lower(vector.Scatter)
def scatter(op: vector.Scatter, w: FunctionWriter) -> None:
    kind, pointers = _lane_pointers(w, op.target, op.indices, op.lanes)
    t = w.spelling.memory(op.value.type)
    count = op.lanes.type.size
    name = f"@llvm.masked.scatter.{intrinsic_suffix(t)}.v{count}{_space(w, op.target)}"
    args = f"{kind} align {_alignment(op, op.target)} {pointers}, {w.typed(op.mask)}"
    w.do(f"call void {name}({_stored(w, op.value)}, {args})")


# ---------------------------------------------------------------------------------------- atomics

ATOMIC_WORDS = {
    "addf": "fadd", "addi": "add", "assign": "xchg", "maximumf": "fmaximum", "maxs": "max",
    "maxu": "umax", "minimumf": "fminimum", "mins": "min", "minu": "umin", "ori": "or",
    "andi": "and", "maxnumf": "fmax", "minnumf": "fmin",
}  # fmt: skip
ATOMIC_LOOPS = {"mulf": "fmul", "muli": "mul"}


@lower(memref.AtomicRmw)
def atomic(op: memref.AtomicRmw, w: FunctionWriter) -> None:
    kind = memref.ATOMIC_KINDS[op.kind]
    t = element_type(op.y.type)
    if t is I1 or (t.kind == "f" and w.spelling.scalar(t).startswith("i") and kind != "assign"):
        raise lower.refuse(op, f"{kind} of {t} has no atomic form")
    pointer = _place(w, op.target, op.indices)
    align = _alignment(op, op.target)
    if kind in ATOMIC_LOOPS:
        _compare_and_swap(op, w, ATOMIC_LOOPS[kind], pointer, align)
        return
    word = ATOMIC_WORDS[kind]
    w.result(op.y, f"atomicrmw {word} {pointer}, {w.typed(op.value)} monotonic, align {align}")


def _compare_and_swap(op: Any, w: FunctionWriter, word: str, pointer: str, align: int) -> None:
    """No machine multiplies in memory: try until nobody else came between."""
    t = w.spelling.type(op.y.type)
    bits = element_type(op.y.type).bits
    first = w.let(f"load atomic i{bits}, {pointer} monotonic, align {align}")
    before, again, done = w.block, w.label(), w.label()
    w.jump(again)
    w.start(again)
    phi = w.later()
    seen = w.fresh()
    old = w.let(f"bitcast i{bits} {seen} to {t}")
    new = w.let(f"{word} {t} {old}, {w.names[op.value]}")
    raw = w.let(f"bitcast {t} {new} to i{bits}")
    pair = w.let(
        f"cmpxchg {pointer}, i{bits} {seen}, i{bits} {raw} monotonic monotonic, align {align}"
    )
    now = w.let(f"extractvalue {{ i{bits}, i1 }} {pair}, 0")
    won = w.let(f"extractvalue {{ i{bits}, i1 }} {pair}, 1")
    phi.append(f"  {seen} = phi i{bits} [ {first}, %{before} ], [ {now}, %{again} ]")
    w.branch(won, done, again)
    w.start(done)
    w.bind(op.y, old)
