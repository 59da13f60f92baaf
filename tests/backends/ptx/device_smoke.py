"""Launches on a real device, without the compiler: kernels typed in PTX, entries in IR.

    PYTHONPATH=.:backends python tests/backends/ptx/device_smoke.py

Needs torch with a device of compute capability 9.0 or later. The driver assembles the text. Prints
one line for each check; the exit status is the number of checks that failed. Names of checks may be
given; after one that fails the others run in another process.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import traceback

import torch

from kdsl.codegen.registry import register
from kdsl.errors import (
    DeviceError,
    GridLimitError,
    ImageRejectedError,
    KernelAssertError,
    MappedAddressError,
    MappedStrideError,
    OutOfMemoryError,
)
from kdsl_cpu.backend import BACKEND as CPU
from kdsl_ptx import driver as drivers
from kdsl_ptx.backend import BACKEND as PTX
from kdsl_ptx.devices import DEVICES
from tests.backends.ptx import typed_kernels as typed
from tests.backends.ptx.typed_kernels import launcher

# ---------------------------------------------------------------------------------------- checks


def full(value, n=1000):
    return torch.full((n,), float(value), device="cuda")


def close(got, value):
    assert torch.equal(got, torch.full_like(got, value)), (got[:4].tolist(), value)


def vector_add():
    x, y, o = full(1), full(2), full(0)
    VADD.call((x, y, o, 1000), {})
    close(o, 3)
    VADD.call((x, x, o, 1000), {})
    close(o, 2)
    return "right, slow and quick way"


def bound_add():
    x, y, o = full(1), full(2), full(0)
    bound = VADD.bind((x, y, o, 1000), {})
    x.fill_(5)
    bound()
    close(o, 7)
    return "right, sees later contents"


def status_word():
    x, o = full(1, 13), full(0, 13)
    VADD.call((x, x, o, 13), {})
    raised = expect(KernelAssertError, DEVICES.synchronize)
    DEVICES.synchronize()
    VADD.call((x, x, o, 13), {})
    torch.cuda.synchronize()
    expect(KernelAssertError, lambda: VADD.call((x, x, o, 12), {}))
    VADD.call((x, x, o, 12), {})
    DEVICES.synchronize()
    return f"{raised.code}, at synchronize and at the next call"


def chain():
    x, o = full(3, 100_000), full(0, 100_000)
    for _ in range(20):
        o.zero_()
        FOURFOLD.call((x, o, 100_000), {})
        close(o, 12)
    return "workspace and two overlapping launches, 20 times"


def counters():
    sms = torch.cuda.get_device_properties(0).multi_processor_count
    o = torch.zeros(sms, dtype=torch.int32, device="cuda")
    for _ in range(100):
        TICKETS.call((o,), {})
    close(o, 100)
    return f"100 launches of {sms} programs, each ticket drawn once"


def graph():
    x, o = full(3), full(0)
    t = torch.zeros(torch.cuda.get_device_properties(0).multi_processor_count, dtype=torch.int32)
    t = t.cuda()
    FOURFOLD.call((x, o, 1000), {})
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        FOURFOLD.call((x, o, 1000), {})
        TICKETS.call((t,), {})
        TICKETS.call((t,), {})
    for value in (1, 2, 5):
        x.fill_(value)
        captured.replay()
        close(o, 4 * value)
    close(t, 6)
    return "workspace, overlap and counters in a graph, 3 replays"


def cold_graph():
    fresh = launcher("fourfold", typed.CHAIN_IR, typed.DOUBLE)
    x, o = full(3), full(0)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        fresh.call((x, o, 1000), {})
    captured.replay()
    close(o, 12)
    return "an image loaded while a stream is captured"


def tensor_map():
    x = torch.randn(64, 64, device="cuda").bfloat16()
    for source in (x, torch.randn(100, 192, device="cuda").bfloat16()[:64, 64:128]):
        o = torch.zeros(64 * 32, device="cuda")
        TILE.call((source, o), {})
        assert torch.equal(o.view(torch.bfloat16).view(64, 64), source)
    o = torch.zeros(64 * 32, device="cuda")
    TILE.call((x[:20], o), {})
    got = o.view(torch.bfloat16).view(64, 64)
    assert torch.equal(got[:20], x[:20])
    assert not got[20:].any()
    TILE.call((x[:0], o), {})
    assert not o.any()
    return "dense, strided, clipped, empty"


def streams():
    one, two = torch.cuda.Stream(), torch.cuda.Stream()
    x, y, a, b = full(1), full(2), full(0), full(0)
    torch.cuda.synchronize()
    with torch.cuda.stream(one):
        torch.cuda._sleep(20_000_000)
        VADD.call((x, x, a, 1000), {})
    VADD.call((x, y, b, 1000), {}, None, two)
    two.synchronize()
    close(b, 3)
    assert float(a[0:1].cpu()[0]) in (0.0, 2.0)
    one.synchronize()
    close(a, 2)
    VADD.bind((y, y, a, 1000), {}).on(two)()
    two.synchronize()
    close(a, 4)
    return "current stream of torch, a given stream, a bound call's"


def threads():
    import threading

    problems = []

    def work():
        try:
            x, o = full(1), full(0)
            for _ in range(200):
                FOURFOLD.call((x, o, 1000), {})
            torch.cuda.synchronize()
            close(o, 4)
        except Exception as problem:  # noqa: BLE001 - told to the main thread
            problems.append(problem)

    started = [threading.Thread(target=work) for _ in range(4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert not problems, problems
    return "4 threads, 200 calls each"


def expect(error, call):
    try:
        call()
    except error as raised:
        return raised
    raise AssertionError(f"no {error.__name__}")


def errors():
    x, o = full(1), full(0)
    host = torch.ones(1000)
    codes = [
        expect(DeviceError, lambda: VADD.call((x, host, o, 1000), {})),
        expect(DeviceError, lambda: VADD.call((host, x, o, 1000), {})),
        expect(OutOfMemoryError, lambda: FOURFOLD.call((x, o, 2**31 - 1), {})) if small() else None,
        expect(GridLimitError, lambda: TALL.call((o.view(torch.int32), 70_000), {})),
    ]
    odd = torch.zeros(64 * 80, device="cuda").bfloat16()
    wanted = torch.zeros(64 * 32, device="cuda")
    codes += [
        expect(MappedAddressError, lambda: TILE.call((odd[1:4097].view(64, 64), wanted), {})),
        expect(
            MappedStrideError,
            lambda: TILE.call((odd.as_strided((64, 64), (68, 1)), wanted), {}),
        ),
        expect(ImageRejectedError, lambda: BROKEN.call((x, o, 1000), {})),
    ]
    VADD.call((x, x, o, 1000), {})
    close(o, 2)
    return ", ".join(c.code for c in codes if c is not None)


def small():
    """Whether 8 GiB do not fit."""
    return torch.cuda.mem_get_info()[0] < 2**33


def compiled():
    """Kernels of the library, through the compiler."""
    from kdsl.library import elementwise as kernels

    for n in (1, 7, 1000, 1 << 20):
        for dtype in (torch.float32, torch.bfloat16):
            x, y = (torch.randn(n, device="cuda").to(dtype) for _ in range(2))
            o = torch.empty_like(x)
            kernels.add(x, y, o)
            assert torch.equal(o, (x.float() + y.float()).to(dtype)), (n, dtype)
            kernels.silu_mul(x, y, o)
            wanted = torch.nn.functional.silu(x.float()) * y.float()
            assert torch.allclose(o.float(), wanted, rtol=1e-2, atol=1e-3), (n, dtype)
            kernels.gated_chain(x, y, 2.0, 0.5, o)
            wanted = torch.nn.functional.silu(x.float() * 2 + 0.5) * y.float()
            assert torch.allclose(o.float(), wanted, rtol=2e-2, atol=2e-2), (n, dtype)
    x = torch.ones(1000, device="cuda")
    bound = kernels.add.bind(x, x, x)
    times = (median(lambda: kernels.add(x, x, x)), median(bound))
    return f"add, silu_mul, gated_chain right; add {times[0]:.2f} us, bound {times[1]:.2f} us"


def operator():
    """A torch operator of a kernel: eager, compiled whole, in a graph."""
    import kdsl as kd
    from kdsl.library.elementwise import add

    op = kd.torch_op(add, name="kdsl_smoke::add", outputs=("out",))
    x, y = full(1), full(2)
    close(op(x, y), 3)
    whole = torch.compile(lambda a, b: op(a, b) * 2, fullgraph=True, backend="aot_eager")
    close(whole(x, y), 6)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        z = op(x, y)
    x.fill_(5)
    captured.replay()
    close(z, 7)
    close(op(torch.ones(3), torch.ones(3)), 2)
    return f"eager, compiled, captured, on the CPU too; {median(lambda: op(x, y)):.2f} us"


def built():
    """A built file, loaded again."""
    import tempfile
    from pathlib import Path

    import kdsl as kd
    from kdsl.cli.building import build_jobs, jobs_of
    from kdsl.codegen.registry import resolve_target
    from kdsl.library.elementwise import add

    jobs = jobs_of([kd.exported(add, "T=f32")], {})
    target = resolve_target("ptx")
    made = build_jobs(
        jobs, [target], source=b"", soname="k.so", linker="own", advance=lambda title: None
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "k.so"
        path.write_bytes(made.data)
        entry = kd.load(path).add
    x, y, o = full(1), full(2), full(0)
    entry(x, y, o)
    close(o, 3)
    stream = torch.cuda.Stream()
    entry.on(stream)(y, y, o)
    stream.synchronize()
    close(o, 4)
    kinds = ", ".join(record.kind for record in made.manifest.targets)
    return f"{kinds}: {len(made.data)} bytes; {median(lambda: entry(x, y, o)):.2f} us"


def overhead():
    """Microseconds of the host per call, medians of 20 runs of 500 calls."""
    x, y, o = full(1), full(2), full(0)
    bound = VADD.bind((x, y, o, 1000), {})
    args = (x, y, o, 1000)
    rows = {
        "unbound": lambda: VADD.call(args, {}),
        "bound": bound,
        "chain": lambda: FOURFOLD.call((x, o, 1000), {}),
        "tickets": TICKETS.bind((torch.zeros(200, dtype=torch.int32, device="cuda"),), {}),
        "tile": TILE.bind((torch.zeros(64, 64, device="cuda").bfloat16(), full(0, 2048)), {}),
        "torch.add": lambda: torch.add(x, y, out=o),
    }
    return ", ".join(f"{name} {median(call):.2f}" for name, call in rows.items()) + " us"


def median(call, calls=500, runs=20):
    found = []
    for _ in range(runs):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(calls):
            call()
        found.append((time.perf_counter() - started) / calls * 1e6)
    return statistics.median(found)


def machine():
    driver = drivers.driver()
    return f"{driver.name(0)}, {drivers.chip_of()}, driver {driver.version}"


CHECKS = (
    machine, vector_add, bound_add, status_word, chain, counters, graph, cold_graph, tensor_map,
    streams, threads, errors, overhead, compiled, operator,
    built,
)  # fmt: skip
VADD = launcher("vadd", typed.ADD_IR, typed.ADD)
FOURFOLD = launcher("fourfold", typed.CHAIN_IR, typed.DOUBLE)
TICKETS = launcher("tickets", typed.COUNT_IR, typed.COUNT)
TALL = launcher("tall", typed.GRID_IR, typed.COUNT)
TILE = launcher("tile", typed.COPY_IR, typed.COPY)
ODD = typed.DOUBLE.replace("mul.wide.u32", "mul.wode.u32")
BROKEN = launcher("fourfold", typed.CHAIN_IR, ODD)


def main():
    register(CPU)
    register(PTX)
    wanted = sys.argv[1:] or [check.__name__ for check in CHECKS]
    for check in CHECKS:
        if check.__name__ not in wanted:
            continue
        wanted.remove(check.__name__)
        try:
            print(f"{check.__name__:14} {check()}", flush=True)
        except Exception as problem:  # noqa: BLE001 - it is printed, and the others still run
            traceback.print_exc()
            print(f"{check.__name__:14} FAILED: {type(problem).__name__}: {problem}", flush=True)
            return 1 + rest(wanted)
    return 0


def rest(names):
    """Run checks in another process, for the device may be lost to this one."""
    if not names:
        return 0
    return subprocess.run([sys.executable, __file__, *names], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
