"""Calling an entry: what is accepted, what is refused and how, without the language."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from kdsl import compiler
from kdsl.errors import (
    AlignmentError,
    ArgumentCountError,
    ArgumentDtypeError,
    ArgumentRankError,
    ArgumentShapeError,
    ArgumentStrideError,
    ArgumentTypeError,
    BadGridError,
    DeviceError,
    NullArgumentError,
    ReadOnlyArrayError,
    RelationError,
    ScalarRangeError,
)
from kdsl.ir.parser import parse
from kdsl.ir.signature import Arg, Relation, Signature
from kdsl.runtime.launcher import Code, Launcher, Traced, grid_sizes
from kdsl.runtime.packing import packer
from kdsl.runtime.views import view_of
from kdsl.settings import settings

T = "memref<?x?xf32, strided<[?, 1]>>"
TEXT = f"""
"builtin.module"() ({{
  "func.func"() ({{
  ^bb0(%x: {T}, %out: {T}, %w: memref<?xbf16>, %n: i32, %s: f32):
    %z = "arith.constant"() {{value = 0 : index}} : () -> index
    %v = "memref.load"(%x, %z, %z) : ({T}, index, index) -> f32
    %b = "memref.load"(%w, %z) : (memref<?xbf16>, index) -> bf16
    %c = "arith.extf"(%b) : (bf16) -> f32
    %t = "arith.addf"(%v, %s) : (f32, f32) -> f32
    %u = "arith.mulf"(%t, %c) : (f32, f32) -> f32
    "memref.store"(%u, %out, %z, %z) : (f32, {T}, index, index) -> ()
    "func.return"() : () -> ()
  }}) {{sym_name = "go", function_type = ({T}, {T}, memref<?xbf16>, i32, f32) -> (), kdsl.entry}} : () -> ()
}}) : () -> ()
"""
SIGNATURE = Signature(
    "go",
    (
        Arg("x", "tensor", "f32", "ro", ("M", "N")),
        Arg("out", "tensor", "f32", "wo", ("M", "N")),
        Arg("w", "ptr", "bf16", "ro"),
        Arg("n", "scalar", "i32"),
        Arg("s", "scalar", "f32"),
    ),
    (Relation("N % 2 == 0"), Relation("n <= M")),
)


class Kernel:
    name = "go"
    parameters = ("x", "out", "w", "n", "s")
    fixed_axes = ()
    outputs = ()

    def __init__(self):
        self.traced = 0
        self.defaults = {"s": 1.0}
        self.consts = {}

    def specialize(self, request):
        self.traced += 1
        return Traced(parse(TEXT), SIGNATURE, "go")


def enter(traced):
    loaded, compiled = compiler.entry_of(traced.module, traced.entry, compiler.target_of())
    return Code(loaded.call, compiled)


@pytest.fixture(scope="module")
def launcher():
    return Launcher(Kernel(), enter)


def arguments(**changes):
    given = {
        "x": np.full((3, 4), 2, np.float32),
        "out": np.zeros((3, 4), np.float32),
        "w": np.full(1, 3, ml_dtypes.bfloat16),
        "n": 2,
        "s": 0.5,
    }
    return given | changes


def test_a_call_runs_and_the_second_one_takes_the_quick_way(launcher):
    for scale in (0.5, 1.5):
        given = arguments(s=scale)
        launcher.call(tuple(given.values()), {})
        assert given["out"][0, 0] == 3 * (2 + scale)
    assert launcher.kernel.traced == 1


def test_keywords_and_defaults_fill_the_arguments(launcher):
    given = arguments()
    del given["s"]
    launcher.call((given.pop("x"), given.pop("out")), given)


def test_a_bound_launch_sees_later_contents(launcher):
    given = arguments()
    bound = launcher.bind(tuple(given.values()), {})
    given["x"][...] = 10
    bound()
    assert given["out"][0, 0] == 31.5


def test_torch_tensors_are_used_in_place(launcher):
    torch = pytest.importorskip("torch")
    x, out = torch.full((3, 4), 2.0), torch.zeros(3, 4)
    w = torch.full((1,), 3.0, dtype=torch.bfloat16)
    launcher.call((x, out, w, 2, 0.5), {})
    assert out[0, 0] == 7.5


class OnlyDlpack:
    """An array that shows nothing but DLPack."""

    def __init__(self, array, device=1):
        self.array, self.device = array, device

    def __dlpack__(self, **_):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return (self.device, 0)


def test_anything_with_dlpack_is_used_in_place(launcher):
    given = arguments()
    values = {**given, "x": OnlyDlpack(given["x"]), "out": OnlyDlpack(given["out"])}
    launcher.call(tuple(values.values()), {})
    assert given["out"][0, 0] == 7.5


def test_the_interpreter_computes_on_the_same_memory(launcher):
    given = arguments()
    with settings.override(interpret=True):
        launcher.call(tuple(given.values()), {})
    assert given["out"][0, 0] == 7.5


def read_only():
    array = np.zeros((3, 4), np.float32)
    array.flags.writeable = False
    return array


def misaligned(dtype, count):
    return np.zeros(count * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype)


WRONG = [
    ({"x": [1.0]}, ArgumentTypeError, "'x'"),
    ({"x": None}, NullArgumentError, "'x'"),
    ({"x": np.zeros((3, 4))}, ArgumentDtypeError, "f32, got f64"),
    ({"x": np.zeros((3, 4), ">f4")}, ArgumentDtypeError, ">f4"),
    ({"x": np.zeros(12, np.float32)}, ArgumentRankError, "2 dims"),
    ({"out": np.zeros((3, 6), np.float32)}, ArgumentShapeError, "dim N of 'out' is 6"),
    ({"out": np.zeros((4, 3), np.float32).T}, ArgumentStrideError, "'out'"),
    ({"out": read_only()}, ReadOnlyArrayError, "'out'"),
    ({"x": misaligned(np.float32, 12).reshape(3, 4)}, AlignmentError, "'x'"),
    ({"w": np.zeros(4, ml_dtypes.bfloat16)[::2]}, ArgumentStrideError, "'w'"),
    ({"x": OnlyDlpack(np.zeros((3, 4), np.float32), 2)}, DeviceError, "CUDA"),
    ({"n": 2**31}, ScalarRangeError, "'n'"),
    ({"n": -(2**31) - 1}, ScalarRangeError, "'n'"),
    ({"n": 1.5}, ArgumentTypeError, "'n'"),
    ({"n": 4}, RelationError, "n <= M"),
    ({"s": "one"}, ArgumentTypeError, "'s'"),
    ({"s": 1e39}, ScalarRangeError, "'s'"),
    ({"s": None}, NullArgumentError, "'s'"),
    (
        {"x": np.zeros((3, 3), np.float32), "out": np.zeros((3, 3), np.float32)},
        RelationError,
        "N % 2",
    ),
]


@pytest.mark.parametrize(("changes", "error", "words"), WRONG)
def test_a_wrong_argument_is_named_and_nothing_is_written(launcher, changes, error, words):
    launcher.call(tuple(arguments().values()), {})  # the quick way must refuse it too
    given = arguments(**changes)
    out = given["out"]
    before = np.array(out)
    with pytest.raises(error) as caught:
        launcher.call(tuple(given.values()), {})
    assert words in str(caught.value)
    np.testing.assert_array_equal(out, before)


def test_too_few_too_many_and_unknown_arguments_are_counted(launcher):
    given = tuple(arguments().values())
    for args, kwargs in ((given[:3], {}), ((*given, 1), {}), (given, {"z": 1})):
        with pytest.raises(ArgumentCountError, match="go takes 5 arguments"):
            launcher.call(args, kwargs)


@pytest.mark.parametrize("grid", [(), (1, 2, 3, 4), -1, 1.5, (2, True)])
def test_a_grid_is_one_to_three_sizes(grid):
    with pytest.raises(BadGridError):
        grid_sizes("go", grid)


def test_a_grid_is_filled_up_with_ones():
    assert grid_sizes("go", 4) == (4, 1, 1)
    assert grid_sizes("go", (np.int64(4), 0)) == (4, 0, 1)


def test_the_quick_way_packs_what_the_slow_way_packs():
    from kdsl.runtime.checks import Checked

    values = tuple(arguments(x=np.zeros((6, 8), np.float32)[::2, :4]).values())
    words: list[int] = []
    Checked(SIGNATURE).slots(values, words, [])
    pack = packer(SIGNATURE, values)
    assert list(pack(*values)) == words


def test_an_absent_argument_takes_its_slots():
    from kdsl.runtime.checks import Checked

    args = (Arg("x", "tensor", "f32", dims=("N",), optional=True), Arg("n", "scalar", "i64"))
    signature = Signature("maybe", args)
    words: list[int] = []
    Checked(signature).slots((None, 7), words, [])
    assert words == [0, 0, 0, 7]
    pack = packer(signature, (None, 7))
    assert list(pack(None, 7)) == words
    assert pack(np.zeros(3, np.float32), 7) is None


def test_torch_tensors_have_a_quick_way_of_their_own():
    from kdsl.runtime.checks import Checked

    torch = pytest.importorskip("torch")
    args = (Arg("x", "tensor", "f32", dims=("N", "M")), Arg("p", "ptr", "bf16"))
    signature = Signature("both", args)
    values = (torch.zeros(6, 8)[::2, :4], torch.zeros(3, dtype=torch.bfloat16))
    words: list[int] = []
    Checked(signature).slots(values, words, [])
    pack = packer(signature, values)
    assert list(pack(*values)) == words
    assert pack(torch.zeros(6, 8).T, values[1]) is None
    assert pack(values[0].numpy(), values[1]) is None
    assert pack(values[0].double(), values[1]) is None


@pytest.mark.parametrize("name", ["f8e4m3", "f8e5m2", "bf16", "f16", "u16", "bool"])
def test_views_know_the_dtypes_of_numpy_and_ml_dtypes(name):
    from kdsl.ir.types import DTYPES

    view = view_of(np.zeros((2, 3), DTYPES[name].numpy))
    assert (view.dtype, view.shape, view.strides) == (name, (2, 3), (3, 1))


def test_unsigned_numbers_use_their_whole_range():
    from kdsl.runtime.checks import Checked

    signature = Signature("u", (Arg("n", "scalar", "u64"),))
    words: list[int] = []
    Checked(signature).slots((2**64 - 1,), words, [])
    assert words == [-1]
