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
    DeviceError,
    KernelAssertError,
    OutOfMemoryError,
    UnknownStatusError,
)
from kdsl.ir.core import Module
from kdsl.ir.signature import Signature
from kdsl.runtime import outputs
from kdsl.runtime.checks import Checked
from kdsl.runtime.devices import DeviceRuntime, queue_handle
from kdsl.runtime.packing import CurrentQueue, Pack, packer
from kdsl.runtime.views import HOST, Device, View, view_of
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
    sizes first. ``device``: where the arrays are.
    """

    dtypes: Mapping[str, str | None]
    extents: Mapping[tuple[str, int], int]
    strided: frozenset[str]
    consts: Mapping[str, Any]
    gridded: bool
    device: Device | str = HOST


@dataclass(frozen=True)
class Traced:
    """A specialization before it is compiled: ``entry`` is the function to call.

    ``target`` is what it was traced for.
    """

    module: Module
    signature: Signature
    entry: str
    target: Any = None


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
    ) -> tuple[Sequence[int], str]:
        """Return shape and dtype name of an output that is allocated here."""


@dataclass(frozen=True)
class Code:
    """Compiled code: the native entry (address of the slots -> status) and what to keep.

    ``runtime`` answers for the devices it runs on; None for code that shares the caller's memory.
    """

    call: Callable[[int], int]
    keep: Any = None
    runtime: DeviceRuntime | None = None


Enter = Callable[[Traced], Code]
"""Compiles a specialization."""


@dataclass
class Prepared:
    """A compiled specialization with its checks."""

    call: Callable[[int], int]
    checked: Checked
    traced: Traced
    compiled: Any
    runtime: DeviceRuntime | None = None
    leading: int = 0
    packs: dict[Any, Pack | None] = field(default_factory=dict)
    """The quick packer for each combination of argument classes that came by."""

    def failure(self, status: int) -> Exception:
        """Return the error of a nonzero status."""
        signature = self.traced.signature
        if self.runtime is None or status in COMMON_STATUSES:
            return status_error(signature.name, status)
        return self.runtime.failure(signature.name, status, signature, self.leading)

    def queue(self, arrays: Sequence[Any]) -> CurrentQueue | None:
        """Return how the current queue is found, None where there is none."""
        if self.runtime is None:
            return None
        like = next((v.keep for v in arrays if isinstance(v, View)), None)
        return self.runtime.current_queue(like)

    def add_queue(self, words: list[int], arrays: Sequence[Any], stream: Any) -> None:
        """Append the slots that launches on a device take besides their arguments."""
        device = self.checked.device
        if stream is not None:
            handle = queue_handle(self.runtime, self.traced.signature.name, stream)
        if isinstance(device, Device):
            if stream is None:
                current = self.queue(arrays)
                assert current is not None
                handle = current(device.number)
            words += [handle, device.number]


class Bound:
    """A prepared launch: calling it checks nothing and packs nothing."""

    __slots__ = ("_address", "_call", "_keep", "_prepared", "_slots", "name")

    def __init__(self, prepared: Prepared, words: list[int], keep: Any) -> None:
        self.name = prepared.traced.signature.name
        self._prepared = prepared
        self._call = prepared.call
        self._slots = array("q", words)
        self._address = self._slots.buffer_info()[0]
        self._keep = keep

    def __call__(self) -> None:
        status = self._call(self._address)
        if status:
            raise self._prepared.failure(status)

    def on(self, stream: Any) -> Bound:
        """Return the same launch on a stream. Raises BadStreamError."""
        words = list(self._slots)
        words[-2] = queue_handle(self._prepared.runtime, self.name, stream)
        return Bound(self._prepared, words, self._keep)


class BoundToQueue(Bound):
    """A prepared launch that goes to the queue which is current when it is called."""

    __slots__ = ("_at", "_current", "_index")

    def __init__(
        self, prepared: Prepared, words: list[int], keep: Any, current: CurrentQueue
    ) -> None:
        super().__init__(prepared, words, keep)
        self._current = current
        self._index = words[-1]
        self._at = len(words) - 2

    def __call__(self) -> None:
        self._slots[self._at] = self._current(self._index)
        status = self._call(self._address)
        if status:
            raise self._prepared.failure(status)


COMMON_STATUSES = (1, 2)
"""Statuses that mean the same in every back end: a failed assert, no memory for a workspace."""


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

    def call(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], grid: Any = None, stream: Any = None
    ) -> Any:
        """Run the kernel; return the outputs that were left out of the call, None without any."""
        if settings.interpret:
            return self._interpret(args, kwargs, grid)
        values, consts, made = self._arguments(args, kwargs)
        sizes = () if grid is None else grid_sizes(self.kernel.name, grid)
        kinds = (consts, len(sizes), *map(type, values))
        latest = self._latest.get(kinds)
        if latest is not None and stream is None:
            slots = _pack(latest[1], (*sizes, *values))
            if slots is not None:
                status = latest[0].call(slots.buffer_info()[0])
                if status:
                    raise latest[0].failure(status)
                return _returned(made)
        prepared, views = self._find(values, consts, grid is not None)
        words = list(sizes)
        keep: list[Any] = []
        prepared.checked.slots(views, words, keep)
        prepared.add_queue(words, views, stream)
        self._remember(kinds, prepared, values, views, len(sizes))
        slots = array("q", words)
        status = prepared.call(slots.buffer_info()[0])
        if status:
            raise prepared.failure(status)
        return _returned(made)

    def _remember(
        self, kinds: Any, prepared: Prepared, values: list[Any], views: list[Any], leading: int
    ) -> None:
        """Keep the quick way for later calls with arguments of these classes."""
        if kinds not in prepared.packs:
            device, queue = prepared.checked.device, prepared.queue(views)
            signature = prepared.traced.signature
            prepared.packs[kinds] = packer(signature, values, leading, device, queue)
        pack = prepared.packs[kinds]
        if pack is not None:
            self._latest[kinds] = (prepared, pack)

    def bind(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], grid: Any = None, stream: Any = None
    ) -> Bound:
        """Check and pack once; the arrays must stay where they are."""
        values, consts, _ = self._arguments(args, kwargs)
        words = [] if grid is None else list(grid_sizes(self.kernel.name, grid))
        prepared, views = self._find(values, consts, grid is not None)
        keep: list[Any] = []
        prepared.checked.slots(views, words, keep)
        prepared.add_queue(words, views, stream)
        current = prepared.queue(views)
        if current is None or stream is not None:
            return Bound(prepared, words, keep)
        return BoundToQueue(prepared, words, keep, current)

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
        if any(value is MISSING for value in values):
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
        kernel = self.kernel
        made: list[Any] = []
        views = {
            n: view_of(v)
            for n, v in zip(kernel.parameters, values, strict=True)
            if v is not MISSING
        }
        like = next((view for view in views.values() if view is not None), None)
        for at, (name, value) in enumerate(zip(kernel.parameters, values, strict=True)):
            if value is MISSING:
                shape, dtype = kernel.output_layout(name, views)
                values[at] = outputs.make(kernel.name, name, shape, dtype, like)
                made.append(values[at])
        return made

    # ----------------------------------------------------------------------------- specialization

    def _find(
        self, values: list[Any], consts: tuple[Any, ...], gridded: bool
    ) -> tuple[Prepared, list[Any]]:
        """Return the specialization of these values, compiling it the first time."""
        key: list[Any] = [gridded, consts]
        views: list[Any] = []
        devices: dict[Device | str, str] = {}
        for name, value in zip(self.kernel.parameters, values, strict=True):
            view = view_of(value)
            if view is None:
                key.append(value is None)
                views.append(value)
                continue
            views.append(view)
            key.append(view.dtype)
            devices.setdefault(view.device, name)
            strides = view.strides
            if strides and strides[-1] != 1 and view.shape[-1] > 1:
                key.append(True)
            rank = len(view.shape)
            key.extend(view.shape[axis] for axis in self._fixed.get(name, ()) if axis < rank)
        device = self._device(devices)
        if device != HOST:
            key.append(device)
        frozen = tuple(key)
        found = self._prepared.get(frozen)
        if found is None:
            found = self._prepared[frozen] = self._compile(views, consts, gridded, device)
        return found, views

    def _device(self, devices: dict[Device | str, str]) -> Device | str:
        """Return where all arrays are. Raises DeviceError when they are in several places."""
        first = next(iter(devices), HOST)
        for other, owner in devices.items():
            if other != first or (other != HOST and not isinstance(other, Device)):
                wanted = HOST if other == first else first
                raise DeviceError(kernel=self.kernel.name, name=owner, got=other, wanted=wanted)
        return first

    def _compile(
        self, views: list[Any], consts: tuple[Any, ...], gridded: bool, device: Device | str
    ) -> Prepared:
        traced = self.kernel.specialize(self._request(views, consts, gridded, device))
        code = self._enter(traced)
        leading = GRID_AXES if gridded else 0
        checked = Checked(traced.signature, HOST if code.runtime is None else device)
        return Prepared(code.call, checked, traced, code.keep, code.runtime, leading)

    def _request(
        self,
        views: list[Any],
        consts: tuple[Any, ...],
        gridded: bool,
        device: Device | str = HOST,
    ) -> Request:
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
            device=device,
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
    """Pack the quick way; what has no place in its dtype, or another rank, goes the slow way."""
    try:
        return pack(*values)
    except (OverflowError, ZeroDivisionError, ValueError):
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
