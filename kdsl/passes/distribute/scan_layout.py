"""The layout in which running combinations are computed."""

from __future__ import annotations

from collections.abc import Sequence

from kdsl.target.layout import Digit, Layout, made, power_of_two


def scan_layout(shape: Sequence[int], axis: int, lanes: int, warps: int) -> Layout:
    """Return a layout in which each lane holds a run of ``axis``, lanes and subgroups follow.

    What lanes and subgroups are left is put on the other axes, or holds copies.
    """
    extent = shape[axis]
    along = min(lanes, power_of_two(extent))
    spread = min(warps, power_of_two(extent // along))
    run = extent // (along * spread)
    digits = [
        Digit("reg", run, axis, 1),
        Digit("lane", along, axis, run),
        Digit("warp", spread, axis, run * along),
    ]
    left = {"lane": lanes // along, "warp": warps // spread}
    for other in reversed(range(len(shape))):
        if other == axis:
            continue
        size, step = shape[other], 1
        for place in ("lane", "warp"):
            share = min(left[place], power_of_two(size))
            digits.append(Digit(place, share, other, step))
            left[place], size, step = left[place] // share, size // share, step * share
        digits.append(Digit("reg", size, other, step))
    digits += [Digit(place, count, None) for place, count in left.items()]
    return made(tuple(shape), digits)
