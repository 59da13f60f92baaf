"""A program of its own: LLVM text in, assembly and object out, as often as asked.

Run by path with an interpreter that has llvmlite; it imports nothing of kdsl. LLVM ends a process
when it cannot select an instruction, and changes a module while it generates code: each form comes
from a clone. A message is a JSON line and then the bytes whose counts it states.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, BinaryIO

import llvmlite.binding as llvm

LEVEL = 2


def generate(request: dict[str, Any], text: str) -> tuple[dict[str, Any], bytes, bytes]:
    """Return the seconds of each step, the assembly, the object; RuntimeError with LLVM's words."""
    marks = [time.perf_counter()]
    module = llvm.parse_assembly(text)
    module.verify()
    machine = llvm.Target.from_triple(request["triple"]).create_target_machine(
        cpu=request["cpu"],
        features=request["attributes"],
        opt=LEVEL,
        reloc="pic",
        codemodel="default",
    )
    module.data_layout = str(machine.target_data)
    marks.append(time.perf_counter())
    options = llvm.create_pipeline_tuning_options(speed_level=LEVEL)
    options.loop_unrolling = request["unroll"]
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    marks.append(time.perf_counter())
    assembly = machine.emit_assembly(module.clone()).encode()
    data = machine.emit_object(module.clone())
    marks.append(time.perf_counter())
    names = ("parse", "optimize", "generate")
    seconds = {n: b - a for n, a, b in zip(names, marks, marks[1:], strict=False)}
    return seconds, assembly, data


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the other side closes."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    while line := requests.readline():
        request = json.loads(line)
        text = requests.read(request["bytes"]).decode()
        try:
            seconds, assembly, data = generate(request, text)
            head = {"seconds": seconds, "assembly": len(assembly), "object": len(data)}
        except RuntimeError as error:
            head, assembly, data = {"error": str(error).strip()}, b"", b""
        answers.write(json.dumps(head).encode() + b"\n" + assembly + data)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
