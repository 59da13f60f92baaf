"""The simulator finds what is wrong with a protocol: schedules broken on purpose."""

from __future__ import annotations

import pytest

from kdsl.dialects.scf import For
from kdsl.errors import ScheduleProtocolError
from kdsl.ir.builder import Builder
from kdsl.ir.parser import parse
from kdsl.library.attention import attention
from kdsl.library.linear import matmul
from kdsl_ptx.dialect import tile
from kdsl_ptx.hopper.machine import Barrier, ProtocolError
from kdsl_ptx.hopper.protocol import ProtocolCheck, check
from tests.backends.ptx.hopper.programs import HERE, HOPPER, scheduled

ATTENTION = {"T": "bf16", "D": 128, "BM": 128, "BN": 128, "CAUSAL": False}
GEMM = {"X": "bf16", "W": "bf16", "BM": 128, "BN": 256, "BK": 64}


@pytest.fixture(scope="module")
def texts():
    return {
        "attention": str(scheduled(attention, **ATTENTION)),
        "gemm": str(scheduled(matmul, **GEMM)),
    }


def broken(text, change):
    """Return the module and kernel of a text after a change of its roles."""
    module = parse(text)
    kernel = next(f for f in module.functions if f.is_kernel)
    change(next(op for op in kernel.body if isinstance(op, tile.Roles)))
    return module, kernel


def all_of(roles, kind):
    return [op for op in roles.walk() if isinstance(op, kind)]


def loop_of(roles, region):
    return next(o for op in roles.regions[region].block for o in op.walk() if isinstance(o, For))


def complaint(text, change):
    with pytest.raises(ScheduleProtocolError) as caught:
        check(*broken(text, change))
    return str(caught.value)


def test_right_schedules_pass(texts):
    for text in texts.values():
        check(*broken(text, lambda roles: None))


@pytest.mark.parametrize("name", ["attention_causal_d128", "gemm"])
def test_the_examples_pass(name):
    module = parse((HERE / f"{name}.mlir").read_text(encoding="utf-8"))
    assert not ProtocolCheck().run(module, HOPPER)


def test_entries_that_are_never_released_stop_the_producer(texts):
    def change(roles):
        for op in all_of(roles, tile.RingRelease):
            op.erase()

    assert "wait for ever" in complaint(texts["attention"], change) or "does not release" in (
        complaint(texts["attention"], change)
    )


def test_one_release_too_few_is_found_even_when_nothing_hangs(texts):
    def change(roles):
        all_of(roles, tile.RingRelease)[-1].erase()

    assert "does not release 1 ring entries" in complaint(texts["attention"], change)


def test_a_release_too_many_is_found(texts):
    def change(roles):
        release = all_of(roles, tile.RingRelease)[0]
        release.parent.insert_after(release, release.clone())

    assert "released twice" in complaint(texts["attention"], change)


def test_a_release_under_a_product_is_found(texts):
    def change(roles):
        release = next(o for o in loop_of(roles, 2).body if isinstance(o, tile.RingRelease))
        wait = next(o for o in loop_of(roles, 2).body if isinstance(o, tile.DotWait))
        release.detach()
        wait.parent.insert_before(wait, release)

    assert "released while a product reads it" in complaint(texts["attention"], change)


def test_a_product_read_without_a_wait_is_found(texts):
    def change(roles):
        wait = next(o for o in loop_of(roles, 2).body if isinstance(o, tile.DotWait))
        wait.replace_by(*wait.operands)

    found = complaint(texts["attention"], change)
    assert "read before it was waited for" in found or "released while" in found


def test_an_operand_read_before_it_arrives_is_found(texts):
    def change(roles):
        for op in all_of(roles, tile.TileRecord):
            op.attributes["ready"] = "known"

    assert "read before its data has arrived" in complaint(texts["attention"], change)


def test_an_operand_read_after_its_slot_went_back_is_found(texts):
    def change(roles):
        for op in all_of(roles, tile.TileRelease):
            op.erase()
        operand = all_of(roles, tile.TileOperand)[0]
        Builder.after(operand).add(tile.TileRelease, lag=0)

    found = complaint(texts["attention"], change)
    assert "read after it was released" in found or "no tile slot is open" in found


def test_output_that_is_overwritten_on_its_way_is_found(texts):
    def change(roles):
        for op in all_of(roles, tile.StoreWait):
            op.erase()

    assert "while its output is being stored" in complaint(texts["gemm"], change)


def test_an_entry_taken_for_another_is_found(texts):
    def change(roles):
        load = next(o for o in loop_of(roles, 0).body if isinstance(o, tile.RingLoad))
        load.parent.insert_after(load, load.clone())

    found = complaint(texts["gemm"], change)
    assert "wait for ever" in found or "are loaded" in found


def test_an_entry_larger_than_its_slot_is_found(texts):
    def change(roles):
        for op in all_of(roles, tile.RingLoad):
            op.attributes["shapes"] = tuple(2 * n for n in op.shapes)

    assert "larger than its slot" in complaint(texts["gemm"], change)


def test_a_turn_that_nobody_passes_is_found(texts):
    def change(roles):
        for op in all_of(roles, tile.TurnPass):
            op.erase()

    assert "wait for ever" in complaint(texts["attention"], change)


def test_a_turn_passed_twice_is_found(texts):
    def change(roles):
        for op in all_of(roles, tile.TurnPass):
            op.parent.insert_after(op, op.clone())

    assert "passed on twice" in complaint(texts["attention"], change)


def test_slots_that_are_never_given_back_stop_the_scheduler(texts):
    def change(roles):
        for op in all_of(roles, tile.TileRelease):
            op.erase()

    assert "wait for ever" in complaint(texts["attention"], change)


def test_the_error_names_kernel_and_schedule(texts):
    def change(roles):
        for op in all_of(roles, tile.TurnPass):
            op.erase()

    found = complaint(texts["attention"], change)
    assert "KD0311" in found
    assert "attention_blocks" in found
    assert "2 warpgroups" in found


def test_a_kernel_that_fails_does_not_build(texts):
    module, _ = broken(texts["attention"], lambda roles: all_of(roles, tile.TurnPass)[0].erase())
    with pytest.raises(ScheduleProtocolError):
        ProtocolCheck().run(module, HOPPER)


def test_a_barrier_ends_its_phase_when_all_bytes_are_there():
    barrier = Barrier(1)
    barrier.arrive(copies=2)
    barrier.landed()
    assert barrier.phases == 0
    barrier.landed()
    assert barrier.phases == 1
    barrier.arrive()
    assert barrier.phases == 2
    overfull = Barrier(1, copies=1)
    overfull.arrive()
    with pytest.raises(ProtocolError):
        overfull.arrive()
