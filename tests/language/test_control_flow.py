# ruff: noqa: B007, S102, SIM108, SIM113, SIM201
# The kernels' text is what is tested: plain loops, branches and mistakes.
import numpy as np

import kdsl as kd
from kdsl import Const, Ptr, f32, i32, i64


@kd.kernel
def total(x: Ptr[f32, kd.RO], out: Ptr[f32], n: i32) -> None:
    acc = 0.0
    for i in kd.range(n):
        acc = acc + x[i]
    out[0] = acc


def test_a_carried_number_is_found(run):
    x, out = np.arange(5, dtype=np.float32), np.zeros(1, np.float32)
    run(total, x, out, 5)
    assert out[0] == 10


@kd.kernel
def total_from_int(x: Ptr[i64, kd.RO], out: Ptr[i64], n: i32) -> None:
    acc = 0
    for i in kd.range(n):
        acc += x[i]
    out[0] = acc


def test_a_carried_python_int_takes_the_dtype_that_it_meets(run):
    x, out = np.full(3, 1 << 40, np.int64), np.zeros(1, np.int64)
    traced = run(total_from_int, x, out, 3)
    assert out[0] == 3 << 40
    (loop,) = [op for op in traced.module.walk() if op.name == "scf.for"]
    assert str(loop.results[0].type) == "i64"


@kd.kernel
def sign(x: Ptr[f32, kd.RO], out: Ptr[i32], n: i32) -> None:
    for i in kd.range(n):
        if x[i] > 0.0:
            s = 1
        elif x[i] < 0.0:
            s = -1
        else:
            s = 0
        out[i] = s


def test_branches_give_a_name_its_value(run):
    x, out = np.array([-2, 0, 3], np.float32), np.zeros(3, np.int32)
    run(sign, x, out, 3)
    assert out.tolist() == [-1, 0, 1]


@kd.kernel
def first_zero(x: Ptr[f32, kd.RO], out: Ptr[i32], n: i32) -> None:
    i = 0
    while i < n and x[i] != 0.0:
        i = i + 1
    out[0] = i


def test_and_does_not_read_past_the_end(run):
    out = np.zeros(1, np.int32)
    run(first_zero, np.array([1, 2, 0, 4], np.float32), out, 4)
    assert out[0] == 2
    run(first_zero, np.array([1, 2], np.float32), out, 2)
    assert out[0] == 2


@kd.kernel
def collatz(out: Ptr[i32], n: i32) -> None:
    steps, x = 0, n
    while x != 1:
        if x % 2 == 0:
            x = x // 2
        else:
            x = 3 * x + 1
        steps += 1
    out[0] = steps


def test_a_while_loop_carries_what_its_branches_assign(run):
    out = np.zeros(1, np.int32)
    run(collatz, out, 27)
    assert out[0] == 111


@kd.kernel
def clamp01(x: Ptr[f32], n: i32) -> None:
    for i in kd.range(n):
        x[i] = 0.0 if x[i] < 0.0 else 1.0 if x[i] > 1.0 else x[i]  # noqa: FURB136


def test_ternaries_nest(run):
    x = np.array([-1, 0.5, 2], np.float32)
    run(clamp01, x, 3)
    assert x.tolist() == [0, 0.5, 1]


@kd.kernel
def count_inside(x: Ptr[f32, kd.RO], out: Ptr[i32], n: i32) -> None:
    count = 0
    for i in kd.range(n):
        if 0.0 <= x[i] < 1.0 and not x[i] == 0.5:
            count += 1
    out[0] = count


def test_chained_comparisons_and_not_are_captured(run):
    out = np.zeros(1, np.int32)
    run(count_inside, np.array([-1, 0, 0.5, 0.9, 1], np.float32), out, 5)
    assert out[0] == 2


@kd.kernel
def backwards(out: Ptr[i32], n: i32) -> None:
    at = 0
    for i in kd.range(n - 1, -1, -2):
        out[at] = i
        at += 1


def test_a_range_counts_down(run):
    out = np.full(4, -7, np.int32)
    run(backwards, out, 7)
    assert out.tolist() == [6, 4, 2, 0]


@kd.kernel
def unrolled(x: Ptr[f32], *, N: Const[int]) -> None:
    acc = 0.0
    for i in range(N):
        if i == 2:
            continue
        if i == 4:
            break
        acc = acc + x[i]
    x[0] = acc


def test_a_python_loop_over_python_values_unrolls(run):
    x = np.arange(1, 7, dtype=np.float32)
    traced = run(unrolled, x, N=6)
    assert x[0] == 1 + 2 + 4
    assert not [op for op in traced.module.walk() if op.name.startswith("scf")]


@kd.kernel
def static_names(x: Ptr[f32], n: i32, *, MODE: Const[str] = "double") -> None:
    scale = 3.0
    if MODE == "double":
        scale = 2.0
    for i in kd.range(n):
        x[i] = x[i] * scale


def test_an_if_on_a_const_chooses_while_tracing(run):
    x = np.ones(2, np.float32)
    run(static_names, x, 2)
    assert x.tolist() == [2, 2]
    run(static_names, x, 2, MODE="other")
    assert x.tolist() == [6, 6]


@kd.kernel
def rebinding(x: Ptr[f32], n: i32) -> None:
    t = kd.zeros((4,), f32)
    x[0] = t.sum()
    for i in kd.range(n):
        t = x[i] * 2.0
        x[i] = t


def test_a_name_that_is_only_used_inside_is_not_carried(run):
    x = np.ones(3, np.float32)
    traced = run(rebinding, x, 3)
    assert x.tolist() == [0, 2, 2]
    (loop,) = [op for op in traced.module.walk() if op.name == "scf.for"]
    assert not loop.results


@kd.kernel
def swap(out: Ptr[i32], n: i32) -> None:
    a, b = 0, 1
    for _ in kd.range(n):
        a, b = b, a + b
    out[0] = a


def test_tuple_assignment_is_carried(run):
    out = np.zeros(1, np.int32)
    run(swap, out, 10)
    assert out[0] == 55


@kd.kernel
def moving(x: Ptr[f32], n: i32) -> None:
    p = x + 1
    for i in kd.range(n):
        p[0] = 5.0
        p = p + 2


def test_a_moving_pointer_is_carried(run):
    x = np.zeros(6, np.float32)
    run(moving, x, 3)
    assert x.tolist() == [0, 5, 0, 5, 0, 5]


@kd.func
def newton(x, steps):
    y = x
    for _ in kd.range(steps):
        y = 0.5 * (y + x / y)
    if steps is None:
        return x
    return y


@kd.kernel
def roots(x: Ptr[f32], n: i32) -> None:
    @kd.parallelize(n)
    def one(i):
        x[i] = newton(x[i], 20)


def test_a_helper_with_a_loop_is_inlined(run):
    x = np.array([4, 9, 2], np.float32)
    run(roots, x, 3)
    assert np.allclose(x, [2, 3, 2**0.5])


def test_functional_forms_need_no_source(run):
    text = """
@kd.kernel
def k(x: Ptr[f32], out: Ptr[f32], n: i32):
    acc, top = kd.fori(0, n, lambda i, a, t: (a + x[i], kd.maximum(t, x[i])), (0.0, -kd.inf))
    halvings, rest = kd.while_loop(lambda c, v: v > 1.0, lambda c, v: (c + 1, v * 0.5), (0, acc))
    out[0] = acc
    out[1] = top
    out[2] = halvings.to(f32)
    out[3] = kd.cond(acc > 5.0, lambda: 1.0, lambda: x[0])
"""
    names = {"kd": kd, "Ptr": Ptr, "f32": f32, "i32": i32, "__name__": "no_source"}
    exec(text, names)
    x, out = np.array([1, 5, 2], np.float32), np.zeros(4, np.float32)
    run(names["k"], x, out, 3)
    assert out.tolist() == [8, 5, 3, 1]


@kd.kernel
def vector_sum(x: Ptr[f32, kd.RO], out: Ptr[f32], n: i32) -> None:
    @kd.vectorize(n, init=(0.0, -kd.inf))
    def found(i, w, s, top):
        v = x.load(i, width=w)
        return s + v, kd.maximum(top, v)

    out[0], out[1] = found


def test_vectorize_carries_a_state(run):
    x, out = np.arange(9, dtype=np.float32), np.zeros(2, np.float32)
    run(vector_sum, x, out, 9)
    assert out.tolist() == [36, 8]


@kd.kernel
def for_vectorize(x: Ptr[f32, kd.RO], out: Ptr[f32], n: i32) -> None:
    s = 0.0
    for i in kd.vectorize(n):
        s += x[i]
    out[0] = s


def test_vectorize_is_a_loop_too(run):
    x, out = np.arange(9, dtype=np.float32), np.zeros(1, np.float32)
    traced = run(for_vectorize, x, out, 9)
    assert out[0] == 36
    assert '"mask", kdsl.vectorize = 0' in str(traced.module)


@kd.kernel
def checked(x: Ptr[f32], n: i32) -> None:
    assert n > 0, "n must be positive"
    print("n is", n, "and", {"a": 1})
    x[0] = 1.0


def test_assert_and_print_are_run_by_the_kernel(run, capsys):
    x = np.zeros(1, np.float32)
    traced = run(checked, x, 3)
    assert "n is 3 and {'a': 1}" in capsys.readouterr().out
    assert 'msg = "n must be positive"' in str(traced.module)
