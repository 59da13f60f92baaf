"""How the lanes of a workgroup run each op that is more than arithmetic on single lanes."""

from __future__ import annotations

from typing import Any

import numpy as np

from kdsl.dialects.memref import poisoned
from kdsl.dialects.numeric import signless, unsigned
from kdsl.dialects.vector import REDUCTIONS
from kdsl.errors import InterpreterError
from kdsl.testing.simt.control import CONTROL
from kdsl.testing.simt.group import Rule, Workgroup
from kdsl.testing.simt.memory import LaneBuffer, access_of
from kdsl.testing.simt.together import TOGETHER

Lanes = np.ndarray


# --------------------------------------------------------------------------------- who am I


def _constant(group: Workgroup, op: Any) -> tuple[Any, ...]:
    del group
    return (np.asarray(op.evaluate())[None],)


def _program_id(group: Workgroup, op: Any) -> tuple[Any, ...]:
    return (np.array([group.program_ids[op.axis]], np.int64),)


def _num_programs(group: Workgroup, op: Any) -> tuple[Any, ...]:
    return (np.array([group.grid[op.axis]], np.int64),)


def _thread_id(group: Workgroup, op: Any) -> tuple[Any, ...]:
    along_x = op.dimension.text == "#gpu<dim x>"
    return (group.numbers if along_x else np.zeros(1, np.int64),)


# ---------------------------------------------------------------------------------- effects


def _assert(group: Workgroup, op: Any, condition: Lanes) -> tuple[Any, ...]:
    op.evaluate(bool(group.spread(condition)[group.mask].all()))
    return ()


def _print(group: Workgroup, op: Any, *values: Lanes) -> tuple[Any, ...]:
    for lane in np.flatnonzero(group.mask):
        op.evaluate(*[v[lane if v.shape[0] > 1 else 0] for v in values])
    return ()


def _nothing(group: Workgroup, op: Any, *operands: Any) -> tuple[Any, ...]:
    del group, op, operands
    return ()


# ----------------------------------------------------------------------------------- memory


def _workgroup_alloc(group: Workgroup, op: Any) -> tuple[Any, ...]:
    """Return the op's memory: the same one however often the op runs."""
    if op not in group.state:
        group.state[op] = _allocated(group, op)
    return (group.state[op],)


def _allocated(group: Workgroup, op: Any) -> LaneBuffer:
    kind, align = op.y.type, op.align
    item = kind.element.numpy.itemsize
    strides = kind.element_strides
    span = 1 + sum((n - 1) * s for n, s in zip(kind.shape, strides, strict=True))
    raw = np.empty(span * item + align, np.uint8)
    skip = -raw.__array_interface__["data"][0] % align
    flat = raw[skip : skip + span * item].view(kind.element.numpy)
    flat[...] = poisoned((1,), kind.element)
    array = np.lib.stride_tricks.as_strided(flat, kind.shape, [s * item for s in strides])
    return group.memory.workgroup(array, op.y.name or "workgroup memory")


def _alloca(group: Workgroup, op: Any, *sizes: Lanes) -> tuple[Any, ...]:
    given = [group.agreed(s) for s in sizes]
    if any(s is None for s in given):
        raise InterpreterError(op.loc, op=op.name, what="lanes want buffers of different sizes")
    made = op.buffer(tuple(given))
    array = np.repeat(made[None], group.lanes, axis=0)
    return (LaneBuffer(array, op.y.name or "a buffer", private=True),)


def _dim(group: Workgroup, op: Any, source: LaneBuffer, index: Lanes) -> tuple[Any, ...]:
    del op
    shape = source.array.shape[1:] if source.private else source.array.shape
    axis = group.agreed(index)
    return (np.array([shape[int(axis)]], np.int64),)


def _address(group: Workgroup, op: Any, source: LaneBuffer, *indices: Lanes) -> tuple[Any, ...]:
    del group, op
    found = np.full(1, source.array.__array_interface__["data"][0], np.int64)
    for index, stride in zip(indices, source.array.strides, strict=True):
        found = found + index * stride
    return (found,)


def _cast(group: Workgroup, op: Any, source: LaneBuffer) -> tuple[Any, ...]:
    del group, op
    return (source,)


def _load(group: Workgroup, op: Any, source: LaneBuffer, *indices: Lanes) -> tuple[Any, ...]:
    return (group.load(op, source, indices, group.mask),)


def _store(
    group: Workgroup, op: Any, value: Lanes, target: LaneBuffer, *indices: Lanes
) -> tuple[Any, ...]:
    group.store(op, target, indices, group.mask, value)
    return ()


def _atomic(
    group: Workgroup, op: Any, value: Lanes, target: LaneBuffer, *indices: Lanes
) -> tuple[Any, ...]:
    """Lanes update one after another."""
    access = access_of(op, target, indices, group.mask)
    group.memory.updates(access)
    given = group.spread(value)
    old = np.zeros(group.lanes, target.array.dtype)
    for k, lane in enumerate(access.lanes):
        at = tuple(i[k] for i in access.at)
        old[lane] = op.evaluate(given[lane], target.array, *at)
    return (old,)


def _run_of(indices: tuple[Lanes, ...], offsets: Lanes) -> tuple[Lanes, ...]:
    """Return the indices of several elements for each lane; ``offsets`` move the last one."""
    *outer, last = indices
    return (*(i[:, None] for i in outer), last[:, None] + offsets)


def _whole(group: Workgroup, count: int) -> Lanes:
    return np.repeat(group.mask[:, None], count, axis=1)


def _vector_load(group: Workgroup, op: Any, source: LaneBuffer, *indices: Lanes) -> Any:
    count = op.y.type.size
    at = _run_of(indices, np.arange(count)[None])
    return (group.load(op, source, at, _whole(group, count), None, op.alignment),)


def _vector_store(
    group: Workgroup, op: Any, value: Lanes, target: LaneBuffer, *indices: Lanes
) -> Any:
    count = op.value.type.size
    at = _run_of(indices, np.arange(count)[None])
    group.store(op, target, at, _whole(group, count), value, op.alignment)
    return ()


def _masked_load(group: Workgroup, op: Any, source: LaneBuffer, *rest: Lanes) -> Any:
    *indices, mask, pass_thru = rest
    at = _run_of(tuple(indices), np.arange(op.y.type.size)[None])
    return (group.load(op, source, at, group.spread(mask) & group.mask[:, None], pass_thru),)


def _masked_store(group: Workgroup, op: Any, target: LaneBuffer, *rest: Lanes) -> Any:
    *indices, mask, value = rest
    at = _run_of(tuple(indices), np.arange(op.value.type.size)[None])
    group.store(op, target, at, group.spread(mask) & group.mask[:, None], value)
    return ()


def _gather(group: Workgroup, op: Any, source: LaneBuffer, *rest: Lanes) -> Any:
    *indices, offsets, mask, pass_thru = rest
    at = _run_of(tuple(indices), offsets)
    return (group.load(op, source, at, group.spread(mask) & group.mask[:, None], pass_thru),)


def _scatter(group: Workgroup, op: Any, target: LaneBuffer, *rest: Lanes) -> Any:
    *indices, offsets, mask, value = rest
    at = _run_of(tuple(indices), offsets)
    group.store(op, target, at, group.spread(mask) & group.mask[:, None], value)
    return ()


# ---------------------------------------------------------------------------------- vectors


def _broadcast(group: Workgroup, op: Any, x: Lanes) -> Any:
    del group
    shape = op.y.type.shape
    padded = x.reshape(x.shape[0], *(1,) * (len(shape) - x.ndim + 1), *x.shape[1:])
    return (np.broadcast_to(padded, (x.shape[0], *shape)),)


def _create_mask(group: Workgroup, op: Any, count: Lanes) -> Any:
    del group
    return (np.arange(op.y.type.size)[None] < count[:, None],)


def _shuffle_elements(group: Workgroup, op: Any, a: Lanes, b: Lanes) -> Any:
    if a.shape[0] != b.shape[0]:
        a, b = group.spread(a), group.spread(b)
    return (np.concatenate([a, b], axis=1)[:, op.mask],)


def _extract(group: Workgroup, op: Any, x: Lanes) -> Any:
    del group
    return (x[:, op.static_position[0]],)


def _insert(group: Workgroup, op: Any, value: Lanes, x: Lanes) -> Any:
    made = np.array(group.spread(x) if value.shape[0] > 1 else x)
    made[:, op.static_position[0]] = value
    return (made,)


def _from_elements(group: Workgroup, op: Any, *elements: Lanes) -> Any:
    del group
    same = np.broadcast_arrays(*elements)
    return (np.stack(same, axis=1).reshape(-1, *op.y.type.shape),)


def _reduction(group: Workgroup, op: Any, x: Lanes) -> Any:
    del group
    name = op.kind_name
    if name in ("minui", "maxui"):
        combine = np.minimum if name == "minui" else np.maximum
        return (signless(combine.reduce(unsigned(x), axis=1), x),)
    return (np.asarray(REDUCTIONS[name](x, axis=1)).astype(x.dtype),)


def _bitcast(group: Workgroup, op: Any, x: Lanes) -> Any:
    del group
    return (np.ascontiguousarray(x).view(op.y.type.element.numpy),)


RULES: dict[str, Rule] = {
    "arith.constant": _constant,
    "kdsl.program_id": _program_id,
    "kdsl.num_programs": _num_programs,
    "gpu.thread_id": _thread_id,
    "cf.assert": _assert,
    "kdsl.print": _print,
    "memref.prefetch": _nothing,
    "kdsl.workgroup_alloc": _workgroup_alloc,
    "memref.alloca": _alloca,
    "memref.dim": _dim,
    "memref.cast": _cast,
    "memref.load": _load,
    "memref.store": _store,
    "memref.atomic_rmw": _atomic,
    "kdsl.address": _address,
    "vector.load": _vector_load,
    "vector.store": _vector_store,
    "vector.maskedload": _masked_load,
    "vector.maskedstore": _masked_store,
    "vector.gather": _gather,
    "vector.scatter": _scatter,
    "vector.broadcast": _broadcast,
    "vector.create_mask": _create_mask,
    "vector.shuffle": _shuffle_elements,
    "vector.extract": _extract,
    "vector.insert": _insert,
    "vector.from_elements": _from_elements,
    "vector.reduction": _reduction,
    "vector.bitcast": _bitcast,
    **CONTROL,
    **TOGETHER,
}
"""By the name of the op, so that a back end can bring ops that this folder does not know."""
