"""Passes on short pieces of IR: the surroundings of a function body are written here once."""

from __future__ import annotations

import pytest

import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.ir.parser import parse
from kdsl.ir.printer import print_module
from kdsl.ir.verify import verify
from kdsl.passes.manager import parse_pipeline, run_pipeline
from kdsl.target.target import GENERIC

FUNCTION = """  "func.func"() ({{
  ^bb0({args}):
{body}
    "func.return"({values}) : ({types}) -> ()
  }}) {{function_type = ({inputs}) -> ({types}), sym_name = "{name}"{attributes}}} : () -> ()
"""
MODULE = '"builtin.module"() ({{\n{functions}}}) : () -> ()\n'


def function_text(args, body, returns="", name="f", attributes=""):
    """Return a function; ``args`` as "%x: f32, %i: index", ``returns`` as "%y: f32"."""
    return FUNCTION.format(
        args=args,
        body=body.strip("\n"),
        values=", ".join(value for value, _ in _pairs(returns)),
        types=", ".join(kind for _, kind in _pairs(returns)),
        inputs=", ".join(kind for _, kind in _pairs(args)),
        name=name,
        attributes=attributes,
    )


def _pairs(text):
    parts = [part for part in text.replace(", %", "\n%").split("\n") if part.strip()]
    return [tuple(part.strip().split(": ", 1)) for part in parts]


def parsed(*functions):
    module = parse(MODULE.format(functions="".join(functions)))
    verify(module)
    return module


@pytest.fixture
def function():
    """Give the text of a function."""
    return function_text


@pytest.fixture
def module_of():
    """Parse and verify functions into a module."""
    return parsed


@pytest.fixture
def after():
    """Run a pipeline on a body; give the module's text."""

    def run(pipeline, args, body, returns="", target=GENERIC):
        module = parsed(function_text(args, body, returns))
        run_pipeline(parse_pipeline(pipeline), module, target, verify=True)
        return print_module(module)

    return run
