"""The child that runs Metal text: a job comes in pickled, what memory holds afterwards goes out.

Each order of the lanes runs on fresh copies of the caller's memory. In the first and third, arrays
end at a page that may not be touched; in the second they begin after one.
"""

from __future__ import annotations

import ctypes
import mmap
import pickle
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
from kdsl.codegen.clike.facts import Facts, read_facts
from kdsl.errors import LaneOrderError
from kdsl.ir.parser import parse
from kdsl.runtime.entry import Memory, entry_function
from kdsl_metal.emit import split_parameters
from kdsl_metal.numbers import packed_numbers
from kdsl_metal.standin.build import build, read_strictly
from kdsl_metal.standin.job import Bytes, Job

PAGE = mmap.PAGESIZE
GUARD = 256 * PAGE
"""How far beside an array a touch is a fault."""
NO_ACCESS = 0
"""``PROT_NONE`` of mprotect."""
ORDERS = (0, 1, 7)
"""Forward, backward, shuffled."""
POISON = 0xCB
TOLERANCE = 1e-5


class Guarded:
    """Memory between pages that fault."""

    def __init__(self, data: bytes, *, at_end: bool) -> None:
        self.size = len(data)
        room = -(-max(self.size, 1) // PAGE) * PAGE
        self.map = mmap.mmap(-1, room + 2 * GUARD)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        for place in (base, base + GUARD + room):
            assert _protect(place, GUARD, NO_ACCESS) == 0
        self.address = base + GUARD + (room - self.size if at_end else 0)
        ctypes.memmove(self.address, data, self.size)

    @property
    def data(self) -> bytes:
        """What the memory holds now."""
        return ctypes.string_at(self.address, self.size)


def _protect(address: int, size: int, rights: int) -> int:
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return int(protect(address, size, rights))


class Group:
    """What an entry asks of a device, done by fibers."""

    def __init__(self, library: Any, facts: Facts, order: int) -> None:
        self.library = library
        self.facts = facts
        self.order = order
        self.status = (ctypes.c_int * 1)(0)
        self.lock = Lock()

    def begin(self, buffers: Sequence[Memory]) -> None:
        """Nothing has to be brought anywhere."""

    def allocate(self, size: int) -> Guarded:
        """Return a workspace that nobody wrote."""
        return Guarded(bytes([POISON]) * size, at_end=self.order != 1)

    def free(self, handle: Guarded) -> None:
        """Keep it: the launches are over, and the child ends soon."""

    def launch(self, kernel: str, grid: tuple[int, int, int], args: Sequence[Any]) -> int:
        """Run all threadgroups."""
        row = self.facts.kernels[kernel]
        buffers, numbers = split_parameters(row["parameters"], lambda p: p[0])
        pointers = [self._address(b, args) for b in buffers]
        held = packed_numbers(numbers, args)
        failed = self.library.kd_launch(
            list(self.facts.kernels).index(kernel),
            (ctypes.c_void_p * max(len(pointers), 1))(*pointers),
            ctypes.create_string_buffer(held, max(len(held), 1)),
            (ctypes.c_uint * 3)(*grid),
            row["lanes"],
            self.order,
        )
        if failed:
            self.library.kd_message.restype = ctypes.c_char_p
            raise LaneOrderError(kernel=kernel, why=self.library.kd_message().decode())
        return int(self.status[0])

    def _address(self, parameter: Sequence[Any], args: Sequence[Any]) -> int:
        if parameter[0] == "status":
            return ctypes.addressof(self.status)
        memory: Memory = args[parameter[1]]
        return memory.address if memory.handle is None else int(memory.handle.address)

    def finish(self) -> int:
        """Return the status."""
        return int(self.status[0])


def run_job(job: Job, folder: Path) -> tuple[int, list[bytes]]:
    """Return the entry's status and what each array's bytes are then, the same in each order."""
    read_strictly(job.text)
    library = ctypes.CDLL(str(build(job.text, folder)))
    facts = read_facts(job.text)
    results = [_run(job, library, facts, order) for order in ORDERS]
    for status, found in results[1:]:
        if status != results[0][0] or (status == 0 and not _alike(results[0][1], found)):
            raise LaneOrderError(kernel=job.entry, why="results depend on the order of the lanes")
    return results[0]


def _alike(a: list[bytes], b: list[bytes]) -> bool:
    """Sums by atomics may differ in their last bits; everything else is the same."""
    return all(x == y or _close(x, y) for x, y in zip(a, b, strict=True))


def _close(x: bytes, y: bytes) -> bool:
    if len(x) % 4:
        return False
    first, second = np.frombuffer(x, np.float32), np.frombuffer(y, np.float32)
    return bool(np.allclose(first, second, TOLERANCE, TOLERANCE, equal_nan=True))


def _run(job: Job, library: Any, facts: Facts, order: int) -> tuple[int, list[bytes]]:
    words: list[int] = []
    held: list[Guarded] = []
    for arg in job.args:
        if isinstance(arg, Bytes):
            memory = Guarded(arg.data, at_end=order != 1)
            held.append(memory)
            words.append(memory.address + arg.first)
            if not arg.is_pointer:
                words += [*arg.shape, *arg.strides]
        elif isinstance(arg, tuple):
            words += [0] * arg[0]
        else:
            words.append(arg)
    slots = (ctypes.c_int64 * max(len(words), 1))(*words)
    call = entry_function(parse(facts.host), job.entry, Group(library, facts, order))
    status = call(ctypes.addressof(slots))
    return status, [memory.data for memory in held]


def main() -> None:
    """Answer the job on standard input; an error is an answer too."""
    job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301 - the parent's own
    with tempfile.TemporaryDirectory() as folder:
        try:
            answer: Any = run_job(job, Path(folder))
        except Exception as problem:  # noqa: BLE001 - the parent raises it
            answer = problem
    pickle.dump(answer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
