"""What schedule a program gets, by rules, and how an author overrides it."""

from __future__ import annotations

import pytest

from kdsl.errors import ScheduleOptionError, UnknownParameterError
from kdsl.library.attention import attention
from kdsl.library.linear import matmul
from kdsl.passes.manager import parse_pipeline, run_pipeline
from kdsl_ptx.dialect import tile
from kdsl_ptx.features import resolve
from kdsl_ptx.hopper.plan import HopperPlan, planned
from tests.backends.ptx.hopper.programs import HOPPER, gated, lines, scheduled, traced

PREPARE = "narrow-dots,propagate-launch-constants,canonicalize,cse"


def plan_of(kernel, target=HOPPER, schedule=None, **values):
    module = traced(kernel, **values)
    device = next(f for f in module.functions if f.is_kernel)
    device.attributes.update({f"kdsl.schedule.{k}": v for k, v in (schedule or {}).items()})
    run_pipeline(parse_pipeline(PREPARE), module, target)
    HopperPlan().run(module, target)
    return planned(device), module


MEASURED = {
    # size: block, consumers, tile slots, ring slots, registers, ping-pong, rescale, A
    128: ((128, 128), 2, 2, 4, (24, 240), "issue", "late", "registers"),
    64: ((192, 128), 3, 2, 6, (32, 160), "late", "late", "shared"),
    96: ((128, 128), 2, 2, 4, (24, 240), "issue", "late", "registers"),
    192: ((128, 128), 2, 1, 3, (24, 240), "none", "early", "shared"),
    256: ((128, 80), 2, 1, 4, (24, 240), "none", "early", "shared"),
}
"""The schedules that won on hardware."""


@pytest.mark.parametrize("size", MEASURED)
def test_rules_give_the_schedules_that_won_on_hardware(size):
    (rows, keys), *wanted = MEASURED[size]
    plan, _ = plan_of(attention, T="bf16", D=size, BM=rows, BN=keys, CAUSAL=False)
    assert plan is not None
    found = [plan.consumers, plan.slots, plan.ring[0], plan.registers]
    assert [*found, plan.ping_pong, plan.rescale, plan.a_operand] == wanted


def test_a_matrix_product_streams_both_sides_in_one_entry():
    plan, _ = plan_of(matmul, X="bf16", W="bf16", BM=128, BN=256, BK=64)
    assert plan.ring == (4, (128 + 256) * 64 * 2)
    assert plan.operands == ()
    assert plan.staging == 128 * 128 * 2
    assert (plan.slow, plan.group) == (1, 8)


def test_two_products_share_their_left_side():
    plan, _ = plan_of(gated, T="bf16")
    assert plan.ring == (4, (128 + 128 + 128) * 64 * 2)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"T": "f32"}, "products of f32"),
        ({"T": "bf16", "BM": 32}, "products of 32 rows"),
        ({"T": "bf16", "BM": 256}, "products of 256 rows"),
        ({"T": "bf16", "BM": 128, "BN": 20}, "products of 128x64 and 64x20"),
        ({"T": "bf16", "BM": 192, "BN": 256}, "registers"),
    ],
)
def test_what_fits_no_roles_says_why(values, why):
    plan, module = plan_of(attention, D=64, **{"BM": 128, "BN": 128, **values})
    assert plan is None
    assert any("no roles" in line and why in line for line in lines(module)), lines(module)


def test_other_chips_keep_the_portable_path():
    target = resolve("sm_89")
    plan, module = plan_of(attention, target, T="bf16", D=64, BM=128, BN=128)
    assert plan is None
    assert "no roles: sm_89 has no products of warpgroups" in lines(module)


@pytest.mark.parametrize(
    ("schedule", "field", "value"),
    [
        ({"num_stages": 3}, "ring", (3, 32768)),
        ({"buffers": 1}, "slots", 1),
        ({"ping_pong": False}, "ping_pong", "none"),
        ({"ping_pong": "late"}, "ping_pong", "late"),
        ({"rescale": "early"}, "rescale", "early"),
        ({"a_operand": "shared"}, "a_operand", "shared"),
        ({"persistent": False}, "persistent", False),
        ({"group": 4}, "group", 4),
        ({"registers": (40, 232)}, "registers", (40, 232)),
    ],
)
def test_the_author_may_choose(schedule, field, value):
    plan, _ = plan_of(attention, schedule=schedule, T="bf16", D=128, BM=128, BN=128)
    assert getattr(plan, field) == value


@pytest.mark.parametrize(
    "schedule",
    [
        {"consumers": 3},
        {"num_stages": 9},
        {"num_stages": 1},
        {"buffers": 3},
        {"ping_pong": "often"},
        {"rescale": "never"},
        {"persistent": 1},
        {"registers": (24, 250)},
        {"registers": (240, 240)},
        {"group": -1},
    ],
)
def test_a_choice_that_does_not_fit_is_an_error(schedule):
    with pytest.raises(ScheduleOptionError):
        plan_of(attention, schedule=schedule, T="bf16", D=128, BM=128, BN=128)


def test_the_portable_path_may_be_chosen():
    schedule = {"portable": True}
    plan, module = plan_of(attention, schedule=schedule, T="bf16", D=128, BM=128, BN=128)
    assert plan is None
    assert "no roles: the schedule says portable" in lines(module)


def test_options_of_a_schedule_reach_the_plan():
    kernel = matmul
    kept = list(kernel.schedules)
    try:
        kernel.schedule("sm_90a", stages=3, registers=[40, 232])
        module = traced_for(kernel, X="bf16", W="bf16", BM=128, BN=256, BK=64)
    finally:
        kernel.schedules[:] = kept
    device = next(f for f in module.functions if f.is_kernel)
    assert device.attributes["kdsl.schedule.num_stages"] == 3
    assert device.attributes["kdsl.schedule.registers"] == (40, 232)


def test_an_option_that_does_not_exist_is_an_error():
    with pytest.raises(UnknownParameterError, match="bufers"):
        matmul.schedule("sm_90a", bufers=1)


def traced_for(kernel, **values):
    return kernel.trace(kernel.specialize(**values), HOPPER).module


def test_the_roles_say_their_schedule():
    module = scheduled(attention, T="bf16", D=128, BM=128, BN=128)
    device = next(f for f in module.functions if f.is_kernel)
    assert "2 warpgroups" in device.attributes[tile.SCHEDULE]
