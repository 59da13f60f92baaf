"""Linear forms of index values and index tiles: what masks and bounds are made of.

A form is ``const + sum(coefficient * atom)``. Atoms are scalar values that are no sums themselves,
and the numbers of a tile's lanes along its axes. Index arithmetic is 64-bit and is taken not to
overflow, as everywhere in kdsl.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kdsl.dialects.arith import (
    Addi,
    Ceildivsi,
    Constant,
    Floordivsi,
    Maxsi,
    Minsi,
    Muli,
    Subi,
    constant_of,
    index_constant,
)
from kdsl.dialects.kdsl import Broadcast, Iota, NumPrograms, ProgramId, Reshape
from kdsl.dialects.memref import Dim
from kdsl.ir.builder import Builder
from kdsl.ir.core import BlockArgument, Op, Value
from kdsl.ir.types import INDEX, TensorType, element_type

Atom = Value | int
"""A scalar value, or the number of a tile's axis: its lane number along that axis."""

MOST_STEPS = 400
"""A proof that takes longer is given up."""


@dataclass(frozen=True, slots=True)
class Form:
    """A linear form; atoms with coefficient 0 are left out."""

    terms: Mapping[Atom, int]
    const: int = 0

    def __add__(self, other: Form) -> Form:
        terms = dict(self.terms)
        for atom, factor in other.terms.items():
            terms[atom] = terms.get(atom, 0) + factor
        return Form({a: c for a, c in terms.items() if c}, self.const + other.const)

    def __sub__(self, other: Form) -> Form:
        return self + other * -1

    def __mul__(self, factor: int) -> Form:
        if factor == 0:
            return Form({})
        return Form({a: c * factor for a, c in self.terms.items()}, self.const * factor)

    def plus(self, number: int) -> Form:
        """Return the form with a number added."""
        return Form(self.terms, self.const + number)

    def coefficient(self, atom: Atom) -> int:
        """Return the coefficient of an atom."""
        return self.terms.get(atom, 0)

    def without(self, *atoms: Atom) -> Form:
        """Return the form without some atoms."""
        return Form({a: c for a, c in self.terms.items() if a not in atoms}, self.const)

    @property
    def axes(self) -> dict[int, int]:
        """The coefficients of lane numbers by axis."""
        return {a: c for a, c in self.terms.items() if isinstance(a, int)}

    @property
    def scalars(self) -> dict[Value, int]:
        """The coefficients of scalar atoms."""
        return {a: c for a, c in self.terms.items() if isinstance(a, Value)}

    def moved(self, axes: Mapping[int, int]) -> Form:
        """Rename axes; one that is not in ``axes`` has a single lane, so its number is 0."""
        terms: dict[Atom, int] = {}
        for atom, factor in self.terms.items():
            if isinstance(atom, Value):
                terms[atom] = factor
            elif atom in axes:
                terms[axes[atom]] = factor
        return Form(terms, self.const)


def number(value: int) -> Form:
    """Return the form of a number."""
    return Form({}, value)


def form_of(value: Value) -> Form | None:
    """Return the linear form of an index or of a tile of index; None when it has none."""
    if element_type(value.type) is not INDEX:
        return None
    op = value.op
    if isinstance(op, Constant):
        known = constant_of(value)
        return None if known is None else number(int(known))
    if isinstance(op, Addi | Subi):
        left, right = form_of(op.lhs), form_of(op.rhs)
        if left is not None and right is not None:
            return left + right if isinstance(op, Addi) else left - right
    if isinstance(op, Muli):
        left, right = form_of(op.lhs), form_of(op.rhs)
        if left is not None and right is not None:
            if not right.terms:
                return left * right.const
            if not left.terms:
                return right * left.const
    if not isinstance(value.type, TensorType):
        return Form({value: 1})
    if isinstance(op, Iota):
        return Form({0: 1})
    if isinstance(op, Broadcast):
        inner = form_of(op.x)
        return None if inner is None else inner.moved(kept_axes(op))
    if isinstance(op, Reshape):
        inner, axes = form_of(op.x), reshaped_axes(op)
        return None if inner is None or axes is None else inner.moved(axes)
    return None


def kept_axes(op: Broadcast) -> dict[int, int]:
    """Return where the axes of a broadcast's operand go; stretched ones have one lane."""
    shape = op.x.type.shape if isinstance(op.x.type, TensorType) else ()
    return {axis: op.dims[axis] for axis, extent in enumerate(shape) if extent != 1}


def reshaped_axes(op: Reshape) -> dict[int, int] | None:
    """Return where axes go in a reshape that only adds or drops axes of one lane, else None."""
    source = [(a, n) for a, n in enumerate(op.x.type.shape) if n != 1]
    target = [(a, n) for a, n in enumerate(op.y.type.shape) if n != 1]
    if [n for _, n in source] != [n for _, n in target]:
        return None
    return {a: b for (a, _), (b, _) in zip(source, target, strict=True)}


def emit(b: Builder, form: Form) -> Value:
    """Compute a form of scalars."""
    total: Value | None = None
    for atom, factor in form.scalars.items():
        term = atom if factor in (1, -1) else b.create(Muli, atom, index_constant(b, abs(factor)))
        if total is None:
            total = term if factor > 0 else b.create(Subi, index_constant(b, 0), term)
        else:
            total = b.create(Addi if factor > 0 else Subi, total, term)
    if total is None:
        return index_constant(b, form.const)
    return total if form.const == 0 else b.create(Addi, total, index_constant(b, form.const))


# ------------------------------------------------------------------------------------------- proof


POSITIVE = "kdsl.positive"
"""On a kernel: array<i64: argument, dimension, ...>: sizes that are at least 1 where it runs."""


def facts_of(function: Op) -> tuple[Form, ...]:
    """Return forms that are at least 0 in a kernel: about its grid, and sizes that it covers."""
    ids: dict[int, Value] = {}
    counts: dict[int, Value] = {}
    sizes = function.attributes.get(POSITIVE, ())
    assert isinstance(sizes, tuple)
    positive = set(zip(sizes[::2], sizes[1::2], strict=True))
    found: list[Form] = []
    for op in function.walk():
        if isinstance(op, ProgramId):
            ids[op.axis] = op.y
        elif isinstance(op, NumPrograms):
            counts[op.axis] = op.y
        elif isinstance(op, Dim) and _size_key(op) in positive:
            found.append(Form({op.results[0]: 1}, -1))
    found += [Form({counts[a]: 1, ids[a]: -1}, -1) for a in counts if a in ids]
    return tuple(found)


def _size_key(op: Dim) -> tuple[int, int] | None:
    """Return argument and dimension that a size is of."""
    axis = constant_of(op.index)
    if axis is None or not isinstance(op.source, BlockArgument):
        return None
    return op.source.index, int(axis)


def is_never_negative(form: Form, facts: tuple[Form, ...] = ()) -> bool:
    """Return whether a form of scalars is proved to be at least 0.

    ``facts`` are forms known to be at least 0. The proof is by bounds: extremes are replaced by
    each side or by one of them, quotients by what they are at least or at most, and facts with a
    positive factor are subtracted.
    """
    return _is_proved(form, (), facts, [MOST_STEPS])


Quotient = tuple[int, Form, int, bool]
"""A factor, the dividend, the divisor (positive), and whether it is rounded down."""


def _is_proved(
    form: Form, quotients: tuple[Quotient, ...], facts: tuple[Form, ...], left: list[int]
) -> bool:
    """Prove that ``form`` and the quotients add up to at least 0."""
    left[0] -= 1
    if left[0] < 0:
        return False
    if quotients:
        return _is_proved_with(form, quotients[0], quotients[1:], facts, left)
    if _is_plain(form, facts):
        return True
    for atom, factor in form.scalars.items():
        op, rest = atom.op, form.without(atom)
        if isinstance(op, Minsi | Maxsi):
            mode = all if isinstance(op, Minsi) == (factor > 0) else any
            if mode(
                _is_proved(rest + scalar_form(side) * factor, (), facts, left)
                for side in (op.lhs, op.rhs)
            ):
                return True
        elif isinstance(op, Floordivsi | Ceildivsi):
            divisor = constant_of(op.rhs)
            if divisor is not None and divisor > 0:
                parts = (factor, scalar_form(op.lhs), divisor, isinstance(op, Floordivsi))
                if _is_proved(rest, (parts,), facts, left):
                    return True
    return False


def _is_proved_with(
    form: Form,
    quotient: Quotient,
    others: tuple[Quotient, ...],
    facts: tuple[Form, ...],
    left: list[int],
) -> bool:
    """Rounded quotients grow with the dividend, so that extremes may be taken outside of them."""
    factor, dividend, divisor, is_floor = quotient
    for atom, weight in dividend.scalars.items():
        op = atom.op
        if not isinstance(op, Minsi | Maxsi):
            continue
        is_minimum = isinstance(op, Minsi) == (weight > 0)
        mode = all if is_minimum == (factor > 0) else any
        rest = dividend.without(atom)
        return mode(
            _is_proved(
                form,
                ((factor, rest + scalar_form(side) * weight, divisor, is_floor), *others),
                facts,
                left,
            )
            for side in (op.lhs, op.rhs)
        )
    bound = _quotient(dividend, divisor, factor, is_floor)
    if bound is not None:
        return _is_proved(form + bound, others, facts, left)
    if others:
        return False
    # A whole number is at least 0 when ``divisor`` times it is more than -divisor.
    scaled = form * divisor + dividend.plus(_slack(divisor, factor, is_floor)) * factor
    return _is_proved(scaled.plus(divisor - 1), (), facts, left)


def _is_plain(form: Form, facts: tuple[Form, ...]) -> bool:
    """Return whether each part of a form is at least 0, facts taken off while that removes one."""
    for fact in facts:
        shared = [form.coefficient(a) // c for a, c in fact.scalars.items() if c > 0]
        times = min(shared, default=0)
        if times > 0:
            form = form - fact * times
    return form.const >= 0 and all(
        factor > 0 and _is_natural(atom) for atom, factor in form.scalars.items()
    )


def _is_natural(atom: Value) -> bool:
    """Return whether a scalar is known to be at least 0."""
    return isinstance(atom.op, Dim | ProgramId | NumPrograms)


def scalar_form(value: Value) -> Form:
    """Return the form of a scalar: itself when it is no sum."""
    return form_of(value) or Form({value: 1})


def _quotient(form: Form, divisor: int, factor: int, is_floor: bool) -> Form | None:
    """Return a lower bound of ``factor * (form / divisor)``; exact where only a number is left.

    Parts that the divisor divides leave the quotient. The rest has a bound with whole coefficients
    when ``factor`` is a multiple of the divisor.
    """
    whole = Form({a: c // divisor for a, c in form.terms.items() if c % divisor == 0})
    rest = Form({a: c for a, c in form.terms.items() if c % divisor}, form.const)
    if not rest.terms:
        inner = rest.const // divisor if is_floor else -(-rest.const // divisor)
        return whole.plus(inner) * factor
    if factor % divisor:
        return None
    slack = _slack(divisor, factor, is_floor)
    return (whole * divisor + rest.plus(slack)) * (factor // divisor)


def _slack(divisor: int, factor: int, is_floor: bool) -> int:
    """Return what must be added to a dividend to bound the rounded quotient from the worse side."""
    if factor > 0:
        return 1 - divisor if is_floor else 0
    return 0 if is_floor else divisor - 1
