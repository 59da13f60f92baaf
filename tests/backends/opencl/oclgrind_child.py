"""Run cases on the simulator that checks each access; it writes what it finds to its log.

Arguments: "library" and beginnings of case names, or "lanes" and names of broken programs.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from kdsl.passes.legalize import Legalize
from kdsl.passes.manager import Pipeline, run_pipeline
from kdsl.testing.conformance_table import check
from kdsl.testing.lane_programs import lane_programs, module_of
from kdsl.testing.library_cases import library_cases
from kdsl_opencl.backend import BACKEND

TARGET = BACKEND.resolve("oclgrind")
BARRIER = '"gpu.barrier"() : () -> ()'
BROKEN = {
    "no barrier": ("lanes_in_reverse", BARRIER, ""),
    "too far": ("lanes_in_reverse", "(%y, %Y, %t)", "(%y, %Y, %c64)"),
}
"""What is replaced in which program."""


def library(names):
    cases = [c for c in library_cases() if any(str(c).startswith(n) for n in names)]
    rows = list(check(cases, [TARGET]))
    assert all(row.rung == "emulator" for row in rows), [r for r in rows if r.rung != "emulator"]
    print(f"{len(rows)} cases")


def lanes(names):
    programs = {p.name: p for p in lane_programs()}
    for name in names:
        program, old, new = BROKEN[name]
        whole = programs[program]
        assert old in whole.body
        broken = replace(whole, body=whole.body.replace(old, new), constants=(63, 64))
        module = module_of(broken)
        run_pipeline(Pipeline("legalize", (Legalize(BACKEND.legal),)), module, TARGET)
        artifact = BACKEND.assemble(BACKEND.emit(module, TARGET), TARGET)
        BACKEND.try_out(module, artifact, TARGET, "go", broken.make())


{"library": library, "lanes": lanes}[sys.argv[1]](sys.argv[2:])
