"""The chip that code is made for; resolved once at the top and passed along."""

from __future__ import annotations

from dataclasses import dataclass, field

from kdsl.target.features import Features


@dataclass(frozen=True, slots=True)
class Target:
    """A back end's name, a chip as that back end names it, its features, and options.

    ``triple`` and ``attributes`` are for the back end alone (an LLVM triple, ``+avx2,+fma``).
    """

    backend: str
    chip: str
    features: Features = field(default_factory=Features)
    triple: str = ""
    attributes: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.backend}:{self.chip}"


GENERIC = Target("generic", "generic")
"""No chip in particular: what passes are tested against and the interpreter runs."""
