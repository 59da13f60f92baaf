"""Memory ops of every element type: they emit, and ptxas takes them."""

from __future__ import annotations

import pytest

from kdsl.dialects.memref import ATOMIC_KINDS
from tests.backends.ptx.modules import assembled, code_of, kernel

ELEMENTS = (
    "i1", "i8", "i16", "i32", "i64", "index", "f16", "bf16", "f32", "f64", "f8E4M3FN", "f8E5M2",
)  # fmt: skip
WIDTHS = (1, 3, 4, 8)
SPACES = ("", ", 3")


def body_of(element, n, space):
    buffer = f"memref<64x{element}, 3>" if space else f"memref<?x{element}>"
    source = f'%w = "kdsl.workgroup_alloc"() : () -> memref<64x{element}, 3>'
    name = "%w" if space else "%a"
    v, mask, lanes = f"vector<{n}x{element}>", f"vector<{n}xi1>", f"vector<{n}xi32>"
    return f"""
    {source if space else ""}
    %m = "vector.create_mask"(%n) : (index) -> {mask}
    %x = "vector.load"({name}, %t) : ({buffer}, index) -> {v}
    %y = "vector.maskedload"({name}, %t, %m, %x) : ({buffer}, index, {mask}, {v}) -> {v}
    %i = "arith.extui"(%m) : ({mask}) -> {lanes}
    %z = "vector.gather"({name}, %t, %i, %m, %y) : ({buffer}, index, {lanes}, {mask}, {v}) -> {v}
    "vector.scatter"({name}, %t, %i, %m, %z) : ({buffer}, index, {lanes}, {mask}, {v}) -> ()
    "vector.maskedstore"({name}, %t, %m, %y) : ({buffer}, index, {mask}, {v}) -> ()
    "vector.store"(%z, {name}, %t) <{{alignment = 16 : i64}}> : ({v}, {buffer}, index) -> ()
    """


@pytest.mark.parametrize("space", SPACES, ids=["global", "workgroup"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_vectors_of_every_type_move_in_and_out(element, space):
    for n in WIDTHS:
        args = f"%a: memref<?x{element}>, %n: index"
        assembled(code_of(kernel(args, body_of(element, n, space))).text)


def atomics_of(element):
    floating = element.startswith(("f", "b"))
    return [k for k in ATOMIC_KINDS if k == "assign" or k.endswith("f") == floating]


@pytest.mark.parametrize("chip", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("space", SPACES, ids=["global", "workgroup"])
@pytest.mark.parametrize("element", ["i1", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64"])
def test_every_atomic_update_assembles_with_and_without_its_result(element, space, chip):
    buffer = f"memref<64x{element}, 3>" if space else f"memref<?x{element}>"
    name = "%w" if space else "%a"
    lines = [f'%w = "kdsl.workgroup_alloc"() : () -> {buffer}'] if space else []
    lines.append(f'%x = "memref.load"({name}, %t) : ({buffer}, index) -> {element}')
    for number, kind in enumerate(ATOMIC_KINDS):
        if kind not in atomics_of(element):
            continue
        update = f'"memref.atomic_rmw"(%x, {name}, %t) <{{kind = {number} : i64}}>'
        types = f"({element}, {buffer}, index) -> {element}"
        lines += [f"%u{number} = {update} : {types}", f"%v{number} = {update} : {types}"]
        store = f'"memref.store"(%v{number}, {name}, %t) : ({element}, {buffer}, index) -> ()'
        lines.append(store)
    args = f"%a: memref<?x{element}>, %n: index"
    text = code_of(kernel(args, "\n    ".join(lines)), chip).text
    assert "atom." in text
    assembled(text, chip)


PAIRS = """
    %x = "vector.load"(%a, %t) <{{alignment = 16 : i64}}> : (memref<?x{0}>, index) -> vector<8x{0}>
    %y = "vector.load"(%a, %n) <{{alignment = 16 : i64}}> : (memref<?x{0}>, index) -> vector<8x{0}>
    %1 = "arith.addf"(%x, %y) : (vector<8x{0}>, vector<8x{0}>) -> vector<8x{0}>
    %2 = "arith.subf"(%1, %y) : (vector<8x{0}>, vector<8x{0}>) -> vector<8x{0}>
    %3 = "arith.mulf"(%2, %y) : (vector<8x{0}>, vector<8x{0}>) -> vector<8x{0}>
    %4 = "math.fma"(%3, %y, %x) : (vector<8x{0}>, vector<8x{0}>, vector<8x{0}>) -> vector<8x{0}>
    %5 = "arith.maximumf"(%4, %y) : (vector<8x{0}>, vector<8x{0}>) -> vector<8x{0}>
    %6 = "arith.minnumf"(%5, %y) : (vector<8x{0}>, vector<8x{0}>) -> vector<8x{0}>
    %7 = "arith.negf"(%6) : (vector<8x{0}>) -> vector<8x{0}>
    %8 = "math.absf"(%7) : (vector<8x{0}>) -> vector<8x{0}>
    %9 = "arith.divf"(%8, %x) : (vector<8x{0}>, vector<8x{0}>) -> vector<8x{0}>
    "vector.store"(%9, %a, %t) <{{alignment = 16 : i64}}> : (vector<8x{0}>, memref<?x{0}>, index) -> ()
"""


@pytest.mark.parametrize("chip", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("element", ["f16", "bf16"])
def test_half_floats_are_computed_in_pairs(element, chip):
    text = code_of(kernel(f"%a: memref<?x{element}>, %n: index", PAIRS.format(element)), chip).text
    assert text.count(f".{element}x2 %") >= 6 * 4
    assembled(text, chip)


def test_a_lanes_own_buffer_is_local_memory():
    body = """
    %b = "memref.alloca"() <{operandSegmentSizes = array<i32: 0, 0>, alignment = 16 : i64}> : () -> memref<16xf32>
    %c3 = "arith.constant"() <{value = 3 : index}> : () -> index
    %x = "memref.load"(%a, %t) : (memref<?xf32>, index) -> f32
    "memref.store"(%x, %b, %n) : (f32, memref<16xf32>, index) -> ()
    %y = "memref.load"(%b, %c3) : (memref<16xf32>, index) -> f32
    "memref.store"(%y, %a, %t) : (f32, memref<?xf32>, index) -> ()
    "memref.prefetch"(%a, %t) <{isWrite = false, localityHint = 3 : i32, isDataCache = true}> : (memref<?xf32>, index) -> ()
    """
    text = code_of(kernel("%a: memref<?xf32>, %n: index", body)).text
    assert ".local .align 16 .b8 kdsl_local[64];" in text
    assert "st.local.b32" in text
    assert "prefetch.global.L1" in text
    assembled(text)


COPIES = """
    %w = "kdsl.workgroup_alloc"() : () -> memref<128x8xbf16, 3>
    %z = "arith.constant"() <{value = 0 : index}> : () -> index
    %p = "arith.cmpi"(%t, %n) <{predicate = 2 : i64}> : (index, index) -> i1
    "kdsl.copy_async"(%a, %w, %p, %t, %t, %z) <{bytes = 16 : i64}> : (memref<?xbf16>, memref<128x8xbf16, 3>, i1, index, index, index) -> ()
    "kdsl.copy_commit"() : () -> ()
    "kdsl.copy_wait"() <{pending = 0 : i64}> : () -> ()
    "gpu.barrier"() : () -> ()
    %x = "kdsl.load_matrix"(%w, %t, %z) <{count = 4 : i64}> : (memref<128x8xbf16, 3>, index, index) -> vector<8xbf16>
    %y = "kdsl.load_matrix"(%w, %t, %z) <{count = 2 : i64, transpose = true}> : (memref<128x8xbf16, 3>, index, index) -> vector<4xbf16>
    %c = "arith.constant"() <{value = dense<0.0> : vector<4xf32>}> : () -> vector<4xf32>
    %d = "kdsl.matrix_multiply"(%x, %y, %c) <{atom = "mma.m16n8k16"}> : (vector<8xbf16>, vector<4xbf16>, vector<4xf32>) -> vector<4xf32>
    "vector.store"(%d, %o, %t) : (vector<4xf32>, memref<?xf32>, index) -> ()
"""


@pytest.mark.parametrize("chip", ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"])
def test_copies_on_the_side_matrix_loads_and_products_assemble(chip):
    args = "%a: memref<?xbf16>, %o: memref<?xf32>, %n: index"
    text = code_of(kernel(args, COPIES), chip).text
    for line in (
        "selp.b32 %r4, 16, 0, %p1;",
        "cp.async.cg.shared.global [%r3], [%d8], 16, %r4;",
        "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
    ):
        assert line in text
    assembled(text, chip)


ATOMS = [
    ("mma.m16n8k16", "f16", 8, 4, "f32", "sm_80"),
    ("mma.m16n8k8", "f32", 4, 2, "f32", "sm_80"),
    ("mma.m16n8k32.i8", "i8", 16, 8, "i32", "sm_80"),
    ("mma.m16n8k32.f8", "f8E4M3FN", 16, 8, "f32", "sm_89"),
    ("mma.m16n8k32.f8", "f8E5M2", 16, 8, "f32", "sm_90a"),
]


@pytest.mark.parametrize(("atom", "element", "a", "b", "acc", "chip"), ATOMS)
def test_each_atom_is_one_instruction(atom, element, a, b, acc, chip):
    left, right, sums = f"vector<{a}x{element}>", f"vector<{b}x{element}>", f"vector<4x{acc}>"
    body = f"""
    %x = "vector.load"(%a, %t) : (memref<?x{element}>, index) -> {left}
    %y = "vector.load"(%a, %n) : (memref<?x{element}>, index) -> {right}
    %c = "vector.load"(%o, %t) : (memref<?x{acc}>, index) -> {sums}
    %d = "kdsl.matrix_multiply"(%x, %y, %c) <{{atom = "{atom}"}}> : ({left}, {right}, {sums}) -> {sums}
    "vector.store"(%d, %o, %t) : ({sums}, memref<?x{acc}>, index) -> ()
    """
    text = code_of(
        kernel(f"%a: memref<?x{element}>, %o: memref<?x{acc}>, %n: index", body), chip
    ).text
    assert text.count("mma.sync.aligned") == 1
    assembled(text, chip)
