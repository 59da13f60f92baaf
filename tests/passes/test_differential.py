from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from kdsl.dialects.arith import Addf, Mulf, Subf
from kdsl.dialects.memref import Store
from kdsl.errors import ChangedMeaningError
from kdsl.passes.canonicalize import Canonicalize
from kdsl.passes.differential import Differential, difference
from kdsl.passes.manager import Pass, Pipeline, run_pipeline
from kdsl.passes.pipelines import OPTIMIZE

ARGS = "%x: memref<?xf32>, %y: memref<?xf32>, %n: index"
LOOP = """
      %zero = "arith.constant"() {value = 0 : index} : () -> index
      %one = "arith.constant"() {value = 1 : index} : () -> index
      "scf.for"(%zero, %n, %one) ({
      ^bb0(%i: index):
        %v = "memref.load"(%x, %i) : (memref<?xf32>, index) -> f32
        %w = "arith.addf"(%v, %v) : (f32, f32) -> f32
        "memref.store"(%w, %y, %i) : (f32, memref<?xf32>, index) -> ()
        "scf.yield"() : () -> ()
      }) {kdsl.vectorize = 0 : i64, kdsl.parallel} : (index, index, index) -> ()"""
MAIN = """
      %g = "arith.constant"() {value = 1 : index} : () -> index
      "kdsl.launch"(%g, %g, %g, %x, %y, %n) {kernel = @k}
        : (index, index, index, memref<?xf32>, memref<?xf32>, index) -> ()"""


@dataclass(frozen=True)
class _Subtracts(Pass):
    """Turn the first addition into a difference."""

    def run(self, module, target):
        for op in module.walk():
            if isinstance(op, Addf):
                new = Subf.make(*op.operands)
                op.parent.insert_before(op, new)
                op.replace_by(new.result)
                return False
        return False


@dataclass(frozen=True)
class _Forgets(Pass):
    """Drop every store."""

    def run(self, module, target):
        for op in list(module.walk()):
            if isinstance(op, Store):
                op.erase()
        return True


@dataclass(frozen=True)
class _Doubles(Pass):
    """Write a sum of equal values as a product, which is the same."""

    def run(self, module, target):
        from kdsl.dialects.arith import constant
        from kdsl.ir.builder import Builder

        for op in list(module.walk()):
            if isinstance(op, Addf):
                b = Builder.before(op)
                op.replace_by(b.create(Mulf, op.lhs, constant(b, 2.0, op.y.type)))
        return True


for _kind, _name in ((_Subtracts, "subtracts"), (_Forgets, "forgets"), (_Doubles, "doubles")):
    _kind.name = _name


@pytest.fixture
def through_an_entry(function, module_of):
    kernel = function(ARGS, LOOP, "", "k", ", kdsl.kernel")
    return module_of(kernel, function(ARGS, MAIN, "", "main", ", kdsl.entry"))


def watched(module, *passes):
    watch = Differential(module)
    run_pipeline(Pipeline("p", passes), module, observers=(watch,), verify=True)
    return watch


def test_good_passes_are_not_accused(through_an_entry):
    watch = watched(through_an_entry, _Doubles(), OPTIMIZE)
    assert not watch.skipped
    assert {case.function for case in watch.cases} == {"main"}


@pytest.mark.parametrize("broken", [_Subtracts(), _Forgets()])
def test_the_pass_that_changes_an_answer_is_named(through_an_entry, broken):
    with pytest.raises(ChangedMeaningError) as problem:
        watched(through_an_entry, Canonicalize(), broken, OPTIMIZE)
    assert problem.value.pass_name == broken.name
    assert problem.value.kernel == "@main"


def test_a_pass_is_not_believed_when_it_says_that_nothing_changed(through_an_entry):
    with pytest.raises(ChangedMeaningError, match=r"subtracts changed the answer of @main: y\[0\]"):
        watched(through_an_entry, _Subtracts())


def test_a_kernel_that_nobody_launches_is_run_for_some_programs(function, module_of):
    body = """
      %p = "kdsl.program_id"() {axis = 0 : i64} : () -> index
      %v = "memref.load"(%x, %p) : (memref<?xf32>, index) -> f32
      %w = "arith.addf"(%v, %v) : (f32, f32) -> f32
      "memref.store"(%w, %y, %p) : (f32, memref<?xf32>, index) -> ()"""
    module = module_of(function(ARGS, body, "", "k", ", kdsl.kernel"))
    with pytest.raises(ChangedMeaningError, match=r"y\[0\]"):
        watched(module, _Subtracts())


def test_results_are_compared_too(function, module_of):
    module = module_of(
        function("%x: f32", '%y = "arith.addf"(%x, %x) : (f32, f32) -> f32', "%y: f32")
    )
    with pytest.raises(ChangedMeaningError, match="result 0 was"):
        watched(module, _Subtracts())


def test_a_pass_that_makes_a_function_fail_is_named(function, module_of):
    body = """
      %y = "arith.addf"(%a, %a) : (f32, f32) -> f32
      %z = "arith.constant"() {value = 0.0 : f32} : () -> f32
      %c = "arith.cmpf"(%y, %z) {predicate = 2 : i64} : (f32, f32) -> i1
      "cf.assert"(%c) {msg = "positive"} : (i1) -> ()"""
    module = module_of(function("%a: f32", body))
    with pytest.raises(ChangedMeaningError, match=r"it fails now: .*positive"):
        watched(module, _Subtracts())


def test_inputs_on_which_the_module_fails_anyway_say_nothing(function, module_of):
    body = """
      %at = "arith.constant"() {value = 5000 : index} : () -> index
      %v = "memref.load"(%x, %at) : (memref<?xf32>, index) -> f32
      "memref.store"(%v, %y, %n) : (f32, memref<?xf32>, index) -> ()"""
    module = module_of(function(ARGS, body))
    assert watched(module).skipped == ["f"]
    args = [np.ones(5001, np.float32), np.ones(8, np.float32), 3]
    watch = Differential(module, {"f": [args]})
    assert [case.label for case in watch.cases] == ["an example"]
    with pytest.raises(ChangedMeaningError, match="an example"):
        run_pipeline(Pipeline("p", (_Zeros(),)), module, observers=(watch,))


@dataclass(frozen=True)
class _Zeros(Pass):
    """Store zero in the place of what was loaded."""

    def run(self, module, target):
        from kdsl.dialects.arith import constant
        from kdsl.ir.builder import Builder

        for op in list(module.walk()):
            if isinstance(op, Store):
                op.set_operand(0, constant(Builder.before(op), 0, op.value.type))
        return True


_Zeros.name = "zeros"


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        (np.float32([1, 2]), np.float32([1, 2.0001]), False),
        (np.float32([1, 2]), np.float32([1, 2.001]), True),
        (np.float32([1e6, 0]), np.float32([1e6, 1]), False),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, np.inf]), False),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, -np.inf]), True),
        (np.float32([1, 2]), np.float32([1, np.nan]), True),
        (np.int32([1, 2]), np.int32([1, 3]), True),
        (np.float16([1, 2]), np.float16([1, 2.01]), False),
        (np.float64(1), np.float64(1 + 1e-6), True),
        (np.float32(1), np.float64(1), True),
    ],
)
def test_how_far_apart_answers_may_be_follows_from_their_type(before, after, differs):
    assert bool(difference("y", before, after)) == differs
