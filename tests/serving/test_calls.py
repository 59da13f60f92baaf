"""Every wrong call gets its named error and touches nothing; right calls of every kind work."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from kdsl.errors.artifacts import CallError, KernelFailedError, NoSuchEntryError

f32, bf16 = np.float32, ml_dtypes.bfloat16


class DL(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )  # fmt: skip


def tensor(array, **changes):
    """A DLTensor of an f32 array, with some fields wrong."""
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    found = DL(array.ctypes.data, 1, 0, array.ndim, 2, 32, 1, shape, None, 0)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def raw_axpby(library, x, y):
    function = library.handle.kdsl_axpby
    status = function(x and ctypes.addressof(x), y and ctypes.addressof(y), 2.0, 3.0, None)
    return status, library.handle.kdsl_last_error().decode()


ROW = ctypes.c_int64 * 1
WRONG_TENSORS = [
    (
        {"device_type": 2},
        17,
        "argument 'x' (1st): is on DLPack device type 2, expected 1 (the host)",
    ),
    ({"bits": 64}, 18, "argument 'x' (1st): has dtype f64, expected f32"),
    ({"lanes": 4}, 18, "argument 'x' (1st): has dtype an unknown dtype, expected f32"),
    ({"ndim": 2}, 19, "argument 'x' (1st): has rank 2, expected 1: f32[N]"),
    ({"shape": None}, 16, "argument 'x' (1st): has a null shape"),
    ({"shape": ROW(-3)}, 20, "argument 'x' (1st): dim N is -3"),
    ({"shape": ROW(9)}, 20, "argument 'y' (2nd): dim N is 8, but 'x' has N = 9"),
    ({"strides": ROW(2)}, 22, "argument 'x' (1st): dim N has stride 2, expected 1"),
    ({"strides": ROW(-1)}, 22, "argument 'x' (1st): dim N has stride -1, expected 1"),
    ({"data": None}, 16, "argument 'x' (1st): has null data, but is not empty"),
    ({"byte_offset": 2}, 23, "expected a multiple of 4 bytes"),
]


@pytest.mark.parametrize(("changes", "status", "text"), WRONG_TENSORS)
def test_a_wrong_tensor_is_named_and_nothing_is_touched(library, changes, status, text):
    x, y = np.ones(8, f32), np.full(8, np.nan, f32)
    before = y.tobytes()
    found, message = raw_axpby(library, tensor(x, **changes), tensor(y))
    assert (found, text in message) == (status, True), message
    assert y.tobytes() == before


def test_a_null_tensor_is_named(library):
    y = np.ones(8, f32)
    assert raw_axpby(library, tensor(y), None) == (
        16, "axpby: argument 'y' (2nd): is null, expected f32[N]")  # fmt: skip


def test_null_strides_and_byte_offsets_are_honoured(library):
    x, y = np.arange(9, dtype=f32), np.ones(8, f32)
    wide = tensor(x, byte_offset=4, shape=ROW(8))
    assert raw_axpby(library, wide, tensor(y))[0] == 0
    np.testing.assert_array_equal(y, 2 * np.arange(1, 9) + 3)


def test_an_empty_tensor_may_have_null_data(library):
    x = np.ones(0, f32)
    assert raw_axpby(library, tensor(x, data=None), tensor(x, data=None))[0] == 0


SRC, OUT = np.arange(24, dtype=f32).reshape(3, 8), np.zeros((3, 8), f32)


def shifted(shape):
    """An f32 array that starts 4 bytes behind a multiple of 16."""
    data = np.zeros(int(np.prod(shape)) + 8, f32)
    start = next(k for k in range(4) if (data.ctypes.data + 4 * k) % 16 == 4)
    return data[start : start + int(np.prod(shape))].reshape(shape)


WRONG_ROWS = [
    ((SRC[:, :6], OUT[:, :6]), {}, "rows: arguments must satisfy C % G == 0, but C = 6, G = 4"),
    ((SRC, OUT), {"mode": 100}, "arguments must satisfy 0 <= mode < 100, but mode = 100"),
    ((SRC.astype(np.float64), OUT), {}, "'src' (1st): has dtype f64, expected f32 or bf16"),
    ((SRC[0], OUT), {}, "'src' (1st): has rank 1, expected 2: f32[R, C]"),
    ((SRC[::-1], OUT), {}, "'src' (1st): dim R has stride -8; negative strides are not supported"),
    ((SRC, OUT[:2]), {}, "'out' (2nd): dim R is 2, but 'src' has R = 3"),
    ((SRC, shifted((3, 8))), {}, "'out' (2nd): starts at address 0x"),
    ((SRC, OUT), {"bias": np.ones(7, f32)}, "'bias' (3rd): dim C is 7, but 'src' has C = 8"),
    ((SRC, OUT), {"bias": 3}, "'bias' (3rd): is an int, expected a tensor f32[C]"),
    ((SRC, OUT), {"scale": "big"}, "'scale' (4th): is a str, expected f32"),
    ((SRC, OUT), {"mode": 1.5}, "'mode' (5th): is a float, expected i32"),
    ((SRC, OUT), {"mode": 2**40}, "'mode' (5th): is 1099511627776, expected i32"),
    ((SRC, None), {}, "'out' (2nd): is null, expected f32[R, C]"),
    ((SRC,), {}, "'out' (2nd): is missing"),
    ((SRC, OUT), {"src": SRC}, "argument 'src' is given twice"),
    ((SRC, OUT), {"speed": 3}, "argument 'speed' is unknown"),
    ((SRC, OUT, None, 1.0, 1, 1), {}, "rows: takes 5 arguments (src, out, bias, scale, mode), got 6"),
    ((SRC.tolist(), OUT), {}, "'src' (1st): is a list, expected a tensor f32[R, C]"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "named", "text"), WRONG_ROWS)
def test_a_wrong_call_from_python_is_named(library, args, named, text):
    OUT[:] = 7
    with pytest.raises(CallError) as caught:
        library.rows(*args, **named)
    assert text in str(caught.value)
    assert (OUT == 7).all()


def test_an_output_must_be_writable_and_an_input_need_not(library):
    frozen, out = SRC.copy(), np.zeros((3, 8), f32)
    frozen.flags.writeable = False
    library.rows(frozen, out)
    np.testing.assert_array_equal(out, 2 * SRC)
    with pytest.raises(CallError, match=r"'out' \(2nd\): is read-only"):
        library.rows(out, frozen)


def test_dispatch_follows_the_dtype_and_strides_are_used(library):
    wide = np.zeros((3, 16), bf16)
    wide[:, :8] = SRC
    out = np.zeros((3, 8), f32)
    library.rows(wide[:, :8], out, np.ones(8, f32), scale=3)
    np.testing.assert_array_equal(out, 3 * SRC + 1)


@pytest.mark.parametrize("value", [0.1, -3.14159, 1e-40, 3e38, np.inf, 1.00390625, 65504.0])
def test_a_bf16_scalar_is_rounded_to_nearest_even(library, value):
    ones, out = np.ones((1, 4), bf16), np.zeros((1, 4), f32)
    library.rows(ones, out, scale=value)
    np.testing.assert_array_equal(out, np.full((1, 4), np.float32(value).astype(bf16).astype(f32)))


def test_a_failed_assertion_is_reported(library):
    with pytest.raises(KernelFailedError, match="rows: an assertion in the kernel failed"):
        library.rows(SRC, OUT, mode=99)


def test_torch_tensors_are_taken_without_a_copy(library):
    torch = pytest.importorskip("torch")
    out = torch.zeros(3, 8)
    library.rows(torch.arange(24).reshape(3, 8).to(torch.bfloat16), out)
    np.testing.assert_array_equal(out.numpy(), 2 * SRC)
    with pytest.raises(CallError, match="requires grad"):
        library.rows(torch.ones(3, 8, requires_grad=True), out)


def test_an_unknown_entry_lists_the_known_ones(library):
    with pytest.raises(NoSuchEntryError, match="axpby, rows"):
        library.matmul
    assert library.entries == ("axpby", "rows")


def test_messages_belong_to_their_thread(library):
    from concurrent.futures import ThreadPoolExecutor

    def wrong(n: int) -> bool:
        with pytest.raises(CallError) as caught:
            library.axpby(np.ones(n, f32), np.ones(n + 1, f32), 1.0)
        return f"is {n + 1}, but 'x' has N = {n}" in str(caught.value)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(wrong, range(400)))


def test_many_wrong_calls_never_crash(own):
    """In a child process, so that a crash is seen as one."""
    script = Path(__file__).with_name("fuzz_calls.py")
    done = subprocess.run(
        [sys.executable, script, own], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "calls refused" in done.stdout
