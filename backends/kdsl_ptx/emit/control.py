"""Structured control flow: labels, branches, and registers that change from turn to turn.

A carried value keeps its registers through the loop; what is yielded is moved into them at the end
of a turn, unless it is there already (a matrix accumulator).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kdsl.codegen.lowering import LoweringTable
from kdsl.dialects import cf, func, scf
from kdsl.dialects.arith import constant_of
from kdsl.ir.core import Block, Op, Value
from kdsl.ir.types import INDEX, MemRefType, element_type
from kdsl_ptx.emit.writer import Writer, register_class

lower = LoweringTable("the PTX back end")
MOVES = {"p": "mov.pred", "h": "mov.b16", "r": "mov.b32", "d": "mov.b64"}
ENDS = ("scf.yield", "scf.condition", "func.return")
MOST = (1 << 31) - 1


class Form:
    """How a value goes around a loop: "low" index elements, or what ``registers`` gives."""

    __slots__ = ("kind", "low")

    def __init__(self, value: Value, *, low: bool = False) -> None:
        self.low = low
        self.kind = "r" if low else register_class(value.type)

    def read(self, w: Writer, value: Value) -> list[str]:
        if self.low:
            found = w.low(value)
            assert found is not None
            return found
        return w.registers(value)

    def bind(self, w: Writer, value: Value, texts: list[str]) -> None:
        if self.low:
            w.bind_low(value, texts)
        else:
            w.bind_registers(value, texts)


def write_block(w: Writer, block: Block, table: LoweringTable) -> Op | None:
    """Write all ops but the terminator, which is returned."""
    rows = table._rows
    op = block.first
    while op is not None:
        row = rows.get(type(op))
        if row is None:
            if op is block.last and _ends(op):
                return op
            table.lower(op, w)
        else:
            row(op, w)
        op = op.next
    return None


def _ends(op: Op) -> bool:
    return op.name in ENDS


def move(w: Writer, pairs: Sequence[tuple[str, str, str]]) -> None:
    """Write (class, to, from) moves that take place at once."""
    waiting = [(k, to, source) for k, to, source in pairs if to != source]
    while waiting:
        read = {source for _, _, source in waiting}
        free = [m for m in waiting if m[1] not in read]
        if not free:  # a ring: keep one target's old value aside
            kind, to, _ = waiting[0]
            aside = w.new(kind)
            w.do(f"{MOVES[kind]} {aside}, {to}")
            waiting = [(k, t, aside if s == to else s) for k, t, s in waiting]
            continue
        for kind, to, source in free:
            _move(w, kind, to, source)
        done = {m[1] for m in free}
        waiting = [m for m in waiting if m[1] not in done]


def _move(w: Writer, kind: str, to: str, source: str) -> None:
    if kind == "p" and source[0] != "%":
        source = w.register(source, "p")
    w.do(f"{MOVES[kind]} {to}, {source}")


def refuse_buffers(op: Any, values: Any) -> None:
    if any(isinstance(v.type, MemRefType) for v in values):
        raise lower.refuse(op, "a buffer cannot be a result")


def enter_carried(w: Writer, op: Op, inits: Sequence[Value], args: Sequence[Value]) -> list[Any]:
    """Give each carried value its registers; return (form, registers) of each."""
    found: list[Any] = []
    for init, arg in zip(inits, args, strict=True):
        form = Form(init)
        texts = form.read(w, init)
        if _stays(w, op, init, form):
            registers = texts
            assert w.owners is not None
            for text in texts:  # whoever held them is not read any more
                w.owners[text] = []
        else:
            registers = [w.new(form.kind) for _ in texts]
            move(w, [(form.kind, r, t) for r, t in zip(registers, texts, strict=True)])
        form.bind(w, arg, registers)
        found.append((form, registers))
    return found


def _stays(w: Writer, op: Op, init: Value, form: Form) -> bool:
    """Whether a vector of 32-bit elements may go on in the registers where it is."""
    if w.owners is None or form.kind != "r" or element_type(init.type).bits != 32:
        return False
    texts = w.registers(init)
    return len(texts) > 1 and len(set(texts)) == len(texts) and w.dies([init], op)


def yield_to(w: Writer, carried: list[Any], values: Sequence[Value]) -> None:
    """Move what is yielded into the registers of the carried values."""
    pairs: list[tuple[str, str, str]] = []
    for (form, registers), value in zip(carried, values, strict=True):
        texts = form.read(w, value)
        pairs += [(form.kind, r, t) for r, t in zip(registers, texts, strict=True)]
    move(w, pairs)


def control(table: LoweringTable) -> None:
    """Enter the ops that hold regions into ``table``, whose rows write what is inside them."""

    @table(scf.For)
    def for_loop(op: scf.For, w: Writer) -> None:
        _for(op, w, table)

    @table(scf.If)
    def branch(op: scf.If, w: Writer) -> None:
        _if(op, w, table)

    @table(scf.While)
    def while_loop(op: scf.While, w: Writer) -> None:
        _while(op, w, table)

    @table(func.Call)
    def call(op: func.Call, w: Writer) -> None:
        _call(op, w, table)


def jump(w: Writer, label: str, condition: str = "", *, uniform: bool = False) -> None:
    """Branch, when ``condition`` (a predicate, maybe with ``!``) holds."""
    guard = f"@{condition} " if condition else ""
    w.do(f"{guard}bra{'.uni' if uniform else ''} {label}")


# ------------------------------------------------------------------------------------------- loops


def _for(op: scf.For, w: Writer, table: LoweringTable) -> None:
    """Test first unless it surely runs, then at the bottom."""
    refuse_buffers(op, op.outs)
    element = element_type(op.lower.type)
    low = element is INDEX and _counts_low(op, w)
    form = Form(op.lower, low=low)
    bits = 32 if low else max(element.bits, 16)
    (first,), (last,), (step,) = (form.read(w, v) for v in (op.lower, op.upper, op.step))
    if element.bits == 8:
        raise table.refuse(op, "an 8-bit counter")
    uniform = all(w.facts.agrees(v) for v in (op.lower, op.upper, op.step))
    counter = w.new(form.kind)
    w.do(f"{MOVES[form.kind]} {counter}, {first}")
    form.bind(w, op.induction, [counter])
    carried = enter_carried(w, op, op.inits, op.carried)
    body, done = w.label(), w.label()
    if not _surely_runs(op):
        skip = w.let("p", f"setp.ge.s{bits}", counter, last)
        jump(w, done, skip, uniform=uniform)
    w.place(body)
    w.open_scope()
    end = write_block(w, op.body, table)
    assert end is not None
    yield_to(w, carried, end.operands)
    w.do(f"add.s{bits} {counter}, {counter}, {step}")
    again = w.let("p", f"setp.lt.s{bits}", counter, last)
    jump(w, body, again, uniform=uniform)
    w.close_scope()
    w.place(done)
    for out, (held, registers) in zip(op.outs, carried, strict=True):
        held.bind(w, out, registers)


def _counts_low(op: scf.For, w: Writer) -> bool:
    """Whether counter, bound and step, and the counter past the bound, fit 32 bits."""
    ranges = [w.facts.range(v) for v in (op.lower, op.upper, op.step)]
    if any(r is None or r[0] < -MOST or r[1] > MOST for r in ranges):
        return False
    return ranges[1][1] + ranges[2][1] <= MOST  # type: ignore[index]


def _surely_runs(op: scf.For) -> bool:
    low, high = constant_of(op.lower), constant_of(op.upper)
    return low is not None and high is not None and int(low) < int(high)


def _while(op: scf.While, w: Writer, table: LoweringTable) -> None:
    refuse_buffers(op, op.outs)
    before, after = op.regions[0].block, op.regions[1].block
    carried = enter_carried(w, op, op.inits, before.args)
    head, done = w.label(), w.label()
    w.place(head)
    w.open_scope()
    test = write_block(w, before, table)
    assert isinstance(test, scf.Condition)
    forms = [Form(v) for v in test.values]
    texts = [list(form.read(w, v)) for form, v in zip(forms, test.values, strict=True)]
    condition = w.predicate(test.condition)
    jump(w, done, f"!{condition}", uniform=w.facts.agrees(test.condition))
    for form, arg, given in zip(forms, after.args, texts, strict=True):
        form.bind(w, arg, given)
    end = write_block(w, after, table)
    assert end is not None
    yield_to(w, carried, end.operands)
    jump(w, head, uniform=True)
    w.close_scope()
    w.place(done)
    for form, out, given in zip(forms, op.outs, texts, strict=True):
        form.bind(w, out, given)


# ---------------------------------------------------------------------------------------- branches


def _if(op: scf.If, w: Writer, table: LoweringTable) -> None:
    refuse_buffers(op, op.outs)
    condition = w.one(op.condition)
    if condition[0] != "%":
        _known_branch(op, w, table, condition)
        return
    uniform = w.facts.agrees(op.condition)
    forms = [Form(v) for v in op.outs]
    done = w.label()
    other = w.label() if op.else_block is not None else done
    jump(w, other, f"!{condition}", uniform=uniform)
    outer, sides = w.lines, []
    for block in (op.then_block, op.else_block):
        if block is None:
            continue
        w.lines = []
        w.open_scope()
        end = write_block(w, block, table)
        values = [] if end is None else end.operands
        texts = [list(form.read(w, v)) for form, v in zip(forms, values, strict=True)]
        w.close_scope()
        sides.append((w.lines, texts))
    results = [
        [a if a == b and a[0] == "%" else w.new(form.kind) for a, b in zip(*both, strict=True)]
        for form, *both in zip(forms, *(texts for _, texts in sides), strict=True)
    ]
    for number, (lines, texts) in enumerate(sides):
        w.lines = lines
        pairs = [
            (form.kind, r, t)
            for form, registers, given in zip(forms, results, texts, strict=True)
            for r, t in zip(registers, given, strict=True)
        ]
        w.open_scope()
        move(w, pairs)
        w.close_scope()
        if number == 0 and len(sides) == 2:
            jump(w, done, uniform=True)
            w.place(other)
        outer.extend(w.lines)
    w.lines = outer
    w.place(done)
    for form, out, registers in zip(forms, op.outs, results, strict=True):
        form.bind(w, out, registers)


def _known_branch(op: scf.If, w: Writer, table: LoweringTable, condition: str) -> None:
    block = op.then_block if condition == "true" else op.else_block
    if block is None:
        return
    end = write_block(w, block, table)
    values = [] if end is None else end.operands
    for out, value in zip(op.outs, values, strict=True):
        _rename(w, out, value)


def _rename(w: Writer, new: Value, old: Value) -> None:
    """Let a value stand for another in every form that it has."""
    if isinstance(old.type, MemRefType):
        w.buffers[new] = w.buffers[old]
        return
    if old in w.low_of:
        w.bind_low(new, w.low_of[old])
    elif old in w.words_of:
        w.bind_words(new, w.words_of[old])
    else:
        w.bind(new, w.loose(old))


def _call(op: func.Call, w: Writer, table: LoweringTable) -> None:
    """The callee's body, written in place."""
    target = w.parts.source.function(op.callee.name)
    w.open_scope()
    for value, arg in zip(op.args, target.body.args, strict=True):
        for held in (w.loose_of, w.words_of, w.low_of):
            held.pop(arg, None)
        _rename(w, arg, value)
    _forget_inside(w, target)
    end = write_block(w, target.body, table)
    values = [] if end is None else end.operands
    w.close_scope()
    for out, value in zip(op.outs, values, strict=True):
        _rename(w, out, value)


def _forget_inside(w: Writer, target: Op) -> None:
    """What an earlier call left is not this call's."""
    for op in target.walk():
        for value in op.results:
            for held in (w.loose_of, w.words_of, w.low_of):
                held.pop(value, None)


# -------------------------------------------------------------------------------------- assertions


@lower(cf.Assert)
def assertion(op: cf.Assert, w: Writer) -> None:
    """A lane for which it fails says so in the status word and ends.

    Barriers and shuffles count only lanes that are there, so the others go on. Where lanes wait for
    each other through counted barriers (mbarrier, named ones) an ended lane would hang them: there
    it goes on, inside the bounds that its copies clip to.
    """
    known = w.one(op.condition)
    if known == "true":
        return
    condition = w.predicate(op.condition)
    w.do(f"@!{condition} st.relaxed.gpu.global.b32 [{w.status}], 1")
    if not w.barriers:
        w.do(f"@!{condition} exit")
