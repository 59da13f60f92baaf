"""Host entries as native code: grids, workspaces and launches, with the code object inside.

An entry is ``i32 kdsl_entry_<name>(ptr slots)``: the slots of its arguments, then the stream and
the device's number. What it calls is ``hip.ll``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kdsl.codegen.llvm import memory, values
from kdsl.codegen.llvm.control import control, fail_unless, write_block
from kdsl.codegen.llvm.entries import byte_count, row_major, slot, unpack
from kdsl.codegen.llvm.function import FIRST_METADATA, Buffer, FunctionWriter, Options
from kdsl.codegen.llvm.types import Spelling, item_bytes
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import func, kdsl, memref
from kdsl.errors import AssembleError, InternalError
from kdsl.ir.core import Module
from kdsl.ir.types import DYNAMIC, I1
from kdsl.target.features import Features
from kdsl_amdgpu.abi import GRID, POINTER, SCALAR, SIZE, STATUS, Parameter
from kdsl_amdgpu.host import KernelAbi

IMAGE_SECTION = ".rodata.kdsl_image"
STATE_BYTES = 24
STATUS_AT = 16
MAX_DEVICES = 64
LEVEL = 1
BYTES = [f"\\{byte:02X}" for byte in range(256)]

FUNCTIONS = (
    "hipSetDevice", "hipModuleLoadData", "hipModuleGetFunction", "hipMalloc", "hipMemset",
    "hipModuleLaunchKernel", "hipMallocAsync", "hipFreeAsync", "hipGetErrorName",
)  # fmt: skip
LIBRARIES = ("libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5", "libamdhip64.so")
FIRST_STATUS = 2000
NO_DRIVER, OLD_DRIVER, GRID_TOO_LARGE, NO_SUCH_DEVICE = range(FIRST_STATUS, FIRST_STATUS + 4)
FORMS = (
    "%s: libamdhip64.so cannot be opened; AMD's driver must be installed",
    "%s: the driver lacks a function that launches need",
    "%s: the grid is too large",
    "%s: there is no such device",
)
"""What is found here, for a caller without Python: printf forms over the entry."""
FAILED = "%s: function %d of the driver failed with result %d (%s)"
EXPORTED = ("kdsl_hip_adopt", "kdsl_device_failure_10")

DECLARATIONS = """\
declare i32 @kdsl_hip_begin(ptr, ptr, ptr, i64)
declare i32 @kdsl_hip_launch(ptr, i64, i64, i64, i64, i32, ptr, i64)
declare i32 @kdsl_hip_alloc(ptr, ptr, i64)
declare i32 @kdsl_hip_free(ptr, ptr)"""

lower = LoweringTable("the host launcher")
lower.include(values.lower)
control(lower)
for _kind in (memref.Dim, memref.Cast, kdsl.Address):
    lower(_kind)(memory.lower._rows[_kind])


class Host(FunctionWriter):
    """The writer of one entry; ``cleanup`` holds workspaces that an early end frees."""

    def __init__(self, spelling: Spelling, abis: Mapping[str, KernelAbi]) -> None:
        super().__init__(spelling, Options(), list(FIRST_METADATA))
        self.abis = abis
        self.numbers = {name: number for number, name in enumerate(abis)}
        self.cleanup: list[str] = []
        self.owners: dict[str, str] = {}


def host_text(module: Module, abis: Mapping[str, KernelAbi], image: bytes) -> str:
    """Return the entries of a host module, and the image of its kernels, as LLVM IR text."""
    spelling = Spelling(Features())
    entries = [f for f in module.functions if isinstance(f, func.Func) and f.is_entry]
    if not entries:
        raise InternalError(what="a module without entries has nothing to launch")
    descriptor = f'@"kdsl_module_{entries[0].sym_name}"'
    bodies: list[str] = []
    metadata: list[str] = []
    for op in entries:
        w = Host(spelling, abis)
        # Loops of all entries share one list of marks.
        w.metadata[:] = metadata or w.metadata
        bodies.append(_entry(op, w, descriptor))
        metadata = list(w.metadata)
    marks = [f"!{i} = {text}" for i, text in enumerate(metadata)]
    return "\n".join(
        [*_descriptor(descriptor, list(abis), image), DECLARATIONS, *bodies, *marks, ""]
    )


def _descriptor(symbol: str, kernels: list[str], image: bytes) -> list[str]:
    """The image, the kernels' names, and room for what is loaded on each device."""
    n = len(kernels)
    lines = []
    for i, name in enumerate(kernels):
        lines.append(f"@kdsl.kernel{i} = private constant {_constant(name.encode() + bytes(1))}")
    names = ", ".join(f"ptr @kdsl.kernel{i}" for i in range(n))
    loaded = f"[{MAX_DEVICES} x ptr]"
    fields = f"i64 {n}, ptr @kdsl.image, ptr @kdsl.kernels, {loaded} zeroinitializer"
    where = f'section "{IMAGE_SECTION}", align 4096'
    lines += [
        f"@kdsl.image = internal constant {_constant(image)}, {where}",
        f"@kdsl.kernels = internal constant [{n} x ptr] [{names}]",
        f"{symbol} = hidden global {{ i64, ptr, ptr, {loaded} }} {{ {fields} }}, align 64",
    ]
    return lines


def _constant(data: bytes) -> str:
    return f'[{len(data)} x i8] c"{"".join(map(BYTES.__getitem__, data))}"'


def _entry(op: func.Func, w: Host, descriptor: str) -> str:
    count = unpack(op, w)
    stream, device = slot(w, "%slots", count, "ptr"), slot(w, "%slots", count + 1, "i64")
    w.entry.append(f"  %state = alloca [{STATE_BYTES} x i8], align 8")
    w.jump("begin")
    w.start("begin")
    _succeed(w, f"@kdsl_hip_begin(ptr {descriptor}, ptr %state, ptr {stream}, i64 {device})")
    end = write_block(w, op.body, lower)
    if end is not None and end.operands:
        raise lower.refuse(end, "an entry returns no values")
    w.do("ret i32 0")
    w.lines.append("failed:")
    status = w.fresh()
    w.do(f"{status} = phi i32 {', '.join(w.failures)}")
    for place in w.cleanup:
        w.do(f"call i32 @kdsl_hip_free(ptr %state, ptr {w.let(f'load ptr, ptr {place}')})")
    w.do(f"ret i32 {status}")
    head = f'define i32 @"kdsl_entry_{op.sym_name}"(ptr %slots)'
    return f"{head} nounwind {{\nentry:\n{w.text()}\n}}\n"


def _succeed(w: Host, call: str) -> None:
    """Write a call that returns a status; leave the entry unless it is 0."""
    status = w.let(f"call i32 {call}")
    fail_unless(w, w.let(f"icmp eq i32 {status}, 0"), status)


@lower(kdsl.Launch)
def launch(op: kdsl.Launch, w: Host) -> None:
    """Fill the argument segment on the stack, as the metadata lays it out."""
    abi = w.abis[op.kernel.name]
    held = w.in_entry(f"alloca [{max(abi.size, 1)} x i8], align 16")
    grid = [w.names[v] for v in (op.x, op.y, op.z)]
    for parameter, (offset, _) in zip(abi.parameters, abi.places, strict=False):
        place = w.let(f"getelementptr i8, ptr {held}, i64 {offset}")
        w.do(f"store {_value(w, parameter, op.args, grid)}, ptr {place}, align 1")
    sizes = ", ".join(f"i64 {n}" for n in grid)
    number = w.numbers[op.kernel.name]
    args = f"i64 {number}, {sizes}, i32 {abi.lanes}, ptr {held}, i64 {abi.size}"
    _succeed(w, f"@kdsl_hip_launch(ptr %state, {args})")


def _value(w: Host, p: Parameter, args: Any, grid: list[str]) -> str:
    """Return a parameter's value with its type."""
    if p.kind == STATUS:
        at = w.let(f"getelementptr i8, ptr %state, i64 {STATUS_AT}")
        return f"ptr {w.let(f'load ptr, ptr {at}')}"
    if p.kind == GRID:
        return f"i64 {grid[p.axis]}"
    value = args[p.argument]
    if p.kind == SCALAR:
        if value.type is I1:
            return f"i8 {w.let(f'zext {w.typed(value)} to i8')}"
        return w.typed(value)
    buffer = w.buffers[value]
    if p.kind == POINTER:
        return f"ptr {buffer.base}"
    numbers = buffer.sizes if p.kind == SIZE else buffer.strides
    return f"i64 {numbers[p.axis]}"


@lower(memref.Alloc)
def alloc(op: memref.Alloc, w: Host) -> None:
    """Memory of the stream."""
    t = op.memref_type
    given = iter([w.names[v] for v in op.sizes])
    sizes: list[Any] = [next(given) if n == DYNAMIC else n for n in t.shape]
    total = byte_count(w, sizes, item_bytes(t.element))
    place = w.in_entry("alloca ptr, align 8")
    w.entry.append(f"  store ptr null, ptr {place}")
    w.cleanup.append(place)
    _succeed(w, f"@kdsl_hip_alloc(ptr %state, ptr {place}, i64 {total})")
    base = w.let(f"load ptr, ptr {place}")
    w.owners[base] = place
    w.buffers[op.y] = Buffer(base, list(sizes), row_major(w, sizes, t))


@lower(memref.Alloca)
def absent(op: memref.Alloca, w: Host) -> None:
    """Stand for a tensor that is left out: no elements, address 0."""
    t = op.memref_type
    if not t.is_static or t.size:
        raise lower.refuse(op, "the host's stack cannot be read by a device")
    w.buffers[op.y] = Buffer("null", list(t.shape), list(t.element_strides))


@lower(memref.Dealloc)
def dealloc(op: memref.Dealloc, w: Host) -> None:
    base = w.buffers[op.source].base
    place = w.owners.get(base)
    if place is None:
        raise lower.refuse(op, "only a workspace of this entry can be freed")
    w.do(f"store ptr null, ptr {place}")
    _succeed(w, f"@kdsl_hip_free(ptr %state, ptr {base})")


# ----------------------------------------------------------------------------------------- objects


@cache
def host_triple() -> str:
    """Return the triple of the machine whose processor launches."""
    import llvmlite.binding as llvm

    return str(llvm.get_process_triple())


@cache
def _machine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(host_triple())
    return target.create_target_machine(opt=LEVEL, reloc="pic", codemodel="small")


def host_object(text: str) -> bytes:
    """Return LLVM IR text as a relocatable object of the host. Raises AssembleError."""
    import llvmlite.binding as llvm

    machine = _machine()
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise AssembleError(tool="LLVM", suffix=".ll", why=str(error).strip()) from error
    module.triple = host_triple()
    module.data_layout = str(machine.target_data)
    data: bytes = machine.emit_object(module)
    return data


@cache
def runtime_ir() -> str:
    """Return what launches need of the driver, as LLVM IR text: once in each built file."""
    numbers: dict[str, Any] = {
        "COUNT": len(FUNCTIONS),
        "TABLE_BYTES": 8 * len(FUNCTIONS),
        "DEVICES": MAX_DEVICES,
        "LIBRARY_COUNT": len(LIBRARIES),
        "FORM_COUNT": len(FORMS),
        "FIRST_STATUS": FIRST_STATUS,
        "NO_DRIVER": NO_DRIVER,
        "OLD_DRIVER": OLD_DRIVER,
        "GRID_TOO_LARGE": GRID_TOO_LARGE,
        "NO_SUCH_DEVICE": NO_SUCH_DEVICE,
        "TEXTS": "\n".join(
            [
                *_texts("names", FUNCTIONS),
                *_texts("libraries", LIBRARIES),
                *_texts("forms", FORMS),
                *_texts("failed", (FAILED, "unknown")),
            ]
        ),
    }
    numbers |= {name: number for number, name in enumerate(FUNCTIONS)}
    text = Path(__file__).with_name("hip.ll").read_text()
    for name, number in numbers.items():
        text = text.replace("{" + name + "}", str(number))
    return text


def _texts(name: str, texts: tuple[str, ...]) -> list[str]:
    """Return texts and a table of their addresses."""
    lines = [
        f'@kdsl.hip.{name}{i} = private constant [{len(t) + 1} x i8] c"{t}\\00"'
        for i, t in enumerate(texts)
    ]
    listed = ", ".join(f"ptr @kdsl.hip.{name}{i}" for i in range(len(texts)))
    kind = f"[{len(texts)} x ptr]"
    return [*lines, f"@kdsl.hip.{name} = internal constant {kind} [{listed}]"]


def image_of(data: bytes) -> bytes:
    """Return the code object that a launcher's object holds."""
    # The section header table of a 64-bit little-endian ELF file, as the ELF specification has it.
    start, entry, count, names = struct.unpack_from("<Q10xHHH", data, 40)
    rows = [struct.unpack_from("<IIQQQQ", data, start + i * entry) for i in range(count)]
    texts = rows[names][4]
    wanted = IMAGE_SECTION.encode() + b"\0"
    for name, _, _, _, offset, size in rows:
        if data.startswith(wanted, texts + name):
            return data[offset : offset + size]
    raise InternalError(what="the object holds no image")
