"""Which loads go to dots through workgroup memory, and where they are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kdsl.dialects.kdsl import Dot, LoadTile, Transpose
from kdsl.ir.core import Op, Value
from kdsl.ir.types import ScalarType, TensorType
from kdsl.passes.distribute.dot_plan import DotPlan
from kdsl.passes.distribute.pipeline_plan import turns_ahead
from kdsl.passes.distribute.scratch import padded, pieces, widest_access
from kdsl.passes.tile_layout import unit_axis
from kdsl.target.features import Features
from kdsl.target.layout import Digit, Layout, blocked, made, power_of_two

WORDS = (8, 16, 32)
"""Bits of the elements that are staged."""
ROWS_HELD = 4
"""How many rows of a vector a lane holds of a tile that is turned on its way."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How a load is staged: the layout it arrives in, and its place in workgroup memory.

    ``slots`` places, so that later turns of a loop may arrive while one is read. ``home`` is the
    load whose buffer, of ``room`` elements, it uses: its own, or that of one that is done.
    """

    layout: Layout
    strides: tuple[int, ...]
    size: int
    element: ScalarType
    home: Op
    room: int
    slots: int = 1

    def in_slots(self, slots: int) -> Stage:
        """Return the stage with so many places."""
        return replace(self, slots=slots, room=slots * self.size)

    @property
    def bytes(self) -> int:
        """The workgroup memory of its buffer."""
        return self.room * max(8, self.element.bits) // 8


def staged_bytes(stages: Iterable[Stage]) -> int:
    """Return the workgroup memory that stages take together."""
    return sum({stage.home: stage.bytes for stage in stages}.values())


def stages_of(
    ops: Iterable[Op], dots: dict[Op, DotPlan], features: Features, warps: int
) -> dict[Op, Stage]:
    """Return the loads that go through workgroup memory, as long as there is room.

    With places for later turns where the target copies on the side, else one each, else loads that
    are not needed at the same time share a place.
    """
    loads = [op for op in ops if isinstance(op, LoadTile) and _is_for_dots(op, dots)]
    room = features.shared_bytes * 3 // 4
    wanted: dict[Op, Stage] = {op: _stage(op, dots, features, warps) for op in loads}
    if features.async_copy:
        ahead: dict[Op, Stage] = {op: wanted[op].in_slots(turns_ahead(op)) for op in loads}
        if staged_bytes(ahead.values()) <= room:
            return ahead
    return wanted if staged_bytes(wanted.values()) <= room else _shared(wanted, room)


def _shared(wanted: dict[Op, Stage], room: int) -> dict[Op, Stage]:
    """Let loads use the buffers of those whose tiles were read before."""
    found: dict[Op, Stage] = {}
    ends: dict[Op, int] = {}
    for op, stage in wanted.items():
        numbers = {} if op.parent is None else {o: n for n, o in enumerate(op.parent)}
        free = [
            home
            for home, end in ends.items()
            if home.parent is op.parent
            and found[home].element is stage.element
            and end < numbers[op]
        ]
        home = free[0] if free else op
        size = max(stage.size, found[home].room) if free else stage.size
        changed = {o: replace(s, room=size) for o, s in found.items() if s.home is home}
        attempt = {**found, **changed, op: replace(stage, home=home, room=size)}
        if staged_bytes(attempt.values()) <= room:
            found = attempt
            ends[home] = max(numbers[_in_block(dot, op)] for dot, _ in _dots(op.results[0]))
    return found


def _in_block(op: Op, like: Op) -> Op:
    """Return the op of the same block as ``like`` that is or encloses ``op``."""
    here = op
    while here.parent is not like.parent:
        assert here.parent_op is not None
        here = here.parent_op
    return here


def _dots(value: Value) -> list[tuple[Op, int]]:
    return [reader for reader in _readers(value) if reader is not None]


def _is_for_dots(op: LoadTile, dots: dict[Op, DotPlan]) -> bool:
    """Return whether only matrix units read a tile, as a second operand or once in its loop."""
    kind = op.y.type
    if kind.rank != 2 or unit_axis(op) is None or kind.element.bits not in WORDS:
        return False
    readers = list(_readers(op.y))
    if not readers or any(r is None for r in readers):
        return False
    return all(
        dot in dots and dots[dot].atom is not None and (which == 1 or dot.parent is op.parent)
        for dot, which in _dots(op.y)
    )


def _readers(value: Value) -> Iterable[tuple[Op, int] | None]:
    """Yield the dots that read a tile, turned or not, and as which operand; None for others."""
    for user in value.users:
        if isinstance(user, Transpose):
            yield from _readers(user.y)
        elif isinstance(user, Dot) and user.acc is not value and user.a is not user.b:
            yield user, int(user.b is value)
        else:
            yield None


def _stage(op: LoadTile, dots: dict[Op, DotPlan], features: Features, warps: int) -> Stage:
    """Choose rows as they come, or turned where fragments are then read in fewer accesses."""
    kind = op.y.type
    assert isinstance(kind, TensorType)
    unit = unit_axis(op)
    assert unit is not None
    lanes = max(1, features.subgroup)
    layout = blocked(kind.shape, kind.element.bits, lanes, warps, unit)
    straight = _stage_in(op, layout, unit)
    if features.matrix_load or features.async_copy:
        return straight
    turned = _stage_in(op, tall(kind.shape, kind.element, lanes, warps, unit), 1 - unit)
    fragments = list(_fragments(op.y, dots))
    return min((straight, turned), key=lambda stage: _accesses(stage, fragments))


def _stage_in(op: LoadTile, layout: Layout, last: int) -> Stage:
    """Return a stage whose elements are side by side along the axis ``last``."""
    kind = op.y.type
    order = sorted(range(kind.rank), key=lambda axis: axis == last)
    ordered, _ = padded([kind.shape[axis] for axis in order], kind.element)
    strides = [0] * kind.rank
    for axis, step in zip(order, ordered, strict=True):
        strides[axis] = step
    size = kind.shape[order[0]] * ordered[0]
    return Stage(layout, tuple(strides), size, kind.element, op, size)


def _accesses(stage: Stage, fragments: Sequence[Layout]) -> int:
    """Return how often a lane touches workgroup memory for a tile."""
    widest = widest_access(stage.element)
    layouts = (stage.layout, *fragments)
    return sum(len(pieces(layout, stage.strides, 0, widest)[1]) for layout in layouts)


def _fragments(value: Value, dots: dict[Op, DotPlan]) -> Iterable[Layout]:
    """Yield the layouts in which dots read a tile, in the tile's own axes."""
    for user in value.users:
        if isinstance(user, Transpose):
            back = [user.permutation.index(axis) for axis in range(len(user.permutation))]
            for layout in _fragments(user.y, dots):
                yield layout.permute(back)
        elif isinstance(user, Dot) and user in dots:
            yield dots[user].b if user.b is value else dots[user].a


def tall(shape: tuple[int, ...], element: ScalarType, lanes: int, warps: int, unit: int) -> Layout:
    """Return a layout in which a lane holds some rows of a vector each, one below the other.

    So it can be written along either axis in more than single elements.
    """
    other = 1 - unit
    left, step = list(shape), [1, 1]
    found: list[Digit] = []

    def take(place: str, axis: int, most: int) -> int:
        """Give up to ``most`` of an axis to a place; return how many it got."""
        count = min(most, power_of_two(left[axis]))
        found.append(Digit(place, count, axis, step[axis]))
        left[axis] //= count
        step[axis] *= count
        return count

    share = max(1, power_of_two(left[0]) * power_of_two(left[1]) // (lanes * warps))
    rows = min(ROWS_HELD, max(1, share // 2), power_of_two(left[other]))
    take("reg", unit, min(widest_access(element), max(1, share // rows)))
    take("reg", other, rows)
    idle = lanes // take("lane", unit, lanes)
    idle //= take("lane", other, idle)
    found.append(Digit("lane", idle, None))
    spare = warps // take("warp", other, warps)
    spare //= take("warp", unit, spare)
    found.append(Digit("warp", spare, None))
    rest = [Digit("reg", left[axis], axis, step[axis]) for axis in (unit, other)]
    return made(shape, [*found, *rest])
