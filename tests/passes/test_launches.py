"""fuse-launches, drop-workspaces and distribute-parallel: what happens between kernels."""

from __future__ import annotations

import numpy as np
import pytest

from kdsl.dialects.kdsl import Launch
from kdsl.dialects.memref import Alloc
from kdsl.ir.interpreter import interpret
from kdsl.ir.printer import print_op
from kdsl.passes.explain import explanations
from kdsl.passes.manager import parse_pipeline, run_pipeline
from kdsl.testing.filecheck import filecheck

KERNEL = ", kdsl.kernel"
ENTRY = ", kdsl.entry"


def kernel_body(inside, before="", after=""):
    return f"""
      %zero = "arith.constant"() {{value = 0 : index}} : () -> index
      %one = "arith.constant"() {{value = 1 : index}} : () -> index
      {before}
      "scf.for"(%zero, %n, %one) ({{
      ^bb0(%i: index):
        {inside}
        "scf.yield"() : () -> ()
      }}) {{kdsl.parallel}} : (index, index, index) -> ()
      {after}"""


def scaled(op, at="%i"):
    shift = '%at = "arith.addi"(%i, %one) : (index, index) -> index' if at == "%at" else ""
    return f"""
        {shift}
        %v = "memref.load"(%x, {at}) : (memref<?xf32>, index) -> f32
        %w = "arith.{op}"(%v, %v) : (f32, f32) -> f32
        "memref.store"(%w, %y, %i) : (f32, memref<?xf32>, index) -> ()"""


ARGS = "%x: memref<?xf32>, %y: memref<?xf32>, %n: index"
ENTRY_ARGS = "%a: memref<?xf32>, %b: memref<?xf32>, %n: index"
SIZE = '%z = "arith.constant"() {value = 24 : index} : () -> index'
ALLOC = (
    SIZE
    + '\n%w = "memref.alloc"(%z) {operandSegmentSizes = array<i32: 1, 0>} : (index) -> memref<?xf32>'
)
FREE = '"memref.dealloc"(%w) : (memref<?xf32>) -> ()'
ONE = '%g = "arith.constant"() {value = 1 : index} : () -> index'


def launch(kernel, *args, grid="%g, %g, %g"):
    types = ", ".join("index" if a == "%n" else "memref<?xf32>" for a in args)
    return (
        f'"kdsl.launch"({grid}, {", ".join(args)}) {{kernel = @{kernel}}} '
        f": (index, index, index, {types}) -> ()"
    )


@pytest.fixture
def program(function, module_of):
    def make(kernels, body):
        functions = [function(ARGS, text, "", name, KERNEL) for name, text in kernels.items()]
        return module_of(*functions, function(ENTRY_ARGS, body, "", "main", ENTRY))

    return make


def answer(module, n=10):
    a, b = np.arange(20, dtype=np.float32), np.zeros(20, np.float32)
    interpret(module, "main", [a, b, n])
    return np.concatenate([a, b])


def run(module, pipeline, n=10):
    before = answer(module, n)
    run_pipeline(parse_pipeline(pipeline), module, verify=True)
    np.testing.assert_array_equal(before, answer(module, n))
    return [op for op in module.walk() if isinstance(op, Launch)]


TWO = {"square": kernel_body(scaled("mulf")), "double": kernel_body(scaled("addf"))}
CHAIN = "\n".join(
    [ONE, ALLOC, launch("square", "%a", "%w", "%n"), launch("double", "%w", "%b", "%n"), FREE]
)


def test_producer_and_consumer_become_one_kernel_and_the_workspace_vanishes(program):
    module = program(TWO, CHAIN)
    launches = run(module, "fuse")
    assert len(launches) == 1
    assert not any(isinstance(op, Alloc) for op in module.walk())
    filecheck(
        str(module),
        """
        CHECK: %[[V:.*]] = "memref.load"(%x
        CHECK: %[[W:.*]] = "arith.mulf"(%[[V]], %[[V]])
        CHECK-NEXT: %[[U:.*]] = "arith.addf"(%[[W]], %[[W]])
        CHECK-NEXT: "memref.store"(%[[U]], %y
        CHECK: sym_name = "square.double"
        CHECK-NOT: sym_name = "square"
        CHECK-NOT: sym_name = "double"
        """,
    )
    lines = explanations(module)
    assert "main: square and double: fused" in lines
    assert any("never written to memory" in line for line in lines)


def test_a_workspace_that_is_read_again_stays(program):
    body = CHAIN.replace(FREE, launch("double", "%w", "%a", "%n") + "\n" + FREE)
    module = program({**TWO, "double": kernel_body(scaled("addf", "%at"))}, body)
    run(module, "fuse", 5)
    assert any(isinstance(op, Alloc) for op in module.walk())


def test_a_chain_of_kernels_becomes_one(program):
    chain = [ONE, ALLOC, launch("square", "%a", "%w", "%n"), launch("double", "%w", "%b", "%n")]
    chain += [launch("square", "%b", "%a", "%n"), FREE]
    module = program(TWO, "\n".join(chain))
    launches = run(module, "fuse")
    assert [op.kernel.name for op in launches] == ["square.double.square"]


def test_bounds_that_both_kernels_convert_alike_are_the_same_range(program, function, module_of):
    def narrow(op):
        body = kernel_body(scaled(op), '%m = "arith.index_cast"(%k) : (i32) -> index')
        return body.replace("(%zero, %n, %one)", "(%zero, %m, %one)")

    args = ARGS.replace("%n: index", "%k: i32")
    kernels = {"square": narrow("mulf"), "double": narrow("addf")}
    body = CHAIN.replace(ONE, ONE + '\n%k = "arith.index_cast"(%n) : (index) -> i32')
    body = body.replace("%n) {kernel", "%k) {kernel").replace(
        "memref<?xf32>, index) -> ()", "memref<?xf32>, i32) -> ()"
    )
    module = module_of(
        *(function(args, text, "", name, KERNEL) for name, text in kernels.items()),
        function(ENTRY_ARGS, body, "", "main", ENTRY),
    )
    assert len(run(module, "fuse")) == 1
    assert not any(isinstance(op, Alloc) for op in module.walk())


def test_a_kernel_that_cannot_join_leaves_nothing_in_the_chain(program):
    apart = kernel_body(scaled("addf", "%at"))
    chain = [ONE, ALLOC, launch("square", "%a", "%w", "%n"), launch("double", "%w", "%a", "%n")]
    chain += [launch("apart", "%a", "%b", "%n"), FREE]
    module = program({**TWO, "apart": apart}, "\n".join(chain))
    launches = run(module, "fuse-launches", 5)
    assert [op.kernel.name for op in launches] == ["square.double", "apart"]
    assert len(launches[0].args) == 3


def test_a_kernel_that_reads_neighbours_is_not_fused_and_says_why(program):
    module = program({**TWO, "double": kernel_body(scaled("addf", "%at"))}, CHAIN)
    assert len(run(module, "fuse-launches", 5)) == 2
    reason = "a turn touches an element that another turn writes"
    assert explanations(module) == [f"main: square and double: not fused: {reason}"]


def test_a_workspace_does_not_alias_arguments(program):
    """The second kernel reads a neighbour in %a, which the first one cannot write."""
    second = kernel_body(scaled("addf", "%at"))
    body = "\n".join(
        [ONE, ALLOC, launch("square", "%a", "%w", "%n"), launch("double", "%a", "%b", "%n"), FREE]
    )
    assert len(run(program({**TWO, "double": second}, body), "fuse-launches", 5)) == 1


def test_the_same_pair_twice_gives_two_names(program):
    again = [launch("square", "%b", "%a", "%n"), launch("double", "%a", "%b", "%n")]
    barrier = '"memref.prefetch"(%a, %g) {isDataCache = true, isWrite = false, localityHint = 3 : i32} : (memref<?xf32>, index) -> ()'
    body = "\n".join([CHAIN.removesuffix(FREE), barrier, *again, FREE])
    module = program(TWO, body)
    launches = run(module, "fuse-launches")
    assert [op.kernel.name for op in launches] == ["square.double", "square.double.2"]


def test_a_grid_of_several_programs_is_not_fused(program):
    two = '%g = "arith.constant"() {value = 2 : index} : () -> index'
    assert len(run(program(TWO, CHAIN.replace(ONE, two)), "fuse-launches")) == 2


def test_a_kernel_with_other_effects_is_neither_fused_nor_spread(program):
    effect = '"memref.store"(%c, %y, %zero) : (f32, memref<?xf32>, index) -> ()'
    c = '%c = "arith.constant"() {value = 5.0 : f32} : () -> f32'
    kernels = {**TWO, "square": kernel_body(scaled("mulf"), before=c, after=effect)}
    module = program(kernels, CHAIN)
    assert len(run(module, "fuse-launches")) == 2
    run_pipeline(parse_pipeline("distribute-parallel"), module)
    assert '"kdsl.program_id"' not in print_op(module.function("square"))
    assert '"kdsl.program_id"' in print_op(module.function("double"))


def test_a_load_before_a_loop_that_may_write_there_keeps_kernels_apart(program):
    load = '%s = "memref.load"(%x, %zero) : (memref<?xf32>, index) -> f32'
    store = '"memref.store"(%s, %y, %i) : (f32, memref<?xf32>, index) -> ()'
    module = program({**TWO, "double": kernel_body(store, before=load)}, CHAIN)
    assert len(run(module, "fuse-launches")) == 2


def test_the_size_of_a_joined_kernel_is_bounded(program):
    module = program(TWO, CHAIN)
    assert len(run(module, "fuse-launches{max-ops=7}")) == 2
    assert "more than 7 ops" in explanations(module)[0]


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 20])
@pytest.mark.parametrize("kind", ["index", "i32"])
def test_a_parallel_loop_is_spread_over_the_grid(function, module_of, n, kind):
    inside = f"""
        %at = "arith.addi"(%i, %i0) : ({kind}, {kind}) -> {kind}
        {"" if kind == "index" else '%p = "arith.index_cast"(%at) : (i32) -> index'}
        %v = "memref.load"(%x, AT) : (memref<?xf32>, index) -> f32
        %w = "arith.mulf"(%v, %v) : (f32, f32) -> f32
        "memref.store"(%w, %y, AT) : (f32, memref<?xf32>, index) -> ()""".replace(
        "AT", "%at" if kind == "index" else "%p"
    )
    body = f"""
      %i0 = "arith.constant"() {{value = 0 : {kind}}} : () -> {kind}
      %i1 = "arith.constant"() {{value = 1 : {kind}}} : () -> {kind}
      {"" if kind == "index" else '%m = "arith.index_cast"(%n) : (index) -> i32'}
      "scf.for"(%i0, {"%n" if kind == "index" else "%m"}, %i1) ({{
      ^bb0(%i: {kind}):
        {inside}
        "scf.yield"() : () -> ()
      }}) {{kdsl.parallel}} : ({kind}, {kind}, {kind}) -> ()"""
    main = "\n".join([ONE, launch("square", "%a", "%b", "%n")])
    module = module_of(
        function(ARGS, body, "", "square", KERNEL), function(ENTRY_ARGS, main, "", "main", ENTRY)
    )
    before = answer(module, n)
    run_pipeline(parse_pipeline("distribute-parallel{chunk=1}"), module, verify=True)
    text = str(module)
    assert '"kdsl.program_id"' in text
    assert "kdsl.parallel" not in text
    # One program does 512 turns of a loop without inner loops; shrink that to see several.
    small = module_of(
        *[
            text.split("\n", 1)[1]
            .rsplit("}) : () -> ()", 1)[0]
            .replace("value = 512 : index", "value = 8 : index")
        ]
    )
    np.testing.assert_array_equal(before, answer(small, n))
    assert _programs(small, n) == -(-n // 8)


def _programs(module, n):
    """Count the programs by what each adds to a counter."""
    grid = next(op for op in module.walk() if isinstance(op, Launch)).operands[0].op
    assert grid.name == "arith.ceildivsi"
    return int(grid.evaluate(np.int64(n), np.int64(8)))


def test_turns_with_inner_loops_are_worth_a_program_sooner(program):
    inner = """
        "scf.for"(%zero, %n, %one) ({
        ^bb1(%j: index):
          "memref.store"(%w, %y, %j) : (f32, memref<?xf32>, index) -> ()
          "scf.yield"() : () -> ()
        }) : (index, index, index) -> ()"""
    body = kernel_body(scaled("mulf") + inner)
    module = program({"square": body}, "\n".join([ONE, launch("square", "%a", "%b", "%n")]))
    run_pipeline(parse_pipeline("distribute-parallel"), module, verify=True)
    assert explanations(module)[0].endswith("spread over the grid, 64 turns a program")


@pytest.mark.parametrize("op", ["program_id", "num_programs"])
def test_a_kernel_that_knows_its_place_is_not_spread(program, op):
    inside = f'%id = "kdsl.{op}"() {{axis = 0 : i64}} : () -> index\n' + scaled("mulf")
    module = program(
        {"square": kernel_body(inside)}, "\n".join([ONE, launch("square", "%a", "%b", "%n")])
    )
    assert not parse_pipeline("distribute-parallel").passes[0].run(module, None)


def test_a_kernel_launched_twice_is_not_spread(program):
    body = "\n".join([ONE, launch("square", "%a", "%b", "%n"), launch("square", "%b", "%a", "%n")])
    assert '"kdsl.program_id"' not in str(_after_distribute(program(TWO, body)))


def test_bounds_that_only_the_kernel_knows_keep_it_on_one_program(function, module_of):
    bound = '%m = "memref.load"(%k, %zero) : (memref<?xindex>, index) -> index'
    body = kernel_body(scaled("mulf"), before=bound).replace(
        "(%zero, %n, %one)", "(%zero, %m, %one)"
    )
    kernel = function(
        "%x: memref<?xf32>, %y: memref<?xf32>, %k: memref<?xindex>", body, "", "square", KERNEL
    )
    main = f"""
      {ONE}
      "kdsl.launch"(%g, %g, %g, %a, %b, %k) {{kernel = @square}}
        : (index, index, index, memref<?xf32>, memref<?xf32>, memref<?xindex>) -> ()"""
    entry = function(
        "%a: memref<?xf32>, %b: memref<?xf32>, %k: memref<?xindex>", main, "", "main", ENTRY
    )
    assert '"kdsl.program_id"' not in str(_after_distribute(module_of(kernel, entry)))


def _after_distribute(module):
    run_pipeline(parse_pipeline("distribute-parallel"), module, verify=True)
    return module
