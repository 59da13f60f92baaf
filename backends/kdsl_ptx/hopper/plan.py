"""Choosing a Hopper schedule for a tile program, from sizes alone, and noting it on the program.

Every choice may be overridden by ``k.schedule(...)``; what does not fit is an error then. Where the
rules come from is said beside them: they were measured, with attention of head dims 64 to 256.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from kdsl.dialects.func import Func
from kdsl.dialects.kdsl import Dot, LoadTile, ProgramId
from kdsl.errors import ScheduleOptionError
from kdsl.ir.core import Module, Op, Value
from kdsl.passes.explain import explain
from kdsl.passes.manager import Pass
from kdsl.passes.software_pipeline import STAGE
from kdsl.target.target import Target
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.streams import ROWS, Streams, UnfitError, rescales, streams_of

STREAM = "ptx.stream"
"""On a streamed load: array<i64: stage, number in its entry, loads in the entry>."""
ONCE = 2
"""The first stage of loads that go through the ring before the loop, each an entry of its own."""
OPERAND = "ptx.operand"
"""On a load that is done once for a tile: number of the operand in the tile slot."""
PLACE = "ptx.place"
"""On a store that goes through shared memory: operand whose room it takes, -1 for staging."""
CHUNK = "ptx.chunk"
"""On such a store: columns that are staged at once."""
PLAN = "ptx.plan."
"""Before the names of a plan's fields, as attributes of a kernel until roles are made."""

BARRIER_BYTES = 1024
WIDE_ENTRY = 32 * 1024
MOST_SLOTS = {True: 4, False: 6}
"""Ring slots, for wide entries and others: a fifth wide one was worth nothing."""
FEWEST_SLOTS = 2
SLOTS_BEFORE_BUFFERS = 3
"""A second operand buffer is worth more (8-21 % on short tiles) than a fourth slot."""
REGISTERS = {1: (24, 240), 2: (24, 240), 3: (32, 160)}
"""Of the producer's warpgroup and of consumers, by consumers: 64 Ki in all."""
SPARE = 32
"""Registers for everything but tiles."""
REGISTER_FILE = 65536
GROUP_LANES = 128
GROUP_BYTES = 24 * 1024 * 1024
"""Streamed operands of the tiles in flight should stay in the second-level cache."""
GROUP_TILES = 8
ALL = -1
"""One group: where tiles differ in length, the longest of all must come first. With groups of six
of 32 heads, causal attention over 8192 tokens took 16 % longer, the last group's longest tiles
being alone at the end; what the cache saves is 1.5 % at most."""

OPTIONS = (
    "consumers", "num_stages", "buffers", "ping_pong", "rescale", "a_operand", "persistent",
    "group", "registers", "portable",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A schedule.

    ``slots`` tile slots of ``operands`` (rows, cols, ...), a ring of ``ring`` = (slots, bytes of an
    entry), ``staging`` bytes. ``ping_pong``: "none", "issue" or "late"; ``rescale``: "late" (after
    the second product) or "early" (under the first); ``a_operand``: "registers" or "shared".
    ``slow``: the grid's axis that tiles of a group run through last; ``group``: tiles of the other
    axes in a group, 0: as many as the cache holds streams of, -1: all.
    """

    consumers: int
    registers: tuple[int, ...]
    slots: int
    operands: tuple[int, ...]
    ring: tuple[int, ...]
    staging: int
    ping_pong: str
    rescale: str
    a_operand: str
    persistent: bool
    slow: int
    group: int

    @property
    def text(self) -> str:
        """The schedule in words."""
        return (
            f"{self.consumers} warpgroups, ring of {self.ring[0]} x {self.ring[1]} bytes, "
            f"{self.slots} tile slots, registers {self.registers[0]}/{self.registers[1]}, "
            f"ping-pong {self.ping_pong}, rescale {self.rescale}, A from {self.a_operand}"
        )


@dataclass(frozen=True)
class HopperPlan(Pass):
    """Choose a schedule for each kernel that fits one; say why the others do not."""

    name: ClassVar[str] = "hopper-plan"

    def run(self, module: Module, target: Target) -> bool:
        changed = False
        for function in module.functions:
            if isinstance(function, Func) and function.is_kernel:
                changed |= _plan(function, target)
        return changed


def planned(function: Op) -> Plan | None:
    """Return the plan that is noted on a kernel, None when it has none."""
    if PLAN + "consumers" not in function.attributes:
        return None
    names = Plan.__dataclass_fields__
    return Plan(**{n: function.attributes[PLAN + n] for n in names})  # type: ignore[arg-type]


def stream_of(op: Op) -> tuple[int, int, int]:
    """Return the stage of a streamed load, its number in its ring entry, and loads in the entry."""
    found: Any = op.attributes[STREAM]
    stage, number, count = found
    return stage, number, count


def forget(function: Op) -> None:
    """Remove the plan's notes from a kernel."""
    for key in [k for k in function.attributes if k.startswith(PLAN)]:
        del function.attributes[key]


def _plan(kernel: Func, target: Target) -> bool:
    wanted = _Wanted(kernel)
    if not any(isinstance(op, Dot) for op in kernel.walk()):
        return False
    try:
        if target.features.matrix_rows != ROWS:
            raise UnfitError(f"{target.chip} has no products of warpgroups")
        if wanted.flag("portable", default=False):
            raise UnfitError("the schedule says portable")
        streams = streams_of(kernel)
        plan = choose(kernel, streams, target, wanted)
    except UnfitError as why:
        explain(kernel, f"no roles: {why}")
        return False
    _note(kernel, streams, plan)
    explain(kernel, f"roles: {plan.text}")
    return True


class _Wanted:
    """The options of ``k.schedule(...)`` on a kernel."""

    def __init__(self, kernel: Func) -> None:
        self.kernel = kernel
        self.given = {
            name: kernel.attributes[f"kdsl.schedule.{name}"]
            for name in OPTIONS
            if f"kdsl.schedule.{name}" in kernel.attributes
        }

    def error(self, option: str, why: str, advice: str) -> ScheduleOptionError:
        """Return the error for an option that does not fit."""
        return ScheduleOptionError(
            self.kernel.loc,
            kernel=self.kernel.sym_name,
            option=option,
            value=self.given.get(option),
            why=why,
            advice=advice,
        )

    def one_of(self, option: str, choices: Sequence[str], default: str) -> str:
        """Return a word."""
        found = self.given.get(option, default)
        if isinstance(found, bool):
            found = choices[1] if found else choices[0]
        if found not in choices:
            raise self.error(option, "there is no such choice", f"choose {', '.join(choices)}")
        return str(found)

    def count(self, option: str, least: int, default: int) -> int:
        """Return a number."""
        found = self.given.get(option, default)
        if isinstance(found, bool) or not isinstance(found, int) or found < least:
            raise self.error(option, "it is no such count", f"give a number from {least} on")
        return found

    def flag(self, option: str, *, default: bool) -> bool:
        """Return a yes or no."""
        found = self.given.get(option, default)
        if not isinstance(found, bool):
            raise self.error(option, "it is neither True nor False", "give True or False")
        return found


# ----------------------------------------------------------------------------------------- choices


def choose(kernel: Func, streams: Streams, target: Target, wanted: _Wanted) -> Plan:
    """Return the plan for a kernel; raise UnfitError when memory or registers do not suffice."""
    consumers = streams.rows // ROWS
    if wanted.count("consumers", 1, consumers) != consumers:
        advice = f"give consumers={consumers}, or another block of rows"
        raise wanted.error("consumers", f"products have {streams.rows} rows of 64 each", advice)
    registers = _registers(wanted, consumers)
    _check_entry(streams, consumers)
    a_operand = _a_operand(streams, wanted, registers[1])
    entry = max(_bytes_of(loads) for loads in (streams.early, streams.late) if loads)
    _through_ring(streams, entry)
    _leave_to_consumers(streams, target.features.shared_bytes - BARRIER_BYTES, entry)
    operands = tuple(n for load in streams.operands for n in load.y.type.shape)
    slots, ring, staging = _memory(streams, target, wanted, operands, entry)
    slow = _slow_axis(kernel, streams)
    return Plan(
        consumers=consumers,
        registers=registers,
        slots=slots,
        operands=operands,
        ring=(ring, entry),
        staging=staging,
        ping_pong=_ping_pong(streams, wanted, consumers),
        rescale=_rescale(streams, wanted),
        a_operand=a_operand,
        persistent=wanted.flag("persistent", default=True),
        slow=slow,
        group=_group(streams, wanted),
    )


def _group(streams: Streams, wanted: _Wanted) -> int:
    if "group" not in wanted.given and _axes_behind((streams.loop.lower, streams.loop.upper)):
        return ALL
    return wanted.count("group", 0, 0 if streams.operands else GROUP_TILES)


def _through_ring(streams: Streams, entry: int) -> None:
    """Let loads beside the left side itself travel through the ring, ahead of the loop's tiles.

    They are read into registers at once, so they need room for a moment only; in tile slots they
    would take it from the ring for good.
    """
    for load in streams.operands[1:]:
        worked_on = not any(isinstance(user, Dot) for user in load.y.users)
        if worked_on and _bytes_of([load]) <= entry:
            streams.operands.remove(load)
            streams.once.append(load)


def _leave_to_consumers(streams: Streams, room: int, entry: int) -> None:
    """Take loads beside the left side itself out of tile slots that would starve the ring."""
    while len(streams.operands) > 1:
        if room - _bytes_of(streams.operands) >= SLOTS_BEFORE_BUFFERS * entry:
            return
        streams.operands.pop()


def _registers(wanted: _Wanted, consumers: int) -> tuple[int, int]:
    found: Any = wanted.given.get("registers", REGISTERS[consumers])
    fits = isinstance(found, tuple) and len(found) == 2
    fits = fits and all(isinstance(n, int) and n % 8 == 0 and 24 <= n <= 240 for n in found)
    if not fits or 128 * (found[0] + consumers * found[1]) > 65536:
        advice = f"give two multiples of 8 from 24 to 240, like {REGISTERS[consumers]}"
        raise wanted.error("registers", "a multiprocessor has 65536", advice)
    return found[0], found[1]


def _check_entry(streams: Streams, consumers: int) -> None:
    """Refuse a product whose accumulator does not fit the registers that threads begin with."""
    entry = REGISTER_FILE // (GROUP_LANES * (1 + consumers))
    widest = max(_row_registers(dot.acc) for dot in (*streams.dots, *streams.late_dots))
    if widest > entry - SPARE:
        raise UnfitError(f"a product takes {widest} of {entry} registers at entry")


def _a_operand(streams: Streams, wanted: _Wanted, budget: int) -> str:
    """Registers when all tiles fit beside it: it saves reads of shared memory, so energy."""
    held = sum(_row_registers(dot.acc) for dot in (*streams.dots, *streams.late_dots))
    held += sum(_row_registers(dot.a) for dot in streams.late_dots)
    held += sum(_row_registers(value) for value in streams.kept)
    sides = dict.fromkeys(dot.a for dot in streams.dots if dot.a not in streams.kept)
    left = sum(_row_registers(side) for side in sides) if streams.operands else 0
    room = budget - SPARE - held
    if room + SPARE // 2 < 0:
        raise UnfitError(f"tiles need {held} of {budget} registers")
    choice = "registers" if streams.operands and left <= room else "shared"
    found = wanted.one_of("a_operand", ("shared", "registers"), choice)
    if found == "registers" and left > room + SPARE // 2:
        advice = "leave a_operand out, or use smaller blocks"
        raise wanted.error("a_operand", f"tiles need {held + left} of {budget} registers", advice)
    return found


def _row_registers(value: Value) -> int:
    """Return a thread's registers for a tile, when 128 threads hold 64 rows."""
    kind = value.type
    columns = kind.shape[1]  # type: ignore[attr-defined]
    return int(columns * kind.element.bits // 64)  # type: ignore[attr-defined]


def _bytes_of(loads: Sequence[LoadTile]) -> int:
    return tile.tiles_bytes([load.y.type.shape for load in loads])


def _memory(
    streams: Streams, target: Target, wanted: _Wanted, operands: tuple[int, ...], entry: int
) -> tuple[int, int, int]:
    """Return tile slots, ring slots and bytes of staging that fit shared memory."""
    shapes = [(operands[i], operands[i + 1]) for i in range(0, len(operands), 2)]
    one = tile.tiles_bytes(shapes)
    room = target.features.shared_bytes - BARRIER_BYTES
    least = 0 if _fits_operand(streams, shapes) or not streams.stores else ROWS * streams.rows * 2
    if not operands:
        slots = 2
    else:
        two = 2 * one + SLOTS_BEFORE_BUFFERS * entry + least <= room
        slots = wanted.count("buffers", 1, 2 if two else 1)
    if slots > 2:
        raise wanted.error("buffers", "there are one or two", "give buffers=1 or buffers=2")
    left = room - slots * one - least
    most = MOST_SLOTS[entry >= WIDE_ENTRY]
    if left < FEWEST_SLOTS * entry:
        raise UnfitError(f"{FEWEST_SLOTS} entries of {entry} bytes do not fit shared memory")
    ring = wanted.count("num_stages", FEWEST_SLOTS, min(left // entry, most))
    if ring * entry > left:
        advice = f"give at most stages={left // entry}, or smaller blocks"
        raise wanted.error("num_stages", f"{ring} entries of {entry} bytes do not fit", advice)
    if not least:
        return slots, ring, 0
    columns = max(store.value.type.shape[1] for store in streams.stores)
    staging = least
    while staging * 2 <= left - ring * entry + least and staging < columns * streams.rows * 2:
        staging *= 2
    return slots, ring, staging


def _fits_operand(streams: Streams, shapes: Sequence[tuple[int, int]]) -> bool:
    """Return whether output may take the first operand's room when that was read."""
    return (
        len(streams.stores) == 1
        and bool(shapes)
        and tile.tiles_bytes([streams.stores[0].value.type.shape]) <= tile.tiles_bytes(shapes[:1])
    )


def _ping_pong(streams: Streams, wanted: _Wanted, consumers: int) -> str:
    """Order the warpgroups' products where the register file leaves them time to drift apart."""
    wide = any(dot.acc.type.shape[1] > 128 for dot in streams.late_dots)
    pays = consumers > 1 and bool(streams.late_dots) and not wide
    default = "none" if not pays else ("late" if consumers > 2 else "issue")
    found = wanted.one_of("ping_pong", ("none", "issue", "late"), default)
    return found if consumers > 1 and streams.late_dots else "none"


def _rescale(streams: Streams, wanted: _Wanted) -> str:
    """Rescale wide accumulators under the first product, where no register waits for the second."""
    wide = any(dot.acc.type.shape[1] > 128 for dot in streams.late_dots)
    return wanted.one_of("rescale", ("late", "early"), "early" if wide else "late")


def _slow_axis(kernel: Func, streams: Streams) -> int:
    """Return the axis that streamed tiles depend on least: tiles along it share what is loaded.

    The axis that decides how long a tile takes comes first, so that long tiles come first.
    """
    bounds = _axes_behind((streams.loop.lower, streams.loop.upper))
    if bounds:
        return min(bounds)
    used = [_axes_behind(load.offsets) for load in (*streams.early, *streams.late)]
    free = [a for a in range(3) if any(_uses(kernel, a)) and not any(a in u for u in used)]
    if free:
        return free[0]
    axes = [a for a in range(3) if any(_uses(kernel, a))]
    return axes[-1] if axes else 0


def _uses(kernel: Func, axis: int) -> list[bool]:
    return [True for op in kernel.walk() if isinstance(op, ProgramId) and op.axis == axis]


def _axes_behind(values: Sequence[Value]) -> set[int]:
    """Return the grid's axes that values depend on."""
    found: set[int] = set()
    seen: set[Value] = set()
    pending = list(values)
    while pending:
        value = pending.pop()
        op = value.op
        if value in seen or op is None:
            continue
        seen.add(value)
        if isinstance(op, ProgramId):
            found.add(op.axis)
        pending += op.operands
    return found


# ------------------------------------------------------------------------------------------- notes


def _note(kernel: Func, streams: Streams, plan: Plan) -> None:
    """Write the plan to the kernel and to the ops that it is about."""
    for name in Plan.__dataclass_fields__:
        kernel.attributes[PLAN + name] = getattr(plan, name)
    kernel.attributes[tile.SCHEDULE] = plan.text
    for stage, loads in enumerate((streams.early, streams.late)):
        for i, load in enumerate(loads):
            load.attributes[STREAM] = (stage, i, len(loads))
    for i, load in enumerate(streams.once):
        load.attributes[STREAM] = (ONCE + i, 0, 1)
    for load in streams.late:
        load.attributes[STAGE] = 1
    for dot in streams.late_dots:
        dot.attributes[STAGE] = 1
    if plan.rescale == "early":
        for op in rescales(streams):
            op.attributes[STAGE] = 1
    for i, load in enumerate(streams.operands):
        load.attributes[OPERAND] = i
    for store in streams.stores:
        columns = store.value.type.shape[1]
        if not plan.staging:
            store.attributes[PLACE], store.attributes[CHUNK] = 0, columns
            continue
        fit = plan.staging // (streams.rows * 2)
        chunk = columns if columns <= fit else fit // ROWS * ROWS
        store.attributes[PLACE], store.attributes[CHUNK] = -1, chunk
