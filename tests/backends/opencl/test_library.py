"""Every library kernel and option, for lanes and for loops, run by an OpenCL driver."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kdsl.codegen.registry import resolve_target
from kdsl.library.elementwise import silu_mul
from kdsl.library.norms import rms_norm
from kdsl.library.reference import rms_norm as rms_norm_meaning
from kdsl.library.reference import silu_mul as silu_mul_meaning
from kdsl.library.rope import rope
from kdsl.testing.conformance_table import check
from kdsl.testing.library_cases import library_cases, matrix_cases

CASES = [*library_cases(), *matrix_cases()]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_library_kernel_computes_its_meaning(case, either):
    (row,) = check([case], [either])
    assert row.rung in ("hardware", "emulator"), row


@pytest.fixture
def on_opencl(monkeypatch, either):
    monkeypatch.setenv("KDSL_TARGET", str(either))
    resolve_target.cache_clear()


@pytest.mark.parametrize("size", [0, 1, 63, 10_001])
def test_arrays_of_any_length_go_through_the_public_call(size, on_opencl):
    rng = np.random.default_rng(size)
    gate, up = rng.standard_normal((2, size), dtype=np.float32)
    out = np.full_like(gate, np.nan)
    silu_mul(gate, up, out)
    np.testing.assert_allclose(out, silu_mul_meaning(gate, up), rtol=1e-5, atol=1e-6)


def test_views_of_arrays_are_read_and_written_in_place(on_opencl):
    room = np.random.default_rng(0).standard_normal((12, 80), dtype=np.float32)
    x, weight = room[1::2, :64], np.ones(64, np.float32)
    wanted = rms_norm_meaning(x, weight)
    rest = room[::2].copy()
    rms_norm(x, weight, x)
    np.testing.assert_allclose(x, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(room[::2], rest)


def test_a_bound_launch_runs_again_on_the_same_arrays(on_opencl):
    x, weight = np.ones((3, 16), np.float32), np.ones(16, np.float32)
    out = np.zeros_like(x)
    bound = rms_norm.bind(x, weight, out)
    bound()
    x *= 2
    x[:, 0] = 0
    bound()
    np.testing.assert_allclose(out, rms_norm_meaning(x, weight), rtol=1e-5)


def test_an_assertion_of_a_kernel_is_the_callers_error(on_opencl):
    from kdsl.errors import KernelAssertError

    x = np.ones((1, 1, 4, 8), np.float32)
    cos, sin = np.ones((2, 6, 4), np.float32)
    positions = np.array([[0, 1, 6, 2]], np.int32)
    with pytest.raises(KernelAssertError):
        rope(x, cos, sin, np.zeros_like(x), positions)
    out = np.zeros_like(x)
    rope(x, cos, sin, out, positions % 6)
    assert out.any()


def test_threads_may_call_one_kernel_at_the_same_time(on_opencl):
    x = np.random.default_rng(3).standard_normal((8, 5, 64), dtype=np.float32)
    weight, out = np.ones(64, np.float32), np.zeros_like(x)
    rms_norm(x[0], weight, out[0])
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            list(pool.map(lambda i: rms_norm(x[i], weight, out[i]), range(8)))
    np.testing.assert_allclose(out, rms_norm_meaning(x, weight), rtol=1e-5, atol=1e-6)
