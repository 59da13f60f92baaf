"""Running scheduled kernels on the host: roles as coroutines over a model of shared memory.

``simulate`` runs an entry with real data, all workgroups of a launch side by side; a wrong schedule
raises ProtocolError, a right one gives the kernel's answer. Every warpgroup of consumers computes
whole tiles, and stores its own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from kdsl.dialects.func import Func
from kdsl.dialects.kdsl import Launch, StoreTile
from kdsl.dialects.scf import Condition, For, If, While
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Terminator
from kdsl.ir.interpreter import Frame
from kdsl.ir.types import MemRefType, ScalarType, TensorType, Type
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.machine import (
    Barrier,
    Counter,
    Place,
    ProtocolError,
    Shared,
    TensorMap,
    Wait,
    Workgroup,
)
from kdsl_ptx.hopper.streams import ROWS

MOST_STEPS = 2_000_000
Run = Generator[Callable[[], bool], None, tuple[Any, ...]]
"""A step of a role: yields what it waits for, returns values of results."""


@dataclass
class InFlight:
    """A product that is issued; its value is known when it is waited for."""

    op: tile.DotAsync
    operands: tuple[Any, ...]
    value: Any = None
    done: bool = False


@dataclass
class Agent:
    """One role of one workgroup, running."""

    name: str
    steps: Wait
    ready: Callable[[], bool] | None = None
    finished: bool = False


Choose = Callable[[list[Agent]], Agent]
"""Which of the agents that can run goes on."""


def in_order(names: Sequence[str]) -> Choose:
    """Return a choice by roles: those named first run as far as they can."""
    rank = {name: i for i, name in enumerate(names)}

    def choose(agents: list[Agent]) -> Agent:
        return min(agents, key=lambda a: rank.get(a.name, len(rank)))

    return choose


def at_random(seed: int) -> Choose:
    """Return a choice by chance."""
    rng = Random(seed)  # noqa: S311  (orders of execution, no secrets)
    return rng.choice


@dataclass
class Session:
    """What the agents of a launch share: who runs next, and whether tiles have data."""

    module: Module
    choose: Choose
    has_data: bool = True
    multiprocessors: int = 2
    steps: int = MOST_STEPS
    counters: list[Counter] = field(default_factory=list)
    plans: dict[Block, list[Op]] = field(default_factory=dict)

    def ops_of(self, block: Block) -> list[Op]:
        """Return the ops of a block that are run: without data, those that tiles are not all of."""
        found = self.plans.get(block)
        if found is None:
            found = [op for op in block if self.has_data or not _is_tile_work(op)]
            self.plans[block] = found
        return found

    def launch(self, kernel: Func, workgroups: int, args: Sequence[Any]) -> None:
        """Run a kernel's roles to the end; raise ProtocolError when they cannot."""
        (roles,) = (op for op in kernel.body if isinstance(op, tile.Roles))
        groups = [
            Workgroup(kernel.attributes, roles.consumers, i, workgroups) for i in range(workgroups)
        ]
        agents: list[Agent] = []
        for group in groups:
            shared: dict[Value, Any] = dict(zip(kernel.body.args, args, strict=True))
            roles_of = (("producer", 0), ("scheduler", 0))
            for name, number in (*roles_of, *(("consumer", i) for i in range(roles.consumers))):
                block = roles.regions[tile.ROLES.index(name)].block
                runner = Runner(self, group, name, number, dict(shared))
                runner.prepare(kernel.body, roles)
                agents.append(Agent(f"{name}{number or ''}", runner.run(block)))
            agents.append(Agent("memory", _memory(group)))
        self._run(agents)
        for group in groups:
            for land in group.copies:
                land()
            group.check_end()

    def record(self, op: tile.Publish, operands: Sequence[Any]) -> tuple[Any, ...]:
        """Return the record that a scheduler publishes."""
        del op
        return tuple(operands)

    def _run(self, agents: list[Agent]) -> None:
        workers = [a for a in agents if a.name != "memory"]
        while not all(a.finished for a in workers):
            able = [a for a in agents if not a.finished and (a.ready is None or a.ready())]
            if not able:
                stuck = ", ".join(a.name for a in workers if not a.finished)
                raise ProtocolError(f"{stuck} wait for ever")
            agent = self.choose(able)
            self.steps -= 1
            if self.steps < 0:
                raise ProtocolError("the roles never end")
            try:
                agent.ready = next(agent.steps)
            except StopIteration:
                agent.finished = True


def _memory(group: Workgroup) -> Wait:
    """Land copies, one at a time."""
    while True:
        yield lambda: bool(group.copies)
        group.copies.pop(0)()


# ------------------------------------------------------------------------------------------- roles


class Runner:
    """Runs the region of one role; values are numbers, arrays, Shared and InFlight."""

    def __init__(
        self, session: Session, group: Workgroup, role: str, number: int, values: dict[Value, Any]
    ) -> None:
        self.session = session
        self.group = group
        self.role = role
        self.number = number
        self.values = values
        self.frame = Frame(session.module)
        self.tiles = 0
        self.draws = 0
        self.turn = 0
        self.open: list[int] = []
        self.flights: list[InFlight] = []

    def prepare(self, body: Block, roles: Op) -> None:
        """Compute the scalars that stand before the roles."""
        for op in body:
            if op is roles:
                return
            found = self.plain(op, [self.values[v] for v in op.operands])
            self.values.update(zip(op.results, found, strict=True))

    def run(self, block: Block) -> Wait:
        """Run a region to its end."""
        yield from self.block(block, ())

    def block(self, block: Block, given: Sequence[Any]) -> Run:
        """Run a block; return what its terminator reads."""
        for parameter, value in zip(block.args, given, strict=True):
            self.values[parameter] = value
        for op in self.session.ops_of(block):
            if isinstance(op, DeclaredOp) and Terminator in op.traits:
                return tuple([self.values.get(v) for v in op.operands])
            yield from self.op(op)
        return ()

    def op(self, op: Op) -> Run:
        """Run one op."""
        operands = [self.values.get(v) for v in op.operands]
        act = ACTIONS.get(type(op))
        if act is not None:
            found = yield from act(self, op, operands)
        elif isinstance(op, For):
            found = yield from self.loop(op, operands)
        elif isinstance(op, If):
            region = op.regions[0 if bool(operands[0]) else 1]
            found = (yield from self.block(region.block, ())) if region.blocks else ()
        elif isinstance(op, While):
            found = yield from self.while_loop(op, operands)
        else:
            found = self.plain(op, operands)
        self.values.update(zip(op.results, found or (), strict=True))
        return ()

    def loop(self, op: For, operands: list[Any]) -> Run:
        """Run a counted loop."""
        lower, upper, step = (int(v) for v in operands[:3])
        carried = tuple(operands[3:])
        for i in range(lower, upper, step):
            carried = yield from self.block(op.body, (np.int64(i), *carried))
        return carried

    def while_loop(self, op: While, carried: Sequence[Any]) -> Run:
        """Run a loop over tiles."""
        before, after = (region.block for region in op.regions)
        while True:
            assert isinstance(before.last, Condition)
            live, *given = yield from self.block(before, carried)
            if not bool(live):
                return tuple(given)
            carried = yield from self.block(after, given)

    def plain(self, op: Op, operands: list[Any]) -> tuple[Any, ...]:
        """Run an op that knows nothing of roles."""
        given = [self.settled(v) for v in operands]
        if not self.session.has_data:
            return self.without_data(op, given)
        evaluate = getattr(op, "evaluate", None)
        with np.errstate(all="ignore"):
            if evaluate is None:
                found: Any = op.execute(self.frame, tuple(given))  # type: ignore[attr-defined]
            else:
                found = evaluate(*given)
        return found if isinstance(found, tuple) else (found,)

    def without_data(self, op: Op, given: list[Any]) -> tuple[Any, ...]:
        """Compute scalars alone: tiles are None, and what is read from memory is 0."""
        evaluate: Any = getattr(op, "evaluate", None)
        is_known = isinstance(op, DeclaredOp) and op.is_pure and evaluate is not None
        is_scalar = all(isinstance(r.type, ScalarType) for r in op.results)
        if not is_known or not is_scalar or any(v is None for v in given):
            return tuple(_unknown(r.type) for r in op.results)
        with np.errstate(all="ignore"):
            found = evaluate(*given)
        return found if isinstance(found, tuple) else (found,)

    def settled(self, value: Any) -> Any:
        """Return a value that an op may read now."""
        if isinstance(value, InFlight):
            if not value.done:
                raise ProtocolError("a product is read before it was waited for")
            return value.value
        return value.read() if isinstance(value, Shared) else value

    # -------------------------------------------------------------------------------- slots

    def slot(self) -> tuple[int, int]:
        """Return the role's next tile slot, and how often it was used before."""
        count = len(self.group.slots)
        return self.tiles % count, self.tiles // count

    def open_slot(self) -> Place:
        """Return the tile slot whose record was read last."""
        if not self.open:
            raise ProtocolError("an operand's room is used when no tile slot is open")
        return self.group.slots[self.open[-1]]

    def ring_slot(self) -> tuple[int, int]:
        """Return the role's next ring slot, and how often it was used before."""
        count = len(self.group.ring)
        return self.turn % count, self.turn // count


def _is_tile_work(op: Op) -> bool:
    """Return whether an op gives tiles, from tiles or scalars, and does nothing else."""
    is_pure = isinstance(op, DeclaredOp) and op.is_pure and Terminator not in op.traits
    return is_pure and not any(isinstance(r.type, ScalarType) for r in op.results)


def _unknown(kind: Type) -> Any:
    """Return what stands for a value when there is no data: conditions hold, numbers are 0."""
    if not isinstance(kind, ScalarType):
        return None
    return kind.numpy.type(1 if kind.bits == 1 else 0)


def _after(barrier: Barrier, phases: int) -> Callable[[], bool]:
    return lambda: barrier.phases >= phases


def draw(run: Runner, op: tile.Draw, operands: list[Any]) -> Run:
    """Draw a tile, before there is room for it."""
    counter, total = operands
    yield lambda: True
    run.draws += 1
    group = run.group
    if run.draws == 1:
        return (np.int64(group.number),)
    if not op.persistent:
        return (np.int64(total),)
    return (np.int64(counter.draw(int(total), group.workgroups)),)


def publish(run: Runner, op: tile.Publish, operands: list[Any]) -> Run:
    """Write the record once its slot is empty."""
    number, uses = run.slot()
    group = run.group
    yield _after(group.empty[number], uses)
    if group.slots[number].holders:
        raise ProtocolError(f"{group.slots[number].name} is overwritten before it was released")
    group.records[number] = run.session.record(op, operands)
    group.known[number].arrive()
    return ()


def _boxes(op: Any, operands: list[Any]) -> list[tuple[Any, list[int], tuple[int, int], int]]:
    """Return map, coordinates, shape and slab of each tile of a load."""
    count = len(op.maps)
    maps, rest = operands[:count], [int(v) for v in operands[count:]]
    found = []
    for i, shape in enumerate(tile.shapes_of(op)):
        coords, rest = rest[: op.ranks[i]], rest[op.ranks[i] :]
        found.append((maps[i], coords, shape, op.slabs[i]))
    return found


def _start(run: Runner, place: Place, barrier: Barrier, boxes: Sequence[Any]) -> None:
    """Start the copies of a load; they land later."""
    place.begin(len(boxes))
    barrier.arrive(len(boxes))

    def land(i: int, source: Any, coords: list[int], shape: tuple[int, int], slab: int) -> None:
        if run.session.has_data:
            parts = [
                source.load([coords[0], coords[1] + row, *coords[2:]], (slab, shape[1]))
                for row in range(0, shape[0], slab)
            ]
            place.data[i] = np.concatenate(parts)
        place.loading -= 1
        barrier.landed()

    for i, box in enumerate(boxes):
        run.group.copies.append(lambda i=i, box=box: land(i, *box))  # type: ignore[misc]


def tile_load(run: Runner, op: tile.TileLoad, operands: list[Any]) -> Run:
    """Load a tile's operands, and go to the next slot."""
    number, _ = run.slot()
    _start(run, run.group.slots[number], run.group.full[number], _boxes(op, operands))
    run.tiles += 1
    yield lambda: True
    return ()


def tile_record(run: Runner, op: tile.TileRecord, operands: list[Any]) -> Run:
    """Read the next record."""
    del operands
    number, uses = run.slot()
    group = run.group
    barrier = group.known[number] if op.ready == "known" else group.full[number]
    yield _after(barrier, uses + 1)
    record = group.records[number]
    if len(record) != len(op.results):
        raise ProtocolError(f"a record of {len(record)} words is read as {len(op.results)}")
    run.tiles += 1
    if run.role == "producer":
        group.empty[number].arrive()
    else:
        group.slots[number].holders.add(run.number)
        run.open.append(number)
    return record


def tile_peek(run: Runner, op: tile.TilePeek, operands: list[Any]) -> Run:
    """Read the record of the next tile."""
    del operands
    number, uses = run.slot()
    yield _after(run.group.known[number], uses + 1)
    record = run.group.records[number]
    if len(record) != len(op.results):
        raise ProtocolError(f"a record of {len(record)} words is read as {len(op.results)}")
    return record


def tile_operand(run: Runner, op: tile.TileOperand, operands: list[Any]) -> Run:
    """Refer to an operand of the open slot."""
    del operands
    yield lambda: True
    place = run.open_slot()
    found = Shared(place, place.version, op.index, run.number)
    found.read()
    return (found,)


def operand_store(run: Runner, op: tile.OperandStore, operands: list[Any]) -> Run:
    """Write the warpgroup's rows over an operand."""
    value = run.settled(operands[0])
    yield lambda: True
    place, me = run.open_slot(), run.number
    found = Shared(place, place.version, op.index, me)
    old = found.read()
    if run.session.has_data:
        changed = old.copy()
        changed[ROWS * me : ROWS * (me + 1)] = value[ROWS * me : ROWS * (me + 1)]
        place.data[op.index] = changed
    return (found,)


def tile_release(run: Runner, op: tile.TileRelease, operands: list[Any]) -> Run:
    """Give a slot back."""
    del operands
    if op.lag and len(run.open) < 2:
        yield lambda: True
        return ()
    if not run.open:
        raise ProtocolError("a tile slot is released twice")
    number = run.open[0] if op.lag else run.open[-1]
    place, me = run.group.slots[number], run.number
    yield lambda: not place.leaving.get(me)
    run.open.remove(number)
    place.holders.discard(me)
    place.given_back.add(me)
    run.group.empty[number].arrive()
    return ()


def ring_load(run: Runner, op: tile.RingLoad, operands: list[Any]) -> Run:
    """Load an entry once it is empty."""
    number, uses = run.ring_slot()
    group = run.group
    yield _after(group.ring_empty[number], uses)
    if tile.tiles_bytes(tile.shapes_of(op)) > group.ring_bytes:
        raise ProtocolError("a ring entry is larger than its slot")
    _start(run, group.ring[number], group.ring_full[number], _boxes(op, operands))
    group.ring[number].holders.update(range(group.consumers))
    run.turn += 1
    group.loaded += 1
    return ()


def ring_wait(run: Runner, op: tile.RingWait, operands: list[Any]) -> Run:
    """Wait for an entry."""
    del operands
    number, uses = run.ring_slot()
    group = run.group
    yield _after(group.ring_full[number], uses + 1)
    place = group.ring[number]
    if len(place.data) != len(op.tiles):
        raise ProtocolError(f"an entry of {len(place.data)} tiles is taken as {len(op.tiles)}")
    for data, r in zip(place.data, op.tiles, strict=True):
        kind = r.type
        assert isinstance(kind, TensorType)
        if data is not None and data.shape != kind.shape:
            raise ProtocolError(f"a tile of {data.shape} is taken as {kind}")
    run.turn += 1
    group.waited[run.number] += 1
    tiles = [Shared(place, place.version, i, run.number) for i in range(len(place.data))]
    return (*tiles, (number, place.version))


def ring_release(run: Runner, op: tile.RingRelease, operands: list[Any]) -> Run:
    """Give an entry back."""
    del op
    number, version = operands[0]
    place = run.group.ring[number]
    yield lambda: True
    if place.version != version or run.number not in place.holders:
        raise ProtocolError(f"{place.name} is released twice")
    for flight in run.flights:
        for operand in flight.operands:
            if isinstance(operand, Shared) and operand.place is place:
                raise ProtocolError(f"{place.name} is released while a product reads it")
    place.holders.discard(run.number)
    place.given_back.add(run.number)
    run.group.released[run.number] += 1
    run.group.ring_empty[number].arrive()
    return ()


def turn_wait(run: Runner, op: tile.TurnWait, operands: list[Any]) -> Run:
    """Wait for the turn."""
    del op, operands
    turns, me = run.group.turns, run.number
    yield lambda: turns[me] > 0
    turns[me] -= 1
    return ()


def turn_pass(run: Runner, op: tile.TurnPass, operands: list[Any]) -> Run:
    """Give the turn on."""
    del op, operands
    turns = run.group.turns
    after = (run.number + 1) % len(turns)
    turns[after] += 1
    if turns[after] > 1:
        raise ProtocolError("a turn is passed on twice")
    yield lambda: True
    return ()


def load_fragment(run: Runner, op: tile.LoadFragment, operands: list[Any]) -> Run:
    """Read a shared tile into registers."""
    del op
    yield lambda: True
    return (run.settled(operands[0]),)


def dot_async(run: Runner, op: tile.DotAsync, operands: list[Any]) -> Run:
    """Issue a product."""
    for operand in operands[:2]:
        if isinstance(operand, InFlight) and not operand.done:
            raise ProtocolError("a product's operand is in flight")
    flight = InFlight(op, tuple(operands))
    run.flights.append(flight)
    yield lambda: True
    return (flight,)


def dot_wait(run: Runner, op: tile.DotWait, operands: list[Any]) -> Run:
    """End the oldest products."""
    yield lambda: True
    while len(run.flights) > op.pending:
        flight = run.flights.pop(0)
        given = [run.settled(v) for v in flight.operands]
        if run.session.has_data:
            with np.errstate(all="ignore"):
                flight.value = flight.op.evaluate(*given)
        flight.done = True
    return tuple(run.settled(v) for v in operands)


def tile_store(run: Runner, op: tile.TileStore, operands: list[Any]) -> Run:
    """Store the warpgroup's rows, later."""
    value, where, *coords = operands
    value = run.settled(value)
    group, me = run.group, run.number
    place = group.staging[me] if op.place < 0 else run.open_slot()
    if place.leaving.get(me):
        raise ProtocolError(f"{place.name} is written while its output is being stored")
    place.leaving[me] = 1
    at = [int(v) for v in coords]
    at[1] += ROWS * me

    def leave() -> None:
        if run.session.has_data:
            where.store(at, np.asarray(value)[ROWS * me : ROWS * (me + 1)])
        place.leaving[me] = 0

    group.copies.append(leave)
    yield lambda: True
    return ()


def store_wait(run: Runner, op: tile.StoreWait, operands: list[Any]) -> Run:
    """Wait for the warpgroup's stores."""
    del op, operands
    group, me = run.group, run.number
    places = (group.staging[me], *group.slots)
    yield lambda: not any(place.leaving.get(me) for place in places)
    return ()


def store_rows(run: Runner, op: StoreTile, operands: list[Any]) -> Run:
    """Store the warpgroup's rows of a tile from registers."""
    yield lambda: True
    value, target, *indices = (run.settled(v) for v in operands)
    if not run.session.has_data:
        return ()
    if value.shape[0] == ROWS * run.group.consumers:
        value = value[ROWS * run.number : ROWS * (run.number + 1)]
        dim, step = op.dims[0], op.steps[0]
        indices[dim] = int(indices[dim]) + ROWS * run.number * step
    op.evaluate(value, target, *indices)
    return ()


def nothing(run: Runner, op: Op, operands: list[Any]) -> Run:
    """Launches run one after the other here."""
    del run, op, operands
    yield lambda: True
    return ()


ACTIONS: dict[type[Op], Callable[[Runner, Any, list[Any]], Run]] = {
    tile.Draw: draw,
    tile.Publish: publish,
    tile.TileLoad: tile_load,
    tile.TileRecord: tile_record,
    tile.TilePeek: tile_peek,
    tile.TileOperand: tile_operand,
    tile.OperandStore: operand_store,
    tile.TileRelease: tile_release,
    tile.RingLoad: ring_load,
    tile.RingWait: ring_wait,
    tile.RingRelease: ring_release,
    tile.TurnWait: turn_wait,
    tile.TurnPass: turn_pass,
    tile.LoadFragment: load_fragment,
    tile.DotAsync: dot_async,
    tile.DotWait: dot_wait,
    tile.TileStore: tile_store,
    tile.StoreWait: store_wait,
    StoreTile: store_rows,
    tile.GridDependencyWait: nothing,
    tile.LaunchDependents: nothing,
}


# -------------------------------------------------------------------------------------------- host


def simulate(
    module: Module,
    symbol: str,
    args: Sequence[Any],
    choose: Choose | None = None,
    multiprocessors: int = 2,
) -> None:
    """Run an entry on arrays, which are written in place; raise ProtocolError."""
    session = Session(module, choose or at_random(0), multiprocessors=multiprocessors)
    function = module.function(symbol)
    host = _Host(session, module)
    from kdsl.ir.interpreter import _argument

    given = [_argument(function, p, a) for p, a in zip(function.body.args, args, strict=True)]
    host.run(function.body, given)


class _Host(Frame):
    """Runs entries: launches of scheduled kernels go to the model."""

    __slots__ = ("session",)

    def __init__(self, session: Session, module: Module) -> None:
        super().__init__(module)
        self.session = session

    def run(self, block: Block, args: Sequence[Any]) -> tuple[Any, ...]:
        """Run an entry's block."""
        values = self._values
        for parameter, value in zip(block.args, args, strict=True):
            values[parameter] = value
        for op in block:
            operands = [values[v] for v in op.operands]
            if isinstance(op, DeclaredOp) and Terminator in op.traits:
                return tuple(operands)
            for r, value in zip(op.results, self.op(op, operands), strict=True):
                values[r] = value
        return ()

    def op(self, op: Op, operands: list[Any]) -> tuple[Any, ...]:
        """Run one op of an entry."""
        if isinstance(op, tile.TensorMap):
            stops = tuple(int(s) for s in operands[1:])
            return (TensorMap(operands[0], tuple(op.dims), op.split, stops),)
        if isinstance(op, tile.Counter):
            self.session.counters.append(Counter())
            return (self.session.counters[-1],)
        if isinstance(op, tile.SmCount):
            return (np.int64(self.session.multiprocessors),)
        if isinstance(op, Launch):
            return self.launch(op, operands)
        evaluate = getattr(op, "evaluate", None)
        found = op.execute(self, tuple(operands)) if evaluate is None else evaluate(*operands)  # type: ignore[attr-defined]
        found = found if isinstance(found, tuple) else (found,)
        is_memory = bool(op.results) and isinstance(op.results[0].type, MemRefType)
        if is_memory:
            from kdsl.ir.interpreter import _as_buffer

            return tuple(_as_buffer(f) for f in found)
        return found

    def launch(self, op: Launch, operands: list[Any]) -> tuple[Any, ...]:
        kernel = self.session.module.function(op.kernel.name)
        if any(isinstance(each, tile.Roles) for each in kernel.body):
            assert isinstance(kernel, Func)
            if int(operands[0]):
                self.session.launch(kernel, int(operands[0]), operands[3:])
            return ()
        plain = Frame(self.session.module)
        op.execute(plain, tuple(operands))
        return ()
