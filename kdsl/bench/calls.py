"""What a call costs besides the work: bound, unbound, and from a built file."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import kdsl as kd
from kdsl import Tensor, f32, i32
from kdsl.bench.building import build
from kdsl.bench.measure import medians
from kdsl.bench.suites import Table

N = kd.dims("N")
BUDGET_S = 2.0
MICRO = 1e6


@kd.export
@kd.kernel
def six_arguments(
    x: Tensor[f32, N],
    y: Tensor[f32, N],
    z: Tensor[f32, N],
    out: Tensor[f32, N],
    at: i32,
    scale: f32,
) -> None:
    """Do next to nothing with six arguments."""
    out[at] = x[at] + y[at] + z[at] * scale


def call_cost() -> Table:
    """Return microseconds of one call of a kernel whose work is three additions."""
    arrays = [np.ones(16, np.float32) for _ in range(4)]
    args = (*arrays, 3, 2.0)
    bound = six_arguments.bind(*args)
    runs: dict[str, Callable[[], Any]] = {
        "Python function": lambda: None,
        "bound": bound,
        "unbound": lambda: six_arguments(*args),
        "built file": _from_file(args),
    }
    found = medians(runs, BUDGET_S)
    base = found["Python function"]
    rows = tuple(
        (name, f"{took * MICRO:.2f}", f"{(took - base) * MICRO:.2f}")
        for name, took in found.items()
    )
    return Table("calls", ("call", "µs", "over a Python call"), rows)


def _from_file(args: tuple[Any, ...]) -> Callable[[], Any]:
    from kdsl.serving.library import load

    with TemporaryDirectory() as folder:
        path = Path(folder) / "calls.so"
        build(Path(__file__), path)
        entry = load(path)["six_arguments"]
    return lambda: entry(*args)
