"""The lane-level interpreter: what lanes compute, and every mistake that it has to find."""

from __future__ import annotations

import random

import numpy as np
import pytest

import kdsl.dialects.all  # noqa: F401  (declares the ops)
from kdsl.dialects.func import Func
from kdsl.errors import (
    CopyInFlightError,
    DeadlockedLanesError,
    DivergentBarrierError,
    InterpreterError,
    LaneRaceError,
    MisalignedAccessError,
    OutOfBoundsError,
)
from kdsl.ir.define import REGISTRY
from kdsl.ir.interpreter import interpret
from kdsl.ir.parser import parse
from kdsl.ir.types import MemRefType
from kdsl.ir.verify import verify
from kdsl.target.atoms import ATOMS
from kdsl.target.features import Features
from kdsl.testing import simt
from kdsl.testing.compare import same_bits
from kdsl.testing.generate import arguments, sample

FOUR = Features(subgroup=4)
WARP = Features(subgroup=32)
START = """
    %t = "gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %c1 = "arith.constant"() {value = 1 : index} : () -> index
    %c2 = "arith.constant"() {value = 2 : index} : () -> index
    %c8 = "arith.constant"() {value = 8 : index} : () -> index
    %t32 = "arith.index_cast"(%t) : (index) -> i32
"""
BARRIER = '"gpu.barrier"() : () -> ()\n'
WORD = "memref<8xi32, 3>"
ROOM = f'%m = "kdsl.workgroup_alloc"() : () -> {WORD}\n'


def kernel(body, args="%x: memref<?xi32>", lanes=8):
    """Return a module with the kernel ``f``."""
    kinds = ", ".join(part.split(": ")[1] for part in args.replace(", %", "\n%").split("\n"))
    text = f"""
    "func.func"() ({{
    ^bb0({args}):
      {START}{body}
      "func.return"() : () -> ()
    }}) {{function_type = ({kinds}) -> (), kdsl.kernel, kdsl.lanes = {lanes} : i64,
         sym_name = "f"}} : () -> ()"""
    module = parse(text)
    verify(module)
    return module


def run(body, *args, features=FOUR, lanes=8, **given):
    parameters = given.pop("parameters", "%x: memref<?xi32>")
    simt.run(kernel(body, parameters, lanes), "f", args, features, **given)
    return args[0]


def load(name, source, *at, kind=WORD):
    element = kind.split("x")[1].split(",")[0].rstrip(">")
    indices = ", ".join(at)
    types = ", ".join(["index"] * len(at))
    return f'{name} = "memref.load"({source}, {indices}) : ({kind}, {types}) -> {element}\n'


def store(value, target, *at, kind="memref<?xi32>", element="i32"):
    indices = ", ".join(at)
    types = ", ".join(["index"] * len(at))
    return f'"memref.store"({value}, {target}, {indices}) : ({element}, {kind}, {types}) -> ()\n'


def less(name, a, b, kind="index"):
    return f'{name} = "arith.cmpi"({a}, {b}) {{predicate = 2 : i64}} : ({kind}, {kind}) -> i1\n'


def where(condition, body, otherwise=""):
    end = '"scf.yield"() : () -> ()\n'
    rest = f"{otherwise}{end}" if otherwise else ""
    return f'"scf.if"({condition}) ({{\n{body}{end}}}, {{\n{rest}}}) : (i1) -> ()\n'


def zeros(count=8, dtype=np.int32):
    return np.zeros(count, dtype)


# ----------------------------------------------------------------------------------- computing

SERIAL = ("memref.alloc", "memref.dealloc", "kdsl.launch", "func.func", "func.return")
EACH_LANE = ("gpu.thread_id", "gpu.shuffle", "memref.atomic_rmw")
"""Ops that give each lane something else, or nothing to a lane alone."""
KINDS = [
    k
    for k in REGISTRY.values()
    if k.__module__.startswith("kdsl.dialects.")
    and not k.name.startswith("kdsl.")
    and k.name not in (*SERIAL, *EACH_LANE, "scf.yield", "scf.condition")
    and not k.name.endswith(("store", "scatter"))
]


@pytest.mark.parametrize("kind", KINDS, ids=[k.name for k in KINDS])
def test_every_lane_computes_what_the_interpreter_says(kind):
    for seed in range(3):
        module = sample(kind, random.Random(seed).choice)
        function = next(f for f in module.functions if isinstance(f, Func) and not f.sym_visibility)
        mine, theirs = arguments(np.random.default_rng(0)), arguments(np.random.default_rng(0))
        wanted = interpret(module, function.sym_name, mine)
        function.attributes["kdsl.lanes"] = 4

        found = simt.run(module, function.sym_name, theirs, FOUR)

        for want, lanes, kind_of in zip(wanted, found, function.type.results, strict=True):
            if not isinstance(kind_of, MemRefType):
                for lane in np.broadcast_to(lanes, (4, *lanes.shape[1:])):
                    assert same_bits(want, lane)


def test_each_lane_has_its_number():
    x = run(store("%t32", "%x", "%t"), zeros())

    np.testing.assert_array_equal(x, np.arange(8))


def test_an_entry_launches_every_program_of_its_grid():
    module = parse("""
    "func.func"() ({
    ^bb0(%x: memref<?x?xi32>):
      %t = "gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index
      %p = "kdsl.program_id"() {axis = 0 : i64} : () -> index
      %n = "kdsl.num_programs"() {axis = 0 : i64} : () -> index
      %sum = "arith.addi"(%p, %n) : (index, index) -> index
      %word = "arith.index_cast"(%sum) : (index) -> i32
      "memref.store"(%word, %x, %p, %t) : (i32, memref<?x?xi32>, index, index) -> ()
      "func.return"() : () -> ()
    }) {function_type = (memref<?x?xi32>) -> (), kdsl.kernel, kdsl.lanes = 4 : i64,
        sym_name = "k"} : () -> ()
    "func.func"() ({
    ^bb0(%x: memref<?x?xi32>):
      %zero = "arith.constant"() {value = 0 : index} : () -> index
      %one = "arith.constant"() {value = 1 : index} : () -> index
      %n = "memref.dim"(%x, %zero) : (memref<?x?xi32>, index) -> index
      "kdsl.launch"(%n, %one, %one, %x) {kernel = @k}
        : (index, index, index, memref<?x?xi32>) -> ()
      "func.return"() : () -> ()
    }) {function_type = (memref<?x?xi32>) -> (), kdsl.entry, sym_name = "go"} : () -> ()""")
    x = np.zeros((3, 4), np.int32)

    simt.run(module, "go", (x,), FOUR)

    np.testing.assert_array_equal(x, np.repeat([[3], [4], [5]], 4, axis=1))


def test_lanes_take_both_sides_of_a_branch():
    low = store("%t32", "%x", "%t")
    high = '%n = "arith.subi"(%zero, %t32) : (i32, i32) -> i32\n' + store("%n", "%x", "%t")
    zero = '%zero = "arith.constant"() {value = 0 : i32} : () -> i32\n'

    x = run(zero + less("%few", "%t", "%c2") + where("%few", low, high), zeros())

    np.testing.assert_array_equal(x, [0, 1, -2, -3, -4, -5, -6, -7])


def test_lanes_turn_a_loop_as_often_as_each_needs():
    body = """
    %zero = "arith.constant"() {value = 0 : i32} : () -> i32
    %one = "arith.constant"() {value = 1 : i32} : () -> i32
    %sum = "scf.for"(%c0, %t, %c1, %zero) ({
    ^bb1(%i: index, %s: i32):
      %next = "arith.addi"(%s, %one) : (i32, i32) -> i32
      "scf.yield"(%next) : (i32) -> ()
    }) : (index, index, index, i32) -> i32
    """ + store("%sum", "%x", "%t")

    np.testing.assert_array_equal(run(body, zeros()), np.arange(8))


def test_lanes_leave_a_while_one_by_one():
    body = f"""
    %one = "arith.constant"() {{value = 1 : i32}} : () -> i32
    %limit = "arith.constant"() {{value = 40 : i32}} : () -> i32
    %start = "arith.addi"(%t32, %one) : (i32, i32) -> i32
    %end = "scf.while"(%start) ({{
    ^bb1(%a: i32):
      {less("%go", "%a", "%limit", "i32")}
      "scf.condition"(%go, %a) : (i1, i32) -> ()
    }}, {{
    ^bb2(%b: i32):
      %next = "arith.addi"(%b, %b) : (i32, i32) -> i32
      "scf.yield"(%next) : (i32) -> ()
    }}) : (i32) -> i32
    {store("%end", "%x", "%t")}"""

    np.testing.assert_array_equal(run(body, zeros()), [64, 64, 48, 64, 40, 48, 56, 64])


def test_a_buffer_of_a_lane_is_its_own():
    body = """
    %own = "memref.alloca"() {operandSegmentSizes = array<i32: 0, 0>} : () -> memref<2xi32>
    "memref.store"(%t32, %own, %c1) : (i32, memref<2xi32>, index) -> ()
    %back = "memref.load"(%own, %c1) : (memref<2xi32>, index) -> i32
    """ + store("%back", "%x", "%t")

    np.testing.assert_array_equal(run(body, zeros()), np.arange(8))


def test_workgroup_memory_carries_values_between_lanes():
    seven = '%c7 = "arith.constant"() {value = 7 : index} : () -> index\n'
    far = '%far = "arith.subi"(%c7, %t) : (index, index) -> index\n'
    body = store("%t32", "%m", "%t", kind=WORD) + BARRIER + load("%v", "%m", "%far")

    x = run(ROOM + seven + far + body + store("%v", "%x", "%t"), zeros())

    np.testing.assert_array_equal(x, np.arange(8)[::-1])


def test_workgroup_memory_starts_poisoned():
    x = run(ROOM + load("%v", "%m", "%t") + store("%v", "%x", "%t"), zeros())

    assert (x.view(np.uint32) == 0xCBCBCBCB).all()


@pytest.mark.parametrize(
    ("mode", "offset", "wanted"),
    [
        ("xor", 1, [1, 0, 3, 2, 5, 4, 7, 6]),
        ("up", 1, [0, 0, 1, 2, 4, 4, 5, 6]),
        ("down", 2, [2, 3, 2, 3, 6, 7, 6, 7]),
        ("idx", 3, [3, 3, 3, 3, 7, 7, 7, 7]),
    ],
)
def test_shuffles(mode, offset, wanted):
    body = f"""
    %by = "arith.constant"() {{value = {offset} : i32}} : () -> i32
    %width = "arith.constant"() {{value = 4 : i32}} : () -> i32
    %v, %ok = "gpu.shuffle"(%t32, %by, %width) {{mode = #gpu<shuffle_mode {mode}>}}
      : (i32, i32, i32) -> (i32, i1)
    {store("%v", "%x", "%t")}"""

    np.testing.assert_array_equal(run(body, zeros()), wanted)


def test_atomic_updates_add_up():
    body = """
    %old = "memref.atomic_rmw"(%t32, %x, %c0) {kind = 1 : i64}
      : (i32, memref<?xi32>, index) -> i32"""

    assert run(body, zeros())[0] == 28


# ------------------------------------------------------------------------------------ mistakes


def test_a_barrier_that_some_lanes_do_not_reach():
    with pytest.raises(DivergentBarrierError, match="2 of 8 lanes"):
        run(less("%few", "%t", "%c2") + where("%few", BARRIER), zeros())


def test_two_barriers_on_two_ways_are_no_barrier():
    with pytest.raises(DivergentBarrierError, match="2 of 8 lanes"):
        run(less("%few", "%t", "%c2") + where("%few", BARRIER, BARRIER), zeros())


def test_a_barrier_in_a_branch_that_all_lanes_take():
    run(less("%all", "%t", "%c8") + where("%all", BARRIER), zeros())


def test_a_shuffle_from_a_lane_that_is_not_there():
    body = """
    %by = "arith.constant"() {value = 1 : i32} : () -> i32
    %width = "arith.constant"() {value = 4 : i32} : () -> i32
    %v, %ok = "gpu.shuffle"(%t32, %by, %width) {mode = #gpu<shuffle_mode xor>}
      : (i32, i32, i32) -> (i32, i1)
    """
    three = '%c3 = "arith.constant"() {value = 3 : index} : () -> index\n'

    with pytest.raises(DivergentBarrierError):
        run(three + less("%some", "%t", "%c3") + where("%some", body), zeros())


def test_a_read_of_what_another_lane_wrote_without_a_barrier():
    body = store("%t32", "%m", "%t", kind=WORD) + load("%v", "%m", "%c0")

    with pytest.raises(LaneRaceError, match=r"m\[0\] is read by lane 1 and was written by 0"):
        run(ROOM + body, zeros())


def test_a_write_over_what_another_lane_reads_without_a_barrier():
    body = load("%v", "%m", "%c0") + store("%t32", "%m", "%t", kind=WORD)

    with pytest.raises(LaneRaceError, match=r"m\[0\] is written by lane 0 and was read"):
        run(ROOM + body, zeros())


def test_two_lanes_write_one_element():
    with pytest.raises(LaneRaceError, match=r"x\[0\] is written by lane \d and was written by 7"):
        run(store("%t32", "%x", "%c0"), zeros())


def test_an_atomic_update_meets_a_plain_read():
    body = """
    %old = "memref.atomic_rmw"(%t32, %x, %c0) {kind = 1 : i64}
      : (i32, memref<?xi32>, index) -> i32
    """ + load("%v", "%x", "%c0", kind="memref<?xi32>")

    with pytest.raises(LaneRaceError, match="was updated by"):
        run(body, zeros())


def test_global_memory_is_watched_through_every_view():
    body = store("%t32", "%x", "%t") + load("%v", "%y", "%t", kind="memref<?xi32>")
    room = zeros(9)
    parameters = "%x: memref<?xi32>, %y: memref<?xi32>"

    with pytest.raises(LaneRaceError, match="y"):
        run(body, room[:8], room[1:], parameters=parameters)


def test_programs_of_a_grid_do_not_meet():
    text = """
    "func.func"() ({
    ^bb0(%x: memref<?xi32>):
      %t = "gpu.thread_id"() {dimension = #gpu<dim x>} : () -> index
      %v = "arith.index_cast"(%t) : (index) -> i32
      "memref.store"(%v, %x, %t) : (i32, memref<?xi32>, index) -> ()
      "func.return"() : () -> ()
    }) {function_type = (memref<?xi32>) -> (), kdsl.kernel, kdsl.lanes = 4 : i64,
        sym_name = "k"} : () -> ()
    "func.func"() ({
    ^bb0(%x: memref<?xi32>):
      %one = "arith.constant"() {value = 1 : index} : () -> index
      %two = "arith.constant"() {value = 2 : index} : () -> index
      "kdsl.launch"(%COUNT, %one, %one, %x) {kernel = @k}
        : (index, index, index, memref<?xi32>) -> ()
      "kdsl.launch"(%one, %one, %one, %x) {kernel = @k}
        : (index, index, index, memref<?xi32>) -> ()
      "func.return"() : () -> ()
    }) {function_type = (memref<?xi32>) -> (), kdsl.entry, sym_name = "go"} : () -> ()"""

    simt.run(parse(text.replace("%COUNT", "%one")), "go", (zeros(),), FOUR)
    with pytest.raises(LaneRaceError, match="one of program 0"):
        simt.run(parse(text.replace("%COUNT", "%two")), "go", (zeros(),), FOUR)


def test_an_index_outside_of_a_buffer_names_the_lane():
    with pytest.raises(OutOfBoundsError, match=r"\[7\] of lane 7 is outside x of shape \(7,\)"):
        run(store("%t32", "%x", "%t"), zeros(7))


def test_lanes_that_are_off_may_hold_any_index():
    body = less("%few", "%t", "%c2") + where("%few", store("%t32", "%x", "%t"))

    np.testing.assert_array_equal(run(body, zeros(2)), [0, 1])


def test_a_vector_access_that_is_not_aligned():
    body = """
    %v = "vector.load"(%x, %t) {alignment = 8 : i64} : (memref<?xi32>, index) -> vector<2xi32>"""

    with pytest.raises(MisalignedAccessError, match="8 does not divide"):
        run(body, zeros(16))


def test_an_assertion_that_one_lane_breaks():
    body = less("%few", "%t", "%c2") + '"cf.assert"(%few) {msg = "few"} : (i1) -> ()\n'

    with pytest.raises(InterpreterError, match="few"):
        run(body, zeros())


def test_lanes_must_be_whole_subgroups():
    with pytest.raises(InterpreterError, match="no multiple of 4"):
        run("", zeros(), lanes=6)


def test_an_op_without_a_meaning_for_lanes():
    body = """
    %y = "memref.alloc"() {operandSegmentSizes = array<i32: 0, 0>} : () -> memref<4xi32>"""

    with pytest.raises(InterpreterError, match="no meaning for the lanes"):
        run(body, zeros())


def test_a_back_end_brings_rules_of_its_own():
    def doubled(group, op, value):
        del group, op
        return (value * 2,)

    body = '%y = "arith.extsi"(%t32) : (i32) -> i64\n%z = "arith.trunci"(%y) : (i64) -> i32\n'

    x = run(
        body + store("%z", "%x", "%t"), zeros(), machine=simt.Machine({"arith.trunci": doubled})
    )

    np.testing.assert_array_equal(x, 2 * np.arange(8))


# ------------------------------------------------------------------------------- own ways


def flag_set(group, op, value):
    """Stand for an op of a back end: others may go on."""
    del op, value
    group.state["flag"] = True
    return (group.numbers.astype(np.int32),)


def flag_wait(group, op, value):
    group.wait(op, lambda: group.state.get("flag", False), "for the flag")
    return (value,)


FLAGS = {"arith.extsi": flag_wait, "arith.trunci": flag_set}
"""Two ops that stand for a back end's own barriers."""
WAIT = '%y = "arith.extsi"(%t32) : (i32) -> i64\n'
SIGNAL = """
    %long = "arith.constant"() {value = 1 : i64} : () -> i64
    %z = "arith.trunci"(%long) : (i64) -> i32
"""


@pytest.mark.parametrize("seed", range(4))
def test_parts_of_a_workgroup_wait_for_each_other(seed):
    four = '%c4 = "arith.constant"() {value = 4 : index} : () -> index\n'
    branch = where("%low", WAIT, SIGNAL) + BARRIER + store("%t32", "%x", "%t")
    apart = simt.Machine(FLAGS, apart=4, seed=seed)

    x = run(four + less("%low", "%t", "%c4") + branch, zeros(), machine=apart)

    np.testing.assert_array_equal(x, np.arange(8))


@pytest.mark.parametrize("seed", range(4))
def test_sides_of_a_branch_wait_for_each_other(seed):
    branch = where("%low", WAIT, SIGNAL) + store("%t32", "%x", "%t")
    apart = simt.Machine(FLAGS, apart=8, seed=seed)

    x = run(less("%low", "%t", "%c2") + branch, zeros(), machine=apart)

    np.testing.assert_array_equal(x, np.arange(8))


def test_lanes_in_step_cannot_wait_for_each_other():
    with pytest.raises(DeadlockedLanesError, match="for the flag"):
        run(WAIT + SIGNAL, zeros(), machine=simt.Machine(FLAGS))


def test_parts_that_all_wait_are_a_deadlock():
    with pytest.raises(DeadlockedLanesError, match=r"lanes 0 to 3 .* for the flag"):
        run(WAIT, zeros(), machine=simt.Machine(FLAGS, apart=4))


def test_a_barrier_that_one_part_never_reaches_is_a_deadlock():
    four = '%c4 = "arith.constant"() {value = 4 : index} : () -> index\n'
    body = four + less("%low", "%t", "%c4") + where("%low", BARRIER)

    with pytest.raises(DeadlockedLanesError, match="barrier 0"):
        run(body, zeros(), machine=simt.Machine(apart=4))


def test_parts_that_meet_at_no_barrier_race():
    four = '%c4 = "arith.constant"() {value = 4 : index} : () -> index\n'
    seven = '%c7 = "arith.constant"() {value = 7 : index} : () -> index\n'
    far = '%far = "arith.subi"(%c7, %t) : (index, index) -> index\n'
    put, get = store("%t32", "%m", "%t", kind=WORD), load("%v", "%m", "%far")
    body = ROOM + four + seven + far + put

    run(body + BARRIER + get, zeros(), machine=simt.Machine(apart=4))
    with pytest.raises(LaneRaceError):
        run(body + get, zeros(), machine=simt.Machine(apart=4))


# --------------------------------------------------------------------------- copies on the side

COPY_ROOM = '%m = "kdsl.workgroup_alloc"() {align = 16 : i64} : () -> memref<64xi32, 3>\n'
COPY = """
    %c4 = "arith.constant"() {value = 4 : index} : () -> index
    %at = "arith.muli"(%t, %c4) : (index, index) -> index
    %three = "arith.constant"() {value = 3 : index} : () -> index
    %valid = "arith.cmpi"(%t, %three) {predicate = 1 : i64} : (index, index) -> i1
    "kdsl.copy_async"(%y, %m, %valid, %at, %at) {bytes = 16 : i64}
      : (memref<?xi32>, memref<64xi32, 3>, i1, index, index) -> ()
"""
COMMIT = '"kdsl.copy_commit"() : () -> ()\n'
TWO = "%x: memref<?xi32>, %y: memref<?xi32>"


def wait(pending=0):
    return f'"kdsl.copy_wait"() {{pending = {pending} : i64}} : () -> ()\n'


def read_copy(at="%back"):
    seven = '%c7 = "arith.constant"() {value = 7 : index} : () -> index\n'
    other = '%other = "arith.subi"(%c7, %t) : (index, index) -> index\n'
    back = '%back = "arith.muli"(%other, %c4) : (index, index) -> index\n'
    value = load("%v", "%m", at, kind="memref<64xi32, 3>")
    return seven + other + back + value + store("%v", "%x", "%t")


def aligned(count):
    raw = np.zeros(count + 4, np.int32)
    skip = -raw.__array_interface__["data"][0] % 16 // 4
    return raw[skip : skip + count]


def copied(*steps):
    y = aligned(64)
    y[:] = np.arange(64)
    return run(COPY_ROOM + "".join(steps), zeros(), y, parameters=TWO)


def test_a_copy_arrives_after_wait_and_barrier():
    x = copied(COPY, COMMIT, wait(), BARRIER, read_copy())

    np.testing.assert_array_equal(x, [28, 24, 20, 16, 0, 8, 4, 0])


def test_a_copy_is_not_there_before_the_wait():
    with pytest.raises(CopyInFlightError, match="before the copy to it was waited for"):
        copied(COPY, COMMIT, BARRIER, read_copy())


def test_a_copy_that_was_not_committed_is_not_waited_for():
    with pytest.raises(CopyInFlightError):
        copied(COPY, wait(), BARRIER, read_copy())


def test_a_wait_may_leave_the_newest_groups():
    with pytest.raises(CopyInFlightError):
        copied(COPY, COMMIT, wait(1), BARRIER, read_copy())
    copied(COPY, COMMIT, COMMIT, wait(1), BARRIER, read_copy())


def test_a_wait_is_for_the_own_lane_alone():
    copied(COPY, COMMIT, wait(), read_copy("%at"))
    with pytest.raises(LaneRaceError):
        copied(COPY, COMMIT, wait(), read_copy())


# ------------------------------------------------------------------------------- matrix units


@pytest.mark.parametrize("name", ["mma.m16n8k16", "mfma.32x32x8", "wmma.copied", "wmma.split"])
def test_matrix_units_multiply_what_their_fragments_hold(name):
    atom = ATOMS[name]
    rng = np.random.default_rng(0)
    a = rng.integers(-4, 4, (atom.m, atom.k)).astype(np.float16)
    b = rng.integers(-4, 4, (atom.k, atom.n)).astype(np.float16)
    c = rng.integers(-4, 4, (atom.m, atom.n)).astype(np.float32)
    lanes = atom.subgroup
    sizes = [layout.registers for layout in (atom.a, atom.b, atom.c)]
    parts = []
    for name_, size, element in zip("abc", sizes, ("f16", "f16", "f32"), strict=True):
        parts.append(f"""
      %n{name_} = "arith.constant"() {{value = {size} : index}} : () -> index
      %at{name_} = "arith.muli"(%t, %n{name_}) : (index, index) -> index
      %v{name_} = "vector.load"(%{name_}, %at{name_})
        : (memref<?x{element}>, index) -> vector<{size}x{element}>""")
    kinds = f"vector<{sizes[0]}xf16>, vector<{sizes[1]}xf16>, vector<{sizes[2]}xf32>"
    body = (
        "".join(parts)
        + f"""
      %y = "kdsl.matrix_multiply"(%va, %vb, %vc) {{atom = "{name}"}}
        : ({kinds}) -> vector<{sizes[2]}xf32>
      "vector.store"(%y, %c, %atc) : (vector<{sizes[2]}xf32>, memref<?xf32>, index) -> ()"""
    )

    def fragments(matrix, layout):
        at = layout.indices()[0]
        return matrix[at[..., 0], at[..., 1]].reshape(-1).copy()

    given = [fragments(*pair) for pair in ((a, atom.a), (b, atom.b), (c, atom.c))]
    module = kernel(body, "%a: memref<?xf16>, %b: memref<?xf16>, %c: memref<?xf32>", lanes)

    simt.run(module, "f", given, Features(subgroup=lanes))

    wanted = a.astype(np.float32) @ b.astype(np.float32) + c
    np.testing.assert_array_equal(given[2], fragments(wanted, atom.c))


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_matrices_are_loaded_in_fragments(count, transpose):
    flag = "true" if transpose else "false"
    body = f"""
    %m = "kdsl.workgroup_alloc"() {{align = 16 : i64}} : () -> memref<32x8xf16, 3>
    %row = "vector.load"(%x, %t, %c0) : (memref<?x8xf16>, index, index) -> vector<8xf16>
    "vector.store"(%row, %m, %t, %c0) : (vector<8xf16>, memref<32x8xf16, 3>, index, index) -> ()
    {BARRIER}
    %v = "kdsl.load_matrix"(%m, %t, %c0) {{count = {count} : i64, transpose = {flag}}}
      : (memref<32x8xf16, 3>, index, index) -> vector<{2 * count}xf16>
    "vector.store"(%v, %y, %t, %c0)
      : (vector<{2 * count}xf16>, memref<?x?xf16>, index, index) -> ()"""
    x = np.arange(256, dtype=np.float16).reshape(32, 8)
    y = np.zeros((32, 2 * count), np.float16)
    module = kernel(body, "%x: memref<?x8xf16>, %y: memref<?x?xf16>", 32)

    simt.run(module, "f", (x, y), WARP)

    for lane in range(32):
        for i in range(count):
            part = x[8 * i : 8 * i + 8]
            row = (part.T if transpose else part)[lane // 4]
            wanted = row[2 * (lane % 4) : 2 * (lane % 4) + 2]
            np.testing.assert_array_equal(y[lane, 2 * i : 2 * i + 2], wanted)
