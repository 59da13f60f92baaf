"""Every place that makes a coded error gives it the fields of its message."""

from __future__ import annotations

import ast
import string
from pathlib import Path

import kdsl.errors
from kdsl.errors import KdslError, catalogue

ROOT = Path(__file__).parents[2]
PRODUCT = sorted([*ROOT.glob("kdsl/**/*.py"), *ROOT.glob("backends/**/*.py")])
BY_NAME = {error.__name__: error for error in catalogue()}


def fields_of(error: type[KdslError]) -> set[str]:
    return {
        field.partition(".")[0].partition("[")[0]
        for text in (error.message, error.hint)
        for _, field, _, _ in string.Formatter().parse(text)
        if field is not None
    }


def coded_names(tree):
    """Names of coded errors that a module imports; a plain exception may have one's name."""
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kdsl.errors")
        for alias in node.names
        if alias.name in BY_NAME
    }


def call_sites():
    for path in PRODUCT:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        coded = coded_names(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else None
            if name in coded:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", BY_NAME[name], node


def test_every_call_gives_the_fields_of_the_message():
    wrong = []
    for where, error, call in call_sites():
        given = {keyword.arg for keyword in call.keywords}
        if None in given:
            continue
        missing = fields_of(error) - given
        surplus = given - fields_of(error) - {"notes", "loc"}
        if missing or surplus:
            wrong.append(
                f"{where}: {error.__name__} lacks {missing or '-'}, unused {surplus or '-'}"
            )
    assert not wrong, "\n".join(wrong)


def test_errors_take_the_place_first_and_the_rest_by_name():
    wrong = [where for where, _, call in call_sites() if len(call.args) > 1]
    assert not wrong


def test_imported_error_names_exist():
    missing = []
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "kdsl.errors":
                missing += [
                    f"{path.relative_to(ROOT)}:{node.lineno}: {alias.name}"
                    for alias in node.names
                    if not hasattr(kdsl.errors, alias.name)
                ]
    assert not missing
