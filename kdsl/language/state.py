"""The trace under way: where ops go, their scope, and the user's line that made them."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from kdsl.errors import KernelRecursionError, OutsideKernelError, UnknownDimError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Module, Op
from kdsl.ir.location import Location
from kdsl.ir.types import DType, Type
from kdsl.target.target import Target

HERE = __file__.removesuffix("language/state.py")
WITH_KERNELS = tuple(HERE + name for name in ("library/", "bench/", "testing/"))
COMMANDS = HERE + "cli/"
"""Behind a command there is no user's line, only the program that started it."""
"""Parts of this package that use the language as users do."""
CONTEXTS = contextlib.__file__
MAX_CALL_DEPTH = 64
"""Deeper calls of one helper are taken for a recursion without end."""

_ours: dict[CodeType, bool] = {}


class Scope:
    """A block that is being filled; values made in it may be used until it is closed."""

    __slots__ = ("block", "closed", "constants", "construct", "parent")

    def __init__(self, block: Block, parent: Scope | None, construct: str) -> None:
        self.block = block
        self.parent = parent
        self.construct = construct
        self.closed = False
        self.constants: dict[tuple[Any, Type], Any] = {}


class Trace:
    """One run of a kernel's function over traced values."""

    def __init__(self, module: Module, block: Block, target: Target, name: str) -> None:
        self.module = module
        self.target = target
        self.name = name
        self.builder = Builder(block)
        self.scope = Scope(block, None, "kernel")
        self.fixed_location: Location | None = None
        self.callers: list[Location | None] = []
        self.calls: list[tuple[Any, Scope]] = []
        self.dims: list[dict[str, Any]] = [{}]
        self.dtypes: list[dict[str, DType]] = [{}]
        self.options: dict[str, Any] = {}
        self.relations: list[str] = []
        self.program_id: Location | None = None
        self.program: Any = None
        """The host program being traced, None in a kernel."""

    # ------------------------------------------------------------------------------- places

    def location(self, skip: int = 1) -> Location | None:
        """Return the innermost line outside of this package."""
        if self.fixed_location is not None:
            return self.fixed_location
        return user_location(skip + 1, self.callers[-1] if self.callers else None)

    @contextmanager
    def inside(self, block: Block, construct: str) -> Iterator[Scope]:
        """Fill another block for the length of a ``with`` block."""
        scope = self.open(block, construct)
        try:
            yield scope
        finally:
            self.close(scope)

    def open(self, block: Block, construct: str) -> Scope:
        """Start to fill ``block``."""
        self.scope = Scope(block, self.scope, construct)
        self.builder.block, self.builder.anchor = block, None
        return self.scope

    def close(self, scope: Scope) -> None:
        """Go back to the block around ``scope``."""
        scope.closed = True
        assert scope.parent is not None
        self.scope = scope.parent
        self.builder.block, self.builder.anchor = self.scope.block, None

    @contextmanager
    def outside(self, scope: Scope) -> Iterator[None]:
        """Fill the block around ``scope`` for the length of a ``with`` block."""
        assert scope.parent is not None
        self.scope = scope.parent
        self.builder.block, self.builder.anchor = self.scope.block, None
        try:
            yield
        finally:
            self.scope = scope
            self.builder.block, self.builder.anchor = scope.block, None

    # ------------------------------------------------------------------------------- names

    def dim(self, name: str) -> Any:
        """Return the extent of a named dim: an int when it is fixed, else a traced index."""
        known = self.dims[-1]
        if name not in known:
            raise UnknownDimError(
                where(), kernel=self.name, name=name, known=", ".join(known) or "none"
            )
        found = known[name]
        return found() if callable(found) else found

    @contextmanager
    def call(self, function: Any, name: str) -> Iterator[None]:
        """Be inside a helper that the user's line called."""
        if sum(1 for called, _ in self.calls if called is function) >= MAX_CALL_DEPTH:
            chain = " -> ".join([*(c.__name__ for c, _ in self.calls[-3:]), name])
            raise KernelRecursionError(where(), name=name, chain=chain)
        self.callers.append(self.location(3))
        self.calls.append((function, self.scope))
        try:
            yield
        finally:
            self.calls.pop()
            self.callers.pop()


class _Active(threading.local):
    traces: list[Trace]

    def __init__(self) -> None:
        self.traces = []


_active = _Active()


def active() -> Trace | None:
    """Return the trace under way in this thread, or None."""
    traces = _active.traces
    return traces[-1] if traces else None


def current(what: str = "this") -> Trace:
    """Return the trace under way; raise OutsideKernelError when ``what`` is used without one."""
    traces = _active.traces
    if not traces:
        raise OutsideKernelError(user_location(2, None), what=what)
    return traces[-1]


@contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    """Make ``trace`` the one under way."""
    _active.traces.append(trace)
    try:
        yield trace
    finally:
        _active.traces.pop()


# -------------------------------------------------------------------------------------- places


def is_ours(code: CodeType) -> bool:
    """Return whether a code object belongs to this package."""
    found = _ours.get(code)
    if found is None:
        name = code.co_filename
        ours = name.startswith(HERE) and not name.startswith(WITH_KERNELS)
        found = _ours[code] = ours or name == CONTEXTS
    return found


def user_frame(skip: int) -> FrameType | None:
    """Return the innermost frame outside of this package, ``skip`` frames up at least."""
    frame: FrameType | None = sys._getframe(skip)
    while frame is not None and is_ours(frame.f_code):
        if frame.f_code.co_filename.startswith(COMMANDS):
            return None
        frame = frame.f_back
    return frame


def user_location(skip: int, caller: Location | None) -> Location | None:
    """Return the place of ``user_frame``."""
    frame = user_frame(skip + 1)
    if frame is None:
        return None
    return Location.of_code(frame.f_code, frame.f_lasti, caller)


def where() -> Location | None:
    """Return the user's line that is being executed: where an error points."""
    trace = active()
    return trace.location(2) if trace is not None else user_location(2, None)


# ----------------------------------------------------------------------------------------- ops


def emit(op: type[Any], /, *operands: Any, types: Any = None, **attributes: Any) -> Any:
    """Create an op at the user's line and return its result (a tuple of several)."""
    trace = current(op.__name__)
    builder = trace.builder
    made = op.make(*operands, types=types, loc=trace.location(2), **attributes)
    builder.block.insert_before(builder.anchor, made)
    return made.results[0] if len(made.results) == 1 else tuple(made.results) or None


def emit_op(
    op: type[Any], /, *operands: Any, types: Any = None, regions: Any = (), **attributes: Any
) -> Any:
    """Create an op at the user's line and return it; attribute names may hold dots."""
    trace = current(op.__name__)
    builder = trace.builder
    loc = trace.location(2)
    made = op.make(*operands, types=types, regions=regions, loc=loc, **attributes)
    return builder.block.insert_before(builder.anchor, made)


def remove_unused(block: Block) -> None:
    """Erase pure ops whose results nobody reads, last first."""
    for op in reversed(block):
        for region in op.regions:
            for inner in region.blocks:
                remove_unused(inner)
        if not op.is_used and _removable(op):
            op.erase()


def _removable(op: Op) -> bool:
    from kdsl.ir.define import Op as DeclaredOp
    from kdsl.ir.define import Pure, Terminator

    return isinstance(op, DeclaredOp) and Pure in op.traits and Terminator not in op.traits
