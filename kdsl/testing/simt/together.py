"""What lanes do together: barriers, shuffles, matrix units, and copies on the side."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects.memref import poisoned
from kdsl.errors import DivergentBarrierError, InterpreterError
from kdsl.target.atoms import ATOMS
from kdsl.testing.simt.group import Pending, Rule, Workgroup
from kdsl.testing.simt.memory import Access, LaneBuffer, access_of

Lanes = np.ndarray


def _barrier(group: Workgroup, op: Any) -> tuple[Any, ...]:
    if group.fibers is not None:
        group.meet(op, 0, group.lanes)
        return ()
    group.all_here(op)
    group.memory.clock.barrier()
    return ()


def _shuffle(group: Workgroup, op: Any, value: Lanes, offset: Lanes, width: Lanes) -> Any:
    """Read another lane of the same run of ``width`` lanes; one that is not active is an error."""
    lane, by = group.numbers, group.spread(offset).astype(np.int64)
    size = group.spread(width).astype(np.int64)
    if (size[group.mask] > group.subgroup).any() or (size[group.mask] < 1).any():
        what = f"width {int(size[group.mask].max())} of subgroups of {group.subgroup} lanes"
        raise InterpreterError(op.loc, op=op.name, what=what)
    size = np.maximum(size, 1)
    first = lane - lane % size
    wanted = {
        "xor": first + ((lane - first) ^ by), "up": lane - by, "down": lane + by, "idx": first + by
    }[op.mode_name]  # fmt: skip
    valid = (wanted >= first) & (wanted < first + size)
    source = np.where(valid, wanted, lane)
    missing = np.flatnonzero(group.mask & ~group.mask[source])
    if missing.size:
        raise DivergentBarrierError(
            op.loc, op=op.name, reached=int(group.mask.sum()), lanes=group.subgroup
        )
    return group.spread(value)[source], valid


def _matrix_multiply(group: Workgroup, op: Any, a: Lanes, b: Lanes, c: Lanes) -> Any:
    here = group.subgroups_here(op)
    atom = ATOMS[op.atom]
    if atom.subgroup != group.subgroup:
        what = f"{atom.name} is for {atom.subgroup} lanes, a subgroup has {group.subgroup}"
        raise InterpreterError(op.loc, op=op.name, what=what)
    a, b, c = (group.spread(v).reshape(-1, group.subgroup, v.shape[1]) for v in (a, b, c))
    left = _matrix(op, atom.a, (atom.m, atom.k), a)
    right = _matrix(op, atom.b, (atom.k, atom.n), b)
    wide = c.dtype
    sums = _matrix(op, atom.c, (atom.m, atom.n), c) + np.matmul(
        left.astype(wide), right.astype(wide)
    )
    rows, cols = _places(op, atom.c, c.shape[2])
    found = sums[:, rows, cols]
    found[~here] = c[~here]
    return (found.reshape(group.lanes, -1),)


def _places(op: Any, layout: Any, registers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and column of each lane's registers: [lanes, registers]."""
    at = layout.indices()[0]
    if at.shape[1] != registers:
        what = f"{registers} registers where the layout has {at.shape[1]}"
        raise InterpreterError(op.loc, op=op.name, what=what)
    return at[..., 0], at[..., 1]


def _matrix(op: Any, layout: Any, shape: tuple[int, int], lanes: np.ndarray) -> np.ndarray:
    """Return the matrices that fragments hold: [subgroups, rows, columns]."""
    rows, cols = _places(op, layout, lanes.shape[2])
    found = np.zeros((lanes.shape[0], *shape), lanes.dtype)
    found[:, rows, cols] = lanes
    copies = np.ascontiguousarray(found[:, rows, cols]).view(np.uint8) != (
        np.ascontiguousarray(lanes).view(np.uint8)
    )
    if copies.any():
        raise InterpreterError(op.loc, op=op.name, what="copies of one element differ")
    return found


# --------------------------------------------------------------------------- copies on the side


def _copy_async(group: Workgroup, op: Any, *operands: Any) -> tuple[Any, ...]:
    source, target, valid, *indices = operands
    rank = op.source.type.rank
    source_at, target_at = tuple(indices[:rank]), tuple(indices[rank:])
    valid = group.spread(valid)
    count = op.count
    whole = np.repeat(group.mask[:, None], count, axis=1)
    read = np.repeat((group.mask & valid)[:, None], count, axis=1)
    values = group.load(op, source, _run(source_at, count), read, None, op.bytes)
    access = access_of(op, target, _run(target_at, count), whole, op.bytes)
    group.memory.writes(access)
    _set_in_flight(access, to=True)
    target.array[access.at] = poisoned((1,), op.target.type.element)[0]
    group.pending.append(Pending(access, values[whole], group.committed[access.lanes]))
    return ()


def _run(indices: tuple[Lanes, ...], count: int) -> tuple[Lanes, ...]:
    *outer, last = indices
    return (*(i[:, None] for i in outer), last[:, None] + np.arange(count)[None])


def _set_in_flight(access: Access, *, to: bool) -> None:
    history = access.buffer.history
    if history is None:
        return
    if history.in_flight is None:
        history.in_flight = np.zeros(history.writer.shape, np.bool_)
    history.in_flight[access.numbers] = to


def _copy_commit(group: Workgroup, op: Any) -> tuple[Any, ...]:
    del op
    group.committed[group.mask] += 1
    return ()


def _copy_wait(group: Workgroup, op: Any) -> tuple[Any, ...]:
    """Let the copies of the active lanes arrive that are older than the last ``pending`` groups."""
    left: list[Pending] = []
    for each in group.pending:
        lanes = each.access.lanes
        done = group.mask[lanes] & (each.groups < group.committed[lanes] - op.pending)
        if done.any():
            _arrive(group, _part(each, done))
        if not done.all():
            left.append(_part(each, ~done))
    group.pending = left
    return ()


def _part(pending: Pending, chosen: np.ndarray) -> Pending:
    access = pending.access
    part = Access(
        access.op, access.buffer, tuple(i[chosen] for i in access.at),
        access.lanes[chosen], access.numbers[chosen],
    )  # fmt: skip
    return Pending(part, pending.values[chosen], pending.groups[chosen])


def _arrive(group: Workgroup, pending: Pending) -> None:
    access = pending.access
    _set_in_flight(access, to=False)
    group.memory.writes(access)
    access.buffer.array[access.at] = pending.values


# --------------------------------------------------------------------------- matrices from memory


def _load_matrix(group: Workgroup, op: Any, source: LaneBuffer, *indices: Lanes) -> Any:
    """Lane 8 i + r gives row r of matrix i; lane l gets two elements of row l / 4 of each."""
    group.subgroups_here(op)
    lanes = group.numbers % group.subgroup
    gives = np.repeat((group.mask & (lanes < 8 * op.count))[:, None], 8, axis=1)
    rows = group.load(op, source, _run(indices, 8), gives, None, 16)
    matrices = rows.reshape(-1, group.subgroup // 8, 8, 8)[:, : op.count]
    if op.transpose:
        matrices = matrices.swapaxes(2, 3)
    own = np.arange(group.subgroup)
    pairs = matrices[:, :, (own // 4)[:, None], (2 * (own % 4))[:, None] + np.arange(2)]
    found = pairs.transpose(0, 2, 1, 3).reshape(group.lanes, 2 * op.count)
    return (found,)


TOGETHER: dict[str, Rule] = {
    "gpu.barrier": _barrier,
    "gpu.shuffle": _shuffle,
    "kdsl.matrix_multiply": _matrix_multiply,
    "kdsl.copy_async": _copy_async,
    "kdsl.copy_commit": _copy_commit,
    "kdsl.copy_wait": _copy_wait,
    "kdsl.load_matrix": _load_matrix,
}
