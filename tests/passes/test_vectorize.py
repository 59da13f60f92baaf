from __future__ import annotations

import numpy as np
import pytest

from kdsl.errors import CannotVectorizeError
from kdsl.ir.interpreter import interpret
from kdsl.passes.explain import explanations
from kdsl.passes.manager import parse_pipeline, run_pipeline
from kdsl.target.features import Features
from kdsl.target.target import Target
from kdsl.testing.filecheck import filecheck

AVX = Target("generic", "avx", Features(vector_bits=256))
WIDTH = 4
ROOM = 40


def wide_loop(inside, tail="mask", width=WIDTH, kind="index", carried="", args="%n"):
    """Return a loop over 0 .. %n; ``carried`` is "%name: type = init -> yielded"."""
    inits = args_in = types = yields = out = ""
    if carried:
        name, rest = carried.split(": ", 1)
        t, rest = rest.split(" = ")
        init, yielded = rest.split(" -> ")
        inits, args_in, types, yields = f", {init}", f", {name}: {t}", t, yielded
        out = "%sum = "
    bounds = f"({kind}, {kind}, {kind}{', ' + types if types else ''}) -> {types or '()'}"
    upper = "%n" if kind == "index" else "%nk"
    cast = "" if kind == "index" else f'%nk = "arith.index_cast"(%n) : (index) -> {kind}'
    return f"""
      {cast}
      %zero = "arith.constant"() {{value = 0 : {kind}}} : () -> {kind}
      %one = "arith.constant"() {{value = 1 : {kind}}} : () -> {kind}
      {out}"scf.for"(%zero, {upper}, %one{inits}) ({{
      ^bb0(%i: {kind}{args_in}):
        {inside}
        "scf.yield"({yields}) : ({types}) -> ()
      }}) {{kdsl.vectorize = {width} : i64, kdsl.tail = "{tail}"}} : {bounds}"""


def load(name, source, at, t="f32"):
    return f'{name} = "memref.load"({source}, {at}) : (memref<?x{t}>, index) -> {t}\n'


def store(value, target, at, t="f32"):
    return f'"memref.store"({value}, {target}, {at}) : ({t}, memref<?x{t}>, index) -> ()\n'


def binary(name, op, a, b, t="f32"):
    return f'{name} = "{op}"({a}, {b}) : ({t}, {t}) -> {t}\n'


def const(name, value, t):
    return f'{name} = "arith.constant"() {{value = {value} : {t}}} : () -> {t}\n'


def cmp(name, predicate, a, b, t="i32"):
    op = "arith.cmpf" if t[0] != "i" else "arith.cmpi"
    return f'{name} = "{op}"({a}, {b}) {{predicate = {predicate} : i64}} : ({t}, {t}) -> i1\n'


ARGS = "%x: memref<?xf32>, %y: memref<?xf32>, %k: memref<?xi32>, %q: memref<?x40xf32>, %n: index, %a: f32, %j: i32"


@pytest.fixture
def widened(function, module_of):
    """Vectorize a body; check the meaning for every length; return the text and the reports."""

    def run(body, returns="", width=WIDTH, target=AVX, lengths=None, pipeline="vectorize"):
        module = module_of(function(ARGS, body, returns))
        before = module.clone()
        run_pipeline(parse_pipeline(pipeline), module, target, verify=True)
        for n in range(2 * width + 2) if lengths is None else lengths:
            _compare(before, module, n)
        return str(module), explanations(module)

    return run


def _compare(before, after, n):
    for j in (0, 3):
        pairs = zip(_answers(before, n, j), _answers(after, n, j), strict=True)
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)


def _answers(module, n, j):
    rng = np.random.default_rng(n)
    args = [rng.integers(-8, 9, 2 * ROOM).astype(np.float32) for _ in range(2)]
    args.append(rng.integers(-3, 9, 2 * ROOM).astype(np.int32))
    args.append(rng.integers(-8, 9, (ROOM, ROOM)).astype(np.float32))
    return [*interpret(module, "f", [*args, n, np.float32(2), np.int32(j)]), *args]


SCALE = load("%v", "%x", "%i") + binary("%w", "arith.mulf", "%v", "%a") + store("%w", "%y", "%i")


# -------------------------------------------------------------------------------- tails and widths


def test_a_masked_tail_follows_the_wide_loop(widened):
    text, lines = widened(wide_loop(SCALE))
    filecheck(
        text,
        """
        CHECK: %[[SPAN:.*]] = "arith.subi"(%n, %zero)
        CHECK: %[[TURNS:.*]] = "arith.divsi"(%[[SPAN]]
        CHECK: %[[LONG:.*]] = "arith.muli"(%[[TURNS]]
        CHECK: %[[WHOLE:.*]] = "arith.addi"(%zero, %[[LONG]])
        CHECK: "scf.for"(%zero, %[[WHOLE]]
        CHECK: "vector.load"(%x
        CHECK: "arith.mulf"{{.*}} : (vector<4xf32>, vector<4xf32>)
        CHECK: "vector.store"
        CHECK: %[[LEFT:.*]] = "arith.subi"(%[[SPAN]], %[[LONG]])
        CHECK: "arith.cmpi"(%[[LEFT]], {{.*}}) {predicate = 4 : i64}
        CHECK: "scf.if"
        CHECK: %[[MASK:.*]] = "vector.create_mask"(%[[LEFT]])
        CHECK: "vector.maskedload"(%x, %[[WHOLE]], %[[MASK]]
        CHECK: "vector.maskedstore"(%y, %[[WHOLE]], %[[MASK]]
        CHECK-NOT: kdsl.vectorize
        """,
    )
    assert [line.split(" ", 1)[1].strip() for line in lines] == [
        "<text>:7:7: vectorized by 4, mask tail",
        "<text>:7:7:   x.load: 4 x f32, consecutive, 16 bytes each",
        "<text>:7:7:   y.store: 4 x f32, consecutive, 16 bytes each",
    ]


def test_a_scalar_tail_is_the_old_loop_over_the_rest(widened):
    text, _ = widened(wide_loop(SCALE, tail="scalar"))
    assert "mask" not in text
    assert text.count("scf.for") == 2
    filecheck(text, 'CHECK: "vector.store"\nCHECK: "scf.for"\nCHECK: "memref.store"')


def test_no_tail_is_written_where_none_is_promised(widened):
    text, _ = widened(wide_loop(SCALE, tail="none"), lengths=(0, 4, 8))
    assert text.count("scf.for") == 1
    assert "mask" not in text


@pytest.mark.parametrize(
    ("t", "lanes"), [("f32", 8), ("f64", 4), ("bf16", 16), ("f16", 16), ("i8", 32), ("i64", 4)]
)
def test_the_target_chooses_the_width_by_the_widest_element(function, module_of, t, lanes):
    body = wide_loop(load("%v", "%p", "%i", t) + store("%v", "%r", "%i", t), width=0)
    module = module_of(function(f"%p: memref<?x{t}>, %r: memref<?x{t}>, %n: index", body))
    run_pipeline(parse_pipeline("vectorize"), module, AVX, verify=True)
    assert f"vectorized by {lanes}, mask tail" in explanations(module)[0]


def test_narrow_storage_that_is_computed_wide_counts_as_wide(function, module_of):
    inside = (
        load("%v", "%p", "%i", "bf16")
        + """
        %e = "arith.extf"(%v) : (bf16) -> f32
        %s = "arith.addf"(%e, %e) : (f32, f32) -> f32
        %t = "arith.truncf"(%s) : (f32) -> bf16
        """
        + store("%t", "%p", "%i", "bf16")
    )
    module = module_of(function("%p: memref<?xbf16>, %n: index", wide_loop(inside, width=0)))
    before = module.clone()
    run_pipeline(parse_pipeline("vectorize"), module, AVX, verify=True)
    assert '"arith.extf"' in str(module)
    assert "vector<8xbf16>" in str(module)
    bf16 = module.function("f").body.args[0].type.element.numpy
    for n in (0, 7, 8, 19):
        a, b = (np.arange(20).astype(bf16) for _ in range(2))
        interpret(before, "f", [a, n])
        interpret(module, "f", [b, n])
        np.testing.assert_array_equal(a, b)


def test_a_target_with_one_lane_leaves_the_loop(widened):
    scalar = Target("generic", "scalar", Features(vector_bits=32))
    text, lines = widened(wide_loop(SCALE, width=0), target=scalar)
    assert "vector<" not in text
    assert "kdsl.vectorize" not in text
    assert "not vectorized: one lane" in lines[0]


# ----------------------------------------------------------------------------------------- access


def test_strided_elements_are_gathered_and_scattered(widened):
    inside = (
        """
        %two = "arith.constant"() {value = 2 : index} : () -> index
        %p = "arith.muli"(%i, %two) : (index, index) -> index
        """
        + load("%v", "%x", "%p")
        + store("%v", "%y", "%p")
    )
    text, lines = widened(wide_loop(inside))
    assert "vector.gather" in text
    assert "vector.scatter" in text
    assert any("x.load: 4 x f32, gathered" in line for line in lines)


def test_elements_in_falling_order_are_gathered(widened):
    inside = '%p = "arith.subi"(%n, %i) : (index, index) -> index\n' + load("%v", "%x", "%p")
    text, _ = widened(wide_loop(inside + store("%v", "%y", "%i")))
    assert "vector.gather" in text


def test_indices_from_memory_are_gathered(widened):
    inside = (
        load("%m", "%k", "%i", "i32")
        + const("%c", 7, "i32")
        + binary("%o", "arith.andi", "%m", "%c", "i32")
        + '%p = "arith.index_cast"(%o) : (i32) -> index\n'
        + load("%v", "%x", "%p")
    )
    text, _ = widened(wide_loop(inside + store("%v", "%y", "%i")))
    assert "vector.gather" in text


def test_a_shift_stays_consecutive(widened):
    inside = const("%c", 5, "index") + binary("%p", "arith.addi", "%c", "%i", "index")
    inside += binary("%p2", "arith.addi", "%p", "%n", "index") + load("%v", "%x", "%p2")
    text, _ = widened(wide_loop(inside + store("%v", "%y", "%i")))
    filecheck(text, 'CHECK: "vector.load"(%x')
    assert "gather" not in text


def test_an_element_common_to_all_turns_is_read_as_a_scalar(widened):
    inside = (
        load("%c", "%x", "%n") + load("%v", "%x", "%i") + binary("%w", "arith.mulf", "%v", "%c")
    )
    text, _ = widened(wide_loop(inside + store("%w", "%y", "%i")))
    filecheck(text, 'CHECK: %[[C:.*]] = "memref.load"(%x, %n)\nCHECK: "vector.broadcast"(%[[C]])')


def test_rows_are_done_one_lane_at_a_time(widened):
    inside = """
        %v = "memref.load"(%q, %i, %zero) : (memref<?x40xf32>, index, index) -> f32
        %w = "arith.addf"(%v, %v) : (f32, f32) -> f32
        "memref.store"(%w, %q, %i, %one) : (f32, memref<?x40xf32>, index, index) -> ()"""
    text, lines = widened(wide_loop(inside))
    assert "vector.insertelement" in text
    assert any("one lane at a time" in line for line in lines)


def test_atomics_are_done_one_lane_at_a_time(widened):
    inside = (
        load("%v", "%x", "%i")
        + """
        %o = "memref.atomic_rmw"(%v, %y, %zero) {kind = 0 : i64} : (f32, memref<?xf32>, index) -> f32"""
    )
    text, _ = widened(wide_loop(inside))
    assert text.count('"memref.atomic_rmw"') == 2 * WIDTH


def test_hints_are_given_for_the_first_lane(widened):
    inside = (
        """
        "memref.prefetch"(%x, %i) {isDataCache = true, isWrite = false, localityHint = 3 : i32}
          : (memref<?xf32>, index) -> ()
        """
        + SCALE
    )
    text, _ = widened(wide_loop(inside))
    assert text.count('"memref.prefetch"') == 2


@pytest.mark.parametrize("kind", ["i32", "i64", "i16"])
def test_counters_of_any_integer_type_give_consecutive_access(widened, kind):
    cast = f'%p = "arith.index_cast"(%i) : ({kind}) -> index\n'
    text, _ = widened(wide_loop(cast + SCALE.replace("%i)", "%p)"), kind=kind))
    filecheck(text, 'CHECK: "vector.load"(%x')
    assert "gather" not in text


def test_a_narrow_sum_that_wraps_around_is_right_in_every_lane(function, module_of):
    """127 + 1 is -128 in i8: the widened lanes are not 127, 128, ..."""
    inside = """
        %c = "arith.constant"() {value = 120 : i8} : () -> i8
        %s = "arith.addi"(%i, %c) : (i8, i8) -> i8
        %e = "arith.extsi"(%s) : (i8) -> i32
        %f = "arith.sitofp"(%e) : (i32) -> f32
        %p = "arith.index_cast"(%i) : (i8) -> index
        """ + store("%f", "%y", "%p")
    module = module_of(function("%y: memref<?xf32>, %n: index", wide_loop(inside, kind="i8")))
    before = module.clone()
    run_pipeline(parse_pipeline("vectorize"), module, AVX, verify=True)
    a, b = np.zeros((2, 20), np.float32)
    interpret(before, "f", [a, 19])
    interpret(module, "f", [b, 19])
    np.testing.assert_array_equal(a, b)
    assert a.min() < 0


def test_a_range_longer_than_its_type_can_say_is_counted_in_index(function, module_of):
    body = """
      %lo = "arith.constant"() {value = -100 : i8} : () -> i8
      %hi = "arith.constant"() {value = 103 : i8} : () -> i8
      %one = "arith.constant"() {value = 1 : i8} : () -> i8
      "scf.for"(%lo, %hi, %one) ({
      ^bb0(%i: i8):
        %p = "arith.index_cast"(%i) : (i8) -> index
        %h = "arith.constant"() {value = 100 : index} : () -> index
        %at = "arith.addi"(%p, %h) : (index, index) -> index
        %e = "arith.sitofp"(%i) : (i8) -> f32
        "memref.store"(%e, %y, %at) : (f32, memref<?xf32>, index) -> ()
        "scf.yield"() : () -> ()
      }) {kdsl.vectorize = 8 : i64} : (i8, i8, i8) -> ()"""
    module = module_of(function("%y: memref<?xf32>", body))
    run_pipeline(parse_pipeline("vectorize"), module, AVX, verify=True)
    y = np.zeros(203, np.float32)
    interpret(module, "f", [y])
    np.testing.assert_array_equal(y, np.arange(-100, 103))


@pytest.mark.parametrize(
    "op", ["divui", "remui", "shrui", "maxui", "minui", "divsi", "remsi", "shrsi", "maxsi"]
)
def test_signedness_is_the_ops_business(widened, op):
    inside = load("%m", "%k", "%i", "i32") + const("%c", 3, "i32")
    inside += binary("%o", f"arith.{op}", "%m", "%c", "i32")
    text, _ = widened(wide_loop(inside + store("%o", "%k", "%i", "i32")))
    filecheck(text, f'CHECK: "arith.{op}"{{{{.*}}}} : (vector<4xi32>, vector<4xi32>)')


@pytest.mark.parametrize("predicate", range(10))
def test_comparisons_keep_their_predicate(widened, predicate):
    inside = load("%m", "%k", "%i", "i32") + cmp("%c", predicate, "%m", "%j")
    inside += '%o = "arith.extui"(%c) : (i1) -> i32\n' + store("%o", "%k", "%i", "i32")
    text, _ = widened(wide_loop(inside))
    assert f"predicate = {predicate} : i64}} : (vector<4xi32>, vector<4xi32>)" in text


# ------------------------------------------------------------------------------------- reductions


@pytest.mark.parametrize("tail", ["mask", "scalar"])
@pytest.mark.parametrize(
    ("op", "kind", "t"),
    [
        ("addf", "add", "f32"),
        ("maximumf", "maximumf", "f32"),
        ("minimumf", "minimumf", "f32"),
        ("maxnumf", "maxnumf", "f32"),
        ("minnumf", "minnumf", "f32"),
        ("addi", "add", "i32"),
        ("muli", "mul", "i32"),
        ("maxsi", "maxsi", "i32"),
        ("minsi", "minsi", "i32"),
        ("maxui", "maxui", "i32"),
        ("minui", "minui", "i32"),
        ("andi", "and", "i32"),
        ("ori", "or", "i32"),
        ("xori", "xor", "i32"),
    ],
)
def test_reductions_keep_an_accumulator_in_each_lane(widened, op, kind, t, tail):
    source = "%x" if t == "f32" else "%k"
    init = "%a" if t == "f32" else "%j"
    inside = load("%v", source, "%i", t) + binary("%s", f"arith.{op}", "%acc", "%v", t)
    body = wide_loop(inside, tail, carried=f"%acc: {t} = {init} -> %s")
    text, _ = widened(body, f"%sum: {t}")
    assert f"kind = #vector.kind<{kind}>" in text
    assert f"-> vector<4x{t}>" in text


def test_a_product_of_floats_starts_from_one(widened):
    inside = binary("%s", "arith.mulf", "%acc", "%a")
    text, _ = widened(wide_loop(inside, carried="%acc: f32 = %a -> %s"), "%sum: f32")
    assert "value = dense<1.0> : vector<4xf32>" in text


def test_the_largest_of_nothing_but_nan_is_nan(function, module_of):
    inside = load("%v", "%x", "%i") + binary("%s", "arith.maxnumf", "%acc", "%v")
    body = wide_loop(inside, carried="%acc: f32 = %a -> %s")
    module = module_of(function("%x: memref<?xf32>, %a: f32, %n: index", body, "%sum: f32"))
    run_pipeline(parse_pipeline("vectorize"), module, AVX, verify=True)
    x = np.full(8, np.nan, np.float32)
    assert np.isnan(interpret(module, "f", [x, np.float32(np.nan), 6])[0])


def test_a_carried_value_that_is_no_reduction_is_refused(function, module_of):
    inside = load("%v", "%x", "%i") + binary("%s", "arith.subf", "%acc", "%v")
    body = wide_loop(inside, width=0, carried="%acc: f32 = %a -> %s")
    module = module_of(function("%x: memref<?xf32>, %a: f32, %n: index", body, "%sum: f32"))
    run_pipeline(parse_pipeline("vectorize"), module, AVX, verify=True)
    assert explanations(module)[0].endswith(
        "not vectorized: a value carried from turn to turn is more than a reduction"
    )


# ---------------------------------------------------------------------------------- control flow

POSITIVE = load("%v", "%x", "%i") + const("%fz", "0.0", "f32") + cmp("%c", 2, "%v", "%fz", "f32")


def guarded(inside, otherwise=None):
    end = '"scf.yield"() : () -> ()'
    second = "{}" if otherwise is None else f"{{\n{otherwise}\n{end}\n}}"
    return f'"scf.if"(%c) ({{\n{inside}\n"scf.yield"() : () -> ()\n}}, {second}) : (i1) -> ()\n'


def test_a_branch_with_stores_becomes_masks(widened):
    inside = POSITIVE + guarded(store("%v", "%y", "%i"), store("%fz", "%y", "%i"))
    text, _ = widened(wide_loop(inside))
    filecheck(
        text,
        """
        CHECK: %[[C:.*]] = "arith.cmpf"
        CHECK: %[[NOT:.*]] = "arith.xori"(%[[C]]
        CHECK: "vector.maskedstore"(%y, {{.*}}, %[[C]],
        CHECK: "vector.maskedstore"(%y, {{.*}}, %[[NOT]],
        """,
    )


def test_the_masks_of_nested_branches_are_both_obeyed(widened):
    second = cmp("%d", 4, "%v", "%a", "f32") + guarded(store("%a", "%y", "%i")).replace("%c", "%d")
    text, _ = widened(wide_loop(POSITIVE + guarded(second)))
    assert "arith.andi" in text


def test_a_branch_that_is_the_same_for_all_turns_stays_a_branch(widened):
    inside = const("%jz", 0, "i32") + cmp("%c", 4, "%j", "%jz") + load("%v", "%x", "%i")
    text, _ = widened(wide_loop(inside + guarded(store("%v", "%y", "%i"))))
    filecheck(text, 'CHECK: "scf.if"(%c\nCHECK: "vector.store"')


def test_a_common_branch_may_give_lanes_on_one_side_and_a_number_on_the_other(widened):
    inside = (
        const("%jz", 0, "i32")
        + cmp("%c", 4, "%j", "%jz")
        + load("%v", "%x", "%i")
        + """
        %w = "scf.if"(%c) ({
          "scf.yield"(%v) : (f32) -> ()
        }, {
          "scf.yield"(%a) : (f32) -> ()
        }) : (i1) -> f32
        """
    )
    widened(wide_loop(inside + store("%w", "%y", "%i")))


def test_a_common_element_behind_a_condition_is_read_when_a_lane_wants_it(widened):
    inside = POSITIVE + guarded(
        load("%w", "%x", "%n") + binary("%u", "arith.addf", "%w", "%w") + store("%u", "%y", "%i")
    )
    text, _ = widened(wide_loop(inside))
    filecheck(
        text, 'CHECK: "vector.reduction"{{.*}}<or>\nCHECK: "scf.if"\nCHECK: "memref.load"(%x, %n)'
    )


def test_a_common_element_that_some_turn_writes_is_written_when_a_lane_wants_it(widened):
    far = '%far = "arith.addi"(%n, %one) : (index, index) -> index\n'
    text, _ = widened(wide_loop(far + POSITIVE + guarded(store("%a", "%y", "%far"))))
    filecheck(
        text, 'CHECK: "vector.reduction"{{.*}}<or>\nCHECK: "scf.if"\nCHECK: "memref.store"(%a'
    )


def test_a_division_behind_a_condition_does_not_divide_by_zero_elsewhere(widened):
    inside = load("%m", "%k", "%i", "i32") + const("%jz", 0, "i32") + cmp("%c", 1, "%m", "%jz")
    inside += const("%h", 100, "i32") + guarded(
        binary("%d", "arith.divsi", "%h", "%m", "i32") + store("%d", "%k", "%i", "i32")
    )
    text, _ = widened(wide_loop(inside))
    filecheck(text, 'CHECK: %[[SAFE:.*]] = "arith.select"\nCHECK: "arith.divsi"({{.*}}, %[[SAFE]])')


def test_a_division_in_a_masked_tail_does_not_divide_by_what_was_not_loaded(widened):
    one = (
        const("%h", 1, "i32")
        + load("%m", "%k", "%i", "i32")
        + binary("%o", "arith.ori", "%m", "%h", "i32")
    )
    inside = one + binary("%d", "arith.divui", "%j", "%o", "i32") + store("%d", "%k", "%i", "i32")
    text, _ = widened(wide_loop(inside))
    assert text.count('"arith.select"') == 1


def test_an_inner_loop_of_common_length_carries_lanes(widened):
    inside = f"""
        {load("%v", "%x", "%i")}
        %s = "scf.for"(%zero, %n, %one, %v, %a) ({{
        ^bb1(%l: index, %p: f32, %u: f32):
          {load("%e", "%x", "%l")}
          {binary("%t", "arith.addf", "%p", "%e")}
          {binary("%w", "arith.addf", "%u", "%u")}
          "scf.yield"(%t, %w) : (f32, f32) -> ()
        }}) : (index, index, index, f32, f32) -> (f32, f32)
        """.replace("%s =", "%s:2 =")
    text, _ = widened(wide_loop(inside + store("%s#0", "%y", "%i")))
    assert "(index, index, index, vector<4xf32>, f32) -> (vector<4xf32>, f32)" in text


def test_an_inner_loop_of_lengths_of_its_own_is_refused(widened):
    inside = f"""
        "scf.for"(%zero, %i, %one) ({{
        ^bb1(%l: index):
          {store("%a", "%y", "%i")}
          "scf.yield"() : () -> ()
        }}) : (index, index, index) -> ()"""
    _, lines = widened(wide_loop(inside, width=0))
    assert lines[0].endswith("not vectorized: an inner loop's bounds differ between the turns")


MANDELBROT = """
        %m = "memref.load"(%k, %i) : (memref<?xi32>, index) -> i32
        %c = "arith.sitofp"(%m) : (i32) -> f32
        %q4 = "arith.constant"() {value = 4.0 : f32} : () -> f32
        %fz = "arith.constant"() {value = 0.0 : f32} : () -> f32
        %z0 = "arith.constant"() {value = 0 : i32} : () -> i32
        %z1 = "arith.constant"() {value = 1 : i32} : () -> i32
        %most = "arith.constant"() {value = 9 : i32} : () -> i32
        %w:2 = "scf.while"(%fz, %z0) ({
        ^bb1(%z: f32, %count: i32):
          %zz = "arith.mulf"(%z, %z) : (f32, f32) -> f32
          %in = "arith.cmpf"(%zz, %q4) {predicate = 5 : i64} : (f32, f32) -> i1
          %few = "arith.cmpi"(%count, %most) {predicate = 2 : i64} : (i32, i32) -> i1
          %go = "arith.andi"(%in, %few) : (i1, i1) -> i1
          "scf.condition"(%go, %zz, %count) : (i1, f32, i32) -> ()
        }, {
        ^bb2(%s: f32, %t: i32):
          %next = "arith.addf"(%s, %c) : (f32, f32) -> f32
          %more = "arith.addi"(%t, %z1) : (i32, i32) -> i32
          "scf.yield"(%next, %more) : (f32, i32) -> ()
        }) : (f32, i32) -> (f32, i32)
        "memref.store"(%w#1, %k, %i) : (i32, memref<?xi32>, index) -> ()
        "memref.store"(%w#0, %y, %i) : (f32, memref<?xf32>, index) -> ()"""


def test_lanes_leave_a_while_one_by_one(widened):
    text, lines = widened(wide_loop(MANDELBROT))
    filecheck(
        text,
        """
        CHECK: "scf.while"
        CHECK: %[[ON:.*]] = "arith.andi"(%{{.*}}, %{{.*}}) : (vector<4xi1>, vector<4xi1>)
        CHECK: %[[ANY:.*]] = "vector.reduction"({{.*}}<or>
        CHECK: "scf.condition"(%[[ANY]]
        """,
    )
    assert "vectorized by 4" in lines[0]


def test_a_while_that_is_the_same_for_all_turns_runs_once(widened):
    inside = """
        %z1 = "arith.constant"() {value = 1 : i32} : () -> i32
        %w = "scf.while"(%j) ({
        ^bb1(%t: i32):
          %at = "arith.index_cast"(%t) : (i32) -> index
          %e = "memref.load"(%k, %at) : (memref<?xi32>, index) -> i32
          %go = "arith.cmpi"(%e, %z1) {predicate = 2 : i64} : (i32, i32) -> i1
          "scf.condition"(%go, %t) : (i1, i32) -> ()
        }, {
        ^bb2(%t: i32):
          %more = "arith.addi"(%t, %z1) : (i32, i32) -> i32
          "scf.yield"(%more) : (i32) -> ()
        }) : (i32) -> i32
        %f = "arith.sitofp"(%w) : (i32) -> f32
        "memref.store"(%f, %y, %i) : (f32, memref<?xf32>, index) -> ()"""
    text, _ = widened(wide_loop(inside))
    filecheck(text, 'CHECK: "scf.while"(%j)')


def test_assertions_hold_for_all_running_lanes(widened):
    inside = POSITIVE + guarded(
        cmp("%d", 2, "%v", "%fz", "f32") + '"cf.assert"(%d) {msg = "no"} : (i1) -> ()\n'
    )
    text, _ = widened(wide_loop(inside + SCALE.replace("%v", "%vv").replace("%w", "%ww")))
    filecheck(
        text, 'CHECK: "arith.select"\nCHECK: "vector.reduction"{{.*}}<and>\nCHECK: "cf.assert"'
    )


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        (load("%v", "%x", "%i") + store("%v", "%y", "%zero"), "every turn writes the same element"),
        ('"kdsl.print"(%a) {format = "{}"} : (f32) -> ()', "kdsl.print has no wide form"),
    ],
)
def test_what_has_no_wide_form_is_refused_with_the_reason(function, module_of, inside, why):
    wish = module_of(
        function(ARGS, wide_loop(SCALE.replace("%v", "%o").replace("%w", "%p") + inside, width=0))
    )
    before = (
        str(wish)
        .replace(' kdsl.tail = "mask",', "")
        .replace(' {kdsl.tail = "mask", kdsl.vectorize = 0 : i64}', "")
    )
    run_pipeline(parse_pipeline("vectorize"), wish, AVX, verify=True)
    assert explanations(wish)[0].endswith(f"not vectorized: {why}")
    # Nothing of the attempt is left.
    for function_op in wish.functions:
        del function_op.attributes["kdsl.explain"]
    assert str(wish) == before
    order = module_of(function(ARGS, wide_loop(inside, width=8)))
    with pytest.raises(CannotVectorizeError, match=f"cannot be vectorized by 8: {why}") as problem:
        run_pipeline(parse_pipeline("vectorize"), order, AVX)
    assert problem.value.loc is not None
    assert problem.value.loc.source_line.strip().startswith('"')


def test_a_step_other_than_one_is_refused(widened):
    body = wide_loop(SCALE, width=0).replace("value = 1 : index", "value = 2 : index")
    _, lines = widened(body)
    assert lines[0].endswith("not vectorized: its step is not 1")


def test_of_nested_loops_the_inner_one_is_widened(widened):
    inner = (
        wide_loop(SCALE, width=0).replace("%i", "%l").replace("%zero", "%z2").replace("%one", "%o2")
    )
    text, lines = widened(wide_loop(inner, width=0))
    assert "vectorized by 8" in lines[0]
    assert "not vectorized" in lines[-1]
    assert "vector.load" in text


def test_two_loops_are_reported_in_order(widened):
    second = wide_loop(SCALE, tail="scalar").replace("%i", "%l").replace("%zero", "%z2")
    second = second.replace("%one", "%o2").replace("%v", "%v2").replace("%w", "%w2")
    _, lines = widened(wide_loop(SCALE) + second)
    assert [line.split(", ")[1] for line in lines if "tail" in line] == ["mask tail", "scalar tail"]
