"""Calls with arrays on a device: where they run, on which stream, and what is refused."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from kdsl.errors import (
    ArgumentDtypeError,
    BadStreamError,
    DeviceError,
    DeviceFailedError,
    MappedAddressError,
)
from kdsl.runtime.views import HOST, Device, view_of
from kdsl_ptx import driver as drivers
from kdsl_ptx.devices import DEVICES, LOADED
from tests.backends.ptx import typed_kernels as typed
from tests.backends.ptx.device_arrays import BF16, I32, DlpackArray, InterfaceArray, Tensor
from tests.backends.ptx.fake_driver import FakeDriver


@pytest.fixture
def fake():
    known = LOADED[:]
    made = FakeDriver(sizes={"add": [8, 8, 8, 4], "copy": [128, 8]}, devices=2)
    with drivers.using(made.driver):
        yield made
    LOADED[:] = known


@pytest.fixture
def vadd(fake):
    return typed.launcher("vadd", typed.ADD_IR, typed.ADD)


@pytest.fixture
def streams(monkeypatch):
    """Torch's current stream by device; tests change it."""
    current = {0: 0x111, 1: 0x222}
    asked = []

    def current_stream(index):
        asked.append(index)
        return current[index]

    library = SimpleNamespace(_C=SimpleNamespace(_cuda_getCurrentRawStream=current_stream))
    monkeypatch.setitem(sys.modules, "torch", library)
    current["asked"] = asked
    return current


def on_device(n=1000):
    return DlpackArray(np.ones(n, np.float32))


# -------------------------------------------------------------------------------------------- views


def test_arrays_are_seen_by_their_address_and_never_waited_for():
    array = np.zeros((3, 4), np.float32)
    given = DlpackArray(array[:, :2], (2, 1))
    view = view_of(given)
    assert (view.address, view.shape, view.strides) == (array.ctypes.data, (3, 2), (4, 1))
    assert (view.dtype, view.device) == ("f32", Device(2, 1))
    assert given.asked == [{"stream": -1}]


def test_pinned_memory_is_the_hosts():
    assert view_of(DlpackArray(np.zeros(3), (3, 0))).device == HOST


def test_the_older_protocol_is_read_too():
    array = np.zeros((4, 6), np.float32)[::2]
    view = view_of(InterfaceArray(array))
    assert (view.address, view.shape, view.strides) == (array.ctypes.data, (2, 6), (12, 1))
    assert (view.dtype, view.device) == ("f32", Device(2, 0))


def test_tensors_of_torch_tell_their_device():
    view = view_of(Tensor((3, 4), index=1))
    assert (view.device, view.strides) == (Device(2, 1), (4, 1))
    assert "CUDA device (number 1)" in str(view.device)


# ----------------------------------------------------------------------------------------- launches


def test_the_slow_and_the_quick_way_launch_alike(vadd, fake, streams):
    x, y, o = (Tensor((1000,)) for _ in range(3))
    for _ in range(3):
        assert vadd.call((x, y, o, 1000), {}) is None
    assert len(vadd._latest) == 1
    for launched in fake.launches:
        found = [int.from_bytes(p, "little") for p in launched.params]
        assert found == [x.address, y.address, o.address, 1000]
        assert launched.stream == 0x111
    assert len(fake.launches) == 3


def test_the_current_stream_is_asked_at_each_call(vadd, fake, streams):
    x = Tensor((1000,))
    bound = vadd.bind((x, x, x, 1000), {})
    for stream in (0x111, 0x333, 0x444):
        streams[0] = stream
        vadd.call((x, x, x, 1000), {})
        bound()
    assert [each.stream for each in fake.launches] == [0x111] * 2 + [0x333] * 2 + [0x444] * 2


def test_a_tensor_on_the_second_device_runs_there(vadd, fake, streams):
    for index in (0, 1, 1, 0, 1):
        x = Tensor((1000,), index=index)
        vadd.call((x, x, x, 1000), {})
    assert [each.stream for each in fake.launches] == [0x111, 0x222, 0x222, 0x111, 0x222]
    assert len(fake.named("cuDevicePrimaryCtxRetain")) == 2


def test_a_given_stream_wins(vadd, fake, streams):
    x = Tensor((1000,))
    vadd.call((x, x, x, 1000), {})
    asked = len(streams["asked"])
    vadd.call((x, x, x, 1000), {}, None, 0x999)
    vadd.bind((x, x, x, 1000), {}, None, 0x998)()
    vadd.bind((x, x, x, 1000), {}).on(0x997)()
    assert [each.stream for each in fake.launches[1:]] == [0x999, 0x998, 0x997]
    assert len(streams["asked"]) <= asked + 2


def test_arrays_of_other_libraries_run_on_the_legacy_stream(vadd, fake):
    x = on_device()
    vadd.call((x, x, x, 1000), {})
    vadd.bind((x, x, x, 1000), {})()
    assert [each.stream for each in fake.launches] == [0, 0]


def test_cupy_tells_its_own_stream(monkeypatch):
    stream = SimpleNamespace(ptr=0x77)
    library = SimpleNamespace(cuda=SimpleNamespace(get_current_stream=lambda: stream))
    monkeypatch.setitem(sys.modules, "cupy", library)
    array = type("ndarray", (), {"__module__": "cupy"})()
    assert DEVICES.current_queue((array, "capsule"))(0) == 0x77


def test_an_older_torch_is_asked_by_its_public_function(monkeypatch):
    cuda = SimpleNamespace(current_stream=lambda index: SimpleNamespace(cuda_stream=0x88 + index))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(_C=object(), cuda=cuda))
    assert DEVICES.current_queue(Tensor((1,)))(1) == 0x89


@pytest.mark.parametrize(
    "stream",
    [
        0x55,
        SimpleNamespace(__cuda_stream__=lambda: (0, 0x55)),
        SimpleNamespace(__cuda_stream__=(0, 0x55)),
        SimpleNamespace(cuda_stream=0x55),
        SimpleNamespace(ptr=0x55),
    ],
)
def test_streams_of_any_library_are_taken(stream):
    assert DEVICES.handle(stream) == 0x55


@pytest.mark.parametrize("stream", ["main", True, object(), 1.5])
def test_other_objects_are_no_streams(vadd, fake, stream):
    x = on_device()
    with pytest.raises(BadStreamError):
        vadd.call((x, x, x, 1000), {}, None, stream)
    assert fake.launches == []


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("place", [0, 1, 2])
def test_arrays_on_several_devices_are_refused(vadd, fake, streams, place):
    good = Tensor((1000,))
    vadd.call((good, good, good, 1000), {})
    for other in (np.ones(1000, np.float32), Tensor((1000,), index=1), on_device().array):
        args = [good] * 3
        args[place] = other
        with pytest.raises(DeviceError):
            vadd.call((*args, 1000), {})
    assert len(fake.launches) == 1


def test_a_wrong_dtype_is_named_on_a_device_as_on_the_host(vadd, fake, streams):
    good, bad = Tensor((1000,)), Tensor((1000,), I32)
    vadd.call((good, good, good, 1000), {})
    with pytest.raises(ArgumentDtypeError, match="'y'"):
        vadd.call((good, bad, good, 1000), {})
    assert len(fake.launches) == 1


def test_a_tensor_without_memory_is_refused(vadd, fake):
    ghost = Tensor((1000,))
    ghost.is_meta, ghost.device = True, "meta"
    with pytest.raises(DeviceError, match="meta"):
        vadd.call((ghost, ghost, ghost, 1000), {})


def test_what_cannot_be_mapped_is_named_by_the_callers_argument(fake, streams):
    tile = typed.launcher("tile", typed.COPY_IR, typed.COPY)
    x = Tensor((64, 64), BF16)
    o = Tensor((2048,))
    tile.call((x, o), {})
    x.address += 8
    for _ in range(2):
        with pytest.raises(MappedAddressError, match="'x'"):
            tile.call((x, o), {})
    x.address -= 8
    tile.call((x, o), {})
    assert len(fake.launches) == 2


def test_a_failed_launch_says_what_failed(vadd, fake, streams):
    x = Tensor((1000,))
    bound = vadd.bind((x, x, x, 1000), {})
    fake.results["cuLaunchKernelEx"] = 700
    for call in (lambda: vadd.call((x, x, x, 1000), {}), bound):
        with pytest.raises(DeviceFailedError, match="ILLEGAL_ADDRESS"):
            call()
