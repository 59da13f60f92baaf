"""A lane's place in its workgroup, barriers, and exchanges between lanes."""

from __future__ import annotations

from kdsl.codegen.clike.writer import Row, Writer, scalar_of
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import gpu
from kdsl.dialects import kdsl as tiles
from kdsl.ir.core import Op
from kdsl.ir.types import BF16, F16, F32, I1, INDEX, ScalarType, VectorType

lower = LoweringTable("a language like C")

EXCHANGES = 2
"""Buffers for exchanges in turn: a lane that writes one knows that nobody still reads it."""


@lower(gpu.ThreadId)
def thread_id(op: gpu.ThreadId, w: Writer) -> None:
    axis = gpu.DIMENSIONS.index(op.dimension.text.removeprefix("#gpu<dim ").removesuffix(">"))
    text = w.spelling.thread if axis == 0 else w.words.integer(0, 64)
    w.define(op.y, [text])


@lower(tiles.ProgramId)
def program_id(op: tiles.ProgramId, w: Writer) -> None:
    w.define(op.y, [w.spelling.program[op.axis]])


@lower(tiles.NumPrograms)
def num_programs(op: tiles.NumPrograms, w: Writer) -> None:
    w.define(op.y, [w.spelling.programs[op.axis]])


@lower(gpu.Barrier)
def barrier(op: gpu.Barrier, w: Writer) -> None:
    del op
    w.do(w.spelling.barrier)
    w.exchange = 0


@lower(gpu.Shuffle)
def shuffle(op: gpu.Shuffle, w: Writer) -> None:
    """By the language's builtin; without one, through workgroup memory."""
    value, offset, width = (w.one(v) for v in (op.value, op.offset, op.width))
    word = w.word(op.y)
    index = w.words.word(INDEX)
    lane = w.let(index, f"{w.spelling.thread} & ({index})({width} - 1u)")
    other = w.let(index, _partner(op.mode_name, lane, f"({index}){offset}"))
    w.define(op.valid, [f"{other} < ({index}){width}"])
    source = w.let(index, f"{w.one(op.valid)} ? {other} : {lane}")
    if w.spelling.shuffle is not None:
        run = f"({w.spelling.lane} & ~({index})({width} - 1u))"
        w.define(op.y, [w.spelling.shuffle(word, value, f"{run} + {source}")])
        return
    first = w.let(index, f"{w.spelling.thread} - {lane}")
    w.define(op.y, [_exchange(w, word, scalar_of(op.value), value, f"{first} + {source}")])


def _partner(mode: str, lane: str, offset: str) -> str:
    """Return the lane to read from, in its run; below zero wraps to a large number."""
    signs = {"xor": "^", "up": "-", "down": "+"}
    return offset if mode == "idx" else f"{lane} {signs[mode]} {offset}"


def _exchange(w: Writer, word: str, t: ScalarType, value: str, source: str) -> str:
    """Write, wait, read; and wait before, where an earlier reader might be late."""
    if w.exchange is None:
        w.do(w.spelling.barrier)
        w.exchange = 0
    raw = w.words.unsigned(t)
    name = f"kdsl_exchange{t.bits}_{w.exchange}"
    declaration = w.spelling.shared(raw, name, w.lanes, t.bits // 8)
    if declaration not in w.shared:
        w.shared.append(declaration)
    held = value if raw == word else w.spelling.bits(raw, value)
    w.do(f"{name}[{w.spelling.thread}] = {held};")
    w.do(w.spelling.barrier)
    w.exchange = (w.exchange + 1) % EXCHANGES
    read = f"{name}[{source}]"
    return read if raw == word else w.spelling.bits(word, read)


# ----------------------------------------------------------------------------------------- output


@lower(tiles.Print)
def print_values(op: tiles.Print, w: Writer) -> None:
    """Turn ``{}`` into C conversions; a vector is a list in brackets."""
    if w.spelling.printf is None:
        raise lower.refuse(op, "the language cannot print")
    texts = op.format.split("{}")
    pieces, args = [_escape(texts[0])], []
    for value, text in zip(op.values, texts[1:], strict=True):
        t = scalar_of(value)
        conversion, shown = _printed(op, w, w.row(value), t)
        listed = " ".join([conversion] * len(shown))
        pieces.append(f"[{listed}]" if isinstance(value.type, VectorType) else listed)
        pieces.append(_escape(text))
        args += shown
    given = "".join(f", {arg}" for arg in args)
    w.do(f'{w.spelling.printf}("{"".join(pieces)}\\n"{given});')


def _printed(op: Op, w: Writer, row: Row, t: ScalarType) -> tuple[str, list[str]]:
    """Return the conversion of one lane and the lanes as it takes them."""
    if t is I1:
        return "%d", [f"(int){x}" for x in row]
    if t.kind != "f":
        word = w.words.signed(INDEX)
        return "%ld", [f"({word})({w.words.signed(t)}){x}" for x in row]
    if not w.words.is_held(t):
        return "%g", list(row) if t.bits >= F32.bits else [f"(float){x}" for x in row]
    if t is F16:
        return "%g", [f"{w.call('kdsl_from_f16')}({x})" for x in row]
    if t is BF16:
        return "%g", [w.spelling.bits("float", f"((uint){x} << 16)") for x in row]
    raise lower.refuse(op, f"convert {t} to f32 before it is printed")


def _escape(text: str) -> str:
    plain = text.replace("%", "%%").replace("{{", "{").replace("}}", "}")
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
