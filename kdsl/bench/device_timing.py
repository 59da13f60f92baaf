"""Timing on an accelerator that torch drives: events, cold caches, candidates interleaved.

A power-limited card slows down as it warms up, so candidates are only comparable when they are
measured in turns: ``burst`` after a pause, card cool; ``sustained`` back to back, card at its
limit; ``replayed`` as a graph, without the host. Times are medians, in microseconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from kdsl.errors import BenchDeviceError

Run = Callable[[], object]

REST_S = 0.12
"""Before a burst: the card cools down and its clock recovers."""
BURST_CALLS = 20
BURST_ROUNDS = 4
SUSTAINED_ROUNDS = 15
CALLS_IN_A_ROUND = 2
WARM_UP = 3
REPLAYS = 7
GRAPH_US = 4000.0
"""About how long a captured graph should run, so that its own start weighs little."""
FLUSH_BYTES = 96 << 20
"""More than any last-level cache: written before each call of a burst."""


class DeviceClock:
    """Times functions on torch's current accelerator; ``place`` is what its tensors are made on.

    Raises BenchDeviceError where torch or a device is missing.
    """

    def __init__(self) -> None:
        try:
            import torch
        except ImportError as error:
            raise BenchDeviceError(what="torch is not installed") from error
        if not torch.cuda.is_available():
            raise BenchDeviceError(what="torch sees no GPU")
        self.torch: Any = torch
        self.device = torch.cuda.get_device_name()
        self.place: Any = torch.accelerator.current_accelerator()
        self._flushed = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device=self.place)

    def burst(self, runs: Mapping[str, Run]) -> dict[str, float]:
        """Return the time of one call of each, with cold caches on a cool card, in turns."""
        cuda = self.torch.cuda
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(BURST_ROUNDS):
            for name, run in runs.items():
                cuda.synchronize()
                time.sleep(REST_S)
                for _ in range(WARM_UP):
                    run()
                for _ in range(BURST_CALLS // BURST_ROUNDS):
                    self._flushed.fill_(1)
                    begin, end = self._events()
                    begin.record()
                    run()
                    end.record()
                    cuda.synchronize()
                    times[name].append(begin.elapsed_time(end) * 1e3)
        return {name: statistics.median(values) for name, values in times.items()}

    def sustained(self, runs: Mapping[str, Run]) -> dict[str, float]:
        """Return the time of one call of each, all in turns without gaps."""
        events: dict[str, list[Any]] = {name: [] for name in runs}
        for _ in range(SUSTAINED_ROUNDS + WARM_UP):
            for name, run in runs.items():
                begin, end = self._events()
                begin.record()
                for _ in range(CALLS_IN_A_ROUND):
                    run()
                end.record()
                events[name].append((begin, end))
        self.torch.cuda.synchronize()
        return {
            name: statistics.median(b.elapsed_time(e) for b, e in pairs[WARM_UP:])
            * 1e3
            / CALLS_IN_A_ROUND
            for name, pairs in events.items()
        }

    def replayed(self, runs: Mapping[str, Run]) -> dict[str, float]:
        """Return the time of one call inside a captured graph; replays in turns."""
        graphs = {name: self._captured(run) for name, run in runs.items()}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(REPLAYS):
            for name, (graph, calls) in graphs.items():
                begin, end = self._events()
                begin.record()
                graph.replay()
                end.record()
                self.torch.cuda.synchronize()
                times[name].append(begin.elapsed_time(end) * 1e3 / calls)
        return {name: statistics.median(values) for name, values in times.items()}

    def _events(self) -> tuple[Any, Any]:
        event = self.torch.cuda.Event
        return event(enable_timing=True), event(enable_timing=True)

    def _captured(self, run: Run) -> tuple[Any, int]:
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                run()
            begin, end = self._events()
            begin.record()
            run()
            end.record()
        torch.cuda.synchronize()
        calls = max(2, min(BURST_CALLS, int(GRAPH_US / max(begin.elapsed_time(end) * 1e3, 1.0))))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(calls):
                run()
        graph.replay()
        torch.cuda.synchronize()
        return graph, calls
