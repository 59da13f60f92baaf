"""Loops and branches over traced values: what the rewritten text calls, and the functional forms.

A loop's body is run once on block arguments that stand for the carried names. A carried Python
number has no dtype of its own: it takes that of what it meets in the body, and the body is run
again with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kdsl.dialects import scf
from kdsl.errors import (
    BranchTypeError,
    LoopCarriedTypeError,
    TypeMismatchError,
    UnsupportedConstructError,
)
from kdsl.ir.core import Block, Region, Value
from kdsl.ir.types import INDEX, DType
from kdsl.language.carry import (
    Shape,
    Spans,
    Unbound,
    fits,
    flatten,
    place,
    rebuild,
    same,
    text_of,
)
from kdsl.language.constants import constant
from kdsl.language.state import Scope, Trace, current, emit_op, where
from kdsl.language.types import describe
from kdsl.language.values import (
    BOOL,
    F32,
    INDEX_DTYPE,
    Lanes,
    Scalar,
    Weak,
    as_index,
    as_value,
    assign,
    binary,
    convert,
    default_dtype,
    wrap,
)

MAX_ATTEMPTS = 4
Names = tuple[str, ...]


class Slot:
    """One number that a loop carries: its initial value, and its dtype once decided."""

    __slots__ = ("decided", "initial", "name")

    def __init__(self, name: str, initial: Any) -> None:
        self.name = name
        self.initial = initial
        self.decided: DType | None = None

    @property
    def is_number(self) -> bool:
        return not isinstance(self.initial, Lanes)

    def dtype(self) -> DType:
        if isinstance(self.initial, Lanes):
            if self.initial.weak is not None and self.decided is not None:
                return self.decided
            return self.initial.dtype
        return self.decided or default_dtype(self.initial)

    def start(self) -> Lanes:
        """Return the initial value, a constant for a number."""
        dtype = self.dtype()
        if isinstance(self.initial, Lanes):
            return convert(self.initial, dtype)
        value = float(self.initial) if dtype.is_float else self.initial
        return Scalar(constant(value, dtype), dtype)


class Carried:
    """The names that a loop carries, taken apart into slots."""

    def __init__(self, names: Names, values: tuple[Any, ...]) -> None:
        self.names = names
        self.values = values
        self.shapes: list[Shape | None] = []
        self.slots: list[Slot] = []
        self.types: list[Any] = []
        for name, value in zip(names, values, strict=True):
            if isinstance(value, Unbound):
                self.shapes.append(None)
                continue
            shape, leaves = flatten(value)
            self.shapes.append(shape)
            self.slots += [Slot(name, leaf) for leaf in leaves]

    def inits(self) -> list[Lanes]:
        """Return the initial values, made in the block around the loop."""
        return [slot.start() for slot in self.slots]

    def arguments(self, block: Block) -> list[Lanes]:
        """Add a block argument for each slot."""
        found = []
        for slot, init in zip(self.slots, self.types, strict=True):
            value = wrap(block.add_argument(init, slot.name), slot.dtype())
            if (slot.is_number and not isinstance(slot.initial, bool)) or (
                isinstance(slot.initial, Lanes) and slot.initial.weak is not None
            ):
                value.weak = Weak()
            found.append(value)
        return found

    def rebuilt(self, leaves: list[Any]) -> tuple[Any, ...]:
        """Put the named values together from leaves; unbound names stay so."""
        rest = list(leaves)
        found = []
        for value, shape in zip(self.values, self.shapes, strict=True):
            if shape is None:
                found.append(value)
            else:
                size = len(flatten(value)[1])
                found.append(rebuild(shape, rest[:size]))
                rest = rest[size:]
        return tuple(found)


class LoopBase:
    """What for and while loops share: carrying names through a body."""

    construct = "loop"

    def __init__(self, names: Names, spans: Spans | None, file: str | None) -> None:
        self.names = names
        self.spans = spans
        self.file = file
        self.trace: Trace = current("a loop")
        self.outer: Scope = self.trace.scope
        self.carried: Carried | None = None
        self.finished: tuple[Any, ...] = ()

    def yielded(self, values: tuple[Any, ...], args: list[Lanes]) -> list[Lanes] | None:
        """Check the values at the end of the body; None asks for another run of the body."""
        assert self.carried is not None
        again = False
        found: list[Lanes] = []
        at = 0
        for name, before, shape, value in zip(
            self.names, self.carried.values, self.carried.shapes, values, strict=True
        ):
            if shape is None:
                continue
            after, leaves = (None, []) if isinstance(value, Unbound) else flatten(value)
            if after is None or not fits(shape, after):
                raise self._mismatch(name, text_of(before), text_of(value))
            for leaf in leaves:
                slot, arg = self.carried.slots[at], args[at]
                at += 1
                ready, retry = self._settle(slot, arg, leaf)
                again = again or retry
                found.append(ready)
        return None if again else found

    def _settle(self, slot: Slot, arg: Lanes, leaf: Any) -> tuple[Any, bool]:
        """Bring one value to its slot's type, or decide on another dtype for the slot."""
        leaf = as_value(leaf)
        if arg.weak is not None:
            wanted = self._wanted(slot, arg, leaf)
            if wanted is not arg.dtype:
                slot.decided = wanted
                return arg, True
        if not isinstance(leaf, Lanes):
            return self._number(slot, arg, leaf), False
        if leaf.ir.type is not arg.ir.type or (leaf.dtype is not arg.dtype and leaf.weak is None):
            raise self._mismatch(slot.name, text_of(arg), text_of(leaf))
        return leaf, False

    def _wanted(self, slot: Slot, arg: Lanes, leaf: Any) -> DType:
        """Return the dtype that an undecided number should have, from what it became and met."""
        assert arg.weak is not None
        if isinstance(leaf, Lanes):
            if (
                not leaf.shape
                and leaf.weak is None
                and leaf.dtype.kind != "b"
                and slot.decided is None
            ):
                return leaf.dtype
            if leaf.weak is not None and leaf.dtype is not arg.dtype and not leaf.shape:
                return leaf.dtype
        elif isinstance(leaf, float) and arg.dtype.is_integer:
            return F32
        met = arg.weak.met
        if met is None or slot.decided is not None or met.kind == "b":
            return arg.dtype
        if isinstance(slot.initial, float) and not met.is_float:
            return arg.dtype
        return met

    def _number(self, slot: Slot, arg: Lanes, leaf: Any) -> Lanes:
        fitting = isinstance(leaf, bool) is (arg.dtype.kind == "b") and not arg.shape
        if not fitting or (isinstance(leaf, float) and not arg.dtype.is_float):
            raise self._mismatch(slot.name, text_of(arg), text_of(leaf))
        return assign(slot.name, leaf, arg.dtype)

    def _mismatch(self, name: str, before: str, after: str) -> LoopCarriedTypeError:
        loc = place(self.spans, name, self.file)
        return LoopCarriedTypeError(
            loc, name=name, before=before, after=after, construct=self.construct
        )

    def discard(self, *blocks: Block) -> None:
        """Forget ops that were traced in vain."""
        for block in blocks:
            for op in block:
                op.drop_uses()

    def outcome(self, results: list[Any]) -> tuple[Any, ...]:
        """Return the names' values after the loop; those first bound in it have none."""
        assert self.carried is not None
        leaves = [
            wrap(r, slot.dtype()) for r, slot in zip(results, self.carried.slots, strict=True)
        ]
        found = self.carried.rebuilt(leaves)
        return tuple(
            Unbound(name, self.construct) if shape is None else value
            for name, shape, value in zip(self.names, self.carried.shapes, found, strict=True)
        )


class LoopRange:
    """What ``kd.range`` and its like describe: bounds, step and attributes of a counted loop."""

    def __init__(self, start: Any, stop: Any, step: Any = 1, **attributes: Any) -> None:
        self.start = start
        self.stop = stop
        self.step = step
        self.attributes = attributes

    def __iter__(self) -> Iterator[Any]:
        """Trace the body of a loop whose text is not rewritten; it can carry nothing."""
        loop = ForLoop(self, (), None, None)
        for i in loop:
            loop.enter(())
            yield i
            loop.leave(())

    def bounds(self) -> tuple[Value, Value, Value, Callable[[Any], Any]]:
        """Return lower, upper and step of the ``scf.for``, and what the index is of its counter."""
        start = as_index(self.start, "a bound of a loop")
        stop = as_index(self.stop, "a bound of a loop")
        step = as_value(self.step)
        if isinstance(step, int) and step < 0:
            count = binary("cdiv", binary("-", start, stop), -step)
            zero, one = as_index(0), as_index(1)
            first, by = start, step
            return zero.ir, count.ir, one.ir, lambda k: binary("+", first, binary("*", k, by))
        if isinstance(step, int) and step == 0:
            raise TypeMismatchError(where(), op="kd.range", wanted="a step that is not 0", got=0)
        return start.ir, stop.ir, as_index(step, "the step of a loop").ir, lambda k: k


class ForLoop(LoopBase):
    """A ``for`` statement: traced over a ``LoopRange``, plain Python over anything else."""

    construct = "for loop"

    def __init__(self, iterable: Any, names: Names, spans: Spans | None, file: str | None) -> None:
        super().__init__(names, spans, file)
        self.iterable = iterable
        self.traced = isinstance(iterable, LoopRange)
        self.loc = self.trace.location(3)
        self.done = False

    def __iter__(self) -> Iterator[Any]:
        if not self.traced:
            yield from _plain_iterator(self.iterable)
            return
        lower, upper, step, index_of = self.iterable.bounds()
        for _ in range(MAX_ATTEMPTS):
            self.block = Block([INDEX])
            self.control = lower, upper, step
            self.scope = self.trace.open(self.block, self.construct)
            yield index_of(wrap(self.block.args[0], INDEX_DTYPE))
            if self.done:
                return
        raise self._mismatch(self.names[0], "undecided", "of changing type")

    def enter(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Begin the body: return what the carried names are in it."""
        if not self.traced:
            return values
        if self.carried is None:
            self.carried = Carried(self.names, values)
        with self.trace.outside(self.scope):
            self.starts = self.carried.inits()
        self.carried.types = [v.ir.type for v in self.starts]
        self.args = self.carried.arguments(self.block)
        return self.carried.rebuilt(list(self.args))

    def leave(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """End the body: check and yield the carried names."""
        if not self.traced:
            return values
        trace = self.trace
        assert self.carried is not None
        if trace.scope is not self.scope:
            raise UnsupportedConstructError(
                where(), construct="a loop that ends inside a branch", advice="keep it in one block"
            )
        ends = self.yielded(values, self.args)
        if ends is None:
            trace.close(self.scope)
            self.discard(self.block)
            return self.carried.values
        trace.builder.loc = self.loc
        trace.builder.create(scf.Yield, [v.ir for v in ends])
        trace.close(self.scope)
        op = emit_op(
            scf.For, *self.control, [v.ir for v in self.starts],
            types=[v.ir.type for v in self.starts],
            regions=[Region([self.block])], **self.iterable.attributes,
        )  # fmt: skip
        op.loc = self.loc
        self.op = op
        self.finished = self.outcome(list(op.results))
        self.done = True
        return self.finished

    def result(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what the names are after the loop."""
        return self.finished if self.traced else values


def _plain_iterator(iterable: Any) -> Iterable[Any]:
    if isinstance(iterable, Lanes):
        from kdsl.errors import TracedValueError

        raise TracedValueError(where(), type=describe(iterable), wanted="sequence")
    return iterable


class WhileLoop(LoopBase):
    """A ``while`` statement: traced when its condition is, plain Python otherwise."""

    construct = "while loop"

    def __init__(self, names: Names, spans: Spans | None, file: str | None) -> None:
        super().__init__(names, spans, file)
        self.loc = self.trace.location(3)
        self.traced = False
        self.turns = 0

    def probe(self) -> None:
        """Begin to evaluate the condition just to see whether it is traced."""
        self.scratch = Block()
        self.scope = self.trace.open(self.scratch, self.construct)

    def decide(self, condition: Any) -> None:
        """Note whether the condition is traced; forget the ops that it made."""
        self.traced = isinstance(as_value(condition), Lanes)
        self.trace.close(self.scope)
        self.discard(self.scratch)

    def turn(self) -> bool:
        """Return whether there is another turn to trace; plain loops always go on to their test."""
        if not self.traced:
            return True
        self.turns += 1
        return not self.finished_tracing and self.turns <= MAX_ATTEMPTS

    finished_tracing = False

    def before(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Begin the block that computes the condition."""
        if not self.traced:
            return values
        if self.carried is None:
            self.carried = Carried(self.names, values)
        self.starts = self.carried.inits()
        self.carried.types = [v.ir.type for v in self.starts]
        self.first = Block()
        self.scope = self.trace.open(self.first, self.construct)
        self.before_args = self.carried.arguments(self.first)
        return self.carried.rebuilt(list(self.before_args))

    def test(self, condition: Any) -> bool:
        """End that block with the condition; a plain loop's is Python's."""
        if not self.traced:
            return bool(condition)
        condition = _as_condition(condition, "while")
        self.trace.builder.loc = self.loc
        self.trace.builder.create(scf.Condition, condition.ir, [a.ir for a in self.before_args])
        self.trace.close(self.scope)
        return True

    def after(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Begin the body."""
        if not self.traced:
            return values
        assert self.carried is not None
        self.second = Block()
        self.scope = self.trace.open(self.second, self.construct)
        self.args = self.carried.arguments(self.second)
        return self.carried.rebuilt(list(self.args))

    def end(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """End the body."""
        if not self.traced:
            return values
        assert self.carried is not None
        for early, late in zip(self.before_args, self.args, strict=True):
            if early.weak is not None and late.weak is not None and late.weak.met is None:
                late.weak.met = early.weak.met
        ends = self.yielded(values, self.args)
        if ends is None:
            self.trace.close(self.scope)
            self.discard(self.first, self.second)
            return self.carried.values
        self.trace.builder.loc = self.loc
        self.trace.builder.create(scf.Yield, [v.ir for v in ends])
        self.trace.close(self.scope)
        op = emit_op(
            scf.While, [v.ir for v in self.starts], types=[v.ir.type for v in self.starts],
            regions=[Region([self.first]), Region([self.second])],
        )  # fmt: skip
        op.loc = self.loc
        self.finished = self.outcome(list(op.results))
        self.finished_tracing = True
        return self.finished

    def result(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what the names are after the loop."""
        return self.finished if self.traced else values


def _as_condition(condition: Any, construct: str) -> Scalar:
    condition = as_value(condition)
    if isinstance(condition, bool):
        return Scalar(constant(condition, BOOL), BOOL)
    if isinstance(condition, Scalar) and condition.dtype.kind == "b":
        return condition
    if isinstance(condition, Lanes) and condition.shape:
        from kdsl.errors import TracedBoolError

        raise TracedBoolError(where(), type=describe(condition))
    got = describe(condition)
    raise TypeMismatchError(where(), op=construct, wanted="a bool condition", got=got)


class Branch:
    """An ``if`` statement: both sides are traced when the condition is."""

    def __init__(
        self,
        condition: Any,
        names: Names,
        merged: tuple[bool, ...],
        spans: Spans | None,
        file: str | None,
    ) -> None:
        self.names = names
        self.merged = merged
        self.spans = spans
        self.file = file
        self.trace = current("if")
        condition = as_value(condition)
        self.traced = isinstance(condition, Lanes)
        self.condition = _as_condition(condition, "if") if self.traced else bool(condition)
        self.loc = self.trace.location(3)
        self.sides: list[tuple[Block, tuple[Any, ...]]] = []

    def begin(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Note what the names are before the branch."""
        self.initial = values
        return values

    @property
    def then(self) -> bool:
        return self._open() if self.traced else bool(self.condition)

    @property
    def other(self) -> bool:
        return self._open() if self.traced else not self.condition

    def _open(self) -> bool:
        self.scope = self.trace.open(Block(), "branch")
        return True

    def end(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """End one side; the other one starts from what was before."""
        if not self.traced:
            return values
        self.sides.append((self.scope.block, values))
        self.scope.closed = True
        assert self.scope.parent is not None
        self.trace.scope = self.scope.parent
        self.trace.builder.block, self.trace.builder.anchor = self.trace.scope.block, None
        return self.initial

    def result(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what the names are after the branch."""
        if not self.traced:
            return values
        if len(self.sides) == 1:
            self.sides.append((Block(), self.initial))
        (first, a), (second, b) = self.sides
        merger = Merger(self, first, second)
        return merger.merge(a, b)


class Merger:
    """Joins the values of the two sides of a branch into the results of one ``scf.if``."""

    def __init__(self, branch: Any, first: Block, second: Block) -> None:
        self.branch = branch
        self.trace: Trace = branch.trace
        self.blocks = first, second
        self.pairs: list[tuple[Lanes, Lanes]] = []

    def merge(self, a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
        """Make the op and return the joined values."""
        plans = []
        for name, keep, x, y, before in zip(
            self.branch.names, self.branch.merged, a, b, self.branch.initial, strict=True
        ):
            plans.append(self._plan(name, x, y) if keep else (lambda _, value=before: value))
        ends = [[p[side].ir for p in self.pairs] for side in (0, 1)]
        types = [v.type for v in ends[0]]
        for block, end in zip(self.blocks, ends, strict=True):
            if end or block is self.blocks[0] or len(block):
                self._terminate(block, end)
        regions = [
            Region([self.blocks[0]]),
            Region([self.blocks[1]] if self.blocks[1].last else []),
        ]
        if not ends[0] and not any(
            op for b in self.blocks for op in b if not isinstance(op, scf.Yield)
        ):
            return tuple(plan([]) for plan in plans)
        op = emit_op(scf.If, self.branch.condition.ir, types=types, regions=regions)
        op.loc = self.branch.loc
        made = [wrap(r, p[0].dtype, *p) for r, p in zip(op.results, self.pairs, strict=True)]
        return tuple(plan(made) for plan in plans)

    def _terminate(self, block: Block, values: list[Value]) -> None:
        with self.trace.builder.at(block):
            self.trace.builder.loc = self.branch.loc
            self.trace.builder.create(scf.Yield, values)

    def _plan(self, name: str, x: Any, y: Any) -> Callable[[list[Any]], Any]:
        """Return what makes the joined value of the op's results."""
        if isinstance(x, Unbound) or isinstance(y, Unbound):
            return lambda _: Unbound(name, "branch")
        if same(x, y):
            return lambda _: x
        (shape, left), (other, right) = flatten(x), flatten(y)
        if not fits(shape, other):
            raise self._mismatch(name, x, y)
        places: list[Any] = []
        for p, q in zip(left, right, strict=True):
            if same(p, q):
                places.append(p)
            else:
                places.append(_At(len(self.pairs)))
                self.pairs.append(self._pair(name, p, q))
        return lambda made: rebuild(
            shape, [made[p.at] if isinstance(p, _At) else p for p in places]
        )

    def _pair(self, name: str, p: Any, q: Any) -> tuple[Lanes, Lanes]:
        """Bring two leaves to one type, each in its own block."""
        strong = [v for v in (p, q) if isinstance(v, Lanes)]
        dtypes = {v.dtype for v in strong if v.weak is None} or {v.dtype for v in strong}
        if len(dtypes) > 1 or len({v.shape for v in strong}) > 1:
            raise self._mismatch(name, p, q)
        if dtypes:
            (dtype,) = dtypes
        elif isinstance(p, bool) is not isinstance(q, bool):
            raise self._mismatch(name, p, q)
        else:
            dtype = F32 if isinstance(p, float) or isinstance(q, float) else default_dtype(p)
        if any(v.shape for v in strong) and len(strong) < 2:
            raise self._mismatch(name, p, q)
        return self._in_block(0, name, p, dtype), self._in_block(1, name, q, dtype)

    def _in_block(self, side: int, name: str, value: Any, dtype: DType) -> Lanes:
        if isinstance(value, Lanes) and value.dtype is dtype:
            return value
        if not isinstance(value, Lanes) and isinstance(value, bool) is not (dtype.kind == "b"):
            raise self._mismatch(name, value, dtype)
        if isinstance(value, float) and not dtype.is_float:
            raise self._mismatch(name, value, dtype)
        with self.trace.inside(self.blocks[side], "branch"):
            if isinstance(value, Lanes):
                return convert(value, dtype)
            return assign(name, value, dtype)

    def _mismatch(self, name: str, x: Any, y: Any) -> BranchTypeError:
        loc = place(self.branch.spans, name, self.branch.file)
        return BranchTypeError(loc, name=name, then=text_of(x), other=text_of(y))


class _At:
    """The position of a result."""

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


def choose(condition: Any, then: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """Return ``then()`` where the condition holds, ``other()`` elsewhere; only one is run."""
    condition = as_value(condition)
    if not isinstance(condition, Lanes):
        return then() if condition else other()
    branch = Branch(condition, ("value",), (True,), None, None)
    branch.begin((None,))
    _ = branch.then
    a = as_value(then())
    branch.end((a,))
    _ = branch.other
    b = as_value(other())
    branch.end((b,))
    if _joins_without_branch(branch, a, b):
        return _select(branch, a, b)
    (found,) = branch.result(())
    return found


def _joins_without_branch(branch: Branch, a: Any, b: Any) -> bool:
    """Return whether both sides are pure and short: then a select is better than a branch."""
    from kdsl.ir.define import Pure

    if not all(isinstance(v, Lanes | bool | int | float) for v in (a, b)):
        return False
    if any(isinstance(v, Lanes) and v.shape for v in (a, b)):
        return False
    ops = [op for block, _ in branch.sides for op in block]
    return len(ops) <= 4 and all(not op.regions and Pure in getattr(op, "traits", ()) for op in ops)


def _select(branch: Branch, a: Any, b: Any) -> Any:
    """Move both sides out of their blocks and select."""
    from kdsl.language.values import where_

    into = branch.trace.builder
    for block, _ in branch.sides:
        for op in list(block):
            into.block.insert_before(into.anchor, op.detach())
    for value in (a, b):
        if isinstance(value, Lanes) and value.scope.closed:
            value.scope = branch.trace.scope
    pair = [text_of(v) for v in (a, b)]
    dtypes = {v.dtype for v in (a, b) if isinstance(v, Lanes) and v.weak is None}
    if len(dtypes) > 1 or (isinstance(a, bool) is not isinstance(b, bool) and not dtypes):
        raise BranchTypeError(where(), name="the value", then=pair[0], other=pair[1])
    return where_(branch.condition, a, b)


# -------------------------------------------------------------------------- functional forms


def fori(start: Any, stop: Any, body: Callable[..., Any], init: Any = (), step: Any = 1) -> Any:
    """Return the state after ``state = body(i, *state)`` for each i.

    A state that is no tuple is one value.
    """
    loop = ForLoop(LoopRange(start, stop, step), _state_names(init), None, None)
    _run_for(loop, lambda i, state: body(i, *state), init)
    return _state(loop.finished, init)


def _run_for(loop: ForLoop, body: Callable[[Any, tuple[Any, ...]], Any], init: Any) -> None:
    initial = init if isinstance(init, tuple) else (init,)
    for i in loop:
        state = loop.enter(initial)
        made = body(i, state)
        loop.leave(_as_state(made, init))


def _state_names(init: Any) -> Names:
    return tuple(f"state[{i}]" for i in range(len(init))) if isinstance(init, tuple) else ("state",)


def _as_state(made: Any, init: Any) -> tuple[Any, ...]:
    if not isinstance(init, tuple):
        return (made,)
    if made is None and not init:
        return ()
    if not isinstance(made, tuple) or len(made) != len(init):
        got = f"{len(made)} values" if isinstance(made, tuple) else describe(made)
        raise TypeMismatchError(where(), op="a loop's body", wanted=f"{len(init)} values", got=got)
    return made


def _state(finished: tuple[Any, ...], init: Any) -> Any:
    return finished if isinstance(init, tuple) else finished[0]


def while_loop(condition: Callable[..., Any], body: Callable[..., Any], init: Any) -> Any:
    """Return the state after ``state = body(*state)`` while ``condition(*state)`` holds."""
    loop = WhileLoop(_state_names(init), None, None)
    state = init if isinstance(init, tuple) else (init,)
    loop.traced = True
    while loop.turn():
        loop.test(condition(*loop.before(state)))
        loop.end(_as_state(body(*loop.after(state)), init))
    return _state(loop.finished, init)


def cond(condition: Any, then: Callable[..., Any], other: Callable[..., Any], *args: Any) -> Any:
    """Return ``then(*args)`` where the condition holds, ``other(*args)`` elsewhere."""
    return choose(_checked(condition), lambda: then(*args), lambda: other(*args))


def _checked(condition: Any) -> Any:
    condition = as_value(condition)
    return condition if isinstance(condition, bool) else _as_condition(condition, "kd.cond")
