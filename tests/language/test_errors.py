# ruff: noqa: B007, PERF401, PTH123, S102, SIM108
# The kernels' text is what is tested: plain loops, branches and mistakes.
"""Each mistake gives its code, and carets under the user's sub-expression."""

import numpy as np
import pytest

import kdsl as kd
from kdsl import Const, Ptr, Tensor, bf16, errors, f32, i8, i32

B, M, N = kd.dims("B M N")
D = kd.const_dims("D")
T = kd.dtype_var("T", f32, bf16)


def check(error, kind, text):
    assert type(error) is kind, error
    assert error.loc.text == text, error
    assert "^" * len(text) in str(error) or len(text) != len(text.strip())
    return error


@kd.kernel
def exp2_of_integers(x: Ptr[i32], out: Ptr[f32]) -> None:
    out[0] = kd.exp2(x[0])


@kd.kernel
def mixed_dtypes(x: Ptr[bf16], y: Ptr[f32]) -> None:
    y[0] = 1.0 + (y[1] + x[0])


@kd.kernel
def too_many_indices(x: Tensor[f32, B, M]) -> None:
    x[0, 1, 2] = 0.0


@kd.kernel
def bad_broadcast(x: Tensor[f32, 64, 32]) -> None:
    s = x[...].load()
    x[...].store(s - s.max(axis=1))


@kd.kernel
def all_of_a_list(x: Ptr[f32]) -> None:
    if all([x[0] > 0.0, x[1] > 0.0]):
        x[2] = 1.0


@kd.kernel
def python_range(x: Ptr[f32], n: i32) -> None:
    for i in range(n):
        x[i] = 0.0


@kd.kernel
def unbound_after_loop(x: Ptr[f32], n: i32) -> None:
    for i in kd.range(n):
        last = x[i]
    x[0] = last


@kd.kernel
def unbound_after_branch(x: Ptr[f32]) -> None:
    if x[0] > 0.0:
        y = 1.0
    x[1] = y + 2.0


@kd.kernel
def unbound_index(x: Ptr[f32], n: i32) -> None:
    for i in kd.range(n):
        x[i] = 0.0
    x[i] = 1.0


@kd.kernel
def changing_type(x: Ptr[f32], n: i32) -> None:
    acc = kd.cast(0, i32)
    for i in kd.range(n):
        acc = acc.to(f32) + x[i]
    x[0] = acc


@kd.kernel
def changing_shape(x: Tensor[f32, 4], n: i32) -> None:
    acc = kd.zeros((4,), f32)
    for i in kd.range(n):
        acc = acc[None, :]
    x[:].store(acc)


@kd.kernel
def break_in_loop(x: Ptr[f32], n: i32) -> None:
    for i in kd.range(n):
        if x[i] == 0.0:
            break


@kd.kernel
def return_in_branch(x: Ptr[f32]) -> None:
    if x[0] > 0.0:
        return
    x[0] = 1.0


@kd.kernel
def uses_try(x: Ptr[f32]) -> None:
    try:
        x[0] = 1.0
    finally:
        x[1] = 1.0


@kd.kernel
def uses_with(x: Ptr[f32]) -> None:
    with open("file"):
        x[0] = 1.0


@kd.kernel
def for_else(x: Ptr[f32], n: i32) -> None:
    for i in kd.range(n):
        x[i] = 1.0
    else:  # noqa: PLW0120 - the mistake
        x[0] = 2.0


@kd.kernel
def traced_shape(x: Ptr[f32], n: i32) -> None:
    x[0] = kd.zeros((n,), f32).sum()


@kd.kernel
def open_dim(x: Tensor[f32, M, N]) -> None:
    x[0].store(x[1].load())


@kd.kernel
def asserts(x: Ptr[f32], *, W: Const[int]) -> None:
    kd.static_assert(W % 2 == 0, "pairs")
    x[0] = 1.0


@kd.kernel
def zero_width(x: Ptr[f32]) -> None:
    x.store(0, x.load(0, width=0))


@kd.kernel
def cross_lanes(x: Ptr[f32], n: i32) -> None:
    @kd.vectorize(n)
    def _(i, w):
        x.store(0, x.load(i, width=w).reduce_add())


@kd.kernel
def branch_types(x: Ptr[f32], n: i32) -> None:
    if n > 0:
        y = x[0]
    else:
        y = n
    x[1] = y


@kd.kernel
def writes_read_only(x: Ptr[f32, kd.RO]) -> None:
    x[0] = 1.0


@kd.kernel
def reads_write_only(x: Tensor[f32, 4, kd.WO]) -> None:
    x[0] = x[1]


@kd.kernel
def returns(x: Ptr[f32]):
    return x[0]


@kd.kernel
def out_of_range(x: Ptr[i8]) -> None:
    x[0] = x[1] + 300


@kd.func
def endless(n):
    return endless(n - 1)


@kd.kernel
def recursive(x: Ptr[f32], n: i32) -> None:
    x[0] = endless(n).to(f32)


@kd.kernel
def escapes(x: Ptr[f32], n: i32) -> None:
    found = []
    for i in kd.range(n):
        found.append(x[i])
    x[0] = found[0] + 1.0


@kd.kernel
def spans_without_end(x: Ptr[f32]) -> None:
    x[0] = kd.span(0, 4).mask.any().to(f32)


@kd.kernel
def unknown_dim(x: Tensor[f32, M]) -> None:
    x[0] = kd.cast(N, f32)


@kd.kernel
def float_into_int(x: Ptr[i32]) -> None:
    x[0] = x[1] * 1.5


@kd.kernel
def bad_hint(x: Ptr[f32]) -> None:
    x[0] = x.load(1, cache="fast")


@kd.kernel
def tile_condition(x: Tensor[f32, 4]) -> None:
    if x[:].load() > 0.0:
        x[0] = 1.0


@kd.kernel
def iterates_a_tile(x: Tensor[f32, 4]) -> None:
    for v in x[:].load():
        x[0] = v


CASES = [
    (exp2_of_integers, {}, errors.TypeMismatchError, "kd.exp2(x[0])"),
    (mixed_dtypes, {}, errors.DtypeMismatchError, "y[1] + x[0]"),
    (too_many_indices, {}, errors.RankError, "x[0, 1, 2]"),
    (bad_broadcast, {}, errors.ShapeMismatchError, "s - s.max(axis=1)"),
    (all_of_a_list, {}, errors.TracedBoolError, "all([x[0] > 0.0, x[1] > 0.0])"),
    (python_range, {}, errors.TracedValueError, "range(n)"),
    (unbound_after_loop, {}, errors.UnboundLoopVariableError, "last"),
    (unbound_after_branch, {}, errors.UnboundLoopVariableError, "y"),
    (unbound_index, {}, errors.UnboundLoopVariableError, "i"),
    (changing_type, {}, errors.LoopCarriedTypeError, "acc"),
    (changing_shape, {}, errors.LoopCarriedTypeError, "acc"),
    (break_in_loop, {}, errors.UnsupportedConstructError, "break"),
    (return_in_branch, {}, errors.UnsupportedConstructError, "return"),
    (uses_try, {}, errors.UnsupportedConstructError, "try:"),
    (uses_with, {}, errors.UnsupportedConstructError, 'with open("file"):'),
    (for_else, {}, errors.UnsupportedConstructError, "x[0] = 2.0"),
    (traced_shape, {}, errors.NotConstError, "kd.zeros((n,), f32)"),
    (open_dim, {}, errors.NotConstError, "x[1].load()"),
    (asserts, {"W": 3}, errors.StaticAssertError, 'kd.static_assert(W % 2 == 0, "pairs")'),
    (zero_width, {}, errors.WidthError, "x.load(0, width=0)"),
    (cross_lanes, {}, errors.WidthError, "x.load(i, width=w).reduce_add"),
    (branch_types, {}, errors.BranchTypeError, "y"),
    (writes_read_only, {}, errors.AccessError, "x[0]"),
    (reads_write_only, {}, errors.AccessError, "x[1]"),
    (returns, {}, errors.ReturnError, "return x[0]"),
    (out_of_range, {}, errors.ConstantRangeError, "x[1] + 300"),
    (recursive, {}, errors.KernelRecursionError, "endless(n - 1)"),
    (escapes, {}, errors.EscapedValueError, "found[0] + 1.0"),
    (spans_without_end, {}, errors.UnboundSpanError, "kd.span(0, 4).mask"),
    (unknown_dim, {}, errors.UnknownDimError, "kd.cast(N, f32)"),
    (float_into_int, {}, errors.TypeMismatchError, "x[1] * 1.5"),
    (bad_hint, {}, errors.TypeMismatchError, 'x.load(1, cache="fast")'),
    (tile_condition, {}, errors.TracedBoolError, "x[:].load() > 0.0"),
    (iterates_a_tile, {}, errors.TracedValueError, "x[:].load()"),
]


@pytest.mark.parametrize(
    ("kernel", "names", "kind", "text"), CASES, ids=lambda c: getattr(c, "name", "")
)
def test_a_mistake_is_shown_where_it_is(error_of, kernel, names, kind, text):
    check(error_of(kernel, **names), kind, text)


def test_an_error_in_a_helper_shows_the_call(error_of):
    error = error_of(recursive)
    assert error.loc.caller is not None
    assert "note: in a call from here" in str(error)


def test_a_missing_const_is_named(error_of):
    assert error_of(asserts).name == "W"
    assert type(error_of(asserts)) is errors.MissingConstError


def test_a_missing_const_dim_is_named(error_of):
    @kd.kernel
    def k(x: Tensor[f32, M, D]) -> None:
        x[0, 0] = 1.0

    assert error_of(k).name == "D"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(errors.UnknownParameterError, match="it has W"):
        asserts.specialize(V=3)


def test_a_grid_with_an_unknown_dim_points_into_the_lambda(error_of):
    @kd.kernel(grid=lambda d: (d.rows,))
    def k(x: Tensor[f32, M]) -> None:
        x[kd.program_id(0)] = 1.0

    check(error_of(k), errors.UnknownDimError, "d.rows")


def test_a_program_id_needs_a_grid(error_of):
    @kd.kernel
    def k(x: Ptr[f32]) -> None:
        x[kd.program_id(0)] = 1.0

    check(error_of(k), errors.NoGridError, "kd.program_id(0)")


def test_a_grid_has_at_most_three_extents(error_of):
    @kd.kernel(grid=lambda d: (1, 2, 3, 4))
    def k(x: Ptr[f32]) -> None:
        x[0] = 1.0

    assert type(error_of(k)) is errors.BadGridError


def test_annotations_are_checked_when_a_kernel_is_defined():
    with pytest.raises(errors.BadAnnotationError) as caught:

        @kd.kernel
        def k(x: Ptr[f32], n: int) -> None:
            x[0] = n

    assert caught.value.loc.text == "int"
    with pytest.raises(errors.BadAnnotationError, match="missing"):

        @kd.kernel
        def without(x) -> None:
            x[0] = 1.0

    with pytest.raises(errors.BadAnnotationError, match="put it after"):

        @kd.kernel
        def positional(x: Ptr[f32], n: Const[int]) -> None:
            x[0] = n


def test_decorators_say_how_they_are_used():
    with pytest.raises(errors.BadDecoratorError, match=r"above @kd\.kernel"):

        @kd.kernel
        @kd.export
        def k(x: Ptr[f32]) -> None:
            x[0] = 1.0


def test_language_functions_need_a_kernel():
    with pytest.raises(errors.OutsideKernelError) as caught:
        kd.program_id(0)
    assert caught.value.loc.text == "kd.program_id(0)"


def test_without_source_a_traced_bool_says_so():
    text = "def k(x: Ptr[f32]):\n    if x[0] > 0.0:\n        x[0] = 1.0\n"
    names = {"kd": kd, "Ptr": Ptr, "f32": f32}
    exec(text, names)
    with pytest.raises(errors.NoSourceError):
        kd.kernel(names["k"]).trace()


def test_a_value_of_a_wrong_type_for_a_const_is_refused(error_of):
    assert type(error_of(asserts, W="wide")) is errors.TypeMismatchError


def test_a_vectorize_body_may_not_rebind_outer_names(error_of):
    @kd.kernel
    def k(x: Ptr[f32], n: i32) -> None:
        acc = 0.0

        @kd.vectorize(n)
        def _(i):
            nonlocal acc
            acc = acc + x[i]

        x[0] = acc

    check(error_of(k), errors.UnsupportedConstructError, "nonlocal acc")


def test_numpy_numbers_are_python_numbers(run):
    @kd.kernel
    def k(x: Ptr[f32], *, W: Const[int]) -> None:
        x[0] = x[0] * np.float32(2.0) + W

    x = np.ones(1, np.float32)
    run(k, x, W=np.int64(3))
    assert x[0] == 5


@kd.kernel(grid=lambda d: d.M)
def fixed_rows(x: Tensor[T, M, D], shift: Tensor[f32, D] | None = None) -> None:
    row = x[kd.program_id(0)]
    row.store(row.load() + (1.0 if shift is None else shift[:].load().to(x.dtype)))


@pytest.mark.parametrize(
    ("x", "kind", "words"),
    [
        (np.zeros((2, 4)), errors.ArgumentDtypeError, "'x' must have dtype f32 or bf16, got f64"),
        (np.zeros(4, np.float32), errors.ArgumentRankError, "'x' must have 2 dims"),
        (None, errors.ArgumentTypeError, "'x' must be an array"),
        ([[1.0]], errors.ArgumentTypeError, "'x' must be an array"),
    ],
)
def test_a_call_that_cannot_be_specialized_names_the_argument(x, kind, words):
    with pytest.raises(kind) as caught:
        fixed_rows(x)
    check(caught.value, kind, "fixed_rows(x)")
    assert words in str(caught.value)


def test_an_absent_argument_with_a_fixed_dim_is_absent_in_the_interpreter():
    x = np.zeros((2, 4), np.float32)
    with kd.settings.override(interpret=True):
        fixed_rows(x)
    assert (x == 1).all()


@kd.kernel
def spans(x: Tensor[f32, M], *, W: Const[int] = 4, BY: Const[int] = 1) -> None:
    part = x[kd.span(0, W, step=BY)]
    part.store(part.load() + 1.0)


@pytest.mark.parametrize("given", [{"W": 0}, {"W": -1}, {"BY": 0}])
def test_an_empty_span_is_refused_where_it_is_made(error_of, given):
    check(error_of(spans, **given), errors.TypeMismatchError, "kd.span(0, W, step=BY)")
