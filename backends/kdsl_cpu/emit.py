"""Modules as LLVM IR for a CPU: kernels run over ranges of programs, entries unpack and launch.

A kernel becomes ``i32 kernel(ptr context, i64 begin, i64 end)``, which the thread pool calls. The
context is an array of 8-byte slots: the grid's three sizes, then the arguments as the slots of an
entry hold them.
"""

from __future__ import annotations

from typing import Any

from kdsl.codegen.backend import Source
from kdsl.codegen.llvm import memory, values
from kdsl.codegen.llvm.control import OUT_OF_MEMORY, control, fail_unless, write_block
from kdsl.codegen.llvm.function import FIRST_METADATA, Buffer, FunctionWriter, Options
from kdsl.codegen.llvm.types import Spelling, item_bytes
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import func, kdsl, memref
from kdsl.errors import InternalError
from kdsl.ir.core import Module, Value
from kdsl.ir.types import DYNAMIC, I1, MemRefType, ScalarType, Type
from kdsl.target.target import Target
from kdsl_cpu.printing import print_values

SLOT_BYTES = 8
GRID_SLOTS = 3
AXES = 3
WORKSPACE_ALIGN = 64
STATUS = "i32"

lower = LoweringTable("the CPU back end")
lower.include(values.lower)
lower.include(memory.lower)
control(lower)
lower(kdsl.Print)(print_values)


class Kernel(FunctionWriter):
    """A function that knows its program: ids and grid as text, buffers to free."""

    def __init__(self, spelling: Spelling, options: Options, module: ModuleParts) -> None:
        super().__init__(spelling, options, module.metadata)
        self.module = module
        self.ids = ["0"] * AXES
        self.grid = ["1"] * AXES
        self.cleanup: list[str] = []
        self.owners: dict[str, str] = {}


class ModuleParts:
    """What functions share: metadata, constants, declarations."""

    def __init__(self, module: Module) -> None:
        self.source = module
        self.metadata = list(FIRST_METADATA)
        self.constants: list[str] = []
        self.declared: dict[str, None] = {}

    def string(self, text: str) -> str:
        """Return the global that holds ``text`` and a zero byte."""
        data = text.encode() + b"\0"
        name = f"@kdsl.text{len(self.constants)}"
        body = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:02X}" for b in data)
        self.constants.append(f'{name} = private constant [{len(data)} x i8] c"{body}"')
        return name


def emit(module: Module, target: Target) -> Source:
    """Return the module as LLVM IR text."""
    spelling = Spelling(target.features)
    options = options_of(target)
    parts = ModuleParts(module)
    bodies: list[str] = []
    entries: list[str] = []
    for op in module.functions:
        assert isinstance(op, func.Func)
        writer = Kernel(spelling, options, parts)
        if op.is_entry:
            entries.append(op.sym_name)
            bodies.append(_entry(op, writer))
        elif op.is_kernel:
            bodies.append(_kernel(op, writer))
        else:
            bodies.append(_function(op, writer))
    declarations = sorted(parts.declared)
    metadata = [f"!{i} = {text}" for i, text in enumerate(parts.metadata)]
    head = [f'target triple = "{target.triple}"'] if target.triple else []
    text = "\n".join([*head, *parts.constants, *declarations, *bodies, *metadata, ""])
    return Source(text, ".ll", tuple(entries))


def options_of(target: Target) -> Options:
    """x86 has no instruction for either maximum, but one for ``a > b ? a : b``."""
    return Options(
        native_minmax=not target.triple.startswith("x86_64"),
        bit_masks=target.features.masked_memory,
    )


# ------------------------------------------------------------------------------------- functions


def kernel_symbol(name: str) -> str:
    return f'@"kdsl_kernel_{name}"'


def entry_symbol(name: str) -> str:
    return f'@"kdsl_entry_{name}"'


def _kernel(op: func.Func, w: Kernel) -> str:
    """The programs of a range, x fastest; ids are counted, not divided, from one to the next."""
    _grid_from_context(w)
    _unpack(op, w, "%context", GRID_SLOTS)
    gx, gy = w.grid[:2]
    plane = w.in_entry(f"mul i64 {gx}, {gy}")
    x0 = w.in_entry(f"urem i64 %begin, {gx}")
    rest = w.in_entry(f"udiv i64 %begin, {gx}")
    y0 = w.in_entry(f"urem i64 {rest}, {gy}")
    z0 = w.in_entry(f"udiv i64 %begin, {plane}")
    w.open_scope()
    w.jump("program")
    w.start("program")
    phis = w.later()
    p, *w.ids = (w.fresh() for _ in range(AXES + 1))
    w.depths.update(dict.fromkeys((p, *w.ids), 1))
    write_block(w, op.body, lower)
    last = w.block
    following = w.let(f"add nuw nsw i64 {p}, 1")
    carried = _next_ids(w)
    more = w.let(f"icmp slt i64 {following}, %end")
    w.branch(more, "program", "done")
    starts = ("%begin", x0, y0, z0)
    nexts = (following, *carried)
    for name, first, then in zip((p, *w.ids), starts, nexts, strict=True):
        phis.append(f"  {name} = phi i64 [ {first}, %entry ], [ {then}, %{last} ]")
    w.close_scope()
    w.start("done")
    w.do("ret i32 0")
    head = f"define internal i32 {kernel_symbol(op.sym_name)}(ptr %context, i64 %begin, i64 %end)"
    return _finish(head, w)


def _next_ids(w: Kernel) -> list[str]:
    x, y, z = w.ids
    gx, gy, _ = w.grid
    x1 = w.let(f"add nuw nsw i64 {x}, 1")
    x_ends = w.let(f"icmp eq i64 {x1}, {gx}")
    x2 = w.let(f"select i1 {x_ends}, i64 0, i64 {x1}")
    y1 = w.let(f"add nuw nsw i64 {y}, 1")
    y2 = w.let(f"select i1 {x_ends}, i64 {y1}, i64 {y}")
    y_ends = w.let(f"icmp eq i64 {y2}, {gy}")
    y3 = w.let(f"select i1 {y_ends}, i64 0, i64 {y2}")
    z1 = w.let(f"add nuw nsw i64 {z}, 1")
    z2 = w.let(f"select i1 {y_ends}, i64 {z1}, i64 {z}")
    return [x2, y3, z2]


def _grid_from_context(w: Kernel) -> None:
    for axis in range(AXES):
        place = w.in_entry(f"getelementptr i8, ptr %context, i64 {axis * SLOT_BYTES}")
        w.grid[axis] = w.in_entry(f"load i64, ptr {place}, align 8")


def _entry(op: func.Func, w: Kernel) -> str:
    """Unpack the slots, run the host code, free what an early end leaves."""
    _unpack(op, w, "%slots", 0)
    w.jump("start")
    w.start("start")
    end = write_block(w, op.body, lower)
    if end is not None and end.operands:
        raise lower.refuse(end, "an entry returns no values")
    w.do("ret i32 0")
    return _finish(f"define i32 {entry_symbol(op.sym_name)}(ptr %slots)", w)


def _function(op: func.Func, w: Kernel) -> str:
    """A device function: status first, then its results; the program's ids come along."""
    params: list[str] = []
    for arg in op.body.args:
        params += _parameters(w, arg)
    for axis in range(AXES):
        w.ids[axis], w.grid[axis] = f"%id{axis}", f"%grid{axis}"
    params += [f"i64 {text}" for text in (*w.ids, *w.grid)]
    w.jump("start")
    w.start("start")
    end = write_block(w, op.body, lower)
    assert end is not None
    kind = _result_struct(w, op.type.results)
    made = f"{kind} zeroinitializer"
    for i, value in enumerate(end.operands):
        made = f"{kind} {w.let(f'insertvalue {made}, {w.typed(value)}, {i + 1}')}"
    w.do(f"ret {made}")
    symbol = kernel_symbol(op.sym_name)
    return _finish(f"define internal {kind} {symbol}({', '.join(params)}) alwaysinline", w, kind)


def _result_struct(w: Kernel, types: tuple[Type, ...]) -> str:
    return "{ " + ", ".join([STATUS, *(w.spelling.type(t) for t in types)]) + " }"


def _parameters(w: Kernel, arg: Value) -> list[str]:
    t = arg.type
    if not isinstance(t, MemRefType):
        w.bind(arg, w.fresh())
        return [w.typed(arg)]
    buffer = Buffer(w.fresh(), list(t.shape), list(t.element_strides))
    params = [f"ptr {buffer.base}"]
    for part in (buffer.sizes, buffer.strides):
        for axis, number in enumerate(part):
            if number == DYNAMIC:
                part[axis] = w.fresh()
                params.append(f"i64 {part[axis]}")
    w.buffers[arg] = buffer
    return params


def _finish(head: str, w: Kernel, kind: str = STATUS) -> str:
    """Close a function; the block ``failed`` frees workspaces and returns the status."""
    if w.failures:
        w.lines.append("failed:")
        status = w.fresh()
        w.do(f"{status} = phi i32 {', '.join(w.failures)}")
        for place in w.cleanup:
            w.do(f"call void @free(ptr {w.let(f'load ptr, ptr {place}')})")
        if kind == STATUS:
            w.do(f"ret i32 {status}")
        else:
            made = w.let(f"insertvalue {kind} zeroinitializer, i32 {status}, 0")
            w.do(f"ret {kind} {made}")
    return f"{head} nounwind {{\nentry:\n{w.text()}\n}}\n"


# ----------------------------------------------------------------------------------------- slots


def slot_count(t: Type) -> int:
    """Return how many slots an argument takes: a pointer one, a tensor also sizes and strides."""
    if isinstance(t, MemRefType) and not is_pointer(t):
        return 1 + 2 * t.rank
    return 1


def is_pointer(t: MemRefType) -> bool:
    """A Ptr is a vector of unknown size without a layout; a Tensor states its strides."""
    return t.strides is None and t.shape == (DYNAMIC,)


def _unpack(op: func.Func, w: Kernel, base: str, first: int) -> None:
    at = first
    for arg in op.body.args:
        _unpack_one(w, arg, base, at)
        at += slot_count(arg.type)


def _slot(w: Kernel, base: str, index: int, kind: str) -> str:
    place = w.in_entry(f"getelementptr i8, ptr {base}, i64 {index * SLOT_BYTES}")
    return w.in_entry(f"load {kind}, ptr {place}, align 8")


def _unpack_one(w: Kernel, arg: Value, base: str, at: int) -> None:
    t = arg.type
    if isinstance(t, ScalarType):
        text = _slot(w, base, at, w.spelling.memory(t))
        if t is I1:
            text = w.in_entry(f"icmp ne i8 {text}, 0")
        w.bind(arg, text)
        w.depths[text] = 0
        return
    if not isinstance(t, MemRefType):
        raise InternalError(what=f"{t} cannot be passed to a kernel")
    buffer = Buffer(_slot(w, base, at, "ptr"), list(t.shape), list(t.element_strides))
    if not is_pointer(t):
        for axis in range(t.rank):
            if t.shape[axis] == DYNAMIC:
                buffer.sizes[axis] = _slot(w, base, at + 1 + axis, "i64")
            if t.element_strides[axis] == DYNAMIC:
                buffer.strides[axis] = _slot(w, base, at + 1 + t.rank + axis, "i64")
    w.buffers[arg] = buffer


def _pack(w: Kernel, context: str, at: int, value: Value) -> None:
    """Store an argument of a launch into the context."""
    t = value.type
    if isinstance(t, ScalarType):
        text = w.typed(value)
        if t is I1:
            text = f"i8 {w.let(f'zext {text} to i8')}"
        _put(w, context, at, text)
        return
    assert isinstance(t, MemRefType)
    buffer = w.buffers[value]
    _put(w, context, at, f"ptr {buffer.base}")
    if is_pointer(t):
        return
    for axis in range(t.rank):
        if t.shape[axis] == DYNAMIC:
            _put(w, context, at + 1 + axis, f"i64 {buffer.sizes[axis]}")
        if t.element_strides[axis] == DYNAMIC:
            _put(w, context, at + 1 + t.rank + axis, f"i64 {buffer.strides[axis]}")


def _put(w: Kernel, context: str, at: int, typed: str) -> None:
    place = w.let(f"getelementptr i8, ptr {context}, i64 {at * SLOT_BYTES}")
    w.do(f"store {typed}, ptr {place}, align 8")


# ------------------------------------------------------------------------------------ execution


@lower(kdsl.ProgramId)
def program_id(op: kdsl.ProgramId, w: Kernel) -> None:
    w.bind(op.y, w.ids[op.axis])


@lower(kdsl.NumPrograms)
def num_programs(op: kdsl.NumPrograms, w: Kernel) -> None:
    w.bind(op.y, w.grid[op.axis])


@lower(kdsl.Launch)
def launch(op: kdsl.Launch, w: Kernel) -> None:
    """Fill a context and hand the kernel to the thread pool."""
    target = w.module.source.function(op.kernel.name)
    assert isinstance(target, func.Func)
    slots = GRID_SLOTS + sum(slot_count(arg.type) for arg in target.body.args)
    context = w.in_entry(f"alloca [{slots} x i64], align 8")
    sizes = [w.let(f"call i64 @llvm.smax.i64(i64 {w.names[v]}, i64 0)") for v in (op.x, op.y, op.z)]
    for axis, size in enumerate(sizes):
        _put(w, context, axis, f"i64 {size}")
    at = GRID_SLOTS
    for value, arg in zip(op.args, target.body.args, strict=True):
        _pack(w, context, at, value)
        at += slot_count(arg.type)
    plane = w.let(f"mul i64 {sizes[0]}, {sizes[1]}")
    total = w.let(f"mul i64 {plane}, {sizes[2]}")
    w.module.declared["declare i32 @kdsl_parallel_for(ptr, ptr, i64)"] = None
    args = f"ptr {kernel_symbol(op.kernel.name)}, ptr {context}, i64 {total}"
    status = w.let(f"call i32 @kdsl_parallel_for({args})")
    fail_unless(w, w.let(f"icmp eq i32 {status}, 0"), status)


@lower(func.Call)
def call(op: func.Call, w: Kernel) -> None:
    target = w.module.source.function(op.callee.name)
    assert isinstance(target, func.Func)
    args: list[str] = []
    for value, arg in zip(op.args, target.body.args, strict=True):
        args += _arguments(w, value, arg.type)
    args += [f"i64 {text}" for text in (*w.ids, *w.grid)]
    kind = _result_struct(w, target.type.results)
    made = w.let(f"call {kind} {kernel_symbol(op.callee.name)}({', '.join(args)})")
    status = w.let(f"extractvalue {kind} {made}, 0")
    fail_unless(w, w.let(f"icmp eq i32 {status}, 0"), status)
    for i, out in enumerate(op.outs):
        w.result(out, f"extractvalue {kind} {made}, {i + 1}")


def _arguments(w: Kernel, value: Value, wanted: Type) -> list[str]:
    if not isinstance(wanted, MemRefType):
        return [w.typed(value)]
    buffer = w.buffers[value]
    args = [f"ptr {buffer.base}"]
    for numbers, declared in (
        (buffer.sizes, wanted.shape),
        (buffer.strides, wanted.element_strides),
    ):
        args += [f"i64 {n}" for n, d in zip(numbers, declared, strict=True) if d == DYNAMIC]
    return args


# ------------------------------------------------------------------------------------ workspaces


@lower(memref.Alloc)
def alloc(op: memref.Alloc, w: Kernel) -> None:
    """Memory from the C library; a size beyond 64 bits, like no memory, is status 2."""
    t = op.memref_type
    given = iter([w.names[v] for v in op.sizes])
    sizes = [next(given) if n == DYNAMIC else n for n in t.shape]
    total = _byte_count(w, sizes, item_bytes(t.element))
    padded = w.let(f"add i64 {total}, {WORKSPACE_ALIGN * 2 - 1}")
    whole = w.let(f"and i64 {padded}, {-WORKSPACE_ALIGN}")
    w.module.declared["declare noalias ptr @aligned_alloc(i64, i64)"] = None
    w.module.declared["declare void @free(ptr)"] = None
    base = w.let(f"call ptr @aligned_alloc(i64 {WORKSPACE_ALIGN}, i64 {whole})")
    fail_unless(w, w.let(f"icmp ne ptr {base}, null"), OUT_OF_MEMORY)
    place = w.in_entry("alloca ptr, align 8")
    w.entry.append(f"  store ptr null, ptr {place}")
    w.cleanup.append(place)
    w.do(f"store ptr {base}, ptr {place}")
    buffer = Buffer(base, sizes, _row_major(w, sizes, t))
    w.buffers[op.y] = buffer
    w.owners[base] = place


def _byte_count(w: Kernel, sizes: list[Any], item: int) -> str:
    """Multiply with overflow checks; the limit is what a pointer difference can express."""
    total = str(item)
    for size in sizes:
        pair = w.let(f"call {{ i64, i1 }} @llvm.umul.with.overflow.i64(i64 {total}, i64 {size})")
        total = w.let(f"extractvalue {{ i64, i1 }} {pair}, 0")
        over = w.let(f"extractvalue {{ i64, i1 }} {pair}, 1")
        huge = w.let(f"icmp ugt i64 {total}, {1 << 62}")
        bad = w.let(f"or i1 {over}, {huge}")
        fail_unless(w, w.let(f"xor i1 {bad}, true"), OUT_OF_MEMORY)
    return total


def _row_major(w: Kernel, sizes: list[Any], t: MemRefType) -> list[Any]:
    strides: list[Any] = []
    step: Any = 1
    for size, known in zip(reversed(sizes), reversed(t.element_strides), strict=True):
        strides.append(step if known == DYNAMIC else known)
        if isinstance(step, int) and isinstance(size, int):
            step *= size
        else:
            step = w.let(f"mul i64 {step}, {size}")
    return list(reversed(strides))


@lower(memref.Dealloc)
def dealloc(op: memref.Dealloc, w: Kernel) -> None:
    base = w.buffers[op.source].base
    w.module.declared["declare void @free(ptr)"] = None
    w.do(f"call void @free(ptr {base})")
    place = w.owners.get(base)
    if place is not None:
        w.do(f"store ptr null, ptr {place}")
