"""8x8 matrices of a simdgroup: each lane holds two neighbours of a row."""

from __future__ import annotations

from kdsl.codegen.clike.writer import Writer
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects.lanes import MatrixMultiply

ATOM = "simdgroup.8x8x8"
ELEMENTS = 2

lower = LoweringTable("the Metal back end")


@lower(MatrixMultiply)
def matrix_multiply(op: MatrixMultiply, w: Writer) -> None:
    """Fill three matrices from registers, multiply, read the result's elements."""
    if op.atom != ATOM:
        raise lower.refuse(op, f"{op.atom} is no matrix of a simdgroup")
    names: list[str] = []
    for value in (op.a, op.b, op.c):
        name = w.fresh()
        row = w.row(value)
        w.do(f"simdgroup_matrix<{w.word(value)}, 8, 8> {name};")
        w.do(" ".join(f"{name}.thread_elements()[{i}] = {row[i]};" for i in range(ELEMENTS)))
        names.append(name)
    a, b, c = names
    w.do(f"simdgroup_multiply_accumulate({c}, {a}, {b}, {c});")
    w.define(op.y, [f"{c}.thread_elements()[{i}]" for i in range(ELEMENTS)])
