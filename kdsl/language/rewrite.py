"""The bounded rewrite of a kernel's text: control flow becomes calls of ``captured``.

Statements stay where they are; nothing is moved into inner functions. A loop

    for i in kd.range(n):
        acc = acc + x[i]

becomes

    _kd_1 = _kd.loop(kd.range(n), ("acc",), {...})
    for i in _kd_1:
        (acc,) = _kd_1.enter((acc,))
        acc = acc + x[i]
        (acc,) = _kd_1.leave((acc,))
    (acc,) = _kd_1.result((acc,))

where a traced loop runs its body once, and any other iterable as Python does. New nodes have the
position of what they replace, so that carets point into the user's text.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from types import CellType, CodeType, FunctionType
from typing import Any

from kdsl.errors import UnsupportedConstructError
from kdsl.ir.location import Location
from kdsl.language import captured
from kdsl.language.liveness import (
    NONE,
    Names,
    assigned,
    bindings,
    live_after_each,
    live_before,
    live_in_loop,
    reads,
)
from kdsl.language.source import definition_of, note_without_source, span_of

HELPER = "_kd"

REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.Try: ("try", "check conditions with if, or kd.require for arguments"),
    ast.With: ("with", "call the functions directly"),
    ast.AsyncWith: ("async with", "call the functions directly"),
    ast.AsyncFor: ("async for", "use for ... in kd.range(...)"),
    ast.AsyncFunctionDef: ("async def", "use a plain function"),
    ast.Yield: ("yield", "write values to memory, or return them at the end"),
    ast.YieldFrom: ("yield from", "write values to memory, or return them at the end"),
    ast.Await: ("await", "call the function directly"),
    ast.Delete: ("del", "leave the name alone, it costs nothing"),
    ast.Global: ("global", "pass the value as a Const parameter"),
    ast.Nonlocal: ("nonlocal", "carry it: acc = kd.vectorize(n, init=acc)(body)"),
    ast.ClassDef: ("class", "define it outside of the kernel"),
    ast.Match: ("match", "use if and elif"),
    ast.Import: ("import", "import at the top of the file"),
    ast.ImportFrom: ("import", "import at the top of the file"),
}
COMPARISONS = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


def rewritten(function: FunctionType) -> FunctionType:
    """Return the function with its control flow captured; itself when its text is not at hand."""
    definition = definition_of(function)
    if definition is None:
        note_without_source(function.__code__)
        return function
    code = _compile(function, definition)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells[HELPER] = CellType(captured)
    closure = tuple(cells[name] for name in code.co_freevars)
    return FunctionType(code, function.__globals__, function.__name__, None, closure)


def _compile(function: FunctionType, definition: ast.FunctionDef) -> CodeType:
    file = function.__code__.co_filename
    node = ast.parse("def f(): pass").body[0]
    assert isinstance(node, ast.FunctionDef)
    node.name, node.args = "_kd_function", _bare(definition.args)
    body = _Function(file, definition, is_outermost=True).rewrite()
    node.body = body or [ast.Pass()]
    outer_names = [*function.__code__.co_freevars, HELPER]
    factory = ast.FunctionDef(
        name="_kd_factory",
        args=ast.arguments([], [ast.arg(n) for n in outer_names], None, [], [], None, []),
        body=[node, ast.Return(ast.Name(node.name, ast.Load()))],
        decorator_list=[],
    )
    ast.copy_location(node, definition)
    ast.copy_location(factory, definition)
    module = ast.fix_missing_locations(ast.Module([factory], []))
    outer = compile(module, file, "exec", dont_inherit=True)
    made = _inner(_inner(outer, "_kd_factory"), node.name)
    own = function.__code__
    return made.replace(co_name=own.co_name, co_qualname=own.co_qualname)


def _inner(code: CodeType, name: str) -> CodeType:
    return next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)


def _bare(given: ast.arguments) -> ast.arguments:
    """Return the parameters without annotations and defaults: callers pass all of them."""
    plain = [ast.copy_location(ast.arg(a.arg), a) for a in [*given.posonlyargs, *given.args]]
    only = [ast.copy_location(ast.arg(a.arg), a) for a in given.kwonlyargs]
    star = (
        None if given.vararg is None else ast.copy_location(ast.arg(given.vararg.arg), given.vararg)
    )
    rest = None if given.kwarg is None else ast.copy_location(ast.arg(given.kwarg.arg), given.kwarg)
    return ast.arguments([], plain, star, only, [None] * len(only), rest, [])


class _Function(ast.NodeTransformer):
    """Rewrites one function's body; inner functions get a rewriter of their own."""

    def __init__(self, file: str, definition: Any, *, is_outermost: bool = False) -> None:
        self.file = file
        self.definition = definition
        self.is_outermost = is_outermost
        args = definition.args
        given = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        self.parameters = {a.arg for a in given} | {
            a.arg for a in (args.vararg, args.kwarg) if a is not None
        }
        self.count = 0
        self.depth = 0
        self.loops: list[str] = []
        self.handed: set[str] = set()
        self.returns_early = False

    # -------------------------------------------------------------------------- statements

    def rewrite(self) -> list[ast.stmt]:
        """Return the new body."""
        self._note_handed(self.definition.body)
        new = self.block(self.definition.body, NONE)
        starts = [
            _at(self.definition.body[0], _assign(name, _call("unbound", ast.Constant(name))))
            for name in sorted(self.handed - self.parameters)
        ]
        if self.returns_early:
            first = self.definition.body[0]
            starts.append(_at(first, _assign(f"{HELPER}_scope", _call("scope"))))
        return [*starts, *new]

    def _note_handed(self, body: Sequence[ast.stmt]) -> None:
        """Find the names that loops and branches hand on but that may be unbound before."""
        sure = set(self.parameters)
        for statement in body:
            if isinstance(statement, ast.If | ast.For | ast.While):
                self.handed |= assigned([statement]) - sure
            else:
                sure |= assigned([statement])

    def block(self, body: Sequence[ast.stmt], after: Names) -> list[ast.stmt]:
        """Rewrite a list of statements; ``after`` are the names needed behind it."""
        found: list[ast.stmt] = []
        for statement, live in zip(body, live_after_each(body, after), strict=True):
            found += self.statement(statement, live)
        return found

    def statement(self, node: ast.stmt, live: Names) -> list[ast.stmt]:
        """Rewrite one statement into one or more."""
        self._refuse(node)
        match node:
            case ast.If():
                return self._if(node, live)
            case ast.For():
                return self._for(node, live)
            case ast.While():
                return self._while(node, live)
            case ast.Assert():
                return [self._assert(node)]
            case ast.Return():
                return [self._return(node)]
            case ast.Break() | ast.Continue():
                return self._leave(node)
            case ast.FunctionDef():
                return [self._function(node)]
        made = self.visit(node)
        assert isinstance(made, ast.stmt)
        return [made]

    def _name(self) -> str:
        self.count += 1
        return f"{HELPER}_{self.count}"

    def _if(self, node: ast.If, live: Names) -> list[ast.stmt]:
        bound = assigned(node.body) | assigned(node.orelse)
        needed = live | live_before(node.orelse, live) if node.orelse else live
        names = sorted(bound & needed)
        merged = tuple(name in live for name in names)
        it = self._name()
        make = _call(
            "branch",
            self.visit(node.test),
            _texts(names),
            _data(merged),
            self._spans(node, names),
        )
        self.depth += 1
        then = self.block(node.body, live)
        other = self.block(node.orelse, live)
        self.depth -= 1
        found = [_assign(it, _at(node.test, make)), *_hand(it, "begin", names)]
        found.append(
            ast.If(_member(it, "then"), [*then, *_hand(it, "end", names, always=True)], [])
        )
        if node.orelse:
            found.append(
                ast.If(_member(it, "other"), [*other, *_hand(it, "end", names, always=True)], [])
            )
        found += _hand(it, "result", names, always=True)
        return [_at(node.test, s) for s in found]

    def _for(self, node: ast.For, live: Names) -> list[ast.stmt]:
        self._no_else(node)
        targets = assigned([node.target])
        names = sorted(assigned(node.body) & (live_in_loop(node, live) | live) - targets)
        after = sorted(targets & live)
        it = self._name()
        make = _call("loop", self.visit(node.iter), _texts(names), self._spans(node, names))
        self.loops.append(it)
        self.depth += 1
        body = self.block(node.body, live | frozenset(names) | live_in_loop(node, live))
        self.depth -= 1
        self.loops.pop()
        turn = [
            *_hand(it, "enter", names, always=True),
            *body,
            *_hand(it, "leave", names, always=True),
        ]
        loop = ast.For(self.visit(node.target), _name(it), turn, [])
        found: list[ast.stmt] = [
            _assign(it, _at(node.iter, make)),
            loop,
            *_hand(it, "result", names),
        ]
        found += [
            _assign(name, _call("after_loop", _name(it), ast.Constant(name), _name(name)))
            for name in after
        ]
        return [_at(node.iter, s) for s in found]

    def _while(self, node: ast.While, live: Names) -> list[ast.stmt]:
        self._no_else(node)
        needed = live_in_loop(node, live) | live | reads(node.test)
        names = sorted(assigned(node.body) & needed)
        it = self._name()
        make = _call("while_", _texts(names), self._spans(node, names))
        test = self.visit(node.test)
        probe = [
            ast.Expr(_at(node.test, _method(it, "probe"))),
            ast.Expr(_at(node.test, _method(it, "decide", _copy(test)))),
        ]
        self.loops.append(it)
        self.depth += 1
        body = self.block(node.body, needed)
        self.depth -= 1
        self.loops.pop()
        stop = ast.If(ast.UnaryOp(ast.Not(), _method(it, "test", test)), [ast.Break()], [])
        turn = [
            *_hand(it, "before", names, always=True),
            stop,
            *_hand(it, "after", names, always=True),
            *body,
            *_hand(it, "end", names, always=True),
        ]
        loop = ast.While(_method(it, "turn"), turn, [])
        found = [_assign(it, _at(node.test, make)), *probe, loop, *_hand(it, "result", names)]
        return [_at(node.test, s) for s in found]

    def _no_else(self, node: ast.For | ast.While) -> None:
        if node.orelse:
            raise self._error(node.orelse[0], "else after a loop", "write it after the loop")

    def _assert(self, node: ast.Assert) -> ast.stmt:
        text = ast.unparse(node.test)
        message = ast.Constant(None) if node.msg is None else _lambda(self.visit(node.msg))
        made = _call("assert_", self.visit(node.test), message, ast.Constant(text))
        return _at(node, ast.Expr(_at(node.test, made)))

    def _return(self, node: ast.Return) -> ast.stmt:
        value = self.visit(node.value) if node.value is not None else ast.Constant(None)
        if self.depth:
            self.returns_early = True
            value = _at(node, _call("returned", value, _name(f"{HELPER}_scope")))
        return _at(node, ast.Return(value))

    def _leave(self, node: ast.stmt) -> list[ast.stmt]:
        word = "break" if isinstance(node, ast.Break) else "continue"
        check = _call("leaving", _name(self.loops[-1]), ast.Constant(word))
        found: list[ast.stmt] = [_at(node, ast.Expr(_at(node, check)))]
        return [*found, node]

    def _function(self, node: ast.FunctionDef) -> ast.stmt:
        inner = _Function(self.file, node)
        made = ast.FunctionDef(
            name=node.name,
            args=node.args,
            body=inner.rewrite(),
            decorator_list=[self.visit(d) for d in node.decorator_list],
            returns=None,
        )
        return ast.copy_location(made, node)

    def _spans(self, node: ast.stmt, names: Sequence[str]) -> ast.expr:
        """Return a constant table: where each name is assigned last in the construct."""
        places: dict[str, tuple[int, int, int, int]] = {}
        for part in ast.iter_child_nodes(node):
            for name, at in bindings(part):
                places[name] = span_of(at)
        kept = [n for n in names if n in places]
        return ast.Dict([ast.Constant(n) for n in kept], [_data(places[n]) for n in kept])

    # ------------------------------------------------------------------------- expressions

    def visit(self, node: ast.AST) -> Any:
        """Rewrite an expression or a simple statement."""
        self._refuse(node)
        return super().visit(node)

    def _refuse(self, node: ast.AST) -> None:
        found = REFUSED.get(type(node))
        if found is not None:
            raise self._error(node, *found)

    def _error(self, node: ast.AST, construct: str, advice: str) -> UnsupportedConstructError:
        loc = Location(self.file, span_of(node))
        return UnsupportedConstructError(loc, construct=construct, advice=advice)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and node.id in self.handed:
            return _at(node, _call("read", node))
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        first, *rest = (self.visit(v) for v in node.values)
        return _at(node, _call(name, first, *(_lambda(v) for v in rest)))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return _at(node, _call("not_", operand))
        return ast.copy_location(ast.UnaryOp(node.op, operand), node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        left, *rights = (self.visit(v) for v in (node.left, *node.comparators))
        if len(rights) == 1 or not all(type(op) in COMPARISONS for op in node.ops):
            return ast.copy_location(ast.Compare(left, node.ops, rights), node)
        steps = [
            ast.Tuple([ast.Constant(COMPARISONS[type(op)]), _lambda(right)], ast.Load())
            for op, right in zip(node.ops, rights, strict=True)
        ]
        return _at(node, _call("chain", left, *steps))

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        test, a, b = self.visit(node.test), self.visit(node.body), self.visit(node.orelse)
        return _at(node, _call("ifexp", test, _lambda(a), _lambda(b)))

    def visit_Call(self, node: ast.Call) -> ast.expr:
        made = self.generic_visit(node)
        assert isinstance(made, ast.Call)
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            return _at(node, _call("print_", made.func, *made.args, keywords=made.keywords))
        return made

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        inner = _Function(self.file, node)
        inner.handed = self.handed - inner.parameters
        made = ast.Lambda(node.args, inner.visit(node.body))
        return ast.copy_location(made, node)


# ------------------------------------------------------------------------------- building nodes


def _at(place: ast.AST, node: Any) -> Any:
    """Give a node, and what is new inside it, the position of ``place``."""
    for inner in ast.walk(node):
        if "lineno" in inner._attributes and not hasattr(inner, "lineno"):
            ast.copy_location(inner, place)
    return node


def _copy(node: ast.expr) -> ast.expr:
    from copy import deepcopy

    return deepcopy(node)


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _member(name: str, member: str) -> ast.expr:
    return ast.Attribute(_name(name), member, ast.Load())


def _call(helper: str, *args: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.expr:
    return ast.Call(_member(HELPER, helper), list(args), list(keywords))


def _method(name: str, method: str, *args: ast.expr) -> ast.expr:
    return ast.Call(_member(name, method), list(args), [])


def _lambda(body: ast.expr) -> ast.expr:
    return _at(body, ast.Lambda(ast.arguments([], [], None, [], [], None, []), body))


def _data(value: Any) -> ast.expr:
    """Return a constant; typeshed does not know that tuples are compiled too."""
    return ast.Constant(value)


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _texts(names: Sequence[str]) -> ast.expr:
    return _data(tuple(names))


def _hand(it: str, method: str, names: Sequence[str], *, always: bool = False) -> list[ast.stmt]:
    """Return ``(a, b) = it.method((a, b))``.

    Nothing for no names, unless the call itself matters.
    """
    if not names:
        return [ast.Expr(_method(it, method, _data(())))] if always or method == "begin" else []
    target = ast.Tuple([ast.Name(n, ast.Store()) for n in names], ast.Store())
    given = ast.Tuple([_name(n) for n in names], ast.Load())
    return [ast.Assign([target], _method(it, method, given))]
