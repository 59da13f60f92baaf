"""What the launcher's text refuses to export, and the arithmetic that it brings along."""

from __future__ import annotations

import ctypes

import llvmlite.binding as llvm
import numpy as np
import pytest
import sample
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kdsl.errors.artifacts import ExportError
from kdsl.ir.signature import Arg, Relation, Signature
from kdsl.serving.irtext import Function, Strings
from kdsl.serving.manifest import Entry, Manifest, Specialization
from kdsl.serving.relations import RelationCompiler
from kdsl.serving.stub import runtime, stub_ir

WIDE = st.integers(-(2**63), 2**63 - 1)
X = Arg("x", "tensor", "f32", dims=("N",))


def export(*signatures, name="f"):
    specs = tuple(Specialization(f"kdsl_entry_{k}", s) for k, s in enumerate(signatures))
    return stub_ir(Manifest((Entry(name, specs),)))


@pytest.mark.parametrize(
    ("signatures", "reason"),
    [
        ([Signature("f", (X,)), Signature("f", (X,))], "never chosen"),
        ([Signature("f", (X,)), Signature("f", (X, X))], "different arguments"),
        ([Signature("f", (Arg("x", "scalar", "f8e4m3"),))], "cannot cross a C call"),
        ([Signature("f", (Arg("x", "tensor", "f32", dims=("N",), align=12),))], "no power of two"),
        ([Signature("f", (X,), (Relation("M % 2 == 0"),))], "reads 'M'"),
        ([Signature("f", (X,), (Relation("N ** 2 == 4"),))], "only"),
        ([Signature("f", (X,), (Relation("N +"),))], "is no expression"),
        ([Signature("f", (X,), (Relation("N + 1"),))], "is no comparison"),
        ([Signature("f", (Arg("a", "scalar", t), Arg("x", "tensor", d, dims=("N",))))
          for t, d in (("i32", "f32"), ("f32", "bf16"))], "different kinds"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_explained(signatures, reason):
    with pytest.raises(ExportError, match=reason):
        export(*signatures)


@pytest.mark.parametrize("name", ["manifest", "last_error", "entry_x", "a-b", "größe", "3d"])
def test_names_that_are_taken_or_no_identifier_are_refused(name):
    with pytest.raises(ExportError, match="C identifier"):
        export(Signature(name, (X,)), name=name)


def test_every_kind_of_argument_gives_valid_ir():
    scalars = [Arg(f"s{k}", "scalar", d) for k, d in enumerate(
        ("bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "index", "f16", "bf16", "f32", "f64"))]  # fmt: skip
    arrays = [Arg("t0", "tensor", "f8e4m3", dims=()), Arg("p", "ptr", "u8", optional=True),
              Arg("t", "tensor", "f16", dims=("A", 64, "B"), unit_stride=False)]  # fmt: skip
    text = export(Signature("f", (*arrays, *scalars)))
    llvm.parse_assembly(text).verify()


def test_an_entry_without_arguments_gives_valid_ir():
    llvm.parse_assembly(export(Signature("f", ()))).verify()


def test_no_fitting_specialization_lists_what_there_is(tmp_path):
    from kdsl.serving.library import load
    from kdsl.serving.package import build_shared_object

    def signature(a, b):
        return Signature(
            "f", (Arg("x", "tensor", a, dims=("N",)), Arg("y", "tensor", b, dims=("N", 4)))
        )

    specs = [Specialization(f"kdsl_entry_{k}", signature(a, b))
             for k, (a, b) in enumerate((("f32", "f32"), ("f64", "f64")))]  # fmt: skip
    kernels = "".join(f"define i32 @kdsl_entry_{k}(ptr %s) {{\n  ret i32 5\n}}\n" for k in (0, 1))
    path = tmp_path / "f.so"
    manifest = Manifest((Entry("f", tuple(specs)),))
    path.write_bytes(build_shared_object([kernels], manifest, sample.compile_ir))
    library = load(path)
    with pytest.raises(Exception, match=r"nothing here takes \(x: f32\[2\], y: f64\[2, 4\]\); this file "
                       r"has \(x: f32\[N\], y: f32\[N, 4\]\) or \(x: f64\[N\], y: f64\[N, 4\]\)"):  # fmt: skip
        library.f(np.ones(2, np.float32), np.ones((2, 4)))
    with pytest.raises(Exception, match="f: the kernel failed with status 5"):
        library.f(np.ones(2), np.ones((2, 4)))


def jit(text):
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(opt=1)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    return engine


TEXTS = (
    "a % b == c",
    "a // b == c",
    "a % b < a // b",
    "-a + 1 <= b * c",
    "a == b or not a < c and b != 0",
)


@pytest.fixture(scope="module")
def compiled():
    parts = []
    for number, text in enumerate(TEXTS):
        fn = Function(f"i1 @r{number}(i64 %a, i64 %b, i64 %c)", Strings())
        good = RelationCompiler("f", text, fn, {n: f"%{n}" for n in "abc"}).compile()
        fn.do(f"ret i1 {good}")
        parts.append(fn.text())
    engine = jit("\n".join(parts))
    kind = ctypes.CFUNCTYPE(ctypes.c_bool, *(ctypes.c_int64,) * 3)
    return engine, [kind(engine.get_function_address(f"r{k}")) for k in range(len(TEXTS))]


SMALL = st.integers(-6, 6)


@settings(max_examples=400, deadline=None)
@given(SMALL, SMALL, SMALL)
def test_relations_mean_what_python_means(compiled, a, b, c):
    for text, function in zip(TEXTS, compiled[1], strict=True):
        assert function(a, b, c) == Relation(text).holds({"a": a, "b": b, "c": c}), text


@settings(max_examples=200, deadline=None)
@given(WIDE, WIDE | st.sampled_from([0, -1]), WIDE)
def test_extreme_numbers_do_not_trap(compiled, a, b, c):
    for function in compiled[1]:
        function(a, b, c)


@pytest.fixture(scope="module")
def roundings():
    wrappers = "".join(
        f"define i32 @{n}(i32 %x) {{\n  %r = call i32 @kdsl.to_{n}(i32 %x)\n  ret i32 %r\n}}\n"
        for n in ("f16", "bf16")
    )
    text = runtime()
    start, end = text.index("; bits of an f32"), text.index("define internal ptr @kdsl.find")
    used = text[start:end]
    engine = jit(used + wrappers)
    kind = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
    return engine, {n: kind(engine.get_function_address(n)) for n in ("f16", "bf16")}


@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_narrow_floats_are_rounded_as_numpy_rounds(roundings, bits):
    import ml_dtypes

    value = np.array(bits, np.uint32).view(np.float32)
    assume(not np.isnan(value))
    with np.errstate(over="ignore"):
        assert roundings[1]["f16"](bits) == value.astype(np.float16).view(np.uint16)
    assert roundings[1]["bf16"](bits) == value.astype(ml_dtypes.bfloat16).view(np.uint16)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001, 0xFFFFFFFF])
def test_nan_stays_nan(roundings, bits):
    assert roundings[1]["f16"](bits) & 0x7FFF > 0x7C00
    assert roundings[1]["bf16"](bits) & 0x7FFF > 0x7F80
