from __future__ import annotations

import pytest

from kdsl.testing.filecheck import filecheck

ARGS = "%x: f32, %a: i32, %b: i32, %n: index, %m: memref<?xf32>, %k: memref<?xi32>"


def loop(inside):
    return f"""
      %z = "arith.constant"() {{value = 0 : index}} : () -> index
      %o = "arith.constant"() {{value = 1 : index}} : () -> index
      "scf.for"(%z, %n, %o) ({{
      ^bb0(%i: index):
        {inside}
        "scf.yield"() : () -> ()
      }}) : (index, index, index) -> ()"""


STORE = '"memref.store"(%r, %k, %i) : (i32, memref<?xi32>, index) -> ()'


def test_chains_of_pure_ops_leave_the_loop(after):
    inside = """
        %s = "arith.mulf"(%x, %x) : (f32, f32) -> f32
        %t = "math.exp2"(%s) : (f32) -> f32
        "memref.store"(%t, %m, %i) : (f32, memref<?xf32>, index) -> ()"""
    filecheck(
        after("licm", ARGS, loop(inside)),
        """
        CHECK: "arith.mulf"
        CHECK: "math.exp2"
        CHECK: "scf.for"
        CHECK: "memref.store"
        """,
    )


def test_what_depends_on_the_counter_stays(after):
    inside = (
        """
        %s = "arith.index_cast"(%i) : (index) -> i32
        %r = "arith.addi"(%s, %a) : (i32, i32) -> i32
        """
        + STORE
    )
    filecheck(after("licm", ARGS, loop(inside)), 'CHECK: "scf.for"\nCHECK: "arith.addi"')


def test_loads_stay_because_the_loop_may_write(after):
    inside = (
        """
        %r = "memref.load"(%k, %z) : (memref<?xi32>, index) -> i32
        """
        + STORE
    )
    filecheck(after("licm", ARGS, loop(inside)), 'CHECK: "scf.for"\nCHECK: "memref.load"')


@pytest.mark.parametrize("op", ["divsi", "divui", "remsi", "remui", "floordivsi", "ceildivsi"])
def test_a_division_by_something_unknown_stays(after, op):
    inside = f'%r = "arith.{op}"(%a, %b) : (i32, i32) -> i32\n{STORE}'
    filecheck(after("licm", ARGS, loop(inside)), f'CHECK: "scf.for"\nCHECK: "arith.{op}"')


@pytest.mark.parametrize(("divisor", "leaves"), [(3, True), (0, False), (-1, False)])
def test_a_division_by_a_constant_leaves_when_it_cannot_trap(after, divisor, leaves):
    inside = f"""
        %d = "arith.constant"() {{value = {divisor} : i32}} : () -> i32
        %r = "arith.divsi"(%a, %d) : (i32, i32) -> i32
        {STORE}"""
    order = ('"arith.divsi"', '"scf.for"') if leaves else ('"scf.for"', '"arith.divsi"')
    filecheck(after("licm", ARGS, loop(inside)), "".join(f"CHECK: {each}\n" for each in order))


def test_work_leaves_all_loops_that_it_can(after):
    inside = (
        loop(
            """
        %r = "arith.muli"(%a, %a) : (i32, i32) -> i32
        """
            + STORE
        )
        .replace("%i", "%j")
        .replace("%z", "%z2")
        .replace("%o", "%o2")
    )
    filecheck(
        after("licm", ARGS, loop(inside)),
        'CHECK: "arith.muli"\nCHECK: "scf.for"\nCHECK: "scf.for"',
    )


def test_a_branch_without_effects_leaves_as_a_whole(after):
    inside = f"""
        %c = "arith.cmpi"(%a, %b) {{predicate = 2 : i64}} : (i32, i32) -> i1
        %r = "scf.if"(%c) ({{
          %s = "arith.addi"(%a, %b) : (i32, i32) -> i32
          "scf.yield"(%s) : (i32) -> ()
        }}, {{
          "scf.yield"(%a) : (i32) -> ()
        }}) : (i1) -> i32
        {STORE}"""
    filecheck(after("licm", ARGS, loop(inside)), 'CHECK: "scf.if"\nCHECK: "scf.for"')


def test_a_branch_that_guards_a_division_stays(after):
    inside = f"""
        %c = "arith.cmpi"(%a, %b) {{predicate = 2 : i64}} : (i32, i32) -> i1
        %r = "scf.if"(%c) ({{
          %s = "arith.divsi"(%a, %b) : (i32, i32) -> i32
          "scf.yield"(%s) : (i32) -> ()
        }}, {{
          "scf.yield"(%a) : (i32) -> ()
        }}) : (i1) -> i32
        {STORE}"""
    filecheck(after("licm", ARGS, loop(inside)), 'CHECK: "scf.for"\nCHECK: "scf.if"')


def test_a_loop_by_an_unknown_step_stays_because_it_may_never_end(after):
    inside = f"""
        %r = "scf.for"(%z, %n, %n, %a) ({{
        ^bb1(%j: index, %v: i32):
          %w = "arith.addi"(%v, %b) : (i32, i32) -> i32
          "scf.yield"(%w) : (i32) -> ()
        }}) : (index, index, index, i32) -> i32
        {STORE}"""
    filecheck(after("licm", ARGS, loop(inside)), 'CHECK: "scf.for"(%z\nCHECK: "scf.for"')


def test_both_parts_of_a_while_are_emptied_of_what_does_not_change(after):
    body = """
      %y = "scf.while"(%a) ({
      ^bb0(%v: i32):
        %l = "arith.muli"(%b, %b) : (i32, i32) -> i32
        %c = "arith.cmpi"(%v, %l) {predicate = 2 : i64} : (i32, i32) -> i1
        "scf.condition"(%c, %v) : (i1, i32) -> ()
      }, {
      ^bb1(%w: i32):
        %s = "arith.xori"(%b, %a) : (i32, i32) -> i32
        %t = "arith.addi"(%w, %s) : (i32, i32) -> i32
        "scf.yield"(%t) : (i32) -> ()
      }) : (i32) -> i32"""
    filecheck(
        after("licm", ARGS, body, "%y: i32"),
        'CHECK: "arith.muli"\nCHECK: "arith.xori"\nCHECK: "scf.while"',
    )
