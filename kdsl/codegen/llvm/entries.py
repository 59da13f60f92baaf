"""Host entries as LLVM IR: arguments from their slots, sizes of workspaces.

An entry is ``i32 kdsl_entry_<name>(ptr slots)``; a slot has 8 bytes. What a launch is, and where
memory comes from, is a back end's business.
"""

from __future__ import annotations

from typing import Any

from kdsl.codegen.llvm.control import OUT_OF_MEMORY, fail_unless
from kdsl.codegen.llvm.function import Buffer, FunctionWriter
from kdsl.dialects import func
from kdsl.errors import InternalError
from kdsl.ir.core import Value
from kdsl.ir.types import DYNAMIC, I1, MemRefType, ScalarType, Type

SLOT_BYTES = 8
LARGEST = 1 << 62
"""Bytes of a workspace: what a pointer difference can express."""


def is_pointer(t: MemRefType) -> bool:
    """A Ptr is a vector of unknown size without a layout; a Tensor states its strides."""
    return t.strides is None and t.shape == (DYNAMIC,)


def slot_count(t: Type) -> int:
    """Return how many slots an argument takes: a pointer one, a tensor also sizes and strides."""
    if isinstance(t, MemRefType) and not is_pointer(t):
        return 1 + 2 * t.rank
    return 1


def unpack(op: func.Func, w: FunctionWriter, base: str = "%slots", first: int = 0) -> int:
    """Read the arguments from their slots; return the number of the slot behind them."""
    at = first
    for arg in op.body.args:
        _unpack_one(w, arg, base, at)
        at += slot_count(arg.type)
    return at


def slot(w: FunctionWriter, base: str, index: int, kind: str) -> str:
    """Return a slot's contents, read in the entry block."""
    place = w.in_entry(f"getelementptr i8, ptr {base}, i64 {index * SLOT_BYTES}")
    return w.in_entry(f"load {kind}, ptr {place}, align 8")


def _unpack_one(w: FunctionWriter, arg: Value, base: str, at: int) -> None:
    t = arg.type
    if isinstance(t, ScalarType):
        text = slot(w, base, at, w.spelling.memory(t))
        if t is I1:
            text = w.in_entry(f"icmp ne i8 {text}, 0")
        w.bind(arg, text)
        w.depths[text] = 0
        return
    if not isinstance(t, MemRefType):
        raise InternalError(what=f"{t} cannot be passed to a kernel")
    buffer = Buffer(slot(w, base, at, "ptr"), list(t.shape), list(t.element_strides))
    if not is_pointer(t):
        for axis in range(t.rank):
            if t.shape[axis] == DYNAMIC:
                buffer.sizes[axis] = slot(w, base, at + 1 + axis, "i64")
            if t.element_strides[axis] == DYNAMIC:
                buffer.strides[axis] = slot(w, base, at + 1 + t.rank + axis, "i64")
    w.buffers[arg] = buffer


def byte_count(w: FunctionWriter, sizes: list[Any], item: int) -> str:
    """Return the bytes of a workspace; the entry ends with status 2 where they are too many."""
    total = str(item)
    for size in sizes:
        pair = w.let(f"call {{ i64, i1 }} @llvm.umul.with.overflow.i64(i64 {total}, i64 {size})")
        total = w.let(f"extractvalue {{ i64, i1 }} {pair}, 0")
        over = w.let(f"extractvalue {{ i64, i1 }} {pair}, 1")
        huge = w.let(f"icmp ugt i64 {total}, {LARGEST}")
        bad = w.let(f"or i1 {over}, {huge}")
        fail_unless(w, w.let(f"xor i1 {bad}, true"), OUT_OF_MEMORY)
    return total


def row_major(w: FunctionWriter, sizes: list[Any], t: MemRefType) -> list[Any]:
    """Return the strides of a workspace, computed where they are not known."""
    strides: list[Any] = []
    step: Any = 1
    for size, known in zip(reversed(sizes), reversed(t.element_strides), strict=True):
        strides.append(step if known == DYNAMIC else known)
        if isinstance(step, int) and isinstance(size, int):
            step *= size
        else:
            step = w.let(f"mul i64 {step}, {size}")
    return list(reversed(strides))
