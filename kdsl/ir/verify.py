"""The verifier: structure, use lists, counts and types, attributes, dominance, ops' own rules.

It runs after every pass in tests, so it must be cheap: types are interned, and what a declaration
says about one combination of op class and types is checked once in a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kdsl.errors import (
    AttributeMissingError,
    AttributeTypeError,
    DominanceError,
    DuplicateSymbolError,
    OperandCountError,
    OperandTypeError,
    RegionError,
    ResultCountError,
    ResultTypeError,
    StructureError,
    TerminatorError,
    UnknownAttributeError,
    UnknownOpError,
    UnknownSymbolError,
    UseListError,
)
from kdsl.ir.attributes import I32Array, Symbol
from kdsl.ir.core import Block, Module, Op, OpResult, Value
from kdsl.ir.define import (
    ATTRIBUTE_CHECKS,
    AttributeField,
    IsolatedFromAbove,
    Operand,
    Result,
    Terminator,
)
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.printer import attribute_text
from kdsl.ir.types import ScalarType, Type, like

SEGMENTS = "operandSegmentSizes"

ATTRIBUTE_WORDS = {
    "int": "an i64 integer",
    "bool": "true or false",
    "string": "a string",
    "float": "an f64 number",
    "type": "a type",
    "function_type": "a function type",
    "ints": "an array<i64>",
    "i32s": "an array<i32>",
    "intlist": "a list of i64 integers",
    "symbol": "a symbol",
    "typed": "a constant with its type",
    "opaque": "an attribute of its dialect",
    "unit": "present or not",
}


def verify(root: Op) -> None:
    """Raise a located KD02xx error when a module (or any op with its regions) is not valid."""
    checker = _Verifier(_symbols(root))
    checker.root(root)


def _symbols(root: Op) -> dict[str, Op] | None:
    """Return the functions of a module by name; None when ``root`` is no module."""
    if not isinstance(root, Module):
        return None
    found: dict[str, Op] = {}
    for region in root.regions:
        for block in region.blocks:
            for op in block:
                name = op.attributes.get("sym_name")
                if isinstance(name, str):
                    if name in found:
                        raise DuplicateSymbolError(op.loc, name=name)
                    found[name] = op
    return found


def describe(value: Value) -> str:
    """Return how a message names a value."""
    if value.name is not None:
        return f"%{value.name}"
    op = value.op
    return "a block argument" if op is None else f"a result of {op.name}"


# ------------------------------------------------------------------------------- what a class asks


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the checks need to know about an op class, looked up once."""

    fields: dict[str, AttributeField]
    required: frozenset[str]
    regions: int | None
    terminates: bool
    isolated: bool
    segments: bool
    has_rules: bool
    has_symbols: bool


_PLANS: dict[type[Op], _Plan] = {}
_GOOD: set[tuple[object, ...]] = set()
"""Combinations of class and types that were found right."""


def _plan(op: Op) -> _Plan:
    kind = type(op)
    if isinstance(op, Module):
        made = _Plan({}, frozenset(), 1, False, True, False, False, False)
    elif isinstance(op, DeclaredOp):
        fields = kind.attribute_fields  # type: ignore[attr-defined]
        made = _Plan(
            fields,
            frozenset(name for name, field in fields.items() if field.is_required),
            op.region_count,
            Terminator in op.traits,
            IsolatedFromAbove in op.traits,
            op.segments,
            kind.verify is not DeclaredOp.verify,  # type: ignore[attr-defined]
            any(field.kind == "symbol" for field in fields.values()),
        )
    else:
        raise UnknownOpError(op.loc, name=op.name)
    _PLANS[kind] = made
    return made


# --------------------------------------------------------------------------------------- the walk


class _Verifier:
    __slots__ = ("reads", "symbols", "uses", "visible")

    def __init__(self, symbols: dict[str, Op] | None) -> None:
        self.symbols = symbols
        self.visible: set[Value] = set()
        self.reads = 0
        self.uses = 0

    def root(self, op: Op) -> None:
        if op.operands:
            self.visible.update(op.operands)
        self.op(op, _PLANS.get(type(op)) or _plan(op))
        if op.parent is None and self.reads != self.uses:
            _find_stale_use(op)

    def block(self, block: Block, owner: Op, needs_terminator: bool) -> None:
        visible = self.visible
        args = block.args
        visible.update(args)
        mine: list[Value] = [*args]
        for i, arg in enumerate(args):
            if arg.block is not block or arg.index != i:
                raise StructureError(owner.loc, op=owner.name, what="a block argument is misplaced")
            if arg.users:
                self.uses += sum(arg.users.values())
        before: Op | None = None
        op = block.first
        while op is not None:
            if op.parent is not block or op.prev is not before:
                raise StructureError(op.loc, op=op.name, what="it is linked into its block wrongly")
            plan = _PLANS.get(type(op)) or _plan(op)
            if plan.terminates and op.next is not None:
                raise TerminatorError(op.loc, op=op.name, what="ops follow it in its block")
            self.op(op, plan)
            results = op.results
            if results:
                visible.update(results)
                mine += results
                for r in results:
                    if r.users:
                        self.uses += sum(r.users.values())
            before, op = op, op.next
        if block.last is not before:
            raise StructureError(
                owner.loc, op=owner.name, what="a block does not end at its last op"
            )
        if needs_terminator and (before is None or not _PLANS[type(before)].terminates):
            where = owner.loc if before is None else before.loc
            raise TerminatorError(where, op=owner.name, what="a block ends without a terminator")
        visible.difference_update(mine)

    def op(self, op: Op, plan: _Plan) -> None:
        operands = op.operands
        if operands:
            if not self.visible.issuperset(operands):
                self.explain_dominance(op)
            self.reads += len(operands)
            for v in operands:
                if op not in v.users:
                    raise UseListError(op.loc, op=op.name, what=f"{describe(v)} does not list it")
        key: tuple[object, ...] = (
            type(op),
            *[v.type for v in operands],
            None,
            *[r.type for r in op.results],
        )
        if plan.segments:
            key = (*key, op.attributes.get(SEGMENTS))
        if key not in _GOOD:
            _check_signature(op)
            _GOOD.add(key)
        if op.attributes or plan.required:
            self.attributes(op, plan)
        if op.regions or plan.regions:
            self.regions(op, plan)
        if plan.has_rules:
            op.verify()  # type: ignore[attr-defined]

    def attributes(self, op: Op, plan: _Plan) -> None:
        attributes = op.attributes
        fields = plan.fields
        if not plan.required <= attributes.keys():
            missing = min(plan.required - attributes.keys())
            raise AttributeMissingError(op.loc, op=op.name, name=missing)
        for name, value in attributes.items():
            field = fields.get(name)
            if field is None:
                if "." not in name and not (plan.segments and name == SEGMENTS):
                    if isinstance(op, Module):
                        continue
                    known = ", ".join(fields) or "none"
                    raise UnknownAttributeError(op.loc, op=op.name, name=name, known=known)
            elif not ATTRIBUTE_CHECKS[field.kind](value) or (
                field.choices and value not in field.choices
            ):
                raise _wrong_attribute(op, field, value)
        if plan.has_symbols and self.symbols is not None:
            self.named(op, self.symbols)

    def named(self, op: Op, symbols: dict[str, Op]) -> None:
        for value in op.attributes.values():
            if isinstance(value, Symbol) and value.name not in symbols:
                raise UnknownSymbolError(op.loc, op=op.name, name=value.name)
        op.verify_symbols(symbols)  # type: ignore[attr-defined]

    def regions(self, op: Op, plan: _Plan) -> None:
        if plan.regions is not None and len(op.regions) != plan.regions:
            what = f"it takes {plan.regions} regions, got {len(op.regions)}"
            raise RegionError(op.loc, op=op.name, what=what)
        outside = self.visible
        if plan.isolated:
            self.visible = set()
        is_module = isinstance(op, Module)
        for region in op.regions:
            if region.parent is not op:
                raise StructureError(op.loc, op=op.name, what="a region does not know its op")
            if len(region.blocks) > 1:
                raise RegionError(op.loc, op=op.name, what="a region has more than one block")
            for block in region.blocks:
                if block.parent is not region:
                    raise StructureError(
                        op.loc, op=op.name, what="a block does not know its region"
                    )
                self.block(block, op, not is_module)
        self.visible = outside

    def explain_dominance(self, op: Op) -> None:
        for v in op.operands:
            if v not in self.visible:
                raise DominanceError(op.loc, op=op.name, value=describe(v))


def _find_stale_use(root: Op) -> None:
    """Name the value whose use list counts something that is not so."""
    for op in root.walk():
        for v in set(op.operands):
            if v.users[op] != op.operands.count(v):
                raise UseListError(
                    op.loc, op=op.name, what=f"{describe(v)} counts its uses wrongly"
                )
        inside = [a for region in op.regions for block in region.blocks for a in block.args]
        for value in (*op.results, *inside):
            for user in value.users:
                if value not in user.operands or not user.is_inside(root):
                    what = f"{describe(value)} lists {user.name} as a user, which does not read it"
                    raise UseListError(op.loc, op=op.name, what=what)


def _wrong_attribute(op: Op, field: AttributeField, value: Any) -> AttributeTypeError:
    wanted = ATTRIBUTE_WORDS[field.kind]
    if field.choices and isinstance(value, str):
        wanted = f"one of {', '.join(field.choices)}"
    try:
        got = attribute_text(value)
    except TypeError:
        got = repr(value)
    return AttributeTypeError(op.loc, op=op.name, name=field.name, wanted=wanted, got=got)


# ------------------------------------------------------------------------------ counts and types


def _check_signature(op: Op) -> None:
    """Check operands and results against the declaration."""
    if not isinstance(op, DeclaredOp):
        return
    groups = _operand_groups(op)
    for declared, values in zip(op.operand_fields, groups, strict=True):
        for v in values:
            _check_operand(op, declared, v.type, groups)
    for declared_result, results in zip(op.result_fields, _result_groups(op), strict=True):
        for r in results:
            _check_result(op, declared_result, r.type, groups)


def _operand_groups(op: DeclaredOp) -> list[Sequence[Value]]:
    """Return the operands of each declaration; raise when the counts do not fit."""
    fields, given = op.operand_fields, len(op.operands)
    if op.segments:
        return _segmented(op)
    variadic = op._variadic_at
    if variadic is None:
        if given != len(fields):
            raise OperandCountError(op.loc, op=op.name, wanted=len(fields), got=given)
        return [[v] for v in op.operands]
    fixed = len(fields) - 1
    if given < fixed:
        raise OperandCountError(op.loc, op=op.name, wanted=f"at least {fixed}", got=given)
    end = variadic + given - fixed
    return [
        *([v] for v in op.operands[:variadic]),
        op.operands[variadic:end],
        *([v] for v in op.operands[end:]),
    ]


def _segmented(op: DeclaredOp) -> list[Sequence[Value]]:
    sizes = op.attributes.get(SEGMENTS)
    if sizes is None:
        raise AttributeMissingError(op.loc, op=op.name, name=SEGMENTS)
    fields = op.operand_fields
    if not isinstance(sizes, I32Array) or len(sizes.values) != len(fields):
        wanted = f"an array<i32> of {len(fields)} sizes"
        got = attribute_text(sizes)
        raise AttributeTypeError(op.loc, op=op.name, name=SEGMENTS, wanted=wanted, got=got)
    groups: list[Sequence[Value]] = []
    start = 0
    for declared, size in zip(fields, sizes.values, strict=True):
        groups.append(op.operands[start : start + size])
        start += size
        if size < 0 or (size != 1 and not declared.variadic):
            wanted = f"one {declared.name!r}"
            raise OperandCountError(op.loc, op=op.name, wanted=wanted, got=size)
    if start != len(op.operands):
        raise OperandCountError(op.loc, op=op.name, wanted=start, got=len(op.operands))
    return groups


def _result_groups(op: DeclaredOp) -> list[Sequence[OpResult]]:
    fields, given = op.result_fields, len(op.results)
    if fields and fields[-1].variadic:
        fixed = len(fields) - 1
        if given < fixed:
            raise ResultCountError(op.loc, op=op.name, wanted=f"at least {fixed}", got=given)
        return [*([r] for r in op.results[:fixed]), op.results[fixed:]]
    if given != len(fields):
        raise ResultCountError(op.loc, op=op.name, wanted=len(fields), got=given)
    return [[r] for r in op.results]


def _type_named(op: DeclaredOp, name: str, groups: list[Sequence[Value]]) -> Type | None:
    for declared, values in zip(op.operand_fields, groups, strict=True):
        if declared.name == name:
            return values[0].type if values else None
    return None


def _check_operand(
    op: DeclaredOp, declared: Operand, got: Type, groups: list[Sequence[Value]]
) -> None:
    if not declared.constraint.accepts(got):
        wanted = declared.constraint.words
        raise OperandTypeError(op.loc, op=op.name, wanted=wanted, operand=declared.name, got=got)
    if declared.same_as is not None:
        other = _type_named(op, declared.same_as, groups)
        if other is not None and got is not other:
            raise OperandTypeError(op.loc, op=op.name, wanted=other, operand=declared.name, got=got)


def _check_result(
    op: DeclaredOp, declared: Result, got: Type, groups: list[Sequence[Value]]
) -> None:
    wanted = _wanted_result(op, declared, groups)
    if wanted is not None and got is not wanted:
        raise ResultTypeError(op.loc, op=op.name, wanted=wanted, result=declared.name, got=got)
    if not declared.constraint.accepts(got):
        words = declared.constraint.words
        raise ResultTypeError(op.loc, op=op.name, wanted=words, result=declared.name, got=got)


def _wanted_result(
    op: DeclaredOp, declared: Result, groups: list[Sequence[Value]]
) -> Type | ScalarType | None:
    if declared.same_as is None:
        return declared.element
    source = _type_named(op, declared.same_as, groups)
    if source is None or declared.element is None:
        return source
    return like(source, declared.element)
