"""Lane-level modules as LLVM IR for AMD GPUs.

A kernel becomes an ``amdgpu_kernel``: what one lane does. Host entries are no device code; they
follow as comments, so that the text is whole: whoever launches reads them there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from kdsl.codegen.backend import Source
from kdsl.codegen.llvm import memory, values
from kdsl.codegen.llvm.control import control, write_block
from kdsl.codegen.llvm.function import FIRST_METADATA, Buffer, FunctionWriter, Options
from kdsl.codegen.llvm.types import Spelling, item_bytes
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import func, gpu, kdsl, math, memref, vector
from kdsl.errors import InternalError, OutOfRegistersError
from kdsl.ir.core import Block, Module, Op, Value, defining_op
from kdsl.ir.printer import print_op
from kdsl.ir.types import DYNAMIC, I1, MemRefType, ScalarType, VectorType, element_type
from kdsl.target.target import Target
from kdsl_amdgpu import matrix
from kdsl_amdgpu.abi import GRID, POINTER, SCALAR, SIZE, STATUS, Parameter, ops_in, parameters
from kdsl_amdgpu.lanes import lower as lane_ops

HOST_MARK = "; kdsl.host "
GLOBAL, SHARED, PRIVATE = (f"ptr addrspace({n})" for n in (1, 3, 5))
CODE_OBJECT_VERSION = 500
ABSENT = (
    "dispatch-ptr", "queue-ptr", "dispatch-id", "implicitarg-ptr", "hostcall-ptr",
    "multigrid-sync-arg", "default-queue", "completion-action", "lds-kernel-id", "heap-ptr",
    "workitem-id-y", "workitem-id-z", "flat-scratch-init",
)  # fmt: skip
"""What kernels never ask for; saying so saves scalar registers."""

lower = LoweringTable("the AMDGPU back end")
lower.include(values.lower)
lower.include(memory.lower)
control(lower)
lower.include(lane_ops)
lower.include(matrix.lower)


@dataclass
class Parts:
    """What kernels share: metadata, globals, attribute groups."""

    metadata: list[str] = field(default_factory=lambda: list(FIRST_METADATA))
    constants: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)

    def local_only(self) -> int:
        """Return the number of the metadata that limits a fence to workgroup memory."""
        text = '!{!"amdgpu-synchronize-as", !"local"}'
        if text not in self.metadata:
            self.metadata.append(text)
        return self.metadata.index(text)


class Kernel(FunctionWriter):
    """A kernel while it is written."""

    def __init__(self, spelling: Spelling, parts: Parts, function: func.Func, wave: int) -> None:
        super().__init__(spelling, Options(native_minmax=True), parts.metadata)
        self.parts = parts
        self.function = function
        self.wave = wave
        self.lanes = lanes_of(function)
        self.grid: list[str] = []
        self.shared_bytes = 0
        self.global_barriers = orders_memory(function.body)
        self._known: dict[str, str] = {}

    def special(self, intrinsic: str, bound: int) -> str:
        """Return a machine id as i64, asked for once, in the entry block."""
        found = self._known.get(intrinsic)
        if found is None:
            narrow = self.in_entry(f"call range(i32 0, {bound}) i32 @llvm.amdgcn.{intrinsic}()")
            found = self._known[intrinsic] = self.in_entry(f"zext nneg i32 {narrow} to i64")
        return found

    def lane(self) -> str:
        """Return the lane's number in its subgroup, as i32."""
        found = self._known.get("lane")
        if found is None:
            found = self.in_entry("call i32 @llvm.amdgcn.mbcnt.lo(i32 -1, i32 0)")
            if self.wave == 64:
                found = self.in_entry(f"call i32 @llvm.amdgcn.mbcnt.hi(i32 -1, i32 {found})")
            self._known["lane"] = found
        return found


def emit(module: Module, target: Target) -> Source:
    """Return the kernels as LLVM IR, the host's entries as comments."""
    spelling = Spelling(target.features)
    parts = Parts()
    kernels = [f for f in functions(module) if f.is_kernel]
    bodies = [_kernel(f, Kernel(spelling, parts, f, target.features.subgroup)) for f in kernels]
    entries = tuple(f.sym_name for f in functions(module) if f.is_entry)
    host = {
        "module": host_text(module),
        "kernels": {
            f.sym_name: {
                "lanes": lanes_of(f),
                "parameters": [p.row() for p in parameters(f)],
            }
            for f in kernels
        },
    }
    flags = f'!{{i32 1, !"amdhsa_code_object_version", i32 {CODE_OBJECT_VERSION}}}'
    parts.metadata.append(flags)
    lines = [
        f'target triple = "{target.triple}"',
        *parts.constants,
        *bodies,
        *(f"attributes #{i} = {{ {text} }}" for i, text in enumerate(parts.attributes)),
        f"!llvm.module.flags = !{{!{len(parts.metadata) - 1}}}",
        *(f"!{i} = {text}" for i, text in enumerate(parts.metadata)),
        HOST_MARK + json.dumps(host),
        "",
    ]
    return Source("\n".join(lines), ".ll", entries)


def functions(module: Module) -> Iterator[func.Func]:
    """Yield the functions of a module."""
    for op in module.functions:
        assert isinstance(op, func.Func)
        yield op


def host_text(module: Module) -> str:
    """Return the entries as a module of their own; kernels are there by name and type alone."""
    texts = []
    for op in functions(module):
        if op.is_entry:
            texts.append(print_op(op))
        elif op.is_kernel:
            texts.append(_stub(op))
    return '"builtin.module"() ({\n' + "\n".join(texts) + "\n}) : () -> ()\n"


def _stub(op: func.Func) -> str:
    inputs = [t.text for t in op.type.inputs]
    args = ", ".join(f"%a{i}: {t}" for i, t in enumerate(inputs))
    return (
        f'"func.func"() ({{\n^bb0({args}):\n"func.return"() : () -> ()\n}}) '
        f"{{function_type = ({', '.join(inputs)}) -> (), kdsl.kernel, "
        f'sym_name = "{op.sym_name}"}} : () -> ()'
    )


def lanes_of(function: func.Func) -> int:
    """Return how many lanes a workgroup of the kernel has."""
    lanes = function.attributes.get(gpu.LANES)
    if lanes is None:
        raise InternalError(what=f"{function.sym_name} has no {gpu.LANES}")
    return memory.plain_int(lanes)


# ------------------------------------------------------------------------------------- kernels


def _kernel(op: func.Func, w: Kernel) -> str:
    params = [_parameter(w, op, p) for p in parameters(op)]
    w.jump("start")
    w.start("start")
    end = write_block(w, op.body, lower)
    if end is not None and end.operands:
        raise lower.refuse(end, "a kernel returns no values")
    w.do("ret void")
    _check_shared(op, w)
    if w.failures:
        w.lines.append("failed:")
        status = w.fresh()
        w.do(f"{status} = phi i32 {', '.join(w.failures)}")
        w.do(f"store i32 {status}, {GLOBAL} %status, align 4")
        w.do("ret void")
    number = len(w.parts.attributes)
    w.parts.attributes.append(_attributes(op, w))
    head = f'define amdgpu_kernel void @"{op.sym_name}"({", ".join(params)}) #{number}'
    return f"{head} {{\nentry:\n{w.text()}\n}}\n"


def _check_shared(op: func.Func, w: Kernel) -> None:
    """Raise OutOfRegistersError when the workgroup has less memory than the kernel asks for."""
    available = w.spelling.features.shared_bytes
    if w.shared_bytes > available:
        raise OutOfRegistersError(
            op.loc,
            what=op.sym_name,
            needed=f"{w.shared_bytes} bytes",
            kind="workgroup memory",
            target="a workgroup",
            available=f"{available} bytes",
            advice="take smaller tiles, or fewer stages",
        )


def _attributes(op: func.Func, w: Kernel) -> str:
    used = {inner.axis for inner in ops_in(op.body) if isinstance(inner, kdsl.ProgramId)}
    absent = [*ABSENT, *(f"workgroup-id-{a}" for i, a in enumerate("xyz") if i and i not in used)]
    words = [
        "nounwind",
        f'"amdgpu-flat-work-group-size"="{w.lanes},{w.lanes}"',
        '"uniform-work-group-size"="true"',
        *(f'"amdgpu-no-{name}"' for name in absent),
    ]
    return " ".join(words)


def _parameter(w: Kernel, op: func.Func, p: Parameter) -> str:
    """Bind what a parameter describes; return its declaration."""
    if p.kind == STATUS:
        return f"{GLOBAL} %status"
    if p.kind == GRID:
        w.grid.append(f"%grid{p.axis}")
        return f"i64 {w.grid[-1]}"
    arg = op.body.args[p.argument]
    name = w.fresh()
    w.depths[name] = 0
    if p.kind == SCALAR:
        return _scalar(w, arg, name)
    if p.kind == POINTER:
        t = arg.type
        assert isinstance(t, MemRefType)
        w.buffers[arg] = Buffer(name, list(t.shape), list(t.element_strides), GLOBAL)
        return f"{GLOBAL} align {item_bytes(t.element)} {name}"
    numbers = w.buffers[arg].sizes if p.kind == SIZE else w.buffers[arg].strides
    numbers[p.axis] = name
    return f"i64 {name}"


def _scalar(w: Kernel, arg: Value, name: str) -> str:
    t = arg.type
    assert isinstance(t, ScalarType)
    text = name
    if t is I1:
        text = w.in_entry(f"icmp ne i8 {name}, 0")
    w.bind(arg, text)
    w.depths[text] = 0
    return f"{w.spelling.memory(t)} {name}"


# -------------------------------------------------------------------------- elementary functions

ELEMENTARY: dict[type[Op], str] = {
    math.Exp: "llvm.exp", math.Log: "llvm.log", math.Log2: "llvm.log2",
}  # fmt: skip
lower.words(values.intrinsic, ELEMENTARY)


@lower(math.Exp2)
def exp2(op: math.Exp2, w: Kernel) -> None:
    """The machine's own instruction: within one unit, subnormal results are zero."""
    t = op.y.type
    if not isinstance(t, VectorType):
        w.result(op.y, f"call float @llvm.amdgcn.exp2.f32({w.typed(op.x)})")
        return
    kind, made = w.spelling.type(t), "poison"
    for i in range(t.size):
        lane = w.let(f"extractelement {w.typed(op.x)}, i64 {i}")
        power = w.let(f"call float @llvm.amdgcn.exp2.f32(float {lane})")
        made = w.let(f"insertelement {kind} {made}, float {power}, i64 {i}")
    w.bind(op.y, made)


# ----------------------------------------------------------------------------------- execution


@lower(kdsl.ProgramId)
def program_id(op: kdsl.ProgramId, w: Kernel) -> None:
    w.bind(op.y, w.special(f"workgroup.id.{'xyz'[op.axis]}", (1 << 31) - 1))


@lower(kdsl.NumPrograms)
def num_programs(op: kdsl.NumPrograms, w: Kernel) -> None:
    w.bind(op.y, w.grid[op.axis])


@lower(gpu.ThreadId)
def thread_id(op: gpu.ThreadId, w: Kernel) -> None:
    """Workgroups are lines: the other dimensions have one lane."""
    if op.dimension.text != gpu.X.text:
        w.bind(op.y, "0")
        return
    w.bind(op.y, w.special("workitem.id.x", w.lanes))


@lower(gpu.Barrier)
def barrier(op: gpu.Barrier, w: Kernel) -> None:
    """Fences order all memory, or workgroup memory alone where no lane reads what others wrote."""
    only = "" if op in w.global_barriers else f", !mmra !{w.parts.local_only()}"
    w.do(f'fence syncscope("workgroup") release{only}')
    w.do("call void @llvm.amdgcn.s.barrier()")
    w.do(f'fence syncscope("workgroup") acquire{only}')


def orders_memory(body: Block) -> frozenset[Op]:
    """Return the barriers between a write to global memory and a read of it.

    A loop's body counts as before and after itself.
    """
    found: set[Op] = set()
    _order(body, {"wrote": False}, reads_later=False, found=found)
    return frozenset(found)


def _order(block: Block, state: dict[str, bool], reads_later: bool, found: set[Op]) -> None:
    ops = list(block)
    later = [False] * (len(ops) + 1)
    later[-1] = reads_later
    for i in range(len(ops) - 1, -1, -1):
        later[i] = later[i + 1] or any(map(_reads_global, _with_inner(ops[i])))
    for i, op in enumerate(ops):
        if isinstance(op, gpu.Barrier) and state["wrote"] and later[i + 1]:
            found.add(op)
        inner = _with_inner(op)
        loops = op.name in ("scf.for", "scf.while")
        if loops and any(map(_writes_global, inner)):
            state["wrote"] = True
        reads = later[i + 1] or (loops and any(map(_reads_global, inner)))
        for region in op.regions:
            for b in region.blocks:
                _order(b, state, reads, found)
        if any(map(_writes_global, inner)):
            state["wrote"] = True


def _with_inner(op: Op) -> list[Op]:
    return [op, *(o for region in op.regions for block in region.blocks for o in ops_in(block))]


def _global_operand(op: Op) -> bool:
    return any(
        isinstance(v.type, MemRefType) and v.type.space != gpu.WORKGROUP for v in op.operands
    )


def _reads_global(op: Op) -> bool:
    reading = ("load", "gather", "atomic", "copy_async", "call")
    return any(word in op.name for word in reading) and _global_operand(op)


def _writes_global(op: Op) -> bool:
    writing = ("store", "scatter", "atomic", "call")
    return any(word in op.name for word in writing) and _global_operand(op)


# --------------------------------------------------------------------------------------- memory


@lower(kdsl.WorkgroupAlloc)
def workgroup_alloc(op: kdsl.WorkgroupAlloc, w: Kernel) -> None:
    """A global of the workgroup's address space; the assembler places it."""
    t = op.y.type
    assert isinstance(t, MemRefType)
    strides = t.element_strides
    count = 1 + sum((n - 1) * s for n, s in zip(t.shape, strides, strict=True))
    size = count * item_bytes(t.element)
    name = f'@"{w.function.sym_name}.shared{len(w.parts.constants)}"'
    align = max(memory.plain_int(op.align), item_bytes(t.element))
    w.parts.constants.append(
        f"{name} = internal addrspace(3) global [{size} x i8] poison, align {align}"
    )
    w.shared_bytes += size
    w.buffers[op.y] = Buffer(name, list(t.shape), list(strides), SHARED)


@lower(vector.MaskedLoad)
def masked_load(op: vector.MaskedLoad, w: Kernel) -> None:
    """One condition for all elements is a branch around one wide access."""
    condition = defining_op(op.mask, vector.Broadcast)
    if condition is None:
        memory.masked_load(op, w)
        return
    inside, done, before = w.label(), w.label(), w.block
    w.branch(w.names[condition.x], inside, done)
    w.start(inside)
    found = w.let(memory.load_text(op, w, op.source, op.y))
    if element_type(op.y.type) is I1:
        found = w.let(f"icmp ne {w.spelling.memory(op.y.type)} {found}, zeroinitializer")
    w.jump(done)
    w.start(done)
    ways = f"[ {found}, %{inside} ], [ {w.names[op.pass_thru]}, %{before} ]"
    w.result(op.y, f"phi {w.spelling.type(op.y.type)} {ways}")


@lower(vector.MaskedStore)
def masked_store(op: vector.MaskedStore, w: Kernel) -> None:
    """As for loads."""
    condition = defining_op(op.mask, vector.Broadcast)
    if condition is None:
        memory.masked_store(op, w)
        return
    inside, done = w.label(), w.label()
    w.branch(w.names[condition.x], inside, done)
    w.start(inside)
    w.do(memory.store_text(op, w, op.target, op.value))
    w.jump(done)
    w.start(done)


@lower(memref.Alloca)
def alloca(op: memref.Alloca, w: Kernel) -> None:
    """A lane's own buffer; LLVM keeps it in registers where every index is known."""
    t = op.memref_type
    if DYNAMIC in t.shape:
        raise lower.refuse(op, f"{t} has no static size")
    align = max(int(op.alignment), item_bytes(t.element))
    text = f"alloca [{t.size} x {w.spelling.memory(t.element)}], align {align}, addrspace(5)"
    w.buffers[op.y] = Buffer(w.in_entry(text), list(t.shape), list(t.element_strides), PRIVATE)
