"""Check Hopper kernels on a device against torch: ``python tests/backends/ptx/device_hopper.py``.

Needs a GPU of compute capability 9.0 and torch. ``--time`` adds TFLOP/s, interleaved with cuBLAS and
torch's attention; ``--only NAME`` keeps the cases whose name holds NAME; ``--modules`` runs the
scheduled modules of ``hopper/*.mlir`` instead of kernels. Not collected by pytest.
"""

import argparse
import math
import statistics
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import kdsl as kd
from kdsl import Const, Tensor, f32
from kdsl.library.attention import attention

M, N, K = kd.dims("M N K")
T = kd.dtype_var("T", kd.bf16, kd.f16)

ROUNDING = {torch.bfloat16: 4e-3, torch.float16: 1e-3}
"""Allowed relative error (norms) of results rounded once, with f32 sums."""
ATTENTION_ERROR = {torch.bfloat16: 6e-3, torch.float16: 1.5e-3}
"""Attention rounds its probabilities, too."""


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), kd.cdiv(d.N, d.BN)))
def gemm_nt(
    a: Tensor[T, M, K],
    w: Tensor[T, N, K],
    c: Tensor[T, M, N],
    *,
    BM: Const[int] = 128,
    BN: Const[int] = 256,
    BK: Const[int] = 64,
) -> None:
    """Write ``a @ w.T`` to ``c``."""
    rows = kd.span(kd.program_id(0), BM, stop=c.shape[0])
    cols = kd.span(kd.program_id(1), BN, stop=c.shape[1])
    acc = kd.zeros((BM, BN), f32)
    for k in kd.range(kd.cdiv(a.shape[1], BK), stages=2):
        depth = kd.span(k, BK, stop=a.shape[1])
        acc = kd.dot(a[rows, depth].load(), w[cols, depth].load().T, acc=acc)
    c[rows, cols].store(acc.to(T))


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), kd.cdiv(d.N, d.BN)))
def gemm_nn(
    a: Tensor[T, M, K],
    b: Tensor[T, K, N],
    c: Tensor[T, M, N],
    *,
    BM: Const[int] = 128,
    BN: Const[int] = 256,
    BK: Const[int] = 64,
) -> None:
    """Write ``a @ b`` to ``c``."""
    rows = kd.span(kd.program_id(0), BM, stop=c.shape[0])
    cols = kd.span(kd.program_id(1), BN, stop=c.shape[1])
    acc = kd.zeros((BM, BN), f32)
    for k in kd.range(kd.cdiv(a.shape[1], BK), stages=2):
        depth = kd.span(k, BK, stop=a.shape[1])
        acc = kd.dot(a[rows, depth].load(), b[depth, cols].load(), acc=acc)
    c[rows, cols].store(acc.to(T))


@dataclass
class Case:
    """One comparison: ours, torch's on the same tensors, and torch's in float32."""

    name: str
    ours: object
    peer: object
    exact: object
    out: torch.Tensor
    allowed: float
    flops: float
    inputs: tuple[torch.Tensor, ...] = ()


def random(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, device="cuda", dtype=torch.float32).to(dtype)


def gemm_case(m: int, n: int, k: int, kind: str, dtype: torch.dtype = torch.bfloat16) -> Case:
    a = random(m, k, dtype=dtype)
    b = random(n, k, dtype=dtype) if kind == "nt" else random(k, n, dtype=dtype)
    right = b.T if kind == "nt" else b
    c = torch.full((m, n), math.nan, device="cuda", dtype=dtype)
    kernel = gemm_nt if kind == "nt" else gemm_nn
    return Case(
        f"gemm {kind} {m}x{n}x{k} {str(dtype)[6:]}",
        lambda: kernel(a, b, c),
        lambda: torch.matmul(a, right),
        lambda: a.float() @ right.float(),
        c,
        ROUNDING[dtype],
        2.0 * m * n * k,
    )


BLOCKS = {64: (192, 128), 96: (128, 128), 128: (128, 128), 192: (128, 96), 256: (128, 80)}
"""Rows and keys of a tile by head dimension."""


def attention_case(
    batch: int, heads: tuple[int, int], rows: int, keys: int, size: int, causal: bool,
    dtype: torch.dtype = torch.bfloat16,
) -> Case:  # fmt: skip
    hq, hk = heads
    q = random(batch, hq, rows, size, dtype=dtype)
    k, v = (random(batch, hk, keys, size, dtype=dtype) for _ in range(2))
    out = torch.full_like(q, math.nan)
    scale = 1.0 / math.sqrt(size)
    bm, bn = BLOCKS[size]

    def reference(dtype: torch.dtype) -> torch.Tensor:
        x, y, z = (t.to(dtype) for t in (q, k, v))
        y, z = (t.repeat_interleave(hq // hk, 1) for t in (y, z))
        mask = None
        if causal and rows != keys:
            mask = torch.ones(rows, keys, dtype=torch.bool, device="cuda").tril(keys - rows)
        return torch.nn.functional.scaled_dot_product_attention(
            x, y, z, attn_mask=mask, is_causal=causal and mask is None, scale=scale
        )

    done = 0.5 if causal else 1.0
    return Case(
        f"attention {'causal' if causal else 'full'} {batch}x{hq}/{hk}x{rows}:{keys}x{size} "
        f"{str(dtype)[6:]}",
        lambda: attention(q, k, v, out, scale, CAUSAL=causal, BM=bm, BN=bn),
        lambda: reference(dtype),
        lambda: reference(torch.float32),
        out,
        ATTENTION_ERROR[dtype],
        4.0 * batch * hq * rows * keys * size * done,
        (q, k, v),
    )


# ------------------------------------------------------------------- scheduled modules, by text


def entry_of(name: str) -> object:
    """Return the entry of a scheduled module in ``hopper/``, compiled from after "optimize"."""
    import kdsl.dialects.all  # noqa: F401 - the parser knows the ops of imported dialects
    import kdsl_ptx.dialect.tile  # noqa: F401 - likewise
    from kdsl.compiler import compile_module, target_of
    from kdsl.ir.parser import parse

    text = (Path(__file__).parent / "hopper" / f"{name}.mlir").read_text()
    (entry,) = compile_module(parse(text), target_of("ptx:sm_90a"), "optimize").load().values()
    return entry


def call_entry(entry: object, *args: object) -> None:
    """Call an entry with tensors and floats on torch's current stream."""
    words: list[int] = []
    for arg in args:
        if isinstance(arg, torch.Tensor):
            words += [arg.data_ptr(), *arg.shape, *arg.stride()]
        else:
            words.append(struct.unpack("<i", struct.pack("<f", arg))[0])
    words += [torch.cuda.current_stream().cuda_stream, torch.cuda.current_device()]
    slots = np.array(words, np.int64)
    status = entry.call(slots.ctypes.data)
    assert status == 0, status


def module_cases() -> list[object]:
    """Return makers of cases that run the scheduled modules."""
    gemm, flash = entry_of("gemm"), entry_of("attention_causal_d128")

    def gemm_by_module(m: int, n: int, k: int) -> Case:
        a, b = (random(*shape, dtype=torch.bfloat16) for shape in ((m, k), (n, k)))
        c = torch.full((m, n), math.nan, device="cuda", dtype=torch.bfloat16)
        return Case(
            f"module gemm {m}x{n}x{k}",
            lambda: call_entry(gemm, a, b, c),
            lambda: torch.matmul(a, b.T),
            lambda: a.float() @ b.float().T,
            c,
            ROUNDING[torch.bfloat16],
            2.0 * m * n * k,
        )

    def attention_by_module(batch: int, heads: tuple[int, int], rows: int) -> Case:
        case = attention_case(batch, heads, rows, rows, 128, True)
        q, k, v = case.inputs
        lse = torch.full(q.shape[:3], math.nan, device="cuda")
        case.ours = lambda: call_entry(flash, q, k, v, case.out, 128**-0.5, lse)
        case.name = f"module {case.name}"
        return case

    return [
        lambda: gemm_by_module(128, 256, 64),
        lambda: gemm_by_module(256, 512, 256),
        lambda: gemm_by_module(1000, 776, 520),
        lambda: gemm_by_module(8192, 8192, 8192),
        lambda: attention_by_module(1, (1, 1), 128),
        lambda: attention_by_module(1, (2, 1), 256),
        lambda: attention_by_module(2, (8, 2), 1000),
        lambda: attention_by_module(4, (32, 8), 1024),
        lambda: attention_by_module(1, (32, 8), 8192),
    ]


def checks() -> list[object]:
    """Return makers of the cases, small before large, ragged ones among them."""
    half = torch.float16
    return [
        lambda: gemm_case(128, 256, 64, "nt"),
        lambda: gemm_case(256, 512, 256, "nt"),
        lambda: gemm_case(256, 512, 256, "nn"),
        lambda: gemm_case(200, 264, 136, "nt"),
        lambda: gemm_case(1000, 776, 520, "nn", half),
        lambda: gemm_case(4096, 4096, 4096, "nt"),
        lambda: attention_case(1, (1, 1), 128, 128, 128, False),
        lambda: attention_case(1, (1, 1), 256, 256, 128, True),
        lambda: attention_case(2, (8, 2), 1024, 1024, 128, True),
        lambda: attention_case(2, (8, 2), 1024, 1024, 128, False),
        lambda: attention_case(1, (4, 4), 1000, 1000, 128, True),
        lambda: attention_case(1, (4, 1), 777, 1003, 128, False),
        lambda: attention_case(1, (4, 1), 300, 1003, 128, True),
        lambda: attention_case(1, (4, 2), 1, 1, 128, True),
        lambda: attention_case(1, (4, 2), 513, 513, 128, True, half),
        *(
            (lambda size=size, causal=causal: attention_case(2, (4, 2), 777, 777, size, causal))
            for size in (64, 96, 192, 256)
            for causal in (True, False)
        ),
    ]


def timed() -> list[object]:
    """Return makers of the cases that are worth a clock."""
    return [
        lambda: gemm_case(8192, 8192, 8192, "nt"),
        lambda: gemm_case(4096, 4096, 4096, "nn"),
        lambda: attention_case(1, (32, 8), 8192, 8192, 128, True),
        lambda: attention_case(1, (32, 8), 8192, 8192, 128, False),
        lambda: attention_case(4, (32, 8), 1024, 1024, 128, True),
        lambda: attention_case(4, (32, 32), 4096, 4096, 64, True),
        lambda: attention_case(1, (16, 16), 8192, 8192, 96, True),
        lambda: attention_case(1, (16, 16), 8192, 8192, 192, True),
        lambda: attention_case(1, (8, 8), 16384, 16384, 256, True),
    ]


def error_of(case: Case) -> float:
    """Return the norm of the difference to float32 divided by the norm; NaN counts."""
    case.out.fill_(math.nan)
    case.ours()
    torch.cuda.synchronize()
    wanted = case.exact().float()
    return ((case.out.float() - wanted).norm() / wanted.norm()).item()


def check(makers: list[object], only: str) -> int:
    """Run every case three times; return how many fail or differ between runs."""
    bad = 0
    for make in makers:
        case = make()
        if only not in case.name:
            continue
        try:
            error = error_of(case)
            first = case.out.clone()
            same = all(error_of(case) == error and torch.equal(case.out, first) for _ in range(2))
        except kd.KdslError as problem:
            print(f"FAIL {case.name}: {str(problem)[:2000]}", flush=True)
            bad += 1
            continue
        fine = error <= case.allowed and same
        bad += not fine
        note = "" if same else "  differs between runs"
        print(f"{'ok  ' if fine else 'FAIL'} {case.name}: {error:.2e}{note}", flush=True)
    return bad


def microseconds(call: object, flush: torch.Tensor) -> float:
    flush.fill_(1.0)
    torch.cuda._sleep(200_000)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) * 1e3


def measure(makers: list[object], only: str, rounds: int) -> None:
    """Print TFLOP/s of ours and torch's, taken in turns, medians of ``rounds``."""
    flush = torch.empty(24 << 20, device="cuda")
    for make in makers:
        case = make()
        if only not in case.name:
            continue
        try:
            error = error_of(case)
        except kd.KdslError as problem:
            print(f"FAIL {case.name}: {str(problem)[:500]}", flush=True)
            continue
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds + 2):
            for kept, call in zip(times, (case.ours, case.peer), strict=True):
                spent = microseconds(call, flush)
                if turn >= 2:
                    kept.append(spent)
        ours, peer = (case.flops / statistics.median(t) * 1e-6 for t in times)
        print(
            f"{case.name}: {ours:.0f} TFLOP/s, torch {peer:.0f}, ratio {ours / peer:.2f}, "
            f"error {error:.1e}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", action="store_true", help="also measure")
    parser.add_argument("--modules", action="store_true", help="run hopper/*.mlir")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--rounds", type=int, default=15, help="timed calls of each")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = False
    makers = module_cases() if options.modules else checks()
    bad = check(makers, options.only)
    if options.time:
        measure(makers if options.modules else timed(), options.only, options.rounds)
    print(f"{bad} failed")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
