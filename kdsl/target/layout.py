"""Which lane and register of a workgroup holds which element of a tile: digits, and their algebra.

A lane's number within its subgroup, a subgroup's number and a register's number are written in
mixed radix; each digit moves the element along one axis. So layouts compose, are cut and are
checked as small tuples, and tiles of 96 or 192 work as well as powers of two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

PLACES = ("reg", "lane", "warp")


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit: ``place`` is "reg", "lane" (in a subgroup) or "warp" (number of a subgroup).

    Its value times ``step`` is added to the index along axis ``dim``; None makes copies.
    """

    place: str
    size: int
    dim: int | None
    step: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the elements of a tile are; the digits of each place run minor to major."""

    shape: tuple[int, ...]
    digits: tuple[Digit, ...]

    @property
    def registers(self) -> int:
        """How many elements a lane holds."""
        return self.count("reg")

    @property
    def lanes(self) -> int:
        """How many lanes a subgroup has."""
        return self.count("lane")

    @property
    def warps(self) -> int:
        """How many subgroups take part."""
        return self.count("warp")

    @property
    def rank(self) -> int:
        return len(self.shape)

    def count(self, place: str) -> int:
        """Return the product of the sizes of a place's digits."""
        return prod(d.size for d in self.digits if d.place == place)

    def of(self, place: str) -> tuple[Digit, ...]:
        """Return a place's digits, minor to major."""
        return tuple(d for d in self.digits if d.place == place)

    def along(self, axis: int) -> tuple[Digit, ...]:
        """Return the digits of an axis by rising step."""
        return tuple(sorted((d for d in self.digits if d.dim == axis), key=lambda d: d.step))

    def coordinates(self, place: str) -> NDArray[np.int64]:
        """Return what a place adds to the indices: ``[count, rank]``."""
        return _coordinates(self.of(place), len(self.shape))

    def indices(self) -> NDArray[np.int64]:
        """Return the element of each register: ``[warps, lanes, registers, rank]``."""
        w, n, r = (self.coordinates(p) for p in ("warp", "lane", "reg"))
        return np.asarray(w[:, None, None] + n[None, :, None] + r[None, None])

    def linear(self) -> NDArray[np.int64]:
        """Return the row-major number of each register's element: ``[warps, lanes, registers]``."""
        return _linear(self)

    def check(self) -> bool:
        """Return whether every element is held, and by equally many places."""
        at = self.indices()
        if (at < 0).any() or (at >= np.array(self.shape, np.int64)).any():
            return False
        counts = np.bincount(self.linear().reshape(-1), minlength=prod(self.shape))
        copies = prod(d.size for d in self.digits if d.dim is None)
        return bool((counts == copies).all())

    # -------------------------------------------------------------------------------- deriving

    def drop(self, axis: int) -> Layout:
        """Return the layout of the tile reduced along ``axis``: its lanes hold copies."""
        kept: list[Digit] = []
        for d in self.digits:
            if d.dim == axis:
                if d.place != "reg":
                    kept.append(Digit(d.place, d.size, None))
            elif d.dim is not None and d.dim > axis:
                kept.append(Digit(d.place, d.size, d.dim - 1, d.step))
            else:
                kept.append(d)
        return made((*self.shape[:axis], *self.shape[axis + 1 :]), kept)

    def expand(self, axis: int, extent: int) -> Layout:
        """Return a layout with a new axis of ``extent``; idle lanes take part of it."""
        moved = [
            d if d.dim is None or d.dim < axis else Digit(d.place, d.size, d.dim + 1, d.step)
            for d in self.digits
        ]
        left, step, found = extent, 1, []
        for d in moved:
            share = gcd(left, d.size) if d.dim is None else 1
            if share > 1:
                found.append(Digit(d.place, share, axis, step))
                if d.size > share:
                    found.append(Digit(d.place, d.size // share, None))
                left, step = left // share, step * share
            else:
                found.append(d)
        found.append(Digit("reg", left, axis, step))
        return made((*self.shape[:axis], extent, *self.shape[axis:]), found)

    def resize(self, axis: int, extent: int) -> Layout:
        """Return the layout of a tile with another extent along ``axis``.

        What is cut off becomes copies, what is added registers.
        """
        left, step, found = extent, 1, list(self.digits)
        for d in self.along(axis):
            at = next(i for i, x in enumerate(found) if x is d)
            share = gcd(left, d.size)
            whole = share == d.size
            found[at : at + 1] = [Digit(d.place, share, axis, step)]
            if not whole and d.place != "reg":
                found.insert(at + 1, Digit(d.place, d.size // share, None))
            left, step = left // share, step * share
        found.append(Digit("reg", left, axis, step))
        return made((*self.shape[:axis], extent, *self.shape[axis + 1 :]), found)

    def permute(self, permutation: Sequence[int]) -> Layout:
        """Return the layout of the transposed tile: its axis i is axis ``permutation[i]``."""
        place = {old: new for new, old in enumerate(permutation)}
        moved = [
            d if d.dim is None else Digit(d.place, d.size, place[d.dim], d.step)
            for d in self.digits
        ]
        return made(tuple(self.shape[p] for p in permutation), moved)

    def slice(self, axis: int, offset: int, size: int, step: int = 1) -> Layout | None:
        """Return the layout of a part, without moving elements; None when lanes would idle."""
        if size == self.shape[axis]:
            return self
        found = list(self.digits)
        # In units of ``reach`` elements, what the digits seen so far cover of the part.
        covered, left = 1, size
        for d in self.along(axis):
            at = next(i for i, x in enumerate(found) if x is d)
            if d.step < step or left == 1:
                if d.place != "reg" or (d.step < step and step % (d.step * d.size)):
                    return None
                found[at] = Digit("reg", 1, axis, 1)
                continue
            if left % d.size == 0:
                found[at] = Digit(d.place, d.size, axis, covered)
                covered, left = covered * d.size, left // d.size
            elif d.place == "reg" and left < d.size:
                found[at] = Digit("reg", left, axis, covered)
                covered, left = covered * left, 1
            else:
                return None
        if left != 1 or (offset // step) % max(1, _fixed(self, axis, size, step)):
            return None
        shape = (*self.shape[:axis], size, *self.shape[axis + 1 :])
        return made(shape, found)

    def reshape(self, shape: Sequence[int]) -> Layout | None:
        """Return the layout under another shape, without moving elements; None if none is."""
        strides = row_major(self.shape)
        wanted = row_major(shape)
        found: list[Digit] = []
        for d in self.digits:
            if d.dim is None:
                found.append(d)
                continue
            stride, size = d.step * strides[d.dim], d.size
            for axis in reversed(range(len(shape))):
                if size == 1 or not wanted[axis] <= stride < wanted[axis] * shape[axis]:
                    continue
                room = wanted[axis] * shape[axis] // stride
                if stride % wanted[axis] or (size > room and size % room) or room == 0:
                    return None
                share = min(size, room)
                found.append(Digit(d.place, share, axis, stride // wanted[axis]))
                size, stride = size // share, stride * share
            if size > 1:
                return None
        layout = made(tuple(shape), found)
        return layout if layout.check() else None

    def concat(self, axis: int, extents: Sequence[int]) -> Layout:
        """Return a layout for parts of ``extents`` after one another, the first of this layout."""
        unit, total = gcd(*extents), sum(extents)
        base = self if unit == self.shape[axis] else self.resize(axis, unit)
        grown = [*base.digits, Digit("reg", total // unit, axis, unit)]
        return made((*self.shape[:axis], total, *self.shape[axis + 1 :]), grown)

    def tile(self, shape: Sequence[int], order: Sequence[int] | None = None) -> Layout:
        """Repeat an atom in registers until it covers ``shape``; ``order``: minor axis first."""
        repeated = reversed(range(len(shape))) if order is None else order
        grown = [
            Digit("reg", shape[axis] // self.shape[axis], axis, self.shape[axis])
            for axis in repeated
        ]
        return made(tuple(shape), [*self.digits, *grown])

    def over_warps(self, axis: int, warps: int) -> Layout:
        """Repeat along ``axis``, once for each of ``warps`` subgroups."""
        extent = self.shape[axis]
        shape = (*self.shape[:axis], extent * warps, *self.shape[axis + 1 :])
        return made(shape, [*self.digits, Digit("warp", warps, axis, extent)])

    def copied_over_warps(self, warps: int) -> Layout:
        """Let ``warps`` times as many subgroups hold the same."""
        return made(self.shape, [*self.digits, Digit("warp", warps, None)])


def made(shape: tuple[int, ...], digits: Iterable[Digit]) -> Layout:
    """Return a layout in normal form.

    Digits of size 1 are dropped, places are in order, neighbours that count as one are one.
    """
    found: list[Digit] = []
    ordered = [d for place in PLACES for d in digits_of(digits, place)]
    for d in ordered:
        if d.size == 1:
            continue
        step = d.step if d.dim is not None else 0
        last = found[-1] if found else None
        if (
            last is not None
            and last.place == d.place
            and last.dim == d.dim
            and (d.dim is None or last.step * last.size == step)
        ):
            found[-1] = Digit(d.place, last.size * d.size, d.dim, last.step)
        else:
            found.append(Digit(d.place, d.size, d.dim, step))
    return Layout(tuple(shape), tuple(found))


def digits_of(digits: Iterable[Digit], place: str) -> list[Digit]:
    """Return the digits of a place, in order."""
    return [d for d in digits if d.place == place]


def row_major(shape: Sequence[int]) -> list[int]:
    """Return the strides, in elements, of a row-major array."""
    strides = [1] * len(shape)
    for axis in reversed(range(len(shape) - 1)):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def _fixed(layout: Layout, axis: int, size: int, step: int) -> int:
    """Return how many strided elements the digits that a part keeps whole span."""
    covered, left = 1, size
    for d in layout.along(axis):
        if d.step < step or left == 1:
            continue
        if left % d.size:
            break
        covered, left = covered * d.size, left // d.size
    return covered


def _coordinates(digits: tuple[Digit, ...], rank: int) -> NDArray[np.int64]:
    found = np.zeros((prod(d.size for d in digits), rank), np.int64)
    number = np.arange(len(found))
    for d in digits:
        if d.dim is not None:
            found[:, d.dim] += number % d.size * d.step
        number = number // d.size
    return found


@lru_cache(maxsize=512)
def _linear(layout: Layout) -> NDArray[np.int64]:
    strides = np.array(row_major(layout.shape), np.int64)
    w, n, r = (layout.coordinates(p) @ strides for p in ("warp", "lane", "reg"))
    found = w[:, None, None] + n[None, :, None] + r[None, None]
    found.flags.writeable = False
    return np.asarray(found)


# -------------------------------------------------------------------------------------- standard


def power_of_two(n: int) -> int:
    """Return the largest power of two that divides ``n``."""
    return n & -n


def blocked(
    shape: Sequence[int], bits: int, lanes: int, warps: int, axis: int | None = None,
    access: int = 128,
) -> Layout:  # fmt: skip
    """Return the layout for elementwise work on a tile whose ``axis`` is contiguous in memory.

    A lane holds up to ``access`` bits of consecutive elements, lanes follow along the axis and then
    the others, subgroups take the outermost axes first.
    """
    shape = tuple(shape)
    order = list(reversed(range(len(shape))))
    if axis is not None and axis in order:
        order.remove(axis)
        order.insert(0, axis)
    left = list(shape)
    step = [1] * len(shape)
    found: list[Digit] = []

    def take(place: str, dim: int, count: int) -> None:
        if count > 1:
            found.append(Digit(place, count, dim, step[dim]))
            left[dim] //= count
            step[dim] *= count

    total = prod(power_of_two(n) for n in shape)
    if order:
        wide = max(1, access // max(bits, 8))
        share = max(1, total // (lanes * warps))
        take("reg", order[0], min(wide, power_of_two(left[order[0]]), share))
    # Subgroups are put on outer axes, but count only after the lanes have what they need.
    spare, reserved = warps, [1] * len(shape)
    need = lanes
    for dim in order:
        need //= min(need, power_of_two(left[dim]))
    pool = prod(power_of_two(n) for n in left) // max(1, lanes // max(1, need))
    spare = min(spare, max(1, pool))
    for dim in reversed(order):
        share = min(spare, power_of_two(left[dim]))
        reserved[dim], spare = share, spare // share
    idle = lanes
    for dim in order:
        share = min(idle, power_of_two(left[dim]) // min(reserved[dim], power_of_two(left[dim])))
        take("lane", dim, share)
        idle //= max(1, share)
    for dim in order:
        share = min(idle, power_of_two(left[dim]))
        take("lane", dim, share)
        idle //= share
    if idle > 1:
        found.append(Digit("lane", idle, None))
    idle = warps
    for dim in reversed(order):
        share = min(idle, power_of_two(left[dim]))
        take("warp", dim, share)
        idle //= share
    if idle > 1:
        found.append(Digit("warp", idle, None))
    for dim in order:
        take("reg", dim, left[dim])
    return made(shape, found)
