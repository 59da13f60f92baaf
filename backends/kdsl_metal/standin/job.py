"""What the child that runs Metal text is asked to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bytes:
    """An array of a job: the bytes that it reaches over, where it begins in them, its layout."""

    data: bytes
    first: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    is_pointer: bool


@dataclass(frozen=True)
class Job:
    """Text and the arguments of an entry: Bytes, a number's slot, or how many slots None takes."""

    text: str
    entry: str
    args: tuple[Bytes | int | tuple[int], ...]
