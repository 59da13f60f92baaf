from __future__ import annotations

from kdsl.testing.filecheck import filecheck

ARGS = "%c: i1, %x: f32, %a: i32, %b: i32, %m: memref<f32>"


def branch(then, otherwise, kind="f32"):
    return f"""
      %y = "scf.if"(%c) ({{
        {then}
        "scf.yield"(%t) : ({kind}) -> ()
      }}, {{
        {otherwise}
        "scf.yield"(%e) : ({kind}) -> ()
      }}) : (i1) -> {kind}"""


def test_a_branch_of_pure_work_becomes_a_choice(after):
    body = branch(
        '%t = "arith.addf"(%x, %x) : (f32, f32) -> f32',
        '%e = "arith.mulf"(%x, %x) : (f32, f32) -> f32',
    )
    filecheck(
        after("if-convert", ARGS, body, "%y: f32"),
        """
        CHECK: %[[T:.*]] = "arith.addf"
        CHECK: %[[E:.*]] = "arith.mulf"
        CHECK: "arith.select"(%c, %[[T]], %[[E]])
        CHECK-NOT: scf.if
        """,
    )


def test_nested_branches_become_choices_from_the_inside(after):
    inner = branch('%t = "math.exp2"(%x) : (f32) -> f32', '%e = "math.log2"(%x) : (f32) -> f32')
    outer = f"""
      %z = "scf.if"(%c) ({{
        {inner}
        "scf.yield"(%y) : (f32) -> ()
      }}, {{
        "scf.yield"(%x) : (f32) -> ()
      }}) : (i1) -> f32"""
    text = after("if-convert", ARGS, outer, "%z: f32")
    assert "scf.if" not in text
    assert text.count("arith.select") == 2


def test_a_branch_that_loads_stays(after):
    body = branch(
        '%t = "memref.load"(%m) : (memref<f32>) -> f32',
        '%e = "arith.mulf"(%x, %x) : (f32, f32) -> f32',
    )
    assert "scf.if" in after("if-convert", ARGS, body, "%y: f32")


def test_a_branch_that_guards_a_division_stays(after):
    body = branch(
        '%t = "arith.divsi"(%a, %b) : (i32, i32) -> i32',
        '%e = "arith.addi"(%a, %b) : (i32, i32) -> i32',
        "i32",
    )
    assert "scf.if" in after("if-convert", ARGS, body, "%y: i32")


def test_a_branch_without_results_stays(after):
    body = """
      "scf.if"(%c) ({
        "memref.store"(%x, %m) : (f32, memref<f32>) -> ()
        "scf.yield"() : () -> ()
      }, {}) : (i1) -> ()"""
    assert "scf.if" in after("if-convert", ARGS, body)


def test_a_large_branch_stays(after):
    chain = "\n".join(
        f'%v{i} = "arith.addf"({"%x" if i == 0 else f"%v{i - 1}"}, %x) : (f32, f32) -> f32'
        for i in range(6)
    )
    body = branch(
        chain + '\n%t = "arith.addf"(%v5, %x) : (f32, f32) -> f32',
        '%e = "arith.addf"(%x, %x) : (f32, f32) -> f32',
    )
    assert "scf.if" in after("if-convert{max-ops=7}", ARGS, body, "%y: f32")
    assert "scf.if" not in after("if-convert{max-ops=8}", ARGS, body, "%y: f32")
