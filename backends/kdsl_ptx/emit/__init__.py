"""PTX text from lane-level IR.

    text = device_text(module, target)      # all kernels of a module
    kernel_facts(module, target)            # name -> what a launch needs to know

A kernel is a ``func.func`` with ``kdsl.kernel``; ``kdsl.lanes`` says how many threads a workgroup
has. ``LOWER`` is the table of all ops; ``LOWER(Kind)(function)`` adds a row.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import func
from kdsl.errors import WorkgroupLimitError
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.types import I1, MemRefType, ScalarType
from kdsl.target.target import Target
from kdsl_ptx import abi
from kdsl_ptx.dialect import machine, tile
from kdsl_ptx.emit import control, floats, instructions, integers, lanes, memory, vectors
from kdsl_ptx.emit.memory import GLOBAL
from kdsl_ptx.emit.writer import DECLARED, Buffer, ModuleParts, Writer, class_of

MAX_REGISTERS = "ptx.max_registers"
MIN_WORKGROUPS = "ptx.min_workgroups"
ARGUMENT_ALIGN = "kdsl.arg_align"
"""On a kernel: what divides the address of each argument, in bytes."""
SCHEDULE = "// schedule of "
SHARED_ALIGN = 1024

LOWER = LoweringTable("the PTX back end")
for _part in (integers, floats, vectors, memory, lanes, control, instructions):
    LOWER.include(_part.lower)
control.control(LOWER)


@dataclass(frozen=True)
class DeviceCode:
    """The text of a module's kernels and what launches need to know of them, by function name."""

    text: str
    kernels: dict[str, abi.KernelFacts]


def device_text(module: Module, target: Target) -> str:
    """Return all kernels of a module as PTX."""
    return device_code(module, target).text


def kernel_facts(module: Module, target: Target) -> dict[str, abi.KernelFacts]:
    """Return what a launch needs to know of each kernel, by function name."""
    return device_code(module, target).kernels


def device_code(module: Module, target: Target) -> DeviceCode:
    """Write all kernels of a module."""
    from kdsl_ptx.features import compute_capability, ptx_version

    parts = ModuleParts(module, compute_capability(target.chip))
    bodies: list[str] = []
    kernels: dict[str, abi.KernelFacts] = {}
    for op in module.functions:
        if isinstance(op, func.Func) and op.is_kernel:
            text, facts = _kernel(op, parts)
            _check_limits(op, facts, target)
            bodies.append(text)
            kernels[op.sym_name] = facts
    head = [
        f".version {ptx_version(target.chip)}",
        f".target {target.chip.split(',')[0]}",
        ".address_size 64",
        f".extern .shared .align {SHARED_ALIGN} .b8 kdsl_shared[];",
    ]
    if parts.prints:
        head.append(".extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);")
    head += [_string(name, text) for text, name in parts.strings.items()]
    return DeviceCode("\n".join([*head, *bodies, ""]), kernels)


def _check_limits(op: func.Func, facts: abi.KernelFacts, target: Target) -> None:
    """Raise WorkgroupLimitError when no processor of the chip could run a workgroup."""
    has = target.features
    rows = (
        (facts.shared, has.shared_bytes, "bytes of memory"),
        (facts.threads, has.max_lanes, "lanes"),
    )
    for takes, limit, what in rows:
        if takes > limit:
            words = _schedule(op)
            raise WorkgroupLimitError(
                kernel=op.sym_name, schedule=f" (schedule {words})" if words else "",
                takes=takes, limit=limit, what=what, target=target,
            )  # fmt: skip


def _schedule(op: func.Func) -> str:
    """Return the kernel's schedule in words, which errors quote, or nothing."""
    found = op.attributes.get(tile.SCHEDULE)
    return found if isinstance(found, str) else ""


def _string(name: str, text: str) -> str:
    data = text.encode() + b"\0"
    return f".global .align 1 .b8 {name}[{len(data)}] = {{{', '.join(map(str, data))}}};"


# ------------------------------------------------------------------------------------- one kernel


def _kernel(op: func.Func, parts: ModuleParts) -> tuple[str, abi.KernelFacts]:
    facts = abi.facts_of(op)
    w = Writer(parts, facts.threads)
    w.order = {inner: i for i, inner in enumerate(op.walk())}
    if any(type(inner) in TIES_REGISTERS for inner in w.order):
        w.owners = {}
    w.barriers = any(type(inner) in COUNTED_BARRIERS for inner in w.order)
    params = _parameters(op, w)
    control.write_block(w, op.body, LOWER)
    w.do("ret")
    facts = abi.facts_of(op, w.shared_bytes)
    return _text(op, w, params, facts), facts


TIES_REGISTERS: set[type[Op]] = {machine.Wgmma}
"""Ops that change registers in place: only with them it matters who shares a register."""
COUNTED_BARRIERS: set[type[Op]] = {machine.MbarrierInit, machine.BarSync, machine.BarArrive}
"""Ops for which a lane that has ended would be missing."""


def _text(op: func.Func, w: Writer, params: list[str], facts: abi.KernelFacts) -> str:
    lines = []
    if words := _schedule(op):
        lines.append(f"{SCHEDULE}{facts.symbol}: {words}")
    lines.append(f".visible .entry {facts.symbol}({', '.join(params)})")
    lines += _directives(op, facts)
    lines.append("{")
    for kind, count in w.counts.items():
        if count:
            lines.append(f"\t.reg {DECLARED[kind]} %{kind}<{count + 1}>;")
    if w.local_bytes:
        lines.append(f"\t.local .align 16 .b8 kdsl_local[{w.local_bytes}];")
    return "\n".join([*lines, *w.entry, *w.lines, "}"])


def _directives(op: func.Func, facts: abi.KernelFacts) -> list[str]:
    found = [f".reqntid {facts.threads}"]
    for key, word in ((MIN_WORKGROUPS, ".minnctapersm"), (MAX_REGISTERS, ".maxnreg")):
        if key in op.attributes:
            found.append(f"{word} {op.attributes[key]}")
    if facts.cluster != (1, 1, 1):
        found += [".explicitcluster", f".reqnctapercluster {', '.join(map(str, facts.cluster))}"]
    return found


def _parameters(op: func.Func, w: Writer) -> list[str]:
    """Declare the parameters and read them; the status word's address comes last."""
    aligns = op.attributes.get(ARGUMENT_ALIGN, ())
    assert isinstance(aligns, tuple)
    written = _written_arguments(op)
    listed: list[str] = []
    for number, param in enumerate(abi.kernel_params(op)):
        name = f"kdsl_p{number}"
        arg = None if param.kind == abi.STATUS else op.body.args[param.arg]
        if param.kind == abi.MAP:
            assert arg is not None
            listed.append(f".param .align {param.align} .b8 {name}[{param.bytes}]")
            _read_map(w, arg, name)
            continue
        listed.append(f".param {param.type} {name}")
        if arg is None:
            w.status = _read(w, name, "d", ".b64")
        elif param.kind == abi.SCALAR:
            _read_scalar(w, arg, name, param.type)
        elif param.kind == abi.POINTER:
            align = aligns[param.arg] if param.arg < len(aligns) else 1
            _read_pointer(w, arg, name, int(align), param.arg in written)
        else:
            part = w.buffers[arg].sizes if param.kind == abi.SIZE else w.buffers[arg].strides
            part[param.axis] = _read(w, name, "d", ".b64")
    return listed


def _read(w: Writer, name: str, kind: str, type_: str) -> str:
    made = w.new(kind)
    w.entry.append(f"\tld.param{type_} {made}, [{name}];")
    return made


def _read_map(w: Writer, arg: Value, name: str) -> None:
    """A tensor map is used by its generic address."""
    made = w.new("d")
    w.entry.append(f"\tmov.b64 {made}, {name};")
    generic = w.new("d")
    w.entry.append(f"\tcvta.param.u64 {generic}, {made};")
    w.bind(arg, [generic])


def _read_scalar(w: Writer, arg: Value, name: str, type_: str) -> None:
    t = arg.type
    assert isinstance(t, ScalarType)
    if t is I1:
        byte, made = _read(w, name, "h", ".u8"), w.new("p")
        w.entry.append(f"\tsetp.ne.s16 {made}, {byte}, 0;")
        w.bind(arg, [made])
        return
    w.bind(arg, [_read(w, name, class_of(t), ".u8" if t.bits == 8 else type_)])


def _read_pointer(w: Writer, arg: Value, name: str, align: int, written: bool) -> None:
    t = arg.type
    assert isinstance(t, MemRefType)
    generic, base = _read(w, name, "d", ".b64"), w.new("d")
    w.entry.append(f"\tcvta.to.global.u64 {base}, {generic};")
    natural = t.element.numpy.itemsize
    w.buffers[arg] = Buffer(
        base, GLOBAL, list(t.shape), list(t.element_strides), max(align, natural), 0, written
    )


def _written_arguments(op: func.Func) -> set[int]:
    """Return the arguments that the kernel may write to."""
    found: set[int] = set()
    for number, arg in enumerate(op.body.args):
        if isinstance(arg.type, MemRefType) and not all(_only_reads(user) for user in arg.users):
            found.add(number)
    return found


def _only_reads(op: Op) -> bool:
    return op.name in ("memref.load", "vector.load", "vector.gather", "memref.dim")


__all__ = ["LOWER", "DeviceCode", "device_code", "device_text", "kernel_facts"]
