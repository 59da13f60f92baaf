import sys
from dataclasses import dataclass

import numpy as np
import pytest

import kdsl as kd
from kdsl import Const, Ptr, Tensor, bf16, errors, f32, i32
from kdsl.language.schedule import Tuning
from kdsl.target.target import Target

B, Hq, Hkv, M, N = kd.dims("B Hq Hkv M N")
D = kd.const_dims("D")
T = kd.dtype_var("T", f32, bf16)


@dataclass(frozen=True)
class Scaling:
    factor: f32
    bias: Ptr[f32, kd.RO]
    twice: Const[bool] = False


@kd.kernel
def scaled(x: Ptr[f32], s: Scaling, n: i32) -> None:
    @kd.vectorize(n)
    def _(i):
        y = x[i] * s.factor + s.bias[i]
        x[i] = y * 2.0 if s.twice else y


def test_a_struct_is_flattened(run):
    x, bias = np.ones(3, np.float32), np.arange(3, dtype=np.float32)
    traced = run(scaled, x, Scaling(3.0, bias, twice=True), 3)
    assert x.tolist() == [6, 8, 10]
    assert [a.name for a in traced.signature.args] == ["x", "s.factor", "s.bias", "n"]
    assert traced.signature.consts == (("s.twice", True),)


def test_a_single_vectorize_may_be_spread_over_the_grid():
    assert "kdsl.parallel" in str(scaled.trace().module)


@kd.kernel
def two_loops(x: Ptr[f32], n: i32) -> None:
    for _ in kd.range(2):

        @kd.vectorize(n)
        def _step(i):
            x[i] = x[i] + 1.0


def test_a_loop_around_a_vectorize_is_not_spread():
    assert "kdsl.parallel" not in str(two_loops.trace().module)


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), d.B))
def add_rows(x: Tensor[T, B, M], y: Tensor[T, B, M], *, BM: Const[int] = 4) -> None:
    """Add y to x.

    More words.
    """
    rows = kd.span(kd.program_id(0), BM)
    b = kd.program_id(1)
    x[b, rows].store(x[b, rows].load() + y[b, rows].load())


@kd.program(require=["M >= 1"])
def twice(x: Tensor[T, B, M], y: Tensor[T, B, M], *, BM: Const[int] = 8) -> None:
    t = kd.workspace(T, (x.shape[0], M))
    copy(y, t)
    if BM > 4:
        add_rows(x, t, BM=BM)
    add_rows(x, t, BM=BM)
    add_rows[1, B](x, t, BM=16)


@kd.kernel(grid=lambda d: d.B)
def copy(x: Tensor[T, B, M], out: Tensor[T, B, M]) -> None:
    b = kd.program_id(0)

    @kd.vectorize(M)
    def _(i):
        out[b, i] = x[b, i]


def test_a_program_launches_kernels_on_workspaces(run):
    x, y = np.zeros((2, 11), np.float32), np.arange(22, dtype=np.float32).reshape(2, 11)
    traced = run(twice, x, y)
    assert np.array_equal(x, 3 * y)
    assert traced.kernels == (
        "twice.copy.kernel", "twice.add_rows.kernel", "twice.add_rows.kernel1",
    )  # fmt: skip
    text = str(traced.module)
    assert text.count('"memref.alloc"') == text.count('"memref.dealloc"') == 1
    assert [r.text for r in traced.signature.relations] == ["M >= 1"]


def test_a_signature_says_what_callers_must_give():
    signature = add_rows.trace(add_rows.specialize(T=bf16, BM=16)).signature
    assert signature.name == "add_rows"
    assert signature.doc == "Add y to x."
    assert signature.consts == (("BM", 16),)
    x, _ = signature.args
    assert (x.kind, x.dtype, x.dims, x.access) == ("tensor", "bf16", ("B", "M"), "rw")


def test_a_grid_given_by_the_caller_is_three_more_arguments(run):
    x, y = np.zeros((2, 11), np.float32), np.ones((2, 11), np.float32)
    traced = run(add_rows, x, y, grid=(2, 2))
    assert x.sum() == 2 * 8
    assert [a.name for a in traced.signature.args[2:]] == ["grid_x", "grid_y", "grid_z"]


def test_strided_tensors_are_another_specialization():
    from dataclasses import replace

    spec = replace(add_rows.specialize(), strided=("x",))
    traced = add_rows.trace(spec)
    assert "memref<?x?xf32, strided<[?, ?]>>" in str(traced.module)
    assert [a.unit_stride for a in traced.signature.args] == [False, True]


@kd.kernel(grid=lambda d: d.B, require=[Hq % Hkv == 0])
def related(q: Tensor[f32, B, Hq], k: Tensor[f32, B, Hkv], n: i32, *, G: Const[int] = 2) -> None:
    kd.require(q.shape[1] == G * k.shape[1])
    kd.require(n < Hq * 2)
    q[kd.program_id(0), 0] = 1.0


def test_requirements_become_relations():
    texts = [r.text for r in related.trace().signature.relations]
    assert texts == ["Hq % Hkv == 0", "Hq == 2 * Hkv", "n < Hq * 2"]


def test_requirements_on_fixed_dims_are_checked_while_tracing():
    assert [r.text for r in related.trace(related.specialize(Hq=4, Hkv=2)).signature.relations] == [
        "n < 8"
    ]
    with pytest.raises(errors.StaticAssertError, match="Hq % Hkv == 0"):
        related.trace(related.specialize(Hq=4, Hkv=3))


@kd.func
def double(x):
    return x + x


@kd.kernel
def outer(x: Tensor[f32, M], n: i32) -> None:
    @kd.parallelize(n)
    def _(i):
        x[i] = double(x[i])

    inner.inline(x, 5)


@kd.kernel
def inner(y: Tensor[f32, N], k: i32, *, ADD: Const[float] = 1.0) -> None:
    assert N > 0
    y[0] = y[0] + ADD * k.to(f32)


def test_a_kernel_is_inlined_into_another(run):
    x = np.ones(3, np.float32)
    run(outer, x, 3)
    assert x.tolist() == [7, 2, 2]


@kd.kernel
def chosen(x: Ptr[f32], *, BM: Const[int] = 4) -> None:
    x[0] = kd.by_target(wide=2.0, default=1.0) * BM
    for i in kd.range(4, stages=kd.num_stages):
        x[i] = x[i]


def test_schedules_are_apart_from_the_kernel(run):
    x = np.zeros(4, np.float32)
    wide = Target("tests", "wide-1", attributes="+wide,-narrow")
    chosen.schedule("wide", BM=16, stages=3)
    run(chosen, x)
    assert x[0] == 4
    traced = run(chosen, x, target=wide)
    assert x[0] == 32
    assert "kdsl.stages = 3" in str(traced.module)
    run(chosen, x, BM=8, target=wide)
    assert x[0] == 16


@kd.autotune([kd.Config(BM=4), kd.Config(BM=8), kd.Config(BM=512)], key=(M, "BM"), budget_s=5.0,
             prune=lambda c, t: c.values["BM"] < 100)  # fmt: skip
@kd.kernel(grid=lambda d: kd.cdiv(d.M, d.BM))
def tuned(x: Tensor[f32, M], *, BM: Const[int]) -> None:
    rows = kd.span(kd.program_id(0), BM)
    x[rows].store(x[rows].load() * 2.0)


def test_autotuning_takes_the_fastest_that_the_model_lets_through():
    tuning = tuned.tuning
    assert isinstance(tuning, Tuning)
    assert tuning.key == ("M", "BM")
    asked = []

    def measure(config):
        asked.append(config.values["BM"])
        return 1.0 / config.values["BM"]

    target = Target("tests", "any")
    best = tuning.choose((1024,), target, measure)
    assert best.values == {"BM": 8}
    assert tuning.choose((1024,), target, measure) is best
    assert asked == [4, 8]
    assert tuned.trace().signature.consts == (("BM", 4),)


def test_exports_are_found_in_their_own_module():
    module = sys.modules[__name__]
    kd.export(add_rows)
    assert kd.exports(module) == [add_rows]


def test_host_helpers_take_plain_and_symbolic_numbers():
    import sympy

    n = sympy.Symbol("n", integer=True)
    assert kd.cdiv(10, 4) == 3
    assert kd.cdiv(n, 4).subs(n, 10) == 3
    assert kd.minimum(3, 5) == 3
    assert kd.maximum(n, 5).subs(n, 9) == 9


def test_a_specialization_is_a_key():
    a, b = add_rows.specialize(BM=4, T="bf16"), add_rows.specialize(T=bf16, BM=4)
    assert a == b
    assert hash(a) == hash(b)


def test_a_location_is_kept_for_each_op():
    op = next(op for op in add_rows.trace().module.walk() if op.name == "arith.addf")
    assert op.loc.text == "x[b, rows].load() + y[b, rows].load()"


def test_importing_the_language_needs_no_inspection():
    import subprocess

    code = "import sys, kdsl as kd; kd.kernel; print([m for m in ('inspect','sympy','llvmlite') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sympy" not in done.stdout
    assert "llvmlite" not in done.stdout
