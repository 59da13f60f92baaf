"""Chips, objects for other machines, and what LLVM says of wrong text."""

from __future__ import annotations

import struct

import llvmlite.binding as llvm
import pytest

from kdsl.codegen.backend import Source
from kdsl.dialects import arith
from kdsl.errors import AssembleError, CannotLegalizeError, UnknownChipError, UnknownFeatureError
from kdsl.ir.parser import parse
from kdsl.ir.types import F32
from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.testing.conformance import Case, build_module, elementwise_cases
from kdsl_cpu.assemble import assembly
from kdsl_cpu.backend import BACKEND
from kdsl_cpu.features import CHIPS, detect

MACHINE_AT, X86_64, AARCH64 = 18, 62, 183


def legal(cases, target):
    module = build_module(cases)
    run_pipeline(Pipeline("legalize", (Legalize(BACKEND.legal),)), module, target)
    return module


@pytest.mark.parametrize("chip", CHIPS)
def test_every_op_becomes_an_object_for_every_chip(chip):
    target = BACKEND.resolve(chip)
    module = legal(list(elementwise_cases([0, 8])), target)
    artifact = BACKEND.assemble(BACKEND.emit(module, target), target)
    assert artifact.data.startswith(b"\x7fELF")
    (machine,) = struct.unpack_from("<H", artifact.data, MACHINE_AT)
    assert machine == (AARCH64 if chip == "aarch64" else X86_64)


def test_vectors_use_the_registers_of_the_chip():
    case = [Case(arith.Addf, F32, 16)]
    registers = {"x86-64": "%xmm", "x86-64-v3": "%ymm", "x86-64-v4": "%zmm"}
    for chip, register in registers.items():
        target = BACKEND.resolve(chip)
        text = assembly(BACKEND.emit(legal(case, target), target), target)
        assert register in text


def test_this_machine_is_one_of_the_known_chips():
    here = detect()
    assert here.chip in CHIPS
    assert here.features.threads >= 1
    assert here.triple == llvm.get_process_triple()


def test_unknown_chips_and_features_are_named():
    with pytest.raises(UnknownChipError, match="pentium5"):
        BACKEND.resolve("pentium5")
    with pytest.raises(UnknownFeatureError, match="mmx7"):
        BACKEND.resolve("x86-64-v3,+mmx7")


def test_a_feature_may_be_taken_away():
    target = BACKEND.resolve("x86-64-v3,-fma")
    assert not target.features.fma
    assert target.attributes.endswith("-fma")


def test_text_that_llvm_rejects_is_an_error_with_its_words():
    target = BACKEND.resolve("native")
    with pytest.raises(AssembleError, match="undefined value"):
        BACKEND.assemble(Source("define i32 @f() { ret i32 %x }", ".ll"), target)


def test_a_tile_that_nobody_lowered_is_refused_where_it_stands():
    text = """"builtin.module"() ({
  "func.func"() ({
  ^bb0():
    %t = "kdsl.iota"() : () -> tensor<8xi32>
    "kdsl.print"(%t) {format = "{}"} : (tensor<8xi32>) -> ()
    "func.return"() : () -> ()
  }) {sym_name = "go", function_type = () -> (), kdsl.entry} : () -> ()
}) : () -> ()"""
    with pytest.raises(CannotLegalizeError, match=r"kdsl\.iota") as caught:
        Legalize(BACKEND.legal).run(parse(text), BACKEND.resolve("native"))
    assert caught.value.loc.line == 4


def test_only_launching_code_asks_for_the_thread_pool():
    target = BACKEND.resolve("native")
    artifact = BACKEND.assemble(
        BACKEND.emit(legal([Case(arith.Addf, F32, 4)], target), target), target
    )
    assert "runtime" not in artifact.facts
