"""Parts of a workgroup that go their own ways: each runs until it has to wait for another.

One part runs at a time; which one goes on next is drawn from ``seed``, so that several seeds try
several interleavings. When every part waits for what none of the others will do, that is a
deadlock.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Condition = Callable[[], bool]


class _CancelledError(BaseException):
    """The run is over: another part failed."""


class DeadlockError(Exception):
    """Every part waits; ``waiting`` says for what."""

    def __init__(self, waiting: list[str]) -> None:
        super().__init__(f"all lanes wait: {'; '.join(waiting)}")
        self.waiting = waiting


@dataclass(eq=False)
class _Fiber:
    task: Callable[[], None]
    thread: threading.Thread | None = None
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    condition: Condition | None = None
    what: str = ""
    problem: BaseException | None = None
    is_done: bool = False


class Fibers:
    """Runs tasks side by side, one at a time."""

    def __init__(self, seed: int = 0) -> None:
        self._all: list[_Fiber] = []
        self._events: list[Callable[[], None]] = []
        self._back = threading.Semaphore(0)
        self._choose = random.Random(seed)  # noqa: S311  (which order is tried)
        self._running: _Fiber | None = None
        self._is_over = False

    def run(self, tasks: list[Callable[[], None]]) -> None:
        """Run tasks to their ends; raise what one of them raises, or DeadlockError."""
        for task in tasks:
            self._add(task)
        try:
            while True:
                left = [f for f in self._all if not f.is_done]
                if not left and not self._events:
                    return
                ready = [f for f in left if f.condition is None or f.condition()]
                if not ready and not self._events:
                    raise DeadlockError([f.what for f in left])
                chosen = self._choose.randrange(len(ready) + len(self._events))
                if chosen < len(ready):
                    self._resume(ready[chosen])
                else:
                    self._events.pop(chosen - len(ready))()
        finally:
            self._stop()

    def beside(self, tasks: list[Callable[[], None]]) -> None:
        """Run tasks side by side from inside of one; return when all are done."""
        made = [self._add(task) for task in tasks]
        self.wait(lambda: all(f.is_done for f in made), "for the sides of a branch")

    def later(self, event: Callable[[], None]) -> None:
        """Let something happen at any time from now on: what an engine of its own does."""
        self._events.append(event)

    def wait(self, condition: Condition, what: str) -> None:
        """Let others go on until a condition holds."""
        fiber = self._running
        assert fiber is not None
        if condition():
            return
        fiber.condition, fiber.what = condition, what
        self._back.release()
        fiber.go.acquire()
        if self._is_over:
            raise _CancelledError
        fiber.condition = None

    def _add(self, task: Callable[[], None]) -> _Fiber:
        fiber = _Fiber(task)
        fiber.thread = threading.Thread(target=self._main, args=(fiber,), daemon=True)
        fiber.thread.start()
        self._all.append(fiber)
        return fiber

    def _main(self, fiber: _Fiber) -> None:
        fiber.go.acquire()
        try:
            # A part that _stop cancels has nothing to report: another one failed.
            with np.errstate(all="ignore"), contextlib.suppress(_CancelledError):
                if not self._is_over:
                    fiber.task()
        except BaseException as problem:  # noqa: BLE001  (raised again by run)
            fiber.problem = problem
        fiber.is_done = True
        self._back.release()

    def _resume(self, fiber: _Fiber) -> None:
        self._running = fiber
        fiber.go.release()
        self._back.acquire()
        if fiber.problem is not None:
            raise fiber.problem

    def _stop(self) -> None:
        """End the threads of parts that did not finish."""
        self._is_over = True
        for fiber in self._all:
            if not fiber.is_done:
                fiber.go.release()
                assert fiber.thread is not None
                fiber.thread.join()
