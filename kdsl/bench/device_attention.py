"""Attention, RoPE-attention and products on a GPU; cuDNN and cuBLAS in the same run."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from kdsl.bench.device_cases import ATTENTION, PRODUCTS, AttentionShape
from kdsl.bench.device_timing import DeviceClock, Run
from kdsl.bench.suites import Table
from kdsl.errors import KdslError

TERA = 1e12
CHECKED_HEADS = (0, -1)
"""Comparing all heads in float32 would take longer than the benchmark."""
COLUMNS = (
    "shape", "kernel", "error", "mode", "us", "TFLOP/s", "x cuDNN", "wanted", "verdict",
)  # fmt: skip
OURS, PEER = "kdsl", "cuDNN"
FUSED, CHAIN, CHAIN_PEER = "kdsl rope+attention", "kdsl rope, kdsl", "kdsl rope, cuDNN"
TOLERANCE, ROPE_TOLERANCE = 4e-3, 6e-3
"""Relative error of bf16 outputs against float32 attention, without and with rotated inputs."""


def rope_attention_on_device(folder: Path, shapes: tuple[AttentionShape, ...] = ATTENTION) -> Table:
    """Measure every shape; write ``rope-attention.csv`` and ``rope-attention.png`` to a folder."""
    clock = DeviceClock()
    rows: list[tuple[str, ...]] = []
    for shape in shapes:
        try:
            rows += _attention_rows(clock, shape)
        except KdslError as problem:  # one shape that cannot be built must not hide the others
            rows.append((shape.title, OURS, problem.summary, *[""] * (len(COLUMNS) - 3)))
    for size, wanted in PRODUCTS:
        rows += _product_rows(clock, size, wanted)
    found = Table(f"rope-attention on {clock.device}, bf16", COLUMNS, tuple(rows))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rope-attention.csv").open("w", newline="") as file:
        csv.writer(file).writerows([found.columns, *found.rows])
    _plot(found, folder / "rope-attention.png")
    return found


# ------------------------------------------------------------------------------------- attention


class _Problem:
    """Inputs of one shape, ``[B, S, H, D]`` in memory and seen as ``[B, H, S, D]``."""

    def __init__(self, clock: DeviceClock, shape: AttentionShape) -> None:
        self.torch, self.shape = clock.torch, shape
        torch, device = clock.torch, clock.place
        torch.manual_seed(7)
        self.q, self.k, self.v = (
            torch.randn(
                shape.batch, shape.tokens, heads, shape.size, device=device, dtype=torch.bfloat16
            ).transpose(1, 2)
            for heads in (shape.heads, shape.kv_heads, shape.kv_heads)
        )
        self.out = torch.full_like(self.q, math.nan)
        self.scale = 1.0 / math.sqrt(shape.size)
        angle = torch.arange(0, shape.size, 2, device=device, dtype=torch.float32) / shape.size
        at = torch.arange(shape.tokens, device=device, dtype=torch.float32)
        turns = at[:, None] * 10000.0 ** -angle[None, :]
        self.cos, self.sin = turns.cos(), turns.sin()
        self.turned_q, self.turned_k = torch.empty_like(self.q), torch.empty_like(self.k)

    def runs(self) -> dict[str, Run]:
        """Return what is timed."""
        from kdsl.library.attention import attention
        from kdsl.library.rope import rope
        from kdsl.library.rope_attention import rope_attention

        q, k, v, out, scale, causal = (
            self.q, self.k, self.v, self.out, self.scale, self.shape.causal,
        )  # fmt: skip
        cos, sin, turned_q, turned_k = self.cos, self.sin, self.turned_q, self.turned_k
        ours = attention.bind(q, k, v, out, scale, CAUSAL=causal)
        found: dict[str, Run] = {OURS: ours, PEER: self._cudnn(q, k, v)}
        if self.shape.rope_limit is None:
            return found
        rotate_q = rope.bind(q, cos, sin, turned_q)
        rotate_k = rope.bind(k, cos, sin, turned_k)
        rotated = attention.bind(turned_q, turned_k, v, out, scale, CAUSAL=causal)
        peer = self._cudnn(turned_q, turned_k, v)
        found[FUSED] = rope_attention.bind(q, k, v, cos, sin, out, scale, CAUSAL=causal)
        found[CHAIN] = lambda: (rotate_q(), rotate_k(), rotated())
        found[CHAIN_PEER] = lambda: (rotate_q(), rotate_k(), peer())
        return found

    def _cudnn(self, q: Any, k: Any, v: Any) -> Run:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        dot_product = self.torch.nn.functional.scaled_dot_product_attention
        options = {"is_causal": self.shape.causal, "enable_gqa": q.shape[1] != k.shape[1]}

        def run() -> object:
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                return dot_product(q, k, v, **options)

        return run

    def error(self, name: str, run: Run) -> float:
        """Return the relative error of a run's output on the last batch entry's checked heads."""
        if PEER in name:
            return 0.0
        self.out.fill_(math.nan)
        run()
        group = self.shape.heads // self.shape.kv_heads
        heads = [h % self.shape.heads for h in CHECKED_HEADS]
        q, k = self.q, self.k
        if name != OURS:
            q, k = (self._rotated(x) for x in (q, k))
        keys = [h // group for h in heads]
        want = self.torch.nn.functional.scaled_dot_product_attention(
            q[-1:, heads].float(), k[-1:, keys].float(), self.v[-1:, keys].float(),
            is_causal=self.shape.causal,
        )  # fmt: skip
        got = self.out[-1:, heads].float()
        return float((got - want).norm() / want.norm())

    def _rotated(self, x: Any) -> Any:
        half = self.shape.size // 2
        a, b = x[..., :half].float(), x[..., half:].float()
        cos, sin = self.cos, self.sin
        return self.torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def _attention_rows(clock: DeviceClock, shape: AttentionShape) -> list[tuple[str, ...]]:
    problem = _Problem(clock, shape)
    runs = problem.runs()
    errors = {name: problem.error(name, run) for name, run in runs.items()}
    timed: dict[str, dict[str, float]] = {}
    if shape.replay:
        timed["graph"] = clock.replayed(runs)
    timed["burst"] = clock.burst(runs)
    timed["sustained"] = clock.sustained(runs)
    rows: list[tuple[str, ...]] = []
    for mode, times in timed.items():
        judged = mode == ("graph" if shape.replay else "burst")
        for name, us in times.items():
            rows.append(
                (
                    shape.title,
                    name,
                    f"{errors[name]:.1e}" if errors[name] else "",
                    mode,
                    f"{us:.1f}",
                    f"{shape.flops / us * 1e6 / TERA:.0f}",
                    f"{times[PEER] / us:.2f}",
                    *(_verdict(shape, name, errors[name], times) if judged else ("", "")),
                )
            )
    return rows


def _verdict(
    shape: AttentionShape, name: str, error: float, times: dict[str, float]
) -> tuple[str, str]:
    """Return what is wanted of a row, and whether it is so."""
    if not error <= (TOLERANCE if name == OURS else ROPE_TOLERANCE):
        return "", "WRONG"
    if name == OURS:
        reached = times[PEER] / times[OURS]
        return f">= {shape.wanted:.2f}", "ok" if reached >= shape.wanted else "short"
    if name == FUSED and shape.rope_limit is not None:
        over = times[FUSED] / times[OURS] - 1
        ahead = times[FUSED] < min(times[CHAIN], times[CHAIN_PEER])
        verdict = f"+{over:.1%}, {'ahead of' if ahead else 'BEHIND'} the chains"
        return f"<= +{shape.rope_limit:.1%}", verdict
    return "", ""


# -------------------------------------------------------------------------------------- products


def _product_rows(clock: DeviceClock, size: int, wanted: float) -> list[tuple[str, ...]]:
    from kdsl.library.linear import matmul

    torch = clock.torch
    torch.manual_seed(7)
    x, w = (torch.randn(size, size, device=clock.place, dtype=torch.bfloat16) for _ in range(2))
    out = torch.full_like(x, math.nan)
    title = f"product {size}^3"
    try:
        ours = matmul.bind(x, w, out)
    except KdslError as problem:
        return [(title, OURS, problem.summary, *[""] * (len(COLUMNS) - 3))]
    ours()
    want = x[:256].float() @ w.float().T
    error = float((out[:256].float() - want).norm() / want.norm())
    runs: dict[str, Run] = {OURS: ours, "cuBLAS": lambda: torch.matmul(x, w.T)}
    rows: list[tuple[str, ...]] = []
    for mode, times in (
        ("burst", clock.burst(runs)),
        ("sustained", clock.sustained(runs)),
    ):
        for name, us in times.items():
            ratio = times["cuBLAS"] / us
            judged = name == OURS and mode == "burst"
            verdict = "WRONG" if error > TOLERANCE else "ok" if ratio >= wanted else "short"
            rows.append(
                (
                    title,
                    name,
                    f"{error:.1e}" if name == OURS else "",
                    mode,
                    f"{us:.1f}",
                    f"{2.0 * size**3 / us * 1e6 / TERA:.0f}",
                    f"{ratio:.2f} (cuBLAS)",
                    f">= {wanted:.2f}" if judged else "",
                    verdict if judged else "",
                )
            )
    return rows


# ------------------------------------------------------------------------------------------ plot


def _plot(table: Table, path: Path) -> None:
    """Draw each shape in the mode that judges it; without matplotlib there is only the CSV."""
    try:
        import matplotlib as mpl
    except ImportError:
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    judged = {row[0]: row[3] for row in table.rows if row[1] == OURS and row[-2]}
    drawn = [r for r in table.rows if r[3] == judged.get(r[0]) and r[1] in (OURS, PEER, "cuBLAS")]
    shapes = list(dict.fromkeys(row[0] for row in drawn))
    figure, axes = plt.subplots(figsize=(11, 0.42 * len(shapes) + 1.6))
    for offset, names, colour in ((-0.2, (OURS,), "#d95f02"), (0.2, (PEER, "cuBLAS"), "#7f7f7f")):
        rate = {row[0]: float(row[5]) for row in drawn if row[1] in names}
        places = [i + offset for i, shape in enumerate(shapes) if shape in rate]
        values = [rate[shape] for shape in shapes if shape in rate]
        bars = axes.barh(places, values, height=0.38, color=colour, label=" / ".join(names))
        axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    axes.set_yticks(range(len(shapes)), shapes)
    axes.invert_yaxis()
    axes.set_xlabel("TFLOP/s (caches cold, card cool; short ones as a graph; causal counted half)")
    axes.set_title(table.title)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
