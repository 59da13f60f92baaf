"""Make one kernel of neighbouring launches over the same elements."""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import constant_of
from kdsl.dialects.func import KERNEL, Func, Return
from kdsl.dialects.kdsl import Launch
from kdsl.dialects.memref import Alloc, Alloca, Cast, Dealloc, Dim, Load, Store
from kdsl.dialects.scf import PARALLEL, For
from kdsl.ir.attributes import AttributeValue, Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import DYNAMIC
from kdsl.ir.types import function as function_type
from kdsl.passes.aliasing import may_alias
from kdsl.passes.cse import Key, expression_key
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
MOST_NAMES = 4
"""A joined kernel is called by the names of the first ones."""
NO_CANDIDATES = "only kernels that are one vectorize or parallelize loop are"


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

    def join_chain(self, first: Launch, function: Op) -> bool:
        """Join a launch with those that follow as long as they may be joined."""
        chain: _Chain | None = None
        following = _next_launch(first)
        while following is not None:
            kernel = self.kernel(following)
            names = f"{self.kernel(first).sym_name} and {kernel.sym_name}"
            if not self._is_candidate(first, following):
                explain(function, f"{names}: not fused: {NO_CANDIDATES}")
                break
            if chain is None:
                chain = _Chain(first, self.kernel(first))
            why = chain.join(following, kernel, self.max_ops)
            if why is not None:
                explain(function, f"{names}: not fused: {why}")
                break
            explain(function, f"{names}: fused")
            following = _next_launch(following)
        if chain is None or len(chain.launches) == 1:
            return False
        self.replace(chain)
        return True

    def _is_candidate(self, first: Launch, following: Launch) -> bool:
        pair = (first, following)
        return all(is_one_program(each) for each in pair) and all(
            parallel_loop(self.kernel(each)) is not None for each in pair
        )

    def replace(self, chain: _Chain) -> None:
        """Launch the joined kernel instead; remove kernels that nobody launches any more."""
        old = [self.kernel(launch) for launch in chain.launches]
        name = self.free_name(".".join(kernel.sym_name for kernel in old[:MOST_NAMES]))
        joined = chain.finish(name)
        self.module.body.insert_before(old[0], joined)
        grid = chain.launches[0].operands[:3]
        Builder.before(chain.launches[-1]).add(Launch, *grid, chain.args, kernel=Symbol(name))
        self.kernels[name] = joined
        self.uses[name] = 1
        for launch in chain.launches:
            launch.erase()
        for kernel in old:
            self.uses[kernel.sym_name] -= 1
        for kernel in dict.fromkeys(old):
            if self.uses[kernel.sym_name] == 0:
                del self.kernels[kernel.sym_name]
                kernel.erase()

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


class _Chain:
    """Launches being joined, and the kernel that does what all of theirs do, loops last."""

    def __init__(self, launch: Launch, kernel: Func) -> None:
        self.joined = Func.empty("", (), (), (), kernel.loc)
        self.launches = [launch]
        self.args: list[Value] = []
        self.inner: dict[Value, Value] = {}
        self.own: set[Value] = set()
        self.loads: list[Value] = []
        self.lines: list[AttributeValue] = []
        self.sizes: dict[tuple[object, ...], Value] = {}
        self.expressions: dict[Key, Op] = {}
        self.first_loop: For | None = None
        self.first_loop, _ = self._take(launch, kernel)
        self.group = Group(self.first_loop, self.own)

    def join(self, launch: Launch, kernel: Func, max_ops: int) -> str | None:
        """Take another launch in; return why that cannot be, or None."""
        before = len(self.args), len(self.loads), len(self.lines)
        loop, copies = self._take(launch, kernel)
        why = self._why_apart(loop, max_ops)
        if why is not None:
            for op in reversed(copies):
                op.erase()
            self.sizes = {k: v for k, v in self.sizes.items() if v.op and v.op.parent}
            self.expressions = {k: op for k, op in self.expressions.items() if op.parent}
            self._forget(*before)
            return why
        self.group.add(loop)
        self.launches.append(launch)
        return None

    def _forget(self, args: int, loads: int, lines: int) -> None:
        """Go back to so many arguments, loads and lines."""
        for given in self.args[args:]:
            self.own.discard(self.inner.pop(given))
            self.joined.body.remove_argument(len(self.inner))
        del self.args[args:], self.loads[loads:], self.lines[lines:]

    def _why_apart(self, loop: For, max_ops: int) -> str | None:
        why = self.group.why_apart(loop, max_ops)
        if why is not None or not self.loads:
            return why
        written = {v for each in (*self.group.loops, loop) for v in written_buffers(each)}
        if any(may_alias(v, w) for v in self.loads for w in written):
            return "something is loaded before the loops that they may write"
        return None

    def _take(self, launch: Launch, kernel: Func) -> tuple[For, list[Op]]:
        """Copy a kernel's body: the loop to the end, what prepares it before all loops."""
        mapping = self._parameters(launch, kernel)
        anchor = self.first_loop
        copies: list[Op] = []
        found: For | None = None
        for op in kernel.body:
            if isinstance(op, Return) or self._is_known_size(op, launch, kernel, mapping):
                continue
            copy = op.clone(mapping)
            if self._is_known(copy, op, mapping):
                continue
            copies.append(copy)
            key = _size_key(op, launch, kernel)
            if key is not None:
                self.sizes[key] = copy.results[0]
            if isinstance(copy, For) and PARALLEL in copy.attributes:
                found = copy
                self.joined.body.append(copy)
            else:
                self.joined.body.insert_before(anchor, copy)
                if isinstance(copy, Load):
                    self.loads.append(copy.source)
        assert found is not None
        return found, copies

    def _is_known_size(
        self, op: Op, launch: Launch, kernel: Func, mapping: dict[Value, Value]
    ) -> bool:
        """Let a size that an earlier kernel asked for too be one value, so that loops compare."""
        key = _size_key(op, launch, kernel)
        if key is None or key not in self.sizes:
            return False
        mapping[op.results[0]] = self.sizes[key]
        return True

    def _is_known(self, copy: Op, op: Op, mapping: dict[Value, Value]) -> bool:
        """Let what an earlier kernel computed be one value, for bounds are compared by identity."""
        key = expression_key(copy)
        known = None if key is None else self.expressions.setdefault(key, copy)
        if known is None or known is copy:
            return False
        mapping.update(zip(op.results, known.results, strict=True))
        copy.erase()
        return True

    def _parameters(self, launch: Launch, kernel: Func) -> dict[Value, Value]:
        """Return what stands for a kernel's parameters; equal arguments share one."""
        for given, parameter in zip(launch.args, kernel.body.args, strict=True):
            if given not in self.inner:
                self.inner[given] = self.joined.body.add_argument(given.type, parameter.name)
                self.args.append(given)
                if isinstance(buffer_behind(given).op, Alloc | Alloca):
                    self.own.add(self.inner[given])
        lines = kernel.attributes.get(EXPLAIN)
        if isinstance(lines, list):
            self.lines += lines
        return {p: self.inner[v] for p, v in zip(kernel.body.args, launch.args, strict=True)}

    def finish(self, name: str) -> Func:
        """Fuse the loops and return the kernel."""
        self.group.fuse()
        Builder(self.joined.body).add(Return, [])
        inputs = tuple(a.type for a in self.joined.body.args)
        self.joined.attributes["sym_name"] = name
        self.joined.attributes["function_type"] = function_type(inputs, ())
        self.joined.attributes[KERNEL] = None
        if self.lines:
            self.joined.attributes[EXPLAIN] = self.lines
        return self.joined


def buffer_behind(value: Value) -> Value:
    """Return the buffer that a chain of casts shows."""
    while isinstance(value.op, Cast):
        value = value.op.source
    return value


def _size_key(op: Op, launch: Launch, kernel: Func) -> tuple[object, ...] | None:
    """Return what a ``memref.dim`` of a parameter asks for, in terms of the launching function."""
    if not isinstance(op, Dim):
        return None
    axis = constant_of(op.index)
    parameters = kernel.body.args
    at = next((i for i, p in enumerate(parameters) if p is op.source), None)
    if axis is None or at is None:
        return None
    return _extent_key(launch.args[at], int(axis))


def _extent_key(buffer: Value, axis: int) -> tuple[object, ...]:
    """Follow a size through casts and allocations to the argument that it is taken from."""
    buffer = buffer_behind(buffer)
    if not isinstance(buffer.op, Alloc):
        return "dim", buffer, axis
    shape = buffer.op.memref_type.shape
    if shape[axis] != DYNAMIC:
        return "size", shape[axis]
    size = buffer.op.operands[sum(n == DYNAMIC for n in shape[:axis])]
    if isinstance(size.op, Dim) and constant_of(size.op.index) is not None:
        return _extent_key(size.op.source, int(constant_of(size.op.index)))
    return "value", size


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
    shown = [value, *(user.results[0] for user in value.users if isinstance(user, Cast))]
    for view in shown:
        for user in view.users:
            if isinstance(user, Dealloc | Cast):
                continue
            if not isinstance(user, Launch) or user.kernel.name not in once:
                return False
            at = [i for i, given in enumerate(user.args) if given in shown]
            kernel = once[user.kernel.name]
            if len(at) != 1 or not _is_only_stored(kernel.body.args[at[0]]):
                return False
            stored.append((user, kernel, at[0]))
    if any(view.users and isinstance(u, Cast) for view in shown[1:] for u in view.users):
        return False
    for launch, kernel, index in stored:
        _drop_parameter(kernel, launch, index)
    for user in [u for view in reversed(shown) for u in view.users]:
        user.erase()
    buffer.erase()
    explain(
        function,
        f"workspace {value.name or 'without a name'} of {value.type}: never written to memory",
    )
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
