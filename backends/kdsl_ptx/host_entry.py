"""Host entries as LLVM IR: grids, workspaces, tensor maps and launches, in native code.

An entry is ``i32 kdsl_entry_<name>(ptr slots)``: the slots of its arguments, then the stream and
the device's number. What it calls is ``driver.ll``; the image itself is put in by ``artifact``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kdsl.codegen.llvm import memory, values
from kdsl.codegen.llvm.control import OUT_OF_MEMORY, control, fail_unless, write_block
from kdsl.codegen.llvm.function import FIRST_METADATA, Buffer, FunctionWriter, Options
from kdsl.codegen.llvm.types import Spelling, item_bytes
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import func, kdsl, memref
from kdsl.errors import InternalError
from kdsl.ir.core import BlockArgument, Module, Value
from kdsl.ir.types import DYNAMIC, I1, MemRefType, ScalarType, Type
from kdsl.target.features import Features
from kdsl_ptx import abi
from kdsl_ptx.abi import KernelFacts, is_pointer
from kdsl_ptx.dialect import tile
from kdsl_ptx.driver_ir import MAP_CACHE_BYTES, MAX_DEVICES, STATE_BYTES

SLOT_BYTES = 8
EXTRA_SLOTS = 2
"""After the arguments: the stream, and the number of the device."""
IMAGE = "{IMAGE}"
"""Where the image's bytes come in the text."""
IMAGE_SECTION = ".rodata.kdsl_image"

lower = LoweringTable("the host launcher")
lower.include(values.lower)
control(lower)
# An argument that is left out is a buffer without elements on the stack.
for kind in (memref.Dim, memref.Cast, memref.Alloca, kdsl.Address):
    lower(kind)(memory.lower._rows[kind])

MAP_TYPES = {
    "i8": 0, "f8E4M3FN": 0, "f8E5M2": 0, "i16": 1, "i32": 3, "i64": 5, "f16": 6, "f32": 7,
    "f64": 8, "bf16": 9,
}  # fmt: skip
"""CUtensorMapDataType of an element type."""
PROMOTIONS = {0: 0, 64: 1, 128: 2, 256: 3}
SWIZZLE_128 = 3
MAX_MAP_RANK = 5

DECLARATIONS = """\
declare i32 @kdsl_gpu_begin(ptr, ptr, ptr, i64)
declare void @kdsl_gpu_end(ptr)
declare i32 @kdsl_gpu_launch(ptr, ptr, i64, i64, i64, ptr)
declare i32 @kdsl_gpu_alloc(ptr, ptr, i64)
declare i32 @kdsl_gpu_free(ptr, ptr)
declare i64 @kdsl_gpu_sms(ptr)
declare i32 @kdsl_gpu_counter(ptr, ptr)
declare i32 @kdsl_gpu_map(ptr, ptr, ptr, ptr, ptr)"""


class Host(FunctionWriter):
    """The writer of one entry; ``places`` hold workspaces that an early end frees."""

    def __init__(self, spelling: Spelling, parts: Parts) -> None:
        super().__init__(spelling, Options(), parts.metadata)
        self.parts = parts
        self.cleanup: list[str] = []
        self.owners: dict[str, str] = {}


class Parts:
    """What the entries of a module share: kernels by number, constants, metadata."""

    def __init__(self, module: Module, facts: Mapping[str, KernelFacts]) -> None:
        self.module = module
        self.facts = facts
        self.metadata = list(FIRST_METADATA)
        self.globals: list[str] = []
        kernels = [f for f in module.functions if isinstance(f, func.Func) and f.is_kernel]
        self.kernels = {kernel.sym_name: kernel for kernel in kernels}
        self.numbers = {name: number for number, name in enumerate(self.kernels)}

    def constant(self, stem: str, text: str) -> str:
        """Add a global and return its name."""
        name = f"@kdsl.{stem}{len(self.globals)}"
        self.globals.append(f"{name} = {text}")
        return name


def host_text(module: Module, facts: Mapping[str, KernelFacts]) -> str:
    """Return the module's entries as LLVM IR text; ``facts`` are of its kernels by name."""
    parts = Parts(module, facts)
    spelling = Spelling(Features())
    entries = [f for f in module.functions if isinstance(f, func.Func) and f.is_entry]
    bodies = [_entry(op, Host(spelling, parts), descriptor_symbol(entries[0])) for op in entries]
    head = [_descriptor(parts, descriptor_symbol(entries[0]))] if entries else []
    metadata = [f"!{i} = {text}" for i, text in enumerate(parts.metadata)]
    return "\n".join([*head, *parts.globals, DECLARATIONS, *bodies, *metadata, ""])


def descriptor_symbol(entry: func.Func) -> str:
    """Return the name of the module's descriptor, which its first entry lends."""
    return f"kdsl_module_{entry.sym_name}"


def _descriptor(parts: Parts, symbol: str) -> str:
    """The image, the kernels' names and sizes, and room for what is loaded on each device."""
    found = [parts.facts[name] for name in parts.kernels]
    lines = [f'@kdsl.image = internal constant {IMAGE}, section "{IMAGE_SECTION}", align 64']
    for i, fact in enumerate(found):
        text = fact.symbol + "\0"
        data = text.replace("\0", "\\00")
        lines.append(f'@kdsl.kernel{i} = private constant [{len(text)} x i8] c"{data}"')
    n = len(found)
    names = ", ".join(f"ptr @kdsl.kernel{i}" for i in range(n))
    sizes = ", ".join(f"i32 {fact.shared}" for fact in found)
    kind = f"{{ i64, ptr, ptr, ptr, ptr, [{MAX_DEVICES} x ptr] }}"
    tables = "ptr @kdsl.image, ptr @kdsl.kernels, ptr @kdsl.shared, ptr null"
    fields = f"{{ i64 {n}, {tables}, [{MAX_DEVICES} x ptr] zeroinitializer }}"
    lines += [
        f"@kdsl.kernels = internal constant [{n} x ptr] [{names}]",
        f"@kdsl.shared = internal constant [{n} x i32] [{sizes}]",
        f'@"{symbol}" = hidden global {kind} {fields}, align 64',
    ]
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------- entries


def _entry(op: func.Func, w: Host, descriptor: str) -> str:
    count = _unpack(op, w)
    stream = _slot(w, count, "ptr")
    device = _slot(w, count + 1, "i64")
    w.entry.append(f"  %state = alloca [{STATE_BYTES} x i8], align 8")
    begin = f'call i32 @kdsl_gpu_begin(ptr @"{descriptor}", ptr %state, ptr {stream}, i64 {device})'
    w.jump("begin")
    w.start("begin")
    began = w.let(begin)
    w.branch(w.let(f"icmp eq i32 {began}, 0"), "start", "refused")
    w.start("refused")
    w.do(f"ret i32 {began}")
    w.start("start")
    end = write_block(w, op.body, lower)
    if end is not None and end.operands:
        raise lower.refuse(end, "an entry returns no values")
    w.do("call void @kdsl_gpu_end(ptr %state)")
    w.do("ret i32 0")
    if w.failures:
        _failure(w)
    head = f'define i32 @"kdsl_entry_{op.sym_name}"(ptr %slots)'
    return f"{head} nounwind {{\nentry:\n{w.text()}\n}}\n"


def _failure(w: Host) -> None:
    """Free workspaces and return the status of what failed first."""
    w.lines.append("failed:")
    status = w.fresh()
    w.do(f"{status} = phi i32 {', '.join(w.failures)}")
    for place in w.cleanup:
        w.do(f"call i32 @kdsl_gpu_free(ptr %state, ptr {w.let(f'load ptr, ptr {place}')})")
    w.do("call void @kdsl_gpu_end(ptr %state)")
    w.do(f"ret i32 {status}")


def slot_count(t: Type) -> int:
    """Return how many slots an argument takes: a pointer one, a tensor also sizes and strides."""
    if isinstance(t, MemRefType) and not is_pointer(t):
        return 1 + 2 * t.rank
    return 1


def _unpack(op: func.Func, w: Host) -> int:
    """Read the arguments from their slots; return how many slots those are."""
    at = 0
    for arg in op.body.args:
        _unpack_one(w, arg, at)
        at += slot_count(arg.type)
    return at


def _slot(w: Host, index: int, kind: str) -> str:
    place = w.in_entry(f"getelementptr i8, ptr %slots, i64 {index * SLOT_BYTES}")
    return w.in_entry(f"load {kind}, ptr {place}, align 8")


def _unpack_one(w: Host, arg: Value, at: int) -> None:
    t = arg.type
    if isinstance(t, ScalarType):
        text = _slot(w, at, w.spelling.memory(t))
        if t is I1:
            text = w.in_entry(f"icmp ne i8 {text}, 0")
        w.bind(arg, text)
        w.depths[text] = 0
        return
    if not isinstance(t, MemRefType):
        raise InternalError(what=f"{t} cannot be passed to a kernel")
    buffer = Buffer(_slot(w, at, "ptr"), list(t.shape), list(t.element_strides))
    if not is_pointer(t):
        for axis in range(t.rank):
            if t.shape[axis] == DYNAMIC:
                buffer.sizes[axis] = _slot(w, at + 1 + axis, "i64")
            if t.element_strides[axis] == DYNAMIC:
                buffer.strides[axis] = _slot(w, at + 1 + t.rank + axis, "i64")
    w.buffers[arg] = buffer


def succeed(w: Host, call: str) -> None:
    """Write a call that returns a status; leave the entry unless it is 0."""
    status = w.let(f"call i32 {call}")
    fail_unless(w, w.let(f"icmp eq i32 {status}, 0"), status)


# --------------------------------------------------------------------------------------- launches


@lower(kdsl.Launch)
def launch(op: kdsl.Launch, w: Host) -> None:
    """Fill the parameters, and a table of their addresses, on the stack."""
    kernel = w.parts.kernels.get(op.kernel.name)
    if kernel is None:
        raise lower.refuse(op, f"@{op.kernel.name} is no kernel")
    params = abi.kernel_params(kernel)
    table = w.in_entry(f"alloca [{len(params)} x ptr], align 8")
    for i, param in enumerate(params):
        place = _param(w, param, op.args)
        at = w.let(f"getelementptr ptr, ptr {table}, i64 {i}")
        w.do(f"store ptr {place}, ptr {at}")
    sizes = ", ".join(f"i64 {w.names[v]}" for v in (op.x, op.y, op.z))
    site = _launch_site(w, op, w.parts.facts[kernel.sym_name])
    succeed(w, f"@kdsl_gpu_launch(ptr %state, ptr {site}, {sizes}, ptr {table})")


def _launch_site(w: Host, op: kdsl.Launch, facts: KernelFacts) -> str:
    overlap = int(abi.PDL in op.attributes)
    number = w.parts.numbers[op.kernel.name]
    fields = (number, facts.threads, facts.shared, overlap, *facts.cluster)
    text = ", ".join(f"i32 {n}" for n in fields)
    return w.parts.constant("site", f"internal constant [{len(fields)} x i32] [{text}]")


def _param(w: Host, param: abi.Param, args: Any) -> str:
    """Return the address of a parameter's value."""
    if param.kind == abi.MAP:
        return w.let(f"inttoptr i64 {w.names[args[param.arg]]} to ptr")
    typed = _param_value(w, param, args)
    place = w.in_entry("alloca i64, align 8")
    w.do(f"store {typed}, ptr {place}, align 8")
    return place


def _param_value(w: Host, param: abi.Param, args: Any) -> str:
    if param.kind == abi.STATUS:
        at = w.let("getelementptr i8, ptr %state, i64 32")
        return f"ptr {w.let(f'load ptr, ptr {at}')}"
    value = args[param.arg]
    if param.kind == abi.SCALAR:
        if value.type is I1:
            return f"i8 {w.let(f'zext {w.typed(value)} to i8')}"
        return w.typed(value)
    buffer = w.buffers[value]
    if param.kind == abi.POINTER:
        return f"ptr {buffer.base}"
    numbers = buffer.sizes if param.kind == abi.SIZE else buffer.strides
    return f"i64 {numbers[param.axis]}"


# -------------------------------------------------------------------------------------- workspaces


@lower(memref.Alloc)
def alloc(op: memref.Alloc, w: Host) -> None:
    """Memory of the stream; a size beyond 62 bits, like no memory, is status 2."""
    t = op.memref_type
    given = iter([w.names[v] for v in op.sizes])
    sizes: list[Any] = [next(given) if n == DYNAMIC else n for n in t.shape]
    total = _byte_count(w, sizes, item_bytes(t.element))
    place = w.in_entry("alloca ptr, align 8")
    w.entry.append(f"  store ptr null, ptr {place}")
    w.cleanup.append(place)
    succeed(w, f"@kdsl_gpu_alloc(ptr %state, ptr {place}, i64 {total})")
    base = w.let(f"load ptr, ptr {place}")
    w.owners[base] = place
    w.buffers[op.y] = Buffer(base, sizes, _row_major(w, sizes, t))


def _byte_count(w: Host, sizes: list[Any], item: int) -> str:
    total = str(item)
    for size in sizes:
        pair = w.let(f"call {{ i64, i1 }} @llvm.umul.with.overflow.i64(i64 {total}, i64 {size})")
        total = w.let(f"extractvalue {{ i64, i1 }} {pair}, 0")
        over = w.let(f"extractvalue {{ i64, i1 }} {pair}, 1")
        huge = w.let(f"icmp ugt i64 {total}, {1 << 62}")
        bad = w.let(f"or i1 {over}, {huge}")
        fail_unless(w, w.let(f"xor i1 {bad}, true"), OUT_OF_MEMORY)
    return total


def _row_major(w: Host, sizes: list[Any], t: MemRefType) -> list[Any]:
    strides: list[Any] = []
    step: Any = 1
    for size, known in zip(reversed(sizes), reversed(t.element_strides), strict=True):
        strides.append(step if known == DYNAMIC else known)
        if isinstance(step, int) and isinstance(size, int):
            step *= size
        else:
            step = w.let(f"mul i64 {step}, {size}")
    return list(reversed(strides))


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
    succeed(w, f"@kdsl_gpu_free(ptr %state, ptr {base})")


# ------------------------------------------------------------------------------------ device words


@lower(tile.SmCount)
def sm_count(op: tile.SmCount, w: Host) -> None:
    w.result(op.y, "call i64 @kdsl_gpu_sms(ptr %state)")


@lower(tile.Counter)
def counter(op: tile.Counter, w: Host) -> None:
    place = w.in_entry("alloca i64, align 8")
    succeed(w, f"@kdsl_gpu_counter(ptr %state, ptr {place})")
    w.result(op.address, f"load i64, ptr {place}")


@lower(tile.TensorMap)
def tensor_map(op: tile.TensorMap, w: Host) -> None:
    """Collect address, extents and byte strides; the map itself is made, or found, elsewhere."""
    buffer = w.buffers[op.source]
    numbers = [w.let(f"ptrtoint ptr {buffer.base} to i64"), *_map_axes(op, w, buffer)]
    place = w.in_entry(f"alloca [{len(numbers)} x i64], align 8")
    for i, number in enumerate(numbers):
        at = w.let(f"getelementptr i64, ptr {place}, i64 {i}")
        w.do(f"store i64 {number}, ptr {at}")
    spec = w.parts.constant("spec", _map_spec(op))
    cache = w.parts.constant(
        "map", f"internal global [{MAP_CACHE_BYTES} x i8] zeroinitializer, align 64"
    )
    made = w.in_entry(f"alloca [{abi.MAP_BYTES} x i8], align {abi.MAP_ALIGN}")
    call = f"@kdsl_gpu_map(ptr %state, ptr {cache}, ptr {spec}, ptr {place}, ptr {made})"
    succeed(w, call)
    w.result(op.address, f"ptrtoint ptr {made} to i64")


def _other_axes(op: tile.TensorMap) -> list[int]:
    return [axis for axis in reversed(range(op.source.type.rank)) if axis not in op.dims]


def _map_axes(op: tile.TensorMap, w: Host, buffer: Buffer) -> list[str | int]:
    """Return the map's extents, innermost first, then the byte strides of all but the first."""
    r, c = op.dims
    item = item_bytes(op.source.type.element)
    rows, columns = (
        _stopped(w, buffer.sizes[axis], op.rows[i : i + 1]) for i, axis in enumerate((r, c))
    )
    others = _other_axes(op)
    strides = [_bytes(w, buffer.strides[axis], item) for axis in (r, *others)]
    if not op.split:
        return [columns, rows, *(buffer.sizes[axis] for axis in others), *strides]
    panels = int(columns) // tile.PANEL
    extents = [tile.PANEL, rows, panels, *(buffer.sizes[axis] for axis in others)]
    return [*extents, strides[0], tile.PANEL * item, *strides[1:]]


def _stopped(w: Host, size: str | int, stops: Sequence[Value]) -> str | int:
    """Return a buffer's size, or a stop before it."""
    if not stops:
        return size
    stop = w.let(f"call i64 @llvm.smax.i64(i64 {w.names[stops[0]]}, i64 0)")
    return w.let(f"call i64 @llvm.smin.i64(i64 {stop}, i64 {size})")


def _bytes(w: Host, stride: str | int, item: int) -> str | int:
    return stride * item if isinstance(stride, int) else w.let(f"mul i64 {stride}, {item}")


def _map_spec(op: tile.TensorMap) -> str:
    box = [tile.PANEL, op.box[0]]
    if op.split:
        box.append(op.box[1] // tile.PANEL)
    box += [1] * (MAX_MAP_RANK - len(box))
    promotion = PROMOTIONS.get(op.promotion)
    if promotion is None:
        raise lower.refuse(op, f"promotion = {op.promotion}")
    kind = MAP_TYPES[op.source.type.element.text]
    argument = argument_number(op.source) + 1
    fields = (op.rank, kind, SWIZZLE_128, promotion, argument, *box)
    return f"internal constant [{len(fields)} x i32] [{', '.join(f'i32 {n}' for n in fields)}]"


def argument_number(value: Value) -> int:
    """Return which argument of the entry a buffer is, -1 for a workspace."""
    while isinstance(value.op, memref.Cast):
        value = value.op.source
    return value.index if isinstance(value, BlockArgument) else -1
