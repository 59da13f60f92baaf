"""What calls ask about devices, with a back end that is made up."""

from types import SimpleNamespace

import numpy as np
import pytest

import kdsl as kd
from kdsl.errors import BadStreamError, DeviceError, KernelAssertError
from kdsl.library.elementwise import add
from kdsl.runtime import devices
from kdsl.settings import settings


class Runtime:
    def __init__(self):
        self.waited = 0

    def synchronize(self):
        self.waited += 1

    def handle(self, stream):
        return stream if isinstance(stream, int) else None


@pytest.fixture
def runtime(monkeypatch):
    monkeypatch.setattr(devices, "_in_use", [])
    return Runtime()


def test_devices_that_run_something_are_waited_for(runtime):
    kd.synchronize()
    backend = SimpleNamespace(device_runtime=lambda: runtime)
    assert devices.runtime_of(backend) is runtime
    devices.runtime_of(backend)
    kd.synchronize()
    assert runtime.waited == 1


def test_what_failed_is_raised_to_who_waits(runtime):
    def failed():
        raise KernelAssertError(kernel="k")

    runtime.synchronize = failed
    devices.runtime_of(SimpleNamespace(device_runtime=lambda: runtime))
    with pytest.raises(KernelAssertError):
        kd.synchronize()


def test_kernels_in_host_memory_have_no_streams():
    x = np.ones(4, np.float32)
    for call in (add.on(3), add.on(3).bind):
        with pytest.raises(BadStreamError, match="on the host"):
            call(x, x, x)
    for call in (add, add.bind):
        with pytest.raises(BadStreamError, match="on the host"):
            call(x, x, x, stream=3)
    bound = add.bind(x, x, x)
    with pytest.raises(BadStreamError, match="on the host"):
        bound.on(3)


def test_a_kernel_may_have_a_parameter_called_stream():
    @kd.kernel(grid=lambda d: 1)
    def fill(x: kd.Tensor[kd.f32, kd.dims("N")], stream: kd.f32):
        x[0] = stream

    x = np.ones(4, np.float32)
    fill(x, stream=3.0)
    assert x[0] == 3


def test_a_program_runs_on_its_callers_stream():
    @kd.program
    def twice(x: kd.Tensor[kd.f32, kd.dims("N")]):
        add.on(3)(x, x, x)

    with pytest.raises(kd.KdslError, match="stream of its caller"):
        twice(np.ones(4, np.float32))


class Elsewhere:
    """An array on a kind of device that no back end works on."""

    def __init__(self):
        self.array = np.ones(4, np.float32)

    def __dlpack__(self, **given):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return (99, 1)


def test_a_device_without_a_back_end_is_named():
    x = Elsewhere()
    with pytest.raises(DeviceError, match=r"'x' is on device type 99 \(number 1\)"):
        add(x, x, x)


def test_arrays_must_be_where_the_chosen_target_works():
    x = Elsewhere()
    with settings.override(target="cpu"), pytest.raises(DeviceError, match="runs on cpu"):
        add(x, x, x)


def test_the_interpreter_takes_arrays_of_the_host_only():
    x = Elsewhere()
    with settings.override(interpret=True), pytest.raises(DeviceError, match="the host"):
        add(x, x, x)
