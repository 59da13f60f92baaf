"""Which names a list of statements reads and assigns, and which are still needed after each."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

Names = frozenset[str]
NONE: Names = frozenset()
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def assigned(nodes: Sequence[ast.AST]) -> Names:
    """Return the names that the nodes bind in the function itself."""
    return frozenset(name for node in nodes for name, _ in bindings(node))


def bindings(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield each binding of a name with its node.

    Inner functions and comprehensions have theirs.
    """
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Store):
            yield node.id, node
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name, node
        return
    if isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0], node
        return
    if isinstance(node, (ast.Lambda, *COMPREHENSIONS)):
        return
    for child in ast.iter_child_nodes(node):
        yield from bindings(child)


def reads(node: ast.AST | None) -> Names:
    """Return the names of the function that a node reads, inner functions included."""
    if node is None:
        return NONE
    if isinstance(node, ast.Name):
        return frozenset((node.id,)) if isinstance(node.ctx, ast.Load) else NONE
    if isinstance(node, SCOPES):
        return _function_reads(node)
    if isinstance(node, COMPREHENSIONS):
        own = frozenset(
            n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)
        )
        return _of_children(node) - own
    return _of_children(node)


def _of_children(node: ast.AST) -> Names:
    found: Names = NONE
    for child in ast.iter_child_nodes(node):
        found |= reads(child)
    return found


def _function_reads(node: ast.AST) -> Names:
    args = node.args  # type: ignore[attr-defined]
    own = {a.arg for a in [*args.posonlyargs, *args.args, *args.kwonlyargs]}
    own |= {a.arg for a in (args.vararg, args.kwarg) if a is not None}
    body = node.body if isinstance(node.body, list) else [node.body]  # type: ignore[attr-defined]
    own |= assigned(body)
    inner: Names = NONE
    for statement in body:
        inner |= reads(statement)
    outer: Names = NONE
    for part in [*args.defaults, *args.kw_defaults, *getattr(node, "decorator_list", [])]:
        outer |= reads(part)
    return (inner - own) | outer


def live_before(body: Sequence[ast.stmt], after: Names) -> Names:
    """Return the names needed before a list of statements."""
    for statement in reversed(body):
        after = _before(statement, after)
    return after


def live_after_each(body: Sequence[ast.stmt], after: Names) -> list[Names]:
    """Return, for each statement, the names needed after it."""
    found: list[Names] = []
    for statement in reversed(body):
        found.append(after)
        after = _before(statement, after)
    return found[::-1]


def live_in_loop(loop: ast.For | ast.While, after: Names) -> Names:
    """Return the names needed at the start of a loop's body."""
    targets = assigned([loop.target]) if isinstance(loop, ast.For) else NONE
    again = after | (reads(loop.test) if isinstance(loop, ast.While) else NONE)
    needed = live_before(loop.body, again)
    needed = live_before(loop.body, again | (needed - targets))
    return needed - targets


def _before(statement: ast.stmt, after: Names) -> Names:
    match statement:
        case ast.If():
            both = live_before(statement.body, after) | live_before(statement.orelse, after)
            return both | reads(statement.test)
        case ast.For():
            return live_in_loop(statement, after) | after | reads(statement.iter)
        case ast.While():
            return live_in_loop(statement, after) | after | reads(statement.test)
        case ast.Return():
            return reads(statement.value)
        case ast.AugAssign():
            target = statement.target
            own = frozenset((target.id,)) if isinstance(target, ast.Name) else reads(target)
            return after | own | reads(statement.value)
        case ast.FunctionDef():
            return (after - {statement.name}) | reads(statement)
    return (after - assigned([statement])) | reads(statement)
