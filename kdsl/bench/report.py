"""Measured cases as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kdsl.bench.case import Case, error_of
from kdsl.bench.measure import GIGA, copy_rate, medians, sgemm_rate
from kdsl.bench.suites import Table

OURS = "kdsl"


@dataclass(frozen=True)
class Outcome:
    """What came out of one case: its largest error, median seconds of ours and of each peer."""

    case: Case
    error: float
    seconds: float
    peers: dict[str, float] = field(default_factory=dict)

    @property
    def is_right(self) -> bool:
        return self.error <= self.case.tolerance

    @property
    def rate_text(self) -> str:
        """Flop or bytes a second."""
        if self.case.flops:
            return f"{self.case.flops / self.seconds / GIGA:.1f} GFLOP/s"
        if self.case.bytes:
            return f"{self.case.bytes / self.seconds / GIGA:.1f} GB/s"
        return ""

    @property
    def share_text(self) -> str:
        """Our rate as a share of what this machine reaches in a matrix multiply or a copy."""
        if self.case.flops:
            return f"{self.case.flops / self.seconds / sgemm_rate():.0%} of sgemm"
        if self.case.bytes and self.case.reads_only:
            return f"{self.case.bytes / self.seconds / (copy_rate() / 2):.0%} of a copy's reads"
        if self.case.bytes:
            return f"{self.case.bytes / self.seconds / copy_rate():.0%} of copy"
        return ""


def run_case(case: Case, entry: Callable[..., object], budget_s: float = 1.0) -> Outcome:
    """Check the answer once, then measure ours and every peer that can be imported, in turns."""
    error = error_of(case, entry)
    inputs = case.inputs()
    runs: dict[str, Callable[[], object]] = {OURS: lambda: entry(**inputs)}
    for name, peer in case.peers.items():
        try:
            runs[name] = peer(case.inputs())
        except ImportError:  # a peer is measured where it is installed
            continue
    times = medians(runs, budget_s)
    return Outcome(case, error, times.pop(OURS), times)


def columns(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the table's head; one column for each peer that any case has."""
    fixed = ["kernel", "shape", "dtype", "error", "time", "rate", "share"]
    return fixed + [f"x {name}" for name in peer_names(outcomes)]


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the table's body; a peer's column says how many times as fast as it we are."""
    return [
        [
            o.case.entry,
            o.case.shape,
            o.case.dtype,
            f"{o.error:.1e}" if o.is_right else f"{o.error:.1e} WRONG",
            time_text(o.seconds),
            o.rate_text,
            o.share_text,
            *(
                f"{o.peers[n] / o.seconds:.2f}" if n in o.peers else ""
                for n in peer_names(outcomes)
            ),
        ]
        for o in outcomes
    ]


def peer_names(outcomes: Sequence[Outcome]) -> list[str]:
    """Return every peer's name, in order of appearance."""
    return list(dict.fromkeys(name for outcome in outcomes for name in outcome.peers))


def time_text(seconds: float) -> str:
    """Return a duration with three digits and a fitting unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def measured(
    title: str, cases: Sequence[tuple[Case, Callable[..., object]]], budget_s: float
) -> Table:
    """Run cases with their entries and return the table."""
    outcomes = [run_case(case, entry, budget_s) for case, entry in cases]
    body = tuple(tuple(row) for row in rows(outcomes))
    return Table(title, tuple(columns(outcomes)), body)
