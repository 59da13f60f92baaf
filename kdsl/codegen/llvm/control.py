"""Structured control flow as blocks and phis, assertions, and whole bodies."""

from __future__ import annotations

from typing import Any

from kdsl.codegen.llvm.function import FunctionWriter
from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import cf, scf
from kdsl.dialects.arith import constant_of
from kdsl.ir.core import Block, Op, Value
from kdsl.ir.types import INDEX, MemRefType

ASSERT_FAILED = 1
OUT_OF_MEMORY = 2

lower = LoweringTable("LLVM")


def write_block(w: FunctionWriter, block: Block, table: LoweringTable) -> Op | None:
    """Write all ops but the terminator, which is returned."""
    op = block.first
    rows = table._rows
    while op is not None:
        if op is block.last and not op.results and _ends(op):
            return op
        row = rows.get(type(op))
        if row is None:
            table.lower(op, w)
        else:
            row(op, w)
        op = op.next
    return None


def _ends(op: Op) -> bool:
    return op.name in ("scf.yield", "scf.condition", "func.return")


def fail_unless(w: FunctionWriter, condition: str, status: str | int) -> None:
    """Leave the function with ``status`` when ``condition`` does not hold."""
    good, bad = w.label(), w.label()
    w.branch(condition, good, bad)
    w.failures.append(f"[ {status}, %{bad} ]")
    w.lines.append(f"{bad}:")
    w.jump("failed")
    w.start(good)


def control(table: LoweringTable) -> None:
    """Enter the ops that hold regions into ``table``, whose rows write what is inside them."""

    @table(scf.For)
    def for_loop(op: scf.For, w: FunctionWriter) -> None:
        """Test first, then at the bottom: the shape that LLVM would rotate the loop into."""
        _for(op, w, table)

    @table(scf.If)
    def branch(op: scf.If, w: FunctionWriter) -> None:
        _if(op, w, table)

    @table(scf.While)
    def while_loop(op: scf.While, w: FunctionWriter) -> None:
        _while(op, w, table)

    @table(cf.Assert)
    def assertion(op: cf.Assert, w: FunctionWriter) -> None:
        fail_unless(w, w.names[op.condition], ASSERT_FAILED)


def _for(op: scf.For, w: FunctionWriter, table: LoweringTable) -> None:
    t = w.spelling.type(op.lower.type)
    low, high, step = (w.names[v] for v in (op.lower, op.upper, op.step))
    inits = [w.names[v] for v in op.inits]
    w.open_scope()
    outside, body, done = w.block, w.label(), w.label()
    runs = _surely_runs(op)
    if runs:
        w.jump(body)
    else:
        w.branch(w.let(f"icmp slt {t} {low}, {high}"), body, done)
    w.start(body)
    phis = w.later()
    args = [w.define(v) for v in op.body.args]
    end = write_block(w, op.body, table)
    assert end is not None
    latch = w.block
    following = w.let(f"add nsw {t} {args[0]}, {step}")
    again = w.let(f"icmp slt {t} {following}, {high}")
    yielded = [w.names[v] for v in end.operands]
    mark = f", !llvm.loop !{w.loop_mark()}"
    w.lines.append(f"  br i1 {again}, label %{body}, label %{done}{mark}")
    w.close_scope()
    phis.append(f"  {args[0]} = phi {t} [ {low}, %{outside} ], [ {following}, %{latch} ]")
    for arg, value, first, last in zip(args[1:], op.inits, inits, yielded, strict=True):
        kind = w.spelling.type(value.type)
        phis.append(f"  {arg} = phi {kind} [ {first}, %{outside} ], [ {last}, %{latch} ]")
    w.start(done)
    for out, first, last in zip(op.outs, inits, yielded, strict=True):
        ways = f"[ {last}, %{latch} ]"
        if not runs:
            ways = f"[ {first}, %{outside} ], {ways}"
        w.result(out, f"phi {w.spelling.type(out.type)} {ways}")


def _surely_runs(op: scf.For) -> bool:
    low, high = constant_of(op.lower), constant_of(op.upper)
    return low is not None and high is not None and int(low) < int(high)


def _refuse_memrefs(op: Any, values: Any, table: LoweringTable) -> None:
    if any(isinstance(v.type, MemRefType) for v in values):
        raise table.refuse(op, "a buffer cannot be a result")


def _if(op: scf.If, w: FunctionWriter, table: LoweringTable) -> None:
    _refuse_memrefs(op, op.outs, table)
    then, done = w.label(), w.label()
    block = op.else_block
    other = done if block is None else w.label()
    w.branch(w.names[op.condition], then, other)
    ways: list[tuple[str, list[str]]] = []
    for label, inner in ((then, op.then_block), (other, block)):
        if inner is None:
            continue
        w.start(label)
        end = write_block(w, inner, table)
        ways.append((w.block, [] if end is None else [w.names[v] for v in end.operands]))
        w.jump(done)
    w.start(done)
    for i, out in enumerate(op.outs):
        parts = ", ".join(f"[ {values[i]}, %{block} ]" for block, values in ways)
        w.result(out, f"phi {w.spelling.type(out.type)} {parts}")


def _while(op: scf.While, w: FunctionWriter, table: LoweringTable) -> None:
    before, after = op.regions[0].block, op.regions[1].block
    inits = [w.names[v] for v in op.inits]
    w.open_scope()
    outside, head, body, done = w.block, w.label(), w.label(), w.label()
    w.jump(head)
    w.start(head)
    phis = w.later()
    args = [w.define(v) for v in before.args]
    test = write_block(w, before, table)
    assert isinstance(test, scf.Condition)
    values = [w.names[v] for v in test.values]
    w.branch(w.names[test.condition], body, done)
    w.start(body)
    for bound, value in zip(after.args, values, strict=True):
        w.bind(bound, value)
    end = write_block(w, after, table)
    assert end is not None
    latch = w.block
    w.jump(head)
    w.close_scope()
    yielded = [w.names[v] for v in end.operands]
    for name, carried, first, last in zip(args, before.args, inits, yielded, strict=True):
        kind = w.spelling.type(carried.type)
        phis.append(f"  {name} = phi {kind} [ {first}, %{outside} ], [ {last}, %{latch} ]")
    w.start(done)
    for out, text in zip(op.outs, values, strict=True):
        w.names[out] = text
        # The value lives in the loop's head, which dominates what follows.
        w.depths[text] = min(w.depths.get(text, 0), len(w.scopes) - 1)


def index_literal(value: Value) -> int | None:
    """Return a constant index, else None."""
    known = constant_of(value)
    return int(known) if known is not None and value.type is INDEX else None
