"""Kernels as operators of torch, so that ``torch.compile(fullgraph=True)`` keeps them whole.

    op = kd.torch_op(rms_norm, name="my::rms_norm", outputs=("out",))
    y = op(x, weight, 1e-6)

An operator takes what the kernel takes, on the CPU and on every device that has a back end. Tensors
named as outputs are made by the operator and returned; tensors that the kernel writes in place are
declared as mutated. Shapes and dtypes of outputs come from the kernel's annotations, which is all
that torch asks of an operator while it traces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdsl.errors import KdslError, TorchOpError
from kdsl.host import launcher, layout_of
from kdsl.ir.signature import SCALAR, TENSOR
from kdsl.ir.types import DType
from kdsl.language.kernel import Kernel
from kdsl.language.params import NO_DEFAULT, Param
from kdsl.runtime.outputs import torch_dtype
from kdsl.runtime.views import TORCH_NAMES

SCALAR_TYPES = {"b": "bool", "i": "SymInt", "u": "SymInt", "f": "float", "x": "SymInt"}
"""Kind of a dtype -> its type in a schema."""
NAMES = {f"torch.{text}": name for name, text in TORCH_NAMES.items()}
ANY_DEVICE = "CompositeExplicitAutograd"
_libraries: list[Any] = []
"""Torch forgets the operators of a library that is collected."""


@dataclass(frozen=True)
class Plan:
    """How an operator's arguments and results are the kernel's."""

    kernel: Kernel
    inputs: tuple[Param, ...]
    outputs: tuple[Param, ...]
    mutated: frozenset[str]
    consts: Mapping[str, Any]

    def schema(self) -> str:
        """Return the operator's type in torch's words."""
        listed = ", ".join(self._argument(i, p) for i, p in enumerate(self.inputs))
        made = ", ".join("Tensor" for _ in self.outputs)
        return f"({listed}) -> {made if len(self.outputs) == 1 else f'({made})'}"

    def _argument(self, number: int, p: Param) -> str:
        if p.kind == SCALAR:
            # A dtype variable's choices are of one kind.
            kind = p.dtype if isinstance(p.dtype, DType) else p.dtype.choices[0]  # type: ignore[union-attr]
            default = "" if p.default is NO_DEFAULT else f"={p.default}"
            return f"{SCALAR_TYPES[kind.kind]} {p.name}{default}"
        mark = f"(a{number}!)" if p.name in self.mutated else ""
        return f"Tensor{mark}{'? ' if p.optional else ' '}{p.name}{'=None' if p.optional else ''}"

    def layouts(self, values: Sequence[Any]) -> list[tuple[list[Any], str]]:
        """Return extents, maybe symbolic ones, and dtype names of the outputs."""
        given = {
            p.name: v
            for p, v in zip(self.inputs, values, strict=False)
            if p.kind != SCALAR and v is not None
        }
        shapes = {name: tuple(v.shape) for name, v in given.items()}
        dtypes = {name: NAMES[str(v.dtype)] for name, v in given.items()}
        return [layout_of(self.kernel, p.name, shapes, dtypes) for p in self.outputs]

    def make(self, values: Sequence[Any]) -> list[Any]:
        """Return new tensors for the outputs; tracing makes them without memory."""
        like = next(v for v in values if hasattr(v, "new_empty"))
        return [
            like.new_empty(shape, dtype=torch_dtype(dtype), requires_grad=False)
            for shape, dtype in self.layouts(values)
        ]


def torch_op(
    kernel: Kernel,
    *,
    name: str,
    mutates: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    **consts: Any,
) -> Any:
    """Register a kernel as an operator ``name`` ("library::operator"); return it.

    ``outputs``: tensors that the operator makes and returns; those annotated as only written, when
    not given. ``mutates``: tensors that it writes in place; all others that the kernel may write,
    when not given. ``consts`` fix Const parameters. Raises TorchOpError.
    """
    import torch

    plan = _plan(kernel, mutates, outputs, consts)
    namespace, found, operator = name.partition("::")
    if not found or not namespace.isidentifier() or not operator.isidentifier():
        raise _error(kernel, f"{name!r} is no name", 'name it "library::operator"')
    try:
        library = torch.library.Library(namespace, "FRAGMENT")
        library.define(operator + plan.schema(), tags=(torch.Tag.pt2_compliant_tag,))
        library.impl(operator, _run(plan), ANY_DEVICE)
        torch.library.register_fake(name, _fake(plan), lib=library)
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        raise _error(kernel, why, "give it a name that no other operator has") from error
    _libraries.append(library)
    return getattr(getattr(torch.ops, namespace), operator)


def _plan(
    kernel: Kernel,
    mutates: Sequence[str] | None,
    outputs: Sequence[str] | None,
    consts: Mapping[str, Any],
) -> Plan:
    params = kernel.params
    if any(p.parts for p in params.positional):
        raise _error(kernel, "it takes a struct", "wrap it in a program that takes plain values")
    arrays = {p.name: p for p in params.args if p.kind != SCALAR}
    tensors = {name for name, p in arrays.items() if p.kind == TENSOR and not p.optional}
    if outputs is None:
        outputs = [n for n in arrays if arrays[n].access == "wo" and n in tensors]
        outputs = [n for n in outputs if mutates is None or n not in mutates]
    if mutates is None:
        written = _written(kernel, consts)
        mutates = [n for n in arrays if n in written and n not in outputs]
    for n in (*outputs, *mutates):
        if n not in arrays:
            raise _error(kernel, f"it has no array {n!r}", f"it has {', '.join(arrays)}")
        if n in outputs and (n not in tensors or n in mutates):
            what = "is mutated" if n in mutates else "is no tensor of known shape"
            raise _error(kernel, f"the output {n!r} {what}", "pass it to the operator instead")
    for n in consts:
        if n not in params.consts:
            known = ", ".join(params.consts) or "none"
            raise _error(kernel, f"it has no Const parameter {n!r}", f"it has {known}")
    return Plan(
        kernel,
        tuple(p for p in params.args if p.name not in outputs),
        tuple(arrays[n] for n in outputs),
        frozenset(mutates),
        dict(consts),
    )


def _written(kernel: Kernel, consts: Mapping[str, Any]) -> frozenset[str]:
    """Return the arrays that the kernel writes.

    Traced for the first choice of each dtype; what needs dims to be traced is judged by its
    annotations, which may say too much.
    """
    params = kernel.params
    dtypes = {name: choice.choices[0].name for name, choice in params.dtype_vars.items()}
    known = {n: v for n, v in consts.items() if n in params.consts}
    try:
        args: Sequence[Any] = kernel.trace(kernel.specialize(**dtypes, **known)).signature.args
    except KdslError:
        args = params.args
    return frozenset(arg.name for arg in args if arg.kind != SCALAR and arg.access != "ro")


def _error(kernel: Kernel, why: str, advice: str) -> TorchOpError:
    return TorchOpError(kernel=kernel.name, why=why, advice=advice)


def _run(plan: Plan) -> Callable[..., Any]:
    """Return the implementation for tensors with memory."""
    names = [p.name for p in plan.kernel.params.args]
    count = len(plan.inputs)
    defaults = tuple(None if p.default is NO_DEFAULT else p.default for p in plan.inputs)
    places = {p.name: i for i, p in enumerate(plan.inputs)}
    made_at = {p.name: i for i, p in enumerate(plan.outputs)}
    call = launcher(plan.kernel).call
    checked: set[Any] = set()

    def run(*values: Any) -> Any:
        if len(values) < count:
            # Torch leaves trailing arguments out that are equal to their defaults.
            values += defaults[len(values) :]
        made = plan.make(values) if made_at else []
        args = [made[made_at[n]] if n in made_at else values[places[n]] for n in names]
        kinds = tuple(getattr(v, "dtype", None) for v in values)
        if kinds not in checked:
            _require_declared(plan, args)
            checked.add(kinds)
        call(args, plan.consts)
        return _results(made)

    return run


def _require_declared(plan: Plan, args: Sequence[Any]) -> None:
    """Raise TorchOpError when the kernel writes a tensor that the operator calls unchanged."""
    prepared = launcher(plan.kernel).prepare(args, plan.consts)
    kept = plan.mutated | {p.name for p in plan.outputs}
    for arg in prepared.traced.signature.args:
        if arg.is_array and arg.access != "ro" and not arg.absent and arg.name not in kept:
            why = f"it writes {arg.name!r}, which is not among mutates and outputs"
            raise _error(plan.kernel, why, f"mutates=({arg.name!r}, ...)")


def _fake(plan: Plan) -> Callable[..., Any]:
    """Return the implementation for tensors without memory: shapes and dtypes alone."""

    def fake(*values: Any) -> Any:
        return _results(plan.make(values)) if plan.outputs else None

    return fake


def _results(made: list[Any]) -> Any:
    if not made:
        return None
    return made[0] if len(made) == 1 else tuple(made)
