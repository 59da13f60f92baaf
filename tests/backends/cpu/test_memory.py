"""Memory ops, control flow and launches of compiled modules against the interpreter's meaning."""

from __future__ import annotations

import numpy as np
import pytest

from kdsl.ir.interpreter import interpret
from kdsl.ir.parser import parse
from kdsl.testing.native import native_entries, run_native
from kdsl_cpu.backend import BACKEND
from kdsl_cpu.runtime import set_num_threads

CHIPS = ("native", "x86-64")


@pytest.fixture(params=CHIPS)
def compile_text(request):
    target = BACKEND.resolve(request.param)
    return lambda text: native_entries(text, BACKEND, target)


def entry(name, args, body):
    """Return a module with one entry; ``args`` maps names to types."""
    listed = ", ".join(f"%{n}: {t}" for n, t in args.items())
    types = ", ".join(args.values())
    return f""""builtin.module"() ({{
  "func.func"() ({{
  ^bb0({listed}):
{body}
    "func.return"() : () -> ()
  }}) {{sym_name = "{name}", function_type = ({types}) -> (), kdsl.entry}} : () -> ()
}}) : () -> ()"""


def both(compile_text, text, name, *arrays):
    """Run natively and in the interpreter; return both sets of arrays."""
    mine, theirs = [a.copy() for a in arrays], [a.copy() for a in arrays]
    assert run_native(compile_text(text)[name], *mine) == 0
    interpret(parse(text), name, theirs)
    return mine, theirs


@pytest.mark.parametrize("t", ["f32", "f64", "f16", "bf16", "i8", "i1", "f8E4M3FN"])
@pytest.mark.parametrize("count", [0, 1, 5, 8])
@pytest.mark.parametrize("width", [3, 8, 16])
def test_masked_access_touches_nothing_beyond_the_mask(compile_text, t, count, width):
    text = entry(
        "go",
        {"x": f"memref<?x{t}>", "y": f"memref<?x{t}>"},
        f"""
    %c0 = "arith.constant"() {{value = 0 : index}} : () -> index
    %c1 = "arith.constant"() {{value = 1 : index}} : () -> index
    %v = "vector.load"(%y, %c0) : (memref<?x{t}>, index) -> vector<{width}x{t}>
    %n = "arith.constant"() {{value = {min(count, width)} : index}} : () -> index
    %n1 = "arith.addi"(%n, %c0) : (index, index) -> index
    %m = "vector.create_mask"(%n1) : (index) -> vector<{width}xi1>
    %w = "vector.maskedload"(%x, %c1, %m, %v) : (memref<?x{t}>, index, vector<{width}xi1>, vector<{width}x{t}>) -> vector<{width}x{t}>
    "vector.maskedstore"(%y, %c1, %m, %w) : (memref<?x{t}>, index, vector<{width}xi1>, vector<{width}x{t}>) -> ()""",
    )
    dtype = parse(text).functions[0].body.args[0].type.element.numpy
    rng = np.random.default_rng(3)
    x, y = (rng.integers(0, 2, 40).astype(dtype) for _ in range(2))
    mine, theirs = both(compile_text, text, "go", x, y)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))


@pytest.mark.parametrize("t", ["f32", "f64", "i32", "bf16"])
def test_gathers_and_scatters_follow_their_lanes(compile_text, t):
    text = entry(
        "go",
        {"x": f"memref<?x{t}>", "i": "memref<?xi32>", "y": f"memref<?x{t}>"},
        f"""
    %c0 = "arith.constant"() {{value = 0 : index}} : () -> index
    %c2 = "arith.constant"() {{value = 2 : index}} : () -> index
    %c5 = "arith.constant"() {{value = 5 : index}} : () -> index
    %m = "vector.create_mask"(%c5) : (index) -> vector<8xi1>
    %l = "vector.load"(%i, %c0) : (memref<?xi32>, index) -> vector<8xi32>
    %p = "vector.load"(%y, %c0) : (memref<?x{t}>, index) -> vector<8x{t}>
    %v = "vector.gather"(%x, %c2, %l, %m, %p) : (memref<?x{t}>, index, vector<8xi32>, vector<8xi1>, vector<8x{t}>) -> vector<8x{t}>
    "vector.scatter"(%y, %c2, %l, %m, %v) : (memref<?x{t}>, index, vector<8xi32>, vector<8xi1>, vector<8x{t}>) -> ()""",
    )
    dtype = parse(text).functions[0].body.args[0].type.element.numpy
    x, y = np.arange(20).astype(dtype), np.arange(50, 70).astype(dtype)
    lanes = np.array([7, 0, -2, 3, 11, 999999, -999999, 5], np.int32)
    mine, theirs = both(compile_text, text, "go", x, lanes, y)
    np.testing.assert_array_equal(mine[2].view(np.uint8), theirs[2].view(np.uint8))


@pytest.mark.parametrize("kind", ["addi", "maxs", "minu", "muli", "ori", "assign"])
def test_integer_atomics_return_the_old_value(compile_text, kind):
    from kdsl.dialects.memref import ATOMIC_KINDS

    at = ATOMIC_KINDS.index(kind)
    text = entry(
        "go",
        {"x": "memref<?xi32>", "y": "memref<?xi32>"},
        f"""
    %c0 = "arith.constant"() {{value = 0 : index}} : () -> index
    %c1 = "arith.constant"() {{value = 1 : index}} : () -> index
    %v = "memref.load"(%x, %c1) : (memref<?xi32>, index) -> i32
    %old = "memref.atomic_rmw"(%v, %x, %c0) {{kind = {at} : i64}} : (i32, memref<?xi32>, index) -> i32
    "memref.store"(%old, %y, %c0) : (i32, memref<?xi32>, index) -> ()""",
    )
    x, y = np.array([-7, 5], np.int32), np.zeros(1, np.int32)
    mine, theirs = both(compile_text, text, "go", x, y)
    np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_array_equal(mine[1], theirs[1])


def test_tensors_have_sizes_and_strides(compile_text):
    t = "memref<?x?xf32, strided<[?, ?]>>"
    text = entry(
        "go",
        {"x": t, "y": "memref<?xf32>"},
        f"""
    %c0 = "arith.constant"() {{value = 0 : index}} : () -> index
    %c1 = "arith.constant"() {{value = 1 : index}} : () -> index
    %m = "memref.dim"(%x, %c0) : ({t}, index) -> index
    %n = "memref.dim"(%x, %c1) : ({t}, index) -> index
    "scf.for"(%c0, %m, %c1) ({{
    ^bb1(%i: index):
      "scf.for"(%c0, %n, %c1) ({{
      ^bb2(%j: index):
        %v = "memref.load"(%x, %i, %j) : ({t}, index, index) -> f32
        %row = "arith.muli"(%i, %n) : (index, index) -> index
        %at = "arith.addi"(%row, %j) : (index, index) -> index
        "memref.store"(%v, %y, %at) : (f32, memref<?xf32>, index) -> ()
        "scf.yield"() : () -> ()
      }}) : (index, index, index) -> ()
      "scf.yield"() : () -> ()
    }}) : (index, index, index) -> ()""",
    )
    x = np.arange(24, dtype=np.float32).reshape(4, 6).T[::-1, ::2]
    y = np.zeros(x.size, np.float32)
    assert run_native(compile_text(text)["go"], (x,), y) == 0
    np.testing.assert_array_equal(y.reshape(x.shape), x)


def test_loops_carry_values_and_may_run_never(compile_text):
    text = entry(
        "go",
        {"n": "index", "y": "memref<?xi64>"},
        """
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %c1 = "arith.constant"() {value = 1 : index} : () -> index
    %a = "arith.constant"() {value = 1 : i64} : () -> i64
    %b = "arith.constant"() {value = 2 : i64} : () -> i64
    %r:2 = "scf.for"(%c0, %n, %c1, %a, %b) ({
    ^bb1(%i: index, %p: i64, %q: i64):
      %odd = "arith.trunci"(%p) : (i64) -> i1
      %s = "scf.if"(%odd) ({
        %t = "arith.addi"(%p, %q) : (i64, i64) -> i64
        "scf.yield"(%t) : (i64) -> ()
      }, {
        "scf.yield"(%q) : (i64) -> ()
      }) : (i1) -> i64
      "scf.yield"(%q, %s) : (i64, i64) -> ()
    }) : (index, index, index, i64, i64) -> (i64, i64)
    "memref.store"(%r#0, %y, %c0) : (i64, memref<?xi64>, index) -> ()
    "memref.store"(%r#1, %y, %c1) : (i64, memref<?xi64>, index) -> ()""",
    )
    go = compile_text(text)["go"]
    for n in (0, 1, 2, 9):
        wanted, got = np.zeros(2, np.int64), np.zeros(2, np.int64)
        interpret(parse(text), "go", [n, wanted])
        assert run_native(go, n, got) == 0
        np.testing.assert_array_equal(got, wanted)


def test_a_while_loop_stops_when_its_condition_fails(compile_text):
    text = entry(
        "go",
        {"n": "i64", "y": "memref<?xi64>"},
        """
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %one = "arith.constant"() {value = 1 : i64} : () -> i64
    %r = "scf.while"(%one) ({
    ^bb1(%p: i64):
      %go = "arith.cmpi"(%p, %n) {predicate = 2 : i64} : (i64, i64) -> i1
      "scf.condition"(%go, %p) : (i1, i64) -> ()
    }, {
    ^bb2(%p: i64):
      %q = "arith.addi"(%p, %p) : (i64, i64) -> i64
      "scf.yield"(%q) : (i64) -> ()
    }) : (i64) -> i64
    "memref.store"(%r, %y, %c0) : (i64, memref<?xi64>, index) -> ()""",
    )
    y = np.zeros(1, np.int64)
    for n, wanted in ((0, 1), (100, 128), (128, 128)):
        assert run_native(compile_text(text)["go"], n, y) == 0
        assert y[0] == wanted


ASSERTING = """"builtin.module"() ({
  "func.func"() ({
  ^bb0(%y: memref<?xi64>, %bad: i64):
    %x = "kdsl.program_id"() {axis = 0 : i64} : () -> index
    %yi = "kdsl.program_id"() {axis = 1 : i64} : () -> index
    %z = "kdsl.program_id"() {axis = 2 : i64} : () -> index
    %nx = "kdsl.num_programs"() {axis = 0 : i64} : () -> index
    %ny = "kdsl.num_programs"() {axis = 1 : i64} : () -> index
    %a = "arith.muli"(%z, %ny) : (index, index) -> index
    %b = "arith.addi"(%a, %yi) : (index, index) -> index
    %c = "arith.muli"(%b, %nx) : (index, index) -> index
    %at = "arith.addi"(%c, %x) : (index, index) -> index
    %id = "arith.index_cast"(%at) : (index) -> i64
    %ok = "arith.cmpi"(%id, %bad) {predicate = 1 : i64} : (i64, i64) -> i1
    "cf.assert"(%ok) {msg = "bad program"} : (i1) -> ()
    "memref.store"(%id, %y, %at) : (i64, memref<?xi64>, index) -> ()
    "func.return"() : () -> ()
  }) {sym_name = "each", function_type = (memref<?xi64>, i64) -> (), kdsl.kernel} : () -> ()
  "func.func"() ({
  ^bb0(%y: memref<?xi64>, %bad: i64, %gx: index, %gy: index, %gz: index):
    "kdsl.launch"(%gx, %gy, %gz, %y, %bad) {kernel = @each} : (index, index, index, memref<?xi64>, i64) -> ()
    "func.return"() : () -> ()
  }) {sym_name = "go", function_type = (memref<?xi64>, i64, index, index, index) -> (), kdsl.entry} : () -> ()
}) : () -> ()"""


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("grid", [(1, 1, 1), (7, 1, 1), (3, 5, 4), (1, 9, 1), (2, 1, 30)])
def test_every_program_runs_once_and_knows_its_ids(compile_text, threads, grid):
    set_num_threads(threads)
    try:
        total = int(np.prod(grid))
        y = np.full(total, -1, np.int64)
        assert run_native(compile_text(ASSERTING)["go"], y, -5, *grid) == 0
        np.testing.assert_array_equal(y, np.arange(total))
    finally:
        set_num_threads(0)


def test_an_empty_grid_runs_nothing(compile_text):
    y = np.full(4, -1, np.int64)
    for grid in ((0, 1, 1), (2, 0, 2), (-3, -2, 1)):
        assert run_native(compile_text(ASSERTING)["go"], y, -5, *grid) == 0
    assert (y == -1).all()


def test_a_failed_assertion_is_status_one(compile_text):
    y = np.zeros(60, np.int64)
    assert run_native(compile_text(ASSERTING)["go"], y, 17, 3, 5, 4) == 1


WORKSPACE = """
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %w = "memref.alloc"(%n, %m) {operandSegmentSizes = array<i32: 2, 0>} : (index, index) -> memref<?x?xf32>
    %v = "memref.load"(%y, %c0) : (memref<?xf32>, index) -> f32
    "memref.store"(%v, %w, %c0, %c0) : (f32, memref<?x?xf32>, index, index) -> ()
    %u = "memref.load"(%w, %c0, %c0) : (memref<?x?xf32>, index, index) -> f32
    %s = "arith.addf"(%u, %v) : (f32, f32) -> f32
    "memref.store"(%s, %y, %c0) : (f32, memref<?xf32>, index) -> ()
    "memref.dealloc"(%w) : (memref<?x?xf32>) -> ()"""


@pytest.mark.parametrize(
    ("n", "m", "status"),
    [(3, 4, 0), (1 << 40, 1 << 20, 2), (1 << 62, 4, 2), (-1, 2, 2), (1 << 32, 1 << 32, 2)],
)
def test_a_workspace_that_cannot_be_had_is_status_two(compile_text, n, m, status):
    args = {"n": "index", "m": "index", "y": "memref<?xf32>"}
    y = np.ones(1, np.float32)
    assert run_native(compile_text(entry("go", args, WORKSPACE))["go"], n, m, y) == status
    assert y[0] == (2 if status == 0 else 1)


def test_stack_buffers_are_made_once_and_hold_vectors(compile_text):
    text = entry(
        "go",
        {"x": "memref<?xf32>", "y": "memref<?xf32>"},
        """
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %c1 = "arith.constant"() {value = 1 : index} : () -> index
    %c3 = "arith.constant"() {value = 3 : index} : () -> index
    %c8 = "arith.constant"() {value = 8 : index} : () -> index
    "scf.for"(%c0, %c3, %c1) ({
    ^bb1(%i: index):
      %b = "memref.alloca"() {operandSegmentSizes = array<i32: 0, 0>} : () -> memref<3x8xf32>
      %at = "arith.muli"(%i, %c8) : (index, index) -> index
      %v = "vector.load"(%x, %at) : (memref<?xf32>, index) -> vector<8xf32>
      "vector.store"(%v, %b, %i, %c0) : (vector<8xf32>, memref<3x8xf32>, index, index) -> ()
      %w = "vector.load"(%b, %i, %c0) : (memref<3x8xf32>, index, index) -> vector<8xf32>
      %s = "vector.reduction"(%w) {kind = #vector.kind<add>} : (vector<8xf32>) -> f32
      "memref.store"(%s, %y, %i) : (f32, memref<?xf32>, index) -> ()
      "scf.yield"() : () -> ()
    }) : (index, index, index) -> ()""",
    )
    x, y = np.arange(24, dtype=np.float32), np.zeros(3, np.float32)
    assert run_native(compile_text(text)["go"], x, y) == 0
    np.testing.assert_array_equal(y, x.reshape(3, 8).sum(axis=1))


def test_printing_goes_to_standard_output(compile_text, capfd):
    text = entry(
        "go",
        {"n": "i32", "y": "memref<?xf32>"},
        """
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %v = "vector.load"(%y, %c0) : (memref<?xf32>, index) -> vector<3xf32>
    "kdsl.print"(%n, %v) {format = "n={} 100% v={}"} : (i32, vector<3xf32>) -> ()""",
    )
    assert run_native(compile_text(text)["go"], -4, np.float32([1, 2.5, -3])) == 0
    assert capfd.readouterr().out == "n=-4 100% v=[1 2.5 -3]\n"


SHUFFLING = """
    %c0 = "arith.constant"() {value = 0 : index} : () -> index
    %a = "vector.load"(%x, %c0) : (memref<?xf32>, index) -> vector<4xf32>
    %c4 = "arith.constant"() {value = 4 : index} : () -> index
    %b = "vector.load"(%x, %c4) : (memref<?xf32>, index) -> vector<6xf32>
    %s = "vector.shuffle"(%a, %b) {mask = [9 : i64, 0 : i64, 4 : i64, 3 : i64, 5 : i64]} : (vector<4xf32>, vector<6xf32>) -> vector<5xf32>
    "vector.store"(%s, %y, %c0) : (vector<5xf32>, memref<?xf32>, index) -> ()
    %i = "vector.interleave"(%a, %a) : (vector<4xf32>, vector<4xf32>) -> vector<8xf32>
    %c8 = "arith.constant"() {value = 8 : index} : () -> index
    "vector.store"(%i, %y, %c8) : (vector<8xf32>, memref<?xf32>, index) -> ()
    %e, %o = "vector.deinterleave"(%b) : (vector<6xf32>) -> (vector<3xf32>, vector<3xf32>)
    %d = "arith.subf"(%e, %o) : (vector<3xf32>, vector<3xf32>) -> vector<3xf32>
    %c16 = "arith.constant"() {value = 16 : index} : () -> index
    "vector.store"(%d, %y, %c16) : (vector<3xf32>, memref<?xf32>, index) -> ()
    %l = "vector.extractelement"(%b, %c4) : (vector<6xf32>, index) -> f32
    %n = "vector.insertelement"(%l, %a, %c0) : (f32, vector<4xf32>, index) -> vector<4xf32>
    %w = "vector.broadcast"(%l) : (f32) -> vector<4xf32>
    %p = "arith.mulf"(%n, %w) : (vector<4xf32>, vector<4xf32>) -> vector<4xf32>
    %c20 = "arith.constant"() {value = 20 : index} : () -> index
    "vector.store"(%p, %y, %c20) : (vector<4xf32>, memref<?xf32>, index) -> ()"""


def test_lanes_are_rearranged_as_stated(compile_text):
    text = entry("go", {"x": "memref<?xf32>", "y": "memref<?xf32>"}, SHUFFLING)
    x = np.arange(1, 11, dtype=np.float32) ** 2
    mine, theirs = both(compile_text, text, "go", x, np.zeros(24, np.float32))
    np.testing.assert_array_equal(mine[1], theirs[1])


@pytest.mark.parametrize("width", [1, 3, 8, 16])
@pytest.mark.parametrize(
    ("t", "kinds"),
    [
        ("f32", ["add", "mul", "maxnumf", "minnumf", "maximumf", "minimumf"]),
        ("bf16", ["add", "maximumf"]),
        ("i32", ["add", "mul", "minsi", "maxsi", "minui", "maxui", "and", "or", "xor"]),
    ],
)
def test_reductions_combine_all_lanes(compile_text, t, kinds, width):
    lines = [
        f"""
    %i{n} = "arith.constant"() {{value = {n} : index}} : () -> index
    %r{n} = "vector.reduction"(%v) {{kind = #vector.kind<{kind}>}} : (vector<{width}x{t}>) -> {t}
    "memref.store"(%r{n}, %y, %i{n}) : ({t}, memref<?x{t}>, index) -> ()"""
        for n, kind in enumerate(kinds)
    ]
    start = f"""
    %c0 = "arith.constant"() {{value = 0 : index}} : () -> index
    %v = "vector.load"(%x, %c0) : (memref<?x{t}>, index) -> vector<{width}x{t}>"""
    text = entry("go", {"x": f"memref<?x{t}>", "y": f"memref<?x{t}>"}, start + "".join(lines))
    dtype = parse(text).functions[0].body.args[0].type.element.numpy
    x = np.array([3, 1, 2, 5, 1, 2, 1, 1, 4, 1, 1, 2, 1, 3, 1, 1]).astype(dtype)
    mine, theirs = both(compile_text, text, "go", x, np.zeros(len(kinds), dtype))
    np.testing.assert_array_equal(mine[1], theirs[1])
