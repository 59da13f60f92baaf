"""Which ops of a block share a loop nest, and in which order the nests run."""

from __future__ import annotations

from kdsl.dialects.kdsl import Concat, Dot, Gather, LoadTile, Reduce, Scan, Scatter, StoreTile
from kdsl.dialects.scf import Condition, For, If, While, Yield
from kdsl.errors import TileShapeError
from kdsl.ir.core import Block, BlockArgument, Op, Value
from kdsl.ir.define import Elementwise, ReadsMemory, Terminator, Trait, WritesMemory
from kdsl.ir.define import Op as DeclaredOp
from kdsl.ir.types import TensorType
from kdsl.passes.tile_layout import strip_transposes, unit_axis
from kdsl.passes.tile_to_loops.plan import Plan, is_tile, is_tile_op
from kdsl.passes.tile_to_loops.reuse import reads_inside, reuse_buffers
from kdsl.passes.tile_to_loops.scratch import Scratch, scratch_for
from kdsl.passes.tile_to_loops.tasks import Group, Program, Task, are_apart, same_places


class ConflictError(Exception):
    """A load must be done where it stands, since memory is written before its reader runs."""

    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


class Scheduler:
    """Makes the program of every block of a function."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.programs: dict[Block, Program] = {}

    def run(self, block: Block) -> None:
        """Schedule a block and the blocks inside it."""
        _BlockScheduler(self, block).run()


class _BlockScheduler:
    def __init__(self, scheduler: Scheduler, block: Block) -> None:
        self.scheduler = scheduler
        self.plan = scheduler.plan
        self.block = block
        self.program = scheduler.programs[block] = Program()
        self.pending: list[Group] = []
        self.barriers: list[int] = []
        self.position = 0
        self.positions = {op: i for i, op in enumerate(block, 1)}

    def run(self) -> None:
        for arg in self.block.args:
            self.convert(arg)
        for op in self.block:
            self.position += 1
            if op.regions:
                self.visit_control(op)
            elif isinstance(op, DeclaredOp) and Terminator in op.traits:
                self.visit_terminator(op)
            elif is_tile_op(op):
                self.visit_tile_op(op)
            else:
                self.visit_plain(op)
        reuse_buffers(self.plan, self.block, self.program)

    def flush(self) -> None:
        """End the run of nests that may still be joined."""
        self.program.items += self.pending
        self.pending = []

    # ------------------------------------------------------------------------------------ ops

    def visit_plain(self, op: Op) -> None:
        made = {t.makes for g in self.pending for t in g.tasks if t.makes is not None}
        traits = _traits(op)
        writes = WritesMemory in traits or op.name == "func.call"
        reads = ReadsMemory in traits and any(t.writes for g in self.pending for t in g.tasks)
        if writes or reads or any(v in made for v in op.operands):
            self.flush()
        if writes:
            self.barriers.append(self.position)
        # It may run before the nests that are still open: none of them makes its operands.
        self.program.items.append(op)

    def visit_control(self, op: Op) -> None:
        if isinstance(op, For | While):
            inits = op.inits
            args = op.carried if isinstance(op, For) else op.regions[0].block.args
            for init, arg in zip(inits, args, strict=True):
                if is_tile(arg):
                    self.fill(init, arg)
            leaving = args if isinstance(op, For) else op.regions[1].block.args
            for out, arg in zip(op.results, leaving, strict=True):
                if is_tile(out):
                    self.plan.share(out, arg)
        self.flush()
        for region in op.regions:
            for block in region.blocks:
                self.scheduler.run(block)
        if _writes_memory(op):
            self.barriers.append(self.position)
        self.program.items.append(op)
        for out in op.results:
            self.convert(out)

    def fill(self, init: Value, arg: Value) -> None:
        """Put the first value of a carried tile into its buffer."""
        plan = self.plan
        alone = init.has_one_use and init.op is not None and init.op.parent is self.block
        if alone and init in plan.stored and not isinstance(init.op, While | If):
            plan.share(init, arg)
            return
        self.store(init, arg)

    def visit_terminator(self, op: Op) -> None:
        parent = self.block.parent_op
        values = op.operands[1:] if isinstance(op, Condition) else op.operands
        if isinstance(op, Yield | Condition) and any(is_tile(v) for v in values):
            targets = self._targets(parent, op)
            self.hand_over(list(values), targets)
        self.flush()
        self.program.items.append(op)

    def _targets(self, parent: Op | None, op: Op) -> list[Value]:
        if isinstance(parent, For):
            return list(parent.carried)
        if isinstance(parent, While):
            if isinstance(op, Condition):
                return list(parent.regions[1].block.args)
            return list(parent.regions[0].block.args)
        assert isinstance(parent, If)
        return list(parent.results)

    def hand_over(self, values: list[Value], targets: list[Value]) -> None:
        """Put yielded tiles into the buffers of what they become."""
        plan = self.plan
        pairs = [(v, t) for v, t in zip(values, targets, strict=True) if is_tile(v) and v is not t]
        late: list[tuple[Value, Value]] = []
        taken: set[Value] = set()
        for value, target in pairs:
            if value not in taken and self.may_share(value, target):
                taken.add(value)
                plan.share(value, target)
            else:
                late.append((value, target))
        args = set(self.block.args)
        held: dict[Value, Scratch] = {}
        for value, _ in late:
            if value in args and value not in held:
                held[value] = self._temporary(value)
        self.flush()
        for value, target in late:
            source = held.get(value)
            if source is not None:
                self.store(self._stand_in(value, source), target)
            else:
                self.store(value, target)

    def _temporary(self, value: Value) -> Scratch:
        """Copy a carried tile aside, since its buffer is about to change."""
        assert isinstance(value.type, TensorType)
        home = self.plan.home(value)
        made = scratch_for(value.type, home.lane, home.width)
        self.store(value, None, made)
        return made

    def _stand_in(self, value: Value, scratch: Scratch) -> Value:
        """Return a value that is read from ``scratch``."""
        made = Value(value.type)
        self.plan.layout.lanes[made] = scratch.lane
        self.plan.homes[made] = scratch
        self.plan.stored.add(made)
        return made

    @property
    def yielded(self) -> list[Value]:
        assert self.block.last is not None
        return self.block.last.operands

    def may_share(self, value: Value, target: Value) -> bool:
        """Return whether a yielded tile may be made in the buffer of the carried one."""
        plan = self.plan
        op = value.op
        if op is None or op.parent is not self.block or value not in plan.stored:
            return False
        if isinstance(op, For | If | While) or sum(v is target for v in self.yielded) > 0:
            return False
        if not isinstance(target, BlockArgument) or target.block is not self.block:
            # Nothing reads the buffer of an if's result, or of a while's other block, in here.
            return sum(v is value for v in self.yielded) == 1
        items: list[Group | Op] = [*self.program.items, *self.pending]
        makers = [i for i, g in enumerate(items) if isinstance(g, Group) and _makes(g, value)]
        if not makers or (len(makers) > 1 and isinstance(op, Concat)):
            return False
        first = makers[0]
        for i, item in enumerate(items):
            if isinstance(item, Op):
                if i > first and reads_inside(plan, item, target):
                    return False
                continue
            for task in item.tasks:
                if i > first and target in task.reads:
                    return False
                if i == first and (target in task.other or task.op.__class__ is Scan):
                    return False
        return True

    # ---------------------------------------------------------------------------------- tasks

    def visit_tile_op(self, op: Op) -> None:
        plan = self.plan
        if isinstance(op, StoreTile):
            unit = unit_axis(op)
            lane = plan.lane(op.value)
            turned = unit if unit not in (None, lane) else None
            shape = op.value.type.shape
            self.add(Task("write", op.value, shape, lane, self.position, op, turned=turned))
        elif isinstance(op, Scatter):
            lane = op.value.type.rank - 1
            self.add(Task("scatter", op.value, op.value.type.shape, lane, self.position, op))
        elif isinstance(op, Reduce):
            lane = plan.lane(op.x)
            task = Task("reduce", op.x, op.x.type.shape, lane, self.position, op, axis=op.axis)
            task.makes = op.results[0]
            self.add(task)
            if is_tile(op.results[0]):
                self.convert(op.results[0])
        elif isinstance(op, Dot | Scan):
            kind = "dot" if isinstance(op, Dot) else "scan"
            y = op.results[0]
            task = Task(kind, y, y.type.shape, plan.lane(y), self.position, op)  # type: ignore[attr-defined]
            task.makes = y
            self.add(task)
            self.convert(y)
        elif isinstance(op, Concat):
            self.concat(op)
        elif not op.results:
            raise TileShapeError(
                op.loc,
                op=op.name,
                shape=str(op.operands[0].type),
                why="cannot be used by this op on this target",
                advice="reduce the tile to scalars first",
            )
        elif op.results[0] in plan.stored and not plan.is_direct(op.results[0]):
            self.materialize(op.results[0])

    def concat(self, op: Concat) -> None:
        start = 0
        for part in op.parts:
            self.store(part, op.y, offset=(op.axis, start))
            start += part.type.shape[op.axis]
        self.convert(op.y)

    def materialize(self, value: Value) -> None:
        """Compute a tile into its buffers."""
        plan = self.plan
        lane, wanted = plan.nest_lane(value), plan.wanted_lanes(value)
        first = lane if lane in wanted else wanted[0]
        assert isinstance(value.type, TensorType)
        task = Task("store", value, value.type.shape, lane, self.position, value.op)
        task.makes = task.owner = value
        task.dest_lane = first
        task.turned = None if first == lane else first
        self.add(task)
        self.convert(value, first)

    def convert(self, value: Value, held: int | None = None) -> None:
        """Copy a tile that has a buffer into those with other lane axes that dots want."""
        plan = self.plan
        if not is_tile(value) or value not in plan.stored:
            return
        if held is None:
            held = plan.lane(value)
            plan.home(value)
        for lane in plan.wanted_lanes(value):
            if lane == held:
                continue
            assert isinstance(value.type, TensorType)
            task = Task("store", value, value.type.shape, held, self.position, value.op)
            task.dest_lane = task.turned = lane
            task.owner = value
            task.makes, task.is_copy = value, True
            self.add(task)

    def store(
        self,
        value: Value,
        owner: Value | None,
        dest: Scratch | None = None,
        offset: tuple[int, int] | None = None,
    ) -> None:
        """Add the task of computing a tile into the buffer of another value, or into ``dest``."""
        plan = self.plan
        assert isinstance(value.type, TensorType)
        lane = plan.lane(value)
        task = Task("store", value, value.type.shape, lane, self.position)
        task.dest, task.offset, task.makes, task.owner = dest, offset, owner, owner
        task.dest_lane = dest.lane if dest is not None else plan.home(owner).lane  # type: ignore[arg-type]
        task.turned = None if lane == task.dest_lane else task.dest_lane
        task.is_copy = value in plan.stored
        self.add(task)

    # -------------------------------------------------------------------------------- placing

    def add(self, task: Task) -> None:
        """Put a task into the first nest that it may share, or into a new one."""
        self.note_reads(task)
        lowest, highest = 0, len(self.pending)
        for i, group in enumerate(self.pending):
            joins = group.takes(task)
            for each in group.tasks:
                if self.must_follow(task, each):
                    lowest = max(lowest, i if joins and self.may_fuse(task, each) else i + 1)
                if any(self.position_of(x) < each.position for x in task.loads) and each.writes:
                    fused = joins and self.may_fuse(task, each)
                    highest = min(highest, i if fused else i - 1)
        for load in task.loads:
            if not same_places(task, task):
                raise ConflictError(load.results[0])
            if any(self.position_of(load) < b < self.position for b in self.barriers):
                raise ConflictError(load.results[0])
        for group in self.pending[lowest : highest + 1]:
            if group.takes(task):
                group.tasks.append(task)
                return
        if highest < len(self.pending):
            raise ConflictError(next(iter(task.loads)).results[0])
        self.pending.append(Group([task]))

    def position_of(self, op: Op) -> int:
        """Return where in this block an op stands; 0 when it is outside."""
        return self.positions.get(op, 0)

    def must_follow(self, task: Task, earlier: Task) -> bool:
        """Return whether a task needs an earlier one to be done, at least at the same point."""
        made = earlier.makes
        if made is not None and (made in task.reads or made is task.makes):
            return True
        if task.makes is not None and task.makes in earlier.reads:
            return True
        if earlier.writes is not None:
            late = any(self.position_of(x) > earlier.position for x in task.loads)
            return late or task.writes is not None
        return task.writes is not None and bool(earlier.loads)

    def may_fuse(self, task: Task, earlier: Task) -> bool:
        """Return whether doing both at each point in turn is as good as one after the other."""
        made = earlier.makes
        if made is not None and made in task.reads:
            plain = earlier.kind == "store" and made is earlier.value and not task.is_copy
            return plain and made not in task.other
        if made is not None and made is task.makes:
            return earlier.offset is not None and earlier.offset != task.offset
        if task.makes is not None and task.makes in earlier.reads:
            return False
        if earlier.writes is not None:
            if any(self.position_of(x) > earlier.position for x in task.loads):
                return False
            if not same_places(task, earlier):
                return False
            return task.writes is not earlier.writes or are_apart(task.op, earlier.op)
        return same_places(earlier, task)

    # ------------------------------------------------------------------------------- reading

    def note_reads(self, task: Task) -> None:
        """Find the tiles and memory that a task reads."""
        op = task.op
        if task.kind == "dot":
            assert isinstance(op, Dot)
            self.note(task, op.acc, same=True)
            direct = self.plan.direct.get(op, {})
            task.loads.update(dict.fromkeys(direct.values(), False))
            for operand in (op.a, op.b):
                base, _ = strip_transposes(operand)
                if base not in direct:
                    self.note(task, base, same=False)
        elif task.kind == "scan":
            assert isinstance(op, Scan)
            self.note(task, op.x, same=False)
        elif task.kind == "scatter":
            assert isinstance(op, Scatter)
            for value in (op.value, op.mask, *op.indices):
                self.note(task, value, same=True)
        elif task.is_copy or not (task.kind == "store" and task.makes is task.value):
            self.note(task, task.value, same=True)
        else:
            self.note_expression(task, task.value, same=True)

    def note(self, task: Task, value: Value, *, same: bool) -> None:
        if not is_tile(value):
            task.other.add(value)
        elif value in self.plan.stored:
            (task.same if same else task.other).add(value)
        else:
            self.note_expression(task, value, same=same)

    def note_expression(self, task: Task, value: Value, *, same: bool) -> None:
        op = value.op
        if op is None:
            return
        if isinstance(op, LoadTile | Gather):
            task.loads[op] = same and task.loads.get(op, True)
        if isinstance(op, LoadTile):
            return
        kept = same and (isinstance(op, Gather) or Elementwise in _traits(op))
        for operand in op.operands:
            self.note(task, operand, same=kept)


def _traits(op: Op) -> frozenset[Trait]:
    return op.traits if isinstance(op, DeclaredOp) else frozenset()


def _makes(group: Group, value: Value) -> bool:
    return any(t.makes is value and not (t.is_copy and t.owner is value) for t in group.tasks)


def _writes_memory(op: Op) -> bool:
    return any(WritesMemory in _traits(i) or i.name == "func.call" for i in op.walk())
