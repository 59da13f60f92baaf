"""From a kernel and what it is specialized on to a module: device function and host entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kdsl.dialects import kdsl as ops
from kdsl.dialects import memref
from kdsl.dialects.func import ENTRY, KERNEL, Func, Return
from kdsl.dialects.scf import PARALLEL, VECTORIZE, For
from kdsl.errors import (
    ArgumentDtypeError,
    ArgumentRankError,
    ArgumentTypeError,
    BadGridError,
    MissingConstError,
    NoGridError,
    NotConstError,
    ReturnError,
    StaticAssertError,
    TypeMismatchError,
    UnknownDimError,
    UnknownParameterError,
)
from kdsl.ir.attributes import Symbol
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Pure, WritesMemory
from kdsl.ir.signature import PTR, SCALAR, Arg, Relation, Signature
from kdsl.ir.types import DTYPES, DYNAMIC, I64, DType, Type
from kdsl.ir.types import memref as memref_type
from kdsl.language.dims import Dim, DimExpr
from kdsl.language.memory import Ptr, Tensor
from kdsl.language.params import Param, argument
from kdsl.language.source import return_location
from kdsl.language.state import Trace, emit, emit_op, remove_unused, tracing, where
from kdsl.language.types import RO, RW, WO, DTypeVar, describe
from kdsl.language.values import INDEX_DTYPE, Lanes, Scalar, as_index, as_value, convert
from kdsl.target.target import GENERIC, Target

ACCESS = {"ro": RO, "wo": WO, "rw": RW}
GRID_ARGS = ("grid_x", "grid_y", "grid_z")
KERNEL_SUFFIX = ".kernel"
Pairs = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Specialization:
    """What a kernel is compiled for: hashable, so that it can be a cache's key.

    ``dtypes`` of dtype variables by name, ``dims`` that are fixed, ``consts`` that were given,
    names of optional arguments that are ``absent``, of tensors whose last dim is ``strided``, and
    whether the caller gives the grid.
    """

    dtypes: Pairs = ()
    dims: Pairs = ()
    consts: Pairs = ()
    absent: tuple[str, ...] = ()
    strided: tuple[str, ...] = ()
    explicit_grid: bool = False
    options: Pairs = field(default=())


@dataclass(frozen=True, eq=False)
class TracedModule:
    """A verified-ready module with the symbols in it and what its entry takes."""

    module: Module
    signature: Signature
    entry: str
    kernels: tuple[str, ...]
    specialization: Specialization
    target: Target


def specialization(kernel: Any, values: Mapping[str, Any]) -> Specialization:
    """Sort names into dtype variables, dims, Const parameters and absent arguments (value None)."""
    params = kernel.params
    dtypes, dims, consts, absent = {}, {}, {}, []
    optional = {p.name for p in params.args if p.optional}
    for name, value in values.items():
        if name in params.consts:
            consts[name] = value
        elif name in params.dtype_vars:
            dtypes[name] = _choice(params.dtype_vars[name], value).name
        elif name in params.dims:
            dims[name] = _fixed(name, value)
        elif name in optional and value is None:
            absent.append(name)
        else:
            known = [*params.dtype_vars, *params.dims, *params.consts]
            raise UnknownParameterError(
                where(), kernel=kernel.name, name=name, known=", ".join(known) or "none"
            )
    return Specialization(_pairs(dtypes), _pairs(dims), _pairs(consts), tuple(sorted(absent)))


def _pairs(found: dict[str, Any]) -> Pairs:
    return tuple(sorted(found.items()))


def _choice(variable: DTypeVar, value: Any) -> DType:
    dtype = DTYPES.get(value) if isinstance(value, str) else value
    if not isinstance(dtype, DType) or dtype not in variable.choices:
        wanted = " or ".join(map(str, variable.choices))
        raise TypeMismatchError(where(), op=variable.name, wanted=wanted, got=describe(value))
    return dtype


def _accepted(kernel: Any, param: Param, variable: DTypeVar, name: str) -> str:
    """Return the dtype of an array where the kernel takes it."""
    if DTYPES.get(name) not in variable.choices:
        wanted = " or ".join(map(str, variable.choices))
        raise ArgumentDtypeError(
            where(), kernel=kernel.name, name=param.name, wanted=wanted, got=name
        )
    return name


def _fixed(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeMismatchError(
            where(), op=f"dim {name}", wanted="a positive int", got=describe(value)
        )
    return value


def specialization_for(
    kernel: Any, facts: Sequence[tuple[str, tuple[Any, ...]] | None], consts: Mapping[str, Any]
) -> Specialization:
    """Derive the specialization from what arguments are.

    ``facts`` has one item for each of ``kernel.params.args``: dtype name and shape of an array,
    None for an absent one, extents None beyond its rank; scalars are not looked at.
    """
    params = kernel.params
    dtypes: dict[str, str] = {}
    dims: dict[str, int] = {}
    absent = []
    for p, fact in zip(params.args, facts, strict=True):
        if p.kind == SCALAR:
            continue
        if fact is None:
            if not p.optional:
                raise ArgumentTypeError(
                    where(), kernel=kernel.name, name=p.name, wanted="an array", got="none"
                )
            absent.append(p.name)
            continue
        name, shape = fact
        if isinstance(p.dtype, DTypeVar):
            dtypes.setdefault(p.dtype.name, _accepted(kernel, p, p.dtype, name))
        for dim, n in zip(p.dims, shape, strict=False):
            if isinstance(dim, Dim) and dim.const:
                if n is None:
                    raise ArgumentRankError(
                        where(),
                        kernel=kernel.name,
                        name=p.name,
                        wanted=len(p.dims),
                        dims=", ".join(map(str, p.dims)),
                        shape="of fewer",
                    )
                if not isinstance(n, int):
                    example = f"a workspace whose dim {dim.name} is a number"
                    raise NotConstError(
                        where(),
                        what=f"dim {dim.name} of {p.name}",
                        got=describe(n),
                        example=example,
                    )
                dims.setdefault(dim.name, n)
    return Specialization(_pairs(dtypes), _pairs(dims), _pairs(dict(consts)), tuple(sorted(absent)))


# ------------------------------------------------------------------------------------ arguments


class Binding:
    """The resolved facts of a specialization: dtypes, fixed dims, Const values, types."""

    def __init__(self, kernel: Any, spec: Specialization, target: Target) -> None:
        self.kernel = kernel
        self.params = kernel.params
        self.spec = spec
        self.target = target
        given, self.options = kernel.scheduled(target)
        self.options = {**self.options, **dict(spec.options)}
        self.consts: dict[str, Any] = self.params.resolve_consts({**given, **dict(spec.consts)})
        self.dtypes: dict[str, DType] = {}
        chosen = dict(spec.dtypes)
        for name, variable in self.params.dtype_vars.items():
            self.dtypes[name] = _choice(variable, chosen.get(name, variable.choices[0]))
        self.fixed: dict[str, int] = dict(spec.dims)
        for name in self.params.const_dims:
            if name not in self.fixed and self._is_present(name):
                raise MissingConstError(where(), kernel=kernel.name, name=name)

    def _is_present(self, dim: str) -> bool:
        return any(
            dim in d.names()
            for p in self.params.args
            if p.name not in self.spec.absent
            for d in p.dims
            if isinstance(d, DimExpr)
        )

    def dtype(self, p: Param) -> DType:
        return self.dtypes[p.dtype.name] if isinstance(p.dtype, DTypeVar) else p.dtype  # type: ignore[return-value]

    def extent(self, dim: Any) -> int | None:
        """Return the fixed extent of a dim, or None."""
        if isinstance(dim, int):
            return dim
        if all(n in self.fixed for n in dim.names()):
            found = _plain(dim, self.fixed)
            assert isinstance(found, int)
            return found
        return None

    def type(self, p: Param) -> Type:
        """Return the IR type of a run-time argument."""
        element = self.dtype(p).type
        if p.kind == SCALAR:
            return element
        if p.kind == PTR:
            return memref_type((DYNAMIC,), element)
        shape = tuple(DYNAMIC if (n := self.extent(d)) is None else n for d in p.dims)
        strides = (DYNAMIC,) * len(shape)
        if shape and p.name not in self.spec.strided:
            strides = (*strides[:-1], 1)
        return memref_type(shape, element, strides)

    def types(self) -> tuple[Type, ...]:
        return tuple(self.type(p) for p in self.params.args)

    # ------------------------------------------------------------------------------ values

    def leaves(self, trace: Trace, args: Sequence[Value]) -> dict[str, Any]:
        """Return the traced value of each run-time leaf, and make the dims known to the trace."""
        found: dict[str, Any] = {}
        known = self.known_dims()
        trace.dims[-1] = known
        trace.dtypes[-1] = dict(self.dtypes)
        expressions = []
        for p, ir in zip(self.params.args, args, strict=True):
            dtype = self.dtype(p)
            if p.name in self.spec.absent:
                found[p.name] = None
            elif p.kind == SCALAR:
                sym = DimExpr("name", p.name) if dtype.is_integer else None
                found[p.name] = Scalar(ir, dtype, sym)
            elif p.kind == PTR:
                found[p.name] = Ptr(ir, dtype, p.name, ACCESS[p.access])
            else:
                tensor = self._tensor(p, ir, dtype, known)
                found[p.name] = tensor
                expressions += [
                    (tensor, i, d) for i, d in enumerate(p.dims) if tensor.extents[i] is None
                ]
        for tensor, axis, dim in expressions:
            missing = [n for n in dim.names() if n not in known]
            tensor.extents[axis] = (
                _size(tensor.ir, axis, None)
                if missing
                else as_index(dim.evaluate(known.__getitem__))
            )
        return found

    def known_dims(self) -> dict[str, Any]:
        return {n: v for n, v in self.fixed.items() if n in self.params.dims}

    def _tensor(self, p: Param, ir: Value, dtype: DType, known: dict[str, Any]) -> Tensor:
        extents: list[Any] = []
        for axis, dim in enumerate(p.dims):
            fixed = self.extent(dim)
            if fixed is not None:
                extents.append(fixed)
            elif isinstance(dim, Dim):
                if dim.name not in known:
                    known[dim.name] = _size(ir, axis, DimExpr("name", dim.name))
                extents.append(known[dim.name])
            else:
                extents.append(None)
        names = tuple(str(d) for d in p.dims)
        return Tensor(ir, dtype, p.name, extents, names, ACCESS[p.access])

    # --------------------------------------------------------------------------- signature

    def signature(self, relations: Sequence[str], name: str) -> Signature:
        """Return what callers must give."""
        texts = [
            t for r in (*self.kernel.require, *relations) if (t := self.relation(r)) is not None
        ]
        args = []
        for p in self.params.args:
            dims: list[str | int] = []
            for axis, dim in enumerate(p.dims):
                fixed = self.extent(dim)
                if fixed is not None or isinstance(dim, Dim):
                    dims.append(dim.name if fixed is None else fixed)
                    continue
                own = f"{p.name.replace('.', '_')}_{axis}"
                dims.append(own)
                text = self.relation(f"{own} == {dim.text}")
                if text is not None and p.name not in self.spec.absent:
                    texts.append(text)
            names = tuple(d.name if isinstance(d, Dim) else None for d in p.dims)
            unit = p.name not in self.spec.strided
            absent = p.name in self.spec.absent
            args.append(argument(p, self.dtype(p), tuple(dims), names, unit, absent))
        if self.spec.explicit_grid:
            args += [Arg(n, SCALAR, "i64") for n in GRID_ARGS]
        found = Signature(name, tuple(args), (), tuple(self.consts.items()), self.kernel.doc)
        unique = (Relation(t) for t in dict.fromkeys(texts))
        missing = found.missing_dims
        kept = tuple(r for r in unique if not missing or missing.isdisjoint(r.names))
        return replace(found, relations=kept)

    def relation(self, text: str) -> str | None:
        """Put known numbers into a relation; None when it then holds for sure.

        Raise StaticAssertError when it cannot hold.
        """
        import ast

        known = {**self.fixed, **{k: v for k, v in self.consts.items() if isinstance(v, int)}}
        tree = ast.parse(text, mode="eval")
        for node in ast.walk(tree):
            for name, child in ast.iter_fields(node):
                if isinstance(child, ast.Name) and child.id in known:
                    setattr(node, name, ast.Constant(int(known[child.id])))
                elif isinstance(child, list):
                    child[:] = [
                        ast.Constant(int(known[c.id]))
                        if isinstance(c, ast.Name) and c.id in known
                        else c
                        for c in child
                    ]
        if any(isinstance(n, ast.Name) for n in ast.walk(tree)):
            return ast.unparse(tree)
        if not Relation(ast.unparse(tree)).holds({}):
            raise StaticAssertError(
                where() or self.kernel.loc, what=f"{self.kernel.name} requires {text}"
            )
        return None


def _plain(dim: DimExpr, known: Mapping[str, int]) -> Any:
    """Compute a dim expression over ints."""
    return dim.evaluate(known.__getitem__)


def _size(ir: Value, axis: int, sym: Any) -> Scalar:
    found = Scalar(emit(memref.Dim, ir, as_index(axis).ir), INDEX_DTYPE, sym)
    found.ir.name = None if sym is None else sym.text
    return found


# ---------------------------------------------------------------------------------------- grids


class Names:
    """What a grid function gets: dims, Const parameters and integer arguments by name."""

    def __init__(self, kernel: str, known: dict[str, Any]) -> None:
        self._kernel = kernel
        self._known = known

    def __getattr__(self, name: str) -> Any:
        """Return a value; raise UnknownDimError."""
        try:
            return self._known[name]
        except KeyError:
            known = ", ".join(self._known) or "none"
            raise UnknownDimError(where(), kernel=self._kernel, name=name, known=known) from None


def grid_of(kernel: Any, known: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Call a kernel's grid function and return three extents."""
    if kernel.grid is None:
        return 1, 1, 1
    found = kernel.grid(Names(kernel.name, known)) if callable(kernel.grid) else kernel.grid
    return three(found, kernel.name)


def three(grid: Any, name: str) -> tuple[Any, Any, Any]:
    """Fill a grid of one to three extents up with ones."""
    parts = tuple(grid) if isinstance(grid, tuple | list) else (grid,)
    if not 1 <= len(parts) <= 3:
        raise BadGridError(where(), kernel=name, got=parts, why="has not one to three extents")
    for part in parts:
        value = as_value(part)
        whole = isinstance(value, Scalar) and value.dtype.is_integer
        whole = whole or (isinstance(value, int) and not isinstance(value, bool))
        if not whole and not isinstance(value, DimExpr) and not hasattr(value, "free_symbols"):
            raise BadGridError(where(), kernel=name, got=describe(part), why="is no integer")
    return (*parts, *(1 for _ in range(3 - len(parts))))


# --------------------------------------------------------------------------------------- tracing


def trace(
    kernel: Any, spec: Specialization | None = None, target: Target = GENERIC
) -> TracedModule:
    """Trace a kernel or program and its host entry into a new module.

    Raise a LanguageError for what its text cannot say.
    """
    spec = Specialization() if spec is None else spec
    module = Module.empty()
    binding = Binding(kernel, spec, target)
    for declared in kernel.require:
        binding.relation(declared)
    if kernel.is_program:
        from kdsl.language.program import trace_program

        signature, kernels = trace_program(kernel, binding, module)
    else:
        symbol = kernel.name + KERNEL_SUFFIX
        relations = trace_kernel(kernel, binding, module, symbol)
        signature, kernels = binding.signature(relations, kernel.name), (symbol,)
        trace_entry(kernel, binding, module, symbol)
    signature = with_inferred_access(signature, module, kernel.name)
    return TracedModule(module, signature, kernel.name, kernels, spec, target)


def with_inferred_access(signature: Signature, module: Module, entry: str) -> Signature:
    """Say of arguments without a stated access which are only read."""
    values = module.function(entry).body.args
    args = tuple(
        replace(arg, access="ro") if arg.access == "rw" and not _is_written(module, value) else arg
        for arg, value in zip(signature.args, values, strict=True)
    )
    return replace(signature, args=args)


def _is_written(module: Module, value: Value) -> bool:
    """Return whether this function, or one that it launches, may write to a buffer."""
    for user in value.users:
        if isinstance(user, memref.Cast):
            if _is_written(module, user.results[0]):
                return True
        elif isinstance(user, ops.Launch):
            kernel = user.kernel
            assert isinstance(kernel, Symbol)
            inside = module.function(kernel.name).body.args
            given = zip(user.args, inside, strict=True)
            if any(v is value and _is_written(module, a) for v, a in given):
                return True
        elif isinstance(user, memref.Prefetch):
            continue
        elif isinstance(user, DeclaredOp) and WritesMemory in user.traits:
            return True
    return False


def new_function(
    binding: Binding,
    module: Module,
    name: str,
    types: tuple[Type, ...],
    names: tuple[str, ...],
    mark: str,
) -> tuple[Func, Trace]:
    """Add an empty function to the module and return it with its trace."""
    loc = binding.kernel.loc
    function = Func.empty(
        name, types, (), tuple(n.replace(".", "_") for n in names), loc, **{mark: None}
    )
    module.body.append(function)
    made = Trace(module, function.body, binding.target, binding.kernel.name)
    made.options = binding.options
    return function, made


def trace_kernel(kernel: Any, binding: Binding, module: Module, symbol: str) -> list[str]:
    """Trace the device function; return the relations that its body requires."""
    names = tuple(p.name for p in kernel.params.args)
    function, made = new_function(binding, module, symbol, binding.types(), names, KERNEL)
    with tracing(made):
        made.fixed_location = kernel.loc
        leaves = binding.leaves(made, function.body.args)
        made.fixed_location = None
        run(kernel, made, leaves, binding.consts)
        finish(made, function.body, kernel)
    for key, value in binding.options.items():
        option = tuple(value) if isinstance(value, list) else value
        if isinstance(option, bool | int | str | tuple):
            function.attributes[f"kdsl.schedule.{key}"] = option
    if made.program_id is not None and kernel.grid is None and not binding.spec.explicit_grid:
        raise NoGridError(made.program_id, kernel=kernel.name)
    if kernel.grid is None and made.program_id is None:
        mark_parallel(function)
    return made.relations


def run(kernel: Any, made: Trace, leaves: dict[str, Any], consts: dict[str, Any]) -> None:
    """Run the user's function on traced values."""
    args, named = kernel.params.values(leaves, consts)
    with made.call(kernel, kernel.name):
        made.callers[-1] = None
        found = kernel.rewritten()(*args, **named)
    if found is not None:
        why = "a kernel has no caller to give values to"
        raise ReturnError(
            return_location(kernel.function), kernel=kernel.name, got=describe(found), why=why
        )


def finish(made: Trace, block: Block, kernel: Any) -> None:
    """End a function and remove what nothing reads."""
    made.builder.loc = kernel.loc
    made.builder.create(Return, [])
    remove_unused(block)


def mark_parallel(function: Func) -> None:
    """Mark a kernel's only op with effects when it is a loop of independent turns."""
    effects = [op for op in function.body if not _is_harmless(op)]
    if len(effects) != 1 or not isinstance(effects[0], For) or effects[0].results:
        return
    if VECTORIZE in effects[0].attributes:
        effects[0].attributes[PARALLEL] = None


def _is_harmless(op: Op) -> bool:
    return isinstance(op, Return) or (isinstance(op, DeclaredOp) and Pure in op.traits)


def trace_entry(kernel: Any, binding: Binding, module: Module, symbol: str) -> None:
    """Make the host function that computes the grid and launches the kernel."""
    types, names = binding.types(), tuple(p.name for p in kernel.params.args)
    if binding.spec.explicit_grid:
        types, names = (*types, I64, I64, I64), (*names, *GRID_ARGS)
    function, made = new_function(binding, module, kernel.name, types, names, ENTRY)
    count = len(kernel.params.args)
    with tracing(made):
        made.fixed_location = kernel.loc
        leaves = binding.leaves(made, function.body.args[:count])
        if binding.spec.explicit_grid:
            i64 = DTYPES["i64"]
            grid: Any = tuple(Scalar(a, i64) for a in function.body.args[count:])
        else:
            made.fixed_location = None
            grid = grid_of(kernel, grid_names(made.dims[-1], leaves, binding.consts))
            made.fixed_location = kernel.loc
        launch(symbol, grid, list(function.body.args[:count]))
        finish(made, function.body, kernel)
    if kernel.expect is not None:
        function.attributes["kdsl.expect"] = str(kernel.expect)


def grid_names(
    dims: dict[str, Any], leaves: dict[str, Any], consts: dict[str, Any]
) -> dict[str, Any]:
    """Return what a grid function may read."""
    integers = {
        n: (convert(v, INDEX_DTYPE) if isinstance(v, Lanes) else v)
        for n, v in leaves.items()
        if (isinstance(v, Scalar) and v.dtype.is_integer)
        or (isinstance(v, int) and not isinstance(v, bool))
    }
    return {**integers, **consts, **dims}


def launch(symbol: str, grid: tuple[Any, Any, Any], args: list[Value]) -> None:
    """Emit the launch of a kernel over a grid."""
    extents = [as_index(n, "a grid").ir for n in grid]
    emit_op(ops.Launch, *extents, args, kernel=Symbol(symbol))
