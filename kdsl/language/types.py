"""What annotations say: dtypes, pointers, tensors, SIMD values, constants, structs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kdsl.errors import BadAnnotationError, NotConstError, TypeMismatchError
from kdsl.ir.types import DTYPES, DType
from kdsl.language.dims import DimExpr
from kdsl.language.state import active, where

bool_ = DTYPES["bool"]
i8, i16, i32, i64 = (DTYPES[n] for n in ("i8", "i16", "i32", "i64"))
u8, u16, u32, u64 = (DTYPES[n] for n in ("u8", "u16", "u32", "u64"))
f16, bf16, f32, f64 = (DTYPES[n] for n in ("f16", "bf16", "f32", "f64"))
f8e4m3, f8e5m2 = DTYPES["f8e4m3"], DTYPES["f8e5m2"]
index = Index = DTYPES["index"]


class _Auto(int):
    """Let the target choose."""

    def __repr__(self) -> str:
        return "AUTO"


AUTO = _Auto(0)


@dataclass(frozen=True)
class Access:
    """Whether a kernel reads, writes or does both to an argument."""

    name: str

    def __repr__(self) -> str:
        return self.name.upper()


RO, WO, RW = Access("ro"), Access("wo"), Access("rw")


@dataclass(frozen=True)
class Align:
    """The alignment in bytes that an address must have."""

    bytes: int


def align(bytes: int) -> Align:
    """Require an address to be a multiple of ``bytes``: ``Ptr[f32, kd.RO, kd.align(64)]``."""
    if bytes < 1 or bytes & (bytes - 1):
        raise TypeMismatchError(where(), op="kd.align", wanted="a power of two", got=bytes)
    return Align(bytes)


@dataclass(frozen=True, eq=False)
class DTypeVar:
    """A dtype that each specialization chooses from ``choices``."""

    name: str
    choices: tuple[DType, ...]

    def __repr__(self) -> str:
        return self.name

    def __getattr__(self, name: str) -> Any:
        """Give what the chosen dtype has, in a kernel."""
        if name.startswith("__") or active() is None:
            raise AttributeError(name)
        return getattr(resolve_dtype(self), name)


def dtype_var(name: str, *choices: DType) -> DTypeVar:
    """Make a dtype variable: ``T = kd.dtype_var("T", kd.f32, kd.bf16)``."""
    if not choices or not all(isinstance(c, DType) for c in choices):
        raise BadAnnotationError(where(), kernel="kd.dtype_var", name=name, got=repr(choices))
    return DTypeVar(name, choices)


AnyDType = DType | DTypeVar


def resolve_dtype(given: Any, what: str = "a dtype") -> DType:
    """Return the dtype that is meant: itself, a variable's choice, or the dtype of a name."""
    if isinstance(given, DType):
        return given
    if isinstance(given, DTypeVar):
        trace = active()
        chosen = trace.dtypes[-1].get(given.name) if trace is not None else None
        if chosen is not None:
            return chosen
    if isinstance(given, str) and given in DTYPES:
        return DTYPES[given]
    if given is bool:
        return bool_
    raise TypeMismatchError(where(), op=what, wanted="a dtype such as kd.f32", got=describe(given))


def describe(x: Any) -> str:
    """Say what a value is, for an error."""
    said = getattr(x, "type_text", None)
    if isinstance(said, str):
        return said
    if isinstance(x, DType | DTypeVar | DimExpr):
        return repr(x)
    if isinstance(x, bool | int | float | str):
        return f"the {type(x).__name__} {x!r}"
    return type(x).__name__


class Annotation:
    """Base of parameter annotations; ``X | None`` makes the argument optional."""

    def __or__(self, other: Any) -> Any:
        if other is None or other is type(None):
            return OptionalType(self)
        return NotImplemented

    __ror__ = __or__


@dataclass(frozen=True, eq=False)
class OptionalType:
    """An argument that may be None; the kernel is specialized on that."""

    inner: Annotation


@dataclass(frozen=True, eq=False)
class PtrType(Annotation):
    """``Ptr[dtype, access, kd.align(n)]``."""

    dtype: AnyDType
    access: Access = RW
    align: int = 1


@dataclass(frozen=True, eq=False)
class TensorType(Annotation):
    """``Tensor[dtype, *dims]``; a dim is named, an int, or an expression of dims."""

    dtype: AnyDType
    dims: tuple[Any, ...]
    access: Access = RW
    align: int = 1


@dataclass(frozen=True, eq=False)
class SIMDType(Annotation):
    """``SIMD[dtype, width]``; called, it makes a value: ``SIMD[f32, 4](1, 2, 3, 4)``."""

    dtype: AnyDType
    width: int

    def __call__(self, *lanes: Any) -> Any:
        from kdsl.language.simd import make_simd

        return make_simd(resolve_dtype(self.dtype), static_int(self.width, "a width"), lanes)


@dataclass(frozen=True, eq=False)
class TileType(Annotation):
    """``Tile[dtype, *shape]``, for helpers' annotations."""

    dtype: AnyDType
    shape: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class ConstType:
    """``Const[T]``: a keyword-only parameter known while compiling."""

    type: Any


class Const:
    """A compile-time parameter: ``*, BM: Const[int] = 64``."""

    def __class_getitem__(cls, item: Any) -> ConstType:
        return ConstType(item)


class Width:
    """How many lanes a ``kd.vectorize`` loop works on at once; the target chooses when it is 0."""

    __slots__ = ("value",)

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Width({self.value})" if self.value else "Width(AUTO)"


def split_annotation(item: Any, what: str) -> tuple[AnyDType, tuple[Any, ...], Access, int]:
    """Split the items of ``Ptr[...]`` or ``Tensor[...]``: dtype, dims, access, alignment."""
    items = item if isinstance(item, tuple) else (item,)
    dtype, *rest = items
    if not isinstance(dtype, DType | DTypeVar):
        raise BadAnnotationError(where(), kernel=what, name="dtype", got=describe(dtype))
    access, alignment, found = RW, 1, []
    for part in rest:
        if isinstance(part, Access):
            access = part
        elif isinstance(part, Align):
            alignment = part.bytes
        elif isinstance(part, DimExpr) or (isinstance(part, int) and not isinstance(part, bool)):
            found.append(part)
        else:
            raise BadAnnotationError(where(), kernel=what, name="dim", got=describe(part))
    return dtype, tuple(found), access, alignment


def static_int(x: Any, what: str, example: str = "*, N: Const[int]") -> int:
    """Return an int that is known while tracing; raise NotConstError otherwise."""
    from kdsl.language.dims import extent

    x = extent(x)
    if hasattr(x, "item") and not hasattr(x, "type_text"):
        x = x.item()
    if isinstance(x, int) and not isinstance(x, bool):
        return int(x)
    if isinstance(x, bool | float | str) or x is None:
        raise TypeMismatchError(where(), op=what, wanted="an int", got=describe(x))
    raise NotConstError(where(), what=what, got=describe(x), example=example)


def static_shape(shape: Any, what: str = "a tile's shape") -> tuple[int, ...]:
    """Return a shape of ints known while tracing."""
    parts = shape if isinstance(shape, tuple | list) else (shape,)
    found = tuple(static_int(n, what) for n in parts)
    if any(n < 1 for n in found):
        raise TypeMismatchError(where(), op=what, wanted="positive sizes", got=found)
    return found


@dataclass(frozen=True)
class Config:
    """One choice of Const parameters and schedule options for ``kd.autotune``."""

    values: dict[str, Any] = field(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        object.__setattr__(self, "values", values)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.values.items())))

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{k}={v!r}' for k, v in self.values.items())})"
