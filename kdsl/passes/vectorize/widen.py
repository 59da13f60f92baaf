"""Writing the wide form of a loop body, op by op.

Three kinds of values: uniform ones (the same in every lane) stay scalars; affine ones (an index plus a constant
stride for each lane) are kept as their first lane's scalar, so that memory accesses stay consecutive; the rest
become vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdsl.dialects.arith import (
    Addi,
    Andi,
    IndexCast,
    Muli,
    Select,
    Subi,
    Xori,
    constant,
    constant_of,
)
from kdsl.dialects.cf import Assert
from kdsl.dialects.memref import AtomicRmw, Load, Store
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
from kdsl.ir.define import Elementwise, Terminator
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import (
    I1,
    INDEX,
    MemRefType,
    ScalarType,
    VectorType,
    vector,
)
from kdsl.passes.vectorize.divergence import varying_values


class NotWidenable(Exception):  # noqa: N818  (caught by the pass, never shown)
    """An op of the loop has no wide form."""

    def __init__(self, op: Op, why: str) -> None:
        super().__init__(why)
        self.op = op
        self.why = why


@dataclass(frozen=True, slots=True)
class Affine:
    """``first + lane * stride``: the first lane's scalar and a constant stride."""

    first: Value
    stride: int


class Widener:
    """Writes wide ops with ``b``; ``mask`` says which lanes run (None: all)."""

    def __init__(self, b: Builder, loop: For, width: int, mask: Value | None) -> None:
        self.b = b
        self.loop = loop
        self.width = width
        self.mask = mask
        self.predicated = False
        self.varying = varying_values(loop.body, loop.induction)
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
        if found is not None:
            return found
        if value in self.affine:
            found = self._spread(self.affine[value])
        else:
            scalar = self.scalar(value)
            known = constant_of(scalar)
            kind = self.vector_of(value)
            if known is not None:
                return constant(self.b, known, kind)
            found = self.b.create(Broadcast, scalar, types=[kind])
        if not self.predicated:
            self.known[value] = found
        return found

    def vector_of(self, value: Value) -> VectorType:
        if not isinstance(value.type, ScalarType):
            op = value.op or self.loop
            raise NotWidenable(op, f"it holds a {value.type}")
        return vector(self.width, value.type)

    def _spread(self, affine: Affine) -> Value:
        scalar = affine.first.type
        assert isinstance(scalar, ScalarType)
        kind = vector(self.width, scalar)
        lanes = constant(self.b, np.arange(self.width) * affine.stride, kind)
        first = self.b.create(Broadcast, affine.first, types=[kind])
        found: Value = self.b.create(Addi, first, lanes)
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
        elif isinstance(op, DeclaredOp) and Elementwise in op.traits:
            self.lanewise(op)
        else:
            raise NotWidenable(op, f"{op.name} has no wide form")

    def _is_uniform(self, op: Op) -> bool:
        """Return whether an op, with all inside it, does the same in every lane and has no effect."""
        if not (isinstance(op, DeclaredOp) and op.is_pure):
            return False
        return not any(v in self.varying for o in op.walk() for v in (*o.operands, *o.results))

    def keep(self, op: Op) -> None:
        """Write a uniform op once, as a scalar."""
        self.b.insert(op.clone(self.uniform))

    def lanewise(self, op: DeclaredOp) -> None:
        affine = self._affine_result(op)
        if affine is not None:
            self.affine[op.results[0]] = affine
            return
        operands = [self.wide(v) for v in op.operands]
        types = [self.vector_of(r) for r in op.results]
        made = self.b.insert(type(op)(operands, types, dict(op.attributes), [], op.loc))
        self.known[op.results[0]] = made.results[0]

    def _affine_result(self, op: DeclaredOp) -> Affine | None:
        """Follow sums with uniforms, products with constants and casts between index and integers."""
        left = self.affine.get(op.operands[0])
        right = self.affine.get(op.operands[1]) if len(op.operands) > 1 else None
        if isinstance(op, IndexCast) and left is not None:
            first = self.b.create(IndexCast, left.first, types=[op.results[0].type])
            return Affine(first, left.stride)
        if isinstance(op, Addi | Subi):
            sign = 1 if isinstance(op, Addi) else -1
            if left is not None and right is not None:
                first = self.b.create(type(op), left.first, right.first)
                return Affine(first, left.stride + sign * right.stride)
            if left is not None and op.rhs not in self.varying:
                first = self.b.create(type(op), left.first, self.scalar(op.rhs))
                return Affine(first, left.stride)
            if right is not None and op.lhs not in self.varying:
                first = self.b.create(type(op), self.scalar(op.lhs), right.first)
                return Affine(first, sign * right.stride)
        if isinstance(op, Muli):
            return self._scaled(op, left, right)
        return None

    def _scaled(self, op: Muli, left: Affine | None, right: Affine | None) -> Affine | None:
        affine, other = (left, op.rhs) if left is not None else (right, op.lhs)
        factor = constant_of(self.scalar(other)) if other not in self.varying else None
        if affine is None or factor is None:
            return None
        first = self.b.create(Muli, affine.first, self.scalar(other))
        return Affine(first, affine.stride * int(factor))

    # ---------------------------------------------------------------------------------- memory

    def lane_stride(self, memory: Value, indices: Sequence[Value]) -> int | None:
        """Return how many elements apart neighbouring lanes are; None when that is not constant.

        Only the last index may vary; 0 means that all lanes touch one element.
        """
        assert isinstance(memory.type, MemRefType)
        if any(v in self.varying for v in indices[:-1]):
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
        if stride == 0 and not self.predicated:
            self.keep(op)
            return
        kind = self.vector_of(op.y)
        if stride == 1:
            self.record(op, memory, "consecutive")
            at = self.first_lane(op.indices)
            if self.mask is None:
                made = self.b.add(VectorLoad, memory, at, types=[kind])
            else:
                made = self.b.add(MaskedLoad, memory, at, self.mask, constant(self.b, 0, kind))
            made.attributes.update(op.attributes)
            self.known[op.y] = made.results[0]
        elif op.indices and not any(v in self.varying for v in op.indices[:-1]):
            self.record(op, memory, "gathered: the lanes are not next to each other")
            base, lanes = self._lane_offsets(op.indices)
            rest = constant(self.b, 0, kind)
            self.known[op.y] = self.b.create(Gather, memory, base, lanes, self.all_lanes(), rest)
        else:
            self.record(op, memory, "one lane at a time: an outer index differs between the lanes")
            self.each_lane(op)

    def store(self, op: Store) -> None:
        memory = op.target
        if memory in self.varying:
            raise NotWidenable(op, "each turn writes another buffer")
        stride = self.lane_stride(memory, op.indices)
        if stride == 0:
            if op.value in self.varying or self.predicated:
                raise NotWidenable(op, "every turn writes the same element")
            self.keep(op)
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
        elif not any(v in self.varying for v in op.indices[:-1]):
            self.record(op, memory, "scattered: the lanes are not next to each other")
            base, lanes = self._lane_offsets(op.indices)
            self.b.add(Scatter, memory, base, lanes, self.all_lanes(), value)
        else:
            self.record(op, memory, "one lane at a time: an outer index differs between the lanes")
            self.each_lane(op)

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
        for lane in range(self.width):
            results = self._one_lane(op, lane, results)
        if results is not None:
            self.known[op.results[0]] = results

    def _one_lane(self, op: Op, lane: int, results: Value | None) -> Value | None:
        at = constant(self.b, lane, INDEX)
        if self.mask is None:
            made = self.b.insert(op.clone(self._lane_operands(op, at)))
            if results is None:
                return None
            inserted: Value = self.b.create(InsertElement, made.results[0], results, at)
            return inserted
        bit = self.b.create(ExtractElement, self.mask, at)
        then, otherwise = Block(), Block()
        regions = [Region([then]), Region([otherwise] if results is not None else [])]
        types = [results.type] if results is not None else []
        branch = self.b.add(If, bit, types=types, regions=regions)
        with self.b.at(then):
            made = self.b.insert(op.clone(self._lane_operands(op, at)))
            if results is None:
                self.b.create(Yield, [])
                return None
            self.b.create(Yield, [self.b.create(InsertElement, made.results[0], results, at)])
        with self.b.at(otherwise):
            self.b.create(Yield, [results])
        return branch.results[0]

    def _lane_operands(self, op: Op, at: Value) -> dict[Value, Value]:
        return {
            v: self.b.create(ExtractElement, self.wide(v), at)
            if v in self.varying
            else self.scalar(v)
            for v in op.operands
        }

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
        regions: list[Region] = []
        for region in op.regions:
            blocks = [self._block(b) for b in region.blocks]
            regions.append(Region(blocks))
        types = [self._type_of(r) for r in op.results]
        made = self.b.add(If, self.scalar(op.condition), types=types, regions=regions)
        for old, new in zip(op.results, made.results, strict=True):
            self._learn(old, new)

    def _block(self, old: Block) -> Block:
        new = Block()
        known = dict(self.known)
        assert old.last is not None
        with self.b.at(new):
            self.ops(old)
            self.b.create(Yield, [self._either(v) for v in old.last.operands])
        self.known = known
        return new

    def _either(self, value: Value) -> Value:
        return self.wide(value) if value in self.varying else self.scalar(value)

    def _type_of(self, value: Value) -> Any:
        return self.vector_of(value) if value in self.varying else value.type

    def _learn(self, old: Value, new: Value) -> None:
        (self.known if old in self.varying else self.uniform)[old] = new

    def _predicate(self, op: If) -> None:
        """Run both sides, each under its lanes, and select."""
        condition = self.wide(op.condition)
        saved = self.mask, self.predicated
        yields: list[list[Value]] = []
        for block, lanes in ((op.then_block, condition), (op.else_block, None)):
            if block is None:
                continue
            if lanes is None:
                lanes = self.b.create(Xori, condition, self.all_true())
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
        inits = [
            self.wide(init) if inside in self.varying else self.scalar(init)
            for init, inside in zip(op.inits, op.carried, strict=True)
        ]
        block = Block([op.induction.type, *(v.type for v in inits)])
        self.uniform[op.induction] = block.args[0]
        for inside, new in zip(op.carried, block.args[1:], strict=True):
            self._learn(inside, new)
        known = dict(self.known)
        with self.b.at(block):
            self.ops(op.body)
            yielded = [
                self.wide(v) if inside in self.varying else self.scalar(v)
                for v, inside in zip(op.yields.operands, op.carried, strict=True)
            ]
            self.b.create(Yield, yielded)
        self.known = known
        bounds = [self.scalar(v) for v in (op.lower, op.upper, op.step)]
        made = self.b.add(
            For, *bounds, inits, types=[v.type for v in inits], regions=[Region([block])]
        )
        made.attributes.update(op.attributes)
        for inside, old, new in zip(op.carried, op.results, made.results, strict=True):
            (self.known if inside in self.varying else self.uniform)[old] = new

    def while_loop(self, op: While) -> None:
        """Turn while any lane wants to; lanes that are done keep their values.

        Carried are the lanes' values, which lanes still run, and what the lanes that left brought along.
        """
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
