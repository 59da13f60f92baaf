"""Reading other lanes: data-parallel moves within a row of 16, permutations beyond.

Sources: the "DPP" and "DS permute" sections of AMD's instruction set documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsl.codegen.llvm.function import FunctionWriter
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import gpu
from kdsl.dialects.arith import constant_of
from kdsl.ir.core import Value
from kdsl.ir.types import element_type

if TYPE_CHECKING:
    from kdsl_amdgpu.emit import Kernel

ALL = 0xF
ROW_SHIFT_LEFT, ROW_SHIFT_RIGHT, ROW_ROTATE = 0x100, 0x110, 0x120
ROW_MIRROR, ROW_HALF_MIRROR = 0x140, 0x141
DPP_XOR: dict[int, int] = {
    1: 0b10_11_00_01,  # quad_perm:[1,0,3,2]
    2: 0b01_00_11_10,  # quad_perm:[2,3,0,1]
    3: 0b00_01_10_11,  # quad_perm:[3,2,1,0]
    7: ROW_HALF_MIRROR,
    8: ROW_ROTATE + 8,
    15: ROW_MIRROR,
}
"""Lane distance -> control word of a data-parallel move."""
EVEN_BANKS, ODD_BANKS = 0x5, 0xA
SWIZZLE_LANES = 0x1F
SWAPPED_HALVES = 16
IDENTITY_LOW, IDENTITY_HIGH = 0x76543210, 0xFEDCBA98
"""Selectors of v_permlanex16: each lane reads its own number in the other row."""

lower = LoweringTable("the AMDGPU back end")


@lower(gpu.Shuffle)
def shuffle(op: gpu.Shuffle, w: Kernel) -> None:
    """Known distances are moves; the rest goes through the crossbar of workgroup memory."""
    distance, width = constant_of(op.offset), constant_of(op.width)
    words = _words(w, op.value)
    if op.mode_name == "xor" and distance is not None and 0 <= int(distance) < w.wave:
        moved = [_xor(w, word, int(distance)) for word in words]
        inside = width is not None and int(distance) < int(width)
        w.bind(op.valid, "true" if inside else "false")
    else:
        source, valid = _source(op, w)
        place = w.let(f"shl i32 {source}, 2")
        moved = [_permute(w, place, word) for word in words]
        w.bind(op.valid, valid)
    _join(w, op.y, moved)


def _words(w: FunctionWriter, value: Value) -> list[str]:
    """Return a value as 32-bit words, low one first."""
    t = element_type(value.type)
    spelled, name = w.spelling.type(value.type), w.names[value]
    if t.bits == 32:
        return [name if spelled == "i32" else w.let(f"bitcast {spelled} {name} to i32")]
    pair = w.let(f"bitcast {spelled} {name} to <2 x i32>")
    return [w.let(f"extractelement <2 x i32> {pair}, i64 {i}") for i in range(2)]


def _join(w: FunctionWriter, result: Value, words: list[str]) -> None:
    spelled = w.spelling.type(result.type)
    if len(words) == 1:
        if spelled == "i32":
            w.bind(result, words[0])
        else:
            w.result(result, f"bitcast i32 {words[0]} to {spelled}")
        return
    low = w.let(f"insertelement <2 x i32> poison, i32 {words[0]}, i64 0")
    pair = w.let(f"insertelement <2 x i32> {low}, i32 {words[1]}, i64 1")
    w.result(result, f"bitcast <2 x i32> {pair} to {spelled}")


def _xor(w: Kernel, word: str, distance: int) -> str:
    if distance == 0:
        return word
    control = DPP_XOR.get(distance)
    if control is not None:
        return _dpp(w, word, word, control, ALL)
    if distance == 4:
        up = _dpp(w, word, word, ROW_SHIFT_LEFT + 4, EVEN_BANKS)
        return _dpp(w, up, word, ROW_SHIFT_RIGHT + 4, ODD_BANKS)
    if distance == SWAPPED_HALVES and w.wave == 32:
        args = f"i32 {word}, i32 {word}, i32 {IDENTITY_LOW}, i32 {_signed(IDENTITY_HIGH)}"
        return w.let(f"call i32 @llvm.amdgcn.permlanex16.i32({args}, i1 false, i1 false)")
    if distance < 32:
        pattern = distance << 10 | SWIZZLE_LANES
        return w.let(f"call i32 @llvm.amdgcn.ds.swizzle(i32 {word}, i32 {pattern})")
    source = w.let(f"xor i32 {w.lane()}, {distance}")
    return _permute(w, w.let(f"shl i32 {source}, 2"), word)


def _dpp(w: FunctionWriter, old: str, word: str, control: int, banks: int) -> str:
    args = f"i32 {old}, i32 {word}, i32 {control}, i32 {ALL}, i32 {banks}, i1 false"
    return w.let(f"call i32 @llvm.amdgcn.update.dpp.i32({args})")


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word


def _permute(w: FunctionWriter, place: str, word: str) -> str:
    return w.let(f"call i32 @llvm.amdgcn.ds.bpermute(i32 {place}, i32 {word})")


def _source(op: Any, w: Kernel) -> tuple[str, str]:
    """Return the lane to read and whether there is one; without one a lane reads itself."""
    lane, offset, width = w.lane(), w.names[op.offset], w.names[op.width]
    last = w.let(f"sub i32 {width}, 1")
    within = w.let(f"and i32 {lane}, {last}")
    base = w.let(f"sub i32 {lane}, {within}")
    if op.mode_name == "idx":
        wanted = w.let(f"add i32 0, {offset}")
    else:
        word = {"xor": "xor", "up": "sub", "down": "add"}[op.mode_name]
        wanted = w.let(f"{word} i32 {within}, {offset}")
    valid = w.let(f"icmp ult i32 {wanted}, {width}")
    there = w.let(f"add i32 {base}, {wanted}")
    return w.let(f"select i1 {valid}, i32 {there}, i32 {lane}"), valid
