"""Every matrix instruction: fragments by kdsl's layouts, products by the emulator's own tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import kdsl.dialects.all  # noqa: F401 - declares the ops
from kdsl.ir.parser import parse
from kdsl.ir.types import scalar_type
from kdsl.ir.verify import verify
from kdsl.target.atoms import atom_named
from kdsl_amdgpu.emit import emit
from kdsl_amdgpu.emulator.device import run
from kdsl_amdgpu.features import CHIPS, resolve
from kdsl_amdgpu.matrix import CALLS

spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(samples)

UNITS = [
    (chip, name, operand, accumulator)
    for chip, row in CHIPS.items()
    for name in row.features.atoms
    for operand, accumulator in atom_named(name).types
]


def multiply(atom, operand, accumulator):
    """Return a kernel whose lanes load their fragments, multiply once and store theirs."""
    sizes = {"a": atom.a.registers, "b": atom.b.registers, "c": atom.c.registers}
    types = {"a": operand, "b": operand, "c": accumulator}
    kinds = {n: f"vector<{sizes[n]}x{types[n]}>" for n in sizes}
    lines = [
        f"    %t = {samples.ID}",
        *(
            f'    %n{n} = "arith.constant"() {{value = {sizes[n]} : index}} : () -> index\n'
            f'    %i{n} = "arith.muli"(%t, %n{n}) : (index, index) -> index\n'
            f'    %f{n} = "vector.load"(%{n}, %i{n}) : (memref<?x{types[n]}, strided<[1]>>, index) -> vector<{sizes[n]}x{types[n]}>'
            for n in "abc"
        ),
        f'    %y = "kdsl.matrix_multiply"(%fa, %fb, %fc) {{atom = "{atom.name}"}} : ({kinds["a"]}, {kinds["b"]}, {kinds["c"]}) -> {kinds["c"]}',
        f'    "vector.store"(%y, %o, %ic) : (vector<{sizes["c"]}x{accumulator}>, memref<?x{accumulator}, strided<[1]>>, index) -> ()',
    ]
    held = types | {"o": accumulator}
    args = {n: f"memref<?x{k}, strided<[1]>>" for n, k in held.items()}
    return samples.module("k", args, atom.subgroup, "\n".join(lines))


def spread(layout, matrix):
    """Return the registers of each lane, [lanes, registers]."""
    places = layout.indices()[0]
    return np.ascontiguousarray(matrix[places[..., 0], places[..., 1]])


def gathered(layout, registers, shape):
    places = layout.indices()[0]
    matrix = np.zeros(shape, registers.dtype)
    matrix[places[..., 0], places[..., 1]] = registers.reshape(places.shape[:2])
    return matrix


@pytest.mark.parametrize(("chip", "name", "operand", "accumulator"), UNITS)
def test_a_product_is_that_of_the_matrices(chip, name, operand, accumulator):
    atom, target = atom_named(name), resolve(chip)
    rng = np.random.default_rng(7)
    kind, wide = scalar_type(operand).numpy, scalar_type(accumulator).numpy
    shapes = [(atom.m, atom.k), (atom.k, atom.n), (atom.m, atom.n)]
    if wide.kind == "i":
        a, b, c = (
            rng.integers(-100, 100, s).astype(t)
            for s, t in zip(shapes, (kind, kind, wide), strict=True)
        )
    else:
        a, b, c = (
            rng.standard_normal(s).astype(t)
            for s, t in zip(shapes, (kind, kind, wide), strict=True)
        )
    module = parse(multiply(atom, operand, accumulator))
    verify(module)
    given = [spread(layout, m) for layout, m in ((atom.a, a), (atom.b, b), (atom.c, c))]
    out = np.zeros(given[2].size, wide)
    run(emit(module, target), target, "k_entry", [*(g.reshape(-1) for g in given), out])
    exact = np.float64 if wide.kind == "f" else np.int64
    wanted = a.astype(exact) @ b.astype(exact) + c
    got = gathered(atom.c, out, shapes[2])
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-4)


def test_every_atom_of_a_chip_has_its_instruction_for_every_type():
    assert {(name, operand) for _, name, operand, _ in UNITS} <= set(CALLS)
