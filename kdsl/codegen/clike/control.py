"""Structured control flow, assertions, inlined calls, and whole bodies."""

from __future__ import annotations

from typing import Any

from kdsl.codegen.clike.values import signed
from kdsl.codegen.clike.writer import Row, Writer, is_buffer, scalar_of
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import cf, func, scf
from kdsl.ir.core import Block, Op, Value

ASSERT_FAILED = 1


def write_block(w: Writer, block: Block, table: LoweringTable) -> Op | None:
    """Write all ops but the terminator, which is returned."""
    rows = table._rows
    for op in block:
        if op is block.last and not op.results and _ends(op):
            return op
        row = rows.get(type(op))
        if row is None:
            table.lower(op, w)
        else:
            row(op, w)
    return None


def _ends(op: Op) -> bool:
    return op.name in ("scf.yield", "scf.condition", "func.return")


def control(table: LoweringTable) -> None:
    """Enter the ops that hold regions into ``table``, whose rows write what is inside them."""

    @table(scf.For)
    def for_loop(op: scf.For, w: Writer) -> None:
        _refuse_buffers(op, op.outs, table)
        _for(op, w, table)

    @table(scf.If)
    def branch(op: scf.If, w: Writer) -> None:
        _refuse_buffers(op, op.outs, table)
        _if(op, w, table)

    @table(scf.While)
    def while_loop(op: scf.While, w: Writer) -> None:
        _refuse_buffers(op, op.outs, table)
        _while(op, w, table)

    @table(func.Call)
    def call(op: func.Call, w: Writer) -> None:
        _call(op, w, table)

    table(cf.Assert)(_assert)


def _refuse_buffers(op: Any, values: Any, table: LoweringTable) -> None:
    if any(map(is_buffer, values)):
        raise table.refuse(op, "a buffer cannot be a result")


def _moves(w: Writer, names: list[Row], values: Any) -> list[tuple[Row, Row, list[str]]]:
    return [(name, w.units(v), w.unit_words(v)) for name, v in zip(names, values, strict=True)]


def _inside(w: Writer, block: Block, table: LoweringTable) -> Op | None:
    """Write a region's block: an exchange that came before it may be before or after another."""
    w.exchange = None
    end = write_block(w, block, table)
    w.exchange = None
    return end


def _for(op: scf.For, w: Writer, table: LoweringTable) -> None:
    t = scalar_of(op.lower)
    carried = [w.variables(v, w.units(init)) for v, init in zip(op.carried, op.inits, strict=True)]
    counter, kind = w.fresh(), w.words.signed(t)
    low, high, step = (signed(w, w.one(v), t) for v in (op.lower, op.upper, op.step))
    w.open(f"for ({kind} {counter} = {low}; {counter} < {high}; {counter} += {step})")
    w.define(op.induction, [f"({w.words.word(t)}){counter}"])
    for arg, names in zip(op.carried, carried, strict=True):
        w.bind_units(arg, names)
    end = _inside(w, op.body, table)
    assert end is not None
    w.assign(_moves(w, carried, end.operands))
    w.close()
    for out, names in zip(op.outs, carried, strict=True):
        w.bind_units(out, names)


def _if(op: scf.If, w: Writer, table: LoweringTable) -> None:
    outs = [w.variables(v) for v in op.outs]
    w.open(f"if ({w.one(op.condition)})")
    _branch(w, op.then_block, outs, table)
    if op.else_block is not None and (outs or len(op.else_block) > 1):
        w.otherwise()
        _branch(w, op.else_block, outs, table)
    w.close()
    for out, names in zip(op.outs, outs, strict=True):
        w.bind_units(out, names)


def _branch(w: Writer, block: Block, outs: list[Row], table: LoweringTable) -> None:
    end = _inside(w, block, table)
    assert end is not None
    w.assign(_moves(w, outs, end.operands))


def _while(op: scf.While, w: Writer, table: LoweringTable) -> None:
    """The results are variables of their own: what the loop computed is out of reach after it."""
    before, after = op.regions[0].block, op.regions[1].block
    outs = [w.variables(v) for v in op.outs]
    carried = [w.variables(v, w.units(init)) for v, init in zip(before.args, op.inits, strict=True)]
    w.open("for (;;)")
    for arg, names in zip(before.args, carried, strict=True):
        w.bind_units(arg, names)
    test = _inside(w, before, table)
    assert isinstance(test, scf.Condition)
    w.assign(_moves(w, outs, test.values))
    w.do(f"if (!{w.one(test.condition)}) break;")
    for arg, names in zip(after.args, outs, strict=True):
        w.bind_units(arg, names)
    end = _inside(w, after, table)
    assert end is not None
    w.assign(_moves(w, carried, end.operands))
    w.close()
    for out, names in zip(op.outs, outs, strict=True):
        w.bind_units(out, names)


def _call(op: func.Call, w: Writer, table: LoweringTable) -> None:
    """Write the function's body here; its values are written anew for each call."""
    target = w.function(op.callee.name)
    for value, arg in zip(op.args, target.body.args, strict=True):
        if is_buffer(arg):
            w.buffers[arg] = w.buffers[value]
        else:
            w.bind_units(arg, w.units(value))
    end = write_block(w, target.body, table)
    assert end is not None
    returned: list[Value] = list(end.operands)
    for out, value in zip(op.outs, returned, strict=True):
        w.bind_units(out, w.units(value))


def _assert(op: cf.Assert, w: Writer) -> None:
    """Note the failure; then leave, or touch no memory any more where others wait at barriers."""
    w.uses_status = True
    leave = "kdsl_alive = false;" if w.guarded and not w.leaves_together(op) else "return;"
    w.do(f"if (!{w.one(op.condition)}) {{ kdsl_status[0] = {ASSERT_FAILED}; {leave} }}")
