from __future__ import annotations

import pytest

from kdsl.testing.filecheck import filecheck


def c(name, value, kind):
    return f'  %{name} = "arith.constant"() {{value = {value}}} : () -> {kind}\n'


def test_two_added_constants_become_one(after):
    body = (
        c("c", "3 : i32", "i32")
        + c("d", "4 : i32", "i32")
        + """
      %a = "arith.addi"(%x, %c) : (i32, i32) -> i32
      %y = "arith.addi"(%a, %d) : (i32, i32) -> i32"""
    )
    filecheck(
        after("canonicalize", "%x: i32", body, "%y: i32"),
        """
        CHECK: %[[C:.*]] = "arith.constant"() {value = 7 : i32}
        CHECK: %[[Y:.*]] = "arith.addi"(%x, %[[C]])
        CHECK-NOT: arith.addi
        """,
    )


def test_added_constants_wrap_around_in_vectors_too(after):
    kind = "vector<4xi32>"
    body = (
        c("c", f"dense<2147483647> : {kind}", kind)
        + c("d", f"dense<1> : {kind}", kind)
        + f"""
      %a = "arith.addi"(%x, %c) : ({kind}, {kind}) -> {kind}
      %y = "arith.addi"(%a, %d) : ({kind}, {kind}) -> {kind}"""
    )
    text = after("canonicalize", f"%x: {kind}", body, f"%y: {kind}")
    assert "dense<-2147483648>" in text


def test_added_truths_are_left_alone(after):
    body = (
        c("t", "true", "i1")
        + """
      %a = "arith.addi"(%x, %t) : (i1, i1) -> i1
      %y = "arith.addi"(%a, %t) : (i1, i1) -> i1"""
    )
    text = after("canonicalize", "%x: i1", body, "%y: i1")
    assert text.count("arith.addi") == 2


def test_two_factors_become_one(after):
    body = (
        c("c", "3 : i32", "i32")
        + c("d", "5 : i32", "i32")
        + """
      %a = "arith.muli"(%c, %x) : (i32, i32) -> i32
      %y = "arith.muli"(%d, %a) : (i32, i32) -> i32"""
    )
    filecheck(
        after("canonicalize", "%x: i32", body, "%y: i32"),
        """
        CHECK: %[[C:.*]] = "arith.constant"() {value = 15 : i32}
        CHECK: "arith.muli"(%x, %[[C]])
        CHECK-NOT: arith.muli
        """,
    )


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ('%y = "arith.subi"(%x, %x) : (i32, i32) -> i32', "value = 0 : i32"),
        (
            """%a = "arith.addi"(%x, %z) : (i32, i32) -> i32
               %y = "arith.subi"(%a, %x) : (i32, i32) -> i32""",
            '"func.return"(%z)',
        ),
        (
            """%a = "arith.addi"(%z, %x) : (i32, i32) -> i32
               %y = "arith.subi"(%a, %x) : (i32, i32) -> i32""",
            '"func.return"(%z)',
        ),
    ],
)
def test_what_is_subtracted_from_itself_goes(after, body, kept):
    text = after("canonicalize", "%x: i32, %z: i32", body, "%y: i32")
    assert kept in text
    assert "arith.subi" not in text


def test_floats_are_not_subtracted_from_themselves_because_of_nan(after):
    body = '%y = "arith.subf"(%x, %x) : (f32, f32) -> f32'
    assert "arith.subf" in after("canonicalize", "%x: f32", body, "%y: f32")


def test_adding_zero_to_a_float_stays_because_of_minus_zero(after):
    body = c("z", "0.0 : f32", "f32") + '%y = "arith.addf"(%x, %z) : (f32, f32) -> f32'
    assert "arith.addf" in after("canonicalize", "%x: f32", body, "%y: f32")


@pytest.mark.parametrize(
    ("predicate", "holds"), [(0, "true"), (2, "false"), (3, "true"), (8, "false")]
)
def test_an_integer_compared_with_itself_is_known(after, predicate, holds):
    body = f'%y = "arith.cmpi"(%x, %x) {{predicate = {predicate} : i64}} : (i32, i32) -> i1'
    assert f"value = {holds}" in after("canonicalize", "%x: i32", body, "%y: i1")


def test_a_float_compared_with_itself_is_not_known(after):
    body = '%y = "arith.cmpf"(%x, %x) {predicate = 1 : i64} : (f32, f32) -> i1'
    assert "arith.cmpf" in after("canonicalize", "%x: f32", body, "%y: i1")


def test_choosing_between_truth_and_falsehood_is_the_condition(after):
    body = c("t", "true", "i1") + c("n", "false", "i1")
    body += '%y = "arith.select"(%x, %t, %n) : (i1, i1, i1) -> i1'
    assert '"func.return"(%x)' in after("canonicalize", "%x: i1", body, "%y: i1")


def test_choosing_between_falsehood_and_truth_is_the_negation(after):
    body = c("t", "true", "i1") + c("n", "false", "i1")
    body += '%y = "arith.select"(%x, %n, %t) : (i1, i1, i1) -> i1'
    text = after("canonicalize", "%x: i1", body, "%y: i1")
    assert "arith.xori" in text
    assert "arith.select" not in text


def test_a_negated_condition_swaps_the_choices(after):
    body = (
        c("t", "true", "i1")
        + """
      %n = "arith.xori"(%x, %t) : (i1, i1) -> i1
      %y = "arith.select"(%n, %a, %b) : (i1, f32, f32) -> f32"""
    )
    text = after("canonicalize", "%x: i1, %a: f32, %b: f32", body, "%y: f32")
    filecheck(text, 'CHECK: "arith.select"(%x, %b, %a)')
    assert "arith.xori" not in text


def test_narrowing_what_was_widened_is_nothing(after):
    body = """%w = "arith.extf"(%x) : (bf16) -> f32
      %y = "arith.truncf"(%w) : (f32) -> bf16"""
    assert '"func.return"(%x)' in after("canonicalize", "%x: bf16", body, "%y: bf16")


def test_narrowing_to_another_type_stays(after):
    body = """%w = "arith.extf"(%x) : (bf16) -> f32
      %y = "arith.truncf"(%w) : (f32) -> f16"""
    assert "arith.truncf" in after("canonicalize", "%x: bf16", body, "%y: f16")


def test_broadcasts_are_joined(after):
    body = """
      %a = "kdsl.broadcast"(%x) {dims = array<i64: 1>} : (tensor<4xf32>) -> tensor<8x4xf32>
      %y = "kdsl.broadcast"(%a) {dims = array<i64: 0, 2>} : (tensor<8x4xf32>) -> tensor<8x2x4xf32>"""
    filecheck(
        after("canonicalize", "%x: tensor<4xf32>", body, "%y: tensor<8x2x4xf32>"),
        """
        CHECK: "kdsl.broadcast"(%x) {dims = array<i64: 2>}
        CHECK-NOT: kdsl.broadcast
        """,
    )


def test_a_transpose_that_moves_nothing_goes(after):
    body = """%y = "kdsl.transpose"(%x) {permutation = array<i64: 0, 1>}
        : (tensor<4x8xf32>) -> tensor<4x8xf32>"""
    text = after("canonicalize", "%x: tensor<4x8xf32>", body, "%y: tensor<4x8xf32>")
    assert "kdsl.transpose" not in text


BRANCH = """
  %y = "scf.if"(%c) ({
    %a = "arith.addf"(%x, %x) : (f32, f32) -> f32
    "scf.yield"(%a) : (f32) -> ()
  }, {
    "scf.yield"(%x) : (f32) -> ()
  }) : (i1) -> f32"""


def test_a_branch_on_a_constant_is_the_chosen_block(after):
    text = after("canonicalize", "%x: f32", c("c", "true", "i1") + BRANCH, "%y: f32")
    assert "scf.if" not in text
    assert "arith.addf" in text
    text = after("canonicalize", "%x: f32", c("c", "false", "i1") + BRANCH, "%y: f32")
    assert '"func.return"(%x)' in text


def test_a_branch_on_something_unknown_stays(after):
    assert "scf.if" in after("canonicalize", "%x: f32, %c: i1", BRANCH, "%y: f32")


def test_an_empty_branch_goes(after):
    body = """"scf.if"(%c) ({ "scf.yield"() : () -> () }, {}) : (i1) -> ()"""
    assert "scf.if" not in after("canonicalize", "%c: i1", body)


def loop(lower, upper, step):
    bounds = c("l", f"{lower} : index", "index") + c("u", f"{upper} : index", "index")
    return (
        bounds
        + c("s", f"{step} : index", "index")
        + """
  %y = "scf.for"(%l, %u, %s, %x) ({
  ^bb0(%i: index, %v: f32):
    %w = "memref.load"(%m, %i) : (memref<?xf32>, index) -> f32
    %z = "arith.addf"(%v, %w) : (f32, f32) -> f32
    "scf.yield"(%z) : (f32) -> ()
  }) : (index, index, index, f32) -> f32"""
    )


LOOP_ARGS = "%x: f32, %m: memref<?xf32>"


def test_a_loop_that_never_runs_gives_its_inits(after):
    assert '"func.return"(%x)' in after("canonicalize", LOOP_ARGS, loop(4, 4, 1), "%y: f32")


def test_a_loop_that_runs_once_is_its_body(after):
    text = after("canonicalize", LOOP_ARGS, loop(4, 7, 3), "%y: f32")
    filecheck(
        text,
        """
        CHECK: %[[L:.*]] = "arith.constant"() {value = 4 : index}
        CHECK: "memref.load"(%m, %[[L]])
        """,
    )
    assert "scf.for" not in text


def test_a_loop_that_runs_twice_stays(after):
    assert "scf.for" in after("canonicalize", LOOP_ARGS, loop(4, 8, 3), "%y: f32")


def test_a_loop_without_end_is_not_counted(after):
    assert "scf.for" in after("canonicalize", LOOP_ARGS, loop(0, 1, 0), "%y: f32")


def carried(yields, results="%y"):
    return f"""
  %y:3 = "scf.for"(%l, %u, %l, %a, %b, %c) ({{
  ^bb0(%i: index, %v: f32, %w: f32, %t: f32):
    %n = "arith.addf"(%v, %w) : (f32, f32) -> f32
    "scf.yield"({yields}) : (f32, f32, f32) -> ()
  }}) : (index, index, index, f32, f32, f32) -> (f32, f32, f32)"""


CARRIED_ARGS = "%l: index, %u: index, %a: f32, %b: f32, %c: f32"


def test_what_a_loop_only_passes_on_is_not_carried(after):
    text = after("canonicalize", CARRIED_ARGS, carried("%n, %w, %n"), "%y#0: f32, %y#1: f32")
    filecheck(text, 'CHECK: %[[Y:.*]] = "scf.for"(%l, %u, %l, %a) ({')
    filecheck(text, 'CHECK: "arith.addf"(%{{.*}}, %b)')
    filecheck(text, 'CHECK: "func.return"(%{{.*}}, %b)')


def test_what_nobody_reads_is_not_carried(after):
    text = after("canonicalize", CARRIED_ARGS, carried("%n, %n, %w"), "%y#0: f32, %y#1: f32")
    filecheck(text, 'CHECK: "scf.for"(%l, %u, %l, %a, %b) ({')


def test_carried_values_that_change_places_stay(after):
    text = after("canonicalize", CARRIED_ARGS, carried("%w, %v, %n"), "%y#0: f32, %y#1: f32")
    filecheck(text, 'CHECK: "scf.for"(%l, %u, %l, %a, %b) ({')


def test_ops_inside_an_erased_branch_are_not_looked_at_again(after):
    body = (
        c("f", "false", "i1")
        + """
      %p = "arith.cmpf"(%x, %x) {predicate = 2 : i64} : (f32, f32) -> i1
      "scf.if"(%f) ({
        %q = "arith.cmpf"(%x, %x) {predicate = 3 : i64} : (f32, f32) -> i1
        "scf.if"(%q) ({
          "memref.store"(%x, %m) : (f32, memref<f32>) -> ()
          "scf.yield"() : () -> ()
        }, {}) : (i1) -> ()
        "scf.yield"() : () -> ()
      }, {}) : (i1) -> ()"""
    )
    assert "memref.store" not in after("canonicalize", "%x: f32, %m: memref<f32>", body)
