"""The native launcher over a driver that records its calls."""

from __future__ import annotations

import ctypes
import struct
from array import array

import pytest

from kdsl.errors import (
    DeviceFailedError,
    ImageRejectedError,
    KernelAssertError,
    NoDeviceError,
    OldDriverError,
    OutOfMemoryError,
    WrongDeviceError,
)
from kdsl.ir.parser import parse
from kdsl.runtime.launcher import Prepared, Traced
from kdsl.settings import settings
from kdsl.target.target import Target
from kdsl_ptx import abi, artifact, runtime
from kdsl_ptx import driver as drivers
from kdsl_ptx.devices import DEVICES, LOADED
from kdsl_ptx.driver_ir import COUNTER_BYTES, COUNTERS, MAX_DEVICES, failure_of
from tests.backends.ptx import typed_kernels as typed
from tests.backends.ptx.fake_driver import CONTEXT, FakeDriver

STREAM = 0x5EA
LOAD = [
    "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain",
    "cuDeviceGetDefaultMemPool", "cuMemPoolSetAttribute", "cuCtxPushCurrent",
    "cuThreadExchangeStreamCaptureMode", "cuMemAlloc", "cuStreamCreate", "cuMemsetD8Async",
    "cuStreamSynchronize", "cuStreamDestroy", "cuThreadExchangeStreamCaptureMode",
    "cuCtxPopCurrent", "cuCtxPushCurrent", "cuThreadExchangeStreamCaptureMode", "cuMemHostAlloc",
    "cuModuleLoadDataEx", "cuModuleGetFunction", "cuThreadExchangeStreamCaptureMode",
    "cuCtxPopCurrent",
]  # fmt: skip


class Ready:
    """A typed kernel on a fake driver: ``run(*slots)`` returns the status."""

    def __init__(self, name, text, ptx, **options):
        self.kernel = typed.Kernel(name, text, ptx)
        self.module = parse(text)
        functions = [f for f in self.module.functions if f.is_kernel]
        options.setdefault(
            "sizes",
            {
                abi.kernel_symbol(f.sym_name): [p.bytes for p in abi.kernel_params(f)]
                for f in functions
            },
        )
        self.fake = FakeDriver(**options)

    def __enter__(self):
        self.block = drivers.using(self.fake.driver)
        self.block.__enter__()
        before = len(LOADED)
        self.entry = self.kernel.load(self.module)
        self.loaded = LOADED[before:]
        self.fake.calls.clear()
        return self

    def __exit__(self, *exception):
        for each in self.loaded:
            LOADED.remove(each)
        self.block.__exit__(*exception)

    def run(self, *slots, stream=STREAM, device=0):
        self.slots = array("q", [*slots, stream, device])
        return self.entry.call(self.slots.buffer_info()[0])

    def failure(self, status):
        signature = typed.SIGNATURES[self.kernel.name]
        traced = Traced(self.module, signature, self.kernel.name)
        return Prepared(self.entry.call, None, traced, None, DEVICES).failure(status)


def vadd(**options):
    return Ready("vadd", typed.ADD_IR, typed.ADD, **options)


def fourfold(**options):
    return Ready("fourfold", typed.CHAIN_IR, typed.DOUBLE, **options)


def tickets(**options):
    return Ready("tickets", typed.COUNT_IR, typed.COUNT, **options)


def words(raw):
    return [int.from_bytes(part, "little") for part in raw]


# ----------------------------------------------------------------------------------------- loading


def test_an_image_is_loaded_at_the_first_launch_and_never_again():
    with vadd() as ready:
        assert ready.run(1, 2, 3, 1000) == 0
        assert ready.fake.names[: len(LOAD)] == LOAD
        ready.fake.calls.clear()
        assert ready.run(1, 2, 3, 1000) == 0
        assert ready.fake.names == [
            "cuCtxGetCurrent", "cuCtxPushCurrent", "cuLaunchKernelEx", "cuCtxPopCurrent",
        ]  # fmt: skip


def test_loading_tolerates_a_capture_under_way_and_puts_the_mode_back():
    with vadd() as ready:
        ready.run(1, 2, 3, 1000)
        assert ready.fake.mode == 0
        assert ready.fake.loaded_in == CONTEXT


def test_the_devices_own_context_is_left_alone_where_it_is_current():
    with vadd() as ready:
        ready.run(1, 2, 3, 1000)
        ready.fake.current.append(CONTEXT)
        ready.fake.calls.clear()
        ready.run(1, 2, 3, 1000)
        assert ready.fake.names == ["cuCtxGetCurrent", "cuLaunchKernelEx"]
        assert ready.fake.current == [None, CONTEXT]


def test_each_device_gets_its_image_and_its_context():
    with vadd(devices=2) as ready:
        assert [ready.run(1, 2, 3, 4, device=d) for d in (0, 1, 1, 0)] == [0] * 4
        assert len(ready.fake.named("cuModuleLoadDataEx")) == 2
        pushed = [args[0] for args in ready.fake.named("cuCtxPushCurrent")]
        assert set(pushed) == {CONTEXT, CONTEXT + 1}
        assert len(runtime.contexts(ready.fake.driver)) == 2


@pytest.mark.parametrize("device", [1, MAX_DEVICES, -1])
def test_a_device_that_is_not_there_is_an_error(device):
    with vadd() as ready:
        status = ready.run(1, 2, 3, 4, device=device)
        assert isinstance(ready.failure(status), NoDeviceError)
        assert ready.run(1, 2, 3, 4) == 0


def test_kernels_with_much_shared_memory_ask_for_it_once():
    with Ready("tile", typed.COPY_IR, typed.COPY) as ready:
        assert ready.run(0x1000, 64, 64, 64, 1, 0x9000) == 0
        assert ready.fake.named("cuFuncSetAttribute") == []
    typed.SHARED["copy"], before = 200_000, typed.SHARED["copy"]
    try:
        with Ready("tile", typed.COPY_IR, typed.COPY) as ready:
            for _ in range(3):
                assert ready.run(0x1000, 64, 64, 64, 1, 0x9000) == 0
            ((_, attribute, size),) = ready.fake.named("cuFuncSetAttribute")
            assert (attribute, size) == (8, 200_000)
            assert [each.shared for each in ready.fake.launches] == [200_000] * 3
    finally:
        typed.SHARED["copy"] = before


@pytest.mark.parametrize(
    ("function", "result", "error"),
    [
        ("cuModuleLoadDataEx", 209, WrongDeviceError),
        ("cuModuleLoadDataEx", 222, OldDriverError),
        ("cuModuleLoadDataEx", 200, ImageRejectedError),
        ("cuModuleGetFunction", 500, DeviceFailedError),
        ("cuDevicePrimaryCtxRetain", 2, OutOfMemoryError),
        ("cuMemAlloc", 2, OutOfMemoryError),
        ("cuMemHostAlloc", 1, DeviceFailedError),
        ("cuLaunchKernelEx", 700, DeviceFailedError),
        ("cuCtxGetCurrent", 4, DeviceFailedError),
    ],
)
def test_a_failing_driver_is_a_coded_error_and_the_next_call_tries_again(function, result, error):
    with vadd() as ready:
        ready.fake.results[function] = result
        raised = ready.failure(ready.run(1, 2, 3, 4))
        assert type(raised) is error
        if error is DeviceFailedError:
            assert function in str(raised)
        ready.fake.results.clear()
        assert ready.run(1, 2, 3, 4) == 0
        assert ready.fake.current == [None]


def test_a_device_without_memory_pools_still_runs_what_needs_no_workspace():
    with vadd(results={"cuDeviceGetDefaultMemPool": 801}) as ready:
        assert ready.run(1, 2, 3, 4) == 0


def test_what_the_drivers_assembler_says_is_quoted():
    with vadd(log=b"ptxas: line 7: mul.wode is no instruction") as ready:
        raised = ready.failure(ready.run(1, 2, 3, 4))
        assert isinstance(raised, ImageRejectedError)
        assert "line 7: mul.wode" in str(raised)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"results": {"cuInit": 100}}, NoDeviceError),
        ({"results": {"cuInit": 999}}, NoDeviceError),
        ({"devices": 0}, NoDeviceError),
        ({"capability": (8, 0)}, WrongDeviceError),
    ],
)
def test_a_machine_that_cannot_run_is_told_before_anything_is_loaded(options, error):
    with pytest.raises(error), vadd(**options):
        pass


@pytest.mark.parametrize(
    ("chip", "capability", "image", "runs"),
    [
        ("sm_80", (8, 0), "cubin", True),
        ("sm_80", (8, 9), "cubin", True),
        ("sm_80", (9, 0), "cubin", False),
        ("sm_80", (9, 0), "ptx", True),
        ("sm_89", (8, 6), "cubin", False),
        ("sm_90a", (9, 0), "cubin", True),
        ("sm_90a", (10, 0), "ptx", False),
        ("sm_100a", (10, 0), "cubin", True),
        ("sm_100f", (10, 3), "cubin", True),
        ("sm_120a", (12, 1), "cubin", False),
        ("native", (9, 0), "cubin", False),
    ],
)
def test_images_run_on_the_devices_that_they_were_made_for(chip, capability, image, runs):
    assert runtime.can_run(chip, capability, image) is runs


# ---------------------------------------------------------------------------------------- launching


def test_parameters_grid_and_stream_arrive():
    with vadd() as ready:
        ready.run(0x100, 0x200, 0x300, 1000)
        (launched,) = ready.fake.launches
        assert (launched.function, launched.stream) == ("add", STREAM)
        assert (launched.grid, launched.block, launched.shared) == ((8, 1, 1), (128, 1, 1), 0)
        assert launched.attributes == {}
        *arguments, status = words(launched.params)
        assert arguments == [0x100, 0x200, 0x300, 1000]
        assert ctypes.c_uint32.from_address(status).value == 0


@pytest.mark.parametrize("n", [0, -5])
def test_an_empty_grid_launches_nothing(n):
    with vadd() as ready:
        assert ready.run(1, 2, 3, n) == 0
        assert ready.fake.launches == []


def test_a_second_kernel_may_begin_early_and_the_workspace_lives_on_the_stream():
    with fourfold() as ready:
        assert ready.run(0x100, 0x300, 1000) == 0
        names = [n for n in ready.fake.names if n not in LOAD and not n.startswith("cuCtx")]
        assert names == [
            "cuMemAllocAsync",
            "cuLaunchKernelEx",
            "cuLaunchKernelEx",
            "cuMemFreeAsync",
        ]
        ((_, size, stream),) = ready.fake.named("cuMemAllocAsync")
        ((freed, freed_on),) = ready.fake.named("cuMemFreeAsync")
        assert (size, stream, freed_on) == (4000, STREAM, STREAM)
        first, second = ready.fake.launches
        assert (first.attributes, second.attributes) == ({}, {6: 1})
        assert words(first.params)[:2] == [0x100, freed]
        assert words(second.params)[:2] == [freed, 0x300]


def test_clusters_are_an_attribute_of_the_launch():
    text = typed.CHAIN_IR.replace(
        'kdsl.lanes = 128 : i64, sym_name = "double"',
        'kdsl.lanes = 128 : i64, ptx.cluster = array<i64: 2, 1>, sym_name = "double"',
    )
    with Ready("fourfold", text, typed.DOUBLE) as ready:
        ready.run(0x100, 0x300, 1000)
        first, second = ready.fake.launches
        assert first.attributes == {4: (2, 1, 1)}
        assert second.attributes == {6: 1, 4: (2, 1, 1)}


def test_a_failed_launch_frees_the_workspace():
    with fourfold() as ready:
        ready.run(0x100, 0x300, 1000)
        ready.fake.calls.clear()
        ready.fake.results["cuLaunchKernelEx"] = 719
        status = ready.run(0x100, 0x300, 1000)
        assert failure_of(status).function == "cuLaunchKernelEx"
        assert len(ready.fake.named("cuMemFreeAsync")) == 1
        assert ready.fake.current == [None]


def test_no_memory_for_a_workspace_is_the_status_of_every_back_end():
    with fourfold(results={"cuMemAllocAsync": 2}) as ready:
        assert ready.run(0x100, 0x300, 1000) == 2
        assert isinstance(ready.failure(2), OutOfMemoryError)
        assert ready.fake.named("cuMemFreeAsync") == []


def test_a_grid_beyond_the_devices_limits_names_the_axis():
    with Ready("tall", typed.GRID_IR, typed.COUNT) as ready:
        assert ready.run(0x100, 65535) == 0
        status = ready.run(0x100, 65536)
        assert "65535 along axis 1" in str(ready.failure(status))
        assert len(ready.fake.launches) == 1


# ------------------------------------------------------------------------------------ asserts


def test_a_failed_assert_is_told_when_all_launches_are_waited_for():
    with vadd() as ready:
        ready.run(1, 2, 3, 13)
        word = ctypes.c_uint32.from_address(words(ready.fake.launches[0].params)[-1])
        word.value = 1
        with pytest.raises(KernelAssertError, match="vadd"):
            DEVICES.synchronize()
        assert "cuCtxSynchronize" in ready.fake.names
        DEVICES.synchronize()


def test_a_failed_assert_is_told_by_the_next_call_at_the_latest():
    with vadd() as ready:
        ready.run(1, 2, 3, 13)
        word = ctypes.c_uint32.from_address(words(ready.fake.launches[0].params)[-1])
        word.value = 1
        assert ready.run(1, 2, 3, 4) == 1
        assert isinstance(ready.failure(1), KernelAssertError)
        assert len(ready.fake.launches) == 1
        assert ready.run(1, 2, 3, 4) == 0


def test_two_images_have_status_words_of_their_own():
    with vadd() as one, drivers.using(one.fake.driver):
        other = typed.Kernel("vadd", typed.ADD_IR, typed.ADD).load(parse(typed.ADD_IR))
        one.run(1, 2, 3, 4)
        other.call(one.slots.buffer_info()[0])
        LOADED.pop()
        first, second = (words(each.params)[-1] for each in one.fake.launches)
        assert second == first + 4
        assert len(one.fake.named("cuMemHostAlloc")) == 1


def test_waiting_for_nothing_asks_no_driver():
    known, LOADED[:] = LOADED[:], []
    try:
        DEVICES.synchronize()
    finally:
        LOADED[:] = known


def test_each_launch_is_waited_for_when_the_setting_says_so():
    with settings.override(sync=True), vadd() as ready:
        ready.run(1, 2, 3, 4)
        assert ready.fake.names[-3:] == ["cuCtxPushCurrent", "cuCtxSynchronize", "cuCtxPopCurrent"]


# ------------------------------------------------------------------------------------ counters


def counter_addresses(ready):
    return [words(each.params)[0] for each in ready.fake.launches]


def test_eager_launches_take_the_counters_of_a_ring_in_turn():
    with tickets() as ready:
        for _ in range(COUNTERS + 2):
            assert ready.run(0x100) == 0
        found = counter_addresses(ready)
        base = found[0]
        assert found[:3] == [base, base + COUNTER_BYTES, base + 2 * COUNTER_BYTES]
        assert len(set(found)) == COUNTERS
        assert found[COUNTERS:] == found[:2]
        assert len(ready.fake.named("cuMemAlloc")) == 1
        ((_, byte, size, _),) = ready.fake.named("cuMemsetD8Async")
        assert (byte, size) == (0, COUNTERS * COUNTER_BYTES)


def test_captured_launches_take_counters_that_nobody_ever_takes_again():
    with tickets() as ready:
        ready.run(0x100)
        ready.fake.capturing.add(STREAM)
        for _ in range(COUNTERS + 3):
            assert ready.run(0x100) == 0
        ready.fake.capturing.clear()
        ready.run(0x100)
        found = counter_addresses(ready)
        assert len(set(found)) == len(found)
        assert found[-1] == found[0] + COUNTER_BYTES
        assert len(ready.fake.named("cuMemAlloc")) == 3
        own = {stream for *_, stream in ready.fake.named("cuMemsetD8Async")}
        assert STREAM not in own


def test_an_invalid_capture_is_reported():
    with tickets(results={"cuStreamIsCapturing": 901}) as ready:
        raised = ready.failure(ready.run(0x100))
        assert "CAPTURE_INVALIDATED" in str(raised)


def test_the_number_of_multiprocessors_is_the_grid():
    with tickets() as ready:
        ready.run(0x100)
        assert ready.fake.launches[0].grid == (132, 1, 1)


# ------------------------------------------------------------------------------------ artifacts


def test_the_emitted_text_splits_into_what_was_joined():
    ptx, host = ".version 8.0\n// text\n", "define i32 @x() {\n  ret i32 0\n}\n"
    assert artifact.split(artifact.join(ptx, host)) == (ptx.rstrip("\n") + "\n", host)


def test_an_image_can_be_taken_out_of_its_object():
    made = typed.Kernel("vadd", typed.ADD_IR, typed.ADD).assemble(parse(typed.ADD_IR))
    image = artifact.image_of(made.data)
    assert image.decode().rstrip("\0").startswith(typed.HEAD)
    assert made.facts["image_bytes"] == len(image) - 1


def test_parameters_are_the_address_open_extents_and_open_strides():
    kind = "memref<?x64x?xf32, strided<[?, 128, 1]>>"
    text = f"""
    "builtin.module"() ({{
      "func.func"() ({{
      ^bb0(%x: {kind}, %p: memref<?xbf16>, %b: i1, %h: f16, %i: index, %m: i64):
        "func.return"() : () -> ()
      }}) {{function_type = ({kind}, memref<?xbf16>, i1, f16, index, i64) -> (), kdsl.kernel,
          ptx.tensor_maps = array<i64: 5>, sym_name = "k.kernel"}} : () -> ()
    }}) : () -> ()"""
    kernel = parse(text).function("k.kernel")
    found = [(p.type, p.kind, p.arg, p.axis, p.bytes) for p in abi.kernel_params(kernel)]
    assert found == [
        (".b64", "pointer", 0, 0, 8), (".b64", "size", 0, 0, 8), (".b64", "size", 0, 2, 8),
        (".b64", "stride", 0, 0, 8), (".b64", "pointer", 1, 0, 8), (".b8", "scalar", 2, 0, 1),
        (".b16", "scalar", 3, 0, 2), (".b64", "scalar", 4, 0, 8), (".b8", "map", 5, 0, 128),
        (".b64", "status", -1, 0, 8),
    ]  # fmt: skip
    assert abi.facts_of(kernel).symbol == "k$kernel"


def test_scalars_of_every_size_arrive_bit_for_bit():
    kinds = {"b": "i1", "c": "i8", "s": "i16", "h": "f16", "g": "bf16", "f": "f32", "d": "f64"}
    typed.THREADS["sink"] = 32
    text = typed.module(
        typed.function("sink", kinds),
        typed.function("go", kinds, typed.launch("sink", ("c1", "c1", "c1"), kinds), "kdsl.entry"),
    )
    typed.SIGNATURES["go"] = None
    try:
        kernel = typed.Kernel.__new__(typed.Kernel)
        kernel.name, kernel.text, kernel.ptx = "go", text, ""
        sizes = {"sink": [1, 1, 2, 2, 2, 4, 8, 8]}
        fake = FakeDriver(sizes=sizes)
        with drivers.using(fake.driver):
            entry = kernel.load(parse(text))
            LOADED.pop()
            double = struct.unpack("<q", struct.pack("<d", -2.5))[0]
            slots = array("q", [1, -3, -300, 0x3C00, 0x3F80, 0x3F800000, double, 0, 0])
            assert entry.call(slots.buffer_info()[0]) == 0
        *found, _ = words(fake.launches[0].params)
        assert found == [
            1, 0xFD, 0xFED4, 0x3C00, 0x3F80, 0x3F800000, double & (1 << 64) - 1,
        ]  # fmt: skip
    finally:
        del typed.SIGNATURES["go"], typed.THREADS["sink"]


def test_a_target_that_is_no_chip_cannot_run():
    fake = FakeDriver()
    with drivers.using(fake.driver), pytest.raises(WrongDeviceError, match="sm_90"):
        runtime.require_device(fake.driver, Target("ptx", "sm_100a"), "cubin")
