"""What lanes of a workgroup do together: ids, barriers, shuffles, matrix units, copies, prints."""

from __future__ import annotations

from typing import Any

from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import gpu, kdsl
from kdsl.dialects.arith import constant_of
from kdsl.ir.core import Value
from kdsl.ir.types import I1, INDEX, VectorType, element_type
from kdsl_ptx.emit.integers import extend_text, widen_text
from kdsl_ptx.emit.writer import Writer, class_of

lower = LoweringTable("the PTX back end")

AXES = "xyz"
ALL_LANES = -1
SUBGROUP = 32
SHUFFLES = {"xor": "bfly", "up": "up", "down": "down", "idx": "idx"}


def special(w: Writer, name: str) -> str:
    """Return a special register's value, read once at the kernel's start."""
    key = ("special", name)
    found = w.terms.get(key)
    if found is None:
        found = w.terms[key] = w.new("r")
        w.entry.append(f"\tmov.u32 {found}, %{name};")
    return found


@lower(gpu.ThreadId)
def thread_id(op: gpu.ThreadId, w: Writer) -> None:
    """Workgroups have one dimension."""
    w.bind_low(op.y, [special(w, "tid.x") if op.dimension == gpu.X else "0"])


@lower(kdsl.ProgramId)
def program_id(op: kdsl.ProgramId, w: Writer) -> None:
    w.bind_low(op.y, [special(w, f"ctaid.{AXES[op.axis]}")])


@lower(kdsl.NumPrograms)
def num_programs(op: kdsl.NumPrograms, w: Writer) -> None:
    w.bind_low(op.y, [special(w, f"nctaid.{AXES[op.axis]}")])


@lower(gpu.Barrier)
def barrier(op: gpu.Barrier, w: Writer) -> None:
    w.do("bar.sync 0")


@lower(gpu.Shuffle)
def shuffle(op: gpu.Shuffle, w: Writer) -> None:
    """The last operand holds the run's size and where a read is clamped."""
    width = constant_of(op.width)
    if width is None:
        raise lower.refuse(op, "the width must be a constant")
    mode = SHUFFLES[op.mode_name]
    clamp = ((SUBGROUP - int(width)) << 8) | (0 if mode == "up" else 31)
    offset = w.one(op.offset)
    tail = f"{offset}, {hex(clamp)}, {ALL_LANES}"
    valid = w.new("p") if op.valid.users else ""
    mark = f"|{valid}" if valid else ""
    text = w.register(w.one(op.value), class_of(element_type(op.value.type)))
    if element_type(op.value.type).bits == 32:
        found = w.new("r")
        w.do(f"shfl.sync.{mode}.b32 {found}{mark}, {text}, {tail}")
        w.bind(op.y, [found])
    else:
        halves = [w.new("r"), w.new("r")]
        w.do(f"mov.b64 {{{halves[0]}, {halves[1]}}}, {text}")
        got = [w.new("r"), w.new("r")]
        for at, half in enumerate(halves):
            w.do(f"shfl.sync.{mode}.b32 {got[at]}{mark}, {half}, {tail}")
        w.bind(op.y, [w.let("d", "mov.b64", f"{{{got[0]}, {got[1]}}}")])
    w.bind(op.valid, [valid or "true"])


# --------------------------------------------------------------------------------------- printing


@lower(kdsl.Print)
def print_values(op: kdsl.Print, w: Writer) -> None:
    """The driver's vprintf: a format and a buffer of promoted arguments."""
    texts = op.format.split("{}")
    pieces = [_escape(texts[0])]
    args: list[str] = []
    for value, text in zip(op.values, texts[1:], strict=True):
        pieces += [_conversions(w, value, args), _escape(text)]
    name = w.parts.string("".join(pieces) + "\n")
    w.parts.prints = True
    start = -(-w.local_bytes // 8) * 8
    w.local_bytes = max(w.local_bytes, start + 8 * max(len(args), 1))
    base = w.let("d", "mov.b64", "kdsl_local")
    for i, arg in enumerate(args):
        w.do(f"st.local.b64 [{base}+{start + 8 * i}], {arg}")
    place = w.let("d", "add.s64", base, start)
    generic = w.let("d", "cvta.local.u64", place)
    text = w.let("d", "mov.b64", name)
    where = w.let("d", "cvta.global.u64", text)
    w.lines.append(
        "\t{ .param .b64 a; .param .b64 b; .param .b32 r; "
        f"st.param.b64 [a], {where}; st.param.b64 [b], {generic}; "
        "call.uni (r), vprintf, (a, b); }"
    )


def _escape(text: str) -> str:
    return text.replace("%", "%%").replace("{{", "{").replace("}}", "}")


def _conversions(w: Writer, value: Value, args: list[str]) -> str:
    words = [_scalar(w, text, value, args) for text in w.loose(value)]
    return f"[{' '.join(words)}]" if isinstance(value.type, VectorType) else words[0]


def _scalar(w: Writer, text: str, value: Value, args: list[str]) -> str:
    """Append an element promoted to 64 bits; return its C conversion."""
    element = element_type(value.type)
    if element.kind == "f":
        held = w.register(text, class_of(element))
        if element.bits == 16:
            held = widen_text(w, held, element)
        if element.bits == 8:
            raise lower.refuse(value.op, f"{element} is not printed")  # type: ignore[arg-type]
        args.append(held if element.bits == 64 else w.let("d", "cvt.f64.f32", held))
        return "%g"
    if element is not INDEX and element.bits < 64:
        sign = "u" if element is I1 else "s"
        text = extend_text(w, text, element, INDEX, sign)
    args.append(w.register(text, "d"))
    return "%lld"


# ------------------------------------------------------------------------------------ matrix units

MMA_TYPES = {
    "bf16": "bf16", "f16": "f16", "f32": "tf32", "i8": "s8", "f8E4M3FN": "e4m3", "f8E5M2": "e5m2",
}  # fmt: skip
ACCUMULATORS = {"f32": "f32", "f16": "f16", "i32": "s32"}


def matrix_word(shape: str, a: Any, b: Any, c: Any) -> str:
    """Return the mma instruction of a shape ("m16n8k16") and element types."""
    acc = ACCUMULATORS[c.text]
    return f"mma.sync.aligned.{shape}.row.col.{acc}.{MMA_TYPES[a.text]}.{MMA_TYPES[b.text]}.{acc}"


def write_matrix_multiply(op: Any, w: Writer, shape: str) -> None:
    """One matrix instruction: operands ``a``, ``b``, ``c``, all vectors in the atom's layouts."""
    word = matrix_word(shape, *(element_type(v.type) for v in (op.a, op.b, op.c)))
    rows = [[w.register(t, "r") for t in w.registers(v)] for v in (op.a, op.b, op.c)]
    made = [w.new("r") for _ in rows[2]]
    listed = ", ".join(f"{{{', '.join(row)}}}" for row in (made, *rows))
    w.do(f"{word} {listed}")
    w.bind_registers(op.results[0], made)
