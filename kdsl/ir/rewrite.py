"""Rewriting: small named patterns, and the driver that applies them until nothing changes.

    @pattern(Addf)
    def contract_multiply_add(op: Addf, rw: Rewriter) -> Value | None:
        '''add(mul(a, b), c) -> fma(a, b, c), when nothing else reads the product.'''
        match op.lhs.op:
            case Mulf(a, b) if op.lhs.has_one_use:
                return rw.create(Fma, a, b, op.rhs)
        return None

A pattern returns what takes the place of the root's results: a value, a tuple (empty for a root
without results), or None when it does not apply. ``rw`` has ``erase``, ``replace`` and ``updated``
for the rest. The driver also moves constants to the right of commutative ops, folds, and removes
what is unused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdsl.errors import InternalError
from kdsl.ir.attributes import AttributeValue, Dense, FloatAttr, IntAttr, without_repeats
from kdsl.ir.builder import Builder
from kdsl.ir.core import Op, OpResult, Region, Value
from kdsl.ir.define import (
    Allocates,
    Commutative,
    ConstantLike,
    Elementwise,
    Pure,
    ReadsMemory,
    RegionEffects,
    Terminator,
    WritesMemory,
)
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import ShapedType, Type, element_type

Replacement = Value | tuple[Value, ...] | list[Value] | None
Materializer = Callable[[Builder, Any, Type], Value]
"""Creates a constant op of a type from a number, an array or a constant's attribute."""

MAX_REWRITES_PER_OP = 64
"""More rewrites than this for each op of the input mean that patterns undo one another."""
FOLDED_LANES = 1 << 16
"""Larger vectors and tiles are not evaluated while compiling."""
KEPT_LANES = 64
"""A folded value of more lanes is kept only when all are equal."""

_materializers: list[Materializer] = []


def use_constants(materialize: Materializer) -> None:
    """Say how constants are created; the dialect that owns the constant op calls this once."""
    _materializers[:] = [materialize]


# --------------------------------------------------------------------------------------- patterns


@dataclass(frozen=True, slots=True)
class Pattern:
    """A named rewrite of ops of the ``roots`` classes."""

    name: str
    roots: tuple[type[Op], ...]
    apply: Callable[[Any, Rewriter], Replacement]

    def __call__(self, op: Op, rw: Rewriter) -> Replacement:
        return self.apply(op, rw)


def pattern(*roots: type[Op]) -> Callable[[Callable[[Any, Rewriter], Replacement]], Pattern]:
    """Make a function the pattern of ops of these classes (subclasses included)."""

    def wrap(apply: Callable[[Any, Rewriter], Replacement]) -> Pattern:
        return Pattern(apply.__name__, roots, apply)

    return wrap


class Rewriter(Builder):
    """A builder placed before the op that a pattern looks at; it notes every change."""

    __slots__ = ("_driver", "_root", "created")

    def __init__(self, driver: _Driver, root: Op) -> None:
        assert root.parent is not None
        super().__init__(root.parent, root, root.loc)
        self._driver = driver
        self._root = root
        self.created: list[Op] = []

    def insert(self, op: Op) -> Op:
        """Insert an existing op."""
        self.created.append(op)
        return super().insert(op)

    def add(
        self,
        kind: type[Any],
        /,
        *operands: Value | Sequence[Value],
        types: Sequence[Type] | None = None,
        regions: Sequence[Region] = (),
        **attributes: AttributeValue,
    ) -> Any:
        """Create an op, insert it and return it."""
        op = super().add(kind, *operands, types=types, regions=regions, **attributes)
        self.created.append(op)
        return op

    def constant(self, value: Any, type: Type) -> Value:
        """Create a constant."""
        return _materializers[0](self, value, type)

    def replace(self, op: Op, *values: Value) -> None:
        """Let ``values`` take the place of the results, and erase the op."""
        self._driver.replace(op, values)

    def erase(self, op: Op) -> None:
        """Remove an op whose results are unused."""
        self._driver.replace(op, ())

    def updated(self, op: Op) -> None:
        """Say that ``op`` was changed in place: operands, attributes or regions."""
        self._driver.changed = True
        self._driver.push(op)
        self._driver.push_users(op)


# ------------------------------------------------------------------------------------------ driver


def apply_greedily(
    root: Op,
    patterns: Sequence[Pattern],
    fold: bool = True,
    fired: dict[str, int] | None = None,
) -> bool:
    """Apply ``patterns`` inside ``root`` until none applies; return whether anything changed.

    Unused ops without effects are removed. ``fold`` also folds ops, by their ``fold`` and by
    evaluating pure ops of constants. ``fired`` counts how often each pattern applied.
    """
    driver = _Driver(root, patterns, fold, {} if fired is None else fired)
    with np.errstate(all="ignore"):
        return driver.run()


def is_dead(op: Op) -> bool:
    """Return whether nobody can tell that ``op`` is removed."""
    return not op.is_used and has_no_effect(op)


def has_no_effect(op: Op) -> bool:
    """Return whether ``op``, with what is inside it, changes nothing outside itself."""
    if not isinstance(op, DeclaredOp) or Terminator in op.traits:
        return False
    traits = op.traits
    if Pure in traits:
        return True
    if RegionEffects in traits:
        return all(
            has_no_effect(inner) or (isinstance(inner, DeclaredOp) and Terminator in inner.traits)
            for region in op.regions
            for block in region.blocks
            for inner in block
        )
    return WritesMemory not in traits and (ReadsMemory in traits or Allocates in traits)


class _Driver:
    """The worklist: an op is looked at when it, its operands' definitions or its users changed."""

    __slots__ = ("_by_class", "changed", "fired", "fold", "patterns", "pending", "root", "stack")

    def __init__(
        self, root: Op, patterns: Sequence[Pattern], fold: bool, fired: dict[str, int]
    ) -> None:
        self.root = root
        self.patterns = patterns
        self.fold = fold and bool(_materializers)
        self.fired = fired
        self.changed = False
        self.stack: list[Op] = []
        self.pending: set[Op] = set()
        self._by_class: dict[type[Op], list[Pattern]] = {}

    def run(self) -> bool:
        everything = list(self.root.walk())[1:]
        budget = MAX_REWRITES_PER_OP * (len(everything) + 16)
        self.stack.extend(reversed(everything))
        self.pending.update(everything)
        any_change = False
        while self.stack:
            op = self.stack.pop()
            if op not in self.pending:
                continue
            self.pending.discard(op)
            self.changed = False
            name = self.visit(op)
            if self.changed:
                any_change = True
                self.fired[name] = self.fired.get(name, 0) + 1
                budget -= 1
                if budget < 0:
                    raise InternalError(op.loc, what=f"the pattern {name} never comes to an end")
        return any_change

    def visit(self, op: Op) -> str:
        """Apply at most one rewrite to ``op``; return its name."""
        if not op.is_used and has_no_effect(op):
            self.replace(op, ())
            return "remove-unused"
        if self.fold and isinstance(op, DeclaredOp) and op.results and self.fold_op(op):
            return "fold"
        for candidate in self.patterns_of(type(op)):
            rw = Rewriter(self, op)
            found = candidate.apply(op, rw)
            if found is not None:
                self.replace(op, (found,) if isinstance(found, Value) else tuple(found))
            if self.changed:
                self.push_all(rw.created)
                return candidate.name
            _drop_unused(rw.created)
        return ""

    def patterns_of(self, kind: type[Op]) -> list[Pattern]:
        found = self._by_class.get(kind)
        if found is None:
            found = [p for p in self.patterns if issubclass(kind, p.roots)]
            self._by_class[kind] = found
        return found

    # ----------------------------------------------------------------------------------- changes

    def push(self, op: Op) -> None:
        if op not in self.pending and op is not self.root:
            self.pending.add(op)
            self.stack.append(op)

    def push_users(self, op: Op) -> None:
        for result in op.results:
            for user in result.users:
                self.push(user)

    def push_all(self, created: Iterable[Op]) -> None:
        """Look at new ops, first one first."""
        for op in reversed(list(created)):
            if op.parent is not None:
                for inner in reversed(list(op.walk())):
                    self.push(inner)

    def replace(self, op: Op, values: tuple[Value, ...]) -> None:
        """Replace the results, erase the op, and queue everybody who may care."""
        if values:
            _check_types(op, values)
        self.changed = True
        self.push_users(op)
        # A value that loses its second reader may now be fused into the one that is left.
        for operand in op.operands:
            if len(operand.users) == 2:
                for user in operand.users:
                    self.push(user)
        inside = list(op.walk()) if op.regions else [op]
        gone = set(inside)
        sources = [v.op for inner in inside for v in inner.operands if v.op not in gone]
        self.pending -= gone
        if values:
            op.replace_by(*values)
        else:
            op.erase()
        for source in reversed(sources):
            if source is not None and source.parent is not None:
                self.push(source)

    # ---------------------------------------------------------------------------------- folding

    def fold_op(self, op: DeclaredOp) -> bool:
        if ConstantLike in op.traits:
            return False
        if Commutative in op.traits and _constant_on_the_left(op):
            left, right = op.operands[:2]
            op.set_operand(0, right)
            op.set_operand(1, left)
            self.changed = True
            self.push(op)
            return True
        found = op.fold()
        if found is None:
            known = _evaluated(op)
            if known is None:
                return False
            values = self.constants(op, known)
        elif isinstance(found, Value):
            if found is op.results[0]:
                return False
            values = (found,)
        else:
            values = self.constants(op, (found,))
        self.replace(op, values)
        return True

    def constants(self, op: DeclaredOp, known: tuple[Any, ...]) -> tuple[Value, ...]:
        rw = Rewriter(self, op)
        return tuple(rw.constant(k, r.type) for k, r in zip(known, op.results, strict=True))


def _check_types(op: Op, values: tuple[Value, ...]) -> None:
    if len(values) == len(op.results) and all(
        v.type is r.type for v, r in zip(values, op.results, strict=True)
    ):
        return
    wanted = ", ".join(str(r.type) for r in op.results)
    given = ", ".join(str(v.type) for v in values)
    raise InternalError(op.loc, what=f"{op.name} gives ({wanted}) and was replaced by ({given})")


def _drop_unused(created: list[Op]) -> None:
    """Remove what a pattern created before it found that it does not apply."""
    for op in reversed(created):
        if op.parent is not None and not op.is_used:
            op.erase()


# ------------------------------------------------------------------------------- constant folding


def _constant_op(value: Value) -> DeclaredOp | None:
    op = value.op if isinstance(value, OpResult) else None
    return op if isinstance(op, DeclaredOp) and ConstantLike in op.traits else None


def _constant_on_the_left(op: DeclaredOp) -> bool:
    return _constant_op(op.operands[0]) is not None and _constant_op(op.operands[1]) is None


def _evaluated(op: DeclaredOp) -> tuple[Any, ...] | None:
    """Return the results of a pure op whose operands are all constants; None when it is not."""
    if Pure not in op.traits or op.evaluate is None or not op.operands or op.regions:
        return None
    sources = []
    for operand in op.operands:
        source = _constant_op(operand)
        if source is None:
            return None
        sources.append(source)
    if Elementwise in op.traits:
        lanes = [_lane(source) for source in sources]
        if None not in lanes:
            return _as_tuple(op.evaluate(*lanes))
    if any(_lanes_of(v.type) > FOLDED_LANES for v in (*op.operands, *op.results)):
        return None
    found = _as_tuple(op.evaluate(*[source.evaluate() for source in sources]))
    compact = tuple(without_repeats(np.asarray(value)) for value in found)
    if any(np.size(value) > KEPT_LANES for value in compact):
        return None
    return compact


def _lane(source: DeclaredOp) -> Any:
    """Return the number that all lanes of a constant have; None when they differ."""
    value = source.attributes["value"]
    if isinstance(value, Dense):
        return value.array[()] if value.is_splat else None
    plain = value.value if isinstance(value, IntAttr | FloatAttr) else value
    return element_type(source.results[0].type).numpy.type(plain)


def _lanes_of(t: Type) -> int:
    return t.size if isinstance(t, ShapedType) and t.is_static else 1


def _as_tuple(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)
