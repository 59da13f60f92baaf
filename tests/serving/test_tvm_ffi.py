"""The same file through TVM-FFI, with NumPy arrays and torch tensors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kdsl.serving import manifest as manifests

tvm_ffi = pytest.importorskip("tvm_ffi")
pytestmark = pytest.mark.judge


@pytest.fixture(scope="module")
def module(file):
    return tvm_ffi.load_module(str(file))


def test_numpy_arrays_pass(module):
    x, y = np.arange(100, dtype=np.float32), np.ones(100, np.float32)
    module.axpby(x, y, 2.0, 3)
    np.testing.assert_array_equal(y, 2 * x + 3)


def test_trailing_defaults_and_none_may_be_given_or_left_out(module):
    src, out = np.ones((3, 8), np.float32), np.zeros((3, 8), np.float32)
    for extra in ((), (None,), (None, 2.0), (None, 2, True)):
        out[:] = 0
        module.rows(src, out, *extra)
        assert (out == 2).all()
    module.rows(src, out, np.ones(8, np.float32))
    assert (out == 3).all()


def test_torch_tensors_pass_in_both_dtypes(module):
    torch = pytest.importorskip("torch")
    out = torch.zeros(3, 8)
    for dtype in (torch.float32, torch.bfloat16):
        module.rows(torch.full((3, 8), 1.5, dtype=dtype), out.zero_(), None, 3.0)
        assert (out == 4.5).all()


X, Y = np.ones(8, np.float32), np.full(8, 7, np.float32)


@pytest.mark.parametrize(
    ("args", "kind", "text"),
    [
        ((X,), TypeError, "axpby: takes 3 to 4 arguments (x, y, a, b), got 1"),
        ((1, Y, 1.0), TypeError, "argument 'x' (1st): is an int, expected a tensor f32[N]"),
        ((None, Y, 1.0), ValueError, "argument 'x' (1st): is null, expected f32[N]"),
        ((X, Y, "s"), TypeError, "argument 'a' (3rd): is a str, expected f32"),
        (
            (X.astype(np.float64), Y, 1.0),
            TypeError,
            "argument 'x' (1st): has dtype f64, expected f32",
        ),
        ((X[:5], Y, 1.0), ValueError, "argument 'y' (2nd): dim N is 8, but 'x' has N = 5"),
        ((X[::2], Y[:4], 1.0), ValueError, "argument 'x' (1st): dim N has stride 2, expected 1"),
    ],
)
def test_a_wrong_call_raises_the_right_kind_and_touches_nothing(module, args, kind, text):
    with pytest.raises(kind) as caught:
        module.axpby(*args)
    assert text in str(caught.value)
    assert (Y == 7).all()


def test_a_scalar_out_of_range_is_named(module):
    src = np.ones((3, 8), np.float32)
    with pytest.raises(ValueError, match=r"'mode' \(5th\): is 4294967296, expected i32"):
        module.rows(src, src, None, 1.0, 2**32)
    with pytest.raises(RuntimeError, match="an assertion in the kernel failed"):
        module.rows(src, np.zeros((3, 8), np.float32), None, 1.0, 99)


def test_the_manifest_is_there_in_three_ways(module, file):
    found = manifests.read(file)
    assert manifests.decode(str(module.kdsl_manifest()).encode()) == found
    metadata = module.get_function_metadata("rows")
    assert metadata == json.loads(manifests.encode(manifests.entry_to_json(found.entries[1])))
