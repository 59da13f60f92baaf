"""Hypothesis strategies: well-typed modules from the op registry, and faults planted into them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from kdsl.dialects import arith, func
from kdsl.ir.attributes import Symbol
from kdsl.ir.core import Block, Module, Op, Value
from kdsl.ir.define import DATA, Elementwise, Terminator
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import F64, I1, I8
from kdsl.testing.generate import LANE_TYPES, Choose, Generator

MOST_OPS = 12


@st.composite
def modules(draw: st.DrawFn, tiles: bool = False, most_ops: int = MOST_OPS) -> Module:
    """Draw a valid module whose function ``@f`` can be run on ``generate.arguments``."""
    generator = Generator(chooser(draw), tiles)
    for _ in range(draw(st.integers(0, most_ops))):
        generator.any_op()
    return generator.finish()


@st.composite
def faulty_modules(draw: st.DrawFn, tiles: bool = False) -> tuple[str, Module]:
    """Draw a module with one planted fault, and the fault's name."""
    choose = chooser(draw)
    module = draw(modules(tiles))
    possible = [name for name, (find, _) in FAULTS.items() if find(module)]
    name = choose(possible)
    find, plant = FAULTS[name]
    plant(choose(find(module)), choose)
    return name, module


@st.composite
def mutated_modules(draw: st.DrawFn) -> Module:
    """Draw a module with one operand, result type or attribute changed: still valid, or not."""
    choose = chooser(draw)
    module = draw(modules())
    possible = [m for m in MUTATIONS if m[0](module)]
    find, change = choose(possible)
    change(choose(find(module)), choose)
    return module


def chooser(draw: st.DrawFn) -> Choose:
    """Return a source of choices that hypothesis shrinks towards the first option."""

    def choose(options: Sequence[Any]) -> Any:
        return draw(st.sampled_from(list(options)))

    return choose


# ------------------------------------------------------------------------------------------ faults


def _inner(module: Module) -> list[Op]:
    return [op for op in module.walk() if not isinstance(op, Module | func.Func)]


def _values(module: Module) -> list[Value]:
    found: list[Value] = []
    for op in _inner(module):
        found += op.results
    for function in module.functions:
        found += function.body.args
    return found


def _with_operands(module: Module) -> list[Op]:
    return [op for op in _inner(module) if op.operands]


def _lanewise(module: Module) -> list[Op]:
    return [
        op
        for op in _inner(module)
        if isinstance(op, DeclaredOp) and Elementwise in op.traits and len(op.operands) == 2
    ]


def _terminators(module: Module) -> list[Op]:
    return [op for op in _inner(module) if isinstance(op, DeclaredOp) and Terminator in op.traits]


def _used_in_place(module: Module) -> list[Op]:
    """Return ops whose results an op reads that is not the last one of the same block."""
    return [op for op in _inner(module) if any(_reader_before_end(op, r) for r in op.results)]


def _reader_before_end(op: Op, value: Value) -> bool:
    return any(user.parent is op.parent and user.next is not None for user in value.users)


def _with_required(module: Module) -> list[Op]:
    return [
        op
        for op in _inner(module)
        if isinstance(op, DeclaredOp) and any(f.is_required for f in op.attribute_fields.values())
    ]


def _with_regions(module: Module) -> list[Op]:
    return [op for op in _inner(module) if op.regions]


def _calls(module: Module) -> list[Op]:
    return [op for op in _inner(module) if isinstance(op, func.Call)]


def _made_inside(module: Module) -> list[Op]:
    """Return ops with results in a region, where an outer block goes on afterwards."""
    return [
        op
        for op in _inner(module)
        if op.results and not isinstance(op.parent_op, func.Func) and op.parent_op is not None
    ]


def _undeclared_value(op: Op, choose: Choose) -> None:
    at = choose(range(len(op.operands)))
    op.set_operand(at, Value(op.operands[at].type, "nowhere"))


def _operand_missing(op: Op, choose: Choose) -> None:
    op.set_operands(op.operands[:-1])


def _operand_too_many(op: Op, choose: Choose) -> None:
    op.set_operands([*op.operands, op.operands[0]])


def _operand_of_other_type(op: Op, choose: Choose) -> None:
    assert op.parent is not None
    kind = I8 if op.operands[1].type is not I8 else F64
    other = arith.Constant.make(types=[kind], value=arith.constant_attribute(1, kind))
    op.parent.insert_before(op, other)
    op.set_operand(1, other.result)


def _use_before_definition(op: Op, choose: Choose) -> None:
    block = op.parent
    assert block is not None
    assert block.last is not None
    readers = [u for r in op.results for u in r.users if u.parent is block and u.next is not None]
    op.detach()
    block.insert_after(readers[0], op)


def _terminator_missing(op: Op, choose: Choose) -> None:
    op.erase()


def _op_after_terminator(op: Op, choose: Choose) -> None:
    assert op.parent is not None
    op.parent.append(arith.Constant.make(types=[I8], value=arith.constant_attribute(1, I8)))


def _result_of_other_type(op: Op, choose: Choose) -> None:
    op.results[0].type = I8 if op.results[0].type is not I8 else F64


def _attribute_missing(op: Op, choose: Choose) -> None:
    assert isinstance(op, DeclaredOp)
    required = [name for name, f in op.attribute_fields.items() if f.is_required]
    del op.attributes[choose(required)]


def _attribute_of_other_kind(op: Op, choose: Choose) -> None:
    assert isinstance(op, DeclaredOp)
    required = [n for n, f in op.attribute_fields.items() if f.is_required and f.kind != "string"]
    op.attributes[choose(required)] = "text"


def _region_missing(op: Op, choose: Choose) -> None:
    region = op.regions.pop()
    for block in region.blocks:
        for inner in list(block):
            inner.drop_uses()


def _region_argument_extra(op: Op, choose: Choose) -> None:
    for region in op.regions[:1]:
        region.block.add_argument(F64)


def _symbol_unknown(op: Op, choose: Choose) -> None:
    op.attributes["callee"] = Symbol("nowhere")


def _value_leaked(op: Op, choose: Choose) -> None:
    outer = op.parent_op
    assert outer is not None
    assert outer.parent is not None
    _keep(outer.parent, outer, op.results[0])


def _keep(block: Block, after: Op, value: Value) -> None:
    """Read a value after an op, by something that takes any type."""
    true = arith.Constant.make(types=[I1], value=True)
    reader = arith.Select.make(true.result, value, value)
    block.insert_after(after, true)
    block.insert_after(true, reader)


Find = Callable[[Module], list[Op]]
Plant = Callable[[Op, Choose], None]


def _any_operand(op: Op, choose: Choose) -> None:
    module = _module_of(op)
    op.set_operand(choose(range(len(op.operands))), choose(_values(module)))


def _any_result_type(op: Op, choose: Choose) -> None:
    choose(op.results).type = choose(LANE_TYPES)


def _any_number(op: Op, choose: Choose) -> None:
    names = [n for n, v in op.attributes.items() if type(v) is int]
    op.attributes[choose(names)] = choose((-1, 0, 1, 9, 10, 15, 16, 64))


def _with_results(module: Module) -> list[Op]:
    return [op for op in _inner(module) if op.results]


def _with_numbers(module: Module) -> list[Op]:
    return [op for op in _inner(module) if any(type(v) is int for v in op.attributes.values())]


def _module_of(op: Op) -> Module:
    here: Op | None = op
    while not isinstance(here, Module):
        assert here is not None
        here = here.parent_op
    return here


MUTATIONS: tuple[tuple[Find, Plant], ...] = (
    (_with_operands, _any_operand),
    (_with_results, _any_result_type),
    (_with_numbers, _any_number),
)
"""Changes that may or may not break a module."""


def _required_not_text(module: Module) -> list[Op]:
    return [
        op
        for op in _with_required(module)
        if isinstance(op, DeclaredOp)
        and any(f.is_required and f.kind != "string" for f in op.attribute_fields.values())
    ]


def _leakable(module: Module) -> list[Op]:
    return [op for op in _made_inside(module) if DATA.accepts(op.results[0].type)]


FAULTS: dict[str, tuple[Find, Plant]] = {
    "undeclared value": (_with_operands, _undeclared_value),
    "operand missing": (_lanewise, _operand_missing),
    "operand too many": (_lanewise, _operand_too_many),
    "operand of another type": (_lanewise, _operand_of_other_type),
    "result of another type": (_lanewise, _result_of_other_type),
    "use before definition": (_used_in_place, _use_before_definition),
    "terminator missing": (_terminators, _terminator_missing),
    "op after the terminator": (_terminators, _op_after_terminator),
    "attribute missing": (_with_required, _attribute_missing),
    "attribute of another kind": (_required_not_text, _attribute_of_other_kind),
    "region missing": (_with_regions, _region_missing),
    "region argument too many": (_with_regions, _region_argument_extra),
    "symbol unknown": (_calls, _symbol_unknown),
    "value leaked from a region": (_leakable, _value_leaked),
}
"""Each fault: where it can be planted, and planting it there."""
