"""Values, ops, blocks, regions and modules: the SSA graph itself.

Ops in a block form a doubly linked list, so inserting and erasing are O(1) at any place. Every
value knows its users. Nothing here knows any particular op, type rule or target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from kdsl.ir.attributes import AttributeValue
from kdsl.ir.location import Location
from kdsl.ir.types import Type


class Value:
    """An SSA value; ``users`` maps each op that reads it to how often it does."""

    __slots__ = ("name", "type", "users")

    def __init__(self, type: Type, name: str | None = None) -> None:
        self.type = type
        self.name = name
        self.users: dict[Op, int] = {}

    @property
    def op(self) -> Op | None:
        """The op that defines the value; None for a block argument."""
        return None

    @property
    def has_one_use(self) -> bool:
        return len(self.users) == 1 and next(iter(self.users.values())) == 1

    def replace_by(self, other: Value) -> None:
        """Make every user of this value read ``other`` instead."""
        if other is self:
            return
        for user in list(self.users):
            for i, operand in enumerate(user.operands):
                if operand is self:
                    user.set_operand(i, other)


class OpResult(Value):
    """A result of an op."""

    __slots__ = ("_op", "index")

    def __init__(self, op: Op, index: int, type: Type) -> None:
        super().__init__(type)
        self._op = op
        self.index = index

    @property
    def op(self) -> Op:
        return self._op

    def __repr__(self) -> str:
        return f"<result {self.index} of {self._op.name}: {self.type}>"


class BlockArgument(Value):
    """An argument of a block: a function's parameter, a loop's index or carried value."""

    __slots__ = ("block", "index")

    def __init__(self, block: Block, index: int, type: Type, name: str | None = None) -> None:
        super().__init__(type, name)
        self.block = block
        self.index = index

    def __repr__(self) -> str:
        return f"<block argument {self.index}: {self.type}>"


class Op:
    """An operation: operands, results, attributes, regions and a place in a block.

    Subclasses are declarations, see ``kdsl.ir.define``; ``name`` is the full name, ``arith.addf``.
    """

    __slots__ = ("attributes", "loc", "next", "operands", "parent", "prev", "regions", "results")

    name: ClassVar[str] = "unregistered"
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        operands: Sequence[Value] = (),
        result_types: Sequence[Type] = (),
        attributes: dict[str, AttributeValue] | None = None,
        regions: Sequence[Region] = (),
        loc: Location | None = None,
    ) -> None:
        self.operands: list[Value] = list(operands)
        for operand in self.operands:
            operand.users[self] = operand.users.get(self, 0) + 1
        self.results: list[OpResult] = [OpResult(self, i, t) for i, t in enumerate(result_types)]
        self.attributes: dict[str, AttributeValue] = {} if attributes is None else attributes
        self.regions: list[Region] = list(regions)
        for region in self.regions:
            region.parent = self
        self.loc = loc
        self.parent: Block | None = None
        self.prev: Op | None = None
        self.next: Op | None = None

    # ------------------------------------------------------------------------------- operands

    def set_operand(self, index: int, value: Value) -> None:
        """Make operand ``index`` read ``value``."""
        _drop_use(self.operands[index], self)
        self.operands[index] = value
        value.users[self] = value.users.get(self, 0) + 1

    def set_operands(self, values: Iterable[Value]) -> None:
        """Replace all operands."""
        for old in self.operands:
            _drop_use(old, self)
        self.operands = list(values)
        for new in self.operands:
            new.users[self] = new.users.get(self, 0) + 1

    @property
    def result(self) -> OpResult:
        """The only result of an op that has one."""
        (only,) = self.results
        return only

    @property
    def is_used(self) -> bool:
        return any(r.users for r in self.results)

    # --------------------------------------------------------------------------------- place

    @property
    def parent_op(self) -> Op | None:
        """The op whose region holds this op."""
        if self.parent is None or self.parent.parent is None:
            return None
        return self.parent.parent.parent

    @property
    def body(self) -> Block:
        """The first block of the first region."""
        return self.regions[0].block

    def walk(self) -> Iterator[Op]:
        """Yield this op and every op inside it, outer before inner."""
        yield self
        for region in self.regions:
            for block in region.blocks:
                op = block.first
                while op is not None:
                    following = op.next
                    yield from op.walk()
                    op = following

    def is_inside(self, other: Op) -> bool:
        """Return whether ``other`` encloses this op."""
        here: Op | None = self
        while here is not None:
            if here is other:
                return True
            here = here.parent_op
        return False

    def detach(self) -> Op:
        """Take the op out of its block; operands and results stay."""
        if self.parent is not None:
            self.parent.remove(self)
        return self

    def erase(self) -> None:
        """Remove the op, its regions and its uses for good; its results must be unused."""
        if self.is_used:
            msg = f"{self.name} is erased while its results are used"
            raise ValueError(msg)
        self.detach()
        self.drop_uses()

    def drop_uses(self) -> None:
        """Forget all operands, of this op and of everything inside it."""
        for operand in self.operands:
            _drop_use(operand, self)
        self.operands = []
        for region in self.regions:
            for block in region.blocks:
                for op in list(block):
                    op.drop_uses()

    def replace_by(self, *values: Value) -> None:
        """Let ``values`` take the place of the results, and erase the op."""
        for old, new in zip(self.results, values, strict=True):
            if new.name is None:
                new.name = old.name
            old.replace_by(new)
        self.erase()

    def clone(self, mapping: dict[Value, Value] | None = None) -> Op:
        """Copy the op and its regions; operands found in ``mapping`` are replaced.

        ``mapping`` learns the copies of results and block arguments.
        """
        mapping = {} if mapping is None else mapping
        copy = type(self)(
            [mapping.get(v, v) for v in self.operands],
            [r.type for r in self.results],
            dict(self.attributes),
            [],
            self.loc,
        )
        for old, new in zip(self.results, copy.results, strict=True):
            mapping[old] = new
            new.name = old.name
        for region in self.regions:
            copied = region.clone(mapping)
            copied.parent = copy
            copy.regions.append(copied)
        return copy

    def __repr__(self) -> str:
        return f"<{self.name} at {self.loc}>" if self.loc else f"<{self.name}>"


def _drop_use(value: Value, op: Op) -> None:
    count = value.users[op]
    if count == 1:
        del value.users[op]
    else:
        value.users[op] = count - 1


class Block:
    """A straight list of ops with arguments; the last op is the terminator."""

    __slots__ = ("args", "first", "last", "parent")

    def __init__(self, arg_types: Sequence[Type] = (), names: Sequence[str | None] = ()) -> None:
        names = names or [None] * len(arg_types)
        self.args: list[BlockArgument] = [
            BlockArgument(self, i, t, n)
            for i, (t, n) in enumerate(zip(arg_types, names, strict=True))
        ]
        self.first: Op | None = None
        self.last: Op | None = None
        self.parent: Region | None = None

    def __iter__(self) -> Iterator[Op]:
        op = self.first
        while op is not None:
            following = op.next
            yield op
            op = following

    def __reversed__(self) -> Iterator[Op]:
        op = self.last
        while op is not None:
            preceding = op.prev
            yield op
            op = preceding

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @property
    def parent_op(self) -> Op | None:
        return self.parent.parent if self.parent else None

    def add_argument(self, type: Type, name: str | None = None) -> BlockArgument:
        """Append a block argument."""
        argument = BlockArgument(self, len(self.args), type, name)
        self.args.append(argument)
        return argument

    def remove_argument(self, index: int) -> None:
        """Remove an unused block argument."""
        if self.args[index].users:
            msg = "a block argument is removed while it is used"
            raise ValueError(msg)
        del self.args[index]
        for i, argument in enumerate(self.args):
            argument.index = i

    def append(self, op: Op) -> Op:
        """Put ``op`` at the end."""
        return self.insert_before(None, op)

    def insert_before(self, anchor: Op | None, op: Op) -> Op:
        """Put ``op`` before ``anchor``, or at the end when it is None."""
        if op.parent is not None:
            msg = f"{op.name} is in a block already"
            raise ValueError(msg)
        before = self.last if anchor is None else anchor.prev
        op.parent, op.prev, op.next = self, before, anchor
        if before is None:
            self.first = op
        else:
            before.next = op
        if anchor is None:
            self.last = op
        else:
            anchor.prev = op
        return op

    def insert_after(self, anchor: Op, op: Op) -> Op:
        """Put ``op`` right after ``anchor``."""
        return self.insert_before(anchor.next, op)

    def remove(self, op: Op) -> None:
        """Take ``op`` out of the list without touching its uses."""
        if op.prev is None:
            self.first = op.next
        else:
            op.prev.next = op.next
        if op.next is None:
            self.last = op.prev
        else:
            op.next.prev = op.prev
        op.parent = op.prev = op.next = None


class Region:
    """Blocks owned by an op; kdsl uses structured control flow, so nearly always one."""

    __slots__ = ("blocks", "parent")

    def __init__(self, blocks: Sequence[Block] = ()) -> None:
        self.blocks: list[Block] = []
        self.parent: Op | None = None
        for block in blocks:
            self.add(block)

    def add(self, block: Block) -> Block:
        """Append a block."""
        block.parent = self
        self.blocks.append(block)
        return block

    @property
    def block(self) -> Block:
        """The first block."""
        return self.blocks[0]

    def clone(self, mapping: dict[Value, Value]) -> Region:
        """Copy the blocks and all ops; ``mapping`` learns the copies."""
        copy = Region()
        for block in self.blocks:
            new = copy.add(Block([a.type for a in block.args], [a.name for a in block.args]))
            mapping.update(zip(block.args, new.args, strict=True))
        for block, new in zip(self.blocks, copy.blocks, strict=True):
            for op in block:
                new.append(op.clone(mapping))
        return copy


class Module(Op):
    """The top of the IR: ``builtin.module`` with functions in its one block."""

    __slots__ = ()
    name = "builtin.module"

    @classmethod
    def empty(cls) -> Module:
        """Return a module with no function."""
        return cls(regions=[Region([Block()])])

    @property
    def functions(self) -> list[Op]:
        """The function ops, in order."""
        return list(self.body)

    def function(self, symbol: str) -> Op:
        """Return the function called ``symbol``; raise KeyError when there is none."""
        for op in self.body:
            if op.attributes.get("sym_name") == symbol:
                return op
        raise KeyError(symbol)

    def clone(self, mapping: dict[Value, Value] | None = None) -> Module:
        """Copy the whole module."""
        copied = super().clone(mapping)
        assert isinstance(copied, Module)
        return copied

    def __str__(self) -> str:
        from kdsl.ir.printer import print_module

        return print_module(self)


def defining_op(value: Value, kind: type[Any]) -> Any:
    """Return the op that defines ``value`` when it is a ``kind``, else None."""
    op = value.op
    return op if isinstance(op, kind) else None
