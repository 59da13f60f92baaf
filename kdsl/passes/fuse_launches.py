"""Make one kernel of neighbouring launches over the same elements."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.func import KERNEL, Func, Return
from kdsl.dialects.kdsl import Launch
from kdsl.dialects.memref import Alloc, Dealloc, Store
from kdsl.ir.attributes import Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import function as function_type
from kdsl.passes.explain import explain
from kdsl.passes.fuse_elementwise import why_apart
from kdsl.passes.manager import Pass
from kdsl.passes.parallel import parallel_loop
from kdsl.target.target import Target


@dataclass(frozen=True)
class FuseLaunches(Pass):
    """Join launches of kernels that are one parallel loop each, when the loops may be fused.

    The buffers of both must be equal or unrelated; a workspace that only carried values from one to the other
    disappears with ``drop-workspaces``.
    """

    name = "fuse-launches"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            for launch in list(function.walk()):
                while isinstance(launch, Launch) and launch.parent is not None:
                    joined = _join_with_next(module, launch, function)
                    if joined is None:
                        break
                    launch, changed = joined, True
        return changed


def _next_launch(launch: Launch) -> Launch | None:
    op = launch.next
    while op is not None and not isinstance(op, Launch):
        if not (isinstance(op, DeclaredOp) and op.is_pure) and not isinstance(op, Alloc):
            return None
        op = op.next
    return op if isinstance(op, Launch) else None


def _join_with_next(module: Module, first: Launch, function: Op) -> Launch | None:
    second = _next_launch(first)
    if second is None or first.operands[:3] != second.operands[:3]:
        return None
    a, b = _kernel(module, first), _kernel(module, second)
    if parallel_loop(a) is None or parallel_loop(b) is None:
        return None
    joined, args = _joined_kernel(a, b, first, second)
    loops = [op for op in joined.body if op.regions]
    why = why_apart(loops[0], loops[1])  # type: ignore[arg-type]
    names = f"{a.sym_name} and {b.sym_name}"
    if why is not None:
        joined.drop_uses()
        explain(function, f"{names}: not fused: {why}")
        return None
    explain(function, f"{names}: fused into {joined.sym_name}")
    module.body.insert_before(a, joined)
    launch = Builder.before(second).add(
        Launch, *first.operands[:3], args, kernel=Symbol(joined.sym_name)
    )
    for old in (first, second):
        old.erase()
    for kernel in {a, b}:
        if not _is_launched(module, kernel):
            kernel.erase()
    return launch


def _kernel(module: Module, launch: Launch) -> Func:
    assert isinstance(launch.kernel, Symbol)
    found = module.function(launch.kernel.name)
    assert isinstance(found, Func)
    return found


def _is_launched(module: Module, kernel: Func) -> bool:
    symbol = Symbol(kernel.sym_name)
    return any(
        isinstance(op, Launch) and op.kernel == symbol for f in module.functions for op in f.walk()
    )


def _joined_kernel(a: Func, b: Func, first: Launch, second: Launch) -> tuple[Func, list[Value]]:
    """Return a kernel that runs both bodies, and the arguments of its launch (shared ones once)."""
    args: list[Value] = list(first.args)
    args += [v for v in dict.fromkeys(second.args) if v not in first.args]
    names: list[str | None] = [p.name for p in a.body.args]
    by_value = dict(zip(second.args, b.body.args, strict=True))
    names += [by_value[v].name for v in args[len(names) :]]
    joined = Func.empty(
        f"{a.sym_name}.{b.sym_name}", tuple(v.type for v in args), (), tuple(names), a.loc
    )
    joined.attributes[KERNEL] = None
    builder = Builder(joined.body)
    inner = dict(zip(args, joined.body.args, strict=True))
    for launch, kernel in ((first, a), (second, b)):
        mapping: dict[Value, Value] = {
            p: inner[v] for p, v in zip(kernel.body.args, launch.args, strict=True)
        }
        for op in kernel.body:
            if not isinstance(op, Return):
                builder.insert(op.clone(mapping))
    builder.add(Return, [])
    return joined, args


@dataclass(frozen=True)
class DropWorkspaces(Pass):
    """Remove workspaces that kernels only write: their stores, parameters and allocation."""

    name = "drop-workspaces"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            for op in list(function.body):
                if isinstance(op, Alloc) and _drop(module, op, function):
                    changed = True
        return changed


def _drop(module: Module, buffer: Alloc, function: Op) -> bool:
    value = buffer.results[0]
    launches = [u for u in value.users if isinstance(u, Launch)]
    if len(launches) + sum(isinstance(u, Dealloc) for u in value.users) != len(value.users):
        return False
    for launch in launches:
        if list(launch.args).count(value) != 1 or not _only_stored(module, launch, value):
            return False
    for launch in launches:
        _drop_parameter(_kernel(module, launch), launch, list(launch.args).index(value))
    for user in list(value.users):
        user.erase()
    buffer.erase()
    explain(function, f"workspace {value.name or ''} of {value.type}: never written to memory")
    return True


def _only_stored(module: Module, launch: Launch, value: Value) -> bool:
    kernel = _kernel(module, launch)
    uses = sum(
        1
        for f in module.functions
        for op in f.walk()
        if isinstance(op, Launch) and op.kernel == launch.kernel
    )
    inside = kernel.body.args[list(launch.args).index(value)]
    return uses == 1 and all(isinstance(u, Store) and u.value is not inside for u in inside.users)


def _drop_parameter(kernel: Func, launch: Launch, index: int) -> None:
    inside = kernel.body.args[index]
    for store in list(inside.users):
        store.erase()
    kernel.body.remove_argument(index)
    kernel.attributes["function_type"] = function_type(
        tuple(a.type for a in kernel.body.args), kernel.type.results
    )
    launch.set_operands([v for i, v in enumerate(launch.operands) if i != index + 3])
