"""Legalize: widening, conversions by bits, decompositions, refusals; judged by the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from kdsl.dialects import arith, math
from kdsl.errors import CannotLegalizeError
from kdsl.ir.interpreter import interpret
from kdsl.ir.types import BF16, F8E4M3, F8E5M2, F16, F32, F64
from kdsl.ir.verify import verify
from kdsl.passes.legalize import Legal, Legalize
from kdsl.target.features import Features
from kdsl.target.target import Target
from kdsl.testing.conformance import Case, build_module, inputs_of

BARE = Target("bare", "bare", Features())
HALVES = Target("h", "h", Features(fast_conversions=frozenset({("f16", "f32"), ("f32", "f16")})))


def legalized(case, target=BARE, legal=None):
    module = build_module([case])
    Legalize(legal or Legal()).run(module, target)
    verify(module)
    return module


def run(module, case):
    inputs = inputs_of(case)
    out = np.zeros(len(inputs[0]), (case.to or case.element).numpy)
    interpret(module, case.name, [*inputs, out, np.int64(len(out))])
    return out


def names(module):
    return [op.name for op in module.walk()]


@pytest.mark.parametrize(("t", "to"), [
    (F32, F16), (F32, BF16), (F32, F8E4M3), (F32, F8E5M2), (F64, F16), (F64, BF16), (F64, F8E4M3),
    (F16, F8E5M2), (BF16, F8E4M3),
])  # fmt: skip
def test_narrowing_by_bits_rounds_as_numpy_does(t, to):
    case = Case(arith.Truncf, t, 0, to)
    before, after = build_module([case]), legalized(case)
    assert all(op.name != "arith.truncf" or op.results[0].type is F32 for op in after.walk())
    a, b = run(before, case), run(after, case)
    nan = np.isnan(a.astype(np.float32))
    np.testing.assert_array_equal(nan, np.isnan(b.astype(np.float32)))
    raw = np.dtype(f"u{a.itemsize}")
    np.testing.assert_array_equal(a.view(raw)[~nan], b.view(raw)[~nan])


@pytest.mark.parametrize("t", [F16, BF16, F8E4M3, F8E5M2])
def test_every_small_float_widens_exactly(t):
    raw = np.arange(1 << t.bits).astype(np.dtype(f"u{t.bits // 8}")).view(t.numpy)
    case = Case(arith.Extf, t, 0, F32)
    module = legalized(case)
    out = np.zeros(len(raw[::7]), np.float32)
    interpret(module, case.name, [raw[::7].copy(), out, np.int64(len(out))])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out, raw[::7].astype(np.float32))


def test_halfway_doubles_are_rounded_once():
    # 1 + 2**-11 + 2**-40: through f32 the last bit is lost, and the tie would go to even.
    x = np.array([1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-11, -(1 + 3 * 2.0**-11 - 2.0**-40)])
    case = Case(arith.Truncf, F64, 0, F16)
    out = np.zeros(3, np.float16)
    interpret(legalized(case), case.name, [x, out, np.int64(3)])
    np.testing.assert_array_equal(out, np.float16([1 + 2.0**-10, 1, -(1 + 2.0**-10)]))


def test_arithmetic_on_a_storage_type_is_done_in_f32():
    module = legalized(Case(arith.Mulf, F16, 8), HALVES)
    wide = next(op for op in module.walk() if op.name == "arith.mulf")
    assert str(wide.results[0].type) == "vector<8xf32>"
    assert names(module).count("arith.extf") == 2
    assert names(module).count("arith.truncf") == 1


def test_a_native_type_is_left_alone():
    native = Target("n", "n", Features(native=frozenset({"f16", "f32"})))
    assert not Legalize().run(build_module([Case(arith.Mulf, F16, 8)]), native)


def test_what_a_target_has_is_not_decomposed():
    kept = Legal("all", ops=frozenset({math.Exp2, arith.Constant}))
    module = build_module([Case(math.Exp2, F32, 0)])
    Legalize(Legal("none", ops=kept.ops | {type(op) for op in module.walk()})).run(module, BARE)
    assert "math.exp2" in names(module)


def test_an_op_without_any_form_is_refused():
    module = build_module([Case(arith.Addf, F32, 0)])
    kinds = frozenset(type(op) for op in module.walk()) - {arith.Addf}
    with pytest.raises(CannotLegalizeError, match=r"arith\.addf"):
        Legalize(Legal("adds-nothing", ops=kinds)).run(module, BARE)
