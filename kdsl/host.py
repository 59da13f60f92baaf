"""Where kernels of the language meet compiler and launcher: calls, looks inside, exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdsl.codegen.backend import HOST_MEMORY, Artifact
from kdsl.codegen.registry import backend_named, resolve_target
from kdsl.compiler import Compiled, compile_module, target_of
from kdsl.errors import BadSpecError, DeviceError, KdslError, NoOutputError
from kdsl.ir.signature import TENSOR, Signature
from kdsl.language.dims import Dim, DimExpr
from kdsl.language.kernel import Kernel, exports
from kdsl.language.params import NO_DEFAULT, Param
from kdsl.language.spec import SpecValue, combinations, is_given, parse_spec, spec_text
from kdsl.language.specialize import (
    GRID_ARGS,
    Binding,
    Specialization,
    TracedModule,
    specialization_for,
)
from kdsl.language.types import DTypeVar
from kdsl.runtime.devices import backend_of_memory, runtime_of
from kdsl.runtime.launcher import Bound, Code, Launcher, Request, Traced, grid_sizes
from kdsl.runtime.outputs import extents
from kdsl.runtime.views import HOST, Device, View
from kdsl.settings import settings
from kdsl.target.target import Target

STREAM = "stream"
"""A keyword of every call: where it runs on a device; as ``k.on(stream)``."""

LEFT_OUT: Any = object()
"""The default of a Const parameter that the call leaves to schedules and to the signature."""


@dataclass(frozen=True)
class _Launchable:
    """A kernel as the launcher sees it; with ``gridded``, its last arguments are grid sizes."""

    kernel: Kernel
    gridded: bool
    parameters: tuple[str, ...]
    defaults: Mapping[str, Any]
    consts: Mapping[str, Any]
    fixed_axes: tuple[tuple[str, int], ...]
    outputs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.kernel.name

    def specialize(self, request: Request) -> Traced:
        """Trace one specialization for the device that the arrays are on."""
        target = target_at(self.name, request)
        traced = self.kernel.trace(specialization_of(self, request), target)
        return Traced(traced.module, traced.signature, traced.entry, target)

    def output_layout(
        self, name: str, views: Mapping[str, View | None]
    ) -> tuple[Sequence[int], str]:
        """Return shape and dtype of a tensor that is only written. Raises NoOutputError."""
        shapes = {n: v.shape for n, v in views.items() if v is not None}
        dtypes = {n: v.dtype for n, v in views.items() if v is not None}
        return layout_of(self.kernel, name, shapes, dtypes)


def layout_of(
    kernel: Kernel, name: str, shapes: Mapping[str, Sequence[Any]], dtypes: Mapping[str, str]
) -> tuple[list[Any], str]:
    """Return extents and dtype name of an argument from what the others have.

    Raises NoOutputError.
    """
    wanted = next(p for p in kernel.params.args if p.name == name)
    known: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for p in kernel.params.args:
        for dim, extent in zip(p.dims, shapes.get(p.name, ()), strict=False):
            if isinstance(dim, Dim):
                known.setdefault(dim.name, extent)
        if p.name in dtypes and isinstance(p.dtype, DTypeVar):
            kinds.setdefault(p.dtype.name, dtypes[p.name])
    found = extents(kernel.name, name, wanted.dims, known)
    if isinstance(wanted.dtype, DTypeVar):
        if wanted.dtype.name not in kinds:
            why = f"no other argument has the dtype {wanted.dtype.name}"
            raise NoOutputError(kernel=kernel.name, name=name, why=why)
        return found, kinds[wanted.dtype.name]
    assert wanted.dtype is not None
    return found, wanted.dtype.name


def _is_output(p: Param) -> bool:
    """Return whether a call may leave a tensor out, because it is only written."""
    plain = not p.optional and p.default is NO_DEFAULT
    return p.kind == TENSOR and p.access == "wo" and plain


def _launchable(kernel: Kernel, gridded: bool) -> _Launchable:
    params = kernel.params
    names = tuple(p.name for p in params.args)
    defaults = {p.name: p.default for p in params.args if p.default is not NO_DEFAULT}
    defaults |= {p.name: None for p in params.args if p.optional and p.name not in defaults}
    wanted = {n for p in params.consts.values() for n in _dims_of(p.default)}
    fixed = tuple(
        (p.name, axis)
        for p in params.args
        for axis, dim in enumerate(p.dims)
        if isinstance(dim, Dim) and (dim.const or dim.name in wanted)
    )
    return _Launchable(
        kernel,
        gridded,
        (*names, *GRID_ARGS) if gridded else names,
        defaults,
        dict.fromkeys(params.consts, LEFT_OUT),
        fixed,
        tuple(p.name for p in params.args if _is_output(p)),
    )


def _dims_of(default: Any) -> list[str]:
    return default.names() if isinstance(default, DimExpr) else []


def specialization_of(launchable: _Launchable, request: Request) -> Specialization:
    """Return what a call's arguments ask for."""
    kernel = launchable.kernel
    facts: list[tuple[str, tuple[Any, ...]] | None] = []
    extents: dict[str, int] = {}
    for p in kernel.params.args:
        dtype = request.dtypes.get(p.name)
        shape = tuple(request.extents.get((p.name, axis)) for axis in range(len(p.dims)))
        facts.append(None if dtype is None else (dtype, shape))
        for dim, extent in zip(p.dims, shape, strict=True):
            if isinstance(dim, Dim) and extent is not None:
                extents.setdefault(dim.name, extent)
    given = {n: v for n, v in request.consts.items() if v is not LEFT_OUT}
    consts = {**derived_consts(kernel, extents, given), **given}
    spec = specialization_for(kernel, facts, consts)
    return Specialization(
        spec.dtypes,
        spec.dims,
        spec.consts,
        spec.absent,
        tuple(sorted(request.strided)),
        launchable.gridded,
    )


def derived_consts(
    kernel: Kernel, extents: Mapping[str, int], given: Mapping[str, Any]
) -> dict[str, int]:
    """Compute Const parameters whose default is an expression of dims, where the dims are known."""
    found: dict[str, int] = {}
    for name, param in kernel.params.consts.items():
        names = _dims_of(param.default)
        if names and name not in given and all(n in extents for n in names):
            found[name] = param.default.evaluate(extents.__getitem__)
    return found


# ----------------------------------------------------------------------------------------- calls


def target_at(kernel: str, request: Request) -> Target:
    """Return what a call is compiled for: where its arrays are, KDSL_TARGET if it works there.

    Raises DeviceError when no back end works there, or not the chosen one.
    """
    device = request.device
    first = next((name for name, dtype in request.dtypes.items() if dtype is not None), "")
    kind = device.kind if isinstance(device, Device) else HOST_MEMORY
    if settings.target or kind == HOST_MEMORY:
        target = target_of()
        works_on = backend_named(target.backend).device
        if works_on != kind:
            raise DeviceError(kernel=kernel, name=first, got=device, wanted=target)
        return target
    backend = backend_of_memory(kind)
    if backend is None:
        raise DeviceError(kernel=kernel, name=first, got=device, wanted=HOST)
    return resolve_target(backend.name)


def _enter(traced: Traced) -> Code:
    target: Target = traced.target
    compiled = compile_module(traced.module, target)
    entry = compiled.load()[traced.entry]
    return Code(entry.call, compiled, runtime_of(backend_named(target.backend)))


def launcher(kernel: Kernel, gridded: bool = False) -> Launcher:
    """Return the launcher that keeps a kernel's compiled specializations."""
    name = "_gridded_launcher" if gridded else "_launcher"
    found = kernel.__dict__.get(name)
    if found is None:
        found = kernel.__dict__[name] = Launcher(_launchable(kernel, gridded), _enter)
    assert isinstance(found, Launcher)
    return found


def _flat(
    kernel: Kernel, args: Sequence[Any], kwargs: Mapping[str, Any], grid: Any
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Put struct fields and grid sizes among the positional arguments."""
    if grid is None and not any(p.parts for p in kernel.params.positional):
        return args, kwargs
    leaves, consts = kernel.params.bind(tuple(args), dict(kwargs))
    return (*leaves, *(() if grid is None else grid_sizes(kernel.name, grid))), consts


def _stream_of(
    kernel: Kernel, kwargs: Mapping[str, Any], stream: Any
) -> tuple[Mapping[str, Any], Any]:
    """Take the stream out of a call's keywords, unless it is the kernel's own parameter."""
    if STREAM in kernel.params.all:
        return kwargs, stream
    return {name: v for name, v in kwargs.items() if name != STREAM}, kwargs[STREAM]


def call(
    kernel: Kernel,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    grid: Any,
    stream: Any = None,
) -> Any:
    """Run a kernel on arrays."""
    if STREAM in kwargs:
        kwargs, stream = _stream_of(kernel, kwargs, stream)
    args, kwargs = _flat(kernel, args, kwargs, grid)
    return launcher(kernel, grid is not None).call(args, kwargs, None, stream)


def bind(
    kernel: Kernel,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    grid: Any,
    stream: Any = None,
) -> Bound:
    """Prepare a call on these arrays."""
    if STREAM in kwargs:
        kwargs, stream = _stream_of(kernel, kwargs, stream)
    args, kwargs = _flat(kernel, args, kwargs, grid)
    return launcher(kernel, grid is not None).bind(args, kwargs, None, stream)


# ---------------------------------------------------------------------------------- looking inside


def _compiled(kernel: Kernel, target: str | None, values: Mapping[str, Any]) -> Compiled:
    chosen = target_of(target)
    traced: TracedModule = kernel.trace(kernel.specialize(**values), chosen)
    return compile_module(traced.module, chosen)


def ir(kernel: Kernel, stage: str, **values: Any) -> str:
    """Return the module of a specialization after a stage, as text."""
    return _compiled(kernel, None, values).ir(stage)


def source(kernel: Kernel, target: str | None = None, **values: Any) -> str:
    """Return what a target's back end emits for a specialization."""
    return _compiled(kernel, target, values).source()


def explain(kernel: Kernel, **values: Any) -> str:
    """Return what fused, what vectorized at which width, and what did not and why."""
    compiled = _compiled(kernel, None, values)
    return "\n".join([*compiled.explanation, *compiled.artifact.facts.get("accesses", ())])


# --------------------------------------------------------------------------------------- exports


@dataclass(frozen=True)
class Export:
    """An exported kernel with the specializations that ``kdsl build`` makes of it."""

    kernel: Kernel
    specs: tuple[Mapping[str, SpecValue], ...]

    @property
    def name(self) -> str:
        return self.kernel.name

    @property
    def doc(self) -> str:
        return self.kernel.doc

    @property
    def grid(self) -> str:
        """The grid as text; empty for programs, whose launches have their own."""
        from kdsl.language.grid import grid_text

        return "" if self.kernel.is_program else grid_text(self.kernel)

    @property
    def spec_names(self) -> tuple[str, ...]:
        params = self.kernel.params
        return (*params.dtype_vars, *params.dims, *params.consts, *self.optional)

    @property
    def optional(self) -> tuple[str, ...]:
        """The arguments that a specialization is compiled with or without."""
        return tuple(p.name for p in self.kernel.params.args if p.optional)

    def compile(
        self, values: Mapping[str, SpecValue], target: Target, symbol: str
    ) -> tuple[Artifact, Signature]:
        """Return the code of one specialization, callable as ``symbol``, and its signature."""
        traced = self.kernel.trace(self._specialization(values, target), target)
        entry = traced.module.function(traced.entry)
        entry.attributes["sym_name"] = symbol.removeprefix("kdsl_entry_")
        compiled = compile_module(traced.module, target)
        return compiled.artifact, traced.signature

    def _specialization(self, values: Mapping[str, SpecValue], target: Target) -> Specialization:
        """Return what a spec asks for. Raises BadSpecError."""
        kernel = self.kernel
        known = {**values, **dict.fromkeys(self.optional)}
        for name in self.optional:
            if is_given(name, values.get(name)):
                del known[name]
        try:
            dims = dict(kernel.specialize(**known).dims)
            spec = kernel.specialize(**derived_consts(kernel, dims, known), **known)
            Binding(kernel, spec, target)
        except KdslError as problem:
            raise BadSpecError(text=spec_text(values), why=problem.summary) from problem
        assert isinstance(spec, Specialization)
        return spec


def exported(kernel: Kernel, *specs: str) -> Export:
    """Name the specializations of a kernel for ``kdsl build``.

    Each text is as for ``--spec``: ``"T=f32,bf16 D=64"`` stands for two specializations, and
    ``"lse=none,given"`` for one without the optional argument ``lse`` and one with it. What is not
    named is left out.
    """
    texts = specs or ("",)
    chosen = [values for text in texts for values in combinations(parse_spec([text]))]
    return Export(kernel, tuple(chosen))


def exports_in(module: Any) -> list[Export]:
    """Return a file's exports: its list ``EXPORTS``, else its kernels under ``@kd.export``."""
    declared = getattr(module, "EXPORTS", None)
    if declared is not None:
        return [e if isinstance(e, Export) else exported(e) for e in declared]
    return [exported(kernel) for kernel in exports(module)]
