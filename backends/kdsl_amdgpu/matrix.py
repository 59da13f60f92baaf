"""Matrix units: how each atom's instruction is called in LLVM.

MFMA takes 64 lanes, WMMA 32. Where an intrinsic wants brain floats as integers, or four bytes as
one, operands are viewed so.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.codegen.llvm.function import FunctionWriter
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import lanes
from kdsl.ir.core import Value
from kdsl.ir.types import VectorType

lower = LoweringTable("the AMDGPU back end")


@dataclass(frozen=True, slots=True)
class Call:
    """An intrinsic: its name, the LLVM type of both operands, what follows the accumulator."""

    name: str
    operand: str
    tail: str = ""


_FLAGS = ", i32 0, i32 0, i32 0"

CALLS: dict[tuple[str, str], Call] = {
    ("mfma.16x16x16", "f16"): Call("mfma.f32.16x16x16f16", "<4 x half>", _FLAGS),
    ("mfma.16x16x16", "bf16"): Call("mfma.f32.16x16x16bf16.1k", "<4 x i16>", _FLAGS),
    ("mfma.32x32x8", "f16"): Call("mfma.f32.32x32x8f16", "<4 x half>", _FLAGS),
    ("mfma.32x32x8", "bf16"): Call("mfma.f32.32x32x8bf16.1k", "<4 x i16>", _FLAGS),
    ("mfma.16x16x32", "f16"): Call("mfma.f32.16x16x32.f16", "<8 x half>", _FLAGS),
    ("mfma.16x16x32", "bf16"): Call("mfma.f32.16x16x32.bf16", "<8 x bfloat>", _FLAGS),
    ("mfma.16x16x32.i8", "i8"): Call("mfma.i32.16x16x32.i8", "i64", _FLAGS),
    ("mfma.16x16x32.f8", "f8E4M3FN"): Call("mfma.f32.16x16x32.fp8.fp8", "i64", _FLAGS),
    ("mfma.16x16x32.f8", "f8E5M2"): Call("mfma.f32.16x16x32.bf8.bf8", "i64", _FLAGS),
    ("wmma.copied", "f16"): Call("wmma.f32.16x16x16.f16.v8f32.v16f16", "<16 x half>"),
    ("wmma.copied", "bf16"): Call("wmma.f32.16x16x16.bf16.v8f32.v16i16", "<16 x i16>"),
    ("wmma.split", "f16"): Call("wmma.f32.16x16x16.f16.v8f32.v8f16", "<8 x half>"),
    ("wmma.split", "bf16"): Call("wmma.f32.16x16x16.bf16.v8f32.v8i16", "<8 x i16>"),
}
"""(atom, operand element) -> intrinsic."""


@lower(lanes.MatrixMultiply)
def matrix_multiply(op: lanes.MatrixMultiply, w: FunctionWriter) -> None:
    kind = op.a.type
    assert isinstance(kind, VectorType)
    call = CALLS.get((op.atom, kind.element.text))
    if call is None:
        raise lower.refuse(op, f"no instruction {op.atom} of {kind.element}")
    t = w.spelling.type(op.y.type)
    a, b = (_viewed(w, value, call.operand) for value in (op.a, op.b))
    w.result(op.y, f"call {t} @llvm.amdgcn.{call.name}({a}, {b}, {t} {w.names[op.c]}{call.tail})")


def _viewed(w: FunctionWriter, value: Value, wanted: str) -> str:
    held = w.spelling.type(value.type)
    name = w.names[value]
    if held != wanted:
        name = w.let(f"bitcast {held} {name} to {wanted}")
    return f"{wanted} {name}"
