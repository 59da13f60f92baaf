"""A loop nest under construction: where each op goes so that it runs as seldom as possible.

Level 0 is the place before the outermost loop; each open loop adds a level. A coordinate knows the
level at which it is defined, so an op that depends on outer coordinates alone is put before the
inner loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kdsl.dialects.arith import Addi
from kdsl.dialects.scf import For, Yield, for_loop
from kdsl.dialects.vector import Broadcast as Splat
from kdsl.ir.builder import Builder
from kdsl.ir.core import Op, Value
from kdsl.ir.types import ScalarType, Type, VectorType, vector
from kdsl.passes.tile_to_loops.scratch import Workspace


@dataclass(frozen=True, slots=True)
class Coord:
    """A position along an axis: ``base + offset``; ``level`` is where ``base`` is defined."""

    base: Value | None
    offset: int = 0
    level: int = 0

    def plus(self, offset: int) -> Coord:
        return Coord(self.base, self.offset + offset, self.level)


ORIGIN = Coord(None)
Coords = tuple[Coord, ...]


@dataclass(slots=True)
class Level:
    """A block being filled, and what was computed there already."""

    builder: Builder
    memo: dict[Any, tuple[Value, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Loop:
    """An open loop: its counter and carried values; ``op`` is None for a single turn."""

    op: For | None
    at: Coord
    carried: list[Value]
    anchor: Op | None = None


class Nest:
    """The levels of a nest. ``width`` lanes to a vector, of which the first ``count`` are real.

    ``interior`` says that all memory tiles read or written here lie inside their buffers;
    ``inside`` lists those that do when not all do.
    """

    def __init__(
        self, space: Workspace, builder: Builder, width: int, *, interior: bool = False
    ) -> None:
        self.space = space
        self.levels = [Level(Builder(builder.block, builder.anchor, builder.loc))]
        self.width = width
        self.count = width
        self.interior = interior
        self.inside: list[Any] = []

    # --------------------------------------------------------------------------------- loops

    @property
    def depth(self) -> int:
        return len(self.levels) - 1

    @property
    def inner(self) -> Builder:
        """The builder of the innermost level."""
        return self.levels[-1].builder

    def open(
        self, lower: int, upper: int, step: int = 1, inits: Sequence[Value] = (), **attributes: Any
    ) -> Loop:
        """Open a loop; a single turn needs none."""
        if upper - lower <= step:
            return Loop(None, Coord(None, lower), list(inits))
        space, outer = self.space, self.inner
        op = for_loop(
            outer,
            space.index(lower),
            space.index(upper),
            space.index(step),
            tuple(inits),
            **attributes,
        )
        loop = Loop(op, Coord(op.induction, 0, self.depth + 1), op.carried, outer.anchor)
        outer.anchor = op
        self.levels.append(Level(Builder(op.body, None, outer.loc)))
        return loop

    def close(self, loop: Loop, values: Sequence[Value] = ()) -> list[Value]:
        """Close the innermost loop, carrying ``values``; return its results."""
        if loop.op is None:
            return list(values)
        self.inner.add(Yield, list(values))
        self.levels.pop()
        self.inner.anchor = loop.anchor
        return list(loop.op.results)

    # ---------------------------------------------------------------------------------- ops

    def at(self, level: int) -> Builder:
        """Return the builder of a level."""
        return self.levels[level].builder

    def make(
        self,
        level: int,
        kind: type[Any],
        *operands: Value | Sequence[Value],
        types: Sequence[Type] | None = None,
        **attributes: Any,
    ) -> tuple[Value, int]:
        """Create an op with one result at a level, or find the same one there."""
        flat = tuple(
            v for given in operands for v in ((given,) if isinstance(given, Value) else given)
        )
        key = (kind, flat, None if types is None else tuple(types), repr(attributes))
        found = self.find(key)
        if found is None:
            made = self.at(level).create(kind, *operands, types=types, **attributes)
            assert isinstance(made, Value)
            found = self.remember(key, made, level)
        return found

    def find(self, key: Any) -> tuple[Value, int] | None:
        """Return what was computed for a key at an open level."""
        for level in self.levels:
            found = level.memo.get(key)
            if found is not None:
                return found
        return None

    def remember(self, key: Any, value: Value, level: int) -> tuple[Value, int]:
        """Keep a value for its key while its level is open."""
        self.levels[level].memo[key] = (value, level)
        return value, level

    def forget(self) -> None:
        """Forget what was computed: the coordinates have come to mean another vector."""
        for level in self.levels:
            level.memo.clear()

    def position(self, coord: Coord) -> tuple[Value, int]:
        """Return a coordinate as an index value."""
        if coord.base is None:
            return self.space.index(coord.offset), 0
        if coord.offset == 0:
            return coord.base, coord.level
        return self.make(coord.level, Addi, coord.base, self.space.index(coord.offset))

    # -------------------------------------------------------------------------------- vectors

    @property
    def is_full(self) -> bool:
        return self.count == self.width

    def lanes(self, element: ScalarType) -> Type:
        """Return the type of one vector, a scalar when vectors have one lane."""
        return element if self.width == 1 else vector(self.width, element)

    def spread(self, value: Value, level: int) -> tuple[Value, int]:
        """Return a scalar in all lanes; a vector stays."""
        if self.width == 1 or isinstance(value.type, VectorType):
            return value, level
        assert isinstance(value.type, ScalarType)
        known = _known_scalar(value)
        if known is not None:
            return self.space.constant(known, self.lanes(value.type)), 0
        return self.make(level, Splat, value, types=[self.lanes(value.type)])

    def mask(self) -> Value:
        """Return the constant mask of the real lanes."""
        import numpy as np

        from kdsl.ir.types import I1

        return self.space.constant(np.arange(self.width) < self.count, self.lanes(I1))


def _known_scalar(value: Value) -> Any:
    from kdsl.dialects.arith import constant_of

    return constant_of(value)
