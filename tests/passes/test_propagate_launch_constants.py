"""What every launch passes is known inside of the kernel."""

from __future__ import annotations

import pytest

from kdsl.library.attention import attention
from kdsl.library.rope_attention import rope_attention, rope_attention_prefill
from kdsl.passes.manager import parse_pipeline, run_pipeline

KERNEL = """  "func.func"() ({
  ^bb0(%x: memref<?xf32>, %n: i32, %c: f32):
    %i = "arith.index_cast"(%n) : (i32) -> index
    %q = "arith.constant"() {value = 8 : i32} : () -> i32
    %d = "arith.ceildivsi"(%n, %q) : (i32, i32) -> i32
    %e = "arith.index_cast"(%d) : (i32) -> index
    "memref.store"(%c, %x, %i) : (f32, memref<?xf32>, index) -> ()
    "memref.store"(%c, %x, %e) : (f32, memref<?xf32>, index) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?xf32>, i32, f32) -> (), kdsl.kernel, sym_name = "k"} : () -> ()
"""
ENTRY = """  "func.func"() ({{
  ^bb0(%x: memref<?xf32>, %y: memref<?xf32>, %s: f32):
    %z = "arith.constant"() {{value = 0 : index}} : () -> index
    %one = "arith.constant"() {{value = 1 : index}} : () -> index
    %four = "arith.constant"() {{value = 4 : i32}} : () -> i32
    %five = "arith.constant"() {{value = 5 : i32}} : () -> i32
    %two = "arith.constant"() {{value = 2.0 : f32}} : () -> f32
    %dx = "memref.dim"(%x, %z) : (memref<?xf32>, index) -> index
    %sx = "arith.index_cast"(%dx) : (index) -> i32
    %dy = "memref.dim"(%y, %z) : (memref<?xf32>, index) -> index
    %sy = "arith.index_cast"(%dy) : (index) -> i32
{launches}
    "func.return"() : () -> ()
  }}) {{function_type = (memref<?xf32>, memref<?xf32>, f32) -> (), kdsl.entry, sym_name = "e"}} : () -> ()
"""
LAUNCH = (
    '    "kdsl.launch"({grid}, %one, %one, {x}, {n}, {c}) {{kernel = @k}} : '
    "(index, index, index, memref<?xf32>, i32, f32) -> ()"
)


@pytest.fixture
def kernel_after(module_of):
    def run(*launches):
        texts = [LAUNCH.format(**{"grid": "%one", "x": "%x", **each}) for each in launches]
        module = module_of(KERNEL, ENTRY.format(launches="\n".join(texts)))
        run_pipeline(parse_pipeline("propagate-launch-constants"), module, verify=True)
        return module.function("k")

    return run


def is_used(kernel, number):
    return bool(kernel.body.args[number].users)


def test_equal_constants_become_constants(kernel_after):
    kernel = kernel_after({"n": "%four", "c": "%two"}, {"n": "%four", "c": "%s"})
    assert not is_used(kernel, 1)
    assert is_used(kernel, 2)


def test_different_constants_stay(kernel_after):
    assert is_used(kernel_after({"n": "%four", "c": "%s"}, {"n": "%five", "c": "%s"}), 1)


def test_a_size_of_an_argument_is_that_size(kernel_after):
    kernel = kernel_after({"n": "%sx", "c": "%s"}, {"x": "%y", "n": "%sy", "c": "%s"})
    assert not is_used(kernel, 1)
    assert any(op.name == "memref.dim" for op in kernel.body)


def test_a_size_of_something_else_stays(kernel_after):
    assert is_used(kernel_after({"n": "%sy", "c": "%s"}), 1)


def test_divisions_are_done_on_the_index(kernel_after):
    kernel = kernel_after({"n": "%four", "c": "%s"}, {"n": "%five", "c": "%s"})
    (division,) = (op for op in kernel.body if op.name == "arith.ceildivsi")
    assert str(division.results[0].type) == "index"


def test_sizes_that_the_grid_is_made_of_are_positive(kernel_after):
    kernel = kernel_after({"grid": "%dx", "n": "%four", "c": "%s"})
    assert kernel.attributes["kdsl.positive"] == (0, 0)
    both = kernel_after(
        {"grid": "%dx", "n": "%four", "c": "%s"}, {"grid": "%dy", "n": "%four", "c": "%s"}
    )
    assert "kdsl.positive" not in both.attributes


@pytest.mark.parametrize(
    ("program", "known"),
    [
        (rope_attention, ["start: 0 at every launch", "length: size 2 of q at every launch"]),
        (attention, ["length: size 2 of k at every launch"]),
        (rope_attention_prefill, []),
    ],
)
def test_library_kernels_learn_what_their_program_says(program, known):
    from kdsl.ir.parser import parse

    more = {} if program is attention else {"R": 8}
    module = parse(program.ir("optimize", T="f32", D=16, BM=8, BN=8, **more))
    run_pipeline(parse_pipeline("propagate-launch-constants"), module, verify=True)
    lines = [x for f in module.functions for x in f.attributes.get("kdsl.explain", [])]
    assert [line for line in lines if "at every launch" in line] == known
