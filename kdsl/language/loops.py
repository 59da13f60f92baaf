"""The loops of the language: counted, unrolled, vectorized and parallel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kdsl.dialects import scf
from kdsl.errors import StaticAssertError, TypeMismatchError, WidthError
from kdsl.language.control import ForLoop, LoopRange, _run_for, _state, _state_names
from kdsl.language.state import current, where
from kdsl.language.types import AUTO, Width, describe, static_int
from kdsl.language.values import as_value

TAILS = ("mask", "scalar", "none")
MAX_WIDTH = 1024


class _Option:
    """A schedule option that a kernel reads where it is needed: ``stages=kd.num_stages``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"kd.{self.name}"


num_stages = _Option("num_stages")


def _bounds(args: tuple[Any, ...], op: str) -> tuple[Any, Any, Any]:
    if not 1 <= len(args) <= 3:
        raise TypeMismatchError(where(), op=op, wanted="1 to 3 bounds", got=len(args))
    if len(args) == 1:
        return 0, args[0], 1
    return args[0], args[1], args[2] if len(args) == 3 else 1


ORDERS = ("counted", "any")


def range_(
    *args: Any, stages: Any = None, unroll: int | None = None, order: str = "counted"
) -> LoopRange:
    """Count in a loop of the kernel: ``kd.range(stop)``, ``kd.range(start, stop, step)``.

    ``stages``: how many turns' loads may be in flight; ``unroll``: by this factor, 0 fully;
    ``order="any"`` says that the answer does not depend on the order of the turns (but for
    rounding), so that a target may begin at the end.
    """
    current("kd.range")
    attributes: dict[str, Any] = {}
    if isinstance(stages, _Option):
        stages = current().options.get(stages.name)
    if stages is not None:
        attributes[scf.STAGES] = static_int(stages, "stages")
    if unroll is not None:
        attributes[scf.UNROLL] = static_int(unroll, "unroll")
    if order not in ORDERS:
        wanted = "order='counted' or 'any'"
        raise TypeMismatchError(where(), op="kd.range", wanted=wanted, got=repr(order))
    if order == "any":
        attributes[scf.UNORDERED] = None
    return LoopRange(*_bounds(args, "kd.range"), **attributes)


def static_range(*args: Any) -> range:
    """Count while tracing: the body is traced once for each number."""
    example = "or use kd.range"
    return range(*(static_int(a, "a bound of kd.static_range", example) for a in args))


class Decorated(LoopRange):
    """A loop whose body is a decorated function, or that of a ``for`` statement."""

    def __init__(
        self, start: Any, stop: Any, width: Width | None, init: Any, attributes: dict[str, Any]
    ) -> None:
        super().__init__(start, stop, 1, **attributes)
        self.width = width
        self.init = () if init is None else init

    def __call__(self, body: Callable[..., Any]) -> Any:
        """Trace ``body(i)``, ``body(i, w)`` or ``body(i, w, *state)``; give the state."""
        code = getattr(body, "__code__", None)
        if code is None:
            raise TypeMismatchError(where(), op="a loop", wanted="a function", got=describe(body))
        carried = len(self.init) if isinstance(self.init, tuple) else 1
        wants_width = code.co_argcount - carried >= 2
        loop = ForLoop(self, _state_names(self.init), None, None)

        def turn(i: Any, state: tuple[Any, ...]) -> Any:
            made = body(i, self.width, *state) if wants_width else body(i, *state)
            if self.init == () and made is not None:
                wanted = "a body that returns nothing, or init="
                raise TypeMismatchError(where(), op="a loop", wanted=wanted, got=describe(made))
            return made

        _run_for(loop, turn, self.init)
        return _state(loop.finished, self.init) if self.init != () else None


def vectorize(
    n: Any,
    *,
    width: Any = AUTO,
    tail: str = "mask",
    unroll: int | None = None,
    init: Any = None,
    start: Any = 0,
) -> Decorated:
    """Run a body for ``start`` .. ``n``, several turns at once; they must not depend on each other.

    ``width`` lanes at a time (AUTO: as the target likes); ``tail`` says how the rest is done:
    "mask", "scalar", or "none", which promises that there is none. ``init`` gives the body a
    state to return anew, for sums, products and extremes.
    """
    current("kd.vectorize")
    lanes = static_int(width, "a width", "*, W: Const[int] = kd.AUTO")
    if not 0 <= lanes <= MAX_WIDTH or (lanes == 0 and type(width) is int):
        why = f"must be from 1 to {MAX_WIDTH}, or kd.AUTO"
        raise WidthError(where(), op="kd.vectorize", width=lanes, why=why)
    if tail not in TAILS:
        wanted = "tail='mask', 'scalar' or 'none'"
        raise TypeMismatchError(where(), op="kd.vectorize", wanted=wanted, got=repr(tail))
    attributes: dict[str, Any] = {scf.VECTORIZE: lanes, scf.TAIL: tail}
    if unroll is not None:
        attributes[scf.UNROLL] = static_int(unroll, "unroll")
    return Decorated(start, n, Width(lanes), init, attributes)


def vectorize_reduce(n: Any, init: Any, **options: Any) -> Decorated:
    """Return ``kd.vectorize(n, init=init)``: a decorator whose body gets and returns the state."""
    return vectorize(n, init=init, **options)


def parallelize(n: Any, *, start: Any = 0) -> Decorated:
    """Run a body for ``start`` .. ``n``, on several threads if there are.

    Turns must not depend on each other.
    """
    current("kd.parallelize")
    return Decorated(start, n, None, None, {scf.PARALLEL: None})


def unroll(n: Any, factor: int = 0, *, init: Any = None, start: Any = 0) -> Decorated:
    """Run a body for ``start`` .. ``n`` in a loop that is unrolled by ``factor``, 0 fully."""
    current("kd.unroll")
    by = static_int(factor, "an unroll factor")
    return Decorated(start, n, None, init, {scf.UNROLL: by})


def static_assert(condition: Any, message: str = "") -> None:
    """Raise StaticAssertError while tracing when a condition on Const values does not hold."""
    from kdsl.errors import NotConstError
    from kdsl.language.dims import extent
    from kdsl.language.values import Lanes

    condition = as_value(extent(condition))
    if isinstance(condition, Lanes):
        raise NotConstError(
            where(), what="the condition of static_assert", got=describe(condition),
            example="*, N: Const[int], or use assert",
        )  # fmt: skip
    if not condition:
        loc = where()
        raise StaticAssertError(loc, what=message or (loc.text if loc else "condition"))
