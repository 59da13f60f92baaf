"""Traced values: scalars, SIMD values and tiles, with one set of operators and promotion rules.

Two traced values must have one dtype; ``index`` joins with any integer. A Python number takes the
dtype of what it meets. Nothing else is converted silently.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects import arith, vector
from kdsl.dialects import kdsl as tile_ops
from kdsl.dialects import math as math_ops
from kdsl.errors import (
    DtypeMismatchError,
    EscapedValueError,
    NoSourceError,
    ShapeMismatchError,
    TracedBoolError,
    TracedValueError,
    TypeMismatchError,
)
from kdsl.ir.attributes import Opaque
from kdsl.ir.core import Value, defining_op
from kdsl.ir.types import DTYPES, DType, ScalarType, like, tensor
from kdsl.ir.types import vector as vector_type
from kdsl.language.constants import constant
from kdsl.language.dims import DimExpr
from kdsl.language.state import Scope, current, emit, user_frame, where
from kdsl.language.types import AnyDType, describe, resolve_dtype

CONTRACT = Opaque(arith.CONTRACT)
BOOL, I32, F32, INDEX_DTYPE = (DTYPES[n] for n in ("bool", "i32", "f32", "index"))
Number = bool | int | float

# name -> op class for floats, signed and unsigned integers; None: not defined.
BINARY: dict[str, tuple[Any, Any, Any]] = {
    "+": (arith.Addf, arith.Addi, arith.Addi),
    "-": (arith.Subf, arith.Subi, arith.Subi),
    "*": (arith.Mulf, arith.Muli, arith.Muli),
    "/": (arith.Divf, None, None),
    "//": (None, arith.Floordivsi, arith.Divui),
    "%": (None, None, arith.Remui),
    "&": (None, arith.Andi, arith.Andi),
    "|": (None, arith.Ori, arith.Ori),
    "^": (None, arith.Xori, arith.Xori),
    "<<": (None, arith.Shli, arith.Shli),
    ">>": (None, arith.Shrsi, arith.Shrui),
    "maximum": (arith.Maximumf, arith.Maxsi, arith.Maxui),
    "minimum": (arith.Minimumf, arith.Minsi, arith.Minui),
    "cdiv": (None, arith.Ceildivsi, None),
    "copysign": (math_ops.Copysign, None, None),
}
ON_BOOLS = {"&", "|", "^"}
COMPARE = {
    "==": ("oeq", "eq", "eq"), "!=": ("une", "ne", "ne"), "<": ("olt", "slt", "ult"),
    "<=": ("ole", "sle", "ule"), ">": ("ogt", "sgt", "ugt"), ">=": ("oge", "sge", "uge"),
}  # fmt: skip
CONTRACTED = {arith.Addf, arith.Subf, arith.Mulf, arith.Divf, arith.Negf}


class Weak:
    """A carried Python number whose dtype is not decided yet; ``met`` is what it met."""

    __slots__ = ("met",)

    def __init__(self) -> None:
        self.met: DType | None = None


class Operators:
    """Python's operators on anything that ``as_value`` takes."""

    __slots__ = ()

    def __add__(self, o: Any) -> Any:
        return binary("+", self, o)

    def __radd__(self, o: Any) -> Any:
        return binary("+", o, self)

    def __sub__(self, o: Any) -> Any:
        return binary("-", self, o)

    def __rsub__(self, o: Any) -> Any:
        return binary("-", o, self)

    def __mul__(self, o: Any) -> Any:
        return binary("*", self, o)

    def __rmul__(self, o: Any) -> Any:
        return binary("*", o, self)

    def __truediv__(self, o: Any) -> Any:
        return binary("/", self, o)

    def __rtruediv__(self, o: Any) -> Any:
        return binary("/", o, self)

    def __floordiv__(self, o: Any) -> Any:
        return binary("//", self, o)

    def __rfloordiv__(self, o: Any) -> Any:
        return binary("//", o, self)

    def __mod__(self, o: Any) -> Any:
        return binary("%", self, o)

    def __rmod__(self, o: Any) -> Any:
        return binary("%", o, self)

    def __and__(self, o: Any) -> Any:
        return binary("&", self, o)

    def __rand__(self, o: Any) -> Any:
        return binary("&", o, self)

    def __or__(self, o: Any) -> Any:
        return binary("|", self, o)

    def __ror__(self, o: Any) -> Any:
        return binary("|", o, self)

    def __xor__(self, o: Any) -> Any:
        return binary("^", self, o)

    def __rxor__(self, o: Any) -> Any:
        return binary("^", o, self)

    def __lshift__(self, o: Any) -> Any:
        return binary("<<", self, o)

    def __rlshift__(self, o: Any) -> Any:
        return binary("<<", o, self)

    def __rshift__(self, o: Any) -> Any:
        return binary(">>", self, o)

    def __rrshift__(self, o: Any) -> Any:
        return binary(">>", o, self)

    def __pow__(self, o: Any) -> Any:
        return power(self, o)

    def __rpow__(self, o: Any) -> Any:
        return power(o, self)

    def __matmul__(self, o: Any) -> Any:
        from kdsl.language.tile import dot

        return dot(self, o)

    def __lt__(self, o: Any) -> Any:
        return compare("<", self, o)

    def __le__(self, o: Any) -> Any:
        return compare("<=", self, o)

    def __gt__(self, o: Any) -> Any:
        return compare(">", self, o)

    def __ge__(self, o: Any) -> Any:
        return compare(">=", self, o)

    def __eq__(self, o: object) -> Any:
        return compare("==", self, o)

    def __ne__(self, o: object) -> Any:
        return compare("!=", self, o)

    __hash__ = None  # type: ignore[assignment]

    def __neg__(self) -> Any:
        return negate(self)

    def __pos__(self) -> Any:
        return as_value(self)

    def __abs__(self) -> Any:
        return magnitude(self)

    def __invert__(self) -> Any:
        return invert(self)

    # ------------------------------------------------------------- what Python may not know

    def __bool__(self) -> bool:
        raise _bool_error(self)

    def __int__(self) -> int:
        raise TracedValueError(where(), type=describe(self), wanted="int")

    def __index__(self) -> int:
        raise TracedValueError(where(), type=describe(self), wanted="int")

    def __float__(self) -> float:
        raise TracedValueError(where(), type=describe(self), wanted="float")

    def __iter__(self) -> Any:
        raise TracedValueError(where(), type=describe(self), wanted="sequence")

    def __len__(self) -> int:
        raise TracedValueError(where(), type=describe(self), wanted="length")


def _bool_error(value: Any) -> Exception:
    from kdsl.language.source import has_no_source

    frame = user_frame(2)
    if frame is not None and has_no_source(frame.f_code):
        return NoSourceError(where(), name=frame.f_code.co_name)
    return TracedBoolError(where(), type=describe(value))


class Lanes(Operators):
    """A traced value: ``ir`` in the module, ``dtype`` in the language."""

    __slots__ = ("dtype", "ir", "scope", "sym", "weak")

    def __init__(self, ir: Value, dtype: DType, sym: Any = None) -> None:
        self.ir = ir
        self.dtype = dtype
        self.scope: Scope = current().scope
        self.sym: DimExpr | int | None = sym
        self.weak: Weak | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return getattr(self.ir.type, "shape", ())

    @property
    def type_text(self) -> str:
        return self.dtype.name

    def to(self, dtype: AnyDType) -> Any:
        """Convert every lane; floats to integers towards zero."""
        return convert(self, resolve_dtype(dtype))

    def bitcast(self, dtype: AnyDType) -> Any:
        """Read the same bits as another dtype."""
        return bitcast(self, resolve_dtype(dtype))

    def fma(self, b: Any, c: Any) -> Any:
        """Return ``self * b + c``, rounded once."""
        return fma(self, b, c)

    def clamp(self, low: Any, high: Any) -> Any:
        """Limit every lane to ``low`` .. ``high``."""
        return binary("minimum", binary("maximum", self, low), high)

    def select(self, a: Any, b: Any) -> Any:
        """Take ``a`` where this mask holds, ``b`` elsewhere."""
        return where_(self, a, b)

    def __repr__(self) -> str:
        return f"<traced {self.type_text}>"


class Scalar(Lanes):
    """One traced number."""

    __slots__ = ()


class LoopLanes(Scalar):
    """The lanes of a ``kd.vectorize`` turn: one number in the module until the loop is widened."""

    __slots__ = ()

    @property
    def type_text(self) -> str:
        return f"SIMD[{self.dtype}, w]"

    def __getattr__(self, name: str) -> Any:
        """Refuse what needs the lanes beside this one."""
        from kdsl.errors import WidthError
        from kdsl.language.simd import SIMD

        if not name.startswith("_") and hasattr(SIMD, name):
            why = "is chosen after tracing, so lanes cannot reach each other"
            raise WidthError(where(), op=name, width="of the loop", why=why)
        raise AttributeError(name)


def wrap(ir: Value, dtype: DType, *sources: Any) -> Any:
    """Make the language's value for an IR value; the class follows from its type."""
    from kdsl.language.simd import SIMD
    from kdsl.language.tile import Tile

    t = ir.type
    if isinstance(t, ScalarType):
        loop = any(type(s) is LoopLanes for s in sources)
        return LoopLanes(ir, dtype) if loop else Scalar(ir, dtype)
    return SIMD(ir, dtype) if t.text.startswith("vector") else Tile(ir, dtype)


# ---------------------------------------------------------------------------------- constants


def known_int(x: Any) -> int | None:
    """Return the value of an integer that is known while tracing."""
    if isinstance(x, int):
        return int(x)
    if isinstance(x, Lanes):
        op = defining_op(x.ir, arith.Constant)
        found = None if op is None else arith.plain(op.value)
        return found if isinstance(found, int) else None
    return None


def default_dtype(value: Number) -> DType:
    """Return the dtype of a Python number that meets nothing."""
    if isinstance(value, bool):
        return BOOL
    return I32 if isinstance(value, int) else F32


def cast(value: Any, dtype: AnyDType) -> Any:
    """Make a value of a dtype from a number, or convert a traced one."""
    wanted = resolve_dtype(dtype)
    value = as_value(value)
    if isinstance(value, Lanes):
        return convert(value, wanted)
    if wanted.kind == "f":
        value = float(value)
    elif wanted.kind == "b":
        value = bool(value)
    return Scalar(constant(value, wanted), wanted)


# ---------------------------------------------------------------------------------- promotion


def as_value(x: Any) -> Any:
    """Return a traced value or a Python number; references to memory are loaded, dims looked up."""
    from kdsl.language.dims import extent

    if isinstance(x, Lanes):
        if x.scope.closed:
            raise EscapedValueError(where(), type=x.type_text, construct=x.scope.construct)
        return x
    if isinstance(x, bool | int | float):
        return x
    if isinstance(x, DimExpr):
        found = extent(x)
        return x if found is x else as_value(found)
    loaded = getattr(x, "as_operand", None)
    if loaded is not None:
        return loaded()
    if isinstance(x, np.generic) and isinstance(x.item(), bool | int | float):
        return x.item()
    return x


def unify(op: str, *given: Any) -> tuple[DType, list[Any]]:
    """Bring operands to one dtype and one shape; at least one must be traced."""
    values = [as_value(v) for v in given]
    for v in values:
        if not isinstance(v, Lanes | bool | int | float):
            raise TypeMismatchError(where(), op=op, wanted="numbers", got=describe(v))
    dtype = join_dtypes(op, values)
    return dtype, broadcast(op, [to_dtype(op, v, dtype) for v in values], dtype)


def join_dtypes(op: str, values: list[Any]) -> DType:
    """Return the dtype that all operands are brought to."""
    strong = list({v.dtype: None for v in values if isinstance(v, Lanes) and v.weak is None})
    if not strong:
        weak = [v.dtype for v in values if isinstance(v, Lanes)]
        found = next((d for d in weak if d.is_float), weak[0] if weak else None)
        plain = [v for v in values if not isinstance(v, Lanes)]
        if found is None:
            return default_dtype(max(plain, key=lambda v: isinstance(v, float)))
        return F32 if found.is_integer and any(isinstance(v, float) for v in plain) else found
    if len(strong) > 1:
        others = [d for d in strong if d is not INDEX_DTYPE]
        if len(others) != 1 or INDEX_DTYPE not in strong or others[0].kind not in "iu":
            raise DtypeMismatchError(where(), op=op, left=strong[0], right=strong[1])
        return INDEX_DTYPE
    return strong[0]


def to_dtype(op: str, value: Any, dtype: DType) -> Any:
    """Bring one operand to the dtype that ``join_dtypes`` found."""
    if not isinstance(value, Lanes):
        if isinstance(value, bool) and dtype.kind != "b":
            raise TypeMismatchError(where(), op=op, wanted=dtype, got=describe(value))
        if isinstance(value, int) and dtype.kind == "f":
            return float(value)
        return value
    if value.weak is not None and value.dtype is not dtype:
        if dtype.kind == "b":
            raise TypeMismatchError(where(), op=op, wanted="bool", got=describe(value))
        value.weak.met = dtype
    return convert(value, dtype)


def assign(op: str, value: Any, dtype: DType) -> Any:
    """Bring a value to the dtype of where it is put: numbers adapt, index and integers convert."""
    value = as_value(value)
    if not isinstance(value, Lanes):
        if not isinstance(value, bool | int | float):
            raise TypeMismatchError(where(), op=op, wanted=dtype, got=describe(value))
        if isinstance(value, bool) and dtype.kind != "b":
            raise TypeMismatchError(where(), op=op, wanted=dtype, got=describe(value))
        value = float(value) if dtype.kind == "f" else value
        return Scalar(constant(value, dtype), dtype)
    if value.dtype is dtype:
        return value
    if value.weak is not None and dtype.kind != "b":
        value.weak.met = dtype
        return convert(value, dtype)
    joins = INDEX_DTYPE in (value.dtype, dtype) and value.dtype.is_integer and dtype.is_integer
    if not joins:
        raise DtypeMismatchError(where(), op=op, left=value.dtype, right=dtype)
    return convert(value, dtype)


def broadcast(op: str, values: list[Any], dtype: DType) -> list[Any]:
    """Bring values and numbers of one dtype to one shape; all become traced."""
    shapes: list[Any] = [v.ir.type for v in values if isinstance(v, Lanes) and v.shape]
    if not shapes:
        return [
            v if isinstance(v, Lanes) else Scalar(constant(v, dtype), dtype, _symbol(v))
            for v in values
        ]
    kinds = {t.text.partition("<")[0] for t in shapes}
    if len(kinds) > 1:
        raise ShapeMismatchError(where(), op=op, left=shapes[0], right=shapes[-1])
    if kinds == {"vector"}:
        return _broadcast_vectors(op, values, dtype, shapes)
    shape = joint_shape(op, [t.shape for t in shapes])
    wanted = tensor(shape, dtype.type)
    return [_spread(v, dtype, wanted) for v in values]


def joint_shape(op: str, shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Return NumPy's broadcast of shapes; raise ShapeMismatchError when there is none."""
    found = shapes[0]
    for shape in shapes[1:]:
        try:
            found = np.broadcast_shapes(found, shape)
        except ValueError:
            raise ShapeMismatchError(where(), op=op, left=_by(found), right=_by(shape)) from None
    return tuple(int(n) for n in found)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _broadcast_vectors(op: str, values: list[Any], dtype: DType, shapes: list[Any]) -> list[Any]:
    width = shapes[0].size
    for t in shapes:
        if t.size != width:
            raise ShapeMismatchError(where(), op=op, left=shapes[0], right=t)
    wanted = vector_type(width, dtype.type)
    found = []
    for v in values:
        if not isinstance(v, Lanes):
            found.append(wrap(constant(v, dtype, wanted), dtype))
        elif v.shape:
            found.append(v)
        else:
            found.append(wrap(emit(vector.Broadcast, v.ir, types=[wanted]), dtype))
    return found


def _spread(value: Any, dtype: DType, wanted: Any) -> Any:
    if not isinstance(value, Lanes):
        return wrap(constant(value, dtype, wanted), dtype)
    if value.ir.type is wanted:
        return value
    first = wanted.rank - len(value.shape)
    dims = tuple(range(first, wanted.rank))
    return wrap(emit(tile_ops.Broadcast, value.ir, types=[wanted], dims=dims), dtype)


def broadcast_to(value: Any, shape: tuple[int, ...], op: str) -> Any:
    """Repeat a traced scalar or tile to just this shape."""
    if not shape:
        return value
    if joint_shape(op, [value.shape, shape]) != shape:
        raise ShapeMismatchError(where(), op=op, left=_by(value.shape), right=_by(shape))
    return _spread(value, value.dtype, tensor(shape, value.dtype.type))


# ---------------------------------------------------------------------------------- arithmetic


def _kind(dtype: DType) -> int:
    """Return the column of the op tables: float, signed, unsigned."""
    return 0 if dtype.kind == "f" else 1 if dtype.kind in "ix" else 2


def binary(op: str, a: Any, b: Any) -> Any:
    """Apply a two-operand function of ``BINARY`` with promotion and broadcasting."""
    dtype, (x, y) = unify(op, a, b)
    if dtype.kind == "b" and op not in ON_BOOLS:
        raise TypeMismatchError(where(), op=op, wanted="numbers", got="bool")
    kind = BINARY[op][_kind(dtype)]
    if kind is None:
        return _composed(op, dtype, x, y)
    found = _apply(kind, dtype, x, y)
    if x.weak is not None or y.weak is not None:
        _stay_weak(found, a, b)
    if type(found) is Scalar and dtype.is_integer:
        found.sym = _joint_symbol(op, x, y)
    return found


def _stay_weak(found: Any, a: Any, b: Any) -> None:
    """Keep weak what is computed from weak values and Python numbers alone."""
    if all(not isinstance(v, Lanes) or v.weak is not None for v in (a, b)):
        found.weak = next(v.weak for v in (a, b) if isinstance(v, Lanes))


def _apply(kind: Any, dtype: DType, x: Lanes, y: Lanes) -> Any:
    folded = _fold_integers(kind, dtype, x, y)
    if folded is not None:
        return folded
    attributes = {"fastmath": CONTRACT} if kind in CONTRACTED else {}
    return wrap(emit(kind, x.ir, y.ir, **attributes), dtype, x, y)


def _fold_integers(kind: Any, dtype: DType, x: Lanes, y: Lanes) -> Any:
    """Compute what is known; adding 0 and multiplying by 1 change nothing."""
    if not dtype.is_integer or x.shape:
        return None
    b = known_int(y)
    a = known_int(x)
    if a is not None and b is not None:
        if b == 0 and kind not in (arith.Addi, arith.Subi, arith.Muli, arith.Maxsi, arith.Minsi):
            return None
        view = dtype.type.numpy.type
        value = int(
            kind.evaluate(view(arith._wrap(a, dtype.bits)), view(arith._wrap(b, dtype.bits)))
        )
        if dtype.kind == "u":
            value &= (1 << dtype.bits) - 1
        return wrap(constant(value, dtype), dtype, x, y)
    if (b == 0 and kind in (arith.Addi, arith.Subi)) or (
        b == 1 and kind in (arith.Muli, arith.Floordivsi, arith.Divui, arith.Ceildivsi)
    ):
        return wrap(x.ir, dtype, x, y)
    if (a == 0 and kind is arith.Addi) or (a == 1 and kind is arith.Muli):
        return wrap(y.ir, dtype, x, y)
    return None


def _symbol(v: Any) -> Any:
    return v if isinstance(v, int) and not isinstance(v, bool) else None


def _joint_symbol(op: str, x: Any, y: Any) -> Any:
    from kdsl.language.dims import PRECEDENCE

    if x.sym is None or y.sym is None or op not in PRECEDENCE:
        return None
    return DimExpr(op, x.sym, y.sym)


def _composed(op: str, dtype: DType, x: Lanes, y: Lanes) -> Any:
    """Build the functions that upstream has no op for."""
    if op == "%" and dtype.is_integer:
        found = binary("-", x, binary("*", binary("//", x, y), y))
        if isinstance(found, Scalar):
            found.sym = _joint_symbol(op, x, y)
        return found
    if op == "cdiv" and dtype.kind == "u":
        rest = compare("!=", _apply(arith.Remui, dtype, x, y), 0)
        return binary("+", _apply(arith.Divui, dtype, x, y), rest.to(dtype))
    if op == "//" and dtype.is_float:
        return unary(math_ops.Floor, "floor", binary("/", x, y))
    if op == "%" and dtype.is_float:
        return binary("-", x, binary("*", binary("//", x, y), y))
    wanted = "floats" if op in ("/", "copysign") else "integers"
    raise TypeMismatchError(where(), op=op, wanted=wanted, got=dtype)


def compare(op: str, a: Any, b: Any) -> Any:
    """Compare lane by lane; ordered comparisons with NaN are false."""
    if (op in ("==", "!=")) and (a is None or b is None):
        return op == "!="
    dtype, (x, y) = unify(op, a, b)
    column = _kind(dtype)
    if dtype.kind == "b" and op not in ("==", "!="):
        raise TypeMismatchError(where(), op=op, wanted="numbers", got="bool")
    name = COMPARE[op][column]
    if column == 0:
        ir = emit(arith.Cmpf, x.ir, y.ir, predicate=arith.CMPF[name])
    else:
        ir = emit(arith.Cmpi, x.ir, y.ir, predicate=arith.CMPI[name])
    found = wrap(ir, BOOL, x, y)
    if type(found) is Scalar and dtype.is_integer:
        found.sym = _joint_symbol(op, x, y)
    return found


def negate(x: Any) -> Any:
    """Change the sign."""
    x = as_value(x)
    if x.dtype.is_float:
        return wrap(emit(arith.Negf, x.ir, fastmath=CONTRACT), x.dtype, x)
    return binary("-", 0, x)


def invert(x: Any) -> Any:
    """Flip every bit."""
    x = as_value(x)
    return binary(
        "^",
        x,
        True if x.dtype.kind == "b" else -1 if x.dtype.kind != "u" else (1 << x.dtype.bits) - 1,
    )


def magnitude(x: Any) -> Any:
    """Drop the sign."""
    x = as_value(x)
    if not isinstance(x, Lanes):
        return abs(x)
    if x.dtype.is_float:
        return unary(math_ops.Absf, "abs", x)
    if x.dtype.kind == "u":
        return x
    if x.dtype is INDEX_DTYPE:
        return binary("maximum", x, negate(x))
    return unary(math_ops.Absi, "abs", x, floats=False)


def power(a: Any, b: Any) -> Any:
    """Raise to a power: multiplications for small int exponents, ``math.powf`` otherwise."""
    base = as_value(a)
    if isinstance(b, int) and not isinstance(b, bool) and 0 < b <= 16 and isinstance(base, Lanes):
        found, square = None, base
        while b:
            if b & 1:
                found = square if found is None else binary("*", found, square)
            b >>= 1
            square = binary("*", square, square) if b else square
        return found
    dtype, (x, y) = unify("**", a, b)
    if not dtype.is_float:
        raise TypeMismatchError(
            where(), op="**", wanted="floats or a small int exponent", got=dtype
        )
    return wrap(emit(math_ops.Powf, x.ir, y.ir), dtype, x, y)


def unary(kind: Any, name: str, x: Any, *, floats: bool = True) -> Any:
    """Apply a one-operand op; a Python number becomes an f32."""
    x = as_value(x)
    if isinstance(x, float | int) and not isinstance(x, bool):
        x = cast(x, F32 if floats else I32)
    if not isinstance(x, Lanes) or x.dtype.is_float is not floats or x.dtype.kind == "b":
        wanted = "floats" if floats else "integers"
        raise TypeMismatchError(where(), op=f"kd.{name}", wanted=wanted, got=describe(x))
    return wrap(emit(kind, x.ir), x.dtype, x)


def fma(a: Any, b: Any, c: Any) -> Any:
    """Return ``a * b + c``, rounded once."""
    dtype, (x, y, z) = unify("kd.fma", a, b, c)
    if not dtype.is_float:
        return binary("+", binary("*", x, y), z)
    return wrap(emit(math_ops.Fma, x.ir, y.ir, z.ir), dtype, x, y, z)


def where_(condition: Any, a: Any, b: Any) -> Any:
    """Take each lane of ``a`` where ``condition`` holds, of ``b`` elsewhere."""
    condition = as_value(condition)
    if isinstance(condition, bool):
        return as_value(a if condition else b)
    if not isinstance(condition, Lanes) or condition.dtype.kind != "b":
        raise TypeMismatchError(
            where(), op="kd.where", wanted="a bool condition", got=describe(condition)
        )
    values = [as_value(a), as_value(b)]
    dtype = join_dtypes("kd.where", values)
    values = [to_dtype("kd.where", v, dtype) for v in values]
    if condition.shape or any(isinstance(v, Lanes) and v.shape for v in values):
        condition, x, y = _broadcast_mixed(condition, values[0], values[1], dtype)
    else:
        x, y = broadcast("kd.where", values, dtype)
    return wrap(emit(arith.Select, condition.ir, x.ir, y.ir), dtype, condition, x, y)


def _broadcast_mixed(condition: Any, a: Any, b: Any, dtype: DType) -> list[Any]:
    """Bring a mask and two values to one shape; a scalar condition stays scalar."""
    shaped = [v for v in (condition, a, b) if isinstance(v, Lanes) and v.shape]
    stand_ins: list[Any] = [v.ir.type for v in shaped]
    if len({t.text.partition("<")[0] for t in stand_ins}) > 1:
        raise ShapeMismatchError(where(), op="kd.where", left=stand_ins[0], right=stand_ins[-1])
    shape = joint_shape("kd.where", [t.shape for t in stand_ins])
    make = vector_type if stand_ins[0].text.startswith("vector") else tensor
    if condition.shape:
        condition = _spread_any(condition, condition.dtype, make(shape, condition.dtype.type))
    return [condition, *(_spread_any(v, dtype, make(shape, dtype.type)) for v in (a, b))]


def _spread_any(value: Any, dtype: DType, wanted: Any) -> Any:
    if isinstance(value, Lanes) and wanted.text.startswith("vector"):
        if value.shape:
            return value
        return wrap(emit(vector.Broadcast, value.ir, types=[wanted]), dtype)
    return _spread(value, dtype, wanted)


# --------------------------------------------------------------------------------- conversions


def convert(x: Lanes, dtype: DType) -> Any:
    """Convert lanes to a dtype."""
    if x.dtype is dtype:
        return x
    op, through = _conversion(x.dtype, dtype)
    if through is not None:
        return convert(convert(x, through), dtype)
    known = known_int(x) if dtype.is_integer and x.dtype.is_integer and not x.shape else None
    if known is not None:
        wrapped = arith._wrap(known, dtype.bits)
        if dtype.kind == "u":
            wrapped &= (1 << dtype.bits) - 1
        found = wrap(constant(wrapped, dtype), dtype, x)
    elif op is None:
        found = wrap(x.ir, dtype, x)
    elif op == "nonzero":
        return compare("!=", x, 0.0 if x.dtype.is_float else 0)
    else:
        found = wrap(emit(op, x.ir, types=[like(x.ir.type, dtype.type)]), dtype, x)
    if isinstance(found, Scalar) and dtype.is_integer:
        found.sym = x.sym
    return found


def _conversion(a: DType, b: DType) -> tuple[Any, DType | None]:
    """Return the op from ``a`` to ``b`` (None: the same bits), or the dtype to go through."""
    if b.kind == "b":
        return "nonzero", None
    if INDEX_DTYPE in (a, b):
        other = b if a is INDEX_DTYPE else a
        if not other.is_integer:
            return None, DTYPES["i64"] if a is INDEX_DTYPE or other.is_float else DTYPES["i32"]
        return (arith.IndexCastui if other.kind == "u" else arith.IndexCast), None
    if a.is_float and b.is_float:
        if a.bits == b.bits:
            return None, F32
        return (arith.Extf if a.bits < b.bits else arith.Truncf), None
    if a.is_float:
        return (arith.Fptoui if b.kind == "u" else arith.Fptosi), None
    if b.is_float:
        return (arith.Uitofp if a.is_unsigned else arith.Sitofp), None
    if a.bits == b.bits:
        return None, None
    if a.bits > b.bits:
        return arith.Trunci, None
    return (arith.Extui if a.is_unsigned else arith.Extsi), None


def bitcast(x: Any, dtype: DType) -> Any:
    """Read the same bits as another dtype of equal width (SIMD values: any width)."""
    x = as_value(x)
    if x.dtype.type is dtype.type:
        return wrap(x.ir, dtype, x)
    if x.dtype.bits == dtype.bits:
        return wrap(emit(arith.Bitcast, x.ir, types=[like(x.ir.type, dtype.type)]), dtype, x)
    size = x.shape[-1] * x.dtype.bits if x.ir.type.text.startswith("vector") else 0
    if not size or size % dtype.bits:
        raise TypeMismatchError(where(), op="bitcast", wanted=f"{x.dtype.bits} bits", got=dtype)
    wanted = vector_type(size // dtype.bits, dtype.type)
    return wrap(emit(vector.Bitcast, x.ir, types=[wanted]), dtype, x)


# ------------------------------------------------------------------------------------- indices


def as_index(x: Any, what: str = "an index") -> Scalar:
    """Return a traced index from an int, an integer scalar or a dim."""
    x = as_value(x)
    if isinstance(x, int) and not isinstance(x, bool):
        return Scalar(constant(x, INDEX_DTYPE), INDEX_DTYPE, x)
    if isinstance(x, Scalar) and x.dtype.is_integer:
        if x.weak is not None and x.weak.met is None:
            x.weak.met = INDEX_DTYPE
        found = convert(x, INDEX_DTYPE)
        assert isinstance(found, Scalar)
        return found
    raise TypeMismatchError(where(), op=what, wanted="an integer", got=describe(x))


def is_traced(x: Any) -> bool:
    """Return whether a value is known only at run time."""
    return isinstance(x, Operators)
