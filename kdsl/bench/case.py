"""One declared run of an entry: inputs, reference, how much work it is, and its peers.

A file that ``kdsl build --check`` is used on has a list ``CHECKS`` of these, or a function that
makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, Any]
"""Arguments by name: arrays and numbers."""

Peer = Callable[[Arrays], Callable[[], object]]
"""Takes the inputs, prepares what is not to be timed, returns what is."""


@dataclass(frozen=True)
class Case:
    """What one run of ``entry`` is.

    ``inputs`` makes fresh arguments, outputs allocated among them. ``reference`` takes such
    arguments and returns the expected outputs in float64. ``tolerance`` bounds the largest error,
    relative to the largest expected value where that is above 1. ``flops`` and ``bytes`` count the
    work that any implementation must do; flops decide when both are given. ``reads_only`` compares
    bytes with what a copy reads, half of what it moves. ``peers`` maps a name to
    a peer; one whose module cannot be imported is left out.
    """

    entry: str
    shape: str
    dtype: str
    inputs: Callable[[], dict[str, Any]]
    reference: Callable[..., Mapping[str, NDArray[np.float64]]]
    tolerance: float
    flops: float = 0.0
    bytes: float = 0.0
    reads_only: bool = False
    peers: Mapping[str, Peer] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Entry, shape and dtype in one line."""
        return f"{self.entry} {self.shape} {self.dtype}"


def largest_error(got: Any, want: NDArray[np.float64]) -> float:
    """Return max |got - want| / max(1, max |want|); infinite when shapes, infs or NaNs differ."""
    have = np.asarray(got).astype(np.float64)
    if have.shape != want.shape:
        return float("inf")
    special = ~np.isfinite(want)
    if not np.array_equal(have[special], want[special], equal_nan=True):
        return float("inf")
    if special.all():
        return 0.0
    have, want = have[~special], want[~special]
    error = float(np.max(np.abs(have - want)))
    return error / max(1.0, float(np.max(np.abs(want)))) if np.isfinite(error) else float("inf")


def error_of(case: Case, entry: Callable[..., object]) -> float:
    """Run ``entry`` once on fresh inputs; return its largest error over all outputs."""
    inputs = case.inputs()
    expected = case.reference(**case.inputs())
    entry(**inputs)
    return max(largest_error(inputs[name], want) for name, want in expected.items())
