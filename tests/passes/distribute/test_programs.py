"""The tile programs that judge the CPU's lowering, spread over lanes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from kdsl.ir.core import Module
from kdsl.target.target import Target
from tests.passes import test_tile_to_loops as programs
from tests.passes.distribute.lanes import MFMA, MMA, PLAIN, SINGLE, check_lanes

OTHERS = {
    "test_attention_stays_small",
    "test_lanes_run_along_the_queries_where_there_are_enough",
    "test_a_tile_that_fits_no_stack_is_an_error",
    "test_attention_is_right_for_every_program",
    "test_random_programs_keep_their_meaning",
}
"""What is about loops alone, or compares by itself."""


def cases() -> Iterator[Any]:
    """Yield the name and the arguments of each program; targets are ours."""
    for name, function in vars(programs).items():
        if not name.startswith("test_") or name in OTHERS:
            continue
        choices = []
        for mark in getattr(function, "pytestmark", ()):
            names, values = mark.args[0], mark.args[1]
            if isinstance(names, str):
                names = [n.strip() for n in names.split(",")]
            rows = [v if len(names) > 1 else (v,) for v in values]
            if list(names) != ["target"]:
                choices.append([dict(zip(names, row, strict=True)) for row in rows])
        for picked in product(*choices):
            arguments = {k: v for part in picked for k, v in part.items()}
            yield pytest.param(name, arguments, id=f"{name[5:]} {list(arguments.values())}")


@pytest.mark.parametrize(
    ("target", "warps"), [(PLAIN, None), (MMA, 2), (MFMA, None), (SINGLE, 4)], ids=str
)
@pytest.mark.parametrize(("name", "arguments"), list(cases()))
def test_a_tile_program_means_the_same_on_lanes(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: dict[str, Any],
    target: Target,
    warps: int | None,
) -> None:
    def check(module: Module, args: Any, _: Any = None, tolerance: float = 2e-5) -> Module:
        return check_lanes(module, args, target, warps, tolerance)

    monkeypatch.setattr(programs, "check", check)
    monkeypatch.setattr(programs, "TARGETS", [target])
    function = getattr(programs, name)
    if "target" in function.__code__.co_varnames[: function.__code__.co_argcount]:
        arguments = {**arguments, "target": target}
    function(**arguments)
