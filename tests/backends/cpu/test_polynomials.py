"""Elementary functions, compiled, over dense sweeps: the errors that the table of polynomials states."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest

from kdsl.testing.native import native_entries, run_native
from kdsl_cpu.backend import BACKEND

COUNT = 1 << 18
LIMITS_SINGLE = {
    "exp2": (1.3, -150, 128), "exp": (1.1, -103.9, 88.7), "log": (1.0, 0, 0), "log2": (1.4, 0, 0),
    "sin": (1.7, -1e5, 1e5), "cos": (1.7, -1e5, 1e5), "tanh": (1.5, -12, 12), "erf": (2.6, -5, 5),
}  # fmt: skip
LIMITS_DOUBLE = {
    "exp2": (1.2, -1075, 1024), "exp": (1.1, -745, 709), "log": (1.0, 0, 0), "log2": (1.3, 0, 0),
    "sin": (1.7, -1e7, 1e7), "cos": (1.7, -1e7, 1e7), "tanh": (1.5, -20, 20), "erf": (7.0, -6, 6),
}  # fmt: skip


def module_text(names, t, flags=""):
    functions = [
        f"""
  "func.func"() ({{
  ^bb0(%x: memref<?x{t}>, %y: memref<?x{t}>, %n: index):
    %c0 = "arith.constant"() {{value = 0 : index}} : () -> index
    %c8 = "arith.constant"() {{value = 8 : index}} : () -> index
    "scf.for"(%c0, %n, %c8) ({{
    ^bb1(%i: index):
      %v = "vector.load"(%x, %i) : (memref<?x{t}>, index) -> vector<8x{t}>
      %w = "math.{name}"(%v) {{{flags}}} : (vector<8x{t}>) -> vector<8x{t}>
      "vector.store"(%w, %y, %i) : (vector<8x{t}>, memref<?x{t}>, index) -> ()
      "scf.yield"() : () -> ()
    }}) : (index, index, index) -> ()
    "func.return"() : () -> ()
  }}) {{sym_name = "{name}", function_type = (memref<?x{t}>, memref<?x{t}>, index) -> (), kdsl.entry}} : () -> ()"""
        for name in names
    ]
    return '"builtin.module"() ({' + "".join(functions) + "\n}) : () -> ()"


def sample(name, low, high, dtype):
    rng = np.random.default_rng(7)
    if name in ("log", "log2"):
        info = np.finfo(dtype)
        exponents = rng.uniform(info.minexp - info.nmant, info.maxexp - 1e-6, COUNT // 2)
        wide = np.exp2(exponents.astype(np.longdouble))
        return np.concatenate([wide, rng.uniform(0.5, 2, COUNT // 2)]).astype(dtype)
    near = rng.uniform(-2, 2, COUNT // 2)
    return np.concatenate([rng.uniform(low, high, COUNT // 2), near]).astype(dtype)


def exact(name, x):
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    if name == "erf":
        return np.vectorize(erf, otypes=[np.float64])(x.astype(np.float64))
    return getattr(np, name)(wide)


def largest_error(got, wanted):
    """Return the largest distance in ulp of the wanted value."""
    dtype = got.dtype
    wide = wanted.astype(np.longdouble)
    tiny = np.finfo(dtype).tiny
    with np.errstate(all="ignore"):
        unit = np.spacing(np.maximum(np.abs(wide.astype(dtype)), tiny)).astype(np.longdouble)
        error = np.abs(got.astype(np.longdouble) - wide) / unit
    inside = np.isfinite(wide) & (np.abs(wide) < np.finfo(dtype).max)
    return float(np.max(np.where(inside, error, 0)))


@pytest.mark.parametrize(("t", "limits"), [("f32", LIMITS_SINGLE), ("f64", LIMITS_DOUBLE)])
@pytest.mark.parametrize("chip", ["native", "x86-64"])
def test_elementary_functions_stay_within_their_stated_errors(chip, t, limits):
    entries = native_entries(module_text(limits, t), BACKEND, BACKEND.resolve(chip))
    dtype = np.dtype(np.float32 if t == "f32" else np.float64)
    errors = {}
    for name, (_, low, high) in limits.items():
        x = sample(name, low, high, dtype)
        y = np.empty_like(x)
        assert run_native(entries[name], x, y, len(x)) == 0
        errors[name] = largest_error(y, exact(name, x))
    print(chip, t, {name: round(error, 2) for name, error in errors.items()})
    assert all(errors[name] <= limit for name, (limit, _, _) in limits.items()), errors


def test_the_approximate_exp2_has_eight_ulp_and_flushes_small_results():
    flags = "fastmath = #arith.fastmath<afn>"
    entries = native_entries(
        module_text(["exp2"], "f32", flags), BACKEND, BACKEND.resolve("native")
    )
    x = np.linspace(-125.4, 127.99, COUNT, dtype=np.float32)
    y = np.empty_like(x)
    run_native(entries["exp2"], x, y, len(x))
    assert 1.3 < largest_error(y, exact("exp2", x)) <= 8
    x = np.array([-127, -1000, -np.inf, np.inf, np.nan, 128, 0, -125], np.float32)
    y = np.empty_like(x)
    run_native(entries["exp2"], x, y, len(x))
    np.testing.assert_array_equal(y, np.float32([0, 0, 0, np.inf, np.nan, np.inf, 1, 2.0**-125]))


def test_a_huge_angle_still_gives_a_sine():
    entries = native_entries(module_text(["sin", "cos"], "f32"), BACKEND, BACKEND.resolve("native"))
    x = np.float32([1e9, -1e20, 3e38, 1e7, np.inf, -np.inf, np.nan, -0.0])
    for name in ("sin", "cos"):
        y = np.empty_like(x)
        run_native(entries[name], x, y, len(x))
        assert (np.abs(y[:4]) <= 1.000001).all()
        assert np.isnan(y[4:7]).all()
    assert np.signbit(np.sin(x[7]))


def test_loops_call_no_library_function():
    from kdsl.ir.parser import parse
    from kdsl.passes.legalize import Legalize
    from kdsl.passes.manager import Pipeline, run_pipeline
    from kdsl_cpu.assemble import assembly

    for chip in ("x86-64", "x86-64-v3", "aarch64"):
        target = BACKEND.resolve(chip)
        names = [*LIMITS_SINGLE, "floor", "ceil", "trunc", "round", "roundeven", "rsqrt"]
        module = parse(module_text(names, "f32"))
        run_pipeline(Pipeline("legalize", (Legalize(BACKEND.legal),)), module, target)
        text = assembly(BACKEND.emit(module, target), target)
        assert "callq" not in text
        assert "\tbl\t" not in text
