"""The thread pool, run in process by LLVM's JIT and, where a process may hang or die, in a child."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import llvmlite.binding as llvm
import pytest

from kdsl_cpu.runtime_ir import NoPoolError, pool_ir

WORK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)

# Work items in IR: Python callbacks would run one at a time.
ITEMS = """
define i32 @count_each(ptr %ctx, i64 %b, i64 %e) {
entry:
  br label %loop
loop:
  %i = phi i64 [ %b, %entry ], [ %i1, %loop ]
  %p = getelementptr i32, ptr %ctx, i64 %i
  %x = atomicrmw add ptr %p, i32 1 monotonic
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %e
  br i1 %more, label %loop, label %done
done:
  ret i32 0
}

define i32 @nothing(ptr %ctx, i64 %b, i64 %e) {
  ret i32 0
}

define i32 @fail_at_ten(ptr %ctx, i64 %b, i64 %e) {
  %late = icmp sgt i64 %e, 10
  %r = select i1 %late, i32 7, i32 0
  ret i32 %r
}

define i32 @nested(ptr %ctx, i64 %b, i64 %e) {
  %r = call i32 @kdsl_parallel_for(ptr @count_each, ptr %ctx, i64 64)
  ret i32 %r
}

define i64 @launch_many(ptr %fn, ptr %ctx, i64 %n, i64 %times) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %loop ]
  %s = phi i64 [ 0, %entry ], [ %s1, %loop ]
  %r = call i32 @kdsl_parallel_for(ptr %fn, ptr %ctx, i64 %n)
  %w = sext i32 %r to i64
  %s1 = add i64 %s, %w
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %times
  br i1 %more, label %loop, label %done
done:
  ret i64 %s1
}
"""


def start() -> SimpleNamespace:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=2)
    module = llvm.parse_assembly(pool_ir(triple) + ITEMS)
    module.verify()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    types = {
        "kdsl_parallel_for": (ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64),
        "launch_many": (ctypes.c_int64, *(ctypes.c_void_p,) * 2, *(ctypes.c_int64,) * 2),
        "kdsl_set_num_threads": (None, ctypes.c_int32),
        "kdsl_get_num_threads": (ctypes.c_int32,),
    }
    functions = {
        name: ctypes.CFUNCTYPE(*kinds)(engine.get_function_address(name))
        for name, kinds in types.items()
    }
    items = {
        name: engine.get_function_address(name)
        for name in ("count_each", "nothing", "fail_at_ten", "nested")
    }
    return SimpleNamespace(engine=engine, **functions, **items)


@pytest.fixture(scope="module")
def pool() -> SimpleNamespace:
    # The engine stays for good: its code runs in threads that never end.
    KEPT.append(start())
    return KEPT[-1]


KEPT: list[SimpleNamespace] = []


@pytest.fixture(autouse=True)
def four_threads(pool: SimpleNamespace) -> Iterator[None]:
    pool.kdsl_set_num_threads(4)
    yield
    pool.kdsl_set_num_threads(0)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 64, 65, 1000, 100_003])
def test_every_item_is_done_once(pool, n):
    done = (ctypes.c_int32 * (n + 1))()
    assert pool.kdsl_parallel_for(pool.count_each, ctypes.addressof(done), n) == 0
    assert list(done) == [1] * n + [0]


def test_many_tiny_launches_lose_nothing(pool):
    done = (ctypes.c_int32 * 5)()
    assert pool.launch_many(pool.count_each, ctypes.addressof(done), 5, 50_000) == 0
    assert list(done) == [50_000] * 5


def test_launches_after_a_pause_find_sleeping_workers(pool):
    done = (ctypes.c_int32 * 9)()
    for _ in range(50):
        time.sleep(0.001)
        assert pool.kdsl_parallel_for(pool.count_each, ctypes.addressof(done), 9) == 0
    assert list(done) == [50] * 9


def test_the_status_of_a_failure_is_returned_and_forgotten(pool):
    assert pool.kdsl_parallel_for(pool.fail_at_ten, None, 100) == 7
    assert pool.kdsl_parallel_for(pool.fail_at_ten, None, 8) == 0


def test_nested_launches_run_in_their_worker(pool):
    done = (ctypes.c_int32 * 64)()
    assert pool.launch_many(pool.nested, ctypes.addressof(done), 6, 1) == 0
    assert set(done) <= set(range(1, 7))
    assert len(set(done)) == 1


def test_four_user_threads_at_once_are_all_right(pool):
    buffers = [(ctypes.c_int32 * 37)() for _ in range(4)]

    def use(buffer: ctypes.Array[ctypes.c_int32]) -> None:
        pool.launch_many(pool.count_each, ctypes.addressof(buffer), 37, 5_000)

    threads = [threading.Thread(target=use, args=(b,)) for b in buffers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [list(b) for b in buffers] == [[5_000] * 37] * 4


def test_one_thread_runs_everything_in_order_in_the_caller(pool):
    seen: list[tuple[int, int]] = []

    def note(_: int, begin: int, end: int) -> int:
        seen.append((begin, end))
        return 0

    pool.kdsl_set_num_threads(1)
    assert pool.kdsl_parallel_for(ctypes.cast(WORK(note), ctypes.c_void_p), None, 12) == 0
    assert seen == [(0, 12)]


def test_the_number_of_threads_is_kept_within_bounds(pool):
    pool.kdsl_set_num_threads(3)
    assert pool.kdsl_get_num_threads() == 3
    pool.kdsl_set_num_threads(100_000)
    assert pool.kdsl_get_num_threads() == 256
    pool.kdsl_set_num_threads(-5)
    assert pool.kdsl_get_num_threads() >= 1


def run_child(body: str, **env: str) -> str:
    folder = str(Path(__file__).parent)
    text = f"import sys; sys.path.insert(0, {folder!r})\nfrom test_pool import *\npool = start()\n"
    done = subprocess.run(
        [sys.executable, "-c", text + textwrap.dedent(body)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_forked_child_starts_its_own_workers():
    out = run_child("""
        done = (ctypes.c_int32 * 500)()
        def go():
            pool.launch_many(pool.count_each, ctypes.addressof(done), 500, 200)
            return set(done) == {200} and len(os.listdir("/proc/self/task")) == 4
        pool.kdsl_set_num_threads(4)
        assert go()
        ctypes.memset(done, 0, 2000)
        child = os.fork()
        if child == 0:
            os._exit(0 if go() else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), go())
    """)
    assert out.split() == ["0", "True"]


def test_a_child_forked_during_a_launch_is_right_too():
    out = run_child("""
        pool.kdsl_set_num_threads(4)
        busy = (ctypes.c_int32 * 64)()
        def use():
            pool.launch_many(pool.count_each, ctypes.addressof(busy), 64, 20_000)
        thread = threading.Thread(target=use)
        thread.start()
        codes = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                done = (ctypes.c_int32 * 64)()
                pool.launch_many(pool.count_each, ctypes.addressof(done), 64, 10)
                os._exit(0 if set(done) == {10} else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        thread.join()
        print(sum(codes), set(busy) == {20_000})
    """)
    assert out.split() == ["0", "True"]


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("1", 1), ("0", None), ("many", None)])
def test_the_environment_chooses_the_number_of_threads(value, threads):
    out = run_child("print(pool.kdsl_get_num_threads())", KDSL_NUM_THREADS=value)
    assert int(out) == (threads or len(os.sched_getaffinity(0)))


def test_aarch64_gets_its_own_system_call_and_an_object():
    text = pool_ir("aarch64-unknown-linux-gnu")
    assert "@syscall(i64 98," in text
    assert "x86" not in text
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("aarch64-unknown-linux-gnu").create_target_machine(
        reloc="pic"
    )
    assert machine.emit_object(llvm.parse_assembly(text)).startswith(b"\x7fELF")


def test_a_machine_without_a_pool_is_named():
    with pytest.raises(NoPoolError, match="riscv64"):
        pool_ir("riscv64-unknown-linux-gnu")


def test_an_empty_launch_is_reported_not_judged(pool):
    pool.kdsl_set_num_threads(2)
    pool.launch_many(pool.nothing, None, 2, 1000)
    begin = time.perf_counter()
    pool.launch_many(pool.nothing, None, 2, 100_000)
    print(f"empty launch: {(time.perf_counter() - begin) * 10:.2f} us")
