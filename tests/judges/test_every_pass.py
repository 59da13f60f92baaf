"""No pass changes the answer of any kernel of the examples and the library."""

from __future__ import annotations

import pytest
from every_kernel import Case, cases

from kdsl.compiler import stages, target_of
from kdsl.passes.differential import Differential

ALL = cases()


@pytest.mark.parametrize("case", ALL, ids=str)
def test_no_pass_changes_the_answer(case: Case) -> None:
    module = case.module()
    watch = Differential(module, case.examples, sizes=())
    names = [name for name, _ in stages(module, target_of(), (watch,))]

    assert names[-1] == "legalize"
    assert watch.report() == ""
    assert {count for _, count in watch.compared} == {1}
