from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from kdsl.errors import RelationError
from kdsl.library.reference import (
    append_to_cache,
    attention,
    rms_norm,
    rope,
    rope_attention_decode,
    rope_attention_prefill,
    silu_mul,
)
from kdsl.library.rope_tables import (
    LinearScaling,
    Llama3Scaling,
    YarnScaling,
    attention_factor,
    rope_frequencies,
    rope_tables,
)

SEEDS = st.integers(0, 2**32 - 1)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


# ------------------------------------------------------------------------------------- rotation


@given(SEEDS, st.sampled_from([2, 6, 64, 80]), st.booleans())
def test_rotation_preserves_the_norm_of_every_head(seed, dim, interleaved):
    x = normal(seed, 3, 5, dim)

    turned = rope(x, *rope_tables(5, dim, dtype=np.float64), interleaved=interleaved)

    assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-12)


@given(SEEDS, st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.booleans())
def test_a_score_depends_only_on_the_distance_of_its_positions(seed, a, b, shift, interleaved):
    q, k = normal(seed, 2, 1, 16)
    tables = rope_tables(1001, 16, dtype=np.float64)

    def score(i, j):
        turned_q = rope(q, *tables, positions=[i], interleaved=interleaved)
        turned_k = rope(k, *tables, positions=[j], interleaved=interleaved)
        return (turned_q * turned_k).sum()

    assert_allclose(score(a + shift, b + shift), score(a, b), rtol=1e-9, atol=1e-9)


def test_rotation_is_multiplication_by_a_unit_complex_number():
    x = normal(0, 4, 6)
    turns = np.exp(1j * np.arange(4)[:, None] * np.array([1.0, 100 ** (-1 / 3), 100 ** (-2 / 3)]))
    tables = rope_tables(4, 6, theta=100, dtype=np.float64)

    halves = (x[:, :3] + 1j * x[:, 3:]) * turns
    neighbours = (x[:, ::2] + 1j * x[:, 1::2]) * turns

    expected = np.stack([neighbours.real, neighbours.imag], axis=-1).reshape(4, 6)
    assert_allclose(rope(x, *tables), np.hstack([halves.real, halves.imag]), rtol=1e-12)
    assert_allclose(rope(x, *tables, interleaved=True), expected, rtol=1e-12)


@given(SEEDS, st.sampled_from([2, 8, 16]))
def test_interleaved_rotation_is_half_split_rotation_of_reordered_pairs(seed, dim):
    x = normal(seed, 7, dim)
    tables = rope_tables(7, dim)
    order = np.arange(dim).reshape(2, dim // 2).T.reshape(-1)

    interleaved = rope(x[:, order], *tables, interleaved=True)

    assert_array_equal(interleaved, rope(x, *tables)[:, order])


@pytest.mark.parametrize("interleaved", [False, True])
def test_partial_rotation_leaves_the_rest_of_the_head_untouched(interleaved):
    x = normal(1, 5, 80)
    tables = rope_tables(5, 32)

    turned = rope(x, *tables, interleaved=interleaved)

    assert_array_equal(turned[:, 32:], x[:, 32:])
    assert_array_equal(turned[:, :32], rope(x[:, :32], *tables, interleaved=interleaved))


def test_position_ids_select_rows_per_sequence():
    x = normal(2, 2, 3, 4, 8)  # [B, H, T, D]
    cos, sin = rope_tables(100, 8)
    ids = np.array([[7, 8, 9, 10], [99, 0, 50, 3]])

    turned = rope(x, cos, sin, positions=ids[:, None])

    for b in range(2):
        assert_array_equal(turned[b], rope(x[b], cos[ids[b]], sin[ids[b]]))


@pytest.mark.parametrize("positions", [[0, 10], [-1, 0]])
def test_a_position_outside_the_table_is_an_error(positions):
    with pytest.raises(RelationError, match="P = 10"):
        rope(np.ones((2, 8)), *rope_tables(10, 8), positions=positions)


def test_a_table_wider_than_the_head_is_an_error():
    with pytest.raises(RelationError, match="R = 16, D = 8"):
        rope(np.ones((2, 8)), *rope_tables(2, 16))


# --------------------------------------------------------------------------------------- tables


def test_frequencies_fall_geometrically_from_one():
    expected = [1.0, 0.1, 0.01, 0.001]  # theta ** (-2 i / 8) for theta = 10,000

    assert_allclose(rope_frequencies(8), expected, rtol=1e-14)


def test_tables_are_rounded_once_from_double_precision():
    cos, sin = rope_tables([100_000], 2)

    assert cos.dtype == np.float32
    assert cos[0, 0] == np.float32(math.cos(100_000))
    assert sin[0, 0] == np.float32(math.sin(100_000))


def test_linear_scaling_is_the_same_as_slower_positions():
    scaled = rope_tables(np.arange(0, 40, 4), 16, scaling=LinearScaling(4.0), dtype=np.float64)

    assert_allclose(scaled, rope_tables(10, 16, dtype=np.float64), rtol=1e-12, atol=1e-12)


@given(
    st.sampled_from([32, 64, 128]),
    st.floats(1.5, 32),
    st.floats(0.5, 2),
    st.floats(2.5, 8),
    st.sampled_from([10_000.0, 500_000.0]),
)
def test_llama3_frequencies_follow_the_published_wavelength_rule(dim, factor, low, high, theta):
    scaling = Llama3Scaling(factor, low, high, 8192)

    def published(frequency):
        """Write the rule as Meta's Llama 3.1 model code states it, one frequency at a time."""
        wavelength = 2 * math.pi / frequency
        if wavelength < 8192 / high:
            return frequency
        if wavelength > 8192 / low:
            return frequency / factor
        smooth = (8192 / wavelength - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency

    expected = [published(f) for f in rope_frequencies(dim, theta=theta)]

    assert_allclose(
        rope_frequencies(dim, theta=theta, scaling=scaling), expected, rtol=1e-9, atol=0
    )


def test_llama3_keeps_fast_pairs_and_slows_slow_pairs_of_the_released_model():
    plain = rope_frequencies(128, theta=500_000.0)
    ratio = rope_frequencies(128, theta=500_000.0, scaling=Llama3Scaling()) / plain

    assert_array_equal(ratio[:29], 1.0)  # wavelengths under 8192 / 4
    assert_allclose(ratio[35:], 1 / 8, rtol=1e-14)  # wavelengths over 8192
    assert np.all(np.diff(ratio) <= 0)


@given(st.sampled_from([64, 128]), st.sampled_from([2.0, 4.0, 40.0]), st.booleans())
def test_yarn_frequencies_follow_the_paper_per_dimension(dim, factor, truncate):
    length, theta = 4096, 10_000.0
    scaling = YarnScaling(factor, length, truncate=truncate)

    def border(turns):
        """Solve L / wavelength(d) = turns for d, wavelength(d) = 2 pi theta ** (2 d / dim)."""
        return dim / 2 * math.log(length / (2 * math.pi * turns), theta)

    start, stop = border(32.0), border(1.0)
    if truncate:
        start, stop = math.floor(start), math.ceil(stop)
    expected = []
    for i, frequency in enumerate(rope_frequencies(dim, theta=theta)):
        if i <= start:
            expected.append(frequency)
        elif i >= stop:
            expected.append(frequency / factor)
        else:
            slowed = (i - start) / (stop - start)
            expected.append(frequency / factor * slowed + frequency * (1 - slowed))

    assert_allclose(rope_frequencies(dim, theta=theta, scaling=scaling), expected, rtol=1e-12)


def test_yarn_borders_are_those_of_llama_2():
    plain = rope_frequencies(128)
    ratio = rope_frequencies(128, scaling=YarnScaling(16.0, 4096)) / plain

    assert_array_equal(ratio[:21], 1.0)  # d = 64 ln(4096 / 64 pi) / ln 10,000 = 20.9
    assert ratio[21] < 1.0
    assert_allclose(ratio[46:], 1 / 16, rtol=1e-14)  # d = 64 ln(4096 / 2 pi) / ln 10,000 = 45.03
    assert ratio[45] > 1 / 16


def test_yarn_multiplies_the_tables_by_the_papers_temperature():
    scaling = YarnScaling(16.0, 4096)
    cos, sin = rope_tables(3, 64, scaling=scaling, dtype=np.float64)

    assert_allclose(attention_factor(scaling), 0.1 * math.log(16) + 1, rtol=1e-15)
    assert_allclose(np.hypot(cos, sin), attention_factor(scaling), rtol=1e-12)


def test_a_given_attention_factor_and_equal_mscales_override_the_temperature():
    assert attention_factor(YarnScaling(40.0, 4096, attention_factor=1.25)) == 1.25
    assert attention_factor(YarnScaling(40.0, 4096, mscale=0.7, mscale_all_dim=0.7)) == 1.0
    assert attention_factor(LinearScaling(4.0)) == 1.0


@pytest.mark.parametrize(
    ("dim", "scaling", "text"),
    [
        (7, None, "dim = 7"),
        (0, None, "dim = 0"),
        (8, LinearScaling(0.0), "factor = 0.0"),
        (8, Llama3Scaling(low_frequency_factor=4.0), "low = 4.0, high = 4.0"),
        (8, YarnScaling(2.0, 4096, beta_fast=1.0), "beta_fast = 1.0"),
    ],
)
def test_a_table_that_makes_no_sense_is_an_error(dim, scaling, text):
    with pytest.raises(RelationError, match=text):
        rope_tables(4, dim, scaling=scaling)


# ------------------------------------------------------------------------------------ attention


def naive_attention(q, k, v, visible, softcap=None):
    """Compute one head by the definition: exp, sum, divide; no shift, no batching."""
    out, lse = np.zeros((len(q), v.shape[-1])), np.full(len(q), -np.inf)
    for i, row in enumerate(q):
        weights = {}
        for j in range(len(k)):
            score = float(row @ k[j]) / math.sqrt(len(row))
            if softcap is not None:
                score = softcap * math.tanh(score / softcap)
            if visible(i, j):
                weights[j] = math.exp(score)
        if weights:
            total = sum(weights.values())
            out[i] = sum(w / total * v[j] for j, w in weights.items())
            lse[i] = math.log(total)
    return out, lse


@given(
    SEEDS,
    st.sampled_from([(4, 4), (4, 2), (6, 1)]),
    st.tuples(st.integers(1, 6), st.integers(1, 9)),
    st.booleans(),
    st.none() | st.integers(1, 5),
    st.none() | st.floats(0.5, 30),
)
def test_attention_is_the_naive_softmax(seed, heads, lengths, causal, window, softcap):
    (q_heads, kv_heads), (rows, keys) = heads, lengths
    q = normal(seed, 2, q_heads, rows, 8)
    k, v = normal(seed + 1, 2, 2, kv_heads, keys, 8)

    def visible(i, j):
        distance = i + keys - rows - j
        near = window is None or abs(distance) < window
        return near and (distance >= 0 or not causal)

    out, lse = attention(q, k, v, causal=causal, window=window, softcap=softcap)

    for b in range(2):
        for h in range(q_heads):
            kv = h // (q_heads // kv_heads)
            expected = naive_attention(q[b, h], k[b, kv], v[b, kv], visible, softcap)
            assert_allclose(out[b, h], expected[0], rtol=1e-9, atol=1e-12)
            assert_allclose(lse[b, h], expected[1], rtol=1e-9, atol=1e-12)


def test_a_row_that_sees_no_key_gives_zero_and_minus_infinity():
    q, k, v = normal(0, 1, 3, 4), normal(1, 1, 2, 4), normal(2, 1, 2, 4)

    out, lse = attention(q, k, v, offset=-2)  # rows at -2, -1, 0; keys at 0, 1

    assert_array_equal(out[0, :2], 0)
    assert_array_equal(lse[0, :2], -np.inf)
    assert_allclose(out[0, 2], v[0, 0], rtol=1e-14)


def test_no_keys_at_all_give_zero_and_minus_infinity():
    out, lse = attention(np.ones((2, 3, 4)), np.ones((1, 0, 4)), np.ones((1, 0, 5)))

    assert_array_equal(out, np.zeros((2, 3, 5)))
    assert_array_equal(lse, np.full((2, 3), -np.inf))


def test_a_window_of_one_causal_key_copies_the_value():
    q, k, v = normal(0, 3, 2, 7, 4)

    out, _ = attention(q, k, v, window=1)

    assert_allclose(out, v, rtol=1e-14)


def test_huge_scores_do_not_overflow_and_a_softcap_bounds_them():
    q, k, v = 1e4 * normal(0, 1, 5, 8), 1e4 * normal(1, 1, 5, 8), normal(2, 1, 5, 8)

    out, lse = attention(q, k, v, dtype=np.float32)
    _, capped = attention(q, k, v, softcap=50.0, dtype=np.float32)

    assert np.isfinite(out).all()
    assert np.isfinite(lse).all()
    assert np.all(np.abs(capped) <= 50 + math.log(5) + 1e-4)


@given(SEEDS, st.integers(1, 8))
def test_attention_over_two_parts_of_the_keys_combines_through_the_log_sum_exp(seed, cut):
    q, (k, v) = normal(seed, 2, 3, 8), normal(seed + 1, 2, 2, 9, 8)

    whole, whole_lse = attention(q, k, v, causal=False)
    a, a_lse = attention(q, k[:, :cut], v[:, :cut], causal=False)
    b, b_lse = attention(q, k[:, cut:], v[:, cut:], causal=False)

    share = np.exp(a_lse - whole_lse)[..., None]
    assert_allclose(np.logaddexp(a_lse, b_lse), whole_lse, rtol=1e-12)
    assert_allclose(a * share + b * (1 - share), whole, rtol=1e-9, atol=1e-12)


def test_attention_computes_in_the_dtype_asked_for():
    x = normal(0, 2, 4, 8).astype(ml_dtypes.bfloat16)

    assert attention(x, x, x)[0].dtype == np.float64
    assert attention(x, x, x, dtype=np.float32)[1].dtype == np.float32


def test_query_heads_must_be_a_multiple_of_key_heads():
    with pytest.raises(RelationError, match="Hq = 3, Hkv = 2"):
        attention(np.ones((3, 1, 4)), np.ones((2, 1, 4)), np.ones((2, 1, 4)))


# ------------------------------------------------------------------------------ with a KV cache


@given(SEEDS, st.integers(1, 9), st.booleans(), st.none() | st.integers(1, 4))
def test_prefill_and_decode_in_any_split_equal_one_prefill(seed, cut, interleaved, window):
    q, (k, v) = normal(seed, 4, 10, 8), normal(seed + 1, 2, 2, 10, 8)
    tables = rope_tables(12, 8, dtype=np.float64)
    options = {"interleaved": interleaved, "window": window}
    whole_cache, cache = np.zeros((2, 2, 12, 8)), np.zeros((2, 2, 12, 8))

    whole, whole_lse = rope_attention_prefill(q, k, v, *tables, *whole_cache, **options)
    out, lse = rope_attention_prefill(
        q[:, :cut], k[:, :cut], v[:, :cut], *tables, *cache, **options
    )

    assert_allclose(out, whole[:, :cut], rtol=1e-10, atol=1e-12)
    assert_allclose(lse, whole_lse[:, :cut], rtol=1e-10, atol=1e-12)
    for t in range(cut, 10):
        row, row_lse = rope_attention_decode(
            q[None, :, t], k[None, :, t], v[None, :, t], *tables, *cache[:, None], t, **options
        )
        assert_allclose(row[0], whole[:, t], rtol=1e-10, atol=1e-12)
        assert_allclose(row_lse[0], whole_lse[:, t], rtol=1e-10, atol=1e-12)
    assert_array_equal(cache, whole_cache)


def test_decode_takes_a_position_per_sequence_and_touches_only_that_row():
    q, k, v = normal(0, 2, 4, 8), normal(1, 2, 1, 8), normal(2, 2, 1, 8)
    before = normal(3, 2, 2, 1, 6, 8)
    k_cache, v_cache = before.copy()
    tables = rope_tables(6, 8, dtype=np.float64)

    out, _ = rope_attention_decode(q, k, v, *tables, k_cache, v_cache, [4, 1])

    for b, at in enumerate([4, 1]):
        key = rope(k[b], *tables, positions=[at])
        assert_array_equal(k_cache[b, :, at], key)
        assert_array_equal(v_cache[b, :, at], v[b])
        untouched = np.arange(6) != at
        assert_array_equal(k_cache[b][:, untouched], before[0, b][:, untouched])
        turned = rope(q[b][:, None], *tables, positions=[at])
        alone, _ = attention(turned, k_cache[b, :, : at + 1], v_cache[b, :, : at + 1])
        assert_allclose(out[b], alone[:, 0], rtol=1e-12)


def test_attention_reads_what_a_narrow_cache_kept():
    x = normal(0, 1, 1, 8)
    k_cache, v_cache = np.zeros((2, 1, 4, 8), ml_dtypes.bfloat16)

    out, _ = rope_attention_prefill(x, x, x, *rope_tables(4, 8), k_cache, v_cache)

    assert_array_equal(out, x.astype(ml_dtypes.bfloat16).astype(np.float64))


@pytest.mark.parametrize("start", [-1, 3])
def test_a_cache_without_room_is_an_error_and_stays_as_it_was(start):
    cache = np.zeros((1, 4, 2))

    with pytest.raises(RelationError, match=f"start = {start}, T = 2, N = 4"):
        append_to_cache(np.ones((1, 2, 2)), cache, start)

    assert_array_equal(cache, 0)


# ------------------------------------------------------------------------------- row operations


@given(SEEDS, st.floats(1e-3, 1e3))
def test_rms_norm_gives_rows_of_unit_mean_square_at_any_size(seed, size):
    x = size * normal(seed, 3, 64)

    normed = rms_norm(x, np.ones(64), 0.0)

    assert_allclose(np.mean(normed**2, axis=-1), 1, rtol=1e-12)
    assert_allclose(normed * np.sqrt(np.mean(x**2, axis=-1, keepdims=True)), x, rtol=1e-12)


def test_rms_norm_adds_eps_under_the_root_and_scales_by_the_weight():
    assert_allclose(rms_norm([[3.0, 3.0]], [1.0, 2.0], 16.0), [[0.6, 1.2]], rtol=1e-15)


@given(st.floats(-50, 50), st.floats(-5, 5))
def test_silu_mul_is_its_textbook_formula(gate, up):
    expected = gate / (1 + math.exp(-gate)) * up

    assert_allclose(silu_mul([gate], [up]), [expected], rtol=1e-12, atol=1e-300)


def test_silu_mul_does_not_overflow_at_either_end():
    out = silu_mul([-1e4, 1e4], [1.0, 1.0], dtype=np.float32)

    assert_array_equal(out, np.float32([0.0, 1e4]))
