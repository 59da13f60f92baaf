"""Combining two elements as an atomic update does."""

from __future__ import annotations

from kdsl.ir.types import I1, ScalarType
from kdsl_ptx.emit.floats import extreme_maker, in_f32
from kdsl_ptx.emit.integers import extended, width_of
from kdsl_ptx.emit.writer import Writer, class_of

FLOATS = {"addf": "add.rn", "mulf": "mul.rn"}
EXTREMES = {"maximumf": "max.NaN", "minimumf": "min.NaN", "maxnumf": "max", "minnumf": "min"}
INTEGERS = {
    "addi": ("add.s", ""), "muli": ("mul.lo.s", ""), "ori": ("or.b", ""), "andi": ("and.b", ""),
    "maxs": ("max.s", "s"), "mins": ("min.s", "s"), "maxu": ("max.u", "u"), "minu": ("min.u", "u"),
}  # fmt: skip
BITS = {
    "addi": "xor.pred", "muli": "and.pred", "ori": "or.pred", "andi": "and.pred",
    "maxs": "and.pred", "mins": "or.pred", "maxu": "or.pred", "minu": "and.pred",
}  # fmt: skip


def combine_texts(w: Writer, kind: str, element: ScalarType, old: str, new: str) -> str:
    """Return ``old`` combined with ``new`` by one of upstream's atomic kinds."""
    if kind == "assign":
        return new
    if kind in EXTREMES:
        return extreme_maker(w, EXTREMES[kind], element)(old, new)
    if kind in FLOATS:
        held, bits = ("d", 64) if element.bits == 64 else ("r", 32)
        word = f"{FLOATS[kind]}.f{bits}"
        return in_f32(w, element, lambda a, b: w.let(held, word, a, b))(old, new)
    if element is I1:
        return w.let("p", BITS[kind], w.register(old, "p"), w.register(new, "p"))
    start, sign = INTEGERS[kind]
    texts = (extended(w, old, element, sign), extended(w, new, element, sign))
    return w.let(class_of(element), f"{start}{width_of(element)}", *texts)
