"""Take masks out of the turns of a loop in which they mask nothing.

Attention masks key blocks at the diagonal and at the end of the keys; in all others every lane
stays. ``order-blocks`` lets a loop whose turns may run in any order start where the masks are, and
``peel-masks`` cuts a loop's range into masked and clean parts. Both look at selects whose
conditions compare index tiles that are linear in lane numbers and in the counter, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects.arith import (
    CMPF,
    CMPI,
    Addf,
    Addi,
    Andi,
    Ceildivsi,
    Cmpf,
    Cmpi,
    Constant,
    Floordivsi,
    IndexCast,
    Maximumf,
    Maxsi,
    Minsi,
    Mulf,
    Muli,
    Select,
    Subf,
    Subi,
    constant,
    constant_of,
    index_constant,
)
from kdsl.dialects.kdsl import Broadcast, Dot, Iota, Reduce, Reshape
from kdsl.dialects.scf import UNORDERED, For
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, BlockArgument, Module, Op, Value
from kdsl.ir.rewrite import Replacement, Rewriter, apply_greedily, pattern
from kdsl.ir.types import I1, I32, INDEX, TensorType, tensor
from kdsl.passes.affine import (
    Form,
    emit,
    facts_of,
    form_of,
    is_never_negative,
    kept_axes,
    reshaped_axes,
    scalar_form,
)
from kdsl.passes.explain import explain, place
from kdsl.passes.manager import Pass
from kdsl.target.target import Target

CLEAN = "kdsl.clean"
"""On a loop: no mask masks anything in its turns."""
NAMES = {v: k for k, v in CMPI.items()}


@dataclass(frozen=True)
class OrderBlocks(Pass):
    """Run an unordered loop backwards when its last turns are masked and its first are not."""

    name = "order-blocks"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            for op in list(function.walk()):
                if isinstance(op, For) and UNORDERED in op.attributes and _ends_masked(op):
                    _reverse(op)
                    explain(function, f"{place(op)}: runs backwards, masked blocks first")
                    changed = True
        return changed


@dataclass(frozen=True)
class PeelMasks(Pass):
    """Cut loops into masked and clean parts; masks that stay compare 32-bit lane numbers."""

    name = "peel-masks"

    def run(self, module: Module, target: Target) -> bool:
        del target
        changed = False
        for function in module.functions:
            for op in list(function.walk()):
                if isinstance(op, For) and op.parent is not None and CLEAN not in op.attributes:
                    changed |= _peel(op, function)
            for op in list(function.walk()):
                if isinstance(op, Select) and op.parent is not None:
                    changed |= _compare_lane_numbers(op)
        return changed


# ------------------------------------------------------------------------------------------- masks


@dataclass(frozen=True)
class Mask:
    """A select that keeps ``a`` where all forms are at least 0."""

    select: Select
    forms: tuple[Form, ...]


def masks_of(block: Block) -> list[Mask]:
    """Return the masks of a block that are linear."""
    found = []
    for op in block:
        if isinstance(op, Select) and isinstance(op.condition.type, TensorType):
            forms = conditions(op.condition)
            if forms:
                found.append(Mask(op, tuple(forms)))
    return found


def conditions(keep: Value) -> list[Form] | None:
    """Return forms that are all at least 0 exactly where ``keep`` holds; None when it has none."""
    op = keep.op
    if isinstance(op, Andi):
        left, right = conditions(op.lhs), conditions(op.rhs)
        return None if left is None or right is None else left + right
    if isinstance(op, Constant):
        return [] if constant_of(keep) is True else None
    if isinstance(op, Broadcast):
        if not isinstance(op.x.type, TensorType):
            return None
        inner = conditions(op.x)
        axes = kept_axes(op)
        return None if inner is None else [form.moved(axes) for form in inner]
    if isinstance(op, Reshape):
        inner, moved = conditions(op.x), reshaped_axes(op)
        return None if inner is None or moved is None else [f.moved(moved) for f in inner]
    if not isinstance(op, Cmpi):
        return None
    left_form, right_form = form_of(op.lhs), form_of(op.rhs)
    if left_form is None or right_form is None:
        return None
    match NAMES[op.predicate]:
        case "slt":
            return [(right_form - left_form).plus(-1)]
        case "sle":
            return [right_form - left_form]
        case "sgt":
            return [(left_form - right_form).plus(-1)]
        case "sge":
            return [left_form - right_form]
    return None


def _at_worst(form: Form, shape: tuple[int, ...]) -> Form:
    """Return the smallest value of a form over the lanes of a tile."""
    lowest = sum(min(0, factor * (shape[axis] - 1)) for axis, factor in form.axes.items())
    return form.without(*form.axes).plus(lowest)


def _clean_conditions(loop: For) -> list[Form] | None:
    """Return forms of scalars from outside of the loop, and its counter, that clean turns have."""
    found = []
    for mask in masks_of(loop.body):
        shape = mask.select.y.type.shape
        found += [_at_worst(form, shape) for form in mask.forms]
    known = all(
        atom is loop.induction or _is_outside(atom, loop) for form in found for atom in form.scalars
    )
    return found if found and known else None


def _is_outside(value: Value, loop: For) -> bool:
    owner = value.block.parent_op if isinstance(value, BlockArgument) else value.op
    return owner is not None and not (owner is loop or owner.is_inside(loop))


# ------------------------------------------------------------------------------------------- order


def _ends_masked(loop: For) -> bool:
    """Return whether no turn needs masks but late ones (conditions fall with the counter)."""
    forms = _clean_conditions(loop)
    if forms is None or constant_of(loop.step) != 1:
        return False
    factors = [form.coefficient(loop.induction) for form in forms]
    return any(f < 0 for f in factors)


def _reverse(loop: For) -> None:
    """Let the counter's uses read lower + upper - 1 - counter."""
    assert loop.parent is not None
    b = Builder.before(loop)
    both = b.create(Addi, loop.lower, loop.upper)
    last = b.create(Subi, both, constant(b, 1, loop.lower.type))
    inside = Builder(loop.body, loop.body.first, loop.loc)
    turned = inside.create(Subi, last, loop.induction)
    for user in list(loop.induction.users):
        if user is turned.op:
            continue
        for i, operand in enumerate(user.operands):
            if operand is loop.induction:
                user.set_operand(i, turned)
    del loop.attributes[UNORDERED]


# ------------------------------------------------------------------------------------------ peeling


def _peel(loop: For, function: Op) -> bool:
    """Cut one loop; return whether it was."""
    if constant_of(loop.step) != 1 or loop.lower.type is not INDEX:
        return False
    forms = _clean_conditions(loop)
    if forms is None:
        return False
    counter = loop.induction
    facts = facts_of(function)
    starts = [f for f in forms if f.coefficient(counter) > 0]
    ends = [f for f in forms if f.coefficient(counter) < 0]
    still = [f for f in forms if f.coefficient(counter) == 0]
    if not all(is_never_negative(f, facts) for f in still):
        explain(function, f"{place(loop)}: masks are not peeled: one is the same in every turn")
        return False
    lower, upper = scalar_form(loop.lower), scalar_form(loop.upper)
    starts = [f for f in starts if not _holds_at(f, counter, lower, facts)]
    ends = [f for f in ends if not _holds_at(f, counter, upper.plus(-1), facts)]
    b = Builder.before(loop)
    first, last = loop.lower, loop.upper
    for form in starts:
        factor = form.coefficient(counter)
        least = emit(b, form.without(counter) * -1)
        first = b.create(Maxsi, first, b.create(Ceildivsi, least, index_constant(b, factor)))
    first = b.create(Minsi, first, loop.upper) if starts else first
    for form in ends:
        factor = -form.coefficient(counter)
        most = b.create(Floordivsi, emit(b, form.without(counter)), index_constant(b, factor))
        last = b.create(Minsi, last, b.create(Addi, most, index_constant(b, 1)))
    last = b.create(Maxsi, last, first) if ends else last
    _cut(loop, first, last, bool(starts), bool(ends))
    parts = [*(["masked"] if starts else []), "clean", *(["masked"] if ends else [])]
    explain(function, f"{place(loop)}: cut into {', '.join(parts)} turns")
    return True


def _holds_at(form: Form, counter: Value, at: Form, facts: tuple[Form, ...]) -> bool:
    """Return whether a condition is proved to hold when the counter has a value."""
    return is_never_negative(form.without(counter) + at * form.coefficient(counter), facts)


def _cut(loop: For, first: Value, last: Value, has_start: bool, has_end: bool) -> None:
    """Make up to three loops of one: masked until ``first``, clean until ``last``, masked."""
    assert loop.parent is not None
    upper, inits = loop.upper, list(loop.inits)
    copies: list[For] = []
    if has_start:
        copies.append(_copy(loop, loop.lower, first, inits))
        inits = list(copies[-1].results)
    clean = _copy(loop, first, last, inits)
    _clean(clean)
    copies.append(clean)
    if has_end:
        copies.append(_copy(loop, last, upper, list(clean.results)))
    loop.replace_by(*copies[-1].results)


def _copy(loop: For, lower: Value, upper: Value, inits: list[Value]) -> For:
    assert loop.parent is not None
    copy = loop.clone()
    assert isinstance(copy, For)
    copy.set_operands([lower, upper, loop.step, *inits])
    copy.attributes[CLEAN] = False
    loop.parent.insert_before(loop, copy)
    return copy


def _clean(loop: For) -> None:
    """Remove the masks of a loop, and what guards against rows without a lane."""
    loop.attributes[CLEAN] = True
    for mask in masks_of(loop.body):
        mask.select.replace_by(mask.select.a)
    apply_greedily(loop, [drop_guard])


@pattern(Select)
def drop_guard(op: Select, rw: Rewriter) -> Replacement:
    """select(x == -inf, a, x) -> x, where x is the maximum of lanes that are not masked.

    Such an x is -inf only when the product of finite operands overflows.
    """
    del rw
    compared = op.condition.op
    if not isinstance(compared, Cmpf) or compared.predicate not in (CMPF["oeq"], CMPF["ueq"]):
        return None
    if constant_of(compared.rhs) != float("-inf"):
        return None
    x: Value = compared.lhs
    return op.b if is_unmasked(x) and is_unmasked(op.b) else None


def is_unmasked(value: Value) -> bool:
    """Return whether a value comes from lanes of a matrix product, or is a maximum over some."""
    op = value.op
    match op:
        case Dot():
            return True
        case Reduce() if op.kind in ("maximumf", "maxnumf"):
            return is_unmasked(op.x)
        case Maximumf():
            return is_unmasked(op.lhs) or is_unmasked(op.rhs)
        case Mulf() | Addf() | Subf():
            sides = [op.lhs, op.rhs]
            return any(map(is_unmasked, sides)) and all(
                is_unmasked(side) or _is_finite_number(side) for side in sides
            )
        case Broadcast() | Reshape():
            return is_unmasked(op.x)
    return op is not None and op.name.startswith("math.") and is_unmasked(op.operands[0])


def _is_finite_number(value: Value) -> bool:
    """Return whether a value is a scalar spread over a tile, or a finite constant."""
    op = value.op
    if isinstance(op, Broadcast):
        return not isinstance(op.x.type, TensorType)
    known = constant_of(value)
    return known is not None and abs(known) != float("inf")


# ------------------------------------------------------------------------------------ lane numbers


def _compare_lane_numbers(op: Select) -> bool:
    """Compare 32-bit lane numbers of axis 1 with one limit for each row, worked out once a row.

    Limits are computed in 64 bits and clamped to where all or no lanes are kept.
    """
    shape = op.y.type.shape if isinstance(op.y.type, TensorType) else ()
    if len(shape) != 2 or op.condition.type is I1 or _is_narrow(op.condition):
        return False
    forms = conditions(op.condition)
    if not forms or any(not _fits(form) for form in forms):
        return False
    b = Builder.before(op)
    kinds = (tensor(shape, I32), tensor(shape, I1))
    lanes = _spread_row(b, b.create(Iota, types=[tensor((shape[1],), I32)]), shape, 1)
    keep: Value | None = None
    for sign, predicate in ((-1, "sle"), (1, "sge")):
        limits = [_limit(b, f, shape) for f in forms if f.coefficient(1) == sign]
        if not limits:
            continue
        combine = Minsi if sign < 0 else Maxsi
        limit = limits[0]
        for other in limits[1:]:
            limit = b.create(combine, limit, other)
        side = b.create(
            Cmpi,
            lanes,
            _spread_row(b, limit, shape, 0),
            types=[kinds[1]],
            predicate=CMPI[predicate],
        )
        keep = side if keep is None else b.create(Andi, keep, side)
    assert keep is not None
    op.set_operand(0, keep)
    return True


def _fits(form: Form) -> bool:
    return abs(form.coefficient(1)) == 1 and set(form.axes) <= {0, 1}


def _is_narrow(keep: Value) -> bool:
    """Return whether a condition compares 32-bit lanes already."""
    return any(isinstance(op, Cmpi) and op.lhs.type.element is I32 for op in _condition_ops(keep))


def _condition_ops(keep: Value) -> list[Op]:
    op = keep.op
    if op is None:
        return []
    inner = [o for v in op.operands for o in _condition_ops(v)] if isinstance(op, Andi) else []
    return [op, *inner]


def _limit(b: Builder, form: Form, shape: tuple[int, ...]) -> Value:
    """Return the limit of each row: lanes up to it (from it on) satisfy the form."""
    sign, by_row = form.coefficient(1), form.coefficient(0)
    rest = form.without(*form.axes)
    slope = by_row if sign < 0 else -by_row
    reach = abs(by_row) * (shape[0] - 1)
    start = emit(b, rest if sign < 0 else rest * -1)
    low, high = index_constant(b, -reach - 1), index_constant(b, shape[1] + reach)
    clamped = b.create(Minsi, b.create(Maxsi, start, low), high)
    kind = tensor((shape[0],), I32)
    limit: Value = b.create(
        Broadcast, b.create(IndexCast, clamped, types=[I32]), types=[kind], dims=()
    )
    if slope == 0:
        return limit
    rows: Value = b.create(Iota, types=[kind])
    if abs(slope) != 1:
        rows = b.create(Muli, rows, constant(b, abs(slope), kind))
    made: Value = b.create(Addi, limit, rows) if slope > 0 else b.create(Subi, limit, rows)
    return made


def _spread_row(b: Builder, row: Value, shape: tuple[int, ...], axis: int) -> Value:
    """Spread a 1-D tile of i32 along one axis of a 2-D shape."""
    made: Value = b.create(Broadcast, row, types=[tensor(shape, I32)], dims=(axis,))
    return made
