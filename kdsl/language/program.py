"""Tracing host programs: integer arithmetic on dims, workspaces, and launches."""

from __future__ import annotations

import ast
from typing import Any

from kdsl.dialects import memref
from kdsl.dialects.func import ENTRY
from kdsl.errors import (
    ArgumentTypeError,
    BadDecoratorError,
    OutsideKernelError,
    RankError,
    StaticAssertError,
)
from kdsl.ir.core import Module, Value
from kdsl.ir.signature import PTR, SCALAR, Signature
from kdsl.ir.types import DYNAMIC, MemRefType
from kdsl.ir.types import memref as memref_type
from kdsl.language.dims import DimExpr
from kdsl.language.memory import Ptr, Tensor
from kdsl.language.params import Param
from kdsl.language.specialize import (
    KERNEL_SUFFIX,
    Binding,
    Specialization,
    finish,
    grid_names,
    grid_of,
    launch,
    new_function,
    run,
    specialization_for,
    three,
    trace_kernel,
)
from kdsl.language.state import Scope, Trace, current, emit, tracing, where
from kdsl.language.types import RW, describe, resolve_dtype
from kdsl.language.values import Lanes, as_index, as_value, assign


class ProgramTrace:
    """The launches and workspaces of the program under way."""

    def __init__(self, program: Any, module: Module, trace: Trace) -> None:
        self.program = program
        self.module = module
        self.trace = trace
        self.kernels: list[str] = []
        self.known: dict[tuple[Any, Specialization], str] = {}
        self.workspaces: list[tuple[Value, Scope]] = []

    # --------------------------------------------------------------------------- workspaces

    def workspace(self, dtype: Any, shape: Any, name: str) -> Tensor:
        """Allocate a buffer that lives until the program returns."""
        parts = shape if isinstance(shape, tuple | list) else (shape,)
        extents = [
            n if isinstance(n, int) else as_index(n, "a workspace's size")
            for n in map(as_value, parts)
        ]
        chosen = resolve_dtype(dtype)
        sizes = [e.ir for e in extents if not isinstance(e, int)]
        wanted = memref_type(
            tuple(e if isinstance(e, int) else DYNAMIC for e in extents), chosen.type
        )
        if self.trace.scope.parent is not None:
            raise BadDecoratorError(
                where(), decorator="kd.workspace", why="it is inside a traced loop or branch",
                advice="make the workspace at the program's top level",
            )  # fmt: skip
        ir = emit(memref.Alloc, sizes, [], types=[wanted])
        self.workspaces.append((ir, self.trace.scope))
        return Tensor(ir, chosen, name, extents, (), RW)

    def release(self) -> None:
        """Free the workspaces, last first."""
        for ir, _ in reversed(self.workspaces):
            emit(memref.Dealloc, ir)

    # ----------------------------------------------------------------------------- launches

    def launch(self, kernel: Any, args: tuple[Any, ...], named: dict[str, Any], grid: Any) -> None:
        """Trace a kernel for what it is called with, and emit its launch."""
        if kernel.is_program:
            kernel.inline(*args, **named)
            return
        leaves, consts = kernel.params.bind(args, named)
        facts = [self._fact(kernel, p, v) for p, v in zip(kernel.params.args, leaves, strict=True)]
        spec = specialization_for(kernel, facts, _hashable(consts))
        if grid is not None:
            spec = Specialization(spec.dtypes, spec.dims, spec.consts, spec.absent, (), True)
        binding = Binding(kernel, spec, self.trace.target)
        # What a program's schedule says holds for its kernels, unless theirs says otherwise.
        binding.options = {**self.trace.options, **binding.options}
        values = self._values(binding, leaves)
        dims = self._dims(binding, values)
        self._relations(binding, dims, values)
        symbol = self._symbol(kernel, binding)
        known = grid_names(dims, values, binding.consts)
        extents = three(grid, kernel.name) if grid is not None else grid_of(kernel, known)
        operands = [self._operand(binding, p, values[p.name]) for p in kernel.params.args]
        launch(symbol, extents, operands)

    def _fact(self, kernel: Any, p: Param, value: Any) -> tuple[str, tuple[Any, ...]] | None:
        if p.kind == SCALAR:
            return None
        if value is None and p.optional:
            return None
        if not isinstance(value, Tensor | Ptr) or (
            isinstance(value, Tensor) and not value.is_whole
        ):
            wanted = "a whole tensor argument or workspace" if p.kind != PTR else "a pointer"
            raise ArgumentTypeError(
                where(), kernel=kernel.name, name=p.name, wanted=wanted, got=describe(value)
            )
        return value.dtype.name, () if isinstance(value, Ptr) else value.shape

    def _values(self, binding: Binding, leaves: list[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for p, value in zip(binding.params.args, leaves, strict=True):
            if p.kind == SCALAR:
                found[p.name] = assign(f"{binding.kernel.name}: {p.name}", value, binding.dtype(p))
                continue
            found[p.name] = value
            if value is None:
                continue
            if value.dtype is not binding.dtype(p):
                from kdsl.errors import DtypeMismatchError

                op = f"{binding.kernel.name}: {p.name}"
                raise DtypeMismatchError(where(), op=op, left=binding.dtype(p), right=value.dtype)
            if isinstance(value, Tensor) and p.kind != PTR and value.rank != len(p.dims):
                listed = ", ".join(map(str, p.dims))
                raise RankError(
                    where(), name=p.name, wanted=len(p.dims), dims=listed, got=value.rank
                )
        return found

    def _dims(self, binding: Binding, values: dict[str, Any]) -> dict[str, Any]:
        """Return the extents of the kernel's dims; known ones must agree."""
        dims: dict[str, Any] = binding.known_dims()
        for p in binding.params.args:
            value = values[p.name]
            if not isinstance(value, Tensor):
                continue
            for dim, extent in zip(p.dims, value.shape, strict=False):
                if isinstance(dim, DimExpr) and dim.op == "name":
                    before = dims.setdefault(dim.parts[0], extent)
                    if isinstance(before, int) and isinstance(extent, int) and before != extent:
                        from kdsl.errors import ArgumentShapeError

                        raise ArgumentShapeError(
                            where(), kernel=binding.kernel.name, dim=dim.text, name=p.name,
                            got=extent,
                            wanted=before, by="another argument",
                        )  # fmt: skip
        return dims

    def _relations(self, binding: Binding, dims: dict[str, Any], values: dict[str, Any]) -> None:
        """Check the kernel's relations on known numbers; the others become the program's."""
        for text in binding.kernel.require:
            known = {**grid_names(dims, values, binding.consts)}
            tree = ast.parse(text, mode="eval")
            if any(isinstance(n, ast.BoolOp) for n in ast.walk(tree)):
                continue
            names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
            if not names <= known.keys():
                continue
            found = eval(compile(tree, "<relation>", "eval"), {"__builtins__": {}}, known)  # noqa: S307
            if found is False:
                raise StaticAssertError(where(), what=f"{binding.kernel.name} requires {text}")
            sym = getattr(found, "sym", None)
            if isinstance(sym, DimExpr):
                self.trace.relations.append(sym.text)

    def _symbol(self, kernel: Any, binding: Binding) -> str:
        """Return the symbol of the traced kernel, tracing it when this specialization is new."""
        key = kernel, binding.spec
        if key not in self.known:
            base = f"{self.program.name}.{kernel.name}"
            count = sum(1 for s in self.known.values() if s.partition(KERNEL_SUFFIX)[0] == base)
            symbol = base + KERNEL_SUFFIX + (f"{count}" if count else "")
            self.known[key] = symbol
            self.kernels.append(symbol)
            trace_kernel(kernel, binding, self.module, symbol)
        return self.known[key]

    def _operand(self, binding: Binding, p: Param, value: Any) -> Value:
        wanted = binding.type(p)
        if value is None:
            return self._nothing(wanted)
        ir: Value = value.ir
        if ir.type is wanted:
            return ir
        if p.kind == PTR and isinstance(value, Tensor) and value.rank != 1:
            raise ArgumentTypeError(
                where(), kernel=binding.kernel.name, name=p.name, wanted="a pointer or 1-D tensor",
                got=describe(value),
            )  # fmt: skip
        return emit(memref.Cast, ir, types=[wanted])

    def _nothing(self, wanted: Any) -> Value:
        """Return an empty buffer for an absent argument: the kernel never looks at it."""
        assert isinstance(wanted, MemRefType)
        static = memref_type(tuple(0 if n == DYNAMIC else n for n in wanted.shape), wanted.element)
        made = emit(memref.Alloca, [], [], types=[static])
        return emit(memref.Cast, made, types=[wanted])


def _hashable(consts: dict[str, Any]) -> dict[str, Any]:
    """Const parameters given by a program must be known while tracing."""
    from kdsl.errors import NotConstError

    for name, value in consts.items():
        if isinstance(value, Lanes):
            example = f"{name} must be a number or a Const parameter of the program"
            raise NotConstError(where(), what=name, got=describe(value), example=example)
    return consts


def trace_program(
    program: Any, binding: Binding, module: Module
) -> tuple[Signature, tuple[str, ...]]:
    """Trace a program into its entry, after the kernels that it launches."""
    names = tuple(p.name for p in program.params.args)
    function, made = new_function(binding, module, program.name, binding.types(), names, ENTRY)
    state = ProgramTrace(program, module, made)
    made.program = state
    with tracing(made):
        made.fixed_location = program.loc
        leaves = binding.leaves(made, function.body.args)
        made.fixed_location = None
        run(program, made, leaves, binding.consts)
        made.fixed_location = program.loc
        state.release()
        finish(made, function.body, program)
    # The entry comes last, as for a single kernel.
    module.body.append(function.detach())
    if program.expect is not None:
        function.attributes["kdsl.expect"] = str(program.expect)
    return binding.signature(made.relations, program.name), tuple(state.kernels)


def workspace(dtype: Any, shape: Any) -> Tensor:
    """Make a buffer in a ``kd.program``.

    It is freed when the program returns, and starts undefined.
    """
    owner = current("kd.workspace").program
    if owner is None:
        raise OutsideKernelError(
            where(), what="kd.workspace (in a kernel, use kd.zeros for a tile)"
        )
    return owner.workspace(dtype, shape, f"workspace{len(owner.workspaces)}")
