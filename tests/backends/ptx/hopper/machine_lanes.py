"""What the machine's own instructions do, for the lane-level interpreter.

Shared memory is one array of bytes whose history is kept for each word of four. Bulk copies happen
some time after they were issued, products when they are waited for: what must not be touched until
then is found out. Barriers carry what their arrivals knew to those that wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from kdsl.dialects.memref import poisoned
from kdsl.errors import InterpreterError
from kdsl.ir.types import I8, SCALARS
from kdsl.testing.simt import LaneBuffer, Machine, Workgroup
from kdsl.testing.simt.memory import Access, History
from kdsl_ptx.hopper.lower.shared import accumulator_layout

WORD = 4
PANEL = 64
WARP = 32
WARPGROUP = 128
MOST_WARPGROUPS = 4
"""Each has a part of the matrix unit, which reads memory too."""
ROW_BYTES = 128
ATOM_BYTES = 1024
Lanes = np.ndarray


# ---------------------------------------------------------------------------------------- host


@dataclass(eq=False)
class Map:
    """A tensor map: the array, its dimensions of rows and columns, what one copy moves."""

    array: np.ndarray
    dims: tuple[int, int]
    box: tuple[int, int]
    split: bool
    stops: tuple[int, ...]

    def part(self, coords: Sequence[int]) -> tuple[Any, ...]:
        """Return (first row, first column, outer indices) of a copy."""
        x, y = coords[0], coords[1]
        if self.split:
            return y, x + PANEL * coords[2], tuple(coords[3:])
        return y, x, tuple(coords[2:])

    def rows_of(self, coords: Sequence[int]) -> tuple[np.ndarray, int, int, int, int]:
        """Return the 2-D array that a copy is from, and where it starts and has to stop."""
        row, col, outer = self.part(coords)
        r, c = self.dims
        others = [d for d in range(self.array.ndim) if d not in (r, c)]
        index: list[Any] = [slice(None)] * self.array.ndim
        for d, at in zip(reversed(others), outer, strict=True):
            index[d] = at
        part = self.array[tuple(index)]
        stops = [*self.stops, *part.shape[len(self.stops) :]]
        return part, row, col, min(stops[0], part.shape[0]), min(stops[1], part.shape[1])


def tensor_map(frame: Any, op: Any, source: Any, *rows: Any) -> Any:
    """Keep a map and give its number."""
    maps = frame.state.setdefault("maps", [])
    maps.append(
        Map(source.view(np.ndarray), op.dims, op.box, op.split, tuple(int(n) for n in rows))
    )
    return np.int64(len(maps) - 1)


def counter(frame: Any, op: Any) -> Any:
    """Give the address of a word that is zero."""
    del op
    word = np.zeros(1, np.int32)
    address = word.__array_interface__["data"][0]
    frame.state.setdefault("words", {})[address] = word
    return np.int64(address)


def sm_count(frame: Any, op: Any) -> Any:
    """Say that the device is small, so that a program draws several tiles."""
    del frame, op
    return np.int64(PROCESSORS)


PROCESSORS = 2
HOST = {"ptx.tensor_map": tensor_map, "ptx.counter": counter, "ptx.sm_count": sm_count}


# ------------------------------------------------------------------------------- shared memory


@dataclass(eq=False)
class Shared:
    """The bytes of a workgroup's memory, who touched each word, and which a copy reads.

    ``plain`` words were written by ordinary stores, and no fence lets the engines see that yet.
    """

    bytes: np.ndarray
    buffer: LaneBuffer
    leaving: np.ndarray
    plain: np.ndarray

    def access(self, op: Any, addresses: Lanes, lanes: Lanes, size: int) -> Access:
        """Return the words of runs of ``size`` bytes, one run for each address."""
        words = (addresses[:, None] // WORD + np.arange(-(-size // WORD))[None]).reshape(-1)
        owners = np.repeat(lanes, -(-size // WORD))
        if (addresses < 0).any() or (addresses + size > self.bytes.size).any():
            raise InterpreterError(op.loc, op=op.name, what=f"shared address {addresses.max()}")
        if (addresses % min(size, 16)).any():
            raise InterpreterError(op.loc, op=op.name, what=f"address {addresses} of {size} bytes")
        return Access(op, self.buffer, (words,), owners, words)


def shared_of(group: Workgroup) -> Shared:
    found = group.state.get("shared")
    assert isinstance(found, Shared)
    return found


def shared_base(group: Workgroup, op: Any) -> tuple[Any, ...]:
    if "shared" not in group.state:
        raw = np.empty(op.bytes, np.uint8)
        raw[...] = poisoned((1,), I8)[0].view(np.uint8)
        words = -(-op.bytes // WORD)
        history = History(words, group.memory.clock)
        history.in_flight = np.zeros(words, np.bool_)
        buffer = LaneBuffer(np.zeros(words, np.int32), "shared memory", history)
        group.state["shared"] = Shared(
            raw, buffer, np.zeros(words, np.int64), np.zeros(words, np.bool_)
        )
    return (np.zeros(1, np.int32),)


def _get(group: Workgroup, op: Any, addresses: Lanes, lanes: Lanes, size: int) -> np.ndarray:
    """Read runs of bytes: [addresses, size]."""
    shared = shared_of(group)
    group.memory.reads(shared.access(op, addresses, lanes, size))
    return np.asarray(shared.bytes[addresses[:, None] + np.arange(size)[None]])


def _put(group: Workgroup, op: Any, addresses: Lanes, lanes: Lanes, data: np.ndarray) -> None:
    shared = shared_of(group)
    access = shared.access(op, addresses, lanes, data.shape[1])
    group.memory.writes(access)
    _stays(op, shared, access)
    shared.plain[access.numbers] = True
    shared.bytes[addresses[:, None] + np.arange(data.shape[1])[None]] = data


def _stays(op: Any, shared: Shared, access: Access) -> None:
    if shared.leaving[access.numbers].any():
        what = "it writes shared memory that a copy still reads"
        raise InterpreterError(op.loc, op=op.name, what=what)


def _fenced(op: Any, shared: Shared, access: Access) -> None:
    """Raise where an engine reads what an ordinary store wrote without a fence behind it."""
    if shared.plain[access.numbers].any():
        what = "it reads what was stored without a ptx.fence_proxy_async behind"
        raise InterpreterError(op.loc, op=op.name, what=what)


def fence_proxy_async(group: Workgroup, op: Any) -> tuple[Any, ...]:
    """Let the engines see what the active lanes stored."""
    del op
    shared = shared_of(group)
    history = shared.buffer.history
    assert history is not None
    writer = history.writer
    fences = np.zeros(int(writer.max(initial=0)) + group.lanes + 1, np.bool_)
    fences[: group.lanes] = group.mask
    shared.plain &= ~(fences[np.maximum(writer, 0)] & (writer >= 0))
    return ()


def load_shared(group: Workgroup, op: Any, address: Lanes) -> tuple[Any, ...]:
    count = len(op.results)
    lanes = np.flatnonzero(group.mask)
    data = _get(group, op, group.spread(address)[lanes].astype(np.int64), lanes, WORD * count)
    found = []
    for i, out in enumerate(op.results):
        made = np.zeros(group.lanes, out.type.numpy)
        made[lanes] = data[:, WORD * i : WORD * i + WORD].copy().view(out.type.numpy)[:, 0]
        found.append(made)
    return tuple(found)


def store_shared(group: Workgroup, op: Any, address: Lanes, *words: Lanes) -> tuple[Any, ...]:
    lanes = np.flatnonzero(group.mask)
    parts = [np.ascontiguousarray(group.spread(w)[lanes]).view(np.uint8) for w in words]
    data = np.concatenate([p.reshape(len(lanes), WORD) for p in parts], axis=1)
    _put(group, op, group.spread(address)[lanes].astype(np.int64), lanes, data)
    return ()


# ------------------------------------------------------------------------------------- barriers


@dataclass(eq=False)
class Mbarrier:
    """A phase ends when all arrivals and all bytes are there."""

    count: int
    left: int
    bytes: int = 0
    phases: int = 0
    known: np.ndarray | None = None
    passed: list[np.ndarray] = field(default_factory=list)

    def learn(self, known: np.ndarray) -> None:
        self.known = known if self.known is None else np.maximum(self.known, known)

    def settle(self) -> None:
        if self.left == 0 and self.bytes == 0:
            assert self.known is not None
            self.passed.append(self.known)
            self.phases, self.left = self.phases + 1, self.count
            self.known = None


def _barrier(group: Workgroup, op: Any, address: int) -> Mbarrier:
    found = group.state.get(("mbarrier", address))
    if found is None:
        what = f"there is no barrier at {address}"
        raise InterpreterError(op.loc, op=op.name, what=what)
    assert isinstance(found, Mbarrier)
    return found


def mbarrier_init(group: Workgroup, op: Any, address: Lanes) -> tuple[Any, ...]:
    at = int(group.agreed(address))
    group.state["mbarrier", at] = Mbarrier(op.count, op.count)
    return ()


def _arrive(group: Workgroup, op: Any, address: Lanes, size: int) -> None:
    at = group.spread(address)
    for lane in np.flatnonzero(group.mask):
        barrier = _barrier(group, op, int(at[lane]))
        if barrier.left == 0:
            what = f"more than {barrier.count} arrivals in one phase at {int(at[lane])}"
            raise InterpreterError(op.loc, op=op.name, what=what)
        barrier.learn(group.memory.clock.release(np.array([lane])))
        barrier.left -= 1
        barrier.bytes += size
        barrier.settle()


def mbarrier_expect(group: Workgroup, op: Any, address: Lanes) -> tuple[Any, ...]:
    _arrive(group, op, address, op.bytes)
    return ()


def mbarrier_arrive(group: Workgroup, op: Any, address: Lanes) -> tuple[Any, ...]:
    _arrive(group, op, address, 0)
    return ()


def mbarrier_wait(group: Workgroup, op: Any, address: Lanes, parity: Lanes) -> tuple[Any, ...]:
    """Wait while the present phase has this parity."""
    lanes = np.flatnonzero(group.mask)
    at, parities = group.spread(address)[lanes], group.spread(parity)[lanes]
    for place in np.unique(at):
        barrier = _barrier(group, op, int(place))
        own = lanes[at == place]
        wanted = int(parities[at == place][0])
        group.wait(
            op, partial(_has_other_parity, barrier, wanted), f"for phase {wanted} at {place}"
        )
        if barrier.passed:
            group.memory.clock.acquire(own, barrier.passed[-1])
    return ()


def _has_other_parity(barrier: Mbarrier, parity: int) -> bool:
    return barrier.phases % 2 != parity


def bar_sync(group: Workgroup, op: Any, number: Lanes) -> tuple[Any, ...]:
    group.meet(op, int(group.agreed(number)), op.threads)
    return ()


def bar_arrive(group: Workgroup, op: Any, number: Lanes) -> tuple[Any, ...]:
    group.meet(op, int(group.agreed(number)), op.threads, waits=False)
    return ()


def warp_sync(group: Workgroup, op: Any) -> tuple[Any, ...]:
    del op
    lanes = np.flatnonzero(group.mask)
    for warp in np.unique(lanes // WARP):
        group.memory.clock.barrier(lanes[lanes // WARP == warp])
    return ()


def nothing(group: Workgroup, op: Any, *operands: Any) -> tuple[Any, ...]:
    del group, op, operands
    return ()


# ---------------------------------------------------------------------------------- bulk copies


def swizzled(offsets: np.ndarray) -> np.ndarray:
    """Return where bytes at plain offsets are: 16-byte chunks change places in rows of 128."""
    return np.asarray(offsets ^ (offsets >> 7 & 7) << 4)


def _boxes(map_: Map) -> tuple[int, int]:
    """Return rows and panels of one copy."""
    rows, cols = map_.box
    return rows, -(-cols // PANEL) if map_.split else 1


def _targets(base: int, rows: int, panels: int) -> np.ndarray:
    """Return the address of each 16-byte chunk of a copy: [panels, rows, 8]."""
    panel, row, chunk = np.ogrid[:panels, :rows, : ROW_BYTES // 16]
    return swizzled(base + panel * rows * ROW_BYTES + row * ROW_BYTES + chunk * 16)


def tma_load(
    group: Workgroup, op: Any, target: Lanes, map_: Lanes, barrier: Lanes, *coords: Lanes
) -> tuple[Any, ...]:
    (lane,) = np.flatnonzero(group.mask)
    at, number, full = (int(group.agreed(v)) for v in (target, map_, barrier))
    found = group.state["host"]["maps"][number]
    place = [int(group.agreed(c)) for c in coords]
    rows, panels = _boxes(found)
    if at % ATOM_BYTES:
        raise InterpreterError(op.loc, op=op.name, what=f"a copy to {at}, no multiple of 1024")
    addresses = _targets(at, rows, panels).reshape(-1)
    shared = shared_of(group)
    owners = np.full(len(addresses), lane)
    access = shared.access(op, addresses, owners, 16)
    group.memory.writes(access)
    _stays(op, shared, access)
    history = access.buffer.history
    assert history is not None
    assert history.in_flight is not None
    history.in_flight[access.numbers] = True

    def arrive() -> None:
        history.in_flight[access.numbers] = False
        history.written[access.numbers] = group.memory.clock.tick
        tile = _tile(found, place, rows, panels)
        shared.bytes[addresses[:, None] + np.arange(16)[None]] = tile.reshape(-1, 16)
        shared.plain[access.numbers] = False
        done = _barrier(group, op, full)
        done.learn(group.memory.clock.release(np.array([lane])))
        done.bytes -= len(addresses) * 16
        if done.left == 0:
            done.settle()

    assert group.fibers is not None
    group.fibers.later(arrive)
    return ()


def _tile(map_: Map, place: list[int], rows: int, panels: int) -> np.ndarray:
    """Return the bytes of a copy: [panels, rows, 128]; zeros outside of the array."""
    part, row, col, last_row, last_col = map_.rows_of(place)
    tile = np.zeros((rows, panels * PANEL), part.dtype)
    r0, r1 = max(row, 0), min(row + rows, last_row)
    c0, c1 = max(col, 0), min(col + panels * PANEL, last_col)
    if r0 < r1 and c0 < c1:
        tile[r0 - row : r1 - row, c0 - col : c1 - col] = part[r0:r1, c0:c1]
    return np.ascontiguousarray(tile.reshape(rows, panels, PANEL).swapaxes(0, 1)).view(np.uint8)


def tma_store(
    group: Workgroup, op: Any, map_: Lanes, source: Lanes, *coords: Lanes
) -> tuple[Any, ...]:
    (lane,) = np.flatnonzero(group.mask)
    number, at = int(group.agreed(map_)), int(group.agreed(source))
    found = group.state["host"]["maps"][number]
    place = [int(group.agreed(c)) for c in coords]
    rows, panels = _boxes(found)
    addresses = _targets(at, rows, panels).reshape(-1)
    shared = shared_of(group)
    access = shared.access(op, addresses, np.full(len(addresses), lane), 16)
    group.memory.reads(access)
    _fenced(op, shared, access)
    shared.leaving[access.numbers] += 1
    copies = group.state.setdefault(("bulk", int(lane)), [[]])
    done: list[bool] = []
    copies[-1].append(done)

    def leave() -> None:
        raw = shared.bytes[addresses[:, None] + np.arange(16)[None]]
        part, row, col, last_row, last_col = found.rows_of(place)
        tile = raw.reshape(panels, rows, ROW_BYTES).view(part.dtype)
        tile = tile.swapaxes(0, 1).reshape(rows, panels * PANEL)
        r0, r1 = max(row, 0), min(row + rows, last_row)
        c0, c1 = max(col, 0), min(col + panels * PANEL, last_col)
        if r0 < r1 and c0 < c1:
            inside = part[r0:r1, c0:c1]
            _write_global(group, op, inside, int(lane))
            inside[...] = tile[r0 - row : r1 - row, c0 - col : c1 - col]
        shared.leaving[access.numbers] -= 1
        done.append(True)

    assert group.fibers is not None
    group.fibers.later(leave)
    return ()


def _write_global(group: Workgroup, op: Any, part: np.ndarray, lane: int) -> None:
    """Check that nobody else writes or reads what a copy writes."""
    buffer = group.memory.of_array(part, "what a map is for")
    at = tuple(i.reshape(-1) for i in np.indices(part.shape))
    lanes = np.full(part.size, lane)
    group.memory.writes(Access(op, buffer, at, lanes, buffer.numbers(at)))


def bulk_commit(group: Workgroup, op: Any) -> tuple[Any, ...]:
    del op
    for lane in np.flatnonzero(group.mask):
        group.state.setdefault(("bulk", int(lane)), [[]]).append([])
    return ()


def bulk_wait(group: Workgroup, op: Any) -> tuple[Any, ...]:
    for lane in np.flatnonzero(group.mask):
        copies = group.state.setdefault(("bulk", int(lane)), [[]])
        old = [done for copy in copies[: len(copies) - 1 - op.pending] for done in copy]
        group.wait(op, partial(all, _Live(old)), "for its copies to leave")
    return ()


class _Live:
    """Whether each copy is done, looked at anew each time."""

    def __init__(self, flags: list[list[bool]]) -> None:
        self.flags = flags

    def __iter__(self) -> Any:
        return iter([bool(flag) for flag in self.flags])


# ---------------------------------------------------------------------------------- matrix unit


@dataclass(eq=False)
class Product:
    """A product on its way: what it multiplies is read when it is waited for."""

    op: Any
    lanes: np.ndarray
    operands: tuple[Any, ...]
    out: np.ndarray


def _warpgroups(group: Workgroup, op: Any) -> list[int]:
    here = group.mask.reshape(-1, WARPGROUP)
    if (here.any(axis=1) != here.all(axis=1)).any():
        raise InterpreterError(op.loc, op=op.name, what="lanes of a warpgroup are missing")
    return [int(i) for i in np.flatnonzero(here.all(axis=1))]


def wgmma(group: Workgroup, op: Any, *operands: Lanes) -> tuple[Any, ...]:
    kind = op.y.type
    out = np.full((group.lanes, kind.size), np.nan, kind.element.numpy)
    for number in _warpgroups(group, op):
        lanes = np.arange(number * WARPGROUP, (number + 1) * WARPGROUP)
        queue = group.state.setdefault(("products", number), [[]])
        queue[-1].append(Product(op, lanes, operands, out))
        # The unit sees what all lanes of the warpgroup have seen.
        clock = group.memory.clock
        clock.acquire(np.array([group.lanes + number * WARP]), clock.seen[lanes].min(axis=0))
    return (out,)


def wgmma_commit(group: Workgroup, op: Any) -> tuple[Any, ...]:
    for number in _warpgroups(group, op):
        group.state.setdefault(("products", number), [[]]).append([])
    return ()


def wgmma_wait(group: Workgroup, op: Any, *values: Lanes) -> tuple[Any, ...]:
    for number in _warpgroups(group, op):
        queue = group.state.setdefault(("products", number), [[]])
        while len(queue) - 1 > op.pending:
            for product in queue.pop(0):
                _multiply(group, product)
        # The unit works for the warpgroup as a whole: whoever waited knows that all was read.
        unit = np.array([group.lanes + number * WARP])
        lanes = np.arange(number * WARPGROUP, (number + 1) * WARPGROUP)
        group.memory.clock.acquire(lanes, group.memory.clock.release(unit))
    return values


def _multiply(group: Workgroup, product: Product) -> None:
    op, lanes = product.op, product.lanes
    a, b, *acc = (group.spread(v)[lanes] for v in product.operands)
    element = SCALARS[op.type].numpy
    depth = 32 // element.itemsize
    reader = group.lanes + int(lanes[0]) // WARPGROUP * WARP
    if op.in_registers:
        at = accumulator_layout((64, depth), 1).indices().reshape(WARPGROUP, -1, 2)
        left = np.zeros((64, depth), element)
        left[at[..., 0], at[..., 1]] = a
    else:
        left = _operand(
            group, op, int(a[0]) + op.step_a, 64, depth, reader, transposed=op.transpose_a
        )
    right = _operand(
        group, op, int(b[0]) + op.step_b, op.n, depth, reader, transposed=op.transpose_b
    )
    at = accumulator_layout((64, op.n), 1).indices().reshape(WARPGROUP, -1, 2)
    sums = left.astype(np.float32) @ right.T.astype(np.float32)
    found = sums[at[..., 0], at[..., 1]]
    product.out[lanes] = found + acc[0] if acc else found


def _operand(
    group: Workgroup,
    op: Any,
    descriptor: int,
    rows: int,
    depth: int,
    lane: int,
    *,
    transposed: bool,
) -> np.ndarray:
    """Return the operand that a descriptor is for: [rows, depth]."""
    element = SCALARS[op.type].numpy
    start, leading = (descriptor & 0x3FFF) << 4, (descriptor >> 16 & 0x3FFF) << 4
    stride, swizzle = (descriptor >> 32 & 0x3FFF) << 4, descriptor >> 62 & 3
    if swizzle != 1 or stride != ATOM_BYTES:
        raise InterpreterError(op.loc, op=op.name, what=f"descriptor {descriptor:#x}")
    if transposed:
        k, chunk = np.mgrid[:depth, : rows // 8]
        plain = start + chunk // 8 * leading + k // 8 * stride + k % 8 * ROW_BYTES + chunk % 8 * 16
    else:
        row, chunk = np.mgrid[:rows, : depth // 8]
        plain = start + row // 8 * stride + row % 8 * ROW_BYTES + chunk * 16
    addresses = swizzled(plain).reshape(-1)
    shared, owners = shared_of(group), np.full(addresses.shape, lane)
    _fenced(op, shared, shared.access(op, addresses, owners, 16))
    data = _get(group, op, addresses, owners, 16).view(element)
    return data.reshape(depth, rows).T if transposed else data.reshape(rows, depth)


def ldmatrix(group: Workgroup, op: Any, address: Lanes) -> tuple[Any, ...]:
    kind = op.y.type
    lanes = np.flatnonzero(group.mask)
    gives = lanes[lanes % WARP < 8 * op.count]
    rows = np.zeros((group.lanes, 8), kind.element.numpy)
    at = group.spread(address)[gives].astype(np.int64)
    rows[gives] = _get(group, op, at, gives, 16).view(kind.element.numpy)
    matrices = rows.reshape(-1, 4, 8, 8)[:, : op.count]
    if op.transpose:
        matrices = matrices.swapaxes(2, 3)
    own = np.arange(WARP)
    pairs = matrices[:, :, (own // 4)[:, None], (2 * (own % 4))[:, None] + np.arange(2)]
    return (pairs.transpose(0, 2, 1, 3).reshape(group.lanes, kind.size),)


def stmatrix(group: Workgroup, op: Any, address: Lanes, value: Lanes) -> tuple[Any, ...]:
    lanes = np.flatnonzero(group.mask)
    held = group.spread(value).reshape(-1, WARP, op.count, 2)
    matrices = np.zeros((held.shape[0], op.count, 8, 8), value.dtype)
    own = np.arange(WARP)
    rows, cols = (own // 4)[:, None], (2 * (own % 4))[:, None] + np.arange(2)
    matrices[:, :, rows, cols] = held.transpose(0, 2, 1, 3)
    if op.transpose:
        matrices = matrices.swapaxes(2, 3)
    takes = lanes[lanes % WARP < 8 * op.count]
    data = np.ascontiguousarray(matrices[takes // WARP, takes % WARP // 8, takes % 8])
    at = group.spread(address)[takes].astype(np.int64)
    _put(group, op, at, takes, data.view(np.uint8).reshape(len(takes), 16))
    return ()


# -------------------------------------------------------------------------- registers and warps


def variable_get(group: Workgroup, op: Any) -> tuple[Any, ...]:
    kind = op.y.type.numpy
    held = group.state.setdefault(("variable", op.variable), np.zeros(group.lanes, kind))
    return (held.copy(),)


def variable_set(group: Workgroup, op: Any, value: Lanes) -> tuple[Any, ...]:
    held = group.state.setdefault(("variable", op.variable), np.zeros(group.lanes, value.dtype))
    held[group.mask] = group.spread(value)[group.mask]
    return ()


def _of_warps(group: Workgroup, values: Lanes, combine: Any, rest: Any) -> Lanes:
    spread = np.where(group.mask, group.spread(values), rest).reshape(-1, WARP)
    return np.repeat(combine.reduce(spread, axis=1), WARP)


def redux_or(group: Workgroup, op: Any, x: Lanes) -> tuple[Any, ...]:
    group.subgroups_here(op)
    return (_of_warps(group, x, np.bitwise_or, x.dtype.type(0)),)


def vote_any(group: Workgroup, op: Any, condition: Lanes) -> tuple[Any, ...]:
    group.subgroups_here(op)
    return (_of_warps(group, condition, np.logical_or, False),)


def vote_all(group: Workgroup, op: Any, condition: Lanes) -> tuple[Any, ...]:
    group.subgroups_here(op)
    return (_of_warps(group, condition, np.logical_and, True),)


def elect(group: Workgroup, op: Any) -> tuple[Any, ...]:
    del op
    return (group.numbers % WARP == 0,)


def special(group: Workgroup, op: Any) -> tuple[Any, ...]:
    one = {
        "tid.x": group.numbers, "laneid": group.numbers % WARP, "warpid": group.numbers // WARP,
        "ctaid.x": np.array([group.program_ids[0]]), "nctaid.x": np.array([group.grid[0]]),
    }  # fmt: skip
    return (one[op.register].astype(np.int32),)


def _word_at(group: Workgroup, op: Any, address: Lanes) -> np.ndarray:
    words = group.state["host"].get("words", {})
    at = int(group.agreed(address))
    if at not in words:
        raise InterpreterError(op.loc, op=op.name, what="it is no counter's address")
    return np.asarray(words[at])


def atomic_add(group: Workgroup, op: Any, address: Lanes, value: Lanes) -> tuple[Any, ...]:
    word = _word_at(group, op, address)
    found = np.zeros(group.lanes, np.int32)
    for lane in np.flatnonzero(group.mask):
        found[lane] = word[0]
        word[0] += group.spread(value)[lane]
    return (found,)


def store_global(group: Workgroup, op: Any, address: Lanes, value: Lanes) -> tuple[Any, ...]:
    _word_at(group, op, address)[0] = group.agreed(value)
    return ()


APPROXIMATE = {
    "exp2": np.exp2, "log2": np.log2, "tanh": np.tanh, "sin": np.sin, "cos": np.cos,
    "reciprocal": np.reciprocal, "rsqrt": lambda x: 1 / np.sqrt(x), "sqrt": np.sqrt,
}  # fmt: skip


def approximate(group: Workgroup, op: Any, x: Lanes) -> tuple[Any, ...]:
    del group
    return (np.asarray(APPROXIMATE[op.function](x)).astype(x.dtype),)


RULES = {
    f"ptx.{name}": rule
    for name, rule in {
        "shared_base": shared_base, "load_shared": load_shared, "store_shared": store_shared,
        "mbarrier_init": mbarrier_init, "mbarrier_expect": mbarrier_expect,
        "mbarrier_arrive": mbarrier_arrive, "mbarrier_wait": mbarrier_wait,
        "bar_sync": bar_sync, "bar_arrive": bar_arrive, "warp_sync": warp_sync,
        "fence_proxy_async": fence_proxy_async,
        "tma_load": tma_load, "tma_store": tma_store, "bulk_commit": bulk_commit,
        "bulk_wait": bulk_wait, "wgmma": wgmma, "wgmma_commit": wgmma_commit,
        "wgmma_wait": wgmma_wait, "ldmatrix": ldmatrix, "stmatrix": stmatrix,
        "variable_get": variable_get, "variable_set": variable_set, "redux_or": redux_or,
        "vote_any": vote_any, "vote_all": vote_all, "elect": elect, "special": special,
        "atomic_add": atomic_add, "store_global": store_global, "approximate": approximate,
        **dict.fromkeys(
            ("fence_mbarrier_init", "tma_prefetch", "wgmma_fence",
             "set_max_registers", "griddep_wait", "griddep_launch"),
            nothing,
        ),
    }.items()
}  # fmt: skip


def machine(seed: int = 0) -> Machine:
    """Return the machine with warpgroups that go their own ways."""
    return Machine(RULES, HOST, WARPGROUP, seed, MOST_WARPGROUPS)
