"""Kernels, helpers, programs and exports: the decorators and what they make."""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

from kdsl.errors import BadDecoratorError, RankError, UnknownParameterError
from kdsl.language.dims import DimExpr
from kdsl.language.memory import Ptr, Tensor
from kdsl.language.params import Params
from kdsl.language.rewrite import rewritten
from kdsl.language.source import location_of
from kdsl.language.state import active, where
from kdsl.language.types import DTypeVar
from kdsl.language.values import Lanes, Scalar, as_value, assign
from kdsl.target.target import GENERIC, Target

HOST = "kdsl.host"
"""The module that runs kernels: it has ``call``, ``bind``, ``ir``, ``source`` and ``explain``.

Each takes the kernel first, then the call's positional and keyword arguments and the grid (None:
the kernel's own).
"""


def host() -> Any:
    """Return the module that compiles and launches; the language lies below it."""
    from importlib import import_module

    return import_module(HOST)


class Function:
    """Base of what the decorators make: the user's function, and its rewritten form."""

    decorator = "@kd.func"

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.loc = location_of(function)
        self._rewritten: FunctionType | None = None
        self.__name__: str = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def rewritten(self) -> FunctionType:
        """Return the function that is traced; made on first use."""
        if self._rewritten is None:
            self._rewritten = rewritten(self.function)
        return self._rewritten

    def __repr__(self) -> str:
        return f"<{self.decorator} {self.__name__}>"


class Func(Function):
    """A helper that is inlined wherever it is called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Trace the helper's body here; outside of a kernel, run it as plain Python."""
        trace = active()
        if trace is None:
            return self.function(*args, **kwargs)
        values = self._bind(args, kwargs)
        with trace.call(self, self.__name__):
            return self.rewritten()(*values[0], **values[1])

    def _bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Fill in defaults: the rewritten function has none."""
        code = self.function.__code__
        names = code.co_varnames[: code.co_argcount]
        only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        open_ended = code.co_flags & 0x0C
        defaults = self.function.__defaults__ or ()
        known = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        known.update(self.function.__kwdefaults__ or {})
        if open_ended:
            missing = {
                n: v for n, v in known.items() if n not in kwargs and n not in names[: len(args)]
            }
            return list(args), {**kwargs, **missing}
        known.update(zip(names, args, strict=False))
        unknown = [n for n in kwargs if n not in names and n not in only]
        if unknown:
            listed = ", ".join([*names, *only])
            raise UnknownParameterError(
                where(), kernel=self.__name__, name=unknown[0], known=listed
            )
        known.update(kwargs)
        if len(args) > len(names) or any(n not in known for n in (*names, *only)):
            from kdsl.errors import ArgumentCountError

            raise ArgumentCountError(
                where(),
                kernel=self.__name__,
                wanted=len(names),
                names=", ".join(names),
                got=len(args),
            )
        return [known[n] for n in names], {n: known[n] for n in only}


class Kernel(Function):
    """A device function with its host entry; ``params`` says what it takes.

    Called on arrays it is compiled and run; called in a program it is launched; called in another
    kernel its body is traced there.
    """

    decorator = "@kd.kernel"
    is_program = False

    def __init__(
        self,
        function: FunctionType,
        *,
        name: str | None,
        grid: Any,
        expect: Any,
        require: Iterable[Any],
    ) -> None:
        super().__init__(function)
        self.name = name or function.__name__
        self.grid = grid
        self.expect = expect
        self.params = Params(function, self.name)
        self.require = tuple(relation_text(r) for r in require)
        self.doc = (function.__doc__ or "").strip().partition("\n")[0]
        self.is_exported = False
        self.tuning: Any = None
        self.schedules: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    # ------------------------------------------------------------------------------ calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run on arrays; in a program, launch; in a kernel, trace the body here."""
        trace = active()
        if trace is None:
            return host().call(self, args, kwargs, None)
        if trace.program is not None:
            return trace.program.launch(self, args, kwargs, None)
        return self.inline(*args, **kwargs)

    def __getitem__(self, grid: Any) -> OnGrid:
        """Return the kernel with the grid given by the caller: ``k[kd.cdiv(n, 64)](x, n)``."""
        return OnGrid(self, grid if isinstance(grid, tuple) else (grid,))

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """Return a prepared call on these arrays."""
        return host().bind(self, args, kwargs, None)

    def on(self, stream: Any) -> OnStream:
        """Return the kernel on a stream of a device: ``k.on(s)(x, n)``, ``k.on(s)[grid](x, n)``."""
        return OnStream(self, stream, None)

    def inline(self, *args: Any, **kwargs: Any) -> Any:
        """Trace the kernel's body inside the kernel under way."""
        from kdsl.language.state import current

        trace = current(f"{self.name}.inline")
        leaves, given = self.params.bind(args, kwargs)
        consts = self.params.resolve_consts({**self.scheduled(trace.target)[0], **given})
        values, dims, dtypes = self._inline_values(leaves)
        positional, named = self.params.values(values, consts)
        trace.dims.append(dims)
        trace.dtypes.append(dtypes)
        try:
            with trace.call(self, self.name):
                return self.rewritten()(*positional, **named)
        finally:
            trace.dims.pop()
            trace.dtypes.pop()

    def _inline_values(
        self, leaves: list[Any]
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        values: dict[str, Any] = {}
        dims: dict[str, Any] = {}
        dtypes: dict[str, Any] = {}
        for p, value in zip(self.params.args, leaves, strict=True):
            if isinstance(p.dtype, DTypeVar) and isinstance(value, Tensor | Ptr | Lanes):
                dtypes[p.dtype.name] = value.dtype
        for p, value in zip(self.params.args, leaves, strict=True):
            if isinstance(value, Tensor | Ptr) or value is None:
                values[p.name] = value
            else:
                dtype = dtypes.get(p.dtype.name) if isinstance(p.dtype, DTypeVar) else p.dtype
                given = as_value(value)
                shaped = isinstance(given, Lanes) and not isinstance(given, Scalar)
                values[p.name] = given if shaped else assign(f"{self.name}: {p.name}", value, dtype)  # type: ignore[arg-type]
            if isinstance(value, Tensor) and p.dims:
                if value.rank != len(p.dims):
                    listed = ", ".join(map(str, p.dims))
                    raise RankError(
                        where(), name=p.name, wanted=len(p.dims), dims=listed, got=value.rank
                    )
                for dim, extent in zip(p.dims, value.shape, strict=True):
                    if isinstance(dim, DimExpr) and dim.op == "name":
                        dims.setdefault(dim.parts[0], extent)
        return values, dims, dtypes

    @property
    def __kdsl_export__(self) -> Any:
        """What ``kdsl build`` makes of an exported kernel."""
        if not self.is_exported:
            raise AttributeError(f"{self.name} is not exported")
        return host().exported(self)

    # ------------------------------------------------------------------------- compilation

    def specialize(self, **values: Any) -> Any:
        """Return a ``Specialization``: dtype variables, dims and Const parameters by name.

        ``name=None`` says that an optional argument is absent.
        """
        from kdsl.language.specialize import specialization

        return specialization(self, values)

    def trace(self, spec: Any = None, target: Target = GENERIC) -> Any:
        """Return the ``TracedModule`` of a specialization."""
        from kdsl.language.specialize import trace

        return trace(self, spec, target)

    def schedule(self, target: str | Target | None = None, **options: Any) -> Kernel:
        """Choose Const parameters and schedule options for a target (None: every target).

        A later call wins. ``target`` is a back end's name, a chip, or ``backend:chip``.
        """
        from kdsl.language.schedule import OPTIONS, target_name

        known = {*self.params.consts, *OPTIONS}
        for name in options:
            if name not in known:
                listed = ", ".join(sorted(known))
                raise UnknownParameterError(where(), kernel=self.name, name=name, known=listed)
        consts = {n: v for n, v in options.items() if n in self.params.consts}
        rest = {n: v for n, v in options.items() if n not in self.params.consts}
        rest = {("num_stages" if n == "stages" else n): v for n, v in rest.items()}
        self.schedules.append((target_name(target), consts, rest))
        return self

    def scheduled(self, target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the Const parameters and options that schedules choose for a target."""
        from kdsl.language.schedule import matches

        consts: dict[str, Any] = {}
        options: dict[str, Any] = {}
        for name, chosen, rest in self.schedules:
            if name == "" or matches(name, target):
                consts.update(chosen)
                options.update(rest)
        return consts, options

    # -------------------------------------------------------------------------- explaining

    def ir(self, stage: str = "trace", **values: Any) -> str:
        """Return the module's text after trace, optimize, lower or legalize.

        ``values`` choose the specialization as for ``specialize``. Raises UnknownStageError.
        """
        if stage == "trace":
            return str(self.trace(self.specialize(**values)).module)
        return str(host().ir(self, stage, **values))

    def source(self, target: Any = None, **values: Any) -> str:
        """Return the source text that a target's back end emits."""
        return str(host().source(self, target, **values))

    def explain(self, **values: Any) -> Any:
        """Return what fused, what vectorized at which width, and what did not and why."""
        return host().explain(self, **values)


class OnGrid:
    """A kernel with a grid that the caller gives."""

    def __init__(self, kernel: Kernel, grid: tuple[Any, ...]) -> None:
        self.kernel = kernel
        self.grid = grid

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run on arrays; in a program, launch."""
        trace = active()
        if trace is None:
            return host().call(self.kernel, args, kwargs, self.grid)
        if trace.program is None:
            raise BadDecoratorError(
                where(), decorator=f"{self.kernel.name}[...]",
                why="a kernel cannot launch another one",
                advice="call it without a grid, its body is then traced here",
            )  # fmt: skip
        return trace.program.launch(self.kernel, args, kwargs, self.grid)

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """Return a prepared call on these arrays."""
        return host().bind(self.kernel, args, kwargs, self.grid)

    def on(self, stream: Any) -> OnStream:
        """Return the same on a stream of a device."""
        return OnStream(self.kernel, stream, self.grid)


class OnStream:
    """A kernel whose launches go to a stream that the caller gives."""

    def __init__(self, kernel: Kernel, stream: Any, grid: tuple[Any, ...] | None) -> None:
        self.kernel = kernel
        self.stream = stream
        self.grid = grid

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run on arrays of a device."""
        if active() is not None:
            raise BadDecoratorError(
                where(), decorator=f"{self.kernel.name}.on(...)",
                why="what a program launches runs on the stream of its caller",
                advice="give the stream where the program is called",
            )  # fmt: skip
        return host().call(self.kernel, args, kwargs, self.grid, self.stream)

    def __getitem__(self, grid: Any) -> OnStream:
        """Return the kernel with the grid given by the caller."""
        return OnStream(self.kernel, self.stream, grid if isinstance(grid, tuple) else (grid,))

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """Return a prepared call on these arrays and this stream."""
        return host().bind(self.kernel, args, kwargs, self.grid, self.stream)


class Program(Kernel):
    """A host function that computes with dims, makes workspaces and launches kernels."""

    decorator = "@kd.program"
    is_program = True


# ------------------------------------------------------------------------------------ decorators


def relation_text(given: Any) -> str:
    """Return a relation as text: it may be an expression of dims or a string."""
    if isinstance(given, DimExpr):
        return given.text
    if isinstance(given, str):
        import ast

        try:
            ast.parse(given, mode="eval")
        except SyntaxError as problem:
            raise BadDecoratorError(
                where(), decorator="require=", why=f"{given!r} is no expression ({problem.msg})",
                advice="write it in Python: require=['Hq % Hkv == 0']",
            ) from problem  # fmt: skip
        return given
    raise BadDecoratorError(
        where(), decorator="require=", why=f"{given!r} is no relation between dims",
        advice="write a comparison of dims: require=[Hq % Hkv == 0]",
    )  # fmt: skip


def _plain_function(function: Any, decorator: str) -> FunctionType:
    if isinstance(function, Function):
        raise BadDecoratorError(
            where(), decorator=decorator,
            why=f"{function.__name__!r} is a {function.decorator} already",
            advice="use one of the decorators",
        )  # fmt: skip
    if not isinstance(function, FunctionType):
        kind = type(function).__name__
        raise BadDecoratorError(
            where(),
            decorator=decorator,
            why=f"it got a {kind}",
            advice=f"put {decorator} above a def",
        )
    return function


def kernel(
    function: Any = None,
    *,
    grid: Any = None,
    expect: Any = None,
    name: str | None = None,
    require: Iterable[Any] = (),
) -> Any:
    """Make a kernel of a function.

    ``grid`` maps dims, Const parameters and integer arguments to one to three extents:
    ``grid=lambda d: (kd.cdiv(d.M, d.BM), d.B)``. ``require`` lists relations that calls must
    satisfy. ``name`` is the entry's.
    """

    def decorate(f: Any) -> Kernel:
        plain = _plain_function(f, "@kd.kernel")
        return Kernel(plain, name=name, grid=grid, expect=expect, require=require)

    return decorate if function is None else decorate(function)


def program(
    function: Any = None,
    *,
    expect: Any = None,
    name: str | None = None,
    require: Iterable[Any] = (),
) -> Any:
    """Make a host program of a function that launches kernels; options as for ``kd.kernel``."""

    def decorate(f: Any) -> Program:
        plain = _plain_function(f, "@kd.program")
        return Program(plain, name=name, grid=None, expect=expect, require=require)

    return decorate if function is None else decorate(function)


def func(function: Any) -> Func:
    """Make a helper of a function: it is inlined wherever kernels and other helpers call it."""
    return Func(_plain_function(function, "@kd.func"))


def export(kernel: Any) -> Any:
    """Mark a kernel or program as a root for ``kdsl build``."""
    if not isinstance(kernel, Kernel):
        what = kernel.decorator if isinstance(kernel, Function) else type(kernel).__name__
        raise BadDecoratorError(
            where(), decorator="@kd.export", why=f"it got a {what}",
            advice="put @kd.export above @kd.kernel or @kd.program",
        )  # fmt: skip
    kernel.is_exported = True
    return kernel


def exports(module: ModuleType) -> list[Kernel]:
    """Return the exported kernels that a module itself defines, in order."""
    found = [
        v
        for v in vars(module).values()
        if isinstance(v, Kernel) and v.is_exported and v.function.__module__ == module.__name__
    ]
    return list(dict.fromkeys(found))


def single_kernel() -> str:
    """``expect=kd.single_kernel``: the whole must become one kernel."""
    return "single_kernel"
