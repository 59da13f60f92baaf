"""Tiles that matrix units read along the other axis than memory has them."""

from __future__ import annotations

import numpy as np
import pytest

from kdsl.compiler import stages
from kdsl.ir.types import BF16, F32
from kdsl.library import attention
from kdsl.passes.distribute.rearrange import fewest_accesses
from kdsl.passes.distribute.scratch import pieces
from kdsl.passes.distribute.stage import tall
from kdsl.target.atoms import atom_named
from kdsl.target.layout import blocked


@pytest.mark.parametrize("shape", [(64, 128), (32, 64), (16, 16), (64, 96), (8, 80)])
@pytest.mark.parametrize(("lanes", "warps"), [(64, 4), (64, 8), (32, 4)])
@pytest.mark.parametrize("unit", [0, 1])
def test_a_tall_layout_holds_every_element(shape, lanes, warps, unit):
    layout = tall(shape, BF16, lanes, warps, unit)
    assert (layout.lanes, layout.warps) == (lanes, warps)
    found = layout.indices().reshape(-1, 2)
    assert len(np.unique(found, axis=0)) == shape[0] * shape[1]


def test_a_tall_layout_is_written_in_words_along_both_axes():
    layout = tall((64, 128), BF16, 64, 4, 1)
    along, _ = pieces(layout, (136, 1), 0, 8)
    across, _ = pieces(layout, (1, 72), 0, 8)
    assert (along, across) == (8, 4)


def test_the_order_in_memory_is_the_one_that_both_sides_touch_least():
    """An operand with its k elements side by side, of a tile that comes in rows of k."""
    atom = atom_named("mfma.16x16x16")
    source = blocked((128, 64), 16, 64, 4, 0)
    target = atom.b.tile((128, 64))
    strides, size = fewest_accesses(source, target, BF16)
    assert strides[0] == 1
    assert size >= 128 * 64
    strides, _ = fewest_accesses(
        blocked((128, 64), 32, 64, 4, 1), blocked((128, 64), 32, 64, 8, 1), F32
    )
    assert strides[1] == 1


@pytest.mark.parametrize("chip", ["gfx942", "gfx1201"])
def test_values_of_attention_are_read_in_wide_pieces(chip):
    from kdsl.codegen.registry import resolve_target

    target = resolve_target(chip)
    values = {"T": "bf16", "D": 64, "BM": 64, "BN": 64, "lse": None}
    traced = attention.attention.trace(attention.attention.specialize(**values), target)
    found = None
    for _, module in stages(traced.module, target):
        found = module
    kernel = next(f for f in found.functions if f.is_kernel)
    single = [
        op for op in kernel.walk()
        if op.name == "vector.load" and op.source.type.space == 3 and op.y.type.size == 1
        and op.y.type.element.text == "bf16"
    ]  # fmt: skip
    assert not single
