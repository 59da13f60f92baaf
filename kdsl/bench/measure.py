"""Medians of times taken turn by turn, so that a noisy machine disturbs all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

SAMPLE_S = 2e-3
"""Shorter runs are repeated within one sample until it lasts this long."""
MINIMUM_ROUNDS = 5
MAXIMUM_ROUNDS = 200
PAUSE_S = 0.25
"""Between peers: OpenMP threads of the last one spin for up to 0.2 s and would take our cores."""
SGEMM_SIZE = 1024
COPY_BYTES = 64 << 20
GIGA = 1e9

Run = Callable[[], object]


def medians(runs: Mapping[str, Run], budget_s: float = 1.0) -> dict[str, float]:
    """Return the median seconds of one call of each, taken in turns within about ``budget_s``."""
    repeats = {name: _repeats(run) for name, run in runs.items()}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    deadline = time.perf_counter() + budget_s
    for turn in range(MAXIMUM_ROUNDS):
        if turn >= MINIMUM_ROUNDS and time.perf_counter() > deadline:
            break
        for name, run in runs.items():
            if len(runs) > 1:
                time.sleep(PAUSE_S)
                run()  # wake this one's threads again
            samples[name].append(_sample(run, repeats[name]))
    return {name: statistics.median(values) for name, values in samples.items()}


def _repeats(run: Run) -> int:
    run()  # warm caches, pools and lazy imports
    return max(1, round(SAMPLE_S / max(_sample(run, 1), 1e-9)))


def _sample(run: Run, repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - started) / repeats


@cache
def sgemm_rate() -> float:
    """Return this machine's matrix multiply rate by NumPy's BLAS, in flop a second."""
    a = np.full((SGEMM_SIZE, SGEMM_SIZE), 0.5, np.float32)
    b, c = a.copy(), np.empty_like(a)
    return 2.0 * SGEMM_SIZE**3 / medians({"sgemm": lambda: np.matmul(a, b, out=c)}, 0.5)["sgemm"]


@cache
def copy_rate() -> float:
    """Return this machine's copy rate, in bytes read and written a second, on all its cores."""
    import os
    from concurrent.futures import ThreadPoolExecutor

    threads = len(os.sched_getaffinity(0))
    sources = np.array_split(np.ones(COPY_BYTES, np.uint8), threads)
    targets = np.array_split(np.ones(COPY_BYTES, np.uint8), threads)
    with ThreadPoolExecutor(threads) as pool:
        runs = {"copy": lambda: list(pool.map(np.copyto, targets, sources))}
        return 2.0 * COPY_BYTES / medians(runs, 0.5)["copy"]
