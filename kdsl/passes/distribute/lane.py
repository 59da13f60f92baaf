"""The lanes that run a kernel, or one role of it: their numbers, barriers, scratch and vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Andi,
    Cmpi,
    Constant,
    Divui,
    Extui,
    IndexCast,
    Muli,
    Remui,
    Shli,
    Shrui,
    Trunci,
    constant,
    constant_of,
)
from kdsl.dialects.gpu import WORKGROUP, Barrier, ThreadId, X, shuffle_mode
from kdsl.dialects.gpu import Shuffle as LaneShuffle
from kdsl.dialects.kdsl import WorkgroupAlloc
from kdsl.dialects.vector import Bitcast, Broadcast, Extract, FromElements, Shuffle
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Op, OpResult, Value
from kdsl.ir.types import (
    F32,
    I1,
    I8,
    I16,
    I32,
    I64,
    INDEX,
    ScalarType,
    Type,
    VectorType,
    element_type,
    memref,
    vector,
)
from kdsl.target.features import Features
from kdsl.target.layout import Digit, Layout

SCRATCH_ALIGN = 16


class Lane:
    """Emits code for the lanes of a workgroup, or of one role in it.

    ``builder`` writes where the program is; ``thread`` is the lane's number in the role (index),
    ``subgroup`` lanes run in step, ``warps`` subgroups take part.
    """

    def __init__(
        self,
        block: Block,
        features: Features,
        warps: int,
        thread: Value | None = None,
        barrier: Callable[[Builder], None] | None = None,
    ) -> None:
        self.builder = Builder(block)
        self.features = features
        self.subgroup = max(1, features.subgroup)
        self.warps = warps
        self._home = block
        self._last: Op | None = None
        self._barrier = barrier
        self._memo: dict[Any, Value] = {}
        self._scratch: dict[ScalarType, tuple[Op, int]] = {}
        self.thread = (
            self.once("thread", lambda b: b.create(ThreadId, dimension=X))
            if (thread is None)
            else thread
        )

    @property
    def count(self) -> int:
        """How many lanes there are."""
        return self.subgroup * self.warps

    # ----------------------------------------------------------------------------- at the start

    def once(self, key: Any, make: Callable[[Builder], Value]) -> Value:
        """Return what ``make`` computes at the start of the role, made once for each ``key``."""
        found = self._memo.get(key)
        if found is None:
            anchor = self._home.first if self._last is None else self._last.next
            b = Builder(self._home, anchor)
            found = make(b)
            before = self._home.last if b.anchor is None else b.anchor.prev
            if before is not None:
                self._last = before
            self._memo[key] = found
        return found

    def constant(self, value: Any, type: Type) -> Value:
        """Return a constant; numbers live at the start of the role."""
        if isinstance(value, np.ndarray):
            return constant(self.builder, value, type)
        bits = np.float64(value).tobytes() if isinstance(value, float) else value
        return self.once(("constant", bits, type), lambda b: constant(b, value, type))

    def index(self, value: int) -> Value:
        return self.constant(value, INDEX)

    def i32(self, value: int) -> Value:
        return self.constant(value, I32)

    @property
    def thread32(self) -> Value:
        """The lane's number in the role as i32."""
        thread = self.thread
        return self.once("thread32", lambda b: b.create(IndexCast, thread, types=[I32]))

    @property
    def lane(self) -> Value:
        """The lane's number in its subgroup, i32."""
        return self.part("lane", 1, self.subgroup)

    @property
    def warp(self) -> Value:
        """The number of the lane's subgroup, i32."""
        return self.part("warp", 1, self.warps)

    def part(self, place: str, divisor: int, size: int) -> Value:
        """Return one digit of the lane's number in its subgroup, or the subgroup's number, i32."""
        within = divisor if place == "lane" else divisor * self.subgroup
        whole = self.subgroup if place == "lane" else self.count
        if size == 1:
            return self.i32(0)
        thread = self.thread32
        # The topmost digit of the whole number needs no remainder.
        top = place == "warp" and within * size == whole

        def make(b: Builder) -> Value:
            return self._digit(b, thread, within, 0 if top else size)

        return self.once(("digit", within, size), make)

    def _digit(self, b: Builder, number: Value, divisor: int, size: int) -> Value:
        if divisor > 1:
            power = divisor & (divisor - 1) == 0
            number = (
                b.create(Shrui, number, constant(b, divisor.bit_length() - 1, I32))
                if power
                else b.create(Divui, number, constant(b, divisor, I32))
            )
        if size:
            power = size & (size - 1) == 0
            number = (
                b.create(Andi, number, constant(b, size - 1, I32))
                if power
                else b.create(Remui, number, constant(b, size, I32))
            )
        return number

    def digits(self, layout: Layout) -> list[tuple[Digit, int]]:
        """Return the lane and warp digits of a layout with what their number is divided by."""
        found = []
        for place in ("lane", "warp"):
            divisor = 1
            for d in layout.of(place):
                found.append((d, divisor))
                divisor *= d.size
        return found

    def offset(self, layout: Layout, factors: Sequence[int]) -> Value | None:
        """Return what the lane adds to a linear address, i32; None when that is nothing.

        A step along axis a counts ``factors[a]``.
        """
        terms = [
            (d.place, divisor, d.size, d.step * factors[d.dim])
            for d, divisor in self.digits(layout)
            if d.dim is not None and factors[d.dim] != 0
        ]
        if not terms:
            return None
        key = ("offset", tuple(terms))
        parts = [self.part(place, divisor, size) for place, divisor, size, _ in terms]

        def make(b: Builder) -> Value:
            total: Value | None = None
            for part, (_, _, _, factor) in zip(parts, terms, strict=True):
                scaled = part
                if factor != 1 and factor & (factor - 1) == 0:
                    scaled = b.create(Shli, part, constant(b, factor.bit_length() - 1, I32))
                elif factor != 1:
                    scaled = b.create(Muli, part, constant(b, factor, I32))
                total = scaled if total is None else b.create(Addi, total, scaled)
            assert total is not None
            return total

        return self.once(key, make)

    def offset_index(self, layout: Layout, factors: Sequence[int]) -> Value | None:
        """Return ``offset`` as an index."""
        found = self.offset(layout, factors)
        if found is None:
            return None
        return self.once(("index", found), lambda b: b.create(IndexCast, found, types=[INDEX]))

    def coordinate(self, layout: Layout, axis: int) -> Value | None:
        """Return what the lane adds to an element's index along ``axis``, i32; None for nothing."""
        return self.offset(layout, [int(a == axis) for a in range(layout.rank)])

    def owner(self, layout: Layout) -> Value | None:
        """Return whether this lane is the first of those with the same elements; None: always."""
        copies = [(d, divisor) for d, divisor in self.digits(layout) if d.dim is None]
        if not copies:
            return None
        key = ("owner", tuple((d.place, divisor, d.size) for d, divisor in copies))
        parts = [self.part(d.place, divisor, d.size) for d, divisor in copies]

        def make(b: Builder) -> Value:
            total = parts[0]
            for part in parts[1:]:
                total = b.create(Addi, total, part)
            made: Value = b.create(Cmpi, total, constant(b, 0, I32), predicate=CMPI["eq"])
            return made

        return self.once(key, make)

    @property
    def is_first(self) -> Value:
        """Whether this is the role's lane 0."""
        thread = self.thread32
        return self.once(
            "first",
            lambda b: b.create(Cmpi, thread, constant(b, 0, I32), predicate=CMPI["eq"]),
        )

    # ------------------------------------------------------------------------------ cooperation

    def barrier(self) -> None:
        """Wait for all lanes of the role."""
        if self._barrier is not None:
            self._barrier(self.builder)
        else:
            self.builder.add(Barrier)

    def scratch(self, element: ScalarType, count: int) -> Value:
        """Return workgroup memory for at least ``count`` elements, good until the next barrier.

        All that ask share it.
        """
        found = self._scratch.get(element)
        if found is None:
            kind = memref((count,), element, None, WORKGROUP)
            made = self.once(
                ("scratch", element),
                lambda b: b.create(WorkgroupAlloc, types=[kind], align=SCRATCH_ALIGN),
            )
            assert isinstance(made, OpResult)
            self._scratch[element] = (made.op, count)
            return made
        op, size = found
        if count > size:
            op.results[0].type = memref((count,), element, None, WORKGROUP)
            self._scratch[element] = (op, count)
        return op.results[0]

    def allocate(self, shape: Sequence[int], element: ScalarType, align: int = 16) -> Value:
        """Return a buffer of workgroup memory of its own."""
        kind = memref(tuple(shape), element, None, WORKGROUP)
        key = ("buffer", len(self._memo))
        return self.once(key, lambda b: b.create(WorkgroupAlloc, types=[kind], align=align))

    def shuffle(self, value: Value, mode: str, offset: Value, width: int) -> Value:
        """Return another lane's scalar of any type; ``offset`` i32."""
        b = self.builder
        kind = element_type(value.type)
        wide, back = self._as_words(value)
        words = []
        for word in wide:
            found = b.add(
                LaneShuffle, word, offset, self.i32(width), types=[word.type, I1],
                mode=shuffle_mode(mode),
            )  # fmt: skip
            words.append(found.results[0])
        return back(kind, words)

    def _as_words(self, value: Value) -> tuple[list[Value], Callable[..., Value]]:
        """Return a scalar as 32-bit values, and how they become the scalar again."""
        b = self.builder
        kind = element_type(value.type)
        if kind in (F32, I32):
            return [value], lambda _, words: words[0]
        if kind is INDEX:
            value = b.create(IndexCast, value, types=[I64])
        if kind.bits == 64:
            one = b.create(FromElements, [value])
            pair = b.create(Bitcast, one, types=[vector(2, I32)])
            return [self.element(pair, i) for i in range(2)], self._from_pair
        if kind.kind == "i":
            return [b.create(Extui, value, types=[I32])], self._narrowed
        bits = vector(1, {8: I8, 16: I16}[kind.bits])
        raw = self.element(b.create(Bitcast, b.create(FromElements, [value]), types=[bits]), 0)
        return [b.create(Extui, raw, types=[I32])], self._from_bits

    def _from_pair(self, kind: ScalarType, words: list[Value]) -> Value:
        b = self.builder
        whole = I64 if kind is INDEX else kind
        pair = b.create(FromElements, words)
        found = self.element(b.create(Bitcast, pair, types=[vector(1, whole)]), 0)
        return b.create(IndexCast, found, types=[INDEX]) if kind is INDEX else found

    def _narrowed(self, kind: ScalarType, words: list[Value]) -> Value:
        made: Value = self.builder.create(Trunci, words[0], types=[kind])
        return made

    def _from_bits(self, kind: ScalarType, words: list[Value]) -> Value:
        b = self.builder
        raw = b.create(Trunci, words[0], types=[{8: I8, 16: I16}[kind.bits]])
        one = b.create(FromElements, [raw])
        return self.element(b.create(Bitcast, one, types=[vector(1, kind)]), 0)

    # ----------------------------------------------------------------------------- fragments

    def pick(self, value: Value, mask: Sequence[int], other: Value | None = None) -> Value:
        """Return registers of a fragment (then of another), in the order of ``mask``."""
        kind = value.type
        assert isinstance(kind, VectorType)
        if other is None:
            if list(mask) == list(range(kind.size)):
                return value
            splat = splat_of(value)
            if splat is not None:
                return self.splat(splat, len(mask))
        made: Value = self.builder.create(
            Shuffle, value, value if other is None else other, mask=[int(m) for m in mask]
        )
        return made

    def join(self, parts: Sequence[Value]) -> Value:
        """Return fragments after one another."""
        row = list(parts)
        if all(size_of(p) == 1 for p in row) and len(row) > 1:
            return self.gathered([self.element(p, 0) for p in row])
        while len(row) > 1:
            merged = []
            for i in range(0, len(row) - 1, 2):
                total = size_of(row[i]) + size_of(row[i + 1])
                merged.append(self.pick(row[i], range(total), row[i + 1]))
            if len(row) % 2:
                merged.append(row[-1])
            row = merged
        return row[0]

    def element(self, value: Value, at: int) -> Value:
        """Return one register."""
        made = value.op
        if isinstance(made, FromElements):
            found: Value = made.operands[at]
            return found
        splat = splat_of(value)
        if splat is not None and not isinstance(splat, tuple):
            return splat
        extracted: Value = self.builder.create(Extract, value, static_position=(at,))
        return extracted

    def gathered(self, scalars: Sequence[Value]) -> Value:
        """Return scalars as one fragment."""
        made: Value = self.builder.create(FromElements, list(scalars))
        return made

    def splat(self, scalar: Value | tuple[Any, ScalarType], size: int) -> Value:
        """Return a scalar in ``size`` registers."""
        if isinstance(scalar, tuple):
            return self.constant(scalar[0], vector(size, scalar[1]))
        known = constant_of(scalar)
        kind = element_type(scalar.type)
        if known is not None:
            return self.constant(known, vector(size, kind))
        made: Value = self.builder.create(Broadcast, scalar, types=[vector(size, kind)])
        return made


def size_of(value: Value) -> int:
    """Return how many registers a fragment has."""
    kind = value.type
    assert isinstance(kind, VectorType)
    return kind.size


def splat_of(value: Value) -> Any:
    """Return the scalar (or constant and its type) that all registers hold; None when unknown."""
    made = value.op
    if isinstance(made, Broadcast) and not isinstance(made.x.type, VectorType):
        return made.x
    if isinstance(made, Constant):
        known = constant_of(value)
        return None if known is None else (known, element_type(value.type))
    return None
