"""Calling kernels: ``k(...)``, ``k[grid](...)``, ``k.bind(...)``.

A call finds (or compiles) the specialization for its dtypes, fixed extents and Const values,
checks every argument, packs the slots and jumps. A bound launch has done all that before.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kdsl.errors import (
    ArgumentCountError,
    BadGridError,
    KernelAssertError,
    OutOfMemoryError,
    UnknownStatusError,
)
from kdsl.ir.core import Module
from kdsl.ir.signature import Signature
from kdsl.runtime.checks import Checked
from kdsl.runtime.packing import Pack, packer
from kdsl.runtime.views import View, view_of
from kdsl.settings import settings

MISSING = object()
"""The default of a parameter that has none."""
GRID_AXES = 3


@dataclass(frozen=True)
class Request:
    """What a specialization depends on.

    ``dtypes``: of each array, None where it is absent. ``extents``: of the axes that the kernel
    fixes.
    ``strided``: arrays whose innermost stride is not 1. ``gridded``: the entry takes three grid
    sizes first.
    """

    dtypes: Mapping[str, str | None]
    extents: Mapping[tuple[str, int], int]
    strided: frozenset[str]
    consts: Mapping[str, Any]
    gridded: bool


@dataclass(frozen=True)
class Traced:
    """A specialization before it is compiled: ``entry`` is the function to call."""

    module: Module
    signature: Signature
    entry: str


class Launchable(Protocol):
    """What the launcher asks of a kernel."""

    @property
    def name(self) -> str:
        """The entry's name."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Run-time parameters, in order."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Defaults of run-time parameters that have one."""

    @property
    def consts(self) -> Mapping[str, Any]:
        """Keyword-only Const parameters with their defaults (MISSING where there is none)."""

    @property
    def fixed_axes(self) -> tuple[tuple[str, int], ...]:
        """Axes whose extent is compiled in."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Parameters that a caller may leave out: they are allocated and returned."""

    def specialize(self, request: Request) -> Traced:
        """Trace one specialization."""

    def output_layout(
        self, name: str, views: Mapping[str, View | None]
    ) -> tuple[tuple[int, ...], Any]:
        """Return shape and NumPy dtype of an output that is allocated here."""


Enter = Callable[[Module, str], tuple[Callable[[int], int], Any]]
"""Compiles a module; returns the native entry (address of the slots -> status) and what to keep."""


@dataclass
class Prepared:
    """A compiled specialization with its checks."""

    call: Callable[[int], int]
    checked: Checked
    traced: Traced
    compiled: Any
    packs: dict[Any, Pack | None] = field(default_factory=dict)
    """The quick packer for each combination of argument classes that came by."""


class Bound:
    """A prepared launch: calling it checks nothing and packs nothing."""

    __slots__ = ("_address", "_call", "_keep", "_slots", "name")

    def __init__(self, name: str, call: Callable[[int], int], words: array[int], keep: Any) -> None:
        self.name = name
        self._call = call
        self._slots = words
        self._address = words.buffer_info()[0]
        self._keep = keep

    def __call__(self) -> None:
        status = self._call(self._address)
        if status:
            raise status_error(self.name, status)


def status_error(name: str, status: int) -> Exception:
    """Return the error of a nonzero status."""
    if status == 1:
        return KernelAssertError(kernel=name)
    if status == 2:
        return OutOfMemoryError(kernel=name)
    return UnknownStatusError(kernel=name, status=status)


class Launcher:
    """All specializations of one kernel; made on its first call."""

    __slots__ = ("_consts", "_enter", "_fixed", "_latest", "_prepared", "kernel")

    def __init__(self, kernel: Launchable, enter: Enter) -> None:
        self.kernel = kernel
        self._enter = enter
        self._prepared: dict[Any, Prepared] = {}
        self._latest: dict[Any, tuple[Prepared, Pack]] = {}
        self._consts = tuple(kernel.consts)
        self._fixed: dict[str, list[int]] = {}
        for name, axis in kernel.fixed_axes:
            self._fixed.setdefault(name, []).append(axis)

    # ------------------------------------------------------------------------------------ calls

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any], grid: Any = None) -> Any:
        """Run the kernel; return the outputs that were left out of the call, None without any."""
        if settings.interpret:
            return self._interpret(args, kwargs, grid)
        values, consts, made = self._arguments(args, kwargs)
        sizes = () if grid is None else grid_sizes(self.kernel.name, grid)
        kinds = (consts, len(sizes), *map(type, values))
        latest = self._latest.get(kinds)
        if latest is not None:
            slots = _pack(latest[1], (*sizes, *values))
            if slots is not None:
                status = latest[0].call(slots.buffer_info()[0])
                if status:
                    raise status_error(self.kernel.name, status)
                return _returned(made)
        prepared, views = self._find(values, consts, grid is not None)
        words = list(sizes)
        keep: list[Any] = []
        prepared.checked.slots(views, words, keep)
        if kinds not in prepared.packs:
            prepared.packs[kinds] = packer(prepared.traced.signature, values, len(sizes))
        pack = prepared.packs[kinds]
        if pack is not None:
            self._latest[kinds] = (prepared, pack)
        slots = array("q", words)
        status = prepared.call(slots.buffer_info()[0])
        if status:
            raise status_error(self.kernel.name, status)
        return _returned(made)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any], grid: Any = None) -> Bound:
        """Check and pack once; the arrays must stay where they are."""
        values, consts, _ = self._arguments(args, kwargs)
        words = [] if grid is None else list(grid_sizes(self.kernel.name, grid))
        prepared, values = self._find(values, consts, grid is not None)
        keep: list[Any] = []
        prepared.checked.slots(values, words, keep)
        return Bound(self.kernel.name, prepared.call, array("q", words), (keep, prepared))

    def prepare(self, args: Sequence[Any], kwargs: Mapping[str, Any], grid: Any = None) -> Prepared:
        """Return the specialization that a call would take."""
        values, consts, _ = self._arguments(args, kwargs)
        return self._find(values, consts, grid is not None)[0]

    # --------------------------------------------------------------------------------- arguments

    def _arguments(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], tuple[Any, ...], list[Any]]:
        """Return run-time values in order, Const values in order, and outputs made here."""
        kernel = self.kernel
        names = kernel.parameters
        values = list(args)
        if not kwargs and len(values) == len(names) and not self._consts:
            return values, (), []
        rest = dict(kwargs)
        consts = tuple(rest.pop(name, default) for name, default in kernel.consts.items())
        made: list[Any] = []
        for name in names[len(values) :]:
            if name in rest:
                values.append(rest.pop(name))
            elif name in kernel.outputs:
                values.append(MISSING)
            else:
                values.append(kernel.defaults.get(name, MISSING))
        wrong = rest or len(values) > len(names)
        if wrong or any(
            v is MISSING and n not in kernel.outputs for n, v in zip(names, values, strict=False)
        ):
            raise self._count_error(args, kwargs)
        if MISSING in consts:
            raise self._count_error(args, kwargs)
        if kernel.outputs:
            made = self._allocate(values)
        return values, consts, made

    def _count_error(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ArgumentCountError:
        names = [n for n in self.kernel.parameters if n not in self.kernel.outputs]
        needed = [n for n, d in self.kernel.consts.items() if d is MISSING]
        listed = ", ".join([*names, *(f"{n}=" for n in needed)])
        got = ", ".join([str(len(args)), *(f"{name}=" for name in kwargs)])
        return ArgumentCountError(kernel=self.kernel.name, wanted=len(names), names=listed, got=got)

    def _allocate(self, values: list[Any]) -> list[Any]:
        """Make the outputs that were left out; their dims are known from the other arguments."""
        import numpy as np

        kernel = self.kernel
        made: list[Any] = []
        views = {
            n: view_of(v)
            for n, v in zip(kernel.parameters, values, strict=True)
            if v is not MISSING
        }
        for at, (name, value) in enumerate(zip(kernel.parameters, values, strict=True)):
            if value is MISSING:
                shape, dtype = kernel.output_layout(name, views)
                values[at] = np.empty(shape, dtype)
                made.append(values[at])
        return made

    # ----------------------------------------------------------------------------- specialization

    def _find(
        self, values: list[Any], consts: tuple[Any, ...], gridded: bool
    ) -> tuple[Prepared, list[Any]]:
        """Return the specialization of these values, compiling it the first time."""
        key: list[Any] = [gridded, consts]
        views: list[Any] = []
        for name, value in zip(self.kernel.parameters, values, strict=True):
            view = view_of(value)
            if view is None:
                key.append(value is None)
                views.append(value)
                continue
            views.append(view)
            key.append(view.dtype)
            strides = view.strides
            if strides and strides[-1] != 1 and view.shape[-1] > 1:
                key.append(True)
            rank = len(view.shape)
            key.extend(view.shape[axis] for axis in self._fixed.get(name, ()) if axis < rank)
        frozen = tuple(key)
        found = self._prepared.get(frozen)
        if found is None:
            found = self._prepared[frozen] = self._compile(views, consts, gridded)
        return found, views

    def _compile(self, views: list[Any], consts: tuple[Any, ...], gridded: bool) -> Prepared:
        traced = self.kernel.specialize(self._request(views, consts, gridded))
        signature, entry = traced.signature, traced.entry
        call, compiled = self._enter(traced.module, entry)
        return Prepared(call, Checked(signature), traced, compiled)

    def _request(self, views: list[Any], consts: tuple[Any, ...], gridded: bool) -> Request:
        named = dict(zip(self.kernel.parameters, views, strict=True))
        arrays = {n: v for n, v in named.items() if isinstance(v, View)}
        return Request(
            dtypes={n: v.dtype if isinstance(v, View) else None for n, v in named.items()},
            extents={
                (n, axis): arrays[n].shape[axis]
                for n, axis in self.kernel.fixed_axes
                if n in arrays and axis < len(arrays[n].shape)
            },
            strided=frozenset(
                n for n, v in arrays.items() if v.strides and v.strides[-1] != 1 and v.shape[-1] > 1
            ),
            consts=dict(zip(self._consts, consts, strict=True)),
            gridded=gridded,
        )

    # ------------------------------------------------------------------------------ interpreter

    def _interpret(self, args: Sequence[Any], kwargs: Mapping[str, Any], grid: Any) -> Any:
        """Run the traced module in NumPy on the same memory."""
        from kdsl.ir.interpreter import interpret
        from kdsl.runtime.arrays import interpreter_arguments

        values, consts, made = self._arguments(args, kwargs)
        views = [v if (view := view_of(v)) is None else view for v in values]
        traced = self.kernel.specialize(self._request(views, consts, grid is not None))
        Checked(traced.signature).slots(views, [], [])
        given = interpreter_arguments(traced.signature, views)
        sizes = [] if grid is None else list(grid_sizes(self.kernel.name, grid))
        interpret(traced.module, traced.entry, [*sizes, *given])
        return _returned(made)


def _pack(pack: Pack, values: tuple[Any, ...]) -> array[int] | None:
    """Pack the quick way; numbers that have no place in their dtype go the slow way too."""
    try:
        return pack(*values)
    except (OverflowError, ZeroDivisionError):
        return None


def _returned(made: list[Any]) -> Any:
    if not made:
        return None
    return made[0] if len(made) == 1 else tuple(made)


def grid_sizes(kernel: str, grid: Any) -> tuple[int, int, int]:
    """Return a grid of one to three sizes as three. Raises BadGridError."""
    sizes = grid if isinstance(grid, tuple | list) else (grid,)
    if not 1 <= len(sizes) <= GRID_AXES:
        raise BadGridError(kernel=kernel, got=grid, why=f"has {len(sizes)} axes")
    for size in sizes:
        if isinstance(size, bool) or not hasattr(size, "__index__") or size < 0:
            raise BadGridError(kernel=kernel, got=grid, why=f"has the size {size!r}")
    x, y, z = (*map(int, sizes), 1, 1)[:GRID_AXES]
    return x, y, z
