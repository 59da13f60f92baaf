"""Make one kernel of neighbouring launches over the same elements."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from kdsl.dialects.func import KERNEL, Func, Return
from kdsl.dialects.kdsl import Launch
from kdsl.dialects.memref import Alloc, Alloca, Dealloc, Load, Store
from kdsl.dialects.scf import PARALLEL, For
from kdsl.ir.attributes import Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import function as function_type
from kdsl.passes.aliasing import may_alias
from kdsl.passes.explain import EXPLAIN, explain
from kdsl.passes.fuse_elementwise import Group
from kdsl.passes.manager import Pass
from kdsl.passes.parallel import (
    functions_by_name,
    is_one_program,
    launches_by_kernel,
    parallel_loop,
    written_buffers,
)
from kdsl.target.target import Target

LONGEST_NAME = 80


@dataclass(frozen=True)
class FuseLaunches(Pass):
    """Join launches of kernels that are one parallel loop each, when the loops may be fused.

    The buffers of both must be equal or unrelated; a workspace that only carried values from one to
    the other disappears with ``drop-workspaces``. ``max_ops`` bounds the fused body.
    """

    max_ops: int = 256
    name = "fuse-launches"

    def run(self, module: Module, target: Target) -> bool:
        del target
        joiner = _Joiner(module, self.max_ops)
        changed = False
        for function in module.functions:
            for op in list(function.walk()):
                if isinstance(op, Launch) and op.parent is not None:
                    changed |= joiner.join_chain(op, function)
        return changed


class _Joiner:
    """Joins launches of a module; knows its kernels and how often each is launched."""

    def __init__(self, module: Module, max_ops: int) -> None:
        self.module = module
        self.max_ops = max_ops
        self.kernels = functions_by_name(module)
        self.uses = {name: len(found) for name, found in launches_by_kernel(module).items()}

    def join_chain(self, launch: Launch, function: Op) -> bool:
        """Join a launch with those that follow as long as they may be joined."""
        changed = False
        joined = self.join_with_next(launch, function)
        while joined is not None:
            changed = True
            joined = self.join_with_next(joined, function)
        return changed

    def join_with_next(self, first: Launch, function: Op) -> Launch | None:
        second = _next_launch(first)
        if second is None or not (is_one_program(first) and is_one_program(second)):
            return None
        a, b = self.kernel(first), self.kernel(second)
        loops = parallel_loop(a), parallel_loop(b)
        if loops[0] is None or loops[1] is None:
            return None
        names = f"{a.sym_name} and {b.sym_name}"
        if len(loops[0].body) + len(loops[1].body) > self.max_ops:
            explain(
                function, f"{names}: not fused: the body would hold more than {self.max_ops} ops"
            )
            return None
        joined, args = _both_bodies(a, b, first, second)
        own = _own_buffers(joined, args)
        one, other = _loops(joined)
        group = Group(one, own)
        why = _why_not_before(joined, one, own) or group.why_apart(other, self.max_ops)
        if why is not None:
            joined.drop_uses()
            explain(function, f"{names}: not fused: {why}")
            return None
        group.add(other)
        group.fuse()
        joined.attributes["sym_name"] = self.free_name(f"{a.sym_name}.{b.sym_name}")
        explain(function, f"{names}: fused into {joined.sym_name}")
        return self.replace(first, second, joined, args)

    def replace(self, first: Launch, second: Launch, joined: Func, args: list[Value]) -> Launch:
        """Launch ``joined`` in the place of both; remove kernels that nobody launches any more."""
        old = (self.kernel(first), self.kernel(second))
        self.module.body.insert_before(old[0], joined)
        launch = Builder.before(second).add(
            Launch, *first.operands[:3], args, kernel=Symbol(joined.sym_name)
        )
        self.kernels[joined.sym_name] = joined
        self.uses[joined.sym_name] = 1
        first.erase()
        second.erase()
        for kernel in old:
            self.uses[kernel.sym_name] -= 1
        for kernel in dict.fromkeys(old):
            if self.uses[kernel.sym_name] == 0:
                del self.kernels[kernel.sym_name]
                kernel.erase()
        return launch

    def kernel(self, launch: Launch) -> Func:
        assert isinstance(launch.kernel, Symbol)
        return self.kernels[launch.kernel.name]

    def free_name(self, wanted: str) -> str:
        """Return a name that no function has, near ``wanted``."""
        wanted = wanted[:LONGEST_NAME]
        name, count = wanted, 1
        while name in self.kernels:
            count += 1
            name = f"{wanted}.{count}"
        return name


def _next_launch(launch: Launch) -> Launch | None:
    op = launch.next
    while op is not None and not isinstance(op, Launch):
        if not (isinstance(op, DeclaredOp) and op.is_pure) and not isinstance(op, Alloc):
            return None
        op = op.next
    return op if isinstance(op, Launch) else None


def _both_bodies(a: Func, b: Func, first: Launch, second: Launch) -> tuple[Func, list[Value]]:
    """Return a kernel with both bodies, loops last, and the arguments of its launch.

    An argument that both launches take is there once.
    """
    args: list[Value] = list(first.args)
    args += [v for v in dict.fromkeys(second.args) if v not in first.args]
    by_value = dict(zip(second.args, b.body.args, strict=True))
    names = [p.name for p in a.body.args]
    names += [by_value[v].name for v in args[len(names) :]]
    joined = Func.empty("", tuple(v.type for v in args), (), tuple(names), a.loc)
    joined.attributes[KERNEL] = None
    lines = [*a.attributes.get(EXPLAIN, ()), *b.attributes.get(EXPLAIN, ())]  # type: ignore[misc]
    if lines:
        joined.attributes[EXPLAIN] = lines
    builder = Builder(joined.body)
    inner = dict(zip(args, joined.body.args, strict=True))
    loops: list[Op] = []
    for launch, kernel in ((first, a), (second, b)):
        mapping: dict[Value, Value] = {
            p: inner[v] for p, v in zip(kernel.body.args, launch.args, strict=True)
        }
        for op in kernel.body:
            if _is_parallel(op):
                loops.append(op.clone(mapping))
            elif not isinstance(op, Return):
                builder.insert(op.clone(mapping))
    for loop in loops:
        builder.insert(loop)
    builder.add(Return, [])
    return joined, args


def _own_buffers(joined: Func, args: list[Value]) -> set[Value]:
    """Return the parameters that are buffers which the launching function made itself."""
    pairs = zip(joined.body.args, args, strict=True)
    return {inside for inside, given in pairs if isinstance(given.op, Alloc | Alloca)}


def _loops(joined: Func) -> tuple[For, For]:
    first, second = (op for op in joined.body if _is_parallel(op))
    assert isinstance(first, For)
    assert isinstance(second, For)
    return first, second


def _is_parallel(op: Op) -> bool:
    return isinstance(op, For) and PARALLEL in op.attributes


def _why_not_before(joined: Func, first: For, own: Collection[Value]) -> str | None:
    """Return why what the second kernel does before its loop cannot be done before the first."""
    written = written_buffers(first)
    loads = [op.source for op in joined.body if isinstance(op, Load)]
    if any(may_alias(source, v, own) for source in loads for v in written):
        return "the second loads before its loop what the first writes"
    return None


@dataclass(frozen=True)
class DropWorkspaces(Pass):
    """Remove workspaces that kernels only write: their stores, parameters and allocation."""

    name = "drop-workspaces"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        kernels, launches = functions_by_name(module), launches_by_kernel(module)
        once = {name: kernels[name] for name, found in launches.items() if len(found) == 1}
        for function in module.functions:
            for op in list(function.body):
                if isinstance(op, Alloc):
                    changed |= _drop(op, function, once)
        return changed


def _drop(buffer: Alloc, function: Op, once: dict[str, Func]) -> bool:
    """Remove a workspace unless somebody reads it; ``once``: kernels launched in one place."""
    value = buffer.results[0]
    stored: list[tuple[Launch, Func, int]] = []
    for user in value.users:
        if isinstance(user, Dealloc):
            continue
        if not isinstance(user, Launch) or user.kernel.name not in once:
            return False
        at = [i for i, given in enumerate(user.args) if given is value]
        kernel = once[user.kernel.name]
        inside = kernel.body.args[at[0]]
        if len(at) != 1 or not _is_only_stored(inside):
            return False
        stored.append((user, kernel, at[0]))
    for launch, kernel, index in stored:
        _drop_parameter(kernel, launch, index)
    for user in list(value.users):
        user.erase()
    buffer.erase()
    explain(function, f"workspace {value.name or ''} of {value.type}: never written to memory")
    return True


def _is_only_stored(inside: Value) -> bool:
    return all(isinstance(user, Store) and user.value is not inside for user in inside.users)


def _drop_parameter(kernel: Func, launch: Launch, index: int) -> None:
    inside = kernel.body.args[index]
    for store in list(inside.users):
        store.erase()
    kernel.body.remove_argument(index)
    kernel.attributes["function_type"] = function_type(
        tuple(a.type for a in kernel.body.args), kernel.type.results
    )
    launch.set_operands([v for i, v in enumerate(launch.operands) if i != index + 3])
