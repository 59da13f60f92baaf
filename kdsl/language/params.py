"""The parameters of a kernel, read off its annotations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import FunctionType
from typing import Any

from kdsl.errors import (
    ArgumentCountError,
    BadAnnotationError,
    MissingConstError,
    TypeMismatchError,
    UnknownParameterError,
)
from kdsl.ir.signature import PTR, SCALAR, TENSOR, Arg
from kdsl.ir.types import DTYPES, DType
from kdsl.language.dims import Dim, DimExpr
from kdsl.language.source import parameter_location
from kdsl.language.state import where
from kdsl.language.types import (
    AnyDType,
    ConstType,
    DTypeVar,
    OptionalType,
    PtrType,
    TensorType,
    describe,
)


class _NoDefault:
    """Says that a parameter must be given."""

    def __repr__(self) -> str:
        return "no default"


NO_DEFAULT: Any = _NoDefault()
STRUCT, CONST = "struct", "const"


@dataclass(frozen=True, eq=False)
class Param:
    """One parameter, or one field of a struct; ``name`` of a field is ``cfg.field``.

    ``kind``: "tensor", "ptr", "scalar", "const" or "struct". ``type`` is a Const's Python type or
    a struct's class, ``parts`` the struct's fields.
    """

    name: str
    kind: str
    dtype: AnyDType | None = None
    dims: tuple[Any, ...] = ()
    access: str = "rw"
    align: int = 1
    optional: bool = False
    default: Any = NO_DEFAULT
    type: Any = None
    parts: tuple[Param, ...] = ()

    def leaves(self) -> Iterator[Param]:
        """Yield the parameter, or a struct's fields, run-time and Const ones."""
        if self.kind != STRUCT:
            yield self
        for part in self.parts:
            yield from part.leaves()


class Params:
    """All parameters: ``args`` are run-time leaves in call order, ``consts`` compile-time ones."""

    def __init__(self, function: FunctionType, kernel: str) -> None:
        self.kernel = kernel
        code = function.__code__
        if code.co_flags & 0x0C:
            raise BadAnnotationError(
                parameter_location(function, ""),
                kernel=kernel,
                name="*args or **kwargs",
                got="open-ended",
            )
        count, only = code.co_argcount, code.co_kwonlyargcount
        names = code.co_varnames
        self.positional = self._positional(function, names[:count])
        self.keyword = self._keyword(function, names[count : count + only])
        self.all: dict[str, Param] = {p.name: p for p in (*self.positional, *self.keyword)}
        leaves = [leaf for p in (*self.positional, *self.keyword) for leaf in p.leaves()]
        self.args: tuple[Param, ...] = tuple(p for p in leaves if p.kind != CONST)
        self.consts: dict[str, Param] = {p.name: p for p in leaves if p.kind == CONST}
        self.dtype_vars: dict[str, DTypeVar] = {
            p.dtype.name: p.dtype for p in self.args if isinstance(p.dtype, DTypeVar)
        }
        self.dims: dict[str, Dim | None] = {}
        for p in self.args:
            for dim in p.dims:
                for part in _dims_in(dim):
                    self.dims.setdefault(part.name, part)

    @property
    def const_dims(self) -> list[str]:
        """The dims that every specialization fixes."""
        return [name for name, dim in self.dims.items() if dim is not None and dim.const]

    def _positional(self, function: FunctionType, names: tuple[str, ...]) -> tuple[Param, ...]:
        defaults = function.__defaults__ or ()
        given: list[Any] = [NO_DEFAULT] * (len(names) - len(defaults)) + list(defaults)
        found = []
        for name, default in zip(names, given, strict=True):
            note = _annotation(function, name, self.kernel)
            param = _run_time(name, note, default)
            if param is None:
                raise _bad(function, self.kernel, name, note)
            found.append(param)
        return tuple(found)

    def _keyword(self, function: FunctionType, names: tuple[str, ...]) -> tuple[Param, ...]:
        defaults = function.__kwdefaults__ or {}
        found = []
        for name in names:
            note = _annotation(function, name, self.kernel)
            if not isinstance(note, ConstType):
                raise _bad(function, self.kernel, name, note)
            found.append(Param(name, CONST, type=note.type, default=defaults.get(name, NO_DEFAULT)))
        return tuple(found)

    # ------------------------------------------------------------------------------- calls

    def bind(
        self, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the run-time leaves' values in order, and the Const parameters given.

        Raise ArgumentCountError or UnknownParameterError.
        """
        for name in named:
            if name not in self.all:
                known = ", ".join(self.all)
                raise UnknownParameterError(where(), kernel=self.kernel, name=name, known=known)
        values = dict(zip((p.name for p in self.positional), args, strict=False))
        twice = [n for n in named if n in values]
        if len(args) > len(self.positional) or twice:
            raise self._count_error(len(args) + len(twice))
        values.update(named)
        for p in self.positional:
            if p.name not in values and p.default is not NO_DEFAULT:
                values[p.name] = p.default
            elif p.name not in values and p.optional:
                values[p.name] = None
        if any(p.name not in values for p in self.positional):
            raise self._count_error(len(args) + sum(1 for p in self.positional if p.name in named))
        leaves: list[Any] = []
        consts: dict[str, Any] = {}
        for p in self.positional:
            self._take(p, values[p.name], leaves, consts)
        consts.update({p.name: values[p.name] for p in self.keyword if p.name in values})
        return leaves, consts

    def _take(self, p: Param, value: Any, leaves: list[Any], consts: dict[str, Any]) -> None:
        if p.kind != STRUCT:
            if p.kind == CONST:
                consts[p.name] = value
            else:
                leaves.append(value)
            return
        if not isinstance(value, p.type):
            wanted = p.type.__name__
            raise TypeMismatchError(
                where(), op=f"{self.kernel}: {p.name}", wanted=wanted, got=describe(value)
            )
        for part in p.parts:
            self._take(part, getattr(value, part.name.rpartition(".")[2]), leaves, consts)

    def _count_error(self, got: int) -> ArgumentCountError:
        names = ", ".join(p.name for p in self.positional)
        return ArgumentCountError(
            where(), kernel=self.kernel, wanted=len(self.positional), names=names or "none", got=got
        )

    # ----------------------------------------------------------------------------- consts

    def resolve_consts(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return all Const parameters, checked; raise MissingConstError or TypeMismatchError."""
        found: dict[str, Any] = {}
        for name, param in self.consts.items():
            value = given.get(name, param.default)
            if value is NO_DEFAULT or isinstance(value, DimExpr):
                raise MissingConstError(where(), kernel=self.kernel, name=name)
            found[name] = check_const(self.kernel, param, value)
        return found

    def values(
        self, leaves: dict[str, Any], consts: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Put run-time leaves and Const values together to what the user's function takes."""
        known = {**leaves, **consts}
        args = [_assemble(p, known) for p in self.positional]
        return args, {p.name: known[p.name] for p in self.keyword}


def _assemble(p: Param, known: dict[str, Any]) -> Any:
    if p.kind != STRUCT:
        return known[p.name]
    return p.type(**{q.name.rpartition(".")[2]: _assemble(q, known) for q in p.parts})


def check_const(kernel: str, param: Param, value: Any) -> Any:
    """Return a Const parameter's value in its type."""
    wanted = param.type
    if hasattr(value, "item") and hasattr(value, "dtype"):
        value = value.item()
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is DType or isinstance(wanted, DType):
        value = DTYPES.get(value, value) if isinstance(value, str) else value
        wanted = DType
    fits = not isinstance(wanted, type) or isinstance(value, wanted)
    if isinstance(value, bool) and wanted in (int, float):
        fits = False
    if not fits or type(value).__name__ in ("Scalar", "SIMD", "Tile"):
        from kdsl.errors import NotConstError

        what, name = f"{kernel}: {param.name}", getattr(wanted, "__name__", str(wanted))
        if hasattr(value, "ir"):
            example = f"{param.name} must be a number or another Const parameter"
            raise NotConstError(where(), what=what, got=describe(value), example=example)
        raise TypeMismatchError(where(), op=what, wanted=name, got=describe(value))
    return value


def _annotation(function: FunctionType, name: str, kernel: str) -> Any:
    note = function.__annotations__.get(name, NO_DEFAULT)
    if not isinstance(note, str):
        return note
    names = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    local = {n: c.cell_contents for n, c in names.items()}
    try:
        return eval(note, function.__globals__, local)  # noqa: S307 - the user's own annotation
    except Exception as problem:
        raise BadAnnotationError(
            parameter_location(function, name),
            kernel=kernel,
            name=name,
            got=f"{note!r} ({problem})",
        ) from problem


def _bad(function: FunctionType, kernel: str, name: str, note: Any) -> BadAnnotationError:
    if note is NO_DEFAULT:
        got = "missing"
    elif isinstance(note, ConstType):
        got = "Const on a positional parameter (put it after *)"
    else:
        got = getattr(note, "__name__", None) or describe(note)
    return BadAnnotationError(parameter_location(function, name), kernel=kernel, name=name, got=got)


def _run_time(name: str, note: Any, default: Any) -> Param | None:
    """Return the parameter that an annotation describes, or None when it is no kernel type."""
    optional = isinstance(note, OptionalType)
    if isinstance(note, OptionalType):
        note = note.inner
    if isinstance(note, PtrType):
        return Param(name, PTR, note.dtype, (), note.access.name, note.align, optional, default)
    if isinstance(note, TensorType):
        return Param(
            name, TENSOR, note.dtype, note.dims, note.access.name, note.align, optional, default
        )
    if isinstance(note, DType | DTypeVar) and not optional:
        return Param(name, SCALAR, note, default=default)
    if note is bool and not optional:
        return Param(name, SCALAR, DTYPES["bool"], default=default)
    if isinstance(note, type) and is_dataclass(note) and note.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return _struct(name, note, default)
    return None


def _struct(name: str, note: Any, default: Any) -> Param | None:
    parts = []
    for f in fields(note):
        kind = f.type
        if isinstance(kind, str):
            import sys

            kind = eval(kind, vars(sys.modules[note.__module__]))  # noqa: S307 - the user's own annotation
        full = f"{name}.{f.name}"
        default_of = NO_DEFAULT if f.default is MISSING else f.default
        part = (
            Param(full, CONST, type=kind.type, default=default_of)
            if isinstance(kind, ConstType)
            else _run_time(full, kind, default_of)
        )
        if part is None:
            return None
        parts.append(part)
    return Param(name, STRUCT, default=default, type=note, parts=tuple(parts))


def _dims_in(dim: Any) -> list[Dim]:
    if isinstance(dim, Dim):
        return [dim]
    if isinstance(dim, DimExpr):
        return [d for part in dim.parts for d in _dims_in(part)]
    return []


def argument(
    p: Param,
    dtype: DType,
    dims: tuple[Any, ...],
    names: tuple[Any, ...],
    unit: bool,
    absent: bool,
) -> Arg:
    """Return a parameter's entry in the signature."""
    default = p.default if isinstance(p.default, bool | int | float) else None
    return Arg(
        name=p.name, kind=p.kind, dtype=dtype.name, access=p.access, dims=dims, unit_stride=unit,
        align=p.align, default=default, optional=p.optional, dim_names=names, absent=absent,
    )  # fmt: skip
