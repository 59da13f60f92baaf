from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from sample_modules import BUFFER, finish, function_module, squares

import kdsl.dialects.all
from kdsl.dialects import arith, cf, func, kdsl, memref, scf, vector
from kdsl.errors import (
    InterpreterError,
    OutOfBoundsError,
    UnknownSymbolError,
)
from kdsl.ir.attributes import Symbol
from kdsl.ir.builder import Builder
from kdsl.ir.core import Block, Region
from kdsl.ir.interpreter import interpret
from kdsl.ir.location import Location
from kdsl.ir.parser import parse
from kdsl.ir.printer import print_module
from kdsl.ir.types import DYNAMIC, F32, I1, I32, I64, INDEX, element_type, tensor
from kdsl.ir.types import memref as memref_type
from kdsl.ir.types import vector as lanes
from kdsl.testing.compare import assert_same_bits
from kdsl.testing.generate import arguments
from kdsl.testing.strategies import modules

ANYTHING = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def floats(n):
    return np.arange(n, dtype=np.float32)


def test_a_loop_reads_writes_and_carries():
    x, y = floats(5), np.zeros(5, np.float32)

    (total,) = interpret(squares(), "squares", (x, y, 5))

    assert total == np.float32(10)
    assert total.dtype == np.float32
    np.testing.assert_array_equal(y, [0, 1, 4, 9, 16])


def test_a_loop_that_never_runs_gives_its_initial_values():
    assert interpret(squares(), "squares", (floats(0), floats(0), 0)) == (0.0,)


def test_a_view_of_the_callers_memory_is_written():
    memory = np.zeros(10, np.float32)

    interpret(squares(), "squares", (floats(5), memory[::2], 5))

    np.testing.assert_array_equal(memory, [0, 0, 1, 0, 4, 0, 9, 0, 16, 0])


@pytest.mark.parametrize(("condition", "wanted"), [(True, 1.0), (False, 2.0)])
def test_a_branch_is_chosen(condition, wanted):
    module, b = function_module("f", I1)
    then, otherwise = Block(), Block()
    for block, number in ((then, 1.0), (otherwise, 2.0)):
        c = Builder(block)
        c.add(scf.Yield, [arith.constant(c, number, F32)])
    chosen = b.create(
        scf.If, b.block.args[0], types=[F32], regions=[Region([then]), Region([otherwise])]
    )

    assert interpret(finish(module, b, chosen), "f", (condition,)) == (wanted,)


def test_a_while_goes_on_as_long_as_its_condition_holds():
    module = parse("""
        "func.func"() ({
        ^bb0(%n: i32):
          %0 = "scf.while"(%n) ({
          ^bb0(%a: i32):
            %c = "arith.constant"() {value = 10 : i32} : () -> i32
            %more = "arith.cmpi"(%a, %c) {predicate = 2 : i64} : (i32, i32) -> i1
            "scf.condition"(%more, %a) : (i1, i32) -> ()
          }, {
          ^bb0(%a: i32):
            %twice = "arith.addi"(%a, %a) : (i32, i32) -> i32
            "scf.yield"(%twice) : (i32) -> ()
          }) : (i32) -> i32
          "func.return"(%0) : (i32) -> ()
        }) {function_type = (i32) -> i32, sym_name = "f"} : () -> ()
    """)

    assert interpret(module, "f", (3,)) == (12,)


def test_a_call_has_values_of_its_own():
    module, b = function_module("twice", F32)
    finish(module, b, b.create(arith.Addf, *b.block.args * 2))
    outer, c = function_module("f", F32)
    once = c.create(func.Call, [c.block.args[0]], types=[F32], callee=Symbol("twice"))
    again = c.create(func.Call, [once], types=[F32], callee=Symbol("twice"))
    finish(outer, c, c.create(arith.Addf, once, again))
    module.body.append(outer.body.first.detach())

    assert interpret(module, "f", (1.5,)) == (9.0,)


def launching(x, y, z):
    """Return a module whose entry writes each program's number to where it belongs."""
    module, b = function_module("kernel", memref_type((DYNAMIC, DYNAMIC, DYNAMIC), INDEX))
    ids = [b.create(kdsl.ProgramId, axis=a) for a in range(3)]
    sizes = [b.create(kdsl.NumPrograms, axis=a) for a in range(3)]
    row = b.create(arith.Addi, b.create(arith.Muli, ids[2], sizes[1]), ids[1])
    number = b.create(arith.Addi, b.create(arith.Muli, row, sizes[0]), ids[0])
    b.add(memref.Store, number, b.block.args[0], [ids[2], ids[1], ids[0]])
    finish(module, b)
    entry, c = function_module("entry", memref_type((DYNAMIC, DYNAMIC, DYNAMIC), INDEX))
    grid = [arith.index_constant(c, n) for n in (x, y, z)]
    c.add(kdsl.Launch, *grid, [c.block.args[0]], kernel=Symbol("kernel"))
    finish(entry, c)
    module.body.append(entry.body.first.detach())
    return module


def test_a_launch_runs_every_program_of_the_grid():
    out = np.full((4, 3, 2), -1, np.int64)

    interpret(launching(2, 3, 4), "entry", (out,))

    np.testing.assert_array_equal(out.reshape(-1), np.arange(24))


def test_one_program_can_be_run_by_itself():
    out = np.zeros((4, 3, 2), np.int64)

    interpret(launching(2, 3, 4), "kernel", (out,), program_ids=(1, 2, 3), grid=(2, 3, 4))

    assert out[3, 2, 1] == 23
    assert np.count_nonzero(out) == 1


# ------------------------------------------------------------------------------- as a sanitizer


def access(build, *names):
    """Return a module whose function does one access to a buffer, at an index that is given."""
    module, b = function_module("f", BUFFER, INDEX, names=("x", "i"))
    b.loc = Location("kernel.py", (3, 5, 3, 9))
    build(b, *b.block.args)
    return finish(module, b)


ACCESSES = {
    "memref.load": lambda b, x, i: b.add(memref.Load, x, [i]),
    "memref.store": lambda b, x, i: b.add(memref.Store, arith.constant(b, 1.0, F32), x, [i]),
    "memref.atomic_rmw": lambda b, x, i: b.add(
        memref.AtomicRmw, arith.constant(b, 1.0, F32), x, [i], kind=0
    ),
    "vector.load": lambda b, x, i: b.add(vector.Load, x, [i], types=[lanes(1, F32)]),
    "vector.store": lambda b, x, i: b.add(
        vector.Store, arith.constant(b, 1.0, lanes(1, F32)), x, [i]
    ),
    "vector.maskedload": lambda b, x, i: b.add(
        vector.MaskedLoad,
        x,
        [i],
        arith.constant(b, True, lanes(1, I1)),
        arith.constant(b, 0.0, lanes(1, F32)),
    ),
    "vector.gather": lambda b, x, i: b.add(
        vector.Gather,
        x,
        [i],
        arith.constant(b, 0, lanes(1, I32)),
        arith.constant(b, True, lanes(1, I1)),
        arith.constant(b, 0.0, lanes(1, F32)),
    ),
    "kdsl.gather": lambda b, x, i: b.add(
        kdsl.Gather,
        x,
        arith.constant(b, True, tensor((2,), I1)),
        [b.create(kdsl.Broadcast, i, types=[tensor((2,), INDEX)], dims=())],
    ),
    "kdsl.scatter": lambda b, x, i: b.add(
        kdsl.Scatter,
        arith.constant(b, 1.0, tensor((2,), F32)),
        x,
        arith.constant(b, True, tensor((2,), I1)),
        [b.create(kdsl.Broadcast, i, types=[tensor((2,), INDEX)], dims=())],
        kind="addf",
    ),
}


@pytest.mark.parametrize("name", ACCESSES)
@pytest.mark.parametrize("index", [-1, 4, 1 << 40])
def test_an_index_outside_a_buffer_is_named(name, index):
    module = access(ACCESSES[name])

    interpret(module, "f", (floats(4), 3))
    with pytest.raises(OutOfBoundsError) as caught:
        interpret(module, "f", (floats(4), index))

    assert caught.value.summary.startswith(f"{name}: index [")
    assert str(index) in caught.value.summary
    assert "outside x of shape (4,)" in caught.value.summary
    assert caught.value.loc.line == 3


def test_a_run_of_lanes_must_fit_as_a_whole():
    module = access(lambda b, x, i: b.add(vector.Load, x, [i], types=[lanes(8, F32)]))

    interpret(module, "f", (floats(10), 2))
    with pytest.raises(OutOfBoundsError, match=r"\[3:11\]"):
        interpret(module, "f", (floats(10), 3))


def test_lanes_that_are_masked_off_touch_nothing():
    def build(b, x, i):
        mask = b.create(vector.CreateMask, i, types=[lanes(8, I1)])
        rest = arith.constant(b, 0.0, lanes(8, F32))
        b.add(vector.MaskedLoad, x, [arith.index_constant(b, 0)], mask, rest)

    module = access(build)

    interpret(module, "f", (floats(4), 4))
    with pytest.raises(OutOfBoundsError):
        interpret(module, "f", (floats(4), 5))


def test_fresh_memory_is_poisoned():
    module, b = function_module("f")
    zero = arith.index_constant(b, 0)
    made = [
        b.create(memref.Alloc, [], [], types=[memref_type((4,), element)]) for element in (F32, I32)
    ]
    read = [b.create(memref.Load, each, [zero]) for each in made]

    number, bits = interpret(finish(module, b, *read), "f")

    assert np.isnan(number)
    assert bits.view(np.uint32) == 0xCBCBCBCB


def test_an_assertion_stops_the_kernel_with_its_text():
    module, b = function_module("f", I1)
    b.add(cf.Assert, b.block.args[0], msg="n must be even")
    finish(module, b)

    interpret(module, "f", (True,))
    with pytest.raises(InterpreterError, match="n must be even"):
        interpret(module, "f", (False,))


# ------------------------------------------------------------------------------------ arguments


def test_unsigned_arguments_keep_their_bits():
    module, b = function_module("f", I32, I64, memref_type((DYNAMIC,), I32))
    zero = arith.index_constant(b, 0)
    read = b.create(memref.Load, b.block.args[2], [zero])
    finish(module, b, *b.block.args[:2], read)

    found = interpret(module, "f", (0xFFFFFFFF, 1 << 63, np.array([0xFFFFFFFE], np.uint32)))

    assert found == (-1, -(1 << 63), -2)


def test_an_optional_buffer_may_be_absent():
    module = access(lambda b, x, i: b.add(memref.Dim, x, arith.index_constant(b, 0)))

    interpret(module, "f", (None, 0))
    with pytest.raises(OutOfBoundsError, match=r"shape \(0,\)"):
        interpret(access(ACCESSES["memref.load"]), "f", (None, 0))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1.0], "got a list"),
        (np.zeros(4), "got elements of float64"),
        (np.zeros((2, 2), np.float32), "got rank 2"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(given, words):
    with pytest.raises(InterpreterError) as caught:
        interpret(access(ACCESSES["memref.load"]), "f", (given, 0))

    assert "the argument x must be memref<?xf32>" in caught.value.summary
    assert words in caught.value.summary


def test_a_static_dimension_must_be_that_size():
    module, b = function_module("f", memref_type((DYNAMIC, 8), F32), names=("x",))

    with pytest.raises(InterpreterError, match=r"got shape \(8, 4\)"):
        interpret(finish(module, b), "f", (np.zeros((8, 4), np.float32),))


def test_the_number_of_arguments_is_checked():
    with pytest.raises(InterpreterError, match="takes 3 arguments, got 1"):
        interpret(squares(), "squares", (1,))


def test_an_unknown_function_is_named():
    with pytest.raises(UnknownSymbolError, match="@nowhere"):
        interpret(squares(), "nowhere")


# ----------------------------------------------------------------------------------- everything


@given(modules())
@ANYTHING
def test_results_have_the_types_that_the_function_declares(module):
    found = interpret(module, "f", arguments(np.random.default_rng(1)))

    for value, kind in zip(found, module.function("f").type.results, strict=True):
        assert np.asarray(value).dtype == element_type(kind).numpy
        assert np.shape(value) == getattr(kind, "shape", ())


@given(modules(tiles=True))
@ANYTHING
def test_reading_a_module_back_does_not_change_its_meaning(module):
    first, second = (arguments(np.random.default_rng(2)) for _ in range(2))

    before = interpret(module, "f", first)
    after = interpret(parse(print_module(module)), "f", second)

    assert_same_bits((*after, *second), (*before, *first))
