"""Kernels of scalar level that try what the pass has to get right; each with its NumPy meaning."""

import kdsl as kd
from kdsl import Const, Tensor, f32, i32, i64, u8

N, M = kd.dims("N M")
T = kd.dtype_var("T", kd.f32, kd.bf16, kd.f16, kd.f64, kd.i8, kd.i32)


@kd.kernel
def copy(x: Tensor[T, N], out: Tensor[T, N], *, START: Const[int] = 0) -> None:
    @kd.vectorize(out.shape[0], start=START)
    def step(i, w):
        out.store(i, x.load(i, width=w))


@kd.kernel
def shifted(x: Tensor[f32, N], out: Tensor[f32, N]) -> None:
    @kd.vectorize(out.shape[0] - 2)
    def step(i, w):
        out.store(i + 1, x.load(i, width=w) + x.load(i + 1, width=w) + x.load(i + 2, width=w))


@kd.kernel
def total(x: Tensor[f32, N], out: Tensor[f32, M]) -> None:
    @kd.vectorize(x.shape[0], init=1.0)
    def sum_(i, w, s):
        return s + x.load(i, width=w)

    out[0] = sum_


@kd.kernel
def several(
    x: Tensor[f32, N], y: Tensor[i32, N], out: Tensor[f32, M], number: Tensor[i32, M]
) -> None:
    @kd.vectorize(x.shape[0], init=(0.0, -3.0e38, 0))
    def found(i, w, s, most, count):
        v = x.load(i, width=w)
        return s + v, kd.maximum(most, v), count + y.load(i, width=w)

    s, most, count = found
    out[0] = s
    out[1] = most
    number[0] = count


@kd.kernel(grid=lambda d: (d.N,))
def centred(x: Tensor[f32, N, M], out: Tensor[f32, N, M]) -> None:
    """Two reductions, one after the other, then a loop over what they gave."""
    row = kd.program_id(0)
    size = x.shape[1]

    @kd.vectorize(size, init=0.0)
    def sum_(i, w, s):
        return s + x.load(row, i, width=w)

    mean = sum_ / size.to(f32)

    @kd.vectorize(size, init=0.0)
    def squares(i, w, s):
        d = x.load(row, i, width=w) - mean
        return s + d * d

    scale = kd.rsqrt(squares / size.to(f32) + 1e-5)

    @kd.vectorize(size)
    def write(i, w):
        out.store(row, i, (x.load(row, i, width=w) - mean) * scale)


@kd.kernel(grid=lambda d: (1,))
def two_steps(x: Tensor[f32, N], between: Tensor[f32, N], out: Tensor[f32, N]) -> None:
    """The second loop reads what other lanes wrote in the first."""
    n = x.shape[0]

    @kd.vectorize(n)
    def first(i, w):
        between.store(i, x.load(i, width=w) * 2.0)

    @kd.vectorize(n)
    def second(i, w):
        out.store(i, between.load(n - 1 - i, width=w))


@kd.kernel(grid=lambda d: (1,))
def running(x: Tensor[f32, N], out: Tensor[f32, N]) -> None:
    """A loop that is one after the other by nature, with shared loops before and after."""
    n = x.shape[0]

    @kd.vectorize(n)
    def double(i, w):
        out.store(i, x.load(i, width=w) * 2.0)

    for i in kd.range(1, n):
        out[i] = out[i] + out[i - 1]

    @kd.vectorize(n)
    def halve(i, w):
        out.store(i, out.load(i, width=w) * 0.5)


@kd.kernel(grid=lambda d: (d.M,))
def ticket(counter: Tensor[i32, N], out: Tensor[i32, M, N]) -> None:
    """What an atomic op gives is the same on all lanes."""
    mine = counter.atomic_add(0, 1)

    @kd.vectorize(out.shape[1])
    def write(i, w):
        out.store(mine, i, i.to(i32) + mine)


@kd.kernel(grid=lambda d: (d.N,))
def steps(x: Tensor[f32, N, M], out: Tensor[f32, N, M]) -> None:
    """Shared loops in a loop that all lanes run: a turn reads what the turn before wrote."""
    row = kd.program_id(0)
    n = x.shape[1]

    @kd.vectorize(n)
    def copy_(i, w):
        out.store(row, i, x.load(row, i, width=w))

    for _ in kd.range(3):

        @kd.vectorize(n, init=0.0)
        def sum_(i, w, s):
            return s + out.load(row, i, width=w)

        if sum_ > 0.0:

            @kd.vectorize(n)
            def less(i, w):
                out.store(row, i, out.load(row, i, width=w) - sum_ / n.to(f32))

        else:
            out[row, 0] = sum_


@kd.kernel
def rows(x: Tensor[f32, N, M], out: Tensor[f32, N]) -> None:
    """A parallel loop whose turns hold a loop for lanes."""

    @kd.parallelize(x.shape[0])
    def row(r):
        @kd.vectorize(x.shape[1], init=0.0)
        def sum_(i, w, s):
            return s + x.load(r, i, width=w)

        out[r] = sum_


@kd.kernel
def heavy(x: Tensor[f32, N, M], out: Tensor[f32, N]) -> None:
    """A parallel loop whose turns are long and plain."""

    @kd.parallelize(x.shape[0])
    def row(r):
        s = kd.cast(0.0, f32)
        for i in kd.range(x.shape[1]):
            s = s + x[r, i]
        out[r] = s


@kd.kernel
def count(data: Tensor[u8, N], bins: Tensor[i32, M]) -> None:
    """Turns that only add atomically."""
    for i in kd.range(data.shape[0]):
        value = data[i].to(kd.index)
        if value < bins.shape[0]:
            bins.atomic_add(value, 1)


@kd.kernel(grid=lambda d: (1,))
def last(x: Tensor[f32, N], out: Tensor[f32, N]) -> None:
    """What is carried is no reduction: the loop cannot be shared."""

    @kd.vectorize(x.shape[0], init=0.0)
    def decayed(i, w, s):
        return s * 0.5 + x.load(i, width=w)

    out[0] = decayed


@kd.kernel
def rest(x: Tensor[f32, N], out: Tensor[f32, M], first: i64) -> None:
    """The sum from an element on."""

    @kd.vectorize(x.shape[0], start=first, init=0.0)
    def sum_(i, w, s):
        return s + x.load(i, width=w)

    out[0] = sum_
