from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from kdsl.errors import (
    InvalidAfterPassError,
    PassOptionError,
    PipelineSyntaxError,
    UnknownPassError,
)
from kdsl.passes.manager import PASSES, Pass, Pipeline, parse_pipeline, run_pipeline
from kdsl.passes.pipelines import OPTIMIZE, PIPELINES
from kdsl.passes.unroll import Unroll


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=str)
def test_a_pipeline_reads_its_own_text(pipeline):
    assert parse_pipeline(str(pipeline)) == pipeline


@pytest.mark.parametrize("kind", list(PASSES.values()), ids=lambda kind: kind.name)
def test_a_pass_with_other_options_reads_its_own_text(kind):
    def other(value):
        return {bool: not value, int: 77, str: "word"}.get(type(value), value)

    changed = kind(**{f.name: other(f.default) for f in fields(kind)})
    assert parse_pipeline(str(changed)).passes == (changed,)


def test_nested_pipelines_keep_their_names():
    pipeline = Pipeline(
        "outer", (Pipeline("empty"), Unroll(max_ops=3), Pipeline("inner", (Unroll(),)))
    )
    assert str(pipeline) == "outer{empty{},unroll{max-ops=3},inner{unroll}}"
    assert parse_pipeline(str(pipeline)) == pipeline


def test_the_name_of_a_pipeline_stands_for_it():
    assert parse_pipeline("optimize") is OPTIMIZE
    assert parse_pipeline("cse,simplify").passes[1] is PIPELINES["simplify"]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("canonicalise", UnknownPassError, "there is no pass 'canonicalise'; there are "),
        ("loops{canonicalise}", UnknownPassError, "there is no pass 'canonicalise'"),
        ("nothing{x=1}", UnknownPassError, "there is no pass 'nothing'"),
        ("cse,,dce", PipelineSyntaxError, "'' is no pass"),
        ("", PipelineSyntaxError, "'' is no pass"),
        ("unroll{max-ops=4", PipelineSyntaxError, "a '{' without its '}'"),
        ("unroll}", PipelineSyntaxError, "a '}' without its '{'"),
        ("unroll{max-ops=4}x", PipelineSyntaxError, "is no pass"),
        ("unroll{by=4}", PassOptionError, "the option 'by' does not exist"),
        ("unroll{max-ops=many}", PassOptionError, "takes <int>, got 'many'"),
    ],
)
def test_text_that_is_no_pipeline_is_a_coded_error(text, error, says):
    with pytest.raises(error) as problem:
        parse_pipeline(text)
    assert says in problem.value.summary


@dataclass(frozen=True)
class _Breaks(Pass):
    """Leave a module that is not valid, and deny it."""

    def run(self, module, target):
        block = module.functions[0].body
        block.last.set_operands([block.args[0]])
        return False

    def __str__(self):
        return "breaks"


_Breaks.name = "breaks"
BODY = '%y = "arith.addf"(%x, %x) : (f32, f32) -> f32'


def test_a_pass_that_breaks_the_module_is_named_even_if_it_denies_it(function, module_of):
    module = module_of(function("%x: i32, %z: f32", BODY.replace("%x", "%z"), "%y: f32"))
    pipeline = Pipeline("p", (parse_pipeline("cse").passes[0], _Breaks()))
    with pytest.raises(InvalidAfterPassError, match="breaks left an invalid module") as problem:
        run_pipeline(pipeline, module, verify=True)
    assert problem.value.pass_name == "breaks"


def test_observers_see_every_pass_in_order(function, module_of):
    seen = []
    module = module_of(function("%x: f32", BODY))

    def watch(each, given, changed):
        seen.append((each.name, changed))
        assert given is module

    steps = run_pipeline(parse_pipeline("cse,dce,simplify"), module, observers=(watch,))
    assert seen == [("cse", False), ("dce", True), ("canonicalize", False), ("cse", False)]
    assert [(s.name, s.changed) for s in steps] == seen
    assert all(s.seconds >= 0 for s in steps)
