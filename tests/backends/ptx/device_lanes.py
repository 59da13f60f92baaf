"""How fast kernels of scalar level stream on the GPU of this machine, beside torch.

    PYTHONPATH=.:backends python tests/backends/ptx/device_lanes.py          # as compiled
    PYTHONPATH=.:backends python tests/backends/ptx/device_lanes.py --tune   # other rules too

Prints GB/s of each kernel (what it has to read and write, once) and of torch's way to compute the
same, and the largest relative difference.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from kdsl.library import elementwise, linear, norms
from kdsl.passes.simt import rules

MILLIONS = 1 << 20
CALLS = 50


def seconds(run: Callable[[], object]) -> float:
    """Return the median time of a call in a captured graph of many."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS):
            run()
    times = []
    for _ in range(7):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3 / CALLS)
    return sorted(times)[len(times) // 2]


def cases() -> list[tuple[str, Callable[[], Any], Callable[[], Any], torch.Tensor, int]]:
    """Return name, our call, torch's, the output, and the bytes that have to move."""
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        name = "bf16" if dtype is torch.bfloat16 else "f32"
        x, y = (torch.randn(256 * MILLIONS, device="cuda", dtype=dtype) for _ in range(2))
        out = torch.empty_like(x)
        size = x.numel() * x.element_size()
        found += [
            (
                f"add {name} 2^28",
                lambda x=x, y=y, out=out: elementwise.add(x, y, out),
                lambda x=x, y=y: x + y,
                out,
                3 * size,
            ),
            (
                f"scale_shift {name} 2^28",
                lambda x=x, out=out: elementwise.scale_shift(x, 0.5, 0.25, out),
                lambda x=x: x * 0.5 + 0.25,
                out,
                2 * size,
            ),
            (
                f"silu_mul {name} 2^28",
                lambda x=x, y=y, out=out: elementwise.silu_mul(x, y, out),
                lambda x=x, y=y: torch.nn.functional.silu(x) * y,
                out,
                3 * size,
            ),
        ]
        for rows, columns in ((32768, 4096), (4096, 16384), (131072, 768)):
            m = torch.randn(rows, columns, device="cuda", dtype=dtype)
            weight = torch.randn(columns, device="cuda")
            made = torch.empty_like(m)
            found.append(
                (
                    f"rms_norm {name} {rows}x{columns}",
                    lambda m=m, weight=weight, made=made: norms.rms_norm(m, weight, made, 1e-5),
                    lambda m=m, weight=weight: torch.nn.functional.rms_norm(
                        m.float(), (m.shape[1],), weight, 1e-5
                    ),
                    made,
                    2 * m.numel() * m.element_size(),
                )
            )
        for rows, columns in ((4096, 4096), (14336, 4096), (4096, 14336), (128256, 4096)):
            w = torch.randn(rows, columns, device="cuda", dtype=dtype)
            v = torch.randn(columns, device="cuda", dtype=dtype)
            made = torch.empty(rows, device="cuda", dtype=dtype)
            found.append(
                (
                    f"matvec {name} {rows}x{columns}",
                    lambda w=w, v=v, made=made: linear.matvec(v, w, made),
                    lambda w=w, v=v: w @ v,
                    made,
                    w.numel() * w.element_size(),
                )
            )
    return found


def show() -> None:
    for name, ours, theirs, out, size in cases():
        ours()
        wanted = theirs().float()
        torch.cuda.synchronize()
        scale = wanted.abs().max().item()
        error = (out.float() - wanted).abs().max().item() / scale
        mine, other = seconds(ours), seconds(theirs)
        print(
            f"{name:28} {size / mine * 1e-9:7.0f} GB/s  torch {size / other * 1e-9:7.0f} GB/s"
            f"  difference {error:.1e}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tune", action="store_true", help="try other rules as well")
    parser.add_argument("--rules", type=int, nargs=3, metavar=("ABREAST", "SWEEPS", "LANES"))
    asked = parser.parse_args()
    if asked.rules:
        rules.ABREAST, rules.SWEEPS, rules.USUAL_LANES = asked.rules
    print(f"abreast {rules.ABREAST}, sweeps {rules.SWEEPS}, {rules.USUAL_LANES} lanes", flush=True)
    show()
    if not asked.tune:
        return
    for tried in ((1, 1, 256), (1, 4, 256), (2, 2, 256), (4, 4, 256), (2, 4, 512)):
        numbers = [str(n) for n in tried]
        command = [sys.executable, __file__, "--rules", *numbers]
        subprocess.run(command, env={**os.environ, "KDSL_DISABLE_CACHE": "1"}, check=True)


if __name__ == "__main__":
    main()
