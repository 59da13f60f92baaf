"""Operands that come from other lanes or parts of registers, and moves between lanes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kdsl_amdgpu.emulator.program import Instruction
from kdsl_amdgpu.emulator.scalar import Maker, Step, read32, write32
from kdsl_amdgpu.emulator.state import (
    F16,
    F32,
    I16,
    I32,
    U16,
    U32,
    Array,
    Read,
    Waves,
    reader,
    unknown,
    vector_register,
)  # fmt: skip

ROW = 16
SHIFTS = ("row_shl", "row_shr", "row_ror", "row_bcast", "row_share", "row_xmask", "wave_shr")
ROWS: dict[str, Maker] = {}

# --------------------------------------------------------------------- data-parallel primitives


def dpp_lanes(ins: Instruction, width: int) -> tuple[Array, Array]:
    """Return which lane each lane reads, and whether there is one."""
    lanes = np.arange(width)
    within, base = lanes % ROW, lanes // ROW * ROW
    if "quad_perm" in ins.modifiers:
        order = [int(x) for x in ins.modifiers["quad_perm"].strip("[]").split(",")]
        return lanes // 4 * 4 + np.array(order)[lanes % 4], np.ones(width, bool)
    if "row_mirror" in ins.flags:
        return base + 15 - within, np.ones(width, bool)
    if "row_half_mirror" in ins.flags:
        return lanes // 8 * 8 + 7 - lanes % 8, np.ones(width, bool)
    name = next((n for n in SHIFTS if n in ins.modifiers), None)
    if name is None:
        raise unknown(ins)
    by = int(ins.modifiers[name])
    if name == "row_shl":
        return base + (within + by) % ROW, within + by < ROW
    if name == "row_shr":
        return base + (within - by) % ROW, within - by >= 0
    if name == "row_ror":
        return base + (within - by) % ROW, np.ones(width, bool)
    if name == "row_share":
        return base + by, np.ones(width, bool)
    if name == "row_xmask":
        return base + (within ^ by), np.ones(width, bool)
    if name == "row_bcast":
        step = ROW if by == 15 else 2 * ROW
        return np.maximum(lanes // step * step - 1, 0), lanes >= step
    return np.maximum(lanes - by, 0), lanes >= by


def dpp_mover(ins: Instruction, read: Read) -> Read:
    """Return how the first source is read from other lanes."""
    zeroes = "bound_ctrl" in ins.modifiers

    def moved(w: Waves) -> Any:
        lanes, there = dpp_lanes(ins, w.width)
        value = np.broadcast_to(read(w), w.active.shape)[:, lanes]
        return np.where(there, value, value.dtype.type(0)) if zeroes else value

    return moved


def dpp_step(ins: Instruction, step: Step) -> Step:
    """Let an instruction write only lanes in its masks that have a lane to read."""
    rows = int(ins.modifiers.get("row_mask", "0xf"), 0)
    banks = int(ins.modifiers.get("bank_mask", "0xf"), 0)
    zeroes = "bound_ctrl" in ins.modifiers

    def masked(w: Waves) -> None:
        lanes, there = dpp_lanes(ins, w.width)
        number_ = np.arange(w.width)
        chosen = (rows >> number_ // ROW & 1 != 0) & (banks >> number_ % ROW // 4 & 1 != 0)
        readable = there & w.active[:, lanes] if "fi" not in ins.modifiers else there
        allowed = np.broadcast_to(chosen, w.active.shape)
        if zeroes:
            # A lane that nobody can read counts as zero; only the masks forbid writing.
            if not (readable | ~allowed | ~w.active | ~there).all():
                raise unknown(ins)
        else:
            allowed = allowed & readable
        active, full, bits = w.active, w.full, w.mask
        w.active = active & allowed
        w.full = bool(w.active.all())
        w._bits = None
        step(w)
        w.active, w.full, w._bits = active, full, bits

    return masked


# ----------------------------------------------------------------------- sub-dword addressing

SELECTORS: dict[str, tuple[int, int]] = {
    "BYTE_0": (0, 8), "BYTE_1": (8, 8), "BYTE_2": (16, 8), "BYTE_3": (24, 8), "WORD_0": (0, 16),
    "WORD_1": (16, 16), "DWORD": (0, 32),
}  # fmt: skip


def sdwa_reader(ins: Instruction, position: int, kind: str) -> Read:
    """Return how a part of a register is read as a number of its own."""
    start, count = SELECTORS[ins.modifiers.get(f"src{position - 1}_sel", "DWORD")]
    text = ins.operands[position]
    if count == 32:
        return reader(text, kind)
    signed = text.startswith("sext(")
    negate = text.startswith("-")
    plain = text[5:-1] if signed else text.strip("-|")
    word = reader(plain, "u32")
    mask = U32((1 << count) - 1)
    views: dict[str, Any] = {"f16": F16, "u16": U16, "i16": I16, "f32": F32, "i32": I32, "u32": U32}

    def read(w: Waves) -> Any:
        part = word(w) >> U32(start) & mask
        if signed:
            top = U32(1 << count - 1)
            part = (part ^ top) - top
        view = views[kind]
        value = part.astype(U16).view(view) if np.dtype(view).itemsize == 2 else part.view(view)
        value = np.abs(value) if "|" in text else value
        return -value if negate else value

    return read


def sdwa_writer(ins: Instruction, at: int) -> Callable[[Waves, Any], None]:
    """Return how a result fills a part of a register; the rest is kept, zero or sign."""
    start, count = SELECTORS[ins.modifiers.get("dst_sel", "DWORD")]
    unused = ins.modifiers.get("dst_unused", "UNUSED_PAD")
    if unused not in ("UNUSED_PAD", "UNUSED_PRESERVE"):
        raise unknown(ins)
    mask = U32((1 << count) - 1 << start)

    def write(w: Waves, value: Any) -> None:
        value = np.ascontiguousarray(value)
        word = value.view(np.dtype(f"u{value.dtype.itemsize}")).astype(U32)
        made = word << U32(start) & mask
        if count < 32 and unused == "UNUSED_PRESERVE":
            made = made | w.v[at] & ~mask
        w.put(at, made)

    return write


# --------------------------------------------------------------------------------------- moves


def _first_lane(w: Waves) -> Array:
    return np.where(w.active.any(1), w.active.argmax(1), 0)


def _read_first(ins: Instruction) -> Step:
    out, read = write32(ins.operands[0]), reader(ins.operands[1], "u32")

    def step(w: Waves) -> None:
        value = np.broadcast_to(read(w), w.active.shape)
        out(w, value[np.arange(w.count), _first_lane(w)])

    return step


def _read_lane(ins: Instruction) -> Step:
    out, read, lane = (
        write32(ins.operands[0]),
        reader(ins.operands[1], "u32"),
        read32(ins.operands[2]),
    )

    def step(w: Waves) -> None:
        value = np.broadcast_to(read(w), w.active.shape)
        at = np.broadcast_to(lane(w) & U32(w.width - 1), w.count)
        out(w, value[np.arange(w.count), at])

    return step


def _write_lane(ins: Instruction) -> Step:
    register = vector_register(ins.operands[0])
    value, lane = read32(ins.operands[1]), read32(ins.operands[2])
    if register is None:
        raise unknown(ins)

    def step(w: Waves) -> None:
        at = np.broadcast_to(lane(w) & U32(w.width - 1), w.count)
        w.v[register, np.arange(w.count), at] = value(w)

    return step


def _other_row(ins: Instruction) -> Step:
    """Each lane reads a lane of the other row of 16, by four bits of the selectors."""
    register, read = vector_register(ins.operands[0]), reader(ins.operands[1], "u32")
    low, high = read32(ins.operands[2]), read32(ins.operands[3])
    if register is None:
        raise unknown(ins)

    def step(w: Waves) -> None:
        lanes = np.arange(w.width)
        within = lanes % ROW
        words = np.where(within < 8, low(w)[:, None], high(w)[:, None])
        chosen = (words >> (within % 8 * 4).astype(U32) & U32(15)).astype(np.int64)
        from_ = (lanes // ROW ^ 1) * ROW + chosen
        value = np.broadcast_to(read(w), w.active.shape)
        w.put(register, np.take_along_axis(value, np.broadcast_to(from_, value.shape), 1))

    return step


def _swap_halves(distance: int) -> Maker:
    """The upper lanes of one register change places with the lower lanes of the other."""

    def make(ins: Instruction) -> Step:
        first, second = (vector_register(text) for text in ins.operands[:2])
        if first is None or second is None:
            raise unknown(ins)

        def step(w: Waves) -> None:
            upper = np.arange(w.width) // distance % 2 == 1
            lanes = np.flatnonzero(upper)
            kept = w.v[first][:, lanes].copy()
            w.v[first][:, lanes] = w.v[second][:, lanes - distance]
            w.v[second][:, lanes - distance] = kept

        return step

    return make


def _permute(ins: Instruction) -> Step:
    """Each lane reads the lane that its address names; inactive lanes give zero."""
    register = vector_register(ins.operands[0])
    place, read = reader(ins.operands[1], "u32"), reader(ins.operands[2], "u32")
    offset = U32(int(ins.modifiers.get("offset", "0"), 0))
    if register is None:
        raise unknown(ins)

    def step(w: Waves) -> None:
        at = ((place(w) + offset) >> U32(2) & U32(w.width - 1)).astype(np.int64)
        at = np.broadcast_to(at, w.active.shape)
        value = np.where(w.active, read(w), U32(0))
        w.put(register, np.take_along_axis(value, at, 1))

    return step


def swizzle_lanes(text: str, width: int) -> Array:
    """Return which lane each lane reads by an assembler's swizzle."""
    lanes = np.arange(width)
    within, base = lanes % 32, lanes // 32 * 32
    if not text.startswith("swizzle("):
        word = int(text, 0)
        if word & 0x8000:
            order = [word >> 2 * i & 3 for i in range(4)]
            return lanes // 4 * 4 + np.array(order)[lanes % 4]
        keep, put, flip = word & 31, word >> 5 & 31, word >> 10 & 31
        return base + ((within & keep | put) ^ flip)
    mode, *args = [part.strip() for part in text[8:-1].split(",")]
    if mode == "BITMASK_PERM":
        keep = put = flip = 0
        for bit, mark in zip((16, 8, 4, 2, 1), args[0].strip('"'), strict=True):
            keep |= bit if mark in "pi" else 0
            put |= bit if mark == "1" else 0
            flip |= bit if mark == "i" else 0
        return base + ((within & keep | put) ^ flip)
    if mode == "SWAP":
        return lanes ^ int(args[0])
    if mode == "REVERSE":
        return lanes ^ int(args[0]) - 1
    if mode == "BROADCAST":
        size, which = int(args[0]), int(args[1])
        return lanes // size * size + which
    return lanes // 4 * 4 + np.array([int(a) for a in args])[lanes % 4]


def _swizzle(ins: Instruction) -> Step:
    register, read = vector_register(ins.operands[0]), reader(ins.operands[1], "u32")
    text = ins.modifiers["offset"]
    if register is None:
        raise unknown(ins)

    def step(w: Waves) -> None:
        value = np.where(w.active, np.broadcast_to(read(w), w.active.shape), U32(0))
        w.put(register, value[:, swizzle_lanes(text, w.width)])

    return step


ROWS["v_readfirstlane_b32"] = _read_first
ROWS["v_readlane_b32"] = _read_lane
ROWS["v_writelane_b32"] = _write_lane
ROWS["v_permlanex16_b32"] = _other_row
ROWS["v_permlane32_swap_b32"] = _swap_halves(32)
ROWS["v_permlane16_swap_b32"] = _swap_halves(16)
ROWS["ds_bpermute_b32"] = _permute
ROWS["ds_swizzle_b32"] = _swizzle

# ------------------------------------------------------------------------------ relative registers


@dataclass(frozen=True, slots=True)
class Relative:
    """Registers are counted from a scalar register's contents on: sources, destinations."""

    index: Callable[[Waves], Array]
    source: bool
    target: bool


def relative_mode(ins: Instruction) -> Relative | None:
    """Return the mode that an instruction sets, None for the usual one."""
    if ins.word == "s_set_gpr_idx_off":
        return None
    found = re.fullmatch(r"gpr_idx\(([A-Z0-9,]*)\)", ins.operands[1].replace(" ", ""))
    if ins.word != "s_set_gpr_idx_on" or found is None:
        raise unknown(ins)
    parts = set(found[1].split(","))
    if parts - {"SRC0", "DST"}:
        raise unknown(ins)
    return Relative(read32(ins.operands[0]), "SRC0" in parts, "DST" in parts)


def relative_move(ins: Instruction, mode: Relative) -> Step:
    """Move between a register and one that is counted from an index on."""
    target, source = (vector_register(text) for text in ins.operands[:2])
    if ins.word != "v_mov_b32" or target is None or (mode.source and source is None):
        raise unknown(ins)
    read = reader(ins.operands[1], "u32")

    def step(w: Waves) -> None:
        by = (mode.index(w) & U32(0xFF)).astype(np.int64)
        waves = np.arange(w.count)
        value = np.broadcast_to(read(w), w.active.shape)
        if mode.source:
            assert source is not None
            value = w.v[source + by, waves]
        places = target + by if mode.target else np.full(w.count, target)
        w.v[places, waves] = np.where(w.active, value, w.v[places, waves])

    return step


def _relative_row(source: bool) -> Maker:
    """Moves that count from the register m0."""

    def make(ins: Instruction) -> Step:
        plain = replace(ins, word="v_mov_b32")
        return relative_move(plain, Relative(read32("m0"), source, not source))

    return make


ROWS["v_movrels_b32"] = _relative_row(source=True)
ROWS["v_movreld_b32"] = _relative_row(source=False)
