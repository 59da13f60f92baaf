"""Splitting a planned tile program into the roles of a warp-specialised kernel.

Each role is the whole program without what the others do: the producer keeps the loops and copies
what they stream into the ring, the scheduler keeps the scalars of a tile and copies its operands,
the consumers keep all work on tiles. Scalars that differ from tile to tile are worked out by the
scheduler and published as a record when they take divisions or decide how far a loop runs; the
other roles work out sums and extremes of them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from kdsl.dialects.arith import (
    CMPI,
    Addi,
    Cmpi,
    Constant,
    Extui,
    IndexCast,
    Maxsi,
    Minsi,
    Muli,
    Select,
    Subi,
    constant,
    index_constant,
)
from kdsl.dialects.func import Func, Return
from kdsl.dialects.kdsl import Launch, LoadTile, ProgramId
from kdsl.dialects.scf import Condition, For, If, While, Yield
from kdsl.errors import InternalError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, BlockArgument, Module, Op, Region, Value
from kdsl.ir.types import I32, ScalarType, TensorType
from kdsl.passes.dce import sweep
from kdsl.passes.manager import Pass
from kdsl.passes.parallel import launches_by_kernel
from kdsl.passes.speculation import is_speculatable
from kdsl.target.target import Target
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.copies import Maps, coordinates
from kdsl_ptx.hopper.persistent import (
    GridArguments,
    add_arguments,
    as_word,
    finish_signature,
    fits_word,
    from_word,
    program_ids,
    relaunch,
    streamed_loads,
    total_tiles,
)
from kdsl_ptx.hopper.plan import OPERAND, Plan, forget, planned
from kdsl_ptx.hopper.roles import Consumer, Producer, Program, Role, is_pure
from kdsl_ptx.hopper.streams import ROWS

CHEAP = (Addi, Subi, Muli, Minsi, Maxsi, Cmpi, Select, IndexCast, Constant)
"""Scalar ops that a role repeats rather than reads from the record."""


@dataclass(frozen=True)
class WarpSpecialize(Pass):
    """Make roles of the kernels that have a plan, and launch them so."""

    name: ClassVar[str] = "warp-specialize"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for name, launches in launches_by_kernel(module).items():
            kernel = module.function(name)
            plan = planned(kernel)
            if plan is not None:
                assert isinstance(kernel, Func)
                _Specializer(kernel, plan).run(launches)
                changed = True
        return changed


class _Specializer:
    """Rewrites one kernel."""

    def __init__(self, kernel: Func, plan: Plan) -> None:
        self.kernel = kernel
        self.plan = plan
        self.maps = Maps(kernel)
        self.grid = add_arguments(kernel)
        for op in list(kernel.body):
            _hoist_scalars(op)
        self.old = list(kernel.body)[:-1]
        self.in_tile = _tile_dependent(self.old)
        self.scalars = _scheduled_scalars(self.old, self.in_tile)
        self.uniform = _control_values(self.old)
        self.loads = streamed_loads(kernel)

    def run(self, launches: Sequence[Launch]) -> None:
        """Write the roles, and the launches."""
        producer, consumer = self._role("producer"), self._role("consumer")
        program = Program(self.plan, self.maps, self.in_tile, self.scalars)
        Producer(program, producer).body(self.old)
        Consumer(program, consumer).body(self.old)
        words: dict[Value, None] = {}
        for role in (producer, consumer):
            role.inside.add(Yield, [])
            self._resolve(role)
            words.update(role.words)
        scheduler = _scheduler(self, self.grid, list(words))
        for role, ready in ((producer, "known"), (consumer, "full")):
            self._read_record(role, ready, list(words))
        finish_signature(self.kernel, self.maps)
        for launch in launches:
            relaunch(launch, self.kernel, self.maps, self.grid, self.plan, self.loads)
        self._replace_body([producer.block, scheduler, consumer.block], len(words) + 1)

    # -------------------------------------------------------------------------------- roles

    def _role(self, name: str) -> Role:
        block = Block()
        outside = Builder(block, loc=self.kernel.loc)
        loop = outside.add(While, [], types=[], regions=[Region([Block()]), Region([Block()])])
        outside.add(tile.End)
        role = Role(
            name,
            block,
            Builder(block, loop, self.kernel.loc),
            Builder(loop.regions[1].block, loc=self.kernel.loc),
            loop,
        )
        nowhere = Block()
        for op in self.old:
            for r in op.results:
                if r in self.scalars:
                    stand_in = nowhere.add_argument(r.type, r.name)
                    role.stand_ins[stand_in] = r
                    role.mapping[r] = stand_in
        return role

    def _resolve(self, role: Role) -> None:
        """Replace stand-ins that are used: by a word of the record, or by doing the sum again."""
        sweep_block(role.loop.regions[1].block)
        first = role.loop.regions[1].block.first
        ready: dict[Value, Value] = {}
        b = Builder(role.loop.regions[1].block, first, self.kernel.loc)
        by_value = {old: stand_in for stand_in, old in role.stand_ins.items()}

        def resolved(old: Value) -> Value:
            if old in ready:
                return ready[old]
            op = old.op
            assert op is not None
            if isinstance(op, CHEAP) and old not in self.uniform:
                known = {v: resolved(v) for v in op.operands if v in by_value}
                outer = {v: role.mapping[v] for v in op.operands if v in role.mapping}
                copy = b.insert(op.clone({**outer, **known}))
                ready[old] = copy.results[0]
            else:
                role.words[old] = None
                ready[old] = by_value[old]
            return ready[old]

        for stand_in, old in role.stand_ins.items():
            if stand_in.users:
                found = resolved(old)
                if found is not stand_in:
                    stand_in.replace_by(found)

    def _read_record(self, role: Role, ready: str, words: list[Value]) -> None:
        """Read the record at the head of the role's loop, and hand its words to the body."""
        before, after = (region.block for region in role.loop.regions)
        b = Builder(before, loc=self.kernel.loc)
        uniform = [i for i, w in enumerate(words) if w in self.uniform and w in role.words]
        record = b.add(
            tile.TileRecord,
            types=[I32] * (len(words) + 1),
            ready=ready,
            uniform=(*uniform, len(words)),
        )
        zero = constant(b, 0, I32)
        live = b.create(Cmpi, record.results[-1], zero, predicate=CMPI["ne"])
        used = [(i, w) for i, w in enumerate(words) if w in role.words]
        b.add(Condition, live, [record.results[i] for i, _ in used])
        inside = Builder(after, after.first, self.kernel.loc)
        old_loop = role.loop
        by_value = {old: stand_in for stand_in, old in role.stand_ins.items()}
        for _, word in used:
            given = after.add_argument(I32, word.name)
            by_value[word].replace_by(from_word(inside, given, word))
        _retype(old_loop, [I32] * len(used))

    def _replace_body(self, blocks: list[Block], words: int) -> None:
        kernel, plan = self.kernel, self.plan
        end = kernel.body.last
        assert isinstance(end, Return)
        b = Builder.before(end)
        roles = b.add(
            tile.Roles,
            regions=[Region([block]) for block in blocks],
            consumers=plan.consumers,
            registers=plan.registers,
        )
        del roles
        for op in reversed(self.old):
            for r in op.results:
                if r.users:
                    raise InternalError(op.loc, what=f"a role still reads {op.name}")
            op.erase()
        forget(kernel)
        kernel.attributes[tile.SLOTS] = plan.slots
        kernel.attributes[tile.RECORD] = words
        kernel.attributes[tile.OPERANDS] = plan.operands
        kernel.attributes[tile.RING] = plan.ring
        kernel.attributes[tile.STAGING] = plan.staging
        kernel.attributes[tile.PING_PONG] = plan.ping_pong
        if plan.persistent:
            kernel.attributes[tile.PERSISTENT] = None


def _retype(loop: While, types: list[ScalarType]) -> None:
    """Give a loop that has no results yet results of these types."""
    from kdsl.ir.core import OpResult

    loop.results = [OpResult(loop, i, t) for i, t in enumerate(types)]


def _hoist_scalars(branch: Op) -> None:
    """Move scalars that need nothing of a branch or loop before it, for the scheduler to do."""
    for region in branch.regions:
        for block in region.blocks:
            for op in list(block):
                _hoist_scalars(op)
                if (
                    is_pure(op)
                    and not op.regions
                    and bool(op.results)
                    and is_speculatable(op)
                    and all(isinstance(v.type, ScalarType) for v in (*op.operands, *op.results))
                    and not any(_is_within(v, branch) for v in op.operands)
                ):
                    assert branch.parent is not None
                    block.remove(op)
                    branch.parent.insert_before(branch, op)


def _is_within(value: Value, op: Op) -> bool:
    owner = value.block.parent_op if isinstance(value, BlockArgument) else value.op
    return owner is not None and owner.is_inside(op)


def sweep_block(block: Block) -> None:
    """Remove what is dead in a block."""
    holder = block.parent_op
    assert holder is not None
    sweep(holder)


def _tile_dependent(ops: Sequence[Op]) -> set[Value]:
    """Return the values of a kernel's body that depend on the program id."""
    found: set[Value] = set()
    for op in ops:
        reads = (v for o in op.walk() for v in o.operands)
        if isinstance(op, ProgramId) or any(v in found for v in reads) or not is_pure(op):
            found.update(op.results)
    return found


def _scheduled_scalars(ops: Sequence[Op], in_tile: set[Value]) -> set[Value]:
    """Return the scalars of a tile that follow from its number without looking at tiles."""
    found: set[Value] = set()
    for op in ops:
        known = all(v in found or v not in in_tile for v in op.operands)
        fits = all(fits_word(r.type) for r in op.results)
        if known and fits and _is_scalar_work(op) and set(op.results) <= in_tile:
            found.update(op.results)
    return found


def _control_values(ops: Sequence[Op]) -> set[Value]:
    """Return the values that loops and branches run by."""
    found: set[Value] = set()
    for op in ops:
        for each in op.walk():
            if isinstance(each, For):
                found |= {each.lower, each.upper}
            elif isinstance(each, If):
                found.add(each.condition)
    return found


# ---------------------------------------------------------------------------------------- scheduler


def _scheduler(owner: _Specializer, grid: GridArguments, words: list[Value]) -> Block:
    """Write the role that draws tiles, publishes their records and loads their operands."""
    plan = owner.plan
    block = Block()
    outside = Builder(block, loc=owner.kernel.loc)
    total = total_tiles(outside, grid)
    mapping: dict[Value, Value] = {}
    for op in owner.old:
        if is_pure(op) and not op.regions and not set(op.results) & owner.in_tile:
            outside.insert(op.clone(mapping))
    loop = outside.add(While, [], types=[], regions=[Region([Block()]), Region([Block()])])
    before = Builder(loop.regions[0].block, loc=owner.kernel.loc)
    number = before.create(tile.Draw, grid.counter, total, persistent=plan.persistent)
    one = index_constant(before, 1)
    # A dead record has the words of the last tile: what is fetched by them is there.
    known = before.create(Minsi, number, before.create(Subi, total, one))
    ids = program_ids(before, known, grid, plan)
    for op in owner.old:
        if isinstance(op, ProgramId):
            mapping[op.y] = ids[op.axis]
        elif set(op.results) & owner.scalars:
            before.insert(op.clone(mapping))
    live = before.create(Cmpi, number, total, predicate=CMPI["slt"])
    record = [as_word(before, mapping[word]) for word in words]
    before.add(tile.Publish, [*record, before.create(Extui, live, types=[I32])])
    loads = [op for op in owner.old if OPERAND in op.attributes]
    loads.sort(key=lambda op: int(op.attributes[OPERAND]))  # type: ignore[arg-type]
    carried = _operand_offsets(loads, mapping, owner.in_tile)
    before.add(Condition, live, [mapping[v] for v in carried])
    after = loop.regions[1].block
    for v in carried:
        mapping[v] = after.add_argument(v.type, v.name)
    _retype(loop, [v.type for v in carried])  # type: ignore[misc]
    inside = Builder(after, loc=owner.kernel.loc)
    _load_operands(inside, loads, owner.maps, mapping)
    inside.add(Yield, [])
    _load_operands(outside, [], owner.maps, mapping)
    outside.add(tile.End)
    return block


def _is_scalar_work(op: Op) -> bool:
    """Return whether the scheduler can do an op: scalars from scalars (a load of one included)."""
    values = (*op.operands, *op.results)
    return (
        not op.regions
        and bool(op.results)
        and not any(isinstance(v.type, TensorType) for v in values)
    )


def _operand_offsets(
    loads: list[Op], mapping: dict[Value, Value], in_tile: set[Value]
) -> list[Value]:
    """Return the scalars of a tile that the coordinates of its operands take."""
    found: dict[Value, None] = {}
    for load in loads:
        assert isinstance(load, LoadTile)
        found.update((v, None) for v in load.offsets if v in in_tile and v in mapping)
    return list(found)


def _load_operands(b: Builder, loads: list[Op], maps: Maps, mapping: dict[Value, Value]) -> None:
    """Copy a tile's operands, in slabs of 64 rows: each warpgroup reads its own."""
    found = []
    for load in loads:
        assert isinstance(load, LoadTile)
        shape = load.y.type.shape
        where, split = maps.of(load, (ROWS, shape[1]))
        coords = coordinates(b, load, split, lambda v: mapping.get(v, v))
        found.append((where, split, coords, shape))
    b.add(
        tile.TileLoad,
        [where for where, *_ in found],
        [c for _, _, coords, _ in found for c in coords],
        ranks=tuple(len(coords) for _, _, coords, _ in found),
        shapes=tuple(n for *_, shape in found for n in shape),
        slabs=tuple(ROWS for _ in found),
        split=tuple(int(split) for _, split, *_ in found),
    )
