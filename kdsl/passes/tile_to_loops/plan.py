"""Which tiles get a scratch buffer, and its lane axes; others are computed where they are read."""

from __future__ import annotations

import math

from kdsl.dialects import math as math_dialect
from kdsl.dialects.arith import (
    Ceildivsi,
    Constant,
    Divf,
    Divsi,
    Divui,
    Extf,
    Floordivsi,
    Remf,
    Remsi,
    Remui,
)
from kdsl.dialects.kdsl import Broadcast, Concat, Dot, Gather, LoadTile, Reduce, Scan, Transpose
from kdsl.dialects.scf import For, If, While
from kdsl.ir.attributes import Dense
from kdsl.ir.core import Block, BlockArgument, Op, Value
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.define import Terminator
from kdsl.ir.types import TensorType
from kdsl.passes.tile_layout import TileLayout, dot_demands, dot_mode, strip_transposes, unit_axis
from kdsl.passes.tile_to_loops.pull import is_movable
from kdsl.passes.tile_to_loops.scratch import Scratch, scratch_for

HEAVY = (
    Divf, Remf, Divsi, Divui, Floordivsi, Ceildivsi, Remsi, Remui,
    math_dialect.Unary, math_dialect.Powf,
)  # fmt: skip
"""Ops that are worth a buffer rather than being computed twice."""
CHEAP = (math_dialect.Absf, math_dialect.Floor, math_dialect.Ceil, math_dialect.Trunc)
RECOMPUTED = 6
"""A light expression of at most this many ops is computed again for each reader."""
FEW = 8
"""With at most this many rows (or columns), a dot reads its other operand once."""
RECOMPUTED_INSIDE = 3
"""The same for a reader inside a loop that the expression is outside of."""


def is_tile(value: Value) -> bool:
    """Return whether a value is a tile."""
    return isinstance(value.type, TensorType)


def is_tile_op(op: Op) -> bool:
    """Return whether an op acts on tiles and is no control flow."""
    if op.regions or (isinstance(op, DeclaredOp) and Terminator in op.traits):
        return False
    return any(is_tile(v) for v in op.operands) or any(is_tile(r) for r in op.results)


def is_uniform(value: Value) -> bool:
    """Return whether all elements of a tile are one constant or scalar."""
    op = value.op
    if isinstance(op, Constant):
        return isinstance(op.value, Dense) and op.value.is_splat
    return isinstance(op, Broadcast) and not is_tile(op.x)


class Plan:
    """Decisions about the tiles of one function."""

    def __init__(self, function: Op, layout: TileLayout, kept: set[Value]) -> None:
        self.function = function
        self.layout = layout
        self.ops = list(function.walk())[1:]
        self.modes: dict[Op, str] = {
            op: dot_mode(layout, op) for op in self.ops if isinstance(op, Dot)
        }
        self.demands: dict[Value, set[int]] = {}
        self.stored: set[Value] = set()
        self.homes: dict[Value, Scratch] = {}
        self.extras: dict[tuple[Value, int], Scratch] = {}
        self._forced: set[Value] = set(kept)
        self._costs: dict[Value, tuple[int, bool, bool]] = {}
        self._note_demands()
        self.direct = self._direct_operands(kept)
        self._force()
        for op in self.ops:
            for r in op.results:
                if is_tile(r):
                    self._costs[r] = self._cost(op)
        self._decide()

    # ------------------------------------------------------------------------------- queries

    def lane(self, value: Value) -> int:
        """Return the lane axis of a tile's class."""
        return self.layout.lanes[value]

    def nest_lane(self, value: Value) -> int:
        """Return the lane axis along which a tile is computed where it is made."""
        op = value.op
        if isinstance(op, LoadTile):
            unit = unit_axis(op)
            return self.lane(value) if unit is None else unit
        if isinstance(op, Transpose):
            return op.permutation.index(self.lane(op.x))
        return self.lane(value)

    def home(self, value: Value) -> Scratch:
        """Return the buffer of a tile in its class's lane axis."""
        found = self.homes.get(value)
        if found is None:
            assert isinstance(value.type, TensorType)
            lane = self.lane(value)
            width = self.layout.width(value.type.shape[lane])
            found = self.homes[value] = scratch_for(value.type, lane, width)
        return found

    def buffer(self, value: Value, lane: int) -> Scratch:
        """Return the buffer of a tile with a given lane axis."""
        if lane == self.lane(value):
            return self.home(value)
        found = self.extras.get((value, lane))
        if found is None:
            assert isinstance(value.type, TensorType)
            width = self.layout.width(value.type.shape[lane])
            found = self.extras[(value, lane)] = scratch_for(value.type, lane, width)
        return found

    def buffers_of(self, value: Value) -> list[Scratch]:
        """Return the buffers that hold a tile; empty when it is computed where it is read."""
        if value not in self.stored:
            return []
        home = self.homes.get(value)
        held = [] if home is None else [home]
        return held + [self.extras[key] for key in self.extras if key[0] is value]

    def share(self, value: Value, target: Value) -> None:
        """Let a tile, and all that share its buffer, live in the buffer of ``target``."""
        old, new = self.home(value), self.home(target)
        for key, held in self.homes.items():
            if held is old:
                self.homes[key] = new

    def wanted_lanes(self, value: Value) -> list[int]:
        """Return the lane axes that a tile's buffers need."""
        lanes = set(self.demands.get(value, ()))
        if not lanes or value in self._home_needed or not is_movable_or_load(value.op):
            lanes.add(self.lane(value))
        return sorted(lanes)

    # ------------------------------------------------------------------------------ decisions

    def _note_demands(self) -> None:
        self._home_needed: set[Value] = set()
        for op, mode in self.modes.items():
            assert isinstance(op, Dot)
            for operand, lane in zip((op.a, op.b), dot_demands(mode), strict=True):
                base, axes = strip_transposes(operand)
                if lane is not None:
                    self.demands.setdefault(base, set()).add(axes[lane])
        for value in self.demands:
            if any(not self._is_dot_read(user, value) for user in value.users):
                self._home_needed.add(value)

    def _direct_operands(self, kept: set[Value]) -> dict[Op, dict[Value, LoadTile]]:
        """Find the operands that dots may read where they are in memory, when all inside."""
        found: dict[Op, dict[Value, LoadTile]] = {}
        for op, mode in self.modes.items():
            assert isinstance(op, Dot)
            for which, lane in enumerate(dot_demands(mode)):
                base, axes = strip_transposes(op.operands[which])
                load = self._load_of(base, once=_is_read_once(op, mode, which))
                if load is None or load.y in kept or load.parent is not op.parent:
                    continue
                unit = unit_axis(load)
                suits = unit is not None and (lane is None or axes[lane] == unit)
                if suits and self._only_dot_reads(base, op):
                    found.setdefault(op, {})[base] = load
        return found

    def _load_of(self, base: Value, *, once: bool) -> LoadTile | None:
        """Return the load of an operand; it may be converted where each lane is read ``once``."""
        op = base.op
        if once and isinstance(op, Extf) and isinstance(op.x.op, LoadTile) and op.x.has_one_use:
            op = op.x.op
        return op if isinstance(op, LoadTile) else None

    def _only_dot_reads(self, value: Value, dot: Op) -> bool:
        """Return whether a dot, through transposes or not, is all that reads a tile."""
        return all(
            (user is dot and user.operands[2] is not value)
            or (isinstance(user, Transpose) and self._only_dot_reads(user.y, dot))
            for user in value.users
        )

    def is_direct(self, value: Value) -> bool:
        """Return whether a tile is left to the dot that reads it."""
        return any(value in operands for operands in self.direct.values())

    def _is_dot_read(self, user: Op, value: Value) -> bool:
        """Return whether a user only hands the tile to a dot as an operand."""
        if isinstance(user, Transpose):
            return all(self._is_dot_read(u, user.y) for u in user.y.users)
        return isinstance(user, Dot) and user.acc is not value

    def _force(self) -> None:
        """Note the tiles that need a buffer whatever it costs."""
        for op in self.ops:
            if isinstance(op, For | If | While):
                self._forced.update(r for r in op.results if is_tile(r))
                for region in op.regions:
                    for block in region.blocks:
                        self._force_block(block)
            elif isinstance(op, Dot):
                self._forced.add(op.y)
                for operand in (op.a, op.b):
                    base, _ = strip_transposes(operand)
                    if not is_uniform(base):
                        self._forced.add(base)
            elif isinstance(op, Scan | Concat | Gather) or (
                isinstance(op, Reduce) and is_tile(op.y)
            ):
                self._forced.add(op.results[0])
            elif (isinstance(op, Transpose) and not self._is_turned(op)) or (
                isinstance(op, LoadTile) and unit_axis(op) not in (None, self.lane(op.y))
            ):
                self._forced.add(op.y)

    def _force_block(self, block: Block) -> None:
        self._forced.update(a for a in block.args if is_tile(a))
        assert block.last is not None
        self._forced.update(v for v in block.last.operands if is_tile(v))

    def _is_turned(self, op: Transpose) -> bool:
        """Return whether reading the source with permuted coordinates reads whole vectors."""
        if all(self._is_dot_read(user, op.y) for user in op.y.users):
            return True
        return bool(op.permutation[self.lane(op.y)] == self.lane(op.x))

    def _cost(self, op: Op) -> tuple[int, bool, bool]:
        """Return an expression's ops, whether one is heavy, whether it reads memory."""
        if isinstance(op, LoadTile):
            return 1, False, True
        if not is_movable(op):
            return 1, False, False
        own = 0 if isinstance(op, Constant | Broadcast | Transpose) else 1
        heavy, loads = isinstance(op, HEAVY) and not isinstance(op, CHEAP), False
        for operand in op.operands:
            if is_tile(operand):
                if operand in self._forced or isinstance(operand, BlockArgument):
                    own += 1
                    continue
                more, is_heavy, reads = self._costs[operand]
                own, heavy, loads = own + more, heavy or is_heavy, loads or reads
        return own, heavy, loads

    def _decide(self) -> None:
        """Go from readers to producers; a tile is stored when computing it again costs more."""
        self.stored = set(self._forced)
        sinks: dict[Value, set[object]] = {}
        grows: dict[Value, bool] = {}
        for op in reversed(self.ops):
            for value in op.results:
                if is_tile(value):
                    self._decide_one(op, value, sinks, grows)

    def _decide_one(
        self, op: Op, value: Value, sinks: dict[Value, set[object]], grows: dict[Value, bool]
    ) -> None:
        found: set[object] = set()
        grown = inside = False
        for user in value.users:
            if is_movable(user) and user.results[0] not in self.stored:
                found |= sinks[user.results[0]]
                grown |= grows[user.results[0]]
            else:
                found.add(user)
            grown |= isinstance(user, Broadcast) and user.y.type.size > value.type.size  # type: ignore[attr-defined]
            inside |= user.parent is not op.parent
        sinks[value], grows[value] = found, grown
        if value in self.stored or is_uniform(value) or isinstance(op, Constant):
            return
        cost, heavy, loads = self._costs[value]
        inside |= any(isinstance(s, Op) and s.parent is not op.parent for s in found)
        again = (len(found) > 1 or grown) and (heavy or cost > RECOMPUTED)
        if again or (inside and (heavy or loads or cost > RECOMPUTED_INSIDE)):
            self.stored.add(value)

    def describe(self) -> list[str]:
        """Return what was decided, for ``kernel.explain()``."""
        lines = []
        for op, mode in self.modes.items():
            assert isinstance(op, Dot)
            shape = (*op.a.type.shape, op.b.type.shape[1])
            axis = {"m": "rows", "n": "columns", "k": "the inner axis"}[mode]
            lines.append(f"dot {'x'.join(map(str, shape))} (MxKxN): lanes along {axis}")
        total = math.fsum(s.size_bytes for s in {id(h): h for h in self.homes.values()}.values())
        total += sum(s.size_bytes for s in self.extras.values())
        lines.append(f"scratch: {int(total)} bytes")
        return lines


def _is_read_once(op: Dot, mode: str, which: int) -> bool:
    """Return whether a dot reads each vector of an operand about once."""
    rows, columns = op.y.type.shape
    if mode == "k":
        return (columns if which == 0 else rows) <= FEW
    return (mode, which) in (("m", 0), ("n", 1)) and (columns if which == 0 else rows) <= FEW


def is_movable_or_load(op: Op | None) -> bool:
    """Return whether a tile is made by a nest of its own choosing."""
    return isinstance(op, LoadTile) or is_movable(op)
