"""Benchmarks of an accelerator where there is none, and what their tables judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdsl.bench import device_attention
from kdsl.bench.device_cases import ATTENTION, AttentionShape
from kdsl.bench.suites import DEVICE_SUITES, suite_named
from kdsl.errors import BenchDeviceError

TIMES = {"kdsl": 100.0, "cuDNN": 130.0}
CHAINS = {"kdsl rope, kdsl": 120.0, "kdsl rope, cuDNN": 150.0}


@pytest.mark.parametrize("name", DEVICE_SUITES)
def test_without_a_gpu_the_error_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BenchDeviceError, match="torch sees no GPU"):
        suite_named(name, tmp_path)()
    assert not list(tmp_path.iterdir())


def test_flops_count_half_of_a_causal_score_matrix() -> None:
    full = AttentionShape(2, 3, 1, 100, 64, causal=False, wanted=1.0)
    assert full.flops == 4 * 2 * 3 * 100 * 100 * 64
    assert AttentionShape(2, 3, 1, 100, 64, causal=True, wanted=1.0).flops == full.flops / 2


@pytest.mark.parametrize(
    ("name", "error", "times", "verdict"),
    [
        ("kdsl", 2e-3, TIMES, "ok"),
        ("kdsl", 2e-3, {**TIMES, "kdsl": 125.0}, "short"),
        ("kdsl", 2e-1, TIMES, "WRONG"),
        ("kdsl", float("nan"), TIMES, "WRONG"),
        ("kdsl rope+attention", 3e-3, TIMES | CHAINS | {"kdsl rope+attention": 103.0}, "ahead"),
        ("kdsl rope+attention", 3e-3, TIMES | CHAINS | {"kdsl rope+attention": 121.0}, "BEHIND"),
    ],
)
def test_a_row_is_judged_by_error_first_then_by_speed(
    name: str, error: float, times: dict[str, Any], verdict: str
) -> None:
    shape = ATTENTION[2]
    assert verdict in device_attention._verdict(shape, name, error, times)[1]
