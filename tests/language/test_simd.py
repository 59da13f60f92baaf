import numpy as np
import pytest

import kdsl as kd
from kdsl import SIMD, Const, Ptr, Tensor, bf16, f32, i8, i32, u8, u32

M = kd.dims("M")


@kd.kernel
def movement(x: Ptr[f32, kd.RO], out: Ptr[f32], *, W: Const[int]) -> None:
    v = x.load(0, width=W)
    out.store(0, v.reversed())
    out.store(W, v.rotate_left(1))
    out.store(2 * W, v.rotate_right(1))
    out.store(3 * W, v.join(v).slice(1, W))
    out.store(4 * W, v.insert(9.0, W - 1).insert(v.slice(0, 2), 1))
    out.store(5 * W, v.shuffle(*[W - 1 - i for i in range(W)]))
    out[6 * W] = v[1]
    out[6 * W + 1] = v.reduce_add()
    out[6 * W + 2] = v.reduce_max()
    out[6 * W + 3] = v.reduce_min()


@pytest.mark.parametrize("w", [3, 4, 6, 7, 8])
def test_lanes_move_for_any_width(run, w):
    x, out = np.arange(1, w + 1, dtype=np.float32), np.zeros(6 * w + 4, np.float32)
    run(movement, x, out, W=w)
    rows = out[: 6 * w].reshape(6, w)
    assert np.array_equal(rows[0], x[::-1])
    assert np.array_equal(rows[1], np.roll(x, -1))
    assert np.array_equal(rows[2], np.roll(x, 1))
    assert np.array_equal(rows[3], np.roll(x, -1))
    wanted = x.copy()
    wanted[-1] = 9
    wanted[1:3] = x[:2]
    assert np.array_equal(rows[4], wanted)
    assert np.array_equal(rows[5], x[::-1])
    assert out[6 * w :].tolist() == [2, x.sum(), w, 1]


@kd.kernel
def pairs(x: Ptr[f32, kd.RO], out: Ptr[f32]) -> None:
    v = x.load(0, width=8)
    even, odd = v.deinterleave()
    low, high = v.split()
    out.store(0, even.interleave(odd))
    out.store(8, low.join(high))
    out.store(16, even)
    out.store(20, odd)


def test_deinterleave_and_split_are_undone(run):
    x, out = np.arange(8, dtype=np.float32), np.zeros(24, np.float32)
    run(pairs, x, out)
    assert out.tolist() == [*range(8), *range(8), 0, 2, 4, 6, 1, 3, 5, 7]


@kd.kernel
def masked(x: Ptr[f32, kd.RO], out: Ptr[f32], n: i32) -> None:
    keep = kd.mask_below(n, 4)
    v = x.load(0, width=4, mask=keep, other=-1.0)
    out.store(0, v)
    out.store(4, v * 2.0, mask=kd.lane_numbers(4, i32) < n)


def test_masked_lanes_are_not_touched(run):
    x, out = np.arange(1, 4, dtype=np.float32), np.zeros(8, np.float32)
    run(masked, x, out, 3)
    assert out.tolist() == [1, 2, 3, -1, 2, 4, 6, 0]


@kd.kernel
def made(out: Ptr[i32], t: i32) -> None:
    v = SIMD[i32, 4](1, 2, 3, 4) + kd.splat(t, 4)
    out.store(0, v.clamp(0, 6))
    out.store(4, SIMD[i32, 4](t))
    out.store(8, kd.where(v > 5, v, -v))
    out.store(12, SIMD[i32, 2](t, t + 1).join(SIMD[i32, 2](7)))


def test_values_are_made_from_numbers(run):
    out = np.zeros(16, np.int32)
    run(made, out, 3)
    assert out.tolist() == [4, 5, 6, 6, 3, 3, 3, 3, -4, -5, 6, 7, 3, 4, 7, 7]


@kd.kernel
def unsigned(x: Ptr[u8, kd.RO], out: Ptr[u32]) -> None:
    v = x.load(0, width=4)
    wide = v.to(u32)
    out.store(0, wide)
    out.store(4, (v // 3).to(u32))
    out.store(8, (v >> 1).to(u32))
    out.store(12, kd.maximum(v, 100).to(u32))
    out.store(16, (v.to(f32) + 0.5).to(u32))
    out[20] = v.reduce_max().to(u32)
    out[21] = (v > 127).to(u32)[0]


def test_unsigned_lanes_have_unsigned_meaning(run):
    x, out = np.array([200, 3, 127, 255], np.uint8), np.zeros(22, np.uint32)
    run(unsigned, x, out)
    assert out[:4].tolist() == [200, 3, 127, 255]
    assert out[4:8].tolist() == [66, 1, 42, 85]
    assert out[8:12].tolist() == [100, 1, 63, 127]
    assert out[12:16].tolist() == [200, 100, 127, 255]
    assert out[16:20].tolist() == [200, 3, 127, 255]
    assert out[20:].tolist() == [255, 1]


@kd.kernel
def bits(out: Ptr[i32], x: i32, f: f32) -> None:
    out[0] = x & 6 | 1 ^ 8
    out[1] = ~x
    out[2] = x << 3
    out[3] = -x >> 1
    out[4] = f.bitcast(i32)
    out[5] = kd.popcount(x)
    out[6] = -7 // x
    out[7] = -7 % x
    out[8] = abs(-x)
    out[9] = x**3


def test_integer_arithmetic_is_pythons(run):
    out = np.zeros(10, np.int32)
    run(bits, out, 5, 1.0)
    wanted = [5 & 6 | 1 ^ 8, ~5, 40, -5 >> 1, 0x3F800000, 2, -7 // 5, -7 % 5, 5, 125]
    assert out.tolist() == wanted


@kd.kernel
def maths(x: Ptr[f32, kd.RO], out: Ptr[f32]) -> None:
    v = x.load(0, width=4)
    found = [
        kd.exp(v), kd.exp2(v), kd.log(v), kd.log2(v), kd.sin(v), kd.cos(v), kd.tanh(v), kd.sigmoid(v),
        kd.erf(v), kd.sqrt(v), kd.rsqrt(v), kd.floor(v), kd.ceil(v), kd.round(v), kd.trunc(-v),
        kd.fma(v, v, 1.0), kd.clamp(v, 1.0, 2.0), v**0.5, v // 0.3, v % 0.3, kd.silu(v),
    ]  # fmt: skip
    for i, value in enumerate(found):
        out.store(4 * i, value)


def test_functions_are_numpys(run):
    x, out = np.array([0.5, 1.0, 2.5, 3.3], np.float32), np.zeros(4 * 21, np.float32)
    run(maths, x, out)
    from math import erf

    sigmoid = 1 / (1 + np.exp(-x))
    wanted = [
        np.exp(x), np.exp2(x), np.log(x), np.log2(x), np.sin(x), np.cos(x), np.tanh(x), sigmoid,
        [erf(v) for v in x], np.sqrt(x), 1 / np.sqrt(x), np.floor(x), np.ceil(x), np.rint(x),
        np.trunc(-x), x * x + 1, np.clip(x, 1, 2), np.sqrt(x), x // np.float32(0.3),
        x % np.float32(0.3), x * sigmoid,
    ]  # fmt: skip
    assert np.allclose(out.reshape(21, 4), np.array(wanted), rtol=1e-5, atol=1e-6)


@kd.kernel
def gathered(x: Ptr[f32, kd.RO], out: Ptr[f32]) -> None:
    at = SIMD[i32, 4](6, 0, 3, 1)
    out.store(0, x.load(at))
    out.store(SIMD[i32, 4](7, 6, 5, 4), x.load(at, mask=at > 0, other=-1.0))


def test_a_simd_value_of_indices_gathers_and_scatters(run):
    x, out = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    run(gathered, x, out)
    assert out.tolist() == [6, 0, 3, 1, 1, 3, -1, 6]


@kd.kernel(grid=lambda d: (d.M,))
def tensor_elements(x: Tensor[bf16, M, 8], y: Tensor[f32, M, 8], limit: f32) -> None:
    i = kd.program_id(0)

    @kd.vectorize(8)
    def _(j, w):
        v = x.load(i, j, width=w).to(f32)
        y.store(i, j, kd.where(v < limit, v, limit))

    y[i, 0] = y[i, 0] + 1.0
    y.store(i, 4, y.load(i, 0, width=4))


def test_tensors_are_read_along_the_last_dim(run):
    x = np.arange(16).reshape(2, 8).astype(bf16.numpy)
    y = np.zeros((2, 8), np.float32)
    run(tensor_elements, x, y, 10.0)
    wanted = np.minimum(x.astype(np.float32), 10)
    wanted[:, 0] += 1
    wanted[:, 4:] = wanted[:, :4]
    assert np.array_equal(y, wanted)


@kd.kernel
def guarded(x: Ptr[f32], counts: Ptr[i32], n: i32) -> None:
    for i in kd.range(4):
        v = x.load(i, mask=i < n, other=7.0)
        x.store(i + 4, v, mask=v > 1.0)
        counts.atomic_add(0, 1, mask=v > 1.0)
    old = counts.atomic_max(1, n)
    counts[2] = old


def test_scalar_accesses_take_masks(run):
    x, counts = np.arange(8, dtype=np.float32), np.array([0, 1, 9], np.int32)
    run(guarded, x, counts, 3)
    assert x.tolist() == [0, 1, 2, 3, 4, 5, 2, 7]
    assert counts.tolist() == [2, 3, 1]


@kd.kernel
def hinted(x: Ptr[f32], out: Ptr[f32]) -> None:
    out.store(0, x.load(0, width=4, cache="stream", evict="first", align=16), cache="l2")
    x.prefetch(4)


def test_hints_are_attributes(run):
    x, out = np.ones(8, np.float32), np.zeros(4, np.float32)
    text = str(run(hinted, x, out).module)
    assert 'kdsl.align = 16 : i64, kdsl.cache = "stream", kdsl.evict = "first"' in text
    assert 'kdsl.cache = "l2"' in text


@kd.kernel
def narrow(x: Ptr[i8], y: Ptr[i32], flag: kd.bool) -> None:
    y[0] = (x[0] + 1).to(i32)
    y[1] = flag.to(i32)
    y[2] = kd.select(flag, 3, 4)
    x[1] = y[0].to(i8)


def test_bools_and_narrow_integers_work(run):
    x, y = np.array([-3, 0], np.int8), np.zeros(3, np.int32)
    run(narrow, x, y, True)
    assert y.tolist() == [-2, 1, 3]
    assert x.tolist() == [-3, -2]
