"""Independent work in forked children: LLVM's Python bindings let in one thread at a time."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import BinaryIO, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def mapped(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Iterator[Result]:
    """Yield what ``function`` makes of each item, in order; this process is one of ``processes``.

    What a child cannot do, or cannot hand over, is done again here, where its error is seen whole.
    """
    count = min(processes, len(items))
    with ExitStack() as stack:
        pipes = [stack.enter_context(_child(function, items[k::count])) for k in range(1, count)]
        for number, item in enumerate(items):
            worker = number % count
            found: list[Result] | None = _received(pipes[worker - 1]) if worker else None
            yield function(item) if found is None else found[0]


class _child:  # noqa: N801 - a context manager that reads like a function
    """Start a child; leaving the context waits for it and ends it when it is not wanted."""

    def __init__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> None:
        read, write = os.pipe()
        self._id = os.fork()
        if not self._id:
            os.close(read)
            _work(function, items, write)
        os.close(write)
        self._pipe = os.fdopen(read, "rb")

    def __enter__(self) -> BinaryIO:
        return self._pipe

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # a child that still writes ends by SIGPIPE or its error
        os.waitpid(self._id, 0)


def _work(function: Callable[[Item], Result], items: Sequence[Item], write: int) -> None:
    """Send a list of one result for each item, or None where there is none; never return."""
    # A progress bar may have put its own streams here, whose lock its thread may have held.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    try:
        with os.fdopen(write, "wb") as pipe:
            for item in items:
                pipe.write(_packed(function, item))
                pipe.flush()
    finally:
        os._exit(0)


def _packed(function: Callable[[Item], Result], item: Item) -> bytes:
    try:
        return pickle.dumps([function(item)])
    except BaseException:  # noqa: BLE001 - the parent repeats it, and there it is raised
        return pickle.dumps(None)


def _received(pipe: BinaryIO) -> list[Result] | None:
    """Return what a child sent next; None also when it died."""
    try:
        found: list[Result] | None = pickle.load(pipe)  # noqa: S301 - our own child wrote it
    except (EOFError, pickle.UnpicklingError):
        return None
    return found
