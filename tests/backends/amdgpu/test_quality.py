"""What the code of the flagship kernels is like at real sizes: read off the assembly."""

from __future__ import annotations

import pytest

from kdsl.compiler import stages
from kdsl.errors import SpillError
from kdsl.library import attention, elementwise, linear, norms, rope
from kdsl_amdgpu.assemble import assemble, best_code
from kdsl_amdgpu.emit import emit
from kdsl_amdgpu.features import CHIPS, resolve
from kdsl_amdgpu.quality import Quality, faults, inner_loop, kernel_lines, occupancy, report

MATMUL = {"X": "bf16", "W": "bf16", "BM": 128, "BN": 128, "BK": 32}


def compiled(kernel, target, **values):
    """Return the text after the whole pipeline."""
    specialization = kernel.specialize(**values)
    found = None
    for _, module in stages(kernel.trace(specialization, target).module, target):
        found = module
    return emit(found, target).text


def measured(kernel, target, **values):
    code = best_code(compiled(kernel, target, **values), target)
    return report(code.assembly, code.kernels, target)


def only(rows):
    (row,) = rows.values()
    return row


SMALL = {
    "silu_mul": (elementwise.silu_mul, {"T": "bf16"}),
    "rms_norm": (norms.rms_norm, {"T": "bf16"}),
    "rope": (rope.rope, {"T": "bf16", "D": 128, "R": 64, "positions": None}),
}


@pytest.mark.parametrize("name", SMALL)
def test_elementwise_kernels_move_128_bits_and_never_spill(name, target):
    kernel, values = SMALL[name]
    row = only(measured(kernel, target, **values))
    assert row.scratch_bytes == row.vector_spills == row.scalar_spills == 0
    assert row.accesses["global load 128"] >= 1
    assert row.accesses["global store 128"] >= 1
    assert row.occupancy >= 2


@pytest.mark.parametrize("chip", ["gfx90a", "gfx942", "gfx950"])
@pytest.mark.parametrize("size", [64, 128])
def test_attention_multiplies_no_more_than_the_arithmetic_asks(chip, size):
    rows, keys = 64, 64
    target = resolve(chip)
    values = {"T": "bf16", "D": size, "BM": rows, "BN": keys, "lse": None}
    row = only(measured(attention.attention, target, **values))
    k = 32 if chip == "gfx950" else 16
    subgroups = row.lanes // 64
    wanted = 2 * rows * keys * size // (16 * 16 * k) // subgroups
    assert row.matrix_instructions == wanted
    assert row.scratch_bytes == row.vector_spills == 0
    assert row.accesses["ds load 128"] > 0
    assert row.accesses["global store 128"] > 0
    assert "ds load 16" not in row.accesses
    assert row.inner["matrix"] == wanted
    assert "scratch memory" not in row.inner


@pytest.mark.parametrize("chip", CHIPS)
def test_products_never_spill(chip):
    row = only(measured(linear.matmul_blocks, resolve(chip), **MATMUL))
    assert row.matrix_instructions > 0
    assert not faults(row)


@pytest.mark.parametrize("chip", ["gfx1100", "gfx1201"])
@pytest.mark.parametrize("size", [64, 128])
def test_attention_with_its_own_tiles_fits_the_registers_of_small_waves(chip, size):
    values = {"T": "bf16", "D": size, "lse": None}
    row = only(measured(attention.attention, resolve(chip), **values))
    assert row.matrix_instructions == row.inner["matrix"] > 0
    assert not faults(row)


def test_the_numbers_say_what_the_assembly_says():
    target = resolve("gfx942")
    kernel, values = SMALL["rms_norm"]
    code = best_code(compiled(kernel, target, **values), target)
    (name,) = code.kernels
    row = report(code.assembly, code.kernels, target)[name]
    lines = kernel_lines(code.assembly, name)
    assert row.instructions == len(lines)
    assert sum(row.mix.values()) == len(lines)
    assert row.accesses["global load 128"] == sum("global_load_dwordx4" in x for x in lines)
    assert row.lds_bytes == code.kernels[name].descriptor.lds_bytes


@pytest.mark.parametrize(
    ("chip", "registers", "lds", "lanes", "waves"),
    [
        ("gfx942", 64, 0, 256, 8),
        ("gfx942", 65, 0, 256, 7),
        ("gfx942", 128, 0, 256, 4),
        ("gfx942", 512, 0, 256, 1),
        ("gfx942", 32, 32768, 256, 2),
        ("gfx950", 32, 32768, 256, 5),
        ("gfx1100", 96, 0, 256, 16),
        ("gfx1100", 192, 0, 256, 8),
        ("gfx1100", 256, 0, 256, 5),
    ],
)
def test_occupancy_follows_from_registers_and_workgroup_memory(chip, registers, lds, lanes, waves):
    assert occupancy(CHIPS[chip], registers, lds, lanes) == waves


def test_a_matrix_kernel_that_spills_is_an_error_that_names_it():
    target = resolve("gfx1100")
    values = {"T": "bf16", "D": 256, "BM": 128, "BN": 32, "lse": None}
    text = compiled(attention.attention, target, **values)
    from kdsl.codegen.backend import Source

    with pytest.raises(SpillError, match=r"attention.*256 registers"):
        assemble(Source(text, ".ll", ("attention",)), target)


def test_only_matrix_kernels_may_not_use_scratch():
    row = Quality(64, 9, 0, 9, 0, 16, 1, 0, 1, 0, 9, {}, {}, {})
    assert faults(row) == []
    row = Quality(64, 9, 0, 9, 0, 16, 1, 0, 1, 3, 9, {}, {}, {})
    assert len(faults(row)) == 2


def test_the_innermost_loop_with_matrix_instructions_is_found():
    body = [
        "s_nop 0", ".LBB0_1:", "v_mfma_f32_4x4x4f16 a", ".LBB0_2:", "v_add_f32 b", "v_add_f32 c",
        "s_cbranch_scc1 .LBB0_2", ".LBB0_3:", "v_mfma_f32_4x4x4f16 d", "s_cbranch_vccnz .LBB0_3",
        "s_branch .LBB0_1", "s_endpgm",
    ]  # fmt: skip
    assert inner_loop(body) == ["v_mfma_f32_4x4x4f16 d", "s_cbranch_vccnz .LBB0_3"]
    assert inner_loop(["s_endpgm"]) == []
