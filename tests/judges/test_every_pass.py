"""No pass changes the answer of any kernel of the examples and the library."""

from __future__ import annotations

import pytest
from every_kernel import Case, cases

from kdsl.compiler import stages, target_of
from kdsl.passes import differential

ALL = cases()


def writes(case: differential.Case) -> bool:
    """Return whether the kernel changed what it was given: an answer that can be compared."""
    pairs = zip(case.args, case.expected[-len(case.args) :], strict=True)
    return any(differential.difference("", a, b) for a, b in pairs if a is not None)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_no_pass_changes_the_answer(case: Case) -> None:
    module = case.module()
    watch = differential.Differential(module, case.examples, sizes=())
    names = [name for name, _ in stages(module, target_of(), (watch,))]

    assert names[-1] == "legalize"
    assert watch.report() == ""
    assert writes(watch.cases[0])
    assert {count for _, count in watch.compared} == {1}
