"""The launcher against a stand-in for AMD's library: what it asks, in which order, with what."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import kdsl.dialects.all  # noqa: F401 - declares the ops
from kdsl.errors import (
    DeviceFailedError,
    GridLimitError,
    KernelAssertError,
    NoDeviceError,
    NoDriverError,
    WrongDeviceError,
)
from kdsl.ir.parser import parse
from kdsl_amdgpu import hip, runtime
from kdsl_amdgpu.assemble import assemble
from kdsl_amdgpu.emit import emit
from kdsl_amdgpu.features import resolve
from kdsl_amdgpu.launcher import image_of
from kdsl_amdgpu.metadata import check

spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(samples)
GFX942 = resolve("gfx942")
QUEUE, DEVICE = 0x51, 1


def put(place, value):
    """Write through a pointer argument."""
    ctypes.cast(place, ctypes.POINTER(ctypes.c_void_p))[0] = value


class Function:
    """A function of the library; ``restype`` may be set as on a real one."""

    def __init__(self, library, name):
        self.library, self.name, self.restype = library, name, ctypes.c_int

    def __call__(self, *args):
        return self.library.called(self.name, *args)


class Library:
    """Stands for libamdhip64: notes the calls, hands out addresses."""

    def __init__(self, devices=2, chip=b"gfx942:sramecc+:xnack-"):
        self.devices, self.chip = devices, chip
        self.calls, self.failing, self.segments = [], {}, []
        self.word, self.next = 0, 0x1000

    def __getattr__(self, name):
        if not name.startswith("hip") or name == "hipGetDeviceProperties":
            raise AttributeError(name)
        found = Function(self, name)
        setattr(self, name, found)
        return found

    def called(self, name, *args):
        self.calls.append(name)
        if name in self.failing:
            return self.failing[name]
        row = getattr(self, "_" + name, None)
        return 0 if row is None else row(*args)

    def _hipGetErrorString(self, status):  # noqa: N802 - the library's names
        return f"words for {status}".encode()

    def _hipGetDeviceCount(self, count):  # noqa: N802
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self.devices
        return 0

    def _hipGetDevicePropertiesR0600(self, data, index):  # noqa: N802
        ctypes.memmove(ctypes.addressof(data) + 1160, self.chip, len(self.chip))
        return 0

    def _address(self, place):
        put(place, self.next)
        self.next += 0x1000
        return 0

    def _hipModuleLoadData(self, module, image):  # noqa: N802
        return self._address(module)

    def _hipModuleGetFunction(self, function, module, name):  # noqa: N802
        return self._address(function)

    def _hipMalloc(self, place, size):  # noqa: N802
        return self._address(place)

    def _hipMallocAsync(self, place, size, queue):  # noqa: N802
        assert queue.value == QUEUE
        return self._address(place)

    def _hipMemcpy(self, target, source, size, kind):  # noqa: N802
        ctypes.cast(target, ctypes.POINTER(ctypes.c_int32))[0] = self.word
        return 0

    def _hipModuleLaunchKernel(self, function, *rest):  # noqa: N802
        *sizes, queue, params, extra = rest
        assert (params, queue.value) == (None, QUEUE)
        assert (extra[0], extra[2], extra[4]) == (1, 2, 3)
        size = ctypes.c_size_t.from_address(extra[3]).value
        self.segments.append(([n.value for n in sizes], ctypes.string_at(extra[1], size)))
        return 0


@pytest.fixture
def library(monkeypatch):
    found = Library()
    monkeypatch.setattr(runtime, "driver", lambda: hip.Driver(found))
    monkeypatch.setattr(runtime, "IMAGES", [])
    return found


def loaded(text):
    source = emit(parse(text), GFX942)
    return runtime.load(assemble(source, GFX942), GFX942)


def call(entry, *arrays):
    words = [w for a in arrays for w in (a.ctypes.data, a.size, 1)]
    row = (ctypes.c_int64 * (len(words) + 2))(*words, QUEUE, DEVICE)
    return entry.call(ctypes.addressof(row))


def vectors(count=3, size=1000):
    return [np.zeros(size, np.float32) for _ in range(count)]


def test_a_launch_passes_the_segment_that_the_metadata_describes(library):
    entry = loaded(samples.add(grid=4))["add_entry"]
    arrays = vectors()
    assert call(entry, *arrays) == 0
    ((sizes, segment),) = library.segments
    assert sizes == [4, 1, 1, 256, 1, 1, 0]
    made = assemble(emit(parse(samples.add(grid=4)), GFX942), GFX942)
    (row,) = check(image_of(made.data), 8).values()
    wanted = [w for a in arrays for w in (a.ctypes.data, 1000)]
    for value, place in zip(wanted, row.facts[".args"], strict=False):
        at, size = place[".offset"], place[".size"]
        assert int.from_bytes(segment[at : at + size], "little") == value


def test_an_image_is_loaded_once_for_each_device(library):
    entry = loaded(samples.add())["add_entry"]
    call(entry, *vectors())
    call(entry, *vectors())
    assert library.calls.count("hipModuleLoadData") == 1
    assert library.calls.count("hipModuleGetFunction") == 1
    assert library.calls.count("hipSetDevice") == 2


def test_an_empty_grid_launches_nothing(library):
    entry = loaded(samples.add(grid=0))["add_entry"]
    assert call(entry, *vectors()) == 0
    assert not library.segments


def test_a_grid_over_the_limit_is_refused(library):
    text = (
        samples.add()
        .replace('"kdsl.launch"(%grid, %one, %one,', '"kdsl.launch"(%one, %grid, %one,')
        .replace("value = 4 : index", "value = 70000 : index")
    )
    entry = loaded(text)["add_entry"]
    with pytest.raises(GridLimitError, match=r"65535 along axis 1"):
        call(entry, *vectors())


WORKSPACE = """"builtin.module"() ({
  "func.func"() ({
  ^bb0(%a: memref<?xf32>):
    "func.return"() : () -> ()
  }) {function_type = (memref<?xf32>) -> (), kdsl.kernel, kdsl.lanes = 64 : i64, sym_name = "k"} : () -> ()
  "func.func"() ({
  ^bb0(%x: memref<?xf32, strided<[1]>>):
    %one = "arith.constant"() {value = 1 : index} : () -> index
    %n = "arith.constant"() {value = 100 : index} : () -> index
    %w = "memref.alloc"(%n) {operandSegmentSizes = array<i32: 1, 0>} : (index) -> memref<?xf32>
    "kdsl.launch"(%one, %one, %one, %w) {kernel = @k} : (index, index, index, memref<?xf32>) -> ()
    "memref.dealloc"(%w) : (memref<?xf32>) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?xf32, strided<[1]>>) -> (), kdsl.entry, sym_name = "e"} : () -> ()
}) : () -> ()
"""


def test_workspaces_come_from_the_queue_and_go_back_to_it(library):
    entry = loaded(WORKSPACE)["e"]
    assert call(entry, *vectors(1)) == 0
    order = [c for c in library.calls if "Async" in c or "Launch" in c]
    assert order == ["hipMallocAsync", "hipModuleLaunchKernel", "hipFreeAsync"]


def test_no_memory_for_a_workspace_is_a_status(library):
    entry = loaded(WORKSPACE)["e"]
    library.failing["hipMallocAsync"] = 2
    assert call(entry, *vectors(1)) == 2


def test_a_failed_assertion_is_reported_when_the_device_is_waited_for(library):
    entry = loaded(samples.add())["add_entry"]
    call(entry, *vectors())
    runtime.DEVICES.synchronize()
    library.word = 1
    with pytest.raises(KernelAssertError, match="add_entry"):
        runtime.DEVICES.synchronize()
    assert library.calls[-1] == "hipMemset"


def test_code_for_another_chip_is_refused(library):
    library.chip = b"gfx1100"
    entry = loaded(samples.add())["add_entry"]
    with pytest.raises(WrongDeviceError, match="gfx1100"):
        call(entry, *vectors())


def test_a_call_that_fails_quotes_the_librarys_words(library):
    entry = loaded(samples.add())["add_entry"]
    library.failing["hipModuleLaunchKernel"] = 719
    with pytest.raises(DeviceFailedError, match="words for 719"):
        call(entry, *vectors())


def test_the_chip_is_named_without_its_options(library):
    assert hip.Driver(library).chip(0) == "gfx942"
    library.chip = b"an odd device"
    with pytest.raises(NoDeviceError, match="does not name its chip"):
        hip.Driver(library).chip(0)


def test_a_library_without_devices_is_an_error():
    with pytest.raises(NoDeviceError):
        hip.Driver(Library(devices=0))


def test_a_machine_without_the_library_is_told_so(monkeypatch):
    monkeypatch.setattr(hip, "LIBRARIES", ("libnosuchdriver.so",))
    hip.driver.cache_clear()
    with pytest.raises(NoDriverError, match=r"(?s)libnosuchdriver.*kdsl build"):
        hip.driver()


def test_streams_are_taken_as_handles_or_objects():
    class Stream:
        cuda_stream = 7

    assert runtime.DEVICES.handle(7) == 7
    assert runtime.DEVICES.handle(Stream()) == 7
    assert runtime.DEVICES.handle("no") is None
    assert runtime.DEVICES.current_queue(np.zeros(1))(0) == 0
