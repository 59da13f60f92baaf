"""Which axis of each tile is the lane axis: contiguous in scratch, spread over a vector register.

Tiles that elementwise ops, carried values and dots' accumulators tie together form a class and
share the choice. Every op then states what each choice costs, in vector instructions, and the
cheapest choice for the whole function wins. Dots have a third way: lanes along the inner axis, with
a horizontal sum at the end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from kdsl.dialects.kdsl import (
    Broadcast,
    Concat,
    Dot,
    LoadTile,
    Reduce,
    Reshape,
    Scan,
    Slice,
    StoreTile,
    Transpose,
)
from kdsl.dialects.scf import For, If, While
from kdsl.ir.core import Op, Value
from kdsl.ir.define import Elementwise
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import I1, INDEX, MemRefType, TensorType
from kdsl.target.target import Target

HORIZONTAL = 10
"""Instructions that combine the lanes of one vector."""
TRANSPOSED = 6
"""Instructions for each vector that changes its lane axis, staging included."""
SCATTERED = 2
"""Instructions for each lane that is moved alone."""
LOOP = 8
"""How much more an op inside a loop counts."""
EXHAUSTIVE = 128
"""At most this many combinations are all tried; beyond, neighbours are improved two by two."""
ROUNDS = 8


@dataclass(slots=True)
class TileLayout:
    """The choice for a function: a lane axis for each tile; ``widest`` lanes make a full vector."""

    widest: int
    lanes: dict[Value, int] = field(default_factory=dict)

    def width(self, extent: int) -> int:
        """Return how many lanes a vector along an axis of this size has."""
        return min(self.widest, 1 << (extent - 1).bit_length())

    def vectors(self, shape: tuple[int, ...], lane: int) -> int:
        """Return how many vectors hold a tile."""
        rest = math.prod(shape) // shape[lane]
        return rest * -(-shape[lane] // self.width(shape[lane]))


def tile_type(value: Value) -> TensorType | None:
    """Return the type of a tile, None for other values."""
    return value.type if isinstance(value.type, TensorType) else None


def strip_transposes(value: Value) -> tuple[Value, tuple[int, ...]]:
    """Return what a value is a transpose of, and which axis there each of its axes is."""
    kind = tile_type(value)
    assert kind is not None
    axes = tuple(range(kind.rank))
    while isinstance(value.op, Transpose):
        axes = tuple(value.op.permutation[a] for a in axes)
        value = value.op.x
    return value, axes


def unit_axis(op: LoadTile | StoreTile) -> int | None:
    """Return the axis of a tile that runs along consecutive elements of memory, if one does."""
    buffer = op.source.type if isinstance(op, LoadTile) else op.target.type
    assert isinstance(buffer, MemRefType)
    if buffer.element_strides[-1] != 1:
        return None
    for axis, (dim, step) in enumerate(zip(op.dims, op.steps, strict=True)):
        if dim == buffer.rank - 1 and step == 1:
            return axis
    return None


def widest_lanes(function: Op, target: Target) -> int:
    """Return the lane count of full vectors: a register of the widest common element."""
    bits = [
        r.type.element.bits
        for op in function.walk()
        for r in op.results
        if isinstance(r.type, TensorType)
        and r.type.element not in (I1, INDEX)
        and (r.type.element.kind == "f" or r.type.element.bits <= 32)
    ]
    wanted = max(bits, default=32)
    return max(2, target.features.vector_bits // max(8, wanted))


def assign_lanes(function: Op, target: Target) -> TileLayout:
    """Choose lane axes for every tile of a function."""
    layout = TileLayout(widest_lanes(function, target))
    _Problem(layout, function).solve()
    return layout


# ----------------------------------------------------------------------------------- the problem

Cost = Callable[..., float]


@dataclass(slots=True)
class _Term:
    """A cost that depends on the lane axes of a few classes; ``known`` holds what was computed."""

    classes: tuple[Value, ...]
    costs: list[Cost]
    known: dict[tuple[int, ...], float] = field(default_factory=dict)

    def at(self, choice: dict[Value, int]) -> float:
        """Return the cost of a choice."""
        key = tuple([choice[c] for c in self.classes])
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = sum(cost(*key) for cost in self.costs)
        return found


class _Problem:
    """Classes of tiles, and the terms of the total cost."""

    def __init__(self, layout: TileLayout, function: Op) -> None:
        self.layout = layout
        self.parents: dict[Value, Value] = {}
        self.values: list[Value] = []
        self.ranks: dict[Value, int] = {}
        self.terms: list[_Term] = []
        ops = list(_with_depth(function, 0))
        self.weights: dict[Value, float] = {
            r: float(LOOP**depth) for op, depth in ops for r in op.results
        }
        for op, _ in ops:
            self.tie(op)
        for op, depth in ops:
            self.price(op, float(LOOP**depth))

    # ------------------------------------------------------------------------------- classes

    def root(self, value: Value) -> Value:
        if value not in self.parents:
            self.parents[value] = value
            self.values.append(value)
        while self.parents[value] is not value:
            self.parents[value] = self.parents[self.parents[value]]
            value = self.parents[value]
        return value

    def union(self, *values: Value) -> None:
        tiles = [self.root(v) for v in values if tile_type(v) is not None]
        for each in tiles[1:]:
            self.parents[self.root(each)] = self.root(tiles[0])

    def tie(self, op: Op) -> None:
        """Put values that must share their lane axis into one class."""
        for value in op.results:
            self.union(value)
        for region in op.regions:
            for block in region.blocks:
                for parameter in block.args:
                    self.union(parameter)
        if isinstance(op, For):
            for init, arg, out, y in zip(
                op.inits, op.carried, op.results, op.yields.operands, strict=True
            ):
                self.union(arg, init, out, y)
        elif isinstance(op, If):
            for region in op.regions:
                for block in region.blocks:
                    assert block.last is not None
                    for out, y in zip(op.results, block.last.operands, strict=True):
                        self.union(out, y)
        elif isinstance(op, While):
            before, after = op.regions[0].block, op.regions[1].block
            assert before.last is not None
            assert after.last is not None
            for init, arg, y in zip(op.operands, before.args, after.last.operands, strict=True):
                self.union(arg, init, y)
            for out, arg, y in zip(op.results, after.args, before.last.operands[1:], strict=True):
                self.union(arg, out, y)
        elif isinstance(op, Dot):
            self.union(op.y, op.acc)
        elif isinstance(op, Slice | Scan):
            self.union(op.results[0], op.operands[0])
        elif isinstance(op, Concat) or (isinstance(op, DeclaredOp) and Elementwise in op.traits):
            self.union(*op.results, *op.operands)

    # --------------------------------------------------------------------------------- costs

    def add(self, cost: Cost, *values: Value) -> None:
        self.terms.append(_Term(tuple(self.root(v) for v in values), [cost]))

    def price(self, op: Op, weight: float) -> None:
        """Add the cost of one op."""
        layout = self.layout
        if isinstance(op, LoadTile | StoreTile):
            tile = op.y if isinstance(op, LoadTile) else op.value
            self.add(_memory_cost(layout, op, tile.type.shape, weight), tile)
        elif isinstance(op, Dot):
            (a, _), (b, _) = strip_transposes(op.a), strip_transposes(op.b)
            changes = (self.weights.get(a, 1.0), self.weights.get(b, 1.0))
            self.add(_dot_cost(layout, op, weight, changes), a, b, op.y)
        elif isinstance(op, Reduce):
            self.price_reduce(op, weight)
        elif isinstance(op, Broadcast):
            self.price_broadcast(op, weight)
        elif isinstance(op, Transpose):
            shape, p = op.y.type.shape, op.permutation
            self.add(
                lambda x, y: 0.0 if p[y] == x else weight * TRANSPOSED * layout.vectors(shape, y),
                op.x,
                op.y,
            )
        elif isinstance(op, Reshape):
            shape = op.y.type.shape
            self.add(
                lambda x, y: weight * _prefer_last(layout, shape, y),
                op.x,
                op.y,
            )
        elif isinstance(op, Scan):
            shape, axis = op.x.type.shape, op.axis
            self.add(
                lambda x: (
                    weight * (layout.vectors(shape, x) if x != axis else math.prod(shape) * 4)
                ),
                op.x,
            )
        elif isinstance(op, DeclaredOp) and Elementwise in op.traits:
            kind = tile_type(op.results[0])
            if kind is not None:
                shape = kind.shape
                self.add(lambda y: weight * layout.vectors(shape, y), op.results[0])

    def price_reduce(self, op: Reduce, weight: float) -> None:
        layout, shape, axis = self.layout, op.x.type.shape, op.axis
        outputs = math.prod(shape) // shape[axis]

        def cost(x: int) -> float:
            return weight * (layout.vectors(shape, x) + (outputs * HORIZONTAL if x == axis else 0))

        self.add(cost, op.x)
        if len(shape) > 2:
            self.add(
                lambda x, y: (
                    0.0 if x == axis or x - (x > axis) == y else weight * outputs * SCATTERED
                ),
                op.x,
                op.y,
            )

    def price_broadcast(self, op: Broadcast, weight: float) -> None:
        source = tile_type(op.x)
        if source is None or source.rank < 2:
            return
        dims, shape = op.dims, source.shape

        def cost(x: int, y: int) -> float:
            if y not in dims or shape[dims.index(y)] == 1 or dims[x] == y:
                return 0.0
            return weight * math.prod(shape) * SCATTERED

        self.add(cost, op.x, op.y)

    # -------------------------------------------------------------------------------- solving

    def solve(self) -> None:
        """Find the cheapest lane axis for each class."""
        roots = list(dict.fromkeys(self.root(v) for v in self.values if tile_type(v) is not None))
        choices = {r: _axes(tile_type(r)) for r in roots}
        best = {r: choices[r][0] for r in roots}
        terms = self.merged()
        free = [r for r in roots if len(choices[r]) > 1 and any(r in t.classes for t in terms)]
        for part in _parts(free, terms):
            near = [t for t in terms if any(c in part for c in t.classes)]
            if math.prod(len(choices[r]) for r in part) <= EXHAUSTIVE:
                _try_all(part, near, choices, best)
            else:
                _improve(part, near, choices, best)
        for value in self.values:
            kind = tile_type(value)
            if kind is not None and kind.rank:
                self.layout.lanes[value] = best[self.root(value)]

    def merged(self) -> list[_Term]:
        """Return the terms by their classes, those of the same classes added up."""
        found: dict[tuple[Value, ...], _Term] = {}
        for term in self.terms:
            classes = tuple(self.root(c) for c in term.classes)
            here = found.setdefault(classes, _Term(classes, []))
            here.costs += term.costs
        return list(found.values())


def _parts(free: list[Value], terms: list[_Term]) -> list[list[Value]]:
    """Return the connected parts of the classes that are free to choose."""
    group: dict[Value, list[Value]] = {r: [r] for r in free}
    for term in terms:
        joined = [c for c in term.classes if c in group]
        for other in joined[1:]:
            a, b = group[joined[0]], group[other]
            if a is not b:
                a.extend(b)
                for each in b:
                    group[each] = a
    return list({id(g): g for g in group.values()}.values())


def _try_all(
    part: list[Value],
    terms: list[_Term],
    choices: dict[Value, list[int]],
    best: dict[Value, int],
) -> None:
    """Minimize over all combinations of a few classes."""
    lowest, found = math.inf, tuple(best[r] for r in part)
    trial = dict(best)
    for combination in itertools.product(*(choices[r] for r in part)):
        trial.update(zip(part, combination, strict=True))
        cost = sum(t.at(trial) for t in terms)
        if cost < lowest:
            lowest, found = cost, combination
    best.update(zip(part, found, strict=True))


def _improve(
    part: list[Value],
    terms: list[_Term],
    choices: dict[Value, list[int]],
    best: dict[Value, int],
) -> None:
    """Change one or two classes at a time while that helps."""
    near = {r: [t for t in terms if r in t.classes] for r in part}
    pairs: list[tuple[Value, ...]] = [(r,) for r in part]
    for r in part:
        others = dict.fromkeys(c for t in near[r] for c in t.classes if c in near)
        pairs += [(r, other) for other in others if other is not r]
    for _ in range(ROUNDS):
        changed = False
        for chosen in pairs:
            touched = list({id(t): t for r in chosen for t in near[r]}.values())
            trial = dict(best)
            lowest, found = sum(t.at(trial) for t in touched), None
            for combination in itertools.product(*(choices[r] for r in chosen)):
                trial.update(zip(chosen, combination, strict=True))
                cost = sum(t.at(trial) for t in touched)
                if cost < lowest:
                    lowest, found = cost, combination
            if found is not None:
                changed = True
                best.update(zip(chosen, found, strict=True))
        if not changed:
            return


def _axes(kind: TensorType | None) -> list[int]:
    """Return the axes to choose from, the last first; an axis of one element is none."""
    if kind is None or kind.rank == 0:
        return [0]
    long = [a for a in range(kind.rank - 1, -1, -1) if kind.shape[a] > 1]
    return long or [kind.rank - 1]


def _with_depth(op: Op, depth: int) -> Iterator[tuple[Op, int]]:
    yield op, depth
    inner = depth + isinstance(op, For | While)
    for region in op.regions:
        for block in region.blocks:
            for each in block:
                yield from _with_depth(each, inner)


def _prefer_last(layout: TileLayout, shape: tuple[int, ...], lane: int) -> float:
    return float(layout.vectors(shape, lane) + (lane != len(shape) - 1) * math.prod(shape))


def _memory_cost(
    layout: TileLayout, op: LoadTile | StoreTile, shape: tuple[int, ...], weight: float
) -> Cost:
    unit = unit_axis(op)

    def cost(lane: int) -> float:
        if unit is None:
            return weight * math.prod(shape) * SCATTERED
        vectors = layout.vectors(shape, lane)
        return weight * (vectors if unit == lane else vectors * TRANSPOSED)

    return cost


# ------------------------------------------------------------------------------------------ dots


def dot_demands(mode: str) -> tuple[int | None, int | None]:
    """Return the lane axis that a mode needs of ``a`` and of ``b``; None where any will do."""
    return {"m": (0, None), "n": (None, 1), "k": (1, 0)}[mode]


def _modes_cost(
    layout: TileLayout,
    op: Dot,
    lanes: tuple[int, int, int],
    weight: float,
    changes: tuple[float, float],
) -> dict[str, float]:
    """Return what each mode costs when a, b (transposes stripped) and y have these lane axes.

    ``changes`` weighs a change of lane axis of a and of b: it is done where they are made.
    """
    m, k = op.a.type.shape
    n = op.b.type.shape[1]
    (_, a_axes), (_, b_axes) = strip_transposes(op.a), strip_transposes(op.b)
    a_lane, b_lane = a_axes.index(lanes[0]), b_axes.index(lanes[1])
    change_a = 0 if m == 1 else TRANSPOSED * layout.vectors((m, k), 0) * changes[0]
    change_b = 0 if k == 1 else TRANSPOSED * layout.vectors((k, n), 1) * changes[1]
    found = {}
    wanted = "m" if lanes[2] == 0 else "n"
    vectors = layout.vectors((m, n), lanes[2])
    others = n if wanted == "m" else m
    efficiency = 1.0 + 1.0 / min(others, 4)
    found[wanted] = weight * vectors * k * efficiency + (
        change_a * (a_lane != 0) if wanted == "m" else change_b * (b_lane != 1)
    )
    found["k"] = (
        weight * m * n * (layout.vectors((k,), 0) * (1.0 + 1.0 / min(m * n, 4)) + HORIZONTAL)
        + change_a * (a_lane != 1)
        + change_b * (b_lane != 0)
    )
    return found


def _dot_cost(layout: TileLayout, op: Dot, weight: float, changes: tuple[float, float]) -> Cost:
    def cost(a: int, b: int, y: int) -> float:
        return min(_modes_cost(layout, op, (a, b, y), weight, changes).values())

    return cost


def _depth(op: Op | None) -> int:
    """Return how many loops are around an op."""
    depth = 0
    while op is not None:
        op = op.parent_op
        depth += isinstance(op, For | While)
    return depth


def dot_mode(layout: TileLayout, op: Dot) -> str:
    """Return the cheapest mode of a dot under the chosen lane axes."""
    (a, _), (b, _) = strip_transposes(op.a), strip_transposes(op.b)
    lanes = (layout.lanes[a], layout.lanes[b], layout.lanes[op.y])
    depths = [_depth(v.op) for v in (op.y, a, b)]
    changes = (LOOP ** (depths[1] - depths[0]), LOOP ** (depths[2] - depths[0]))
    costs = _modes_cost(layout, op, lanes, 1.0, (float(changes[0]), float(changes[1])))
    return min(costs, key=lambda mode: costs[mode])
