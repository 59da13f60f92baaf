"""Matrix units as data: what one instruction multiplies, and where its operands' elements are.

Sources: PTX ISA, "Matrix fragments for mma"; AMD's matrix instruction calculator for MFMA and WMMA;
the simdgroup matrices of Metal are two elements of a row in each lane.
"""

from __future__ import annotations

from dataclasses import dataclass

from kdsl.target.layout import Digit, Layout, made

Row = tuple[tuple[str, int, int | None, int], ...]


@dataclass(frozen=True, slots=True)
class Atom:
    """One matrix instruction: ``c + a @ b`` of m x k and k x n elements.

    ``types`` lists (operand, accumulator) element types as the IR spells them. An operand's
    registers are in the order of its layout, for one subgroup.
    """

    name: str
    m: int
    n: int
    k: int
    types: tuple[tuple[str, str], ...]
    a: Layout
    b: Layout
    c: Layout

    @property
    def subgroup(self) -> int:
        """How many lanes execute it together."""
        return self.c.lanes

    def accumulates(self, operand: str, accumulator: str) -> bool:
        """Return whether it multiplies such elements into such sums."""
        return (operand, accumulator) in self.types


def _layout(shape: tuple[int, int], row: Row) -> Layout:
    return made(shape, [Digit(*digit) for digit in row])


def _swapped(row: Row) -> Row:
    """Return the digits of the other operand: k is its first axis."""
    return tuple((p, n, None if d is None else 1 - d, s) for p, n, d, s in row)


def _atom(
    name: str,
    shape: tuple[int, int, int],
    types: tuple[tuple[str, str], ...],
    a: Row,
    c: Row,
    b: Row | None = None,
) -> Atom:
    m, n, k = shape
    return Atom(
        name, m, n, k, types,
        _layout((m, k), a), _layout((k, n), _swapped(a) if b is None else b), _layout((m, n), c),
    )  # fmt: skip


HALF = (("f16", "f32"), ("bf16", "f32"))
BYTES = (("i8", "i32"),)
SMALL = (("f8E4M3FN", "f32"), ("f8E5M2", "f32"))

# (place, size, axis, step), minor digit first.
_ROW_PAIRS: Row = (("reg", 2, 1, 1), ("reg", 2, 0, 8), ("lane", 4, 1, 2), ("lane", 8, 0, 1))
_MFMA_16: Row = (("reg", 4, 0, 1), ("lane", 16, 1, 1), ("lane", 4, 0, 4))
_MFMA_32: Row = (("reg", 4, 0, 1), ("reg", 4, 0, 8), ("lane", 32, 1, 1), ("lane", 2, 0, 4))
_SIMDGROUP: Row = (
    ("reg", 2, 1, 1), ("lane", 2, 1, 2), ("lane", 4, 0, 1), ("lane", 2, 1, 4), ("lane", 2, 0, 4),
)  # fmt: skip

ATOMS: dict[str, Atom] = {
    atom.name: atom
    for atom in (
        _atom(
            "mma.m16n8k16", (16, 8, 16), HALF,
            (("reg", 2, 1, 1), ("reg", 2, 0, 8), ("reg", 2, 1, 8),
             ("lane", 4, 1, 2), ("lane", 8, 0, 1)),
            _ROW_PAIRS,
            (("reg", 2, 0, 1), ("reg", 2, 0, 8), ("lane", 4, 0, 2), ("lane", 8, 1, 1)),
        ),
        _atom(
            "mma.m16n8k8", (16, 8, 8), (("tf32", "f32"),),
            (("reg", 2, 0, 8), ("reg", 2, 1, 4), ("lane", 4, 1, 1), ("lane", 8, 0, 1)),
            _ROW_PAIRS,
            (("reg", 2, 0, 4), ("lane", 4, 0, 1), ("lane", 8, 1, 1)),
        ),
        _atom(
            "mma.m16n8k32.i8", (16, 8, 32), BYTES,
            (("reg", 4, 1, 1), ("reg", 2, 0, 8), ("reg", 2, 1, 16),
             ("lane", 4, 1, 4), ("lane", 8, 0, 1)),
            _ROW_PAIRS,
            (("reg", 4, 0, 1), ("reg", 2, 0, 16), ("lane", 4, 0, 4), ("lane", 8, 1, 1)),
        ),
        _atom(
            "mma.m16n8k32.f8", (16, 8, 32), SMALL,
            (("reg", 4, 1, 1), ("reg", 2, 0, 8), ("reg", 2, 1, 16),
             ("lane", 4, 1, 4), ("lane", 8, 0, 1)),
            _ROW_PAIRS,
            (("reg", 4, 0, 1), ("reg", 2, 0, 16), ("lane", 4, 0, 4), ("lane", 8, 1, 1)),
        ),
        _atom(
            "mfma.16x16x16", (16, 16, 16), HALF,
            (("reg", 4, 1, 1), ("lane", 16, 0, 1), ("lane", 4, 1, 4)), _MFMA_16,
        ),
        _atom(
            "mfma.32x32x8", (32, 32, 8), HALF,
            (("reg", 4, 1, 1), ("lane", 32, 0, 1), ("lane", 2, 1, 4)), _MFMA_32,
        ),
        _atom(
            "mfma.16x16x32", (16, 16, 32), HALF,
            (("reg", 8, 1, 1), ("lane", 16, 0, 1), ("lane", 4, 1, 8)), _MFMA_16,
        ),
        _atom(
            "mfma.16x16x32.i8", (16, 16, 32), BYTES,
            (("reg", 8, 1, 1), ("lane", 16, 0, 1), ("lane", 4, 1, 8)), _MFMA_16,
        ),
        _atom(
            "mfma.16x16x32.f8", (16, 16, 32), SMALL,
            (("reg", 8, 1, 1), ("lane", 16, 0, 1), ("lane", 4, 1, 8)), _MFMA_16,
        ),
        # Both halves of the subgroup hold the operands; accumulator rows alternate between them.
        _atom(
            "wmma.copied", (16, 16, 16), HALF,
            (("reg", 16, 1, 1), ("lane", 16, 0, 1), ("lane", 2, None, 0)),
            (("reg", 8, 0, 2), ("lane", 16, 1, 1), ("lane", 2, 0, 1)),
        ),
        _atom(
            "wmma.split", (16, 16, 16), HALF,
            (("reg", 4, 1, 1), ("reg", 2, 1, 8), ("lane", 16, 0, 1), ("lane", 2, 1, 4)),
            (("reg", 8, 0, 1), ("lane", 16, 1, 1), ("lane", 2, 0, 8)),
        ),
        _atom(
            "simdgroup.8x8x8", (8, 8, 8), (*HALF, ("f32", "f32")),
            _SIMDGROUP, _SIMDGROUP, _SIMDGROUP,
        ),
    )
}  # fmt: skip
"""Every matrix instruction by its name; a chip's features say which ones it has."""


def atom_named(name: str) -> Atom:
    """Return the matrix instruction called ``name``; raise KeyError otherwise."""
    return ATOMS[name]
