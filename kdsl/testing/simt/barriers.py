"""Barriers that lanes come to by number, for some lanes of a workgroup or all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kdsl.testing.simt.memory import Clock


@dataclass(eq=False)
class NamedBarrier:
    """Opens when ``threads`` lanes came; who waits then has seen what all that came did before."""

    came: int = 0
    threads: int = 0
    opened: int = 0
    known: np.ndarray | None = None
    passed: dict[int, np.ndarray] = field(default_factory=dict)

    def come(self, clock: Clock, lanes: np.ndarray, threads: int) -> int:
        """Count lanes as arrived; return which opening they wait for."""
        turn = self.opened
        known = clock.release(lanes)
        self.known = known if self.known is None else np.maximum(self.known, known)
        self.came += len(lanes)
        self.threads = threads
        if self.came >= threads:
            self.passed[turn] = self.known
            self.came, self.known = 0, None
            self.opened += 1
        return turn
