"""The native launcher, with stand-ins for the driver's functions."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

import kdsl.dialects.all  # noqa: F401 - declares the ops
from kdsl.errors import InternalError
from kdsl.ir.parser import parse
from kdsl_amdgpu.assemble import assemble, code_of
from kdsl_amdgpu.emit import emit
from kdsl_amdgpu.features import resolve
from kdsl_amdgpu.launcher import (
    FUNCTIONS,
    GRID_TOO_LARGE,
    NO_DRIVER,
    NO_SUCH_DEVICE,
    host_object,
    image_of,
    runtime_ir,
)
from kdsl_amdgpu.metadata import check

spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
samples = importlib.util.module_from_spec(spec)
spec.loader.exec_module(samples)
GFX942 = resolve("gfx942")
QUEUE, DEVICE = 0x51, 1
POINTER, INT, SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
KINDS = {
    "hipSetDevice": (INT,),
    "hipModuleLoadData": (POINTER, POINTER),
    "hipModuleGetFunction": (POINTER, POINTER, ctypes.c_char_p),
    "hipMalloc": (POINTER, SIZE),
    "hipMemset": (POINTER, INT, SIZE),
    "hipModuleLaunchKernel": (POINTER, *[ctypes.c_uint] * 7, POINTER, POINTER, POINTER),
    "hipMallocAsync": (POINTER, SIZE, POINTER),
    "hipFreeAsync": (POINTER, POINTER),
}


class Driver:
    """Functions that note their arguments; ``failing`` gives a result to some."""

    def __init__(self):
        self.calls, self.failing, self.launches = [], {}, []
        self.next = 0x1000
        self.words = ctypes.create_string_buffer(b"hipErrorOfATest")
        self.held = [self.function(name) for name in FUNCTIONS]
        addresses = [ctypes.cast(f, POINTER).value for f in self.held]
        self.table = (ctypes.c_void_p * len(FUNCTIONS))(*addresses)

    def function(self, name):
        if name == "hipGetErrorName":
            return ctypes.CFUNCTYPE(POINTER, INT)(lambda status: ctypes.addressof(self.words))
        return ctypes.CFUNCTYPE(INT, *KINDS[name])(lambda *args: self.called(name, args))

    def called(self, name, args):
        self.calls.append((name, args))
        if name in self.failing:
            return self.failing[name]
        if name in ("hipModuleLoadData", "hipModuleGetFunction", "hipMalloc", "hipMallocAsync"):
            ctypes.c_void_p.from_address(args[0]).value = self.next
            self.next += 0x1000
        if name == "hipModuleLaunchKernel":
            extra = (ctypes.c_void_p * 5).from_address(args[-1])
            assert (extra[0], extra[2], extra[4], args[-2]) == (1, 2, 3, None)
            size = SIZE.from_address(extra[3]).value
            self.launches.append((args[:9], ctypes.string_at(extra[1], size)))
        return 0

    def names(self):
        return [name for name, _ in self.calls]


class Loaded:
    """Objects in this process."""

    def __init__(self, artifact, adopt=None):
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        for data in (artifact.data, host_object(exported(runtime_ir()))):
            self.engine.add_object_file(llvm.ObjectFileRef.from_data(data))
        self.engine.finalize_object()
        if adopt is not None:
            self.function("kdsl_hip_adopt", None, POINTER)(ctypes.addressof(adopt.table))

    def function(self, name, result, *kinds):
        return ctypes.CFUNCTYPE(result, *kinds)(self.engine.get_function_address(name))

    def call(self, entry, *arrays, device=DEVICE):
        words = [w for a in arrays for w in (a.ctypes.data, a.size, 1)]
        row = (ctypes.c_int64 * (len(words) + 2))(*words, QUEUE, device)
        return self.function(f"kdsl_entry_{entry}", INT, POINTER)(ctypes.addressof(row))


def exported(text):
    """Let the engine find functions that a built file keeps to itself."""
    return text.replace("define hidden", "define")


def made(text):
    return assemble(emit(parse(text), GFX942), GFX942)


def vectors(count=3, size=1000):
    return [np.zeros(size, np.float32) for _ in range(count)]


def test_an_object_holds_the_image_that_was_linked():
    artifact = made(samples.add())
    assert image_of(artifact.data) == code_of(artifact.digest).loadable
    with pytest.raises(InternalError, match="no image"):
        image_of(host_object("define i32 @f() { ret i32 0 }"))


def test_a_launch_fills_the_segment_as_the_metadata_lays_it_out():
    artifact, driver = made(samples.add(grid=4)), Driver()
    arrays = vectors()
    assert Loaded(artifact, driver).call("add_entry", *arrays) == 0
    ((args, segment),) = driver.launches
    assert args[1:] == (4, 1, 1, 256, 1, 1, 0, QUEUE)
    (row,) = check(image_of(artifact.data), 8).values()
    for value, place in zip(
        [w for a in arrays for w in (a.ctypes.data, 1000)], row.facts[".args"], strict=False
    ):
        at, size = place[".offset"], place[".size"]
        assert int.from_bytes(segment[at : at + size], "little") == value


def test_an_image_is_loaded_once_for_each_device():
    driver = Driver()
    loaded = Loaded(made(samples.add()), driver)
    for device in (0, 0, 1, 0):
        assert loaded.call("add_entry", *vectors(), device=device) == 0
    assert driver.names().count("hipModuleLoadData") == 2
    assert driver.names().count("hipModuleGetFunction") == 2
    assert driver.names().count("hipModuleLaunchKernel") == 4


def test_a_device_number_that_no_machine_has_is_a_status():
    assert Loaded(made(samples.add()), Driver()).call("add_entry", *vectors(), device=64) == (
        NO_SUCH_DEVICE
    )


def test_an_empty_grid_launches_nothing():
    driver = Driver()
    assert Loaded(made(samples.add(grid=0)), driver).call("add_entry", *vectors()) == 0
    assert not driver.launches


def test_a_grid_over_the_limit_is_a_status():
    text = samples.add().replace("%grid, %one, %one,", "%one, %grid, %one,")
    text = text.replace("value = 4 : index", "value = 70000 : index")
    assert Loaded(made(text), Driver()).call("add_entry", *vectors()) == GRID_TOO_LARGE


def test_a_result_of_the_driver_names_its_function_and_gives_its_words():
    driver = Driver()
    loaded = Loaded(made(samples.add()), driver)
    driver.failing["hipModuleLaunchKernel"] = 719
    status = loaded.call("add_entry", *vectors())
    assert (status & 0xFFF, status >> 12) == (719, FUNCTIONS.index("hipModuleLaunchKernel") + 1)
    failure = loaded.function("kdsl_device_failure_10", INT, ctypes.c_char_p, INT, POINTER, SIZE)
    text = ctypes.create_string_buffer(200)
    assert failure(b"add", status, ctypes.addressof(text), 200) == 3
    assert text.value == b"add: function 6 of the driver failed with result 719 (hipErrorOfATest)"
    assert failure(b"add", NO_DRIVER, ctypes.addressof(text), 200) == 3
    assert b"libamdhip64.so cannot be opened" in text.value
    assert failure(b"add", 1, ctypes.addressof(text), 200) == 1


def test_no_memory_is_the_status_of_all_back_ends():
    driver = Driver()
    loaded = Loaded(made(samples.add()), driver)
    driver.failing["hipMalloc"] = 2
    assert loaded.call("add_entry", *vectors()) == 2
    driver.failing.clear()
    assert loaded.call("add_entry", *vectors()) == 0


def test_a_machine_without_the_library_gets_a_status():
    assert Loaded(made(samples.add())).call("add_entry", *vectors()) == NO_DRIVER


WORKSPACES = """"builtin.module"() ({
  "func.func"() ({
  ^bb0(%a: memref<?xf32>, %b: memref<?x8xf32>):
    "func.return"() : () -> ()
  }) {function_type = (memref<?xf32>, memref<?x8xf32>) -> (), kdsl.kernel, kdsl.lanes = 64 : i64, sym_name = "k"} : () -> ()
  "func.func"() ({
  ^bb0(%x: memref<?xf32, strided<[1]>>):
    %zero = "arith.constant"() {value = 0 : index} : () -> index
    %one = "arith.constant"() {value = 1 : index} : () -> index
    %n = "memref.dim"(%x, %zero) : (memref<?xf32, strided<[1]>>, index) -> index
    %w = "memref.alloc"(%n) {operandSegmentSizes = array<i32: 1, 0>} : (index) -> memref<?xf32>
    %v = "memref.alloc"(%n) {operandSegmentSizes = array<i32: 1, 0>} : (index) -> memref<?x8xf32>
    "kdsl.launch"(%one, %one, %one, %w, %v) {kernel = @k} : (index, index, index, memref<?xf32>, memref<?x8xf32>) -> ()
    "memref.dealloc"(%v) : (memref<?x8xf32>) -> ()
    "memref.dealloc"(%w) : (memref<?xf32>) -> ()
    "func.return"() : () -> ()
  }) {function_type = (memref<?xf32, strided<[1]>>) -> (), kdsl.entry, sym_name = "e"} : () -> ()
}) : () -> ()
"""


def test_workspaces_come_from_the_stream_and_go_back_to_it():
    driver = Driver()
    assert Loaded(made(WORKSPACES), driver).call("e", *vectors(1, 100)) == 0
    sizes = [args[1] for name, args in driver.calls if name == "hipMallocAsync"]
    assert sizes == [400, 3200]
    assert driver.names().count("hipFreeAsync") == 2
    assert all(args[-1] == QUEUE for name, args in driver.calls if name.endswith("Async"))


def test_what_was_allocated_is_freed_when_a_launch_fails():
    driver = Driver()
    driver.failing["hipModuleLaunchKernel"] = 98
    assert Loaded(made(WORKSPACES), driver).call("e", *vectors(1)) != 0
    assert driver.names().count("hipMallocAsync") == driver.names().count("hipFreeAsync") == 2
