"""What the common passes cost for each op, by the size of the module."""

from __future__ import annotations

import statistics
import time

from kdsl.bench.suites import Table
from kdsl.ir.core import Module
from kdsl.ir.parser import parse
from kdsl.passes.manager import run_pipeline
from kdsl.passes.pipelines import PIPELINES

SIZES = (200, 2_000, 20_000)
ROUNDS = 3
PIPELINE = "optimize"
BODY = ("addf", "mulf", "subf", "maximumf")

HEAD = """"builtin.module"() ({
  "func.func"() ({
  ^bb0(%x: f32, %y: f32, %m: memref<?xf32>, %i: index):
"""
TAIL = """    "memref.store"(%v{last}, %m, %i) : (f32, memref<?xf32>, index) -> ()
    "func.return"() : () -> ()
  }}) {{function_type = (f32, f32, memref<?xf32>, index) -> (), sym_name = "k"}} : () -> ()
}}) : () -> ()
"""


def pipeline_cost() -> Table:
    """Return parse and pass times of straight-line modules, in all and for each op."""
    import kdsl.dialects.all as _declared  # noqa: F401 - importing declares the ops

    rows = []
    for size in SIZES:
        text = straight_line(size)
        parsing, passing = zip(*(_once(text) for _ in range(ROUNDS)), strict=True)
        total = statistics.median(passing)
        rows.append(
            (
                str(size),
                f"{statistics.median(parsing) * 1e3:.1f}",
                f"{total * 1e3:.1f}",
                f"{total * 1e3 / size:.4f}",
            )
        )
    return Table("pipeline", ("ops", "parse ms", f"{PIPELINE} ms", "ms an op"), tuple(rows))


def straight_line(size: int) -> str:
    """Return a module of ``size`` arithmetic ops of which none can be folded away."""
    lines = []
    for k in range(size):
        left, right = f"%v{k - 1}" if k else "%x", f"%v{k - 7}" if k > 7 else "%y"
        lines.append(f'    %v{k} = "arith.{BODY[k % 4]}"({left}, {right}) : (f32, f32) -> f32\n')
    return HEAD + "".join(lines) + TAIL.format(last=size - 1)


def _once(text: str) -> tuple[float, float]:
    started = time.perf_counter()
    module: Module = parse(text)
    parsed = time.perf_counter()
    run_pipeline(PIPELINES[PIPELINE], module)
    return parsed - started, time.perf_counter() - parsed
