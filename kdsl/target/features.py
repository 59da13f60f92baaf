"""What a chip can do, as data that passes ask; never a back end's name.

A back end fills one ``Features`` for each chip that it knows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Features:
    """Capabilities and sizes of one chip.

    ``vector_bits`` is the widest register, ``vector_registers`` how many there are. ``native``
    names dtypes
    with full arithmetic; ``storage`` those that can be loaded, stored and converted. ``dot`` lists
    (operand dtype, accumulator dtype) pairs with a native dot product of pairs. Cache sizes in
    bytes.
    ``rounding``: floor, ceil, trunc and roundeven are instructions. ``masked_memory`` says whether
    masked loads and stores cost about as much as plain ones; ``threads`` how
    many programs run side by side. ``matrix_rows``: how many rows a matrix unit that reads
    workgroup memory by itself takes at once; 0 without one.

    Of a device: ``subgroup`` lanes run in step, at most ``max_lanes`` make a workgroup, which has
    ``shared_bytes`` of its own memory; ``registers`` 32-bit ones are there for all workgroups of
    one of the ``threads`` processors, at most ``lane_registers`` for a lane. ``atoms``: its matrix
    instructions by name, best first. ``async_copy``: it copies to workgroup memory on the side.
    ``matrix_load``: it reads 8x8 matrices from there in fragment layout.
    """

    vector_bits: int = 128
    vector_registers: int = 16
    native: frozenset[str] = frozenset({"f32", "f64", "i8", "i16", "i32", "i64"})
    storage: frozenset[str] = frozenset({"f16", "bf16", "f8E4M3FN", "f8E5M2"})
    dot: frozenset[tuple[str, str]] = frozenset()
    fma: bool = False
    rounding: bool = True
    fast_conversions: frozenset[tuple[str, str]] = frozenset()
    masked_memory: bool = False
    gather: bool = False
    flat_memory: bool = True
    subgroup: int = 1
    line_bytes: int = 64
    l1_bytes: int = 32 * 1024
    l2_bytes: int = 512 * 1024
    shared_bytes: int = 0
    matrix_rows: int = 0
    atoms: tuple[str, ...] = ()
    async_copy: bool = False
    matrix_load: bool = False
    max_lanes: int = 1
    registers: int = 0
    lane_registers: int = 0
    threads: int = 1

    @property
    def has_lanes(self) -> bool:
        """Whether a program is run by the lanes of a workgroup, and not by one thread."""
        return self.max_lanes > 1

    def lanes(self, bits: int) -> int:
        """Return how many elements of ``bits`` one vector register holds."""
        return max(1, self.vector_bits // max(bits, 8))
