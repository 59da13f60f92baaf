"""Writing the wide form of a loop body, op by op.

Three kinds of values: uniform ones (the same in every lane) stay scalars; affine ones (an index
plus a constant stride for each lane) are kept as their first lane's scalar, so that memory accesses
stay consecutive; the rest become vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdsl.dialects.arith import (
    Addi,
    Andi,
    Extsi,
    IndexCast,
    Muli,
    Select,
    Subi,
    Xori,
    constant,
    constant_of,
)
from kdsl.dialects.cf import Assert
from kdsl.dialects.memref import AtomicRmw, Load, Prefetch, Store
from kdsl.dialects.scf import Condition, For, If, While, Yield
from kdsl.dialects.vector import (
    Broadcast,
    ExtractElement,
    Gather,
    InsertElement,
    MaskedLoad,
    MaskedStore,
    Reduction,
    Scatter,
    reduction_kind,
)
from kdsl.dialects.vector import Load as VectorLoad
from kdsl.dialects.vector import Store as VectorStore
from kdsl.ir.attributes import Opaque
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.ir.define import Elementwise, RegionEffects, Terminator
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import (
    I1,
    INDEX,
    MemRefType,
    ScalarType,
    VectorType,
    vector,
)
from kdsl.passes.speculation import may_trap
from kdsl.passes.vectorize.divergence import leaves_one_by_one


class NotWidenable(Exception):  # noqa: N818  (caught by the pass, never shown)
    """An op of the loop has no wide form."""

    def __init__(self, op: Op, why: str) -> None:
        super().__init__(why)
        self.op = op
        self.why = why


@dataclass(frozen=True, slots=True)
class Affine:
    """``first + lane * stride``: the first lane's scalar and a constant stride.

    ``wraps``: a sum in a narrower integer may have wrapped around between two lanes. An access at
    such a place would be out of bounds, so that addresses may rely on it; other uses may not.
    """

    first: Value
    stride: int
    wraps: bool = False


def _wrapped(value: int, bits: int) -> int:
    """Return an integer as ``bits`` bits hold it."""
    return ((value + (1 << bits - 1)) & ((1 << bits) - 1)) - (1 << bits - 1)


def _once_is_enough(op: Op) -> bool:
    """Return whether an op that all turns do alike may be done by one of them."""
    return isinstance(op, Load | Store | Assert | Prefetch) or (
        isinstance(op, DeclaredOp)
        and (RegionEffects in op.traits or Terminator in op.traits or op.is_pure)
    )


class Widener:
    """Writes wide ops with ``b``; ``mask`` says which lanes run (None: all)."""

    def __init__(
        self, b: Builder, loop: For, varying: set[Value], width: int, mask: Value | None
    ) -> None:
        self.b = b
        self.loop = loop
        self.width = width
        self.mask = mask
        self.predicated = False
        self.varying = varying
        self.known: dict[Value, Value] = {}
        self.affine: dict[Value, Affine] = {}
        self.uniform: dict[Value, Value] = {}
        self.records: list[str] = []

    # ---------------------------------------------------------------------------------- values

    def index(self, value: Value, first: Value, stride: int = 1) -> None:
        """Say that ``value`` is ``first + lane * stride``."""
        self.affine[value] = Affine(first, stride)

    def scalar(self, value: Value) -> Value:
        """Return the one scalar of a uniform value."""
        return self.uniform.get(value, value)

    def wide(self, value: Value) -> Value:
        """Return the vector of a value, made of a scalar or an affine index when need be."""
        found = self.known.get(value)
        if found is None:
            found = self.known[value] = self._made_wide(value)
        return found

    def _made_wide(self, value: Value) -> Value:
        kind = self.vector_of(value)
        affine = self.affine.get(value)
        if affine is None:
            scalar = self.scalar(value)
            known = constant_of(scalar)
            if known is not None:
                return constant(self.b, known, kind)
            found: Value = self.b.create(Broadcast, scalar, types=[kind])
            return found
        if affine.wraps:
            assert value.op is not None
            return self._each_wide(value.op).results[0]
        lanes = [_wrapped(lane * affine.stride, kind.element.bits) for lane in range(self.width)]
        first = self.b.create(Broadcast, affine.first, types=[kind])
        spread: Value = self.b.create(Addi, first, constant(self.b, lanes, kind))
        return spread

    def vector_of(self, value: Value) -> VectorType:
        if not isinstance(value.type, ScalarType):
            op = value.op or self.loop
            raise NotWidenable(op, f"it holds a {value.type}")
        return vector(self.width, value.type)

    def any_lane(self) -> Value:
        """Return whether any lane runs."""
        kind = Opaque(reduction_kind("or"))
        found: Value = self.b.create(Reduction, self.all_lanes(), kind=kind)
        return found

    # ------------------------------------------------------------------------------------- ops

    def ops(self, block: Block) -> None:
        """Write every op of a block but its terminator."""
        for op in block:
            if not (isinstance(op, DeclaredOp) and Terminator in op.traits):
                self.b.loc = op.loc
                self.op(op)

    def op(self, op: Op) -> None:
        if isinstance(op, Load):
            self.load(op)
        elif isinstance(op, Store):
            self.store(op)
        elif self._is_uniform(op):
            self.keep(op)
        elif isinstance(op, If):
            self.branch(op)
        elif isinstance(op, For):
            self.for_loop(op)
        elif isinstance(op, While):
            self.while_loop(op)
        elif isinstance(op, Assert):
            self.check(op)
        elif isinstance(op, AtomicRmw):
            self.each_lane(op)
        elif isinstance(op, Prefetch):
            self.prefetch(op)
        elif isinstance(op, DeclaredOp) and Elementwise in op.traits:
            self.lanewise(op)
        else:
            raise NotWidenable(op, f"{op.name} has no wide form")

    def _is_uniform(self, op: Op) -> bool:
        """Return whether an op, with all inside it, does the same in every lane, without effect."""
        if not (isinstance(op, DeclaredOp) and op.is_pure):
            return False
        return all(
            self.varying.isdisjoint(o.operands) and self.varying.isdisjoint(o.results)
            for o in op.walk()
        )

    def keep(self, op: Op) -> None:
        """Write a uniform op once, as a scalar."""
        self.b.insert(op.clone(self.uniform))

    def lanewise(self, op: DeclaredOp) -> None:
        affine = self._affine_result(op)
        if affine is not None:
            self.affine[op.results[0]] = affine
        else:
            self.known[op.results[0]] = self._each_wide(op).results[0]

    def _each_wide(self, op: Op) -> Op:
        """Write an op on vectors."""
        operands = [self.wide(v) for v in op.operands]
        types = [self.vector_of(r) for r in op.results]
        if self.mask is not None and may_trap(op):
            one = constant(self.b, 1, operands[1].type)
            operands[1] = self.b.create(Select, self.mask, operands[1], one)
        return self.b.insert(type(op)(operands, types, dict(op.attributes), [], op.loc))

    def _affine_result(self, op: DeclaredOp) -> Affine | None:
        """Follow sums with uniforms, products with constants, casts between index and integers."""
        kind = op.results[0].type
        left = self.affine.get(op.operands[0])
        right = self.affine.get(op.operands[1]) if len(op.operands) > 1 else None
        if (left is None and right is None) or kind is I1 or not isinstance(kind, ScalarType):
            return None
        if isinstance(op, IndexCast | Extsi) and left is not None:
            return self._cast(op, left, kind)
        if isinstance(op, Addi | Subi):
            sign = 1 if isinstance(op, Addi) else -1
            found = self._sum(op, left, right, sign)
        elif isinstance(op, Muli):
            found = self._scaled(op, left, right)
        else:
            return None
        if found is None:
            return None
        return Affine(found.first, _wrapped(found.stride, kind.bits), found.wraps)

    def _cast(self, op: IndexCast | Extsi, given: Affine, kind: ScalarType) -> Affine:
        first = self.b.create(type(op), given.first, types=[kind])
        narrow = op.x.type.bits < kind.bits
        # A counter stays below the loop's bound in each lane that runs, so it cannot wrap.
        wraps = given.wraps or (narrow and op.x is not self.loop.induction)
        return Affine(first, _wrapped(given.stride, kind.bits), wraps)

    def _sum(
        self, op: Addi | Subi, left: Affine | None, right: Affine | None, sign: int
    ) -> Affine | None:
        if left is not None and right is not None:
            first = self.b.create(type(op), left.first, right.first)
            stride = left.stride + sign * right.stride
            return Affine(first, stride, left.wraps or right.wraps)
        if left is not None and op.rhs not in self.varying:
            first = self.b.create(type(op), left.first, self.scalar(op.rhs))
            return Affine(first, left.stride, left.wraps)
        if right is not None and op.lhs not in self.varying:
            first = self.b.create(type(op), self.scalar(op.lhs), right.first)
            return Affine(first, sign * right.stride, right.wraps)
        return None

    def _scaled(self, op: Muli, left: Affine | None, right: Affine | None) -> Affine | None:
        affine, other = (left, op.rhs) if left is not None else (right, op.lhs)
        factor = constant_of(self.scalar(other)) if other not in self.varying else None
        if affine is None or factor is None:
            return None
        first = self.b.create(Muli, affine.first, self.scalar(other))
        return Affine(first, affine.stride * int(factor), affine.wraps)

    # ---------------------------------------------------------------------------------- memory

    def lane_stride(self, memory: Value, indices: Sequence[Value]) -> int | None:
        """Return how many elements apart neighbouring lanes are; None when that is not constant.

        Only the last index may vary; 0 means that all lanes touch one element.
        """
        assert isinstance(memory.type, MemRefType)
        if not self.varying.isdisjoint(indices[:-1]):
            return None
        if not indices or indices[-1] not in self.varying:
            return 0
        affine = self.affine.get(indices[-1])
        unit = memory.type.element_strides[-1] == 1
        return affine.stride if affine is not None and unit else None

    def first_lane(self, indices: Sequence[Value]) -> list[Value]:
        """Return the indices of lane 0."""
        return [self.affine[v].first if v in self.affine else self.scalar(v) for v in indices]

    def record(self, op: Op, memory: Value, how: str) -> None:
        word = "store" if isinstance(op, Store) else "load"
        assert isinstance(memory.type, MemRefType)
        bits = memory.type.element.bits * self.width
        text = f"{memory.name or 'buffer'}.{word}: {self.width} x {memory.type.element}, {how}"
        if how == "consecutive":
            text += f", {bits // 8 or 1} bytes each"
        if text not in self.records:
            self.records.append(text)

    def load(self, op: Load) -> None:
        memory = op.source
        if memory in self.varying:
            raise NotWidenable(op, "each turn reads another buffer")
        stride = self.lane_stride(memory, op.indices)
        kind = self.vector_of(op.y)
        if stride == 0:
            self.load_once(op)
        elif stride == 1:
            self.record(op, memory, "consecutive")
            at = self.first_lane(op.indices)
            if self.mask is None:
                made: Op = self.b.add(VectorLoad, memory, at, types=[kind])
            else:
                made = self.b.add(MaskedLoad, memory, at, self.mask, constant(self.b, 0, kind))
            made.attributes.update(op.attributes)
            self.known[op.y] = made.results[0]
        elif self.varying.isdisjoint(op.indices[:-1]):
            self.record(op, memory, "gathered: the lanes are not next to each other")
            base, lanes = self._lane_offsets(op.indices)
            rest = constant(self.b, 0, kind)
            self.known[op.y] = self.b.create(Gather, memory, base, lanes, self.all_lanes(), rest)
        else:
            self.record(op, memory, "one lane at a time: an outer index differs between the lanes")
            self.each_lane(op)

    def load_once(self, op: Load) -> None:
        """One element for all lanes; where lanes may be off, only when one is on."""
        if not self.predicated:
            self.keep(op)
            return
        branch = self._where_any([op.y.type])
        then, otherwise = (region.block for region in branch.regions)
        with self.b.at(then):
            self.b.create(Yield, [self.b.insert(op.clone(self._scalars(op))).results[0]])
        with self.b.at(otherwise):
            self.b.create(Yield, [constant(self.b, 0, op.y.type)])
        kind = self.vector_of(op.y)
        self.known[op.y] = self.b.create(Broadcast, branch.results[0], types=[kind])

    def _where_any(self, types: list[Any]) -> If:
        """Branch on whether any lane runs; the blocks are still empty."""
        regions = [Region([Block()]), Region([Block()] if types else [])]
        return self.b.add(If, self.any_lane(), types=types, regions=regions)

    def _scalars(self, op: Op) -> dict[Value, Value]:
        return {v: self.scalar(v) for v in op.operands}

    def store(self, op: Store) -> None:
        memory = op.target
        if memory in self.varying:
            raise NotWidenable(op, "each turn writes another buffer")
        stride = self.lane_stride(memory, op.indices)
        if stride == 0:
            self.store_once(op)
            return
        value = self.wide(op.value)
        if stride == 1:
            self.record(op, memory, "consecutive")
            at = self.first_lane(op.indices)
            if self.mask is None:
                made: Op = self.b.add(VectorStore, value, memory, at)
            else:
                made = self.b.add(MaskedStore, memory, at, self.mask, value)
            made.attributes.update(op.attributes)
        elif self.varying.isdisjoint(op.indices[:-1]):
            self.record(op, memory, "scattered: the lanes are not next to each other")
            base, lanes = self._lane_offsets(op.indices)
            self.b.add(Scatter, memory, base, lanes, self.all_lanes(), value)
        else:
            self.record(op, memory, "one lane at a time: an outer index differs between the lanes")
            self.each_lane(op)

    def store_once(self, op: Store) -> None:
        """The same value to one element from all lanes: once, when a lane is on."""
        if op.value in self.varying:
            raise NotWidenable(op, "every turn writes the same element")
        if not self.predicated:
            self.keep(op)
            return
        branch = self._where_any([])
        with self.b.at(branch.then_block):
            self.b.insert(op.clone(self._scalars(op)))
            self.b.create(Yield, [])

    def prefetch(self, op: Prefetch) -> None:
        """Ask for the first lane's line; a hint at places without order is dropped."""
        if all(v in self.affine or v not in self.varying for v in op.operands):
            self.b.insert(
                op.clone(dict(zip(op.operands, self.first_lane(op.operands), strict=True)))
            )

    def _lane_offsets(self, indices: Sequence[Value]) -> tuple[list[Value], Value]:
        base = [self.scalar(v) for v in indices[:-1]]
        return [*base, constant(self.b, 0, INDEX)], self.wide(indices[-1])

    def all_lanes(self) -> Value:
        """Return the mask, of true lanes when there is none."""
        return self.mask or constant(self.b, True, vector(self.width, I1))

    # ------------------------------------------------------------------------------ lane by lane

    def each_lane(self, op: Op) -> None:
        """Write a scalar op once for each lane, under the lane's mask bit."""
        results: Value | None = None
        if op.results and op.results[0].users:
            results = constant(self.b, 0, self.vector_of(op.results[0]))
        wide = {v: self.wide(v) for v in op.operands if v in self.varying}
        for lane in range(self.width):
            results = self._one_lane(op, wide, constant(self.b, lane, INDEX), results)
        if results is not None:
            self.known[op.results[0]] = results

    def _one_lane(
        self, op: Op, wide: dict[Value, Value], at: Value, results: Value | None
    ) -> Value | None:
        if self.mask is None:
            return self._in_lane(op, wide, at, results)
        bit = self.b.create(ExtractElement, self.mask, at)
        regions = [Region([Block()]), Region([Block()] if results is not None else [])]
        types = [results.type] if results is not None else []
        branch = self.b.add(If, bit, types=types, regions=regions)
        with self.b.at(regions[0].block):
            made = self._in_lane(op, wide, at, results)
            self.b.create(Yield, [] if made is None else [made])
        if results is None:
            return None
        with self.b.at(regions[1].block):
            self.b.create(Yield, [results])
        return branch.results[0]

    def _in_lane(
        self, op: Op, wide: dict[Value, Value], at: Value, results: Value | None
    ) -> Value | None:
        """Run an op for lane ``at``; return ``results`` with what it gave."""
        mapping = self._scalars(op)
        for value, lanes in wide.items():
            mapping[value] = self.b.create(ExtractElement, lanes, at)
        made = self.b.insert(op.clone(mapping))
        if results is None:
            return None
        inserted: Value = self.b.create(InsertElement, made.results[0], results, at)
        return inserted

    def check(self, op: Assert) -> None:
        """All running lanes must hold."""
        holds = self.wide(op.condition)
        if self.mask is not None:
            holds = self.b.create(Select, self.mask, holds, self.all_true())
        every = self.b.create(Reduction, holds, kind=Opaque(reduction_kind("and")))
        self.b.add(Assert, every, msg=op.msg)

    def all_true(self) -> Value:
        return constant(self.b, True, vector(self.width, I1))

    # --------------------------------------------------------------------------------- control

    def branch(self, op: If) -> None:
        if op.condition in self.varying:
            self._predicate(op)
        else:
            self._uniform_branch(op)

    def _uniform_branch(self, op: If) -> None:
        """One condition for all lanes: the branch stays, its blocks are widened."""
        types = [self.vector_of(r) if r in self.varying else r.type for r in op.results]
        regions = [Region([Block() for _ in region.blocks]) for region in op.regions]
        made = self.b.add(If, self.scalar(op.condition), types=types, regions=regions)
        for old, new in zip(op.regions, made.regions, strict=True):
            for block, copy in zip(old.blocks, new.blocks, strict=True):
                self._fill_branch(op, block, copy)
        for old_result, result in zip(op.results, made.results, strict=True):
            self._learn(old_result, result)

    def _fill_branch(self, op: If, old: Block, new: Block) -> None:
        known = dict(self.known)
        assert old.last is not None
        with self.b.at(new):
            self.ops(old)
            yields = zip(op.results, old.last.operands, strict=True)
            self.b.create(Yield, [self._as_is(v, like=result) for result, v in yields])
        self.known = known

    def _as_is(self, value: Value, like: Value) -> Value:
        """Return a value as a vector or a scalar, as ``like`` is."""
        return self.wide(value) if like in self.varying else self.scalar(value)

    def _learn(self, old: Value, new: Value) -> None:
        (self.known if old in self.varying else self.uniform)[old] = new

    def _predicate(self, op: If) -> None:
        """Run both sides, each under its lanes, and select."""
        condition = self.wide(op.condition)
        saved = self.mask, self.predicated
        otherwise = self.b.create(Xori, condition, self.all_true()) if op.else_block else None
        yields: list[list[Value]] = []
        for block, lanes in ((op.then_block, condition), (op.else_block, otherwise)):
            if block is None or lanes is None:
                continue
            self.mask = lanes if saved[0] is None else self.b.create(Andi, saved[0], lanes)
            self.predicated = True
            self.ops(block)
            assert block.last is not None
            yields.append([self.wide(v) for v in block.last.operands])
        self.mask, self.predicated = saved
        for old, a, b in zip(op.results, yields[0], yields[-1], strict=True):
            self.known[old] = self.b.create(Select, condition, a, b)

    def for_loop(self, op: For) -> None:
        """One count for all lanes: the loop stays, what it carries may become vectors."""
        if any(v in self.varying for v in (op.lower, op.upper, op.step)):
            raise NotWidenable(op, "an inner loop's bounds differ between the turns")
        pairs = zip(op.inits, op.carried, strict=True)
        inits = [self._as_is(init, like=inside) for init, inside in pairs]
        block = Block([op.induction.type, *(v.type for v in inits)])
        bounds = [self.scalar(v) for v in (op.lower, op.upper, op.step)]
        types = [v.type for v in inits]
        made = self.b.add(For, *bounds, inits, types=types, regions=[Region([block])])
        made.attributes.update(op.attributes)
        known = dict(self.known)
        self.uniform[op.induction] = block.args[0]
        for inside, new in zip(op.carried, block.args[1:], strict=True):
            self._learn(inside, new)
        with self.b.at(block):
            self.ops(op.body)
            again = zip(op.yields.operands, op.carried, strict=True)
            self.b.create(Yield, [self._as_is(v, like=inside) for v, inside in again])
        self.known = known
        for old, result in zip(op.results, made.results, strict=True):
            self._learn(old, result)

    def while_loop(self, op: While) -> None:
        """Turn while any lane wants to; lanes that are done keep their values.

        Carried are the lanes' values, which lanes still run, and what those that left brought.
        """
        if not leaves_one_by_one(op, self.varying, self.predicated):
            self._uniform_while(op)
            return
        before, after = op.regions[0].block, op.regions[1].block
        starts = [self.wide(v) for v in op.operands]
        outs = [constant(self.b, 0, self.vector_of(r)) for r in op.results]
        running = vector(self.width, I1)
        head = Block([*(v.type for v in starts), running, *(v.type for v in outs)])
        tail = Block([*(v.type for v in outs), running, *(v.type for v in outs)])
        made = self.b.add(
            While,
            [*starts, self.all_lanes(), *outs],
            types=[v.type for v in tail.args],
            regions=[Region([head]), Region([tail])],
        )
        saved = self.mask, self.predicated, dict(self.known)
        self.predicated = True
        self._while_head(before, head, len(starts))
        self.known = dict(saved[2])
        self._while_tail(after, tail, len(outs))
        self.mask, self.predicated, self.known = saved
        for old, new in zip(op.results, made.results[len(outs) + 1 :], strict=True):
            self.known[old] = new

    def _uniform_while(self, op: While) -> None:
        """All turns do the same: once for all of them, if what it does allows that."""
        for inner in op.walk():
            if not _once_is_enough(inner):
                raise NotWidenable(inner, f"{inner.name} has no wide form")
        self.keep(op)

    def _while_head(self, before: Block, head: Block, count: int) -> None:
        condition = before.last
        assert isinstance(condition, Condition)
        active, left = head.args[count], head.args[count + 1 :]
        self.known.update(zip(before.args, head.args[:count], strict=True))
        self.mask = active
        with self.b.at(head):
            self.ops(before)
            goes_on = self.b.create(Andi, active, self.wide(condition.condition))
            values = [self.wide(v) for v in condition.values]
            results = [
                self.b.create(Select, active, v, old) for v, old in zip(values, left, strict=True)
            ]
            some = self.b.create(Reduction, goes_on, kind=Opaque(reduction_kind("or")))
            self.b.create(Condition, some, [*values, goes_on, *results])

    def _while_tail(self, after: Block, tail: Block, count: int) -> None:
        self.known.update(zip(after.args, tail.args[:count], strict=True))
        self.mask = tail.args[count]
        assert after.last is not None
        with self.b.at(tail):
            self.ops(after)
            again = [self.wide(v) for v in after.last.operands]
            self.b.create(Yield, [*again, *tail.args[count:]])
