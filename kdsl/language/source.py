"""The text of the user's functions: syntax trees by file, and where a parameter stands."""

from __future__ import annotations

import ast
import linecache
from types import CodeType, FunctionType

from kdsl.ir.location import Location

_trees: dict[tuple[str, int, int], ast.Module | None] = {}
_sourceless: set[CodeType] = set()

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def tree_of(file: str) -> ast.Module | None:
    """Return the parsed file, or None when its text is not at hand."""
    linecache.checkcache(file)
    lines = linecache.getlines(file)
    text = "".join(lines)
    key = (file, len(text), hash(text))
    if key not in _trees:
        try:
            _trees[key] = ast.parse(text, file) if lines else None
        except SyntaxError:
            # A notebook cell with magics, or a file that has changed: then there is no source.
            _trees[key] = None
    return _trees[key]


def definition_of(function: FunctionType) -> ast.FunctionDef | None:
    """Return the ``def`` of a function, or None when its text is not at hand."""
    code = function.__code__
    tree = tree_of(code.co_filename)
    if tree is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


def note_without_source(code: CodeType) -> None:
    """Remember that a function is traced as it is, so that errors can say why."""
    _sourceless.add(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            note_without_source(constant)


def has_no_source(code: CodeType) -> bool:
    """Return whether a function is traced without its text."""
    return code in _sourceless


def span_of(node: ast.AST) -> tuple[int, int, int, int]:
    """Return line, column, end line and end column of a node; columns from 1."""
    line, column = node.lineno, node.col_offset  # type: ignore[attr-defined]
    end_line = getattr(node, "end_lineno", None) or line
    end = getattr(node, "end_col_offset", None)
    return line, column + 1, end_line, (column if end is None else end) + 1


def location_of(function: FunctionType, node: ast.AST | None = None) -> Location:
    """Return where a node of a function's file stands, or where the function starts."""
    file = function.__code__.co_filename
    if node is not None:
        return Location(file, span_of(node))
    line = function.__code__.co_firstlineno
    definition = definition_of(function)
    if definition is not None:
        line = definition.lineno
    text = linecache.getline(file, line).rstrip("\n")
    column = len(text) - len(text.lstrip()) + 1
    return Location(file, (line, column, line, max(len(text), column) + 1))


def parameter_location(function: FunctionType, name: str) -> Location:
    """Return where a parameter's annotation (or the bare parameter) stands."""
    definition = definition_of(function)
    if definition is not None:
        given = definition.args
        for arg in [*given.posonlyargs, *given.args, *given.kwonlyargs]:
            if arg.arg == name:
                return location_of(function, arg.annotation or arg)
    return location_of(function)


def return_location(function: FunctionType) -> Location:
    """Return where a function's first return with a value stands."""
    definition = definition_of(function)
    for node in ast.walk(definition) if definition is not None else ():
        if isinstance(node, ast.Return) and node.value is not None:
            return location_of(function, node)
    return location_of(function)
