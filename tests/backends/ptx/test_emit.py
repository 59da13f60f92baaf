"""Golden texts: what small lane-level kernels become."""

from __future__ import annotations

import pytest

from kdsl.errors import WorkgroupLimitError
from tests.backends.ptx.modules import assembled, body_of, code_of, instructions, kernel

VECTOR_ADD = """
    %c4 = "arith.constant"() <{value = 4 : index}> : () -> index
    %e = "arith.muli"(%t, %c4) : (index, index) -> index
    %ok = "arith.cmpi"(%e, %n) <{predicate = 2 : i64}> : (index, index) -> i1
    "scf.if"(%ok) ({
      %x = "vector.load"(%a, %e) <{alignment = 16 : i64}> : (memref<?xf32>, index) -> vector<4xf32>
      %y = "arith.addf"(%x, %x) : (vector<4xf32>, vector<4xf32>) -> vector<4xf32>
      "vector.store"(%y, %b, %e) : (vector<4xf32>, memref<?xf32>, index) -> ()
      "scf.yield"() : () -> ()
    }, {}) : (i1) -> ()
"""


def test_a_whole_kernel_reads_as_expected():
    text = code_of(kernel("%a: memref<?xf32>, %b: memref<?xf32>, %n: index", VECTOR_ADD)).text
    assert text.splitlines() == [
        ".version 8.4",
        ".target sm_90a",
        ".address_size 64",
        ".extern .shared .align 1024 .b8 kdsl_shared[];",
        ".visible .entry k(.param .b64 kdsl_p0, .param .b64 kdsl_p1, .param .b64 kdsl_p2, .param .b64 kdsl_p3)",
        ".reqntid 128",
        "{",
        "\t.reg .pred %p<2>;",
        "\t.reg .b32 %r<11>;",
        "\t.reg .b64 %d<10>;",
        "\tld.param.b64 %d1, [kdsl_p0];",
        "\tcvta.to.global.u64 %d2, %d1;",
        "\tld.param.b64 %d3, [kdsl_p1];",
        "\tcvta.to.global.u64 %d4, %d3;",
        "\tld.param.b64 %d5, [kdsl_p2];",
        "\tld.param.b64 %d6, [kdsl_p3];",
        "\tmov.u32 %r1, %tid.x;",
        "\tmul.lo.s32 %r2, %r1, 4;",
        "\tcvt.s64.s32 %d7, %r2;",
        "\tsetp.lt.s64 %p1, %d7, %d5;",
        "\t@!%p1 bra $L1;",
        "\tmad.wide.s32 %d8, %r2, 4, %d2;",
        "\tld.global.v4.b32 {%r3, %r4, %r5, %r6}, [%d8];",
        "\tadd.rn.f32 %r7, %r3, %r3;",
        "\tadd.rn.f32 %r8, %r4, %r4;",
        "\tadd.rn.f32 %r9, %r5, %r5;",
        "\tadd.rn.f32 %r10, %r6, %r6;",
        "\tmad.wide.s32 %d9, %r2, 4, %d4;",
        "\tst.global.b32 [%d9], %r7;",
        "\tst.global.b32 [%d9+4], %r8;",
        "\tst.global.b32 [%d9+8], %r9;",
        "\tst.global.b32 [%d9+12], %r10;",
        "$L1:",
        "\tret;",
        "}",
    ]


def test_an_address_that_is_proved_to_be_a_multiple_is_accessed_as_widely():
    body = VECTOR_ADD.replace("<{alignment = 16 : i64}>", "")
    aligned = ", kdsl.arg_align = array<i64: 16, 8, 1>"
    found = instructions(
        "%a: memref<?xf32>, %b: memref<?xf32>, %n: index", body, attributes=aligned
    )
    assert [line.split()[0] for line in found if line[:2] in ("ld", "st") and "param" not in line] == [
        "ld.global.v4.b32", "st.global.v2.b32", "st.global.v2.b32",
    ]  # fmt: skip


SUM = """
    %c0 = "arith.constant"() <{value = 0 : index}> : () -> index
    %c1 = "arith.constant"() <{value = 1 : index}> : () -> index
    %z = "arith.constant"() <{value = 0.0 : f32}> : () -> f32
    %s = "scf.for"(%c0, %n, %c1, %z) ({
    ^bb0(%i: index, %acc: f32):
      %x = "memref.load"(%a, %i) : (memref<?xf32>, index) -> f32
      %y = "arith.addf"(%acc, %x) <{fastmath = #arith.fastmath<contract>}> : (f32, f32) -> f32
      "scf.yield"(%y) : (f32) -> ()
    }) : (index, index, index, f32) -> f32
    "memref.store"(%s, %a, %t) : (f32, memref<?xf32>, index) -> ()
"""


def test_a_loop_tests_first_and_then_at_the_bottom():
    found = instructions("%a: memref<?xf32>, %n: index", SUM)
    assert found[found.index("mov.u32 %r1, %tid.x;") :] == [
        "mov.u32 %r1, %tid.x;",
        "mov.b64 %d5, 0;",
        "mov.b32 %r2, 0f00000000;",
        "setp.ge.s64 %p1, %d5, %d3;",
        "@%p1 bra.uni $L2;",
        "$L1:",
        "mad.lo.s64 %d6, %d5, 4, %d2;",
        "ld.global.b32 %r3, [%d6];",
        "add.f32 %r4, %r2, %r3;",
        "mov.b32 %r2, %r4;",
        "add.s64 %d5, %d5, 1;",
        "setp.lt.s64 %p2, %d5, %d3;",
        "@%p2 bra.uni $L1;",
        "$L2:",
        "mad.wide.s32 %d7, %r1, 4, %d2;",
        "st.global.b32 [%d7], %r2;",
        "ret;",
    ]


def test_a_loop_of_known_small_bounds_counts_in_32_bits_and_needs_no_first_test():
    body = SUM.replace("%n, %c1", "%c8, %c1").replace(
        "%z =", '%c8 = "arith.constant"() <{value = 8 : index}> : () -> index\n    %z ='
    )
    found = instructions("%a: memref<?xf32>, %n: index", body)
    assert "add.s32 %r2, %r2, 1;" in found
    assert "mad.wide.s32 %d5, %r2, 4, %d2;" in found
    assert not any("setp.ge" in line for line in found)


def test_values_that_go_round_in_a_ring_are_kept_aside():
    body = """
    %c0 = "arith.constant"() <{value = 0 : index}> : () -> index
    %c1 = "arith.constant"() <{value = 1 : index}> : () -> index
    %x = "memref.load"(%a, %c0) : (memref<?xf32>, index) -> f32
    %y = "memref.load"(%a, %c1) : (memref<?xf32>, index) -> f32
    %r, %s = "scf.for"(%c0, %n, %c1, %x, %y) ({
    ^bb0(%i: index, %u: f32, %v: f32):
      "scf.yield"(%v, %u) : (f32, f32) -> ()
    }) : (index, index, index, f32, f32) -> (f32, f32)
    "memref.store"(%r, %a, %t) : (f32, memref<?xf32>, index) -> ()
    """
    found = instructions("%a: memref<?xf32>, %n: index", body)
    at = found.index("$L1:")
    assert found[at + 1 : at + 4] == [
        "mov.b32 %r6, %r4;", "mov.b32 %r4, %r5;", "mov.b32 %r5, %r6;",
    ]  # fmt: skip


def test_a_branch_gives_its_results_in_one_place():
    body = """
    %c0 = "arith.constant"() <{value = 0 : index}> : () -> index
    %p = "arith.cmpi"(%t, %n) <{predicate = 2 : i64}> : (index, index) -> i1
    %x = "memref.load"(%a, %t) : (memref<?xf32>, index) -> f32
    %r = "scf.if"(%p) ({
      %y = "arith.mulf"(%x, %x) : (f32, f32) -> f32
      "scf.yield"(%y) : (f32) -> ()
    }, {
      "scf.yield"(%x) : (f32) -> ()
    }) : (i1) -> f32
    "memref.store"(%r, %a, %t) : (f32, memref<?xf32>, index) -> ()
    """
    found = instructions("%a: memref<?xf32>, %n: index", body)
    assert found[-9:] == [
        "@!%p1 bra $L2;", "mul.rn.f32 %r3, %r2, %r2;", "mov.b32 %r4, %r3;", "bra.uni $L1;",
        "$L2:", "mov.b32 %r4, %r2;", "$L1:", "st.global.b32 [%d6], %r4;", "ret;",
    ]  # fmt: skip


def test_rearranging_elements_writes_nothing():
    body = """
    %x = "vector.load"(%a, %t) : (memref<?xf32>, index) -> vector<2xf32>
    %y = "vector.shuffle"(%x, %x) <{mask = [1, 2]}> : (vector<2xf32>, vector<2xf32>) -> vector<2xf32>
    %z = "vector.extract"(%y) <{static_position = array<i64: 0>}> : (vector<2xf32>) -> f32
    %v = "vector.from_elements"(%z, %z) : (f32, f32) -> vector<2xf32>
    "vector.store"(%v, %a, %t) : (vector<2xf32>, memref<?xf32>, index) -> ()
    """
    found = instructions("%a: memref<?xf32>", body)
    assert found[-5:] == [
        "ld.global.b32 %r2, [%d4];", "ld.global.b32 %r3, [%d4+4];",
        "st.global.b32 [%d4], %r3;", "st.global.b32 [%d4+4], %r3;", "ret;",
    ]  # fmt: skip


def test_half_floats_stay_packed_from_load_to_store():
    body = """
    %x = "vector.load"(%a, %t) <{alignment = 16 : i64}> : (memref<?xbf16>, index) -> vector<8xbf16>
    %f = "arith.extf"(%x) : (vector<8xbf16>) -> vector<8xf32>
    %g = "arith.truncf"(%f) : (vector<8xf32>) -> vector<8xbf16>
    "vector.store"(%g, %a, %t) <{alignment = 16 : i64}> : (vector<8xbf16>, memref<?xbf16>, index) -> ()
    """
    found = instructions("%a: memref<?xbf16>", body)
    words = [line.split()[0] for line in found]
    assert words.count("cvt.rn.bf16x2.f32") == 4
    assert words.count("shl.b32") == words.count("and.b32") == 4
    assert words[-2] == "st.global.v4.b32"


def test_an_assertion_that_fails_writes_the_status_word_and_ends_the_lane():
    body = """
    %p = "arith.cmpi"(%t, %n) <{predicate = 2 : i64}> : (index, index) -> i1
    "cf.assert"(%p) <{msg = "too many"}> : (i1) -> ()
    """
    found = instructions("%n: index", body)
    assert found[-3:] == ["@!%p1 st.relaxed.gpu.global.b32 [%d2], 1;", "@!%p1 exit;", "ret;"]


def test_where_lanes_are_counted_a_failed_assertion_ends_none():
    body = """
    %p = "arith.cmpi"(%t, %n) <{predicate = 2 : i64}> : (index, index) -> i1
    %one = "arith.constant"() <{value = 1 : i32}> : () -> i32
    "ptx.bar_sync"(%one) <{threads = 128 : i64}> : (i32) -> ()
    "cf.assert"(%p) <{msg = "too many"}> : (i1) -> ()
    """
    found = instructions("%n: index", body)
    assert found[-2:] == ["@!%p1 st.relaxed.gpu.global.b32 [%d2], 1;", "ret;"]


def test_workgroup_memory_has_addresses_of_32_bits_and_is_counted():
    body = """
    %w = "kdsl.workgroup_alloc"() <{align = 128 : i64}> : () -> memref<16x36xf32, 3>
    %v = "kdsl.workgroup_alloc"() : () -> memref<8xi8, 3>
    %c2 = "arith.constant"() <{value = 2 : index}> : () -> index
    %x = "memref.load"(%w, %c2, %t) : (memref<16x36xf32, 3>, index, index) -> f32
    "gpu.barrier"() : () -> ()
    "memref.store"(%x, %w, %t, %c2) : (f32, memref<16x36xf32, 3>, index, index) -> ()
    """
    code = code_of(kernel("%n: index", body))
    assert code.kernels["k"].shared == 16 * 36 * 4 + 8
    lines = [line.strip() for line in code.text.splitlines()]
    assert "ld.shared.b32 %r4, [%r3+288];" in lines
    assert "mad.lo.s32 %r5, %r1, 144, %r2;" in lines
    assert "bar.sync 0;" in lines


def test_low_bits_of_large_indices_are_computed_in_32_bits():
    body = """
    %w = "kdsl.workgroup_alloc"() : () -> memref<4096xf32, 3>
    %c4 = "arith.constant"() <{value = 4 : index}> : () -> index
    %i = "arith.muli"(%n, %c4) : (index, index) -> index
    %x = "memref.load"(%w, %i) : (memref<4096xf32, 3>, index) -> f32
    "memref.store"(%x, %w, %t) : (f32, memref<4096xf32, 3>, index) -> ()
    """
    found = instructions("%n: index", body)
    at = next(i for i, line in enumerate(found) if line.startswith("cvt.u32.u64"))
    assert [line.split()[0] for line in found[at : at + 3]] == [
        "cvt.u32.u64", "mul.lo.s32", "mad.lo.s32",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ("divui", "shr.u32 %r2, %r1, 3;"),
        ("remsi", "and.b32 %r2, %r1, 7;"),
        ("floordivsi", "shr.s32 %r2, %r1, 3;"),
    ],
)
def test_quotients_by_powers_of_two_are_shifts(op, expected):
    body = f"""
    %c8 = "arith.constant"() <{{value = 8 : index}}> : () -> index
    %q = "arith.{op}"(%t, %c8) : (index, index) -> index
    %x = "memref.load"(%a, %q) : (memref<?xf32>, index) -> f32
    "memref.store"(%x, %a, %t) : (f32, memref<?xf32>, index) -> ()
    """
    assert expected in instructions("%a: memref<?xf32>", body)


def test_a_subgroup_shuffle_names_its_run_and_its_validity():
    body = """
    %x = "memref.load"(%a, %t) : (memref<?xf32>, index) -> f32
    %o = "arith.constant"() <{value = 1 : i32}> : () -> i32
    %w = "arith.constant"() <{value = 8 : i32}> : () -> i32
    %y, %v = "gpu.shuffle"(%x, %o, %w) <{mode = #gpu<shuffle_mode up>}> : (f32, i32, i32) -> (f32, i1)
    %z = "arith.select"(%v, %y, %x) : (i1, f32, f32) -> f32
    "memref.store"(%z, %a, %t) : (f32, memref<?xf32>, index) -> ()
    """
    found = instructions("%a: memref<?xf32>", body)
    assert "shfl.sync.up.b32 %r3|%p1, %r2, 1, 0x1800, -1;" in found
    assert "selp.b32 %r4, %r3, %r2, %p1;" in found


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ('kdsl.cache = "stream"', "ld.global.nc.L1::no_allocate.b32"),
        ('kdsl.cache = "last_use"', "ld.global.lu.b32"),
        ('kdsl.cache = "l2"', "ld.global.cg.b32"),
        ('kdsl.evict = "first"', "ld.global.L2::cache_hint.b32"),
        ('kdsl.cache = "l1", kdsl.evict = "last"', "ld.global.L2::cache_hint.b32"),
        (
            'kdsl.cache = "stream", kdsl.evict = "first"',
            "ld.global.nc.L1::no_allocate.L2::cache_hint.b32",
        ),
    ],
)
def test_hints_are_part_of_a_load(attributes, word):
    body = f"""
    %x = "memref.load"(%a, %t) {{{attributes}}} : (memref<?xf32>, index) -> f32
    "memref.store"(%x, %b, %t) {{kdsl.cache = "stream"}} : (f32, memref<?xf32>, index) -> ()
    """
    text = code_of(kernel("%a: memref<?xf32>, %b: memref<?xf32>", body)).text
    words = [line.split()[0] for line in body_of(text)]
    assert word in words
    assert "st.global.cs.b32" in words
    assembled(text)


def test_a_streamed_buffer_that_is_written_is_not_read_through_the_constant_path():
    body = """
    %x = "memref.load"(%a, %t) {kdsl.cache = "stream"} : (memref<?xf32>, index) -> f32
    "memref.store"(%x, %a, %t) : (f32, memref<?xf32>, index) -> ()
    """
    assert not any(".nc" in line for line in instructions("%a: memref<?xf32>", body))


def test_printing_calls_the_driver_with_promoted_arguments():
    body = """
    %x = "memref.load"(%a, %t) : (memref<?xf32>, index) -> f32
    "kdsl.print"(%t, %x) <{format = "{} 100% {}"}> : (index, f32) -> ()
    """
    text = code_of(kernel("%a: memref<?xf32>", body)).text
    data = b"%lld 100%% %g\n\0"
    assert f"kdsl_text0[{len(data)}] = {{{', '.join(map(str, data))}}};" in text
    assert ".local .align 16 .b8 kdsl_local[16];" in text
    assert "cvt.f64.f32" in text
    assembled(text)


ATOMICS = [
    ("addf", "f32", 0, "red.relaxed.gpu.global.add.f32"),
    ("addi", "i64", 1, "red.relaxed.gpu.global.add.u64"),
    ("assign", "i32", 2, "atom.relaxed.gpu.global.exch.b32"),
    ("maximumf", "f32", 3, "atom.relaxed.gpu.global.cas.b32"),
    ("maxs", "i32", 4, "red.relaxed.gpu.global.max.s32"),
    ("addi", "i8", 1, "atom.relaxed.gpu.global.cas.b16"),
    ("mulf", "bf16", 9, "atom.relaxed.gpu.global.cas.b16"),
    ("addf", "bf16", 0, "red.relaxed.gpu.global.add.noftz.bf16"),
]


@pytest.mark.parametrize(("name", "element", "kind", "word"), ATOMICS)
def test_atomics_are_one_instruction_or_a_loop(name, element, kind, word):
    body = f"""
    %x = "memref.load"(%a, %t) : (memref<?x{element}>, index) -> {element}
    %y = "memref.atomic_rmw"(%x, %a, %t) <{{kind = {kind} : i64}}> : ({element}, memref<?x{element}>, index) -> {element}
    """
    found = instructions(f"%a: memref<?x{element}>", body)
    assert word in [line.split()[0] for line in found]


def test_a_bf16_sum_in_memory_is_a_loop_before_sm_90():
    body = """
    %x = "memref.load"(%a, %t) : (memref<?xbf16>, index) -> bf16
    %y = "memref.atomic_rmw"(%x, %a, %t) <{kind = 0 : i64}> : (bf16, memref<?xbf16>, index) -> bf16
    """
    found = instructions("%a: memref<?xbf16>", body, "sm_80")
    assert "atom.relaxed.gpu.global.cas.b16" in [line.split()[0] for line in found]


LARGE = '%w = "kdsl.workgroup_alloc"() : () -> memref<131072xi8, 3>'


def test_a_workgroup_that_takes_more_than_the_chip_has_is_refused():
    module = kernel("%n: index", LARGE, attributes=', ptx.schedule = "stages=8"')
    assert code_of(module, "sm_90a").kernels["k"].shared == 131072
    with pytest.raises(WorkgroupLimitError, match=r"stages=8.*131072 bytes.*ptx:sm_86 has 101376"):
        code_of(module, "sm_86")
    with pytest.raises(WorkgroupLimitError, match="2048 lanes"):
        code_of(kernel("%n: index", "", lanes=2048))
