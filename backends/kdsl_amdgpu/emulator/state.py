"""Registers of waves that run in step, and how operands are read and results written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from kdsl.errors import UnknownInstructionError
from kdsl_amdgpu.emulator.program import Instruction

Array = np.ndarray[Any, Any]
U8, U16, U32, U64 = np.uint8, np.uint16, np.uint32, np.uint64
I16, I32, I64 = np.int16, np.int32, np.int64
F16, F32, F64 = np.float16, np.float32, np.float64

VCC, TRAP, M0, EXEC, SCALARS = 106, 108, 124, 126, 128
ACCUMULATORS = 256
"""Accumulation registers are numbered behind the vector registers."""
POISON = 0x7FCBCBCB
"""What a register holds that nobody wrote: a NaN."""
LOW = U64(0xFFFFFFFF)
HALF = U64(32)


class Waves:
    """Some waves at the same instruction: registers [number, waves, lanes], masks, places."""

    __slots__ = ("_bits", "active", "full", "group", "number", "pc", "s", "scc", "v", "width")

    def __init__(self, count: int, width: int, vectors: int) -> None:
        self.width = width
        self.pc = 0
        self.v = np.full((vectors, count, width), POISON, U32)
        self.s = np.full((SCALARS, count), POISON, U32)
        self.scc = np.zeros(count, bool)
        self.active = np.ones((count, width), bool)
        self.full = True
        self._bits: Array | None = None
        self.group = np.zeros(count, np.int64)
        self.number = np.zeros(count, np.int64)

    @property
    def count(self) -> int:
        """How many waves there are."""
        return self.s.shape[1]

    def part(self, which: Array) -> Waves:
        """Return a copy of some of the waves, by index or mask."""
        made = Waves.__new__(Waves)
        made.width, made.pc = self.width, self.pc
        made.v, made.s = self.v[:, which], self.s[:, which]
        made.scc, made.active = self.scc[which], self.active[which]
        made.full, made._bits = bool(made.active.all()), None
        made.group, made.number = self.group[which], self.number[which]
        return made

    @staticmethod
    def merged(parts: list[Waves]) -> Waves:
        """Return waves at one instruction as one."""
        if len(parts) == 1:
            return parts[0]
        made = Waves.__new__(Waves)
        made.width, made.pc = parts[0].width, parts[0].pc
        made.v = np.concatenate([p.v for p in parts], 1)
        made.s = np.concatenate([p.s for p in parts], 1)
        made.scc = np.concatenate([p.scc for p in parts])
        made.active = np.concatenate([p.active for p in parts])
        made.full, made._bits = bool(made.active.all()), None
        made.group = np.concatenate([p.group for p in parts])
        made.number = np.concatenate([p.number for p in parts])
        return made

    # ------------------------------------------------------------------------------------- masks

    @property
    def mask(self) -> Array:
        """Which lanes are active, as bits."""
        if self._bits is None:
            self._bits = bits_of(self.active)
        return self._bits

    @mask.setter
    def mask(self, bits: Array) -> None:
        self.active = lanes_of(bits, self.width)
        self.full = bool(self.active.all())
        self._bits = None

    def keep(self, lanes: Array) -> None:
        """Let only some of the active lanes stay active."""
        self.active = self.active & lanes
        self.full = bool(self.active.all())
        self._bits = None

    # ------------------------------------------------------------------------------------ results

    def put(self, register: int, value: Any) -> None:
        """Write 32-bit lanes where they are active."""
        if self.full:
            self.v[register] = value
        else:
            np.copyto(self.v[register], value, where=self.active)

    def put_wide(self, register: int, value: Array) -> None:
        """Write 64-bit lanes to two registers."""
        self.put(register, (value & LOW).astype(U32))
        self.put(register + 1, (value >> HALF).astype(U32))

    def put_lanes(self, register: int, lanes: Array) -> None:
        """Write a comparison's result to scalar registers; inactive lanes are zero."""
        self.put_scalar_mask(register, bits_of(lanes & self.active))

    def put_scalar_mask(self, register: int, bits: Array) -> None:
        """Write a mask of all lanes; to the mask of active lanes when the register says so."""
        if register == EXEC:
            self.mask = bits
            return
        self.s[register] = (bits & LOW).astype(U32)
        if self.width == 64:
            self.s[register + 1] = (bits >> HALF).astype(U32)

    def scalar_mask(self, register: int) -> Array:
        """Return a mask of all lanes from scalar registers, as bits."""
        if register == EXEC:
            return self.mask
        low = self.s[register].astype(U64)
        return low | self.s[register + 1].astype(U64) << HALF if self.width == 64 else low

    def lane_mask(self, register: int) -> Array:
        """Return a mask of all lanes from scalar registers, as booleans."""
        if register == EXEC:
            return self.active
        return lanes_of(self.scalar_mask(register), self.width)


def bits_of(lanes: Array) -> Array:
    """Pack booleans [waves, lanes] into 64-bit words."""
    packed = np.packbits(lanes, axis=1, bitorder="little")
    if packed.shape[1] == 8:
        return np.ascontiguousarray(packed).view(U64)[:, 0]
    return np.ascontiguousarray(packed).view(U32)[:, 0].astype(U64)


def lanes_of(bits: Array, width: int) -> Array:
    """Unpack 64-bit words into booleans [waves, lanes]."""
    words = np.ascontiguousarray(bits.astype(U64)).view(U8).reshape(-1, 8)[:, : width // 8]
    return np.unpackbits(words, axis=1, bitorder="little").view(bool)


# ---------------------------------------------------------------------------------------- operands

INLINE_FLOATS = {
    "0.5": 0.5, "-0.5": -0.5, "1.0": 1.0, "-1.0": -1.0, "2.0": 2.0, "-2.0": -2.0, "4.0": 4.0,
    "-4.0": -4.0, "0.15915494": 0.15915494309189532, "0.15915494309189532": 0.15915494309189532,
    "0.15915494309189535": 0.15915494309189532,
}  # fmt: skip
_REGISTER = re.compile(r"(ttmp|[sva])(?:(\d+)|\[(\d+):(\d+)\])")
SPECIAL = {
    "vcc": VCC, "vcc_lo": VCC, "vcc_hi": VCC + 1, "exec": EXEC, "exec_lo": EXEC,
    "exec_hi": EXEC + 1, "m0": M0,
}  # fmt: skip
NULL = "null"
Read = Callable[[Waves], Any]


def vector_register(text: str) -> int | None:
    """Return the number of a vector register (accumulators behind), None for anything else."""
    found = _REGISTER.fullmatch(text)
    if found is None or found[1] not in ("v", "a"):
        return None
    return int(found[2] or found[3]) + (ACCUMULATORS if found[1] == "a" else 0)


def scalar_register(text: str) -> int | None:
    """Return the number of a scalar register, None for anything else."""
    if text in SPECIAL:
        return SPECIAL[text]
    found = _REGISTER.fullmatch(text)
    if found is None or found[1] in ("v", "a"):
        return None
    return int(found[2] or found[3]) + (TRAP + 4 if found[1] == "ttmp" else 0)


def number(text: str, kind: str) -> int:
    """Return the bits of a constant operand as ``kind`` reads it."""
    if text in INLINE_FLOATS:
        value = INLINE_FLOATS[text]
        if kind == "f64":
            return int(np.array(value, F64).view(U64))
        if kind == "f16":
            return int(np.array(value, F16).view(U16))
        return int(np.array(value, F32).view(U32))
    bits = int(text, 0)
    if kind == "f64" and bits > 64:
        # A literal of 32 bits is the high half of a double.
        return bits << 32
    return bits & ((1 << 64) - 1)


VIEWS: dict[str, Any] = {"u32": U32, "i32": I32, "f32": F32, "b32": U32}
WIDE_VIEWS: dict[str, Any] = {"u64": U64, "i64": I64, "f64": F64, "b64": U64}


def unknown(ins: Instruction, chip: str = "AMD GPUs") -> UnknownInstructionError:
    """Return the error for an instruction, operand or modifier without a meaning here."""
    return UnknownInstructionError(text=ins.text, chip=chip)


def reader(text: str, kind: str) -> Read:
    """Return how an operand is read as lanes: arrays that broadcast to [waves, lanes].

    ``kind``: u32, i32, f32, u64, i64, f64, f16 (low half) or u16.
    """
    if kind in ("f16", "u16", "i16"):
        return _half_reader(text, kind)
    negate, magnitude, plain = _sign_modifiers(text, kind)
    read = _plain_reader(plain, kind)
    if magnitude and negate:
        return lambda w: -np.abs(read(w))
    if magnitude:
        return lambda w: np.abs(read(w))
    if negate:
        return lambda w: -read(w)
    return read


def _sign_modifiers(text: str, kind: str) -> tuple[bool, bool, str]:
    if kind[0] != "f":
        return False, False, text
    negate = text.startswith("-") and text not in INLINE_FLOATS and not text[1:2].isdigit()
    text = text[1:] if negate else text
    if text.startswith("neg("):
        negate, text = True, text[4:-1]
    magnitude = text.startswith(("|", "abs("))
    if text.startswith("abs("):
        text = text[4:-1]
    return negate, magnitude, text.strip("|")


def _plain_reader(text: str, kind: str) -> Read:
    wide = kind in WIDE_VIEWS
    view = WIDE_VIEWS[kind] if wide else VIEWS[kind]
    at = vector_register(text)
    if at is not None:
        return _wide_vector(at, view) if wide else _narrow_vector(at, view)
    register = scalar_register(text)
    if register is not None:
        return _scalar_lanes(register, view, wide)
    bits = number(text, kind)
    made = np.full((1, 1), bits, U64)
    constant = made.view(view) if wide else made.astype(U32).view(view)
    return lambda _: constant


def _narrow_vector(at: int, view: Any) -> Read:
    if view is U32:
        return lambda w: w.v[at]
    return lambda w: w.v[at].view(view)


def _wide_vector(at: int, view: Any) -> Read:
    def read(w: Waves) -> Any:
        both = w.v[at + 1].astype(U64)
        both <<= HALF
        both |= w.v[at]
        return both.view(view)

    return read


def _scalar_lanes(register: int, view: Any, wide: bool) -> Read:
    if wide:
        return lambda w: scalar_pair(w, register).view(view)[:, None]
    if register in (EXEC, EXEC + 1):
        shift = HALF if register != EXEC else U64(0)
        return lambda w: (w.mask >> shift).astype(U32).view(view)[:, None]
    return lambda w: w.s[register].view(view)[:, None]


def scalar_pair(w: Waves, register: int) -> Array:
    """Return two scalar registers as one number for each wave."""
    if register == EXEC:
        return w.mask
    return w.s[register].astype(U64) | w.s[register + 1].astype(U64) << HALF


def _half_reader(text: str, kind: str) -> Read:
    """16-bit operands are the low halves of registers; float constants are halves already."""
    view = {"f16": F16, "u16": U16, "i16": I16}[kind]
    negate, magnitude, plain = _sign_modifiers(text, kind)
    is_register = vector_register(plain) is not None or scalar_register(plain) is not None
    if is_register:
        low = _plain_reader(plain, "u32")

        def read(w: Waves) -> Any:
            return low(w).astype(U16).view(view)
    else:
        constant = np.full((1, 1), number(plain, "f16" if kind == "f16" else "u32"), U64)
        fixed = constant.astype(U16).view(view)

        def read(w: Waves) -> Any:
            return fixed

    if magnitude:
        return (lambda w: -np.abs(read(w))) if negate else (lambda w: np.abs(read(w)))
    return (lambda w: -read(w)) if negate else read
