"""KDSL_VERIFY=passes names a pass that breaks a kernel of the library, and says what it left out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kdsl import compiler
from kdsl.dialects import arith, memref, vector
from kdsl.errors import ChangedMeaningError
from kdsl.ir.core import Module
from kdsl.library.attention import attention
from kdsl.library.elementwise import silu_mul
from kdsl.library.norms import rms_norm
from kdsl.library.rope_attention import rope_attention
from kdsl.passes import differential
from kdsl.passes.manager import Pass, Pipeline
from kdsl.passes.pipelines import OPTIMIZE
from kdsl.settings import settings
from kdsl.target.target import Target


@dataclass(frozen=True)
class _SeesTheFuture(Pass):
    """Turn the causal mask around."""

    def run(self, module: Module, target: Target) -> bool:
        for op in module.walk():
            if isinstance(op, arith.Cmpi) and op.predicate == arith.CMPI["sge"]:
                op.attributes["predicate"] = arith.CMPI["sle"]
        return False


@dataclass(frozen=True)
class _WritesOneFurther(Pass):
    """Store each element where the next one belongs."""

    def run(self, module: Module, target: Target) -> bool:
        from kdsl.ir.builder import Builder

        for op in list(module.walk()):
            if isinstance(op, memref.Store | vector.Store | vector.MaskedStore):
                b = Builder.before(op)
                last = len(op.operands) - 1 - isinstance(op, vector.MaskedStore) * 2
                one = arith.index_constant(b, 1)
                op.set_operand(last, b.create(arith.Addi, op.operands[last], one))
        return True


@dataclass(frozen=True)
class _LosesPrecision(Pass):
    """Drop the first multiplication: the scale, or the square."""

    def run(self, module: Module, target: Target) -> bool:
        found = next(op for op in module.walk() if isinstance(op, arith.Mulf))
        found.replace_by(found.lhs)
        return True


_SeesTheFuture.name = "sees-the-future"
_WritesOneFurther.name = "writes-one-further"
_LosesPrecision.name = "loses-precision"

CASES = [
    (attention, {"T": "f32", "D": 64}, _SeesTheFuture()),
    (rope_attention, {"T": "bf16", "D": 16, "R": 8}, _LosesPrecision()),
    (rms_norm, {"T": "f32"}, _LosesPrecision()),
    (silu_mul, {"T": "f32"}, _WritesOneFurther()),
]


@pytest.mark.parametrize(("kernel", "values", "broken"), CASES, ids=str)
def test_the_pass_that_breaks_a_kernel_is_named(kernel, values, broken, monkeypatch) -> None:
    pipeline = Pipeline("optimize", (OPTIMIZE.passes[0], broken, *OPTIMIZE.passes[1:]))
    monkeypatch.setattr(compiler, "OPTIMIZE", pipeline)

    with settings.override(verify="passes"), pytest.raises(ChangedMeaningError) as problem:
        kernel.ir("legalize", **values)

    assert problem.value.pass_name == broken.name
    assert problem.value.kernel == f"@{kernel.name}"


def test_what_was_not_compared_is_said_in_one_line(capsys, monkeypatch) -> None:
    monkeypatch.setattr(differential, "WORK", 1_000_000)
    with settings.override(verify="passes"):
        attention.ir("legalize", T="f32", D=64, BM=16, BN=16)

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "from tile-to-loops on, @attention on sizes (7, 7), @attention on sizes (18, 18)" in said
    assert "changes by passes were compared on 1 to 4 inputs" in said


def test_nothing_is_said_when_all_was_compared(capsys) -> None:
    with settings.override(verify="passes"):
        silu_mul.ir("legalize", T="f32")

    assert capsys.readouterr().err == ""
