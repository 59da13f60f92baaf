"""Cases whose limit is memory: elementwise kernels, their chains and norms over 64 MB arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdsl.bench.case import Arrays, Case
from kdsl.bench.report import measured
from kdsl.bench.suites import Table
from kdsl.library import reference

Array = NDArray[Any]

ARRAY_BYTES = 64 << 20
COUNT = ARRAY_BYTES // 4
ROW = 4096
BUDGET_S = 4.0


def _fill(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def silu_mul_case() -> Case:
    """Return SiLU-gate over arrays of 64 MB: two read, one written."""
    return Case(
        entry="silu_mul",
        shape="64 MB each",
        dtype="f32",
        inputs=lambda: {
            "gate": _fill(1, COUNT),
            "up": _fill(2, COUNT),
            "out": np.zeros(COUNT, np.float32),
        },
        reference=lambda gate, up, **_: {"out": reference.silu_mul(gate, up)},
        tolerance=1e-6,
        bytes=3.0 * ARRAY_BYTES,
        peers={"numpy": _numpy_silu_mul, "torch": _torch_silu_mul},
    )


def _numpy_silu_mul(given: Arrays) -> Any:
    gate, up = given["gate"], given["up"]
    return lambda: gate / (1 + np.exp(-gate)) * up


def _torch_silu_mul(given: Arrays) -> Any:
    import torch

    gate, up = torch.from_numpy(given["gate"]), torch.from_numpy(given["up"])
    return lambda: torch.nn.functional.silu(gate) * up


def chain_case() -> Case:
    """Return a chain of two elementwise kernels with a workspace between, which must fuse."""
    return Case(
        entry="gated_chain",
        shape="64 MB each",
        dtype="f32",
        inputs=lambda: {
            "x": _fill(1, COUNT),
            "up": _fill(2, COUNT),
            "scale": 0.5,
            "shift": 0.25,
            "out": np.zeros(COUNT, np.float32),
        },
        reference=lambda x, up, scale, shift, **_: {
            "out": reference.silu_mul(x.astype(np.float64) * scale + shift, up)
        },
        tolerance=1e-6,
        bytes=3.0 * ARRAY_BYTES,
        peers={"torch": _torch_chain},
    )


def _torch_chain(given: Arrays) -> Any:
    import torch

    x, up = torch.from_numpy(given["x"]), torch.from_numpy(given["up"])
    return lambda: torch.nn.functional.silu(x * 0.5 + 0.25) * up


def rms_norm_case() -> Case:
    """Return RMSNorm over rows of 4096: one array of 64 MB read, one written."""
    rows = COUNT // ROW
    return Case(
        entry="rms_norm",
        shape=f"{rows} x {ROW}",
        dtype="f32",
        inputs=lambda: {
            "x": _fill(1, rows, ROW),
            "weight": _fill(2, ROW),
            "STREAM": True,
            "out": np.zeros((rows, ROW), np.float32),
        },
        reference=lambda x, weight, **_: {"out": reference.rms_norm(x, weight)},
        tolerance=1e-5,
        bytes=2.0 * ARRAY_BYTES,
        peers={"torch": _torch_rms_norm},
    )


def _torch_rms_norm(given: Arrays) -> Any:
    import torch

    x, weight = torch.from_numpy(given["x"]), torch.from_numpy(given["weight"])
    return lambda: torch.nn.functional.rms_norm(x, (ROW,), weight, 1e-5)


def streaming() -> Table:
    """Measure kernels that memory limits."""
    from kdsl.library.elementwise import gated_chain, silu_mul
    from kdsl.library.norms import rms_norm

    cases = [(silu_mul_case(), silu_mul), (chain_case(), gated_chain), (rms_norm_case(), rms_norm)]
    return measured("streaming", cases, BUDGET_S)
