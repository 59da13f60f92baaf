"""Loops whose turns the lanes of a workgroup share.

    for i in lower..upper    =>   for i in lower + lane * w .. some by 2 * lanes * w: w turns, twice
                                  for i in some + lane * w .. whole by lanes * w: w turns
                                  for i in whole + lane .. upper by lanes: one turn

``whole`` is where the last w turns end, or ``lower`` when an access of w elements would not be
aligned: addresses are known at run time only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial as partial_of
from typing import Any

from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Andi,
    Cmpi,
    Divsi,
    Muli,
    Ori,
    Select,
    Subi,
    constant,
    constant_of,
    index_constant,
)
from kdsl.dialects.kdsl import Address
from kdsl.dialects.memref import Load, Store
from kdsl.dialects.scf import PARALLEL, TAIL, UNROLL, VECTORIZE, For, If, Yield, for_loop
from kdsl.dialects.vector import Gather, Reduction, Scatter, reduction_kind
from kdsl.dialects.vector import Store as VectorStore
from kdsl.errors import CannotVectorizeError
from kdsl.ir.attributes import Opaque
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Op, Region, Value
from kdsl.ir.types import INDEX, ScalarType, element_type, vector
from kdsl.passes.aliasing import may_alias
from kdsl.passes.counters import as_counter, as_index
from kdsl.passes.explain import explain, place
from kdsl.passes.simt import rules
from kdsl.passes.simt.combine import Team
from kdsl.passes.simt.width import Wide, buffer_of, choose_width
from kdsl.passes.vectorize.loops import Accumulator, accumulators_of, neutral_number
from kdsl.passes.vectorize.widen import NotWidenable, Widener

MARKS = (VECTORIZE, PARALLEL, TAIL, UNROLL)
ALIGNMENT = "alignment"
REASSOCIATES = "#arith.fastmath<reassoc,contract>"


def share_loop(team: Team, loop: For, function: Op) -> bool:
    """Write a loop for the lanes where the team's builder stands, and erase it.

    Return False, with the reason on record and the marks gone, when its turns cannot be shared;
    raise CannotVectorizeError where the author gave a width.
    """
    try:
        accumulators = accumulators_of(loop)
        if constant_of(loop.step) != 1:
            raise NotWidenable(loop, "its step is not 1")
        wide = choose_width(loop)
        _check_stores(loop, wide.varying)
    except NotWidenable as problem:
        asked = loop.attributes.get(VECTORIZE, 0)
        if asked not in (0, 1):
            raise CannotVectorizeError(
                problem.op.loc or loop.loc, width=asked, why=problem.why
            ) from None
        for name in MARKS:
            loop.attributes.pop(name, None)
        explain(function, f"{place(loop)}: not shared by lanes: {problem.why}")
        return False
    for name in MARKS:
        loop.attributes.pop(name, None)
    team.builder.loc = loop.loc
    writer = _Writer(team, loop, wide, accumulators)
    outs = writer.write()
    how = f"{writer.wide.width} at a time" if writer.wide.width > 1 else "one at a time"
    explain(function, f"{place(loop)}: shared by {team.lane.count} lanes, {how}")
    loop.replace_by(*outs)
    return True


def _check_stores(loop: For, varying: set[Value]) -> None:
    """Refuse a store of different values to one element: the last turn would have to win."""
    for op in loop.body:
        alike = isinstance(op, Store) and varying.isdisjoint((*op.indices, op.target))
        if alike and op.operands[0] in varying:
            raise NotWidenable(op, "every turn writes the same element")


def _stores_may_wait(loop: For) -> bool:
    """Return whether no turn reads what it may have written before."""
    written: list[Value] = []
    for op in loop.body:
        if isinstance(op, Store):
            written.append(op.target)
        elif isinstance(op, Load) and any(may_alias(op.source, v) for v in written):
            return False
    return True


class _Writer:
    """The parts of one shared loop."""

    def __init__(self, team: Team, loop: For, wide: Wide, accumulators: list[Accumulator]) -> None:
        self.team = team
        self.lane = team.lane
        self.b = team.builder
        self.loop = loop
        self.wide = wide
        self.accumulators = accumulators

    def write(self) -> list[Value]:
        """Write everything and return the loop's results, the same on all lanes."""
        lower, upper = as_index(self.b, self.loop.lower), as_index(self.b, self.loop.upper)
        partial = self._neutral()
        start = lower
        main = self._wide_body(1) if self.wide.width > 1 else None
        if main is None:
            self.wide = Wide(1, {}, self.wide.varying)
        else:
            whole = self._whole(lower, upper)
            if self._may_go_abreast():
                start = self._abreast(lower, whole)
            partial = self._main(main, start, whole)
            start = whole
        partial = self._rest(start, upper, partial)
        outs = []
        for number, (accumulator, value) in enumerate(zip(self.accumulators, partial, strict=True)):
            init = self.loop.inits[number]
            total = self.team.combined(value, number, partial_of(_combine, accumulator))
            outs.append(_combine(accumulator, self.b, init, total))
        return outs

    def _may_go_abreast(self) -> bool:
        """Return whether several vectors at once are worth their registers."""
        loop = self.loop
        return (
            rules.ABREAST > 1
            and not self.accumulators
            and len(loop.body) <= rules.MOST_OPS_ABREAST
            and _stores_may_wait(loop)
        )

    def _neutral(self) -> list[Value]:
        found = []
        for accumulator, out in zip(self.accumulators, self.loop.results, strict=True):
            kind = out.type
            assert isinstance(kind, ScalarType)
            found.append(constant(self.b, neutral_number(accumulator, kind), kind))
        return found

    # ------------------------------------------------------------------------------ wide turns

    def _wide_body(self, abreast: int) -> Block | None:
        """Return the body of ``width`` turns at a time, or None when it has no such form.

        It does ``abreast`` times that, as far apart as the lanes reach: all loads stand first.
        """
        loop, width = self.loop, self.wide.width
        reach = self.lane.count * width
        kinds = [vector(width, element_type(r.type)) for r in loop.results]
        block = Block([INDEX, *kinds])
        b = Builder(block, None, loop.loc)
        for access, align in self.wide.aligned.items():
            access.attributes[ALIGNMENT] = align
        try:
            for number in range(abreast):
                widener = Widener(b, loop, self.wide.varying, width, None)
                first: Value = block.args[0]
                if number:
                    first = b.create(Addi, first, index_constant(b, number * reach))
                widener.index(loop.induction, as_counter(b, first, loop.induction.type))
                for inside, argument in zip(loop.carried, block.args[1:], strict=True):
                    widener.known[inside] = argument
                widener.ops(loop.body)
            for store in [op for op in block if isinstance(op, VectorStore)] * (abreast > 1):
                block.remove(store)
                block.append(store)
            b.create(Yield, [widener.wide(v) for v in loop.yields.operands])
        except NotWidenable:
            _drop(block)
            return None
        finally:
            for access in self.wide.aligned:
                del access.attributes[ALIGNMENT]
        if any(isinstance(op, Gather | Scatter) for op in block):
            _drop(block)
            return None
        return block

    def _whole(self, lower: Value, upper: Value) -> Value:
        """Return where whole widths end: at the start when an access is not aligned."""
        whole = self._last_multiple(lower, upper, self.wide.width)
        aligned = self._is_aligned()
        if aligned is None:
            return whole
        chosen: Value = self.b.create(Select, aligned, whole, lower)
        return chosen

    def _last_multiple(self, lower: Value, upper: Value, size: int) -> Value:
        """Return where the last whole run of ``size`` turns from ``lower`` on ends."""
        b = self.b
        count = index_constant(b, size)
        span = b.create(Subi, upper, lower)
        whole_span = b.create(Muli, b.create(Divsi, span, count), count)
        found: Value = b.create(Addi, lower, whole_span)
        return found

    def _first_of_lane(self, lower: Value) -> Value:
        size = index_constant(self.b, self.wide.width)
        found: Value = self.b.create(Addi, lower, self.b.create(Muli, self.lane.thread, size))
        return found

    def _abreast(self, lower: Value, whole: Value) -> Value:
        """Write the loop that has several vectors of each buffer on their way; return its end."""
        b = self.b
        reach = rules.ABREAST * self.lane.count * self.wide.width
        body = self._wide_body(rules.ABREAST)
        assert body is not None
        end = self._last_multiple(lower, whole, reach)
        first = self._first_of_lane(lower)
        made = b.add(
            For, first, end, index_constant(b, reach), [], types=[], regions=[Region([body])]
        )
        made.attributes.update(self.loop.attributes)
        return end

    def _main(self, body: Block, lower: Value, whole: Value) -> list[Value]:
        """Write the loop over whole widths; return the lanes' partial results."""
        b, width, lanes = self.b, self.wide.width, self.lane.count
        first = self._first_of_lane(lower)
        inits = [
            constant(
                b, neutral_number(a, element_type(r.type)), vector(width, element_type(r.type))
            )
            for a, r in zip(self.accumulators, self.loop.results, strict=True)
        ]
        main = b.add(
            For, first, whole, index_constant(b, lanes * width), inits,
            types=[v.type for v in inits], regions=[Region([body])],
        )  # fmt: skip
        main.attributes.update(self.loop.attributes)
        return [
            self._lanes_combined(a, out)
            for a, out in zip(self.accumulators, main.results, strict=True)
        ]

    def _is_aligned(self) -> Value | None:
        """Return whether the accesses that have to be aligned are, in the first turn and so on."""
        b, loop = self.b, self.loop
        total: dict[int, Value] = {}
        seen: set[tuple[int, ...]] = set()
        for access, align in self.wide.aligned.items():
            memory = buffer_of(access)
            key = (id(memory), align, *(id(v) for v in access.indices[:-1]))
            if key in seen:
                continue
            seen.add(key)
            mapping: dict[Value, Value] = {loop.induction: loop.lower}
            at = [self._at_first_turn(v, mapping) for v in access.indices]
            address: Value = b.create(Address, memory, at)
            total[align] = address if align not in total else b.create(Ori, total[align], address)
        found: Value | None = None
        for align, address in total.items():
            low = b.create(Andi, address, index_constant(b, align - 1))
            zero = index_constant(b, 0)
            good: Value = b.create(Cmpi, low, zero, predicate=CMPI["eq"])
            found = good if found is None else b.create(Andi, found, good)
        return found

    def _at_first_turn(self, value: Value, mapping: dict[Value, Value]) -> Value:
        """Copy what computes an index, before the loop."""
        if value in mapping:
            return mapping[value]
        op = value.op
        if op is None or not op.is_inside(self.loop):
            return value
        for operand in op.operands:
            self._at_first_turn(operand, mapping)
        self.b.insert(op.clone(mapping))
        return mapping[value]

    def _lanes_combined(self, accumulator: Accumulator, value: Value) -> Value:
        """Combine the elements of a lane's vector."""
        made = self.b.add(Reduction, value, kind=Opaque(reduction_kind(accumulator.kind)))
        if element_type(value.type).kind == "f" and accumulator.kind in ("add", "mul"):
            made.attributes["fastmath"] = Opaque(REASSOCIATES)
        found: Value = made.y
        return found

    # -------------------------------------------------------------------------- one at a time

    def _rest(self, start: Value, upper: Value, partial: Sequence[Value]) -> list[Value]:
        """Write the loop over what is left, one turn for each lane at a time."""
        b, loop = self.b, self.loop
        first = b.create(Addi, start, self.lane.thread)
        step = index_constant(b, self.lane.count)
        made = for_loop(b, first, upper, step, tuple(partial))
        made.attributes.update(loop.attributes)
        mapping: dict[Value, Value] = dict(zip(loop.carried, made.body.args[1:], strict=True))
        with b.at(made.body):
            mapping[loop.induction] = as_counter(b, made.body.args[0], loop.induction.type)
            for op in loop.body:
                self._one(op, mapping)
        return list(made.results)

    def _one(self, op: Op, mapping: dict[Value, Value]) -> None:
        """Copy an op of a turn; what all turns write to one element is written by lane 0."""
        alike = isinstance(op, Store) and self.wide.varying.isdisjoint((*op.indices, op.target))
        if not alike:
            self.b.insert(op.clone(mapping))
            return
        regions = [Region([Block()]), Region()]
        branch = self.b.add(If, self.lane.is_first, types=[], regions=regions)
        with self.b.at(branch.then_block):
            self.b.insert(op.clone(mapping))
            self.b.create(Yield, [])


def _drop(block: Block) -> None:
    for op in reversed(block):
        op.drop_uses()


def _combine(accumulator: Accumulator, b: Builder, x: Value, y: Value) -> Value:
    op = accumulator.op
    made: Any = type(op)([x, y], [x.type], {}, [], b.loc)
    if "fastmath" in op.attributes:
        made.attributes["fastmath"] = op.attributes["fastmath"]
    found: Value = b.insert(made).results[0]
    return found
