"""The thread pool as LLVM IR text: linked into every built file, and once into the JIT engine.

``i32 kdsl_parallel_for(fn, ctx, n)`` calls ``i32 fn(ctx, begin, end)`` until all ``n`` items are
done and returns the first nonzero status. The caller works too; workers draw chunks from one atomic
counter.

One 64-bit word, ``job``, says everything: generation in the high half (also the futex that idle
workers sleep on), and in the low half OPEN (may be joined), WAITING (the caller sleeps) and the
number of workers inside. A worker that wakes too late finds the job closed and is not waited for: a
launch never costs a wake-up.

Whoever does not get the pool (nested calls, a second user thread, a forked child whose parent held
it) runs its loop itself. A child sees a process id that is not the pool's and starts afresh.
Sleeping uses the futex system call itself, for condition variables would bind the file to symbol
versions of libc.
"""

from __future__ import annotations

from pathlib import Path

from kdsl.errors import NoPoolError

SPIN_NS = 30_000
MAX_THREADS = 256
CHUNKS_PER_THREAD = 16
OPEN, WAITING, COUNT_MASK = 1 << 31, 1 << 30, (1 << 30) - 1

# Architecture: (number of the futex system call, how a core is told that it spins).
MACHINES = {
    "x86_64": (202, "declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": (98, "declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}
ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}
EXPORTED = ("kdsl_set_num_threads", "kdsl_get_num_threads")


def pool_ir(triple: str) -> str:
    """Return the pool as a module's text for a target triple. Raises NoPoolError."""
    machine = triple.split("-", 1)[0]
    machine = ALIASES.get(machine, machine)
    if machine not in MACHINES:
        raise NoPoolError(machine=machine, known=", ".join(MACHINES))
    futex, declare_pause, pause = MACHINES[machine]
    numbers = {
        "FUTEX": futex,
        "PAUSE_DECL": declare_pause,
        "PAUSE": pause,
        "SPIN_NS": SPIN_NS,
        "MAX_THREADS": MAX_THREADS,
        "CHUNKS": CHUNKS_PER_THREAD,
        "NOT_OPEN": ~OPEN,
        "NOT_WAITING": ~WAITING,
        "OPEN": OPEN,
        "WAITING": WAITING,
        "COUNT_MASK": COUNT_MASK,
    }
    text = Path(__file__).with_name("pool.ll").read_text()
    for name, value in numbers.items():
        text = text.replace("{" + name + "}", str(value))
    return text
