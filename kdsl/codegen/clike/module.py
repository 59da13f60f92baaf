"""Whole kernels: parameters, declarations, body. A back end writes what stands around them."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.codegen.clike import lanes, memory, values, vectors
from kdsl.codegen.clike.control import control, write_block
from kdsl.codegen.clike.spelling import Spelling, Words, identifier
from kdsl.codegen.clike.writer import Buffer, Needs, Parameter, Writer
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import cf, func, gpu
from kdsl.dialects.lanes import MatrixMultiply
from kdsl.errors import InternalError
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.types import DYNAMIC, F64, I1, INDEX, MemRefType, ScalarType, Type, element_type
from kdsl.target.features import Features

STATUS = "kdsl_status"


@dataclass(frozen=True)
class Kernel:
    """A written kernel: its function's name, its C name, and the parts of its text."""

    name: str
    symbol: str
    lanes: int
    parameters: tuple[Parameter, ...]
    shared: tuple[str, ...]
    body: tuple[str, ...]
    accesses: str


@dataclass(frozen=True)
class Written:
    """All kernels of a module, and the helper functions to write in front of them."""

    kernels: tuple[Kernel, ...]
    helpers: tuple[str, ...]


def table(name: str) -> LoweringTable:
    """Return the rows of every op that has a form in any language like C."""
    lower = LoweringTable(name)
    for part in (values, vectors, memory, lanes):
        lower.include(part.lower)
    control(lower)
    return lower


def write_module(
    module: Module, spelling: Spelling, features: Features, rows: LoweringTable
) -> Written:
    """Write every kernel of a module."""
    words, needs = Words(spelling, features), Needs()
    kernels = [op for op in module.functions if isinstance(op, func.Func) and op.is_kernel]
    found = [_kernel(op, Writer(words, needs, module, lanes_of_kernel(op)), rows) for op in kernels]
    return Written(tuple(found), tuple(needs.helpers.values()))


def lanes_of_kernel(op: Op) -> int:
    """Return how many lanes a kernel's workgroup has; one where nothing was said."""
    found = op.attributes.get(gpu.LANES, 1)
    assert isinstance(found, int)
    return found


def kernel_symbol(name: str) -> str:
    """Return the C name of a kernel."""
    return f"kdsl_{identifier(name)}"


def _kernel(op: func.Func, w: Writer, rows: LoweringTable) -> Kernel:
    _check_types(op, w, rows)
    inside = list(op.walk())
    waits = any(isinstance(o, gpu.Barrier | gpu.Shuffle | MatrixMultiply) for o in inside)
    asserts = [o for o in inside if isinstance(o, cf.Assert)]
    w.guarded = waits and not all(map(w.leaves_together, asserts))
    if w.guarded:
        w.do("bool kdsl_alive = true;")
    for at, arg in enumerate(op.body.args):
        _parameter(w, at, arg)
    end = write_block(w, op.body, rows)
    if end is not None and end.operands:
        raise rows.refuse(end, "a kernel returns no values")
    parameters = list(w.used.values())
    if w.uses_status:
        parameters.append(Parameter("status", -1, 0, STATUS, "int"))
    counts = "; ".join(f"{n} {what}" for what, n in sorted(w.accesses.items()))
    report = f"{op.sym_name}: accesses: {counts}" if counts else ""
    return Kernel(
        op.sym_name,
        kernel_symbol(op.sym_name),
        w.lanes,
        tuple(parameters),
        tuple(w.shared),
        tuple(w.lines),
        report,
    )


def _check_types(op: func.Func, w: Writer, rows: LoweringTable) -> None:
    """Refuse f64 where the chip has none, at the first op that makes one."""
    if "f64" in w.features.native:
        return
    for each in op.walk():
        for value in (*each.operands, *each.results):
            if _element(value.type) is F64:
                raise rows.refuse(each, "the chip has no f64")


def _element(t: Type) -> ScalarType | None:
    return element_type(t) if hasattr(t, "element") or isinstance(t, ScalarType) else None


def _parameter(w: Writer, at: int, arg: Value) -> None:
    """Make an argument's parts known; what the body never reads is never passed."""
    stem = f"{identifier(arg.name or 'arg')}{at}"
    t, index = arg.type, w.words.word(INDEX)
    if isinstance(t, ScalarType):
        word = w.words.memory(t)
        name = w.offer(Parameter("scalar", at, 0, f"{stem}_x", word))
        if not arg.users:
            return
        w.bind(arg, [w.use(name)])
        if t is I1:
            w.define(arg, [f"{name} != 0"])
        return
    if not isinstance(t, MemRefType):
        raise InternalError(what=f"{t} cannot be passed to a kernel")
    base = w.offer(Parameter("buffer", at, 0, f"{stem}_p", w.words.memory(t.element)))
    offset = ""
    if w.spelling.offsets:
        offset = w.offer(Parameter("offset", at, 0, f"{stem}_o", index))
    sizes: list[str | int] = list(t.shape)
    strides: list[str | int] = list(t.element_strides)
    for kind, numbers in (("size", sizes), ("stride", strides)):
        for axis, number in enumerate(numbers):
            if number == DYNAMIC:
                name = f"{stem}_{kind[:2]}{axis}"
                numbers[axis] = w.offer(Parameter(kind, at, axis, name, index))
    w.buffers[arg] = Buffer(base, offset, sizes, strides, t.space)
