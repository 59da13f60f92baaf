"""LLVM IR text to an object file, by llvmlite, with a short list of passes.

kdsl's own passes have widened, unrolled and hoisted; LLVM cleans up, chooses instructions and
registers.
"""

from __future__ import annotations

import hashlib
import time
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from kdsl.codegen.backend import Artifact, Source
from kdsl.codegen.llvm.accesses import access_report
from kdsl.errors import AssembleError
from kdsl.target.target import Target
from kdsl_cpu.features import cpu_name
from kdsl_cpu.runtime_ir import pool_ir

POOL_FUNCTION = "kdsl_parallel_for"
FORMAT = "elf-object"
CODEGEN_LEVEL, QUICK_LEVEL = 2, 0
PASSES = ("sroa", "instruction_combine")
"""LLVM passes, by the names of llvmlite's ``add_..._pass``."""


@cache
def initialize() -> None:
    """Make LLVM's targets known, once."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@cache
def initialize_all() -> None:
    """Make targets of other machines known too, once."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def target_machine(target: Target, level: int = CODEGEN_LEVEL) -> Any:
    """Return LLVM's description of the target; position-independent code for file and JIT alike."""
    initialize()
    try:
        found = llvm.Target.from_triple(target.triple)
    except RuntimeError:
        initialize_all()
        found = llvm.Target.from_triple(target.triple)
    return found.create_target_machine(
        cpu=cpu_name(target),
        features=target.attributes,
        opt=level,
        reloc="pic",
        codemodel="small",
    )


def parse(source: Source, machine: Any) -> Any:
    """Parse and verify the text. Raises AssembleError with LLVM's words."""
    try:
        module = llvm.parse_assembly(source.text)
        module.verify()
    except RuntimeError as error:
        raise AssembleError(tool="LLVM", suffix=source.suffix, why=str(error).strip()) from error
    module.data_layout = str(machine.target_data)
    return module


def optimize(module: Any, machine: Any) -> None:
    """Run the short list of passes."""
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    manager = llvm.create_new_module_pass_manager()
    manager.add_always_inliner_pass()
    for name in PASSES:
        getattr(manager, f"add_{name}_pass")()
    manager.run(module, builder)


def assemble(source: Source, target: Target) -> Artifact:
    """Return the object file; its facts are the seconds that each step took."""
    machine = target_machine(target, QUICK_LEVEL if source.quick else CODEGEN_LEVEL)
    marks = [time.perf_counter()]
    module = parse(source, machine)
    marks.append(time.perf_counter())
    if not source.quick:
        optimize(module, machine)
    marks.append(time.perf_counter())
    data = machine.emit_object(module)
    marks.append(time.perf_counter())
    names = ("parse", "optimize", "generate")
    facts: dict[str, Any] = {
        "llvm": {n: b - a for n, a, b in zip(names, marks, marks[1:], strict=False)}
    }
    facts["accesses"] = access_report(source.text)
    if POOL_FUNCTION in source.text and source.entries:
        facts["runtime"] = [pool_ir(target.triple)]
    return Artifact(data, FORMAT, source.entries, facts, hashlib.sha256(data).hexdigest())


def assembly(source: Source, target: Target) -> str:
    """Return the machine code as readable text."""
    machine = target_machine(target)
    module = parse(source, machine)
    optimize(module, machine)
    text: str = machine.emit_assembly(module)
    return text
