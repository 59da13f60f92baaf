"""Built files with kernels for a device, on a driver that is a fake: without kdsl, without Python's help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdsl.cli.__main__ import run as command_line
from kdsl.serving import manifest
from kdsl.testing.judges import require_found, require_program
from kdsl_ptx.tools import find_tool

HERE = Path(__file__).parent
SOURCE = """
import kdsl as kd
from kdsl.library.elementwise import add

EXPORTS = [kd.exported(add, "T=f32,bf16")]
"""
PROGRAM = """
import ctypes, sys

class Device(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32)]

class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", Device), ("ndim", ctypes.c_int32),
                ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.c_void_p),
                ("offset", ctypes.c_uint64)]

def tensor(address, number=0, kind=2, n=1000):
    shape = (ctypes.c_int64 * 1)(n)
    return Tensor(address, Device(kind, number), 1, 2, 32, 1, shape, None, 0)

library = ctypes.CDLL(sys.argv[1])
library.kdsl_last_error.restype = ctypes.c_char_p
entry = library.kdsl_add
entry.argtypes = [ctypes.c_void_p] * 4
places = eval(sys.argv[2])
given = [tensor(*place) for place in places]
status = entry(*(ctypes.addressof(t) for t in given), 77)
sys.stdout.flush()
print("status", status, (library.kdsl_last_error() or b"").decode() if status else "")
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    source = folder / "kernels.py"
    source.write_text(SOURCE)
    output = folder / "kernels.so"
    header = folder / "kernels.h"
    wanted = ["--target", "sm_90a", "--header", str(header)]
    assert command_line(["build", str(source), "-o", str(output), *wanted]) == 0
    (folder / "program.py").write_text(PROGRAM)
    return output


@pytest.fixture(scope="module")
def driver(built):
    compiler = require_program("cc")
    target = built.parent / "libcuda.so.1"
    command = [compiler, "-shared", "-fPIC", "-w", "-o", target, HERE / "fake_driver.c"]
    subprocess.run(command, check=True)
    return target.parent


def run(built, places, folder=None, **environment):
    if folder is not None:
        environment["LD_LIBRARY_PATH"] = str(folder)
    done = subprocess.run(
        [sys.executable, "-I", built.parent / "program.py", built, repr(places)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


A, B, C = (0x1000,), (0x2000,), (0x3000,)


@pytest.mark.judge
def test_a_built_file_launches_without_kdsl(built, driver):
    require_found("ptxas", find_tool("ptxas"))
    said = run(built, [A, B, C], driver)
    assert said[0] == "load 7fELF"
    words = said[1].split()
    assert words[:3] == ["launch", "add$kernel", "grid"]
    assert words[-6:] == ["stream", "77", "context", "c0", "first", "1000"]
    assert said[2].split() == ["status", "0"]


def test_tensors_say_on_which_device_it_runs(built, driver):
    said = run(built, [(0x1000, 1), (0x2000, 1), (0x3000, 1)], driver)
    assert "context c1" in said[1]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([A, (0x2000, 1), C], "'y' (2nd): is on device 1, an earlier tensor on device 0"),
        (
            [(0x1000, 0, 1), B, C],
            "'x' (1st): is on DLPack device type 1, expected 2 (a CUDA device)",
        ),
        ([A, B, (0x3001,)], "'out' (3rd): starts at address"),
    ],
)
def test_what_does_not_fit_is_told_before_the_driver_is_asked(built, driver, places, words):
    (said,) = run(built, places, driver)
    assert words in said


def test_no_driver_is_a_status_with_words(built):
    (said,) = run(built, [A, B, C])
    assert said == "status 3 add: libcuda.so.1 cannot be opened; the driver must be installed"


def test_a_device_that_is_not_there_is_told(built, driver):
    (said,) = run(built, [(0x1000, 5), (0x2000, 5), (0x3000, 5)], driver)
    assert said == "status 3 add: there is no such device"


def test_a_rejected_image_is_told_with_the_drivers_log(built, driver):
    (said,) = run(built, [A, B, C], driver, FAKE_LOAD="218")
    assert said == (
        "status 3 add: cuModuleLoadDataEx failed with result 218 (CUDA_ERROR_FAKE) the log"
    )


@pytest.mark.judge
def test_the_manifest_lists_images_with_their_hashes(built, capsys):
    require_found("ptxas", find_tool("ptxas"))
    found = manifest.read(built)
    (entry,) = found.entries
    assert (entry.device, len(entry.specializations)) == (2, 2)
    kinds = [record.kind for record in found.targets]
    assert kinds == ["ptx", "sm_90a cubin", "sm_90a cubin"]
    assert len({record.sha256 for record in found.targets}) == 3
    assert command_line(["inspect", str(built)]) == 0
    assert "sm_90a cubin" in capsys.readouterr().out


def test_the_header_says_where_tensors_are(built):
    text = (built.parent / "kernels.h").read_text()
    assert "kdsl_set_num_threads" not in text
    assert "DLPack device type 2" in text


THROUGH_TVM = (
    PROGRAM.partition("library = ")[0]
    + """
class Any(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("pad", ctypes.c_int32), ("value", ctypes.c_int64)]

if len(sys.argv) > 3:
    ctypes.CDLL(sys.argv[3], ctypes.RTLD_GLOBAL)
library = ctypes.CDLL(sys.argv[1])
given = [tensor(*place) for place in eval(sys.argv[2])]
args = (Any * 3)(*(Any(7, 0, ctypes.addressof(t)) for t in given))
result = Any()
status = library.__getattr__("__tvm_ffi_add")(None, args, 3, ctypes.byref(result))
sys.stdout.flush()
print("status", status)
"""
)


@pytest.mark.parametrize(("given", "stream"), [(True, "921"), (False, "0")])
def test_through_tvm_ffi_the_stream_of_its_environment_is_used(built, driver, given, stream):
    program = built.parent / "tvm.py"
    program.write_text(THROUGH_TVM)
    places = [(0x1000, 1), (0x2000, 1), (0x3000, 1)]
    more = [driver / "libcuda.so.1"] if given else []
    done = subprocess.run(
        [sys.executable, "-I", program, built, repr(places), *more],
        capture_output=True, text=True, check=False, env={"LD_LIBRARY_PATH": str(driver)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    launched = next(line for line in done.stdout.splitlines() if line.startswith("launch"))
    assert launched.split()[7] == stream
    assert "status 0" in done.stdout


LOADER = """
import sys
import numpy as np
import kdsl as kd

class Array:
    def __init__(self, a):
        self.a = a
    def __dlpack__(self, **given):
        import ctypes
        capsule = self.a.__dlpack__()
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        ctypes.c_int32.from_address(pointer(capsule, b"dltensor") + 8).value = 2
        return capsule

add = kd.load(sys.argv[1]).add
x = Array(np.ones(1000, np.float32))
add(x, x, x)
add.on(55)(x, x, x)
try:
    add(x, np.ones(1000, np.float32), x)
except kd.KdslError as error:
    print(error.summary)
try:
    add.on("main")
except kd.KdslError as error:
    print(error.summary)
"""


def test_kdsls_own_loader_passes_streams(built, driver):
    program = built.parent / "loader.py"
    program.write_text(LOADER)
    done = subprocess.run(
        [sys.executable, program, built], capture_output=True, text=True, check=False,
        env={**os.environ, "LD_LIBRARY_PATH": str(driver)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = sorted(done.stdout.splitlines())
    assert [line.split()[7] for line in said if line.startswith("launch")] == ["0", "55"]
    assert any("expected 2 (a CUDA device)" in line for line in said)
    assert any("it is no stream" in line for line in said)
