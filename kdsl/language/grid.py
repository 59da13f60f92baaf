"""Where in the grid a program is, and what its arguments must satisfy."""

from __future__ import annotations

from typing import Any

from kdsl.dialects import kdsl as ops
from kdsl.errors import StaticAssertError, TracedBoolError, TypeMismatchError
from kdsl.language.dims import DimExpr, extent
from kdsl.language.state import current, emit, where
from kdsl.language.types import describe, static_int
from kdsl.language.values import BOOL, INDEX_DTYPE, Scalar, as_value


def _axis(axis: Any, what: str) -> int:
    found = static_int(axis, f"the axis of {what}")
    if not 0 <= found <= 2:
        raise TypeMismatchError(where(), op=what, wanted="axis 0, 1 or 2", got=found)
    return found


def program_id(axis: int = 0) -> Scalar:
    """Return which program of the grid this is, along an axis."""
    trace = current("kd.program_id")
    if trace.program_id is None:
        trace.program_id = trace.location()
    return Scalar(emit(ops.ProgramId, axis=_axis(axis, "kd.program_id")), INDEX_DTYPE)


def num_programs(axis: int = 0) -> Scalar:
    """Return how many programs the grid has, along an axis."""
    trace = current("kd.num_programs")
    if trace.program_id is None:
        trace.program_id = trace.location()
    return Scalar(emit(ops.NumPrograms, axis=_axis(axis, "kd.num_programs")), INDEX_DTYPE)


def require(condition: Any, message: str = "") -> None:
    """Require a relation between dims and integer arguments of every call.

    It is checked before the launch.
    """
    trace = current("kd.require")
    if isinstance(condition, DimExpr):
        condition = extent(condition)
    value = as_value(condition)
    if isinstance(value, bool):
        if not value:
            loc = where()
            raise StaticAssertError(loc, what=message or (loc.text if loc else "a requirement"))
        return
    if (
        not isinstance(value, Scalar)
        or value.dtype is not BOOL
        or not isinstance(value.sym, DimExpr)
    ):
        wanted = "a comparison of dims and integer arguments"
        raise TypeMismatchError(where(), op="kd.require", wanted=wanted, got=describe(value))
    trace.relations.append(value.sym.text)


def grid_text(kernel: Any) -> str:
    """Return a kernel's grid as a formula of dims, Const parameters and integer arguments."""
    from kdsl.language.specialize import grid_of

    params = kernel.params
    names = [*params.dims, *params.consts, *(p.name for p in params.args if p.kind == "scalar")]
    try:
        parts = grid_of(kernel, {n: DimExpr("name", n) for n in names})
    except TracedBoolError:  # minimum and maximum compare
        import sympy

        parts = grid_of(kernel, {n: sympy.Symbol(n, integer=True, positive=True) for n in names})
    return ", ".join(map(str, parts))
