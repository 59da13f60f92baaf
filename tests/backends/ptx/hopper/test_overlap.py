"""What begins before the work before it has ended: launches, and a tile's tables."""

from __future__ import annotations

import pytest

from kdsl.dialects.kdsl import Launch, LoadTile
from kdsl.dialects.scf import While
from kdsl.library.attention import attention
from kdsl.library.rope_attention import rope_attention, rope_attention_prefill
from kdsl.passes.manager import run_pipeline
from kdsl_ptx.dialect import machine, tile
from kdsl_ptx.hopper.dependence import SignalDependents
from kdsl_ptx.hopper.protocol import check
from kdsl_ptx.hopper.simulate import in_order
from tests.backends.ptx.hopper.programs import HOPPER, answers_agree, lines, rope_arrays, scheduled

ROPE = {"T": "bf16", "D": 128, "R": 64, "BM": 128, "BN": 128}


def roles_of(module):
    return next(op for f in module.functions for op in f.walk() if isinstance(op, tile.Roles))


def waiting(module):
    """Return the roles that wait for the launch before theirs first of all."""
    regions = zip(tile.ROLES, roles_of(module).regions, strict=True)
    return [n for n, r in regions if isinstance(r.block.first, tile.GridDependencyWait)]


def launches_of(module):
    return [op for op in module.walk() if isinstance(op, Launch)]


def test_attention_starts_while_the_keys_are_being_rotated():
    module = scheduled(rope_attention, **ROPE)
    first, second = launches_of(module)
    assert tile.PDL not in first.attributes
    assert tile.PDL in second.attributes
    assert waiting(module) == ["producer"]


def test_a_scheduler_that_loads_what_may_have_been_written_waits_too():
    module = scheduled(rope_attention_prefill, **ROPE)
    assert waiting(module) == ["producer", "scheduler"]


def test_tiles_that_stream_nothing_wait_before_they_store():
    roles = roles_of(scheduled(rope_attention_prefill, **ROPE))
    waits = [op for op in roles.walk() if isinstance(op, tile.GridDependencyWait)]
    assert any(op.parent_op.name == "scf.if" for op in waits)


def test_a_launch_by_itself_waits_for_nothing():
    module = scheduled(attention, T="bf16", D=128, BM=128, BN=128)
    assert waiting(module) == []
    assert all(tile.PDL not in launch.attributes for launch in launches_of(module))


def test_the_kernel_before_says_when_the_next_may_start():
    module = scheduled(rope_attention, **ROPE)
    assert SignalDependents().run(module, HOPPER)
    kernels = [f for f in module.functions if f.is_kernel]
    begins = [isinstance(f.body.first, machine.GriddepLaunch) for f in kernels]
    assert begins == [True, False]
    assert not SignalDependents().run(module, HOPPER)


def tables_of(module):
    loop = next(op for op in roles_of(module).consumer if isinstance(op, While))
    return [str(v.type) for v in loop.inits]


@pytest.mark.parametrize(
    ("values", "carried"),
    [
        ({"positions": None}, ["tensor<128x64xf32>"] * 2),
        ({}, ["tensor<128xi32>", *["tensor<128x64xf32>"] * 2]),
        ({"T": "bf16", "D": 64, "R": 32, "BM": 192, "positions": None}, ["tensor<192x32xf32>"] * 2),
    ],
)
def test_angles_are_fetched_a_tile_ahead(values, carried):
    module = scheduled(rope_attention_prefill, **{**ROPE, **values})
    assert tables_of(module) == carried
    assert any("are fetched a tile ahead" in line for line in lines(module))


def test_fetches_stand_behind_the_last_streaming_loop():
    consumer = roles_of(scheduled(rope_attention_prefill, positions=None, **ROPE)).consumer
    loop = next(op for op in consumer if isinstance(op, While))
    names = [op.name for op in loop.regions[1].block]
    assert names.index("scf.if") < names.index("ptx.tile_peek") < names.index("ptx.tile_store")
    assert names.index("ptx.tile_peek") < names.index("kdsl.load_tile")


def test_one_tile_slot_fetches_nothing_ahead():
    values = {"T": "bf16", "D": 256, "R": 128, "BM": 128, "BN": 80, "positions": None}
    module = scheduled(rope_attention_prefill, **values)
    assert tables_of(module) == []
    head = next(op for op in roles_of(module).consumer if isinstance(op, While))
    assert any(isinstance(op, LoadTile) for op in head.regions[1].block)


def test_what_is_fetched_ahead_belongs_to_the_next_tile():
    arrays = rope_arrays(420, 128, 64)
    orders = [in_order(("scheduler", "consumer")), in_order(("consumer1", "memory"))]
    answers_agree(rope_attention, ROPE, arrays, orders)


def test_packed_angles_travel_through_the_ring():
    module = scheduled(rope_attention, positions=None, **ROPE)
    kernel = next(f for f in module.functions if any(isinstance(o, tile.Roles) for o in f.body))
    assert kernel.attributes[tile.OPERANDS] == (128, 128)
    assert kernel.attributes[tile.RING] == (4, 32768)
    loads = [op for op in roles_of(module).walk() if isinstance(op, tile.RingLoad)]
    assert len(loads[0].maps) == 1
    assert [op.read for op in kernel.walk() if isinstance(op, tile.RingRelease)].count(True) == 1
    assert tables_of(module) == []
    answers_agree(rope_attention, {**ROPE, "positions": None}, rope_arrays(300, 128, 64))


def test_a_peek_with_one_slot_would_hang():
    module = scheduled(rope_attention_prefill, positions=None, **ROPE)
    kernel = next(f for f in module.functions if any(isinstance(o, tile.Roles) for o in f.body))
    check(module, kernel)
    kernel.attributes[tile.SLOTS] = 1
    for op in kernel.walk():
        if isinstance(op, tile.TileRelease):
            op.attributes["lag"] = 0
    with pytest.raises(Exception, match="KD0311"):
        check(module, kernel)


def test_the_whole_pipeline_builds_on_what_the_passes_leave():
    from kdsl_ptx.backend import BACKEND
    from tests.backends.ptx.hopper.programs import traced

    module = traced(rope_attention, positions=None, **ROPE)
    run_pipeline(BACKEND.pipeline, module, HOPPER)
    text = BACKEND.emit(module, HOPPER).text
    assert "griddepcontrol.launch_dependents" in text
    assert "griddepcontrol.wait" in text
