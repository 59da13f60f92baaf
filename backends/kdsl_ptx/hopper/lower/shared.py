"""Tiles in shared memory: panels of 64 columns in 128-byte rows, swizzled, in slabs of rows.

The 16-byte chunk c of row r in a panel is at ``128 r + 16 (c xor (r mod 8))`` (PTX ISA, "128-byte
swizzle"). A tile of more rows than a slab has is slabs behind one another, each with all its
panels.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.dialects import arith
from kdsl.errors import InternalError
from kdsl.ir.builder import Builder
from kdsl.ir.core import Value
from kdsl.ir.types import I64, ScalarType, vector
from kdsl.passes.distribute.lowering import Lowering
from kdsl.target.layout import Digit, Layout, made
from kdsl_ptx.dialect import machine, tile
from kdsl_ptx.hopper.lower.lanes import ROWS, Consumer
from kdsl_ptx.hopper.lower.memory import PANEL_BYTES, panels
from kdsl_ptx.hopper.lower.words import Words

CHUNK = 8
"""16-bit elements in 16 bytes, the unit that is swizzled."""
STEP = 16
"""Columns that one wide matrix access moves, and the depth of one product."""
CHUNKS_OF_PANEL = 8


def accumulator_layout(shape: tuple[int, ...], groups: int) -> Layout:
    """Return where wgmma has the elements of a tile of 64 rows for each warpgroup.

    PTX ISA, "Register fragments for wgmma.mma_async.m64nNk16": accumulators, and A in registers.
    """
    return made(
        shape,
        [
            Digit("reg", 2, 1, 1), Digit("reg", 2, 0, 8), Digit("reg", shape[1] // 8, 1, 8),
            Digit("lane", 4, 1, 2), Digit("lane", 8, 0, 1),
            Digit("warp", 4, 0, 16), Digit("warp", groups, 0, ROWS),
        ],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SharedTile:
    """A tile of 16-bit elements at ``address`` (i32), copied in slabs of ``slab`` rows."""

    address: Value
    shape: tuple[int, int]
    slab: int
    element: ScalarType | None = None

    @property
    def panel_stride(self) -> int:
        """Bytes from a panel to the next."""
        return self.slab * PANEL_BYTES

    @property
    def slab_bytes(self) -> int:
        """Bytes from a slab to the next."""
        return self.panel_stride * panels(self.shape[1])

    @property
    def group_stride(self) -> int:
        """Bytes from a warpgroup's rows to those of the next."""
        return self.slab_bytes if self.slab == ROWS else ROWS * PANEL_BYTES

    def group_base(self, lane: Consumer) -> Value:
        """Return where the warpgroup's 64 rows start."""
        if lane.groups == 1:
            return self.address
        words = Words(lane.builder)
        return words.add(self.address, words.mul(lane.group, self.group_stride))

    # ------------------------------------------------------------------- to and from registers

    def read(self, low: Lowering, layout: Layout) -> Value:
        """Return the tile's registers; ``layout`` must be that of a product's operand."""
        lane = low.lane
        if not isinstance(lane, Consumer) or layout != accumulator_layout(self.shape, lane.groups):
            raise InternalError(what=f"a shared tile {self.shape} is read as {layout}")
        assert self.element is not None
        parts = []
        wide = vector(STEP // 2, self.element)
        for row, chunk_offset in self._addresses(lane):
            at = Words(low.builder).add(row, chunk_offset)
            part = low.builder.create(machine.Ldmatrix, at, types=[wide], count=4, transpose=False)
            parts.append(part)
        return lane.join(parts)

    def write(self, low: Lowering, fragment: Value) -> None:
        """Write a fragment in a product's layout to the warpgroup's rows."""
        lane = low.lane
        assert isinstance(lane, Consumer)
        words = Words(low.builder)
        size = STEP // 2
        for step, (row, chunk_offset) in enumerate(self._addresses(lane)):
            part = lane.pick(fragment, range(step * size, (step + 1) * size))
            low.builder.add(machine.Stmatrix, words.add(row, chunk_offset), part, transpose=False)

    def _addresses(self, lane: Consumer) -> list[tuple[Value, int]]:
        """Return the lane's address and a constant to add, for each 16 columns.

        Lanes 0-15 point at rows of the left 8 columns, lanes 16-31 at those of the right 8.
        """
        if self.shape[1] % STEP:
            raise InternalError(what=f"{self.shape[1]} columns are no multiple of {STEP}")
        row = _matrix_row(lane)
        base = Words(lane.builder).add(
            self.group_base(lane), lane.once("matrix_offset", lambda b: Words(b).shl(row, 7))
        )
        steps = tile.PANEL // STEP
        starts = [
            Words(lane.builder).add(base, _chunk(lane, row, i))
            for i in range(min(steps, self.shape[1] // STEP))
        ]
        return [
            (starts[step % steps], step // steps * self.panel_stride)
            for step in range(self.shape[1] // STEP)
        ]


def _matrix_row(lane: Consumer) -> Value:
    """Return the row that the lane points at: lanes 0-15 and 16-31 at the warp's 16 rows."""
    thread = lane.in_group

    def make(b: Builder) -> Value:
        words = Words(b)
        return words.add(words.shl(words.shr(thread, 5), 4), words.and_(thread, 15))

    return lane.once("matrix_row", make)


def _chunk(lane: Consumer, row: Value, step: int) -> Value:
    """Return the offset of the lane's 16 bytes for the ``step``-th 16 columns of a panel."""
    thread = lane.in_group

    def make(b: Builder) -> Value:
        words = Words(b)
        half = words.and_(words.shr(thread, 4), 1)
        turn = words.and_(row, CHUNKS_OF_PANEL - 1)
        return words.shl(words.xor(words.add(half, 2 * step), turn), 4)

    return lane.once(("matrix_chunk", step), make)


# --------------------------------------------------------------------------------------- operands

SWIZZLE_128 = 1 << 62
ATOM_BYTES = 1024
"""Eight rows of 128 bytes: the swizzle's period."""
UNUSED = 16


@dataclass(frozen=True, slots=True)
class Operand:
    """A wgmma operand in shared memory: its first descriptor, and how far each step is."""

    descriptor: Value
    steps: tuple[int, ...]
    transposed: bool


def descriptor(words: Words, address: Value, leading: int) -> Value:
    """Return the matrix descriptor of an address (PTX ISA, "Matrix descriptor")."""
    constant = (leading >> 4) << 16 | (ATOM_BYTES >> 4) << 32 | SWIZZLE_128
    low = words.wide(words.shr(address, 4))
    found = words.builder.create(arith.Ori, low, arith.constant(words.builder, constant, I64))
    assert isinstance(found, Value)
    return found


def operand_by_rows(words: Words, held: SharedTile, base: Value, depth: int) -> Operand:
    """Return an operand whose rows are m or n and whose columns are k."""
    per_panel = tile.PANEL // STEP
    steps = tuple(
        (i // per_panel * held.panel_stride + i % per_panel * STEP * 2) >> 4
        for i in range(depth // STEP)
    )
    return Operand(descriptor(words, base, UNUSED), steps, transposed=False)


def operand_by_columns(words: Words, held: SharedTile, base: Value, depth: int) -> Operand:
    """Return an operand whose rows are k and whose columns are m or n."""
    steps = tuple(i * STEP * PANEL_BYTES >> 4 for i in range(depth // STEP))
    return Operand(descriptor(words, base, held.panel_stride), steps, transposed=True)
