"""Instructions that touch memory: scalar loads, global memory, workgroup memory, atomics."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kdsl_amdgpu.emulator import arithmetic as do
from kdsl_amdgpu.emulator.memory import AccessError, Memory, Shared, gather, scatter
from kdsl_amdgpu.emulator.program import Instruction
from kdsl_amdgpu.emulator.scalar import Step, read64
from kdsl_amdgpu.emulator.state import (
    F16,
    F32,
    F64,
    I32,
    I64,
    NULL,
    U16,
    U32,
    U64,
    Array,
    Waves,
    reader,
    scalar_register,
    unknown,
    vector_register,
)  # fmt: skip


@dataclass(slots=True)
class Machine:
    """What instructions that touch memory need besides registers."""

    memory: Memory
    shared: Shared
    scratch: Array = field(default_factory=lambda: np.zeros((1, 1, 64, 0), np.uint8))
    """[workgroups, waves, lanes, bytes]."""


Maker = Callable[[Instruction, Machine], Step]

SIZES = {
    "dword": 4, "dwordx2": 8, "dwordx3": 12, "dwordx4": 16, "b32": 4, "b64": 8, "b96": 12,
    "b128": 16,
}  # fmt: skip
NARROW = {
    "ubyte": (1, False), "sbyte": (1, True), "ushort": (2, False), "sshort": (2, True),
    "byte": (1, False), "short": (2, False), "u8": (1, False), "i8": (1, True), "u16": (2, False),
    "i16": (2, True), "b8": (1, False), "b16": (2, False),
}  # fmt: skip
"""Element -> (bytes, sign-extended)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a load or store moves: bytes, and how a narrow one sits in its register.

    ``half``: "" fills the register, "low" and "high" a half, keeping the other.
    """

    size: int
    signed: bool = False
    half: str = ""


def shape_of(kind: str) -> Shape | None:
    """Return what a mnemonic's ending moves, None for an unknown one."""
    if kind in SIZES:
        return Shape(SIZES[kind])
    if kind in NARROW:
        return Shape(*NARROW[kind])
    half = "low"
    for mark in ("d16_hi", "d16"):
        if mark in kind:
            half = "high" if mark == "d16_hi" else "low"
            rest = kind.replace(mark, "").strip("_")
            if rest in NARROW:
                return Shape(*NARROW[rest], half)
    return None


def _extended(words: Array, shape: Shape) -> Array:
    """Sign-extend narrow words."""
    if shape.signed:
        top = U32(1 << 8 * shape.size - 1)
        words = (words ^ top) - top
    return words


def _deliver(w: Waves, register: int, lanes: Any, words: Array, shape: Shape) -> None:
    """Write loaded [words, lanes] to the registers of lanes."""
    words = _extended(words, shape)
    for k in range(words.shape[0]):
        word = words[k]
        if shape.half:
            old = w.v[register][lanes]
            if shape.half == "high":
                word = old & U32(0xFFFF) | word << U32(16)
            else:
                word = old & U32(0xFFFF0000) | word & U32(0xFFFF)
        w.v[register + k][lanes] = word


def _collect(w: Waves, register: int, lanes: Any, shape: Shape) -> Array:
    """Return [words, lanes] to store."""
    count = max(1, shape.size // 4)
    words = np.stack([w.v[register + k][lanes] for k in range(count)])
    return words >> U32(16) if shape.half == "high" else words


def _offset(ins: Instruction) -> int:
    return int(ins.modifiers.get("offset", "0"), 0)


# ------------------------------------------------------------------------------------ scalar loads

_SCALAR = re.compile(r"s_load_(?:(dword)(?:x(\d+))?|b(\d+)|(u8|i8|u16|i16))")


def scalar_load(ins: Instruction, machine: Machine) -> Step:
    """Load words to consecutive scalar registers."""
    found = _SCALAR.fullmatch(ins.word)
    if found is None:
        raise unknown(ins)
    register = scalar_register(ins.operands[0])
    base = read64(ins.operands[1])
    constant, varying = _offset(ins), None
    text = ins.operands[2] if len(ins.operands) > 2 else "0"
    if text != NULL:
        if scalar_register(text) is None:
            constant += int(text, 0)
        else:
            varying = scalar_register(text)
    narrow = NARROW.get(found[4] or "")
    size = narrow[0] if narrow else 4 * int(found[2] or int(found[3] or 32) // 32)
    shape = Shape(size, bool(narrow and narrow[1]))
    assert register is not None

    def step(w: Waves) -> None:
        address = base(w) + U64(constant & (1 << 64) - 1)
        if varying is not None:
            address = address + w.s[varying].astype(U64)
        words = _extended(machine.memory.load(np.broadcast_to(address, w.count), size), shape)
        w.s[register : register + words.shape[0]] = words

    return step


# ----------------------------------------------------------------------------------- global memory


def _address(ins: Instruction, vector: str, scalar: str) -> Callable[[Waves], Array]:
    """Return how lanes' addresses are computed: a pair of registers, or a base and an offset."""
    offset = U64(_offset(ins) & (1 << 64) - 1)
    if scalar in ("off", NULL):
        wide = reader(vector, "u64")
        return lambda w: wide(w) + offset
    base = read64(scalar)
    if vector in ("off", NULL):
        return lambda w: np.broadcast_to((base(w) + offset)[:, None], w.active.shape)
    narrow = reader(vector, "u32")
    # On a 32-bit offset the constant part is signed, and so is their sum.
    return lambda w: base(w)[:, None] + narrow(w).astype(U64) + offset


_GLOBAL = re.compile(r"global_(load|store)_(\w+)")


def global_access(ins: Instruction, machine: Machine) -> Step:
    """Load or store lanes of global memory."""
    found = _GLOBAL.fullmatch(ins.word)
    shape = None if found is None else shape_of(found[2])
    if found is None or shape is None or len(ins.operands) != 3:
        raise unknown(ins)
    loads = found[1] == "load"
    place, data = (ins.operands[1], ins.operands[0]) if loads else ins.operands[:2]
    address = _address(ins, place, ins.operands[2])
    register = vector_register(data)
    assert register is not None

    def load(w: Waves) -> None:
        lanes = ... if w.full else np.nonzero(w.active)
        at = np.broadcast_to(address(w), w.active.shape)[lanes]
        if at.size:
            words = machine.memory.load(at.reshape(-1), shape.size)
            _deliver(w, register, lanes, words.reshape(-1, *at.shape), shape)

    def store(w: Waves) -> None:
        lanes = ... if w.full else np.nonzero(w.active)
        at = np.broadcast_to(address(w), w.active.shape)[lanes]
        if at.size:
            words = _collect(w, register, lanes, shape)
            machine.memory.store(at.reshape(-1), words.reshape(words.shape[0], -1), shape.size)

    return load if loads else store


# ------------------------------------------------------------------------------------- atomics


def _pick(function: Callable[[Any, Any], Any], view: Any) -> Callable[[Any, Any], Any]:
    def combine(old: int, new: int) -> int:
        kind = np.dtype(f"u{np.dtype(view).itemsize}")
        a, b = np.array(old, kind).view(view), np.array(new, kind).view(view)
        return int(np.asarray(function(a, b)).astype(view).view(kind))

    return combine


def _halves(kind: str) -> Callable[[int, int], int]:
    def combine(old: int, new: int) -> int:
        made = 0
        for shift in (0, 16):
            a, b = (np.array(x >> shift & 0xFFFF, U16) for x in (old, new))
            if kind == "f16":
                part = int((a.view(F16) + b.view(F16)).astype(F16).view(U16))
            else:
                total = do.brain(a.astype(U32)) + do.brain(b.astype(U32))
                part = int(do.brain_bits(np.atleast_1d(total))[0])
            made |= part << shift
        return made

    return combine


def _sum(bits: int, sign: int = 1) -> Callable[[int, int], int]:
    return lambda old, new: (old + sign * new) & (1 << bits) - 1


def _and(old: int, new: int) -> int:
    return old & new


def _or(old: int, new: int) -> int:
    return old | new


def _xor(old: int, new: int) -> int:
    return old ^ new


def _new(old: int, new: int) -> int:
    return new


_INTEGER: dict[tuple[str, str, str, str], tuple[Callable[[int, int], int], ...]] = {
    ("add", "add_u32", "add_x2", "add_u64"): (_sum(32), _sum(64)),
    ("sub", "sub_u32", "sub_x2", "sub_u64"): (_sum(32, -1), _sum(64, -1)),
    ("and", "and_b32", "and_x2", "and_b64"): (_and, _and),
    ("or", "or_b32", "or_x2", "or_b64"): (_or, _or),
    ("xor", "xor_b32", "xor_x2", "xor_b64"): (_xor, _xor),
    ("swap", "swap_b32", "swap_x2", "swap_b64"): (_new, _new),
    ("umax", "max_u32", "umax_x2", "max_u64"): (max, max),
    ("umin", "min_u32", "umin_x2", "min_u64"): (min, min),
    ("smax", "max_i32", "smax_x2", "max_i64"): (_pick(np.maximum, I32), _pick(np.maximum, I64)),
    ("smin", "min_i32", "smin_x2", "min_i64"): (_pick(np.minimum, I32), _pick(np.minimum, I64)),
}
"""Spellings of 32 and 64 bits, old and new -> how memory and value are combined."""
ATOMICS: dict[str, tuple[Callable[[int, int], int], int]] = {
    "add_f32": (_pick(np.add, F32), 4), "add_f64": (_pick(np.add, F64), 8),
    "max_f32": (_pick(np.fmax, F32), 4), "min_f32": (_pick(np.fmin, F32), 4),
    "max_num_f32": (_pick(np.fmax, F32), 4), "min_num_f32": (_pick(np.fmin, F32), 4),
    "max_f64": (_pick(np.fmax, F64), 8), "min_f64": (_pick(np.fmin, F64), 8),
    "pk_add_f16": (_halves("f16"), 4), "pk_add_bf16": (_halves("bf16"), 4),
}  # fmt: skip
"""Ending of a mnemonic -> how memory and value are combined, bytes."""
for _names, _functions in _INTEGER.items():
    for _number, _name in enumerate(_names):
        ATOMICS[_name] = (_functions[_number // 2], 4 + 4 * (_number // 2))
EXCHANGES = {"cmpswap": 4, "cmpswap_b32": 4, "cmpswap_x2": 8, "cmpswap_b64": 8}
COMPARE_STORES = {"cmpst_b32": 4, "cmpstore_b32": 4, "cmpst_b64": 8, "cmpstore_b64": 8}
RETURNING = ("glc", "sc0")


def _returns(ins: Instruction) -> bool:
    return any(flag in ins.flags for flag in RETURNING) or "RETURN" in ins.modifiers.get("th", "")


def _value(words: Array, lane: int) -> int:
    value = int(words[0, lane])
    return value | int(words[1, lane]) << 32 if words.shape[0] > 1 else value


def _words(value: int, size: int) -> Array:
    return np.array([[value >> 32 * k & 0xFFFFFFFF] for k in range(size // 4)], U32)


def global_atomic(ins: Instruction, machine: Machine) -> Step:
    """Combine lanes into global memory, one after another."""
    kind = ins.word.removeprefix("global_atomic_")
    returns = _returns(ins)
    operands = list(ins.operands)
    result = vector_register(operands.pop(0)) if returns else None
    register = vector_register(operands[1])
    address = _address(ins, operands[0], operands[2])
    size = EXCHANGES.get(kind) or ATOMICS.get(kind, (None, 0))[1]
    if register is None or not size:
        raise unknown(ins)
    count = size // 4

    def step(w: Waves) -> None:
        where = np.nonzero(w.active)
        at = np.broadcast_to(address(w), w.active.shape)[where]
        given = [w.v[register + k][where] for k in range(2 * count if kind in EXCHANGES else count)]
        for lane in range(at.size):
            place = at[lane : lane + 1]
            old = _value(machine.memory.load(place, size), 0)
            new = _value(np.stack(given)[:count], lane)
            if kind in EXCHANGES:
                wanted = _value(np.stack(given)[count:], lane)
                new = new if old == wanted else old
            else:
                new = ATOMICS[kind][0](old, new)
            machine.memory.store(place, _words(new, size), size)
            if result is not None:
                for k in range(count):
                    w.v[result + k, where[0][lane], where[1][lane]] = old >> 32 * k & 0xFFFFFFFF

    return step


def shared_atomic(ins: Instruction, machine: Machine) -> Step:
    """Combine lanes into workgroup memory, one after another; atomics do not race."""
    kind = ins.word.removeprefix("ds_")
    returns = "_rtn" in kind
    kind = kind.replace("_rtn", "")
    operands = list(ins.operands)
    result = vector_register(operands.pop(0)) if returns else None
    size = COMPARE_STORES.get(kind) or ATOMICS.get(kind, (None, 0))[1]
    place = reader(operands[0], "u32")
    registers = [vector_register(text) for text in operands[1:]]
    if not size or None in registers:
        raise unknown(ins)
    offset, count = _offset(ins), size // 4

    def step(w: Waves) -> None:
        where = np.nonzero(w.active)
        at = np.broadcast_to(place(w), w.active.shape)[where].astype(np.int64) + offset
        places = machine.shared.place(w.group[where[0]], at, size)
        flat = machine.shared.flat.view(U32 if size == 4 else U64)
        for lane in range(at.size):
            cell = int(places[lane]) // size
            values = []
            for register in registers:
                assert register is not None
                values.append(
                    sum(
                        int(w.v[register + k, where[0][lane], where[1][lane]]) << 32 * k
                        for k in range(count)
                    )
                )
            old = int(flat[cell])
            if kind in COMPARE_STORES:
                # LLVM's order: the new value first for "cmpstore", the expected one for "cmpst".
                new, wanted = values if "store" in kind else reversed(values)
                flat[cell] = new if old == wanted else old
            else:
                flat[cell] = ATOMICS[kind][0](old, values[0])
            if result is not None:
                for k in range(count):
                    w.v[result + k, where[0][lane], where[1][lane]] = old >> 32 * k & 0xFFFFFFFF

    return step


# -------------------------------------------------------------------------------- workgroup memory

_SHARED = re.compile(
    r"ds_(?P<way>read|write|load|store)(?P<pair>2st64|2|_2addr_stride64|_2addr)?_(?P<kind>\w+)"
)
STRIDE = 64


def shared_access(ins: Instruction, machine: Machine) -> Step:
    """Load or store lanes of workgroup memory, at one or two places."""
    found = _SHARED.fullmatch(ins.word)
    shape = None if found is None else shape_of(found["kind"])
    if found is None or shape is None:
        raise unknown(ins)
    loads = found["way"] in ("read", "load")
    place = reader(ins.operands[1 if loads else 0], "u32")
    pair = found["pair"] or ""
    if pair:
        unit = shape.size * (STRIDE if "64" in pair.replace("_2addr", "").replace("2", "") else 1)
        offsets = [int(ins.modifiers.get(f"offset{i}", "0"), 0) * unit for i in (0, 1)]
    else:
        offsets = [_offset(ins)]
    data = [vector_register(text) for text in ([ins.operands[0]] if loads else ins.operands[1:])]
    if None in data or len(data) != (1 if loads else len(offsets)):
        raise unknown(ins)
    words = max(1, shape.size // 4)

    def step(w: Waves) -> None:
        where = np.nonzero(w.active)
        if not where[0].size:
            return
        at = np.broadcast_to(place(w), w.active.shape)[where].astype(np.int64)
        groups, waves = w.group[where[0]], w.number[where[0]]
        for i, offset in enumerate(offsets):
            if loads:
                register = data[0]
                assert register is not None
                got = machine.shared.load(groups, waves, at + offset, shape.size)
                _deliver(w, register + i * words, where, got, shape)
            else:
                register = data[i]
                assert register is not None
                given = _collect(w, register, where, shape)
                machine.shared.store(groups, waves, at + offset, given, shape.size)

    return step


# ---------------------------------------------------------------------------------- scratch memory

_SCRATCH = re.compile(r"scratch_(load|store)_(\w+)")


def scratch_access(ins: Instruction, machine: Machine) -> Step:
    """Load or store a lane's own memory."""
    found = _SCRATCH.fullmatch(ins.word)
    shape = None if found is None else shape_of(found[2])
    if found is None or shape is None or len(ins.operands) != 3:
        raise unknown(ins)
    loads = found[1] == "load"
    vector, data = (ins.operands[1], ins.operands[0]) if loads else ins.operands[:2]
    parts = [reader(t, "u32") for t in (vector, ins.operands[2]) if t not in ("off", NULL)]
    register, offset = vector_register(data), _offset(ins)
    assert register is not None

    def step(w: Waves) -> None:
        where = np.nonzero(w.active)
        if not where[0].size:
            return
        at = np.full(w.active.shape, offset, np.int64)
        for part in parts:
            at = at + part(w)
        at = at[where]
        size = machine.scratch.shape[3]
        if at.min() < 0 or at.max() + shape.size > size:
            msg = f"byte {int(at.max())} of a lane's own memory, which has {size}, is outside"
            raise AccessError(msg)
        lanes = (w.group[where[0]] * machine.scratch.shape[1] + w.number[where[0]]) * w.width
        places = (lanes + where[1]) * size + at
        flat = machine.scratch.reshape(-1)
        if loads:
            _deliver(w, register, where, gather(flat, places, shape.size), shape)
        else:
            scatter(flat, places, _collect(w, register, where, shape), shape.size)

    return step


def smallest_shared(instructions: list[Instruction]) -> int:
    """Return how many bytes the smallest access to workgroup memory has: 1, 2 or 4."""
    least = 4
    for ins in instructions:
        found = _SHARED.fullmatch(ins.word)
        shape = None if found is None else shape_of(found["kind"])
        if shape is not None:
            least = min(least, shape.size)
    return least


def maker(word: str) -> Maker | None:
    """Return what makes the step of an instruction that touches memory, None for others."""
    if word.startswith("s_load_"):
        return scalar_load
    if word.startswith("global_atomic_"):
        return global_atomic
    if word.startswith("global_"):
        return global_access
    if word.startswith("scratch_"):
        return scratch_access
    if word.startswith("ds_"):
        return shared_access if _SHARED.fullmatch(word) else shared_atomic
    return None
