import numpy as np
import pytest
from ml_dtypes import bfloat16

import kdsl as kd
from kdsl import Const, Ptr, Tensor, bf16, f32, i32

B, H, Hkv, M, N, K, V = kd.dims("B H Hkv M N K V")
D, E = kd.const_dims("D E")
T = kd.dtype_var("T", f32, bf16)

rng = np.random.default_rng(0)


def normal(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), kd.cdiv(d.N, d.BN)))
def matmul(
    a: Tensor[T, M, K], b: Tensor[T, K, N], c: Tensor[f32, M, N],
    *, BM: Const[int] = 16, BN: Const[int] = 8, BK: Const[int] = 4,
) -> None:  # fmt: skip
    rows, cols = kd.span(kd.program_id(0), BM), kd.span(kd.program_id(1), BN)
    acc = kd.zeros((BM, BN), f32)
    for k in kd.range(kd.cdiv(K, BK)):
        ks = kd.span(k, BK)
        acc = kd.dot(a[rows, ks].load(), b[ks, cols].load(), acc=acc)
    c[rows, cols].store(acc)


@pytest.mark.parametrize("shape", [(16, 8, 4), (17, 9, 5), (1, 1, 1), (33, 20, 13)])
@pytest.mark.parametrize("dtype", [np.float32, bfloat16])
def test_a_matmul_masks_its_edges(run, shape, dtype):
    m, n, k = shape
    a, b, c = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype), np.full((m, n), 9, np.float32)
    run(matmul, a, b, c)
    assert np.allclose(c, a.astype(np.float32) @ b.astype(np.float32), atol=1e-4)


@kd.kernel(grid=lambda d: (kd.cdiv(d.M, d.BM), d.H, d.B))
def flash(
    q: Tensor[T, B, H, M, D], k: Tensor[T, B, Hkv, N, D], v: Tensor[T, B, Hkv, N, D],
    o: Tensor[T, B, H, M, D], lse: Tensor[f32, B, H, M], scale: f32,
    *, CAUSAL: Const[bool] = False, BM: Const[int] = 16, BN: Const[int] = 8,
) -> None:  # fmt: skip
    kd.require(q.shape[1] % k.shape[1] == 0)
    im, h, b = kd.program_id(0), kd.program_id(1), kd.program_id(2)
    hk = h // (q.shape[1] // k.shape[1])
    rows = kd.span(im, BM)
    qt = q[b, h, rows].load()
    m = kd.full((BM,), -kd.inf, f32)
    l = kd.zeros((BM,), f32)
    acc = kd.zeros((BM, q.shape[3]), f32)
    shift = k.shape[2] - q.shape[2]
    n_end = kd.minimum(k.shape[2], rows.stop + shift) if CAUSAL else k.shape[2]
    for j in kd.range(kd.cdiv(n_end, BN), stages=kd.num_stages):
        cols = kd.span(j, BN)
        s = kd.dot(qt, k[b, hk, cols].load().T, acc=f32) * (scale * kd.LOG2E)
        keep = cols.mask[None, :]
        if CAUSAL:
            keep = keep & (rows.index[:, None] + shift >= cols.index[None, :])
        s = kd.where(keep, s, -kd.inf)
        m_new = kd.maximum(m, s.max(axis=1))
        base = kd.where(m_new == -kd.inf, 0.0, m_new)
        p = kd.exp2(s - base[:, None])
        alpha = kd.exp2(m - base)
        l = l * alpha + p.sum(axis=1)
        acc = acc * alpha[:, None] + kd.dot(p.to(T), v[b, hk, cols].load(), acc=f32)
        m = m_new
    inv = kd.where(l > 0.0, 1.0 / l, 0.0)
    o[b, h, rows].store((acc * inv[:, None]).to(T))
    lse[b, h, rows].store(m * kd.LN2 + kd.log(l))


@pytest.mark.parametrize("causal", [False, True])
def test_flash_attention_matches_numpy(run, causal):
    q, k, v = normal(1, 4, 19, 16), normal(1, 2, 23, 16), normal(1, 2, 23, 16)
    o, lse = np.zeros_like(q), np.zeros((1, 4, 19), np.float32)
    traced = run(flash, q, k, v, o, lse, 0.25, CAUSAL=causal)
    s = q @ np.repeat(k, 2, 1).swapaxes(-1, -2) * 0.25
    if causal:
        s = np.where(np.arange(19)[:, None] + 4 >= np.arange(23), s, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    assert np.allclose(o, p / p.sum(-1, keepdims=True) @ np.repeat(v, 2, 1), atol=1e-5)
    assert np.allclose(lse, np.log(p.sum(-1)) + s.max(-1), atol=1e-5)
    assert [r.text for r in traced.signature.relations] == ["H % Hkv == 0"]


@kd.kernel(grid=lambda d: d.M)
def softmax(x: Tensor[f32, M, D], y: Tensor[f32, M, D]) -> None:
    i = kd.program_id(0)
    y[i].store(kd.softmax(x[i].load()))


def test_a_view_of_a_const_dim_is_a_tile(run):
    x, y = normal(3, 10), np.zeros((3, 10), np.float32)
    run(softmax, x, y)
    assert np.allclose(y, np.exp(x) / np.exp(x).sum(-1, keepdims=True), atol=1e-6)


@kd.kernel(grid=lambda d: kd.cdiv(d.M, 4))
def embed(ids: Tensor[i32, M], table: Tensor[T, V, D], out: Tensor[T, M, D]) -> None:
    rows = kd.span(kd.program_id(0), 4)
    picked = ids[rows].load()
    out[rows].store(table[picked, :].load(mask=rows.mask[:, None]))


def test_rows_are_gathered_by_a_tile_of_ids(run):
    table, ids, out = (
        normal(7, 5),
        rng.integers(0, 7, 10, dtype=np.int32),
        np.zeros((10, 5), np.float32),
    )
    run(embed, ids, table, out)
    assert np.array_equal(out, table[ids])


@kd.kernel(grid=lambda d: kd.cdiv(d.N, d.BN))
def histogram(x: Tensor[i32, N], bins: Tensor[i32, V], *, BN: Const[int] = 8) -> None:
    span = kd.span(kd.program_id(0), BN)
    bins[x[span].load()].atomic_add(1, mask=span.mask)


def test_equal_indices_all_count(run):
    x, bins = rng.integers(0, 4, 30, dtype=np.int32), np.zeros(4, np.int32)
    run(histogram, x, bins)
    assert np.array_equal(bins, np.bincount(x, minlength=4))


@kd.kernel
def algebra(x: Tensor[f32, 4, 6], out: Tensor[f32, 8, 8]) -> None:
    t = x[...].load()
    out[0, 0:6].store(t[1])
    out[1, 0:4].store(t[:, 0])
    out[2, 0:3].store(t[-1, ::2])
    out[3, 0:8].store(kd.concat([t[0, 0:4], t[1, 0:4]]))
    out[4, 0:6].store(t.sum(0))
    out[5, 0:4].store(t.T.transpose().reshape(6, 4)[0])
    out[6, 0:6].store(kd.cumsum(t[0]))
    out[7, 0] = t.max()
    out[7, 1] = (t @ t.T)[1, 2]
    out[7, 2] = kd.where(t > 2.0, 1.0, 0.0).sum()
    out[7, 3] = t.argmax(1)[0].to(f32)
    out[7, 4] = kd.stack([t[0], t[1]], axis=1)[3, 1]
    out[7, 5] = (t[:, None, :] * t[None, :, :]).sum((0, 1, 2))
    out[7, 6] = (t > -10.0).all().to(f32)


def test_tile_algebra_is_numpys(run):
    x, out = normal(4, 6), np.zeros((8, 8), np.float32)
    run(algebra, x, out)
    assert np.array_equal(out[0, :6], x[1])
    assert np.array_equal(out[1, :4], x[:, 0])
    assert np.array_equal(out[2, :3], x[-1, ::2])
    assert np.array_equal(out[3], np.concatenate([x[0, :4], x[1, :4]]))
    assert np.allclose(out[4, :6], x.sum(0), atol=1e-6)
    assert np.array_equal(out[5, :4], x.reshape(6, 4)[0])
    assert np.allclose(out[6, :6], np.cumsum(x[0]), atol=1e-6)
    assert out[7, 0] == x.max()
    assert np.isclose(out[7, 1], (x @ x.T)[1, 2], atol=1e-5)
    assert out[7, 2] == (x > 2).sum()
    assert out[7, 3] == x.argmax(1)[0]
    assert out[7, 4] == x[1, 3]
    assert np.isclose(out[7, 5], (x[:, None] * x[None]).sum(), rtol=1e-4)
    assert out[7, 6] == 1


@kd.kernel
def optional(x: Tensor[f32, 4], bias: Tensor[f32, 4] | None = None) -> None:
    t = x[:].load()
    if bias is not None:
        t = t + bias[:].load()
    x[:].store(t + 1.0)


def test_an_optional_tensor_is_part_of_the_specialization(run):
    x = np.zeros(4, np.float32)
    run(optional, x)
    assert x.tolist() == [1] * 4
    traced = run(optional, x, np.full(4, 2, np.float32))
    assert x.tolist() == [4] * 4
    assert traced.signature.args[1].optional


@kd.kernel(grid=lambda d: kd.cdiv(d.M, 4))
def strided_rows(x: Tensor[f32, M, D], out: Tensor[f32, M]) -> None:
    rows = kd.span(kd.program_id(0), 4, stop=M - 1)
    even = kd.span_at(0, 3, step=2)
    out[rows].store(x[rows, even].load(other=-1.0).sum(1))


def test_spans_have_steps_and_stops(run):
    x, out = normal(7, 5), np.full(7, 9, np.float32)
    run(strided_rows, x, out)
    assert np.allclose(out[:6], x[:6, ::2].sum(1), atol=1e-6)
    assert out[6] == 9


@kd.kernel
def broadcast_scalar(x: Tensor[f32, 3, 5], s: f32) -> None:
    x[...].store(s)
    x[1, 0:2].store(kd.iota(2).to(f32) * s)


def test_a_scalar_fills_a_tile(run):
    x = np.zeros((3, 5), np.float32)
    run(broadcast_scalar, x, 2.5)
    assert x[0].tolist() == [2.5] * 5
    assert x[1].tolist() == [0, 2.5, 2.5, 2.5, 2.5]


@kd.kernel
def by_pointer(p: Ptr[f32], q: Ptr[f32], n: i32) -> None:
    at = kd.iota(8)
    p.store(at * 2, q.load(at, mask=at < n, other=-1.0), mask=at < 5)


def test_tiles_of_indices_go_through_pointers(run):
    p, q = np.zeros(10, np.float32), np.arange(1, 4, dtype=np.float32)
    run(by_pointer, p, q, 3)
    assert p.tolist() == [1, 0, 2, 0, 3, 0, -1, 0, -1, 0]


@kd.kernel(grid=lambda d: (d.H,))
def expression_dims(x: Tensor[f32, H, D], half: Tensor[f32, H, D // 2]) -> None:
    h = kd.program_id(0)
    half[h].store(x[h, 0 : D // 2].load())


def test_a_dim_may_be_an_expression_of_dims(run):
    x, half = normal(3, 6), np.zeros((3, 3), np.float32)
    traced = run(expression_dims, x, half)
    assert np.array_equal(half, x[:, :3])
    assert traced.signature.args[1].dims == ("H", 3)


@kd.kernel
def expression_of_runtime_dims(x: Tensor[f32, M], y: Tensor[f32, M // 2 + 1]) -> None:
    y[0] = x[0]


def test_an_expression_of_runtime_dims_becomes_a_relation(run):
    traced = run(expression_of_runtime_dims, normal(4), normal(3))
    assert [r.text for r in traced.signature.relations] == ["y_0 == M // 2 + 1"]
    assert traced.signature.args[1].dims == ("y_0",)
