"""How many consecutive turns a lane does at a time, and which of its accesses are then aligned."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from kdsl.dialects.arith import Addi, IndexCast, constant_of
from kdsl.dialects.memref import Load, Store
from kdsl.dialects.scf import VECTORIZE, For
from kdsl.ir.core import Op, Value
from kdsl.ir.define import Elementwise, Terminator
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import I1, INDEX, MemRefType, ScalarType, element_type
from kdsl.passes.simt.rules import ACCESS_BYTES, WIDEST_BYTES
from kdsl.passes.speculation import may_trap
from kdsl.passes.vectorize.divergence import varying_values

Access = Load | Store


@dataclass(frozen=True, slots=True)
class Wide:
    """``width`` turns at a time; ``aligned`` accesses must be at multiples of their size.

    Each of these has the bytes that its address must be a multiple of. ``varying`` values differ
    between the turns.
    """

    width: int
    aligned: dict[Access, int]
    varying: set[Value]


def choose_width(loop: For) -> Wide:
    """Return how wide a lane's turns are: 1 unless all accesses are consecutive or alike.

    A lane holds up to 16 bytes of the narrowest and 32 of the widest element at a time.
    """
    varying = varying_values(loop.body, loop.induction)
    asked = loop.attributes.get(VECTORIZE, 1)
    accesses = _consecutive(loop, varying)
    if asked == 1 or not accesses:
        return Wide(1, {}, varying)
    sizes = [_itemsize(a) for a in accesses]
    width = min(ACCESS_BYTES // min(sizes), WIDEST_BYTES // max(sizes))
    while isinstance(asked, int) and asked and width > asked:
        width //= 2
    if width <= 1:
        return Wide(1, {}, varying)
    return Wide(width, _alignable(loop, accesses, varying, width), varying)


def buffer_of(access: Access) -> Value:
    """Return the buffer that is read or written."""
    found = access.source if isinstance(access, Load) else access.target
    assert isinstance(found, Value)
    return found


def _itemsize(access: Access) -> int:
    return element_type(buffer_of(access).type).numpy.itemsize


def _consecutive(loop: For, varying: set[Value]) -> list[Access] | None:
    """Return the accesses that go from turn to turn by one element.

    None when an op of the loop has no wide form, or an access goes otherwise.
    """
    found: list[Access] = []
    for op in loop.body:
        if isinstance(op, Load | Store):
            stride = _stride(op, loop, varying)
            if stride is None or (stride == 0 and isinstance(op, Store)):
                return None
            if stride:
                found.append(op)
        elif isinstance(op, DeclaredOp) and Terminator in op.traits:
            continue
        elif not _has_wide_form(op):
            return None
    return found


def _has_wide_form(op: Op) -> bool:
    return (
        isinstance(op, DeclaredOp)
        and Elementwise in op.traits
        and not may_trap(op)
        and all(isinstance(v.type, ScalarType) for v in (*op.operands, *op.results))
    )


def _stride(access: Access, loop: For, varying: set[Value]) -> int | None:
    """Return 1 for consecutive elements, 0 when all turns touch the same one, else None."""
    memory = buffer_of(access)
    indices = access.indices
    if memory in varying or not varying.isdisjoint(indices[:-1]):
        return None
    if not indices or indices[-1] not in varying:
        return 0
    kind = memory.type
    assert isinstance(kind, MemRefType)
    if kind.element is I1 or kind.element_strides[-1] != 1:
        return None
    return 1 if offset_from(indices[-1], loop.induction, varying) is not None else None


Terms = tuple[int, ...]


def offset_from(index: Value, induction: Value, varying: set[Value]) -> tuple[int, Terms] | None:
    """Return what is added to the counter: a constant, and uniform terms by identity.

    None when the index is not the counter plus something that all turns agree on.
    """
    if index is induction:
        return 0, ()
    op = index.op
    if isinstance(op, IndexCast) and index.type is INDEX:
        return offset_from(op.x, induction, varying)
    if not isinstance(op, Addi):
        return None
    for inner, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
        if other in varying:
            continue
        found = offset_from(inner, induction, varying)
        if found is None:
            return None
        known = constant_of(other)
        if known is not None:
            return found[0] + int(known), found[1]
        return found[0], tuple(sorted((*found[1], id(other))))
    return None


def _alignable(
    loop: For, accesses: list[Access], varying: set[Value], width: int
) -> dict[Access, int]:
    """Return which accesses can be aligned together.

    Of those to neighbouring elements of one buffer, only the ones that are whole vectors apart can:
    those with the stores, else the most.
    """
    places: dict[Access, tuple[object, int]] = {}
    votes: dict[object, Counter[int]] = {}
    for access in accesses:
        found = offset_from(access.indices[-1], loop.induction, varying)
        assert found is not None
        outer = tuple(id(v) for v in access.indices[:-1])
        group = (id(buffer_of(access)), outer, found[1])
        places[access] = group, found[0] % width
        weight = len(accesses) if isinstance(access, Store) else 1
        votes.setdefault(group, Counter())[found[0] % width] += weight
    return {
        access: min(ACCESS_BYTES, width * _itemsize(access))
        for access, (group, residue) in places.items()
        if votes[group].most_common(1)[0][0] == residue
    }
